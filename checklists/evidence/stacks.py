"""What each serving stack looks like from outside: one table, read from released packages in November 2026.

Recognition, routes and metric names are data. A name leads to its meaning and to the factor that brings its numbers to
the meaning's unit (seconds, tokens, requests, a share).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Meaning:
    """What a series tells: ``key`` ends in its unit; ``labels`` narrow the series down."""

    key: str
    factor: float = 1.0
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Route:
    """One request to try: a GET, or a POST with an empty object, which no server takes for work."""

    path: str
    method: str = "GET"


@dataclass(frozen=True)
class Sign:
    """A GET that gives the stack away: by a key of its JSON, or by a text in its body."""

    path: str
    key: str = ""
    text: str = ""


@dataclass(frozen=True)
class Stack:
    """``health``: routes that neither generate nor call others, best first; ``main``, ``beside``: where to knock."""

    key: str
    label: str
    read_from: str
    owned_by: str = ""
    signs: tuple[Sign, ...] = ()
    health: tuple[str, ...] = ("/health",)
    models: str = "/v1/models"
    main: tuple[Route, ...] = (Route("/v1/models"), Route("/v1/chat/completions", "POST"))
    beside: tuple[Route, ...] = ()
    metrics_paths: tuple[str, ...] = ("/metrics",)
    prefixes: tuple[str, ...] = ()
    metrics: Mapping[str, Meaning] = field(default_factory=dict)
    alias: bool = False  # its model names are given by whoever set it up, and say nothing of what runs


def _m(names: Mapping[str, str], factor: float = 1.0) -> dict[str, Meaning]:
    return {name: Meaning(meaning, factor) for name, meaning in names.items()}


# The order within one meaning is the order of preference.
_VLLM = _m(
    {
        "time_to_first_token_seconds": "first_token_seconds",
        "inter_token_latency_seconds": "per_output_token_seconds",
        "time_per_output_token_seconds": "per_output_token_seconds",
        "request_time_per_output_token_seconds": "per_output_token_seconds",
        "e2e_request_latency_seconds": "end_to_end_seconds",
        "request_queue_time_seconds": "queue_seconds",
        "request_prefill_time_seconds": "prefill_seconds",
        "request_decode_time_seconds": "decode_seconds",
        "request_inference_time_seconds": "inference_seconds",
        "kv_cache_usage_perc": "cache_usage",
        "gpu_cache_usage_perc": "cache_usage",
        "cpu_cache_usage_perc": "cache_usage_cpu",
        "gpu_prefix_cache_hit_rate": "cache_hit_rate",
        "prefix_cache_queries_total": "cache_queries_total",
        "prefix_cache_hits_total": "cache_hits_total",
        "num_requests_running": "requests_running",
        "num_requests_waiting": "requests_waiting",
        "num_requests_swapped": "requests_swapped",
        "num_preemptions_total": "preemptions_total",
        "prompt_tokens_total": "prompt_tokens_total",
        "generation_tokens_total": "generation_tokens_total",
        "request_success_total": "requests_total",
        "iteration_tokens_total": "tokens_per_iteration",
    }
)
_SGLANG = _m(
    {
        "time_to_first_token_seconds": "first_token_seconds",
        "inter_token_latency_seconds": "per_output_token_seconds",
        "time_per_output_token_seconds": "per_output_token_seconds",
        "e2e_request_latency_seconds": "end_to_end_seconds",
        "queue_time_seconds": "queue_seconds",
        "token_usage": "cache_usage",
        "cache_hit_rate": "cache_hit_rate",
        "num_running_reqs": "requests_running",
        "num_queue_reqs": "requests_waiting",
        "num_retracted_requests_total": "preemptions_total",
        "prompt_tokens_total": "prompt_tokens_total",
        "generation_tokens_total": "generation_tokens_total",
        "num_requests_total": "requests_total",
        "startup_time_seconds": "startup_seconds",
        "weight_load_duration_seconds": "weight_load_seconds",
        "diffusion_request_latency_seconds": "end_to_end_seconds",
        "diffusion_queue_time_seconds": "queue_seconds",
        "diffusion_requests_total": "requests_total",
    }
) | {
    "per_stage_req_latency_seconds": Meaning("prefill_seconds", 1.0, {"stage": "prefill_forward"}),
}


def _prefixed(prefix: str, names: Mapping[str, Meaning]) -> dict[str, Meaning]:
    return {prefix + name: meaning for name, meaning in names.items()}


TOKENIZE = (Route("/tokenize", "POST"), Route("/detokenize", "POST"))
RERANK = (Route("/v1/embeddings", "POST"), Route("/rerank", "POST"), Route("/score", "POST"))

STACKS: Mapping[str, Stack] = {
    stack.key: stack
    for stack in (
        Stack(
            "vllm", "vLLM", "vllm 0.6 (V0 names) and 0.11 to 0.23 (V1)",
            owned_by="vllm",
            signs=(Sign("/version", key="version"),),
            health=("/health", "/ping"),
            beside=(*TOKENIZE, *RERANK, Route("/server_info"), Route("/load"), Route("/metrics")),
            prefixes=("vllm:",),
            metrics=_prefixed("vllm:", _VLLM),
        ),
        Stack(
            "sglang", "SGLang", "sglang 0.5",
            owned_by="sglang",
            signs=(Sign("/model_info", key="model_path"), Sign("/get_model_info", key="model_path")),
            health=("/ready", "/ping"),  # its /health may generate a token
            beside=(
                Route("/server_info"), Route("/model_info"), Route("/generate", "POST"), Route("/metrics"), *RERANK
            ),
            prefixes=("sglang:",),
            metrics=_prefixed("sglang:", _SGLANG),
        ),
        Stack(
            "tgi", "HF Text Generation Inference", "text-generation-inference 3.3",
            signs=(Sign("/info", key="max_total_tokens"),),
            main=(Route("/v1/models"), Route("/v1/chat/completions", "POST"), Route("/generate", "POST")),
            beside=(Route("/info"), Route("/tokenize", "POST"), Route("/metrics")),
            prefixes=("tgi_",),
            metrics=_m({
                "tgi_request_duration": "end_to_end_seconds",
                "tgi_request_queue_duration": "queue_seconds",
                "tgi_request_inference_duration": "inference_seconds",
                "tgi_request_mean_time_per_token_duration": "per_output_token_seconds",
                "tgi_request_count": "requests_total",
                "tgi_request_success": "requests_success_total",
                "tgi_queue_size": "requests_waiting",
                "tgi_batch_current_size": "requests_running",
                "tgi_request_generated_tokens": "generated_tokens_per_request",
            }),
        ),
        Stack(
            "tei", "HF Text Embeddings Inference", "text-embeddings-inference 1.8",
            signs=(Sign("/info", key="max_batch_tokens"),),
            main=(Route("/embed", "POST"), Route("/v1/embeddings", "POST")),
            beside=(Route("/info"), Route("/tokenize", "POST"), Route("/rerank", "POST"), Route("/metrics")),
            prefixes=("te_",),
            metrics=_m({
                "te_request_duration": "end_to_end_seconds",
                "te_request_queue_duration": "queue_seconds",
                "te_request_inference_duration": "inference_seconds",
                "te_request_count": "requests_total",
                "te_request_success": "requests_success_total",
                "te_queue_size": "requests_waiting",
                "te_embed_count": "requests_total",
            }),
        ),
        Stack(
            "kserve", "Triton or KServe v2", "triton 2.6x, KServe v2 protocol",
            signs=(Sign("/v2", key="extensions"),),
            health=("/v2/health/ready", "/v2/health/live"),
            models="/v2",
            main=(Route("/v2"), Route("/v2/models/preflight/infer", "POST")),
            beside=(Route("/v2/repository/index", "POST"), Route("/metrics")),
            prefixes=("nv_inference_", "nv_gpu_"),
            metrics=_m({
                "nv_inference_request_success": "requests_success_total",
                "nv_inference_count": "requests_total",
                "nv_inference_pending_request_count": "requests_waiting",
                "nv_gpu_utilization": "gpu_utilisation",
                "nv_gpu_memory_used_bytes": "gpu_memory_bytes",
            })
            | _m({"nv_inference_queue_duration_us": "queue_seconds"}, 1e-6)
            | _m({"nv_inference_request_duration_us": "end_to_end_seconds"}, 1e-6)
            | _m({"nv_inference_compute_infer_duration_us": "inference_seconds"}, 1e-6)
            | _m({"nv_inference_first_response_histogram_ms": "first_token_seconds"}, 1e-3),
        ),
        Stack(
            "nim", "NVIDIA NIM", "NIM for LLMs 1.x: vLLM-like names without a prefix",
            signs=(Sign("/v1/metadata", key="modelInfo"),),
            health=("/v1/health/ready", "/v1/health/live"),
            beside=(Route("/v1/metadata"), Route("/v1/metrics"), *TOKENIZE),
            metrics_paths=("/v1/metrics", "/metrics"),
            metrics=dict(_VLLM),
        ),
        Stack(
            "ollama", "Ollama", "ollama 0.13",
            owned_by="library",
            signs=(Sign("/api/version", key="version"),),
            health=("/api/version", "/"),
            models="/api/tags",
            main=(Route("/api/tags"), Route("/v1/models"), Route("/v1/chat/completions", "POST")),
            beside=(Route("/api/ps"),),
            metrics_paths=(),
        ),
        Stack(
            "llamacpp", "llama.cpp", "llama-server b4xxx to b9xxx",
            owned_by="llamacpp",
            signs=(Sign("/props", key="default_generation_settings"),),
            beside=(*TOKENIZE, Route("/props"), Route("/slots"), Route("/metrics"), *RERANK),
            prefixes=("llamacpp:",),
            metrics=_prefixed(
                "llamacpp:",
                _m({
                    "prompt_tokens_total": "prompt_tokens_total",
                    "tokens_predicted_total": "generation_tokens_total",
                    "prompt_seconds_total": "prompt_seconds_total",
                    "tokens_predicted_seconds_total": "generation_seconds_total",
                    "requests_processing": "requests_running",
                    "requests_deferred": "requests_waiting",
                    "kv_cache_usage_ratio": "cache_usage",
                }),
            ),
        ),
        Stack(
            "litellm", "LiteLLM proxy", "litellm 1.8x",
            signs=(Sign("/health/liveliness", text="alive"),),
            health=("/health/liveliness", "/health/readiness"),  # its /health calls the models behind it
            beside=(Route("/v1/model/info"), Route("/v1/embeddings", "POST"), Route("/metrics/")),
            metrics_paths=("/metrics/", "/metrics"),
            prefixes=("litellm_",),
            metrics=_m({
                "litellm_request_total_latency_metric": "end_to_end_seconds",
                "litellm_llm_api_latency_metric": "inference_seconds",
                "litellm_llm_api_time_to_first_token_metric": "first_token_seconds",
                "litellm_request_queue_time_seconds": "queue_seconds",
                "litellm_proxy_total_requests_metric_total": "requests_total",
                "litellm_input_tokens_metric_total": "prompt_tokens_total",
                "litellm_output_tokens_metric_total": "generation_tokens_total",
                "litellm_spend_metric_total": "spend_total",
            }),
            alias=True,
        ),
        Stack(
            "rayserve", "Ray Serve LLM", "ray 2.5x",
            signs=(Sign("/-/healthz", text="success"),),
            health=("/-/healthz",),
            beside=(Route("/-/routes"), Route("/metrics")),
            prefixes=("ray_vllm_", "ray_serve_"),
            metrics=_prefixed("ray_vllm_", _VLLM)
            | _prefixed("ray_vllm:", _VLLM)
            | _m({"ray_serve_deployment_queued_queries": "requests_waiting"})
            | _m({"ray_serve_deployment_request_counter_total": "requests_total"}),
        ),
        Stack(
            "torchserve", "TorchServe", "torchserve 0.12",
            signs=(Sign("/ping", key="status"),),
            health=("/ping",),
            models="/models",
            main=(Route("/predictions/preflight", "POST"),),
            beside=(Route("/models"),),
            prefixes=("ts_",),
            metrics=_m({"ts_inference_latency_microseconds": "end_to_end_seconds"}, 1e-6)
            | _m({"ts_queue_latency_microseconds": "queue_seconds"}, 1e-6)
            | _m({"ts_inference_requests_total": "requests_total"}),
        ),
        Stack(
            "comfyui", "ComfyUI", "ComfyUI 0.3",
            signs=(Sign("/system_stats", key="devices"),),
            health=("/system_stats",),
            models="/system_stats",
            main=(Route("/prompt"), Route("/queue")),
            beside=(Route("/object_info/KSampler"), Route("/system_stats"), Route("/history?max_items=1")),
            metrics_paths=(),
        ),
        Stack(
            "openai", "OpenAI-compatible", "whatever follows the OpenAI paths (llama-cpp-python, Speaches, …)",
            health=("/healthz", "/readyz", "/ready", "/livez", "/health", "/v1/models"),
            beside=(*TOKENIZE, *RERANK, Route("/metrics")),
            prefixes=("gen_ai_server_",),
            metrics=_m({
                "gen_ai_server_time_to_first_token_seconds": "first_token_seconds",
                "gen_ai_server_time_per_output_token_seconds": "per_output_token_seconds",
                "gen_ai_server_request_duration_seconds": "end_to_end_seconds",
            }),
        ),
    )
}  # fmt: skip

# GPU series, whoever exports them: DCGM's defaults, Triton's, and what others call theirs.
GPU_PREFIXES = ("DCGM_FI_", "nv_gpu_", "nvidia_gpu_", "nvidia_smi_", "amd_gpu_", "habanalabs_")
# The phases a team can claim to export, and the meaning that shows each.
PHASES: Mapping[str, str] = {
    "queue": "queue_seconds",
    "prefill": "prefill_seconds",
    "first_token": "first_token_seconds",
    "decode": "decode_seconds",
    "per_output_token": "per_output_token_seconds",
    "inference": "inference_seconds",
    "end_to_end": "end_to_end_seconds",
    "request": "end_to_end_seconds",
}
CACHE_MEANINGS = ("cache_usage", "cache_usage_cpu", "cache_hit_rate", "cache_queries_total", "cache_hits_total")
COUNTER_MEANINGS = ("generation_tokens_total", "prompt_tokens_total", "requests_total", "requests_success_total")


def stack_of_metrics(names: list[str]) -> Stack | None:
    """The stack most of whose known names, or whose prefix, stand among ``names``; ``None`` if nothing is known."""

    def weight(stack: Stack) -> int:
        known = sum(name in stack.metrics or _base(name) in stack.metrics for name in names)
        return known + sum(bool(stack.prefixes) and name.startswith(stack.prefixes) for name in names)

    best = max(STACKS.values(), key=weight)
    return best if weight(best) else None


def _base(name: str) -> str:
    for ending in ("_bucket", "_count", "_sum"):
        if name.endswith(ending):
            return name.removesuffix(ending)
    return name


def owner_of(models: Any) -> str:
    """The stack that ``owned_by`` in a list of models gives away, or an empty text."""
    rows = models.get("data") if isinstance(models, dict) else None
    owners = {row.get("owned_by") for row in rows if isinstance(row, dict)} if isinstance(rows, list) else set()
    return next((stack.key for stack in STACKS.values() if stack.owned_by and owners == {stack.owned_by}), "")
