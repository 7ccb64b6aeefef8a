from checklists.evidence.stacks.table import Field, Route, Sign, Stack, metrics, openai_listing
from checklists.evidence.stacks.vllm import NAMES

STACK = Stack(
    "rayserve",
    "Ray Serve LLM",
    "ray 2.4x to 2.5x",
    signs=(
        Sign("/-/healthz", text="success"),
        Sign("/-/routes", at="*", weight=2),
        Sign("/v1/models", at="data/*/owned_by", value="organization-owner", weight=1, optional=True),
        Sign("/metrics", text=r"(?m)^ray_(vllm|serve)[_:]", optional=True),
    ),
    wraps=("vllm", "sglang"),
    health=("/-/healthz",),
    listings=(
        openai_listing(
            context_tokens="metadata/max_request_context_length",
            max_input=Field("rayllm_metadata/max_request_context_length", only="up to 2.43"),
        ),
    ),
    beside=(Route("/-/routes"), Route("/metrics")),
    prefixes=("ray_vllm_", "ray_vllm:", "ray_serve_"),
    metrics={f"ray_vllm_{name}": meaning for name, meaning in NAMES.items()}
    | {f"ray_vllm:{name}": meaning for name, meaning in NAMES.items()}
    | metrics(
        {
            "ray_serve_deployment_queued_queries": "requests_waiting",
            "ray_serve_deployment_request_counter_total": "requests_total",
            "ray_serve_deployment_error_counter_total": "requests_failed_total",
        }
    ),
    alias=True,
)
