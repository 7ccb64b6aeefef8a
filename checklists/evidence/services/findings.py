"""What was measured becomes findings: judged against the claims as they stand, stored once, told to the journal."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any, NamedTuple

from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from checklists import journal
from checklists.assessments.models import Answer
from checklists.catalog.editions import view
from checklists.evidence.models import Finding, FreshnessRule, ProbeRun, Transcript, Verdict
from checklists.evidence.places import Places
from checklists.evidence.probes import PROBES, Claims, Judgement, Observation, Probe
from checklists.evidence.redaction import redact
from checklists.evidence.services.fingerprints import beside_others, measured, recorded_in, taken_by
from checklists.evidence.services.measurements import Measurement, Visited
from checklists.evidence.services.runs import hold, subject_of
from checklists.evidence.services.schedule import HOW_ASKED, plan_next
from checklists.evidence.transcripts import packed
from checklists.journal.models import Event
from checklists.registry.models import Endpoint, Release
from checklists.registry.services import URL_FIELDS, lock_release

WORDS = ("verdict", "claimed", "observed", "unit", "reason")
UNIQUE = ("run", "endpoint_name", "probe", "item_key")
# What is read by way of an endpoint's monitoring, by the field that says where or what of it.
MONITORING = {"prometheus_url": "prometheus", "labels": "prometheus", "alertmanager_url": "alertmanager"}


class Judge:
    """A release's claims and rules as they stand, ready to judge whatever was observed (four queries)."""

    def __init__(self, release: Release) -> None:
        self.release = release
        self.items = {item.key: item.id for item in view(release.edition).items}
        by_id = dict(Answer.objects.filter(release=release).values_list("item_id", "claims"))
        self.claims = {key: by_id[pk] for key, pk in self.items.items() if pk in by_id}
        tier = release.model.tier
        rules = FreshnessRule.objects.filter(tier__in=[0, tier]).order_by("tier").values_list("item_key", "hours")
        self._hours = dict(rules)  # the tier's own rule comes last and stands
        rows = Endpoint.objects.filter(release=release).values_list(*URL_FIELDS)
        self._places = Places((url for row in rows for url in row), self.claims)
        self._unseen: dict[tuple[str, str | None, str], Judgement] = {}

    def judge(self, probe: Probe, item_key: str | None, observation: Observation) -> Judgement:
        if "error" not in observation:
            return self._judged(probe, item_key, observation)
        # What could not be asked at one endpoint often cannot at the next.
        key = probe.key, item_key, repr(observation)
        if key not in self._unseen:
            self._unseen[key] = self._judged(probe, item_key, observation)
        return self._unseen[key]

    def _judged(self, probe: Probe, item_key: str | None, observation: Observation) -> Judgement:
        others: dict[str, Claims] = {key: self.claims.get(key, {}) for key in probe.also_reads}
        found = probe.judge(item_key, self.claims.get(item_key or "", {}), observation, others)
        return publicly(found, observation, self._places)

    def ttl(self, probe: Probe, item_key: str | None) -> timedelta:
        """How long a finding counts: an administrator's rule for the item, else the probe's own time."""
        hours = self._hours.get(item_key or "")
        return timedelta(hours=hours) if hours else probe.ttl

    def findings(self, run: ProbeRun | None, endpoint: Endpoint | None, measurement: Measurement) -> list[Finding]:
        """One finding, not saved, for every item the observation speaks to and this release is asked."""
        probe, rows = measurement.probe, []
        for item_key in probe.speaks_to(measurement.observation):
            if item_key is not None and item_key not in self.claims:
                continue  # not asked of this family
            finding = Finding(
                run_id=run.pk if run else None,
                release_id=self.release.pk,
                item_id=self.items[item_key] if item_key is not None else None,
                item_key=item_key or "",
                endpoint_id=endpoint.pk if endpoint else None,
                endpoint_name=endpoint.name if endpoint else "",
                probe=probe.key,
                probe_version=str(probe.version),
                observation=measurement.observation,
                detail={"requests": [dict(request) for request in measurement.requests]},
                measured_at=measurement.measured_at,
                expires_at=measurement.measured_at + self.ttl(probe, item_key),
            )
            put(finding, self.judge(probe, item_key, measurement.observation))
            rows.append(finding)
        return rows


def publicly(found: Judgement, observation: Observation, places: Places) -> Judgement:
    """The judgement as everybody may read it who sees the release; where it was read, only the observation tells."""
    told = {name: getattr(found, name) for name in ("observed", "reason", "rule", "histogram")}
    return replace(found, **places.hide(told, beside=observation))


def put(finding: Finding, judgement: Judgement) -> None:
    """Write a judgement into a finding; nothing that looks like a token gets through."""
    finding.verdict = judgement.verdict
    finding.claimed = _within(500, redact(judgement.claimed))
    finding.observed = _within(500, redact(judgement.observed))
    finding.unit = judgement.unit[:40]
    finding.reason = _within(1000, redact(judgement.reason))
    finding.detail = {**finding.detail, "rule": judgement.rule, "samples": judgement.samples}
    if judgement.histogram:
        finding.detail["histogram"] = redact(dict(judgement.histogram))
    else:
        finding.detail.pop("histogram", None)


def _within(most: int, text: str) -> str:
    """A text that shows where it was cut."""
    return text if len(text) <= most else f"{text[: most - 1]}…"


@transaction.atomic
def record_findings(*, run: ProbeRun, visits: Iterable[Visited]) -> list[Finding]:
    """Judge what was measured and store it, all in one transaction. Raises ``LeaseLost``.

    Claims are read under the release's lock, so a save of an answer comes wholly before or wholly after. Recording the
    same endpoint again for the same run changes nothing, and what was seen of one that was changed meanwhile is left:
    it is due again. A constant number of queries for any number of visits.
    """
    release = lock_release(run.release_id)
    row = hold(run=run)
    recorded = set(Finding.objects.filter(run=row).values_list("endpoint_name", flat=True).distinct())
    present = {endpoint.pk: _how_asked(endpoint) for endpoint in Endpoint.objects.filter(release=release)}
    new = [
        visit
        for visit in visits
        if visit.name not in recorded
        and (visit.endpoint is None or present.get(visit.endpoint.pk) == _how_asked(visit.endpoint))
    ]
    judge, taken = Judge(release), taken_by(new)
    known = recorded_in(row) if taken else []
    taken |= {finding.endpoint_name: finding.observation for finding in known}
    findings = [
        finding
        for visit in new
        for measurement in visit.measurements
        for finding in judge.findings(row, visit.endpoint, beside_others(measurement, visit.name, taken))
    ]
    if not findings:
        return []
    again = [
        finding
        for old in {old.endpoint_name: old for old in known}.values()
        for finding in judge.findings(row, old.endpoint, beside_others(measured(old), old.endpoint_name, taken))
    ]
    earlier = _standing(row, [visit.endpoint_id for visit in new] + [old.endpoint_id for old in known])
    unchanged = _unchanged(earlier, findings)
    Finding.objects.bulk_create([each for each in findings if _key(each) not in unchanged], ignore_conflicts=True)
    _carry_on(row, findings, unchanged)
    Finding.objects.bulk_create(
        again, update_conflicts=True, unique_fields=UNIQUE, update_fields=[*WORDS, "observation", "detail"]
    )
    gone = set(_superseded(earlier, [*findings, *again])) - set(unchanged.values())
    Finding.objects.filter(pk__in=gone).update(current=False)
    Transcript.objects.bulk_create(_transcripts(row, new), ignore_conflicts=True)
    plan_next(release=release, reached={visit.endpoint_id: visit.reached for visit in new})
    journal.record(
        verb="evidence.findings.recorded",
        actor=None,
        subject=subject_of(release, row),
        release_id=release.pk,
        data={
            "run": row.pk,
            "endpoint": ", ".join(visit.name for visit in new if visit.name)[:500],
            **_counts(findings),
            "changes": _changes([*earlier, *map(_stood, known)], [*findings, *again]),
        },
    )
    return findings


def _how_asked(endpoint: Endpoint) -> list[Any]:
    return [getattr(endpoint, name) for name in HOW_ASKED]


class Stood(NamedTuple):
    """A finding that stood before, as far as it is compared with a new one."""

    pk: int
    endpoint_id: int | None
    probe: str
    item_key: str
    verdict: str
    claimed: str
    observed: str
    unit: str
    reason: str


def _stood(finding: Finding) -> Stood:
    return Stood(*(getattr(finding, name) for name in Stood._fields))


def _standing(run: ProbeRun, places: Sequence[int | None]) -> list[Stood]:
    """What earlier runs left standing at these endpoints (``None``: at the release itself), oldest first."""
    there = Q(endpoint__in=[place for place in places if place is not None])
    if None in places:
        there |= Q(endpoint=None)
    rows = Finding.objects.current().filter(there, release=run.release_id).exclude(run=run)
    return [Stood(*values) for values in rows.order_by("measured_at", "pk").values_list(*Stood._fields)]


def _unchanged(earlier: Iterable[Stood], new: Iterable[Finding]) -> dict[tuple[int | None, str, str], int]:
    """Findings that say once more that there is nothing to ask (no address, no permission): the rows that said so
    before, by key. They are carried on to the present run instead of being written again."""
    silent = {
        _key(finding): finding
        for finding in new
        if finding.verdict == Verdict.INCONCLUSIVE and not finding.detail["requests"]
    }
    return {
        _key(old): old.pk
        for old in earlier
        if (again := silent.get(_key(old))) is not None
        and all(getattr(old, name) == getattr(again, name) for name in WORDS)
    }


def _carry_on(run: ProbeRun, new: Iterable[Finding], unchanged: Mapping[tuple[int | None, str, str], int]) -> None:
    lasting: dict[timedelta, list[int]] = defaultdict(list)
    for finding in new:
        if (pk := unchanged.get(_key(finding))) is not None:
            lasting[finding.expires_at - finding.measured_at].append(pk)
    now = timezone.now()
    for lasts, pks in lasting.items():
        Finding.objects.filter(pk__in=pks).update(run=run, measured_at=now, expires_at=now + lasts, expired_at=None)


def _transcripts(run: ProbeRun, visits: Iterable[Visited]) -> list[Transcript]:
    return [
        Transcript(
            run=run,
            endpoint_name=visit.name,
            packed=packed(visit.exchanges),
            created_at=visit.measurements[0].measured_at,
        )
        for visit in visits
        if visit.measurements and visit.exchanges
    ]


def _key(finding: Finding | Stood) -> tuple[int | None, str, str]:
    return finding.endpoint_id, finding.probe, finding.item_key


def _superseded(earlier: Iterable[Stood], new: Iterable[Finding]) -> list[int]:
    """Which earlier findings stop to stand. An inconclusive one replaces no conclusive one: a dead endpoint clears
    nothing. What a probe no longer speaks to goes."""
    fresh = {_key(finding): finding.verdict for finding in new}
    ran = {(endpoint, probe) for endpoint, probe, _ in fresh}
    gone = []
    for finding in earlier:
        verdict = fresh.get(_key(finding))
        if verdict is None:
            replaced = (finding.endpoint_id, finding.probe) in ran
        else:
            replaced = verdict != Verdict.INCONCLUSIVE or finding.verdict == Verdict.INCONCLUSIVE
        if replaced:
            gone.append(finding.pk)
    return gone


def _counts(findings: Iterable[Finding]) -> dict[str, int]:
    counts = dict.fromkeys(Verdict.values, 0)
    for finding in findings:
        counts[finding.verdict] += 1
    return counts


def _changes(earlier: Iterable[Stood], new: Iterable[Finding]) -> list[dict[str, str]]:
    """Items whose verdict is another one than before; ``earlier`` come oldest first."""
    stood: dict[tuple[int | None, str, str], str] = {}
    for finding in sorted(earlier, key=lambda finding: finding.verdict != Verdict.INCONCLUSIVE):
        stood[_key(finding)] = finding.verdict
    return [
        {"item": f.item_key, "probe": f.probe, "before": stood.get(_key(f), ""), "after": f.verdict}
        for f in new
        if f.item_key and stood.get(_key(f), "") != f.verdict
    ]


def rejudge(event: Event) -> None:
    """Subscriber: an answer's claims changed, so what was observed is judged again; nothing is fetched.

    Same run, same time of measurement, same expiry; findings of other items that rest on these claims too. A constant
    number of queries.
    """
    if "claims" not in event.data["changed"]:
        return
    answer = Answer.objects.select_related("item", "release__model", "release__edition").get(pk=event.data["answer"])
    release, item_key = answer.release, answer.item.key
    judge = Judge(release)
    touched = [probe for probe in PROBES.values() if item_key in probe.also_reads]
    findings = [
        finding
        for finding in Finding.objects.current()
        .filter(Q(item_id=answer.item_id) | Q(probe__in=[probe.key for probe in touched]), release=release)
        .order_by("measured_at", "pk")
        if finding.probe in PROBES and finding.run_id is not None
    ]
    before = {finding.pk: finding.verdict for finding in findings}
    for finding in findings:
        put(finding, judge.judge(PROBES[finding.probe], finding.item_key or None, finding.observation))
    _settle(findings)
    Finding.objects.bulk_update(findings, [*WORDS, "detail", "current"])
    changes = [
        {"item": f.item_key, "probe": f.probe, "endpoint": f.endpoint_name, "before": before[f.pk], "after": f.verdict}
        for f in findings
        if before[f.pk] != f.verdict
    ]
    if changes:
        journal.record(
            verb="evidence.findings.rejudged",
            actor=None,
            subject=event.subject,
            release_id=answer.release_id,
            data={"answer": answer.pk, "revision": answer.revision, "changes": changes},
            at=event.at,
        )


def _settle(findings: Iterable[Finding]) -> None:
    """Of each endpoint and probe only the newest conclusive finding stands, and a newer inconclusive one beside it.

    ``findings`` come oldest first.
    """
    newest: dict[tuple[int | None, str, str], Finding] = {}
    for finding in findings:
        key = _key(finding)
        known = newest.get(key)
        if known is not None and (finding.verdict != Verdict.INCONCLUSIVE or known.verdict == Verdict.INCONCLUSIVE):
            known.current = False
        if known is None or finding.verdict != Verdict.INCONCLUSIVE or not known.current:
            newest[key] = finding


def retire_findings(event: Event) -> None:
    """Subscriber: an endpoint is gone, or its address is another one; what was measured there stands no longer.

    Nor does what its monitoring said, of it or of the release, when that is another one.
    """
    changed = set(event.data.get("changed", ["url"]))
    endpoint_id = int(event.subject.rpartition("/")[2])
    moved = {MONITORING[name] for name in changed & MONITORING.keys()}
    there = Q()
    if changed & {"url", "metrics_url", "stack"}:
        there |= Q(endpoint=endpoint_id)
        moved.add("prometheus")
    told = [probe for probe in PROBES.values() if moved.intersection(probe.reads)]
    there |= Q(endpoint=endpoint_id, probe__in=[probe.key for probe in told])
    there |= Q(endpoint=None, probe__in=[probe.key for probe in told if probe.about == "release"])
    Finding.objects.current().filter(there, release=event.release_id).update(current=False)
