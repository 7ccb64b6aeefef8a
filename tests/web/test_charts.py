"""The geometry of the small charts."""

import math
from datetime import date, timedelta

import pytest

from checklists.web.charts import Launch, areas, histogram_bars, launch_marks

TODAY = date(2026, 11, 23)


def launch(label: str, days: int) -> Launch:
    return {"label": label, "url": "/", "date": TODAY + timedelta(days=days), "state": "open"}


def test_the_areas_of_a_day_reach_from_the_floor_to_the_top() -> None:
    drawn = areas(
        [
            {"date": TODAY, "counts": {"verified": 1, "open": 3}},
            {"date": TODAY + timedelta(days=1), "counts": {"verified": 2, "open": 2, "not_applicable": 50}},
        ]
    )
    assert drawn == [
        ("verified", "0.00,75.00 100.00,50.00 100.00,100.00 0.00,100.00"),
        ("open", "0.00,0.00 100.00,0.00 100.00,50.00 0.00,75.00"),
    ]


def test_only_buckets_beyond_the_goal_are_marked_and_the_goal_stands_between_them() -> None:
    bars, goal_x = histogram_bars(
        [{"upper": 0.5, "count": 4}, {"upper": 1.0, "count": 8}, {"upper": math.inf, "count": 2}], 1.0
    )
    assert [bar.over for bar in bars] == [False, False, True]
    assert [bar.height for bar in bars] == [50, 100, 25]
    assert goal_x is not None
    assert bars[1].x + bars[1].width < goal_x <= bars[2].x


def test_a_histogram_without_measurements_is_empty() -> None:
    assert histogram_bars([{"upper": 1.0, "count": 0}], 1.0) == ([], None)


def test_launches_whose_labels_would_collide_take_different_rows() -> None:
    marks, axis = launch_marks([launch("assist-chat 4.2", 4), launch("embed-v3", 10), launch("caption-vl", 60)], TODAY)
    rows = {mark.launch["label"]: mark.y for mark in marks}
    assert rows["embed-v3"] < rows["assist-chat 4.2"] < axis
    assert rows["caption-vl"] == rows["assist-chat 4.2"]


def test_launches_outside_the_twelve_weeks_are_left_out_and_late_ones_are_labelled_to_the_left() -> None:
    marks, _ = launch_marks([launch("yesterday", -1), launch("last", 83), launch("next year", 90)], TODAY)
    assert [mark.launch["label"] for mark in marks] == ["last"]
    assert marks[0].before
    assert marks[0].x == pytest.approx(100 * 83 / 84)


def test_a_crowded_day_keeps_every_mark_even_when_labels_run_out_of_rows() -> None:
    marks, axis = launch_marks([launch(f"release {number}", 20) for number in range(9)], TODAY)
    assert len(marks) == 9
    assert sum(mark.labelled for mark in marks) == 5
    assert all(mark.y == axis for mark in marks if not mark.labelled)
