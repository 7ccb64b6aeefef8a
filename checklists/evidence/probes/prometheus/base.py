"""What the probes of a Prometheus server share: which series are the endpoint's, and how they are asked for."""

from __future__ import annotations

import time
from abc import abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from checklists.evidence.metrics import Histogram
from checklists.evidence.probes.base import NONE, Judgement, Probe, fact_error, inconclusive, joined, number_of, text_of
from checklists.evidence.probes.prometheus.labels import (
    MODELS,
    TWINS,
    host_of,
    netloc_of,
    pattern_of,
    too_wide,
    workload_of,
)
from checklists.evidence.probes.visit import Claims, Observation, Target, Visit
from checklists.evidence.sources.exporters import GPU_IDS
from checklists.evidence.sources.prometheus import (
    MAX_QUERY,
    Outcome,
    Prometheus,
    Reading,
    any_of,
    is_label,
    is_metric,
    matchers,
)
from checklists.evidence.stacks import COUNTER_MEANINGS, STACKS, Meaning, Stack, stack_of_metrics

KUBERNETES = ("prometheus", "kubernetes")  # what a probe reads that joins pods
WINDOW, WINDOW_S = "7d", 7 * 86_400
WEEK = "in the last 7 days"
# The highest value of each series in the window, if it has one now: what is gone may have been another release.
PEAK = f"(max_over_time({{}}[{WINDOW}]) and {{}})"
MIN_SAMPLES = 20
MAX_PODS = 300
# A counter that falls this often in a day, and with so many of its changes, is several behind one address.
MIXED_RESETS, MIXED_SHARE = 10, 0.2
# What tells which model, pods and addresses the endpoint's series belong to: few series each, and always exported.
_ANCHORS = ("requests_running", "requests_waiting", "generation_tokens_total", "requests_total", "end_to_end_seconds")
WORDS = {
    "first_token_seconds": "time to the first token",
    "per_output_token_seconds": "time per token",
    "end_to_end_seconds": "request latency",
    "generation_tokens_total": "generated tokens",
    "requests_total": "requests",
    "requests_running": "running requests",
    "requests_waiting": "waiting requests",
    "batch_size": "batch sizes",
    "spend_total": "spend",
}


@dataclass(frozen=True)
class Scope:
    """The series of one endpoint: the labels that select them, all names among them, and where its replicas run."""

    prometheus: Prometheus
    labels: Mapping[str, str]
    names: frozenset[str]
    stack: Stack | None
    pods: tuple[tuple[str, str], ...] = ()  # namespace, pod
    instances: tuple[str, ...] = ()
    anchor: str = ""
    clusters: tuple[str, ...] = ()  # where one server keeps several, by the label that tells them apart

    @property
    def here(self) -> Mapping[str, str]:
        """Patterns of the labels that others' series of the same place have, if they have them at all."""
        return {"cluster": f"{any_of(self.clusters)}|"} if self.clusters else {}

    def own(self, name: str, labels: Mapping[str, str] | None = None) -> str:
        """The selector of the endpoint's series of that name."""
        return name + matchers({**self.labels, **(labels or {})})

    def candidates(self, *meanings: str) -> list[tuple[str, Meaning]]:
        """The known names of these meanings that Prometheus has of this endpoint, the preferred meaning first."""
        known = self.stack.metrics.items() if self.stack else ()
        return [
            (found, meaning)
            for key in meanings
            for name, meaning in known
            if meaning.key == key and (found := self.named(name, f"{name}_total"))
        ]

    def histograms(self, *meanings: str) -> list[tuple[str, Meaning]]:
        """The same for histograms, by their names without an ending."""
        known = self.stack.metrics.items() if self.stack else ()
        return [
            (name, meaning)
            for key in meanings
            for name, meaning in known
            if meaning.key == key and f"{name}_bucket" in self.names
        ]

    def distributions(self, *meanings: str) -> list[tuple[str, str, Meaning]]:
        """The same, with the series that ``sum by (le)`` is asked of: its buckets, or a native histogram, which has the
        histogram's own name. What has that name may also be something else, and then gives no histogram."""
        known = self.stack.metrics.items() if self.stack else ()
        return [
            (series, name, meaning)
            for key in meanings
            for name, meaning in known
            if meaning.key == key and not meaning.counter and (series := self.named(f"{name}_bucket", name))
        ]

    async def histogram(self, *meanings: str) -> tuple[Histogram | None, Reading]:
        """What the first of these histograms that has samples gained in the window at the replicas that run now, in the
        unit of its meaning: those that are gone may have been another release. An empty one if all are."""
        empty: Histogram | None = None
        for series, name, meaning in self.distributions(*meanings)[:3]:
            own = self.own(series, meaning.labels)
            reading = await self.prometheus.instant(f"sum by (le) (increase({own}[{WINDOW}]) and {own})")
            if reading.error:
                return None, reading
            if len(reading.series) > 1:
                # Replicas of two versions may have other bounds: only where all have one is the sum of counts known.
                shared = await self.prometheus.instant(f"count by (le) ({own})")
                if shared.error:
                    return None, shared
                reading = reading.with_common("le", shared)
            if (found := reading.histogram(name)) is not None:
                if found.count > 0:
                    return found.scaled(meaning.factor), reading
                empty = empty or found.scaled(meaning.factor)
        return empty, Reading()

    async def elsewhere(self, names: Iterable[str]) -> tuple[list[str], Outcome]:
        """Those of these names (with any usual ending) that the server has of anything, whoever's they are."""
        wanted = [name for name in names if is_metric(name)][:20]
        if not wanted:
            return [], Outcome()
        ends = ("", "_total", "_count", "_bucket")
        pattern = {"__name__": any_of(name.removesuffix("_total") + end for name in wanted for end in ends)}
        kept, outcome = await self.prometheus.names(matchers({}, pattern), WINDOW_S)
        return [name for name in wanted if any(name.removesuffix("_total") + end in kept for end in ends)], outcome

    def named(self, *names: str) -> str:
        """The first of these names that exists, else an empty text."""
        return next((name for name in names if name in self.names), "")

    def either(self, template: str, found: Iterable[tuple[str, Meaning]]) -> str:
        """An expression over the first of these series that has samples: ``template`` with ``{}`` for the selector."""
        parts = [
            f"{template.replace('{}', self.own(name, meaning.labels))} * {meaning.factor:.12g}"
            for name, meaning in found
        ]
        return " or ".join(f"({part})" for part in parts)

    def on_pods(
        self,
        name: str,
        template: str = "{}",
        labels: Mapping[str, str] | None = None,
        patterns: Mapping[str, str] | None = None,
    ) -> str:
        """An expression over series of the endpoint's pods that another exporter has: by ``namespace`` and ``pod``,
        or by ``exported_…`` where Prometheus kept its own labels. Empty without pods."""
        if not self.pods:
            return ""
        where = {
            "namespace": any_of(sorted({namespace for namespace, _ in self.pods})),
            "pod": pattern_of(pod for _, pod in self.pods),
        }
        moved = {f"exported_{key}": value for key, value in where.items()}
        more = {**(patterns or {}), **self.here}
        parts = (template.replace("{}", name + matchers(labels or {}, {**more, **at})) for at in (where, moved))
        return f"({' or '.join(parts)})"

    async def gpu_series(self, names: Iterable[str]) -> tuple[str, bool, Outcome]:
        """The first of these names that tells of the GPUs the endpoint runs on, and whether they are its own: else
        they are those of its hosts, which others may use too. An empty name if there is none.

        A label that a GPU exporter's series share with the endpoint's may be that of their host."""
        names = tuple(names)
        if found := next((n for n in names if self._exports(n) or (n in self.names and not self.pods)), ""):
            return found, self._exports(found), Outcome()
        expression = self._gpus("", f"last_over_time({{}}[{WINDOW}])", {"__name__": any_of(names)})
        if not expression:
            return "", False, Outcome()
        reading = await self.prometheus.instant(f"count by (__name__) ({expression})")
        seen = {series.labels.get("__name__", "") for series in reading.series}
        return next((name for name in names if name in seen), ""), bool(self.pods), reading

    def gpus(self, name: str, template: str = "{}") -> str:
        """An expression over the series of that name of the GPUs the endpoint runs on."""
        if self._exports(name) or (name in self.names and not self.pods):
            return template.replace("{}", self.own(name))
        return self._gpus(name, template, {})

    def _exports(self, name: str) -> bool:
        return self.stack is not None and name in self.stack.metrics and name in self.names

    def _gpus(self, name: str, template: str, patterns: Mapping[str, str]) -> str:
        if self.pods:
            return self.on_pods(name, template, patterns=patterns)
        hosts = sorted({host for instance in self.instances if (host := host_of(instance))})
        if not hosts:
            return ""
        on_host = {"instance": f"({any_of(hosts)})(:[0-9]+)?"}
        return template.replace("{}", name + matchers({}, {**patterns, **on_host}))

    @property
    def workload(self) -> str:
        """The Deployment or StatefulSet whose pods these are, by their common name; empty if there are several."""
        names = {workload_of(pod) for _, pod in self.pods}
        return names.pop() if len(names) == 1 and len(self.clusters) <= 1 else ""

    @property
    def namespace(self) -> str:
        names = {namespace for namespace, _ in self.pods}
        return names.pop() if len(names) == 1 else ""


async def scope_of(visit: Visit) -> tuple[Scope | None, Observation]:
    """Which series are the target's, and the head of an observation; without a scope, it says why."""
    prometheus = Prometheus(visit)
    labels: Mapping[str, str] = {name: value for name, value in visit.target.labels.items() if isinstance(value, str)}
    where = f"Prometheus at {prometheus.base}"

    def fault(error: str, why: str) -> tuple[None, Observation]:
        return None, {"where": where if prometheus.base else "Prometheus", "error": error, "why": why}

    if bad := [name for name in visit.target.labels if not is_label(name)]:
        return fault("labels", f"{joined(bad)[:100]} cannot be the name of a label in Prometheus.")
    if prometheus.base and not labels:
        labels, error, why = await _labels_of_target(prometheus, visit.target)
        if not labels:
            return fault(error, why)
    selector = matchers(labels)
    names, outcome = await prometheus.names(selector, WINDOW_S)
    if outcome.error:
        return fault(outcome.error, outcome.why)
    if not names:
        return fault("no_series", f"{where} has no series with {selector} {WEEK}.")
    stack = STACKS["nim"] if visit.target.stack == "nim" else stack_of_metrics(sorted(names))
    scope = Scope(prometheus, labels, names, stack)
    anchor = next((name for name, _ in scope.candidates(*_ANCHORS)), "")
    anchor = anchor or next((f"{name}_count" for name, _ in scope.histograms(*_ANCHORS)), "")
    anchor = anchor or scope.named("up", *sorted(names))
    by = ", ".join((*MODELS, "namespace, pod, instance, exported_namespace, exported_pod, cluster", *TWINS))
    seen = await prometheus.instant(f"count by ({by}) (last_over_time({scope.own(anchor)}[{WINDOW}]))")
    if seen.error:
        return fault(seen.error, seen.why)
    if wide := too_wide(seen.series, labels, visit.target.model_hint):
        return fault("ambiguous", f"{selector} selects {wide}.")
    pods = sorted({(series.label("namespace"), series.label("pod")) for series in seen.series if series.label("pod")})
    instances = sorted({name for series in seen.series if (name := series.labels.get("instance", ""))})
    if len(pods) > MAX_PODS:  # with a part of them, GPUs and replicas would be counted wrongly
        return fault("too_large", f"{selector} selects {len(pods)} pods; more than {MAX_PODS} are not looked at.")
    clusters = sorted({name for series in seen.series if (name := series.labels.get("cluster", ""))})
    scope = Scope(prometheus, labels, names, stack, tuple(pods), tuple(instances), anchor, tuple(clusters))
    past, outcome = await _past(scope)
    if outcome.error:
        return fault(outcome.error, outcome.why)
    if past.get("mixed"):
        why = (
            f"{selector} selects series that fall all the time: several replicas are scraped through one address, so "
            "nothing that is counted can be told."
        )
        return fault("mixed", why)
    head = {"where": f"{where}, {selector}", "stack": stack.key if stack else "", "window": _window(past.get("kept_s"))}
    kept_s = past.get("running_s", past.get("kept_s"))
    return scope, {**head, "kept_s": kept_s, "replicas_seen": len(instances)}


async def _past(scope: Scope) -> tuple[dict[str, float], Outcome]:
    """``kept_s``: how far back the endpoint's series go in the window; ``running_s``: those of replicas that run now,
    as a roll-out makes new ones; ``mixed``, if they are of several processes."""
    anchor = scope.own(scope.anchor)
    counter = next((name for name, _ in scope.candidates(*COUNTER_MEANINGS)), "")
    counter = counter or next((f"{name}_count" for name, _ in scope.histograms("end_to_end_seconds")), "")
    first = f"min_over_time(timestamp({anchor})[{WINDOW}:5m]) or timestamp({anchor})"
    queries = {"oldest": f"min({first})", "running": f"min(({first}) and {anchor})"}
    if counter:
        falls, moves = (f"{how}({scope.own(counter)}[1d])" for how in ("resets", "changes"))
        queries["mixed"] = f"max(({falls} >= {MIXED_RESETS}) / {moves}) > {MIXED_SHARE}"
    readings, outcome = await scope.prometheus.many(queries)
    found = {key: number for key, reading in readings.items() if (number := reading.number) is not None}
    for key, age in (("oldest", "kept_s"), ("running", "running_s")):
        if since := found.pop(key, None):
            found[age] = max(time.time() - since, 0.0)
    return found, outcome


def _window(kept_s: float | None) -> str:
    """The window in words, which is shorter where less is kept."""
    if kept_s is None or kept_s > 0.95 * WINDOW_S:
        return WEEK
    hours = kept_s / 3600
    span = f"{hours:.1f} hours" if hours >= 2 else f"{max(hours * 60, 1):.0f} minutes"
    span = f"{hours / 24:.1f} days" if hours >= 48 else span
    return f"in the last {span}, which is all that is kept"


async def _labels_of_target(prometheus: Prometheus, target: Target) -> tuple[Mapping[str, str], str, str]:
    """The labels of the scrape target that is the endpoint itself, by its address; else a kind of error and why."""
    listing = await prometheus.targets()
    if listing.error:
        return {}, listing.error, listing.why
    places = {netloc for url in (target.metrics_url, target.url) if (netloc := netloc_of(url))}
    found = [row.labels for row in listing.items if netloc_of(row.url) in places]
    if len(found) != 1:
        return {}, "no_labels", "No labels are recorded that select this endpoint's series in Prometheus."
    return {name: found[0][name] for name in ("job", "instance") if name in found[0]}, "no_labels", ""


def distinct_gpus(expression: str) -> str:
    """An expression that counts GPUs, however their series are split."""
    return f"count(count by (instance, Hostname, {', '.join(GPU_IDS)}) ({expression}))"


def first_with_samples(readings: Mapping[str, Reading]) -> tuple[str, Reading]:
    """The first reading that holds series, with its key."""
    return next(((key, reading) for key, reading in readings.items() if reading.series), ("", Reading()))


def whole_or_zero(value: Any) -> float | None:
    """A number people claimed that may be zero."""
    if not isinstance(value, bool) and (value == 0 or (isinstance(value, str) and value.strip() in ("0", "0.0"))):
        return 0.0
    return number_of(value)


def where_of(observation: Observation) -> str:
    return text_of(observation.get("where"))


def window_of(observation: Observation) -> str:
    """The window in words, as far as anything was kept."""
    return text_of(observation.get("window")) or WEEK


def _either(meanings: tuple[str, ...]) -> str:
    return " or ".join(dict.fromkeys(WORDS.get(key, key.replace("_", " ")) for key in meanings))


class PrometheusProbe(Probe):
    """A probe of the endpoint's series. ``needs``: groups of meanings; the stack must export one of each group, and one
    of ``histograms`` as a histogram."""

    reads: ClassVar[tuple[str, ...]] = ("prometheus",)
    sends: ClassVar[str] = "A few reading queries to the Prometheus server; nothing to the endpoint."
    needs: ClassVar[tuple[tuple[str, ...], ...]] = ()
    histograms: ClassVar[tuple[str, ...]] = ()

    async def observe(self, visit: Visit) -> Observation:
        scope, head = await scope_of(visit)
        if scope is None:
            return head
        seen = await self.read(scope, visit.target)
        return {**head, **seen, "queries": [query[:MAX_QUERY] for query in scope.prometheus.queries[:20]]}

    def judge(
        self, item_key: str | None, claims: Claims, observation: Observation, others: Mapping[str, Claims] = NONE
    ) -> Judgement:
        if why := fact_error(observation):
            return inconclusive(why, claimed=self.claimed(claims))
        return self.compare(claims, observation, others)

    @abstractmethod
    async def read(self, scope: Scope, target: Target) -> Observation:
        """What the endpoint's series show, as JSON."""

    @abstractmethod
    def compare(self, claims: Claims, observation: Observation, others: Mapping[str, Claims]) -> Judgement:
        """The verdict on an observation that holds something. Pure."""

    def claimed(self, claims: Claims) -> str:
        """The claim in a few words, for when there is nothing to compare it with."""
        return ""

    def settles(self, item_key: str, stack: Stack) -> str:
        if why := super().settles(item_key, stack):
            return why
        for group in self.needs:
            if not stack.exports(*group):
                return f"{stack.label} exports no metric of {_either(group)}."
        if self.histograms and not stack.exports(*self.histograms, histogram=True):
            return f"{stack.label} exports no histogram of {_either(self.histograms)}."
        return ""


def no_pods() -> Observation:
    """What is observed where nothing can be joined to pods."""
    return {
        "error": "no_pods",
        "why": "The endpoint's series in Prometheus carry no pod, so nothing of Kubernetes can be joined to them.",
    }
