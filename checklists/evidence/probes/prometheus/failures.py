"""Answers that were no good, by the label that says why: for every counter of such answers the endpoint has."""

from __future__ import annotations

from checklists.evidence.probes.base import Observation
from checklists.evidence.probes.prometheus.base import WINDOW, Scope
from checklists.evidence.probes.prometheus.restarts import counts_by
from checklists.evidence.sources.exporters import FAILURES


def failure_counters(scope: Scope) -> dict[str, str]:
    """The counters that tell failures apart, and the label by which they do."""
    return {name: label for name, label in FAILURES.items() if name in scope.names}


async def failures(scope: Scope) -> tuple[dict[str, dict[str, float]], Observation]:
    """``{counter: {kind: count since the server started}}``, and what went wrong, if anything.

    Not what a counter gained: one that begins with its first failure gains nothing by it.
    """
    counters = failure_counters(scope)
    queries = {
        name: f"sum by ({label}) (max_over_time({scope.own(name)}[{WINDOW}]))" for name, label in counters.items()
    }
    if not queries:
        return {}, {}
    readings, outcome = await scope.prometheus.many(queries)
    if outcome.error:
        return {}, outcome.problem
    return {name: counts_by(readings[name], label) for name, label in counters.items()}, {}


def counted(seen: dict[str, dict[str, float]], kinds: frozenset[str]) -> float:
    """How often any of these kinds was counted, by the counter that saw most of them."""
    return max((sum(count for kind, count in row.items() if kind in kinds) for row in seen.values()), default=0.0)
