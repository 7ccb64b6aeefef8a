"""The geometry of the small charts: data in, coordinates out. Nothing here knows templates or requests."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import TypedDict

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


class Bucket(TypedDict):
    """One bar of a histogram: how many observations up to `upper`; infinity for the last, open one."""

    upper: float
    count: int


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


def histogram_bars(buckets: Sequence[Bucket], goal: float | None) -> tuple[list[Bar], float | None]:
    """Bars in a box of 100 by 100 and the x of the goal line; buckets that start at or above the goal are `over`.

    Buckets are equally wide, whatever their bounds, as latency buckets grow by factors; the goal lies between them in
    proportion to the bounds of the bucket it falls into.
    """
    highest = max((bucket["count"] for bucket in buckets), default=0)
    if not highest:
        return [], None
    step = 100 / len(buckets)
    bars, goal_x, lower = [], None, 0.0
    for index, bucket in enumerate(buckets):
        height = 100 * bucket["count"] / highest
        bars.append(Bar(index * step, 100 - height, step * 0.86, height, goal is not None and lower >= goal))
        if goal is not None and goal_x is None and goal <= bucket["upper"]:
            inside = 0.5 if math.isinf(bucket["upper"]) else (goal - lower) / ((bucket["upper"] - lower) or 1)
            goal_x = (index + max(inside, 0.0)) * step - 0.07 * step
        lower = bucket["upper"]
    return bars, goal_x


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
