"""Verdicts on a real LiteLLM proxy: each claim here is known to be right or wrong by the way the proxy was set up."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

import pytest

from checklists.evidence.metrics import parse
from checklists.evidence.probes import Observation, Target
from tests.evidence.real import launch
from tests.evidence.real.launch import Server, eventually
from tests.evidence.real.probing import judge, probe

pytestmark = pytest.mark.servers("litellm")
REQUESTS = 24  # enough for a percentile


@pytest.fixture(scope="module")
def proxy(litellm: Server) -> Server:
    """The proxy after some traffic, streamed so that first-token times are counted, and its counters published."""
    for _ in range(REQUESTS):
        chat(litellm)
    eventually(lambda: answered(litellm) >= REQUESTS)
    return litellm


def chat(server: Server) -> None:
    message = {"role": "user", "content": "Are you ready?"}
    server.text("/v1/chat/completions", {"model": "house-chat", "stream": True, "messages": [message]})


def answered(server: Server) -> float:
    """How many requests the proxy has counted."""
    histogram = parse(server.text("/metrics/")).histogram("litellm_request_total_latency_metric")
    return histogram.count if histogram else 0


def verdict(
    observe: Callable[..., Observation], server: Server, key: str, item: str | None, claims: dict[str, Any]
) -> tuple[str, str]:
    judgement = judge(key, item, claims, observe(server, key))
    return judgement.verdict, judgement.reason


def test_it_is_found_out_as_litellm_and_its_health_route_is_one_that_calls_no_model(
    proxy: Server, observe: Callable[..., Observation]
) -> None:
    observation = observe(proxy, "endpoint.health")
    assert observation["stack"] == "litellm"
    assert observation["path"] == "/health/liveliness"
    assert judge("endpoint.health", None, {}, observation).verdict == "verified"


@pytest.mark.parametrize(
    ("key", "item", "claims", "expected"),
    [
        # Which model: the proxy says what runs behind an alias, and an alias alone proves little.
        ("model.identity", "identity.name-version", {"model_id": "tiny-chat"}, "verified"),
        ("model.identity", "identity.name-version", {"model_id": "house-chat"}, "inconclusive"),
        ("model.identity", "identity.name-version", {"model_id": "mistral-large"}, "contradicted"),
        # What is on the metrics page
        ("metrics.present", "observability.latency-breakdown", {"phases": ["first_token", "end_to_end"]}, "verified"),
        ("metrics.present", "observability.latency-breakdown", {"phases": ["prefill", "decode"]}, "contradicted"),
        ("metrics.present", "observability.cache", {"metric_names": "litellm_cache_misses_metric_total"}, "verified"),
        ("metrics.present", "observability.cache", {"metric_names": "vllm:kv_cache_usage_perc"}, "contradicted"),
        ("metrics.present", "observability.throughput", {"metric_name": "tokens_out_total"}, "contradicted"),
        ("metrics.present", "observability.gpu", {"dashboard_url": "https://grafana.example/d/1"}, "inconclusive"),
        # How fast it says it is
        ("metrics.latency", "performance.latency-targets", {"phase": "end_to_end", "p95_ms": 300_000}, "verified"),
        ("metrics.latency", "performance.latency-targets", {"phase": "end_to_end", "p50_ms": 10}, "contradicted"),
        ("metrics.latency", "performance.latency-targets", {"phase": "first_token", "p95_ms": 300_000}, "verified"),
        ("metrics.latency", "performance.latency-targets", {"phase": "per_output_token", "p95_ms": 9}, "inconclusive"),
        # One small request
        ("generation.small", None, {}, "verified"),
        ("generation.small", "identity.modalities", {"inputs": ["text"], "outputs": ["text"]}, "verified"),
        ("generation.small", "identity.modalities", {"inputs": ["text"], "outputs": ["audio"]}, "inconclusive"),
        (
            "generation.small",
            "observability.throughput",
            {"metric_name": "litellm_output_tokens_metric_total"},
            "verified",
        ),
        ("generation.small", "observability.throughput", {"metric_name": "tokens_out_total"}, "inconclusive"),
        ("generation.small", "performance.latency-targets", {"phase": "end_to_end", "p95_ms": 9000}, "inconclusive"),
        # Its CORS rules reflect any origin, with credentials.
        ("tls.headers", None, {}, "contradicted"),
    ],
)
def test_a_claim_is_judged_as_the_proxy_was_set_up(
    proxy: Server,
    observe: Callable[..., Observation],
    key: str,
    item: str | None,
    claims: dict[str, Any],
    expected: str,
) -> None:
    assert verdict(observe, proxy, key, item, claims)[0] == expected, verdict(observe, proxy, key, item, claims)


def test_metrics_open_beside_a_guarded_api_contradict_the_claim_of_a_key(
    proxy: Server, observe: Callable[..., Observation]
) -> None:
    claims = {"scheme": "api_key"}
    found, reason = verdict(observe, proxy, "access.control", "security.access-control", claims)
    assert found == "contradicted"
    assert "/metrics/" in reason
    assert "/v1" not in reason


def test_a_guarded_proxy_is_not_open_to_anyone(proxy: Server, observe: Callable[..., Observation]) -> None:
    claims = {"scheme": "none"}
    assert verdict(observe, proxy, "access.control", "security.access-control", claims)[0] == "contradicted"


def test_a_proxy_that_guards_its_metrics_too_verifies_the_claim_of_a_key(
    guarded_litellm: Server, observe: Callable[..., Observation]
) -> None:
    claims = {"scheme": "api_key"}
    found, reason = verdict(observe, guarded_litellm, "access.control", "security.access-control", claims)
    assert found == "verified", reason
    assert "ours is accepted" in reason


def test_an_embedding_model_behind_the_proxy_answers_with_a_vector(proxy: Server) -> None:
    target = Target(
        "main", proxy.url, headers=proxy.headers, may_generate=True, family="embedding", model_hint="house-embed"
    )
    observation = probe(target, "generation.small")
    claims = {"inputs": ["text"], "outputs": ["embedding"]}
    assert judge("generation.small", "identity.modalities", claims, observation).verdict == "verified"


def test_no_observation_holds_the_key(proxy: Server, observe: Callable[..., Observation]) -> None:
    for key in ("model.identity", "model.limits", "access.control", "metrics.present", "generation.small"):
        assert launch.MASTER_KEY not in str(observe(proxy, key))


@pytest.mark.servers("litellm", "prometheus")
def test_prometheus_reads_from_the_proxy_what_the_proxy_counted(
    proxy: Server, tmp_path_factory: pytest.TempPathFactory
) -> None:
    job = {"metrics_path": "/metrics/", "static_configs": [{"targets": [proxy.address]}]}
    with launch.prometheus(tmp_path_factory.mktemp("of-litellm"), {"litellm": job}) as server:
        expression = urlencode({"query": "sum(litellm_request_total_latency_metric_count)"})
        rows = eventually(lambda: server.json(f"/api/v1/query?{expression}")["data"]["result"])
    assert math.isclose(float(rows[0]["value"][1]), answered(proxy))
