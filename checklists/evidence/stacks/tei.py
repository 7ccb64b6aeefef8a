from checklists.evidence.stacks.table import Fact, Field, Listing, Route, Sign, Stack, metrics

STACK = Stack(
    "tei",
    "HF Text Embeddings Inference",
    "text-embeddings-inference 1.8 and 1.9",
    signs=(
        Sign("/info", at="max_batch_tokens"),
        Sign("/info", at="auto_truncate", weight=2),
        Sign("/metrics", text=r"(?m)^te_", optional=True),
    ),
    listings=(Listing(("/info",), "", {"id": Field("model_id"), "revision": Field("model_sha")}),),
    facts=(
        Fact("version", ("/info",), "version"),
        Fact("max_input", ("/info",), "max_input_length"),
        Fact("max_concurrency", ("/info",), "max_concurrent_requests"),
        Fact("max_batched_tokens", ("/info",), "max_batch_tokens"),
        Fact("max_items", ("/info",), "max_client_batch_size"),
        Fact("truncates", ("/info",), "auto_truncate"),
        Fact("precision", ("/info",), "model_dtype"),
        Fact("quantization", ("/info",), "model_dtype"),
    ),
    main=(Route("/embed", "POST"), Route("/v1/embeddings", "POST")),
    beside=(Route("/info"), Route("/tokenize", "POST"), Route("/rerank", "POST"), Route("/metrics")),
    prefixes=("te_",),
    metrics=metrics(
        {
            "request_duration": "end_to_end_seconds",
            "request_queue_duration": "queue_seconds",
            "request_inference_duration": "inference_seconds",
            "request_count": "requests_total",
            "request_success": "requests_success_total",
            "request_failure": "requests_failed_total",
            "queue_size": "requests_waiting",
            "batch_next_size": "batch_size",
            "embed_count": "requests_total",
        },
        prefix="te_",
    ),
)
