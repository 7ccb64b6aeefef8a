"""Approvals of the past, in bulk: what the sign-off service would have written, without asking it a thousand times."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from django.conf import settings

from checklists.assessments.models import Answer
from checklists.evidence.services import keep_fingerprints
from checklists.signoff.models import Condition, Decision, Outcome, Party, Submission
from portal.demo import plot
from portal.demo.people import REVIEWERS

if TYPE_CHECKING:
    from portal.demo.story import Story

ACCEPTED = ["accepted_revision", "accepted_by", "accepted_at", "accepted_until"]


def approve(story: Story, submission: Submission) -> None:
    """Every role signs, the submission is approved and, if it went that far, the release goes live."""
    release, ledger, dates = story.release, story.ledger, story.dates
    valid = timedelta(days=settings.PREFLIGHT["APPROVAL_DAYS"])
    subject = submission.subject
    for need, at in zip(submission.required, dates.signed, strict=False):
        role = need["role"]
        by = story.people[story.source.choice(REVIEWERS[role])]
        accepted, conditions = story.accepted(role, at), story.conditions(at)
        for key in accepted:
            answer = story.answers[key]
            answer.accepted_revision, answer.accepted_by = answer.revision, by
            answer.accepted_at, answer.accepted_until = at, at + valid
        party = Party.objects.create(
            submission=submission,
            user=by,
            part=Party.Part.SIGNER,
            role=role,
            decision=Decision.APPROVE_WITH_CONDITIONS if conditions else Decision.APPROVE,
            comment=story.source.choice(plot.APPROVALS),
            accepted_items=accepted,
            role_digest=submission.role_digests[role],
            signed_at=at,
        )
        for each in conditions:
            done = each["due_on"] < story.now.date()
            when = at + timedelta(days=15) if done else None
            Condition.objects.create(sign_off=party, **each, done_at=when, done_by=story.owner if done else None)
        said = {"accepted": accepted, "flagged": {}}
        if accepted:
            ledger.add(
                verb="assessments.answers.reviewed",
                actor=by,
                subject=release.subject,
                at=at,
                release_id=release.pk,
                data=said,
            )
        ledger.add(
            verb="signoff.signoff.given",
            actor=by,
            subject=subject,
            at=at,
            release_id=release.pk,
            data={
                "number": submission.number,
                "role": role,
                "decision": party.decision,
                "digest": submission.digest,
                "conditions": len(conditions),
            },
        )
    Answer.objects.bulk_create(
        [answer for answer in story.answers.values() if answer.accepted_at],
        update_conflicts=True,
        unique_fields=["release", "item"],
        update_fields=ACCEPTED,
    )
    decided = max(party.signed_at for party in submission.parties.filter(part="signer") if party.signed_at)
    submission.outcome, submission.decided_at = Outcome.APPROVED, decided
    submission.approved_until = decided + timedelta(days=submission.approval_days)
    submission.save(update_fields=["outcome", "decided_at", "approved_until"])
    keep_fingerprints(release=release, submission_number=submission.number)
    ledger.add(
        verb="signoff.submission.decided",
        actor=by,
        subject=subject,
        at=decided,
        release_id=release.pk,
        data={"number": submission.number, "outcome": submission.outcome, "digest": submission.digest},
    )
    steps = [("in_review", "approved", by, decided, f"submission {submission.number} approved")]
    if dates.live:
        steps.append(("approved", "live", story.owner, dates.live, "launched"))
    for before, after, actor, at, why in steps:
        release.stage, release.changed_at = after, at
        ledger.add(
            verb="registry.release.stage_changed",
            actor=actor,
            subject=release.subject,
            at=at,
            release_id=release.pk,
            data={"stage": [before, after], "why": why},
        )
    release.save(update_fields=["stage", "changed_at"])
    ledger.flush()
