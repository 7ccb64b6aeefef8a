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
            {
                "id": Field("modelName"),
                "root": Field("modelUrl", match=r"(?:^|/)([^/]+)\.mar", only="where the archive is named after it"),
            },
        ),
    ),
    main=(Route("/predictions/preflight", "POST"),),
    beside=(Route("/models"),),
    prefixes=("ts_",),
    metrics=metrics(
        {"ts_inference_latency_microseconds": "end_to_end_seconds", "ts_queue_latency_microseconds": "queue_seconds"},
        factor=1e-6,
        counter=True,
    )
    | metrics({"ts_inference_requests_total": "requests_total"})
    | metrics({"Requests2XX_total": "requests_success_total", "GPUUtilization": "gpu_utilisation_percent"})
    | {
        "Requests5XX_total": Meaning("requests_failed_total"),
        "WorkerLoadTime": Meaning("weight_load_seconds", 1e-3),
        "GPUMemoryUsed": Meaning("gpu_memory_bytes", 2.0**20),
    },
)
