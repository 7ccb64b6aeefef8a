"""Keeping what a release answered when it was signed off, to tell later whether it is still that model."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from django.utils import timezone

from checklists.assessments.models import Answer
from checklists.evidence.models import Finding, ProbeRun, ProbeSchedule, ReferenceFingerprint, Verdict
from checklists.evidence.probes import PROBES, Observation
from checklists.evidence.probes.base import dict_of
from checklists.evidence.probes.generation.fingerprint import unsteady
from checklists.evidence.probes.generation.sameness import names_of, reference_of
from checklists.evidence.services.measurements import Measurement, Visited
from checklists.registry.models import Release

PROBE = "model.fingerprint"
NAMED = "identity.name-version"
MOST_OTHERS = 10


def is_steady(observation: Any) -> bool:
    """Whether a fingerprint was taken, and not of a server that contradicts itself: it would contradict others."""
    return bool(dict_of(observation).get("prompts")) and not unsteady(dict_of(observation.get("repeat")))


def keep_fingerprints(*, release: Release, submission_number: int) -> int:
    """Make each endpoint's newest fingerprint, if it is steady and what is claimed now was claimed then, the one that
    counts from now on; how many. Where the one before was contradicted, the endpoint is due again. Four queries."""
    rows = Finding.objects.current().filter(release=release, probe=PROBE).order_by("measured_at", "pk")
    newest = {row.endpoint_name: row for row in rows if dict_of(row.observation).get("prompts")}
    named = dict_of(Answer.objects.filter(release=release, item__key=NAMED).values_list("claims", flat=True).first())
    kept = [
        ReferenceFingerprint(
            release=release,
            endpoint_name=name,
            submission_number=submission_number,
            claims=named,
            prompts=finding.observation["prompts"],
            prompt_set=str(finding.observation.get("set", ""))[:20],
            taken_at=finding.measured_at,
        )
        for name, finding in newest.items()
        if is_steady(finding.observation) and finding.observation.get("named", names_of(named)) == names_of(named)
    ]
    ReferenceFingerprint.objects.bulk_create(
        kept,
        update_conflicts=True,
        unique_fields=["release", "endpoint_name"],
        update_fields=["submission_number", "claims", "prompts", "prompt_set", "taken_at"],
    )
    against = [row.endpoint_id for row in rows if row.verdict == Verdict.CONTRADICTED]
    ProbeSchedule.objects.filter(endpoint__in=against).update(due_at=timezone.now(), probed_at=None)
    return len(kept)


def taken_by(visits: Iterable[Visited]) -> dict[str, Observation]:
    """The steady fingerprints among what was just seen, by the endpoint's name."""
    return {
        visit.name: measurement.observation
        for visit in visits
        for measurement in visit.measurements
        if measurement.probe.key == PROBE and is_steady(measurement.observation)
    }


def recorded_in(run: ProbeRun) -> list[Finding]:
    """What this run has recorded already: to be compared with those that it takes of other endpoints."""
    rows = Finding.objects.current().filter(run=run, probe=PROBE, endpoint__isnull=False)
    return [row for row in rows.select_related("endpoint").order_by("pk") if is_steady(row.observation)]


def measured(finding: Finding) -> Measurement:
    """What a stored finding rests on."""
    requests = finding.detail.get("requests", [])
    return Measurement(PROBES[finding.probe], finding.observation, requests, finding.measured_at)


def beside_others(measurement: Measurement, name: str, taken: Mapping[str, Observation]) -> Measurement:
    """A fingerprint beside those that the same run took of other endpoints: an older one may be that of a model which
    they serve no more. Any other measurement as it is."""
    if measurement.probe.key != PROBE or not measurement.observation.get("prompts"):
        return measurement
    found = (
        reference_of({"endpoint": other, "prompts": seen["prompts"], "set": seen.get("set", "")})
        for other, seen in sorted(taken.items())
        if other != name
    )
    others = [reference for reference in found if reference][:MOST_OTHERS]
    return replace(measurement, observation={**measurement.observation, "others": others})


class Fingerprints:
    """What a release's endpoints answered at sign-off (one query)."""

    def __init__(self, release: Release) -> None:
        self._kept = {
            row.endpoint_name: {
                "endpoint": row.endpoint_name,
                "claims": row.claims,
                "prompts": row.prompts,
                "set": row.prompt_set,
                "taken_at": row.taken_at.isoformat(),
            }
            for row in ReferenceFingerprint.objects.filter(release=release).order_by("pk")
        }

    def facts(self, endpoint_name: str) -> dict[str, Any]:
        """For ``Target.facts``: the ``fingerprint`` of this endpoint, of another one if it is new since sign-off."""
        first = next(iter(self._kept.values()), None)
        return {"fingerprint": self._kept.get(endpoint_name, first)}
