"""Answers of a Prometheus server: every one comes to an outcome, never an exception.

Written from the API documentation of Prometheus 2.42 to 3.5; Thanos, Mimir and VictoriaMetrics answer the same.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Generic, TypeVar

from checklists.evidence.metrics import Histogram
from checklists.evidence.probes.base import dict_of, list_of, text_of
from checklists.evidence.probes.visit import Answer

MAX_SERIES = 2_000
MAX_LISTED = 5_000
MAX_BUCKETS = 2_000  # of a native histogram
# Rounding and extrapolation may make a bucket a little larger than the next one; more than this is no histogram.
UNEVEN = 0.05

T = TypeVar("T")


@dataclass(frozen=True)
class Series:
    """One series of a result: its labels and (time in Unix seconds, value) points. A value may be NaN or infinite.

    ``native``: what an instant query found where Prometheus keeps a histogram as one series; its value is no number.
    """

    labels: Mapping[str, str]
    points: tuple[tuple[float, float], ...]
    native: Histogram | None = None

    @property
    def value(self) -> float:
        """The last value."""
        return self.points[-1][1]

    def label(self, name: str) -> str:
        """A label, or the one that Prometheus renamed to ``exported_…`` because its own was in the way."""
        return self.labels.get(f"exported_{name}") or self.labels.get(name, "")


@dataclass(frozen=True)
class Outcome:
    """What came of a question: ``error`` is empty or the kind of failure, ``why`` then one sentence on it."""

    error: str = ""
    why: str = ""

    @property
    def problem(self) -> dict[str, Any]:
        """The failure as part of an observation; empty if there is none."""
        return {"error": self.error, "why": self.why} if self.error else {}


@dataclass(frozen=True)
class Reading(Outcome):
    """The series a query gave. None at all is no error: what was asked for does not exist, or not in that window."""

    series: tuple[Series, ...] = ()

    @property
    def number(self) -> float | None:
        """The value of the only series; ``None`` if there is none, more than one, or no finite value."""
        return finite(self.series[0].value) if len(self.series) == 1 else None

    @property
    def total(self) -> float | None:
        """The sum of the last values; ``None`` without series or where one is not finite."""
        values = [finite(series.value) for series in self.series]
        return math.fsum(v for v in values if v is not None) if values and None not in values else None

    @property
    def points(self) -> dict[float, float]:
        """The finite points of the only series by time, or none."""
        if len(self.series) != 1:
            return {}
        return {at: value for at, value in self.series[0].points if math.isfinite(value)}

    def by(self, label: str) -> dict[str, tuple[Series, ...]]:
        """The series by the value of a label; those without it under an empty text."""
        found: dict[str, list[Series]] = {}
        for series in self.series:
            found.setdefault(series.labels.get(label, ""), []).append(series)
        return {key: tuple(rows) for key, rows in found.items()}

    def with_common(self, label: str, counts: Reading) -> Reading:
        """Only the series whose value of a label as many series have as any, by a ``count by`` that label."""
        many = {series.labels.get(label, ""): series.value for series in counts.series}
        most = max(many.values(), default=0.0)
        return replace(self, series=tuple(one for one in self.series if many.get(one.labels.get(label, "")) == most))

    def histogram(self, name: str) -> Histogram | None:
        """A ``sum by (le)`` of buckets, or of native histograms, as a histogram; ``None`` if it is empty, not finite,
        or inconsistent."""
        if len(self.series) == 1 and (native := self.series[0].native) is not None:
            return replace(native, name=name)
        buckets: dict[float, float] = {}
        for series in self.series:
            try:
                buckets[float(series.labels.get("le", ""))] = series.value
            except ValueError:
                return None
        bounds = sorted(buckets)
        if not bounds or bounds[-1] != math.inf or not all(math.isfinite(value) for value in buckets.values()):
            return None
        counts: list[float] = []
        for bound in bounds:
            counts.append(max(buckets[bound], counts[-1] if counts else 0.0))
            if counts[-1] - buckets[bound] > UNEVEN * max(buckets.values()):
                return None
        return Histogram.from_json({"name": name, "bounds": bounds[:-1], "counts": counts})


@dataclass(frozen=True)
class Listing(Outcome, Generic[T]):
    """What the server lists: rules, alerts, targets."""

    items: tuple[T, ...] = ()


@dataclass(frozen=True)
class Rule:
    """An alerting or recording rule as the server has loaded it; ``hold_s`` is its ``for``."""

    name: str
    group: str
    kind: str  # "alerting" or "recording"
    query: str
    hold_s: float
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    state: str  # of an alerting rule: inactive, pending, firing
    health: str  # ok, err, unknown


@dataclass(frozen=True)
class Alert:
    """An alert that is pending or firing now."""

    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    state: str
    active_at: str


@dataclass(frozen=True)
class ScrapeTarget:
    """An address the server scrapes: ``health`` is up, down or unknown."""

    labels: Mapping[str, str]
    url: str
    pool: str
    health: str
    last_error: str


@dataclass(frozen=True)
class BuildInfo(Outcome):
    version: str = ""


def finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


@dataclass(frozen=True)
class Data(Outcome):
    data: Any = field(default=None)


def odd() -> Data:
    """What to say of an answer of another shape."""
    return Data("invalid", "What answers at Prometheus' address does not speak its API.")


def too_much(what: str) -> Data:
    """What to say of an answer with more of something than is read."""
    return Data("too_large", f"Prometheus answered with more {what} than are read; narrow the labels down.")


def data_of(answer: Answer) -> Data:
    """The ``data`` of an answer, or what is wrong with it."""
    if answer.error:
        return Data(answer.error.kind, f"Prometheus: {answer.error.reason}")
    if answer.response is None or answer.refused:
        return Data("refused", f"Prometheus does not let Preflight in ({answer.status}).")
    if answer.response.truncated:
        return too_much("data")
    body = answer.response.json()
    if isinstance(body, dict) and body.get("status") == "error":
        kind = text_of(body.get("errorType")) or "error"
        return Data(kind[:40], f"Prometheus could not answer: {text_of(body.get('error')) or kind}"[:300])
    if not answer.ok:
        return Data(f"status {answer.status}", f"Prometheus answered {answer.status}.")
    if not isinstance(body, dict) or body.get("status") != "success":
        return odd()
    # Since 3.0 notes on a query are "infos"; before, they stood among the warnings.
    warnings = [text_of(w) for w in list_of(body.get("warnings")) if not text_of(w).startswith("PromQL info")]
    if doubts := [warning for warning in warnings if warning.startswith("PromQL warning")]:
        return Data("doubtful", f"Prometheus warns of its own answer: {doubts[0]}"[:300])
    if warnings or body.get("isPartial") is True:
        told = f": {warnings[0]}" if warnings else "."
        return Data("partial", f"Prometheus had only a part of the data{told}"[:300])
    return Data(data=body.get("data"))


def reading_of(answer: Answer, *kinds: str) -> Reading:
    """The series in an answer to a query, of one of these kinds (``vector``, ``scalar``, ``matrix``). Pure."""
    return read_series(data_of(answer), *kinds)


def read_series(outcome: Data, *kinds: str) -> Reading:
    """The series in the data of a query's answer, of one of these kinds."""
    if outcome.error:
        return Reading(outcome.error, outcome.why)
    data = dict_of(outcome.data)
    kind, result = data.get("resultType"), data.get("result")
    if kind not in kinds or not isinstance(result, list):
        return _unread(odd())
    if kind == "scalar":
        point = _point(result)
        return Reading(series=(Series({}, (point,)),)) if point else _unread(odd())
    if len(result) > MAX_SERIES:
        return _unread(too_much("series"))
    series = []
    for row in result:
        row = dict_of(row)
        if kind == "vector" and (native := _native(row.get("histogram"))) is not None:
            series.append(Series(_texts(row.get("metric")), (native[0],), native[1]))
            continue
        raw = [row.get("value")] if kind == "vector" else list_of(row.get("values"))
        points = tuple(point for item in raw if (point := _point(item)))
        if not points or len(points) != len(raw):
            return _unread(
                Outcome("native_histogram", "Prometheus keeps this as a native histogram, which is not read.")
                if "histogram" in row or "histograms" in row
                else odd()
            )
        series.append(Series(_texts(row.get("metric")), points))
    return Reading(series=tuple(series))


def _unread(outcome: Outcome) -> Reading:
    return Reading(outcome.error, outcome.why)


def _point(item: Any) -> tuple[float, float] | None:
    """``[time, "value"]``; ``None`` for anything else."""
    if not isinstance(item, list) or len(item) != 2 or isinstance(item[0], bool) or not isinstance(item[1], str):
        return None
    try:
        at, value = float(item[0]), float(item[1])
    except (TypeError, ValueError, OverflowError):
        return None
    return (at, value) if math.isfinite(at) else None


def _native(item: Any) -> tuple[tuple[float, float], Histogram] | None:
    """``[time, {count, buckets: [[how it is closed, "from", "to", "count"], …]}]`` as a point without a number and a
    histogram with a bound at each end of a bucket; ``None`` for anything else."""
    point = _point([item[0], "NaN"]) if isinstance(item, list) and len(item) == 2 else None
    rows = dict_of(item[1]).get("buckets", []) if point is not None else None
    if point is None or not isinstance(rows, list) or len(rows) > MAX_BUCKETS:
        return None
    try:
        buckets = sorted((float(low), float(high), float(count)) for _, low, high, count in rows)
    except (TypeError, ValueError):
        return None
    bounds: dict[float, float] = {}
    total = 0.0
    for low, high, count in buckets:
        if not (low < high and count >= 0) or low < max(bounds, default=-math.inf):
            return None
        if low > 0 or bounds:
            bounds[low] = total  # nothing lies between this bucket and the one before it
        total += count
        bounds[high] = total
    bounds[math.inf] = total
    ends = sorted(bounds)
    found = Histogram.from_json({"name": "", "bounds": ends[:-1], "counts": [bounds[end] for end in ends]})
    return (point, found) if found is not None else None


def _texts(value: Any) -> dict[str, str]:
    return {str(key): text for key, text in dict_of(value).items() if isinstance(text, str)}


def listing(outcome: Data, rows: Any, read: Callable[[dict[str, Any]], T]) -> Listing[T]:
    """The entries of a listing, each as ``read`` gives it."""
    if outcome.error:
        return Listing(outcome.error, outcome.why)
    if not isinstance(rows, list):
        return Listing(odd().error, odd().why)
    if len(rows) > MAX_LISTED:
        return Listing("too_large", too_much("entries").why)
    return Listing(items=tuple(read(row) for row in rows if isinstance(row, dict)))


def scrape_target(row: dict[str, Any]) -> ScrapeTarget:
    """A target out of an entry of the listing."""
    pool, health = text_of(row.get("scrapePool")), text_of(row.get("health"))
    return ScrapeTarget(
        _texts(row.get("labels")), text_of(row.get("scrapeUrl")), pool, health, text_of(row.get("lastError"))
    )


def rule_of(row: dict[str, Any]) -> Rule:
    """A rule out of an entry of the listing."""
    hold = row.get("duration")
    query = row.get("query")
    return Rule(
        name=text_of(row.get("name")),
        group=text_of(row.get("group")),
        kind=text_of(row.get("type")),
        query=query[:4000] if isinstance(query, str) else "",
        hold_s=float(hold)
        if isinstance(hold, int | float) and not isinstance(hold, bool) and abs(hold) < 1e12
        else 0.0,
        labels=_texts(row.get("labels")),
        annotations=_texts(row.get("annotations")),
        state=text_of(row.get("state")),
        health=text_of(row.get("health")),
    )


def alert_of(row: dict[str, Any]) -> Alert:
    """An alert out of an entry of the listing."""
    state, since = text_of(row.get("state")), text_of(row.get("activeAt"))
    return Alert(_texts(row.get("labels")), _texts(row.get("annotations")), state, since)


def alertmanager_address(row: dict[str, Any]) -> str:
    """An Alertmanager's address out of an entry of the listing."""
    return text_of(row.get("url")).partition("/api/")[0]
