"""A claim for every field of every item, so that every judge has something to compare with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

MODEL = "house/support-chat"

CLAIMS: Mapping[str, Mapping[str, Any]] = {
    "identity.name-version": {
        "model_id": MODEL,
        "version": "4.2",
        "revision": "a1f9c0e",
        "artifact_digest": "sha256:" + "ab" * 32,
    },
    "identity.lineage": {"base_model": "meta-llama/Llama-3.1-8B", "method": "LoRA", "data_snapshot": "2026-01-02"},
    "identity.modalities": {"inputs": ["text"], "outputs": ["text"]},
    "identity.input-limits": {"max_input": 8192, "unit": "tokens"},
    "identity.gpu-precision": {"gpu_types": "H100", "precisions": ["bf16"]},
    "compute.peak-memory": {"gib_per_replica": 60, "input_size": "8,192 tokens"},
    "compute.batch-range": {"min": 1, "max": 64, "unit": "requests"},
    "compute.unit-throughput": {"per_gpu_second": 1500, "unit": "tokens", "cost_per_1000": 0.002, "currency": "EUR"},
    "compute.placement": {"instance_types": "p5.48xlarge", "node_selector": "gpu=h100"},
    "compute.parallelism": {"tensor_parallel": 2, "pipeline_parallel": 1, "gpus": 2},
    "compute.quantization": {"formats": ["fp8"]},
    "performance.latency-targets": {"phase": "first_token", "p50_ms": 200, "p95_ms": 500},
    "performance.throughput": {"value": 2000, "unit": "tokens_per_second"},
    "performance.load-profile": {"peak": 20, "steady": 5, "unit": "requests_per_second"},
    "performance.cost-targets": {"cost": 0.01, "per": "thousand_tokens", "currency": "EUR"},
    "release.gradual-rollout": {"strategy": "canary", "first_share": 5},
    "release.shadow-evaluation": {"plan_url": "https://docs.example.org/shadow", "days": 14},
    "release.rollback": {
        "trigger": "error rate above 2 %",
        "runbook_url": "https://docs.example.org/rollback",
        "last_drill": "2026-01-02",
    },
    "release.drift-evals": {
        "suite": "house set",
        "last_run": "2026-01-02",
        "report_url": "https://docs.example.org/drift",
    },
    "release.compatibility": {"compatible_with": "4.1", "exceptions": "none"},
    "autoscaling.cold-start": {"seconds": 120},
    "autoscaling.warmup": {"steps": "three requests", "seconds": 20},
    "autoscaling.batch-queue": {"window_ms": 20, "max_queue": 10, "on_overflow": "reject"},
    "autoscaling.strategy": {"strategy": "reactive", "signal": "queue", "min_replicas": 1, "max_replicas": 4},
    "autoscaling.load-notes": {"replicas_peak": 4, "replicas_rest": 1},
    "observability.latency-breakdown": {"phases": ["queue", "first_token"]},
    "observability.gpu": {"dashboard_url": "https://grafana.example.org/d/gpu1/gpus"},
    "observability.cache": {"metric_names": "vllm:kv_cache_usage_perc"},
    "observability.errors": {"classes": ["bad_request", "timeout"]},
    "observability.throughput": {
        "metric_name": "vllm:generation_tokens_total",
        "dashboard_url": "https://grafana.example.org/d/tok1/tokens",
    },
    "reliability.warmup-validated": {"method": "restart under load", "date": "2026-01-02"},
    "reliability.backpressure": {"retry_policy": "twice, with jitter", "max_concurrency": 4, "on_overload": "reject"},
    "reliability.timeouts": {"client_seconds": 30, "gateway_seconds": 25, "server_seconds": 20},
    "reliability.input-variability": {
        "tried": ["empty", "unicode", "oversized", "malformed", "extreme_shape", "wrong_type"],
        "report_url": "https://docs.example.org/inputs",
    },
    "reliability.load-test": {
        "tool": "k6",
        "date": "2026-01-02",
        "revision": "a1f9c0e",
        "report_url": "https://docs.example.org/load",
    },
    "security.input-sanitisation": {
        "rules": "types and sizes are checked, no secrets",
        "guardrail": "pii",
        "test_date": "2026-01-02",
    },
    "security.logging-privacy": {"mode": "metadata", "retention_days": 30, "redaction": "before it is written"},
    "security.access-control": {"scheme": "api_key", "rotation_days": 90},
    "security.safety-behaviour": {
        "policy_url": "https://docs.example.org/safety",
        "evaluation": "house set",
        "date": "2026-01-02",
    },
    "security.data-governance": {
        "policy_url": "https://docs.example.org/data",
        "licence": "Apache-2.0",
        "residency": "EU",
    },
    "operations.owner": {"team": "Search", "on_call": "search@example.org"},
    "operations.slos": {"objective": "availability", "target": "99.5 %", "window": "30 days"},
    "operations.dependencies": {"names": "vector store", "health_url": "https://docs.example.org/h", "required": True},
    "operations.resource-contract": {"document_url": "https://docs.example.org/modelspec.json"},
    "operations.runtime-constraints": {"max_concurrency": 256, "max_batched_tokens": 8192, "context_tokens": 8192},
}
