"""What a release's metrics pages counted when they were last read, for the difference to what they count now."""

from __future__ import annotations

from typing import Any

from checklists.evidence.models import Finding
from checklists.registry.models import Release

PROBE = "metrics.latency"


class LastPages:
    """The newest counts of each endpoint (one query)."""

    def __init__(self, release: Release) -> None:
        rows = Finding.objects.current().filter(release=release, probe=PROBE).order_by("measured_at", "pk")
        self._seen = {
            name: seen
            for name, seen in rows.values_list("endpoint_name", "observation")
            if isinstance(seen, dict) and seen.get("histograms")
        }

    def facts(self, endpoint_name: str) -> dict[str, Any]:
        """For ``Target.facts``: the ``page`` as it was observed, or ``None``."""
        return {"page": self._seen.get(endpoint_name)}
