"""What the database knows of a release, as far as probes may know it."""

from __future__ import annotations

from typing import Any

from checklists.registry.models import Release


def release_facts(release: Release) -> dict[str, Any]:
    """Facts for ``Target.facts``, by name; JSON, no secrets. A constant number of queries."""
    return {}
