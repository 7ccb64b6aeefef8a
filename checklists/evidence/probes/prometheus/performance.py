"""Latency, throughput, load and cost, as Prometheus has kept them over a window."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

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
)
from checklists.evidence.probes.latency import MetricsLatency
from checklists.evidence.probes.prometheus.base import (
    WINDOW,
    PrometheusProbe,
    Scope,
    scope_of,
    where_of,
    whole_or_zero,
)
from checklists.evidence.probes.prometheus.load import (
    MIN_BUSY,
    MONTH,
    PER_DAY,
    bounds_in,
    days_of_test,
    load_history,
    peaks_by_day,
    short,
    summaries,
    value_of,
)
from checklists.evidence.probes.prometheus.utilisation import gpu_history
from checklists.evidence.probes.visit import Claims, Observation, Target, Visit
from checklists.evidence.stacks import PHASES
from checklists.evidence.units import convert

# What a claim counts, in the words of the checklist: the series, the unit per second it is read in, the claim's unit.
UNITS: Mapping[str, tuple[str, str, str]] = {
    "tokens_per_second": ("tokens", "token/s", "token/s"),
    "queries_per_second": ("requests", "request/s", "request/s"),
    "requests_per_second": ("requests", "request/s", "request/s"),
    "images_per_second": ("images", "image/s", "image/s"),
    "images_per_minute": ("images", "image/s", "image/min"),
    "concurrent_requests": ("running", "request", "request"),
}
SHOWN = {"token/s": "tokens/s", "request/s": "requests/s", "image/s": "images/s", "image/min": "images/min"}
MIN_DAYS = 7


class LatencyOverWindow(MetricsLatency):
    """Latency goals against what the histograms gained over a window: no warm-up of months ago, no reset, no replica
    that is gone."""

    key = "prometheus.latency"
    title = "Latency over a week"
    reads = ("prometheus",)
    sends = PrometheusProbe.sends
    ttl = timedelta(days=7)

    async def observe(self, visit: Visit) -> Observation:
        scope, head = await scope_of(visit)
        if scope is None:
            return head
        histograms: dict[str, Any] = {}
        for key in dict.fromkeys(PHASES.values()):
            histogram, reading = await scope.histogram(key)
            if reading.error:
                return {**head, **reading.problem}
            if histogram is not None:
                histograms[key] = histogram.as_json()
        return {**head, "histograms": histograms, "queries": scope.prometheus.queries[:20]}


class Throughput(PrometheusProbe):
    """The peak rate of a month. Less than claimed counts only while every replica had requests waiting."""

    key = "prometheus.throughput"
    title = "Throughput at its peak"
    items = ("performance.throughput",)
    cheap = False
    needs = (("generation_tokens_total", "requests_total", "requests_success_total"), ("requests_waiting",))

    async def read(self, scope: Scope, target: Target) -> Observation:
        history, fault = await load_history(scope)
        return fault or {"window": MONTH, "family": target.family, "load": summaries(history)}

    def claimed(self, claims: Claims) -> str:
        wanted, unit = _claim(claims, "value")
        return f"{plain(wanted)} {unit}" if wanted else ""

    def compare(self, claims: Claims, observation: Observation, others: Mapping[str, Claims]) -> Judgement:
        wanted, shown = _claim(claims, "value")
        series, read_in, claimed_in = UNITS.get(text_of(claims.get("unit")), ("", "", ""))
        low, high = bounds_in(observation, series)
        peak = _in(value_of(low, "max"), read_in, claimed_in)
        if wanted is None or not series:
            return nothing_claimed(*_seen(observation))
        if why := _not_counted(series, observation, peak):
            return inconclusive(why, claimed=plain(wanted), unit=shown)
        assert peak is not None  # noqa: S101 - _not_counted has seen to it
        most = _in(value_of(high, "busy_max"), read_in, claimed_in)
        busy = value_of(high, "busy_steps") or 0
        words: dict[str, Any] = {"claimed": plain(wanted), "unit": shown, "rule": "peak of five minutes ≥ claim: "
            "verified; below it although every replica had requests waiting: contradicted"}  # fmt: skip
        when = moment(value_of(low, "at"))
        source = f"{where_of(observation)} {MONTH} ({int(value_of(low, 'steps') or 0)} values of five minutes)"
        if peak >= wanted:
            reason = f"At its peak {short(peak)} {shown} ({when}); {source}."
            return Judgement(VERIFIED, observed=short(peak), reason=reason, **words)
        if most is not None and busy >= MIN_BUSY and most < wanted:
            minutes = int(busy * 5)
            reason = (
                f"While every replica had requests waiting ({minutes} minutes in all), at most {short(most)} {shown}; "
                f"{source}."
            )
            return Judgement(CONTRADICTED, observed=short(most), reason=reason, **words)
        idle = (
            "nobody asked it for anything"
            if peak == 0
            else f"it peaked at {short(peak)} {shown} ({when}), and was not seen to be full: idle is not slow"
        )
        return inconclusive(
            f"{source}: {idle}.", claimed=plain(wanted), observed=short(peak), unit=shown, rule=words["rule"]
        )


class LoadProfile(PrometheusProbe):
    """The highest and the mean load of a month against what was assumed; a load test is no load that was met."""

    key = "prometheus.load-profile"
    title = "Peak and steady load"
    items = ("performance.load-profile",)
    also_reads = ("reliability.load-test",)
    cheap = False
    needs = (("generation_tokens_total", "requests_total", "requests_success_total", "requests_running"),)

    async def read(self, scope: Scope, target: Target) -> Observation:
        history, fault = await load_history(scope)
        return fault or {
            "window": MONTH,
            "family": target.family,
            "load": summaries(history),
            "days": peaks_by_day(history),
        }

    def claimed(self, claims: Claims) -> str:
        wanted, unit = _claim(claims, "peak")
        return f"peak {plain(wanted)} {unit}" if wanted else ""

    def compare(self, claims: Claims, observation: Observation, others: Mapping[str, Claims]) -> Judgement:
        wanted, shown = _claim(claims, "peak")
        steady = whole_or_zero(claims.get("steady"))
        series, read_in, claimed_in = UNITS.get(text_of(claims.get("unit")), ("", "", ""))
        low, high = bounds_in(observation, series)
        peak = _in(value_of(low, "max"), read_in, claimed_in)
        if wanted is None or not series:
            return nothing_claimed(*_seen(observation))
        claimed = f"peak {plain(wanted)}" + (f", steady {plain(steady)}" if steady is not None else "")
        if why := _not_counted(series, observation, peak):
            return inconclusive(why, claimed=claimed, unit=shown)
        mean = _in(value_of(low, "mean"), read_in, claimed_in)
        most, most_mean = (_in(value_of(high, key), read_in, claimed_in) for key in ("max", "mean"))
        assert peak is not None and mean is not None  # noqa: S101, PT018 - _not_counted has seen to it
        when = moment(value_of(low, "at"))
        usual = _beside_test(observation, series, days_of_test(others.get("reliability.load-test", {})))
        if peak > wanted and usual is not None:
            peak, most = (_in(value, read_in, claimed_in) for value in usual)
            assert peak is not None  # noqa: S101 - what was counted is converted
            when = "without the days of the load test"
        steps = value_of(low, "steps") or 0
        days = steps / PER_DAY
        seen = f"peak {short(peak)}, mean {short(mean)}"
        source = f"{where_of(observation)} {MONTH} ({days:.1f} days of values)"
        rule = "peak and mean ≤ claim over at least 7 days: verified; above it: contradicted"
        words: dict[str, Any] = {"claimed": claimed, "observed": seen, "unit": shown, "rule": rule}
        if peak > wanted:
            reason = f"The load reached {short(peak)} {shown} ({when}), more than assumed; {source}."
            return Judgement(CONTRADICTED, reason=reason, **words)
        least_mean = _in(value_of(low, "mean_of_all"), read_in, claimed_in)
        if steady is not None and least_mean is not None and least_mean > steady and days >= MIN_DAYS:
            reason = f"The mean load was {short(least_mean)} {shown}, more than assumed; {source}."
            return Judgement(CONTRADICTED, reason=reason, **words)
        if peak == 0:
            return inconclusive(
                f"{source}: nobody asked it for anything.",
                claimed=claimed,
                observed=seen,
                unit=shown,
                rule=words["rule"],
            )
        if days < MIN_DAYS:
            why = f"{source}: too short to call it a profile; {MIN_DAYS} days are needed."
            return inconclusive(why, claimed=claimed, observed=seen, unit=shown, rule=words["rule"])
        if steady is not None and mean > steady:
            why = f"{source}: {seen} while it ran, which was not all the time; the mean of all may be less."
            return inconclusive(why, claimed=claimed, observed=seen, unit=shown, rule=rule)
        if most is None or most > wanted or (steady is not None and (most_mean is None or most_mean > steady)):
            why = f"{source}: {seen} counts only a part of what the claim may mean; with the rest it may be more."
            return inconclusive(why, claimed=claimed, observed=seen, unit=shown, rule=words["rule"])
        reason = f"At its peak {short(peak)} {shown} ({when}), {short(mean)} on average; {source}."
        return Judgement(VERIFIED, reason=reason, **words)


class Cost(PrometheusProbe):
    """What was spent, by LiteLLM's own account or by a claimed price of the GPUs, divided by what came out."""

    key = "prometheus.cost"
    title = "Cost of what was served"
    items = ("performance.cost-targets",)
    also_reads = ("compute.unit-throughput", "compute.parallelism")
    cheap = False
    needs = (("generation_tokens_total", "requests_total", "requests_success_total"),)

    async def read(self, scope: Scope, target: Target) -> Observation:
        sums: dict[str, str] = {}
        for key, meanings in {
            "spend": ("spend_total",),
            "generation": ("generation_tokens_total",),
            "prompt": ("prompt_tokens_total",),
            "requests": ("requests_success_total", "requests_total"),
        }.items():
            if expression := scope.either(f"sum(increase({{}}[{WINDOW}]))", scope.candidates(*meanings)):
                sums[key] = expression
        readings, outcome = await scope.prometheus.many(sums)
        if outcome.error:
            return outcome.problem
        seen: Observation = {"sums": {key: total for key, reading in readings.items() if (total := reading.total)}}
        history, fault = await load_history(scope)
        gpus, per = await gpu_history(scope, history)
        return fault or {**seen, "family": target.family, "per": per, "unit_load": summaries(history, gpus)}

    def claimed(self, claims: Claims) -> str:
        wanted = number_of(claims.get("cost"))
        return f"{plain(wanted)} {text_of(claims.get('currency'))}".strip() if wanted else ""

    def compare(self, claims: Claims, observation: Observation, others: Mapping[str, Claims]) -> Judgement:
        wanted, per = number_of(claims.get("cost")), text_of(claims.get("per"))
        currency = text_of(claims.get("currency")).upper()
        if wanted is None or per not in _COST_UNITS:
            return nothing_claimed("")
        series, size, words = _COST_UNITS[per]
        claimed = f"{plain(wanted)} {currency}".strip()
        sums = dict_of(observation.get("sums"))
        if spend := number_of(sums.get("spend")):
            return _by_account(wanted, currency, (series, size, words), spend, sums, observation)
        unit = others.get("compute.unit-throughput", {})
        price, rate, counted = (unit.get(key) for key in ("cost_per_1000", "per_gpu_second", "unit"))
        price, rate, counted = number_of(price), number_of(rate), text_of(counted)
        if price is None or rate is None or counted not in ("tokens", "images"):
            why = "Nothing says what it costs: no spend is exported, and no price is claimed under output per GPU."
            return inconclusive(why, claimed=claimed)
        priced_in = text_of(unit.get("currency")).upper()
        if priced_in and currency and priced_in != currency:
            return inconclusive(f"The GPUs' price is claimed in {priced_in}, this in {currency}.", claimed=claimed)
        gpu_second = price * rate / 1000
        return _by_price(wanted, currency or priced_in, (series, size, words), gpu_second, observation, others)


_COST_UNITS = {
    "thousand_tokens": ("tokens", 1000, "1,000 tokens"),
    "image": ("images", 1, "image"),
    "request": ("requests", 1, "request"),
    "thousand_requests": ("requests", 1000, "1,000 requests"),
}
_COST_RULE = "cost ÷ output ≤ claim: verified; above it, also at the best moment: contradicted"


def _by_account(
    wanted: float,
    currency: str,
    unit: tuple[str, int, str],
    spend: float,
    sums: Mapping[str, Any],
    observation: Observation,
) -> Judgement:
    """By what the proxy says was spent, which it counts in US dollars."""
    series, size, words = unit
    shown = f"USD per {words}"
    claimed = plain(wanted)
    generated, prompt, requests = (number_of(sums.get(key)) for key in ("generation", "prompt", "requests"))
    # Between "all tokens count" and "only those generated": the cheaper and the dearer reading of the claim.
    most = {"tokens": (generated or 0) + (prompt or 0), "images": None, "requests": requests}[series]
    least = {"tokens": generated, "images": requests, "requests": requests}[series]
    if not least:
        return inconclusive(f"{where_of(observation)} counts no {series} {_week(observation)}.", claimed=claimed)
    dear = spend / least * size
    cheap = spend / most * size if most else None
    if currency != "USD":
        why = f"The proxy counts in US dollars ({short(dear)} {shown}), the claim "
        why += f"is in {currency}." if currency else "names no currency."
        return inconclusive(why, claimed=claimed, observed=short(dear), unit=shown, rule=_COST_RULE)
    source = f"{where_of(observation)} {_week(observation)}"
    reason = f"{short(spend)} USD were spent on {int(least)} {series}: {short(dear)} {shown}; {source}."
    found: dict[str, Any] = {"claimed": claimed, "unit": shown, "rule": _COST_RULE}
    if dear <= wanted:
        return Judgement(VERIFIED, observed=short(dear), reason=reason, samples=int(requests or 0) or None, **found)
    if cheap is not None and cheap > wanted:
        return Judgement(
            CONTRADICTED, observed=short(cheap), reason=reason, samples=int(requests or 0) or None, **found
        )
    return inconclusive(
        f"{reason} Counted otherwise it is less.", claimed=claimed, observed=short(dear), unit=shown, rule=found["rule"]
    )


def _by_price(
    wanted: float,
    currency: str,
    unit: tuple[str, int, str],
    gpu_second: float,
    observation: Observation,
    others: Mapping[str, Claims],
) -> Judgement:
    """By the price of a GPU-second that the claims imply, and the output of a GPU on average and at its best."""
    series, size, words = unit
    shown = f"{currency} per {words}".strip()
    gpus = _gpus_each(observation, others)
    low, high = bounds_in(observation, series, "unit_load")
    mean, best = value_of(low, "mean"), value_of(high, "max")
    claimed = plain(wanted)
    if gpus is None:
        return inconclusive("How many GPUs it runs on is neither measured nor claimed.", claimed=claimed, unit=shown)
    if not mean:
        why = f"{where_of(observation)} counts no {series}, or nobody asked it for anything."
        return inconclusive(why, claimed=claimed, unit=shown)
    cost = gpu_second * gpus / mean * size
    least = gpu_second * gpus / best * size if best else None
    basis = f"A GPU-second costs {short(gpu_second)} {currency} by the claims".rstrip()
    average = f"{short(mean / gpus)} {series} came out of it on average"
    reason = f"{basis}; {average}: {short(cost)} {shown}; {where_of(observation)}."
    found: dict[str, Any] = {"claimed": claimed, "unit": shown, "rule": _COST_RULE}
    if cost <= wanted:
        return Judgement(VERIFIED, observed=short(cost), reason=reason, **found)
    if least is not None and least > wanted:
        reason = f"{reason} Even at its best moment {short(least)}."
        return Judgement(CONTRADICTED, observed=short(least), reason=reason, **found)
    return inconclusive(
        f"{reason} More traffic would make it less.",
        claimed=claimed,
        observed=short(cost),
        unit=shown,
        rule=found["rule"],
    )


def _gpus_each(observation: Observation, others: Mapping[str, Claims]) -> float | None:
    """GPUs for one of what ``unit_load`` is divided by: 1 if that was GPUs, else those claimed for a replica."""
    if observation.get("per") == "gpu":
        return 1.0
    return number_of(others.get("compute.parallelism", {}).get("gpus")) if observation.get("per") == "replica" else None


def _beside_test(observation: Observation, series: str, tested: set[str]) -> tuple[float, float | None] | None:
    """The peaks (at least, at most) of the days on which no test is claimed; ``None`` if none is, or no day is left."""
    days = dict_of(dict_of(observation.get("days")).get(series))
    usual = [pair for day, pair in days.items() if day not in tested and isinstance(pair, list) and len(pair) == 2]
    if not usual or len(usual) == len(days):
        return None
    highs = [number_of(high) or (0.0 if high == 0 else None) for _, high in usual]
    low = max(number_of(low) or 0.0 for low, _ in usual)
    return low, None if None in highs else max(high for high in highs if high is not None)


def _week(observation: Observation) -> str:
    return text_of(observation.get("window"))


def _claim(claims: Claims, key: str) -> tuple[float | None, str]:
    """The number claimed and its unit in words."""
    _, _, claimed_in = UNITS.get(text_of(claims.get("unit")), ("", "", ""))
    return number_of(claims.get(key)), SHOWN.get(claimed_in, "requests at once" if claimed_in else "")


def _in(value: float | None, read_in: str, claimed_in: str) -> float | None:
    return None if value is None else convert(value, read_in, claimed_in)


def _not_counted(series: str, observation: Observation, peak: float | None) -> str:
    """Why a unit cannot be read from this observation, if it cannot."""
    if series == "images" and observation.get("family") != "diffusion":
        return "Images are counted by requests, and only a diffusion server's requests are images."
    if peak is None:
        return f"{where_of(observation)} has no samples of {series} {_week(observation)}."
    return ""


def _seen(observation: Observation) -> tuple[str, str]:
    peak = value_of(bounds_in(observation, "requests")[0], "max")
    return (short(peak), "requests/s at its peak") if peak is not None else ("", "")
