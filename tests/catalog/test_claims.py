"""Claims: text from forms and JSON in, storable values or words out, whatever comes."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from checklists.catalog.choices import JUSTIFICATION, ClaimType
from checklists.catalog.claims import MAX_NUMBER, clean_claims
from checklists.catalog.editions import ChoiceView, ClaimView, ItemView
from checklists.journal.hashing import canonical_json

CHOICES = tuple(ChoiceView(value=word, label=word.title()) for word in ("one", "two", "three"))


def field(kind: str, *, minimum: float | None = None, maximum: float | None = None) -> ClaimView:
    choices = CHOICES if kind in (ClaimType.CHOICE, ClaimType.MULTI_CHOICE) else ()
    return ClaimView(
        key=kind, label=kind, type=kind, unit="ms" if kind == "number" else "", choices=choices, required=True, help="",
        minimum=minimum, maximum=maximum,
    )  # fmt: skip


def item_of(*fields: ClaimView) -> ItemView:
    return ItemView(
        id=1, key="performance.all", number="1.1", section_key="performance", question="?", short="All",
        guidance="", why="", examples=(), references=(), families=("llm",),
        requirement={"1": "must", "2": "must", "3": "must"}, role="sre",
        qualities=(), mode="probe", probes=(), justification=JUSTIFICATION, claims=fields,
    )  # fmt: skip


EVERY_KIND = item_of(*(field(kind) for kind in ClaimType.values))


def cleaned(kind: str, value: object) -> object:
    clean, errors = clean_claims(EVERY_KIND, {kind: value})
    assert errors == {}
    assert list(clean) == [kind]
    return clean[kind]


@pytest.mark.parametrize(
    ("kind", "value", "stored"),
    [
        ("number", "1,140", 1140), ("number", "1 140", 1140), ("number", "1\u00a0140", 1140),
        ("number", "1\u202f140.5", 1140.5),
        ("number", " 0.85 ", 0.85), ("number", "1,234,567", 1234567), ("number", ".5", 0.5), ("number", "-3", -3),
        ("number", "1e3", 1000),
        ("number", 800, 800), ("number", 800.0, 800), ("number", 0.25, 0.25), ("number", -0.0, 0),
        ("integer", "8,192", 8192), ("integer", 8192.0, 8192), ("integer", "0", 0),
        ("text", "  vLLM 0.33 ", "vLLM 0.33"), ("text", "a\r\nb", "a\nb"), ("text", "日本語 🎉", "日本語 🎉"),
        ("boolean", "on", True), ("boolean", "False", False), ("boolean", True, True), ("boolean", "0", False),
        ("date", "2026-11-30", "2026-11-30"),
        ("url", "https://example.org/a?b=c#d", "https://example.org/a?b=c#d"),
        ("url", "http://[::1]:8080/x", "http://[::1]:8080/x"),
        ("choice", "two", "two"),
        ("multi_choice", ["three", "one", "three"], ["one", "three"]), ("multi_choice", "two", ["two"]),
        ("multi_choice", ("one",), ["one"]),
    ],
)  # fmt: skip
def test_a_good_value_is_stored_in_its_normal_form(kind: str, value: object, stored: object) -> None:
    result = cleaned(kind, value)
    assert result == stored
    assert type(result) is type(stored)


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("number", "1,5"), ("number", "12,34,567"), ("number", "1.140,5"), ("number", "fast"), ("number", "NaN"),
        ("number", "inf"),
        ("number", True), ("number", math.nan), ("number", math.inf), ("number", 10**400), ("number", "9" * 5000),
        ("number", "1e999"),
        ("number", [3]), ("number", {"value": 3}), ("number", "٣"), ("number", "0x10"), ("number", "1_000"),
        ("integer", 1.5), ("integer", "1.5"), ("integer", False), ("integer", 10**16),
        ("text", 4.2), ("text", ["a"]), ("text", "a\x00b"), ("text", "\ud800"), ("text", "x" * 2001),
        ("text", "\x1b[31m"),
        ("boolean", 1), ("boolean", "perhaps"), ("boolean", [True]),
        ("date", "30.11.2026"), ("date", "2026-02-30"), ("date", "20261130"), ("date", "2026-W01-1"),
        ("date", 20261130), ("date", "2026-11-30T00:00"),
        ("url", "example.org"), ("url", "javascript:alert(1)"), ("url", "ftp://example.org"), ("url", "https://"),
        ("url", "https://a b"),
        ("url", "https://user:secret@example.org"), ("url", "https://[::1"), ("url", "https://example.org:99999"),
        ("url", "https://e.org/\nX"),
        ("url", "https://example.org/" + "x" * 2000), ("url", 7),
        ("choice", "four"), ("choice", ["one"]), ("choice", "One"), ("choice", 1),
        ("multi_choice", ["one", "four"]), ("multi_choice", [["one"]]), ("multi_choice", {"one": True}),
        ("multi_choice", [{}]), ("multi_choice", 1),
    ],
)  # fmt: skip
def test_a_bad_value_is_refused_in_words(kind: str, value: object) -> None:
    clean, errors = clean_claims(EVERY_KIND, {kind: value})
    assert clean == {}
    assert list(errors) == [kind]
    assert all(message.endswith(".") for message in errors[kind])


@pytest.mark.parametrize("nothing", [None, "", "   ", [], ()])
def test_nothing_clears_a_field_and_is_no_error(nothing: object) -> None:
    assert clean_claims(EVERY_KIND, dict.fromkeys(ClaimType.values, nothing)) == ({}, {})


def test_false_and_zero_are_values_and_not_nothing() -> None:
    assert clean_claims(EVERY_KIND, {"boolean": False, "number": 0})[0] == {"number": 0, "boolean": False}


def test_an_unknown_field_is_an_error_and_the_others_are_still_cleaned() -> None:
    clean, errors = clean_claims(EVERY_KIND, {"speed": 3, "number": "7"})
    assert clean == {"number": 7}
    assert errors == {"speed": [f"This item has no such field. Its fields: {', '.join(ClaimType.values)}."]}


@pytest.mark.parametrize(
    ("value", "said"), [(4.9, "At least 5 ms."), ("1,000.5", "At most 1,000 ms."), (5, None), (1000, None)]
)
def test_bounds_belong_to_the_range(value: object, said: str | None) -> None:
    item = item_of(field("number", minimum=5, maximum=1000))
    assert clean_claims(item, {"number": value})[1] == ({"number": [said]} if said else {})


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.just(10**500)
    | st.sampled_from(["one", "1,140", "2026-11-30"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)


@given(raw=st.dictionaries(st.sampled_from(ClaimType.values) | st.text(max_size=8), JSON, max_size=9))
def test_no_value_breaks_it_and_what_comes_out_can_be_stored_and_cleaned_again(raw: dict[str, Any]) -> None:
    clean, errors = clean_claims(EVERY_KIND, raw)
    assert not set(clean) & set(errors)
    assert set(errors) <= set(raw)
    text = canonical_json(clean)  # refuses NaN
    text.encode()  # refuses lone surrogates
    assert clean_claims(EVERY_KIND, json.loads(text)) == (clean, {})


@given(raw=JSON)
def test_what_is_no_object_at_all_is_an_error_too(raw: Any) -> None:
    clean, errors = clean_claims(EVERY_KIND, raw)
    assert clean == {} or isinstance(raw, dict)
    assert errors or isinstance(raw, dict)


@given(number=st.integers(-MAX_NUMBER, MAX_NUMBER) | st.floats(-MAX_NUMBER, MAX_NUMBER))
def test_a_number_means_the_same_as_json_and_as_typed_text(number: float) -> None:
    typed = f"{number:,}" if isinstance(number, int) else repr(number)
    assert cleaned("number", typed) == cleaned("number", number) == number
