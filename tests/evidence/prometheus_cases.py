"""What each probe of a Prometheus server may see, what is claimed, and what that comes to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from checklists.evidence.probes import PROBES, Judgement
from checklists.evidence.probes.prometheus.load import PER_DAY

HEAD = {"where": 'Prometheus at http://p:9090, {job="chat"}', "stack": "vllm", "window": "in the last 7 days"}
V, C, I = "verified", "contradicted", "inconclusive"  # noqa: E741
Case = tuple[Mapping[str, Any], Mapping[str, Any], str, str]


def judged(
    key: str, claims: Mapping[str, Any], seen: Mapping[str, Any], others: Mapping[str, Any] | None = None
) -> Judgement:
    probe = PROBES[key]
    return probe.judge(probe.items[0], claims, {**HEAD, **seen}, others or {})


def histogram(*counts: float) -> dict[str, Any]:
    """Cumulative counts at 0.1, 0.25, 0.5, 1, 2.5 seconds and beyond."""
    return {"name": "h", "bounds": [0.1, 0.25, 0.5, 1.0, 2.5], "counts": list(counts)}


def load(unit: str, high: bool = True, **summary: Any) -> dict[str, Any]:
    row = {"steps": 10 * PER_DAY, "mean": 1.0, "max": 5.0, "at": 1.7e9, "busy_steps": 0, "busy_max": None, **summary}
    row = {"mean_of_all": row["mean"], **row}
    return {unit: {"low": row, "high": row if high else None}}


FIRST = {"phase": "first_token", "p95_ms": 500}
LATENCY: list[Case] = [
    (
        FIRST,
        {"histograms": {"first_token_seconds": histogram(0, 50, 96, 100, 100, 100)}},
        V,
        "100 samples of h in the last",
    ),
    (
        {**FIRST, "p95_ms": 200},
        {"histograms": {"first_token_seconds": histogram(0, 50, 96, 100, 100, 100)}},
        C,
        "between 250 and 500",
    ),
    (
        {**FIRST, "p95_ms": 300},
        {"histograms": {"first_token_seconds": histogram(0, 50, 96, 100, 100, 100)}},
        I,
        "too coarse",
    ),
    (FIRST, {"histograms": {"first_token_seconds": histogram(0, 9, 19, 19, 19, 19)}}, I, "Only 19 samples"),
    (FIRST, {"histograms": {}}, I, "no histogram for first token"),
    (
        {**FIRST, "p50_ms": 500, "p95_ms": 0},
        {"histograms": {"first_token_seconds": histogram(0, 50, 96, 100, 100, 100)}},
        I,
        "The goal for p95 is no time",
    ),
    ({}, {"histograms": {}}, I, "Nothing is claimed"),
    (FIRST, {"error": "empty", "why": "No series."}, I, "No series."),
]
PHASES = {
    "first_token_seconds": {"name": "vllm:ttft", "samples": 30},
    "queue_seconds": {"name": "vllm:q", "samples": 0},
}
PRESENT: list[Case] = [
    ({"phases": ["first_token"]}, {"meanings": PHASES}, V, "30 at least"),
    ({"phases": ["first_token", "decode"]}, {"meanings": PHASES}, C, "no series for decode"),
    ({"phases": ["queue"]}, {"meanings": PHASES}, I, "queue has no samples yet"),
    ({"phases": ["queue"]}, {"meanings": PHASES, "stack": ""}, I, "none of the names is known"),
    ({}, {"meanings": PHASES}, I, "Nothing is claimed"),
]
TOKENS = {"value": 900, "unit": "tokens_per_second"}
THROUGHPUT: list[Case] = [
    (TOKENS, {"load": load("tokens", max=1000.0)}, V, "At its peak 1000 tokens/s (2023-11-14 22:13 UTC)"),
    (TOKENS, {"load": load("tokens", max=800.0, busy_steps=3, busy_max=700.0)}, C, "(15 minutes in all), at most 700"),
    (TOKENS, {"load": load("tokens", max=800.0, busy_steps=2, busy_max=700.0)}, I, "idle is not slow"),
    (TOKENS, {"load": load("tokens", high=False, max=800.0, busy_steps=9, busy_max=700.0)}, I, "idle is not slow"),
    (TOKENS, {"load": load("tokens", max=0.0)}, I, "nobody asked"),
    (TOKENS, {"load": {}}, I, "no samples of tokens"),
    ({"value": 5, "unit": "queries_per_second"}, {"load": load("requests", max=5.0)}, V, "5 requests/s"),
    (
        {"value": 5, "unit": "images_per_second"},
        {"load": load("images", max=9.0), "family": "llm"},
        I,
        "only a diffusion",
    ),
    (
        {"value": 5, "unit": "images_per_second"},
        {"load": load("images", False, max=9.0), "family": "diffusion"},
        V,
        "9 images/s",
    ),
    ({}, {"load": load("requests")}, I, "Seen: 5 requests/s at its peak"),
]
PEAK = {"peak": 6, "steady": 2, "unit": "requests_per_second"}
PROFILE: list[Case] = [
    (PEAK, {"load": load("requests")}, V, "At its peak 5 requests/s"),
    ({**PEAK, "peak": 4}, {"load": load("requests")}, C, "The load reached 5 requests/s"),
    ({**PEAK, "steady": 0.5}, {"load": load("requests")}, C, "The mean load was 1 requests/s"),
    ({**PEAK, "steady": 0}, {"load": load("requests")}, C, "The mean load was 1 requests/s"),
    ({**PEAK, "steady": 0.5}, {"load": load("requests", mean_of_all=0.4)}, I, "which was not all the time"),
    (PEAK, {"load": load("requests", steps=6 * PER_DAY)}, I, "7 days are needed"),
    ({**PEAK, "peak": 4}, {"load": load("requests", steps=PER_DAY)}, C, "more than assumed"),
    (PEAK, {"load": load("requests", max=0.0, mean=0.0)}, I, "nobody asked"),
    (
        {"peak": 400, "unit": "images_per_minute"},
        {"load": load("images", False), "family": "diffusion"},
        I,
        "only a part",
    ),
    (
        {"peak": 200, "unit": "images_per_minute"},
        {"load": load("images", False), "family": "diffusion"},
        C,
        "reached 300 images/min",
    ),
    ({"peak": 8, "unit": "concurrent_requests"}, {"load": load("running")}, V, "5 requests at once"),
    (PEAK, {"load": {}}, I, "no samples of requests"),
    ({}, {"load": {}}, I, "Nothing is claimed"),
]
SUMS = {"spend": 10.0, "generation": 2000.0, "prompt": 8000.0, "requests": 100.0}
CHEAP = {"cost": 6, "per": "thousand_tokens", "currency": "usd"}
COST: list[Case] = [
    (CHEAP, {"sums": SUMS}, V, "10 USD were spent on 2000 tokens: 5 USD per 1,000 tokens"),
    ({**CHEAP, "cost": 0.9}, {"sums": SUMS}, C, "5 USD per 1,000 tokens"),
    ({**CHEAP, "cost": 3}, {"sums": SUMS}, I, "Counted otherwise it is less"),
    ({**CHEAP, "currency": "EUR"}, {"sums": SUMS}, I, "counts in US dollars"),
    ({"cost": 6, "per": "thousand_tokens"}, {"sums": SUMS}, I, "names no currency"),
    ({"cost": 0.1, "per": "request", "currency": "USD"}, {"sums": SUMS}, V, "0.1 USD per request"),
    ({"cost": 99, "per": "thousand_requests", "currency": "USD"}, {"sums": SUMS}, C, "100 USD per 1,000 requests"),
    (CHEAP, {"sums": {"spend": 10.0}}, I, "counts no tokens"),
    (CHEAP, {"sums": {}}, I, "no spend is exported, and no price is claimed"),
    ({}, {"sums": SUMS}, I, "Nothing is claimed"),
]
MEMORY = {
    "name": "DCGM_FI_DEV_FB_USED",
    "unit": "MiB",
    "own": True,
    "upper": 71680.0,
    "lower": 70656.0,
    "requests": 900.0,
    "workers": False,
}
PEAK_MEMORY: list[Case] = [
    (
        {"gib_per_replica": 72},
        {k: v for k, v in MEMORY.items() if k != "workers"},
        I,
        "an earlier version of the probe",
    ),
    ({"gib_per_replica": 72}, MEMORY, V, "70 GiB: the largest DCGM_FI_DEV_FB_USED"),
    ({"gib_per_replica": 60}, MEMORY, C, "69 GiB"),
    ({"gib_per_replica": 69.5}, MEMORY, I, "Between 69 and 70 GiB"),
    ({"gib_per_replica": 60}, {**MEMORY, "own": False}, I, "counting all GPUs of its host"),
    ({"gib_per_replica": 72}, {**MEMORY, "own": False}, V, "counting all GPUs of its host"),
    ({"gib_per_replica": 72}, {**MEMORY, "requests": 3.0}, I, "Only 3 requests were answered"),
    ({"gib_per_replica": 72}, {**MEMORY, "workers": True}, I, "spans several pods"),
    ({"gib_per_replica": 60}, {**MEMORY, "workers": True}, C, "69 GiB"),
    ({"gib_per_replica": 72}, {**MEMORY, "upper": None}, I, "no samples"),
    ({"gib_per_replica": 1}, {**MEMORY, "unit": "byte", "upper": 1e9, "lower": 1e9}, V, "0.9313 GiB"),
    ({}, MEMORY, I, "Seen: 70 GiB"),
]
BATCH = {"name": "b", "bounds": [1, 8, 16, 32], "counts": [10, 60, 100, 100, 100]}
BATCHES: list[Case] = [
    ({"min": 1, "max": 16, "unit": "requests"}, {"batches": {"requests": BATCH}}, V, "largest between 8 and 16"),
    ({"min": 1, "max": 8, "unit": "requests"}, {"batches": {"requests": BATCH}}, C, "Larger batches"),
    ({"min": 1, "max": 12, "unit": "requests"}, {"batches": {"requests": BATCH}}, I, "too coarse"),
    ({"min": 32, "max": 64, "unit": "requests"}, {"batches": {"requests": BATCH}}, I, "too little was asked"),
    ({"min": 1, "max": 16}, {"batches": {"requests": {**BATCH, "counts": [1, 6, 10, 10, 10]}}}, I, "Only 10 batches"),
    ({"min": 4, "max": 24}, {"batches": {}, "gauge": "running", "peak": 20.0}, V, "20 at most"),
    ({"min": 4, "max": 16}, {"batches": {}, "gauge": "running", "peak": 20.0}, C, "Larger batches"),
    ({"min": 1, "max": 16, "unit": "tokens"}, {"batches": {}, "peak": 20.0}, I, "no batches counted in tokens"),
    ({}, {"batches": {}, "peak": 20.0}, I, "Seen: 20"),
]
PER_GPU = {"per_gpu_second": 400, "unit": "tokens"}
UNIT: list[Case] = [
    (PER_GPU, {"per": "gpu", "unit_load": load("tokens", max=500.0)}, V, "500 tokens per GPU-second"),
    (PER_GPU, {"per": "gpu", "unit_load": load("tokens", max=300.0, busy_steps=9, busy_max=300.0)}, C, "at most 300"),
    (PER_GPU, {"per": "gpu", "unit_load": load("tokens", max=300.0)}, I, "idle is not slow"),
    (PER_GPU, {"per": "replica", "unit_load": load("tokens", max=500.0)}, I, "How many GPUs"),
    (PER_GPU, {"per": "gpu", "unit_load": {}}, I, "no samples of tokens"),
    ({}, {"per": "gpu", "unit_load": {}}, I, "Nothing is claimed"),
]
NODE = {"label_node_kubernetes_io_instance_type": "p5.48xlarge", "label_example_com_pool": "gpu"}
PLACEMENT: list[Case] = [
    (
        {"instance_types": "P5.48xlarge", "node_selector": "example.com/pool=gpu"},
        {"nodes": {"n": NODE}},
        V,
        "All 1 node",
    ),
    ({"instance_types": "p4d.24xlarge"}, {"nodes": {"n": NODE}}, C, "also runs on p5.48xlarge"),
    (
        {"instance_types": "p5.48xlarge", "node_selector": "example.com/pool=cpu"},
        {"nodes": {"n": NODE}},
        C,
        "is gpu on",
    ),
    ({"instance_types": "p5.48xlarge", "node_selector": "disk=ssd"}, {"nodes": {"n": NODE}}, I, "allowlist"),
    ({"instance_types": "p5.48xlarge"}, {"nodes": {"n": NODE, "m": {}}}, I, "allowlist"),
    ({}, {"nodes": {"n": NODE}}, I, "Seen: p5.48xlarge"),
    ({"instance_types": "p5.48xlarge or p5e.48xlarge"}, {"nodes": {"n": NODE}}, V, "All 1 node"),
    ({"instance_types": "p4d.24xlarge / p5.48xlarge (8 x H100)"}, {"nodes": {"n": NODE}}, V, "All 1 node"),
    ({"instance_types": "p4d.24xlarge (8 x A100)"}, {"nodes": {"n": NODE}}, C, "also runs on p5.48xlarge"),
    ({"instance_types": "any node with H100"}, {"nodes": {"n": NODE}}, I, "a person must tell"),
    ({"instance_types": "p4d.24xlarge, not p5.48xlarge"}, {"nodes": {"n": NODE}}, I, "not p5.48xlarge, a person must"),
    ({"instance_types": "g5.*"}, {"nodes": {"n": NODE}}, I, "a person must tell"),
    (
        {"instance_types": "NC24ads_A100_v4"},
        {"nodes": {"n": {"label_node_kubernetes_io_instance_type": "Standard_NC24ads_A100_v4"}}},
        V,
        "All 1 node",
    ),
    ({"instance_types": "p5.48xlarge", "node_selector": 'example.com/pool="gpu"'}, {"nodes": {"n": NODE}}, V, "All 1"),
    (
        {"instance_types": "p5.48xlarge", "node_selector": "only the GPU pool"},
        {"nodes": {"n": NODE}},
        I,
        "meant by p5.48xlarge, only the GPU pool, a person must tell",
    ),
]
SPLIT = {"tensor_parallel": 4, "pipeline_parallel": 1, "gpus": 4}
PARALLEL: list[Case] = [
    (SPLIT, {"gpus": [4.0], "pods": 2, "from": "x"}, V, "Each pod holds 4 GPUs"),
    (SPLIT, {"gpus": [8.0], "pods": 2, "from": "x"}, C, "more than claimed"),
    (SPLIT, {"gpus": [8.0], "pods": 2, "from": "x", "copies": 2.0}, I, "runs the model 2 times"),
    (SPLIT, {"gpus": [2.0], "pods": 1, "from": "x"}, C, "together hold 2"),
    (SPLIT, {"gpus": [2.0], "pods": 1, "from": "x", "workers": True}, I, "several pods make one replica"),
    (SPLIT, {"gpus": [2.0], "pods": 2, "from": "x"}, I, "several pods make one replica"),
    ({**SPLIT, "tensor_parallel": 8}, {"gpus": [4.0], "pods": 1, "from": "x"}, C, "fewer than tensor × pipeline"),
    ({**SPLIT, "tensor_parallel": 2}, {"gpus": [4.0], "pods": 1, "from": "x"}, I, "tensor × pipeline is 2"),
    (SPLIT, {"gpus": []}, I, "cannot be counted"),
    ({}, {"gpus": [4.0], "pods": 1}, I, "Seen: 4 GPUs a pod"),
]
H100 = {"name": "DCGM_FI_DEV_GPU_UTIL", "own": True, "types": ["NVIDIA H100 80GB HBM3"]}
GPUS: list[Case] = [
    ({"gpu_types": "L40S, H100 80 GB"}, H100, V, "It runs on NVIDIA H100"),
    ({"gpu_types": "A100"}, H100, C, "also runs on NVIDIA H100"),
    ({"gpu_types": "A100"}, {**H100, "own": False}, I, "cannot be told"),
    ({"gpu_types": "the big ones"}, H100, I, "cannot be told"),
    ({"gpu_types": "H100"}, {"types": []}, I, "does not tell"),
    ({}, H100, I, "Seen: NVIDIA H100"),
]
STARTS: list[Case] = [
    ({"seconds": 100}, {"pods": [60.0, 90.0], "unchecked": 0}, V, "60 to 90 s from the start of a pod"),
    ({"seconds": 100}, {"pods": [60.0, 90.0]}, I, "an earlier version of the probe"),
    ({"seconds": 50}, {"pods": [40.0, 90.0, 95.0]}, C, "90 s in the middle"),
    ({"seconds": 92}, {"pods": [60.0, 70.0, 95.0]}, I, "some took longer"),
    ({"seconds": 100}, {"pods": [3.0, 4.0], "unchecked": 2}, I, "no readiness probe"),
    ({"seconds": 100}, {"pods": [130.0, 140.0], "unchecked": 2}, C, "135 s in the middle"),
    ({"seconds": 100}, {"pods": [], "startup": 90.0}, V, "own account"),
    ({"seconds": 80}, {"pods": [], "startup": 95.0, "startup_least": 90.0}, C, "90 s by the server's own account"),
    ({"seconds": 80}, {"pods": [], "startup": 90.0, "startup_least": 70.0}, I, "some took longer than claimed"),
    ({"seconds": 80}, {"pods": [], "load": 90.0, "load_least": 90.0}, C, "90 s"),
    ({"seconds": 100}, {"pods": [], "load": 90.0}, I, "weights alone"),
    ({"seconds": 100}, {"pods": []}, I, "no replica started"),
    ({}, {"pods": [60.0]}, I, "Seen: 60 s"),
]


def restart(early: dict[str, Any], late: dict[str, Any]) -> dict[str, Any]:
    return {"restarts": [{"at": 1.7e9, "instance": "10.0.0.1:8000", "early": early, "late": late}]}


FAST, SLOW = histogram(0, 90, 100, 100, 100, 100), histogram(0, 0, 0, 10, 100, 100)
WARM: list[Case] = [
    ({"steps": "graphs"}, restart(FAST, FAST), V, "no slower"),
    ({"steps": "graphs"}, restart(SLOW, FAST), C, "median between 1 and 2.5 s at first, later 0.25 s"),
    (
        {"steps": "Twenty images at each of the three sizes"},
        restart(SLOW, FAST),
        I,
        "may be those of the warm-up itself",
    ),
    ({"steps": "Twenty images at each of the three sizes"}, restart(FAST, FAST), V, "no slower"),
    *(
        ({"steps": steps}, restart(SLOW, FAST), C, "median between 1 and 2.5 s at first")
        for steps in (
            "weights and CUDA graphs loaded for the full context",
            "container image pre-pulled",
            "container images pre-pulled",
            "graphs recalled from a cache",
        )
    ),
    *(
        ({"steps": steps}, restart(SLOW, FAST), I, "may be those of the warm-up itself")
        for steps in ("warmup_requests: 20", "A query of each kind", "dummy inferences", "it generates 100 tokens")
    ),
    ({"steps": "graphs"}, restart(histogram(0, 0, 0, 100, 100, 100), FAST), I, "too coarse"),
    ({"steps": "graphs"}, restart(histogram(0, 0, 0, 0, 0, 100), histogram(0, 0, 0, 0, 0, 100)), I, "too coarse"),
    ({"steps": "graphs"}, restart(histogram(0, 5, 5, 5, 5, 5), FAST), I, "fewer than 20"),
    ({}, restart(FAST, FAST), I, "Nothing is claimed"),
]
QUEUE: list[Case] = [
    ({"max_queue": 10, "on_overflow": "reject"}, {"name": "w", "replica": 4.0, "together": 8.0}, V, "At most 8"),
    ({"max_queue": 3, "on_overflow": "reject"}, {"name": "w", "replica": 4.0, "together": 4.0}, C, "4 requests waited"),
    ({"max_queue": 0, "on_overflow": "reject"}, {"name": "w", "replica": 4.0, "together": 4.0}, C, "4 requests waited"),
    ({"max_queue": 6, "on_overflow": "reject"}, {"name": "w", "replica": 4.0, "together": 8.0}, I, "8 at all together"),
    (
        {"max_queue": 6, "on_overflow": "reject"},
        {"name": "w", "replica": 0.0, "together": 0.0},
        I,
        "Nothing ever waited",
    ),
    ({"max_queue": 6, "on_overflow": "reject"}, {"name": "w", "replica": None, "together": None}, I, "no samples"),
    ({}, {"name": "w", "replica": 4.0, "together": 8.0}, I, "Seen: 4"),
]
HPA = {
    "workload": "chat",
    "scalers": 1,
    "elsewhere": True,
    "metrics": ["vllm_num_requests_waiting"],
    "min": 1.0,
    "max": 4.0,
}
CPU = {**HPA, "metrics": ["cpu"]}
RATE = {**HPA, "metrics": ["http_requests_per_second"]}
UTIL = {**HPA, "metrics": ["DCGM_FI_DEV_GPU_UTIL"]}
NONE_HERE = {"workload": "chat", "scalers": 0, "elsewhere": True}
CRON = {**HPA, "metrics": ["s0-cron"], "triggers": ["cronScaler s0-cron"]}
REACT = {"strategy": "reactive", "signal": "4 waiting requests per replica", "min_replicas": 1, "max_replicas": 4}
SCALING: list[Case] = [
    (REACT, HPA, V, "scaled on vllm_num_requests_waiting, between 1 and 4"),
    ({**REACT, "signal": "queue length"}, HPA, V, "scaled on"),
    (REACT, CPU, C, "scaled on cpu only"),
    ({**REACT, "signal": "CPU at 70 %"}, CPU, V, "scaled on cpu"),
    ({**REACT, "signal": "queue length, not CPU"}, CPU, C, "scaled on cpu only"),
    ({**REACT, "signal": "waiting requests instead of the CPU"}, CPU, C, "scaled on cpu only"),
    ({**REACT, "signal": "not CPU but waiting requests"}, HPA, V, "scaled on vllm_num_requests_waiting"),
    ({**REACT, "signal": "CPU and queue length"}, CPU, I, "a person must tell"),
    ({**REACT, "signal": "CPU and queue length"}, {**HPA, "metrics": ["cpu", "queue_size"]}, V, "scaled on cpu"),
    ({**REACT, "signal": "GPU memory"}, {**HPA, "metrics": ["memory"]}, C, "scaled on memory only"),
    ({**REACT, "signal": "first token latency"}, {**HPA, "metrics": ["e2e_request_latency"]}, I, "a person must tell"),
    ({**REACT, "signal": "GPU use"}, HPA, I, "a person must tell"),
    ({**REACT, "max_replicas": 8}, HPA, C, "Max replicas: claimed 8, set 4"),
    ({**REACT, "min_replicas": 0}, HPA, C, "Min replicas: claimed 0, set 1"),
    (REACT, NONE_HERE, I, "whether Knative, Ray Serve or something else"),
    (REACT, {**NONE_HERE, "elsewhere": False}, I, "no scaler of anything"),
    ({"strategy": "fixed"}, NONE_HERE, I, "whether Knative, Ray Serve or something else"),
    ({"strategy": "fixed"}, {**HPA, "min": 4.0}, V, "holds it at 4"),
    ({"strategy": "fixed"}, HPA, C, "scaled between 1 and 4"),
    ({"strategy": "fixed"}, {**HPA, "min": None}, I, "a person must tell"),  # its minimum is not exported
    ({"strategy": "reactive"}, CPU, I, "a person must tell"),  # no signal is claimed
    (
        {"strategy": "scheduled", "signal": "office hours"},
        CPU,
        I,
        "a person must tell",
    ),  # a schedule may set its bounds
    ({"strategy": "scheduled", "signal": "office hours"}, CRON, V, "by a schedule"),
    # A schedule that some tool keeps sets the bounds of a scaler; KEDA's does not.
    ({"strategy": "scheduled", "signal": "office hours", "min_replicas": 3}, CPU, I, "a person must tell"),
    ({"strategy": "scheduled", "signal": "office hours", "min_replicas": 3}, CRON, C, "Min replicas: claimed 3"),
    # KEDA scales to zero, also where nobody scrapes its own metrics.
    ({**REACT, "min_replicas": 0}, {**HPA, "metrics": ["s0-prometheus"]}, I, "a person must tell"),
    ({"strategy": "scheduled", "signal": "office hours"}, {**HPA, "metrics": ["s0-cron"]}, V, "by a schedule"),
    # Who does not say what is used, or loaded, may mean the CPU.
    ({**REACT, "signal": "70 % utilisation"}, CPU, I, "a person must tell"),
    ({**REACT, "signal": "load"}, CPU, I, "a person must tell"),
    ({**REACT, "signal": "processor usage"}, CPU, I, "a person must tell"),
    ({**REACT, "signal": "p95 latency"}, CPU, C, "scaled on cpu only"),
    ({**REACT, "signal": "requests per second"}, CPU, C, "scaled on cpu only"),
    # Memory is not use, and hits are no fill.
    ({**REACT, "signal": "GPU memory at 80 %"}, UTIL, I, "a person must tell"),
    ({**REACT, "signal": "GPU utilisation"}, UTIL, V, "scaled on DCGM_FI_DEV_GPU_UTIL"),
    ({**REACT, "signal": "VRAM"}, {**HPA, "metrics": ["DCGM_FI_DEV_FB_USED"]}, V, "scaled on DCGM_FI_DEV_FB_USED"),
    ({**REACT, "signal": "VRAM"}, {**HPA, "metrics": ["gpu_memory_used"]}, V, "scaled on gpu_memory_used"),
    ({**REACT, "signal": "VRAM"}, {**HPA, "metrics": ["memory"]}, C, "scaled on memory only"),
    ({**REACT, "signal": "KV cache at 80 %"}, {**HPA, "metrics": ["prefix_cache_hit_rate"]}, I, "a person must tell"),
    *(
        ({**REACT, "signal": "GPU utilisation"}, {**HPA, "metrics": [name]}, I, "a person must tell")
        for name in (
            *("DCGM_FI_DEV_GPU_TEMP", "DCGM_FI_DEV_POWER_USAGE", "gpu_mem_used", "DCGM_FI_DEV_MEM_COPY_UTIL"),
            *("vllm:gpu_cache_usage_perc", "DCGM_FI_DEV_SM_CLOCK", "DCGM_FI_DEV_ENC_UTIL"),
        )
    ),
    ({**REACT, "signal": "GPU temperature"}, {**HPA, "metrics": ["DCGM_FI_DEV_FB_USED"]}, I, "a person must tell"),
    ({**REACT, "signal": "GPU memory"}, {**HPA, "metrics": ["DCGM_FI_DEV_MEM_COPY_UTIL"]}, I, "a person must tell"),
    ({**REACT, "signal": "GPU temperature"}, {**HPA, "metrics": ["DCGM_FI_DEV_GPU_TEMP"]}, V, "scaled on"),
    ({**REACT, "signal": "GPU memory"}, {**HPA, "metrics": ["gpu_mem_used"]}, V, "scaled on gpu_mem_used"),
    # A time to the first token is one by every name; what is averaged over time is none.
    ({**REACT, "signal": "TTFT"}, {**HPA, "metrics": ["vllm:time_to_first_token_seconds"]}, V, "scaled on vllm"),
    ({**REACT, "signal": "first token in 2 s"}, {**HPA, "metrics": ["vllm:time_to_first_token_seconds"]}, V, "on vllm"),
    ({**REACT, "signal": "first-come queue"}, {**HPA, "metrics": ["ttft_seconds"]}, I, "a person must tell"),
    ({**REACT, "signal": "time to first token"}, {**HPA, "metrics": ["ttft_seconds"]}, V, "scaled on ttft_seconds"),
    ({**REACT, "signal": "waiting requests, averaged over time"}, HPA, V, "scaled on vllm_num_requests_waiting"),
    ({**REACT, "signal": "GPU utilisation over time"}, UTIL, V, "scaled on DCGM_FI_DEV_GPU_UTIL"),
    # A word that says nothing of the signal makes no signal the same.
    ({**REACT, "signal": "tokens per second"}, RATE, I, "a person must tell"),
    ({**REACT, "signal": "requests in the queue"}, {**HPA, "metrics": ["requests_in_flight"]}, I, "a person must tell"),
    ({**REACT, "signal": "20 requests per second"}, RATE, V, "scaled on http_requests_per_second"),
    ({**REACT, "signal": "in-flight requests"}, {**HPA, "metrics": ["vllm_num_requests_running"]}, V, "scaled on vllm"),
    ({**REACT, "signal": "time in the queue"}, HPA, I, "a person must tell"),
    ({**REACT, "signal": "queue time"}, {**HPA, "metrics": ["vllm_request_queue_time_seconds"]}, V, "scaled on vllm"),
    ({"strategy": "predictive", "signal": "forecast"}, HPA, I, "a person must tell"),
    ({"strategy": "predictive", "signal": "forecast"}, CPU, C, "cpu only"),
    ({}, HPA, I, "Seen: vllm_num_requests_waiting"),
]
RAN = {
    "from": "kube_deployment_status_replicas",
    "steps": 10 * PER_DAY,
    "ceiling": 8.0,
    "min": 2.0,
    "max": 6.0,
    "sustained_min": 2.0,
    "sustained_max": 6.0,
    "pinned": 0.1,
}
NOTES: list[Case] = [
    ({"replicas_peak": 6, "replicas_rest": 2}, RAN, V, "2 to 6 replicas ran"),
    ({"replicas_peak": 5, "replicas_rest": 2}, RAN, C, "more than noted"),
    ({"replicas_peak": 5, "replicas_rest": 2}, {**RAN, "sustained_max": 5.0}, I, "a rollout may explain it"),
    ({"replicas_peak": 5, "replicas_rest": 2}, {**RAN, "steps": 10}, I, "less than a day"),
    ({"replicas_peak": 6, "replicas_rest": 3}, RAN, C, "fewer than noted"),
    ({"replicas_peak": 6, "replicas_rest": 3}, {**RAN, "sustained_min": 3.0}, I, "a rollout may explain it"),
    ({"replicas_peak": 6, "replicas_rest": 3}, {**RAN, "from": ""}, I, "may have run all the same"),
    ({"replicas_peak": 5, "replicas_rest": 2}, {**RAN, "from": ""}, I, "One replica may have several"),
    ({"replicas_peak": 6, "replicas_rest": 2}, {**RAN, "from": ""}, I, "may have run all the same"),
    ({"replicas_peak": 8, "replicas_rest": 2}, {**RAN, "max": 8.0, "pinned": 0.97}, C, "maximum of 8 for 97%"),
    ({"replicas_peak": 6, "replicas_rest": 0}, {**RAN, "steps": 10}, I, "less than a day"),
    ({}, RAN, I, "Seen: 2 to 6 replicas"),
]
REFUSE = {"max_concurrency": 64, "on_overload": "reject"}
PRESSURE: list[Case] = [
    (REFUSE, {"running": 60.0, "waiting": 0.0, "rejected": 12.0, "counters": ["n"]}, V, "12 requests were refused"),
    (REFUSE, {"running": 80.0, "waiting": 0.0, "rejected": 12.0}, C, "80 requests ran at once"),
    (REFUSE, {"running": 9.0, "waiting": 0.0, "rejected": 12.0}, I, "another limit: only 9 ran at once"),
    (REFUSE, {"rejected": 12.0}, I, "how many ran at once is not told"),
    ({**REFUSE, "on_overload": "queue"}, {"running": 64.0, "waiting": 9.0, "rejected": 0.0}, V, "others waited"),
    (REFUSE, {"running": 10.0, "waiting": 0.0, "rejected": 0.0}, I, "not seen to be full"),
    (REFUSE, {"running": 64.0, "waiting": 9.0, "rejected": 0.0}, I, "not seen clearly"),
    (REFUSE, {"rejected": 0.0}, I, "tells neither"),
    ({}, {"running": 10.0}, I, "Seen: 10"),
]
CUT = {"server_seconds": 3, "gateway_seconds": 5, "client_seconds": 8}
TIMEOUTS: list[Case] = [
    (CUT, {"histogram": histogram(0, 50, 90, 95, 100, 100), "timed_out": 4.0, "counters": ["n"]}, V, "4 were cut off"),
    ({"server_seconds": 1}, {"histogram": histogram(0, 50, 90, 95, 100, 100)}, C, "5 requests ran for longer than 1 s"),
    (
        {"server_seconds": 30, "client_seconds": 0.4},
        {"histogram": histogram(0, 5, 9, 95, 100, 100)},
        C,
        "the client gives up",
    ),
    (CUT, {"histogram": histogram(0, 50, 90, 95, 100, 100), "timed_out": 0.0}, I, "No request was seen to be cut off"),
    (CUT, {"histogram": histogram(0, 50, 90, 95, 95, 100), "timed_out": 4.0}, I, "too coarse"),
    (CUT, {"histogram": histogram(0, 5, 9, 9, 9, 9)}, I, "Only 9 requests"),
    (CUT, {"histogram": None}, I, "Only 0 requests"),
    ({}, {"histogram": None}, I, "Nothing is claimed"),
]


def started(early: float, faults: float, late: float = 1000.0, later: float = 0.0) -> dict[str, Any]:
    row = {"at": 1.7e9, "instance": "i", "early": early, "early_faults": faults, "late": late, "late_faults": later}
    return {"restarts": [row], "counters": ["http_requests_total"]}


VALIDATED: list[Case] = [
    ({"method": "restart under load"}, started(100, 0), V, "No fault beside 100 answers"),
    ({"method": "restart under load"}, started(80, 20), C, "Ready, and then errors: 20 faults"),
    ({"method": "restart under load"}, started(80, 20, 800, 200), I, "a few faults"),  # it is always like that
    ({"method": "restart under load"}, started(99, 1), I, "a few faults"),
    ({"method": "restart under load"}, started(5, 0), I, "Too few requests"),
    ({"method": "restart under load"}, {"restarts": []}, I, "No replica started"),
    ({}, started(100, 0), I, "Nothing is claimed"),
]
GPU_SEEN: list[Case] = [
    ({"dashboard_url": "http://g/d/1"}, {"name": "DCGM", "own": True, "gpus": 4.0}, V, "4 series of its pods"),
    (
        {"dashboard_url": "http://g/d/1"},
        {"gpus": 0.0, "all_down": True, "down": ["http://n:9400: refused"]},
        C,
        "is down",
    ),
    ({"dashboard_url": "http://g/d/1"}, {"gpus": 0.0, "exporters": 3}, I, "scrapes 3 GPU exporters"),
    ({"dashboard_url": "http://g/d/1"}, {"gpus": 0.0, "exporters": 0}, I, "scrapes no GPU exporter"),
    ({}, {"name": "DCGM", "own": True, "gpus": 4.0}, I, "Seen: 4 series"),
]
NAMED = {"claimed": "my_tokens", "found": "my_tokens_total", "known": ["vllm:generation_tokens_total"]}
COUNTED: list[Case] = [
    ({"metric_name": "my_tokens"}, {**NAMED, "changes": 40.0, "traffic": 9.0}, V, "moved 40 times"),
    ({"metric_name": "my_tokens"}, {**NAMED, "changes": 0.0, "traffic": 99.0}, C, "stood still"),
    ({"metric_name": "my_tokens"}, {**NAMED, "changes": 0.0, "traffic": 99.0, "begun": 2.0}, I, "counted first"),
    ({"metric_name": "my_tokens"}, {**NAMED, "changes": 0.0, "traffic": 9.0}, I, "hardly anything else"),
    ({"metric_name": "my_tokens"}, {**NAMED, "found": "", "traffic": 9.0}, C, "has no my_tokens"),
    ({"metric_name": "my_tokens"}, {**NAMED, "found": "", "traffic": 0.0}, I, "only once used"),
    ({"metric_name": "my_tokens"}, {**NAMED, "found": ""}, I, "only once used"),
    ({"metric_name": "my_tokens"}, {**NAMED, "found": "", "traffic": 9.0, "elsewhere": True}, I, "is kept, but not"),
    ({"metric_name": "other"}, {**NAMED, "changes": 40.0}, I, "The claim changed"),
    ({"metric_name": "a b"}, {**NAMED, "claimed": "a b"}, I, "no name of a metric"),
    ({"metric_name": "throughput"}, {**NAMED, "claimed": "throughput", "found": "", "traffic": 9.0}, I, "no name of a"),
    *(
        ({"metric_name": name}, {**NAMED, "claimed": name, "found": "", "traffic": 9.0}, I, "claim the name in full")
        for name in ("generation_tokens_total", "vllm_generation_tokens_total")
    ),
    (
        {"metric_name": "sum(rate(my_tokens[5m]))"},
        {**NAMED, "changes": 40.0, "traffic": 9.0},
        V,
        "moved 40 times",
    ),
    ({"metric_name": "my_tokens"}, {**NAMED, "changes": float("inf")}, I, "hardly anything else"),
    ({}, NAMED, I, "Seen: vllm:generation_tokens_total"),
]
KINDS = {"tgi_request_failure": {"validation": 3.0, "overloaded": 1.0, "stop": 9.0}}
OWN = {"vllm:request_success_total": {"stop": 90.0, "abort": 3.0}}
STATUSES = {"http_requests_total": {"2xx": 90.0, "422": 3.0}}
TOLD: list[Case] = [
    ({"classes": ["bad_request", "overload"]}, {"kinds": KINDS, "known": True}, V, "counted overloaded, validation"),
    ({"classes": ["overload"]}, {"kinds": {}, "counters": [], "known": True}, C, "none that tells errors apart"),
    ({"classes": ["bad_request", "input_shape"]}, {"kinds": KINDS, "known": True}, I, "is not told apart"),
    ({"classes": ["overload", "tokenizer"]}, {"kinds": KINDS, "known": True}, C, "can count tokenizer"),
    (
        {"classes": ["bad_request", "overload"]},  # TGI shows its counter only once something failed
        {"kinds": {}, "counters": [], "able": ["tgi_request_failure"], "known": True},
        I,
        "did not happen yet",
    ),
    ({"classes": ["timeout"]}, {"kinds": STATUSES, "known": True}, I, "timeout did not happen yet"),
    ({"classes": ["refusal"]}, {"kinds": STATUSES, "known": True}, C, "can count refusal"),
    ({"classes": ["refusal"]}, {"kinds": STATUSES, "known": True, "unknown": ["our_errors"]}, I, "our_errors"),
    ({"classes": ["out_of_memory"]}, {"kinds": STATUSES, "known": True}, I, "did not happen yet"),
    ({"classes": ["timeout"]}, {"kinds": OWN, "known": True}, C, "can count timeout"),
    ({"classes": ["timeout"]}, {"kinds": OWN, "known": True, "before": ["istio_requests_total"]}, I, "istio_requests"),
    ({"classes": ["refusal"]}, {"kinds": OWN, "known": True, "before": ["istio_requests_total"]}, C, "count refusal"),
    ({"classes": ["timeout"]}, {"kinds": OWN, "known": True, "before": ["kong_http_requests_total"]}, I, "kong_http"),
    ({"classes": ["refusal"]}, {"kinds": OWN, "known": True, "before": ["apisix_http_status"]}, C, "count refusal"),
    ({"classes": ["tokenizer"]}, {"kinds": {}, "able": ["litellm_x_failures"], "known": True}, I, "did not happen"),
    ({"classes": ["overload"]}, {"kinds": {}, "counters": [], "known": False}, I, "none of the names is known"),
    ({}, {"kinds": KINDS}, I, "Seen: overloaded, validation"),
]
CASES: dict[str, list[Case]] = {
    "prometheus.latency": LATENCY,
    "prometheus.present": PRESENT,
    "prometheus.throughput": THROUGHPUT,
    "prometheus.load-profile": PROFILE,
    "prometheus.cost": COST,
    "prometheus.peak-memory": PEAK_MEMORY,
    "prometheus.batch-range": BATCHES,
    "prometheus.unit-throughput": UNIT,
    "prometheus.placement": PLACEMENT,
    "prometheus.parallelism": PARALLEL,
    "prometheus.gpu-types": GPUS,
    "prometheus.cold-start": STARTS,
    "prometheus.warmup": WARM,
    "prometheus.queue": QUEUE,
    "prometheus.scaling-strategy": SCALING,
    "prometheus.replicas": NOTES,
    "prometheus.backpressure": PRESSURE,
    "prometheus.timeouts": TIMEOUTS,
    "prometheus.warmup-validated": VALIDATED,
    "prometheus.gpu": GPU_SEEN,
    "prometheus.throughput-visible": COUNTED,
    "prometheus.errors": TOLD,
}
