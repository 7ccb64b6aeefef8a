"""Starting, warming up, queueing and scaling, from the server's own series and from what Kubernetes tells."""

from __future__ import annotations

import math
import re
import statistics
from collections.abc import Iterable, Mapping
from typing import Any

from checklists.evidence.metrics import Histogram, bucket_of_quantile
from checklists.evidence.probes.base import (
    CONTRADICTED,
    VERIFIED,
    Judgement,
    dict_of,
    inconclusive,
    list_of,
    moment,
    nothing_claimed,
    number_of,
    plain,
    text_of,
    unread,
)
from checklists.evidence.probes.prometheus.base import (
    KUBERNETES,
    MIN_SAMPLES,
    PEAK,
    WEEK,
    WINDOW,
    PrometheusProbe,
    Scope,
    where_of,
    whole_or_zero,
    window_of,
)
from checklists.evidence.probes.prometheus.load import HISTORY_S, MONTH, PER_DAY, short, value_of
from checklists.evidence.probes.prometheus.restarts import early_and_late, restarts
from checklists.evidence.probes.prometheus.scalers import moved, scaler_of, told
from checklists.evidence.probes.visit import Claims, Observation, Target
from checklists.evidence.sources.prometheus import Reading

SUSTAINED = 0.1  # of the time of at least a day: neither a rolling update nor a start lasts as long
GAP = 2.0  # later latency times this is still no warm-up
PINNED = 0.95
AT_ONCE_S = 2  # no server answers so soon after its container began


class ColdStart(PrometheusProbe):
    """From a pod's start to its first readiness, or the server's own account of its start."""

    key = "prometheus.cold-start"
    version = 2
    title = "Time to start"
    items = ("autoscaling.cold-start",)
    reads = KUBERNETES

    async def read(self, scope: Scope, target: Target) -> Observation:
        queries = {
            key: expression
            for meaning, most, least in (
                ("startup_seconds", "startup", "startup_least"),
                ("weight_load_seconds", "load", "load_least"),
            )
            for key, how in ((most, "max"), (least, "min"))
            if (expression := scope.either(f"{how}({how}_over_time({{}}[{WINDOW}]))", scope.candidates(meaning)))
        }
        if scope.pods:
            queries["start"] = scope.on_pods("kube_pod_start_time", f"last_over_time({{}}[{WINDOW}])")
            # The earliest of all: a pod that was not ready for a while later on did not start again.
            queries["ready"] = scope.on_pods("kube_pod_status_ready_time", f"min_over_time({{}}[{WINDOW}])")
            queries["ran"] = scope.on_pods("kube_pod_container_state_started", f"min_over_time({{}}[{WINDOW}])")
            queries["window"] = f"vector(time() - {7 * 86_400})"
        readings, outcome = await scope.prometheus.many(queries)
        if outcome.error:
            return outcome.problem
        empty = Reading()
        started = {_pod(series): series.value for series in readings.get("start", empty).series}
        since = readings.get("window", empty).number or 0.0
        ready = {
            pod: (series.value, began)
            for series in readings.get("ready", empty).series
            # A pod from before the window may have become ready again inside it.
            if (began := started.get(pod := _pod(series))) is not None and series.value >= began > since
        }
        ran: dict[tuple[str, str], float] = {}  # its last container, at first
        for series in readings.get("ran", empty).series:
            ran[_pod(series)] = max(series.value, ran.get(_pod(series), 0.0))
        seen: Observation = {"pods": sorted(at - began for at, began in ready.values())[:200]}
        seen["unchecked"] = sum(0 <= at - ran.get(pod, 0.0) <= AT_ONCE_S for pod, (at, _) in ready.items())
        accounts = ("startup", "startup_least", "load", "load_least")
        return seen | {key: readings.get(key, empty).total for key in accounts}

    def claimed(self, claims: Claims) -> str:
        wanted = number_of(claims.get("seconds"))
        return f"{plain(wanted)} s" if wanted else ""

    def compare(self, claims: Claims, observation: Observation, others: Mapping[str, Claims]) -> Judgement:
        wanted = number_of(claims.get("seconds"))
        took = [value for item in list_of(observation.get("pods")) if (value := number_of(item))]
        startup, load = number_of(observation.get("startup")), number_of(observation.get("load"))
        seen = max(took, default=startup or load or 0.0)
        if not seen:
            why = f"{where_of(observation)}: no replica started {WEEK}, and the server does not tell how long it took."
            return inconclusive(why, claimed=self.claimed(claims))
        if wanted is None:
            return nothing_claimed(short(seen), "s")
        words: dict[str, Any] = {"claimed": plain(wanted), "unit": "s"}
        words["rule"] = "every start ≤ claim: verified; most of them > claim: contradicted"
        if took:
            middle = statistics.median(took)
            source = (
                f"from the start of a pod to its first readiness, {len(took)} starts {WEEK}, {where_of(observation)}"
            )
            spread = f"{short(min(took))} to {short(max(took))} s" if len(took) > 1 else f"{short(took[0])} s"
            if max(took) <= wanted and (unchecked := int(value_of(observation, "unchecked") or 0)):
                why = (
                    f"{spread} {source}; {unchecked} were ready in the moment in which they ran, as pods are that have"
                )
                why += " no readiness probe: when they could answer is not told."
                return inconclusive(
                    why, claimed=plain(wanted), observed=spread, unit="s", rule=words["rule"], samples=len(took)
                )
            if max(took) <= wanted and (why := unread(observation, "unchecked")):
                return inconclusive(why, claimed=plain(wanted), observed=spread, unit="s", rule=words["rule"])
            if max(took) <= wanted:
                reason = f"{spread} {source}."
                return Judgement(VERIFIED, observed=short(max(took)), reason=reason, samples=len(took), **words)
            if middle > wanted:
                reason = f"{spread}, {short(middle)} s in the middle, {source}."
                return Judgement(CONTRADICTED, observed=short(middle), reason=reason, samples=len(took), **words)
            why = f"{spread} {source}: some took longer than claimed, most did not."
            return inconclusive(
                why, claimed=plain(wanted), observed=short(max(took)), unit="s", rule=words["rule"], samples=len(took)
            )
        source = f"by the server's own account, {where_of(observation)}"
        if startup or load:
            # The quickest start of all: that one of several took longer refutes no more here than above.
            quickest = (number_of(observation.get(key)) or 0.0 for key in ("startup_least", "load_least"))
            least = max(quickest)
            if least > wanted:
                return Judgement(CONTRADICTED, observed=short(least), reason=f"{short(least)} s {source}.", **words)
        if startup and startup > wanted:
            why = f"Up to {short(startup)} s {source}: some took longer than claimed, not all."
            return inconclusive(why, claimed=plain(wanted), observed=short(startup), unit="s", rule=words["rule"])
        if startup:
            return Judgement(VERIFIED, observed=short(startup), reason=f"{short(startup)} s {source}.", **words)
        why = f"Loading the weights alone took {short(seen)} s {source}; what comes on top is not told."
        return inconclusive(why, claimed=plain(wanted), observed=short(seen), unit="s", rule=words["rule"])


# Words for a warm-up that asks the server, which counts that too.
_OWN_REQUESTS = re.compile(
    r"(?<![a-z])(?:requests?|prompts?|calls?|quer(?:y|ies)|(?<!container )images|sentences?|texts|answers?|completions?"
    r"|generat(?:es?|ed|ing|ions?)|inferences?|samples?|dummy|dummies|synthetic|curl)(?![a-z])",
    re.I,
)


def _pod(series: Any) -> tuple[str, str]:
    return series.label("namespace"), series.label("pod")


class WarmUp(PrometheusProbe):
    """Median latency in the ten minutes after a start, against the time after them, by buckets."""

    key = "prometheus.warmup"
    title = "Latency after a start"
    items = ("autoscaling.warmup",)
    histograms = ("first_token_seconds", "end_to_end_seconds")

    async def read(self, scope: Scope, target: Target) -> Observation:
        found, fault = await restarts(scope)
        if fault:
            return fault
        if not found:
            return {"error": "no_restart", "why": "No replica started between one hour and two days ago."}
        seen: list[dict[str, Any]] = []
        for start in found:
            for series, name, meaning in scope.distributions("first_token_seconds", "end_to_end_seconds")[:1]:
                early, late = await early_and_late(scope, start, series, meaning.labels, "le")
                if early.error or late.error:
                    return (early if early.error else late).problem
                pair = early.histogram(name), late.histogram(name)
                if pair[0] is not None and pair[1] is not None:
                    first, then = (histogram.scaled(meaning.factor).as_json() for histogram in pair if histogram)
                    seen.append({"at": start.at, "instance": start.instance, "early": first, "late": then})
        return {"restarts": seen}

    def compare(self, claims: Claims, observation: Observation, others: Mapping[str, Claims]) -> Judgement:
        claimed = text_of(claims.get("steps"))
        if not claimed:
            return nothing_claimed("")
        for row in map(dict_of, list_of(observation.get("restarts"))):
            early, late = Histogram.from_json(row.get("early")), Histogram.from_json(row.get("late"))
            if early is None or late is None or min(early.count, late.count) < MIN_SAMPLES:
                continue
            first, then = bucket_of_quantile(early, 0.5), bucket_of_quantile(late, 0.5)
            if first is None or then is None:
                continue
            later = f"later {_end(then.upper)} at most"
            observed = f"median between {short(first.lower)} and {_end(first.upper)} at first, {later}"
            source = (
                f"{int(early.count)} requests in the ten minutes after {text_of(row.get('instance'))} started "
                f"({moment(value_of(row, 'at'))}), {int(late.count)} later; {early.name}, {where_of(observation)}"
            )
            words: dict[str, Any] = {"claimed": claimed[:120], "observed": observed, "samples": int(early.count)}
            words["rule"] = (
                "median of the first ten minutes within twice the later one: verified; beyond it: contradicted"
            )
            if first.lower > GAP * then.upper and _OWN_REQUESTS.search(claimed):
                why = f"The first requests were slow: {observed}; {source}. They may be those of the warm-up itself."
                return inconclusive(
                    why, claimed=claimed[:120], observed=observed, rule=words["rule"], samples=words["samples"]
                )
            if first.lower > GAP * then.upper:
                return Judgement(CONTRADICTED, reason=f"The first requests were slow: {observed}; {source}.", **words)
            if first.upper <= GAP * then.upper < float("inf"):
                return Judgement(VERIFIED, reason=f"The first requests were no slower: {observed}; {source}.", **words)
            why = f"The buckets are too coarse to tell: {observed}; {source}."
            return inconclusive(
                why, claimed=claimed[:120], observed=observed, rule=words["rule"], samples=words["samples"]
            )
        why = f"{where_of(observation)}: fewer than {MIN_SAMPLES} requests in ten minutes after a start, or after them."
        return inconclusive(why, claimed=claimed[:120])


def _end(bound: float) -> str:
    return "more" if bound == float("inf") else f"{short(bound)} s"


class BatchQueue(PrometheusProbe):
    """The longest queue of a week against the longest that is allowed."""

    key = "prometheus.queue"
    title = "Longest queue"
    items = ("autoscaling.batch-queue",)
    needs = (("requests_waiting",),)

    async def read(self, scope: Scope, target: Target) -> Observation:
        waiting = scope.candidates("requests_waiting")
        if not waiting:
            return {"error": "no_queue", "why": f"Prometheus has no queue length of this endpoint {WEEK}."}
        queries = {
            key: scope.either(f"{how}({PEAK})", waiting) for key, how in (("replica", "max"), ("together", "sum"))
        }
        readings, outcome = await scope.prometheus.many(queries)
        return outcome.problem or {"name": waiting[0][0], **{key: row.total for key, row in readings.items()}}

    def claimed(self, claims: Claims) -> str:
        wanted = whole_or_zero(claims.get("max_queue"))
        return "" if wanted is None else f"at most {plain(wanted)} waiting"

    def compare(self, claims: Claims, observation: Observation, others: Mapping[str, Claims]) -> Judgement:
        wanted = whole_or_zero(claims.get("max_queue"))
        longest, together = value_of(observation, "replica"), value_of(observation, "together")
        name = text_of(observation.get("name"))
        if longest is None or together is None:
            return inconclusive(
                f"{where_of(observation)}: {name} has no samples {window_of(observation)} of a replica that runs now.",
                claimed=self.claimed(claims),
            )
        if wanted is None:
            return nothing_claimed(short(longest), "waiting at most")
        source = f"{name} {window_of(observation)}, {where_of(observation)}"
        words: dict[str, Any] = {"claimed": plain(wanted), "unit": "requests", "observed": short(longest)}
        words["rule"] = "longest queue ≤ claim, all replicas together: verified; of one replica > claim: contradicted"
        if longest > wanted:
            return Judgement(
                CONTRADICTED, reason=f"{short(longest)} requests waited at one replica; {source}.", **words
            )
        if longest == 0:
            return inconclusive(
                f"Nothing ever waited; {source}.",
                claimed=plain(wanted),
                observed="0",
                unit="requests",
                rule=words["rule"],
            )
        if together > wanted:
            why = f"At most {short(longest)} waited at one replica, {short(together)} at all together; {source}."
            return inconclusive(
                why, claimed=plain(wanted), observed=short(longest), unit="requests", rule=words["rule"]
            )
        return Judgement(VERIFIED, reason=f"At most {short(together)} requests waited; {source}.", **words)


class LoadNotes(PrometheusProbe):
    """How many replicas ran in a month, and whether the scaler stood at its maximum."""

    key = "prometheus.replicas"
    title = "Replicas over a month"
    items = ("autoscaling.load-notes",)
    reads = KUBERNETES
    cheap = False

    async def read(self, scope: Scope, target: Target) -> Observation:
        points: Mapping[float, float] = {}
        source, ceiling = "", None
        if scope.workload and scope.namespace:
            here = {"namespace": scope.namespace}
            readings, outcome = await scaler_of(scope)
            if outcome.error:
                return outcome.problem
            ceiling = max((series.value for series in readings.get("max", Reading()).series), default=None)
            for kind in ("deployment", "statefulset"):
                name = f"kube_{kind}_status_replicas"
                reading = await scope.prometheus.range(
                    f"max({moved(name, {**here, kind: scope.workload}, scope.here)})", HISTORY_S
                )
                if any(reading.points.values()):  # a roll-out of another kind may keep a Deployment at zero
                    points, source = reading.points, name
                    break
        if not points:
            by = "namespace, pod, exported_namespace, exported_pod" if scope.pods else "instance"
            expression = f"count(count by ({by}) ({scope.own(scope.anchor)}))"
            reading = await scope.prometheus.range(expression, HISTORY_S)
            if reading.error:
                return reading.problem
            points = reading.points
        if not points:
            return {"error": "no_replicas", "why": f"Prometheus shows no replica of this endpoint {MONTH}."}
        seen: Observation = {"window": MONTH, "from": source, "steps": len(points), "ceiling": ceiling}
        low, high = sustained(points.values())
        seen |= {"min": min(points.values()), "max": max(points.values()), "sustained_min": low, "sustained_max": high}
        if ceiling:
            # More than the maximum of today: it was another one then.
            seen["pinned"] = sum(value == ceiling for value in points.values()) / len(points)
        return seen

    def claimed(self, claims: Claims) -> str:
        peak, rest = (whole_or_zero(claims.get(key)) for key in ("replicas_peak", "replicas_rest"))
        return "" if peak is None or rest is None else f"{told(rest)} at rest, {told(peak)} at peak"

    def compare(self, claims: Claims, observation: Observation, others: Mapping[str, Claims]) -> Judgement:
        peak, rest = (whole_or_zero(claims.get(key)) for key in ("replicas_peak", "replicas_rest"))
        low, high = value_of(observation, "min"), value_of(observation, "max")
        if low is None or high is None:
            return inconclusive("No replicas were seen.", claimed=self.claimed(claims))
        seen = f"{told(low)} to {told(high)}"
        if peak is None or rest is None:
            return nothing_claimed(seen, "replicas")
        days = (value_of(observation, "steps") or 0) / PER_DAY
        by_kubernetes = text_of(observation.get("from"))
        source = f"{by_kubernetes or 'replicas that were scraped'}, {days:.1f} days {MONTH}, {where_of(observation)}"
        words: dict[str, Any] = {"claimed": self.claimed(claims), "observed": seen, "unit": "replicas"}
        words["rule"] = (
            f"replicas stay between rest and peak: verified; above or below for {SUSTAINED:.0%} of at least a day, or "
            "pinned at the maximum: contradicted; for less time: inconclusive"
        )
        unsure: dict[str, Any] = {key: words[key] for key in ("claimed", "observed", "rule")}
        often_low, often_high = (value_of(observation, f"sustained_{end}") for end in ("min", "max"))
        for_long = f"for {SUSTAINED:.0%} of the time or more"
        if not by_kubernetes:
            why = (
                f"{seen} addresses were scraped. One replica may have several, and one that was not scraped may have "
                f"run all the same. {source}."
            )
            return inconclusive(why, unit="replicas", samples=int(value_of(observation, "steps") or 0), **unsure)
        if often_high is not None and often_high > peak and days >= 1:
            reason = f"{told(often_high)} replicas or more ran {for_long}, more than noted; {source}."
            return Judgement(CONTRADICTED, reason=reason, **words)
        pinned, ceiling = value_of(observation, "pinned") or 0.0, value_of(observation, "ceiling")
        if pinned >= PINNED and ceiling is not None and rest < ceiling and days >= 1:
            reason = f"It stood at the scaler's maximum of {told(ceiling)} for {pinned:.0%} of the time; {source}."
            return Judgement(CONTRADICTED, reason=reason, **words)
        if often_low is not None and often_low < rest and days >= 1:
            reason = f"{told(often_low)} replicas or fewer existed {for_long}, fewer than noted; {source}."
            return Judgement(CONTRADICTED, reason=reason, **words)
        if days < 1:
            return inconclusive(f"{source}: less than a day.", unit="replicas", **unsure)
        if high > peak or low < rest:
            why = f"{seen} replicas ran, but not {for_long} beyond what is noted: a rollout may explain it; {source}."
            return inconclusive(why, unit="replicas", **unsure)
        return Judgement(VERIFIED, reason=f"{seen} replicas ran; {source}.", **words)


def sustained(values: Iterable[float]) -> tuple[float, float]:
    """What was gone below, and what was reached, for at least ``SUSTAINED`` of the time; of one value, that value."""
    ordered = sorted(values)
    brief = math.ceil(SUSTAINED * len(ordered)) - 1  # so many steps may lie beyond
    return ordered[brief], ordered[-1 - brief]
