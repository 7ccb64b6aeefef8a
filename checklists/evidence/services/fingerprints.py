"""Keeping what a release answered when it was signed off, to tell later whether it is still that model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.utils import timezone

from checklists.assessments.models import Answer
from checklists.evidence.models import Finding, ProbeSchedule, ReferenceFingerprint, Verdict
from checklists.evidence.probes.base import dict_of
from checklists.evidence.probes.generation.fingerprint import unsteady
from checklists.evidence.probes.generation.sameness import names_of, reference_of
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


def beside(endpoint_name: str, taken: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The steady ones of other endpoints' observations (by name), to compare an endpoint's with."""
    found = (
        reference_of({"endpoint": name, "prompts": seen["prompts"], "set": seen.get("set", "")})
        for name, seen in sorted(taken.items())
        if name != endpoint_name and is_steady(seen)
    )
    return [reference for reference in found if reference][:MOST_OTHERS]


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
