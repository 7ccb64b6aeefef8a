"""The checklist, to read."""

from __future__ import annotations

from typing import Any

import pytest

from tests.web.steps import queries, signed_in, text

HERE = "/catalog/genai-readiness/0.1/"


@pytest.fixture
def body(edition: Any, leo: Any) -> Any:
    client = signed_in(leo)
    return lambda path: text(client.get(path))


def test_the_published_edition_is_there_with_its_digest(body: Any, edition: Any) -> None:
    page = body("/catalog/")
    assert edition.digest in page
    assert page.count('id="identity.') == 5
    assert "Why it matters" not in page
    assert "Why it matters" in body("/catalog/?full=1")


def test_it_is_narrowed_by_its_address(body: Any) -> None:
    assert "identity.lineage" in body("/catalog/?role=mlops")
    assert "identity.lineage" not in body("/catalog/?role=sre")
    assert "performance.latency-targets" in body("/catalog/?q=95th percentile")
    assert "identity.lineage" not in body("/catalog/?q=95th percentile")
    assert "No item is like that" in body("/catalog/?q=zebra&family=llm&quality=safe")


def test_an_item_says_what_is_asked_of_whom_and_what_measures_it(body: Any) -> None:
    page = body(f"{HERE}performance.latency-targets/")
    for words in (
        "How fast must each phase be",
        "Why it matters",
        "Guidance",
        "First token: p50",
        "must",
        "ms",
        "Tier 1",
    ):
        assert words in page
    assert "Latency against the goals" in page


def test_the_examples_of_one_family_stand_alone(body: Any) -> None:
    assert "End to end: p50" not in body(f"{HERE}performance.latency-targets/?family=llm")
    assert "End to end: p50" in body(f"{HERE}performance.latency-targets/?family=diffusion")


@pytest.mark.parametrize("path", ["/catalog/genai-readiness/9.9/", "/catalog/other/0.1/", f"{HERE}identity.nothing/"])
def test_what_is_not_there_is_not_found(edition: Any, leo: Any, path: str) -> None:
    assert signed_in(leo).get(path).status_code == 404


def test_without_a_published_edition_it_says_what_to_do(leo: Any) -> None:
    response = signed_in(leo).get("/catalog/")
    assert response.status_code == 409
    assert "sync_catalog" in text(response)


def test_it_takes_few_queries(edition: Any, leo: Any) -> None:
    assert queries(signed_in(leo), "/catalog/?full=1") <= 10
