"""Who agreed, and to what: submitting, signing, voiding, launching."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Any

from django.db import IntegrityError, transaction
from django.utils import timezone

from checklists import journal
from checklists.assessments.models import AnswerRevision
from checklists.assessments.services import review_answers
from checklists.evidence.models import Finding
from checklists.evidence.services import keep_fingerprints
from checklists.journal.errors import Conflict, Forbidden, Invalid, WrongStage
from checklists.journal.models import Event
from checklists.people.models import User
from checklists.people.rules import require
from checklists.registry.models import Release, Stage
from checklists.registry.services import lock_release, require_open, set_stage
from checklists.scorecards.cards import Card, build_card
from checklists.signoff.models import APPROVING, Condition, Decision, Outcome, Party, Role, SignOff, Submission
from checklists.signoff.routes import route_for
from checklists.signoff.snapshots import take_snapshot
from checklists.signoff.standing import standing_of

SUBMITTABLE = (Stage.DRAFT, Stage.CHANGES_REQUESTED, Stage.IN_REVIEW, Stage.APPROVED, Stage.LIVE)


def what_is_missing(card: Card) -> list[str]:
    """What stands in the way of submitting, in words: musts that are open, and contradictions, unless waived."""
    return [row.why_blocked for row in card.blockers if row.is_must]


@transaction.atomic
def submit(*, release: Release, by: User, note: str = "", at: datetime | None = None) -> Submission:
    """Freeze the release and ask the roles on its route to sign. An older pending submission is superseded.

    Raises ``WrongStage`` with ``reasons`` while a must item is open or contradicted and not waived, or when the present
    content is the one already waiting.
    """
    require(by, "submission.create", release, message="Only owners and contributors of the team can submit.")
    release = lock_release(release.pk)
    if release.stage not in SUBMITTABLE:
        raise WrongStage(f"A release that is {release.get_stage_display().lower()} cannot be submitted.")
    now = at or timezone.now()
    card = build_card(release, now=now)
    if missing := what_is_missing(card):
        raise WrongStage("Not submitted. These must be settled first, or waived:", reasons=missing)
    snapshot = take_snapshot(release)
    latest = Submission.objects.filter(release=release).order_by("-number").first()
    if latest and latest.outcome == Outcome.PENDING:
        if latest.digest == snapshot.digest:
            raise WrongStage(
                f"Nothing has changed since submission {latest.number}, which is waiting for its signatures."
            )
        latest.outcome, latest.decided_at = Outcome.SUPERSEDED, now
        latest.save(update_fields=["outcome", "decided_at"])
    elif latest and latest.approved_until is not None and latest.approved_until <= now:
        _end_signatures(latest, now)
    route = route_for(release.model)
    submission = Submission.objects.create(
        release=release,
        number=latest.number + 1 if latest else 1,
        snapshot=snapshot.content,
        digest=snapshot.digest,
        role_digests=snapshot.role_digests,
        evidence=_evidence(release),
        readiness=card.score.readiness,
        states=dict(card.score.total.states),
        required=route.required,
        note=note.strip()[:4000],
        submitted_by=by,
        submitted_at=now,
        due_at=now + timedelta(days=route.review_days),
        approval_days=route.approval_days,
    )
    authors = set(
        AnswerRevision.objects.filter(answer__release=release, by__isnull=False).values_list("by_id", flat=True)
    ) | {by.pk}
    Party.objects.bulk_create(
        Party(submission=submission, user_id=pk, part=Party.Part.AUTHOR) for pk in sorted(authors)
    )
    journal.record(
        verb="signoff.submission.created",
        actor=by,
        subject=submission.subject,
        release_id=release.pk,
        data={
            "number": submission.number,
            "digest": snapshot.digest,
            "required": route.required,
            "readiness": card.score.readiness,
        },
        at=at,
    )
    _move(release, Stage.IN_REVIEW, by=by, why=f"submission {submission.number}", at=at)
    _settle(submission, release, by, at)  # everything may have carried over
    return submission


def _evidence(release: Release) -> list[dict[str, Any]]:
    """The findings that stood when it was submitted."""
    rows = Finding.objects.filter(release=release, current=True).select_related("item").order_by("pk")
    return [
        {
            "item": f.item.key if f.item else None,
            "probe": f.probe,
            "probe_version": f.probe_version,
            "endpoint": f.endpoint_name,
            "verdict": f.verdict,
            "claimed": f.claimed,
            "observed": f.observed,
            "unit": f.unit,
            "measured_at": f.measured_at.isoformat(),
        }
        for f in rows
    ]


def why_not_sign(*, submission: Submission, role: str, by: User, parties: Iterable[Party] | None = None) -> str | None:
    """Why this person cannot sign in this role, in words; None when they can. For screens; ``sign`` checks again.

    ``parties`` of the release, where the caller has read them; else they are asked for (one query)."""
    if role not in by.access.roles:
        return f"You are not a reviewer for {Role(role).label}."
    if all(need["role"] != role for need in submission.required):
        return f"This release needs no signature of {Role(role).label}."
    if submission.outcome != Outcome.PENDING:
        return f"This submission is {submission.get_outcome_display().lower()}."
    if parties is None:
        parties = Party.objects.filter(submission=submission, user=by)
    party = next((p for p in parties if p.submission_id == submission.pk and p.user_id == by.pk), None)
    if party is not None:
        return (
            "You submitted or answered this release; somebody else has to sign."
            if party.part == Party.Part.AUTHOR
            else "You have signed this submission."
        )
    return None


@transaction.atomic
def sign(
    *,
    submission: Submission,
    role: str,
    decision: str,
    by: User,
    comment: str = "",
    conditions: Sequence[Mapping[str, Any]] = (),
    accepted_items: Sequence[str] = (),
    flagged_items: Sequence[str] | Mapping[str, str] = (),
    at: datetime | None = None,
) -> SignOff:
    """Decide as one role on exactly what was submitted.

    Raises ``Forbidden`` (wrong role, own work), ``WrongStage`` (not waiting, role not asked, items of the role open or
    contradicted when approving), ``Conflict`` (changed since it was submitted; signed already), ``Invalid``.
    """
    require(by, "submission.sign", submission, message="Only reviewers sign.")
    conditions_clean = _check_decision(role, decision, comment, conditions, (at or timezone.now()).date())
    release = lock_release(submission.release_id)
    submission = Submission.objects.select_for_update(of=("self",)).get(pk=submission.pk)
    submission.release = release
    if role not in by.access.roles:
        raise Forbidden(f"You are not a reviewer for {Role(role).label}.")
    if why := why_not_sign(submission=submission, role=role, by=by):
        party = Party.objects.filter(submission=submission, user=by).first()
        if party is None:
            raise WrongStage(why)
        raise Forbidden(why) if party.part == Party.Part.AUTHOR else Conflict(why)
    require_open(release)
    if AnswerRevision.objects.filter(answer__release=release, by=by).exists():  # also what was taken back since
        raise Forbidden("You answered this release; somebody else has to sign.")
    snapshot = take_snapshot(release)
    if snapshot.digest != submission.digest:
        raise Conflict(
            f"The release changed after submission {submission.number}. Nothing was signed; the team must submit again."
        )
    flags = dict(flagged_items) if isinstance(flagged_items, Mapping) else dict.fromkeys(flagged_items, comment)
    now = at or timezone.now()
    try:
        with transaction.atomic():
            sign_off = SignOff.objects.create(
                submission=submission,
                part=Party.Part.SIGNER,
                user=by,
                role=role,
                decision=decision,
                comment=comment.strip(),
                accepted_items=sorted(set(accepted_items)),
                flagged_items=flags,
                role_digest=snapshot.role_digests[role],
                signed_at=now,
            )
    except IntegrityError as error:
        raise Conflict("You have signed this submission, or had a part in it.") from error
    Condition.objects.bulk_create(Condition(sign_off=sign_off, **each) for each in conditions_clean)
    if foreign := sorted({k for k in (*accepted_items, *flags) if (snapshot_role(release, k) or role) != role}):
        raise Forbidden(f"{Role(role).label} does not own {', '.join(foreign)}.")
    review_answers(release=release, by=by, accepted=accepted_items, flagged=flags, at=at)
    if decision in APPROVING:
        mine = [row.why_blocked for row in build_card(release, now=now).blockers if row.item.role == role]
        if mine:
            raise WrongStage("Not approved. Of the items that are yours, these are open or contradicted:", reasons=mine)
    journal.record(
        verb="signoff.signoff.given",
        actor=by,
        subject=submission.subject,
        release_id=release.pk,
        data={
            "number": submission.number,
            "role": role,
            "decision": decision,
            "digest": submission.digest,
            "conditions": len(conditions_clean),
        },
        at=at,
    )
    _settle(submission, release, by, at)
    return sign_off


def snapshot_role(release: Release, item_key: str) -> str | None:
    """The role that owns an item of the release's edition; None for an unknown key."""
    from checklists.catalog.editions import view

    return next((item.role for item in view(release.edition).items if item.key == item_key), None)


def _check_decision(
    role: str, decision: str, comment: str, conditions: Sequence[Mapping[str, Any]], today: date
) -> list[dict[str, Any]]:
    errors: dict[str, list[str]] = {}
    if role not in Role.values:
        errors["role"] = [f"One of {', '.join(Role.values)}."]
    if decision not in Decision.values:
        errors["decision"] = [f"One of {', '.join(Decision.values)}."]
    if decision in (Decision.REQUEST_CHANGES, Decision.REJECT) and not comment.strip():
        errors["comment"] = ["Say what has to change, or why."]
    if len(comment) > 10_000:
        errors["comment"] = ["At most 10,000 characters."]
    if decision == Decision.APPROVE_WITH_CONDITIONS and not conditions:
        errors["conditions"] = ["Name at least one condition, with its date."]
    if decision != Decision.APPROVE_WITH_CONDITIONS and conditions:
        errors["conditions"] = ["Conditions go with “approve with conditions”."]
    clean = []
    for each in conditions:
        text, due = str(each.get("text", "")).strip(), each.get("due_on")
        if not text or len(text) > 1000 or not isinstance(due, date) or due < today or len(conditions) > 20:
            errors["conditions"] = [
                "Each condition needs a text of at most 1,000 characters and a date that is not past; at most 20."
            ]
            break
        clean.append({"text": text, "due_on": due})
    if errors:
        raise Invalid("Nothing was signed.", errors=errors)
    return clean


def _settle(submission: Submission, release: Release, by: User, at: datetime | None) -> None:
    """After a signature: what the submission comes to, and the stage that follows from it."""
    now = at or timezone.now()
    rows = Party.objects.filter(submission__release=release).select_related("submission")
    standing = standing_of(submission, rows.defer("submission__snapshot", "submission__evidence"))
    refusals = [party.decision for role in standing.roles for party in role.refusals]
    if Decision.REJECT in refusals:
        outcome, stage = Outcome.REJECTED, Stage.REJECTED
    elif refusals:
        outcome, stage = Outcome.CHANGES_REQUESTED, Stage.CHANGES_REQUESTED
    elif standing.complete:
        outcome, stage = Outcome.APPROVED, Stage.APPROVED
        lasts = timedelta(days=submission.approval_days)
        # A signature that carried over brings its own end along: submitting again does not make it last longer.
        ends = [
            party.submission.approved_until or party.signed_at + lasts
            for role in standing.roles
            for party in role.approvals
            if party.submission_id != submission.pk and party.signed_at is not None
        ]
        submission.approved_until = min([now + lasts, *ends])
    else:
        return
    submission.outcome, submission.decided_at = outcome, now
    submission.save(update_fields=["outcome", "decided_at", "approved_until"])
    journal.record(
        verb="signoff.submission.decided",
        actor=by,
        subject=submission.subject,
        release_id=release.pk,
        data={"number": submission.number, "outcome": outcome, "digest": submission.digest},
        at=at,
    )
    if outcome == Outcome.APPROVED:
        keep_fingerprints(release=release, submission_number=submission.number)
    why = f"submission {submission.number} {submission.get_outcome_display().lower()}"
    _move(release, stage, by=by, why=why, at=at)


def _move(release: Release, stage: Stage, *, by: User, why: str, at: datetime | None) -> None:
    """A release that serves traffic stays live while it is reviewed again, whatever comes of it; the gate tells."""
    if release.stage != Stage.LIVE:
        set_stage(release=release, stage=stage, by=by, why=why, at=at)


def _end_signatures(submission: Submission, now: datetime) -> None:
    """An approval that ended takes its signatures along: none of them carries over to a later submission."""
    rows = SignOff.objects.filter(
        submission__release_id=submission.release_id, submission__number__lte=submission.number, voided_at=None
    )
    rows.filter(decision__in=APPROVING).update(voided_at=now, void_reason="the approval ran out")


def withdraw_when_retired(event: Event) -> None:
    """Subscriber: what is out of service waits for nobody's signature."""
    if event.data["stage"][1] == Stage.RETIRED:
        waiting = Submission.objects.filter(release_id=event.release_id, outcome=Outcome.PENDING)
        waiting.update(outcome=Outcome.SUPERSEDED, decided_at=event.at)


def keep_author_from_signing(event: Event) -> None:
    """Subscriber: who answers while a submission waits is one of its authors from then on, whatever is taken back."""
    if event.actor_id is None:
        return
    waiting = Submission.objects.filter(release_id=event.release_id, outcome=Outcome.PENDING).only("pk")
    Party.objects.bulk_create(
        [Party(submission=each, user_id=event.actor_id, part=Party.Part.AUTHOR) for each in waiting],
        ignore_conflicts=True,
    )


def void_what_changed(event: Event) -> None:
    """Subscriber: approvals whose role's part is no longer what was signed are voided, the rest stand."""
    what = event.data.get("item") or event.subject.rsplit("/", 2)[-2]
    _void(release_id=event.release_id, reason=f"changed afterwards: {what}", event=event)


def void_for_model(event: Event) -> None:
    """Subscriber: a model's new tier touches what was signed for each of its releases."""
    if "tier" in event.data:
        slug = event.subject.removeprefix("models/")
        for release_id in Release.objects.filter(model__slug=slug).values_list("pk", flat=True):
            _void(release_id=release_id, reason="changed afterwards: the model's tier", event=event)


def _void(*, release_id: int, reason: str, event: Event) -> None:
    submission = Submission.objects.filter(release_id=release_id).order_by("-number").first()
    if submission is None or submission.outcome not in (Outcome.PENDING, Outcome.APPROVED):
        return
    release = lock_release(release_id)
    submission.release = release
    snapshot = take_snapshot(release)
    if snapshot.digest == submission.digest:
        return
    standing_rows = SignOff.objects.filter(submission__release=release, voided_at=None, decision__in=APPROVING)
    fallen = [row for row in standing_rows if row.role_digest != snapshot.role_digests[row.role]]
    SignOff.objects.filter(pk__in=[row.pk for row in fallen]).update(voided_at=event.at, void_reason=reason[:300])
    if fallen:
        journal.record(
            verb="signoff.signoff.voided",
            actor=event.actor,
            subject=submission.subject,
            release_id=release.pk,
            data={"roles": sorted({row.role for row in fallen}), "reason": reason},
            at=event.at,
        )
    if submission.outcome == Outcome.APPROVED and release.stage == Stage.APPROVED:
        set_stage(release=release, stage=Stage.DRAFT, by=None, why="changed after its approval", at=event.at)


@transaction.atomic
def launch(*, release: Release, by: User, at: datetime | None = None) -> Release:
    """Mark an approved release as live, if the gate allows it."""
    from checklists.signoff.gate import decide

    require(by, "release.launch", release, message="Only an owner of the team can mark a release as live.")
    release = lock_release(release.pk)
    if release.stage != Stage.APPROVED:
        raise WrongStage("Only an approved release can go live.")
    decision = decide(release, artifact_digest=release.artifact_digest, now=at or timezone.now())
    if not decision.allow:
        raise WrongStage("The gate does not allow it:", reasons=[reason.text for reason in decision.reasons])
    set_stage(release=release, stage=Stage.LIVE, by=by, why="launched", at=at)
    return release


@transaction.atomic
def complete_condition(*, condition: Condition, by: User) -> Condition:
    """Tick off a follow-up. The team does, or a reviewer."""
    submission = condition.sign_off.submission
    require(by, "comment.create", submission, message="Members of the team and reviewers can tick off conditions.")
    if condition.done_at is None:
        condition.done_at, condition.done_by = timezone.now(), by
        condition.save(update_fields=["done_at", "done_by"])
        journal.record(
            verb="signoff.condition.done",
            actor=by,
            subject=submission.subject,
            release_id=submission.release_id,
            data={"condition": condition.text},
        )
    return condition


@transaction.atomic
def expire_approvals(*, now: datetime | None = None) -> int:
    """Journal each approval that has come to its end, once; the stage of an approved release falls back to draft."""
    now = now or timezone.now()
    due = Submission.objects.select_for_update(of=("self",)).filter(
        outcome=Outcome.APPROVED, approved_until__lte=now, expiry_journaled=False
    )
    rows = list(due.select_related("release__model"))
    for submission in rows:
        submission.expiry_journaled = True
        submission.save(update_fields=["expiry_journaled"])
        release = lock_release(submission.release_id)
        _end_signatures(submission, now)
        journal.record(
            verb="signoff.approval.expired",
            actor=None,
            subject=submission.subject,
            release_id=release.pk,
            data={"number": submission.number},
        )
        latest = Submission.objects.filter(release=release).order_by("-number").first()
        if release.stage == Stage.APPROVED and latest is not None and not latest.approval_stands(now):
            set_stage(release=release, stage=Stage.DRAFT, by=None, why="its approval ran out")
    return len(rows)
