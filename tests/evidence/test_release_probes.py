"""Owner, dependencies, runbook and ModelSpec document: true and false claims, and what says nothing."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest

from checklists.evidence.client import Client, Policy
from checklists.evidence.probes import PROBES, Judgement, Target, Visit, release
from checklists.evidence.probes.release import ask, runbook_found
from tests.evidence import configs
from tests.evidence.loopback import Request, loopback_client, observe, routes, run, serving

OWNER, DEPENDENCIES, CONTRACT = "operations.owner", "operations.dependencies", "operations.resource-contract"
PROBE_OF = {OWNER: "release.owner", DEPENDENCIES: "release.dependencies", CONTRACT: "release.modelspec"}


def judged(
    item: str,
    claims: Mapping[str, Any],
    *,
    facts: Mapping[str, Any] | None = None,
    others: Mapping[str, Mapping[str, Any]] | None = None,
    now: Mapping[str, Any] | None = None,
    client: Client | None = None,
) -> Judgement:
    """Observed under ``claims``; judged under them, or under what is claimed ``now``."""
    probe = PROBES[PROBE_OF[item]]
    target = Target(name="", url="", claims={item: claims, **(others or {})}, facts=facts or {})
    observation, _ = observe(probe.key, target, client)
    json.dumps(observation, allow_nan=False)
    return probe.judge(item, claims if now is None else now, observation, others or {})


# operations.owner

SEARCH = {"name": "Search", "path": "/0000001/0000002/", "members": 3}
ABOVE = {"name": "Products", "path": "/0000001/", "members": 9}
BILLING = {"name": "Billing", "path": "/0000003/", "members": 4}
CLAIM = {"team": "Search", "on_call": "search-primary"}


def teams(*named: Mapping[str, Any], asked: str = "Search", own: Mapping[str, Any] = SEARCH) -> dict[str, Any]:
    return {"team": {"own": own, "named": list(named), "asked": asked}}


def test_a_team_with_people_and_a_contact_is_verified() -> None:
    found = judged(OWNER, CLAIM, facts=teams(SEARCH))
    assert (found.verdict, found.observed) == ("verified", "Search, 3 active members")
    assert "search-primary, was not called" in found.reason
    assert judged(OWNER, {**CLAIM, "team": "Products"}, facts=teams(ABOVE, asked="Products")).verdict == "verified"


@pytest.mark.parametrize(
    ("named", "asked", "words"),
    [
        ({**SEARCH, "members": 0}, "Search", "has no active member, nor has any team below it"),
        (BILLING, "Billing", "The model belongs to Search, not to Billing."),
    ],
)
def test_an_empty_team_or_another_team_is_contradicted(named: dict[str, Any], asked: str, words: str) -> None:
    found = judged(OWNER, {**CLAIM, "team": asked}, facts=teams(named, asked=asked))
    assert (found.verdict, words in found.reason) == ("contradicted", True)


@pytest.mark.parametrize(
    ("claims", "facts", "words"),
    [
        ({}, teams(), "Nothing is claimed"),
        (CLAIM, teams(), "No team of this portal is called Search."),
        ({"team": "Search"}, teams(SEARCH), "no on-call contact is given"),
        (CLAIM, {}, "The claim changed"),
        (CLAIM, teams(SEARCH, asked="Billing"), "The claim changed"),
    ],
)
def test_an_owner_of_whom_nothing_is_known_is_inconclusive(
    claims: dict[str, Any], facts: dict[str, Any], words: str
) -> None:
    found = judged(OWNER, claims, facts=facts)
    assert (found.verdict, words in found.reason) == ("inconclusive", True)


# operations.dependencies


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(release, "LOOK_S", 0.01)


def health(status: int, body: Any = b"", headers: dict[str, str] | None = None) -> Any:
    kind = {"Content-Type": "text/html"} if isinstance(body, str) else {}
    return routes({"/health": lambda request: request.reply(status, body, headers or kind)})


@pytest.mark.parametrize(
    ("status", "body", "verdict"),
    [
        (200, b"", "verified"),
        (200, b"\n", "verified"),
        (204, b"", "verified"),
        (200, {"status": "UP"}, "verified"),  # Spring Boot 3 actuator
        (200, {"status": "DOWN"}, "contradicted"),
        (200, {"status": "unhealthy"}, "contradicted"),
        (200, {"status": "degraded"}, "inconclusive"),
        (200, {"cluster_name": "docs", "status": "red"}, "inconclusive"),  # Elasticsearch: shards are missing
        (200, {"cluster_name": "docs", "status": "green"}, "verified"),
        (200, {"Status": "Degraded"}, "inconclusive"),
        (200, {"status": "no known issues"}, "verified"),
        (200, {"healthy": False}, "inconclusive"),
        (200, {"status": {"indicator": "major", "description": "Partial System Outage"}}, "inconclusive"),
        (200, {"error": "database is gone"}, "inconclusive"),
        (200, {"status": "ok", "error": None}, "verified"),
        (200, {"status": "red"}, "inconclusive"),  # Elasticsearch: data is missing
        (200, {"status": "inactive"}, "inconclusive"),
        (200, b"ok, errors: 0", "verified"),
        (200, b"error: no connection to the database", "inconclusive"),
        (200, b"failed: 0 of 3 replicas ready", "inconclusive"),
        (200, b"up: no active incidents", "verified"),
        (200, b"Read timed out", "inconclusive"),
        (503, {"status": "DOWN"}, "contradicted"),
        (500, b"", "contradicted"),
        (410, b"", "contradicted"),
        (404, b"", "inconclusive"),  # as who is not signed in may get
        (200, b"DOWN", "contradicted"),
        (200, b"OK", "verified"),
        (200, "<html>All systems operational</html>", "inconclusive"),
        (401, b"", "inconclusive"),
        (403, b"", "inconclusive"),
        (429, b"", "inconclusive"),
    ],
)
def test_a_health_address_is_judged_by_status_first_and_body_second(status: int, body: Any, verdict: str) -> None:
    with serving(health(status, body)) as server:
        claims = {"names": "vector store", "health_url": f"{server.url}/health"}
        found = judged(DEPENDENCIES, claims)
        assert server.asked() == ["GET /health"] * (3 if verdict == "contradicted" else 1)
        assert "authorization" not in server.seen[0].headers
    assert (found.verdict, str(status) in found.observed) == (verdict, True)


def test_a_moment_of_ill_health_is_no_failure() -> None:
    left = [503, 200]
    with serving(routes({"/health": lambda request: request.reply(left.pop(0))})) as server:
        found = judged(DEPENDENCIES, {"names": "store", "health_url": f"{server.url}/health"})
    assert found.verdict == "verified", found


def test_a_dependency_that_cannot_be_reached_from_here_says_nothing() -> None:
    with serving(health(200)) as server:
        gone = f"{server.url}/health"
    found = judged(DEPENDENCIES, {"names": "store", "health_url": gone})
    assert (found.verdict, "That may be so only from here." in found.reason) == ("inconclusive", True)
    refused = judged(DEPENDENCIES, {"names": "store", "health_url": gone}, client=Client(policy=Policy()))
    assert refused.verdict == "inconclusive"


@pytest.mark.parametrize(
    ("claims", "words"),
    [
        ({}, "Nothing is claimed"),
        ({"names": "none"}, "It is claimed to need nothing"),
        ({"names": "vector store"}, "No health address is claimed."),
    ],
)
def test_without_an_address_nobody_is_asked(claims: dict[str, Any], words: str) -> None:
    found = judged(DEPENDENCIES, claims)
    assert (found.verdict, words in found.reason) == ("inconclusive", True)


def test_a_claim_that_changed_meanwhile_is_not_judged_by_what_another_address_said() -> None:
    with serving(health(200)) as server:
        claims = {"names": "store", "health_url": f"{server.url}/health"}
        found = judged(DEPENDENCIES, claims, now={**claims, "health_url": f"{server.url}/other"})
    assert found.reason == "The claim changed since this was measured; probe again."


# The runbook of release.rollback


def looked_up(url: str) -> tuple[bool | None, str]:
    async def looking() -> dict[str, Any]:
        async with loopback_client(timeout_s=2.0).session() as session:
            return await ask(Visit(Target(name="", url=""), session), url)

    return runbook_found(url, run(looking()))


PAGES = {
    "/lessons": "<html><title>Lessons learnt</title>Roll back with …",
    "/asks": '<title>Wiki</title><form><input name=p  type="password">',
    "/signs-in": "<html><title>Sign in · Forge</title>",
    "/lost": "<html><title>Page not found</title>",
}


def wiki(request: Request) -> None:
    """A wiki's answers: a page, a private one, one that was removed, and one behind single sign-on."""
    path = request.path.partition("?")[0]
    if path == "/sso/login":
        return request.reply(200, "<form>", {"Content-Type": "text/html"})
    if path == "/behind":
        return request.reply(302, b"", {"Location": "/sso/login?next=/behind"})
    if path == "/old":
        return request.reply(301, b"", {"Location": "/lessons"})
    if path == "/moved":
        return request.reply(301, b"", {"Location": "/rollback"})
    if path in PAGES:
        return request.reply(200, PAGES[path], {"Content-Type": "text/html; charset=utf-8"})
    status = {"/rollback": 200, "/removed": 410, "/private": 404, "/locked": 403, "/broken": 502}.get(path, 404)
    return request.reply(status, "Roll back with …")


@pytest.mark.parametrize(
    ("path", "found", "words"),
    [
        ("/rollback", True, "The runbook answers (200)."),
        ("/moved", True, "answers"),
        ("/old", True, "answers"),  # a word that "sso" is a part of
        ("/asks", None, "behind a sign-in"),
        ("/signs-in", None, "behind a sign-in"),
        ("/lost", None, "says that it was not found"),
        ("/removed", False, "gone for good"),
        ("/private", None, "nothing is there, or nothing for who is not signed in"),
        ("/locked", None, "behind a sign-in"),
        ("/behind", None, "behind a sign-in"),
        ("/broken", None, "502"),
    ],
)
def test_a_runbook_is_found_missing_or_not_to_be_seen_from_here(path: str, found: bool | None, words: str) -> None:
    with serving(wiki) as server:
        is_there, reason = looked_up(f"{server.url}{path}")
    assert is_there is found
    assert words in reason


def test_a_runbook_that_nobody_claims_or_reaches_is_no_finding() -> None:
    assert looked_up("") == (None, "No runbook is claimed.")
    with serving(wiki) as server:
        gone = f"{server.url}/rollback"
    is_there, reason = looked_up(gone)
    assert (is_there, "could not be reached" in reason) == (None, True)
    assert runbook_found("https://other.example.org", {"url": gone, "status": 200})[0] is None


# operations.resource-contract

SPEC: dict[str, Any] = {  # config.json of the CNCF model specification v0.0.7, its example shortened
    "descriptor": {"name": "assist-8b", "version": "1.0", "revision": "a1f9c0e5", "family": "llama3"},
    "config": {
        "architecture": "transformer",
        "format": "safetensors",
        "paramSize": "8b",
        "precision": "bfloat16",
        "transformerConfig": {"numLayers": 32, "numAttentionHeads": 32, "numKVHeads": 8, "hiddenSize": 4096},
        "capabilities": {"inputTypes": ["text"], "outputTypes": ["text"]},
    },
    "modelfs": {"type": "layers", "diffIds": ["sha256:" + "b" * 64]},
}
AGREEING: dict[str, dict[str, Any]] = {
    "identity.name-version": {"model_id": "assist-8b", "version": "1.0", "revision": "a1f9c0e"},
    "identity.gpu-precision": {"gpu_types": "H100", "precisions": ["bf16", "fp8"]},
    "identity.modalities": {"inputs": ["text"], "outputs": ["text"]},
}
YAML = "descriptor: {name: assist-8b, version: '1.0'}\nconfig: {precision: bf16}\n"


def contract(
    document: Any, *, facts: Mapping[str, Any] | None = None, others: Any = AGREEING, headers: Any = None
) -> Judgement:
    """The verdict on a document that stands at an address; an integer is the status of an answer without one."""

    def answer(request: Request) -> None:
        status = document if isinstance(document, int) else 200
        request.reply(status, b"" if isinstance(document, int) else document, headers)

    with serving(routes({"/modelspec": answer})) as server:
        return judged(CONTRACT, {"document_url": f"{server.url}/modelspec"}, facts=facts, others=others)


@pytest.mark.parametrize("document", [SPEC, YAML, json.dumps(SPEC)])
def test_a_valid_document_that_agrees_is_verified(document: Any) -> None:
    found = contract(document, facts={"architecture": configs.LLAMA_8B})
    assert found.verdict == "verified", found.reason
    assert found.reason.startswith("The document at the claimed address is valid and agrees")


def test_the_document_is_held_against_claims_and_config_json() -> None:
    found = contract(SPEC, facts={"architecture": configs.LLAMA_8B})
    assert found.observed == "11 agree"


@pytest.mark.parametrize(
    ("others", "words"),
    [
        ({"identity.name-version": {"model_id": "other"}}, "descriptor.name says assist-8b, claimed is other"),
        ({"identity.name-version": {"version": "2.0"}}, "descriptor.version says 1.0, claimed is 2.0"),
        ({"identity.name-version": {"revision": "ffffffff"}}, "descriptor.revision"),
        ({"identity.gpu-precision": {"precisions": ["fp8"]}}, "config.precision says bfloat16, claimed is fp8"),
        ({"identity.modalities": {"inputs": ["image"]}}, "inputTypes says text, claimed is image"),
    ],
)
def test_a_document_that_says_something_else_than_the_claims_is_contradicted(others: Any, words: str) -> None:
    found = contract(SPEC, others=others)
    assert (found.verdict, words in found.reason) == ("contradicted", True), found.reason


@pytest.mark.parametrize(
    ("others", "spec"),
    [
        ({"identity.name-version": {"model_id": "house/Assist 8B"}}, SPEC),
        ({"identity.name-version": {"version": "v1.0"}}, SPEC),
        ({"identity.name-version": {"version": "1.0.0"}}, SPEC),
        ({}, {**SPEC, "config": {**SPEC["config"], "paramSize": "10b"}}),  # as rounded as names are
        ({}, {**SPEC, "config": {**SPEC["config"], "precision": "float8_e4m3fn"}}),
        ({}, {**SPEC, "config": {**SPEC["config"], "precision": "mixed"}}),  # no word of the checklist's
        (
            {"compute.quantization": {"formats": ["awq"]}},
            {**SPEC, "config": {**SPEC["config"], "quantization": "awq_marlin"}},
        ),
    ],
)
def test_the_same_in_other_letters_and_a_rounded_size_are_no_conflict(others: Any, spec: Any) -> None:
    found = contract(spec, others={**AGREEING, **others}, facts={"architecture": configs.LLAMA_8B})
    assert found.verdict == "verified", found.reason


@pytest.mark.parametrize(
    "named",
    [
        {"version": "1.0", "revision": "release-1"},  # may lead to that commit
        {"model_id": "house/assist-8b-instruct", "version": "1.0"},
        {"model_id": "house/assist-8b-uncensored"},
    ],
)
def test_what_may_be_the_same_is_left_to_a_person(named: dict[str, str]) -> None:
    found = contract(SPEC, others={"identity.name-version": named}, facts={"architecture": configs.LLAMA_8B})
    assert (found.verdict, "a person must tell" in found.reason) == ("inconclusive", True), found.reason


def test_a_document_of_another_shape_than_the_config_json_is_contradicted() -> None:
    found = contract(SPEC, facts={"architecture": configs.LLAMA_70B}, others={})
    assert found.verdict == "contradicted"
    assert "numLayers says 32, claimed is 80 (config.json)" in found.reason
    assert "paramSize says 8b, claimed is 70.55b (config.json)" in found.reason


@pytest.mark.parametrize(
    "document",
    [
        {"descriptor": {"name": "a", "createdAt": "yesterday"}},
        {"config": {"transformerConfig": {"numLayers": 0}}},
        {"hello": "world"},
        "- just\n- a list\n",
        "descriptor: {name: *alias}",
        "a: [" * 3000,
        "no document at all",
    ],
)
def test_what_is_no_valid_document_is_contradicted(document: Any) -> None:
    found = contract(document)
    assert (found.verdict, found.observed) == ("contradicted", "not valid")


@pytest.mark.parametrize(
    ("document", "headers", "words"),
    [
        (404, None, "The server answered 404."),
        (401, None, "refused"),
        (b"<!doctype html><form>", {"Content-Type": "text/html"}, "A web page stands at the document's address"),
        (b" " * 70_000, None, "too large"),
        ({"descriptor": {"title": "x"}}, None, "nothing in it is claimed too"),
        ({"code": 401, "message": "sign in first"}, None, "speaks of a failure"),  # with a 200
        ({"error": "unauthorized"}, None, "speaks of a failure"),
    ],
)
def test_a_document_that_cannot_be_read_or_compared_is_inconclusive(document: Any, headers: Any, words: str) -> None:
    found = contract(document, headers=headers)
    assert (found.verdict, words in found.reason) == ("inconclusive", True), found.reason


def test_the_document_on_file_is_judged_when_none_is_claimed_or_it_cannot_be_read() -> None:
    on_file = {"modelspec": SPEC}
    found = judged(CONTRACT, {}, facts=on_file, others=AGREEING)
    assert (found.verdict, "The document on file is valid" in found.reason) == ("verified", True)
    unread = contract(404, facts=on_file)
    assert (unread.verdict, "The document on file is valid and agrees" in unread.reason) == ("inconclusive", True)
    other = {"identity.name-version": {"model_id": "other"}}
    assert judged(CONTRACT, {}, facts=on_file, others=other).verdict == "contradicted"
    assert "none is on file" in judged(CONTRACT, {}).reason


@pytest.mark.parametrize("item", PROBE_OF)
@pytest.mark.parametrize("junk", [None, 7, "text", ["a"], {"error": 3}, {"team": []}, {"status": "x", "url": 1}])
def test_no_stored_observation_makes_a_judge_stumble(item: str, junk: Any) -> None:
    probe = PROBES[PROBE_OF[item]]
    observation = junk if isinstance(junk, dict) else {"team": junk, "said": junk, "where": "x", "url": junk}
    for claims in ({}, {"team": 5, "health_url": 7, "document_url": ["x"], "names": {}}, CLAIM):
        assert probe.judge(item, claims, observation).verdict in ("verified", "contradicted", "inconclusive")
