"""What the probes of a Prometheus server conclude from what they saw: a true claim, a false one, and every doubt.

The observations are such as the probes make of a real Prometheus; see ``real/test_prometheus_history.py``.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Mapping
from dataclasses import replace
from datetime import date, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from checklists.evidence.probes import PROBES, Judgement, Target, Visit
from checklists.evidence.probes.prometheus import PROMETHEUS_PROBES
from checklists.evidence.probes.prometheus.base import Scope, pattern_of, workload_of
from checklists.evidence.probes.prometheus.load import PER_DAY, peaks_by_day, summaries, undisturbed
from checklists.evidence.probes.prometheus.restarts import LOOK_BACK_S, starts
from checklists.evidence.probes.prometheus.scaling import SUSTAINED, sustained
from checklists.evidence.sources.exporters import GATEWAYS
from checklists.evidence.sources.prometheus import Prometheus, Reading, Series
from checklists.evidence.stacks import STACKS
from tests.evidence.loopback import Request, observe, run, serving

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
}
PEAK_MEMORY: list[Case] = [
    ({"gib_per_replica": 72}, MEMORY, V, "70 GiB: the largest DCGM_FI_DEV_FB_USED"),
    ({"gib_per_replica": 60}, MEMORY, C, "69 GiB"),
    ({"gib_per_replica": 69.5}, MEMORY, I, "Between 69 and 70 GiB"),
    ({"gib_per_replica": 60}, {**MEMORY, "own": False}, I, "counting all GPUs of its host"),
    ({"gib_per_replica": 72}, {**MEMORY, "own": False}, V, "counting all GPUs of its host"),
    ({"gib_per_replica": 72}, {**MEMORY, "requests": 3.0}, I, "Only 3 requests were answered"),
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
    ({"seconds": 100}, {"pods": [60.0, 90.0]}, V, "60 to 90 s from the start of a pod"),
    ({"seconds": 50}, {"pods": [40.0, 90.0, 95.0]}, C, "90 s in the middle"),
    ({"seconds": 92}, {"pods": [60.0, 70.0, 95.0]}, I, "some took longer"),
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


@pytest.mark.parametrize(
    ("key", "claims", "seen", "verdict", "words"),
    [(key, *case) for key, cases in CASES.items() for case in cases],
    ids=[f"{key.partition('.')[2]}-{number}" for key, cases in CASES.items() for number, _ in enumerate(cases)],
)
def test_a_claim_is_judged_by_what_was_seen(
    key: str, claims: Mapping[str, Any], seen: Mapping[str, Any], verdict: str, words: str
) -> None:
    judgement = judged(key, claims, seen)
    assert (judgement.verdict, words in judgement.reason) == (verdict, True), judgement.reason
    if verdict != I:
        assert judgement.claimed
        assert judgement.rule


def test_what_was_compared_and_not_settled_names_the_rule_it_did_not_meet() -> None:
    for key, cases in CASES.items():
        for claims, seen, verdict, _ in cases:
            judgement = judged(key, claims, seen)
            if verdict == I and judgement.claimed and judgement.observed:
                assert judgement.rule, (key, judgement.reason)


def test_every_probe_is_tried_with_every_verdict() -> None:
    assert {probe.key for probe in PROMETHEUS_PROBES} == {*CASES, "prometheus.load-test"}
    assert all({verdict for _, _, verdict, _ in cases} == {V, C, I} for cases in CASES.values())


def test_the_histogram_a_verdict_rests_on_is_shown_with_its_goals() -> None:
    claims, seen, _, _ = LATENCY[0]
    picture = judged("prometheus.latency", {**claims, "p50_ms": 300}, seen).histogram
    assert picture is not None
    assert picture["goals"] == [{"label": "p50", "value": 300.0}, {"label": "p95", "value": 500.0}]
    assert (picture["bounds"], picture["unit"]) == ([100.0, 250.0, 500.0, 1000.0, 2500.0], "ms")
    for key, cases in (("prometheus.timeouts", TIMEOUTS), ("prometheus.batch-range", BATCHES)):
        claims, seen, _, _ = cases[0]
        assert judged(key, claims, seen).histogram


# Claims of other items that a judgement rests on

DAY = date(2026, 11, 10)
TESTED = {"date": DAY.isoformat(), "report_url": "http://r"}
USUAL = {(DAY + timedelta(days=offset)).isoformat(): [2.0, 2.0] for offset in range(2, 8)}


@pytest.mark.parametrize(
    ("peak", "on_the_day", "verdict", "words"),
    [
        (20, [25.0, 25.0], V, "The load reached 25 requests/s, the claimed peak is 20"),
        (40, [25.0, 25.0], C, "so this was the test"),
        (40, [3.0, 3.0], I, "may have run elsewhere"),
        (40, [25.0, None], I, "may have run elsewhere"),
        (40, None, I, "no samples of that day"),
        (None, [25.0, 25.0], I, "No peak load is claimed"),
    ],
)
def test_a_load_test_must_have_reached_the_peak_that_is_claimed(
    peak: float | None, on_the_day: list[float | None] | None, verdict: str, words: str
) -> None:
    days = {**USUAL, **({DAY.isoformat(): on_the_day} if on_the_day else {})}
    others = {"performance.load-profile": {"peak": peak, "unit": "requests_per_second"}}
    judgement = judged("prometheus.load-test", TESTED, {"days": {"requests": days}}, others)
    assert (judgement.verdict, words in judgement.reason) == (verdict, True), judgement.reason


@pytest.mark.parametrize(
    ("peak", "day", "verdict", "words"),
    [
        (4, TESTED["date"], V, "At its peak 2 requests/s (without the days of the load test)"),
        (1.5, TESTED["date"], C, "The load reached 2 requests/s (without the days of the load test)"),
        (4, "2026-10-01", C, "The load reached 5 requests/s"),
        (4, "", C, "The load reached 5 requests/s"),
    ],
)
def test_a_load_test_beyond_the_peak_does_not_refute_the_peak(peak: float, day: str, verdict: str, words: str) -> None:
    seen = {"load": load("requests"), "days": {"requests": {**USUAL, DAY.isoformat(): [5.0, 5.0]}}}
    others = {"reliability.load-test": {"date": day}}
    judgement = judged("prometheus.load-profile", {**PEAK, "peak": peak}, seen, others)
    assert (judgement.verdict, words in judgement.reason) == (verdict, True), judgement.reason


def test_a_month_that_was_all_a_load_test_is_what_was_met() -> None:
    seen = {"load": load("requests"), "days": {"requests": {DAY.isoformat(): [5.0, 5.0]}}}
    others = {"reliability.load-test": TESTED}
    assert judged("prometheus.load-profile", {**PEAK, "peak": 4}, seen, others).verdict == C


def test_a_day_like_another_of_the_month_was_not_surely_the_test() -> None:
    busy = {(DAY + timedelta(days=9)).isoformat(): [25.0, 25.0], DAY.isoformat(): [25.0, 25.0]}
    others = {"performance.load-profile": {"peak": 40, "unit": "requests_per_second"}}
    judgement = judged("prometheus.load-test", TESTED, {"days": {"requests": {**USUAL, **busy}}}, others)
    assert (judgement.verdict, "may have run elsewhere" in judgement.reason) == (I, True), judgement.reason


@pytest.mark.parametrize(("claimed", "verdict"), [(0.02, V), (0.0001, C), (0.008, I)])
def test_without_an_account_the_cost_follows_from_a_claimed_price_and_what_a_gpu_gave(
    claimed: float, verdict: str
) -> None:
    # 0.002 a 1,000 tokens at 500 tokens a GPU-second: a GPU-second costs 0.001. 100 tokens on average, 500 at best.
    others = {
        "compute.unit-throughput": {"per_gpu_second": 500, "unit": "tokens", "cost_per_1000": 0.002, "currency": "EUR"}
    }
    seen = {"sums": {}, "per": "gpu", "unit_load": load("tokens", mean=100.0, max=500.0)}
    judgement = judged("prometheus.cost", {"cost": claimed, "per": "thousand_tokens", "currency": "EUR"}, seen, others)
    assert judgement.verdict == verdict, judgement.reason
    assert "0.01 EUR per 1,000 tokens" in judgement.reason
    other = judged("prometheus.cost", {"cost": claimed, "per": "thousand_tokens", "currency": "USD"}, seen, others)
    assert other.verdict == I


def test_replicas_stand_for_the_gpus_that_are_claimed_for_each() -> None:
    seen = {"per": "replica", "unit_load": load("tokens", max=2000.0)}
    others = {"compute.parallelism": {"gpus": 4}}
    judgement = judged("prometheus.unit-throughput", {"per_gpu_second": 500, "unit": "tokens"}, seen, others)
    assert judgement.verdict == V
    assert "4 GPUs a replica as claimed" in judgement.reason


# Whatever was stored, a judgement comes out

JSON: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-5, 5)
    | st.floats()
    | st.sampled_from(["", "tokens", "2026-11-10", "1e999"]),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["low", "high", "max", "x"]), inner, max_size=3)
    ),
    max_leaves=8,
)
FIELDS = sorted(
    {field for cases in CASES.values() for claims, seen, _, _ in cases for field in (*claims, *seen)} | {"days"}
)
ANY = st.dictionaries(st.sampled_from(FIELDS), JSON, max_size=8)


@given(st.data())
def test_no_claim_and_no_observation_makes_a_judgement_fail(data: st.DataObject) -> None:
    probe = data.draw(st.sampled_from(PROMETHEUS_PROBES))
    cases = CASES.get(probe.key, [(TESTED, {"days": {"requests": USUAL}}, I, "")])
    claims, seen, _, _ = data.draw(st.sampled_from(cases))
    others = {item: data.draw(ANY) for item in probe.also_reads}
    judgement = probe.judge(probe.items[0], {**claims, **data.draw(ANY)}, {**HEAD, **seen, **data.draw(ANY)}, others)
    assert judgement.verdict in (V, C, I)
    assert judgement.reason
    json.dumps([judgement.claimed, judgement.observed, judgement.reason, judgement.samples], allow_nan=False)
    json.dumps(judgement.histogram, allow_nan=False)


@given(st.floats(1e-3, 1e6), st.floats(1e-3, 1e6), st.integers(0, 50), st.floats(0, 1))
def test_throughput_is_never_contradicted_by_an_idle_month(claim: float, peak: float, busy: int, part: float) -> None:
    seen = {"load": load("tokens", max=peak, busy_steps=busy, busy_max=peak * part if busy else None)}
    judgement = judged("prometheus.throughput", {"value": claim, "unit": "tokens_per_second"}, seen)
    assert (judgement.verdict == V) == (peak >= claim)
    if judgement.verdict == C:
        assert busy >= 3
        assert peak * part < claim


# Reading names


@pytest.mark.parametrize(
    ("pod", "workload"),
    [
        ("chat-7d9f8b6c5d-x2x4z", "chat"),
        ("big-chat-0", "big-chat"),
        ("chat", "chat"),
        ("my-long-server", "my-long-server"),
        ("model-server-llama", "model-server-llama"),  # no name of a Deployment's pod: those have no vowels
    ],
)
def test_a_pods_name_says_whose_it_is(pod: str, workload: str) -> None:
    assert workload_of(pod) == workload


@given(st.lists(st.from_regex(r"[a-z]{1,3}(-[a-z0-9.]{1,3}){0,3}", fullmatch=True), min_size=1, max_size=8))
def test_a_pattern_of_pods_matches_those_and_no_others(pods: list[str]) -> None:
    pattern = re.compile(pattern_of(pods))
    assert all(pattern.fullmatch(pod) for pod in pods)
    assert not any(pattern.fullmatch(other) for pod in pods if (other := f"{pod}x") not in pods)


def test_a_start_is_where_a_counter_begins_or_falls_and_not_where_the_window_begins() -> None:
    now = 1_700_000_000.0
    first = now - LOOK_BACK_S
    old = Series({"instance": "old"}, tuple((first + step * 300, float(step)) for step in range(500)))
    reset = Series({"instance": "reset"}, ((first, 5.0), (first + 300, 9.0), (now - 7200, 1.0), (now - 6900, 2.0)))
    young = Series({"instance": "young"}, ((now - 5000, 0.0), (now - 4700, 4.0)))
    known_late = Series({"instance": "known-late"}, tuple((now - 9000 + n * 300, 9e6 + n * 300) for n in range(20)))
    newborn = Series({"instance": "newborn"}, ((now - 600, 0.0),))
    found = starts(Reading(series=(old, reset, young, known_late, newborn)), now)
    assert [(start.instance, start.at) for start in found] == [("young", now - 5000), ("reset", now - 7200)]


# What can be settled where


def test_with_vllm_everything_can_be_settled() -> None:
    assert [
        probe.settles(item, STACKS["vllm"])
        for probe in PROMETHEUS_PROBES
        for item in probe.items
        if probe.settles(item, STACKS["vllm"])
    ] == []


@pytest.mark.parametrize(
    ("stack", "key", "item"),
    [
        ("ollama", "prometheus.throughput", "performance.throughput"),
        ("llamacpp", "prometheus.latency", "performance.latency-targets"),
        ("comfyui", "prometheus.queue", "autoscaling.batch-queue"),
        ("litellm", "prometheus.backpressure", "reliability.backpressure"),
        ("tgi", "prometheus.present", "observability.cache"),
        ("kserve", "prometheus.timeouts", "reliability.timeouts"),
        ("ollama", "prometheus.errors", "observability.errors"),
        ("litellm", "prometheus.errors", "observability.errors"),
    ],
)
def test_what_a_stack_does_not_export_cannot_be_settled_there(stack: str, key: str, item: str) -> None:
    why = PROBES[key].settles(item, STACKS[stack])
    assert why.startswith(STACKS[stack].label)
    assert why.endswith(".")


def test_an_item_a_probe_says_nothing_of_is_not_settled_by_it() -> None:
    assert PROBES["prometheus.queue"].settles("identity.lineage", STACKS["vllm"])


# Which series are the endpoint's


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
    row = {"namespace": "llm", "pod": "chat-0", "cluster": "east", **more}
    with serving(api(["vllm:num_requests_waiting"], [row])) as server:
        observe(
            "prometheus.placement", Target("main", "http://10.9.9.9:8000", prometheus_url=server.url, labels={"a": "b"})
        )
        asked = [parse_qs(urlsplit(request.path).query).get("query", [""])[0] for request in server.seen]
    nodes = [query for query in asked if "kube_pod_info" in query]
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
    """A Prometheus that says this of how far back its series go (``oldest``), and how often they fall (``mixed``)."""

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
