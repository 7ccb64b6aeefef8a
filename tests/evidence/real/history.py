"""A past for a real Prometheus: what a small cluster would have been scraped for, written into its storage at once.

Names and labels as vLLM 0.11, dcgm-exporter 4.2, kube-state-metrics 2.15 and LiteLLM 1.8x export them, read from their
sources; the numbers are ours, so that every verdict is known. Workloads of the namespace ``llm``:

- ``chat``: a replica of two H100 for a week and a second one for five hours; busy an hour a day with a queue,
  healthy from the first request on, scaled on its queue.
- ``slow``: one replica, five hours old; slow and faulty in its first quarter of an hour, scaled by nothing.
- ``proxy``: LiteLLM, which counts what it spends.
"""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from tests.evidence.real.programs import program

Values = Callable[[float], float]
DAY, HOUR = 86_400, 3_600
AGE, YOUNG = 7.5 * DAY, 5 * HOUR
AHEAD = HOUR / 2  # so that the tests, however slow, always ask about a time that has values
DIGESTS = {"chat": f"sha256:{'c' * 64}", "slow": f"sha256:{'5' * 64}"}  # of the images they run
FIRST_TOKEN, WHOLE = "vllm:time_to_first_token_seconds", "vllm:e2e_request_latency_seconds"
# Shares of requests at or under each bound.
FAST = {"0.1": 0.0, "0.25": 0.6, "0.5": 0.96, "1.0": 1.0, "2.5": 1.0, "+Inf": 1.0}
SLOW = {"0.1": 0.0, "0.25": 0.0, "0.5": 0.0, "1.0": 0.0, "2.5": 1.0, "+Inf": 1.0}
LENGTHS = {"1.0": 0.2, "2.5": 0.9, "5.0": 1.0, "10.0": 1.0, "60.0": 1.0, "+Inf": 1.0}


class Past:
    """Collects series and writes them as the blocks of a Prometheus storage."""

    def __init__(self, now: float) -> None:
        self.now = now // 60 * 60
        self.lines: list[str] = []

    def gauge(
        self, name: str, labels: Mapping[str, str], value: Values | float, *, age: float = HOUR, step: int = 240
    ) -> None:
        """A series of the last ``age`` seconds; ``value`` is a number or a function of the time."""
        head = name + "{" + ",".join(f'{key}="{text}"' for key, text in labels.items()) + "}"
        for at in self._times(age, step):
            self.lines.append(f"{head} {value(at) if callable(value) else value:.10g} {at}")

    def counter(
        self,
        name: str,
        labels: Mapping[str, str],
        rate: Values | float,
        *,
        age: float,
        step: int = 240,
        restarted: float = 0.0,
    ) -> None:
        """The same for a counter, from its rate per second; it begins at zero, and again where it ``restarted``."""
        total, before = 0.0, self.now - age

        def grown(at: float) -> float:
            nonlocal total, before
            if before < restarted <= at:
                total, before = 0.0, restarted
            total += (rate(at) if callable(rate) else rate) * (at - before)
            before = at
            return total

        self.gauge(name, labels, grown, age=age, step=step)

    def histogram(
        self,
        name: str,
        labels: Mapping[str, str],
        rate: Values,
        shares: Callable[[float], Mapping[str, float]],
        *,
        age: float,
        step: int,
    ) -> None:
        """Buckets and count of requests that come at a rate, spread over the bounds by their shares at that time."""
        for bound in shares(self.now):
            self.counter(
                f"{name}_bucket",
                {**labels, "le": bound},
                lambda at, bound=bound: rate(at) * shares(at)[bound],
                age=age,
                step=step,
            )
        self.counter(f"{name}_count", labels, rate, age=age, step=step)

    def write(self, storage: Path) -> None:
        """Into the storage directory of a Prometheus that does not run."""
        tool = str(Path(program("prometheus")).with_name("promtool"))
        storage.mkdir()
        text = storage.parent / "past.txt"
        text.write_text("\n".join([*self.lines, "# EOF", ""]))
        # It reads the whole text again for every block, which spans two hours unless more is allowed.
        blocks = ("create-blocks-from", "--max-block-duration=500h", "openmetrics")
        subprocess.run([tool, "tsdb", *blocks, str(text), str(storage)], check=True, capture_output=True, timeout=300)

    def _times(self, age: float, step: int) -> Iterator[int]:
        at = self.now - age
        while at <= self.now + AHEAD:
            yield int(at)
            at += step


def busy_hour(now: float) -> Callable[[float], bool]:
    """One hour a day, the last of them six hours back at its end."""
    return lambda at: (now - 7 * HOUR - at) % DAY >= DAY - HOUR


def small_cluster() -> Past:
    """The past described above, ending now."""
    past = Past(time.time())
    busy = busy_hour(past.now)
    for pod, age, step in (("chat-7d9f8b6c5d-x2x4z", AGE, 150), ("chat-7d9f8b6c5d-k9p7q", YOUNG, 150)):
        _vllm(past, "chat", pod, age, step, lambda at: 5.0 if busy(at) else 1.0, lambda at: 3.0 if busy(at) else 0.0)
    _vllm(past, "slow", "slow-5c6b7d8f9-bcdfg", YOUNG, 150, lambda at: 1.0, lambda at: 0.0, troubled=True)
    for number, (pod, age) in enumerate(
        (("chat-7d9f8b6c5d-x2x4z", AGE), ("chat-7d9f8b6c5d-k9p7q", YOUNG), ("slow-5c6b7d8f9-bcdfg", YOUNG))
    ):
        _hardware(past, pod, f"node-{number}", age)
    _kubernetes(past)
    proxy = {"job": "proxy", "instance": "10.0.0.9:4000", "model": "house-chat"}
    past.counter("litellm_spend_metric_total", proxy, 0.001, age=DAY)
    past.counter("litellm_input_tokens_metric_total", proxy, 300.0, age=DAY)
    past.counter("litellm_output_tokens_metric_total", proxy, 100.0, age=DAY)
    past.counter("litellm_proxy_total_requests_metric_total", proxy, 1.0, age=DAY)
    limited = {"exception_class": "RateLimitError", "exception_status": "429"}
    past.counter("litellm_proxy_failed_requests_metric_total", {**proxy, **limited}, 0.01, age=DAY)
    return past


def _vllm(
    past: Past, job: str, pod: str, age: float, step: int, rate: Values, waiting: Values, *, troubled: bool = False
) -> None:
    began = past.now - age
    address = {"chat-7d9f8b6c5d-x2x4z": "10.0.0.1:8000", "chat-7d9f8b6c5d-k9p7q": "10.0.0.2:8000"}
    labels = {"job": job, "namespace": "llm", "pod": pod, "instance": address.get(pod, "10.0.0.3:8000")}
    model = {**labels, "model_name": job}
    cold: Callable[[float], bool] = lambda at: troubled and at < began + 900  # noqa: E731
    past.counter("vllm:generation_tokens_total", model, lambda at: 200 * rate(at), age=age, step=step)
    past.counter("vllm:prompt_tokens_total", model, lambda at: 400 * rate(at), age=age, step=step)
    past.counter("vllm:request_success_total", {**model, "finished_reason": "stop"}, rate, age=age, step=step)
    past.gauge("vllm:num_requests_running", model, lambda at: 4 * rate(at), age=age, step=300)
    past.gauge("vllm:num_requests_waiting", model, waiting, age=age, step=300)
    sparse = 1800 if age > DAY else step
    past.gauge("vllm:kv_cache_usage_perc", model, 0.4, age=HOUR)
    past.histogram(FIRST_TOKEN, model, rate, lambda at: SLOW if cold(at) else FAST, age=age, step=sparse)
    past.histogram(WHOLE, model, rate, lambda at: LENGTHS, age=age, step=sparse)
    answered = {**labels, "handler": "/v1/chat/completions", "method": "POST"}
    past.counter("http_requests_total", {**answered, "status": "2xx"}, rate, age=age, step=sparse)
    past.counter("http_requests_total", {**answered, "status": "4xx"}, 0.01, age=age, step=sparse)
    faults: Values = lambda at: 0.5 * rate(at) if cold(at) else 0.0  # noqa: E731
    past.counter("http_requests_total", {**answered, "status": "5xx"}, faults, age=age, step=sparse)


def _hardware(past: Past, pod: str, node: str, age: float) -> None:
    moved = "exported_" if pod.startswith("slow") else ""
    exporter = {"job": "dcgm-exporter", "instance": f"{node}:9400", "Hostname": node}
    if moved:
        exporter |= {"namespace": "gpu-operator", "pod": f"dcgm-{node}"}
    for gpu in ("0", "1"):
        labels = {
            **exporter,
            "gpu": gpu,
            "UUID": f"GPU-{node}-{gpu}",
            "modelName": "NVIDIA H100 80GB HBM3",
            f"{moved}namespace": "llm",
            f"{moved}pod": pod,
            f"{moved}container": "server",
        }
        past.gauge("DCGM_FI_DEV_GPU_UTIL", labels, 50, age=age, step=300)
        past.gauge("DCGM_FI_DEV_FB_USED", labels, 71_680, age=age, step=300)  # 70 GiB
    kube = {"job": "kube-state-metrics", "instance": "10.0.0.8:8080"}
    of_pod = {**kube, "namespace": "llm", "pod": pod, "uid": pod[-5:]}
    past.gauge("kube_pod_info", {**of_pod, "node": node, "created_by_kind": "ReplicaSet"}, 1)
    workload = pod.partition("-")[0]
    image = f"registry.example/llm/{workload}"
    held = {"container": "server", "image": f"{image}:1", "image_id": f"{image}@{DIGESTS[workload]}"}
    past.gauge("kube_pod_container_info", {**of_pod, **held}, 1)
    kind = {"label_node_kubernetes_io_instance_type": "p5.48xlarge", "label_pool": "gpu"}
    past.gauge("kube_node_labels", {**kube, "node": node, **kind}, 1)
    began = past.now - age
    past.gauge("kube_pod_start_time", of_pod, began - 90, age=age - 60, step=300)
    past.gauge("kube_pod_status_ready_time", of_pod, began, age=age - 60, step=300)
    asked = {"container": "server", "resource": "nvidia_com_gpu", "unit": "integer"}
    past.gauge("kube_pod_container_resource_requests", {**of_pod, **asked}, 2)


def _kubernetes(past: Past) -> None:
    kube = {"job": "kube-state-metrics", "instance": "10.0.0.8:8080", "namespace": "llm"}
    young: Values = lambda at: 2 if at >= past.now - YOUNG else 1  # noqa: E731
    past.gauge("kube_deployment_status_replicas", {**kube, "deployment": "chat"}, young, age=AGE, step=300)
    past.gauge("kube_deployment_status_replicas", {**kube, "deployment": "slow"}, 1, age=YOUNG, step=300)
    scaler = {**kube, "horizontalpodautoscaler": "chat"}
    target = {"scaletargetref_kind": "Deployment", "scaletargetref_name": "chat"}
    past.gauge("kube_horizontalpodautoscaler_info", {**scaler, **target}, 1)
    past.gauge("kube_horizontalpodautoscaler_spec_min_replicas", scaler, 1)
    past.gauge("kube_horizontalpodautoscaler_spec_max_replicas", scaler, 4)
    metric = {"metric_name": "vllm_num_requests_waiting", "metric_target_type": "average"}
    past.gauge("kube_horizontalpodautoscaler_spec_target_metric", {**scaler, **metric}, 4)
