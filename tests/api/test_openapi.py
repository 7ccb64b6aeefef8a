"""The OpenAPI document and its page: complete, and in order."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.core.management import call_command
from django.test import Client

from checklists.api.urls import urlpatterns

METHODS = {"get", "post", "put", "patch", "delete"}


@pytest.fixture(scope="module")
def document() -> Any:
    return Client().get("/api/v1/schema/").json()


def test_the_document_is_valid_and_made_without_a_warning(tmp_path: Any) -> None:
    call_command("spectacular", "--validate", "--fail-on-warn", "--file", str(tmp_path / "schema.yaml"))


def test_the_document_has_every_route_and_method(document: Any) -> None:
    def told(route: str) -> str:
        return "/api/v1/" + re.sub(r"<\w+:(\w+)>", r"{\1}", route)

    routes = {
        told(str(pattern.pattern)): {method for method in METHODS if hasattr(pattern.callback.cls, method)}
        for pattern in urlpatterns
        if pattern.name != "docs"
    }
    assert {path: set(methods) & METHODS for path, methods in document["paths"].items()} == routes


def test_every_operation_tells_its_problems(document: Any) -> None:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            if operation["operationId"] == "schema_get":
                continue
            statuses = set(operation["responses"])
            wanted = {"401", "406"} if method == "get" else {"400", "401", "403", "406", "409"}
            assert wanted <= statuses, (method, path)
            assert ("404" in statuses) or "{" not in path, path
            for status in statuses:
                if status >= "400":
                    assert list(operation["responses"][status]["content"]) == ["application/problem+json"]


def test_every_body_says_that_it_takes_no_other_field(document: Any) -> None:
    components = document["components"]["schemas"]
    bodies = {
        content["application/json"]["schema"].get("$ref", "").rpartition("/")[2]
        for methods in document["paths"].values()
        for operation in methods.values()
        if (content := operation.get("requestBody", {}).get("content"))
    } - {""}
    assert len(bodies) >= 13
    assert {name for name in bodies if components[name].get("additionalProperties") is not False} == set()
    assert "additionalProperties" not in components["Answer"]


def test_posts_that_create_take_an_idempotency_key(document: Any) -> None:
    for path, methods in document["paths"].items():
        if "post" in methods:
            headers = {p["name"] for p in methods["post"].get("parameters", []) if p["in"] == "header"}
            assert headers == {"Idempotency-Key"}, path


def test_the_interactive_page_has_nothing_inline_and_needs_no_other_server() -> None:
    answer = Client().get("/api/v1/docs/", headers={"Accept": "text/html"})
    page = answer.content.decode()
    assert answer.status_code == 200
    assert "unsafe-inline" not in answer["Content-Security-Policy"]
    assert not re.search(r"<style|style=|<script>|https?://", page)
    assert 'data-schema="/api/v1/schema/"' in page


def test_the_document_can_be_had_as_yaml() -> None:
    answer = Client().get("/api/v1/schema/", headers={"Accept": "application/vnd.oai.openapi"})
    assert answer.content.startswith(b"openapi: 3.")
