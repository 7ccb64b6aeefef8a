from checklists.evidence.stacks.table import Fact, Field, Listing, Meaning, Route, Sign, Stack, metrics

STACK = Stack(
    "kserve",
    "Triton or KServe v2",
    "triton 2.6x, KServe v2 protocol",
    signs=(
        Sign("/v2", at="extensions"),
        Sign("/v2", at="name", value="triton", weight=1, optional=True),
        Sign("/metrics", text=r"(?m)^nv_inference_", optional=True),
    ),
    health=("/v2/health/ready", "/v2/health/live"),
    # The repository's index is a POST that reads; only Triton has it.
    listings=(
        Listing(("/v2/repository/index",), "*", {"id": Field("name"), "version": Field("version")}, method="POST"),
    ),
    facts=(
        Fact("version", ("/v2",), "version"),
        Fact("max_items", ("/v2/models/{model}/config",), "max_batch_size"),
    ),
    main=(Route("/v2"), Route("/v2/models/preflight/infer", "POST")),
    beside=(Route("/v2/repository/index", "POST"), Route("/metrics")),
    prefixes=("nv_inference_", "nv_gpu_"),
    metrics=metrics(
        {
            "nv_inference_request_success": "requests_success_total",
            "nv_inference_request_failure": "requests_failed_total",
            "nv_inference_count": "requests_total",
            "nv_inference_exec_count": "executions_total",
            "nv_inference_pending_request_count": "requests_waiting",
            "nv_gpu_utilization": "gpu_utilisation",
            "nv_gpu_memory_used_bytes": "gpu_memory_bytes",
            "nv_cache_num_hits_per_model": "cache_hits_total",
        }
    )
    | metrics(
        {
            "nv_inference_queue_duration_us": "queue_seconds",
            "nv_inference_request_duration_us": "end_to_end_seconds",
            "nv_inference_compute_infer_duration_us": "inference_seconds",
        },
        unit="us",
        counter=True,
    )
    | {"nv_inference_first_response_histogram_ms": Meaning("first_token_seconds", "ms")}
    | metrics({"nv_model_load_duration_secs": "weight_load_seconds"}, versions="2.52 and later"),
    counts_refusals=False,  # only inferences that failed
    alias=True,
)
