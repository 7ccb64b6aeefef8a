"""What a stack takes and refuses of our own requests: modalities, sizes, odd ones, those of the release before."""

from __future__ import annotations

from typing import Any

from tests.evidence.answering import Setup
from tests.evidence.stack_setups import USUAL, Claims, On, Row

MODALITIES, LIMIT = "identity.modalities", "identity.input-limits"
VARIABILITY, SANITISED = "reliability.input-variability", "security.input-sanitisation"


def moves(inputs: str, outputs: str) -> Claims:
    return {"inputs": inputs.split(), "outputs": outputs.split()}


TEXT = moves("text", "text")
SEES, EMBEDS = moves("text image", "text"), moves("text", "embedding")
MULTIMODAL: dict[str, Any] = {"family": "multimodal"}

TAKEN: list[Row] = [
    ("vllm-0.11", "generation.modalities", MODALITIES, TEXT, SEES),
    ("sglang-0.5", "generation.modalities", MODALITIES, TEXT, EMBEDS),
    ("tgi-3.3", "generation.modalities", MODALITIES, TEXT, SEES),  # its model is one for text generation
    ("tei-1.9", "generation.modalities", MODALITIES, EMBEDS, moves("text", "embedding score")),
    ("ollama-0.13", "generation.modalities", MODALITIES, TEXT, SEES),  # among its capabilities is no vision
    ("llamacpp-b6900", "generation.modalities", MODALITIES, TEXT, [SEES, EMBEDS]),
    ("nim-1.8", "generation.modalities", MODALITIES, TEXT, SEES),
    ("litellm-1.80", "generation.modalities", MODALITIES, TEXT, SEES),
    ("rayserve-2.50", "generation.modalities", MODALITIES, TEXT, SEES),
    ("speaches-0.8", "generation.modalities", MODALITIES, moves("audio", "text"), moves("audio text", "text audio")),
    ("llamacpp_python-0.3", "generation.modalities", MODALITIES, TEXT, EMBEDS),
    ("openai-otel", "generation.modalities", MODALITIES, TEXT, SEES),
]


def tokens(number: int) -> Claims:
    return {"max_input": number, "unit": "tokens"}


def of_house_chat(number: int) -> On:
    """Of several models of a proxy, the claimed one's limit counts."""
    claims = {LIMIT: tokens(number), "identity.name-version": {"model_id": "house-chat"}}
    return On(tokens(number), target={"claims": claims})


OVERSIZED: list[Row] = [
    ("vllm-0.11", "generation.oversized", LIMIT, tokens(32768), tokens(65536)),
    ("sglang-0.5", "generation.oversized", LIMIT, tokens(40954), tokens(65536)),
    ("tgi-3.3", "generation.oversized", LIMIT, tokens(4095), tokens(8192)),
    ("tei-1.9", "generation.oversized", LIMIT, tokens(512), tokens(8192)),  # it says that it cuts
    ("llamacpp-b6900", "generation.oversized", LIMIT, tokens(256), tokens(512)),
    ("nim-1.8", "generation.oversized", LIMIT, tokens(131072), tokens(200000)),
    ("litellm-1.80", "generation.oversized", LIMIT, of_house_chat(8192), of_house_chat(16384)),
    ("rayserve-2.50", "generation.oversized", LIMIT, tokens(32768), tokens(65536)),
    # These two declare none: the refusal says it.
    ("llamacpp_python-0.3", "generation.oversized", LIMIT, tokens(2048), tokens(4096)),
    ("openai-otel", "generation.oversized", LIMIT, tokens(8192), tokens(16384)),
]

ODD = {"tried": ["empty", "unicode", "oversized", "malformed", "extreme_shape", "wrong_type"]}
OF_A_SOUND = {"tried": ["empty", "malformed", "wrong_type"]}
RULES = {"rules": "Bodies are validated before anything else."}


def odd(name: str, tried: Claims, falls: str = "unreadable") -> list[Row]:
    """A stack that refuses in good order, and the same one falling over a body that cannot be read."""
    fallen = Setup(falls=falls)
    return [
        (name, "generation.inputs", VARIABILITY, tried, On(tried, fallen)),
        (name, "generation.inputs", SANITISED, RULES, On(RULES, fallen)),
    ]


ODDITIES: list[Row] = [
    *odd("vllm-0.11", ODD),
    *odd("sglang-0.5", ODD),
    *odd("tgi-3.3", ODD),
    *odd("tei-1.9", ODD),
    *odd("ollama-0.13", ODD),
    *odd("nim-1.8", ODD),
    *odd("rayserve-2.50", ODD),
    *odd("triton-2.60", ODD),
    *odd("openai-otel", ODD),
    *odd("speaches-0.8", OF_A_SOUND, "broken form"),
]
# Whatever these answer to a broken body, it is a server error.
FAULTY: list[Row] = [
    (name, "generation.inputs", item, [], claims)
    for name in ("llamacpp-b6900", "llamacpp_python-0.3", "litellm-1.80")
    for item, claims in ((VARIABILITY, ODD), (SANITISED, RULES))
]

SAME = {"compatible_with": "1.0"}


def released(name: str, lacks: str) -> Row:
    """The same server as before stands in for it; one whose answers lack what was in them does not."""
    other = On(SAME, Setup(lacks=lacks), before=USUAL)
    return (name, "generation.compatibility", "release.compatibility", On(SAME, before=USUAL), other)


COMPATIBLE: list[Row] = [
    *(
        released(name, "usage")
        for name in (
            *("vllm-0.11", "sglang-0.5", "tgi-3.3", "ollama-0.13", "llamacpp-b6900", "nim-1.8", "litellm-1.80"),
            *("rayserve-2.50", "llamacpp_python-0.3", "openai-otel"),
        )
    ),
    released("speaches-0.8", "text"),
    released("triton-2.60", "outputs"),
    (
        *("tei-1.9", "generation.compatibility", "release.compatibility"),
        *(On(SAME, before=USUAL), On(SAME, before=Setup(dimensions=16))),  # its vectors were longer
    ),
]

REQUESTS: list[Row] = [*TAKEN, *OVERSIZED, *ODDITIES, *FAULTY, *COMPATIBLE]
