"""The geometry of the small charts: data in, coordinates out. Nothing here knows templates or requests."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import pairwise
from typing import TypedDict

from checklists.evidence.metrics import Histogram
from checklists.web.bars import STATES

WEEKS = 12
ROWS = 5
ROW_HEIGHT = 29
AXIS_GAP = 34
# Labels are laid out for a strip this wide in pixels; wider ones only leave more air.
NARROWEST = 560.0
LETTER = 6.4


class Point(TypedDict):
    """How many items were in each state on one day."""

    date: date
    counts: Mapping[str, int]


class Goal(TypedDict):
    """A goal drawn into a histogram, such as `p95` at 800."""

    label: str
    value: float


class Distribution(TypedDict):
    """A histogram to draw: each bucket's upper bound (the last may be infinite) and samples, and goals in that unit."""

    uppers: Sequence[float]
    counts: Sequence[int]
    goals: Sequence[Goal]
    unit: str


class Launch(TypedDict):
    """One release about to go out, coloured by the state that says most about its risk."""

    label: str
    url: str
    date: date
    state: str


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar of a histogram in a box of 100 by 100, y downwards."""

    x: float
    y: float
    width: float
    height: float
    over: bool


@dataclass(frozen=True, slots=True)
class Mark:
    """One launch on the strip: x in percent, y in pixels; without a row there was no room for its label."""

    launch: Launch
    x: float
    y: int
    before: bool
    labelled: bool


def areas(points: Sequence[Point]) -> list[tuple[str, str]]:
    """One SVG polygon per state that ever occurs, as (state, points) in a box of 100 by 100, verified at the bottom.

    Every day is drawn full height, because what matters is the share. Items that do not apply are left out.
    """
    states = [state for state in STATES if state != "not_applicable"]
    last = max(len(points) - 1, 1)
    floor = [100.0] * len(points)
    drawn: list[tuple[str, str]] = []
    for state in states:
        top = []
        for index, point in enumerate(points):
            total = sum(point["counts"].get(name, 0) for name in states)
            top.append(floor[index] - (100 * point["counts"].get(state, 0) / total if total else 0))
        if top != floor:
            outline = [(index, y) for index, y in enumerate(top)]
            outline += [(index, y) for index, y in reversed(list(enumerate(floor)))]
            drawn.append((state, " ".join(f"{100 * index / last:.2f},{y:.2f}" for index, y in outline)))
        floor = top
    return drawn


def distribution_of(data: object) -> Distribution | None:
    """The histogram that a finding keeps (``Histogram.picture``), or ``None`` for anything else.

    Empty buckets at both ends are left out, but for one at the lower end and those in which a goal lies.
    """
    histogram = Histogram.from_json(data)
    if histogram is None or not isinstance(data, Mapping):
        return None
    goals: list[Goal] = [
        {"label": str(goal.get("label", "")), "value": float(goal["value"])}
        for goal in data.get("goals") or []
        if isinstance(goal, Mapping) and isinstance(goal.get("value"), int | float)
    ]
    counts = [round(later - earlier) for earlier, later in pairwise((0.0, *histogram.counts))]
    held = [next(index for index, bound in enumerate(histogram.bounds) if goal["value"] <= bound) for goal in goals]
    full = sorted([index for index, count in enumerate(counts) if count] + held)
    if not any(counts):
        return None
    first, end = max(0, full[0] - 1), full[-1] + 1
    unit = str(data.get("unit", ""))
    return {"uppers": histogram.bounds[first:end], "counts": counts[first:end], "goals": goals, "unit": unit}


def histogram_bars(shown: Distribution) -> tuple[list[Bar], list[tuple[Goal, float]]]:
    """Bars in a box of 100 by 100, and each goal with its x; buckets that start at or above all goals are `over`.

    Buckets are equally wide, whatever their bounds, as latency buckets grow by factors; a goal lies between them in
    proportion to the bounds of the bucket it falls into.
    """
    counts = shown["counts"]
    highest = max(counts, default=0)
    if not highest:
        return [], []
    uppers = shown["uppers"]
    strictest = max((goal["value"] for goal in shown["goals"]), default=math.inf)
    step, bars, lower = 100 / len(counts), [], 0.0
    for index, (upper, count) in enumerate(zip(uppers, counts, strict=True)):
        height = 100 * count / highest
        bars.append(Bar(index * step, 100 - height, step * 0.86, height, lower >= strictest * (1 - 1e-9)))
        lower = upper
    return bars, [(goal, x) for goal in shown["goals"] if (x := _between(uppers, goal["value"], step)) is not None]


def _between(uppers: Sequence[float], value: float, step: float) -> float | None:
    lower = 0.0
    for index, upper in enumerate(uppers):
        if value <= upper:
            inside = 0.5 if math.isinf(upper) else (value - lower) / ((upper - lower) or 1)
            return (index + max(inside, 0.0)) * step - 0.07 * step
        lower = upper
    return None


@dataclass(frozen=True, slots=True)
class Box:
    """A piece of a column in a box of 100 by 100, y downwards."""

    state: str
    x: float
    y: float
    width: float
    height: float


def columns(runs: Sequence[Mapping[str, int]], slots: int) -> list[list[Box]]:
    """One stacked column for each run (state → count), the last at the right edge; as high as the largest is 100.

    There is room for `slots` columns, so that few runs do not look like many.
    """
    highest = max((sum(counts.values()) for counts in runs), default=0)
    step = 100 / max(slots, len(runs), 1)
    drawn = []
    for index, counts in enumerate(runs):
        x, floor, boxes = 100 - (len(runs) - index) * step, 100.0, []
        for state in STATES:
            if count := counts.get(state, 0):
                height = 100 * count / highest
                floor -= height
                boxes.append(Box(state, x, floor, step * 0.8, height))
        drawn.append(boxes)
    return drawn


def heights(values: Sequence[float | None]) -> list[float]:
    """Where each of a series of numbers lies in a box of height 100, y downwards; in the middle what has no number.

    The smallest lies at 85 and the largest at 15; if all are the same, all lie in the middle.
    """
    known = [value for value in values if value is not None]
    low, high = min(known, default=0.0), max(known, default=0.0)
    return [50.0 if value is None or high == low else 85 - 70 * (value - low) / (high - low) for value in values]


def launch_marks(launches: Sequence[Launch], today: date) -> tuple[list[Mark], int]:
    """Where each launch of the next twelve weeks stands, and the y of the axis in pixels.

    A label runs to the right of its mark, near the right edge to the left, and takes the lowest row in which it runs
    into no other label. When the rows are used up, a launch keeps its mark on the axis but loses its label.
    """
    horizon = today + timedelta(weeks=WEEKS)
    coming = (launch for launch in launches if today <= launch["date"] <= horizon)
    shown = sorted(coming, key=lambda item: (item["state"] != "contradicted", item["date"]))  # risk finds room first
    taken: list[list[tuple[float, float]]] = [[] for _ in range(ROWS)]
    placed: list[tuple[Launch, float, bool, int | None]] = []
    for launch in shown:
        x = (launch["date"] - today).days / (WEEKS * 7) * NARROWEST
        reach = 26 + LETTER * len(launch["label"])
        before = x + reach > NARROWEST
        start, end = (x - reach, x + 8) if before else (x - 8, x + reach)
        row = next((row for row, spans in enumerate(taken) if all(end < a or start > b for a, b in spans)), None)
        if row is not None:
            taken[row].append((start, end))
        placed.append((launch, x, before, row))
    placed.sort(key=lambda place: place[1])
    axis = max((row for *_, row in placed if row is not None), default=0) * ROW_HEIGHT + AXIS_GAP + ROW_HEIGHT // 2
    return [
        Mark(
            launch,
            100 * x / NARROWEST,
            axis if row is None else axis - AXIS_GAP - row * ROW_HEIGHT,
            before,
            row is not None,
        )
        for launch, x, before, row in placed
    ], axis
