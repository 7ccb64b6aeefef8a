"""The geometry of the small charts."""

from datetime import date, timedelta

import pytest

from checklists.evidence.metrics import Histogram
from checklists.web.charts import Launch, areas, columns, distribution_of, heights, histogram_bars, launch_marks

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
    stored = Histogram("ttft", (0.5, 1.0, float("inf")), (4, 12, 14)).picture({"p50": 0.4, "p95": 1.0}, "s")
    shown = distribution_of(stored)
    assert shown is not None
    bars, goals = histogram_bars(shown)
    assert [bar.over for bar in bars] == [False, False, True]
    assert [bar.height for bar in bars] == [50, 100, 25]
    assert [goal["label"] for goal, _ in goals] == ["p50", "p95"]
    assert bars[0].x < goals[0][1] < bars[0].x + bars[0].width
    assert bars[1].x + bars[1].width < goals[1][1] <= bars[2].x


def test_empty_ends_of_a_histogram_are_left_out_but_for_the_bucket_of_a_goal() -> None:
    bounds = (1.0, 2.0, 4.0, 8.0, 16.0, float("inf"))
    shown = distribution_of(Histogram("h", bounds, (0, 0, 5, 5, 5, 5)).picture({"p95": 7.0}, "ms"))
    assert shown is not None
    assert list(shown["uppers"]) == [2.0, 4.0, 8.0]
    assert shown["counts"] == [0, 5, 0]


@pytest.mark.parametrize(
    "stored",
    [
        None,
        [],
        {},
        {"bounds": [1], "counts": []},
        {"bounds": ["a"], "counts": [1, 2]},
        {"bounds": [1], "counts": [2, 1]},
        {"bounds": [1.0], "counts": [0, 0]},
    ],
)
def test_what_is_no_histogram_or_empty_is_not_drawn(stored: object) -> None:
    assert distribution_of(stored) is None


def test_runs_are_columns_the_last_at_the_right_edge_and_the_largest_full_height() -> None:
    first, last = columns([{"verified": 1, "open": 1}, {"contradicted": 1, "verified": 3}], slots=4)
    assert [(box.state, box.x, box.height) for box in first] == [("verified", 50, 25), ("open", 50, 25)]
    assert [box.state for box in last] == ["verified", "contradicted"]
    assert last[0].x + 100 / 4 == 100
    assert last[1].y == 0
    assert columns([], slots=4) == []


def test_readings_without_a_number_lie_in_the_middle_and_a_larger_number_higher() -> None:
    assert heights([800, None, 1200]) == [85, 50, 15]
    assert heights([3, 3]) == [50, 50]
    assert heights([]) == []


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
