"""What alerting and recording rules watch of an endpoint, and from which number on: facts to hold promises against."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from checklists.evidence.probes.base import dict_of, number_of, plain, text_of
from checklists.evidence.probes.prometheus.objectives import MEAN, NAMES, Goal
from checklists.evidence.sources.exporters import FAILURES, FINE
from checklists.evidence.sources.expressions import (
    Grouping,
    Item,
    Selector,
    calls,
    comparisons,
    constant,
    flat,
    parsed,
    plain_text,
    quotient,
    replaced,
    scaled,
    selectors,
)
from checklists.evidence.sources.prometheus import Rule
from checklists.evidence.stacks import STACKS, Meaning
from checklists.evidence.units import convert

NEAR = 1e-3  # relative: what rounding makes of one number
# How many times faster than allowed an error budget burns when alerts are to go off, as is usual.
MAX_BURN = 100.0
_SUMS = ("sum", "avg", "min", "max")
# Functions under which a quantity stays what it is.
_FUNCTIONS = {*_SUMS, "rate", "irate", "increase", "histogram_quantile", "clamp_min", "clamp_max", "round", "sort"}
_FUNCTIONS |= {"avg_over_time", "min_over_time", "max_over_time", "last_over_time"}
_NAME = re.compile(r"[a-zA-Z_:][\w:]*")
_TEXT = re.compile(r'"(?:\\.|[^"\\])*+"?|\'(?:\\.|[^\'\\])*+\'?|`[^`]*`?')  # one that never ends too
MAX_UNREAD = 5
_ENDINGS = re.compile(r"_(?:bucket|sum|count|total)\Z")
_GUESSES = (
    ("first_token_seconds", re.compile(r"first_token|ttft")),
    ("per_output_token_seconds", re.compile(r"inter_token|per_output_token|per_token|tpot")),
    ("queue_seconds", re.compile(r"queue(?:_time|_duration|ing)")),
    ("end_to_end_seconds", re.compile(r"e2e|end_to_end|request_(?:duration|latency|total_latency)")),
)
_UNITS = {"seconds": "s", "milliseconds": "ms", "ms": "ms", "microseconds": "us", "us": "us", "nanoseconds": "ns"}
_STATUS = {"status", "code", "status_code", "response_code", "http_status", "status_class", "grpc_status", "error_code"}
_ROUTE = {"path", "handler", "route", "uri", "url", "endpoint", "http_route"}
_HEALTH = re.compile(  # at the end of a path
    r"(?:\A|/)(?:health[\w.-]*|healthz?/[\w.-]+|readyz?|readiness|livez?|liveness|ping|metrics)/?\Z", re.I
)
_COUNTERS = {
    "generation_tokens_total": "tokens_per_second",
    "requests_total": "requests_per_second",
    "requests_success_total": "requests_per_second",
}


@dataclass(frozen=True)
class Threshold:
    """What a rule says of one quantity: it goes off above or below ``limit`` (``sign``), or records it (no sign).

    ``kind`` and the units of ``limit`` as in ``Goal``. ``share``: of the requests that took longer than ``limit``, from
    which share on it goes off; ``factors``: of the number it compares with, where that is a product.
    """

    rule: str
    alerting: bool
    kind: str
    sign: str
    limit: float
    quantile: float | None = None
    share: float | None = None
    factors: tuple[float, ...] = ()
    hold_s: float = 0.0
    query: str = ""
    shared: bool = False  # it watches this endpoint and others in one sum

    @property
    def words(self) -> str:
        """The rule's name and threshold."""
        what = "alert" if self.alerting else "recording rule"
        side = "over" if self.sign == ">" else "under"
        if self.kind == "error_ratio":
            return f"{what} {self.rule}: {NAMES[self.kind]} over {plain(self.limit * 100)} %"
        if self.share is not None:
            share = plain(self.share * 100)
            return f"{what} {self.rule}: {share} % with {NAMES[self.kind]} over {plain(self.limit)} s"
        if self.quantile is not None:
            which = "mean" if self.quantile == MEAN else f"p{plain(self.quantile * 100)}"
            return f"{what} {self.rule}: {which} {NAMES[self.kind]} {side} {plain(self.limit)} s"
        return f"{what} {self.rule}: {NAMES[self.kind]} {side} {plain(self.limit)}"

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "factors": list(self.factors), "query": self.query[:500]}


def threshold_from(row: Any) -> Threshold | None:
    """A threshold out of an observation; ``None`` for anything else."""
    row = dict_of(row)
    limit, share, quantile = number_of(row.get("limit")), number_of(row.get("share")), row.get("quantile")
    kind = text_of(row.get("kind"))
    if limit is None or kind not in NAMES:
        return None
    factors = row.get("factors")
    return Threshold(
        rule=text_of(row.get("rule")),
        alerting=row.get("alerting") is True,
        kind=kind,
        sign=text_of(row.get("sign")),
        limit=limit,
        quantile=float(quantile) if isinstance(quantile, int | float) and 0 <= quantile < 1 else None,
        share=share,
        factors=tuple(n for one in factors if (n := number_of(one))) if isinstance(factors, list) else (),
        hold_s=number_of(row.get("hold_s")) or 0.0,
        query=text_of(row.get("query")),
        shared=row.get("shared") is True,
    )


# Reading rules


@dataclass(frozen=True)
class Watch:
    """A threshold, the selectors it rests on, and the labels by which it keeps one thing apart from another: all of
    them (``None``) where nothing is summed up."""

    threshold: Threshold
    selectors: tuple[Selector, ...]
    apart: frozenset[str] | None


def relevant(rules: Sequence[Rule], names: frozenset[str]) -> list[Rule]:
    """The rules that mention one of these names, directly or through what other rules record. Pure."""
    mentioned = [(rule, set(_NAME.findall(rule.query))) for rule in rules]
    known, before = set(names), 0
    while len(known) != before:
        before = len(known)
        known |= {rule.name for rule, words in mentioned if rule.kind == "recording" and words & known}
    return [rule for rule, words in mentioned if words & known]


def thresholds(rules: Sequence[Rule], names: frozenset[str]) -> list[Watch]:
    """Every threshold that rules hold against series of these names. Pure."""
    recorded: dict[str, list[tuple[Mapping[str, str], tuple[Item, ...]]]] = {}
    for rule in rules:
        if rule.kind == "recording":
            recorded.setdefault(rule.name, []).append((rule.labels, parsed(rule.query)))

    def meaning(selector: Selector) -> tuple[Item, ...]:
        fits = [
            items
            for labels, items in recorded.get(selector.name, ())
            if items and all(labels.get(key, value) == value for key, value in selector.values.items())
        ]
        return fits[0] if len(fits) == 1 else ()

    found: list[Watch] = []
    for rule in rules:
        if rule.kind not in ("alerting", "recording") or rule.health == "err":
            continue
        items = parsed(rule.query)
        for comparison in comparisons(items):
            measured = replaced(comparison.items, meaning)
            chosen = tuple(one for one in dict.fromkeys(selectors(measured)) if one.name in names)
            threshold = _threshold(rule, measured, comparison.sign, comparison.value, comparison.factors)
            if threshold is not None and chosen:
                # A matcher on what was recorded chooses too.
                apart = _apart((*measured, *selectors(comparison.items)))
                found.append(Watch(threshold, chosen, apart))
    return found


def unread(rules: Sequence[Rule], watches: Sequence[Watch]) -> dict[str, list[str]]:
    """By kind of quantity, the rules that compare such a series with something in a way that is not understood: one of
    them could be the rule that was promised. Pure."""
    read = {(watch.threshold.rule, watch.threshold.query, watch.threshold.kind) for watch in watches}
    recorded = {rule.name: rule.query for rule in rules if rule.kind == "recording"}
    found: dict[str, list[str]] = {}
    for rule in rules:
        if rule.health == "err" or not re.search(r"[<>]", _TEXT.sub("", rule.query)):
            continue
        names = set(_NAME.findall(_TEXT.sub("", rule.query)))
        for _ in range(3):  # what is recorded from what is recorded
            names |= {name for known in names if known in recorded for name in _NAME.findall(recorded[known])}
        for kind in sorted({kind for name in names if (kind := _kind_of(name))}):
            if (rule.name, rule.query, kind) not in read:
                found.setdefault(kind, []).append(rule.name)
    return {kind: rows[:MAX_UNREAD] for kind, rows in found.items()}


def _kind_of(name: str) -> str:
    """The kind of quantity that a metric is of, empty for all others."""
    if kind := _latency_of(name)[0]:
        return kind
    meaning = _meaning(name)
    if name in FAILURES or (meaning and meaning.key == "requests_failed_total") or re.search(r"error|fail", name, re.I):
        return "error_ratio"
    return _COUNTERS.get(meaning.key, "") if meaning else ""


def _apart(items: Sequence[Item]) -> frozenset[str] | None:
    parts = list(flat(items))
    groupings = [item for item in parts if isinstance(item, Grouping)]
    if any(grouping.without for grouping in groupings) or not any(item in _SUMS for item in parts):
        return None
    labels = {label for grouping in groupings for label in grouping.labels}
    return frozenset(labels | {label for item in parts if isinstance(item, Selector) for label, _, _ in item.matchers})


def _threshold(
    rule: Rule, items: Sequence[Item], sign: str, value: float, factors: tuple[float, ...]
) -> Threshold | None:
    factor, complement, inner = scaled(items)
    limit = value / factor
    factors = tuple(one for one in factors if one > 0) if factor == 1 else ()
    head: dict[str, Any] = {"rule": rule.name, "alerting": rule.kind == "alerting", "hold_s": rule.hold_s}
    head |= {"query": rule.query}
    words = [item for item in flat(inner) if isinstance(item, str)]
    signs = [word for word in words if word in "+-*/%^"]
    if any(word not in _FUNCTIONS for word in words if word not in signs and word != ","):
        return None  # counting, comparing, predicting: another quantity
    divided = quotient(inner)
    quantiles = {constant(arguments[0]) for arguments in calls(inner, "histogram_quantile") if arguments}
    if not limit > 0 or len(quantiles) > 1:
        return None
    if quantiles:
        quantile = quantiles.pop()
        kind, to_seconds = _latency(list(selectors(inner)))
        if complement or signs or quantile is None or not 0 < quantile < 1 or not kind:
            return None
        return Threshold(**head, kind=kind, sign=sign, limit=limit * to_seconds, quantile=quantile)
    if divided and signs in (["/"], ["-", "/"]):
        return _ratio(head, divided, complement, sign, limit, factors)
    if complement or signs:
        return None
    return _plain(head, inner, sign, limit)


def _ratio(
    head: Mapping[str, Any],
    divided: tuple[tuple[Item, ...], tuple[Item, ...]],
    complement: bool,
    sign: str,
    limit: float,
    factors: tuple[float, ...],
) -> Threshold | None:
    """A share of errors, a share of slow requests, or a mean."""
    above, below = list(selectors(divided[0])), list(selectors(divided[1]))
    if all(one.name.endswith("_sum") for one in above) and all(one.name.endswith("_count") for one in below):
        kind, to_seconds = _latency(above)
        mean = bool(kind) and not complement
        return Threshold(**head, kind=kind, sign=sign, limit=limit * to_seconds, quantile=MEAN) if mean else None
    bounded = {
        plain_text(text) for one in above for label, equal, text in one.matchers if (label, equal) == ("le", "=")
    }
    good = (sign == "<") != complement  # what is divided are the good ones
    share = limit if sign == ">" else 1 - limit
    if not 0 < share < 1 or (complement and sign == "<"):
        return None
    if bounded:
        kind, to_seconds = _latency(above)
        bound = number_of(next(iter(bounded)))
        minus = "-" in flat(divided[0])  # (all - those that were fast enough) / all
        if len(bounded) > 1 or not kind or bound is None or good == minus:
            return None
        kept = factors if sign == ">" else ()
        return Threshold(
            **head, kind=kind, sign=sign, limit=bound * to_seconds, quantile=1 - share, share=share, factors=kept
        )
    if any(map(_beside, (*above, *below))):
        return None
    failing = {_failing(one) for one in above}
    if failing != {not good}:
        return None
    return Threshold(**head, kind="error_ratio", sign=">", limit=share, factors=factors if sign == ">" else ())


def _plain(head: Mapping[str, Any], items: Sequence[Item], sign: str, limit: float) -> Threshold | None:
    """A rate, a summary's quantile, or a recorded series whose name says what it is."""
    chosen = list(dict.fromkeys(selectors(items)))
    if len(chosen) != 1:
        return None
    only = chosen[0]
    meaning = _meaning(only.name)
    if meaning and meaning.key in _COUNTERS and not meaning.labels and {"rate", "irate"} & set(flat(items)):
        return Threshold(**head, kind=_COUNTERS[meaning.key], sign=sign, limit=limit * meaning.factor)
    if quantile := number_of(only.values.get("quantile")):
        kind, to_seconds = _latency(chosen)
        if kind and quantile < 1:
            return Threshold(**head, kind=kind, sign=sign, limit=limit * to_seconds, quantile=quantile)
    return None


def _meaning(name: str) -> Meaning | None:
    for known in (name, _ENDINGS.sub("", name)):
        for stack in STACKS.values():
            if found := stack.metrics.get(known):
                return found
    return None


def _latency(chosen: Sequence[Selector]) -> tuple[str, float]:
    """Which latency these series measure, and what one of their units is in seconds; an empty text if not the same."""
    found = {_latency_of(one.name) for one in chosen}
    return found.pop() if len(found) == 1 else ("", 1.0)


def _latency_of(name: str) -> tuple[str, float]:
    meaning = _meaning(name)
    if meaning is not None:
        return (meaning.key, meaning.factor) if meaning.key in NAMES else ("", 1.0)
    base = _ENDINGS.sub("", name).casefold()
    unit = _UNITS.get(base.rpartition("_")[2], "")
    kind = next((key for key, pattern in _GUESSES if pattern.search(base)), "")
    seconds = convert(1.0, unit, "s") if unit else None
    return (kind, seconds) if kind and seconds else ("", 1.0)


def _beside(selector: Selector) -> bool:
    """Whether a selector is of routes that nobody calls for an answer of the model."""
    for label, sign, text in selector.matchers:
        if label in _ROUTE and sign in ("=", "=~"):
            text = plain_text(text).replace("(?:", "(")
            routes = [_path(one) for one in text.split("|")] if sign == "=~" else [_path(text)]
            # The Prometheus operator calls the port that it scrapes "endpoint".
            found = [bool(_HEALTH.search(one)) and (label != "endpoint" or one[0] == "/") for one in routes]
            # Of "/(health|chat)/x" the ends of the routes are not known: to be sure, one is enough.
            if (any if sign == "=~" and re.search(r"\)[^|)]*\w", text) else all)(found):
                return True
    return False


def _path(route: str) -> str:
    """The path of a route or an address, without what makes it a regular expression."""
    route = re.sub(r"\A[^/]*://[^/]*", "", re.sub(r"[()^$\\]|\.[*+]", "", route))
    return re.split("[?#]", route, maxsplit=1)[0]


def _failing(selector: Selector) -> bool | None:
    """Whether a counter counts failures of every kind (yes), the good ones (no), or neither for sure."""
    meaning, kind = _meaning(selector.name), FAILURES.get(selector.name, "")
    chosen = [(sign, plain_text(text).casefold()) for name, sign, text in selector.matchers if name in (*_STATUS, kind)]
    if (meaning and meaning.key == "requests_failed_total") or re.search(r"error|fail", selector.name, re.I):
        return None if chosen else True  # some kinds of failures are not all of them
    if len(chosen) > 1:
        return None
    for sign, value in chosen:
        faults = bool(re.fullmatch(r"[(^]*(?:5|\[45\]|4\.\.\|5|4xx\|5)(?!\d\d\Z).*", value))
        if faults:
            return sign in ("=", "=~")
        return False if sign in ("=", "=~") and (value[:1] == "2" or value in FINE) else None
    return False if meaning and meaning.key == "requests_success_total" else None


# Holding a promise against them


def compared(goal: Goal, threshold: Threshold) -> str:
    """``equal``, ``stricter`` (it goes off before the goal is missed), ``looser``, ``burn`` (a multiple of the error
    budget, as alerts on its burning have), or an empty text: it watches something else."""
    if goal.kind != threshold.kind:
        return ""
    if goal.kind == "error_ratio":
        return _by_budget(goal, goal.limit, threshold.limit, threshold.factors)
    if goal.quantile is None:
        return _sided(goal.limit, threshold.limit) if threshold.sign == "<" else ""
    if threshold.quantile is None:
        return ""
    if threshold.share is not None:
        if not math.isclose(goal.limit, threshold.limit, rel_tol=NEAR):
            same = math.isclose(1 - goal.quantile, threshold.share, rel_tol=NEAR)
            return _sided(threshold.limit, goal.limit) if same else ""
        return _by_budget(goal, 1 - goal.quantile, threshold.share, threshold.factors)
    if threshold.sign != ">" or not math.isclose(goal.quantile, threshold.quantile, abs_tol=1e-4):
        return ""
    return _sided(threshold.limit, goal.limit)


def _sided(measure: float, limit: float) -> str:
    """For ``measure`` that is looser the larger it is."""
    if math.isclose(measure, limit, rel_tol=NEAR):
        return "equal"
    return "looser" if measure > limit else "stricter"


def _by_budget(goal: Goal, budget: float, share: float, factors: tuple[float, ...]) -> str:
    if math.isclose(budget, share, rel_tol=NEAR):
        return "equal"
    if goal.budget and any(math.isclose(one, budget, rel_tol=NEAR) for one in factors):
        return "equal"  # how fast the budget burns, times the budget
    if share < budget:
        return "stricter"
    return "burn" if goal.budget and not factors and share / budget <= MAX_BURN else "looser"
