from checklists.evidence.stacks.table import RERANK, TOKENIZE, Field, Route, Sign, Stack, metrics, openai_listing

ADDED = "where the server adds it to its model list"

STACK = Stack(
    "openai",
    "OpenAI-compatible",
    "the OpenAI paths, and OpenTelemetry's GenAI names",
    signs=(Sign("/v1/models", at="data/*/id", weight=1),),
    health=("/healthz", "/readyz", "/ready", "/livez", "/health", "/v1/models"),
    listings=(
        openai_listing(
            root=Field("root", only=ADDED, apart=True),
            parent=Field("parent", only=ADDED),
            context_tokens=Field("max_model_len", only=ADDED),
            max_input=Field("max_input_tokens", only=ADDED),
        ),
    ),
    beside=(*TOKENIZE, *RERANK, Route("/metrics")),
    prefixes=("gen_ai_server_",),
    metrics=metrics(
        {
            "time_to_first_token_seconds": "first_token_seconds",
            "time_per_output_token_seconds": "per_output_token_seconds",
            "request_duration_seconds": "end_to_end_seconds",
        },
        prefix="gen_ai_server_",
    ),
    alias=True,
)
