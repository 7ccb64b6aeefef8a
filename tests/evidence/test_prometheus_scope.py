from __future__ import annotations

import time
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from checklists.evidence.probes import PROBES, Target, Visit
from checklists.evidence.probes.prometheus import PROMETHEUS_PROBES
from checklists.evidence.probes.prometheus.base import Scope
from checklists.evidence.probes.prometheus.load import PER_DAY, peaks_by_day, summaries, undisturbed
from checklists.evidence.probes.prometheus.scaling import SUSTAINED, sustained
from checklists.evidence.sources.exporters import GATEWAYS
from checklists.evidence.sources.prometheus import Prometheus
from checklists.evidence.stacks import STACKS
from tests.evidence.loopback import Request, observe, run, serving
from tests.evidence.prometheus_cases import (
    FIRST,
    HEAD,
    MEMORY,
    C,
    I,
    V,
    histogram,
    judged,
)


def api(names: list[str], rows: list[dict[str, str]], targets: list[dict[str, Any]] | None = None) -> Any:
    """A Prometheus that has these names, says ``rows`` to every query, and remembers what it was asked."""

    def handle(request: Request) -> None:
        path = urlsplit(request.path).path
        if path.endswith("/targets"):
            data: Any = {"activeTargets": targets or []}
        elif path.endswith("/values"):
            data = names
        else:
            data = {"resultType": "vector", "result": [{"metric": row, "value": [1, "0"]} for row in rows]}
        request.reply(200, {"status": "success", "data": data})

    return handle


def seen(server: Any, **target: Any) -> tuple[dict[str, Any], list[str]]:
    """What the queue probe observes, and the queries and selectors it sent."""
    observation, _ = observe(
        "prometheus.queue", Target("main", "http://10.9.9.9:8000", prometheus_url=server.url, **target)
    )
    asked = [parse_qs(urlsplit(request.path).query) for request in server.seen]
    return observation, [text for query in asked for text in (*query.get("query", []), *query.get("match[]", []))]


def test_the_labels_of_an_endpoint_select_its_series_and_stay_texts() -> None:
    with serving(api(["vllm:num_requests_waiting"], [])) as server:
        observation, asked = seen(server, labels={"job": 'a"} or up{x="', "namespace": "llm"})
    assert asked[0] == '{job="a\\"} or up{x=\\"",namespace="llm"}'
    assert all('job="a\\"} or up{x=\\""' in query for query in asked)
    assert observation["stack"] == "vllm"


def test_a_question_is_kept_whole_so_that_it_can_be_asked_again() -> None:
    with serving(api(["vllm:num_requests_waiting"], [])) as server:
        observation, asked = seen(server, labels={"job": "a" * 400, "namespace": "b" * 300})
    assert max(map(len, observation["queries"])) > 700
    assert set(observation["queries"]) <= set(asked)


@pytest.mark.parametrize("name", ["__name__", "a-b", 'x="y",job'])
def test_a_label_with_an_impossible_name_is_an_outcome_and_nothing_is_sent(name: str) -> None:
    with serving(api([], [])) as server:
        observation, asked = seen(server, labels={name: "x"})
    assert (observation["error"], asked) == ("labels", [])
    assert judged("prometheus.queue", {"max_queue": 1}, observation).verdict == I


def test_labels_that_select_nothing_are_named() -> None:
    with serving(api([], [])) as server:
        observation, _ = seen(server, labels={"job": "typo"})
    assert observation["error"] == "no_series"
    assert 'no series with {job="typo"} in the last 7 days' in observation["why"]


def test_labels_that_select_two_models_are_too_wide() -> None:
    rows = [{"model_name": "a"}, {"model_name": "b"}]
    with serving(api(["vllm:num_requests_waiting"], rows)) as server:
        observation, _ = seen(server, labels={"job": "x"})
    assert observation["error"] == "ambiguous"
    assert "selects 2 models (a, b); add model_name" in observation["why"]


@pytest.mark.parametrize("more", [{}, {"engine": "1"}])
def test_of_several_clusters_only_the_endpoints_own_is_asked(more: dict[str, str]) -> None:
    row = {"namespace": "llm", "pod": "chat-0", "cluster": "east", "node": "n", "destination_service": "s", **more}
    asked: list[str] = []
    for probe in ("prometheus.placement", "prometheus.rollout"):
        with serving(api(["vllm:num_requests_waiting"], [row])) as server:
            observe(probe, Target("main", "http://10.9.9.9:8000", prometheus_url=server.url, labels={"a": "b"}))
            asked += [parse_qs(urlsplit(request.path).query).get("query", [""])[0] for request in server.seen]
    for others in ("kube_pod_info", "kube_node_labels", "istio_requests_total"):
        nodes = [query for query in asked if others in query]
        assert nodes
        assert all('cluster=~"east|"' in query for query in nodes)


def test_a_workload_in_two_clusters_is_not_one_workload() -> None:
    assert scope_in("east").workload == "chat"
    assert scope_in("east", "west").workload == ""


def scope_in(*clusters: str) -> Scope:
    pods = (("llm", "chat-7d9f8b6c5d-x2x4z"),)
    unused: Any = None
    return Scope(unused, {}, frozenset(), STACKS["vllm"], pods, clusters=clusters)


def past(**found: str) -> Any:
    """A Prometheus that says this of how far back its series go (``oldest``; ``running``: of those that are there now),
    and how often they fall (``mixed``)."""

    def handle(request: Request) -> None:
        query = parse_qs(urlsplit(request.path).query).get("query", [""])[0]
        rows: list[Any] = [{"metric": {"instance": "a:1"}, "value": [1, "0"]}] if "count by" in query else []
        if "resets" in query:
            rows = [{"metric": {"preflight": key}, "value": [1, value]} for key, value in found.items()]
        data: Any = {"resultType": "vector", "result": rows}
        if urlsplit(request.path).path.endswith("/values"):
            data = ["vllm:num_requests_waiting", "vllm:generation_tokens_total"]
        request.reply(200, {"status": "success", "data": data})

    return handle


def test_several_replicas_behind_one_scraped_address_are_no_counter() -> None:
    with serving(past(mixed="0.5", oldest="1")) as server:
        observation, asked = seen(server, labels={"job": "x"})
    assert observation["error"] == "mixed"
    assert "several replicas are scraped through one address" in observation["why"]
    assert any("resets(vllm:generation_tokens_total" in query for query in asked)


@pytest.mark.parametrize(
    ("ago", "words"),
    [
        (40, "in the last 1 minutes, which is all that is kept"),
        (1800, "in the last 30 minutes, which is all that is kept"),
        (5 * 3600, "in the last 5.0 hours, which is all that is kept"),
        (3 * 86_400, "in the last 3.0 days, which is all that is kept"),
        (8 * 86_400, "in the last 7 days"),
    ],
)
def test_a_window_is_called_no_longer_than_what_is_kept(ago: float, words: str) -> None:
    with serving(past(oldest=str(time.time() - ago))) as server:
        observation, _ = seen(server, labels={"job": "x"})
    assert observation["window"] == words


def test_a_roll_out_makes_a_young_past_of_the_replicas_that_run_now() -> None:
    now = time.time()
    with serving(past(oldest=str(now - 8 * 86_400), running=str(now - 3600))) as server:
        observation, asked = seen(server, labels={"job": "x"})
    assert observation["window"] == "in the last 7 days"
    assert observation["kept_s"] == pytest.approx(3600, abs=60)
    anchor = 'vllm:num_requests_waiting{job="x"}'
    assert any(f'and {anchor}), "preflight", "running"' in query for query in asked)
    slow = {**observation, "histograms": {"first_token_seconds": histogram(0, 90, 90, 90, 100, 100)}}
    assert judged("prometheus.latency", FIRST, slow).verdict == I


def test_within_a_young_past_a_warm_up_does_not_contradict() -> None:
    slow = {"histograms": {"first_token_seconds": histogram(0, 90, 90, 90, 100, 100)}, "kept_s": 3600.0}
    young = judged("prometheus.latency", FIRST, slow)
    assert (young.verdict, young.samples) == (I, 100)
    assert "may be a warm-up, for without the slowest 20" in young.reason
    assert judged("prometheus.latency", FIRST, {**slow, "kept_s": 2 * 86_400.0}).verdict == C
    assert judged("prometheus.latency", {**FIRST, "p95_ms": 100}, slow).verdict == C  # nearly all of them are slow


@pytest.mark.parametrize(
    ("names", "asked", "elsewhere", "verdict", "words"),
    [
        (["vllm:kv_cache_usage_perc"], ["our:cache"], [], C, "no cache series named our:cache"),
        (["vllm:kv_cache_usage_perc"], ["our:cache"], ["our:cache"], I, "our:cache is kept, but not among"),
        (["vllm:kv_cache_usage_perc"], ["another"], [], I, "The claim changed"),
        (["our:cache"], ["our:cache"], [], V, "every claimed name"),
    ],
)
def test_a_cache_series_that_others_have_may_be_a_recorded_one(
    names: list[str], asked: list[str], elsewhere: list[str], verdict: str, words: str
) -> None:
    counted = {"requests_total": {"name": "vllm:request_success_total", "value": 9.0}}
    observation = {
        **HEAD,
        "names": names,
        "complete": True,
        "meanings": counted,
        "asked": asked,
        "elsewhere": elsewhere,
    }
    judgement = PROBES["prometheus.present"].judge(
        "observability.cache", {"metric_names": "our:cache"}, observation, {}
    )
    assert (judgement.verdict, words in judgement.reason) == (verdict, True), judgement.reason


@pytest.mark.parametrize(("goal", "verdict"), [(10_000, V), (5_000, I)])
def test_replicas_with_other_bounds_are_added_up_only_where_they_share_a_bound(goal: int, verdict: str) -> None:
    """One replica's 100 requests took at most 1 s (bounds 1, 10), the other's at most 5 s (bounds 5, 10)."""
    gained = {"1": "100", "5": "100", "10": "200", "+Inf": "200"}
    counts = {"1": "1", "5": "1", "10": "2", "+Inf": "2"}

    def handle(request: Request) -> None:
        url = urlsplit(request.path)
        query = parse_qs(url.query).get("query", [""])[0]
        by_le = gained if query.startswith("sum by (le)") else counts if query.startswith("count by (le)") else {}
        rows = [{"metric": {"le": le}, "value": [1, value]} for le, value in by_le.items()]
        data: Any = {"resultType": "vector", "result": rows}
        if url.path.endswith("/values"):
            data = ["vllm:e2e_request_latency_seconds_bucket", "vllm:e2e_request_latency_seconds_count"]
        request.reply(200, {"status": "success", "data": data})

    target = Target("main", "http://10.9.9.9:8000", labels={"job": "chat"})
    with serving(handle) as server:
        observation, _ = observe("prometheus.latency", replace(target, prometheus_url=server.url))
    judgement = judged("prometheus.latency", {"phase": "end_to_end", "p50_ms": goal, "p95_ms": goal}, observation)
    assert (judgement.verdict, judgement.samples) == (verdict, 200)


@pytest.mark.parametrize(("stack", "name", "own"), [("vllm", "DCGM_FI_DEV_FB_USED", False), ("kserve", "nv_gpu", True)])
def test_gpus_that_share_only_a_label_with_the_endpoint_may_be_others_of_its_host(
    stack: str, name: str, own: bool
) -> None:
    name = {"nv_gpu": "nv_gpu_memory_used_bytes"}.get(name, name)
    scope = Scope(Prometheus(Visit(Target("main", ""), None)), {"host": "gpu-1"}, frozenset({name}), STACKS[stack])  # type: ignore[arg-type]
    assert run(scope.gpu_series([name]))[:2] == (name, own)
    held = {**MEMORY, "own": own}
    assert judged("prometheus.peak-memory", {"gib_per_replica": 60}, held).verdict == (C if own else I)


def test_whether_any_gateway_counts_failures_is_asked_before_one_is_called_untold() -> None:
    def handle(request: Request) -> None:
        query = parse_qs(urlsplit(request.path).query).get("match[]", [""])[0]
        data: Any = {"resultType": "vector", "result": []}
        if urlsplit(request.path).path.endswith("/values"):
            kept = ["kong_http_requests_total"] if "kong_http_requests" in query else []
            data = kept if "__name__" in query else ["vllm:request_success_total"]
        request.reply(200, {"status": "success", "data": data})

    target = Target("main", "http://10.9.9.9:8000", labels={"job": "chat"})
    with serving(handle) as server:
        observation, _ = observe("prometheus.errors", replace(target, prometheus_url=server.url))
    assert judged("prometheus.errors", {"classes": ["timeout"]}, observation).verdict == I
    assert len(GATEWAYS) <= 20  # so many names are asked for at once


def test_peaks_of_replicas_at_different_moments_are_no_peak_of_all_and_their_mean_is_no_mean() -> None:
    """Two replicas, each of which had 10 requests for a moment of every step, one after the other."""
    steps = [at * 300.0 for at in range(10 * PER_DAY)]
    history = {
        "running": dict.fromkeys(steps, 2.0),
        "running_peak": dict.fromkeys(steps, 11.0),
        "running_most": dict.fromkeys(steps, 20.0),
        "waiting": dict.fromkeys(steps, 0.0),
    }
    seen = {"load": summaries(history), "days": peaks_by_day(history)}
    claim = {"peak": 15, "steady": 5, "unit": "concurrent_requests"}
    judgement = judged("prometheus.load-profile", claim, seen)
    assert (judgement.verdict, judgement.observed) == (I, "peak 11, mean 2")
    assert judged("prometheus.load-profile", {**claim, "peak": 10}, seen).verdict == C
    assert judged("prometheus.load-profile", {**claim, "steady": 1}, seen).verdict == C
    assert judged("prometheus.load-profile", {"peak": 20, "unit": "concurrent_requests"}, seen).verdict == V


def test_what_was_done_while_a_replica_was_not_scraped_is_not_all_that_was_done() -> None:
    assert undisturbed({300.0: 1.0, 600.0: 2.0, 900.0: 0.0}, {600.0: 1.0}) == {300.0: 1.0, 900.0: 0.0}


@pytest.mark.parametrize(("down", "busy", "expected"), [([], 6, C), ([600], 5, C), ([600, 900, 1200, 1500], 2, I)])
def test_a_server_is_called_slow_only_by_steps_at_which_all_of_it_was_seen(
    down: list[int], busy: int, expected: str
) -> None:
    shares = {"rate(": 100.0, "min_over_time(": 3.0}

    def handle(request: Request) -> None:
        url = urlsplit(request.path)
        query = parse_qs(url.query).get("query", [""])[0]
        value = next((value for word, value in shares.items() if word in query), 1.0)
        steps = down if "up{" in query else range(300, 2100, 300)
        row = {"metric": {}, "values": [[at, str(value)] for at in steps]}
        rows = [row] if row["values"] and url.path.endswith("_range") else []
        data: Any = {"resultType": "matrix" if url.path.endswith("_range") else "vector", "result": rows}
        if url.path.endswith("/values"):
            data = ["vllm:num_requests_waiting", "vllm:request_success_total"]
        request.reply(200, {"status": "success", "data": data})

    target = Target("main", "http://10.9.9.9:8000", labels={"job": "chat", "model_name": "chat"})
    with serving(handle) as server:
        observation, _ = observe("prometheus.throughput", replace(target, prometheus_url=server.url))
        asked = [parse_qs(urlsplit(request.path).query).get("query", [""])[0] for request in server.seen]
    assert 'count(up{job="chat"} == 0)' in asked  # a target has no label of a model
    assert observation["load"]["requests"]["high"]["busy_steps"] == busy
    claim = {"value": 900, "unit": "requests_per_second"}
    assert PROBES["prometheus.throughput"].judge("performance.throughput", claim, observation, {}).verdict == expected


def test_of_more_names_than_are_kept_none_is_called_missing() -> None:
    many = [f"vllm:name_{number}" for number in range(700)]
    with serving(api(["vllm:kv_cache_usage_perc", *many], [])) as server:
        observation, _ = observe(
            "prometheus.present", Target("m", "http://10.9.9.9", prometheus_url=server.url, labels={"a": "b"})
        )
    assert (len(observation["names"]), observation["complete"]) == (600, False)


@pytest.mark.parametrize(
    ("values", "low", "high"),
    [
        ([3.0], 3, 3),
        ([2.0] * 9 + [9.0], 2, 9),  # a tenth of the time
        ([2.0] * 19 + [9.0], 2, 2),  # a twentieth
        ([0.0] + [2.0] * 19, 2, 2),
        ([0.0, 0.0] + [2.0] * 18, 0, 2),
        ([5.0, 1.0, 3.0], 1, 5),  # of few values, one is more than a tenth
    ],
)
def test_what_was_reached_or_gone_below_for_a_tenth_of_the_time(values: list[float], low: float, high: float) -> None:
    assert sustained(values) == (low, high)


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=400))
def test_what_was_sustained_lasted_that_long_and_anything_beyond_it_did_not(values: list[float]) -> None:
    low, high = sustained(values)
    enough = SUSTAINED * len(values)
    assert sum(value >= high for value in values) >= enough > sum(value > high for value in values)
    assert sum(value <= low for value in values) >= enough > sum(value < low for value in values)


def test_without_labels_the_target_that_is_the_endpoint_itself_gives_them() -> None:
    mine = {
        "scrapeUrl": "http://10.9.9.9:8000/metrics",
        "labels": {"job": "x", "instance": "10.9.9.9:8000"},
        "health": "up",
    }
    other = {"scrapeUrl": "http://10.9.9.8:8000/metrics", "labels": {"job": "y", "instance": "10.9.9.8:8000"}}
    with serving(api(["vllm:num_requests_waiting"], [], [other, mine])) as server:
        _, asked = seen(server)
        assert asked[0] == '{job="x",instance="10.9.9.9:8000"}'
    with serving(api(["vllm:num_requests_waiting"], [], [other])) as server:
        observation, asked = seen(server)
    assert (observation["error"], asked) == ("no_labels", [])


def test_without_a_prometheus_server_every_probe_says_so() -> None:
    for probe in PROMETHEUS_PROBES:
        observation, visit = observe(probe.key, Target("main", "http://10.9.9.9:8000", labels={"job": "x"}))
        assert visit.log == []
        judgement = probe.judge(probe.items[0], {}, observation)
        assert (judgement.verdict, judgement.reason) == (I, "No Prometheus server is recorded for this endpoint.")
