"""What was measured becomes findings: judged against the claims as they stand, stored once, told to the journal."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import transaction

from checklists import journal
from checklists.assessments.models import Answer
from checklists.catalog.editions import view
from checklists.evidence.models import Finding, ProbeRun, Verdict
from checklists.evidence.probes import PROBES, Judgement, Observation, Probe
from checklists.evidence.redaction import redact
from checklists.evidence.services.runs import hold, subject_of
from checklists.journal.models import Event
from checklists.registry.models import Endpoint, Release
from checklists.registry.services import lock_release

WORDS = ("verdict", "claimed", "observed", "unit", "reason")


@dataclass(frozen=True)
class Measurement:
    """What one probe saw at one endpoint, already without secrets, and the requests it took."""

    probe: Probe
    observation: Observation
    requests: Sequence[Mapping[str, Any]]
    measured_at: datetime


@transaction.atomic
def record_findings(*, run: ProbeRun, endpoint: Endpoint, measurements: Iterable[Measurement]) -> list[Finding]:
    """Judge one endpoint's measurements and store them, in one transaction. Raises ``LeaseLost``.

    Claims are read under the release's lock, so a save of an answer comes wholly before or wholly after. Recording the
    same endpoint again for the same run changes nothing.
    """
    release = lock_release(run.release_id)
    row = hold(run=run)
    measured = list(measurements)
    present = Endpoint.objects.filter(pk=endpoint.pk, url=endpoint.url, metrics_url=endpoint.metrics_url).exists()
    if Finding.objects.filter(run=row, endpoint_name=endpoint.name).exists():
        return []
    findings = _judged(release, row, endpoint, measured) if present else []
    earlier = list(
        Finding.objects.current()
        .filter(release=release, endpoint_id=endpoint.pk)
        .exclude(run=row)
        .only("pk", "probe", "item_key", "verdict", "measured_at")
    )
    if findings:
        Finding.objects.bulk_create(findings, ignore_conflicts=True)
        Finding.objects.filter(pk__in=_superseded(earlier, findings)).update(current=False)
    row.progress_done = min(row.progress_total, row.progress_done + 1)
    row.save(update_fields=["progress_done"])
    if findings:
        journal.record(
            verb="evidence.findings.recorded",
            actor=None,
            subject=subject_of(release, row),
            release_id=release.pk,
            data={
                "run": row.pk,
                "endpoint": endpoint.name,
                **_counts(findings),
                "changes": _changes(earlier, findings),
            },
        )
    return findings


def _judged(release: Release, run: ProbeRun, endpoint: Endpoint, measured: list[Measurement]) -> list[Finding]:
    item_ids = {item.key: item.id for item in view(release.edition).items}
    claims = dict(Answer.objects.filter(release=release).values_list("item_id", "claims"))
    findings = []
    for measurement in measured:
        probe = measurement.probe
        for item_key in probe.speaks_to(measurement.observation):
            item_id = item_ids.get(item_key) if item_key is not None else None
            if item_key is not None and item_id not in claims:
                continue  # not asked of this family
            judgement = probe.judge(item_key, claims[item_id] if item_id is not None else {}, measurement.observation)
            finding = Finding(
                run=run,
                release=release,
                item_id=item_id,
                item_key=item_key or "",
                endpoint_id=endpoint.pk,
                endpoint_name=endpoint.name,
                probe=probe.key,
                probe_version=str(probe.version),
                observation=measurement.observation,
                measured_at=measurement.measured_at,
                expires_at=measurement.measured_at + probe.ttl,
            )
            _put(finding, judgement)
            finding.detail["requests"] = [dict(request) for request in measurement.requests]
            findings.append(finding)
    return findings


def _put(finding: Finding, judgement: Judgement) -> None:
    """Write a judgement into a finding; nothing that looks like a token gets through."""
    finding.verdict = judgement.verdict
    finding.claimed = redact(judgement.claimed)[:500]
    finding.observed = redact(judgement.observed)[:500]
    finding.unit = judgement.unit[:40]
    finding.reason = redact(judgement.reason)[:1000]
    finding.detail = {**finding.detail, "rule": judgement.rule, "samples": judgement.samples}


def _superseded(earlier: Iterable[Finding], new: Iterable[Finding]) -> list[int]:
    """Which earlier findings stop to stand. An inconclusive one replaces no conclusive one: a dead endpoint clears
    nothing. What a probe no longer speaks to goes."""
    fresh = {(finding.probe, finding.item_key): finding.verdict for finding in new}
    probes = {probe for probe, _ in fresh}
    gone = []
    for finding in earlier:
        verdict = fresh.get((finding.probe, finding.item_key))
        if verdict is None:
            replaced = finding.probe in probes
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


def _changes(earlier: Iterable[Finding], new: Iterable[Finding]) -> list[dict[str, str]]:
    """Items whose verdict is another one than before."""
    stood: dict[tuple[str, str], str] = {}
    for finding in sorted(earlier, key=lambda f: (f.verdict != Verdict.INCONCLUSIVE, f.measured_at)):
        stood[finding.probe, finding.item_key] = finding.verdict
    return [
        {"item": f.item_key, "probe": f.probe, "before": stood.get((f.probe, f.item_key), ""), "after": f.verdict}
        for f in new
        if f.item_key and stood.get((f.probe, f.item_key), "") != f.verdict
    ]


def rejudge(event: Event) -> None:
    """Subscriber: an answer's claims changed, so what was observed is judged again; nothing is fetched.

    Same run, same time of measurement, same expiry. A constant number of queries.
    """
    if "claims" not in event.data["changed"]:
        return
    answer = Answer.objects.select_related("release__model").get(pk=event.data["answer"])
    findings = list(
        Finding.objects.current()
        .filter(release_id=answer.release_id, item_id=answer.item_id)
        .order_by("measured_at", "pk")
    )
    before = {finding.pk: finding.verdict for finding in findings}
    for finding in findings:
        if (probe := PROBES.get(finding.probe)) is not None:
            _put(finding, probe.judge(finding.item_key, answer.claims, finding.observation))
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
    newest: dict[tuple[int | None, str], Finding] = {}
    for finding in findings:
        key = (finding.endpoint_id, finding.probe)
        known = newest.get(key)
        if known is not None and (finding.verdict != Verdict.INCONCLUSIVE or known.verdict == Verdict.INCONCLUSIVE):
            known.current = False
        if known is None or finding.verdict != Verdict.INCONCLUSIVE or not known.current:
            newest[key] = finding


def retire_findings(event: Event) -> None:
    """Subscriber: an endpoint is gone, or its address is another one; what was measured there stands no longer."""
    changed = set(event.data.get("changed", ["url"]))
    if not changed & {"url", "metrics_url", "stack"}:
        return
    endpoint_id = int(event.subject.rpartition("/")[2])
    Finding.objects.current().filter(release_id=event.release_id, endpoint_id=endpoint_id).update(current=False)
