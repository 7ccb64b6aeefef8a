"""What waits for the viewer: as a member of a team, as a reviewer, as a leader, as whoever sets the portal up."""

from __future__ import annotations

from typing import Any

from django.db.models import Case, Exists, F, OuterRef, Q, When
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.http import require_safe

from checklists.assessments.models import Answer, Waiver
from checklists.evidence.models import AllowedNetwork, Finding
from checklists.people.models import Membership, OrganisationRole, Team, User
from checklists.people.rules import can
from checklists.registry.models import Model, Release
from checklists.scorecards.models import ItemState
from checklists.signoff.models import Condition, Submission
from checklists.web.http import Request, signed_in
from checklists.web.overview_page import overview_page
from checklists.web.risk import Risk
from checklists.web.views.reviews import queue
from checklists.web.waiting import counted

MOST_RELEASES = 12
MOST = 8


@require_safe
@signed_in
def today(request: Request) -> HttpResponse:
    """Sections appear for what the viewer is; each says what to do when it is empty.

    Whoever leads, and does nothing else here, begins with the overview.
    """
    user = request.user
    works_here = user.access.own_teams or user.access.reviewer_roles or can(user, "journal.read")
    if user.access.has(OrganisationRole.LEADER) and not works_here:
        return redirect("web:overview")
    context: dict[str, Any] = {"now": timezone.now(), "can_register": user.access.writes_somewhere}
    if user.access.own_teams:
        context |= _as_member(user)
    if user.access.reviewer_roles:
        context |= _as_reviewer(user)
    if user.access.has(OrganisationRole.ADMINISTRATOR):
        context |= _as_administrator()
    context["is_member"] = bool(user.access.own_teams)
    context["reads_journal"] = can(user, "journal.read")
    leads = user.access.has(OrganisationRole.LEADER, OrganisationRole.AUDITOR)
    works = context["is_member"] or user.access.reviewer_roles  # who has work of their own goes to the overview for it
    context["oversees"] = (leads or context["reads_journal"]) and not works and not context.get("fresh")
    if context["oversees"]:
        context |= {"page": overview_page(user=user, by_family=False, by_quality=False), "risks": list(Risk)}
    return render(request, "today/today.html", context)


def _as_member(user: User) -> dict[str, Any]:
    """Releases of the viewer's teams, and what about them needs somebody; six queries."""
    now = timezone.now()
    mine = Release.objects.of(user).active()
    stale = Finding.objects.filter(release=OuterRef("pk"), current=True, verdict="verified", expires_at__lte=now)
    releases = list(
        mine.select_related("model__team", "scorecard")
        .annotate(
            stale=counted(stale),
            carried=counted(Answer.objects.filter(release=OuterRef("pk"), carried_over=True)),
        )
        .order_by(Case(When(stage="live", then=1), default=0), F("launch_date").asc(nulls_last=True), "-changed_at")[
            : MOST_RELEASES + 1
        ]
    )
    shown = releases[:MOST_RELEASES]
    blockers: dict[int, list[ItemState]] = {}
    rows = ItemState.objects.filter(
        Q(state="contradicted") | Q(state="open", requirement="must"), release__in=[row.pk for row in shown]
    )
    for state in rows.select_related("item").order_by("release_id", "state", "item__position"):
        blockers.setdefault(state.release_id, []).append(state)
    states = ItemState.objects.filter(release=OuterRef("release"), item=OuterRef("item"))
    assigned = (
        Answer.objects.filter(assignee=user, release__in=Release.objects.visible_to(user).active())
        .annotate(settled=Exists(states.filter(state__in=["verified", "not_applicable", "waived"])))
        .filter(settled=False)
        .select_related("item__section", "release__model")
        .order_by("release__launch_date", "item__position")[:MOST]
    )
    conditions = (
        Condition.objects.filter(done_at=None, sign_off__submission__release__in=mine)
        .select_related("sign_off__submission__release__model", "sign_off__user")
        .defer("sign_off__submission__snapshot", "sign_off__submission__evidence")
        .order_by("due_on")[:MOST]
    )
    return {
        "releases": [(row, blockers.get(row.pk, [])) for row in shown],
        "more_releases": len(releases) > MOST_RELEASES,
        "assigned": list(assigned),
        "conditions": list(conditions),
    }


def _as_reviewer(user: User) -> dict[str, Any]:
    """The queue, the oldest promise first, and waivers to decide; three queries."""
    pending = Submission.objects.visible_to(user).pending().with_release().select_related("release__scorecard")
    waiting = [each for each in queue(user, pending.defer("snapshot", "evidence")[:100]) if each["mine"]]
    waivers = Waiver.objects.visible_to(user).waiting_for(user.access.reviewer_roles).exclude(requested_by=user)
    return {
        "waiting": waiting[:MOST],
        "more_waiting": max(0, len(waiting) - MOST),
        "waivers": list(waivers.select_related("item", "release__model__team").order_by("requested_at")[:MOST]),
    }


def _as_administrator() -> dict[str, Any]:
    """The first steps of a fresh installation, each with whether it is done; one query."""
    done = User.objects.annotate(
        team=Exists(Team.objects.all()),
        member=Exists(Membership.objects.all()),
        reviewer=Exists(User.objects.filter(role_grants__role__in=["mlops", "security", "sre"])),
        model=Exists(Model.objects.all()),
        network=Exists(AllowedNetwork.objects.all()),
    ).values("team", "member", "reviewer", "model", "network")[:1]
    steps = done[0]
    return {"steps": steps, "fresh": not (steps["team"] and steps["member"] and steps["reviewer"] and steps["model"])}
