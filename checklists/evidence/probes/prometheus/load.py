"""How much an endpoint was used, step by step: rates, queue and replicas, and what can be said of them for sure.

What a claim counts may lie between two things that are measured: tokens are at least those generated, and at most
those together with the prompt's. So each unit has a ``low`` and a ``high`` series; ``high`` is none where nothing
bounds it from above.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any

from checklists.evidence.probes.base import dict_of, plain, text_of
from checklists.evidence.probes.prometheus.base import Scope
from checklists.evidence.probes.visit import Claims, Observation
from checklists.evidence.sources.prometheus import STEP_S, matchers

HISTORY_S = 30 * 86_400
MONTH = "in the last 30 days"
TARGET_LABELS = ("job", "instance", "namespace", "pod", "service", "container", "cluster")
PER_DAY = 86_400 // STEP_S
LOOK_S = 30  # how often within a step what runs at once is summed up
MIN_BUSY = 3  # steps in which every replica had requests waiting all the time: a quarter of an hour

Points = Mapping[float, float]


async def load_history(scope: Scope) -> tuple[dict[str, Points], Observation]:
    """Rates per second, requests in flight, the shortest queue of any replica, and replicas, by time.

    Series that the endpoint does not have are left out; the second value says what went wrong, if anything.
    """
    rate = f"sum(rate({{}}[{STEP_S}s]))"
    requests = [f"({scope.either(rate, found)})" for found in (
        scope.candidates("requests_success_total"), scope.candidates("requests_total"),
    ) if found]  # fmt: skip
    requests += [
        f"({rate.replace('{}', scope.own(f'{name}_count', meaning.labels))})"
        for name, meaning in scope.histograms("end_to_end_seconds")[:1]
    ]
    # Who counts all requests counts those that failed too: refused, say, which is no throughput.
    failed = [] if scope.candidates("requests_success_total") else scope.candidates("requests_failed_total")
    tokens = scope.either(rate, scope.candidates("generation_tokens_total"))
    if not tokens:  # only as a histogram of tokens per answer, whose sum counts them all
        sums = scope.histograms("generated_tokens_per_request")[:1]
        tokens = "".join(rate.replace("{}", scope.own(f"{name}_sum", meaning.labels)) for name, meaning in sums)
    running = scope.candidates("requests_running")
    expressions = {
        "generation": tokens,
        "prompt": scope.either(rate, scope.candidates("prompt_tokens_total")),
        "requests": " or ".join(requests),
        "failed": scope.either(rate, failed),
        # At once over all replicas: on average, at its peak as it was seen, and if all had their peaks together.
        "running": scope.either(f"sum(avg_over_time({{}}[{STEP_S}s]))", running),
        "running_peak": scope.either(f"max_over_time(sum({{}})[{STEP_S}s:{LOOK_S}s])", running),
        "running_most": scope.either(f"sum(max_over_time({{}}[{STEP_S}s]))", running),
        "waiting": scope.either(f"sum(max_over_time({{}}[{STEP_S}s]))", scope.candidates("requests_waiting")),
        "queue": scope.either(f"min(min_over_time({{}}[{STEP_S}s]))", scope.candidates("requests_waiting")),
        "replicas": f"count(count by (instance) ({scope.own(scope.anchor)}))" if scope.anchor else "",
    }
    # Labels that a target has, and so its ``up``: what is down meanwhile is missing from every sum.
    target = {label: value for label, value in scope.labels.items() if label in TARGET_LABELS}
    expressions["down"] = f"count(up{matchers(target)} == 0)" if target else ""
    history: dict[str, Points] = {}
    for key, expression in expressions.items():
        if not expression:
            continue
        reading = await scope.prometheus.range(expression, HISTORY_S)
        if reading.error:
            return {}, reading.problem
        if points := reading.points:
            history[key] = points
    if "queue" in history:
        history["queue"] = undisturbed(history["queue"], history.pop("down", {}))
    return history, {}


def undisturbed(queue: Points, down: Points) -> Points:
    """The steps of a queue at which no replica was down: only then is what was counted all that was done. Pure."""
    return {at: value for at, value in queue.items() if not down.get(at)}


def bounds_of(history: Mapping[str, Points], unit: str) -> tuple[Points, Points | None]:
    """The series that a unit is at least, and the one that it is at most."""
    if unit == "tokens":
        low = history.get("generation", {})
        high = _added(low, history["prompt"]) if "prompt" in history else None
        return low, high
    if unit == "running":
        most = history.get("running_most", {})
        return history.get("running_peak", {}), _added(most, history["waiting"]) if "waiting" in history else most
    requests, failed = history.get("requests", {}), history.get("failed", {})
    good = {at: max(value - failed.get(at, 0.0), 0.0) for at, value in requests.items()} if failed else requests
    return good, None if unit == "images" else requests  # a request makes one image or several


def _added(one: Points, other: Points) -> Points:
    return {at: value + other.get(at, 0.0) for at, value in one.items()}


def divided(points: Points | None, by: Points) -> Points | None:
    """A rate per unit of another series, at the steps where both are known."""
    return None if points is None else {at: value / by[at] for at, value in points.items() if by.get(at, 0.0) > 0}


def summary(points: Points | None, queue: Points | None) -> dict[str, Any] | None:
    """What is kept of a series: how long it is, its mean and peak, and its peak while every replica had a queue."""
    if not points:
        return None
    at = max(points, key=lambda step: points[step])
    seen: dict[str, Any] = {"steps": len(points), "mean": sum(points.values()) / len(points), "max": points[at]}
    seen["at"] = at
    # The mean of all the time is this at least: where there is no value, it may not have run.
    seen["mean_of_all"] = sum(points.values()) / ((max(points) - min(points)) / STEP_S + 1)
    if queue is not None:
        busy = [value for step, value in points.items() if queue.get(step, 0.0) > 0]
        seen |= {"busy_steps": len(busy), "busy_max": max(busy, default=None)}
    return seen


def summaries(history: Mapping[str, Points], by: Points | None = None) -> dict[str, Any]:
    """``{unit: {low, high}}`` for every unit, each a ``summary``; ``by``: per what."""
    queue = history.get("queue")
    found: dict[str, Any] = {}
    for unit in ("tokens", "requests", "images", "running"):
        low, high = bounds_of(history, unit)
        if by is not None:
            low, high = divided(low, by) or {}, divided(high, by)
        if low:
            found[unit] = {"low": summary(low, queue), "high": summary(high, queue)}
    mean = history.get("running", {})
    if "running" in found and (mean := mean if by is None else divided(mean, by) or {}):
        # Peaks, one for each step, have a mean of their own, which is more.
        found["running"]["low"] |= {key: (summary(mean, None) or {})[key] for key in ("mean", "mean_of_all")}
    return found


def peaks_by_day(history: Mapping[str, Points]) -> dict[str, dict[str, list[float | None]]]:
    """``{unit: {date: [peak of its low series, peak of its high one or None]}}``, by days in UTC."""
    days: dict[str, dict[str, list[float | None]]] = {}
    for unit in ("tokens", "requests", "images", "running"):
        low, high = bounds_of(history, unit)
        for at, value in low.items():
            day = days.setdefault(unit, {}).setdefault(datetime.fromtimestamp(at, UTC).date().isoformat(), [0.0, None])
            day[0] = max(day[0] or 0.0, value)
            if high is not None and at in high:
                day[1] = max(day[1] or 0.0, high[at])
    return days


def days_of_test(claims: Claims) -> set[str]:
    """The day of a load test as claimed, in whatever time zone: those beside it count too. Empty without a date."""
    try:
        day = date.fromisoformat(text_of(claims.get("date"))[:10])
        return {(day + timedelta(days=offset)).isoformat() for offset in (-1, 0, 1)}
    except (ValueError, OverflowError):
        return set()


def bounds_in(observation: Observation, unit: str, key: str = "load") -> tuple[dict[str, Any], dict[str, Any]]:
    """The two summaries of a unit in an observation, empty where there is none."""
    pair = dict_of(dict_of(observation.get(key)).get(unit))
    return dict_of(pair.get("low")), dict_of(pair.get("high"))


def value_of(summary: Mapping[str, Any], key: str) -> float | None:
    """A finite number of a summary; zero is one."""
    value = summary.get(key)
    if not isinstance(value, int | float) or isinstance(value, bool) or not math.isfinite(value):
        return None
    return float(value)


def short(value: float) -> str:
    """A measured number with as many digits as mean something."""
    return plain(float(f"{value:.4g}"))
