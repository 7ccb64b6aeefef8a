"""The readiness bar's arithmetic."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from checklists.web.bars import STATES, in_words, segments

counts_of_states = st.dictionaries(st.sampled_from(list(STATES)), st.integers(min_value=0, max_value=10_000))


@given(counts_of_states, st.floats(min_value=10, max_value=2000), st.floats(min_value=0, max_value=8))
def test_segments_fill_the_bar_exactly_in_the_fixed_order(counts: dict[str, int], width: float, minimum: float) -> None:
    drawn = segments(counts, width, minimum)
    assert [segment.state for segment in drawn] == [state for state in STATES if counts.get(state, 0)]
    if drawn:
        assert sum(segment.width for segment in drawn) == pytest.approx(width)
        assert sum(segment.share for segment in drawn) == pytest.approx(1)
        for left, right in itertools.pairwise(drawn):
            assert right.x == pytest.approx(left.x + left.width)


@given(counts_of_states, st.floats(min_value=0, max_value=8))
def test_no_state_with_an_item_is_narrower_than_the_minimum(counts: dict[str, int], minimum: float) -> None:
    for segment in segments(counts, 100, minimum):
        assert segment.width >= minimum - 1e-9


@given(counts_of_states)
def test_a_state_with_more_items_is_never_drawn_narrower(counts: dict[str, int]) -> None:
    drawn = sorted(segments(counts, 100, 3), key=lambda segment: segment.count)
    for fewer, more in itertools.pairwise(drawn):
        assert fewer.width <= more.width + 1e-9


def test_one_contradiction_among_a_thousand_items_stays_visible() -> None:
    drawn = {segment.state: segment for segment in segments({"verified": 999, "contradicted": 1}, 100, 2)}
    assert drawn["contradicted"].width == pytest.approx(2)
    assert drawn["verified"].width == pytest.approx(98)
    assert drawn["contradicted"].share == pytest.approx(0.001)


def test_no_items_give_no_segments_and_say_so() -> None:
    assert segments({}) == []
    assert segments({"open": 0}) == []
    assert in_words({"open": 0}) == "no items"


def test_the_words_name_every_state_that_occurs_in_order() -> None:
    assert in_words({"contradicted": 1, "verified": 12, "not_applicable": 2}) == (
        "12 verified, 1 contradicted, 2 not applicable"
    )
