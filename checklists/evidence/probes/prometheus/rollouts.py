"""How new versions reached their users: by the controllers that shift traffic, and by who answered requests."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Mapping
from typing import Any

from checklists.evidence.probes.base import (
    CONTRADICTED,
    VERIFIED,
    Judgement,
    dict_of,
    inconclusive,
    list_of,
    moment,
    nothing_claimed,
    text_of,
)
from checklists.evidence.probes.prometheus.base import (
    KUBERNETES,
    MIN_SAMPLES,
    WINDOW_S,
    PrometheusProbe,
    Scope,
    no_pods,
    where_of,
    whole_or_zero,
)
from checklists.evidence.probes.prometheus.load import HISTORY_S, MONTH, Points, short, value_of
from checklists.evidence.probes.visit import Claims, Observation, Target
from checklists.evidence.sources.exporters import ARGO_INFO, ARGO_STRATEGIES, FLAGGER_WEIGHT, SPLITS, Split
from checklists.evidence.sources.prometheus import STEP_S, Reading, any_of, matchers

MINUTE = 60
FIRST_STEPS = 3  # of a new version's traffic: a quarter of an hour
AT_ONCE = 0.9  # a share of the traffic that is no part of it any more
GRADUAL = ("canary", "weighted", "rings")
NAMES = {"canary": "canary", "blue_green": "blue-green"}
_REVISION = re.compile(r"-\d{5}-deployment\Z")


class GradualRollout(PrometheusProbe):
    """What Argo Rollouts or Flagger are set to, and how the traffic moved when another version came."""

    key = "prometheus.rollout"
    title = "Traffic of a new version"
    items = ("release.gradual-rollout",)
    reads = KUBERNETES
    cheap = False

    async def read(self, scope: Scope, target: Target) -> Observation:
        if not scope.pods:
            return no_pods()
        if not scope.namespace or not scope.workload:
            return {
                "error": "no_workload",
                "why": "Its pods belong to several workloads, so its roll-out is not clear.",
            }
        name = _REVISION.sub("", scope.workload).removesuffix("-primary")
        day = "last_over_time({}[1d])"
        queries = {
            "argo": f"max by (strategy) {_named(ARGO_INFO, scope, {'name': name}, day)}",
            "flagger": f"max{_named(FLAGGER_WEIGHT, scope, {'workload': name}, day)}",
        }
        readings, outcome = await scope.prometheus.many(queries)
        if outcome.error:
            return outcome.problem
        weights = Reading()
        if readings["flagger"].series:
            expression = f"max{_named(FLAGGER_WEIGHT, scope, {'workload': name})}"
            weights = await scope.prometheus.range(expression, WINDOW_S, MINUTE)
        if weights.error:
            return weights.problem
        strategies = {series.labels.get("strategy", "").casefold() for series in readings["argo"].series}
        seen: Observation = {
            "workload": name,
            "argo": sorted(ARGO_STRATEGIES[one] for one in strategies if one in ARGO_STRATEGIES),
            "flagger": bool(readings["flagger"].series),
            "weight": first_weight(weights.points),
        }
        for split in SPLITS:
            found, fault = await _arrival(scope, split, name)
            if fault:
                return fault
            if found:
                return {**seen, "arrival": found}
        return seen

    def claimed(self, claims: Claims) -> str:
        share = whole_or_zero(claims.get("first_share"))
        strategy = text_of(claims.get("strategy")).replace("_", "-")
        return f"{strategy}, {short(share)} % first" if strategy and share is not None else strategy

    def compare(self, claims: Claims, observation: Observation, others: Mapping[str, Claims]) -> Judgement:
        strategy, wanted = text_of(claims.get("strategy")), whole_or_zero(claims.get("first_share"))
        arrival = dict_of(observation.get("arrival"))
        share, requests = value_of(arrival, "share"), value_of(arrival, "requests") or 0.0
        weight = value_of(observation, "weight")
        argo = [text_of(one) for one in list_of(observation.get("argo"))]
        set_to = argo[0] if len(argo) == 1 else ""
        shown = _shown(set_to, observation, share)
        if not strategy:
            return nothing_claimed(shown)
        words: dict[str, Any] = {"claimed": self.claimed(claims), "observed": shown}
        words["rule"] = (
            "the controller is set to the claimed strategy, or a new version began with at most the claimed share "
            f"of the traffic: verified; another strategy, or {AT_ONCE:.0%} in a quarter of an hour: contradicted"
        )
        where = f"{text_of(observation.get('workload'))}, {where_of(observation)}"

        def verdict(which: str, reason: str) -> Judgement:
            return Judgement(which, reason=f"{reason}: {where}.", samples=int(requests) or None, **words)

        def unsure(why: str) -> Judgement:
            return inconclusive(f"{why}: {where}.", claimed=words["claimed"], observed=shown, rule=words["rule"])

        if set_to and strategy in ("canary", "weighted", "blue_green", "all_at_once"):
            same = set_to == ("canary" if strategy == "weighted" else strategy)
            if not same:
                return verdict(CONTRADICTED, f"Argo Rollouts is set to {NAMES[set_to]}")
        first, told = _first(share, requests, weight, arrival)
        if strategy in GRADUAL:
            if first is not None and first >= AT_ONCE:
                return verdict(CONTRADICTED, f"{told}, so nearly all at once")
            if wanted is not None and first is not None and weight is not None and first * 100 > wanted + 0.5:
                return verdict(CONTRADICTED, f"{told}, more than claimed")
            if wanted is not None and first is not None and first * 100 > wanted + _noise(first, requests, weight):
                return unsure(f"{told}, more than claimed, but it may have grown within that time")
            if strategy == "rings":
                return unsure("Shares of the traffic do not tell which users they are of")
            if first is not None and first > 0:
                return verdict(VERIFIED, told)
            if set_to or observation.get("flagger") is True:
                tool = "Argo Rollouts" if set_to else "Flagger"
                if wanted is None:
                    return verdict(VERIFIED, f"{tool} shifts its traffic by canary")
                return unsure(f"{tool} shifts its traffic, but no new version came of late, so no share was seen")
        if strategy == "blue_green" and set_to == "blue_green":
            return verdict(VERIFIED, "Argo Rollouts is set to blue-green")
        if strategy == "all_at_once" and first is not None:
            gradual = first <= 0.5
            return verdict(CONTRADICTED if gradual else VERIFIED, told) if gradual or first >= AT_ONCE else unsure(told)
        return unsure(f"Nothing here shows how a new version gets its traffic ({MONTH}); the plan must tell")


def _first(
    share: float | None, requests: float, weight: float | None, arrival: Mapping[str, Any]
) -> tuple[float | None, str]:
    """The first share of a new version, and where from."""
    if weight is not None:
        return weight / 100, f"Flagger began with {short(weight)} % ({FLAGGER_WEIGHT}, minute by minute)"
    if share is None or requests < MIN_SAMPLES:
        return None, ""
    version, source = text_of(arrival.get("version")), text_of(arrival.get("name"))
    at = moment(value_of(arrival, "at"))
    told = f"{version} answered {share:.1%} of {int(requests)} requests in its first quarter of an hour"
    return share, f"{told} (from {at}, {source})"


def _noise(share: float, requests: float, weight: float | None) -> float:
    """How far, in per cent, a share that was counted may lie above the one that was set: three standard deviations."""
    return 0.5 if weight is not None else 100 * 3 * math.sqrt(share * (1 - share) / max(requests, 1)) + 0.5


def first_weight(points: Points) -> float | None:
    """The canary's weight after it last rose from zero. Pure."""
    times = sorted(points)
    rises = [at for before, at in itertools.pairwise(times) if points[before] <= 0 < points[at]]
    return points[rises[-1]] if rises else None


def _shown(set_to: str, observation: Observation, share: float | None) -> str:
    if set_to:
        return f"Argo Rollouts: {NAMES.get(set_to, set_to)}"
    if observation.get("flagger") is True:
        weight = value_of(observation, "weight")
        return f"Flagger{f', {short(weight)} % first' if weight is not None else ''}"
    return f"{share:.1%} of the traffic first" if share is not None else "nothing that shifts traffic"


def _named(name: str, scope: Scope, labels: Mapping[str, str], template: str = "{}") -> str:
    """Series of an object, also where Prometheus renamed its namespace because the exporter has one of its own."""
    where = ({**labels, label: scope.namespace} for label in ("namespace", "exported_namespace"))
    return f"({' or '.join(template.replace('{}', name + matchers(at, scope.here)) for at in where)})"


async def _arrival(scope: Scope, split: Split, workload: str) -> tuple[Observation, Observation]:
    """The newest version that began to answer beside another one, with its first share; and what went wrong."""
    prometheus, namespace = scope.prometheus, scope.namespace
    here = {split.namespace: namespace}
    mine = f"{split.name}{matchers({**here, split.workload: workload}, scope.here)}"
    moved = {f"exported_{key}": value for key, value in (here | {split.workload: workload}).items()}
    theirs = f"{split.name}{matchers(moved, scope.here)}"
    services = await prometheus.instant(
        f"count by ({split.service}) (last_over_time({mine}[1d]) or last_over_time({theirs}[1d]))"
    )
    names = sorted({text for series in services.series if (text := series.labels.get(split.service, ""))})
    if services.error or not names:
        return {}, services.problem
    of_service = {split.service: any_of(names), **scope.here}
    either = " or ".join(
        f"sum by ({split.version}) (increase({split.name}{matchers({label: namespace}, of_service)}[{STEP_S}s]))"
        for label in (split.namespace, f"exported_{split.namespace}")
    )
    reading = await prometheus.range(f"({either})", HISTORY_S)
    if reading.error:
        return {}, reading.problem
    versions = {
        series.labels.get(split.version, ""): {at: value for at, value in series.points if math.isfinite(value)}
        for series in reading.series
    }
    found = newcomer(versions, split.marked)
    return ({**found, "name": split.name} if found else {}), {}


def newcomer(versions: Mapping[str, Points], marked: bool = False) -> Observation:
    """The version that began last while another was answering: its first share of the requests. Pure.

    ``versions``: requests in each step, by version. With ``marked``, every version with a name is a canary.
    """
    times = sorted({at for points in versions.values() for at in points})
    best: Observation = {}
    for version, points in versions.items():
        if marked and not version:
            continue
        begun = next((at for at in sorted(points) if points[at] > 0), None)
        if begun is None:
            continue
        before = [at for at in times if at < begun][-FIRST_STEPS:]
        rest = [other for name, other in versions.items() if name != version]
        if not before or not any(other.get(at, 0) > 0 for other in rest for at in before):
            continue  # nobody answered before it, so nothing was taken over
        steps = [at for at in times if at >= begun][:FIRST_STEPS]
        own = sum(points.get(at, 0.0) for at in steps)
        whole = own + sum(other.get(at, 0.0) for other in rest for at in steps)
        if whole > 0 and begun > (value_of(best, "at") or 0.0):
            best = {"version": version[:100], "at": begun, "share": own / whole, "requests": whole}
    return best
