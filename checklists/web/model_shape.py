"""The shape of a release's model in words, and what a sequence of it keeps in memory."""

from __future__ import annotations

from typing import Any

from checklists.evidence.capacity import gib, kept_bits
from checklists.journal.errors import Invalid
from checklists.registry.architecture import Architecture, shape
from checklists.registry.models import Release

LENGTHS = (4096, 8192, 32768, 131072)


def shape_words(release: Release) -> dict[str, Any]:
    """``facts`` (pairs of words) and ``lengths`` (tokens, GiB in BF16, GiB in FP8); empty if nothing is on file."""
    if release.architecture is None:
        return {"facts": [], "lengths": []}
    try:
        found = shape(release.architecture)
    except Invalid as refusal:  # kept by an earlier reader
        return {"facts": [("Cannot be read", refusal.message)], "lengths": []}
    most = found.context or LENGTHS[-1]
    lengths = sorted({*(length for length in LENGTHS if length < most), most}) if found.cache else []
    kept = [(length, *(gib(kept_bits(found.cache, length, bits)) for bits in (16, 8))) for length in lengths]
    return {"facts": _facts(found), "lengths": kept}


def _facts(found: Architecture) -> list[tuple[str, str]]:
    parameters = f"{found.parameters / 1e9:,.2f} billion" if found.counted else "cannot be counted for this family"
    return [
        ("Family", found.family or "not named"),
        ("Parameters", f"{parameters}{', of the language model inside' if found.partial else ''}"),
        ("Stored in", f"{found.bits:g} bits" if found.bits else "not said"),
        ("Layers", f"{found.layers:,}"),
        ("Attention", _attention(found)),
        ("Experts", f"{found.experts:,} a layer" if found.experts else "none"),
        ("Context", f"{found.context:,} tokens" if found.context else "not said"),
    ]


def _attention(found: Architecture) -> str:
    if not found.cache:
        return f"{found.heads:,} heads; keeps no keys and values"
    if any(not part.heads for part in found.cache):
        return f"{found.heads:,} heads over a latent of {found.cache[0].numbers:,} numbers"
    kind = "multi-head" if found.kv_heads == found.heads else "multi-query" if found.kv_heads == 1 else "grouped-query"
    local = sum(part.layers for part in found.cache if part.window)
    window = next((part.window for part in found.cache if part.window), None)
    sliding = f"; {local:,} layers see only {window:,} tokens" if window else ""
    return f"{kind}: {found.heads:,} heads, {found.kv_heads:,} of keys and values{sliding}"
