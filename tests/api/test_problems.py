"""What does not work is told in one shape, and nothing that is sent makes the server fail."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client

from checklists.journal.models import Event
from tests.api.conftest import R
from tests.build import in_days

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


WRITES: dict[tuple[str, str], dict[str, Any]] = {
    ("POST", "teams/"): {"slug": "below", "name": "Below", "parent": "search"},
    ("PATCH", "teams/search/"): {"name": "Seek"},
    ("POST", "models/"): {"slug": "other", "name": "Other", "team": "search", "family": "llm", "tier": 2},
    ("PATCH", "models/assist/"): {"name": "Seek"},
    ("POST", "models/assist/releases/"): {"version": "2.0"},
    ("PATCH", R): {"environment": "production-eu"},
    ("POST", f"{R}endpoints/"): {"name": "main", "url": "https://models.example.org"},
    ("PUT", f"{R}answers/identity.lineage/"): {"status": "not_met", "revision": 0},
    ("POST", f"{R}answers/identity.lineage/comments/"): {"body": "Why?"},
    ("POST", f"{R}probe-runs/"): {},
    ("POST", f"{R}waivers/"): {
        "item": "identity.lineage",
        "reason": "r",
        "mitigation": "m",
        "expires_on": in_days(9).isoformat(),
    },
    ("POST", f"{R}submissions/"): {"note": "Ready."},
}


@pytest.mark.parametrize(("method", "path"), WRITES)
def test_a_field_that_is_not_known_is_named_and_nothing_is_written(
    api: Any, root: Any, release: Any, method: str, path: str
) -> None:
    people, body = api(root), WRITES[method, path]
    before = Event.objects.count()
    problem = is_problem(people.send(method, path, {**body, "claim": {"a": 1}}), 400)
    assert set(problem["errors"]) == {"claim"}
    (told,) = problem["errors"]["claim"]
    assert told == f"There is no such field. Known are: {told.partition('are: ')[2]}"
    assert all(name in told for name in body)
    assert Event.objects.count() == before
    answer = people.send(method, path, body)
    assert answer.status_code < 300 or path.endswith("submissions/"), answer.content


def test_a_misspelt_field_does_not_empty_an_answer(api: Any, alice: Any, release: Any) -> None:
    path = f"{R}answers/identity.input-limits/"
    claims = {"max_input": 8192, "unit": "tokens"}
    saved = api(alice).put(path, {"status": "met", "claims": claims, "revision": 0}).json()
    assert saved["claims"] == claims
    misspelt = {"status": "met", "claim": claims, "justifcation": "x", "revision": saved["revision"]}
    assert set(is_problem(api(alice).put(path, misspelt), 400)["errors"]) == {"claim", "justifcation"}
    assert api(alice).get(path).json() == saved


def test_what_was_read_can_be_written_back_with_a_change(api: Any, root: Any, alice: Any, release: Any) -> None:
    owner = api(alice)
    endpoint = owner.post(f"{R}endpoints/", {"name": "main", "url": "https://models.example.org"}).json()
    for path, change in (
        ("models/assist/", {"name": "Seek"}),
        (R, {"environment": "production-eu"}),
        (f"{R}endpoints/{endpoint['id']}/", {"name": "eu"}),
    ):
        read = owner.get(path).json()
        written = owner.patch(path, {**read, **change})
        assert written.status_code == 200, written.content
        assert change.items() <= written.json().items()
    read = owner.get(f"{R}answers/identity.lineage/").json()
    assert owner.put(f"{R}answers/identity.lineage/", {**read, "status": "not_met"}).json()["status"] == "not_met"


@pytest.mark.parametrize("fixed", [{"version": "9"}, {"stage": "launched"}, {"carry_over_from": "0.9"}])
def test_what_cannot_be_changed_is_not_passed_over(api: Any, alice: Any, release: Any, fixed: dict[str, str]) -> None:
    assert set(is_problem(api(alice).patch(R, fixed), 400)["errors"]) == set(fixed)


def test_unknown_fields_are_told_with_the_other_faults_also_inside_and_not_without_end(
    api: Any, root: Any, mo: Any, submitted: Any
) -> None:
    condition = {"text": "Soon.", "due": "2027-01-01"}
    body = {"role": "mlops", "decision": "approve_with_conditions", "conditions": [condition], "comments": "?"}
    problem = is_problem(api(mo).post(f"{submitted.subject}/signoffs/", body), 400)
    assert set(problem["errors"]) == {"comments", "conditions.0.due", "conditions.0.due_on"}
    many = is_problem(api(root).post("models/", {f"{'x' * 500}{n}": 1 for n in range(500)}), 400)
    assert len(str(many)) < 10_000


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
