from checklists.evidence.stacks.table import Fact, Field, Listing, Route, Sign, Stack, openai_listing

SHOW = ("/api/show",)

STACK = Stack(
    "ollama",
    "Ollama",
    "ollama 0.13",
    signs=(
        Sign("/api/version", at="version", weight=2),
        Sign("/api/tags", at="models/*/digest", weight=2, optional=True),
        Sign("/", text="Ollama is running", optional=True),
        Sign("/v1/models", at="data/*/owned_by", value="library", weight=2, optional=True),
    ),
    health=("/api/version", "/"),
    listings=(
        Listing(
            ("/api/tags",),
            "models/*",
            {"id": Field("name"), "digest": Field("digest"), "precision": Field("details/quantization_level")},
        ),
        # Of the models that are loaded.
        Listing(("/api/ps",), "models/*", {"id": Field("name"), "context_tokens": Field("context_length")}),
        openai_listing(spare=True),  # behind a proxy that serves the OpenAI paths only
    ),
    facts=(
        Fact("version", ("/api/version",), "version"),
        Fact("parent", SHOW, "details/parent_model", method="POST", payload={"model": "{model}"}),
        Fact("takes", SHOW, "capabilities/*", method="POST", payload={"model": "{model}"}),
        Fact("quantization", SHOW, "details/format", method="POST", payload={"model": "{model}"}),
    ),
    main=(Route("/api/tags"), Route("/v1/models"), Route("/v1/chat/completions", "POST")),
    beside=(Route("/api/ps"),),
    metrics_paths=(),
    alias=True,
)
