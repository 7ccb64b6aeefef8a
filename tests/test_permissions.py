"""Who may do what, as one table over both faces. A route that is missing from it fails the test of completeness."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

import pytest
from django.db import transaction
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver, reverse

from checklists.assessments.services import request_waiver
from checklists.evidence.services import request_run
from checklists.evidence.transcripts import Exchange, packed
from checklists.registry.models import Model
from checklists.registry.services import set_architecture
from checklists.signoff.models import Condition, SignOff
from checklists.signoff.services import sign, submit
from tests.build import DIGEST, answer_everything, answer_of, in_days, make_endpoint, make_model, make_release
from tests.conftest import person

pytestmark = pytest.mark.django_db

EVERYBODY = {"alice", "bob", "carol", "mallory", "mo", "sam", "rita", "leo", "ada", "root"}
SEES = EVERYBODY - {"mallory", "leo"}  # a restricted model
OWNERS = {"alice", "root"}
WRITERS = {"alice", "bob", "root"}
MEMBERS = {"alice", "bob", "carol", "root"}
REVIEWERS = {"mo", "sam", "rita"}
AUDIT = {"ada", "root"}
ADMIN = {"root"}
ENDPOINT_READERS = MEMBERS | REVIEWERS | {"ada"}


@dataclass(frozen=True)
class Row:
    """One request: who may make it. ``about_model``: it concerns the model, which is restricted in the second pass;
    ``public``: it needs no sign-in."""

    name: str
    method: str
    may: set[str]
    kwargs: tuple[str, ...] = ()
    data: dict[str, Any] = field(default_factory=dict)
    about_model: bool = True
    query: str = ""
    public: bool = False


M, R = ("slug",), ("slug", "version")
SPEC = {
    "descriptor": {"name": "assist-chat"},
    "config": {"precision": "bf16"},
    "modelfs": {"type": "layers", "diffIds": [DIGEST]},
}
CONFIG = {"model_type": "llama", "hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4}
WAIVER = {"item": "identity.lineage", "reason": "r", "mitigation": "m", "expires_on": in_days(20).isoformat()}
NEW_MODEL = {"slug": "new", "name": "New", "team": "search", "family": "llm", "tier": 1}
ANSWER = {"status": "partly", "claims": {}, "justification": "j", "links": [], "assignee": None, "revision": 1}

API = [
    Row("checklists", "get", EVERYBODY, about_model=False),
    Row("checklist", "get", EVERYBODY, ("checklist_slug",), about_model=False),
    Row("edition", "get", EVERYBODY, ("checklist_slug", "edition"), about_model=False),
    Row("teams", "get", EVERYBODY, about_model=False),
    Row("teams", "post", OWNERS, data={"slug": "sub", "name": "Sub", "parent": "search"}, about_model=False),
    Row("team", "get", EVERYBODY, ("team_slug",), about_model=False),
    Row("team", "patch", OWNERS, ("team_slug",), data={"name": "Search!"}, about_model=False),
    Row("models", "get", EVERYBODY, about_model=False),
    Row("models", "post", WRITERS, data=NEW_MODEL, about_model=False),
    Row("model", "get", EVERYBODY, M),
    Row("model", "patch", WRITERS, M, data={"description": "d"}),
    Row("releases", "get", EVERYBODY, M),
    Row("releases", "post", WRITERS, M, data={"version": "9.9"}),
    Row("release", "get", EVERYBODY, R),
    Row("release", "patch", WRITERS, R, data={"revision": "abc"}),
    Row("endpoints", "get", ENDPOINT_READERS, R),
    Row("endpoints", "post", WRITERS, R, data={"name": "new", "url": "https://x.example.org"}),
    Row("endpoint", "get", ENDPOINT_READERS, (*R, "endpoint")),
    Row("endpoint", "patch", WRITERS, (*R, "endpoint"), data={"name": "other"}),
    Row("endpoint", "delete", WRITERS, (*R, "endpoint")),
    Row("answers", "get", EVERYBODY, R),
    Row("answer", "get", EVERYBODY, (*R, "item_key")),
    Row("answer", "put", WRITERS, (*R, "item_key"), data=ANSWER),
    Row("comments", "get", EVERYBODY, (*R, "item_key")),
    Row("comments", "post", MEMBERS | REVIEWERS, (*R, "item_key"), data={"body": "b"}),
    Row("probe-runs", "get", EVERYBODY, R),
    Row("probe-runs", "post", WRITERS | REVIEWERS, R),
    Row("probe-run", "get", EVERYBODY, (*R, "run")),
    Row("findings", "get", EVERYBODY, R),
    Row("findings-export", "get", EVERYBODY, R),
    Row("finding", "get", EVERYBODY, (*R, "finding")),
    Row("scorecard", "get", EVERYBODY, R),
    Row("waivers", "get", EVERYBODY, R),
    Row("waivers", "post", WRITERS, R, data=WAIVER),
    Row("waiver-decision", "post", {"sam"}, (*R, "waiver"), data={"decision": "decline", "comment": "c"}),
    Row("submissions", "get", EVERYBODY, R),
    Row("submissions", "post", WRITERS, R, data={"note": "n"}),
    Row("submission", "get", EVERYBODY, (*R, "number")),
    Row("signoffs", "post", {"mo"}, (*R, "number"), data={"role": "mlops", "decision": "approve"}),
    Row("modelspec", "get", EVERYBODY, R),
    Row("modelspec", "put", WRITERS, R, data=SPEC),
    Row("architecture", "get", EVERYBODY, R),
    Row("architecture", "put", WRITERS, R, data=CONFIG),
    Row("architecture", "delete", WRITERS, R),
    Row("gate", "get", EVERYBODY, query="?model=assist-chat&version=1.0&artifact_digest=" + DIGEST, about_model=False),
    Row("coverage", "get", EVERYBODY, about_model=False, query="?stack=vllm"),
    Row("overview", "get", EVERYBODY, about_model=False),
    Row("journal", "get", AUDIT, about_model=False),
    Row("schema", "get", EVERYBODY, about_model=False, public=True),
    Row("docs", "get", EVERYBODY, about_model=False, public=True),
]

WEB = [
    Row("today", "get", EVERYBODY, about_model=False),
    Row("overview", "get", EVERYBODY, about_model=False),
    Row("overview_csv", "get", EVERYBODY, about_model=False),
    Row("items", "get", EVERYBODY, about_model=False),
    Row("releases", "get", EVERYBODY, about_model=False),
    Row("reviews", "get", EVERYBODY, about_model=False),
    Row("catalog", "get", EVERYBODY, about_model=False),
    Row("edition", "get", EVERYBODY, ("checklist_slug", "edition"), about_model=False),
    Row("catalog_item", "get", EVERYBODY, ("checklist_slug", "edition", "item_key"), about_model=False),
    Row("coverage", "get", EVERYBODY, query="?stack=vllm", about_model=False),
    Row("search", "get", EVERYBODY, query="?q=assist", about_model=False),
    Row("inbox", "get", EVERYBODY, about_model=False),
    Row("settings", "get", EVERYBODY, about_model=False),
    Row("settings", "post", EVERYBODY, about_model=False),
    Row("people", "get", EVERYBODY, about_model=False),
    Row("people", "post", ADMIN, about_model=False),
    Row("person", "get", EVERYBODY, ("username",), about_model=False),
    Row("person", "post", ADMIN, ("username",), about_model=False),
    Row("teams", "get", EVERYBODY, about_model=False),
    # Mallory owns another team, so she gets the forms; this team is none of their choices (422).
    Row(
        "teams",
        "post",
        OWNERS | {"mallory"},
        data={"slug": "sub", "name": "Sub", "parent": "search"},
        about_model=False,
    ),
    Row("team", "get", EVERYBODY, ("team_slug",), about_model=False),
    Row("team", "post", OWNERS, ("team_slug",), data={"name": "Search!"}, about_model=False),
    Row("routes", "get", EVERYBODY, about_model=False),
    Row("routes", "post", ADMIN, about_model=False),
    Row("networks", "get", AUDIT, about_model=False),
    Row("networks", "post", ADMIN, data={"action": "add", "cidr": "10.1.0.0/16"}, about_model=False),
    Row("freshness", "get", AUDIT, about_model=False),
    Row(
        "freshness",
        "post",
        ADMIN,
        data={"action": "set", "item_key": "identity.lineage", "tier": 0, "amount": 2, "unit": 24},
        about_model=False,
    ),
    Row("tokens", "get", EVERYBODY, about_model=False),
    Row("tokens", "post", EVERYBODY, data={"name": "t", "days": 30}, about_model=False),
    Row("theme", "post", EVERYBODY, data={"theme": "dark"}, about_model=False, public=True),
    Row("journal", "get", AUDIT, about_model=False),
    Row("models", "get", EVERYBODY, about_model=False),
    Row("model_create", "get", WRITERS | {"mallory"}, about_model=False),
    Row("model_create", "post", WRITERS | {"mallory"}, data=NEW_MODEL, about_model=False),
    Row("model", "get", EVERYBODY, M),
    Row("model_edit", "get", WRITERS, M),
    Row("model_edit", "post", WRITERS, M),
    Row("compare", "get", EVERYBODY, M),
    Row("release_create", "get", WRITERS, M),
    Row("release_create", "post", WRITERS, M, data={"version": "9.9"}),
    Row("release", "get", EVERYBODY, R),
    Row("release_edit", "get", WRITERS, R),
    Row("release_edit", "post", WRITERS, R),
    Row("architecture", "get", EVERYBODY, R),
    Row("architecture", "post", WRITERS, R),
    Row("launch", "get", OWNERS, R),
    Row("launch", "post", OWNERS, R),
    Row("retire", "get", OWNERS, R),
    Row("retire", "post", OWNERS, R),
    Row("checklist", "get", EVERYBODY, (*R, "section")),
    Row("answer", "get", EVERYBODY, (*R, "item_key")),
    Row("answer", "post", WRITERS, (*R, "item_key"), data={"status": "partly", "revision": 1, "justification": "j"}),
    Row("comments", "get", EVERYBODY, (*R, "item_key")),
    Row("comments", "post", MEMBERS | REVIEWERS, (*R, "item_key"), data={"body": "b"}),
    Row("confirm_answers", "post", WRITERS, R),
    Row("evidence", "get", EVERYBODY, R),
    Row("finding", "get", EVERYBODY, (*R, "finding")),
    Row("finding_answer", "get", ENDPOINT_READERS, (*R, "finding", "answer")),
    Row("findings_json", "get", EVERYBODY, R),
    Row("finding_json", "get", EVERYBODY, (*R, "finding")),
    Row("probe_run_create", "post", WRITERS | REVIEWERS, R),
    Row("probe_run", "get", EVERYBODY, (*R, "run")),
    Row("endpoint_create", "get", WRITERS, R),
    Row("endpoint_create", "post", WRITERS, R),
    Row("endpoint_edit", "get", WRITERS, (*R, "endpoint")),
    Row("endpoint_edit", "post", WRITERS, (*R, "endpoint")),
    Row("endpoint_delete", "get", WRITERS, (*R, "endpoint")),
    Row("endpoint_delete", "post", WRITERS, (*R, "endpoint")),
    Row("history", "get", EVERYBODY, R),
    Row("review", "get", EVERYBODY, R),
    Row("submission_create", "get", WRITERS, R),
    Row("submission_create", "post", WRITERS, R),
    Row("submission", "get", EVERYBODY, (*R, "number")),
    Row("sign", "post", {"mo"}, (*R, "number"), data={"role": "mlops", "decision": "approve"}),
    Row("condition_done", "post", MEMBERS | REVIEWERS, (*R, "condition")),
    Row("waiver_create", "get", WRITERS, R, query="?item=identity.lineage"),
    Row("waiver_create", "post", WRITERS, R, data=WAIVER),
    Row("waiver_decision", "post", {"sam"}, (*R, "waiver"), data={"decision": "decline", "comment": "c"}),
]
PUBLIC = {"web:setup"}  # a secret in the address opens it; the anonymous get 404 or a form


@pytest.fixture
def world(cast, team, edition):
    """A submitted release with one of everything, and what the routes' parameters stand for."""
    release = make_release(make_model(team, cast.alice), cast.alice)
    set_architecture(release=release, document=json.dumps(CONFIG).encode(), by=cast.alice)
    endpoint = make_endpoint(release, cast.alice)
    answer_everything(release, cast.bob, leave=("security.data-governance",))
    waiver_of = {"reason": "r", "mitigation": "m", "expires_on": in_days(9), "by": cast.bob}
    standing = request_waiver(release=release, item_key="security.data-governance", **waiver_of)
    from checklists.assessments.services import decide_waiver

    decide_waiver(waiver=standing, decision="approve", by=cast.sam)
    waiver = request_waiver(release=release, item_key="security.access-control", **waiver_of)
    run = request_run(release=release, by=cast.alice)
    submission = submit(release=release, by=cast.alice)
    sign(
        submission=submission,
        role="sre",
        decision="approve_with_conditions",
        by=person("rob", roles=("sre",)),
        conditions=[{"text": "Drill", "due_on": in_days(9)}],
    )
    finding = run.findings.create(
        release=release,
        item=answer_of(release, "identity.lineage").item,
        item_key="identity.lineage",
        endpoint=endpoint,
        endpoint_name=endpoint.name,
        probe="model.identity",
        probe_version="1",
        verdict="inconclusive",
        reason="Nothing was served.",
        detail={"requests": [{"line": "GET /v1/models", "key": "ours", "status": 200, "ms": 9, "answer": 0}]},
        measured_at=submission.submitted_at,
        expires_at=submission.due_at,
    )
    answer = Exchange("GET /v1/models", 200, "application/json", '{"data": []}', False)
    run.transcripts.create(endpoint_name=endpoint.name, packed=packed([answer]), created_at=submission.submitted_at)
    assert SignOff.objects.count() == 1
    return {
        "checklist_slug": "genai-readiness",
        "edition": edition.edition,
        "team_slug": "search",
        "username": "bob",
        "slug": "assist-chat",
        "version": "1.0",
        "section": "identity",
        "item_key": "identity.lineage",
        "endpoint": endpoint.pk,
        "run": run.pk,
        "waiver": waiver.pk,
        "number": submission.number,
        "condition": Condition.objects.get().pk,
        "finding": finding.pk,
        "answer": 0,
    }


def address(face: str, row: Row, world: dict[str, Any]) -> str:
    """Parameters are given by position, so that the table need not know what a view calls them."""
    return reverse(f"{face}:{row.name}", args=[world[name] for name in row.kwargs]) + row.query


def outcome(face: str, row: Row, client: Client, world: dict[str, Any]) -> str:
    """``yes``, ``no`` (403), ``hidden`` (404) or ``sign in``; whatever the request did is undone."""
    path = address(face, row, world)
    with transaction.atomic():
        if face == "api":
            body = {} if row.method == "get" else {"data": row.data, "content_type": "application/json"}
            response = getattr(client, row.method)(path, **body)
        else:
            response = getattr(client, row.method)(path, {} if row.method == "get" else row.data)
        transaction.set_rollback(True)
    if response.status_code == 401 or (response.status_code == 302 and "/accounts/login/" in response["Location"]):
        return "sign in"
    assert response.status_code < 500, (path, response.status_code)
    return {403: "no", 404: "hidden"}.get(response.status_code, "yes")


def mismatches(face: str, rows: list[Row], world: dict[str, Any], cast: Any, *, restricted: bool) -> list[str]:
    wrong = []
    for name in sorted(EVERYBODY):
        client = Client()
        client.force_login(getattr(cast, name))
        for row in rows:
            expected = "yes" if name in row.may else "no"
            if restricted and row.about_model and name not in SEES:
                expected = "hidden"
            got = outcome(face, row, client, world)
            if got != expected:
                wrong.append(f"{name} {row.method} {row.name}: expected {expected}, got {got}")
    return wrong


@pytest.mark.parametrize(("face", "rows"), [("api", API), ("web", WEB)])
def test_everybody_may_do_what_the_table_says_and_nothing_else(face, rows, world, cast):
    wrong = mismatches(face, rows, world, cast, restricted=False)
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize(("face", "rows"), [("api", API), ("web", WEB)])
def test_a_restricted_model_does_not_exist_for_outsiders(face, rows, world, cast):
    Model.objects.update(restricted=True)
    wrong = mismatches(face, rows, world, cast, restricted=True)
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize(("face", "rows"), [("api", API), ("web", WEB)])
def test_nobody_does_anything_without_signing_in(face, rows, world):
    client = Client()
    open_doors = {row.name for row in rows if outcome(face, row, client, world) != "sign in"}
    assert open_doors == {row.name for row in rows if row.public}


def routes(patterns: list[URLPattern | URLResolver], namespace: str = "") -> list[tuple[str, URLPattern]]:
    found = []
    for pattern in patterns:
        if isinstance(pattern, URLResolver):
            found += routes(pattern.url_patterns, pattern.namespace or namespace)
        elif namespace in ("web", "api"):
            found.append((f"{namespace}:{pattern.name}", pattern))
    return found


def test_the_table_knows_every_route_and_every_method_of_the_api():
    listed = {("api:" + row.name, row.method) for row in API} | {("web:" + row.name, row.method) for row in WEB}
    missing = []
    for name, pattern in routes(get_resolver().url_patterns):
        view = getattr(pattern.callback, "cls", None)
        if view is None:
            if name not in PUBLIC and name not in {listed_name for listed_name, _ in listed}:
                missing.append(name)
            continue
        methods = [m for m in ("get", "post", "put", "patch", "delete") if hasattr(view, m)]
        missing += [f"{m} {name}" for m in methods if (name, m) not in listed]
    assert missing == []
