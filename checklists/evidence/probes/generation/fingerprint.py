"""Is it the same model? What a fixed set of short prompts is answered with, and how much two such sets have in common.

Pure: nothing here sends anything.

A fingerprint holds, per prompt, the answer at temperature 0 with a fixed seed, the tokens with their log
probabilities and those of the likeliest others where the server tells them, how many tokens it counted in the prompt,
or the beginning of the vector where the model embeds. Each prompt is asked twice, so that a server that contradicts
itself is found out: temperature 0 does not make one deterministic. Batching with other requests changes the order of
sums, a near tie then falls the other way, and all that follows differs.

What differs tells what changed. A count of prompt tokens that is the same amount off for all prompts is another system
prompt or chat template, unless a date in it may make so few. Log probabilities move a little by noise, more by another
quantisation, and entirely by other weights. Where words part, it counts by how much each side preferred its own; only
without log probabilities do the words themselves decide.
"""

from __future__ import annotations

import hashlib
import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from checklists.evidence.probes.base import dict_of, list_of, number_of

SET = "1"  # a prompt that changes makes another set: fingerprints of two sets are not comparable
TOKENS = 12
SEED = 7
PROMPTS: Mapping[str, str] = {
    "sea": "Finish this sentence in a few words: The sea at night is",
    "count": "Continue: one, two, three,",
    "colours": "Name three colours.",
    "code": "Complete this line of Python: def add(a, b):",
    "french": "Translate into French: Good morning, everyone.",
    "sum": "What is 17 plus 25? Answer with the number.",
    "letters": "Write the word 'harbour' backwards.",
    "weather": "In one sentence, why does it rain?",
}
VECTOR = 64  # numbers of an embedding that are kept
MOST = 1e6  # beyond it a number says nothing
LIKELY = 5  # of the likeliest tokens at each place
TEXT = 160  # characters of an answer that are kept

# What ``python -m tests.bench.fingerprints`` measured, and where between it these lie, says the probe's docstring.
SAME_TEXT = 0.9  # share of the answers that must agree
OTHER_TEXT = 0.5  # below it, they are those of another model
LEAST_GAP, MOST_GAP = 0.003, 0.015  # nats: between them, three times the server's own noise is allowed
OTHER_GAP = 0.5  # nats, from which on it is another model
MOST_NOISE = 0.1  # nats that a server may differ from itself to be compared with anything
SAME_COSINE, OTHER_COSINE = 0.9999, 0.98
LEAST_SHIFT = 4  # prompt tokens: a template that writes today's date may count one, two or three more or fewer


def allowed_gap(noise: float) -> float:
    """How far log probabilities may differ, given by how much a server differs from itself within one run (nats)."""
    return min(MOST_GAP, max(LEAST_GAP, 3 * noise))


def real(value: Any) -> float | None:
    """A finite number of either sign, else ``None``."""
    return float(value) if isinstance(value, int | float) and abs(value) < MOST else None


@dataclass(frozen=True)
class Comparison:
    """Two fingerprints beside each other. ``similar``: prompt → 0…1; ``gap``: by how many nats log probabilities
    differ, ``None`` without; ``weighed``: of how many prompts they tell all; ``shift``: prompt tokens added everywhere;
    ``recounted``: whether any prompt's tokens are counted otherwise; ``cosine``: the least of all vectors."""

    similar: Mapping[str, float]
    gap: float | None
    weighed: int
    shift: float | None
    recounted: bool
    cosine: float | None

    @property
    def mean(self) -> float:
        return statistics.fmean(self.similar.values()) if self.similar else 0.0

    @property
    def differ(self) -> list[str]:
        """The prompts whose answers are not the same."""
        return [key for key, value in self.similar.items() if value < 1.0]

    @property
    def whole(self) -> bool:
        """Whether log probabilities tell of every prompt, also of those where the words part."""
        return self.gap is not None and self.weighed == len(self.similar)

    @property
    def numbers(self) -> dict[str, Any]:
        """What is kept of a server's comparison with itself."""
        return {
            "mean": round(self.mean, 4),
            "gap": self.gap if self.whole else None,
            "differ": self.differ,
            "recounted": self.recounted,
            "cosine": self.cosine,
        }


def unsteady(repeat: Mapping[str, Any]) -> str:
    """How a server contradicts itself, by the ``numbers`` of its two rounds, in words; empty if it is steady enough to
    be compared with anything."""
    gap, cosine = real(repeat.get("gap")), real(repeat.get("cosine"))
    if cosine is not None:
        return f"its own vectors have a cosine of {cosine:.4f}" if cosine < SAME_COSINE else ""
    if gap is not None:
        return f"its own log probabilities differ by {gap:.3f} nats" if gap > MOST_NOISE else ""
    own = real(repeat.get("mean")) or 0.0
    return f"the server agrees with itself for {own:.0%} only" if own < SAME_TEXT else ""


def digest_of(prompts: Mapping[str, Any]) -> str:
    """One digest over all answers, in the order of the prompts' names."""
    parts = [f"{key}\0{dict_of(prompts[key]).get('digest', '')}" for key in sorted(prompts)]
    return hashlib.sha256("\0".join([SET, *parts]).encode()).hexdigest()


def entry_of_text(
    text: str,
    tokens: Sequence[tuple[str, float]],
    prompt_tokens: float | None,
    likely: Sequence[Sequence[tuple[str, float]]] = (),
) -> dict[str, Any]:
    """What is kept of one answer in text: its tokens with their log probabilities, and the likeliest at each place."""
    return {
        "text": text[:TEXT],
        "digest": hashlib.sha256(text.encode("utf-8", "replace")).hexdigest(),
        "tokens": [token[:40] for token, _ in tokens[:TOKENS]],
        "logprobs": [round(value, 4) for _, value in tokens[:TOKENS]],
        "likely": [[[token[:40], round(value, 4)] for token, value in row[:LIKELY]] for row in likely[:TOKENS]],
        "prompt_tokens": prompt_tokens,
    }


def entry_of_vector(vector: Sequence[Any]) -> dict[str, Any]:
    """What is kept of one embedding: its beginning, and how many numbers it has."""
    kept = [round(float(x), 5) for x in vector[:VECTOR] if isinstance(x, int | float) and math.isfinite(x)]
    return {
        "vector": kept,
        "dimensions": len(vector),
        "digest": hashlib.sha256(repr(kept).encode()).hexdigest(),
    }


def compare(one: Mapping[str, Any], other: Mapping[str, Any]) -> Comparison | None:
    """How much two fingerprints' prompts have in common; ``None`` where they have too few that both answered.

    An empty answer, such as that of a server which hides what its model thinks, says nothing.
    """
    asked = [key for key in one if key in other]
    common = [key for key in asked if all(_says(dict_of(prompts[key])) for prompts in (one, other))]
    if not common or 2 * len(common) < len(asked):
        return None
    similar, gaps, counts, cosines, weighed = {}, [], [], [], 0
    for key in common:
        a, b = dict_of(one[key]), dict_of(other[key])
        if a.get("vector") or b.get("vector"):
            cosine = _cosine(a, b)
            cosines.append(cosine)
            similar[key] = 1.0 if cosine >= SAME_COSINE else max(0.0, cosine)
            continue
        similar[key] = _alike(a, b)
        found, told = _gaps(a, b)
        weighed += told
        if found:
            gaps.append(statistics.fmean(found))
        before, after = number_of(a.get("prompt_tokens")), number_of(b.get("prompt_tokens"))
        if before and after:
            counts.append(after - before)
    # The same for all, and for three prompts at least: a template or a system prompt, and no accident.
    return Comparison(
        similar=similar,
        gap=statistics.fmean(gaps) if gaps else None,
        weighed=weighed,
        shift=counts[0] if len(counts) >= 3 and len(set(counts)) == 1 else None,
        recounted=any(counts),
        cosine=min(cosines, default=None),
    )


def _says(entry: Mapping[str, Any]) -> bool:
    return bool(entry.get("text") or entry.get("tokens") or entry.get("vector"))


def _alike(a: Mapping[str, Any], b: Mapping[str, Any]) -> float:
    """1 for the same answer, else the share of tokens (or words) that both began with."""
    if a.get("digest") and a.get("digest") == b.get("digest"):
        return 1.0
    told = list_of(a.get("tokens")) and list_of(b.get("tokens"))
    one, other = (list_of(x.get("tokens")) if told else str(x.get("text", "")).split() for x in (a, b))
    longest = max(len(one), len(other))
    share = _prefix(one, other) / longest if longest else 0.0
    return min(share, 0.99)


def _prefix(one: Sequence[Any], other: Sequence[Any]) -> int:
    return next(
        (place for place, (x, y) in enumerate(zip(one, other, strict=False)) if x != y), min(len(one), len(other))
    )


def _gaps(a: Mapping[str, Any], b: Mapping[str, Any]) -> tuple[list[float], bool]:
    """Differences of the log probabilities, token by token, as far as both say the same; then, where they part, by how
    much each preferred its own token to the other's: little for a near tie that fell the other way. And whether that
    tells all of the answers."""
    one, other = list_of(a.get("tokens")), list_of(b.get("tokens"))
    upto = _prefix(one, other)
    pairs = zip(list_of(a.get("logprobs"))[:upto], list_of(b.get("logprobs"))[:upto], strict=False)
    found = [abs(x - y) for x, y in pairs if real(x) is not None and real(y) is not None]
    parted = [x for x in (_preferred(a, b, upto), _preferred(b, a, upto)) if x is not None]
    if parted:
        return [*found, statistics.fmean(parted)], True
    return found, bool(found) and len(one) == len(other) == upto


def _preferred(a: Mapping[str, Any], b: Mapping[str, Any], place: int) -> float | None:
    """By how many nats ``a`` preferred its token at a place to that of ``b``; if the latter was not among the
    likeliest, at least by so many. ``None`` where nothing is known of it."""
    try:
        token, own, row = b["tokens"][place], float(a["logprobs"][place]), a["likely"][place]
        likely = {str(other): float(value) for other, value in row}
        return real(max(0.0, own - likely.get(token, min(likely.values()))))
    except (KeyError, IndexError, TypeError, ValueError, OverflowError):  # as stored by whatever release it was
        return None


def _cosine(a: Mapping[str, Any], b: Mapping[str, Any]) -> float:
    one, other = ([float(x) for x in list_of(v.get("vector")) if isinstance(x, int | float)] for v in (a, b))
    if a.get("dimensions") != b.get("dimensions") or len(one) != len(other) or not one:
        return 0.0
    length = math.hypot(*one) * math.hypot(*other)
    return math.fsum(x * y for x, y in zip(one, other, strict=True)) / length if 0 < length < math.inf else 0.0
