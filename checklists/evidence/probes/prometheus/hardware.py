"""What it runs on: GPUs, their type and number, and nodes."""

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
    list_of,
    nothing_claimed,
    number_of,
    plain,
    text_of,
    texts_of,
)
from checklists.evidence.probes.gpu_names import same_gpu
from checklists.evidence.probes.prometheus.base import (
    KUBERNETES,
    PrometheusProbe,
    Scope,
    no_pods,
    where_of,
)
from checklists.evidence.probes.prometheus.labels import pattern_of
from checklists.evidence.probes.prometheus.load import (
    value_of,
)
from checklists.evidence.probes.visit import Claims, Observation, Target
from checklists.evidence.sources.exporters import (
    GPU_IDS,
    GPU_MODELS,
    GPU_RESOURCES,
    GPU_SERIES,
    INSTANCE_TYPES,
)
from checklists.evidence.sources.prometheus import Reading, any_of, matchers

# The head of a Ray cluster, as KubeRay names it.
_OF_RAY = re.compile(r"-head(-|\Z)")
_DENIED = re.compile(r"\b(?:not|no|never|without|except|excluding|other than)\b", re.I)


def workers_of(scope: Scope) -> str:
    """An expression that counts the other pods of replicas that span several: only the first has series of its own."""
    others = {
        "namespace": any_of({place for place, _ in scope.pods}),
        "pod": f"({pattern_of(p for _, p in scope.pods)})(-[0-9]+)+",
    }
    return f"count(kube_pod_info{matchers({}, {**others, **scope.here})})"


def has_head(scope: Scope) -> bool:
    """Whether one of its pods is the head of a cluster, which other pods work for."""
    return any(_OF_RAY.search(pod) for _, pod in scope.pods)


class Placement(PrometheusProbe):
    """The instance types and labels of the nodes on which the pods run now."""

    key = "prometheus.placement"
    title = "Nodes it runs on"
    items = ("compute.placement",)
    reads = KUBERNETES

    async def read(self, scope: Scope, target: Target) -> Observation:
        if not scope.pods:
            return no_pods()
        info = await scope.prometheus.instant(scope.on_pods("kube_pod_info"))
        if info.error:
            return info.problem
        nodes = sorted({node for series in info.series if (node := series.labels.get("node", ""))})[:200]
        if not nodes:
            return {"error": "no_nodes", "why": "kube-state-metrics tells no node of these pods."}
        here = {"node": any_of(nodes), **scope.here}
        labels = await scope.prometheus.instant(f"kube_node_labels{matchers({}, here)}")
        if labels.error:
            return labels.problem
        kept = {
            series.labels.get("node", ""): {
                name: value[:200] for name, value in series.labels.items() if name.startswith("label_")
            }
            for series in labels.series
        }
        return {"nodes": {node: dict(list(kept.get(node, {}).items())[:60]) for node in nodes}}

    def claimed(self, claims: Claims) -> str:
        return joined(texts_of(claims.get("instance_types")))

    def compare(self, claims: Claims, observation: Observation, others: Mapping[str, Claims]) -> Judgement:
        nodes = {name: dict_of(labels) for name, labels in dict_of(observation.get("nodes")).items()}
        types = {
            node: text_of(next((labels[key] for key in INSTANCE_TYPES if key in labels), ""))
            for node, labels in nodes.items()
        }
        wanted = texts_of(claims.get("instance_types"))
        chosen = texts_of(claims.get("node_selector"))
        selector = [(key, value) for text in chosen if (pair := _LABEL.match(text)) for key, value in [pair.groups()]]
        unread = [text for text in chosen if not _LABEL.match(text)] + list(filter(_DENIED.search, wanted))
        seen = sorted({kind for kind in types.values() if kind})
        if not wanted and not chosen:
            return nothing_claimed(joined(seen))
        claimed = joined([*wanted, *chosen])
        source = f"{len(nodes)} node{'s' if len(nodes) != 1 else ''} of its pods, {where_of(observation)}"
        words: dict[str, Any] = {"claimed": claimed, "observed": joined(seen) or "no instance type"}
        words["rule"] = "every node of its pods is of a claimed instance type and has the claimed labels"
        named = [word for text in wanted for word in _BETWEEN.split(text) if word]
        other = sorted({kind for kind in seen if not any(map(_kind(kind).__eq__, map(_kind, named)))}) if wanted else []
        unknown = bool(wanted) and not all(types.values())
        for key, value in selector:
            name = "label_" + re.sub(r"[^a-zA-Z0-9_]", "_", key)
            held = {text_of(labels.get(name)) for labels in nodes.values()}
            if wrong := sorted(text for text in held if text and text != value):
                return Judgement(CONTRADICTED, reason=f"{key} is {joined(wrong)} on one of the {source}.", **words)
            unknown |= "" in held
        if other and all(map(_INSTANCE_TYPE.match, named)):
            return Judgement(CONTRADICTED, reason=f"It also runs on {joined(other)}: {source}.", **words)
        if other or unread:
            meant = joined(list(dict.fromkeys([*wanted, *unread])), 3)
            why = f"Whether {joined(other) or 'what it runs on'} is meant by {meant}, a person"
            return inconclusive(
                f"{why} must tell: {source}.", claimed=claimed, observed=joined(seen), rule=words["rule"]
            )
        if unknown:
            why = (
                f"kube-state-metrics does not tell all the labels that are claimed (metric-labels-allowlist): {source}."
            )
            return inconclusive(why, claimed=claimed, observed=joined(seen), rule=words["rule"])
        return Judgement(VERIFIED, reason=f"All {source}, are as claimed.", **words)


class Parallelism(PrometheusProbe):
    """How many GPUs each pod holds, against the split that is claimed."""

    key = "prometheus.parallelism"
    title = "GPUs of a replica"
    items = ("compute.parallelism",)
    reads = KUBERNETES

    async def read(self, scope: Scope, target: Target) -> Observation:
        if not scope.pods:
            return no_pods()
        by = "namespace, pod, exported_namespace, exported_pod"
        name, _, outcome = await scope.gpu_series(GPU_SERIES)
        if outcome.error:
            return outcome.problem
        asked = scope.on_pods("kube_pod_container_resource_requests", patterns={"resource": any_of(GPU_RESOURCES)})
        apart = f"count by ({by}, engine, dp_rank) ({scope.own(scope.anchor)})"
        queries = {"requested": f"sum by ({by}) ({asked})", "copies": f"max(count by ({by}) ({apart}))"}
        queries["workers"] = workers_of(scope)
        if name:
            queries["seen"] = f"count by ({by}) (count by ({by}, instance, {', '.join(GPU_IDS)}) ({scope.gpus(name)}))"
        readings, outcome = await scope.prometheus.many(queries)
        if outcome.error:
            return outcome.problem
        source = next((key for key in ("seen", "requested") if readings.get(key, Reading()).series), "")
        if not source:
            return {"error": "no_gpus", "why": "Neither a GPU exporter nor kube-state-metrics tells GPUs of its pods."}
        each = sorted({series.value for series in readings[source].series})
        return {
            "gpus": each,
            "pods": len(readings[source].series),
            "copies": readings["copies"].total,
            "workers": bool(readings["workers"].total) or has_head(scope),
            "from": name if source == "seen" else "GPUs requested",
        }

    def claimed(self, claims: Claims) -> str:
        gpus = number_of(claims.get("gpus"))
        return f"{plain(gpus)} GPUs" if gpus else ""

    def compare(self, claims: Claims, observation: Observation, others: Mapping[str, Claims]) -> Judgement:
        gpus, tensor = number_of(claims.get("gpus")), number_of(claims.get("tensor_parallel"))
        pipeline = number_of(claims.get("pipeline_parallel")) or 1.0
        each = [number for value in list_of(observation.get("gpus")) if (number := number_of(value))]
        pods = number_of(observation.get("pods")) or 0
        seen = joined([plain(number) for number in each])
        if not each:
            return inconclusive("The GPUs of its pods cannot be counted.", claimed=self.claimed(claims))
        if gpus is None or tensor is None:
            return nothing_claimed(seen, "GPUs a pod")
        claimed = f"{plain(gpus)} GPUs, tensor {plain(tensor)} × pipeline {plain(pipeline)}"
        source = f"{text_of(observation.get('from'))} of {int(pods)} pods, {where_of(observation)}"
        words: dict[str, Any] = {"claimed": claimed, "observed": f"{seen} GPUs a pod"}
        words["rule"] = "GPUs a pod = claimed GPUs = tensor × pipeline"
        if tensor * pipeline > gpus and max(each) <= gpus and len(each) == 1 and each[0] == gpus:
            reason = f"Each pod holds {seen} GPUs, fewer than tensor × pipeline needs; {source}."
            return Judgement(CONTRADICTED, reason=reason, **words)
        copies = value_of(observation, "copies") or 1.0
        if gpus < max(each) <= gpus * copies:
            why = f"A pod holds {seen} GPUs and runs the model {plain(copies)} times; {source}."
            return inconclusive(why, claimed=claimed, observed=f"{seen} GPUs a pod", rule=words["rule"])
        if max(each) > gpus:
            return Judgement(CONTRADICTED, reason=f"Each pod holds {seen} GPUs, more than claimed; {source}.", **words)
        if len(each) == 1 and each[0] == gpus:
            if tensor * pipeline != gpus:
                product = plain(tensor * pipeline)
                why = f"Each pod holds {seen} GPUs as claimed, but tensor × pipeline is {product}; {source}."
                return inconclusive(why, claimed=claimed, observed=f"{seen} GPUs a pod", rule=words["rule"])
            return Judgement(
                VERIFIED, reason=f"Each pod holds {seen} GPUs; {source}. How they split the work is not told.", **words
            )
        if pods * max(each) < gpus and observation.get("workers") is not True:
            reason = f"All its pods together hold {plain(pods * max(each))} GPUs at most; {source}."
            return Judgement(CONTRADICTED, reason=reason, **words)
        why = f"A pod holds {seen} GPUs; whether several pods make one replica cannot be told. {source}."
        return inconclusive(why, claimed=claimed, observed=f"{seen} GPUs a pod", rule=words["rule"])


class GpuTypes(PrometheusProbe):
    """The names of the GPUs under the endpoint."""

    key = "prometheus.gpu-types"
    title = "GPU types it runs on"
    items = ("identity.gpu-precision",)

    async def read(self, scope: Scope, target: Target) -> Observation:
        typed = [name for name in GPU_SERIES if not name.startswith("nv_gpu_")]  # Triton names no types
        name, own, outcome = await scope.gpu_series(typed)
        if outcome.error:
            return outcome.problem
        if not name:
            return {"error": "no_gpu", "why": "Prometheus has no GPU series of where this endpoint runs."}
        reading = await scope.prometheus.instant(f"count by ({', '.join(GPU_MODELS)}) ({scope.gpus(name)})")
        if reading.error:
            return reading.problem
        models = {
            next((series.labels[key] for key in GPU_MODELS if series.labels.get(key)), ""): series.value
            for series in reading.series
        }
        return {"name": name, "own": own, "types": sorted(model[:100] for model in models if model)[:20]}

    def claimed(self, claims: Claims) -> str:
        return joined(texts_of(claims.get("gpu_types")))

    def compare(self, claims: Claims, observation: Observation, others: Mapping[str, Claims]) -> Judgement:
        wanted = texts_of(claims.get("gpu_types"))
        types = [text for value in list_of(observation.get("types")) if (text := text_of(value))]
        if not types:
            return inconclusive(f"{where_of(observation)} does not tell the GPUs' type.", claimed=joined(wanted))
        if not wanted:
            return nothing_claimed(joined(types))
        source = f"{text_of(observation.get('name'))}, {where_of(observation)}"
        words: dict[str, Any] = {"claimed": joined(wanted), "observed": joined(types)}
        words["rule"] = "every GPU it runs on is of a claimed type"
        fits = {seen: [same_gpu(claim, seen) for claim in wanted] for seen in types}
        if all(True in row for row in fits.values()):
            reason = f"It runs on {joined(types)}; {source}. The precision is not told there."
            return Judgement(VERIFIED, reason=reason, **words)
        other = [seen for seen, row in fits.items() if True not in row and None not in row]
        if other and observation.get("own") is True:
            return Judgement(CONTRADICTED, reason=f"It also runs on {joined(other)}; {source}.", **words)
        why = f"Whether {joined(types)} is what is claimed cannot be told; {source}."
        return inconclusive(why, claimed=joined(wanted), observed=joined(types), rule=words["rule"])


# key=value, in whatever quotes.
_LABEL = re.compile(r"([^\s=!<>]+)\s*={1,2}\s*[\"']?([^\s\"'=]*)[\"']?\Z")
_BETWEEN = re.compile(r"\([^)]*\)|[\s,;|/]+|\bor\b|\band\b")
# p5.48xlarge, a2-highgpu-1g, Standard_NC24ads_A100_v4: what providers call a type, with a number in it.
_INSTANCE_TYPE = re.compile(r"(?=\D*\d)[A-Za-z][A-Za-z0-9]*(?:[._-][A-Za-z0-9]+)+\Z")


def _kind(text: str) -> str:
    """An instance type as it is compared: some write it with the provider's prefix."""
    return re.sub(r"\A(?:standard_|ml\.)", "", text.casefold())
