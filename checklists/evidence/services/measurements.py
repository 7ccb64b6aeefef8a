"""What a run brings home, before it is judged."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from checklists.evidence.probes import Observation, Probe
from checklists.evidence.transcripts import Exchange
from checklists.registry.models import Endpoint


@dataclass(frozen=True)
class Measurement:
    """What one probe saw at one endpoint, already without secrets, and the requests it took."""

    probe: Probe
    observation: Observation
    requests: Sequence[Mapping[str, Any]]
    measured_at: datetime


@dataclass(frozen=True)
class Visited:
    """What a run saw at one endpoint (``None``: at the release itself), and the answers that may be kept."""

    endpoint: Endpoint | None
    measurements: Sequence[Measurement]
    exchanges: Sequence[Exchange] = field(default_factory=tuple)
    reached: bool = True  # whether the endpoint itself answered anything

    @property
    def name(self) -> str:
        return self.endpoint.name if self.endpoint else ""

    @property
    def endpoint_id(self) -> int | None:
        return self.endpoint.pk if self.endpoint else None
