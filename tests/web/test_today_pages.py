"""Today: each person sees what waits for them, in a constant number of queries."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from checklists.people.services import set_membership
from checklists.scorecards.services import refresh
from checklists.signoff.services import complete_condition, sign, submit
from tests.build import answer_of, in_days, make_model, make_release, save
from tests.conftest import Cast
from tests.web.quickly import make_ready, make_releases
from tests.web.steps import make_finding, queries, signed_in, text

pytestmark = pytest.mark.usefixtures("edition")


@pytest.fixture
def release(team: Any, alice: Any) -> Any:
    return make_release(make_model(team, alice), alice, launch_date=in_days(10))


def test_a_member_sees_their_releases_with_what_blocks_them(release: Any, alice: Any, mallory: Any) -> None:
    body = text(signed_in(alice).get("/"))
    assert "assist-chat" in body
    assert "Name and version" in body
    assert "more in the way" in body
    assert "assist-chat" not in text(signed_in(mallory).get("/"))


def test_what_went_stale_and_what_waits_for_confirmation_is_counted(release: Any, alice: Any) -> None:
    save(answer_of(release, "identity.name-version"), alice)
    make_finding(release, "identity.name-version", "verified", expires_at=timezone.now() - timedelta(days=1))
    make_release(release.model, alice, "2.0", carry_over_from=release)
    body = text(signed_in(alice).get("/"))
    assert "1 measurement went stale" in body
    assert "1 answer to confirm" in body


def test_an_assigned_item_is_listed_until_it_is_settled(release: Any, alice: Any, bob: Any) -> None:
    answer = save(answer_of(release, "identity.lineage"), alice, "not_met", justification="Not yet.", assignee=bob)
    assert "Assigned to you" in text(signed_in(bob).get("/"))
    save(answer, alice, "not_applicable", justification="Trained from nothing.", assignee=bob)
    assert "Assigned to you" not in text(signed_in(bob).get("/"))


def test_a_reviewer_sees_the_queue_until_they_have_signed(release: Any, alice: Any, mo: Any, sam: Any) -> None:
    assert "Nothing waits for your signature" in text(signed_in(mo).get("/"))
    make_ready(release, alice)
    submission = submit(release=release, by=alice)
    body = text(signed_in(mo).get("/"))
    assert "assist-chat 1.0" in body
    assert '<span class="count">1' in body
    sign(submission=submission, role="mlops", decision="approve", by=mo)
    assert "Nothing waits for your signature" in text(signed_in(mo).get("/"))
    assert "assist-chat 1.0" in text(signed_in(sam).get("/"))


def test_conditions_stay_until_they_are_done(release: Any, alice: Any, bob: Any, mo: Any) -> None:
    make_ready(release, alice)
    signed = sign(
        submission=submit(release=release, by=alice), role="mlops", decision="approve_with_conditions", by=mo,
        conditions=[{"text": "Rehearse the rollback.", "due_on": in_days(9)}],
    )  # fmt: skip
    assert "Rehearse the rollback." in text(signed_in(bob).get("/"))
    complete_condition(condition=signed.conditions.get(), by=bob)
    assert "Rehearse the rollback." not in text(signed_in(bob).get("/"))


def test_everybody_has_a_today_that_says_what_to_do(cast: Cast) -> None:
    expected = {
        "alice": "Register a model", "carol": "Your team has no release yet", "mo": "Nothing waits for your signature",
        "ada": "No release is open yet", "root": "First steps",
    }  # fmt: skip
    for name, words in expected.items():
        response = signed_in(getattr(cast, name)).get("/")
        assert response.status_code == 200
        assert words in text(response), name


def test_whoever_only_leads_begins_with_the_overview(cast: Cast, team: Any) -> None:
    client = signed_in(cast.leo)
    assert client.get("/")["Location"] == "/overview/"
    set_membership(team=team, user=cast.leo, role="viewer", by=cast.root)
    assert "Your team has no release yet" in text(client.get("/"))


def test_whoever_oversees_sees_what_needs_a_decision(release: Any, cast: Cast) -> None:
    make_ready(release, cast.alice)
    make_finding(release, "identity.name-version", "contradicted", reason="It serves another revision.")
    refresh(release_id=release.pk)
    for name in ("ada",):
        body = text(signed_in(getattr(cast, name)).get("/"))
        assert "Blocked before a launch" in body, name
        assert "Needs a decision this week" in body, name
        assert "It serves another revision." in body, name
    assert "Needs a decision this week" not in text(signed_in(cast.alice).get("/"))


def test_somebody_in_no_team_is_told_whom_to_ask(db: None) -> None:
    from tests.conftest import person

    assert "You are in no team yet" in text(signed_in(person("newcomer")).get("/"))


def test_two_releases_take_as_many_queries_as_twenty(team: Any, alice: Any, mo: Any) -> None:
    from checklists.people.services import set_membership

    set_membership(team=team, user=mo, role="viewer")  # a reviewer in a team reads the most

    def more(numbers: range) -> None:
        for release in make_releases(team, alice, numbers):
            submit(release=release, by=alice)
            make_finding(release, "identity.name-version", "contradicted")
            refresh(release_id=release.pk)

    more(range(2))
    two = queries(signed_in(mo), "/")
    more(range(2, 20))
    assert queries(signed_in(mo), "/") == two <= 15
