"""Six months of scorecards, replayed from what was answered, measured, accepted and waived at the time."""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from checklists.assessments.models import Answer, AnswerRevision, Waiver
from checklists.catalog.editions import ItemView, view
from checklists.evidence.models import Finding
from checklists.journal.models import Event
from checklists.registry.models import Release
from checklists.scorecards.models import HistoryPoint, ItemState
from checklists.scorecards.scoring import ScoredItem, score
from checklists.scorecards.states import AnswerFacts, FindingFacts, State, state_of

WEEKS = 26
Timeline = list[tuple[datetime, State]]


def recorded_days(today: date) -> list[date]:
    """One day a week, the oldest first; thirty days ago is among them."""
    return [today - timedelta(days=7 * week + 2) for week in reversed(range(WEEKS))]


def end_of(day: date) -> datetime:
    return datetime.combine(day, time.max, UTC)


class Replay:
    """One release's items through time."""

    def __init__(self, release: Release, now: datetime) -> None:
        self.release, self.now = release, now
        self.answers = {answer.item_id: answer for answer in Answer.objects.filter(release=release)}
        self.revisions: dict[int, list[AnswerRevision]] = defaultdict(list)
        for revision in AnswerRevision.objects.filter(answer__release=release).order_by("revision"):
            self.revisions[revision.answer_id].append(revision)
        self.findings: dict[int, list[Finding]] = defaultdict(list)
        for finding in (
            Finding.objects.filter(release=release, item__isnull=False)
            .defer("observation", "detail")
            .order_by("measured_at")
        ):
            self.findings[finding.item_id or 0].append(finding)
        self.waivers: dict[int, list[Waiver]] = defaultdict(list)
        for waiver in Waiver.objects.filter(release=release):
            self.waivers[waiver.item_id].append(waiver)
        changes = Event.objects.filter(release_id=release.pk, verb="registry.release.stage_changed").order_by(
            "sequence"
        )
        self.stages = [(release.created_at, "draft"), *((event.at, event.data["stage"][1]) for event in changes)]

    def timeline(self, item: ItemView) -> Timeline:
        """When the item came to which state, the oldest first."""
        answer = self.answers.get(item.id)
        if answer is None or not item.applies_to(self.release.model.family):
            return [(self.release.created_at, State.NOT_APPLICABLE)]
        moments = {self.release.created_at, *(revision.at for revision in self.revisions[answer.pk])}
        for finding in self.findings[item.id]:
            moments |= {finding.measured_at} | ({finding.expires_at} if finding.current else set())
        if answer.accepted_at:
            moments.add(answer.accepted_at)
        for waiver in self.waivers[item.id]:
            if waiver.decided_at:
                moments |= {waiver.decided_at, end_of(waiver.expires_on)}
        line: Timeline = []
        for moment in sorted(moment for moment in moments if moment <= self.now):
            state = self._state(item, answer, moment)
            if not line or line[-1][1] != state:
                line.append((moment, state))
        return line

    def _state(self, item: ItemView, answer: Answer, at: datetime) -> State:
        said = [revision for revision in self.revisions[answer.pk] if revision.at <= at]
        facts = None
        if said:
            then = said[-1]
            copy = Answer(status=then.status, claims=then.claims, justification=then.justification)
            facts = AnswerFacts(then.status, complete=not copy.missing(item))
        standing: dict[tuple[str, str], FindingFacts] = {}
        for finding in self.findings[item.id]:
            if finding.measured_at <= at and finding.verdict != "inconclusive":
                # Between two runs that are told, the evidence was renewed by runs that are not.
                until = finding.expires_at if finding.current else self.now
                standing[finding.endpoint_name, finding.probe] = FindingFacts(finding.verdict, until)
        return state_of(
            applies=True,
            answer=facts,
            findings=standing.values(),
            accepted=bool(
                said
                and answer.accepted_at
                and answer.accepted_at <= at
                and answer.accepted_revision == said[-1].revision
            ),
            waived=any(
                w.state in ("approved", "expired") and w.decided_at and w.decided_at <= at < end_of(w.expires_on)
                for w in self.waivers[item.id]
            ),
            now=at,
        )

    def points(self, timelines: dict[int, Timeline], days: list[date]) -> list[HistoryPoint]:
        """The scorecard at the end of each of these days on which the release was there."""
        tier, points = self.release.model.tier, []
        items = view(self.release.edition).items
        for day in days:
            end = end_of(day)
            if end < self.release.created_at:
                continue
            states = {item.id: _at(timelines[item.id], end) for item in items}
            rows = [ScoredItem(i.section_key, i.weight_for(tier), states[i.id], tuple(i.qualities)) for i in items]
            result = score(rows)
            must_open = sum(states[i.id] == State.OPEN and i.requirement_for(tier) == "must" for i in items)
            points.append(
                HistoryPoint(
                    release=self.release,
                    date=day,
                    stage=_at(self.stages, end),
                    readiness=result.readiness,
                    mean=result.mean,
                    must_open=must_open,
                    weight=result.total.weight,
                    credit=result.total.credit,
                    score=result.total.score,
                    sections={
                        key: {"weight": tally.weight, "credit": tally.credit, "states": dict(tally.states)}
                        for key, tally in result.sections.items()
                    },
                    **result.total.states,
                )
            )
        return points


def _at(line: list[tuple[datetime, Any]], moment: datetime) -> Any:
    place = bisect_right(line, moment, key=lambda entry: entry[0])
    return line[max(place - 1, 0)][1]


def write_history(*, now: datetime) -> int:
    """Write the weekly points of all releases, and since when each item has its state; how many points."""
    days, points, rows = recorded_days(now.date()), [], []
    states: dict[int, list[ItemState]] = defaultdict(list)
    for row in ItemState.objects.all():
        states[row.release_id].append(row)
    for release in Release.objects.select_related("model", "edition"):
        replay = Replay(release, now)
        timelines = {item.id: replay.timeline(item) for item in view(release.edition).items}
        points += replay.points(timelines, days)
        for row in states[release.pk]:
            row.since = timelines[row.item_id][-1][0]
            rows.append(row)
    HistoryPoint.objects.bulk_create(points, batch_size=500)
    ItemState.objects.bulk_create(
        rows, update_conflicts=True, unique_fields=["release", "item"], update_fields=["since"], batch_size=500
    )
    return len(points)
