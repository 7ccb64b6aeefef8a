from checklists.evidence.stacks.table import Behind, Fact, Field, Listing, Route, Sign, Stack, metrics, openai_listing

INFO = "/v1/model/info"

STACK = Stack(
    "litellm",
    "LiteLLM proxy",
    "litellm 1.8x",
    signs=(
        Sign("/health/liveliness", text="I'm alive!"),
        Sign("/v1/models", header="x-litellm-version", optional=True),
        Sign("/v1/models", header="x-litellm-call-id", weight=2, optional=True),
        Sign(INFO, at="data/*/litellm_params/model", optional=True),
    ),
    wraps=("vllm", "sglang", "nim", "ollama", "llamacpp", "llamacpp_python", "tgi", "rayserve"),
    behind=Behind(
        INFO,
        "data/*/litellm_params/model",
        {
            "hosted_vllm/*": "vllm",
            "vllm/*": "vllm",
            "ollama/*": "ollama",
            "ollama_chat/*": "ollama",
            "nvidia_nim/*": "nim",
            "triton/*": "kserve",
            "huggingface/*": "tgi",
            "llamafile/*": "llamacpp",
            "openai/*": "openai",
        },
    ),
    health=("/health/liveliness", "/health/readiness"),  # its /health calls the models behind it
    listings=(
        openai_listing(max_input=Field("max_input_tokens", only="for models it knows the limits of")),
        # What each name leads to; told only to those who hold a key.
        Listing(
            (INFO,),
            "data/*",
            {
                "id": Field("model_name"),
                "root": Field("litellm_params/model", match=r"^(?:[^/]+/)?(.+)"),
                "qualified_root": Field("litellm_params/model"),  # with the provider
                "max_input": Field("model_info/max_input_tokens"),
                "max_concurrency": Field("litellm_params/max_parallel_requests", only="where one is set"),
            },
        ),
    ),
    facts=(Fact("version", ("/health/readiness",), "litellm_version"),),
    beside=(Route(INFO), Route("/v1/embeddings", "POST"), Route("/metrics/")),
    metrics_paths=("/metrics/", "/metrics"),
    prefixes=("litellm_",),
    metrics=metrics(
        {
            "litellm_request_total_latency_metric": "end_to_end_seconds",
            "litellm_llm_api_latency_metric": "inference_seconds",
            "litellm_llm_api_time_to_first_token_metric": "first_token_seconds",
            "litellm_request_queue_time_seconds": "queue_seconds",
            "litellm_proxy_total_requests_metric_total": "requests_total",
            "litellm_proxy_failed_requests_metric_total": "requests_failed_total",
            "litellm_input_tokens_metric_total": "prompt_tokens_total",
            "litellm_output_tokens_metric_total": "generation_tokens_total",
            "litellm_spend_metric_total": "spend_total",
        }
    ),
    alias=True,
)
