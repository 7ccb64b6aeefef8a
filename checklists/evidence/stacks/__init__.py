"""What each serving stack looks like from outside: a small file of data per stack, with the versions it was read from.

A new version or a new stack is a change of data here and a fixture in the tests. Recognition, routes, model lists, what
a server says of itself and the names of its metrics are all read by the same code for every stack.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from checklists.evidence.stacks import (
    comfyui,
    kserve,
    litellm,
    llamacpp,
    llamacpp_python,
    nim,
    ollama,
    openai,
    rayserve,
    sglang,
    speaches,
    tei,
    tgi,
    torchserve,
    vllm,
)
from checklists.evidence.stacks.common import (
    CACHE_MEANINGS,
    COUNTER_MEANINGS,
    GATEWAYS,
    GPU_METRICS,
    GPU_PREFIXES,
    PHASES,
    PRECISIONS,
    QUANTISATIONS,
)
from checklists.evidence.stacks.table import Fact, Field, Listing, Meaning, Route, Sign, Stack, places

__all__ = [
    "CACHE_MEANINGS",
    "COUNTER_MEANINGS",
    "GATEWAYS",
    "GENERIC",
    "GPU_METRICS",
    "GPU_PREFIXES",
    "PHASES",
    "PRECISIONS",
    "QUANTISATIONS",
    "STACKS",
    "Fact",
    "Field",
    "Listing",
    "Meaning",
    "Route",
    "Sign",
    "Stack",
    "places",
    "stack_of_metrics",
]

# In the order in which an unknown server is asked for their signs; the generic one last.
STACKS: Mapping[str, Stack] = {
    module.STACK.key: module.STACK
    for module in (
        vllm,
        sglang,
        tgi,
        tei,
        ollama,
        llamacpp,
        nim,
        litellm,
        kserve,
        rayserve,
        torchserve,
        comfyui,
        speaches,
        llamacpp_python,
        openai,
    )
}
GENERIC = openai.STACK.key
NOBODY: frozenset[str] = frozenset()
# Which stacks know a metric by its name; how the names of any begin.
_KNOWN = {
    name: frozenset(key for key, stack in STACKS.items() if name in stack.metrics)
    for name in {name for stack in STACKS.values() for name in stack.metrics}
}
_PREFIXES = tuple({prefix for stack in STACKS.values() for prefix in stack.prefixes})


def stack_of_metrics(names: list[str]) -> Stack | None:
    """The stack most of whose known names, or whose prefix, stand among ``names``; ``None`` if nothing is known."""

    weights: Counter[str] = Counter()
    for name in names:
        weights.update(_KNOWN.get(name, NOBODY) | _KNOWN.get(_base(name), NOBODY))
        if name.startswith(_PREFIXES):
            weights.update(key for key, stack in STACKS.items() if name.startswith(stack.prefixes))
    best = max(STACKS.values(), key=lambda stack: weights[stack.key])
    return best if weights[best.key] else None


def _base(name: str) -> str:
    for ending in ("_bucket", "_count", "_sum"):
        if name.endswith(ending):
            return name.removesuffix(ending)
    return name
