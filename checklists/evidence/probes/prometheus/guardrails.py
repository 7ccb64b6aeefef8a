"""Whether the guardrail that is claimed runs, and does its work, by the counters of the gateway that calls it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from checklists.evidence.probes.base import (
    CONTRADICTED,
    VERIFIED,
    Judgement,
    dict_of,
    inconclusive,
    joined,
    nothing_claimed,
    text_of,
)
from checklists.evidence.probes.prometheus.base import MIN_SAMPLES, WEEK, WINDOW, PrometheusProbe, Scope, where_of
from checklists.evidence.probes.prometheus.load import value_of
from checklists.evidence.probes.visit import Claims, Observation, Target
from checklists.evidence.sources.exporters import BROKEN, GUARDRAIL_ERRORS, GUARDRAILS
from checklists.evidence.sources.prometheus import Series, finite
from checklists.evidence.stacks import Stack

FEW, MANY = 0.05, 0.5  # shares of runs that end in an error
_IDLE = {"guardrail", "guardrails", "guard", "model", "version", "pre", "post", "call", "the", "and", "with", "input"}


class GuardrailRuns(PrometheusProbe):
    """Runs and errors of each guardrail that LiteLLM calls."""

    key = "prometheus.guardrails"
    title = "Guardrails that run"
    items = ("security.input-sanitisation",)

    async def read(self, scope: Scope, target: Target) -> Observation:
        if GUARDRAILS not in scope.names:
            why = f"Prometheus keeps no {GUARDRAILS} of this endpoint, so no guardrail is seen to run."
            return {"error": "no_guardrail", "why": why}
        queries = {
            "runs": f"sum by (guardrail_name) (max_over_time({scope.own(GUARDRAILS)}[{WINDOW}]))",
            "errors": f"sum by (guardrail_name, error_type) (max_over_time({scope.own(GUARDRAIL_ERRORS)}[{WINDOW}]))",
        }
        readings, outcome = await scope.prometheus.many(queries)
        if outcome.error:
            return outcome.problem
        rows: dict[str, dict[str, float]] = {}
        for series in readings["runs"].series[:100]:
            rows[_name(series)] = {"runs": max(finite(series.value) or 0.0, 0.0), "broken": 0.0, "errors": 0.0}
        for series in readings["errors"].series:
            row, count = rows.get(_name(series)), max(finite(series.value) or 0.0, 0.0)
            if row is not None:
                row["errors"] += count
                row["broken"] += count if series.labels.get("error_type", "") in BROKEN else 0.0
        return {"guardrails": rows}

    def claimed(self, claims: Claims) -> str:
        return text_of(claims.get("guardrail"))[:150]

    def compare(self, claims: Claims, observation: Observation, others: Mapping[str, Claims]) -> Judgement:
        rows = {name: dict_of(row) for name, row in dict_of(observation.get("guardrails")).items()}
        claimed, shown = self.claimed(claims), joined(sorted(rows), 4)
        if not claimed:
            return nothing_claimed(shown)
        named = [name for name in rows if _words(name) and _words(name) <= _words(claimed)]
        if not named:
            why = f"{shown or 'No guardrail'} ran {WEEK}; whether that is what is claimed, a person must tell"
            return inconclusive(f"{why}: {where_of(observation)}.", claimed=claimed, observed=shown)
        runs, errors, broken = (
            sum(value_of(rows[name], key) or 0.0 for name in named) for key in ("runs", "errors", "broken")
        )
        told = f"{joined(named, 3)} ran {int(runs)} times; {int(broken)} times it failed itself"
        stopped = f", {int(errors - broken)} times it ended a request" if errors > broken else ""
        reason = f"{told}{stopped}: {GUARDRAILS}, since the gateway started, {where_of(observation)}."
        words: dict[str, Any] = {"claimed": claimed, "observed": f"{int(runs)} runs, {int(broken)} failed"}
        words["rule"] = f"at most {FEW:.0%} of {MIN_SAMPLES} or more runs fail: verified; {MANY:.0%}: contradicted"
        if runs < MIN_SAMPLES:
            few = f"{reason} Fewer than {MIN_SAMPLES} runs say nothing."
            return inconclusive(few, claimed=claimed, observed=words["observed"], rule=words["rule"], samples=int(runs))
        if broken >= MANY * runs:
            return Judgement(CONTRADICTED, reason=reason, samples=int(runs), **words)
        if broken > FEW * runs or errors - broken >= MANY * runs:
            return inconclusive(
                reason, claimed=claimed, observed=words["observed"], rule=words["rule"], samples=int(runs)
            )
        return Judgement(VERIFIED, reason=reason, samples=int(runs), **words)

    def settles(self, item_key: str, stack: Stack) -> str:
        if why := super().settles(item_key, stack):
            return why
        return "" if stack.key == "litellm" else f"{stack.label} counts no runs of guardrails."


def _name(series: Series) -> str:
    return series.labels.get("guardrail_name", "")[:100]


def _words(text: str) -> set[str]:
    return {word for word in re.findall(r"[a-z]{3,}", text.casefold()) if word not in _IDLE}
