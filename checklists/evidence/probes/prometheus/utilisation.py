"""How much of its hardware it uses: GPU memory, batches, and what comes out of one GPU."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from checklists.evidence.metrics import Histogram, bucket_of_quantile
from checklists.evidence.probes.base import (
    CONTRADICTED,
    VERIFIED,
    Judgement,
    dict_of,
    inconclusive,
    moment,
    nothing_claimed,
    number_of,
    plain,
    text_of,
    unread,
)
from checklists.evidence.probes.prometheus.base import (
    MIN_SAMPLES,
    PEAK,
    WEEK,
    WINDOW,
    WINDOW_S,
    PrometheusProbe,
    Scope,
    distinct_gpus,
    where_of,
    window_of,
)
from checklists.evidence.probes.prometheus.hardware import has_head, workers_of
from checklists.evidence.probes.prometheus.load import (
    HISTORY_S,
    MIN_BUSY,
    MONTH,
    Points,
    bounds_in,
    load_history,
    short,
    summaries,
    value_of,
)
from checklists.evidence.probes.visit import Claims, Observation, Target
from checklists.evidence.sources.exporters import (
    GPU_MEMORY,
    GPU_RESOURCES,
    GPU_SERIES,
)
from checklists.evidence.sources.prometheus import any_of
from checklists.evidence.units import convert


async def gpu_history(scope: Scope, history: Mapping[str, Points]) -> tuple[Points, str]:
    """GPUs in use by time, or replicas where no exporter tells GPUs: ``gpu``, ``replica``, or empty if neither."""
    name, own, _ = await scope.gpu_series(GPU_SERIES)
    if name and own:
        reading = await scope.prometheus.range(distinct_gpus(scope.gpus(name)), HISTORY_S)
        if points := _recent(reading.points):
            return points, "gpu"
    if scope.pods:
        asked = scope.on_pods("kube_pod_container_resource_requests", patterns={"resource": any_of(GPU_RESOURCES)})
        reading = await scope.prometheus.range(f"sum({asked})", HISTORY_S)
        if points := _recent(reading.points):
            return points, "gpu"
    replicas = history.get("replicas", {})
    return replicas, "replica" if replicas else ""


def _recent(points: Points) -> Points:
    """The last week of a month: pods that are gone since are not known, and their GPUs would be missing before."""
    last = max(points, default=0.0)
    return {at: value for at, value in points.items() if at > last - WINDOW_S}


class PeakMemory(PrometheusProbe):
    """The most GPU memory any replica held in a week."""

    key = "prometheus.peak-memory"
    version = 2
    title = "Peak GPU memory"
    items = ("compute.peak-memory",)

    async def read(self, scope: Scope, target: Target) -> Observation:
        name, own, outcome = await scope.gpu_series(GPU_MEMORY)
        if outcome.error:
            return outcome.problem
        if not name:
            return {"error": "no_gpu", "why": "Prometheus has no GPU memory series of where this endpoint runs."}
        by = "namespace, pod, exported_namespace, exported_pod, instance"
        each = scope.gpus(name, PEAK)
        now = f"sum by ({by}) ({scope.gpus(name)})"
        together = f"max_over_time({now}[{WINDOW}:5m]) and {now}"
        requests = scope.either(
            f"sum(increase({{}}[{WINDOW}]))", scope.candidates("requests_success_total", "requests_total")
        )
        queries = {"upper": f"max(sum by ({by}) ({each}))", "lower": f"max({together})"}
        queries |= {"requests": requests} if requests else {}
        queries |= {"workers": workers_of(scope)} if scope.pods else {}
        readings, outcome = await scope.prometheus.many(queries)
        if outcome.error:
            return outcome.problem
        totals = {key: reading.total for key, reading in readings.items()}
        workers = bool(totals.pop("workers", None)) or has_head(scope)
        return {"name": name, "unit": GPU_MEMORY[name], "own": own, "workers": workers, **totals}

    def claimed(self, claims: Claims) -> str:
        wanted = number_of(claims.get("gib_per_replica"))
        return f"{plain(wanted)} GiB" if wanted else ""

    def compare(self, claims: Claims, observation: Observation, others: Mapping[str, Claims]) -> Judgement:
        wanted = number_of(claims.get("gib_per_replica"))
        unit, name = text_of(observation.get("unit")), text_of(observation.get("name"))
        upper, lower = (
            convert(value, unit, "GiB") if (value := number_of(observation.get(key))) else None
            for key in ("upper", "lower")
        )
        if upper is None or lower is None:
            return inconclusive(
                f"{where_of(observation)}: {name} has no samples {window_of(observation)} of a replica that runs now.",
                claimed=self.claimed(claims),
            )
        if wanted is None:
            return nothing_claimed(short(upper), "GiB")
        source = f"the largest {name} of a replica {window_of(observation)}, {where_of(observation)}"
        words: dict[str, Any] = {
            "claimed": plain(wanted),
            "unit": "GiB",
            "rule": "sum of each GPU's peak ≤ claim: verified; peak of their sum > claim: contradicted",
        }
        if observation.get("own") is not True:
            source += ", counting all GPUs of its host"
        if lower > wanted and observation.get("own") is True:
            return Judgement(CONTRADICTED, observed=short(lower), reason=f"{short(lower)} GiB: {source}.", **words)
        if upper > wanted:
            why = f"Between {short(lower)} and {short(upper)} GiB: {source}. Whether the claim holds cannot be told."
            return inconclusive(why, claimed=plain(wanted), observed=short(upper), unit="GiB", rule=words["rule"])
        if why := unread(observation, "workers"):
            return inconclusive(why, claimed=plain(wanted), observed=short(upper), unit="GiB", rule=words["rule"])
        if observation.get("workers") is True:
            why = f"{short(upper)} GiB: {source}. Of a replica that spans several pods, this is the first one's alone."
            return inconclusive(why, claimed=plain(wanted), observed=short(upper), unit="GiB", rule=words["rule"])
        asked = value_of(observation, "requests")
        if asked is not None and asked < MIN_SAMPLES:
            why = f"{short(upper)} GiB: {source}. Only {int(asked)} requests were answered meanwhile: no peak."
            return inconclusive(why, claimed=plain(wanted), observed=short(upper), unit="GiB", rule=words["rule"])
        return Judgement(VERIFIED, observed=short(upper), reason=f"{short(upper)} GiB: {source}.", **words)


class BatchRange(PrometheusProbe):
    """How much the server worked on at once in a week."""

    key = "prometheus.batch-range"
    title = "Batch sizes in use"
    items = ("compute.batch-range",)
    needs = (("batch_size", "requests_running", "tokens_per_iteration"),)

    async def read(self, scope: Scope, target: Target) -> Observation:
        seen: Observation = {"batches": {}}
        for unit, meanings in (("requests", ("batch_size",)), ("tokens", ("tokens_per_iteration",))):
            histogram, reading = await scope.histogram(*meanings)
            if reading.error:
                return reading.problem
            if histogram is not None and histogram.count > 0:
                seen["batches"][unit] = histogram.as_json()
        gauges = [*scope.candidates("batch_size"), *scope.candidates("requests_running")]
        if "requests" not in seen["batches"] and gauges:
            peak = scope.either(f"max({PEAK})", gauges)
            reading = await scope.prometheus.instant(peak)
            if reading.error:
                return reading.problem
            seen |= {"gauge": gauges[0][0], "peak": reading.number}
        return seen

    def compare(self, claims: Claims, observation: Observation, others: Mapping[str, Claims]) -> Judgement:
        least, most = number_of(claims.get("min")), number_of(claims.get("max"))
        unit = text_of(claims.get("unit")) or "requests"
        if least is None or most is None:
            peak = number_of(observation.get("peak"))
            return nothing_claimed(short(peak) if peak else "", "requests at once at most")
        claimed = f"{plain(least)} to {plain(most)}"
        counted = "requests" if unit in ("samples", "images") else unit
        histogram = Histogram.from_json(dict_of(observation.get("batches")).get(counted))
        if histogram is not None:
            bucket = bucket_of_quantile(histogram, 1.0)
            if bucket is None or histogram.count < MIN_SAMPLES:
                few = int(histogram.count)
                why = f"Only {few} batches {window_of(observation)}; at least {MIN_SAMPLES} are needed."
                return inconclusive(why, claimed=claimed, unit=unit, samples=few)
            low, high, samples = bucket.lower, bucket.upper, int(histogram.count)
            name = histogram.name
            observed = (
                f"largest between {short(low)} and {short(high)}" if high != float("inf") else f"over {short(low)}"
            )
        else:
            peak = number_of(observation.get("peak")) if counted == "requests" else None
            if peak is None:
                return inconclusive(
                    f"{where_of(observation)} shows no batches counted in {unit} {window_of(observation)}.",
                    claimed=claimed,
                    unit=unit,
                )
            low, high, samples, name = peak, peak, None, text_of(observation.get("gauge"))
            observed = f"{short(peak)} at most"
        source = f"{name} of one replica {window_of(observation)}, {where_of(observation)}"
        words: dict[str, Any] = {"claimed": claimed, "observed": observed, "unit": unit, "samples": samples}
        words["histogram"] = histogram.picture({"smallest": least, "largest": most}, unit) if histogram else None
        words["rule"] = "the largest batch lies within the claimed range: verified; above it: contradicted"
        if low > most or (low == most and high > most):
            return Judgement(
                CONTRADICTED, reason=f"Larger batches than claimed were run: {observed}; {source}.", **words
            )
        if high <= most and low >= least:
            return Judgement(
                VERIFIED, reason=f"The largest batch lies within the range: {observed}; {source}.", **words
            )
        short_of = (
            "too little was asked of it to reach the range" if high < least else "the bucket is too coarse to tell"
        )
        return inconclusive(
            f"{observed}; {source}: {short_of}.",
            claimed=claimed,
            observed=observed,
            unit=unit,
            rule=words["rule"],
            samples=words["samples"],
        )


class UnitThroughput(PrometheusProbe):
    """What one GPU gave at the best moment of a month, and while every replica had requests waiting."""

    key = "prometheus.unit-throughput"
    title = "Output per GPU"
    items = ("compute.unit-throughput",)
    also_reads = ("compute.parallelism",)
    cheap = False
    needs = (("generation_tokens_total", "requests_total", "requests_success_total"), ("requests_waiting",))

    async def read(self, scope: Scope, target: Target) -> Observation:
        history, fault = await load_history(scope)
        if fault:
            return fault
        gpus, per = await gpu_history(scope, history)
        window = WEEK if per == "gpu" else MONTH
        return {"window": window, "per": per, "unit_load": summaries(history, gpus)}

    def claimed(self, claims: Claims) -> str:
        wanted = number_of(claims.get("per_gpu_second"))
        return f"{plain(wanted)} {text_of(claims.get('unit'))} per GPU-second" if wanted else ""

    def compare(self, claims: Claims, observation: Observation, others: Mapping[str, Claims]) -> Judgement:
        wanted, unit = number_of(claims.get("per_gpu_second")), text_of(claims.get("unit"))
        series = {"tokens": "tokens", "images": "images", "samples": "requests"}.get(unit, "")
        if wanted is None or not series:
            return nothing_claimed("")
        shown = f"{unit} per GPU-second"
        claimed = plain(wanted)
        per, window = text_of(observation.get("per")), text_of(observation.get("window"))
        gpus = 1.0 if per == "gpu" else number_of(others.get("compute.parallelism", {}).get("gpus"))
        low, high = bounds_in(observation, series, "unit_load")
        peak = value_of(low, "max")
        if not per or gpus is None:
            why = "How many GPUs it runs on is neither measured nor claimed, so nothing can be said per GPU."
            return inconclusive(why, claimed=claimed, unit=shown)
        if peak is None:
            return inconclusive(
                f"{where_of(observation)} has no samples of {series} {window}.", claimed=claimed, unit=shown
            )
        best = peak / gpus
        counted = "GPUs as measured" if per == "gpu" else f"{plain(gpus)} GPUs a replica as claimed"
        source = f"{where_of(observation)} {window}, {counted}"
        words: dict[str, Any] = {"claimed": claimed, "unit": shown}
        words["rule"] = (
            "peak ÷ GPUs ≥ claim: verified; below it although every replica had requests waiting: contradicted"
        )
        if best >= wanted:
            reason = f"At its peak {short(best)} {shown} ({moment(value_of(low, 'at'))}); {source}."
            return Judgement(VERIFIED, observed=short(best), reason=reason, **words)
        most, busy = value_of(high, "busy_max"), value_of(high, "busy_steps") or 0
        if most is not None and busy >= MIN_BUSY and most / gpus < wanted:
            reason = f"While every replica had requests waiting, at most {short(most / gpus)} {shown}; {source}."
            return Judgement(CONTRADICTED, observed=short(most / gpus), reason=reason, **words)
        why = f"{source}: at most {short(best)} {shown}, and it was not seen to be full: idle is not slow."
        return inconclusive(why, claimed=claimed, observed=short(best), unit=shown, rule=words["rule"])
