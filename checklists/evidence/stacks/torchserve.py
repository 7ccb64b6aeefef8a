from checklists.evidence.stacks.table import Field, Listing, Meaning, Route, Sign, Stack, metrics

STACK = Stack(
    "torchserve",
    "TorchServe",
    "torchserve 0.12",
    signs=(
        Sign("/ping", at="status", value="Healthy|Partial Healthy|Unhealthy"),
        Sign("/models", at="models/*/modelUrl", weight=2, optional=True),
        Sign("/metrics", text=r"(?m)^ts_inference_", optional=True),
    ),
    health=("/ping",),
    # Its management, usually on a port of its own.
    listings=(
        Listing(
            ("/models",),
            "models/*",
            {"id": Field("modelName")},
        ),
    ),
    main=(Route("/predictions/preflight", "POST"),),
    beside=(Route("/models"),),
    prefixes=("ts_",),
    metrics=metrics(
        {"ts_inference_latency_microseconds": "end_to_end_seconds", "ts_queue_latency_microseconds": "queue_seconds"},
        unit="us",
        counter=True,
    )
    | metrics({"ts_inference_requests_total": "requests_total"})
    | metrics({"Requests2XX": "requests_success_total", "Requests5XX": "requests_failed_total"})
    | metrics({"GPUUtilization": "gpu_utilisation_percent"})
    | {
        "WorkerLoadTime": Meaning("weight_load_seconds", "ms"),
        "GPUMemoryUsed": Meaning("gpu_memory_bytes", "MiB"),
    },
    alias=True,
)
