"""Who must know of what: each plan turns one event into lines for some inboxes, in the event's transaction."""

from __future__ import annotations

from collections.abc import Iterable

from django.db.models import Q
from django.utils import timezone

from checklists.assessments.models import Answer, Comment, Waiver
from checklists.journal.models import Event
from checklists.notices.models import Notice
from checklists.people.access import READ_EVERYTHING
from checklists.people.models import RoleGrant, User
from checklists.registry.models import Release
from checklists.signoff.models import Party, Submission


def notify(*, user_ids: Iterable[int | None], text: str, path: str, event: Event, release: Release) -> None:
    """One line for each person, never for the one who did it, and none for the inactive or who may not see the
    release (any more)."""
    wanted = {pk for pk in user_ids if pk is not None} - {event.actor_id}
    rows = User.objects.filter(pk__in=wanted, is_active=True)
    if release.model.restricted:
        rows = rows.filter(
            Q(role_grants__role__in=READ_EVERYTHING) | Q(memberships__team__in=release.model.team.ancestor_ids)
        )
    people = set(rows.values_list("pk", flat=True)) if wanted else set()
    Notice.objects.bulk_create(
        Notice(user_id=pk, text=text[:300], path=path[:300], created_at=event.at) for pk in people
    )


def mark_read(*, user: User, notice_id: int | None = None) -> int:
    """Mark one notice (or all) of this person as read; how many were unread."""
    rows = Notice.objects.filter(user=user, read_at=None)
    if notice_id is not None:
        rows = rows.filter(pk=notice_id)
    return rows.update(read_at=timezone.now())


def _release(event: Event) -> tuple[Release, str]:
    release = Release.objects.select_related("model__team").get(pk=event.release_id)
    return release, f"/{release.subject}/"


def submission_created(event: Event) -> None:
    """Reviewers of the roles that must sign."""
    release, path = _release(event)
    roles = [need["role"] for need in event.data["required"]]
    people = RoleGrant.objects.filter(role__in=roles).values_list("user_id", flat=True)
    notify(
        user_ids=people, text=f"{release} waits for your sign-off", path=f"{path}review/", event=event, release=release
    )


def sign_off_given(event: Event) -> None:
    """The authors of the submission."""
    release, path = _release(event)
    submission = Submission.objects.get(release=release, number=event.data["number"])
    people = Party.objects.filter(submission=submission, part=Party.Part.AUTHOR).values_list("user_id", flat=True)
    said = {
        "approve": "approved",
        "approve_with_conditions": "approved with conditions",
        "request_changes": "asks for changes to",
        "reject": "rejected",
    }
    notify(
        user_ids=people,
        text=f"{event.actor_name} {said[event.data['decision']]} {release}",
        path=f"{path}review/",
        event=event,
        release=release,
    )


def sign_off_voided(event: Event) -> None:
    """Those whose signatures fell."""
    release, path = _release(event)
    fallen = Party.objects.filter(
        submission__release=release, part=Party.Part.SIGNER, voided_at__isnull=False, role__in=event.data["roles"]
    )
    ids = set(fallen.values_list("user_id", flat=True))
    notify(
        user_ids=ids, text=f"{release} changed after you signed it", path=f"{path}review/", event=event, release=release
    )


def comment_added(event: Event) -> None:
    """The assignee, whoever answered last, and whoever commented before."""
    release, path = _release(event)
    answer = Answer.objects.select_related("item__section").get(pk=event.data["answer"])
    people = {
        answer.assignee_id,
        answer.updated_by_id,
        *Comment.objects.filter(answer=answer).values_list("by_id", flat=True),
    }
    link = f"{path}checklist/{answer.item.section.key}/#{answer.item.key}"
    notify(
        user_ids=people,
        text=f"{event.actor_name} commented on “{answer.item.short}” of {release}",
        path=link,
        event=event,
        release=release,
    )


def answer_assigned(event: Event) -> None:
    """The new assignee."""
    assignee = event.data.get("after", {}).get("assignee_id")
    if assignee:
        release, path = _release(event)
        answer = Answer.objects.select_related("item__section").get(pk=event.data["answer"])
        link = f"{path}checklist/{answer.item.section.key}/#{answer.item.key}"
        notify(
            user_ids=[assignee],
            text=f"{event.actor_name} assigned “{answer.item.short}” of {release} to you",
            path=link,
            event=event,
            release=release,
        )


def waiver_requested(event: Event) -> None:
    """Reviewers of the role that owns the item."""
    release, path = _release(event)
    waiver = Waiver.objects.select_related("item").get(pk=event.data["waiver"])
    people = RoleGrant.objects.filter(role=waiver.item.role).values_list("user_id", flat=True)
    notify(
        user_ids=people,
        text=f"{release} asks for a waiver of “{waiver.item.short}”",
        path=f"{path}review/#waivers",
        event=event,
        release=release,
    )


def waiver_settled(event: Event) -> None:
    """Whoever asked for it."""
    release, path = _release(event)
    waiver = Waiver.objects.select_related("item").get(pk=event.data["waiver"])
    text = f"The waiver of “{waiver.item.short}” for {release} is {waiver.get_state_display().lower()}"
    notify(user_ids=[waiver.requested_by_id], text=text, path=f"{path}review/#waivers", event=event, release=release)


def run_finished(event: Event) -> None:
    """When a run contradicts what nothing contradicted before it: those who answered it, and its assignees."""
    release, path = _release(event)
    recorded = Event.objects.filter(
        release_id=event.release_id, verb="evidence.findings.recorded", data__run=event.data["run"]
    )
    keys = {
        change["item"]
        for data in recorded.values_list("data", flat=True)
        for change in data["changes"]
        if change["after"] == "contradicted"
    }
    if ids := _answering(release, keys):
        text = f"Evidence contradicts what you claimed for {release}"
        notify(user_ids=ids, text=text, path=f"{path}evidence/", event=event, release=release)


def findings_expired(event: Event) -> None:
    """When items fall back to claimed because what verified them went stale: those who answered, and assignees. Of a
    release that takes no more changes, nobody."""
    release, path = _release(event)
    if release.is_closed:
        return
    keys = set(event.data["verified"])
    if ids := _answering(release, keys):
        items = "1 item" if len(keys) == 1 else f"{len(keys)} items"
        text = f"Evidence for {items} of {release} is no longer fresh"
        notify(user_ids=ids, text=text, path=f"{path}evidence/", event=event, release=release)


def _answering(release: Release, item_keys: set[str]) -> set[int]:
    answers = Answer.objects.filter(release=release, item__key__in=item_keys)
    pairs = answers.values_list("updated_by_id", "assignee_id") if item_keys else ()
    return {pk for pair in pairs for pk in pair if pk is not None}
