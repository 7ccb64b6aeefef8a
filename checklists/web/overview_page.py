"""The overview as its page shows it: figures with their change, rows with their cells, launches, trend, decisions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from functools import cached_property
from typing import Any

from django.urls import reverse
from django.utils import timezone

from checklists.assessments.models import Waiver
from checklists.catalog.choices import Quality
from checklists.catalog.editions import EditionView, current_edition, view
from checklists.evidence.models import Finding
from checklists.people.models import Team, User
from checklists.registry.models import Stage
from checklists.scorecards.rollups import CLOSED, Figures, Row, Scope, failing_most, quality_parts, section_parts
from checklists.scorecards.states import STATES
from checklists.web import overview_reads as reads
from checklists.web.charts import WEEKS, Launch, Point
from checklists.web.risk import Risk, risk_of

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
    """One number with its change in words; ``good`` is the word that means an improvement."""

    label: str
    value: str
    of: str
    change: str
    good: str = "fewer"
    url: str = ""

    @property
    def mood(self) -> str:
        """``better``, ``worse`` or nothing, the class that colours the change."""
        word = self.change.rpartition(" ")[2]
        if word not in ("more", "fewer", "faster", "slower"):
            return ""
        return "better" if word in (self.good, "faster") else "worse"


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
    def more_decisions(self) -> list[Decision]:
        return self.decisions[MOST_DECISIONS:]

    @property
    def kpis(self) -> list[Kpi]:
        """The KPI line; the fresh share has no past to be compared with."""
        new, old = self.figures, self.before
        items, releases = reverse("web:items"), reverse("web:releases")
        plural = "" if new.contradicted_releases == 1 else "s"
        fresh = ("–", "nothing measured yet") if new.fresh is None else (f"{new.fresh} %", "of what was measured")
        days = ("–", "") if new.days_to_approval is None else (f"{new.days_to_approval:g}", "days, median")
        return [
            Kpi(
                "Ready to launch",
                f"{new.ready}",
                f"of {new.releases}",
                _more(new.ready, old and old.ready),
                "more",
                f"{releases}?ready=1{self.query}",
            ),
            Kpi(
                "Blocked before a launch",
                f"{new.blocked}",
                "",
                _more(new.blocked, old and old.blocked),
                url=f"{items}?blocking=1&launch=1{self.query}",
            ),
            Kpi(
                "Contradicted claims",
                f"{new.contradicted}",
                f"in {new.contradicted_releases} release{plural}",
                _more(new.contradicted, old and old.contradicted),
                url=f"{items}?state=contradicted{self.query}",
            ),
            Kpi("Evidence still fresh", fresh[0], "", fresh[1], url=f"{items}?stale=1{self.query}"),
            Kpi(
                "Registration to approval",
                *days,
                _faster(new.days_to_approval, old and old.days_to_approval),
                url=f"{releases}?approved=1{self.query}",
            ),
        ]

    @property
    def query(self) -> str:
        """The filters, to be put behind another address's own."""
        scope = self.scope
        parts = {"team": scope.team.slug if scope.team else "", "family": scope.family, "tier": scope.tier or ""}
        return "".join(f"&{name}={value}" for name, value in parts.items() if value)

    @property
    def state_url(self) -> str:
        """The items of what is shown that are in one state, whose name comes at the end."""
        return f"{reverse('web:items')}?{f'{self.query}&'.removeprefix('&')}state="

    @property
    def groups(self) -> list[tuple[str, list[tuple[Row, str, list[Any]]]]]:
        """Rows under their unit, each with the address of its releases and its cells in the order of the columns;
        without units, without headings."""
        found: dict[str, list[tuple[Row, str, list[Any]]]] = {}
        for row in self.rows:
            url = f"{reverse('web:releases')}?{self._only(row)}"
            found.setdefault(row.group, []).append((row, url, self._cells(row)))
        if all(len(rows) == 1 and rows[0][0].name == group for group, rows in found.items()):
            return [("", [row for rows in found.values() for row in rows])]
        return list(found.items())

    def _only(self, row: Row) -> str:
        """What narrows a list to one row: its family, or its team (a row is a team without those below it), and the
        filters of the page that are about something else."""
        name = "family" if self.by_family else "team"
        parts = [f"{name}={row.key}"]
        if not self.by_family and row.key in self.parents:
            parts.append("below=0")
        return "&".join(parts + [part for part in self.query.split("&") if part and part.split("=")[0] != name])

    @cached_property
    def parents(self) -> set[str]:
        """The teams that have others below them."""
        above = {team.parent_id for team in self.teams}
        return {team.slug for team in self.teams if team.pk in above}

    def _cells(self, row: Row) -> list[Any]:
        axis = "quality" if self.by_quality else "section"
        base = f"{reverse('web:items')}?{self._only(row)}"
        return [(title, row.cells.get(key), f"{base}&{axis}={key}", key == row.weakest) for key, title in self.columns]


def overview_page(
    *, user: User, team_slug: str = "", family: str = "", tier: int | None = None, by_family: bool, by_quality: bool
) -> OverviewPage:
    """Read and add up what ``user`` may see, narrowed to a team's branch, a family, a tier."""
    now = timezone.now()
    today = now.date()
    edition = view(current_edition())
    teams, hidden = reads.teams(user, team_slug, family, tier)
    team = next((each for each in teams if each.slug == team_slug), None)
    scope = Scope(user, team, family, tier)
    releases = reads.releases(scope, now)
    active = [row for row in releases if row["stage"] not in CLOSED]
    organisation, by_team, by_kind = reads.rows(
        active, teams, quality_parts(scope) if by_quality else section_parts(scope)
    )
    spans = reads.approvals(releases)
    points = reads.history(scope, today)
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
        figures=reads.figures_now(
            active, fresh * 100 // conclusive if conclusive else None, reads.middle(spans, today)
        ),
        before=reads.figures_then(points[then], reads.middle(spans, then)) if then else None,
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
    launching = [row for row in active if row["launch_date"] is not None and row["stage"] != Stage.LIVE]
    hot = [row for row in launching if row["contradicted"] and today <= row["launch_date"] <= today + SOON]
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
    waivers = Waiver.objects.standing(today).filter(
        scope.narrowed("release__model__"), expires_on__lte=today + THIS_WEEK
    )
    for waiver in waivers.visible_to(scope.user).select_related("item", "release__model"):
        if waiver.release_id not in by_id:
            continue
        title = f"{waiver.release} · waiver ends {_in_days((waiver.expires_on - today).days)}"
        url = reverse("web:waiver_decision", args=[waiver.release.model.slug, waiver.release.version, waiver.pk])
        text = f"{waiver.item.short}, waived until {waiver.expires_on:%-d %B}"
        found.append(Decision(title, text, url, "waived", "Waived", waiver.expires_on))
    for row in active:
        until = row["approved_until"]
        if (
            until is None
            or row["stage"] not in (Stage.APPROVED, Stage.LIVE)
            or not today <= until.date() <= today + THIS_WEEK
        ):
            continue
        title = f"{row['name']} {row['version']} · approval ends {_in_days((until.date() - today).days)}"
        text = "live, and due for another review" if row["stage"] == Stage.LIVE else "approved, not launched"
        found.append(Decision(title, text, _release_url(row), "claimed", "Ends", until.date()))
    order = {"contradicted": 0, "waived": 1, "claimed": 2}
    return sorted(found, key=lambda each: (order[each.state], each.on))


def _in_days(days: int) -> str:
    return "today" if days <= 0 else "tomorrow" if days == 1 else f"in {days} days"


def _more(new: int, old: int | Figures | None) -> str:
    if not isinstance(old, int):
        return ""
    return "unchanged" if new == old else f"{abs(new - old)} {'more' if new > old else 'fewer'}"


def _faster(new: float | None, old: float | Figures | None) -> str:
    if new is None or not isinstance(old, int | float):
        return ""
    difference = round(abs(new - old), 1)
    return f"{difference:g} {'faster' if new < old else 'slower'}" if difference else "unchanged"
