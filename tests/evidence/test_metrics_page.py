from __future__ import annotations

from typing import Any

import pytest

from checklists.evidence.probes import PROBES, Judgement
from checklists.evidence.probes.metrics_page import metric_names
from tests.evidence.known_servers import (
    TGI,
    VLLM,
    judge,
    observe,
    vllm_page,
)
from tests.evidence.loopback import routes, serving


def present(item: str, table: dict[str, Any] = VLLM, **claims: Any) -> Judgement:
    with serving(routes(table)) as server:
        return judge("metrics.present", item, claims, observe("metrics.present", server))


def test_phases_with_samples_are_verified_missing_ones_contradicted_empty_ones_open() -> None:
    item = "observability.latency-breakdown"
    assert present(item, phases=["queue", "first_token", "end_to_end"]).verdict == "verified"
    missing = present(item, phases=["queue", "decode"])
    assert missing.verdict == "contradicted"
    assert "decode" in missing.reason
    assert present(item, phases=["queue", "prefill"]).verdict == "inconclusive"
    assert present(item).verdict == "inconclusive"
    assert present(item, TGI, phases=["first_token"]).verdict == "contradicted"


@pytest.mark.parametrize(
    ("name", "stack", "phase"),
    [
        ("tgi_batch_forward_duration", "tgi", "prefill"),  # by the label method, TGI 3.3
        ("llamacpp:prompt_seconds_total", "llamacpp", "prefill"),  # a sum of seconds
        ("vllm:request_decoding_seconds", "vllm", "decode"),  # as a later version may call it
    ],
)
def test_a_phase_that_may_be_told_under_another_name_is_not_missing(name: str, stack: str, phase: str) -> None:
    observation = {
        "where": "/metrics",
        "stack": stack,
        "names": [f"{name}_bucket", f"{name}_count"],
        "complete": True,
        "meanings": {"requests_total": {"name": "r", "value": 5, "samples": 5}},
    }
    item = "observability.latency-breakdown"
    judged = PROBES["metrics.present"].judge(item, {"phases": [phase]}, observation)
    assert (judged.verdict, f"{name} may." in judged.reason) == ("inconclusive", True), judged.reason
    nothing = PROBES["metrics.present"].judge(item, {"phases": [phase]}, observation | {"names": ["tgi_queue_size"]})
    assert nothing.verdict == "contradicted"


def test_claimed_cache_series_are_there_or_not() -> None:
    item = "observability.cache"
    assert present(item, metric_names="vllm:kv_cache_usage_perc, vllm:prefix_cache_hits_total").verdict == "verified"
    assert present(item, metric_names="vllm:gpu_cache_usage_perc").verdict == "contradicted"
    assert present(item, metric_names="").verdict == "inconclusive"


def test_a_series_that_something_else_may_export_or_record_is_not_missing_on_the_page() -> None:
    for name in ("job:cache_hits:ratio_rate5m", "istio_requests_total", "cache_hit_ratio"):
        judgement = present("observability.cache", metric_names=f"vllm:kv_cache_usage_perc, {name}")
        assert (judgement.verdict, "something else exports" in judgement.reason) == ("inconclusive", True)
        assert present("observability.throughput", metric_name=name).verdict == "inconclusive"
    both = present("observability.cache", metric_names="vllm:gpu_cache_usage_perc, istio_requests_total")
    assert both.verdict == "contradicted"
    assert "istio" not in both.reason


@pytest.mark.parametrize(
    "claimed",
    [
        'vllm:kv_cache_usage_perc{model_name="m",engine="0"}',
        "vllm:kv_cache_usage_perc vllm:prefix_cache_hits_total",
        "rate of vllm:kv_cache_usage_perc[5m]",
        "vllm:kv_cache_usage_perc (gauge)",
        "vllm:prefix_cache_*",
        "KV cache usage and prefix hits",
        "none",
    ],
)
def test_what_is_written_around_a_metrics_name_or_instead_of_it_is_not_missing(claimed: str) -> None:
    whole = claimed.startswith("vllm:kv_cache_usage_perc{") or claimed.endswith("hits_total")
    assert present("observability.cache", metric_names=claimed).verdict == ("verified" if whole else "inconclusive")
    kept = {"names": ["vllm:kv_cache_usage_perc", "vllm:prefix_cache_hits_total"], "complete": True, "stack": "vllm"}
    used = {"meanings": {"requests_total": {"name": "r", "value": 5, "samples": 5}}, "elsewhere": []}
    observation = {**kept, **used, "asked": metric_names(claimed)}
    judged = PROBES["prometheus.present"].judge("observability.cache", {"metric_names": claimed}, observation)
    assert judged.verdict == ("verified" if whole else "inconclusive")


def test_the_names_in_a_query_are_those_of_its_metrics() -> None:
    query = "histogram_quantile(0.95, sum by (le, model_name) (rate(vllm:ttft_seconds_bucket{job='x'}[5m])))"
    assert metric_names(query) == ["vllm:ttft_seconds_bucket"]
    hits = "sum(rate(vllm:prefix_cache_hits_total[5m])) / sum(rate(vllm:prefix_cache_queries_total[5m]))"
    assert metric_names(hits) == ["vllm:prefix_cache_hits_total", "vllm:prefix_cache_queries_total"]
    assert present("observability.cache", metric_names="rate(vllm:prefix_cache_hits_total[5m])").verdict == "verified"


def test_a_name_without_its_prefix_is_no_name_that_is_missing() -> None:
    for name in ("kv_cache_usage_perc", "vllm_kv_cache_usage_perc"):
        judged = present("observability.cache", metric_names=name)
        assert (judged.verdict, "but vllm:kv_cache_usage_perc" in judged.reason) == ("inconclusive", True)
    assert present("observability.cache", metric_names="vllm_gpu_cache_usage_perc").verdict == "contradicted"


def test_a_name_that_is_announced_without_a_series_is_not_visible_yet() -> None:
    bare = vllm_page() + "# TYPE vllm:cpu_cache_usage_perc gauge\n# TYPE nv_gpu_utilization gauge\n"
    page = {**VLLM, "/metrics": bare}
    judged = present("observability.cache", page, metric_names="vllm:cpu_cache_usage_perc")
    assert (judged.verdict, "no series of it yet" in judged.reason) == ("inconclusive", True)
    assert present("observability.gpu", page, dashboard_url="https://grafana.example/d/1").verdict == "inconclusive"


def test_a_counter_that_is_only_there_is_not_yet_verified() -> None:
    item = "observability.throughput"
    assert present(item, metric_name="vllm:generation_tokens_total").verdict == "inconclusive"
    assert present(item, metric_name="vllm:tokens_made").verdict == "contradicted"


def test_gpu_series_are_verified_and_their_absence_is_inconclusive() -> None:
    item = "observability.gpu"
    page = {**VLLM, "/metrics": vllm_page() + 'DCGM_FI_DEV_GPU_UTIL{gpu="0"} 80\n'}
    assert present(item, page, dashboard_url="https://grafana.example/d/1").verdict == "verified"
    assert present(item, dashboard_url="https://grafana.example/d/1").verdict == "inconclusive"


@pytest.mark.parametrize("answer", [None, "<html>nothing</html>", {"json": True}, ""])
def test_a_page_that_is_none_is_inconclusive(answer: Any) -> None:
    for item in PROBES["metrics.present"].items:
        judgement = present(
            item, {**VLLM, "/metrics": answer}, phases=["queue"], metric_names="a", metric_name="b", dashboard_url="c"
        )
        assert judgement.verdict == "inconclusive"
        assert judgement.reason


def latency(**claims: Any) -> Judgement:
    with serving(routes(VLLM)) as server:
        return judge("metrics.latency", "performance.latency-targets", claims, observe("metrics.latency", server))


def test_a_goal_at_or_above_the_end_of_the_bucket_is_verified() -> None:
    judgement = latency(phase="first_token", p95_ms=500, p50_ms=250)
    assert (judgement.verdict, judgement.unit, judgement.samples) == ("verified", "ms", 100)
    assert "100 samples" in judgement.reason


def test_a_goal_at_or_below_the_beginning_of_the_bucket_is_contradicted() -> None:
    judgement = latency(phase="first_token", p95_ms=250)
    assert judgement.verdict == "contradicted"
    assert judgement.observed == "p95 between 250 and 500"


def test_a_goal_inside_the_bucket_is_inconclusive_because_nothing_is_interpolated() -> None:
    judgement = latency(phase="first_token", p95_ms=400)
    assert judgement.verdict == "inconclusive"
    assert "too coarse" in judgement.reason


def test_one_missed_goal_contradicts_whatever_the_other_says() -> None:
    assert latency(phase="first_token", p50_ms=100, p95_ms=1000).verdict == "contradicted"


def test_few_samples_missing_histograms_and_missing_goals_are_inconclusive() -> None:
    few = latency(phase="end_to_end", p95_ms=9000)
    assert few.verdict == "inconclusive"
    assert "Only 12 samples" in few.reason
    assert latency(phase="per_output_token", p95_ms=50).verdict == "inconclusive"
    assert latency(phase="first_token").verdict == "inconclusive"
    assert latency(p95_ms=100).verdict == "inconclusive"
