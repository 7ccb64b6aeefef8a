"""A true and a false claim for every topic that a recorded stack settles: one row each.

A row is ``(recording, probe, item, true, false)``:

- ``recording``: the name of a folder in ``fixtures/``; it is served on loopback and the stack is left to be found out;
- ``probe``, ``item``: keys;
- ``true``: the item's claims (or a list of such) that must come out verified;
- ``false``: those that must come out contradicted;
- a sixth element, where it is needed: claims of other items by key, as ``also_reads`` hands them to the judge.

Claims that hold or not by the way the server is set up stand in ``On``. What is here is read from a server's own word;
who gets in, what it answers to requests of our own, and what it does when full stand in the tables beside this one.
Every topic that a probe says it settles on a stack must have both kinds of claim in ``ROWS`` (for what is no matter of
an endpoint, in ``stack_claims_release``): ``test_stacks_claims.py`` sees to it. What is inconclusive stands in
``UNDECIDED``: the same form without ``false``, with what the reason must say.
"""

from __future__ import annotations

from tests.evidence.stack_claims_access import ACCESS
from tests.evidence.stack_claims_answers import ANSWERS
from tests.evidence.stack_claims_load import LOAD
from tests.evidence.stack_claims_requests import REQUESTS
from tests.evidence.stack_setups import Claims, On, Row

MODEL = "meta-llama/Llama-3.1-8B-Instruct"
DIGEST = "46e0c10c039e019119339687c3c1757cc81b9da49709a3b3924863ba87ca666e"
OTHER = {"model_id": "mistralai/Mistral-7B-v0.3"}
NAME, LINEAGE = "identity.name-version", "identity.lineage"
LIMIT, RUNTIME = "identity.input-limits", "operations.runtime-constraints"
PRECISION, SPLIT, QUANTISATION = "identity.gpu-precision", "compute.parallelism", "compute.quantization"


def claim(model_id: str) -> Claims:
    return {"model_id": model_id}


def tokens(number: int) -> Claims:
    return {"max_input": number, "unit": "tokens"}


def items(number: int) -> Claims:
    return {"max_input": number, "unit": "items"}


OURS, SUPPORT = {NAME: claim("tickets")}, {NAME: claim("support")}  # adapters, whose parent is told
IDENTITY: list[Row] = [
    ("vllm-0.11", "model.identity", NAME, claim(MODEL), []),  # the adapter beside it comes from a path
    ("vllm-0.6", "model.identity", NAME, claim("mistralai/Mistral-7B-Instruct-v0.3"), OTHER),
    ("vllm-0.11-development", "model.identity", NAME, claim(MODEL), []),
    ("sglang-0.5", "model.identity", NAME, claim("Qwen/Qwen3-32B"), OTHER),
    ("tgi-3.3", "model.identity", NAME, claim(MODEL) | {"revision": "0e9e39f"}, claim(MODEL) | {"revision": "1111111"}),
    (
        "tei-1.9",
        "model.identity",
        NAME,
        claim("BAAI/bge-base-en-v1.5") | {"revision": "a5beb1e3e68b9ab74eb54cfd186867f64f240e1a"},
        [OTHER, claim("BAAI/bge-base-en-v1.5") | {"revision": "0000000"}],
    ),
    ("nim-1.8", "model.identity", NAME, claim("meta/llama-3.1-8b-instruct"), []),
    (
        "nim-1.8-hf",
        "model.identity",
        NAME,
        claim("meta/llama-3.1-8b-instruct") | {"revision": "8c22764"},
        [OTHER, claim("meta/llama-3.1-8b-instruct") | {"revision": "abcdef0"}],
    ),
    ("ollama-0.13", "model.identity", NAME, claim("tickets") | {"artifact_digest": f"sha256:{DIGEST}"}, []),
    ("speaches-0.8", "model.identity", NAME, claim("Systran/faster-whisper-large-v3"), []),
    ("vllm-0.11", "model.identity", LINEAGE, {"base_model": MODEL}, {"base_model": "Qwen/Qwen3-8B"}, SUPPORT),
    ("sglang-0.5", "model.identity", LINEAGE, {"base_model": "Qwen/Qwen3-32B"}, {"base_model": MODEL}, OURS),
    (
        "nim-1.8",
        "model.identity",
        LINEAGE,
        {"base_model": "meta/llama-3.1-8b-instruct"},
        {"base_model": "Qwen/Qwen3-32B"},
        {NAME: claim("llama-3.1-8b-instruct-tickets")},
    ),
]

LIMITS: list[Row] = [
    ("vllm-0.11", "model.limits", LIMIT, tokens(32768), tokens(131072)),
    ("vllm-0.6", "model.limits", LIMIT, tokens(16384), tokens(32768)),
    ("vllm-0.11-development", "model.limits", LIMIT, tokens(32768), tokens(32769)),
    ("sglang-0.5", "model.limits", LIMIT, tokens(40954), tokens(131072)),
    ("tgi-3.3", "model.limits", LIMIT, [tokens(4095), items(4)], [tokens(4096), items(5)]),
    ("tei-1.9", "model.limits", LIMIT, [tokens(512), items(32)], [tokens(8192), items(64)]),
    ("triton-2.60", "model.limits", LIMIT, items(8), items(16)),
    ("nim-1.8", "model.limits", LIMIT, tokens(131072), tokens(200000)),
    ("nim-1.8-hf", "model.limits", LIMIT, tokens(131072), tokens(200000)),
    ("ollama-0.13", "model.limits", LIMIT, tokens(8192), tokens(131072)),
    ("llamacpp-b6900", "model.limits", LIMIT, tokens(256), tokens(512)),
    ("llamacpp-b4500", "model.limits", LIMIT, tokens(2048), tokens(4096)),
    ("rayserve-2.50", "model.limits", LIMIT, tokens(32768), tokens(131072)),
    ("vllm-0.11", "model.limits", RUNTIME, {"context_tokens": 32768}, {"context_tokens": 8192}),
    ("vllm-0.6", "model.limits", RUNTIME, {"context_tokens": 16384}, {"context_tokens": 8192}),
    ("vllm-0.11-development", "model.limits", RUNTIME, {"context_tokens": 32768}, {"context_tokens": 8192}),
    (
        "sglang-0.5",
        "model.limits",
        RUNTIME,
        {"max_concurrency": 256, "max_batched_tokens": 16384, "context_tokens": 40960},
        [{"max_concurrency": 128}, {"max_concurrency": 256, "max_batched_tokens": 8192}],
    ),
    ("tgi-3.3", "model.limits", RUNTIME, {"max_concurrency": 128, "context_tokens": 4096}, {"max_concurrency": 64}),
    ("tei-1.9", "model.limits", RUNTIME, {"max_concurrency": 512, "max_batched_tokens": 16384}, {"max_concurrency": 8}),
    ("nim-1.8", "model.limits", RUNTIME, {"context_tokens": 131072}, {"context_tokens": 8192}),
    ("nim-1.8-hf", "model.limits", RUNTIME, {"context_tokens": 131072}, {"context_tokens": 8192}),
    ("ollama-0.13", "model.limits", RUNTIME, {"context_tokens": 8192}, {"context_tokens": 4096}),
    (
        "llamacpp-b6900",
        "model.limits",
        RUNTIME,
        {"max_concurrency": 2, "context_tokens": 256},
        [{"max_concurrency": 4}, {"max_concurrency": 2, "context_tokens": 512}],
    ),
    ("rayserve-2.50", "model.limits", RUNTIME, {"context_tokens": 32768}, {"context_tokens": 8192}),
]

ARGUMENTS: list[Row] = [
    ("vllm-0.11-development", "serving.arguments", PRECISION, {"precisions": ["fp8"]}, {"precisions": ["fp16"]}),
    ("sglang-0.5", "serving.arguments", PRECISION, {"precisions": ["bf16", "fp8"]}, {"precisions": ["fp16"]}),
    ("tei-1.9", "serving.arguments", PRECISION, {"precisions": ["fp16"]}, {"precisions": ["fp32"]}),
    (
        "nim-1.8",
        "serving.arguments",
        PRECISION,
        {"gpu_types": "H100 80 GB, L40S", "precisions": ["bf16"]},
        [{"gpu_types": "H100", "precisions": ["bf16"]}, {"gpu_types": "L40S", "precisions": ["fp8"]}],
    ),
    ("ollama-0.13", "serving.arguments", PRECISION, {"precisions": ["int4"]}, {"precisions": ["fp16", "int8"]}),
    ("llamacpp-b6900", "serving.arguments", PRECISION, {"precisions": ["int8"]}, {"precisions": ["int4"]}),
    ("comfyui-0.3", "serving.arguments", PRECISION, {"gpu_types": "RTX 4090"}, {"gpu_types": "RTX 4080, L40S"}),
    ("vllm-0.11-development", "serving.arguments", QUANTISATION, {"formats": ["fp8"]}, {"formats": ["none", "awq"]}),
    ("sglang-0.5", "serving.arguments", QUANTISATION, {"formats": ["fp8"]}, {"formats": ["awq"]}),
    ("tei-1.9", "serving.arguments", QUANTISATION, {"formats": ["none"]}, {"formats": ["int8"]}),
    ("nim-1.8", "serving.arguments", QUANTISATION, {"formats": ["none"]}, {"formats": ["fp8"]}),
    ("ollama-0.13", "serving.arguments", QUANTISATION, {"formats": ["gguf"]}, {"formats": ["gptq"]}),
    ("llamacpp-b6900", "serving.arguments", QUANTISATION, {"formats": ["gguf"]}, {"formats": ["awq", "none"]}),
    ("llamacpp_python-0.3", "serving.arguments", QUANTISATION, {"formats": ["gguf"]}, {"formats": ["awq"]}),
    (
        "vllm-0.11-development",
        "serving.arguments",
        SPLIT,
        {"tensor_parallel": 4, "pipeline_parallel": 1, "gpus": 4},
        [{"tensor_parallel": 2, "gpus": 2}, {"tensor_parallel": 4, "gpus": 8}],
    ),
    (
        "sglang-0.5",
        "serving.arguments",
        SPLIT,
        {"tensor_parallel": 2, "pipeline_parallel": 1, "gpus": 2},
        [{"tensor_parallel": 4, "gpus": 4}, {"tensor_parallel": 2, "gpus": 4}],
    ),
    ("nim-1.8", "serving.arguments", SPLIT, {"gpus": 2}, {"gpus": 4}),
    ("comfyui-0.3", "serving.arguments", SPLIT, {"gpus": 1}, {"gpus": 2}),
]

BREAKDOWN, CACHE, LATENCY = "observability.latency-breakdown", "observability.cache", "performance.latency-targets"


def phases(*names: str) -> Claims:
    return {"phases": list(names)}


def goal(phase: str, p95_ms: float) -> Claims:
    return {"phase": phase, "p95_ms": p95_ms}


def named(*names: str) -> Claims:
    return {"metric_names": ", ".join(names)}


PAGES: list[Row] = [
    (
        "vllm-0.11",
        "metrics.present",
        BREAKDOWN,
        phases("queue", "prefill", "first_token", "decode", "per_output_token", "inference", "end_to_end"),
        On(phases("prefill"), recording="vllm-0.11-development"),  # read through a relay that drops it
    ),
    ("vllm-0.6", "metrics.present", BREAKDOWN, phases("first_token", "per_output_token"), phases("prefill")),
    ("sglang-0.5", "metrics.present", BREAKDOWN, phases("queue", "prefill", "first_token"), phases("decode")),
    ("tgi-3.3", "metrics.present", BREAKDOWN, phases("queue", "inference"), phases("first_token")),
    ("tei-1.9", "metrics.present", BREAKDOWN, phases("queue", "inference"), phases("prefill")),
    ("triton-2.60", "metrics.present", BREAKDOWN, phases("first_token"), phases("decode")),
    ("nim-1.8", "metrics.present", BREAKDOWN, phases("first_token", "per_output_token"), phases("prefill")),
    ("litellm-1.80", "metrics.present", BREAKDOWN, phases("first_token", "inference"), phases("decode")),
    ("rayserve-2.50", "metrics.present", BREAKDOWN, phases("first_token", "end_to_end"), phases("decode")),
    ("openai-otel", "metrics.present", BREAKDOWN, phases("first_token", "request"), phases("queue")),
    ("vllm-0.11", "metrics.present", CACHE, named("vllm:kv_cache_usage_perc"), named("vllm:gpu_cache_usage_perc")),
    ("vllm-0.6", "metrics.present", CACHE, named("vllm:gpu_cache_usage_perc"), named("vllm:kv_cache_usage_perc")),
    ("sglang-0.5", "metrics.present", CACHE, named("sglang:cache_hit_rate"), named("sglang:cached_tokens_total")),
    ("triton-2.60", "metrics.present", CACHE, named("nv_cache_num_hits_per_model"), named("nv_cache_hit_ratio")),
    ("nim-1.8", "metrics.present", CACHE, named("gpu_cache_usage_perc"), named("gpu_cache_blocks_total")),
    ("rayserve-2.50", "metrics.present", CACHE, named("ray_vllm_gpu_cache_usage_perc"), named("ray_vllm_cache")),
    ("llamacpp-b4500", "metrics.present", CACHE, named("llamacpp:kv_cache_usage_ratio"), named("llamacpp:kv_hits")),
    ("vllm-0.11", "metrics.latency", LATENCY, goal("first_token", 500), goal("first_token", 250)),
    ("vllm-0.6", "metrics.latency", LATENCY, {"phase": "first_token", "p50_ms": 750}, goal("first_token", 1000)),
    ("sglang-0.5", "metrics.latency", LATENCY, goal("first_token", 400), goal("first_token", 200)),
    ("tgi-3.3", "metrics.latency", LATENCY, goal("end_to_end", 1000), goal("end_to_end", 500)),
    ("tei-1.9", "metrics.latency", LATENCY, goal("end_to_end", 20), goal("end_to_end", 10)),
    ("triton-2.60", "metrics.latency", LATENCY, goal("first_token", 500), goal("first_token", 100)),
    ("nim-1.8", "metrics.latency", LATENCY, goal("first_token", 500), goal("first_token", 250)),
    ("litellm-1.80", "metrics.latency", LATENCY, goal("end_to_end", 1000), goal("end_to_end", 500)),
    ("rayserve-2.50", "metrics.latency", LATENCY, goal("first_token", 500), goal("first_token", 100)),
    ("openai-otel", "metrics.latency", LATENCY, goal("first_token", 250), goal("first_token", 100)),
]

ROWS: list[Row] = [*IDENTITY, *LIMITS, *ARGUMENTS, *PAGES, *ACCESS, *REQUESTS, *ANSWERS, *LOAD]

# (recording, probe, item, claims, what the reason says)
UNDECIDED: list[Row] = [
    ("vllm-0.11", "model.identity", NAME, claim("chat"), "alias"),
    ("litellm-1.80", "model.identity", NAME, {}, "Nothing is claimed"),
    ("openai-compatible", "model.identity", NAME, claim("house/embedder"), "an alias proves little"),
    ("vllm-0.11", "model.identity", NAME, OTHER, "chooses names and places freely"),
    ("nim-1.8-hf", "model.identity", NAME, claim(MODEL), "chooses names and places freely"),  # the same, elsewhere
    ("triton-2.60", "model.identity", NAME, claim("detector"), "an alias proves little"),
    ("triton-2.60", "model.identity", NAME, claim("segmenter"), "chooses names and places freely"),
    ("ollama-0.13", "model.identity", NAME, claim("tickets"), "Claim a digest"),
    ("ollama-0.13", "model.identity", NAME, {"artifact_digest": "sha256:" + "0" * 64}, "may be that of something else"),
    ("llamacpp-b6900", "model.identity", NAME, claim("tiny-Q8_0"), "an alias proves little"),
    ("llamacpp-b4500", "model.identity", NAME, OTHER, "chooses names and places freely"),
    ("llamacpp_python-0.3", "model.identity", NAME, claim("tiny-q4_0.gguf"), "an alias proves little"),
    ("litellm-1.80", "model.identity", NAME, claim(MODEL), "an alias proves little"),
    ("litellm-1.80", "model.identity", NAME, OTHER, "chooses names and places freely"),
    ("rayserve-2.50", "model.identity", NAME, claim("moonshotai/Kimi-K2-Instruct-0905"), "an alias proves little"),
    ("torchserve-0.12", "model.identity", NAME, claim("resnet-18"), "an alias proves little"),
    ("comfyui-0.3", "model.identity", NAME, claim("flux1-dev"), "an alias proves little"),
    ("speaches-0.8", "model.identity", NAME, OTHER, "may serve models that it does not list"),
    ("vllm-0.11", "model.identity", LINEAGE, {"base_model": "Qwen/Qwen3-8B"}, "only for others"),
    ("tgi-3.3", "model.identity", NAME, {"revision": "main"}, "neither digest nor revision"),
    ("litellm-1.80", "model.limits", LIMIT, tokens(6000), "the server behind it sets the limit"),
    ("litellm-1.80", "model.limits", LIMIT, tokens(9000), "the server behind it sets the limit"),
    ("vllm-0.11", "model.limits", LIMIT, {"max_input": 4096, "unit": "pixels"}, "in tokens"),
    ("vllm-0.11", "model.limits", RUNTIME, {"max_concurrency": 48}, "none of the claimed limits"),
    ("speaches-0.8", "model.limits", LIMIT, {"max_input": 60, "unit": "seconds"}, "says nothing of this"),
    ("openai-compatible", "model.limits", RUNTIME, {"max_concurrency": 4}, "says nothing of this"),
    ("vllm-0.11", "serving.arguments", PRECISION, {"precisions": ["bf16"]}, "names no format"),
    ("vllm-0.6", "serving.arguments", PRECISION, {"precisions": ["fp8"]}, "says nothing of the claim"),
    ("vllm-0.11", "serving.arguments", SPLIT, {"tensor_parallel": 2, "gpus": 2}, "does not tell how it is split"),
    ("comfyui-0.3", "serving.arguments", PRECISION, {"precisions": ["fp16"]}, "says nothing of the claim"),
    ("comfyui-0.3", "serving.arguments", PRECISION, {"gpu_types": "the big one"}, "says nothing of the claim"),
    ("sglang-0.5", "serving.arguments", QUANTISATION, {}, "Nothing is claimed"),
    ("triton-2.60", "metrics.present", BREAKDOWN, phases("queue"), "has no samples yet"),  # a counter, no histogram
    ("llamacpp-b6900", "metrics.latency", LATENCY, goal("first_token", 100), "no histogram"),
    ("torchserve-0.12", "metrics.latency", LATENCY, goal("end_to_end", 100), "no histogram"),
]
