"""Overload, time-outs, starting ready, and whether a load test went as far as it had to."""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from typing import Any

from checklists.evidence.metrics import Histogram, bucket_of_quantile
from checklists.evidence.probes.base import (
    CONTRADICTED,
    VERIFIED,
    Judgement,
    dict_of,
    inconclusive,
    joined,
    list_of,
    moment,
    nothing_claimed,
    number_of,
    plain,
    text_of,
)
from checklists.evidence.probes.prometheus.base import (
    MIN_SAMPLES,
    PEAK,
    PrometheusProbe,
    Scope,
    where_of,
    window_of,
)
from checklists.evidence.probes.prometheus.failures import counted, failure_counters, failures
from checklists.evidence.probes.prometheus.load import (
    MONTH,
    days_of_test,
    load_history,
    peaks_by_day,
    short,
    value_of,
)
from checklists.evidence.probes.prometheus.performance import SHOWN, UNITS
from checklists.evidence.probes.prometheus.restarts import counts_by, early_and_late, restarts
from checklists.evidence.probes.visit import Claims, Observation, Target
from checklists.evidence.sources.exporters import FAULTS, REJECTED, TIMED_OUT
from checklists.evidence.units import convert

STANDS_OUT = 3.0  # times the usual daily peak: somebody tested there
BAD_SHARE = 0.05
FULL = 0.5  # of the limit: what was seen at once, between two looks, while it refused


class Backpressure(PrometheusProbe):
    """How many requests ran at once in a week, whether others waited, and whether any were refused."""

    key = "prometheus.backpressure"
    title = "Refusals and requests at once"
    items = ("reliability.backpressure",)
    needs = (("requests_running",),)

    async def read(self, scope: Scope, target: Target) -> Observation:
        queries = {
            key: expression
            for key, meaning in (("running", "requests_running"), ("waiting", "requests_waiting"))
            if (expression := scope.either(f"max({PEAK})", scope.candidates(meaning)))
        }
        readings, outcome = await scope.prometheus.many(queries)
        seen, fault = await failures(scope)
        if outcome.error or fault:
            return outcome.problem or fault
        return {
            **{key: reading.total for key, reading in readings.items()},
            "rejected": counted(seen, REJECTED),
            "counters": sorted(seen)[:10],
        }

    def claimed(self, claims: Claims) -> str:
        most = number_of(claims.get("max_concurrency"))
        return f"{plain(most)} at once, then {text_of(claims.get('on_overload')) or '?'}" if most else ""

    def compare(self, claims: Claims, observation: Observation, others: Mapping[str, Claims]) -> Judgement:
        most, how = number_of(claims.get("max_concurrency")), text_of(claims.get("on_overload"))
        running, waiting = value_of(observation, "running"), value_of(observation, "waiting")
        rejected = value_of(observation, "rejected") or 0.0
        if most is None:
            return nothing_claimed(short(running) if running else "", "at once at most")
        source = f"of one replica {window_of(observation)}, {where_of(observation)}"
        if running is None and not rejected:
            why = f"{where_of(observation)} tells neither requests at once nor refusals {window_of(observation)}."
            return inconclusive(why, claimed=self.claimed(claims))
        told = [f"{short(running)} at once at most"] if running is not None else []
        told += [f"{short(waiting)} waiting"] if waiting is not None else []
        told += [f"{int(rejected)} refused"] if rejected else []
        words: dict[str, Any] = {"claimed": self.claimed(claims), "observed": joined(told)}
        words["rule"] = (
            "more at once than claimed: contradicted; within it, and refused or queued as claimed when full: verified"
        )
        if running is not None and running > most:
            reason = f"{short(running)} requests ran at once, more than the limit; {source}."
            return Judgement(CONTRADICTED, reason=reason, **words)
        if how == "reject" and rejected and (running is None or running < FULL * most):
            seen = "how many ran at once is not told" if running is None else f"only {short(running)} ran at once"
            why = f"{int(rejected)} requests were refused, perhaps by another limit: {seen}; {source}."
            return inconclusive(why, **{key: words[key] for key in ("claimed", "observed", "rule")})
        if how == "reject" and rejected:
            counters = joined([text_of(name) for name in list_of(observation.get("counters"))])
            reason = (
                f"{int(rejected)} requests were refused, as 429 or 503 mean ({counters}); {joined(told)}, {source}."
            )
            return Judgement(VERIFIED, reason=reason, **words)
        if how == "queue" and running == most and waiting:
            return Judgement(
                VERIFIED, reason=f"The limit was reached and others waited: {joined(told)}, {source}.", **words
            )
        why = f"It was not seen to be full: {joined(told)}, {source}."
        if running == most or waiting or rejected:
            why = f"What happens when it is full was not seen clearly: {joined(told)}, {source}."
        return inconclusive(why, claimed=self.claimed(claims), observed=joined(told), rule=words["rule"])


class Timeouts(PrometheusProbe):
    """The longest answers of a week against the time-outs, and whether any request was cut off."""

    key = "prometheus.timeouts"
    title = "Longest answers and time-outs"
    items = ("reliability.timeouts",)
    histograms = ("end_to_end_seconds",)

    async def read(self, scope: Scope, target: Target) -> Observation:
        histogram, reading = await scope.histogram("end_to_end_seconds")
        if reading.error:
            return reading.problem
        cut, fault = await failures(scope)
        seen = {"histogram": histogram.as_json() if histogram is not None else None}
        return fault or {**seen, "timed_out": counted(cut, TIMED_OUT), "counters": sorted(cut)[:10]}

    def claimed(self, claims: Claims) -> str:
        wanted = number_of(claims.get("server_seconds"))
        return f"server {plain(wanted)} s" if wanted else ""

    def compare(self, claims: Claims, observation: Observation, others: Mapping[str, Claims]) -> Judgement:
        server = number_of(claims.get("server_seconds"))
        outer = [(name, value) for name in ("gateway", "client") if (value := number_of(claims.get(f"{name}_seconds")))]
        histogram = Histogram.from_json(observation.get("histogram"))
        if server is None:
            return nothing_claimed("")
        if histogram is None or histogram.count < MIN_SAMPLES:
            count = int(histogram.count) if histogram else 0
            why = f"Only {count} requests {window_of(observation)}, {where_of(observation)}"
            return inconclusive(
                f"{why}; at least {MIN_SAMPLES} are needed.", claimed=self.claimed(claims), samples=count
            )
        longest, usual = bucket_of_quantile(histogram, 1.0), bucket_of_quantile(histogram, 0.95)
        if longest is None or usual is None:
            return inconclusive(f"{histogram.name} holds no samples.", claimed=self.claimed(claims))
        count, cut = int(histogram.count), int(value_of(observation, "timed_out") or 0)
        over = histogram.count - _at_most(histogram, longest.lower)
        ends = "more" if longest.upper == float("inf") else f"{short(longest.upper)} s"
        observed = f"longest between {short(longest.lower)} s and {ends}"
        source = f"{count} samples of {histogram.name} {window_of(observation)}, {where_of(observation)}"
        words: dict[str, Any] = {"claimed": self.claimed(claims), "observed": observed, "samples": count}
        words["histogram"] = histogram.picture({"server": server, **dict(outer)}, "s")
        words["rule"] = (
            "an answer longer than the server's time-out, or usual answers longer than the gateway's or client's: "
            "contradicted; none longer, and some cut off (408, 504): verified"
        )
        # Extrapolation can leave a fraction of a sample in a bucket: one whole request at least.
        if longest.lower >= server and over >= 1:
            reason = f"{int(over)} requests ran for longer than {short(longest.lower)} s; {source}."
            return Judgement(CONTRADICTED, reason=reason, **words)
        for name, seconds in outer:
            if usual.lower >= seconds:
                reason = f"p95 is above {short(usual.lower)} s: the {name} gives up on usual answers; {source}."
                return Judgement(CONTRADICTED, reason=reason, **words)
        if longest.upper <= server and cut:
            counters = joined([text_of(text) for text in list_of(observation.get("counters"))])
            reason = f"No answer took longer, and {cut} were cut off ({counters}); {observed}, {source}."
            return Judgement(VERIFIED, reason=reason, **words)
        why = f"{observed}; {source}. "
        why += "No request was seen to be cut off." if longest.upper <= server else "The bucket is too coarse to tell."
        return inconclusive(
            why, claimed=self.claimed(claims), observed=observed, rule=words["rule"], samples=words["samples"]
        )


def _at_most(histogram: Histogram, bound: float) -> float:
    return next((c for b, c in zip(histogram.bounds, histogram.counts, strict=True) if b == bound), 0.0)


class WarmupValidated(PrometheusProbe):
    """Faults in the ten minutes after a start, when it already takes requests, against those after them."""

    key = "prometheus.warmup-validated"
    title = "Faults after a start"
    items = ("reliability.warmup-validated",)
    needs = (("requests_success_total", "requests_total", "end_to_end_seconds"),)

    async def read(self, scope: Scope, target: Target) -> Observation:
        counters = failure_counters(scope)
        if not counters:
            return {"error": "no_counter", "why": f"{scope.prometheus.base} has no counter of this endpoint's faults."}
        found, fault = await restarts(scope)
        if fault:
            return fault
        good = [name for name, _ in scope.candidates("requests_success_total", "requests_total")]
        good += [f"{name}_count" for name, _ in scope.histograms("end_to_end_seconds")]
        seen = []
        for start in found:
            row: dict[str, Any] = {"at": start.at, "instance": start.instance}
            early, late = await early_and_late(scope, start, good[0], {}, "instance")
            row["early"], row["late"] = early.total or 0.0, late.total or 0.0
            row |= {"early_faults": 0.0, "late_faults": 0.0}
            for name, label in counters.items():
                for key, reading in zip(
                    ("early_faults", "late_faults"), await early_and_late(scope, start, name, {}, label), strict=True
                ):
                    if reading.error:
                        return reading.problem
                    counts = counts_by(reading, label)
                    row[key] = max(row[key], sum(count for kind, count in counts.items() if kind in FAULTS))
            seen.append(row)
        return {"restarts": seen, "counters": sorted(counters)[:10]}

    def compare(self, claims: Claims, observation: Observation, others: Mapping[str, Claims]) -> Judgement:
        claimed = text_of(claims.get("method"))[:120]
        if not claimed:
            return nothing_claimed("")
        rows = list(map(dict_of, list_of(observation.get("restarts"))))
        if not rows:
            return inconclusive("No replica started between one hour and two days ago.", claimed=claimed)
        counters = joined([text_of(name) for name in list_of(observation.get("counters"))])
        good = 0
        for row in rows:
            early, faults = value_of(row, "early") or 0.0, value_of(row, "early_faults") or 0.0
            late, later = value_of(row, "late") or 0.0, value_of(row, "late_faults") or 0.0
            share, rest = (bad / (bad + fine) if bad + fine else 0.0 for bad, fine in ((faults, early), (later, late)))
            observed = f"{int(faults)} faults beside {int(early)} answers"
            words: dict[str, Any] = {"claimed": claimed, "observed": observed, "samples": int(early + faults)}
            words["rule"] = (
                f"no fault among {MIN_SAMPLES} requests in the ten minutes after a start: verified; "
                "5 % or more, and five times the later share: contradicted"
            )
            source = (
                f"in the ten minutes after {text_of(row.get('instance'))} started ({moment(value_of(row, 'at'))}); "
                f"{counters}, {where_of(observation)}"
            )
            if faults >= 1 and share >= BAD_SHARE and share >= 5 * rest and early + faults >= MIN_SAMPLES:
                return Judgement(CONTRADICTED, reason=f"Ready, and then errors: {observed} {source}.", **words)
            if early >= MIN_SAMPLES and not faults:
                good += 1
                first = Judgement(VERIFIED, reason=f"No fault beside {int(early)} answers {source}.", **words)
        if good and good == sum((value_of(row, "early") or 0.0) >= MIN_SAMPLES for row in rows):
            return first
        why = (
            f"Too few requests, or a few faults, in the ten minutes after {len(rows)} starts; {where_of(observation)}."
        )
        return inconclusive(why, claimed=claimed)


class LoadTest(PrometheusProbe):
    """Whether the load on the day of the test reached the peak that is claimed."""

    key = "prometheus.load-test"
    title = "Load on the day of the test"
    items = ("reliability.load-test",)
    also_reads = ("performance.load-profile",)
    cheap = False
    needs = (("generation_tokens_total", "requests_total", "requests_success_total", "requests_running"),)

    async def read(self, scope: Scope, target: Target) -> Observation:
        history, fault = await load_history(scope)
        if fault:
            return fault
        return {"window": MONTH, "days": peaks_by_day(history)}

    def claimed(self, claims: Claims) -> str:
        return f"tested on {text_of(claims.get('date'))}" if text_of(claims.get("date")) else ""

    def compare(self, claims: Claims, observation: Observation, others: Mapping[str, Claims]) -> Judgement:
        profile = others.get("performance.load-profile", {})
        peak, unit = number_of(profile.get("peak")), text_of(profile.get("unit"))
        series, read_in, claimed_in = UNITS.get(unit, ("", "", ""))
        around = days_of_test(claims)
        if not around:
            return nothing_claimed("")
        claimed = self.claimed(claims)
        if peak is None or not series:
            return inconclusive("No peak load is claimed that the test could have reached.", claimed=claimed)
        shown = SHOWN.get(claimed_in, "requests at once")
        days = dict_of(dict_of(observation.get("days")).get(series))
        there = [pair for key, pair in days.items() if key in around and isinstance(pair, list) and len(pair) == 2]
        usual = [
            number_of(list_of(pair)[0]) or 0.0 for key, pair in days.items() if key not in around and list_of(pair)
        ]
        lows = [number_of(pair[0]) or 0.0 for pair in there]
        highs = [number_of(pair[1]) for pair in there]
        if not lows:
            why = f"{where_of(observation)} has no samples of that day; a month is looked at."
            return inconclusive(why, claimed=claimed)
        low = convert(max(lows), read_in, claimed_in) or 0.0
        high = None if None in highs else convert(max(v for v in highs if v is not None), read_in, claimed_in)
        middle = convert(statistics.median(usual), read_in, claimed_in) if usual else None
        source = f"{where_of(observation)}, on {text_of(claims.get('date'))[:10]} or a day beside it"
        goal = f"the claimed peak is {plain(peak)}"
        words: dict[str, Any] = {"claimed": claimed, "observed": short(low), "unit": shown}
        words["rule"] = (
            "the day's peak ≥ the claimed peak load: verified; a test that stands out and stays below it: contradicted"
        )
        if low >= peak:
            return Judgement(VERIFIED, reason=f"The load reached {short(low)} {shown}, {goal}; {source}.", **words)
        most = convert(max(usual), read_in, claimed_in) if usual else None
        stands_out = middle is not None and len(usual) >= 3 and low >= STANDS_OUT * middle and low > (most or 0)
        if stands_out and high is not None and high < peak:
            reason = (
                f"The load reached {short(high)} {shown}, {goal}; {source}. Usual on other days "
                f"is {short(middle or 0.0)}, so this was the test."
            )
            return Judgement(CONTRADICTED, reason=reason, **words)
        why = f"The load reached {short(low)} {shown}, {goal}; {source}. The test may have run elsewhere."
        return inconclusive(why, claimed=claimed, observed=short(low), unit=shown, rule=words["rule"])
