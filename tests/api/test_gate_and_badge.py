"""May it go out? And the small picture of it."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client

from tests.api.conftest import R

pytestmark = pytest.mark.django_db
DIGEST = "sha256:" + "a" * 64


def gate(person: Any, model: str = "assist", version: str = "1.0", artifact_digest: str = DIGEST) -> dict[str, Any]:
    answer = person.get(f"gate/?model={model}&version={version}&artifact_digest={artifact_digest}")
    assert answer.status_code == 200
    body: dict[str, Any] = answer.json()
    assert set(body) == {"allow", "reasons", "readiness", "digest", "checked_at"}
    assert body["allow"] is (body["reasons"] == [])
    return body


def codes(body: dict[str, Any]) -> set[str]:
    return {reason["code"] for reason in body["reasons"]}


@pytest.fixture
def approved(submitted: Any, mo: Any, sam: Any, rita: Any) -> Any:
    from checklists.signoff.services import sign

    for person, role in ((mo, "mlops"), (sam, "security"), (rita, "sre")):
        sign(submission=submitted, role=role, decision="approve", by=person)
    return submitted


def test_the_gate_allows_exactly_what_was_signed(api: Any, carol: Any, approved: Any) -> None:
    allowed = gate(api(carol))
    assert (allowed["allow"], allowed["digest"], allowed["readiness"]) == (True, approved.digest, 50)
    assert codes(gate(api(carol), artifact_digest="sha256:" + "b" * 64)) == {"artifact_mismatch"}
    assert codes(gate(api(carol), artifact_digest="")) == {"artifact_missing"}


def test_the_gate_gives_every_reason_with_its_link(
    api: Any, carol: Any, alice: Any, approved: Any, settings: Any
) -> None:
    settings.BASE_URL = "https://preflight.example.org"
    api(alice).put(f"{R}answers/operations.owner/", {"status": "unanswered", "revision": 1})
    denied = gate(api(carol))
    assert codes(denied) == {"changed", "signoff_missing", "must_open"}
    assert all(reason["url"].startswith(f"https://preflight.example.org/{R}") for reason in denied["reasons"])


def test_the_gate_denies_what_it_does_not_know_and_never_fails(
    api: Any, mallory: Any, secret_model: Any, monkeypatch: Any
) -> None:
    assert codes(gate(api(mallory), model="none")) == {"unknown"}
    assert codes(gate(api(mallory), model="secret")) == {"unknown"}
    nothing = gate(api(mallory), model="", version="")
    assert (codes(nothing), "model and version" in nothing["reasons"][0]["text"]) == ({"unknown"}, True)
    assert codes(gate(api(mallory), model="%00", version="%00", artifact_digest="%00")) == {"unknown"}
    assert codes(gate(api(mallory), model="%F0%9F%92%A9" * 500)) == {"unknown"}
    assert api(mallory).get("gate/").json()["allow"] is False
    monkeypatch.setattr("checklists.signoff.gate.decide", lambda *args, **kwargs: 1 / 0)
    assert codes(gate(api(mallory), model="secret")) == {"unknown"}


def test_a_gate_that_fails_inside_denies(api: Any, carol: Any, release: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr("checklists.signoff.gate.build_card", lambda *args, **kwargs: 1 / 0)
    assert codes(gate(api(carol))) == {"failure"}


def test_the_gate_is_for_people_with_a_token(api: Any) -> None:
    assert api(None).get("gate/?model=assist&version=1.0").status_code == 401


def test_a_badge_is_for_who_sees_the_model(
    api: Any, carol: Any, mallory: Any, approved: Any, secret_model: Any
) -> None:
    browser = Client()
    assert browser.get("/badge/assist.svg").status_code == 404
    browser.force_login(carol)
    answer = browser.get("/badge/assist.svg", headers={"Accept": "image/avif,image/webp,*/*;q=0.8"})
    assert (answer.status_code, answer["Content-Type"]) == (200, "image/svg+xml")
    text = answer.content.decode()
    assert "<title>Preflight: ready 50 %</title>" in text
    assert "style" not in text
    assert answer["Cache-Control"] == "private, max-age=60"
    assert browser.get("/badge/assist.svg", headers={"If-None-Match": answer["ETag"]}).status_code == 304
    assert browser.get("/badge/secret.svg").status_code == 200
    browser.force_login(mallory)
    assert browser.get("/badge/secret.svg").status_code == 404
    token = {"Authorization": f"Bearer {api(mallory).token}"}
    assert Client().get("/badge/assist.svg", headers=token).status_code == 200
    assert browser.get("/badge/%00.svg").status_code == 404


def test_public_badges_leave_restricted_models_out(release: Any, secret_model: Any, settings: Any) -> None:
    settings.PREFLIGHT = {**settings.PREFLIGHT, "PUBLIC_BADGES": True}
    answer = Client().get("/badge/assist.svg")
    assert (answer.status_code, answer["Cache-Control"]) == (200, "public, max-age=60")
    assert "draft 0 %" in answer.content.decode()
    assert Client().get("/badge/secret.svg").status_code == 404
