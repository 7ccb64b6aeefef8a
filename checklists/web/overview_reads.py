"""What the overview reads: each table once, added up here.

``scorecards.rollups.overview`` answers the same questions one by one, for the API and for any day. The page needs the
launches, the trend and the decisions beside them, and no more than nine queries for all of it; a test holds both to the
same figures.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date, datetime, timedelta
from statistics import median
from typing import Any

from django.db.models import Count, F, Min, OuterRef, Q, Subquery, Sum

from checklists.catalog.choices import Family
from checklists.evidence.models import Finding
from checklists.journal.models import Event
from checklists.people.models import Team, User
from checklists.scorecards.models import HistoryPoint
from checklists.scorecards.rollups import CLOSED, Figures, Row, Scope
from checklists.scorecards.states import STATES
from checklists.signoff.models import Outcome, Submission
from checklists.web.waiting import counted

HALF_YEAR = timedelta(days=183)


def teams(user: User, slug: str, family: str, tier: int | None) -> tuple[list[Team], int]:
    """All teams in tree order, and how many restricted models of the chosen branch the viewer does not see."""
    everything = user.access.reads_everything
    seen = Q(pk__in=[])
    for path in user.access.own_paths:
        seen |= Q(path__startswith=path)
    narrowed = Q(models__restricted=True) & Scope(user, None, family, tier).narrowed("models__")
    hidden = Count("models", filter=narrowed & ~seen)
    found: list[Team] = list(Team.objects.select_related("parent").annotate(hidden=hidden))
    found.sort(key=lambda team: team.ancestor_ids)
    chosen = next((team for team in found if team.slug == slug), None)
    within = [getattr(team, "hidden") for team in found if chosen is None or team.path.startswith(chosen.path)]  # noqa: B009  # an annotation
    return found, 0 if everything else sum(within)


def releases(scope: Scope, now: datetime) -> list[dict[str, Any]]:
    """Every release in scope with what its card, its findings and its approval say."""
    approval = Submission.objects.filter(release=OuterRef("pk"), outcome=Outcome.APPROVED).order_by("-number")
    conclusive = Finding.objects.filter(release=OuterRef("pk"), current=True, verdict__in=["verified", "contradicted"])
    rows = scope.releases().annotate(
        approved_until=Subquery(approval.values("approved_until")[:1]),
        conclusive=counted(conclusive),
        fresh=counted(conclusive.filter(expires_at__gt=now)),
        name=F("model__name"),
        slug=F("model__slug"),
        team_id=F("model__team_id"),
        family=F("model__family"),
        must_open=F("scorecard__must_open"),
        contradicted=F("scorecard__contradicted"),
    )
    own = ("pk", "model_id", "version", "stage", "launch_date", "created_at")
    added = ("approved_until", "conclusive", "fresh", "name", "slug", "team_id", "family", "must_open", "contradicted")
    found = [dict(row) for row in rows.values(*own, *added).order_by("pk")]
    for row in found:
        row["must_open"], row["contradicted"] = row["must_open"] or 0, row["contradicted"] or 0
    return found


def rows(
    active: Iterable[Mapping[str, Any]], teams: list[Team], parts: Iterable[Any]
) -> tuple[Row, list[Row], list[Row]]:
    """The whole, the teams in tree order under their unit, the families in their order."""
    by_id = {team.pk: team for team in teams}
    organisation = Row("organisation", "Organisation")
    of_team = {team.pk: Row(team.slug, team.name, group=by_id[team.ancestor_ids[0]].name) for team in teams}
    of_family = {str(key): Row(str(key), str(label)) for key, label in Family.choices}
    for release in active:
        for row in (organisation, of_team[release["team_id"]], of_family[release["family"]]):
            row.releases += 1
    for part in parts:
        for row in (organisation, of_team[part.team_id], of_family[part.family]):
            if not part.again:
                row.total.add(part.weight, part.credit, part.states)
            row.cells[part.cell].add(part.weight, part.credit, part.states)
    return (
        organisation,
        [row for row in of_team.values() if row.releases],
        [row for row in of_family.values() if row.releases],
    )


def figures_now(active: list[dict[str, Any]], fresh: int | None, days: float | None) -> Figures:
    """The KPI line now; ``fresh`` in percent, ``days`` the median to approval."""
    settled = [row for row in active if not row["must_open"] and not row["contradicted"]]
    contradicted = [row["contradicted"] for row in active if row["contradicted"]]
    return Figures(
        releases=len(active),
        ready=sum(row["stage"] in ("approved", "live") for row in settled),
        blocked=sum(row["launch_date"] is not None for row in active if row not in settled),
        contradicted=sum(contradicted),
        contradicted_releases=len(contradicted),
        fresh=fresh,
        days_to_approval=days,
    )


def figures_then(point: Mapping[str, Any], days: float | None) -> Figures:
    """The KPI line of one recorded day; freshness is not kept for the past."""
    counts = {name: point[name] for name in ("releases", "ready", "blocked", "contradicted_releases")}
    return Figures(**counts, contradicted=point["sum_contradicted"], days_to_approval=days)


def first_approvals() -> dict[int, datetime]:
    """When each release that ever was approved was so for the first time, by primary key."""
    rows = Event.objects.filter(verb="registry.release.stage_changed", data__stage__1="approved")
    return dict(rows.values_list("release_id").annotate(first=Min("at")).order_by())


def approvals(releases: Iterable[Mapping[str, Any]]) -> list[tuple[date, float]]:
    """When each release was first approved, and the days since it was registered."""
    first = first_approvals()
    return [
        (first[row["pk"]].date(), (first[row["pk"]] - row["created_at"]).total_seconds() / 86400)
        for row in releases
        if row["pk"] in first
    ]


def middle(spans: list[tuple[date, float]], day: date) -> float | None:
    """The median of the first approvals in the half year up to a day; None without any."""
    recent = [days for on, days in spans if day - HALF_YEAR < on <= day]
    return round(median(recent), 1) if recent else None


def history(scope: Scope, today: date) -> dict[date, dict[str, Any]]:
    """Each recorded day of the last half year, added up."""
    settled = Q(must_open=0, contradicted=0)
    rows = (
        HistoryPoint.objects.filter(release__in=scope.releases(), date__gte=today - HALF_YEAR, date__lt=today)
        .exclude(stage__in=CLOSED)
        .values("date")
        .order_by("date")
        .annotate(
            releases=Count("pk"),
            ready=Count("pk", filter=settled & Q(stage__in=["approved", "live"])),
            blocked=Count("pk", filter=~settled & Q(release__launch_date__isnull=False)),
            contradicted_releases=Count("pk", filter=Q(contradicted__gt=0)),
            **{f"sum_{state}": Sum(state) for state in STATES},
        )
    )
    return {row["date"]: dict(row) for row in rows}
