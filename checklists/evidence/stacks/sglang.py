from checklists.evidence.stacks.table import (
    RERANK,
    Fact,
    Field,
    Listing,
    Meaning,
    Route,
    Sign,
    Stack,
    metrics,
    openai_listing,
)

ARGUMENTS = ("/server_info", "/get_server_info")
MODEL = ("/model_info", "/get_model_info")

STACK = Stack(
    "sglang",
    "SGLang",
    "sglang 0.4 and 0.5",
    signs=(
        Sign("/v1/models", at="data/*/owned_by", value="sglang"),
        Sign("/model_info", at="model_path", weight=2, optional=True),
        Sign("/get_model_info", at="model_path", weight=2, optional=True),
        Sign("/metrics", text=r"(?m)^sglang:", optional=True),
    ),
    health=("/ready", "/ping"),  # its /health may generate a token
    listings=(
        # The root of the base model is its served name again; its weight version is a label of the operator's.
        openai_listing(root=Field("root", apart=True), parent="parent", context_tokens="max_model_len"),
        Listing(MODEL, "", {"root": Field("model_path")}),
        Listing(ARGUMENTS, "", {"revision": Field("revision", only="where it was started with one")}),
    ),
    facts=(
        Fact("version", ARGUMENTS, "version"),
        Fact("context_tokens", ARGUMENTS, "context_length"),
        Fact("max_input", ARGUMENTS, "max_req_input_len"),
        Fact("max_concurrency", ARGUMENTS, "max_running_requests"),
        # Of new prompts together, and of them in one step: either may be meant.
        Fact("max_batched_tokens", ARGUMENTS, "max_prefill_tokens"),
        Fact("max_batched_tokens", ARGUMENTS, "chunked_prefill_size"),
        Fact("truncates", ARGUMENTS, "allow_auto_truncate"),
        Fact("precision", ARGUMENTS, "dtype"),
        Fact("kv_precision", ARGUMENTS, "kv_cache_dtype"),
        Fact("quantization", ARGUMENTS, "quantization"),
        Fact("tensor_parallel", ARGUMENTS, "tp_size"),
        Fact("pipeline_parallel", ARGUMENTS, "pp_size"),
        Fact("data_parallel", ARGUMENTS, "dp_size"),
    ),
    beside=(Route("/server_info"), Route("/model_info"), Route("/generate", "POST"), Route("/metrics"), *RERANK),
    prefixes=("sglang:",),
    metrics=metrics(
        {
            "time_to_first_token_seconds": "first_token_seconds",
            "inter_token_latency_seconds": "per_output_token_seconds",
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
            "num_aborted_requests_total": "requests_failed_total",
            "diffusion_request_latency_seconds": "end_to_end_seconds",
            "diffusion_queue_time_seconds": "queue_seconds",
            "diffusion_requests_total": "requests_total",
        },
        prefix="sglang:",
    )
    | metrics({"time_per_output_token_seconds": "per_output_token_seconds"}, prefix="sglang:", versions="sglang 0.4")
    | {
        "sglang:per_stage_req_latency_seconds": Meaning("prefill_seconds", labels={"stage": "prefill_forward"}),
        # Of its phases the one that ends with the start; how long weights took is told of later updates only.
        "sglang:startup_time_seconds": Meaning("startup_seconds", labels={"phase": "tokenizer_e2e"}),
    },
    alias=True,
)
