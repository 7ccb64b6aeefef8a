from checklists.evidence.stacks.table import TOKENIZE, Fact, Field, Listing, Route, Sign, Stack, metrics, openai_listing
from checklists.evidence.stacks.vllm import NAMES

# A model's address names its build: …:hf-8c22764-nim1.3b, or …:0.11.1+ba20956e-l40sx2-bf16-latency.1.1.0.16792222.
BUILD = ("/v1/metadata",)
URL = "modelInfo/*/modelUrl"
BUILT = "for prebuilt engines, whose address names GPU, count and precision"

STACK = Stack(
    "nim",
    "NVIDIA NIM",
    "NIM for LLMs 1.x (vLLM's names without a prefix) and 2.0 (vLLM behind its own routes)",
    signs=(
        Sign("/v1/metadata", at="modelInfo"),
        Sign("/v1/version", at="release", weight=2),
        Sign("/v1/health/ready", at="object", value="health.response", weight=2, optional=True),
        Sign("/v1/models", at="data/*/owned_by", value="system", weight=1, optional=True),
    ),
    wraps=("vllm", "kserve"),
    health=("/v1/health/ready", "/v1/health/live"),
    listings=(
        openai_listing(root="root", parent="parent", context_tokens="max_model_len"),
        Listing(BUILD, "modelInfo/*", {"revision": Field("modelUrl", match=r":hf-([0-9a-f]{7,40})\b")}),
    ),
    facts=(
        Fact("version", BUILD, "version"),
        Fact("precision", BUILD, URL, match=r"x\d+-(\w+)-", only=BUILT),
        Fact("quantization", BUILD, URL, match=r"x\d+-(\w+)-", only=BUILT),
        Fact("gpu_name", BUILD, URL, match=r"-([a-z]+\d\w*?)x\d+-", only=BUILT),
        Fact("gpus", BUILD, URL, match=r"-[a-z]+\d\w*?x(\d+)-", only=BUILT),
    ),
    beside=(Route("/v1/metadata"), Route("/v1/metrics"), *TOKENIZE),
    metrics_paths=("/v1/metrics", "/metrics"),
    metrics={**NAMES, **metrics({"request_finish_total": "requests_total", "num_request_max": "requests_limit"})},
)
