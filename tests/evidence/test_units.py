"""Units as servers state them and as people type them."""

from __future__ import annotations

import math
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from checklists.evidence.stacks import GPU_METRICS, STACKS, Meaning
from checklists.evidence.units import convert, factor, milliseconds

CONVERTED = [
    (1, "s", "ms", 1000),
    (250, "ms", "s", 0.25),
    (250, "msec", "s", 0.25),
    (250, "milliseconds", "s", 0.25),
    (90, "secs", "minute", 1.5),
    (2, "hours", "s", 7200),
    (5, "us", "ms", 0.005),
    (1, "GiB", "byte", 2**30),
    (1, "GB", "byte", 10**9),
    (80, "GB", "GiB", 80e9 / 2**30),
    (71_680, "MiB", "GiB", 70),
    (8, "bit", "bytes", 1),
    (90, "tok/s", "token/s", 90),
    (90, "tokens/s", "tok/min", 5400),
    (6, "requests per second", "request/s", 6),
    (6, "requests per minute", "req/s", 0.1),
    (6, "queries / s", "requests/s", 6),
    (120, "image/min", "images/s", 2),
    (55, "percent", "dimensionless", 0.55),
]
HOSTILE = [
    "1e999**9**9",
    "9**9**9**9",
    "s**99999999",
    "__import__('os').system('true')",
    "(" * 5000,
    "s/" * 5000,
    "s" * 10**6,
    *("s\n", "s\x00", "\uff53", "m\u00b2", "{s}", "%s", "s*s", "1 s", "s s", "s//s", "second\u2028per\u2028s"),
]
UNCONVERTED = [
    ("s", "byte"),
    ("token/s", "request/s"),
    ("token/s", "token"),
    ("image", "sample"),
    ("GPU", "replica"),
    ("degC", "kelvin"),  # not by a factor
    ("furlongs of rope", "s"),
    ("nonsense", "s"),
    ("", "s"),
    ("s", ""),
    ("token per second per GPU", "token/s"),
]


@pytest.mark.parametrize(("value", "of", "to", "expected"), CONVERTED)
def test_a_unit_is_understood_as_people_type_it(value: float, of: str, to: str, expected: float) -> None:
    assert convert(value, of, to) == pytest.approx(expected)


@pytest.mark.parametrize(("of", "to"), UNCONVERTED)
def test_what_does_not_convert_is_none(of: str, to: str) -> None:
    assert convert(1, of, to) is None
    assert factor(of, to) is None


@pytest.mark.parametrize("of", ["s", "ms"])
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_is_not_finite_does_not_convert_even_to_its_own_unit(value: float, of: str) -> None:
    assert convert(value, of, "s") is None


def test_seconds_are_told_in_milliseconds() -> None:
    assert milliseconds(0.25) == 250


def test_a_value_too_large_for_the_other_unit_is_none() -> None:
    assert convert(1e308, "s", "ns") is None


@pytest.mark.parametrize(
    "text",
    HOSTILE,
)
def test_a_hostile_text_is_no_unit_and_costs_nothing(text: str) -> None:
    began = time.monotonic()
    assert convert(1.0, text, "s") is None
    assert convert(1.0, "s", text) is None
    assert time.monotonic() - began < 1


@given(st.text(max_size=40), st.text(max_size=40), st.floats())
def test_no_text_and_no_number_makes_it_raise(of: str, to: str, value: float) -> None:
    converted = convert(value, of, to)
    assert converted is None or math.isfinite(converted)


@given(
    st.floats(min_value=1e-6, max_value=1e12),
    st.sampled_from(
        [("s", "ms"), ("s", "hour"), ("GB", "GiB"), ("byte", "MiB"), ("tok/s", "token/min"), ("us", "day")]
    ),
)
def test_there_and_back_is_the_same(value: float, units: tuple[str, str]) -> None:
    there = convert(value, *units)
    assert there is not None
    assert convert(there, *reversed(units)) == pytest.approx(value, rel=1e-12)


def test_a_scale_is_looked_up_once_however_many_values_there_are() -> None:
    factor.cache_clear()
    for value in range(1, 1000):
        convert(value, "ms", "s")
    assert factor.cache_info().misses == 1


def test_every_unit_a_table_states_becomes_that_of_its_meaning() -> None:
    rows = [meaning for stack in STACKS.values() for meaning in stack.metrics.values()] + [*GPU_METRICS.values()]
    stated = {(meaning.unit, meaning.key): meaning.factor for meaning in rows if meaning.unit}
    assert stated[("us", "queue_seconds")] == pytest.approx(1e-6)
    assert stated[("MiB", "gpu_memory_bytes")] == 2**20
    assert stated[("percent", "gpu_utilisation")] == pytest.approx(0.01)
    assert all(meaning.factor == 1 for meaning in rows if not meaning.unit)


@pytest.mark.parametrize(
    ("key", "unit"), [("queue_seconds", "MiB"), ("requests_total", "ms"), ("cache_usage", "percent")]
)
def test_a_row_whose_unit_is_not_that_of_its_meaning_is_a_mistake(key: str, unit: str) -> None:
    with pytest.raises(ValueError, match=unit):
        _ = Meaning(key, unit).factor
