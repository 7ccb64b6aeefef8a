"""How ready are many releases together: the organisation, its teams and families, now or at an earlier date.

Only what the viewer may see is added up. Every function takes a constant number of queries.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from statistics import median
from typing import Any

from django.db.models import Count, Min, Q, QuerySet, Sum
from django.utils import timezone

from checklists.catalog.choices import Family
from checklists.catalog.editions import view
from checklists.catalog.models import Edition
from checklists.evidence.models import Finding
from checklists.journal.models import Event
from checklists.people.models import Team, User
from checklists.registry.models import Release
from checklists.scorecards.models import HistoryPoint, ItemState, Scorecard, SectionScore
from checklists.scorecards.scoring import CREDIT, empty_states, percent
from checklists.scorecards.states import STATES, State

CLOSED = ("retired", "rejected")


@dataclass
class Sums:
    """Weight, credit (quarters of a point) and the seven counts of a set of items, added up as they come."""

    weight: int = 0
    credit: int = 0
    states: dict[str, int] = field(default_factory=empty_states)

    @property
    def score(self) -> int | None:
        return percent(self.credit, self.weight)

    def add(self, weight: int, credit: int, states: Mapping[str, int]) -> None:
        self.weight += weight
        self.credit += credit
        for state in STATES:
            self.states[state] += states.get(state) or 0


@dataclass
class Row:
    """One line of the heat map: a team or a family. ``cells`` by section (or by quality); ``weakest`` is the key of the
    lowest cell, whose score is the row's."""

    key: str
    name: str
    group: str = ""
    releases: int = 0
    total: Sums = field(default_factory=Sums)
    cells: dict[str, Sums] = field(default_factory=lambda: defaultdict(Sums))

    @property
    def weakest(self) -> str | None:
        scores = {key: cell.score for key, cell in self.cells.items() if cell.score is not None}
        return min(scores, key=lambda key: scores[key] or 0, default=None)

    @property
    def score(self) -> int | None:
        return self.cells[self.weakest].score if self.weakest else None


@dataclass(frozen=True)
class Figures:
    """The numbers of the KPI line at one date.

    ``ready``: approved or live, and nothing open that must be met nor contradicted. ``blocked``: has a launch date, and
    something that must be met is open, or something is contradicted. ``fresh``: percent of conclusive findings still
    counting (None for the past, which is not kept). ``days_to_approval``: median from registration to first approval,
    of approvals in the half year before.
    """

    releases: int = 0
    ready: int = 0
    blocked: int = 0
    contradicted: int = 0
    contradicted_releases: int = 0
    fresh: int | None = None
    days_to_approval: float | None = None


@dataclass
class Overview:
    """Everything the overview needs: see ``overview``."""

    as_of: date
    compared_with: date | None
    figures: Figures
    before: Figures | None
    organisation: Row
    teams: list[Row]
    families: list[Row]
    stages: dict[str, int]
    models: int
    hidden_models: int


@dataclass(frozen=True)
class Scope:
    """Which releases: what ``user`` may see, narrowed to a branch of teams, a family, a tier."""

    user: User
    team: Team | None = None
    family: str = ""
    tier: int | None = None

    def releases(self) -> QuerySet[Release]:
        rows: QuerySet[Release] = Release.objects.visible_to(self.user)
        return rows.filter(self.narrowed("model__"))

    def narrowed(self, prefix: str) -> Q:
        """The narrowing as a condition on a model, reached by ``prefix``."""
        condition = Q()
        if self.team is not None:
            condition &= Q(**{f"{prefix}team__path__startswith": self.team.path})
        if self.family:
            condition &= Q(**{f"{prefix}family": self.family})
        if self.tier is not None:
            condition &= Q(**{f"{prefix}tier": self.tier})
        return condition


def overview(
    *,
    user: User,
    as_of: date | None = None,
    team: Team | None = None,
    family: str = "",
    tier: int | None = None,
    by_quality: bool = False,
) -> Overview:
    """The organisation as ``user`` may see it. With ``as_of`` in the past, as the history kept it at the last recorded
    day up to then; ``by_quality`` (only for now) makes the cells of the rows qualities instead of sections."""
    today = timezone.now().date()
    scope = Scope(user, team, family, tier)
    day = as_of if as_of is not None and as_of < today else today
    past = _last_recorded(day) if day < today else None
    if day < today:
        parts, figures = _parts_of(scope, past), _past_figures(scope, past, day)
        stages = dict(Counted(_points(scope, past).values_list("stage")))
    else:
        parts = quality_parts(scope) if by_quality else section_parts(scope)
        figures = _figures_now(scope)
        stages = dict(Counted(scope.releases().values_list("stage")))
    then = _last_recorded(day - timedelta(days=30))
    teams, families, organisation = _rows(parts, scope, (past or date.min) if day < today else None)
    everything = scope.releases().filter(model__isnull=False).aggregate(n=Count("model", distinct=True))["n"]
    return Overview(
        as_of=day,
        compared_with=then,
        figures=figures,
        before=_past_figures(scope, then, then) if then else None,
        organisation=organisation,
        teams=teams,
        families=families,
        stages=stages,
        models=everything,
        hidden_models=_hidden(scope),
    )


class Counted(dict[str, int]):
    """``values_list`` of one column, counted by the database."""

    def __init__(self, rows: QuerySet[Any, tuple[Any, ...]]) -> None:
        super().__init__(rows.order_by().annotate(n=Count("pk")))


@dataclass(frozen=True)
class Part:
    """What one team's releases of one family have in one cell. ``again``: these items are in another cell too, and
    count in the row's total there."""

    team_id: int
    family: str
    cell: str
    weight: int
    credit: int
    states: Mapping[str, int]
    again: bool = False


def section_parts(scope: Scope) -> list[Part]:
    rows = (
        SectionScore.objects.filter(release__in=scope.releases().exclude(stage__in=CLOSED))
        .values("release__model__team_id", "release__model__family", "section")
        .annotate(
            sum_weight=Sum("weight"), sum_credit=Sum("credit"), **{f"sum_{state}": Sum(state) for state in STATES}
        )
        .order_by()
    )
    return [
        Part(
            r["release__model__team_id"],
            r["release__model__family"],
            r["section"],
            r["sum_weight"],
            r["sum_credit"],
            _summed(r),
        )
        for r in rows
    ]


def _summed(row: Mapping[str, Any]) -> dict[str, int]:
    """The seven counts of a row that was added up under ``sum_<state>``."""
    return {state: row[f"sum_{state}"] or 0 for state in STATES}


def quality_parts(scope: Scope) -> list[Part]:
    """From the items, because one item serves several qualities."""
    rows = (
        ItemState.objects.filter(release__in=scope.releases().exclude(stage__in=CLOSED))
        .values_list(
            "release__model__team_id", "release__model__family", "item_id", "item__qualities", "requirement", "state"
        )
        .order_by()
        .annotate(n=Count("pk"))
    )
    weights = {"must": 3, "should": 2, "may": 1}
    parts = []
    for team_id, family, _, qualities, requirement, state, n in rows:
        counts = State(state) in CREDIT
        weight = weights[requirement] * n if counts else 0
        credit = weight * CREDIT[State(state)] if counts else 0
        parts += [
            Part(team_id, family, quality, weight, credit, {state: n}, again=place > 0)
            for place, quality in enumerate(qualities)
        ]
    return parts


def _points(scope: Scope, day: date | None) -> QuerySet[HistoryPoint]:
    return HistoryPoint.objects.filter(release__in=scope.releases(), date=day).exclude(stage__in=CLOSED)


def _parts_of(scope: Scope, day: date | None) -> list[Part]:
    rows = _points(scope, day).values_list("release__model__team_id", "release__model__family", "sections")
    return [
        Part(team_id, family, section, cell["weight"], cell["credit"], cell["states"])
        for team_id, family, sections in rows
        for section, cell in sections.items()
    ]


def _rows(parts: Iterable[Part], scope: Scope, past: date | None) -> tuple[list[Row], list[Row], Row]:
    """Teams in tree order with their unit as group, families in fixed order, and the whole."""
    source: QuerySet[Any] = _points(scope, past) if past else scope.releases().exclude(stage__in=CLOSED)
    prefix = "release__" if past else ""
    counts = source.values_list(f"{prefix}model__team_id", f"{prefix}model__family").order_by().annotate(n=Count("pk"))
    by_id = {team.pk: team for team in Team.objects.in_tree_order()}
    teams: dict[int, Row] = {}
    families: dict[str, Row] = {}
    organisation = Row("organisation", "Organisation")

    def rows_of(team_id: int, family: str) -> tuple[Row, Row, Row]:
        if team_id not in teams:
            team = by_id[team_id]
            root = by_id[team.ancestor_ids[0]]
            teams[team_id] = Row(team.slug, team.name, group=root.name)
        if family not in families:
            families[family] = Row(family, str(Family(family).label))
        return teams[team_id], families[family], organisation

    for team_id, family, n in counts:
        for row in rows_of(team_id, family):
            row.releases += n
    for part in parts:
        for row in rows_of(part.team_id, part.family):
            if not part.again:
                row.total.add(part.weight, part.credit, part.states)
            row.cells[part.cell].add(part.weight, part.credit, part.states)
    places = {pk: place for place, pk in enumerate(by_id)}
    in_order = [teams[pk] for pk in sorted(teams, key=lambda pk: places[pk])]
    return in_order, [families[f] for f in Family.values if f in families], organisation


def _figures_now(scope: Scope) -> Figures:
    cards = Scorecard.objects.filter(release__in=scope.releases().exclude(stage__in=CLOSED))
    now = timezone.now()
    conclusive = Finding.objects.filter(
        release__in=scope.releases().exclude(stage__in=CLOSED), current=True, verdict__in=["verified", "contradicted"]
    ).aggregate(all=Count("pk"), fresh=Count("pk", filter=Q(expires_at__gt=now)))
    fresh = conclusive["fresh"] * 100 // conclusive["all"] if conclusive["all"] else None
    return _figures(cards, "release__", fresh, _days_to_approval(scope, now.date()))


def _past_figures(scope: Scope, recorded: date | None, day: date) -> Figures:
    return _figures(_points(scope, recorded), "", None, _days_to_approval(scope, day))


def _figures(rows: QuerySet[Any], stage_prefix: str, fresh: int | None, days: float | None) -> Figures:
    settled = Q(must_open=0, contradicted=0)
    sums = rows.aggregate(
        releases=Count("pk"),
        ready=Count("pk", filter=settled & Q(**{f"{stage_prefix}stage__in": ["approved", "live"]})),
        blocked=Count("pk", filter=~settled & Q(release__launch_date__isnull=False)),
        contradicted_items=Sum("contradicted"),
        contradicted_releases=Count("pk", filter=Q(contradicted__gt=0)),
    )
    contradicted = sums.pop("contradicted_items") or 0
    return Figures(**sums, contradicted=contradicted, fresh=fresh, days_to_approval=days)


def _days_to_approval(scope: Scope, day: date) -> float | None:
    """Median days from registration to first approval, for first approvals in the half year up to ``day``."""
    approvals = (
        Event.objects.filter(verb="registry.release.stage_changed", data__stage__1="approved", at__date__lte=day)
        .values("release_id")
        .annotate(first=Min("at"))
        .order_by()
    )
    first = {row["release_id"]: row["first"] for row in approvals if row["first"].date() > day - timedelta(days=183)}
    created = dict(scope.releases().filter(pk__in=first).values_list("pk", "created_at"))
    spans = [(first[pk] - begun).total_seconds() / 86400 for pk, begun in created.items()]
    return round(median(spans), 1) if spans else None


def _hidden(scope: Scope) -> int:
    """Restricted models that the viewer does not see, within the same narrowing."""
    from checklists.registry.models import Model

    if scope.user.access.reads_everything:
        return 0
    seen = Model.objects.visible_to(scope.user).values("pk")
    return Model.objects.filter(scope.narrowed(""), restricted=True).exclude(pk__in=seen).count()


def _last_recorded(day: date) -> date | None:
    """The last day up to ``day`` for which history was kept."""
    return HistoryPoint.objects.filter(date__lte=day).order_by("-date").values_list("date", flat=True).first()


def trend(scope: Scope, *, weeks: int = 26) -> list[tuple[date, dict[str, int]]]:
    """The seven counts over all active releases, about weekly, ending with today. Three queries."""
    today = timezone.now().date()
    days = list(
        HistoryPoint.objects.filter(date__gte=today - timedelta(weeks=weeks), date__lt=today)
        .order_by("date")
        .values_list("date", flat=True)
        .distinct()
    )
    step = max(1, -(-len(days) // weeks))
    chosen = days[::-1][::step][::-1]
    rows = (
        HistoryPoint.objects.filter(release__in=scope.releases(), date__in=chosen)
        .exclude(stage__in=CLOSED)
        .values("date")
        .annotate(**{f"sum_{state}": Sum(state) for state in STATES})
        .order_by("date")
    )
    points = [(row["date"], _summed(row)) for row in rows]
    now = Scorecard.objects.filter(release__in=scope.releases().exclude(stage__in=CLOSED)).aggregate(
        **{f"sum_{state}": Sum(state) for state in STATES}
    )
    return [*points, (today, _summed(now))]


def failing_most(scope: Scope, *, limit: int = 5) -> list[tuple[int, dict[str, int]]]:
    """The items most often open or contradicted: (item id, its seven counts), worst first. One query."""
    rows = (
        ItemState.objects.filter(release__in=scope.releases().exclude(stage__in=CLOSED))
        .values_list("item_id", "state")
        .order_by()
        .annotate(n=Count("pk"))
    )
    counts: dict[int, dict[str, int]] = defaultdict(empty_states)
    for item_id, state, n in rows:
        counts[item_id][state] = n
    worst = sorted(counts.items(), key=lambda pair: (-(pair[1]["open"] + pair[1]["contradicted"]), pair[0]))
    return [pair for pair in worst[:limit] if pair[1]["open"] + pair[1]["contradicted"]]


def section_titles(edition: Edition) -> dict[str, str]:
    """Section key → title, in the order of the checklist."""
    return {section.key: section.title for section in view(edition).sections}
