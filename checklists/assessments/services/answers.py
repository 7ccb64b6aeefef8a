from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from checklists import journal
from checklists.assessments.models import Answer, AnswerRevision, Comment, Status
from checklists.catalog.claims import clean_claims
from checklists.catalog.editions import view
from checklists.journal.errors import Conflict, Forbidden, Invalid
from checklists.journal.models import Event
from checklists.people.models import User
from checklists.people.rules import can, require
from checklists.registry.models import Release
from checklists.registry.services import clean_url, lock_release, require_open

MAX_LINKS = 10
MAX_JUSTIFICATION = 10_000


def open_answers(event: Event) -> None:
    """When a release is opened: an answer for each item that applies, with what is carried over."""
    release = Release.objects.select_related("model", "edition").get(pk=event.release_id)
    earlier: dict[str, Answer] = {}
    if release.carried_over_from_id:
        carried = Answer.objects.filter(release_id=release.carried_over_from_id).exclude(status=Status.UNANSWERED)
        earlier = {answer.item.key: answer for answer in carried.select_related("item")}
    rows = []
    for item in view(release.edition).items:
        if item.applies_to(release.model.family):
            answer = Answer(release=release, item_id=item.id)
            if (before := earlier.get(item.key)) is not None:
                claims, _ = clean_claims(item, before.claims)
                answer.status, answer.claims, answer.carried_over = before.status, claims, True
                answer.justification, answer.links, answer.assignee_id = (
                    before.justification,
                    before.links,
                    before.assignee_id,
                )
            rows.append(answer)
    Answer.objects.bulk_create(rows)


@transaction.atomic
def save_answer(
    *,
    answer: Answer,
    by: User,
    revision: int,
    status: str,
    claims: Mapping[str, Any],
    justification: str = "",
    links: Sequence[str] = (),
    assignee: User | None = None,
    at: datetime | None = None,
) -> Answer:
    """Replace an answer by what is given; a carried-over answer is confirmed by any save.

    ``revision`` is the one the writer read. Raises ``Conflict`` (``current``: the answer as it stands) when somebody
    saved in between, ``Invalid`` (errors by field, claims as ``claims.<key>``), ``Forbidden``, ``WrongStage``. A save
    that changes nothing writes nothing.
    """
    require(by, "answer.save", answer, message="Only owners and contributors of the team can answer.")
    release = lock_release(answer.release_id)
    require_open(release)
    answer = Answer.objects.select_for_update(of=("self",)).with_people().get(pk=answer.pk)
    answer.release = release
    item = view(release.edition).item_by_id(answer.item_id)

    errors: dict[str, list[str]] = {}
    if status not in Status.values:
        errors["status"] = [f"One of {', '.join(Status.values)}."]
    clean, claim_errors = clean_claims(item, claims)
    errors |= {f"claims.{key}": messages for key, messages in claim_errors.items()}
    justification = justification.strip()
    if len(justification) > MAX_JUSTIFICATION:
        errors["justification"] = [f"At most {MAX_JUSTIFICATION:,} characters; this has {len(justification):,}."]
    clean_links: list[str] = []
    try:
        clean_links = [clean_url(link) for link in links if link.strip()]
        if len(clean_links) > MAX_LINKS or any(len(link) > 2000 for link in clean_links):
            raise ValueError(f"At most {MAX_LINKS} links of 2,000 characters.")
    except ValueError as error:
        errors["links"] = [str(error)]
    if assignee is not None and not can(assignee, "release.view", release):
        errors["assignee"] = ["This person cannot see the model."]
    if errors:
        raise Invalid("The answer was not saved. What is stored is unchanged.", errors=errors)

    new = {
        "status": status,
        "claims": clean,
        "justification": justification,
        "links": clean_links,
        "assignee_id": assignee.pk if assignee else None,
    }
    before = {name: getattr(answer, name) for name in new}
    changed = sorted(name for name in new if new[name] != before[name])
    if not changed and not answer.carried_over:
        return answer
    if revision != answer.revision:
        raise Conflict(
            "Somebody saved this answer while you were writing. Nothing is lost: both versions are shown.",
            current=answer,
        )

    for name, value in new.items():
        setattr(answer, name, value)
    if assignee is not None:
        answer.assignee = assignee
    content_changed = changed != ["assignee_id"] or answer.carried_over
    answer.carried_over = False
    now = at or timezone.now()
    if content_changed:
        answer.revision += 1
        answer.updated_by, answer.updated_at = by, now
    answer.save()
    if content_changed:
        AnswerRevision.objects.create(
            answer=answer,
            revision=answer.revision,
            status=status,
            claims=clean,
            justification=justification,
            links=clean_links,
            by=by,
            at=now,
        )
    journal.record(
        verb="assessments.answer.saved" if content_changed else "assessments.answer.assigned",
        actor=by,
        subject=f"{release.subject}/answers/{item.key}",
        release_id=release.pk,
        data={
            "answer": answer.pk,
            "item": item.key,
            "revision": answer.revision,
            "changed": changed,
            "before": {name: before[name] for name in changed},
            "after": {name: new[name] for name in changed},
        },
        at=at,
    )
    return answer


@transaction.atomic
def confirm_answers(*, release: Release, by: User, item_keys: Sequence[str] | None = None) -> int:
    """Confirm carried-over answers as they are (all of them, or those named); how many there were."""
    require(by, "answer.save", release)
    release = lock_release(release.pk)
    require_open(release)
    answers = (
        Answer.objects.select_for_update(of=("self",)).filter(release=release, carried_over=True).select_related("item")
    )
    if item_keys is not None:
        answers = answers.filter(item__key__in=item_keys)
    now = timezone.now()
    rows = list(answers)
    for answer in rows:
        answer.carried_over, answer.revision, answer.updated_by, answer.updated_at = False, answer.revision + 1, by, now
    Answer.objects.bulk_update(rows, ["carried_over", "revision", "updated_by", "updated_at"])
    AnswerRevision.objects.bulk_create(
        AnswerRevision(
            answer=a,
            revision=a.revision,
            status=a.status,
            claims=a.claims,
            justification=a.justification,
            links=a.links,
            by=by,
            at=now,
        )
        for a in rows
    )
    if rows:
        journal.record(
            verb="assessments.answers.confirmed",
            actor=by,
            subject=release.subject,
            release_id=release.pk,
            data={"items": sorted(answer.item.key for answer in rows)},
        )
    return len(rows)


@transaction.atomic
def review_answers(
    *,
    release: Release,
    by: User,
    accepted: Sequence[str] = (),
    flagged: Mapping[str, str] | None = None,
    at: datetime | None = None,
) -> None:
    """An owning reviewer accepts items at their present revision, or flags them with a remark (item key → remark).

    Raises ``Invalid`` for unknown items and ``Forbidden`` for items another role owns or that the reviewer answered.
    """
    flagged = dict(flagged or {})
    keys = set(accepted) | set(flagged)
    if not keys:
        return
    if both := set(accepted) & set(flagged):
        raise Invalid(
            "Nothing was accepted or flagged.",
            errors={"flagged_items": [f"Both accepted and flagged: {', '.join(sorted(both))}."]},
        )
    require_open(lock_release(release.pk))
    rows = list(
        Answer.objects.select_for_update(of=("self",))
        .filter(release=release, item__key__in=keys)
        .select_related("item")
    )
    if unknown := keys - {answer.item.key for answer in rows}:
        raise Invalid(
            "Nothing was accepted or flagged.",
            errors={"accepted_items": [f"No such item here: {', '.join(sorted(unknown))}."]},
        )
    if foreign := sorted(answer.item.key for answer in rows if answer.item.role not in by.access.roles):
        raise Forbidden(f"Another role owns {', '.join(foreign)}.")
    if AnswerRevision.objects.filter(answer__in=rows, by=by).exists():
        raise Forbidden("You answered one of these items yourself; somebody else has to review it.")
    now = at or timezone.now()
    until = now + timedelta(days=settings.PREFLIGHT["APPROVAL_DAYS"])
    for answer in rows:
        if answer.item.key in flagged:
            answer.flagged_revision, answer.flagged_by, answer.flagged_at = answer.revision, by, now
            answer.flag_comment = flagged[answer.item.key].strip()[:4000]
            answer.accepted_revision = answer.accepted_by = answer.accepted_at = answer.accepted_until = None
        else:
            answer.accepted_revision, answer.accepted_by, answer.accepted_at, answer.accepted_until = (
                answer.revision,
                by,
                now,
                until,
            )
            answer.flagged_revision = answer.flagged_by = answer.flagged_at = None
            answer.flag_comment = ""
    fields = ["revision", "by", "at"]
    Answer.objects.bulk_update(
        rows,
        [f"accepted_{f}" for f in fields] + ["accepted_until"] + [f"flagged_{f}" for f in fields] + ["flag_comment"],
    )
    journal.record(
        verb="assessments.answers.reviewed",
        actor=by,
        subject=release.subject,
        release_id=release.pk,
        data={"accepted": sorted(accepted), "flagged": flagged},
        at=at,
    )


def expire_acceptances(*, now: datetime | None = None) -> int:
    """Take back the acceptances that have come to their end, journaled for each release; how many there were."""
    now = now or timezone.now()
    due = Answer.objects.filter(accepted_revision__isnull=False, accepted_until__lte=now)
    count = 0
    for release_id in list(due.order_by().values_list("release_id", flat=True).distinct()):
        with transaction.atomic():
            release = lock_release(release_id)
            rows = list(due.filter(release=release).select_related("item"))
            Answer.objects.filter(pk__in=[row.pk for row in rows]).update(accepted_revision=None)
            if rows:
                journal.record(
                    verb="assessments.acceptances.expired",
                    actor=None,
                    subject=release.subject,
                    release_id=release.pk,
                    data={"items": sorted(row.item.key for row in rows)},
                )
            count += len(rows)
    return count


@transaction.atomic
def add_comment(*, answer: Answer, by: User, body: str, at: datetime | None = None) -> Comment:
    """Say something about an answer: members of the team and reviewers may."""
    require(by, "comment.create", answer, message="Members of the team and reviewers can comment.")
    body = body.strip()
    if not body or len(body) > 10_000:
        raise Invalid("The comment was not added.", errors={"body": ["Write between 1 and 10,000 characters."]})
    comment = Comment.objects.create(answer=answer, body=body, by=by, at=at or timezone.now())
    release = answer.release
    journal.record(
        verb="assessments.comment.added",
        actor=by,
        subject=f"{release.subject}/answers/{answer.item.key}",
        release_id=release.pk,
        data={"answer": answer.pk, "item": answer.item.key, "comment": comment.pk},
        at=at,
    )
    return comment
