"""Which topics probes can settle, to read."""

from __future__ import annotations

import html
from typing import Any

import pytest

from checklists.evidence.coverage import coverage
from checklists.evidence.stacks import STACKS
from tests.conftest import Cast
from tests.web.steps import HTMX, RESTORED, queries, signed_in, text

pytestmark = pytest.mark.django_db
URL = "/coverage/"


def test_every_stack_is_listed_with_how_many_topics_can_be_settled(cast: Cast, edition: Any) -> None:
    response = signed_in(cast.leo).get(URL)
    assert [row.stack.key for row in response.context["stacks"]] == list(STACKS)
    for row in response.context["stacks"]:
        assert row.counts[1] == sum(t.settled for t in coverage(row.stack.key, prometheus=True, may_generate=False))
    page = text(response)
    assert all(f"?stack={key}" in page for key in STACKS)


def test_the_topics_of_a_stack_say_by_what_they_are_settled_or_why_not(cast: Cast, edition: Any) -> None:
    client = signed_in(cast.leo)
    page = html.unescape(text(client.get(URL + "?stack=tei")))
    for topic in coverage("tei", prometheus=True, may_generate=True):
        assert topic.probes or topic.why in page
    rows = {row.item.key: row for row in client.get(URL + "?stack=vllm").context["rows"]}
    assert len(rows) == 45
    assert rows["performance.throughput"].settled == (False, True, False, True)
    assert "Throughput at its peak" in rows["performance.throughput"].probes


def test_to_htmx_only_the_topics_are_sent_and_an_unknown_stack_shows_the_first(cast: Cast, edition: Any) -> None:
    client = signed_in(cast.leo)
    plain, fragment, restored = (client.get(URL + "?stack=sglang", **headers) for headers in ({}, HTMX, RESTORED))
    assert "<!doctype html>" in text(plain)
    assert "<!doctype html>" in text(restored)
    assert text(fragment).startswith("<section")
    assert all("SGLang" in text(response) for response in (plain, fragment, restored))
    assert client.get(URL + "?stack=no-such").context["stack"].key == next(iter(STACKS))
    assert queries(client, URL) <= 15
