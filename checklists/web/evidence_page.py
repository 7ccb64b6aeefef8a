"""What the evidence tab shows: topics with their readings side by side, endpoints with their runs, and what would help.

Built from what ``release_context`` has read and two queries more, however many endpoints and findings there are.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.urls import reverse

from checklists.assessments.models import Answer, Status
from checklists.catalog.editions import ItemView, view
from checklists.evidence.models import Finding, ProbeRun, ProbeSchedule, Verdict
from checklists.evidence.places import Places
from checklists.evidence.probes import PROBES, probed_items
from checklists.evidence.remedies import Help, Remedy, helps, remedy_of
from checklists.evidence.stacks import GENERIC, STACKS
from checklists.evidence.stacks import Stack as ServingStack
from checklists.registry.models import Endpoint, Release, Stack
from checklists.web.item_cards import claimed_and_measured
from checklists.web.remedies import WORDS, Action, action, claim_action
from checklists.web.templatetags.words import in_words

RECENT_RUNS = 12
TREND_RUNS = 24  # runs that are looked through for the last readings of each topic
TREND = 12
SIDE_BY_SIDE = 3  # readings of a topic that are shown at once: a row on a wide screen
MOST_LINKS = 3
ITSELF = "The release itself"
UNTOLD = "The probes ran, and found nothing that speaks of this."
ORDER = {Verdict.CONTRADICTED: 0, Verdict.VERIFIED: 1, Verdict.INCONCLUSIVE: 2}
# The verdicts in the alphabet of the readiness bar.
STATES = {Verdict.VERIFIED: "verified", Verdict.INCONCLUSIVE: "open", Verdict.CONTRADICTED: "contradicted"}
_NUMBER = re.compile(r"-?\d+(?:\.\d+)?")

Key = tuple[str, str, str]  # endpoint's name, probe, item


def number_in(text: str) -> float | None:
    """The first number of a text such as ``p95 between 500 and 1,000``."""
    text = re.sub(r"\bp\d+(?:\.\d+)?\b", "", text)  # the name of a percentile is no measurement
    found = _NUMBER.search(text.replace(",", ""))
    return float(found[0]) if found else None


def said(verdict: str) -> str:
    return "not settled" if verdict == Verdict.INCONCLUSIVE else Verdict(verdict).label.lower()


def when(moment: datetime) -> str:
    return f"{moment:%-d %b, %H:%M}"


@dataclass(frozen=True)
class Mark:
    """One earlier reading of a topic, as a dot."""

    state: str
    number: float | None
    title: str


@dataclass(frozen=True)
class Reading:
    """What stands of one probe at one endpoint for one item, with how it read before."""

    finding: Finding
    fresh: bool
    marks: Sequence[Mark] = ()

    @property
    def where(self) -> str:
        return self.finding.endpoint_name or ITSELF

    @property
    def headline(self) -> str:
        if self.finding.verdict == Verdict.INCONCLUSIVE:
            return "Not settled here"
        return claimed_and_measured(self.finding)

    @property
    def probe(self) -> str:
        probe = PROBES.get(self.finding.probe)
        return probe.title if probe else self.finding.probe

    @property
    def trend(self) -> str:
        """The dots in words."""
        return f"The last {len(self.marks)} readings. " + "; ".join(mark.title for mark in self.marks)


@dataclass(frozen=True)
class Topic:
    """An item (``None``: a fact about the endpoint) that at least one reading settled, its readings side by side."""

    item: ItemView | None
    readings: Sequence[Reading]

    @property
    def key(self) -> str:
        return self.item.key if self.item else "endpoint"

    @property
    def verdict(self) -> str:
        return self.readings[0].finding.verdict

    @property
    def shown(self) -> Sequence[Reading]:
        return self.readings[:SIDE_BY_SIDE]

    @property
    def more(self) -> Sequence[Reading]:
        return self.readings[SIDE_BY_SIDE:]

    @property
    def more_words(self) -> str:
        return counts_in_words(reading.finding.verdict for reading in self.more)


def counts_in_words(verdicts: Iterable[str]) -> str:
    """``12 verified, 1 contradicted``."""
    found = list(verdicts)
    counts = [(found.count(verdict), said(verdict)) for verdict in ORDER]
    return ", ".join(f"{count:,} {word}" for count, word in counts if count) or "nothing read"


@dataclass
class Column:
    """One run at one endpoint: how many findings of each kind."""

    run: ProbeRun
    counts: dict[str, int] = field(default_factory=dict)

    @property
    def words(self) -> str:
        counts = [(self.counts.get(state, 0), said(verdict)) for verdict, state in STATES.items()]
        return ", ".join(f"{count:,} {word}" for count, word in counts if count)

    @property
    def title(self) -> str:
        return f"{when(self.run.created_at)}: {self.words}"


@dataclass(frozen=True)
class Recognised:
    """What a server was recognised as: by its answers, or by its owner's word against them."""

    label: str
    sure: int | None = None  # percent
    signs: Sequence[str] = ()
    against: Sequence[str] = ()
    more: str = ""
    declared: str = ""
    differs: bool = False


@dataclass(frozen=True)
class Place:
    """An endpoint, or (``endpoint`` is None) the release itself: its health, stack and runs, and what comes next."""

    endpoint: Endpoint | None
    health: Finding | None
    stack: Recognised | None
    columns: Sequence[Column]
    next_words: str
    backed_off: bool
    last: datetime | None

    @property
    def name(self) -> str:
        return self.endpoint.name if self.endpoint else ITSELF

    @property
    def timeline(self) -> str:
        """The columns in words."""
        if not self.columns:
            return ""
        count = len(self.columns)
        return f"{self.name}: {count} run{'s' if count > 1 else ''}. Latest, {self.columns[-1].title}."


@dataclass(frozen=True)
class Suggestion:
    """One action with how many items it alone would settle, and what those items say now."""

    text: str
    settles: int
    partly: int
    actions: Sequence[Action]
    more_actions: int
    rows: Sequence[tuple[ItemView, Finding | None]]


@dataclass(frozen=True)
class Unhelped:
    """Inconclusive findings of one reason about which nothing can be done here but to wait, or to change the server;
    ``everywhere``: at no endpoint, whatever is given."""

    reason: str
    everywhere: bool
    rows: Sequence[tuple[ItemView | None, Finding | None]]


def evidence_of(context: Mapping[str, Any]) -> dict[str, Any]:
    """Everything below the header, for the template; ``context`` is that of ``release_context`` (two queries)."""
    release: Release = context["release"]
    findings: list[Finding] = context["findings"]
    now: datetime = context["now"]
    items = {item.key: item for item in view(release.edition).items}
    runs = list(
        ProbeRun.objects.filter(release=release).select_related("requested_by").order_by("-created_at")[:TREND_RUNS]
    )
    settled_keys = {f.item_key for f in findings if f.verdict != Verdict.INCONCLUSIVE}
    columns, marks = _history(runs, settled_keys)
    topics = _topics(findings, items, settled_keys, marks, now)
    places = [_place(endpoint, findings, columns, now) for endpoint in context["endpoints"]]
    if columns.get("") or context["endpoints"]:
        due: datetime | None = release.next_due  # type: ignore[attr-defined]  # annotated
        mine = [f for f in findings if not f.endpoint_name]
        last = max((f.measured_at for f in mine), default=None)
        places.append(Place(None, None, None, columns.get("", ()), next_words(due, 0, now), False, last))
    return {
        "runs": runs[:RECENT_RUNS],
        "run": next((run for run in runs if run.is_active), None),
        "run_totals": _totals(runs[:RECENT_RUNS], columns),
        "places": places,
        "topics": topics,
        "stack_key": next((key for key in _stacks(context["endpoints"], findings).values()), ""),
        **_unsettled(context, items, settled_keys),
    }


# Runs


def _history(runs: Sequence[ProbeRun], settled: set[str]) -> tuple[dict[str, list[Column]], dict[Key, list[Mark]]]:
    """Per endpoint's name its last runs; the last readings of each probe, endpoint and settled item; both oldest first
    (one query)."""
    order = {run.pk: place for place, run in enumerate(runs)}
    columns: dict[str, dict[int, Column]] = defaultdict(dict)
    marks: dict[Key, list[Mark]] = defaultdict(list)
    rows = (
        Finding.objects.filter(run__in=order)
        .order_by("-measured_at")
        .values_list("run_id", "endpoint_name", "probe", "item_key", "verdict", "observed", "unit", "measured_at")
    )
    for pk, name, probe, item, verdict, observed, unit, at in rows:
        state = STATES[Verdict(verdict)]
        if (place := order[pk]) < RECENT_RUNS:
            counts = columns[name].setdefault(pk, Column(runs[place])).counts
            counts[state] = counts.get(state, 0) + 1
        if item in settled and len(earlier := marks[name, probe, item]) < TREND:
            value = f" {observed}{' ' + unit if unit else ''}" if observed else ""
            earlier.append(Mark(state, number_in(observed), f"{when(at)}: {said(verdict)}{value}"))
    return (
        {name: [each[pk] for pk in reversed(order) if pk in each] for name, each in columns.items()},
        {key: each[::-1] for key, each in marks.items()},
    )


def _totals(runs: Sequence[ProbeRun], columns: Mapping[str, Sequence[Column]]) -> list[Column]:
    """Each run over all endpoints, newest first."""
    totals = {run.pk: Column(run) for run in runs}
    for column in (column for each in columns.values() for column in each):
        total = totals[column.run.pk].counts
        for state, count in column.counts.items():
            total[state] = total.get(state, 0) + count
    return list(totals.values())


# Topics


def _topics(
    findings: Sequence[Finding],
    items: Mapping[str, ItemView],
    settled_keys: set[str],
    marks: Mapping[Key, Sequence[Mark]],
    now: datetime,
) -> list[Topic]:
    """Items that were settled, contradictions first; an endpoint's inconclusive reading only if it has no other."""
    conclusive = {(f.item_key, f.endpoint_name) for f in findings if f.verdict != Verdict.INCONCLUSIVE}
    grouped: dict[str, list[Reading]] = defaultdict(list)
    for finding in findings:
        mine = (finding.item_key, finding.endpoint_name)
        if not finding.item_key or finding.item_key not in settled_keys:
            continue  # what was found of an endpoint itself stands with the endpoint
        if finding.verdict == Verdict.INCONCLUSIVE and (mine in conclusive or not finding.endpoint_name):
            continue
        before = marks.get((finding.endpoint_name, finding.probe, finding.item_key), ())
        grouped[finding.item_key].append(Reading(finding, now < finding.expires_at, before if len(before) > 1 else ()))
    for readings in grouped.values():
        readings.sort(key=lambda reading: (ORDER[Verdict(reading.finding.verdict)], reading.where))
    number = {key: place for place, key in enumerate(items)}
    topics = [Topic(items.get(key), readings) for key, readings in grouped.items()]
    return sorted(topics, key=lambda topic: (ORDER[Verdict(topic.verdict)], number.get(topic.key, -1)))


# Endpoints


def _place(
    endpoint: Endpoint, findings: Sequence[Finding], columns: Mapping[str, Sequence[Column]], now: datetime
) -> Place:
    mine = [f for f in findings if f.endpoint_id == endpoint.pk]
    schedule: ProbeSchedule | None = getattr(endpoint, "schedule", None)
    return Place(
        endpoint,
        max((f for f in mine if f.probe == "endpoint.health"), key=lambda f: f.measured_at, default=None),
        _recognised(endpoint, mine),
        columns.get(endpoint.name, ()),
        next_words(schedule.due_at if schedule else None, schedule.failures if schedule else 0, now),
        bool(schedule and schedule.failures),
        max((f.measured_at for f in mine), default=None),
    )


def next_words(due: datetime | None, failures: int, now: datetime) -> str:
    """When a place is probed next without being asked, and why that may be late."""
    if due is None:
        return "not scheduled"
    wait = (due - now).total_seconds()
    words = in_words(wait) if wait > 45 else "due now"
    if failures:
        runs = "the last run" if failures == 1 else f"the last {failures} runs"
        return f"{words}; nobody answered in {runs}, so it is asked less often"
    return words


def _recognised(endpoint: Endpoint, findings: Sequence[Finding]) -> Recognised | None:
    labels = dict(Stack.choices)
    declared = "" if endpoint.stack == Stack.AUTO else str(labels.get(endpoint.stack, endpoint.stack))
    found = max((f for f in findings if f.probe == "stack.recognition"), key=lambda f: f.measured_at, default=None)
    seen: Mapping[str, Any] = found.observation if found and isinstance(found.observation, dict) else {}
    key = str(seen.get("stack") or "")
    if found is None or seen.get("error") or key not in STACKS:
        return Recognised(declared, declared=declared) if declared else None
    sure, after = seen.get("sure"), str(seen.get("runner_up") or "")
    more = f"with {STACKS[str(seen['behind'])].label} behind it" if seen.get("behind") in STACKS else ""
    if seen.get("gateway"):
        more += f"{', ' if more else ''}through {seen['gateway']}"
    against = [str(one) for one in seen.get("against") or []]
    if after in STACKS:
        against.append(f"next likely: {STACKS[after].label}, {_percent(seen.get('runner_up_sure'))} %")
    return Recognised(
        STACKS[key].label,
        _percent(sure),
        Places().hide([str(one) for one in seen.get("signs") or []]),
        Places().hide(against),
        more,
        declared,
        found.verdict == Verdict.CONTRADICTED,
    )


def _percent(share: Any) -> int:
    return round(100 * share) if isinstance(share, int | float) else 0


def _stacks(endpoints: Iterable[Endpoint], findings: Iterable[Finding]) -> dict[int, str]:
    """Each endpoint's stack by its key: the owner's word first, else what was recognised, else what a probe saw."""
    found: dict[int, str] = {}
    for finding in sorted(findings, key=lambda f: f.probe != "stack.recognition"):
        seen = finding.observation if isinstance(finding.observation, dict) else {}
        key = str(seen.get("stack") or "")
        if finding.endpoint_id is not None and key in STACKS and not seen.get("error"):
            found.setdefault(finding.endpoint_id, key)
    return found | {each.pk: each.stack for each in endpoints if each.stack in STACKS}


# What would help


def _unsettled(context: Mapping[str, Any], items: Mapping[str, ItemView], settled: set[str]) -> dict[str, Any]:
    answers = {answer.item_id: answer for answer in context["answers"]}
    findings: list[Finding] = context["findings"]
    asked = [key for key, item in items.items() if _is_asked(answers.get(item.id))]
    open_items = [key for key in probed_items(asked) if key not in settled]
    claims = {key: answers[items[key].id].claims for key in open_items}
    known = _stacks(context["endpoints"], findings)
    here = {endpoint.pk: STACKS[known.get(endpoint.pk, GENERIC)] for endpoint in context["endpoints"]}
    found = helps(items=open_items, claims=claims, endpoints=context["endpoints"], findings=findings, stacks=known)
    inconclusive: dict[str, list[Finding]] = defaultdict(list)
    for finding in findings:
        if finding.verdict == Verdict.INCONCLUSIVE and finding.item_key in open_items:
            inconclusive[finding.item_key].append(finding)
    helped = {key for help in found for key in (*help.items, *help.partly)}
    rest: dict[str, list[tuple[ItemView | None, Finding | None]]] = defaultdict(list)
    never: set[str] = set()
    for key in (key for key in open_items if key not in helped):
        if here and (why := _why_never(key, here.values())):
            never.add(why)
            rest[why].append((items.get(key), next(iter(inconclusive[key]), None)))
            continue
        said = [f for f in inconclusive[key] if not _why_never(key, [_stack_at(f, here)], f.probe)]
        for finding in said:
            rest[finding.reason].append((items.get(key), finding))
        if here and not said:
            rest[UNTOLD].append((items.get(key), None))
    return {
        "suggestions": [_suggestion(help, context, items, inconclusive) for help in found],
        "unhelped": [
            Unhelped(reason, reason in never, rows)
            for reason, rows in sorted(rest.items(), key=lambda entry: -len(entry[1]))
        ],
        "unsettled_count": len(open_items),
        "probed_count": len(probed_items(asked)),
    }


def _why_never(item: str, stacks: Iterable[ServingStack], only: str = "") -> str:
    """Why no probe (or not this one) can settle an item on any of these stacks; empty if one can."""
    speaking = [probe for probe in PROBES.values() if item in probe.items and only in ("", probe.key)]
    whys = [probe.settles(item, stack) for stack in stacks for probe in speaking]
    return whys[0] if whys and all(whys) else ""


def _stack_at(finding: Finding, stacks: Mapping[int, ServingStack]) -> ServingStack:
    return stacks.get(finding.endpoint_id or 0, STACKS[GENERIC])


def _speaking(found: Sequence[Finding], help: Help) -> Finding | None:
    """Of an item's inconclusive findings the one that asks for this remedy, if any does."""
    return next((finding for finding in found if remedy_of(finding, finding.endpoint) == help.remedy), None)


def _is_asked(answer: Answer | None) -> bool:
    return answer is not None and answer.status != Status.NOT_APPLICABLE


def _suggestion(
    help: Help,
    context: Mapping[str, Any],
    items: Mapping[str, ItemView],
    inconclusive: Mapping[str, Sequence[Finding]],
) -> Suggestion:
    release: Release = context["release"]
    where = [release.model.slug, release.version]
    actions: list[Action] = []
    keys = help.items or help.partly
    if help.remedy == Remedy.CLAIM and context["can"]["answer"]:
        actions = [claim_action(items[keys[0]].section_key, keys[0], where)]
    elif help.remedy == Remedy.PROBE:
        ready = context["can"]["probe"]
        actions = [Action("Probe now", form="probe-now")] if ready else []
    elif help.remedy == Remedy.NETWORK:
        actions = [Action("Probe policy", reverse("web:networks"))] if context["can"]["change_policy"] else []
    elif help.remedy != Remedy.CLAIM and context["can"]["change_endpoints"]:
        targets: Sequence[Endpoint | None] = help.endpoints or [None]
        several = len(context["endpoints"]) > 1
        for endpoint in targets[:MOST_LINKS]:
            if (one := action(help.remedy, endpoint, where)) is not None:
                label = f"{one.label}: {endpoint.name}" if several and endpoint else one.label
                actions.append(Action(label, one.url, one.form))
    rows = [(items[key], _speaking(inconclusive.get(key, ()), help)) for key in (*help.items, *help.partly)]
    return Suggestion(
        WORDS[help.remedy].text,
        len(help.items),
        len(help.partly),
        actions,
        max(0, len(help.endpoints) - MOST_LINKS),
        rows,
    )
