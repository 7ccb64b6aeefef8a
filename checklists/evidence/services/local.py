"""Probes that send nothing: they judge at once, whether a run was ever asked for or not."""

from __future__ import annotations

from collections.abc import Coroutine
from datetime import timedelta
from typing import Any

from django.utils import timezone

from checklists import journal
from checklists.evidence.client import Client, Policy
from checklists.evidence.facts import release_facts
from checklists.evidence.models import Finding
from checklists.evidence.probes import PROBES, Observation, Probe, Target, Visit
from checklists.evidence.services.findings import WORDS, Judge
from checklists.evidence.services.measurements import Measurement
from checklists.journal.models import Event
from checklists.registry.models import Release

FOREVER = timedelta(days=3650)  # arithmetic does not go stale


def judge_locally(event: Event) -> None:
    """Subscriber: claims of a release changed, or it was created with those of another; probes that only reckon do so.

    Their findings belong to no run; each replaces its predecessor.
    """
    changed = event.data.get("changed")
    if event.verb == "assessments.answer.saved" and "claims" not in (changed or []):
        return
    probes = [probe for probe in PROBES.values() if probe.local]
    if event.verb == "assessments.answer.saved":
        item_key = event.subject.rpartition("/")[2]
        probes = [probe for probe in probes if item_key in (*probe.items, *probe.also_reads)]
    if not probes:
        return
    release = Release.objects.select_related("model__team", "edition").get(pk=event.release_id)
    judge, facts, now = Judge(release), release_facts(release), timezone.now()
    earlier = {
        (finding.probe, finding.item_key): finding
        for finding in Finding.objects.filter(release=release, run=None, probe__in=[probe.key for probe in probes])
    }
    target = Target(name="", url="", family=release.model.family, claims=judge.claims, facts=facts)
    new, changes = [], []
    for probe in probes:
        for finding in judge.findings(None, None, Measurement(probe, _reckoned(probe, target), (), now)):
            known = earlier.pop((finding.probe, finding.item_key), None)
            if known is not None and all(getattr(known, name) == getattr(finding, name) for name in WORDS):
                continue
            finding.expires_at = now + FOREVER
            new.append(finding)
            if known is not None:
                known.delete()
            before = known.verdict if known else ""
            if before != finding.verdict:
                changes.append(
                    {"item": finding.item_key, "probe": finding.probe, "before": before, "after": finding.verdict}
                )
    Finding.objects.filter(pk__in=[finding.pk for finding in earlier.values()]).delete()
    Finding.objects.bulk_create(new)
    if changes:
        journal.record(
            verb="evidence.findings.rejudged",
            actor=None,
            subject=event.subject,
            release_id=release.pk,
            data={"changes": changes},
            at=event.at,
        )


def _reckoned(probe: Probe, target: Target) -> Observation:
    """What a probe that sends nothing has to go on. It has nothing to wait for, so no event loop is needed."""
    visit = Visit(target, Client(Policy()).session())
    waiting: Coroutine[Any, Any, Observation] = probe.observe(visit)
    try:
        waiting.send(None)
    except StopIteration as done:
        observation: Observation = done.value
        return visit.clean(observation)
    waiting.close()
    raise RuntimeError(f"{probe.key} is declared local, but waits for something")
