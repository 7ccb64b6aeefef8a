"""Waivers through the web: asked for by the team, decided by the role that owns the item."""

from __future__ import annotations

from typing import Any

import pytest

from checklists.assessments.models import Waiver
from checklists.assessments.services import request_waiver
from tests.build import in_days, make_model, make_release
from tests.conftest import Cast
from tests.web.steps import at, signed_in, text

pytestmark = pytest.mark.usefixtures("edition")
KEY = "identity.lineage"


@pytest.fixture
def release(team: Any, alice: Any) -> Any:
    return make_release(make_model(team, alice), alice)


@pytest.fixture
def waiver(release: Any, alice: Any) -> Waiver:
    return request_waiver(
        release=release,
        item_key=KEY,
        reason="The lab closed.",
        mitigation="Few users.",
        expires_on=in_days(30),
        by=alice,
    )


def asked(**changes: str) -> dict[str, str]:
    return {
        "item": KEY,
        "reason": "The lab closed.",
        "mitigation": "Few users.",
        "expires_on": in_days(30).isoformat(),
        **changes,
    }


def test_a_waiver_is_asked_for_and_approved(release: Any, bob: Any, mo: Any) -> None:
    client = signed_in(bob)
    assert "What was it fine-tuned" in text(client.get(f"{at('waiver_create', release)}?item={KEY}"))
    response = client.post(at("waiver_create", release), asked())
    assert response["Location"] == f"{at('review', release)}#waivers"
    waiver = Waiver.objects.get()
    reviewer = signed_in(mo)
    assert "Lineage" in text(reviewer.get("/reviews/"))
    assert "The lab closed." in text(reviewer.get(at("waiver_decision", release, waiver.pk)))
    reviewer.post(at("waiver_decision", release, waiver.pk), {"decision": "approve", "comment": "Until then."})
    waiver.refresh_from_db()
    assert (waiver.state, waiver.decided_by) == ("approved", mo)
    assert "Until then." in text(client.get(at("waiver_decision", release, waiver.pk)))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"expires_on": in_days(800).isoformat()}, "within a year"),
        ({"expires_on": in_days(-1).isoformat()}, "ends after today"),
        ({"reason": ""}, "This field is required."),
        ({"item": "identity.nothing"}, "Select a valid choice"),
    ],
)
def test_what_is_wrong_is_said_and_what_was_typed_is_kept(
    release: Any, alice: Any, changes: dict[str, str], words: str
) -> None:
    response = signed_in(alice).post(at("waiver_create", release), asked(**changes))
    assert response.status_code == 422
    assert words in text(response)
    assert "Few users." in text(response)
    assert not Waiver.objects.exists()


def test_there_is_one_waiver_at_a_time(waiver: Waiver, release: Any, alice: Any) -> None:
    response = signed_in(alice).post(at("waiver_create", release), asked())
    assert response.status_code == 409
    assert "a waiver for this item already" in text(response)


def test_only_the_team_asks(release: Any, cast: Cast) -> None:
    for name in ("carol", "mallory", "mo", "leo", "ada"):
        client = signed_in(getattr(cast, name))
        assert client.get(at("waiver_create", release)).status_code == 403, name
        assert client.post(at("waiver_create", release), asked()).status_code == 403, name


def test_only_the_owning_role_decides(waiver: Waiver, release: Any, cast: Cast) -> None:
    where = at("waiver_decision", release, waiver.pk)
    for name in ("alice", "mallory", "sam", "rita", "leo", "root"):
        client = signed_in(getattr(cast, name))
        assert client.post(where, {"decision": "approve"}).status_code == 403, name
        assert 'value="approve"' not in text(client.get(where)), name
    waiver.refresh_from_db()
    assert waiver.state == "requested"


def test_an_approved_waiver_is_taken_back(waiver: Waiver, release: Any, mo: Any) -> None:
    where, client = at("waiver_decision", release, waiver.pk), signed_in(mo)
    client.post(where, {"decision": "approve"})
    assert "Revoke" in text(client.get(where))
    client.post(where, {"decision": "revoke", "comment": "Found it."})
    waiver.refresh_from_db()
    assert waiver.state == "revoked"
    assert client.post(where, {"decision": "approve"}).status_code == 409


def test_the_team_reads_why_a_waiver_was_declined(waiver: Waiver, release: Any, mo: Any, alice: Any) -> None:
    signed_in(mo).post(at("waiver_decision", release, waiver.pk), {"decision": "decline", "comment": "Too long."})
    assert "Too long." in text(signed_in(alice).get(at("review", release)))


def test_a_waiver_belongs_to_its_release(waiver: Waiver, release: Any, alice: Any) -> None:
    other = make_release(release.model, alice, "2.0")
    assert signed_in(alice).get(at("waiver_decision", other, waiver.pk)).status_code == 404
