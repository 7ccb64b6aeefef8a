"""Template tags for the small charts, each with its numbers as text: `{% load charts %}`."""

import math
from collections.abc import Sequence
from datetime import date, timedelta
from itertools import pairwise
from typing import Any

from django import template
from django.utils import timezone

from checklists.web import charts
from checklists.web.bars import STATES

register = template.Library()

LINE = 14  # pixels, of a label above a chart


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
def histogram(data: object, size: str = "") -> dict[str, Any]:
    """The distribution a finding keeps, each goal a dotted line; what lies beyond the last goal is red.

    ``size`` ``"wide"`` is for a page of its own: the goals stand above it, the bounds below it, the numbers in a table.
    """
    shown = charts.distribution_of(data)
    if shown is None:
        return {}
    bars, goals = charts.histogram_bars(shown)
    beyond = sum(count for count, bar in zip(shown["counts"], bars, strict=False) if bar.over)
    unit, name = shown["unit"], f"{sum(shown['counts']):,} measurements"
    if shown["goals"]:
        words = " and ".join(f"{goal['label']} {goal['value']:g} {unit}".strip() for goal in shown["goals"])
        name += f", goal {words}; {beyond:,} of them in buckets beyond"
    edges = [f"{bound:g}" for bound in shown["uppers"] if not math.isinf(bound)]
    labels = [
        (x, LINE * (row + 1) - 3, f"{goal['label']} {goal['value']:g} {unit}".strip())
        for row, (goal, x) in enumerate(goals if size == "wide" else [])
    ]
    uppers = [f"up to {edge}" for edge in edges] + [f"above {edges[-1]}" if edges else "all"]
    return {
        "bars": bars,
        "goals": goals,
        "labels": labels,
        "labels_height": LINE * len(labels),
        "name": name,
        "unit": unit,
        "size": size,
        "rows": list(zip(uppers, shown["counts"], strict=False)) if size == "wide" else [],
        "ends": (edges[0], edges[-1]) if edges else None,
    }


@register.inclusion_tag("components/run_columns.html")
def run_columns(runs: Sequence[Any], name: str, slots: int = 12) -> dict[str, Any]:
    """Runs over time as stacked columns, the newest at the right; each has ``counts`` (state → count) and ``title``."""
    return {
        "columns": list(zip(runs, charts.columns([run.counts for run in runs], slots), strict=True)),
        "name": name,
    }


@register.inclusion_tag("components/dots.html")
def dots(marks: Sequence[Any], name: str) -> dict[str, Any]:
    """Readings over time as dots, by verdict and (where it has one) by number: ``state``, ``number``, ``title``."""
    ys = charts.heights([mark.number for mark in marks])
    step = 94 / max(len(marks) - 1, 1)  # from edge to edge, but for half a dot
    placed = [(mark, 3 + index * step, y) for index, (mark, y) in enumerate(zip(marks, ys, strict=True))]
    return {"placed": placed, "name": name, "lines": list(pairwise(placed))}


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
