"""Signing off through the web: submitting, accepting and flagging, deciding, ticking off."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest

from checklists.assessments.services import request_waiver
from checklists.signoff.models import Condition, Party, Submission
from checklists.signoff.services import sign, submit
from checklists.web.review_page import measured_lines
from tests.build import answer_of, in_days, make_endpoint, make_model, make_release, save
from tests.conftest import Cast
from tests.web.quickly import make_ready, make_releases
from tests.web.steps import HTMX, at, make_finding, queries, signed_in, text

pytestmark = pytest.mark.usefixtures("edition")


@pytest.fixture
def release(team: Any, alice: Any) -> Any:
    return make_ready(make_release(make_model(team, alice), alice), alice)


@pytest.fixture
def submission(release: Any, alice: Any) -> Submission:
    row = submit(release=release, by=alice, note="The goal was raised.")
    release.refresh_from_db()
    return row


def approve_all(submission: Submission, *people: Any) -> None:
    for role, user in zip(("mlops", "security", "sre"), people, strict=True):
        sign(submission=submission, role=role, decision="approve", by=user)


def decide(client: Any, release: Any, decision: str, role: str = "mlops", **data: str) -> Any:
    return client.post(at("sign", release, 1), {"role": role, "decision": decision, **data})


def test_a_team_submits_and_three_reviewers_sign(release: Any, alice: Any, mo: Any, sam: Any, rita: Any) -> None:
    response = signed_in(alice).post(at("submission_create", release), {"note": "Please look at 3.1."}, follow=True)
    assert "Submission 1 is frozen" in text(response)
    for user, role in ((mo, "mlops"), (sam, "security"), (rita, "sre")):
        client = signed_in(user)
        body = text(client.get(at("review", release)))
        assert "Please look at 3.1." in body
        assert f'name="role" value="{role}"' in body
        assert decide(client, release, "approve", role).status_code == 302
    release.refresh_from_db()
    assert release.stage == "approved"
    body = text(signed_in(alice).get(at("review", release)))
    assert "Allow" in body
    assert body.count("stands</span>") == 3


def test_while_a_must_is_open_the_page_lists_it_instead_of_a_button(release: Any, alice: Any) -> None:
    save(answer_of(release, "identity.lineage"), alice, "not_met", justification="Lost.")
    client = signed_in(alice)
    body = text(client.get(at("submission_create", release)))
    assert "1 item must be settled first" in body
    assert "item=identity.lineage" in body
    response = client.post(at("submission_create", release), {"note": ""})
    assert response.status_code == 409
    assert "must be met, and is answered “not met”" in text(response)
    assert not Submission.objects.exists()


def test_only_writers_of_the_team_submit(release: Any, cast: Cast) -> None:
    for name in ("carol", "mallory", "mo", "leo", "ada"):
        assert signed_in(getattr(cast, name)).get(at("submission_create", release)).status_code == 403, name
    assert signed_in(cast.bob).get(at("submission_create", release)).status_code == 200


def test_an_item_is_accepted_and_becomes_verified(submission: Any, release: Any, mo: Any) -> None:
    client = signed_in(mo)
    response = client.post(
        at("review", release), {"item": "identity.lineage", "verdict": "accept", "role": "mlops"}, **HTMX
    )
    body = text(response)
    assert body.startswith('<article class="card stack review-item" id="identity.lineage"')
    assert "data-decided" in body
    assert "Accepted by Mo" in body
    assert "1 of" in body
    answer = answer_of(release, "identity.lineage")
    assert answer.accepted_by == mo
    plain = client.post(at("review", release), {"item": "identity.modalities", "verdict": "accept", "role": "mlops"})
    assert plain["Location"].endswith("?role=mlops#identity.modalities")


def test_what_changed_since_it_was_read_is_not_accepted(submission: Any, release: Any, alice: Any, mo: Any) -> None:
    where = {"item": "identity.lineage", "verdict": "accept", "role": "mlops"}
    revision = answer_of(release, "identity.lineage").revision
    save(answer_of(release, "identity.lineage"), alice, justification="Other words.")
    submit(release=release, by=alice)
    client = signed_in(mo)
    assert client.post(at("review", release), {**where, "revision": str(revision)}).status_code == 409
    assert answer_of(release, "identity.lineage").accepted_by is None
    client.post(at("review", release), {**where, "revision": str(revision + 1)})
    assert answer_of(release, "identity.lineage").accepted_by == mo


def test_an_item_is_flagged_with_a_remark_that_the_team_reads(
    submission: Any, release: Any, mo: Any, alice: Any
) -> None:
    client = signed_in(mo)
    where = {"item": "identity.lineage", "verdict": "flag", "role": "mlops"}
    assert client.post(at("review", release), where).status_code == 422
    client.post(at("review", release), {**where, "remark": "Which base model?"})
    assert "Which base model?" in text(signed_in(alice).get(at("review", release)))
    decide(client, release, "request_changes", comment="See the flag.")
    party = Party.objects.get(user=mo)
    assert party.flagged_items == {"identity.lineage": "Which base model?"}
    assert "See the flag." in text(signed_in(alice).get(at("review", release)))


def test_nobody_accepts_what_another_role_owns_or_before_it_is_submitted(release: Any, alice: Any, mo: Any) -> None:
    where = {"item": "identity.lineage", "verdict": "accept", "role": "mlops"}
    assert signed_in(mo).post(at("review", release), where).status_code == 403
    submit(release=release, by=alice)
    foreign = {**where, "item": "performance.throughput"}
    assert signed_in(mo).post(at("review", release), foreign).status_code in (403, 422)
    assert signed_in(alice).post(at("review", release), where).status_code == 403
    assert answer_of(release, "identity.lineage").accepted_by is None


def test_who_submitted_sees_why_they_cannot_sign(release: Any, alice: Any) -> None:
    from checklists.people.services import set_role

    set_role(user=alice, role="mlops", granted=True)
    submit(release=release, by=alice)
    client = signed_in(alice)
    assert "You submitted or answered this release" in text(client.get(at("review", release)))
    assert "You submitted or answered this release" in text(client.get("/reviews/"))
    assert decide(client, release, "approve").status_code == 403


def test_approve_stays_shut_while_an_own_item_is_contradicted(submission: Any, release: Any, mo: Any, sam: Any) -> None:
    make_finding(release, "identity.name-version", "contradicted", claimed="chat", observed="gpt2")
    body = text(signed_in(mo).get(at("review", release)))
    assert "Approve opens once these items of yours are settled" in body
    assert 'value="approve" disabled' in body
    response = decide(signed_in(mo), release, "approve")
    assert response.status_code == 409
    assert "Not approved." in text(response)
    assert 'value="approve" disabled' not in text(signed_in(sam).get(at("review", release)))


def test_a_refused_decision_keeps_what_was_typed(submission: Any, release: Any, mo: Any) -> None:
    client = signed_in(mo)
    response = decide(client, release, "reject")
    assert response.status_code == 422
    assert "Say what has to change, or why." in text(response)
    response = decide(client, release, "approve_with_conditions", comment="Nearly.", condition_0="Rehearse it.")
    assert response.status_code == 422
    assert "Nearly." in text(response)
    assert "Rehearse it." in text(response)
    assert not Party.objects.filter(user=mo).exists()


def test_conditions_are_dated_and_ticked_off(submission: Any, release: Any, mo: Any, bob: Any, leo: Any) -> None:
    due = in_days(9).isoformat()
    decide(signed_in(mo), release, "approve_with_conditions", condition_0="Rehearse it.", due_0=due)
    condition = Condition.objects.get()
    assert "Rehearse it." in text(signed_in(bob).get(at("review", release)))
    assert signed_in(leo).post(at("condition_done", release, condition.pk)).status_code == 403
    assert signed_in(bob).post(at("condition_done", release, condition.pk)).status_code == 302
    condition.refresh_from_db()
    assert condition.done_by == bob


def test_the_next_release_shows_what_changed_since_the_last_approval(
    submission: Any, release: Any, alice: Any, mo: Any, sam: Any, rita: Any
) -> None:
    approve_all(submission, mo, sam, rita)
    newer = make_ready(make_release(release.model, alice, "1.1", artifact_digest="sha256:" + "cd" * 32), alice)
    save(
        answer_of(newer, "identity.lineage"),
        alice,
        "met",
        claims={"base_model": "llama-3.1-8b"},
        justification="New base.",
    )
    submit(release=newer, by=alice)
    body = text(signed_in(mo).get(at("review", newer)))
    assert "Changed since 1.0 was approved" in body
    assert "<del>something</del>" in body
    assert "<ins>llama-3.1-8b</ins>" in body
    assert "The release itself changed" in body
    assert body.index('id="identity.lineage"') < body.index('id="identity.modalities"')


def test_a_change_after_the_signature_is_told(submission: Any, release: Any, alice: Any, mo: Any, sam: Any) -> None:
    sign(submission=submission, role="mlops", decision="approve", by=mo)
    save(answer_of(release, "identity.lineage"), alice, "met", claims={}, justification="Rewritten.")
    body = text(signed_in(mo).get(at("review", release)))
    assert "The release changed after submission 1" in body
    assert "voided" in body
    assert decide(signed_in(sam), release, "approve", "security").status_code == 409


def test_the_frozen_submission_downloads_as_the_text_that_was_hashed(submission: Any, release: Any, carol: Any) -> None:
    client = signed_in(carol)
    save(answer_of(release, "identity.lineage"), submission.submitted_by, "met", claims={}, justification="Afterwards.")
    body = text(client.get(at("submission", release, 1)))
    assert submission.digest in body
    assert "Afterwards." not in body
    response = client.get(at("submission", release, 1) + "?format=json")
    assert hashlib.sha256(response.content).hexdigest() == submission.digest
    assert client.get(at("submission", release, 2)).status_code == 404
    assert client.get(at("submission", release, 1) + "?format=xml").status_code == 404


def test_endpoints_in_a_submission_are_not_for_outsiders(
    submission: Any, release: Any, alice: Any, mo: Any, sam: Any, rita: Any, mallory: Any
) -> None:
    approve_all(submission, mo, sam, rita)
    make_endpoint(release, alice)
    assert "llm.example.org" in text(signed_in(mo).get(at("review", release)))
    client = signed_in(mallory)
    assert "llm.example.org" not in text(client.get(at("review", release)))
    assert "format=json" not in text(client.get(at("submission", release, 1)))
    assert client.get(at("submission", release, 1) + "?format=json").status_code == 403


def test_a_restricted_release_does_not_exist_for_outsiders(
    team: Any, alice: Any, mallory: Any, leo: Any, mo: Any
) -> None:
    hidden = make_ready(make_release(make_model(team, alice, "hush-hush", restricted=True), alice), alice)
    submit(release=hidden, by=alice)
    for user in (mallory, leo):
        client = signed_in(user)
        for name, more in (("review", []), ("submission_create", []), ("submission", [1]), ("waiver_create", [])):
            assert client.get(at(name, hidden, *more)).status_code == 404
        assert "hush-hush" not in text(client.get("/reviews/"))
        assert client.post(at("sign", hidden, 1), {"role": "mlops", "decision": "approve"}).status_code == 404
    assert "hush-hush" in text(signed_in(mo).get("/reviews/"))


def test_the_gate_says_every_reason_and_how_to_ask_it(release: Any, carol: Any) -> None:
    body = text(signed_in(carol).get(at("review", release)))
    assert "Deny" in body
    assert "never submitted" in body
    assert "/api/v1/gate/" in body
    assert "-d model=assist-chat" in body


def test_everybody_reads_a_review(submission: Any, release: Any, cast: Cast) -> None:
    for name in ("alice", "carol", "mallory", "mo", "sam", "rita", "leo", "ada", "root"):
        assert signed_in(getattr(cast, name)).get(at("review", release)).status_code == 200, name
    assert "Your decision" not in text(signed_in(cast.leo).get(at("review", release)))


def test_the_queue_puts_the_oldest_promise_first(team: Any, alice: Any, mo: Any) -> None:
    first, second = make_releases(team, alice, range(2))
    submit(release=second, by=alice)
    submit(release=first, by=alice)
    body = text(signed_in(mo).get("/reviews/"))
    assert body.index("model-1 1.0") < body.index("model-0 1.0")


def test_the_queue_of_nobody_says_so(leo: Any, mo: Any) -> None:
    assert "Nothing is in review" in text(signed_in(leo).get("/reviews/"))
    assert "Nothing waits for your signature" in text(signed_in(mo).get("/reviews/"))


def test_two_submissions_take_as_many_queries_as_twenty(team: Any, alice: Any, mo: Any, sam: Any) -> None:
    def more(numbers: range) -> None:
        for row in make_releases(team, alice, numbers):
            sign(submission=submit(release=row, by=alice), role="security", decision="approve", by=sam)
            request_waiver(
                release=row,
                item_key="identity.lineage",
                reason="Lost.",
                mitigation="Few users.",
                expires_on=in_days(9),
                by=alice,
            )

    more(range(2))
    two = queries(signed_in(mo), "/reviews/")
    more(range(2, 20))
    assert queries(signed_in(mo), "/reviews/") == two <= 15


def test_a_review_takes_at_most_fifteen_queries(submission: Any, release: Any, alice: Any, mo: Any, sam: Any) -> None:
    sign(
        submission=submission, role="security", decision="approve_with_conditions", by=sam,
        conditions=[{"text": "Rehearse it.", "due_on": in_days(3)}],
    )  # fmt: skip
    make_finding(release, "identity.name-version", "contradicted")
    assert queries(signed_in(mo), at("review", release)) <= 15
    assert queries(signed_in(alice), at("review", release)) <= 15


def test_what_was_found_of_the_release_itself_names_no_endpoint() -> None:
    found = {"item": "operations.owner", "verdict": "verified", "observed": "Search", "unit": "", "endpoint": ""}
    evidence = [found, {**found, "endpoint": "eu-1"}, {**found, "verdict": "inconclusive"}]
    words = [("verified", "measured Search"), ("verified", "measured Search at eu-1")]
    assert measured_lines(evidence, "operations.owner") == words
