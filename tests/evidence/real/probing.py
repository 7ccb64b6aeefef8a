"""One probe at a real server, and its judgement: the one place that knows how the product's probes are called."""

from __future__ import annotations

import json
from typing import Any

from checklists.evidence.probes import PROBES, Judgement, Observation, Target, Visit
from tests.evidence.loopback import loopback_client


def probe(target: Target, probe_key: str) -> Observation:
    """What a probe observes at a server, as it would be stored."""
    visit = Visit(target, loopback_client(timeout_s=20.0))
    return dict(json.loads(json.dumps(visit.clean(PROBES[probe_key].observe(visit)), allow_nan=False)))


def judge(probe_key: str, item_key: str | None, claims: dict[str, Any], observation: Observation) -> Judgement:
    """The verdict on a claim."""
    return PROBES[probe_key].judge(item_key, claims, observation)
