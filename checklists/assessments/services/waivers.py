from __future__ import annotations

from datetime import date, datetime, timedelta

from django.db import transaction
from django.utils import timezone

from checklists import journal
from checklists.assessments.models import Answer, Waiver, WaiverState
from checklists.journal.errors import Forbidden, Invalid, WrongStage
from checklists.people.models import User
from checklists.people.rules import require
from checklists.registry.models import Release
from checklists.registry.services import lock_release, require_open

LONGEST = timedelta(days=366)


@transaction.atomic
def request_waiver(
    *,
    release: Release,
    item_key: str,
    reason: str,
    mitigation: str,
    expires_on: date,
    by: User,
    at: datetime | None = None,
) -> Waiver:
    """Ask for a dated exception from one item. One at a time; it ends within a year."""
    require(by, "waiver.request", release, message="Only owners and contributors of the team can ask for a waiver.")
    release = lock_release(release.pk)
    require_open(release)
    now = at or timezone.now()
    errors: dict[str, list[str]] = {}
    answer = Answer.objects.filter(release=release, item__key=item_key).select_related("item").first()
    if answer is None:
        errors["item"] = ["This release has no such item."]
    for name, text in (("reason", reason), ("mitigation", mitigation)):
        if not text.strip() or len(text) > 4000:
            errors[name] = ["Write between 1 and 4,000 characters."]
    if not now.date() < expires_on <= now.date() + LONGEST:
        errors["expires_on"] = ["A waiver ends after today and within a year."]
    if errors or answer is None:
        raise Invalid("The waiver was not asked for.", errors=errors)
    if Waiver.objects.filter(
        release=release, item=answer.item, state__in=[WaiverState.REQUESTED, WaiverState.APPROVED]
    ).exists():
        raise WrongStage("There is a waiver for this item already. It must be decided or revoked first.")
    waiver = Waiver.objects.create(
        release=release,
        item=answer.item,
        reason=reason.strip(),
        mitigation=mitigation.strip(),
        expires_on=expires_on,
        requested_by=by,
        requested_at=now,
    )
    _record(waiver, "requested", by, {"expires_on": expires_on.isoformat()}, at)
    return waiver


@transaction.atomic
def decide_waiver(*, waiver: Waiver, decision: str, by: User, comment: str = "", at: datetime | None = None) -> Waiver:
    """Approve, decline or revoke: only reviewers of the role that owns the item, and never their own request."""
    require(
        by, "waiver.decide", waiver, message="Only a reviewer of the role that owns the item can decide this waiver."
    )
    if decision not in ("approve", "decline", "revoke"):
        raise Invalid("Nothing was decided.", errors={"decision": ["One of approve, decline, revoke."]})
    lock_release(waiver.release_id)
    waiver = Waiver.objects.select_for_update(of=("self",)).select_related("item", "release__model").get(pk=waiver.pk)
    if waiver.requested_by_id == by.pk:
        raise Forbidden("You asked for this waiver; somebody else has to decide it.")
    now = at or timezone.now()
    wanted = WaiverState.APPROVED if decision == "revoke" else WaiverState.REQUESTED
    if waiver.state != wanted:
        raise WrongStage(f"Nothing was decided: the waiver is {waiver.get_state_display().lower()}.")
    if decision == "approve" and waiver.expires_on <= now.date():
        raise WrongStage("Nothing was decided: the end date asked for has passed. The team has to ask again.")
    waiver.state = {"approve": WaiverState.APPROVED, "decline": WaiverState.DECLINED, "revoke": WaiverState.REVOKED}[
        decision
    ]
    waiver.decided_by, waiver.decided_at, waiver.comment = by, now, comment.strip()[:4000]
    waiver.save(update_fields=["state", "decided_by", "decided_at", "comment"])
    _record(waiver, "decided", by, {"decision": decision, "expires_on": waiver.expires_on.isoformat()}, at)
    return waiver


def expire_waivers(*, today: date | None = None) -> int:
    """Mark what is past its last day, each journaled; how many there were."""
    today = today or timezone.now().date()
    due = Waiver.objects.filter(state=WaiverState.APPROVED, expires_on__lt=today)
    count = 0
    for release_id in list(due.order_by().values_list("release_id", flat=True).distinct()):
        with transaction.atomic():
            lock_release(release_id)
            for waiver in due.filter(release_id=release_id).select_related("item", "release__model"):
                waiver.state = WaiverState.EXPIRED
                waiver.save(update_fields=["state"])
                _record(waiver, "expired", None, {"expires_on": waiver.expires_on.isoformat()}, None)
                count += 1
    return count


def _record(waiver: Waiver, what: str, by: User | None, data: dict[str, str], at: datetime | None) -> None:
    journal.record(
        verb=f"assessments.waiver.{what}",
        actor=by,
        subject=f"{waiver.release.subject}/waivers/{waiver.pk}",
        release_id=waiver.release_id,
        data={"item": waiver.item.key, "waiver": waiver.pk, **data},
        at=at,
    )
