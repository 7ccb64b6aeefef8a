"""A past of every serving stack for a real Prometheus: the same known days in the names that each of them exports.

Names and labels as each stack's own table and recording have them; what a stack does not count of its answers, the mesh
in front of it does (Istio merges its counters into the page of the pod, so they carry the same job). The numbers are
ours. Each stack has three jobs, of one pod each:

- ``vllm``, to take one, on two H100 for seven and a half days: one request per second, and three and a half days ago an
  hour of a load test with twenty and a queue; started anew five hours ago, fast from the first request on; scaled,
  rolled out as a canary, with some answers that were no good.
- ``vllm-cold``: five hours old; slow and faulty in its first quarter of an hour, and nothing tells of its GPUs.
- ``vllm-idle``: an hour old and never asked for anything.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial

from tests.evidence.real.history import AGE, DAY, FAST, HOUR, LENGTHS, SLOW, YOUNG, Past, Values

BUSY, COLD, IDLE = "", "-cold", "-idle"
TESTED = 3.5 * DAY  # how long ago the load test was
CAME = 20 * HOUR  # and the new version
USUAL, TEST = 1.0, 20.0  # requests per second
PROMPT, ANSWER = 400, 200  # tokens of a request
AT_ONCE = 4  # requests in flight for each per second
Shares = Callable[[float], Mapping[str, float]]
BATCHES = {"32": 0.5, "64": 0.9, "128": 1.0, "+Inf": 1.0}
MESH = ("istio_requests_total", "response_code")


@dataclass(frozen=True)
class Names:
    """What a stack calls things; empty for what it does not export. ``model``: the label that names the model.

    ``failures``: its counter of failures and the label that says which; ``bad``, ``fault``: its words for a request
    that was wrong and for a fault of its own.
    """

    running: str = ""
    waiting: str = ""
    batch: str = ""
    batches: str = ""  # a histogram of their sizes
    prompt: str = ""
    generation: str = ""
    generated: str = ""  # a histogram of tokens per answer
    requests: str = ""
    finished: Mapping[str, str] = field(default_factory=dict)
    first: str = ""
    whole: str = ""
    in_ms: bool = False
    cache: str = ""
    spend: str = ""
    model: str = ""
    failures: tuple[str, str] = MESH
    bad: str = "400"
    fault: str = "500"

    def exported(self) -> set[str]:
        """The names of what the stack exports itself."""
        told = (
            self.running,
            self.waiting,
            self.batch,
            self.batches,
            self.prompt,
            self.generation,
            self.generated,
            self.requests,
        )
        return {*told, self.first, self.whole, self.cache, self.spend} - {""}


VLLM = Names(
    running="num_requests_running",
    waiting="num_requests_waiting",
    prompt="prompt_tokens_total",
    generation="generation_tokens_total",
    requests="request_success_total",
    finished={"finished_reason": "stop"},
    first="time_to_first_token_seconds",
    whole="e2e_request_latency_seconds",
    cache="kv_cache_usage_perc",
    model="model_name",
)


def prefixed(prefix: str, names: Names) -> Names:
    own = ("running", "waiting", "prompt", "generation", "requests", "first", "whole", "cache")
    return replace(names, **{key: prefix + getattr(names, key) for key in own})


STACK_NAMES: dict[str, Names] = {
    "vllm": prefixed("vllm:", VLLM),
    "sglang": Names(
        running="sglang:num_running_reqs",
        waiting="sglang:num_queue_reqs",
        prompt="sglang:prompt_tokens_total",
        generation="sglang:generation_tokens_total",
        requests="sglang:num_requests_total",
        first="sglang:time_to_first_token_seconds",
        whole="sglang:e2e_request_latency_seconds",
        cache="sglang:token_usage",
        model="model_name",
    ),
    "tgi": Names(
        waiting="tgi_queue_size",
        batch="tgi_batch_current_size",
        generated="tgi_request_generated_tokens",
        requests="tgi_request_success",
        whole="tgi_request_duration",
        failures=("tgi_request_failure", "err"),
        bad="validation",
        fault="generation",
    ),
    "tei": Names(
        waiting="te_queue_size",
        batches="te_batch_next_size",
        requests="te_request_success",
        finished={"method": "single"},
        whole="te_request_duration",
        failures=("te_request_failure", "err"),
        bad="validation",
        fault="inference",
    ),
    "ollama": Names(),
    "llamacpp": Names(
        running="llamacpp:requests_processing",
        waiting="llamacpp:requests_deferred",
        prompt="llamacpp:prompt_tokens_total",
        generation="llamacpp:tokens_predicted_total",
        cache="llamacpp:kv_cache_usage_ratio",
    ),
    "nim": replace(VLLM, cache="gpu_cache_usage_perc"),
    "litellm": Names(
        prompt="litellm_input_tokens_metric_total",
        generation="litellm_output_tokens_metric_total",
        requests="litellm_proxy_total_requests_metric_total",
        first="litellm_llm_api_time_to_first_token_metric",
        whole="litellm_request_total_latency_metric",
        spend="litellm_spend_metric_total",
        model="model",  # of its failures only the mesh tells: as a gateway it might count those of the others here
    ),
    "kserve": Names(
        waiting="nv_inference_pending_request_count",
        requests="nv_inference_request_success",
        first="nv_inference_first_response_histogram_ms",
        in_ms=True,
        cache="nv_cache_num_hits_per_model",
        model="model",
        failures=("nv_inference_request_failure", "reason"),
        bad="OTHER",
        fault="BACKEND",
    ),
    "rayserve": replace(
        prefixed("ray_vllm_", VLLM), failures=("ray_serve_num_http_error_requests_total", "error_code")
    ),
    "torchserve": Names(requests="ts_inference_requests_total"),
    "comfyui": Names(),
    "speaches": Names(),
    "llamacpp_python": Names(),
    "openai": Names(
        first="gen_ai_server_time_to_first_token_seconds",
        whole="gen_ai_server_request_duration_seconds",
        failures=("gen_ai_server_request_duration_seconds_count", "error_type"),
    ),
}


def every_stack() -> Past:
    """The past described above, ending now."""
    past = Past(time.time())
    for number, stack in enumerate(STACK_NAMES):
        _busy(past, stack, number)
        _cold(past, stack, number)
        _idle(past, stack, number)
    return past


def pod_of(stack: str, variant: str = BUSY) -> str:
    """The name of its pod: stateful, so that it keeps its name when it starts anew."""
    return f"{stack.replace('_', '-')}{variant}-v2-0"


def counted_by(stack: str) -> str:
    """A counter that moves whenever the endpoint is used."""
    names = STACK_NAMES[stack]
    return names.generation or names.requests or (f"{names.whole}_count" if names.whole else MESH[0])


def _labels(stack: str, variant: str, number: int) -> dict[str, str]:
    place = {BUSY: 1, COLD: 2, IDLE: 3}[variant]
    where = {"job": f"{stack}{variant}", "namespace": "llm", "pod": pod_of(stack, variant)}
    return {**where, "instance": f"10.{place}.0.{number}:8000"}


def _busy(past: Past, stack: str, number: int) -> None:
    names, labels = STACK_NAMES[stack], _labels(stack, BUSY, number)
    began = past.now - YOUNG
    tested: Values = lambda at: past.now - TESTED <= at < past.now - TESTED + HOUR  # noqa: E731
    rate: Values = lambda at: TEST if tested(at) else USUAL  # noqa: E731
    _counters(past, names, labels, rate, age=AGE, restarted=began)
    _gauges(past, names, labels, rate, lambda at: 3.0 if tested(at) else 0.0, age=AGE)
    _histograms(past, names, labels, lambda at: USUAL, lambda at: FAST, age=YOUNG)
    counter, label = names.failures
    _failing(past, counter, labels, {label: names.bad}, lambda at: 0.01)
    if counter != MESH[0]:
        _failing(past, counter, labels, {label: names.fault}, lambda at: 0.0)
    _mesh(past, stack, labels)
    _hardware(past, stack, labels["pod"], number, age=AGE if names.requests or names.generation else HOUR)
    _started(past, labels["pod"], began)
    _scaled(past, stack)
    if stack == "litellm":
        for guardrail, kind in (("presidio-pii", "HTTPException"), ("lakera", "Timeout")):
            runs = {**labels, "guardrail_name": guardrail}
            past.counter("litellm_guardrail_requests_total", {**runs, "status": "success"}, 1.0, age=HOUR)
            share = 0.9 if kind == "Timeout" else 0.1
            past.counter("litellm_guardrail_errors_total", {**runs, "error_type": kind}, share, age=HOUR)


def _cold(past: Past, stack: str, number: int) -> None:
    names, labels = STACK_NAMES[stack], _labels(stack, COLD, number)
    cold: Values = lambda at: at < past.now - YOUNG + 900  # noqa: E731
    _counters(past, names, labels, lambda at: USUAL, age=YOUNG)
    _gauges(past, names, labels, lambda at: USUAL, lambda at: 0.0, age=YOUNG)
    _histograms(past, names, labels, lambda at: USUAL, lambda at: SLOW if cold(at) else FAST, age=YOUNG)
    counter, label = names.failures
    _failing(past, counter, labels, {label: names.fault}, lambda at: 0.5 if cold(at) else 0.0)
    if stack == "sglang":
        for phase, seconds in (("load_weight", 12.0), ("scheduler_e2e", 48.0), ("tokenizer_e2e", 61.0)):
            past.gauge("sglang:startup_time_seconds", {**labels, "phase": phase}, seconds)


def _idle(past: Past, stack: str, number: int) -> None:
    names, labels = STACK_NAMES[stack], _labels(stack, IDLE, number)
    _counters(past, names, labels, lambda at: 0.0, age=HOUR)
    _gauges(past, names, labels, lambda at: 0.0, lambda at: 0.0, age=HOUR)
    _histograms(past, names, labels, lambda at: 0.0, lambda at: FAST, age=HOUR)
    past.counter(MESH[0], {**labels, "response_code": "200"}, 0.0, age=HOUR)


def _model(names: Names, labels: Mapping[str, str]) -> dict[str, str]:
    return {**labels, **({names.model: "chat"} if names.model else {})}


def _counters(
    past: Past, names: Names, labels: Mapping[str, str], rate: Values, *, age: float, restarted: float = 0.0
) -> None:
    of_model = _model(names, labels)
    for name, more, each in (
        (names.prompt, {}, PROMPT),
        (names.generation, {}, ANSWER),
        (names.requests, names.finished, 1),
        (names.generated and f"{names.generated}_sum", {}, ANSWER),
        (names.generated and f"{names.generated}_bucket", {"le": "+Inf"}, 1),
        (names.spend, {}, 0.001),
    ):
        if name:
            by = partial(_times, each, rate)
            past.counter(name, {**of_model, **more}, by, age=age, step=150, restarted=restarted)


def _times(each: float, rate: Values, at: float) -> float:
    return each * rate(at)


def _gauges(past: Past, names: Names, labels: Mapping[str, str], rate: Values, waiting: Values, *, age: float) -> None:
    of_model = _model(names, labels)
    in_flight: Values = lambda at: AT_ONCE * rate(at)  # noqa: E731
    for name, value in ((names.running, in_flight), (names.batch, in_flight), (names.waiting, waiting)):
        if name:
            past.gauge(name, of_model, value, age=age, step=300)
    if names.cache.endswith("_per_model"):
        past.counter(names.cache, of_model, lambda at: 0.1 * rate(at), age=HOUR)
    elif names.cache:
        past.gauge(names.cache, of_model, 0.4)


def _histograms(
    past: Past, names: Names, labels: Mapping[str, str], rate: Values, shares: Shares, *, age: float
) -> None:
    """``shares`` are those of the first token, or of whole requests where nothing else is told."""
    for name, told in ((names.first, shares), (names.whole, (lambda at: LENGTHS) if names.first else shares)):
        if name:
            past.histogram(name, _model(names, labels), rate, _in_ms(told) if names.in_ms else told, age=age, step=150)
    if names.batches:
        past.histogram(names.batches, _model(names, labels), rate, lambda at: BATCHES, age=age, step=150)


def _in_ms(shares: Shares) -> Shares:
    return lambda at: {
        bound if bound == "+Inf" else f"{float(bound) * 1000:g}": share for bound, share in shares(at).items()
    }


def _failing(past: Past, counter: str, labels: Mapping[str, str], kind: Mapping[str, str], rate: Values) -> None:
    past.counter(counter, {**labels, **kind}, rate, age=YOUNG, step=150)


def _mesh(past: Past, stack: str, labels: Mapping[str, str]) -> None:
    """What the sidecar counted: answers by status, and of which version, of which the second came as a canary."""
    workload = pod_of(stack).removesuffix("-0")
    service = {
        "destination_service": f"{stack}.llm.svc.cluster.local",
        "destination_workload_namespace": "llm",
        "reporter": "destination",
    }
    came = past.now - CAME
    new: Values = lambda at: 0.0 if at < came else 0.5 if at < came + 2 * HOUR else 5.0  # noqa: E731
    old: Values = lambda at: 10 - new(at)  # noqa: E731
    own = {**labels, **service, "destination_workload": workload}
    past.counter(MESH[0], {**own, "response_code": "200"}, new, age=1.5 * DAY)
    for status in ("400", "504"):
        past.counter(MESH[0], {**own, "response_code": status}, 0.01, age=HOUR)
    before = {"job": f"{stack}-v1", **service, "destination_workload": workload.replace("-v2", "-v1")}
    past.counter(MESH[0], {**before, "response_code": "200"}, old, age=1.5 * DAY)


def _hardware(past: Past, stack: str, pod: str, number: int, *, age: float) -> None:
    exporter = {"job": "dcgm-exporter", "instance": f"node-{number}:9400", "Hostname": f"node-{number}"}
    for gpu in ("0", "1"):
        labels = {
            **exporter,
            "gpu": gpu,
            "UUID": f"GPU-{number}-{gpu}",
            "modelName": "NVIDIA H100 80GB HBM3",
            "namespace": "llm",
            "pod": pod,
            "container": "server",
        }
        past.gauge("DCGM_FI_DEV_GPU_UTIL", labels, 50, age=age, step=300)
        past.gauge("DCGM_FI_DEV_FB_USED", labels, 71_680)  # 70 GiB
        if stack == "kserve":  # Triton tells of its GPUs itself too
            own = {**_labels(stack, BUSY, number), "gpu_uuid": f"GPU-{number}-{gpu}"}
            past.gauge("nv_gpu_utilization", own, 0.5, age=age, step=300)
            past.gauge("nv_gpu_memory_used_bytes", own, 70 * 2**30)
    kube = {"job": "kube-state-metrics", "instance": "10.0.0.8:8080"}
    of_pod = {**kube, "namespace": "llm", "pod": pod, "uid": f"uid-{number}"}
    past.gauge("kube_pod_info", {**of_pod, "node": f"node-{number}", "created_by_kind": "StatefulSet"}, 1)
    kind = {"label_node_kubernetes_io_instance_type": "p5.48xlarge", "label_pool": "gpu"}
    past.gauge("kube_node_labels", {**kube, "node": f"node-{number}", **kind}, 1)
    asked = {"container": "server", "resource": "nvidia_com_gpu", "unit": "integer"}
    past.gauge("kube_pod_container_resource_requests", {**of_pod, **asked}, 2)


def _started(past: Past, pod: str, began: float) -> None:
    of_pod = {"job": "kube-state-metrics", "instance": "10.0.0.8:8080", "namespace": "llm", "pod": pod}
    past.gauge("kube_pod_start_time", of_pod, began - 90)
    past.gauge("kube_pod_status_ready_time", of_pod, began)


def _scaled(past: Past, stack: str) -> None:
    """Scaled on its queue if it tells one, else by KEDA on a schedule."""
    kube = {"job": "kube-state-metrics", "instance": "10.0.0.8:8080", "namespace": "llm"}
    workload = pod_of(stack).removesuffix("-0")
    past.gauge("kube_statefulset_status_replicas", {**kube, "statefulset": workload}, 1, age=AGE, step=300)
    queued = STACK_NAMES[stack].waiting
    name = workload if queued else f"keda-hpa-{workload}"
    scaler = {**kube, "horizontalpodautoscaler": name}
    target = {"scaletargetref_kind": "StatefulSet", "scaletargetref_name": workload}
    past.gauge("kube_horizontalpodautoscaler_info", {**scaler, **target}, 1)
    past.gauge("kube_horizontalpodautoscaler_spec_min_replicas", scaler, 1)
    past.gauge("kube_horizontalpodautoscaler_spec_max_replicas", scaler, 4)
    metric = queued.replace(":", "_") or "s0-cron-Europe-Berlin-08xx1-5-018xx1-5"
    past.gauge("kube_horizontalpodautoscaler_spec_target_metric", {**scaler, "metric_name": metric}, 4)
    if not queued:
        keda = {"job": "keda", "namespace": "llm", "scaledObject": workload, "scaler": "cronScaler", "metric": metric}
        past.gauge("keda_scaler_metrics_value", keda, 1)
