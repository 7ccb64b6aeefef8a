from checklists.evidence.stacks.llamacpp import CACHED, GGUF_ONLY
from checklists.evidence.stacks.table import Fact, Field, Route, Sign, Stack, openai_listing

STACK = Stack(
    "llamacpp_python",
    "llama-cpp-python",
    "llama-cpp-python 0.3",
    signs=(
        Sign("/openapi.json", at="info/title", value=r".*llama\.cpp Python API"),
        Sign("/v1/models", at="data/*/owned_by", value="me", weight=1),
        Sign("/v1/models", at="data/*/permissions", weight=1),
    ),
    health=("/v1/models",),
    # Without --model_alias a model is called by the path of its file.
    listings=(openai_listing(root=Field("id", match=r"(?i)^([./~].*|.*\.gguf)$", only=CACHED)),),
    facts=(
        Fact("version", ("/openapi.json",), "info/version"),
        Fact("quantization", value="gguf", because=GGUF_ONLY),
    ),
    beside=(
        Route("/extras/tokenize", "POST"),
        Route("/extras/tokenize/count", "POST"),
        Route("/extras/detokenize", "POST"),
        Route("/v1/embeddings", "POST"),
    ),
    metrics_paths=(),
    alias=True,
    fails_on_broken=True,
)
