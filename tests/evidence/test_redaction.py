from __future__ import annotations

import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from checklists.evidence.probes import Target, Visit
from checklists.evidence.redaction import MASK, redact, redact_body, redact_bytes, secrets_of
from checklists.evidence.transcripts import Exchange


def test_header_values_and_the_token_behind_the_scheme_are_secrets() -> None:
    assert {"Bearer open-sesame", "open-sesame"} <= secrets_of({"Authorization": "Bearer open-sesame"})


def test_basic_credentials_are_secret_in_plain_too() -> None:
    value = "Basic " + base64.b64encode(b"alice:wonderland").decode()
    assert {"alice:wonderland", "wonderland"} <= secrets_of({"Authorization": value})


def test_secrets_go_from_texts_keys_and_deep_places() -> None:
    dirty = {"open-sesame": [{"why": "token open-sesame refused"}], "n": 3, "ok": True, "none": None}
    assert redact(dirty, {"open-sesame"}) == {
        MASK: [{"why": f"token {MASK} refused"}],
        "n": 3,
        "ok": True,
        "none": None,
    }


def test_what_looks_like_a_token_goes_even_if_it_is_not_ours() -> None:
    for text in (
        "Authorization: Bearer abcdef123456",
        "key sk-proj-1234567890abcdef",
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.abcDEF123",
        "hf_abcdefghijklmnop",
        "nvapi-1234567890",
    ):
        assert MASK in redact(text)
    assert redact("Bearer of good news about task-forces") == "Bearer of good news about task-forces"


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        ('{"api_key": "abcd1234efgh"}', "abcd1234efgh"),
        ('{"password":"hunter2hunter"}', "hunter2hunter"),
        ("GET /v1?token=abcdefghijklmnop1&x=1", "abcdefghijklmnop1"),
        ("GET /v1?token=abcdefghijklmnopqrstuvwxyz", "abcdefghijklmnopqrstuvwxyz"),
        ('{"password":"p{ssword[12345"}', "ssword[12345"),
        ('{"password":"one\\"two&three4"}', "three4"),
        ('{"owner":"maria@sapo.pt"}', "maria@sapo.pt"),
        ("X-API-Key: abcdefghij", "abcdefghij"),
        ("client_secret=s3cr3t-value", "s3cr3t-value"),
        ('{"auth_token": "0a1b2c3d4e5f"}', "0a1b2c3d4e5f"),
        ("AWS_SECRET_ACCESS_KEY=wJalrXUtnFEMI", "wJalrXUtnFEMI"),
        ("postgres://app:s3cretpass@db.internal/x", "s3cretpass"),
        ("AKIAIOSFODNN7EXAMPLE", "AKIAIOSFODNN7EXAMPLE"),
        ("AIza" + "S" * 35, "S" * 35),
        ("xoxb-123456789012-abcdef", "123456789012"),
        ("glpat-abcdefghijklmnop", "abcdefghijklmnop"),
        ("sk_live_abcdefghijkl", "abcdefghijkl"),
        ("-----BEGIN RSA PRIVATE KEY-----\nMIIEabc\n-----END RSA PRIVATE KEY-----", "MIIEabc"),
    ],
)
def test_what_a_body_calls_a_secret_or_what_has_the_shape_of_one_is_not_kept(text: str, secret: str) -> None:
    assert secret not in redact_body(text, ())
    assert MASK in redact_body(text, ())


@pytest.mark.parametrize(
    "said",
    [
        '{"token": " Preflight", "logprob": -0.1, "tokens": 17, "usage": {"completion_tokens": 12}}',
        '{"token": "internationalization"}',
        '{"secret":false}',
        '{"id": "nomic-embed@q4.gguf"}',
        "deepseek-r1@2025-01-20.v2",
    ],
)
def test_words_that_a_model_says_and_names_that_it_has_are_kept(said: str) -> None:
    assert redact_body(said, ()) == said


@pytest.mark.parametrize("address", ["a.b@example.com", "ops@team.xn--p1ai", "x@bin.io", "me@json.example.org"])
def test_addresses_of_people_go(address: str) -> None:
    assert redact_body(f"ask {address}.", ()) == f"ask {MASK}."


def test_our_own_key_goes_however_an_answer_spells_it() -> None:
    secrets = secrets_of({"X-Key": 'ab/cd+ef"gh&ij'})
    for echoed in ('ab/cd+ef"gh&ij', 'ab\\/cd+ef\\"gh&ij', "ab%2Fcd%2Bef%22gh%26ij", "ab/cd+ef&quot;gh&amp;ij"):
        assert redact_body(f"<{echoed}>", secrets) == f"<{MASK}>"


def test_the_beginning_of_a_secret_at_a_cut_is_not_kept() -> None:
    assert redact_body("echo: open-ses", {"open-sesame-42"}, cut=True) == "echo: "
    assert redact_body("echo: open-ses", {"open-sesame-42"}) == "echo: open-ses"


def test_what_is_kept_of_a_visit_holds_our_key_neither_in_a_type_nor_at_a_cut() -> None:
    visit = Visit(Target("main", "http://m", headers={"X-Key": "open-sesame-42"}), None)  # type: ignore[arg-type]
    visit.exchanges = [Exchange("GET /", 200, "text/open-sesame-42", "you sent open-sesa", True)]
    (kept,) = visit.clean_exchanges()
    assert (kept.content_type, kept.body) == (f"text/{MASK}", "you sent ")


def test_what_was_observed_holds_nobodys_address() -> None:
    visit = Visit(Target("main", "http://m"), None)  # type: ignore[arg-type]
    seen = {"state": "ask ops@example.com", "rows": [{"why": "no @ all", "n": 1}], "url": "http://wiki/@team"}
    assert visit.clean(seen) == {
        "state": f"ask {MASK}",
        "rows": [{"why": "no @ all", "n": 1}],
        "url": "http://wiki/@team",
    }


def test_what_no_database_holds_goes_too() -> None:
    sent = json.loads('{"id": "a\\u0000b\\ud800", "n": [1e999, NaN, 1.5]}')
    assert redact(sent) == {"id": "a\ufffdb\ufffd", "n": [None, None, 1.5]}


def test_a_short_secret_does_not_eat_longer_words() -> None:
    assert redact("production and prod", {"prod"}) == f"production and {MASK}"


def test_a_key_of_digits_goes_as_a_number_too_and_a_short_one_leaves_numbers_alone() -> None:
    assert redact({"key": 1234567890, "at": [5, 0.5, True, None]}, {"12345678"}) == {
        "key": MASK,
        "at": [5, 0.5, True, None],
    }
    assert redact([1, 12.1], {"1"}) == [1, 12.1]


def test_bodies_lose_long_secrets() -> None:
    assert redact_bytes(b'{"echo": "open-sesame"}', {"open-sesame"}) == f'{{"echo": "{MASK}"}}'.encode()


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
)


@given(json_values, st.text("abcdefghijklmnopqrstuvwxyz0123456789", min_size=8, max_size=30))
def test_no_long_secret_survives_anywhere(value: object, secret: str) -> None:
    planted = {"a": value, secret: [f"x{secret}y", {"deep": secret}]}
    assert secret not in json.dumps(redact(planted, {secret}), ensure_ascii=False)
