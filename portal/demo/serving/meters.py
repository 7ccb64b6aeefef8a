"""Counters, gauges and histograms in the Prometheus text format."""

from __future__ import annotations

import zlib
from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

Labels = Mapping[str, str]


def stable(text: str, low: int, high: int) -> int:
    """A whole number in [low, high] that is the same for the same text, on every machine and in every run."""
    return low + zlib.crc32(text.encode()) % (high - low + 1)


def line(name: str, labels: Labels, value: float) -> str:
    inner = ",".join(f'{key}="{text}"' for key, text in labels.items())
    return f"{name}{{{inner}}} {value!r}\n" if inner else f"{name} {value!r}\n"


@dataclass
class Meter:
    """A counter or gauge, one value per set of labels."""

    name: str
    kind: str
    help: str
    values: dict[tuple[tuple[str, str], ...], float] = field(default_factory=dict)

    def add(self, amount: float, **labels: str) -> None:
        key = tuple(labels.items())
        self.values[key] = self.values.get(key, 0.0) + amount

    def put(self, value: float, **labels: str) -> None:
        self.values[tuple(labels.items())] = value

    def lines(self, labels: Labels) -> Iterator[str]:
        yield f"# HELP {self.name} {self.help}\n# TYPE {self.name} {self.kind}\n"
        for extra, value in self.values.items():
            yield line(self.name, {**labels, **dict(extra)}, float(value))


class Histogram:
    """Bucket counts as a server keeps them: what it really observed, on top of the history it was started with."""

    def __init__(self, name: str, help: str, bounds: Sequence[float]) -> None:
        self.name, self.help, self.bounds = name, help, tuple(bounds)
        self.counts = [0] * (len(self.bounds) + 1)
        self.sum = 0.0

    @property
    def count(self) -> int:
        return sum(self.counts)

    def observe(self, value: float) -> None:
        self.counts[bisect_left(self.bounds, value)] += 1
        self.sum += value

    def seed(self, total: int, shares: Mapping[float, float]) -> Histogram:
        """``total`` earlier observations, spread over buckets, by upper bound. The largest share
        takes what rounding left."""
        numbers = {bound: int(total * share) for bound, share in shares.items()}
        numbers[max(shares, key=shares.__getitem__)] += total - sum(numbers.values())
        for bound, number in numbers.items():
            place = bisect_left(self.bounds, bound)
            low = self.bounds[place - 1] if place else 0.0
            self.counts[place] += number
            self.sum += number * (low + self.bounds[place]) / 2
        return self

    def lines(self, labels: Labels) -> Iterator[str]:
        yield f"# HELP {self.name} {self.help}\n# TYPE {self.name} histogram\n"
        running = 0
        for bound, number in zip((*(repr(float(b)) for b in self.bounds), "+Inf"), self.counts, strict=True):
            running += number
            yield line(f"{self.name}_bucket", {**labels, "le": bound}, float(running))
        yield line(f"{self.name}_count", labels, float(running))
        yield line(f"{self.name}_sum", labels, self.sum)


Metric = Meter | Histogram


def exposition(meters: Sequence[Metric], labels: Labels) -> str:
    return "".join(text for meter in meters for text in meter.lines(labels))
