"""Everything on the overview, in nine queries however large the organisation.

``scorecards.rollups.overview`` answers the same questions one by one, for the API and for any day; the page needs the
launches, the trend and the decisions beside them, so it reads each table once and adds up here. A test holds both to the
same figures.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from statistics import median
from typing import Any

from django.db.models import Count, F, Min, OuterRef, Q, Subquery, Sum
from django.urls import reverse
from django.utils import timezone

from checklists.assessments.models import Waiver
from checklists.catalog.choices import Family, Quality
from checklists.catalog.editions import EditionView, current_edition, view
from checklists.evidence.models import Finding
from checklists.journal.models import Event
from checklists.people.models import Team, User
from checklists.registry.models import Release, Stage
from checklists.scorecards.models import HistoryPoint
from checklists.scorecards.rollups import (
    CLOSED,
    Figures,
    Row,
    Scope,
    failing_most,
    quality_parts,
    section_parts,
)
from checklists.scorecards.states import STATES
from checklists.signoff.models import Outcome, Submission
from checklists.web.charts import WEEKS, Launch, Point
from checklists.web.risk import Risk, risk_of
from checklists.web.waiting import counted

HALF_YEAR = timedelta(days=183)
MONTH = timedelta(days=30)
SOON = timedelta(days=28)  # a contradiction before a launch within this needs a decision now
THIS_WEEK = timedelta(days=7)
MOST_DECISIONS = 6
LABEL = 26  # characters of a launch's label; the whole name is in its title


@dataclass(frozen=True)
class Decision:
    """Something that somebody has to decide this week."""

    title: str
    text: str
    url: str
    state: str
    chip: str
    on: date


@dataclass(frozen=True)
class Kpi:
    """One number with its change: ``better`` and ``worse`` colour the words, neither does not."""

    label: str
    value: str
    of: str
    change: str
    mood: str = ""
    url: str = ""


@dataclass
class OverviewPage:
    """``rows`` are teams or families; ``columns`` (key, title) are sections or qualities."""

    scope: Scope
    edition: EditionView
    by_family: bool
    by_quality: bool
    teams: list[Team]
    organisation: Row
    rows: list[Row]
    columns: list[tuple[str, str]]
    figures: Figures
    before: Figures | None
    compared_with: date | None
    models: int
    hidden_models: int
    stages: list[tuple[str, str, int]]
    launches: list[Launch]
    trend: list[Point]
    failing: list[tuple[Any, dict[str, int]]]
    decisions: list[Decision]
    now: datetime = field(default_factory=timezone.now)

    @property
    def first_decisions(self) -> list[Decision]:
        return self.decisions[:MOST_DECISIONS]

    @property
    def more_decisions(self) -> int:
        return len(self.decisions) - len(self.first_decisions)

    @property
    def kpis(self) -> list[Kpi]:
        new, old = self.figures, self.before
        where = self.query
        items = reverse("web:items")
        return [
            Kpi("Ready to launch", str(new.ready), f"of {new.releases}", *_more(new.ready, old and old.ready, good=True)),
            Kpi("Blocked before a launch", str(new.blocked), "", *_more(new.blocked, old and old.blocked), url=f"{items}?blocking=1&launch=1{where}"),
            Kpi("Contradicted claims", str(new.contradicted), f"in {new.contradicted_releases} release{'' if new.contradicted_releases == 1 else 's'}",
                *_more(new.contradicted, old and old.contradicted), url=f"{items}?state=contradicted{where}"),
            Kpi("Evidence still fresh", "–" if new.fresh is None else f"{new.fresh} %", "", "of what was measured" if new.fresh is not None else "nothing measured yet"),
            Kpi("Registration to approval", "–" if new.days_to_approval is None else f"{new.days_to_approval:g}", "" if new.days_to_approval is None else "days, median",
                *_faster(new.days_to_approval, old.days_to_approval if old else None)),
        ]  # fmt: skip

    @property
    def query(self) -> str:
        """The filters, to be put behind another address's own."""
        scope = self.scope
        parts = {"team": scope.team.slug if scope.team else "", "family": scope.family, "tier": scope.tier or ""}
        return "".join(f"&{name}={value}" for name, value in parts.items() if value)

    @property
    def groups(self) -> list[tuple[str, list[tuple[Row, list[Any]]]]]:
        """Rows under their unit, each with its cells in the order of the columns."""
        found: dict[str, list[tuple[Row, list[Any]]]] = {}
        for row in self.rows:
            found.setdefault(row.group, []).append((row, self._cells(row)))
        return list(found.items())

    def _cells(self, row: Row) -> list[Any]:
        axis = "quality" if self.by_quality else "section"
        mine = f"{'family' if self.by_family else 'team'}={row.key}"
        rest = "".join(part for part in self.query.split("&") if part and part.split("=")[0] != mine.split("=")[0])
        base = f"{reverse('web:items')}?{mine}" + (f"&{rest}" if rest else "")
        return [(title, row.cells.get(key), f"{base}&{axis}={key}", key == row.weakest) for key, title in self.columns]


def overview_page(
    *, user: User, team_slug: str = "", family: str = "", tier: int | None = None, by_family: bool, by_quality: bool
) -> OverviewPage:
    """Read and add up what ``user`` may see, narrowed to a team's branch, a family, a tier."""
    now = timezone.now()
    today = now.date()
    edition = view(current_edition())
    teams, hidden = _teams(user, team_slug, family, tier)
    team = next((each for each in teams if each.slug == team_slug), None)
    scope = Scope(user, team, family, tier)
    releases = _releases(scope, now)
    active = [row for row in releases if row["stage"] not in CLOSED]
    organisation, by_team, by_kind = _rows(active, teams, quality_parts(scope) if by_quality else section_parts(scope))
    spans = _approvals(releases)
    points = _history(scope, today)
    then = max((day for day in points if day <= today - MONTH), default=None)
    fresh, conclusive = (sum(row[name] for row in active) for name in ("fresh", "conclusive"))
    columns = (
        [(str(key), str(label)) for key, label in Quality.choices]
        if by_quality
        else [(section.key, section.title) for section in edition.sections]
    )
    return OverviewPage(
        scope=scope,
        edition=edition,
        by_family=by_family,
        by_quality=by_quality,
        teams=teams,
        organisation=organisation,
        rows=by_kind if by_family else by_team,
        columns=columns,
        figures=_figures_now(active, fresh * 100 // conclusive if conclusive else None, _median(spans, today)),
        before=_figures_then(points[then], _median(spans, then)) if then else None,
        compared_with=then,
        models=len({row["model_id"] for row in releases}),
        hidden_models=hidden,
        stages=[(key, label, sum(row["stage"] == key for row in releases)) for key, label in Stage.choices],
        launches=_launches(active, today),
        trend=_trend(points, organisation, today),
        failing=_failing(scope, edition),
        decisions=_decisions(scope, active, today),
        now=now,
    )


def _teams(user: User, slug: str, family: str, tier: int | None) -> tuple[list[Team], int]:
    """All teams in tree order, and how many restricted models of the chosen branch the viewer does not see."""
    everything = user.access.reads_everything
    seen = Q(pk__in=[])
    for path in user.access.own_paths:
        seen |= Q(path__startswith=path)
    narrowed = Q(models__restricted=True) & Scope(user, None, family, tier).narrowed("models__")
    annotated = Team.objects.select_related("parent").annotate(restricted=Count("models", filter=narrowed & ~seen))
    rows = sorted(annotated, key=lambda team: team.ancestor_ids)
    chosen = next((team for team in rows if team.slug == slug), None)
    within = [team.restricted for team in rows if chosen is None or team.path.startswith(chosen.path)]
    return rows, 0 if everything else sum(within)


def _releases(scope: Scope, now: datetime) -> list[dict[str, Any]]:
    approval = Submission.objects.filter(release=OuterRef("pk"), outcome=Outcome.APPROVED).order_by("-number")
    conclusive = Finding.objects.filter(
        release=OuterRef("pk"), current=True, verdict__in=["verified", "contradicted"]
    )
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
    fields = ["pk", "model_id", "version", "stage", "launch_date", "created_at", "approved_until", "conclusive", "fresh"]
    found = list(rows.values(*fields, "name", "slug", "team_id", "family", "must_open", "contradicted").order_by("pk"))
    for row in found:
        row["must_open"], row["contradicted"] = row["must_open"] or 0, row["contradicted"] or 0
    return found


def _rows(active: Iterable[Mapping[str, Any]], teams: list[Team], parts: Iterable[Any]) -> tuple[Row, list[Row], list[Row]]:
    """The whole, the teams in tree order under their unit, the families in their order."""
    by_id = {team.pk: team for team in teams}
    organisation = Row("organisation", "Organisation")
    of_team = {
        team.pk: Row(team.slug, team.name, group=by_id[team.ancestor_ids[0]].name if team.parent_id else "") for team in teams
    }
    of_family = {str(key): Row(str(key), str(label)) for key, label in Family.choices}
    for release in active:
        for row in (organisation, of_team[release["team_id"]], of_family[release["family"]]):
            row.releases += 1
    for part in parts:
        for row in (organisation, of_team[part.team_id], of_family[part.family]):
            row.total.add(part.weight, part.credit, part.states)
            row.cells[part.cell].add(part.weight, part.credit, part.states)
    return (
        organisation,
        [row for row in of_team.values() if row.releases],
        [row for row in of_family.values() if row.releases],
    )


def _figures_now(active: list[dict[str, Any]], fresh: int | None, days: float | None) -> Figures:
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


def _figures_then(point: Mapping[str, Any], days: float | None) -> Figures:
    names = ("releases", "ready", "blocked", "contradicted", "contradicted_releases")
    return Figures(**{name: point[name] or 0 for name in names}, days_to_approval=days)


def _approvals(releases: Iterable[Mapping[str, Any]]) -> list[tuple[date, float]]:
    """When each release was first approved, and the days since it was registered."""
    rows = Event.objects.filter(verb="registry.release.stage_changed", data__stage__1="approved")
    first = dict(rows.values_list("release_id").annotate(first=Min("at")).order_by())
    return [
        (first[row["pk"]].date(), (first[row["pk"]] - row["created_at"]).total_seconds() / 86400)
        for row in releases
        if row["pk"] in first
    ]


def _median(spans: list[tuple[date, float]], day: date) -> float | None:
    recent = [days for on, days in spans if day - HALF_YEAR < on <= day]
    return round(median(recent), 1) if recent else None


def _history(scope: Scope, today: date) -> dict[date, dict[str, Any]]:
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
    return {row["date"]: row | {"contradicted": row["sum_contradicted"]} for row in rows}


def _trend(points: Mapping[date, Mapping[str, Any]], organisation: Row, today: date) -> list[Point]:
    """About one point a week, ending with today."""
    days = sorted(points)
    step = max(1, -(-len(days) // 26))
    chosen = days[::-1][::step][::-1]
    past: list[Point] = [{"date": day, "counts": {s: points[day][f"sum_{s}"] for s in STATES}} for day in chosen]
    return [*past, {"date": today, "counts": organisation.total.states}] if organisation.releases else past


def _failing(scope: Scope, edition: EditionView) -> list[tuple[Any, dict[str, int]]]:
    known = {item.id: item for item in edition.items}
    return [(known[item_id], counts) for item_id, counts in failing_most(scope) if item_id in known]


def _launches(active: Iterable[Mapping[str, Any]], today: date) -> list[Launch]:
    found: list[Launch] = []
    for row in active:
        when = row["launch_date"]
        if when is None or row["stage"] == Stage.LIVE or not today <= when <= today + timedelta(weeks=WEEKS):
            continue
        label = f"{row['name'] if len(row['name']) <= LABEL else row['name'][: LABEL - 1] + '…'} {row['version']}"
        found.append({"label": label, "url": _release_url(row), "date": when, "state": _risk(row, today).state})
    return found


def _risk(row: Mapping[str, Any], today: date) -> Risk:
    return risk_of(
        days_left=(row["launch_date"] - today).days,
        stage=row["stage"],
        must_open=row["must_open"],
        contradicted=row["contradicted"],
    )


def _release_url(row: Mapping[str, Any], name: str = "review") -> str:
    return reverse(f"web:{name}", args=[row["slug"], row["version"]])


def _decisions(scope: Scope, active: list[dict[str, Any]], today: date) -> list[Decision]:
    """Contradictions before a launch, waivers and approvals about to end; in that order, the soonest first. Two
    queries."""
    by_id = {row["pk"]: row for row in active}
    found: list[Decision] = []
    hot = [
        row for row in active
        if row["contradicted"] and row["launch_date"] and row["stage"] != Stage.LIVE and today <= row["launch_date"] <= today + SOON
    ]  # fmt: skip
    findings = Finding.objects.filter(
        release__in=[row["pk"] for row in hot], current=True, verdict="contradicted"
    ).order_by("pk")
    reasons: dict[int, str] = {}
    for release_id, reason in findings.values_list("release_id", "reason"):
        reasons.setdefault(release_id, reason)
    for row in hot:
        title = f"{row['name']} {row['version']} · launches {row['launch_date']:%-d %b}"
        text = reasons.get(row["pk"], "evidence contradicts a claim")
        found.append(
            Decision(title, text, _release_url(row, "evidence"), "contradicted", "Contradicted", row["launch_date"])
        )
    waivers = Waiver.objects.standing(today).filter(scope.narrowed("release__model__"), expires_on__lte=today + THIS_WEEK)
    for waiver in waivers.visible_to(scope.user).select_related("item", "release__model"):
        if waiver.release_id not in by_id:
            continue
        title = f"{waiver.release} · waiver ends {_in_days((waiver.expires_on - today).days)}"
        url = reverse("web:waiver_decision", args=[waiver.release.model.slug, waiver.release.version, waiver.pk])
        text = f"{waiver.item.short}, waived until {waiver.expires_on:%-d %B}"
        found.append(Decision(title, text, url, "waived", "Waived", waiver.expires_on))
    for row in active:
        until = row["approved_until"]
        if until is None or row["stage"] not in (Stage.APPROVED, Stage.LIVE) or not today <= until.date() <= today + THIS_WEEK:
            continue
        title = f"{row['name']} {row['version']} · approval ends {_in_days((until.date() - today).days)}"
        text = "live, and due for another review" if row["stage"] == Stage.LIVE else "approved, not launched"
        found.append(Decision(title, text, _release_url(row), "claimed", "Ends", until.date()))
    order = {"contradicted": 0, "waived": 1, "claimed": 2}
    return sorted(found, key=lambda each: (order[each.state], each.on))


def _in_days(days: int) -> str:
    return "today" if days <= 0 else "tomorrow" if days == 1 else f"in {days} days"


def _more(new: int, old: int | None, *, good: bool = False) -> tuple[str, str]:
    if old is None:
        return "", ""
    if new == old:
        return "unchanged", ""
    mood = "better" if (new > old) == good else "worse"
    return f"{abs(new - old)} {'more' if new > old else 'fewer'}", mood


def _faster(new: float | None, old: float | None) -> tuple[str, str]:
    if new is None or old is None:
        return "", ""
    if round(abs(new - old), 1) == 0:
        return "unchanged", ""
    return f"{abs(new - old):.1f} {'faster' if new < old else 'slower'}", "better" if new < old else "worse"
