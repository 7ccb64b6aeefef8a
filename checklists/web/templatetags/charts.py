"""Template tags for the small charts, each with its numbers as text: `{% load charts %}`."""

from collections.abc import Sequence
from datetime import date, timedelta
from typing import Any

from django import template
from django.utils import timezone

from checklists.web import charts
from checklists.web.bars import STATES

register = template.Library()


@register.inclusion_tag("components/trend.html")
def trend(points: Sequence[charts.Point], label: str = "Every item, over time") -> dict[str, Any]:
    """Shares of the states over time, stacked; fewer than two days are told in words instead."""
    points = list(points)
    return {
        "areas": charts.areas(points) if len(points) > 1 else [],
        "label": label,
        "dates": [points[0]["date"], points[len(points) // 2]["date"], points[-1]["date"]] if points else [],
        "states": list(STATES.values()),
        "rows": [
            (point["date"], [(name, point["counts"].get(state, 0)) for state, name in STATES.items()])
            for point in _thinned(points)
        ],
    }


@register.inclusion_tag("components/histogram.html")
def histogram(buckets: Sequence[charts.Bucket], goal: float | None = None, unit: str = "") -> dict[str, Any]:
    """A thumbnail of a distribution with the goal as a dotted line; what lies beyond the goal is red."""
    bars, goal_x = charts.histogram_bars(buckets, goal)
    total = sum(bucket["count"] for bucket in buckets)
    beyond = sum(bucket["count"] for bucket, bar in zip(buckets, bars, strict=False) if bar.over)
    name = f"{total:,} measurements"
    if goal is not None:
        name += f", {beyond:,} of them beyond the goal of {goal:g} {unit}".rstrip()
    return {"bars": bars, "goal_x": goal_x, "name": name}


@register.inclusion_tag("components/launch_strip.html")
def launch_strip(launches: Sequence[charts.Launch], today: date | None = None) -> dict[str, Any]:
    """The launches of the next twelve weeks on a line, as a list where the screen is narrow."""
    today = today or timezone.localdate()
    marks, axis = charts.launch_marks(launches, today)
    return {
        "marks": marks,
        "axis": axis,
        "height": axis + 24,
        "ticks": [
            (f"{100 * week / charts.WEEKS:g}", today + timedelta(weeks=week)) for week in range(3, charts.WEEKS, 3)
        ],
    }


def _thinned(points: list[charts.Point], most: int = 13) -> list[charts.Point]:
    """At most so many points, evenly spread, first and last among them: the table stays readable."""
    if len(points) <= most:
        return points
    return [points[round(index * (len(points) - 1) / (most - 1))] for index in range(most)]
