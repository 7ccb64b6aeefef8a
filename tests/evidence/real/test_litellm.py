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
NAME, LIMIT, LATENCY = "identity.name-version", "identity.input-limits", "performance.latency-targets"
THROUGHPUT, MODALITIES = "observability.throughput", "identity.modalities"


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
    series = {"series": 20} if key == "generation.small" else {}
    judgement = judge(key, item, claims, observe(server, key, **series))
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
        # Which model: the proxy says what it asks another server for, and that is a name of that one's operator.
        ("model.identity", NAME, {"model_id": "tiny-chat"}, "inconclusive"),
        ("model.identity", NAME, {"model_id": "openai/tiny-chat"}, "inconclusive"),
        ("model.identity", NAME, {"model_id": "azure/tiny-chat"}, "inconclusive"),
        ("model.identity", NAME, {"model_id": "house-chat"}, "inconclusive"),
        ("model.identity", NAME, {"model_id": "mistral-large"}, "inconclusive"),
        # Its limits are those that it was given, or found in a list, of the model behind it.
        ("model.limits", LIMIT, {"max_input": 4096, "unit": "tokens"}, "inconclusive"),
        ("model.limits", LIMIT, {"max_input": 999_999, "unit": "tokens"}, "inconclusive"),
        ("model.limits", "operations.runtime-constraints", {"max_concurrency": 8}, "inconclusive"),
        ("serving.arguments", "compute.quantization", {"formats": ["fp8"]}, "inconclusive"),
        # What is on the metrics page
        ("metrics.present", "observability.latency-breakdown", {"phases": ["first_token", "end_to_end"]}, "verified"),
        ("metrics.present", "observability.latency-breakdown", {"phases": ["prefill", "decode"]}, "contradicted"),
        ("metrics.present", "observability.cache", {"metric_names": "litellm_cache_misses_metric_total"}, "verified"),
        ("metrics.present", "observability.cache", {"metric_names": "vllm:kv_cache_usage_perc"}, "contradicted"),
        ("metrics.present", THROUGHPUT, {"metric_name": "tokens_out_total"}, "contradicted"),
        ("metrics.present", "observability.gpu", {"dashboard_url": "https://grafana.example/d/1"}, "inconclusive"),
        # How fast it says it is
        ("metrics.latency", LATENCY, {"phase": "end_to_end", "p95_ms": 300_000}, "verified"),
        ("metrics.latency", LATENCY, {"phase": "end_to_end", "p50_ms": 10}, "contradicted"),
        ("metrics.latency", LATENCY, {"phase": "first_token", "p95_ms": 300_000}, "verified"),
        ("metrics.latency", LATENCY, {"phase": "per_output_token", "p95_ms": 9}, "inconclusive"),
        # Small requests; each chunk is no token, so the proxy's own count says how long one takes.
        ("generation.small", None, {}, "verified"),
        ("generation.small", LATENCY, {"phase": "first_token", "p95_ms": 300_000}, "verified"),
        ("generation.small", LATENCY, {"phase": "first_token", "p50_ms": 10}, "contradicted"),
        ("generation.small", LATENCY, {"phase": "end_to_end", "p95_ms": 300_000}, "inconclusive"),
        ("generation.small", "autoscaling.warmup", {"steps": "one request"}, "inconclusive"),
        # Counters are published in several steps after the answer.
        ("generation.counters", THROUGHPUT, {"metric_name": "litellm_output_tokens_metric_total"}, "verified"),
        ("generation.counters", THROUGHPUT, {"metric_name": "litellm_proxy_total_requests_metric_total"}, "verified"),
        ("generation.counters", THROUGHPUT, {"metric_name": "litellm_deployment_success_responses_total"}, "verified"),
        ("generation.counters", THROUGHPUT, {"metric_name": "litellm_cache_hits_metric_total"}, "contradicted"),
        ("generation.counters", THROUGHPUT, {"metric_name": "tokens_out_total"}, "inconclusive"),
        # A number for the messages ends in a 500.
        ("generation.counters", "observability.errors", {"classes": ["bad_request"]}, "inconclusive"),
        ("generation.inputs", "reliability.input-variability", {"tried": ["wrong_type"]}, "contradicted"),
        ("generation.inputs", "security.input-sanitisation", {"rules": "types are checked"}, "contradicted"),
        # The same words for all, harmless or not.
        ("generation.refusals", "security.safety-behaviour", {"evaluation": "ours"}, "inconclusive"),
        # Its CORS rules reflect any origin, with credentials.
        ("tls.headers", None, {}, "contradicted"),
        ("tls.headers", "security.access-control", {"scheme": "api_key"}, "inconclusive"),
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


def tried(server: Server, key: str, item: str, claims: dict[str, Any], **target: Any) -> str:
    """The verdict of a probe that sends what the claim makes it send."""
    options = {"headers": server.headers, "may_generate": True, "claims": {item: claims}, **target}
    return judge(key, item, claims, probe(Target("main", server.url, **options), key)).verdict


@pytest.mark.parametrize(
    ("model", "inputs", "outputs", "expected"),
    [
        ("house-chat", ["text"], ["text"], "verified"),
        ("house-chat", ["text", "image"], ["text"], "inconclusive"),  # the count of a mock response never changes
        ("house-chat", ["text"], ["embedding"], "inconclusive"),  # a sentence comes where a vector belongs
        ("house-chat", ["text"], ["audio"], "inconclusive"),  # a 500 for a route without a model
        ("house-embed", ["text"], ["embedding"], "verified"),
    ],
)
def test_a_modality_is_judged_by_what_it_answers(
    proxy: Server, model: str, inputs: list[str], outputs: list[str], expected: str
) -> None:
    claims = {"inputs": inputs, "outputs": outputs}
    family = "embedding" if model == "house-embed" else "llm"
    found = tried(proxy, "generation.modalities", MODALITIES, claims, model_hint=model, family=family)
    assert found == expected


@pytest.mark.parametrize(("limit", "expected"), [(4096, "contradicted"), (999_999, "inconclusive")])
def test_a_claimed_limit_that_is_not_kept_is_contradicted(proxy: Server, limit: int, expected: str) -> None:
    claims = {"max_input": limit, "unit": "tokens"}  # a million words are more than a probe sends
    assert tried(proxy, "generation.oversized", LIMIT, claims, model_hint="tiny-chat") == expected


def test_a_burst_is_withstood_by_a_proxy_without_limit_or_queue(proxy: Server) -> None:
    target = Target("main", proxy.url, headers=proxy.headers, may_generate=True, may_burst=True)
    observation = probe(target, "generation.burst")
    judgement = judge("generation.burst", "reliability.load-test", {"date": "2026-11-01"}, observation)
    assert "A burst that small is withstood" in judgement.reason
    claims = {"max_concurrency": 4, "on_overload": "reject"}
    judgement = judge("generation.burst", "reliability.backpressure", claims, observation)
    assert judgement.verdict == "inconclusive", judgement


def test_a_release_is_compatible_with_itself(proxy: Server) -> None:
    old = Target("old", proxy.url.replace("127.0.0.1", "localhost"), headers=proxy.headers, may_generate=True)
    facts = {"previous": {"version": "0.9", "endpoints": [old]}}
    claims = {"compatible_with": "0.9"}
    assert tried(proxy, "generation.compatibility", "release.compatibility", claims, facts=facts) == "verified"


@pytest.mark.parametrize(
    ("was", "now", "expected"),
    [
        ("house-chat", "house-chat", "verified"),
        ("house-embed", "house-embed", "verified"),
        ("house-chat", "house-embed", "contradicted"),
    ],
)
def test_a_model_has_its_own_fingerprint_and_no_other(proxy: Server, was: str, now: str, expected: str) -> None:
    def target(model: str, **facts: Any) -> Target:
        family = "embedding" if model == "house-embed" else "llm"
        options: dict[str, Any] = {"headers": proxy.headers, "model_hint": model, "family": family, "facts": facts}
        return Target("main", proxy.url, may_generate=True, **options)

    signed_off = probe(target(was), "model.fingerprint")
    observation = probe(target(now, fingerprint=signed_off), "model.fingerprint")
    assert judge("model.fingerprint", NAME, {"model_id": now}, observation).verdict == expected


def test_no_observation_holds_the_key(proxy: Server, observe: Callable[..., Observation]) -> None:
    for key in ("model.identity", "model.limits", "access.control", "metrics.present", "generation.counters"):
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
