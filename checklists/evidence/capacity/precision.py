"""Precisions and quantisation formats by the words of the checklist: how many bits they make of a number."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Width:
    """Bits of one parameter, scales included: at ``least``, and at ``most``, where parts are left unquantised."""

    name: str
    least: float
    most: float


# Block formats carry a scale for 16 to 128 numbers; GGUF is a family, from its 1.5-bit to its 8-bit members.
PRECISIONS: Mapping[str, Width] = {
    "fp32": Width("FP32", 32, 32),
    "bf16": Width("BF16", 16, 16),
    "fp16": Width("FP16", 16, 16),
    "fp8": Width("FP8", 8, 8.5),
    "int8": Width("INT8", 8, 8.5),
    "int4": Width("INT4", 4, 5),
    "fp4": Width("FP4", 4, 5),
}
FORMATS: Mapping[str, Width] = {
    "fp8": PRECISIONS["fp8"],
    "int8": PRECISIONS["int8"],
    "awq": Width("AWQ", 4, 5),
    "gptq": Width("GPTQ", 2, 8.5),
    "gguf": Width("GGUF", 1.5, 16),
    "bitsandbytes": Width("bitsandbytes", 4, 8.5),
    "nvfp4": Width("NVFP4", 4, 5),
    "mxfp4": Width("MXFP4", 4, 5),
}
WHOLE = ("fp32", "bf16", "fp16")  # precisions that are no quantisation


def weight_widths(precisions: Iterable[str], formats: Iterable[str], stored: float | None) -> list[Width]:
    """What the weights can be in, going by the claims, or as they are ``stored`` in the checkpoint (bits) if nothing is
    claimed or that is narrower: of a quantised model, people name the precision that it computes in. Narrowest first.
    """
    spoken = [PRECISIONS[name] for name in precisions if name in PRECISIONS]
    whole = [PRECISIONS[name] for name in precisions if name in WHOLE]
    widths = [FORMATS[name] for name in formats if name in FORMATS]
    if "none" in formats:
        widths += whole or spoken
    widths = widths or spoken
    if stored and stored < min((width.least for width in widths), default=math.inf):
        widths = [*widths, Width(f"{stored:g} bits, as in its config.json", stored, stored + 0.5 * (stored < 16))]
    return sorted(set(widths), key=lambda width: (width.least, width.most))


def cache_widths(precisions: Iterable[str]) -> tuple[Width, Width]:
    """The narrowest and the widest that the cache can be in, going by the precisions claimed.

    Keys and values are kept in 16 bits unless a narrower precision is claimed; without any claim FP8 is possible too.
    """
    spoken = [PRECISIONS[name] for name in precisions if name in PRECISIONS] or [PRECISIONS["fp8"]]
    narrow = min(spoken, key=lambda width: width.least)
    wide = max((*spoken, PRECISIONS["bf16"]), key=lambda width: width.most)
    return (narrow if narrow.least < 16 else PRECISIONS["bf16"]), wide
