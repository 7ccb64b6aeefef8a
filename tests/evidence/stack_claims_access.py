"""Who gets in: a stack that asks for a key by itself, or has something before it that does, and one that leaves a route
open beside it."""

from __future__ import annotations

from tests.evidence.answering import Setup
from tests.evidence.stack_setups import On, Row

ITEM = "security.access-control"
OWN, FRONT = Setup(key="own"), Setup(key="front")
# These ask for a key on all routes that are tried; the others leave one open, or know of no key.
GUARDED = ("llamacpp_python-0.3", "litellm-1.80")
LEAKING = ("vllm-0.11", "sglang-0.5", "tgi-3.3", "tei-1.9", "llamacpp-b6900", "triton-2.60")
FRONTED = (
    *("vllm-0.11", "vllm-0.6", "sglang-0.5", "tgi-3.3", "tei-1.9", "triton-2.60", "nim-1.8", "ollama-0.13"),
    *("llamacpp-b6900", "rayserve-2.50", "torchserve-0.12", "comfyui-0.3", "openai-compatible"),
)
API_KEY, NONE = {"scheme": "api_key"}, {"scheme": "none"}

ACCESS: list[Row] = [
    *((name, "access.control", ITEM, On(API_KEY, OWN), [On(NONE, OWN), API_KEY]) for name in GUARDED),
    ("speaches-0.8", "access.control", ITEM, On(API_KEY, OWN), API_KEY),  # by 403, which a firewall may say to anybody
    *((name, "access.control", ITEM, On(API_KEY, FRONT), [On(NONE, FRONT), API_KEY]) for name in FRONTED),
    *((name, "access.control", ITEM, On(API_KEY, FRONT), On(API_KEY, OWN)) for name in LEAKING),
]
