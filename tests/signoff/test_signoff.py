import threading
from datetime import timedelta

import pytest
from django.db import IntegrityError, connections, transaction
from django.utils import timezone

from checklists.assessments.models import Answer
from checklists.assessments.services import decide_waiver, request_waiver
from checklists.journal.errors import Conflict, Forbidden, Invalid, WrongStage
from checklists.journal.models import Event
from checklists.people.services import set_membership, set_role
from checklists.registry.models import Release
from checklists.registry.services import change_release, retire_release
from checklists.scorecards.models import ItemState
from checklists.signoff.gate import check
from checklists.signoff.models import Condition, Party, SignOff, Submission
from checklists.signoff.routes import set_route
from checklists.signoff.services import complete_condition, expire_approvals, launch, sign, submit
from checklists.signoff.standing import standing_of
from tests.build import DIGEST, answer_of, in_days, save
from tests.conftest import person

pytestmark = [pytest.mark.django_db, pytest.mark.database]


@pytest.fixture
def submission(release, alice):
    return submit(release=release, by=alice, note="Please look at the limits.")


def approve(submission, by, role, **fields):
    return sign(submission=submission, role=role, decision="approve", by=by, **fields)


def approve_all(submission, mo, sam, rita):
    for by, role in ((mo, "mlops"), (sam, "security"), (rita, "sre")):
        approve(submission, by, role)


def stage(release):
    return Release.objects.get(pk=release.pk).stage


def gate(release, by, artifact_digest=DIGEST, **fields):
    return check(model=release.model.slug, version=release.version, artifact_digest=artifact_digest, by=by, **fields)


def codes(decision):
    return {reason.code for reason in decision.reasons}


# Submitting


def test_a_submission_freezes_the_release(submission, release):
    assert (submission.number, submission.outcome, stage(release)) == (1, "pending", "in_review")
    assert len(submission.digest) == 64
    assert submission.snapshot["release"]["artifact_digest"] == DIGEST
    assert submission.snapshot["answers"]["identity.name-version"]["status"] == "met"
    assert "headers" in submission.snapshot["endpoints"][0]


def test_an_open_must_item_stands_in_the_way_and_is_named(release, alice, bob):
    save(answer_of(release, "identity.name-version"), bob, "not_met", justification="Not decided")
    with pytest.raises(WrongStage) as caught:
        submit(release=release, by=alice)
    assert len(caught.value.reasons) == 1
    assert "answered “not met”" in caught.value.reasons[0]
    assert not Submission.objects.exists()


def test_a_waived_must_item_does_not_stand_in_the_way(release, alice, bob, mo):
    save(answer_of(release, "identity.name-version"), bob, "not_met", justification="Not decided")
    waiver = request_waiver(
        release=release, item_key="identity.name-version", reason="r", mitigation="m", expires_on=in_days(9), by=bob
    )
    decide_waiver(waiver=waiver, decision="approve", by=mo)
    assert submit(release=release, by=alice).number == 1


def test_the_same_content_is_not_submitted_twice_and_changed_content_supersedes(submission, release, alice, bob):
    with pytest.raises(WrongStage):
        submit(release=release, by=alice)
    save(answer_of(release, "identity.lineage"), bob, "partly", justification="Under way")
    second = submit(release=release, by=alice)
    submission.refresh_from_db()
    assert (second.number, submission.outcome) == (2, "superseded")
    assert second.digest != submission.digest


def test_outsiders_viewers_and_reviewers_do_not_submit(release, mallory, carol, mo):
    for who in (mallory, carol, mo):
        with pytest.raises(Forbidden):
            submit(release=release, by=who)


# Signing


def test_three_roles_sign_and_the_release_is_approved(submission, release, mo, sam, rita):
    approve(submission, mo, "mlops")
    approve(submission, sam, "security")
    assert stage(release) == "in_review"
    approve(submission, rita, "sre")
    submission.refresh_from_db()
    assert (stage(release), submission.outcome) == ("approved", "approved")
    assert submission.approved_until.date() == in_days(180)


def test_nobody_signs_what_they_submitted_or_answered(submission, alice, bob):
    for author in (alice, bob):
        set_role(user=author, role="mlops", granted=True)
        with pytest.raises(Forbidden, match="somebody else has to sign"):
            approve(submission, author, "mlops")


def test_nobody_signs_twice_even_in_two_roles(submission, mo):
    set_role(user=mo, role="sre", granted=True)
    approve(submission, mo, "mlops")
    for role in ("mlops", "sre"):
        with pytest.raises(Conflict):
            approve(submission, mo, role)
    assert SignOff.objects.count() == 1


def test_the_database_itself_keeps_authors_from_signing_and_signers_from_signing_twice(submission, bob, mo):
    signed = {"part": "signer", "role": "mlops", "decision": "approve", "signed_at": timezone.now()}
    with pytest.raises(IntegrityError), transaction.atomic():
        SignOff.objects.create(submission=submission, user=bob, **signed)
    SignOff.objects.create(submission=submission, user=mo, **signed)
    with pytest.raises(IntegrityError), transaction.atomic():
        SignOff.objects.create(submission=submission, user=mo, **{**signed, "role": "sre"})
    with pytest.raises(IntegrityError), transaction.atomic():
        Party.objects.filter(user=bob).update(decision="approve")


def test_a_role_one_does_not_hold_is_not_signed_for(submission, mo, alice, leo):
    with pytest.raises(Forbidden):
        approve(submission, mo, "sre")
    with pytest.raises(Forbidden):
        approve(submission, leo, "mlops")


def test_request_changes_and_reject_need_a_reason_and_settle_the_submission(submission, release, mo, sam):
    with pytest.raises(Invalid):
        sign(submission=submission, role="mlops", decision="request_changes", by=mo)
    sign(submission=submission, role="mlops", decision="request_changes", by=mo, comment="Name the revision")
    assert stage(release) == "changes_requested"
    with pytest.raises(WrongStage):
        approve(submission, sam, "security")


def test_a_rejected_release_is_closed(submission, release, mo, alice, bob):
    sign(submission=submission, role="mlops", decision="reject", by=mo, comment="Licence")
    assert stage(release) == "rejected"
    with pytest.raises(WrongStage):
        save(answer_of(release, "identity.lineage"), bob, "partly", justification="x")


def test_conditions_become_dated_follow_ups(submission, mo, bob, mallory):
    with pytest.raises(Invalid):
        sign(submission=submission, role="mlops", decision="approve_with_conditions", by=mo)
    with pytest.raises(Invalid):
        sign(
            submission=submission,
            role="mlops",
            decision="approve_with_conditions",
            by=mo,
            conditions=[{"text": "Drill", "due_on": in_days(-1)}],
        )
    sign(
        submission=submission,
        role="mlops",
        decision="approve_with_conditions",
        by=mo,
        conditions=[{"text": "Drill", "due_on": in_days(20)}],
    )
    condition = Condition.objects.get()
    with pytest.raises(Forbidden):
        complete_condition(condition=condition, by=mallory)
    assert complete_condition(condition=condition, by=bob).done_by == bob


def test_accepted_items_are_verified_and_flagged_ones_keep_their_remark(submission, release, mo):
    approve(
        submission,
        mo,
        "mlops",
        accepted_items=["identity.lineage"],
        flagged_items={"operations.owner": "Who is on call?"},
    )
    assert ItemState.objects.get(release=release, item__key="identity.lineage").state == "verified"
    assert Answer.objects.get(release=release, item__key="operations.owner").flag_comment == "Who is on call?"
    submission.refresh_from_db()
    assert submission.outcome == "pending"


def test_a_role_accepts_only_its_own_items_and_a_refused_signature_leaves_nothing(submission, mo):
    with pytest.raises(Forbidden):
        approve(submission, mo, "mlops", accepted_items=["security.access-control"])
    assert not SignOff.objects.exists()


def test_a_changed_release_is_not_signed_until_it_is_submitted_again(submission, release, bob, mo):
    save(answer_of(release, "identity.lineage"), bob, "partly", justification="Under way")
    with pytest.raises(Conflict, match="changed after submission"):
        approve(submission, mo, "mlops")


# After sign-off


def test_a_change_voids_the_role_that_owns_it_and_the_rest_stand(submission, release, alice, bob, mo, sam, rita):
    approve_all(submission, mo, sam, rita)
    save(answer_of(release, "identity.lineage"), bob, "partly", justification="Other data")
    assert set(SignOff.objects.filter(voided_at__isnull=False).values_list("role", flat=True)) == {"mlops"}
    assert stage(release) == "draft"
    assert {"changed", "signoff_missing"} <= codes(gate(release, alice))

    again = submit(release=release, by=alice)
    standing = standing_of(again, Party.objects.filter(submission__release=release))
    assert {role.role: role.stands for role in standing.roles} == {"mlops": False, "security": True, "sre": True}
    approve(again, mo, "mlops")
    assert stage(release) == "approved"
    assert gate(release, alice).allow


def test_a_new_artefact_voids_every_signature(submission, release, alice, mo, sam, rita):
    approve_all(submission, mo, sam, rita)
    change_release(release=release, by=alice, artifact_digest="sha256:" + "cd" * 32)
    assert SignOff.objects.filter(voided_at=None).count() == 0


def test_a_new_launch_date_voids_nothing(submission, release, alice, mo, sam, rita):
    approve_all(submission, mo, sam, rita)
    change_release(release=release, by=alice, launch_date=in_days(40))
    assert stage(release) == "approved"
    assert gate(release, alice).allow


def test_a_carried_signature_of_somebody_who_answered_since_does_not_stand(
    submission, release, team, alice, mo, sam, rita
):
    approve_all(submission, mo, sam, rita)
    set_membership(team=team, user=rita, role="contributor")
    save(answer_of(release, "identity.lineage"), rita, "partly", justification="I know better")
    again = submit(release=release, by=alice)
    standing = standing_of(again, Party.objects.filter(submission__release=release))
    assert {role.role: role.stands for role in standing.roles} == {"mlops": False, "security": True, "sre": False}


def test_a_new_tier_asks_everybody_again(submission, release, alice, mo, sam, rita):
    from checklists.registry.services import change_model

    approve_all(submission, mo, sam, rita)
    change_model(model=release.model, by=alice, tier=2)
    assert stage(release) == "draft"


def test_an_approval_ends_and_that_is_journaled_once(submission, release, alice, mo, sam, rita):
    approve_all(submission, mo, sam, rita)
    later = timezone.now() + timedelta(days=181)
    assert "approval_expired" in codes(gate(release, alice, now=later))
    assert expire_approvals(now=later) == 1
    assert expire_approvals(now=later) == 0
    assert stage(release) == "draft"
    assert Event.objects.filter(verb="signoff.approval.expired").count() == 1


def test_signatures_end_with_their_approval(submission, release, alice, mo, sam, rita):
    approve_all(submission, mo, sam, rita)
    later = timezone.now() + timedelta(days=181)
    again = submit(release=release, by=alice, at=later)
    assert (again.outcome, stage(release)) == ("pending", "in_review")
    standing = standing_of(again, Party.objects.filter(submission__release=release))
    assert not any(role.stands for role in standing.roles)
    assert expire_approvals(now=later) == 1
    assert stage(release) == "in_review"


def test_submitting_again_does_not_make_an_approval_last_longer(submission, release, alice, mo, sam, rita):
    approve_all(submission, mo, sam, rita)
    submission.refresh_from_db()
    again = submit(release=release, by=alice, at=timezone.now() + timedelta(days=100))
    assert (again.outcome, again.approved_until) == ("approved", submission.approved_until)


def test_the_end_of_an_earlier_approval_does_not_touch_the_present_one(submission, release, alice, bob, mo, sam, rita):
    approve_all(submission, mo, sam, rita)
    change_release(release=release, by=bob, revision="b2")
    later = timezone.now() + timedelta(days=100)
    again = submit(release=release, by=alice, at=later)
    for by, role in ((mo, "mlops"), (sam, "security"), (rita, "sre")):
        approve(again, by, role, at=later)
    assert expire_approvals(now=timezone.now() + timedelta(days=181)) == 1
    assert stage(release) == "approved"


def test_a_retired_release_waits_for_no_signature_and_takes_none(submission, release, alice, mo):
    retire_release(release=release, by=alice)
    submission.refresh_from_db()
    assert submission.outcome == "superseded"
    with pytest.raises(WrongStage):
        approve(submission, mo, "mlops")
    assert stage(release) == "retired"


def test_who_answered_and_took_it_back_does_not_sign(submission, release, team, mo):
    set_membership(team=team, user=mo, role="contributor")
    before = answer_of(release, "identity.lineage")
    save(before, mo, "met", justification="Another wording.")
    save(answer_of(release, "identity.lineage"), mo, "met", justification=before.justification)
    with pytest.raises(Forbidden, match="somebody else has to sign"):
        approve(submission, mo, "mlops")
    signed = {"part": "signer", "role": "mlops", "decision": "approve", "signed_at": timezone.now()}
    with pytest.raises(IntegrityError), transaction.atomic():  # the database knows it, too
        SignOff.objects.create(submission=submission, user=mo, **signed)


def test_a_route_may_ask_for_two_of_a_role(release, alice, root, mo):
    set_route(tier=1, required=[{"role": "mlops", "count": 2}], review_days=3, approval_days=30, by=root)
    submission = submit(release=release, by=alice)
    approve(submission, mo, "mlops")
    assert stage(release) == "in_review"
    approve(submission, person("mia", roles=("mlops",)), "mlops")
    assert stage(release) == "approved"


# The gate


def test_the_gate_allows_what_is_in_order_and_only_that_artefact(submission, release, alice, mo, sam, rita):
    approve_all(submission, mo, sam, rita)
    assert gate(release, alice).allow
    assert codes(gate(release, alice, artifact_digest="sha256:" + "00" * 32)) == {"artifact_mismatch"}
    assert codes(gate(release, alice, artifact_digest="")) == {"artifact_missing"}


def test_the_gate_lists_every_reason(release, alice, bob):
    save(answer_of(release, "identity.name-version"), bob, "not_met", justification="x")
    decision = gate(release, alice)
    assert not decision.allow
    assert codes(decision) == {"not_submitted", "must_open"}
    assert all(reason.path.startswith("/models/") and reason.text.endswith(".") for reason in decision.reasons)


def test_the_gate_denies_what_is_unknown_or_invisible(release, mallory, alice):
    assert codes(check(model="no", version="1", artifact_digest=DIGEST, by=alice)) == {"unknown"}
    release.model.restricted = True
    release.model.save()
    assert codes(gate(release, mallory)) == {"unknown"}


def test_a_failure_inside_the_gate_denies(release, alice, monkeypatch):
    monkeypatch.setattr("checklists.signoff.gate.build_card", lambda *args, **kwargs: 1 / 0)
    assert codes(gate(release, alice)) == {"failure"}


def test_an_expired_waiver_closes_the_gate_even_before_it_was_noticed(release, alice, bob, mo, sam, rita):
    save(answer_of(release, "identity.name-version"), bob, "not_met", justification="Not decided")
    waiver = request_waiver(
        release=release, item_key="identity.name-version", reason="r", mitigation="m", expires_on=in_days(9), by=bob
    )
    decide_waiver(waiver=waiver, decision="approve", by=mo)
    submission = submit(release=release, by=alice)
    with_other = person("mia", roles=("mlops",))
    for by, role in ((with_other, "mlops"), (sam, "security"), (rita, "sre")):
        approve(submission, by, role)
    assert gate(release, alice).allow
    assert codes(gate(release, alice, now=timezone.now() + timedelta(days=11))) == {"waiver_expired"}


def test_only_an_approved_release_that_the_gate_allows_goes_live(submission, release, alice, bob, mo, sam, rita):
    with pytest.raises(WrongStage):
        launch(release=release, by=alice)
    approve_all(submission, mo, sam, rita)
    with pytest.raises(Forbidden):
        launch(release=release, by=bob)
    launch(release=release, by=alice)
    assert stage(release) == "live"


def test_a_live_release_stays_live_whatever_comes_of_a_later_review(submission, release, alice, bob, mo, sam, rita):
    approve_all(submission, mo, sam, rita)
    launch(release=release, by=alice)
    save(answer_of(release, "identity.lineage"), bob, "partly", justification="Other data")
    again = submit(release=release, by=alice)
    assert stage(release) == "live"
    sign(submission=again, role="mlops", decision="reject", by=mo, comment="Roll it back")
    assert stage(release) == "live"
    assert "not_approved" in codes(gate(release, alice))


# At the same time


@pytest.mark.django_db(transaction=True)
def test_signatures_given_at_once_settle_the_submission_exactly_once(submission, release, mo, sam, rita):
    errors = run_together(
        lambda: approve(Submission.objects.get(pk=submission.pk), mo, "mlops"),
        lambda: approve(Submission.objects.get(pk=submission.pk), sam, "security"),
        lambda: approve(Submission.objects.get(pk=submission.pk), rita, "sre"),
    )
    assert errors == []
    assert stage(release) == "approved"
    assert Event.objects.filter(verb="signoff.submission.decided").count() == 1


@pytest.mark.django_db(transaction=True)
def test_one_person_signing_twice_at_once_signs_once(submission, mo):
    errors = run_together(*[lambda: approve(Submission.objects.get(pk=submission.pk), mo, "mlops")] * 3)
    assert [type(error) for error in errors] == [Conflict, Conflict]
    assert SignOff.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_an_answer_saved_while_somebody_signs_is_either_signed_for_or_voids(submission, release, bob, mo):
    def change():
        save(answer_of(release, "identity.lineage"), bob, "partly", justification="Meanwhile")

    errors = run_together(change, lambda: approve(Submission.objects.get(pk=submission.pk), mo, "mlops"))
    assert all(isinstance(error, Conflict) for error in errors)
    assert not SignOff.objects.filter(voided_at=None).exists()


def run_together(*works):
    """Run each in a thread of its own, started at the same moment; the errors."""
    errors, barrier = [], threading.Barrier(len(works))

    def guarded(work):
        try:
            barrier.wait()
            work()
        except Exception as error:  # judged by the test
            errors.append(error)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=guarded, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return errors
