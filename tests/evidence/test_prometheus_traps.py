"""What must not be taken for the endpoint's: series of others, failures as throughput, readiness without a probe."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from checklists.evidence.probes import Target
from checklists.evidence.probes.prometheus.load import PER_DAY, summaries
from checklists.evidence.stacks import STACKS
from tests.evidence.loopback import Request, observe, serving
from tests.evidence.prometheus_cases import C, I, V, judged
from tests.evidence.test_prometheus_scope import api, seen

POD = {"namespace": "llm", "pod": "chat-0", "instance": "a:1"}
RAY = "chat-raycluster-bcdfg"


@pytest.mark.parametrize(
    ("rows", "labels", "words"),
    [
        ([{"requested_model": "a", "model": "x"}, {"requested_model": "b", "model": "x"}], {}, "add requested_model"),
        (
            [{"requested_model": "a", "model": "x"}, {"requested_model": "a", "model": "y"}],
            {},
            "",
        ),  # two behind one name
        ([{"requested_model": "a", "model": "x"}, {"requested_model": "b", "model": "x"}], {"model": "x"}, ""),
        ([POD, {**POD, "namespace": "staging"}], {"model_name": "a"}, "2 namespaces (llm, staging); add namespace"),
        ([POD, {**POD, "namespace": "monitoring", "exported_namespace": "llm"}], {}, ""),
        ([POD, {**POD, "pod": "chat-1"}], {}, ""),
        (
            [POD, {**POD, "pod": "rerank-7d9f8b6c5d-x2x4z"}],
            {},
            "2 workloads (chat, rerank), whose model no",
        ),
        ([{**POD, "model_name": "a"}, {**POD, "pod": "spare-0", "model_name": "a"}], {}, ""),
        ([{**POD, "pod": f"chat{end}-7d9f8b6c5d-x2x4z"} for end in ("", "-canary", "-v2")], {}, ""),
        ([{**POD, "pod": f"chat-{end}"} for end in ("x2x4z", "bcd4z")], {}, ""),  # of a DaemonSet
        ([{**POD, "pod": f"chat-predictor-0000{n}-deployment-7d9f8b6c5d-x2x4z"} for n in (1, 2)], {}, ""),
        # A cluster of Ray, also while another one takes over; two of them are two.
        ([{**POD, "pod": f"{RAY}-{part}-x2x4z"} for part in ("head", "worker-gpu-group", "worker-default")], {}, ""),
        ([{**POD, "pod": f"{RAY}-{part}-x2x4z"} for part in ("head", "gpu-group-worker", "cpu-worker")], {}, ""),
        ([{**POD, "pod": f"chat-raycluster-{part}-head-x2x4z"} for part in ("bcdfg", "z2z4z")], {}, ""),
        ([{**POD, "pod": f"{part}-x2x4z"} for part in ("chat-head", "embed-head", "chat-worker-a")], {}, "2 workloads"),
        ([{**POD, "pod": f"{part}-x2x4z"} for part in ("chat-head", "chat-tokenizer")], {}, "2 workloads"),
        ([{**POD, "pod": f"chat-worker-{part}-x2x4z"} for part in ("embed", "rerank")], {}, "2 workloads"),
        ([{**POD, "prometheus_replica": name} for name in ("p-0", "p-1")], {}, "add prometheus_replica"),
        (
            [{**POD, "job": name} for name in ("pods", "services")],
            {},
            "several jobs scraped of the same replicas; add job",
        ),
        ([{**POD, "job": "a"}, {**POD, "job": "b", "instance": "a:2"}], {}, ""),
        ([{**POD, "pod": f"chat-{name[-1]}", "prometheus_replica": name} for name in ("p-0", "p-1")], {}, ""),  # shards
    ],
)
def test_labels_that_select_more_than_one_endpoint_are_too_wide(
    rows: list[dict[str, str]], labels: dict[str, str], words: str
) -> None:
    with serving(api(["vllm:num_requests_waiting"], rows)) as server:
        observation, _ = seen(server, labels={"job": "x", **labels})
    assert (observation.get("error") == "ambiguous", words in observation.get("why", "")) == (bool(words), True)


@pytest.mark.parametrize(
    ("hint", "ambiguous"),
    [("chat", True), ("embed", False), ("", False), ("Embed", False), ("acme/embed", False), ("acme/embed-2", True)],
)
def test_the_only_model_that_a_proxy_was_asked_for_may_be_another(hint: str, ambiguous: bool) -> None:
    with serving(api(["litellm_output_tokens_metric_total"], [{"requested_model": "embed", "model": "x"}])) as server:
        observation, _ = seen(server, labels={"job": "x"}, model_hint=hint)
    assert (observation.get("error") == "ambiguous") is ambiguous
    assert ("requests for embed only" in observation.get("why", "")) is ambiguous


@pytest.mark.parametrize(("ran", "unchecked"), [(1030, 1), (1003, 0), (1100, 0)])
def test_a_pod_that_is_ready_as_soon_as_it_runs_has_no_readiness_probe(ran: int, unchecked: int) -> None:
    """Of two containers the last began at ``ran``, or again later; the pod was accepted at 1000 and ready at 1030."""
    values = {"start": [1000], "ready": [1030], "ran": [1002, ran], "window": [500]}

    def handle(request: Request) -> None:
        url = urlsplit(request.path)
        query = parse_qs(url.query).get("query", [""])[0]
        pod = {"namespace": "llm", "pod": "chat-0", "instance": "a:1"}
        rows = [{"metric": pod, "value": [1, "0"]}] if "count by" in query else []
        if "kube_pod_start_time" in query:
            found = ((key, value) for key, several in values.items() for value in several)
            rows = [
                {"metric": {**pod, "container": str(value), "preflight": key}, "value": [1, str(value)]}
                for key, value in found
            ]
        data: Any = {"resultType": "vector", "result": rows}
        if url.path.endswith("/values"):
            data = ["vllm:num_requests_waiting"]
        request.reply(200, {"status": "success", "data": data})

    with serving(handle) as server:
        observation, _ = observe(
            "prometheus.cold-start", Target("m", "http://10.9.9.9", prometheus_url=server.url, labels={"a": "b"})
        )
    assert (observation["pods"], observation["unchecked"]) == ([30.0], unchecked)


@pytest.mark.parametrize(
    ("job", "verdict"),
    [
        ("dcgm-exporter", C),
        ("serviceMonitor/gpu-operator/nvidia-dcgm-exporter/0", C),
        ("gpu-metrics", C),
        ("nvidia_gpu_exporter", C),
        ("gpu", C),
        ("monitoring/rocm", C),
        ("serviceMonitor/llm/gpu-metrics/0", C),
        ("gpu-minimal-exporter", C),
        ("vllm-stack-dcgm-exporter", C),
        ("llm-gpu-batch", I),
        ("vllm-gpu", I),
        ("chat-gpu", I),
        ("triton-nvidia-metrics", I),
        ("nvidia-nim-metrics", I),
        ("llm-gpu-pool-metrics", I),
        ("serviceMonitor/gpu-monitoring/chat/0", I),
        ("podMonitor/monitoring/vllm-gpu/0", I),
        ("nvidia-nim-chat", I),
        ("vllm-gaudi-canary", I),
    ],
)
def test_only_what_is_named_like_a_gpu_exporter_is_missed_when_it_is_down(job: str, verdict: str) -> None:
    target = {"scrapeUrl": "http://10.9.9.8:9400/metrics", "labels": {"job": job}, "scrapePool": job, "health": "down"}
    with serving(api(["vllm:num_requests_waiting"], [], [target])) as server:
        observation, _ = observe(
            "prometheus.gpu", Target("m", "http://10.9.9.9", prometheus_url=server.url, labels={"a": "b"})
        )
    assert judged("prometheus.gpu", {"dashboard_url": "http://g/d/x"}, observation).verdict == verdict


@pytest.mark.parametrize(("replicas", "source"), [("3", "kube_deployment_status_replicas"), ("0", "")])
def test_a_deployment_kept_at_zero_is_not_what_runs_the_pods(replicas: str, source: str) -> None:
    """Argo Rollouts takes the pods' template from a Deployment without replicas."""

    def handle(request: Request) -> None:
        url = urlsplit(request.path)
        query = parse_qs(url.query).get("query", [""])[0]
        pod = {"namespace": "llm", "pod": "chat-7d9f8b6c5d-x2x4z", "instance": "a:1"}
        rows: list[Any] = [{"metric": pod, "value": [1, "0"]}] if query.startswith("count by (model_name") else []
        if url.path.endswith("_range") and "statefulset" not in query:
            value = replicas if "kube_deployment" in query else "2"
            rows = [{"metric": {}, "values": [[at, value] for at in range(300, 3000, 300)]}]
        kind = "matrix" if url.path.endswith("_range") else "vector"
        data: Any = {"resultType": kind, "result": rows}
        if url.path.endswith("/values"):
            data = ["vllm:num_requests_waiting"]
        request.reply(200, {"status": "success", "data": data})

    with serving(handle) as server:
        observation, _ = observe(
            "prometheus.replicas", Target("m", "http://10.9.9.9", prometheus_url=server.url, labels={"a": "b"})
        )
    assert (observation["from"], observation["max"]) == (source, float(replicas) or 2.0)


def test_requests_that_failed_are_load_but_no_throughput() -> None:
    steps = [at * 300.0 for at in range(10 * PER_DAY)]
    seen = {"load": summaries({"requests": dict.fromkeys(steps, 50.0), "failed": dict.fromkeys(steps, 40.0)})}
    assert judged("prometheus.throughput", {"value": 40, "unit": "queries_per_second"}, seen).verdict == I
    assert judged("prometheus.throughput", {"value": 10, "unit": "queries_per_second"}, seen).verdict == V
    assert judged("prometheus.load-profile", {"peak": 40, "unit": "requests_per_second"}, seen).verdict == I


@pytest.mark.parametrize("stack", ["litellm", "vllm"])
def test_only_who_counts_all_requests_is_asked_which_failed(stack: str) -> None:
    def handle(request: Request) -> None:
        url = urlsplit(request.path)
        kind = "matrix" if url.path.endswith("_range") else "vector"
        data: Any = {"resultType": kind, "result": []}
        if url.path.endswith("/values"):
            data = list(STACKS[stack].metrics)
        request.reply(200, {"status": "success", "data": data})

    with serving(handle) as server:
        observe("prometheus.throughput", Target("main", "", prometheus_url=server.url, labels={"job": "x"}))
        queries = [parse_qs(urlsplit(request.path).query).get("query", [""])[0] for request in server.seen]
    assert any("rate(litellm_proxy_failed" in query for query in queries) == (stack == "litellm")
