"""The model's config.json through the API."""

from __future__ import annotations

from typing import Any

import pytest

from tests.api.conftest import R
from tests.evidence.configs import DEEPSEEK_V3, LLAMA_8B

pytestmark = pytest.mark.django_db
PATH = f"{R}architecture/"


def test_a_document_is_put_read_and_taken_away(api: Any, alice: Any, release: Any) -> None:
    assert api(alice).get(PATH).status_code == 404
    answer = api(alice).put(PATH, LLAMA_8B)
    assert answer.status_code == 200, answer.json()
    body = answer.json()
    config = body.pop("config")
    assert body == {
        "family": "llama",
        "layers": 32,
        "attention_heads": 32,
        "kv_heads": 8,
        "parameters": 8_030_261_248,
        "context_tokens": 131_072,
        "cache_bytes_per_token": 131_072,
    }
    assert "hidden_act" not in config
    assert api(alice).get(PATH).json() == {**body, "config": config}
    assert api(alice).put(PATH, DEEPSEEK_V3).json()["cache_bytes_per_token"] == 70_272
    assert api(alice).delete(PATH).status_code == 204
    assert api(alice).delete(PATH).status_code == 204
    assert api(alice).get(PATH).status_code == 404


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"model_type": "llama"}, 400),
        ("not json", 400),
        ("[]", 400),
        ("", 400),
        ('{"a": NaN}', 400),
        ('{"hidden_size": 1e999}', 400),
        ('{"a":' * 5000, 400),
        ('"' + "x" * 300_000 + '"', 413),
        (b"\xff\xfe", 400),
    ],
)
def test_a_body_that_is_no_document_is_refused_in_words(
    api: Any, alice: Any, release: Any, body: Any, status: int
) -> None:
    answer = api(alice).put(PATH, body)
    assert (answer.status_code, answer["Content-Type"]) == (status, "application/problem+json")
    assert answer.json()["detail"]
    assert api(alice).get(PATH).status_code == 404


def test_another_media_type_and_a_closed_release_are_refused(api: Any, alice: Any, release: Any) -> None:
    assert api(alice).put(PATH, "layers: 2", type="application/yaml").status_code == 415
    from checklists.registry.services import retire_release

    retire_release(release=release, by=alice)
    assert api(alice).put(PATH, LLAMA_8B).status_code == 409
    assert api(alice).delete(PATH).status_code == 409
