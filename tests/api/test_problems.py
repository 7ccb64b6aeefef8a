"""What does not work is told in one shape, and nothing that is sent makes the server fail."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client

from tests.api.conftest import R

pytestmark = pytest.mark.django_db


def is_problem(answer: Any, status: int) -> dict[str, Any]:
    assert answer.status_code == status, answer.content
    assert answer["Content-Type"] == "application/problem+json"
    body: dict[str, Any] = answer.json()
    assert {"type", "title", "status", "detail"} <= set(body)
    assert body["status"] == status
    return body


def test_without_a_good_token_the_answer_is_401_and_says_how_to_sign_in(api: Any, alice: Any) -> None:
    nobody = api(None)
    for headers in (
        {},
        {"Authorization": "Bearer wrong"},
        {"Authorization": "Bearer a b"},
        {"Authorization": "Basic YTpi"},
    ):
        answer = nobody.get("models/", **headers)
        is_problem(answer, 401)
        assert answer["WWW-Authenticate"].startswith("Bearer")


def test_a_revoked_token_is_refused(api: Any, alice: Any) -> None:
    from checklists.people.services import authenticate_token, revoke_token

    alices = api(alice)
    assert alices.get("models/").status_code == 200
    revoke_token(token=authenticate_token(alices.token), by=alice)
    is_problem(alices.get("models/"), 401)


def test_a_browser_session_works_and_needs_the_csrf_token_to_write(alice: Any, team: Any) -> None:
    browser = Client(enforce_csrf_checks=True)
    browser.force_login(alice)
    assert browser.get("/api/v1/models/").status_code == 200
    body = {"slug": "below", "name": "Below", "parent": "search"}
    is_problem(browser.post("/api/v1/teams/", body, content_type="application/json"), 403)
    browser.cookies["csrftoken"] = "a" * 32
    answer = browser.post("/api/v1/teams/", body, content_type="application/json", headers={"X-CSRFToken": "a" * 32})
    assert answer.status_code == 201, answer.content


@pytest.mark.parametrize(
    "path", ["nothing/", "models/none/", f"{R}answers/none.such/", f"{R}endpoints/7/", f"{R}submissions/7/"]
)
def test_what_is_unknown_is_404(api: Any, root: Any, release: Any, path: str) -> None:
    is_problem(api(root).get(path), 404)


def test_unknown_addresses_below_api_are_problems_and_a_missing_slash_is_mended(api: Any, root: Any) -> None:
    for path in ("/api", "/api/", "/api/v2/models/", "/api/v1/", "/api/v1/modelz"):
        is_problem(Client().get(path), 404)
    moved = Client().get("/api/v1/models?page=2")
    assert (moved.status_code, moved["Location"]) == (301, "/api/v1/models/?page=2")
    is_problem(Client().post("/api/v1/models", {}, content_type="application/json"), 404)


def test_methods_and_media_types_that_are_not_taken_are_said_so(api: Any, root: Any) -> None:
    answer = api(root).delete("models/")
    is_problem(answer, 405)
    assert answer["Allow"] == "GET, POST, HEAD"
    is_problem(api(root).send("OPTIONS", "models/"), 405)
    is_problem(api(root).send("POST", "models/", b"a=1", type="application/x-www-form-urlencoded"), 415)
    is_problem(api(root).get("models/", Accept="image/png"), 406)


def test_a_refused_form_names_each_field(api: Any, root: Any, team: Any) -> None:
    body = is_problem(api(root).post("models/", {"slug": "Not Good", "team": "none", "family": "cat", "tier": 9}), 400)
    assert set(body["errors"]) == {"name", "team", "family", "tier"}
    body = is_problem(
        api(root).post("models/", {"slug": "Not Good", "name": "x", "team": "search", "family": "llm", "tier": 1}), 400
    )
    assert set(body["errors"]) == {"slug"}
    body = is_problem(api(root).post("models/", [1]), 400)
    assert set(body["errors"]) == {"body"}


HOSTILE = {
    "cut off": b'{"slug":',
    "nothing like JSON": b"\xff\xfe",
    "NaN": b'{"tier": NaN}',
    "Infinity": b'{"tier": -Infinity}',
    "a float past the end": b'{"tier": 1e999}',
    "a huge number": b'{"tier": ' + b"9" * 6000 + b"}",
    "very deep": b"[" * 100_000 + b"]" * 100_000,
    "rather deep": b'{"a": ' + b"[" * 60 + b"]" * 60 + b"}",
    "NUL in a value": b'{"name": "a\\u0000b"}',
    "NUL in a name": b'{"a\\u0000": 1}',
    "half a surrogate pair": b'{"name": "\\ud800"}',
    "half a pair, deep down": b'{"labels": {"a": ["\\udfff"]}}',
}


@pytest.mark.parametrize("what", HOSTILE)
def test_hostile_json_is_refused_everywhere(api: Any, root: Any, release: Any, what: str) -> None:
    people = api(root)
    for method, path in (
        ("POST", "models/"),
        ("PATCH", "models/assist/"),
        ("PUT", f"{R}answers/identity.lineage/"),
        ("POST", f"{R}endpoints/"),
        ("PUT", f"{R}modelspec/"),
    ):
        is_problem(people.send(method, path, HOSTILE[what]), 400)


def test_claims_of_the_wrong_shape_are_refused(api: Any, root: Any, release: Any) -> None:
    for claims in (
        7,
        "x",
        [],
        {"max_input": 10**29},
        {"max_input": {"a": 1}},
        {"unit": ["tokens"]},
        {"unit": {}},
        {"max_input": True},
    ):
        is_problem(
            api(root).put(f"{R}answers/identity.input-limits/", {"status": "met", "claims": claims, "revision": 0}), 400
        )
    is_problem(
        api(root).put(f"{R}answers/identity.modalities/", {"status": "met", "claims": {"inputs": [[]]}, "revision": 0}),
        400,
    )
    is_problem(api(root).put(f"{R}answers/identity.lineage/", {"status": "met", "revision": 2**63}), 400)


def test_nul_and_huge_numbers_in_addresses_are_refused(api: Any, root: Any, release: Any) -> None:
    for path in ("models/a%00b/", "models/%00/releases/", f"{R}answers/a%00/", "checklists/%00/", "teams/%00/"):
        is_problem(api(root).get(path), 404)
    for number in (str(2**63), "9" * 30, "9" * 5000):
        is_problem(api(root).get(f"{R}endpoints/{number}/"), 404)
        is_problem(api(root).get(f"{R}submissions/{number}/"), 404)
    for query in ("search=%00", "team=%00", "%00=1", "page=%00"):
        is_problem(api(root).get(f"models/?{query}"), 400)
    for query in ("page=0", "page=-1", "page=x", f"page={10**30}", "page=" + "9" * 5000):
        is_problem(api(root).get(f"models/?{query}"), 404)
    is_problem(api(root).get("journal/?subject=%00"), 400)
    is_problem(api(root).get("journal/?since=9999-12-31T23:59:59-23:59"), 400)


def test_a_body_that_is_too_large_is_413(api: Any, root: Any, team: Any, settings: Any) -> None:
    is_problem(api(root).send("POST", "models/", b'"' + b"a" * settings.DATA_UPLOAD_MAX_MEMORY_SIZE + b'"'), 413)


def test_two_of_the_same_at_once_are_a_conflict_not_a_failure(
    api: Any, alice: Any, model: Any, monkeypatch: Any
) -> None:
    from django.db.models import QuerySet

    from checklists.registry.services import create_release

    create_release(model=model, version="1.0", by=alice)
    monkeypatch.setattr(QuerySet, "exists", lambda self: False)  # as when the other one commits right after the check
    is_problem(api(alice).post("models/assist/releases/", {"version": "1.0"}), 409)
