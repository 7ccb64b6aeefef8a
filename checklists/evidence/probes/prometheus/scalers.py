"""What scales the workload behind an endpoint, as Kubernetes tells it through Prometheus."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from checklists.evidence.probes.base import (
    CONTRADICTED,
    VERIFIED,
    Judgement,
    inconclusive,
    joined,
    list_of,
    nothing_claimed,
    plain,
    text_of,
)
from checklists.evidence.probes.prometheus.base import (
    KUBERNETES,
    PrometheusProbe,
    Scope,
    no_pods,
    where_of,
    whole_or_zero,
)
from checklists.evidence.probes.prometheus.load import value_of
from checklists.evidence.probes.visit import Claims, Observation, Target
from checklists.evidence.sources.prometheus import Outcome, Reading, any_of, matchers


async def scaler_of(scope: Scope) -> tuple[dict[str, Reading], Outcome]:
    """What Kubernetes tells of the scaler of the endpoint's workload: its metrics, bounds, and KEDA's triggers."""
    namespace, workload = scope.namespace, scope.workload
    here = {"namespace": namespace}
    info = moved("kube_horizontalpodautoscaler_info", {**here, "scaletargetref_name": workload}, scope.here)
    any_hpa = "count(kube_horizontalpodautoscaler_spec_max_replicas)"
    readings, outcome = await scope.prometheus.many({"info": info, "any": any_hpa})
    names = {series.labels.get("horizontalpodautoscaler", "") for series in readings["info"].series} - {""}
    if outcome.error or not names:
        return readings, outcome
    only = {"horizontalpodautoscaler": any_of(sorted(names)), **scope.here}
    queries = {
        key: moved(f"kube_horizontalpodautoscaler_{name}", here, only)
        for key, name in (
            ("metric", "spec_target_metric"),
            ("min", "spec_min_replicas"),
            ("max", "spec_max_replicas"),
        )
    }
    objects = sorted(name.removeprefix("keda-hpa-") for name in names if name.startswith("keda-hpa-"))
    if objects:
        queries["keda"] = moved("keda_scaler_metrics_value", here, {"scaledObject": any_of(objects), **scope.here})
    more, outcome = await scope.prometheus.many(queries)
    return {**readings, **more}, outcome


def moved(name: str, labels: Mapping[str, str], patterns: Mapping[str, str] | None = None) -> str:
    """Series of an object in a namespace, also where Prometheus renamed that label to ``exported_namespace``."""
    other = {("exported_namespace" if key == "namespace" else key): value for key, value in labels.items()}
    return f"({name}{matchers(labels, patterns)} or {name}{matchers(other, patterns)})"


class ScalingStrategy(PrometheusProbe):
    """The scaler of the workload: on which metric, between which bounds.

    Without a HorizontalPodAutoscaler nothing is said, for Knative, KServe and Ray Serve scale without one.
    """

    key = "prometheus.scaling-strategy"
    title = "What scales it"
    items = ("autoscaling.strategy",)
    reads = KUBERNETES

    async def read(self, scope: Scope, target: Target) -> Observation:
        if not scope.pods:
            return no_pods()
        if not scope.workload or not scope.namespace:
            return {"error": "no_workload", "why": "Its pods belong to several workloads, so its scaler is not clear."}
        readings, outcome = await scaler_of(scope)
        if outcome.error:
            return outcome.problem
        empty = Reading()
        metrics = {series.labels.get("metric_name", "") for series in readings.get("metric", empty).series}
        triggers = {
            f"{series.labels.get('scaler', '')} {series.labels.get('metric', '')}".strip()
            for series in readings.get("keda", empty).series
        }
        return {
            "workload": scope.workload,
            "scalers": len(readings["info"].series),
            "elsewhere": bool(readings["any"].series),
            "metrics": sorted(name[:200] for name in metrics if name)[:20],
            "triggers": sorted(name[:200] for name in triggers if name)[:20],
            "min": max((series.value for series in readings.get("min", empty).series), default=None),
            "max": max((series.value for series in readings.get("max", empty).series), default=None),
        }

    def claimed(self, claims: Claims) -> str:
        return joined([text for key in ("strategy", "signal") if (text := text_of(claims.get(key)))])[:150]

    def compare(self, claims: Claims, observation: Observation, others: Mapping[str, Claims]) -> Judgement:
        strategy, signal = text_of(claims.get("strategy")), text_of(claims.get("signal"))
        metrics = [text_of(name) for name in list_of(observation.get("metrics"))]
        triggers = [text_of(name) for name in list_of(observation.get("triggers"))]
        low, high = value_of(observation, "min"), value_of(observation, "max")
        by_keda = bool(triggers) or any(map(_KEDA.match, metrics))
        seen = joined([*metrics, *triggers]) or "no HorizontalPodAutoscaler"
        if not strategy:
            return nothing_claimed(seen)
        source = f"the scaler of {text_of(observation.get('workload'))}, {where_of(observation)}"
        words: dict[str, Any] = {"claimed": self.claimed(claims), "observed": seen}
        words["rule"] = (
            "a scaler on the claimed signal within the claimed bounds: verified; CPU only, or other bounds: "
            "contradicted; no HorizontalPodAutoscaler: inconclusive"
        )
        if not observation.get("scalers"):
            why = "kube-state-metrics shows no scaler of anything; perhaps it was not asked to export them."
            if observation.get("elsewhere"):
                why = (
                    "It has no HorizontalPodAutoscaler, others have; whether Knative, Ray Serve or something else "
                    f"scales it does not show: {source}."
                )
            return inconclusive(why, claimed=self.claimed(claims), observed=seen, rule=words["rule"])
        if strategy == "fixed" and low is not None and high is not None and low != high:
            return Judgement(
                CONTRADICTED,
                reason=f"It is scaled between {told(low)} and {told(high)}: {source}.",
                **words,
            )
        for key, measured in (("min_replicas", low), ("max_replicas", high)):
            wanted = whole_or_zero(claims.get(key))
            # KEDA holds a workload at zero outside its scaler, whose own minimum is one.
            fits = measured is None or wanted in (None, measured) or (wanted == 0 and measured == 1 and by_keda)
            if not fits and (by_keda or strategy != "scheduled"):  # a schedule of another tool may set them
                reason = (
                    f"{key.replace('_', ' ').capitalize()}: claimed {told(wanted)}, set {told(measured)}; {source}."
                )
                return Judgement(CONTRADICTED, reason=reason, **words)
        if strategy == "fixed" and low is not None and low == high:
            return Judgement(VERIFIED, reason=f"Its scaler holds it at {told(low)}: {source}.", **words)
        # Who names no other signal may mean this one.
        by_signal = strategy == "predictive" or (strategy == "reactive" and bool(_words(signal) & _OTHERS))
        by_signal = by_signal and bool(signal) and not _same_signal(signal, "cpu memory")
        if metrics and not triggers and set(metrics) <= {"cpu", "memory"} and by_signal:
            return Judgement(CONTRADICTED, reason=f"It is scaled on {joined(metrics)} only: {source}.", **words)
        if strategy == "scheduled" and any("cron" in name.casefold() for name in (*metrics, *triggers)):
            return Judgement(VERIFIED, reason=f"It is scaled by a schedule: {source}.", **words)
        same = [name for name in (*metrics, *triggers) if _same_signal(signal, name)]
        # Of two signals that are claimed, one that the scaler does not have makes it another scaler.
        if strategy == "reactive" and same and not _more_than(signal, (*metrics, *triggers)):
            return Judgement(
                VERIFIED,
                reason=f"It is scaled on {seen}, between {told(low)} and {told(high)}: {source}.",
                **words,
            )
        why = f"It is scaled on {seen}; whether that is what is claimed, a person must tell: {source}."
        return inconclusive(why, claimed=self.claimed(claims), observed=seen, rule=words["rule"])


_SAME = {"queue": "waiting", "queued": "waiting", "pending": "waiting", "concurrency": "running", "inflight": "running"}
_SAME |= {"flight": "running", "concurrent": "running"}
_SAME |= {"fb": "memory", "framebuffer": "memory", "mem": "memory"}
_SAME |= {"kv": "cache", "dcgm": "gpu", "ttft": "first", "qps": "requests", "rps": "requests", "throughput": "requests"}


def _of(text: str) -> frozenset[str]:
    return frozenset(text.split())


# Words that say nothing about which signal is meant.
_IDLE = _of("""
    num per replica replicas pod pods total the of and or in on at for by to with is a an than when if target average
    avg mean max sum value current seconds second minute minutes rate vllm sglang s0 s1 prometheus scaler metric metrics
    prometheusscaler custom external requests dev fi http hpa keda scale scaled scaling above below over under more
    model p50 p90 p95 p99
""")
# Words that many signals share, and that tell only where there are no others.
_VAGUE = _of("latency token tokens time usage utilization utilisation util length depth duration load request")
# How long something takes is another signal than how much of it there is.
_LONG = frozenset({"time", "latency", "duration", "delay", "ttft"})
_OVER_TIME = re.compile(r"\bover (?:the )?time\b")  # how something is averaged


_KEDA = re.compile(r"s\d+-")  # what it calls the metric of a trigger, also where its own metrics are not kept
_NAMES = re.compile(r"[a-z][a-z0-9]*")
# What is named only to say that it is not meant.
_NOT = re.compile(
    r"\b(?:not|no|never|without|instead of|rather than|other than)\s+(?:(?:only|just|on|by|the)\s+)*[\w:]+", re.I
)
# Words that mean a signal of their own, which is neither the CPU nor memory.
_SIGNALS = _of("waiting running cache gpu first")
_OTHERS = _SIGNALS | _of("requests request token tokens latency batch duration")
# Of one thing, what else must be said by both or by neither.
_ASPECTS = [("cache", _of("prefix hit hits"))]
_ASPECTS += [("gpu", _of(words)) for words in ("memory", "temp temperature", "power energy", "cache", "copy dram")]
_ASPECTS += [("gpu", _of(words)) for words in ("clock clocks", "pcie nvlink", "enc dec encoder decoder", "fan")]


def _more_than(signal: str, metrics: Iterable[str]) -> bool:
    """Whether a claim names a signal besides the CPU or memory, and the scaler knows only these."""
    return bool(_words(signal) & _SIGNALS) and set(metrics) <= {"cpu", "memory"}


def _words(text: str) -> set[str]:
    """The words of a signal or of a metric's name that say what it is."""
    text = _NOT.sub(" ", text)
    words = _NAMES.findall(text.casefold().replace("_", " ").replace("vram", "gpu memory"))
    found = {_SAME.get(word, word) for word in words if word not in _IDLE and len(word) > 1}
    return (found - _VAGUE) or found or ({"requests"} if "requests" in words else set())


def _same_signal(claimed: str, metric: str) -> bool:
    """Whether a signal in words means a metric: a telling word in common, and both of a GPU or neither."""
    ours, theirs = _words(claimed), _words(metric)
    shared = ours & theirs
    other = any(word in shared and bool(of & ours) != bool(of & theirs) for word, of in _ASPECTS)
    alike = ("gpu" in ours) == ("gpu" in theirs) and _is_long(claimed) == _is_long(metric)
    return bool(shared) and not other and alike


def _is_long(text: str) -> bool:
    """Whether a signal is how long something takes, as of a first token everything is."""
    words = set(_NAMES.findall(_OVER_TIME.sub(" ", text.casefold().replace("_", " "))))
    return bool(_LONG & words) or {"first", "token"} <= words


def told(value: float | None) -> str:
    """A number, zero too; a question mark where there is none."""
    return "?" if value is None else plain(value) or "0"
