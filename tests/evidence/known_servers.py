"""Serving stacks as probes meet them, and how a probe is tried at one."""

from __future__ import annotations

import json
from typing import Any

from checklists.evidence.probes import PROBES, Judgement, Target, Visit
from tests.evidence import loopback
from tests.evidence.loopback import Server, loopback_client, run

KEY = "open-sesame-42"
MODEL = "meta-llama/Llama-3.1-8B-Instruct"


def buckets(name: str, counts: dict[str, int]) -> str:
    lines = [f'{name}_bucket{{le="{bound}",model_name="m"}} {count}' for bound, count in counts.items()]
    total = list(counts.values())[-1]
    return "\n".join(
        [
            f"# TYPE {name} histogram",
            *lines,
            f'{name}_count{{model_name="m"}} {total}',
            f'{name}_sum{{model_name="m"}} 1',
        ]
    )


def vllm_page(tokens: int = 100) -> str:
    """Names and buckets of vLLM 0.11 (V1), read from its sources."""
    return "\n".join(
        [
            buckets("vllm:time_to_first_token_seconds", {"0.1": 0, "0.25": 50, "0.5": 96, "1.0": 100, "+Inf": 100}),
            buckets("vllm:e2e_request_latency_seconds", {"1.0": 10, "2.5": 12, "+Inf": 12}),
            buckets("vllm:request_queue_time_seconds", {"0.3": 100, "+Inf": 100}),
            buckets("vllm:request_prefill_time_seconds", {"0.3": 0, "+Inf": 0}),
            f'# TYPE vllm:generation_tokens_total counter\nvllm:generation_tokens_total{{model_name="m"}} {tokens}',
            '# TYPE vllm:prompt_tokens_total counter\nvllm:prompt_tokens_total{model_name="m"} 50',
            '# TYPE vllm:kv_cache_usage_perc gauge\nvllm:kv_cache_usage_perc{model_name="m"} 0.2',
            '# TYPE vllm:prefix_cache_hits_total counter\nvllm:prefix_cache_hits_total{model_name="m"} 7\n',
        ]
    )


# vLLM 0.11, from its sources: a base model and a LoRA adapter on it.
VLLM = {
    "/v1/models": {
        "object": "list",
        "data": [
            {
                "id": "chat",
                "object": "model",
                "owned_by": "vllm",
                "root": MODEL,
                "parent": None,
                "max_model_len": 32768,
            },
            {"id": "support", "object": "model", "owned_by": "vllm", "root": "/lora/support", "parent": "chat"},
        ],
    },
    "/version": {"version": "0.11.0"},
    "/health": b"",
    "/metrics": vllm_page(),
}
# llama-server (llama.cpp b6900), as seen running with -c 512 -np 2: each slot serves 256.
LLAMACPP = {
    "/v1/models": {
        "data": [
            {"id": "tiny.gguf", "owned_by": "llamacpp", "meta": {"n_ctx": 512, "n_ctx_train": 2048, "n_params": 1000}}
        ]
    },
    "/props": {
        "total_slots": 2,
        "model_path": "/models/tiny.gguf",
        "build_info": "b6900",
        "default_generation_settings": {"n_ctx": 256},
    },
    "/health": {"status": "ok"},
    "/metrics": "# TYPE llamacpp:tokens_predicted_total counter\nllamacpp:tokens_predicted_total 12\n",
}
# Ollama 0.13, from its sources.
OLLAMA = {
    "/api/version": {"version": "0.13.0"},
    "/api/tags": {
        "models": [
            {
                "name": "llama3.1:latest",
                "digest": "46e0c10c039e019119339687c3c1757cc81b9da49709a3b3924863ba87ca666e",
                "details": {"quantization_level": "Q4_K_M"},
            }
        ]
    },
    "/api/ps": {"models": [{"name": "llama3.1:latest", "size_vram": 6, "context_length": 4096}]},
    "/v1/models": {"object": "list", "data": [{"id": "llama3.1:latest", "owned_by": "library"}]},
}
# Text Generation Inference 3.3 and Text Embeddings Inference 1.8, from their sources.
TGI = {
    "/info": {
        "model_id": MODEL,
        "model_sha": "0e9e39f249a16976918f6564b8830bc894c89659",
        "max_input_tokens": 4095,
        "max_total_tokens": 4096,
        "max_concurrent_requests": 128,
        "version": "3.3.4",
    },
    "/health": b"",
    "/metrics": buckets("tgi_request_duration", {"0.5": 30, "1": 40, "+Inf": 40})
    + "\n# TYPE tgi_queue_size gauge\ntgi_queue_size 0\n",
}
TEI = {
    "/info": {
        "model_id": "BAAI/bge-small-en",
        "model_sha": "",
        "model_dtype": "float16",
        "max_input_length": 512,
        "max_batch_tokens": 16384,
        "max_concurrent_requests": 512,
        "auto_truncate": True,
        "version": "1.8.0",
    },
    "/health": b"",
}
# SGLang 0.5, from its sources.
SGLANG = {
    "/v1/models": {"data": [{"id": "qwen", "owned_by": "sglang", "root": "qwen", "max_model_len": 40960}]},
    "/model_info": {"model_path": "Qwen/Qwen3-8B"},
    "/server_info": {"context_length": None, "max_running_requests": 256},
    "/ready": b"\n",
}
# LiteLLM proxy 1.8x, from its sources: the list of models shows aliases only.
LITELLM = {
    "/health/liveliness": '"I\'m alive!"',
    "/v1/models": {"data": [{"id": "gpt-house", "owned_by": "openai"}]},
    "/v1/model/info": {"data": [{"model_name": "gpt-house", "litellm_params": {"model": f"hosted_vllm/{MODEL}"}}]},
}


def observe(probe: str, server: Server, **target: Any) -> dict[str, Any]:
    observation, _ = loopback.observe(probe, Target(name="main", url=target.pop("url", server.url), **target))
    return dict(json.loads(json.dumps(observation, allow_nan=False)))


def recognised(target: Target) -> str:
    async def visiting() -> str:
        async with loopback_client().session() as session:
            return (await Visit(target, session).stack()).key

    return run(visiting())


def judge(probe: str, item: str | None, claims: dict[str, Any], observation: dict[str, Any]) -> Judgement:
    return PROBES[probe].judge(item, claims, observation)
