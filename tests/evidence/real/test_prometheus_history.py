"""Probes at a real Prometheus whose past is known: every query is one it answers, and the verdicts are right."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

import pytest

from checklists.evidence.probes import PROBES, Judgement, Target
from tests.evidence import loopback
from tests.evidence.loopback import loopback_client
from tests.evidence.real import launch
from tests.evidence.real.history import DIGESTS, Past, small_cluster

pytestmark = pytest.mark.servers("prometheus")
V, C, I = "verified", "contradicted", "inconclusive"  # noqa: E741


@pytest.fixture(scope="module")
def past() -> Past:
    return small_cluster()


@pytest.fixture(scope="module")
def prometheus(past: Past, tmp_path_factory: pytest.TempPathFactory) -> Iterator[launch.Server]:
    """A Prometheus with that past, whose GPU exporter of another cluster is down."""
    directory = tmp_path_factory.mktemp("history")
    past.write(directory / "data")
    with launch.prometheus(directory, {"dcgm-exporter": {"static_configs": [{"targets": ["127.0.0.1:1"]}]}}) as server:
        down = lambda: "down" in [row["health"] for row in server.json("/api/v1/targets")["data"]["activeTargets"]]  # noqa: E731
        launch.eventually(down)
        yield server


def observed(server: launch.Server, key: str, job: str, claims: Mapping[str, Any], item: str) -> dict[str, Any]:
    target = Target(
        "main", "http://127.0.0.1:9", prometheus_url=server.url, labels={"job": job}, claims={item: dict(claims)}
    )
    observation, _ = loopback.observe(key, target, loopback_client(timeout_s=20.0))
    return observation


def verdict(
    server: launch.Server,
    key: str,
    job: str,
    claims: Mapping[str, Any],
    others: Mapping[str, Any] | None = None,
    item: str = "",
) -> Judgement:
    item = item or PROBES[key].items[0]
    return PROBES[key].judge(item, claims, observed(server, key, job, claims, item), others or {})


CHAT = [
    ("latency", {"phase": "first_token", "p50_ms": 300, "p95_ms": 500}, V),
    ("latency", {"phase": "first_token", "p95_ms": 240}, C),
    ("latency", {"phase": "end_to_end", "p95_ms": 3000}, I),
    ("throughput", {"value": 1000, "unit": "tokens_per_second"}, V),
    ("throughput", {"value": 5000, "unit": "tokens_per_second"}, C),  # 3,000 with the prompts, and it had a queue
    ("throughput", {"value": 2000, "unit": "tokens_per_second"}, I),  # more than was generated, not more than was read
    ("load-profile", {"peak": 6, "steady": 2, "unit": "requests_per_second"}, V),
    ("load-profile", {"peak": 4, "unit": "requests_per_second"}, C),
    ("load-profile", {"peak": 30, "steady": 10, "unit": "concurrent_requests"}, V),
    ("unit-throughput", {"per_gpu_second": 450, "unit": "tokens"}, V),
    ("unit-throughput", {"per_gpu_second": 2000, "unit": "tokens"}, C),
    ("peak-memory", {"gib_per_replica": 141}, V),
    ("peak-memory", {"gib_per_replica": 120}, C),
    ("batch-range", {"min": 1, "max": 24, "unit": "requests"}, V),
    ("batch-range", {"min": 1, "max": 16, "unit": "requests"}, C),
    ("placement", {"instance_types": "p5.48xlarge", "node_selector": "pool=gpu"}, V),
    ("placement", {"instance_types": "p4d.24xlarge"}, C),
    ("parallelism", {"tensor_parallel": 2, "gpus": 2}, V),
    ("parallelism", {"tensor_parallel": 8, "gpus": 8}, C),
    ("gpu-types", {"gpu_types": "H100 80 GB", "precisions": ["bf16"]}, V),
    ("gpu-types", {"gpu_types": "A100", "precisions": ["bf16"]}, C),
    ("cold-start", {"seconds": 120}, V),
    ("cold-start", {"seconds": 60}, C),
    ("warmup", {"steps": "CUDA graphs", "seconds": 60}, V),
    ("warmup-validated", {"method": "restart under load"}, V),
    ("queue", {"max_queue": 8, "on_overflow": "reject"}, V),
    ("queue", {"max_queue": 2, "on_overflow": "reject"}, C),
    (
        "scaling-strategy",
        {"strategy": "reactive", "signal": "4 waiting a replica", "min_replicas": 1, "max_replicas": 4},
        V,
    ),
    ("scaling-strategy", {"strategy": "reactive", "signal": "4 waiting a replica", "max_replicas": 9}, C),
    ("replicas", {"replicas_peak": 2, "replicas_rest": 1}, V),
    ("replicas", {"replicas_peak": 1, "replicas_rest": 1}, I),  # two ran for five hours of a week
    ("replicas", {"replicas_peak": 2, "replicas_rest": 2}, C),
    ("backpressure", {"max_concurrency": 20, "on_overload": "queue"}, V),
    ("backpressure", {"max_concurrency": 10, "on_overload": "queue"}, C),
    ("timeouts", {"server_seconds": 60}, I),
    ("timeouts", {"server_seconds": 2}, C),
    ("gpu", {"dashboard_url": "http://grafana/d/1"}, V),
    ("throughput-visible", {"metric_name": "vllm:generation_tokens_total"}, V),
    ("throughput-visible", {"metric_name": "tokens_generated_total"}, C),
    ("errors", {"classes": ["bad_request"]}, V),
    ("errors", {"classes": ["bad_request", "overload"]}, I),
    ("errors", {"classes": ["bad_request", "refusal"]}, I),  # the proxy might, if it stands before
    ("throughput-visible", {"metric_name": "litellm_output_tokens_metric_total"}, I),  # kept of the proxy
]
SLOW = [
    ("throughput", {"value": 5000, "unit": "tokens_per_second"}, I),  # never full: idle is not slow
    ("load-profile", {"peak": 6, "unit": "requests_per_second"}, I),  # five hours are no profile
    ("warmup", {"steps": "CUDA graphs"}, C),
    ("warmup-validated", {"method": "restart under load"}, C),
    ("scaling-strategy", {"strategy": "reactive", "signal": "queue"}, I),  # something else than an HPA may scale it
    ("scaling-strategy", {"strategy": "fixed", "signal": "none"}, I),
    ("queue", {"max_queue": 2, "on_overflow": "reject"}, I),
    ("peak-memory", {"gib_per_replica": 120}, C),  # by exported_pod
    ("parallelism", {"tensor_parallel": 2, "gpus": 2}, V),
]
PROXY = [
    ("cost", {"cost": 0.011, "per": "thousand_tokens", "currency": "USD"}, V),
    ("cost", {"cost": 0.002, "per": "thousand_tokens", "currency": "USD"}, C),
    ("cost", {"cost": 0.005, "per": "thousand_tokens", "currency": "USD"}, I),
    ("backpressure", {"max_concurrency": 20, "on_overload": "reject"}, I),  # perhaps somebody's rate limit
    ("gpu", {"dashboard_url": "http://grafana/d/1"}, C),  # its exporter is down
    ("errors", {"classes": ["overload"]}, V),
    ("latency", {"phase": "end_to_end", "p95_ms": 3000}, I),
    ("placement", {"instance_types": "p5.48xlarge"}, I),  # no pods
]


@pytest.mark.parametrize(
    ("job", "key", "claims", "expected"),
    [(job, *case) for job, cases in (("chat", CHAT), ("slow", SLOW), ("proxy", PROXY)) for case in cases],
)
def test_a_known_past_is_judged_rightly(
    prometheus: launch.Server, job: str, key: str, claims: dict[str, Any], expected: str
) -> None:
    judgement = verdict(prometheus, f"prometheus.{key}", job, claims)
    assert judgement.verdict == expected, judgement.reason
    assert "Prometheus" in judgement.reason


@pytest.mark.parametrize(
    ("item", "claims", "expected"),
    [
        ("observability.latency-breakdown", {"phases": ["first_token", "end_to_end"]}, V),
        ("observability.latency-breakdown", {"phases": ["first_token", "decode"]}, C),
        ("observability.cache", {"metric_names": "vllm:kv_cache_usage_perc"}, V),
        ("observability.cache", {"metric_names": "vllm:prefix_cache_hits_total"}, C),
    ],
)
def test_what_is_kept_of_phases_and_caches_is_judged_rightly(
    prometheus: launch.Server, item: str, claims: dict[str, Any], expected: str
) -> None:
    judgement = verdict(prometheus, "prometheus.present", "chat", claims, item=item)
    assert judgement.verdict == expected, judgement.reason


@pytest.mark.parametrize(("peak", "expected"), [(5, V), (50, I)])
def test_a_day_that_reached_the_claimed_peak_was_test_enough(
    prometheus: launch.Server, past: Past, peak: float, expected: str
) -> None:
    day = datetime.fromtimestamp(past.now - 3 * 86_400, UTC).date()
    claims = {"date": day.isoformat(), "report_url": "http://report"}
    profile = {"performance.load-profile": {"peak": peak, "unit": "requests_per_second"}}
    judgement = verdict(prometheus, "prometheus.load-test", "chat", claims, profile)
    assert judgement.verdict == expected, judgement.reason  # every day is the same, so none stands out as a test


@pytest.mark.parametrize("probe", [key for key in PROBES if key.startswith("prometheus.")])
def test_no_query_of_a_probe_is_refused(prometheus: launch.Server, probe: str) -> None:
    lacking = ("no_gpu", "no_gpus", "no_pods", "no_queue", "no_counter", "no_guardrail", "no_restart", "no_workload")
    for job in ("chat", "slow", "proxy", "kube-state-metrics"):
        assert observed(prometheus, probe, job, {}, "").get("error", "") in ("", "no_nodes", *lacking)


def test_an_exporter_with_the_gpus_of_two_workloads_is_no_endpoint(prometheus: launch.Server) -> None:
    seen = observed(prometheus, "prometheus.gpu", "dcgm-exporter", {}, "")
    assert (seen["error"], "pods of 2 workloads (chat, slow)" in seen["why"]) == ("ambiguous", True)


def test_a_selector_no_series_has_is_no_verdict(prometheus: launch.Server) -> None:
    judgement = verdict(prometheus, "prometheus.queue", 'x"} or vector(1) or up{a="', {"max_queue": 1})
    assert (judgement.verdict, "has no series with" in judgement.reason) == (I, True)


def test_the_digest_of_what_every_pod_runs_verifies_the_claimed_one(prometheus: launch.Server) -> None:
    endpoint = Target("main", "http://127.0.0.1:9", prometheus_url=prometheus.url, labels={"job": "chat"})
    for digest, expected in ((DIGESTS["chat"], V), (DIGESTS["slow"], I)):
        claims = {"model_id": "llm/chat", "version": "1", "artifact_digest": digest}
        target = Target("", "", claims={"identity.name-version": claims}, siblings=(endpoint,))
        seen, _ = loopback.observe("registry.digest", target, loopback_client(timeout_s=20.0))
        judged = PROBES["registry.digest"].judge("identity.name-version", claims, seen)
        assert judged.verdict == expected, judged.reason
        assert judged.samples == 2
