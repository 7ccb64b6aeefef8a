"""Answers that were no good, by the label that says why: for every counter of such answers the endpoint has."""

from __future__ import annotations

import re

from checklists.evidence.probes.prometheus.base import WINDOW, Scope
from checklists.evidence.probes.prometheus.restarts import counts_by
from checklists.evidence.probes.visit import Observation
from checklists.evidence.sources.exporters import BY_STATUS, CLOSED, FAILURES
from checklists.evidence.stacks import Stack

_TELLING = re.compile(r"error|fail|exception|reject|refus|time_?out|abort|status|[45]xx", re.I)
_OF_OTHERS = ("container_", "go_", "kube_", "node_", "process_", "promhttp_", "python_", "scrape_", "DCGM_")


def failure_counters(scope: Scope) -> dict[str, str]:
    """The counters that tell failures apart, and the label by which they do."""
    return {name: label for name, label in FAILURES.items() if name in scope.names}


def own_counters(stack: Stack | None) -> list[str]:
    """The counters of failures that a stack exports itself; many show one only once something failed."""
    return [name for name in FAILURES if stack and (name in stack.metrics or name.startswith(stack.prefixes or "\0"))]


def is_open(counter: str) -> bool:
    """Whether nobody can list the kinds that a counter may count."""
    return counter not in CLOSED and counter not in BY_STATUS


def unknown_counters(scope: Scope) -> list[str]:
    """Names among the endpoint's series that may tell failures apart, in words that nobody here knows."""
    known = {*FAILURES, *(scope.stack.metrics if scope.stack else ())}
    return sorted(name for name in scope.names - known if _TELLING.search(name) and not name.startswith(_OF_OTHERS))


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
