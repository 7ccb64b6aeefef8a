"""When replicas started: the first minutes after that are compared with the time after them."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from checklists.evidence.probes.prometheus.base import Scope
from checklists.evidence.probes.visit import Observation
from checklists.evidence.sources.prometheus import STEP_S, Reading, Series

LOOK_BACK_S = 2 * 86_400
EARLY_S = 600
FEW = 20.0  # requests that a process may have answered before it was scraped
TRIED = 3  # of the newest restarts


@dataclass(frozen=True)
class Restart:
    """A replica's start as its own counters show it: between ``at`` and one step before."""

    instance: str
    at: float


async def restarts(scope: Scope) -> tuple[list[Restart], Observation]:
    """The newest starts of the last two days that lie more than an hour back; and what went wrong, if anything."""
    counters = [name for name, _ in scope.candidates("requests_success_total", "requests_total")]
    counters += [f"{name}_count" for name, _ in scope.histograms("end_to_end_seconds", "first_token_seconds")]
    if not counters:
        return [], {"error": "no_counter", "why": "No counter of requests is kept, so starts cannot be seen."}
    reading = await scope.prometheus.range(f"sum by (instance) ({scope.own(counters[0])})", LOOK_BACK_S)
    if reading.error:
        return [], reading.problem
    return starts(reading, time.time()), {}


def starts(reading: Reading, now: float) -> list[Restart]:
    """Where a counter begins inside the window, or falls. Pure."""
    found = []
    for series in reading.series:
        before: tuple[float, float] | None = None
        for at, value in series.points:
            begins = before is None and at > now - LOOK_BACK_S + 3 * STEP_S
            if (begins or (before is not None and value < before[1])) and _is_new(series, at, value):
                found.append(Restart(series.labels.get("instance", ""), at))
            before = (at, value)
    old = [start for start in found if start.instance and start.at < now - 3600]
    return sorted(old, key=lambda start: -start.at)[:TRIED]


def _is_new(series: Series, at: float, value: float) -> bool:
    """Whether a counter counts from a start: not one of an old process that was only scraped from then on."""
    then = next((later for when, later in series.points if when >= at + EARLY_S), value)
    return value <= max(then - value, FEW)


async def early_and_late(
    scope: Scope, start: Restart, name: str, labels: Mapping[str, str], by: str
) -> tuple[Reading, Reading]:
    """What a counter had gained ten minutes after a start, and what it gained from then on, ``sum by`` a label."""
    mine = scope.own(name, {**labels, "instance": start.instance})
    turn = start.at + EARLY_S
    early = await scope.prometheus.instant(f"sum by ({by}) ({mine})", at=turn)
    late = await scope.prometheus.instant(f"sum by ({by}) (increase({mine}[{max(int(time.time() - turn), 60)}s]))")
    return early, late


def counts_by(reading: Reading, label: str) -> dict[str, float]:
    """A reading as ``{label's value in lower case: count}``, for what is finite."""
    found: dict[str, Any] = {}
    for series in reading.series:
        key = series.labels.get(label, "").casefold()
        if series.value == series.value and abs(series.value) < 1e18:  # no NaN
            found[key] = found.get(key, 0.0) + series.value
    return found
