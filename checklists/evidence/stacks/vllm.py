from checklists.evidence.stacks.table import RERANK, TOKENIZE, Fact, Route, Sign, Stack, metrics, openai_listing

V0 = "V0 engine, to 0.10"
DEVELOPMENT = "in development mode, which opens /server_info"

# Without a prefix, because NIM and Ray Serve export the same names under other ones. The order within one meaning is
# the order of preference.
NAMES = metrics(
    {
        "time_to_first_token_seconds": "first_token_seconds",
        "inter_token_latency_seconds": "per_output_token_seconds",
        "request_time_per_output_token_seconds": "per_output_token_seconds",
        "e2e_request_latency_seconds": "end_to_end_seconds",
        "request_queue_time_seconds": "queue_seconds",
        "request_prefill_time_seconds": "prefill_seconds",
        "request_decode_time_seconds": "decode_seconds",
        "request_inference_time_seconds": "inference_seconds",
        "kv_cache_usage_perc": "cache_usage",
        "prefix_cache_queries_total": "cache_queries_total",
        "prefix_cache_hits_total": "cache_hits_total",
        "num_requests_running": "requests_running",
        "num_requests_waiting": "requests_waiting",
        "num_preemptions_total": "preemptions_total",
        "prompt_tokens_total": "prompt_tokens_total",
        "generation_tokens_total": "generation_tokens_total",
        "request_success_total": "requests_total",
        "iteration_tokens_total": "tokens_per_iteration",
    }
) | metrics(
    {
        "time_per_output_token_seconds": "per_output_token_seconds",
        "gpu_cache_usage_perc": "cache_usage",
        "cpu_cache_usage_perc": "cache_usage_cpu",
        "gpu_prefix_cache_hit_rate": "cache_hit_rate",
        "gpu_prefix_cache_queries_total": "cache_queries_total",
        "gpu_prefix_cache_hits_total": "cache_hits_total",
        "num_requests_swapped": "requests_swapped",
        "avg_prompt_throughput_toks_per_s": "prompt_tokens_per_second",
        "avg_generation_throughput_toks_per_s": "generation_tokens_per_second",
    },
    versions=V0,
)

STACK = Stack(
    "vllm",
    "vLLM",
    "vllm 0.6 (V0 names) and 0.11 to 0.23 (V1)",
    signs=(
        Sign("/v1/models", at="data/*/owned_by", value="vllm"),
        Sign("/version", at="version", weight=1),
        Sign("/metrics", text=r"(?m)^vllm:", optional=True),
    ),
    health=("/health", "/ping"),
    listings=(openai_listing(root="root", parent="parent", context_tokens="max_model_len"),),
    facts=(
        Fact("version", ("/version",), "version"),
        Fact("kv_precision", metric="vllm:cache_config_info", label="cache_dtype"),
        *(
            Fact(means, ("/server_info",), "vllm_config", match=pattern, only=DEVELOPMENT)
            for means, pattern in {
                "precision": r"\bdtype=(?:torch\.)?(\w+)",
                "quantization": r"\bquantization=([\w-]+)",
                "tensor_parallel": r"\btensor_parallel_size=(\d+)",
                "pipeline_parallel": r"\bpipeline_parallel_size=(\d+)",
                "data_parallel": r"\bdata_parallel_size=(\d+)",
            }.items()
        ),
    ),
    beside=(*TOKENIZE, *RERANK, Route("/server_info"), Route("/load"), Route("/metrics")),
    prefixes=("vllm:",),
    metrics={f"vllm:{name}": meaning for name, meaning in NAMES.items()},
    shows_start=True,
    alias=True,  # --served-model-name; its root is what was loaded
)
