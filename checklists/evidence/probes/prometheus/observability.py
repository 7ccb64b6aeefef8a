"""What of the endpoint can be seen in Prometheus: phases, caches, GPUs, throughput, errors."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from checklists.evidence.probes.base import (
    CONTRADICTED,
    NONE,
    VERIFIED,
    Judgement,
    dict_of,
    inconclusive,
    joined,
    list_of,
    nothing_claimed,
    number_of,
    text_of,
    texts_of,
)
from checklists.evidence.probes.metrics_page import (
    MAX_NAMES,
    MetricsPresent,
    looks_named,
    meant_by,
    metric_names,
    on_page,
)
from checklists.evidence.probes.prometheus.base import (
    MIN_SAMPLES,
    WINDOW,
    PrometheusProbe,
    Scope,
    scope_of,
    where_of,
    window_of,
)
from checklists.evidence.probes.prometheus.failures import (
    failure_counters,
    failures,
    is_open,
    own_counters,
    unknown_counters,
)
from checklists.evidence.probes.prometheus.load import short, value_of
from checklists.evidence.probes.visit import Claims, Observation, Target, Visit
from checklists.evidence.sources.exporters import (
    ERROR_CLASSES,
    FINE,
    GATEWAYS,
    GPU_EXPORTERS,
    GPU_SERIES,
    MODEL_SERVERS,
    may_count,
)
from checklists.evidence.sources.prometheus import is_metric
from checklists.evidence.stacks import CACHE_MEANINGS, COUNTER_MEANINGS, PHASES, Stack

CACHE = "observability.cache"


class KeptInPrometheus(MetricsPresent):
    """Which phases and caches Prometheus keeps of the endpoint, and whether they gained samples in a week."""

    key = "prometheus.present"
    title = "Metrics kept"
    items = ("observability.latency-breakdown", "observability.cache")
    reads = ("prometheus",)
    sends = PrometheusProbe.sends

    async def observe(self, visit: Visit) -> Observation:
        scope, head = await scope_of(visit)
        if scope is None:
            return head
        phases = set(PHASES.values())
        queries: dict[str, str] = {}
        found: dict[str, tuple[str, bool]] = {}
        for name, meaning in scope.stack.metrics.items() if scope.stack else ():
            count, plain = scope.named(f"{name}_count"), scope.named(name, f"{name}_total")
            if meaning.key in phases and count:
                queries[name] = f"sum(increase({scope.own(count, meaning.labels)}[{WINDOW}]))"
            elif meaning.key in phases and plain and not meaning.counter:  # one series, if it is a native histogram
                queries[name] = f"sum(histogram_count(increase({scope.own(plain, meaning.labels)}[{WINDOW}])))"
            elif meaning.key in phases and plain:  # only a sum of durations: how often it moved
                queries[name] = f"sum(changes({scope.own(plain, meaning.labels)}[{WINDOW}]))"
            elif meaning.key in CACHE_MEANINGS and plain:
                queries[name] = f"sum({scope.own(plain, meaning.labels)})"
            elif meaning.key in COUNTER_MEANINGS and plain:  # whether it was used at all
                queries[name] = f"sum(increase({scope.own(plain, meaning.labels)}[{WINDOW}]))"
            else:
                continue
            found[name] = meaning.key, meaning.key in phases
        readings, outcome = await scope.prometheus.many(queries)
        if outcome.error:
            return {**head, **outcome.problem}
        meanings: dict[str, dict[str, Any]] = {}
        for name, (key, is_phase) in found.items():
            total = readings[name].total
            row = {"name": name, "value": total, "samples": total if is_phase else None}
            if key not in meanings or (not meanings[key]["value"] and total):
                meanings[key] = row
        names = sorted(scope.names)
        seen: Observation = {"names": names[:MAX_NAMES], "complete": len(names) <= MAX_NAMES}
        wanted = metric_names(visit.target.claims.get(CACHE, {}).get("metric_names"))[:20]
        others, outcome = await scope.elsewhere(name for name in wanted if not on_page(name, {"names": names}))
        if outcome.error:
            return {**head, **outcome.problem}
        seen |= {"asked": wanted, "elsewhere": others, "queries": scope.prometheus.queries[:20]}
        return {**head, "meanings": meanings, **seen}

    def judge(
        self, item_key: str | None, claims: Claims, observation: Observation, others: Mapping[str, Claims] = NONE
    ) -> Judgement:
        judged = super().judge(item_key, claims, observation, others)
        if item_key != CACHE or judged.verdict != CONTRADICTED:
            return judged
        missing = [name for name in metric_names(claims.get("metric_names")) if not on_page(name, observation)]
        told: dict[str, Any] = {"claimed": judged.claimed, "rule": judged.rule}
        if set(missing) - {text_of(name) for name in list_of(observation.get("asked"))}:
            return inconclusive("The claim changed since this was measured; probe again.", **told)
        if kept := [name for name in missing if name in list_of(observation.get("elsewhere"))]:
            return inconclusive(_of_whom(kept, observation), **told)
        return judged


def _of_whom(names: list[str], observation: Observation) -> str:
    are = "is" if len(names) == 1 else "are"
    whose = f"whether {'it is' if len(names) == 1 else 'they are'} of this endpoint, its labels do not tell"
    return f"{joined(names)} {are} kept, but not among the endpoint's series; {whose}: {where_of(observation)}."


class GpuVisible(PrometheusProbe):
    """GPU series of where the endpoint runs, now; else whether the GPU exporter is down."""

    key = "prometheus.gpu"
    title = "GPU use in Prometheus"
    items = ("observability.gpu",)

    async def read(self, scope: Scope, target: Target) -> Observation:
        name, own, outcome = await scope.gpu_series(GPU_SERIES)
        if outcome.error:
            return outcome.problem
        gpus = 0.0
        if name:
            reading = await scope.prometheus.instant(f"count({scope.gpus(name)})")
            if reading.error:
                return reading.problem
            gpus = reading.total or 0.0
        targets = await scope.prometheus.targets()
        if targets.error and not gpus:
            return targets.problem
        exporters = [row for row in targets.items if _of_gpus(row.pool, row.labels.get("job", ""))]
        down = [row for row in exporters if row.health == "down"]
        return {
            "name": name,
            "own": own,
            "gpus": gpus,
            "exporters": len(exporters),
            "down": [f"{row.url.partition('?')[0]}: {row.last_error or 'no reason given'}"[:200] for row in down[:5]],
            "all_down": bool(exporters) and len(down) == len(exporters),
        }

    def claimed(self, claims: Claims) -> str:
        return "GPU use visible" if any(claims.values()) else ""

    def compare(self, claims: Claims, observation: Observation, others: Mapping[str, Claims]) -> Judgement:
        gpus, name = value_of(observation, "gpus") or 0.0, text_of(observation.get("name"))
        down = [text_of(text) for text in list_of(observation.get("down"))]
        words: dict[str, Any] = {"claimed": self.claimed(claims)}
        words["rule"] = "GPU series of where it runs: verified; every GPU exporter is down: contradicted"
        if not any(claims.values()):
            return nothing_claimed(f"{int(gpus)} series of {name}" if gpus else "")
        if gpus:
            whose = "its pods" if observation.get("own") is True else "its hosts"
            reason = f"{name} has {int(gpus)} series of {whose}, {where_of(observation)}."
            return Judgement(VERIFIED, observed=f"{int(gpus)} series of {name}", reason=reason, **words)
        if observation.get("all_down") is True:
            reason = f"No GPU series, and what should export them is down: {joined(down, 2)}; {where_of(observation)}."
            return Judgement(CONTRADICTED, observed="exporter down", reason=reason, **words)
        exporters = int(value_of(observation, "exporters") or 0)
        why = (
            f"{where_of(observation)} scrapes {exporters} GPU exporters, but none tells of where it runs."
            if exporters
            else f"{where_of(observation)} shows no GPU series of where it runs, and scrapes no GPU exporter."
        )
        return inconclusive(why, claimed="GPU use visible", observed="none", rule=words["rule"])


def _of_gpus(pool: str, job: str) -> bool:
    """Whether a target is named like a GPU exporter. Of ``podMonitor/namespace/name/0`` only the name says so."""
    names = [_NUMBERED.sub("", name[:200]).rpartition("/")[2] for name in (pool, job)]
    return any(map(GPU_EXPORTERS.search, names)) and not any(map(MODEL_SERVERS.search, names))


_NUMBERED = re.compile(r"/\d+\Z")


class ThroughputVisible(PrometheusProbe):
    """Whether the metric the team names is kept, and moves when the endpoint is used."""

    key = "prometheus.throughput-visible"
    title = "Throughput in Prometheus"
    items = ("observability.throughput",)

    async def read(self, scope: Scope, target: Target) -> Observation:
        wanted = metric_names(target.claims.get("observability.throughput", {}).get("metric_name"))
        claimed = wanted[0] if wanted else ""
        found = ""
        if is_metric(claimed):
            found = scope.named(
                claimed, claimed.removesuffix("_total"), f"{claimed}_total", f"{claimed}_count", f"{claimed}_bucket"
            )
        queries: dict[str, str] = {}
        if found:
            own = scope.own(found)
            queries["changes"] = f"sum(changes({own}[{WINDOW}]))"
            # A counter that begins with what it counts first need not move any more.
            before = f"last_over_time({own}[1d] offset 6d)"
            queries["begun"] = f"count((last_over_time({own}[{WINDOW}]) > 0) unless {before})"
        known = scope.candidates(*COUNTER_MEANINGS)
        traffic = [scope.own(name, meaning.labels) for name, meaning in known]
        traffic = traffic or [scope.own(name) for name in failure_counters(scope)]
        if traffic:
            moved = (f"(sum(increase({selector}[{WINDOW}])) or vector(0))" for selector in traffic[:4])
            queries["traffic"] = f"({' + '.join(moved)})"
        readings, outcome = await scope.prometheus.many(queries)
        others, problem = ([], outcome) if found or outcome.error else await scope.elsewhere([claimed])
        if outcome.error or problem.error:
            return outcome.problem or problem.problem
        return {
            "claimed": claimed,
            "found": found,
            "elsewhere": bool(others),
            "known": [name for name, _ in known][:6],
            **{key: reading.total for key, reading in readings.items()},
        }

    def compare(self, claims: Claims, observation: Observation, others: Mapping[str, Claims]) -> Judgement:
        wanted = metric_names(claims.get("metric_name"))
        known = joined([text_of(name) for name in list_of(observation.get("known"))])
        if not wanted:
            return nothing_claimed(known)
        name, found = wanted[0], text_of(observation.get("found"))
        if name != text_of(observation.get("claimed")):
            return inconclusive("The claim changed since this was measured; probe again.", claimed=name)
        if not is_metric(name) or (not found and not looks_named(name)):
            return inconclusive("What is claimed is no name of a metric.", claimed=name[:100])
        words: dict[str, Any] = {
            "claimed": name,
            "rule": f"it is kept and moves: verified; absent, or still under traffic ({MIN_SAMPLES}): contradicted",
        }
        moved, traffic = value_of(observation, "changes") or 0.0, value_of(observation, "traffic") or 0.0
        if not found and observation.get("elsewhere") is True:
            return inconclusive(_of_whom([name], observation), claimed=name, rule=words["rule"])
        if not found and traffic < 1:
            why = f"{where_of(observation)} has no {name}; many exporters show a series only once used, and nothing"
            return inconclusive(f"{why} tells that it was.", claimed=name, observed=known or "none", rule=words["rule"])
        if not found and (whole := meant_by(name, map(text_of, list_of(observation.get("known"))))):
            why = f"{where_of(observation)} has no {name}, but {whole}; claim the name in full."
            return inconclusive(why, claimed=name, observed=known, rule=words["rule"])
        if not found:
            reason = f"{where_of(observation)} has no {name} {window_of(observation)}, but {known or 'nothing known'}."
            return Judgement(CONTRADICTED, observed=known or "none", reason=reason, **words)
        window = window_of(observation)
        if moved > 0:
            reason = f"{found} moved {int(moved)} times {window}, {where_of(observation)}."
            return Judgement(VERIFIED, observed=f"moved {int(moved)} times", reason=reason, **words)
        if traffic >= MIN_SAMPLES and not value_of(observation, "begun"):
            others_gained = f"while other counters gained {short(traffic)}, {where_of(observation)}"
            reason = f"{found} stood still {window} {others_gained}."
            return Judgement(CONTRADICTED, observed="stands still", reason=reason, **words)
        if value_of(observation, "begun"):
            why = f"{found} began {window} with what it counted first, and did not move since: {where_of(observation)}."
            return inconclusive(why, claimed=name, observed=found, rule=words["rule"])
        why = f"{found} is kept; it did not move {window}, and hardly anything else did: {where_of(observation)}."
        return inconclusive(why, claimed=name, observed=found, rule=words["rule"])


def _told_apart(classes: list[str], kinds: set[str]) -> set[str]:
    """The classes that have a kind to themselves: one kind that two of them share tells neither from the other."""
    found: set[str] = set()
    left = set(kinds)
    for name in sorted(set(classes), key=lambda name: len(ERROR_CLASSES[name] & kinds)):
        if own := sorted(ERROR_CLASSES[name] & left):
            left.discard(own[0])
            found.add(name)
    return found


def _able(observation: Observation, *keys: str) -> set[str]:
    """The classes that one of these counters may count. Kubernetes tells of memory that ran out, under any labels."""
    kept = [observation.get(key) for key in keys]
    counters = [text_of(name) for names in kept for name in (*list_of(names), *dict_of(names))]
    found = {name for name, kinds in ERROR_CLASSES.items() if any(may_count(one, kinds) for one in counters if one)}
    return found | {"out_of_memory"}


class ErrorsVisible(PrometheusProbe):
    """Which kinds of failures the endpoint's counters tell apart."""

    key = "prometheus.errors"
    title = "Errors told apart"
    items = ("observability.errors",)

    def settles(self, item_key: str, stack: Stack) -> str:
        if why := super().settles(item_key, stack):
            return why
        if not stack.metrics:
            return f"{stack.label} exports no metrics."
        if any(map(is_open, own_counters(stack))):
            return f"{stack.label} names failures only once they happen, so that one is not told apart never shows."
        return ""

    async def read(self, scope: Scope, target: Target) -> Observation:
        seen, fault = await failures(scope)
        if fault:
            return fault
        kinds = {name: {kind[:60]: count for kind, count in list(row.items())[:40]} for name, row in seen.items()}
        oom = scope.on_pods("kube_pod_container_status_last_terminated_reason", labels={"reason": "OOMKilled"})
        if oom:
            reading = await scope.prometheus.instant(f"sum({oom})")
            if reading.error:
                return reading.problem
            if reading.total:
                kinds["kube_pod_container_status_last_terminated_reason"] = {"oomkilled": reading.total}
        counters = failure_counters(scope)
        before, outcome = await scope.elsewhere(sorted(GATEWAYS - scope.names))
        if outcome.error:
            return outcome.problem
        return {
            "kinds": kinds,
            "counters": sorted(counters),
            "able": sorted({*counters, *own_counters(scope.stack)}),
            "unknown": unknown_counters(scope)[:6],
            "before": before,
            "known": scope.stack is not None,
        }

    def claimed(self, claims: Claims) -> str:
        return joined([text.replace("_", " ") for text in texts_of(claims.get("classes"))])

    def compare(self, claims: Claims, observation: Observation, others: Mapping[str, Claims]) -> Judgement:
        classes = [text for text in texts_of(claims.get("classes")) if text in ERROR_CLASSES]
        rows = {name: dict_of(row) for name, row in dict_of(observation.get("kinds")).items()}
        kinds = {kind for row in rows.values() for kind, count in row.items() if number_of(count) and kind not in FINE}
        known = map(text_of, list_of(observation.get("counters")))
        counters = joined([*rows, *[name for name in known if name and name not in rows]], 4)
        shown = _told_apart(classes, kinds)
        seen = joined(sorted(kinds)) or "none"
        if not classes:
            return nothing_claimed("" if seen == "none" else seen)
        words: dict[str, Any] = {"claimed": self.claimed(claims), "observed": seen}
        words["rule"] = (
            "every claimed kind was counted by itself: verified; one that nothing which is kept can count: contradicted"
        )
        if shown == set(classes):
            return Judgement(VERIFIED, reason=f"{counters} counted {seen}; {where_of(observation)}.", **words)
        if not counters and observation.get("known") is not True:
            why = f"{where_of(observation)}: none of the names is known, so errors cannot be told apart."
            return inconclusive(why, claimed=self.claimed(claims), rule=words["rule"])
        never = set(classes) - shown - _able(observation, "able", "counters", "kinds")
        unknown = [text_of(name) for key in ("unknown", "before") for name in list_of(observation.get(key))]
        if sure := never - _able(observation, "unknown", "before"):
            lost = joined([name.replace("_", " ") for name in classes if name in sure])
            told = f"can count {lost} ({counters})" if counters else "that tells errors apart"
            reason = f"{where_of(observation)} keeps this endpoint's metrics, but none {told}."
            return Judgement(CONTRADICTED, reason=reason, **words)
        if never:
            lost = joined([name.replace("_", " ") for name in classes if name in never])
            why = f"Whether {joined(unknown, 3)} tells {lost} apart for this endpoint is not known here"
            why = f"{why}; {where_of(observation)}."
            return inconclusive(why, claimed=self.claimed(claims), observed=seen, rule=words["rule"])
        missing = joined([name.replace("_", " ") for name in classes if name not in shown])
        why = f"{counters} counted {seen}; {missing} did not happen yet, or is not told apart. {where_of(observation)}."
        return inconclusive(why, claimed=self.claimed(claims), observed=seen, rule=words["rule"])
