from checklists.evidence.stacks.table import (
    RERANK,
    TOKENIZE,
    Fact,
    Field,
    Listing,
    Route,
    Sign,
    Stack,
    metrics,
    openai_listing,
)

GGUF_ONLY = "llama.cpp loads GGUF files only"
CACHED = "where the file lies in the hub's own cache"

STACK = Stack(
    "llamacpp",
    "llama.cpp",
    "llama-server b4xxx to b9xxx",
    signs=(
        Sign("/v1/models", at="data/*/owned_by", value="llamacpp"),
        Sign("/props", at="default_generation_settings"),
        Sign("/v1/models", header="server", value="llama.cpp", weight=2, optional=True),
        Sign("/metrics", text=r"(?m)^llamacpp:", optional=True),
    ),
    listings=(
        openai_listing(context_tokens="meta/n_ctx", precision=Field("meta/ftype", only="in late builds")),
        Listing(("/props",), "", {"root": Field("model_path", only=CACHED)}),
    ),
    facts=(
        Fact("version", ("/props",), "build_info"),
        # A context split over slots serves each its share: that is what counts.
        Fact("context_tokens", ("/props",), "default_generation_settings/n_ctx", decisive=True),
        Fact("max_concurrency", ("/props",), "total_slots"),
        Fact("quantization", value="gguf", because=GGUF_ONLY),
    ),
    beside=(*TOKENIZE, Route("/props"), Route("/slots"), Route("/metrics"), *RERANK),
    prefixes=("llamacpp:",),
    metrics=metrics(
        {
            "prompt_tokens_total": "prompt_tokens_total",
            "tokens_predicted_total": "generation_tokens_total",
            "prompt_seconds_total": "prompt_seconds_total",
            "tokens_predicted_seconds_total": "generation_seconds_total",
            "requests_processing": "requests_running",
            "requests_deferred": "requests_waiting",
        },
        prefix="llamacpp:",
    )
    | metrics({"kv_cache_usage_ratio": "cache_usage"}, prefix="llamacpp:", versions="builds of early 2025 and before"),
    counts_refusals=False,
    fails_on_broken=True,
    alias=True,
)
