"""Keeping what a release answered when it was signed off, to tell later whether it is still that model."""

from __future__ import annotations

from typing import Any

from checklists.assessments.models import Answer
from checklists.evidence.models import Finding, ReferenceFingerprint
from checklists.evidence.probes.base import dict_of
from checklists.evidence.probes.generation.fingerprint import unsteady
from checklists.registry.models import Release

PROBE = "model.fingerprint"
NAMED = "identity.name-version"


def _latest(release: Release) -> dict[str, Finding]:
    """The newest fingerprint of each endpoint, by its name; of a server that contradicts itself none: it would
    contradict others."""
    rows = Finding.objects.current().filter(release=release, probe=PROBE).order_by("measured_at", "pk")
    newest = {
        row.endpoint_name: row for row in rows if isinstance(row.observation, dict) and row.observation.get("prompts")
    }
    return {name: row for name, row in newest.items() if not unsteady(dict_of(row.observation.get("repeat")))}


def keep_fingerprints(*, release: Release, submission_number: int) -> int:
    """Make each endpoint's newest fingerprint, if it is steady, the one that counts from now on; how many. Four
    queries."""
    named = Answer.objects.filter(release=release, item__key=NAMED).values_list("claims", flat=True).first()
    rows = [
        ReferenceFingerprint(
            release=release,
            endpoint_name=name,
            submission_number=submission_number,
            claims=named if isinstance(named, dict) else {},
            prompts=finding.observation["prompts"],
            prompt_set=str(finding.observation.get("set", ""))[:20],
            taken_at=finding.measured_at,
        )
        for name, finding in _latest(release).items()
    ]
    ReferenceFingerprint.objects.bulk_create(
        rows,
        update_conflicts=True,
        unique_fields=["release", "endpoint_name"],
        update_fields=["submission_number", "claims", "prompts", "prompt_set", "taken_at"],
    )
    return len(rows)


class Fingerprints:
    """What a release's endpoints answered at sign-off, and lately (two queries)."""

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
        self._newest = [
            {"endpoint": name, "prompts": row.observation["prompts"], "set": row.observation.get("set", "")}
            for name, row in _latest(release).items()
        ]

    def facts(self, endpoint_name: str) -> dict[str, Any]:
        """For ``Target.facts``: the ``fingerprint`` of this endpoint (of another one if it is new since sign-off), and
        the newest ``fingerprints`` of all."""
        first = next(iter(self._kept.values()), None)
        return {"fingerprint": self._kept.get(endpoint_name, first), "fingerprints": self._newest}
