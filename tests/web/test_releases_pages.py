from __future__ import annotations

from datetime import date
from typing import Any

import pytest

from checklists.assessments.models import Answer
from checklists.registry.models import Release
from checklists.signoff.services import sign, submit
from tests.build import DIGEST, answer_everything, answer_of, make_endpoint, make_model, make_release, save
from tests.conftest import Cast
from tests.web.steps import at, signed_in, text

pytestmark = pytest.mark.django_db


@pytest.fixture
def release(cast: Cast, team: Any, edition: Any) -> Release:
    return make_release(make_model(team, cast.alice, "assist-chat"), cast.alice, "4.2")


def test_a_release_leads_to_its_weakest_section(cast: Cast, release: Release) -> None:
    for answer in Answer.objects.filter(release=release).select_related("release__model__team", "item"):
        if not answer.item.key.startswith("observability."):
            save(answer, cast.alice, status="not_applicable", justification="Elsewhere.")
    response = signed_in(cast.carol).get(at("release", release))
    assert response["Location"] == at("checklist", release, "observability")


def test_a_release_is_opened_from_the_answers_of_an_earlier_one(cast: Cast, release: Release) -> None:
    save(answer_of(release, "performance.throughput"), cast.alice, claims={"value": 2400})
    make_endpoint(release, cast.alice)
    client = signed_in(cast.bob)
    page = client.get("/models/assist-chat/releases/new/")
    assert page.context["form"].initial["carry_over_from"] == "4.2"
    form = {
        "version": "4.3",
        "carry_over_from": "4.2",
        "artifact_digest": DIGEST,
        "environment": "staging",
        "launch_date": "2026-12-12",
    }
    response = client.post("/models/assist-chat/releases/new/", form)
    assert response["Location"] == "/models/assist-chat/releases/4.3/"
    opened = Release.objects.get(version="4.3")
    assert (opened.environment, opened.launch_date, opened.carried_over_from) == (
        "staging",
        date(2026, 12, 12),
        release,
    )
    assert opened.endpoints.count() == 1
    assert answer_of(opened, "performance.throughput").carried_over


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"version": "4.2"}, "has a release of that version already"),
        ({"version": "new"}, "taken by an address"),
        ({"version": "a b"}, "letters and digits"),
        ({"artifact_digest": "latest"}, "algorithm:hex"),
        ({"launch_date": "soon"}, "valid date"),
        ({"launch_date": "0026-12-01"}, "A date from 2000 to 2200."),
        ({"launch_date": "9999-12-31"}, "A date from 2000 to 2200."),
        ({"carry_over_from": "9.9"}, "not one of the available choices"),
    ],
)
def test_a_refused_release_says_why_and_keeps_what_was_typed(
    cast: Cast, release: Release, changed: dict[str, str], says: str
) -> None:
    form = {"version": "4.3", "revision": "kept-revision", "environment": "production"} | changed
    response = signed_in(cast.bob).post("/models/assist-chat/releases/new/", form)
    assert response.status_code == 422
    assert says in text(response)
    assert 'value="kept-revision"' in text(response)
    assert Release.objects.count() == 1


def test_a_releases_facts_are_changed_by_its_team_only(cast: Cast, release: Release) -> None:
    url = at("release_edit", release)
    form = {"revision": "a1f9c0e", "artifact_digest": "", "environment": "production", "launch_date": ""}
    assert signed_in(cast.bob).post(url, form).status_code == 302
    release.refresh_from_db()
    assert (release.revision, release.artifact_digest) == ("a1f9c0e", "")
    assert signed_in(cast.carol).get(url).status_code == 403
    assert signed_in(cast.mallory).post(url, form).status_code == 403
    assert signed_in(cast.bob).post(url, form | {"artifact_digest": "x"}).status_code == 422


def test_an_approved_release_goes_live_after_a_question(cast: Cast, release: Release) -> None:
    client = signed_in(cast.alice)
    assert "Only an approved release" in text(client.get(at("launch", release)))
    refused = client.post(at("launch", release))
    assert refused.status_code == 409
    answer_everything(release, cast.bob)
    submission = submit(release=release, by=cast.bob)
    for role, user in (("mlops", cast.mo), ("security", cast.sam), ("sre", cast.rita)):
        sign(submission=submission, role=role, decision="approve", by=user)
    assert "Mark as live" in text(client.get(at("launch", release)))
    release.refresh_from_db()
    assert release.stage == "approved"
    assert signed_in(cast.bob).post(at("launch", release)).status_code == 403
    assert client.post(at("launch", release)).status_code == 302
    release.refresh_from_db()
    assert release.stage == "live"


def test_a_release_is_retired_after_a_question_and_takes_no_more_changes(cast: Cast, release: Release) -> None:
    client = signed_in(cast.alice)
    assert "cannot be undone" in text(client.get(at("retire", release)))
    release.refresh_from_db()
    assert release.stage == "draft"
    assert client.post(at("retire", release)).status_code == 302
    release.refresh_from_db()
    assert release.stage == "retired"
    assert client.get(at("release_edit", release)).status_code == 409
    assert 'data-key="' not in text(client.get(at("checklist", release, "identity")))


def test_the_header_says_what_the_gate_would_answer_and_who_has_signed(cast: Cast, release: Release) -> None:
    page = text(signed_in(cast.carol).get(at("checklist", release, "identity")))
    assert "The gate would deny" in page
    assert page.count("not asked yet") == 3
    answer_everything(release, cast.bob)
    submission = submit(release=release, by=cast.bob)
    sign(submission=submission, role="mlops", decision="approve", by=cast.mo)
    page = text(signed_in(cast.carol).get(at("checklist", release, "identity")))
    assert page.count("<span>waiting</span>") == 2
    assert "<span>signed</span>" in page
