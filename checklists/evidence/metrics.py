"""Reading a Prometheus text page, and judging quantiles by the bounds of buckets: interpolated quantiles lie."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, NamedTuple

from prometheus_client.parser import text_string_to_metric_families

MAX_SAMPLES = 50_000
MAX_LINE = 8_192  # characters: the parser takes the square of a line's length


class InvalidPage(ValueError):
    """The text is no Prometheus page."""


class Sample(NamedTuple):
    labels: Mapping[str, str]
    value: float


@dataclass(frozen=True)
class Bucket:
    """The bucket ``(lower, upper]`` that holds a quantile, and how many samples lie in it."""

    lower: float
    upper: float
    count: float


@dataclass(frozen=True)
class Histogram:
    """Cumulative counts at increasing upper bounds, the last of which is infinite."""

    name: str
    bounds: tuple[float, ...]
    counts: tuple[float, ...]

    @property
    def count(self) -> float:
        return self.counts[-1]

    def scaled(self, factor: float) -> Histogram:
        """The same samples in another unit."""
        return Histogram(self.name, tuple(bound * factor for bound in self.bounds), self.counts)

    def since(self, earlier: Histogram) -> Histogram | None:
        """What was counted after ``earlier``; ``None`` if it is no earlier look at the same counts."""
        if self.bounds != earlier.bounds:
            return None
        counts = (now - before for now, before in zip(self.counts, earlier.counts, strict=True))
        return _histogram(self.name, dict(zip(self.bounds, counts, strict=True)))

    def plus(self, other: Histogram) -> Histogram | None:
        """Both together; ``None`` if their bounds differ."""
        if self.bounds != other.bounds:
            return None
        counts = (one + two for one, two in zip(self.counts, other.counts, strict=True))
        return Histogram(self.name, self.bounds, tuple(counts))

    def without_slowest(self, samples: float) -> Histogram:
        """Without so many of the largest samples, or without any if there are not more."""
        left = max(self.count - samples, 0.0)
        return Histogram(self.name, self.bounds, tuple(min(count, left) for count in self.counts))

    def as_json(self) -> dict[str, Any]:
        """JSON knows no infinity: the last bound is left out."""
        return {"name": self.name, "bounds": list(self.bounds[:-1]), "counts": list(self.counts)}

    def picture(self, goals: Mapping[str, float], unit: str) -> dict[str, Any]:
        """What a judgement shows of it: as JSON (cumulative counts), with the goals to draw in, all in one unit."""
        return {**self.as_json(), "goals": [{"label": k, "value": v} for k, v in goals.items()], "unit": unit}

    @classmethod
    def from_json(cls, data: Any) -> Histogram | None:
        """The histogram of ``as_json``, or ``None`` for anything else."""
        if (
            not isinstance(data, dict)
            or not isinstance(data.get("bounds"), list)
            or not isinstance(data.get("counts"), list)
        ):
            return None
        numbers = [*data["bounds"], *data["counts"]]
        if any(isinstance(n, bool) or not isinstance(n, int | float) for n in numbers):
            return None
        return _histogram(
            str(data.get("name", "")), dict(zip([*data["bounds"], math.inf], data["counts"], strict=False))
        )


@dataclass(frozen=True)
class Page:
    """Every sample of a page by its full name (with ``_total``, ``_bucket``, …), and the names of its families.

    ``complete`` says that all of the page was read: only then is a name that is missing from it not exported.
    """

    samples: Mapping[str, tuple[Sample, ...]]
    families: frozenset[str]
    complete: bool = True

    def names(self) -> list[str]:
        """Names of families and of samples, sorted."""
        return sorted(self.families | set(self.samples))

    def value(self, name: str, labels: Mapping[str, str] | None = None) -> float | None:
        """The sum of a counter or gauge over all its series that carry ``labels``; ``None`` if absent or not finite."""
        found = [sample.value for sample in self._matching(name, labels)]
        total = math.fsum(found) if found and all(math.isfinite(value) for value in found) else None
        return total if total is None or math.isfinite(total) else None

    def labels(self, name: str, label: str) -> list[str]:
        """The values that a label has among the samples of that name, sorted."""
        return sorted({value for sample in self._named(name) if (value := sample.labels.get(label, ""))})

    def began(self, name: str) -> float | None:
        """When the process behind the page started, in Unix seconds, as it tells of itself or of a histogram."""
        process = {sample.value for sample in self.samples.get("process_start_time_seconds", ())}
        created = [sample.value for sample in self.samples.get(f"{name}_created", ())]
        began = process.pop() if len(process) == 1 else min(created, default=math.nan)
        return began if math.isfinite(began) and began > 0 else None

    def histogram(self, name: str, labels: Mapping[str, str] | None = None) -> Histogram | None:
        """The histogram summed over all series that carry ``labels``; ``None`` if absent or inconsistent."""
        series: dict[frozenset[tuple[str, str]], dict[float, float]] = defaultdict(dict)
        for sample in self._matching(f"{name}_bucket", labels):
            try:
                bound = float(sample.labels.get("le", ""))
            except ValueError:
                return None
            rest = frozenset((key, value) for key, value in sample.labels.items() if key != "le")
            series[rest][bound] = series[rest].get(bound, 0.0) + sample.value
        for sample in self._matching(f"{name}_count", labels):
            if (rest := frozenset(sample.labels.items())) in series:
                series[rest].setdefault(math.inf, sample.value)
        if not series:
            return None
        # Series may have different bounds; only where all have one is the sum of their counts known.
        common = set.intersection(*(set(buckets) for buckets in series.values()))
        return _histogram(name, {bound: sum(buckets[bound] for buckets in series.values()) for bound in common})

    def _matching(self, name: str, labels: Mapping[str, str] | None) -> Iterable[Sample]:
        wanted = (labels or {}).items()
        return (s for s in self._named(name) if all(s.labels.get(key) == value for key, value in wanted))

    def _named(self, name: str) -> tuple[Sample, ...]:
        """The parser ends every counter's name in ``_total``, also where the page does not."""
        return self.samples.get(name) or self.samples.get(f"{name}_total", ())


def _histogram(name: str, buckets: Mapping[float, float]) -> Histogram | None:
    bounds = sorted(buckets)
    counts = [buckets[bound] for bound in bounds]
    if not bounds or bounds[-1] != math.inf or any(math.isnan(bound) or bound == -math.inf for bound in bounds):
        return None
    if any(not math.isfinite(count) or count < 0 for count in counts):
        return None
    if any(later < earlier for earlier, later in pairwise(counts)):
        return None
    return Histogram(name, tuple(bounds), tuple(counts))


def parse(text: str, *, truncated: bool = False) -> Page:
    """A page from its text; the last line of a truncated one is dropped. Raises ``InvalidPage``, and nothing else."""
    if any(len(line) > MAX_LINE for line in text.split("\n")):
        raise InvalidPage(f"The page has a line longer than {MAX_LINE} characters.")
    if truncated:
        text = text[: text.rfind("\n") + 1]
    samples: dict[str, list[Sample]] = defaultdict(list)
    families = set()
    seen, complete = 0, not truncated
    try:
        for family in text_string_to_metric_families(text):
            families.add(family.name)
            for sample in family.samples:
                samples[sample.name].append(Sample(sample.labels, float(sample.value)))
                seen += 1
            if seen > MAX_SAMPLES:
                complete = False
                break
    except Exception as error:  # the parser raises whatever it stumbles over: ValueError, KeyError, IndexError, …
        raise InvalidPage("The page is not in the Prometheus text format.") from error
    if not samples:
        raise InvalidPage("The page holds no metrics.")
    return Page({name: tuple(found) for name, found in samples.items()}, frozenset(families), complete)


def bucket_of_quantile(histogram: Histogram, q: float) -> Bucket | None:
    """The bucket that holds the quantile ``q`` (0 < q ≤ 1); ``None`` without samples. Nothing is interpolated."""
    if not 0 < q <= 1 or histogram.count <= 0:
        return None
    rank = q * histogram.count
    lower, below = (0.0 if histogram.bounds[0] >= 0 else -math.inf), 0.0
    for upper, count in zip(histogram.bounds, histogram.counts, strict=True):
        if count > below and count >= rank - 1e-9 * histogram.count:
            return Bucket(lower, upper, count - below)
        lower, below = upper, count
    return None
