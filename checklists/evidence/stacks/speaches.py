from checklists.evidence.stacks.table import Fact, Route, Sign, Stack, openai_listing

STACK = Stack(
    "speaches",
    "Speaches",
    "speaches 0.8",
    signs=(
        Sign(
            "/v1/models",
            at="data/*/task",
            value="automatic-speech-recognition|text-to-speech|speaker-embedding|voice-activity-detection|speaker-diarization",
        ),
        Sign("/openapi.json", at="info/title", value="Speaches", optional=True),
    ),
    health=("/health",),
    listings=(openai_listing(),),
    facts=(Fact("version", ("/openapi.json",), "info/version"),),
    main=(
        Route("/v1/models"),
        Route("/v1/audio/transcriptions", "POST"),
        Route("/v1/audio/speech", "POST"),
        Route("/v1/chat/completions", "POST"),
    ),
    beside=(Route("/api/ps"),),
    metrics_paths=(),
    partial=True,  # of what the hub's cache holds, it lists what has a full card
)
