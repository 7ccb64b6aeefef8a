from checklists.evidence.stacks.table import Fact, Field, Listing, Route, Sign, Stack, metrics, openai_listing

STACK = Stack(
    "tgi",
    "HF Text Generation Inference",
    "text-generation-inference 2.4 and 3.3",
    signs=(
        Sign("/info", at="max_total_tokens"),
        Sign("/info", at="max_best_of", weight=2),
        Sign("/metrics", text=r"(?m)^tgi_", optional=True),
    ),
    listings=(
        Listing(("/info",), "", {"id": Field("model_id"), "revision": Field("model_sha")}),
        openai_listing(spare=True),
    ),
    facts=(
        Fact("version", ("/info",), "version"),
        Fact("max_input", ("/info",), "max_input_tokens"),
        Fact("max_input", ("/info",), "max_input_length", only="up to 2.0, which calls it max_input_length"),
        Fact("context_tokens", ("/info",), "max_total_tokens"),
        Fact("takes", ("/info",), "model_pipeline_tag"),
        Fact("max_concurrency", ("/info",), "max_concurrent_requests"),
        Fact("max_batched_tokens", ("/info",), "max_batch_total_tokens", only="up to 2.2"),
        Fact("max_items", ("/info",), "max_client_batch_size"),
        Fact("precision", ("/info",), "model_dtype", match=r"(?:torch\.)?(\w+)", only="up to 2.2"),
    ),
    main=(Route("/v1/models"), Route("/v1/chat/completions", "POST"), Route("/generate", "POST")),
    beside=(Route("/info"), Route("/tokenize", "POST"), Route("/metrics")),
    prefixes=("tgi_",),
    metrics=metrics(
        {
            "request_duration": "end_to_end_seconds",
            "request_queue_duration": "queue_seconds",
            "request_inference_duration": "inference_seconds",
            "request_mean_time_per_token_duration": "per_output_token_seconds",
            "request_count": "requests_total",
            "request_success": "requests_success_total",
            "request_failure": "requests_failed_total",
            "queue_size": "requests_waiting",
            "batch_current_size": "batch_size",
            "request_generated_tokens": "generated_tokens_per_request",
        },
        prefix="tgi_",
    ),
)
