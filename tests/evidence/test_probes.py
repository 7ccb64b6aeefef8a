from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from checklists.evidence.probes import PROBES, Target, Visit
from tests.evidence.known_servers import (
    KEY,
    LITELLM,
    LLAMACPP,
    MODEL,
    OLLAMA,
    SGLANG,
    TEI,
    TGI,
    VLLM,
    judge,
    observe,
    recognised,
)
from tests.evidence.loopback import Request, Server, loopback_client, routes, run, serving

# Finding out the stack


@pytest.mark.parametrize(
    ("table", "stack"),
    [
        (VLLM, "vllm"),
        (LLAMACPP, "llamacpp"),
        (OLLAMA, "ollama"),
        (TGI, "tgi"),
        (TEI, "tei"),
        (SGLANG, "sglang"),
        (LITELLM, "litellm"),
        ({"/v1/models": {"data": [{"id": "x", "owned_by": "me"}]}}, "openai"),
        ({"/system_stats": {"system": {"comfyui_version": "0.3.62"}, "devices": []}}, "comfyui"),
        ({"/v2": {"name": "triton", "extensions": []}}, "kserve"),
    ],
)
def test_a_stack_is_found_out_from_its_answers(table: dict[str, Any], stack: str) -> None:
    with serving(routes(table)) as server:
        assert recognised(Target("main", server.url)) == stack


async def logs_of(server: Server, *keys: str) -> list[list[dict[str, Any]]]:
    logs = []
    async with loopback_client().session() as session:
        visit = Visit(Target("main", server.url), session)
        for key in keys:
            await PROBES[key].observe(visit)
            logs.append(visit.take_log())
    return logs


def test_a_finding_names_the_request_it_rests_on_even_when_another_probe_sent_it() -> None:
    with serving(routes(VLLM)) as server:
        first, second = run(logs_of(server, "model.identity", "model.limits"))
        assert server.asked().count("GET /v1/models") == 1
    assert [(e["line"], e.get("earlier")) for e in first if e["line"] == "GET /v1/models"] == [("GET /v1/models", None)]
    assert [(e["line"], e.get("earlier")) for e in second] == [("GET /v1/models", True)]
    assert second[0]["status"] == 200


def test_a_proxy_is_never_asked_for_the_health_that_calls_its_models() -> None:
    with serving(routes(LITELLM, key=KEY, open_paths=("/health/liveliness",))) as server:
        observation = observe("endpoint.health", server, headers={"Authorization": f"Bearer {KEY}"})
        assert observation["path"] == "/health/liveliness"
        assert "GET /health" not in server.asked()


def test_a_stack_whose_health_route_generates_is_asked_elsewhere() -> None:
    with serving(routes(SGLANG)) as server:
        assert observe("endpoint.health", server)["path"] == "/ready"
        assert "GET /health" not in server.asked()


@pytest.mark.parametrize("pasted", ["", "/", "/v1", "/v1/", "/v1/chat/completions", "/v1/models"])
def test_a_pasted_address_is_cut_back_to_the_server(pasted: str) -> None:
    assert Target("main", f"https://h:8000/team{pasted}").base == "https://h:8000/team"


# Health


def test_a_server_that_says_ready_is_reachable_but_its_warm_up_stays_unproven() -> None:
    with serving(routes(VLLM)) as server:
        observation = observe("endpoint.health", server)
    assert judge("endpoint.health", None, {}, observation).verdict == "verified"
    about_warmup = judge("endpoint.health", "reliability.warmup-validated", {"method": "waited"}, observation)
    assert about_warmup.verdict == "inconclusive"
    assert "restart" in about_warmup.reason


@pytest.mark.parametrize("status", [503, 500, 401, 403, 429])
def test_a_server_that_is_not_ready_is_inconclusive(status: int) -> None:
    def handle(request: Request) -> None:
        request.reply(status if request.path == "/health" else 404)

    with serving(handle) as server:
        observation = observe("endpoint.health", server, stack="vllm")
    verdict = judge("endpoint.health", None, {}, observation)
    assert verdict.verdict == "inconclusive"
    assert str(status) in verdict.reason


@pytest.mark.parametrize(
    "body",
    [
        {"status": "loading model"},
        {"status": "unhealthy"},
        {"status": "not_ready"},
        {"ready": False},
        {"error": "no GPU"},
        b"shutting down",
        "<html>Welcome</html>",
    ],
)
def test_a_health_route_that_says_otherwise_or_is_a_web_page_shows_no_health(body: Any) -> None:
    kind = {"Content-Type": "text/html"} if isinstance(body, str) else {}
    with serving(routes({**VLLM, "/health": lambda request: request.reply(200, body, kind)})) as server:
        observation = observe("endpoint.health", server, stack="vllm")
    assert judge("endpoint.health", None, {}, observation).verdict == "inconclusive"


def test_a_web_page_in_the_place_of_a_greeting_shows_no_health() -> None:
    for body, kind, verdict in (
        ("<html>Welcome to nginx!</html>", "text/html", "inconclusive"),
        ("Ollama is running", "text/plain; charset=utf-8", "verified"),
    ):
        greeting = {"/": lambda request, body=body, kind=kind: request.reply(200, body, {"Content-Type": kind})}
        with serving(routes(greeting)) as server:
            observation = observe("endpoint.health", server, stack="ollama")
        assert observation["path"] == "/"
        assert judge("endpoint.health", None, {}, observation).verdict == verdict


@pytest.mark.parametrize("state", ["running", "no errors", "ok (0 errors)", "healthy, nothing is down"])
def test_a_health_route_that_says_it_is_well_shows_health(state: str) -> None:
    with serving(routes({**VLLM, "/health": {"status": state}})) as server:
        observation = observe("endpoint.health", server, stack="vllm")
    assert judge("endpoint.health", None, {}, observation).verdict == "verified"


# Nobody there: every probe, every item


def test_an_endpoint_that_is_down_makes_everything_inconclusive_with_a_reason() -> None:
    with serving(lambda request: None) as server:
        pass
    claims = {
        "model_id": MODEL,
        "scheme": "api_key",
        "phase": "first_token",
        "p95_ms": 500,
        "max_input": 10,
        "unit": "tokens",
        "phases": ["queue"],
        "metric_names": "x",
        "metric_name": "y",
        "inputs": ["text"],
        "outputs": ["text"],
        "dashboard_url": "https://x",
        "max_concurrency": 4,
        "method": "x",
    }
    for probe in PROBES.values():
        observation = observe(probe.key, server, may_generate=True)
        for item in probe.speaks_to(observation):
            judgement = probe.judge(item, claims, observation)
            assert judgement.verdict == "inconclusive", (probe.key, item)
            assert judgement.reason.endswith("."), (probe.key, item)


# Whatever a server or a person writes

wild = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
FIELDS = [
    "models",
    "limits",
    "routes",
    "histograms",
    "meanings",
    "counters",
    "names",
    "gpu",
    "where",
    "stack",
    "status",
    "path",
    "error",
    "why",
    "has_key",
    "https",
    "https",
    "public",
    "cors_origin",
    "cors_credentials",
    "expires_at",
    "kind",
    "first_token_ms",
    "total_ms",
    "rose",
    "known",
    "tried",
    "code",
    "truncates",
]
CLAIMS = [
    "model_id",
    "revision",
    "artifact_digest",
    "base_model",
    "max_input",
    "unit",
    "scheme",
    "phase",
    "p50_ms",
    "p95_ms",
    "phases",
    "metric_names",
    "metric_name",
    "dashboard_url",
    "inputs",
    "outputs",
    "max_concurrency",
    "max_batched_tokens",
    "context_tokens",
]


@given(st.dictionaries(st.sampled_from(FIELDS), wild), st.dictionaries(st.sampled_from(CLAIMS), wild))
def test_no_claim_and_no_observation_makes_a_judge_raise(observation: dict[str, Any], claims: dict[str, Any]) -> None:
    for probe in PROBES.values():
        for item in probe.speaks_to(observation):
            judgement = probe.judge(item, claims, observation)
            assert judgement.verdict in ("verified", "contradicted", "inconclusive")
            assert isinstance(judgement.reason, str)


@pytest.mark.parametrize(
    "answer",
    [
        [],
        [1, 2],
        "text",
        None,
        {"data": {}},
        {"data": [1, None, "x", []]},
        {"data": [{"id": 5, "meta": [], "max_model_len": "many"}]},
        {"data": [{"id": ["a"]}]},
        {"models": "x"},
        {"error": {"message": "no"}},
        b"",
        b"\n",
        b"{",
        b"[" * 5000,
    ],
)
@pytest.mark.parametrize("stack", ["auto", "ollama", "tgi", "llamacpp", "litellm", "sglang", "comfyui", "kserve"])
def test_strange_answers_never_make_a_probe_raise(answer: Any, stack: str) -> None:
    with serving(lambda request: request.reply(200, answer)) as server:
        for key in ("endpoint.health", "model.identity", "model.limits", "metrics.present"):
            observation = observe(key, server, stack=stack)
            for item in PROBES[key].speaks_to(observation):
                judgement = judge(key, item, {"model_id": MODEL, "max_input": 5, "unit": "tokens"}, observation)
                assert judgement.verdict in ("verified", "inconclusive", "contradicted")


def test_every_probe_declares_what_it_sends_and_whether_it_generates() -> None:
    assert all(probe.sends and probe.title and (probe.items or probe.about_endpoint) for probe in PROBES.values())
    assert all(probe.generates for probe in PROBES.values() if probe.bursts)
