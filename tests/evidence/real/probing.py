"""One probe at a real server, and its judgement: the one place that knows how the product's probes are called."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from checklists.evidence.probes import PROBES, Judgement, Observation, Target
from checklists.evidence.probes.base import NONE
from tests.evidence import loopback


def probe(target: Target, probe_key: str) -> Observation:
    """What a probe observes at a server, as it would be stored."""
    observation, _ = loopback.observe(probe_key, target, loopback.loopback_client(timeout_s=20.0))
    return dict(json.loads(json.dumps(observation, allow_nan=False)))


def judge(
    probe_key: str,
    item_key: str | None,
    claims: dict[str, Any],
    observation: Observation,
    others: Mapping[str, Mapping[str, Any]] = NONE,
) -> Judgement:
    """The verdict on a claim, beside the claims of other items."""
    return PROBES[probe_key].judge(item_key, claims, observation, others)
