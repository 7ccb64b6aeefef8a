"""Is it the same model? What a fixed set of short prompts is answered with, and how much two such sets have in common.

Pure: nothing here sends anything.

A fingerprint holds, per prompt, the answer at temperature 0 with a fixed seed, the tokens with their log
probabilities where the server tells them, how many tokens it counted in the prompt, or the beginning of the vector
where the model embeds. Each prompt is asked twice, so that the server's own noise is known: temperature 0 does not make
a server deterministic. Batching with other requests changes the order of sums, a near tie then falls the other way, and
all that follows differs; a server with the noise of one decimal of a logit may answer one of ten prompts otherwise.

What differs tells what changed. A count of prompt tokens that is the same amount off for all prompts is another system
prompt or chat template, unless a date in it may make so few. Log probabilities move a little by noise, more by another
quantisation, and entirely by other weights.
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
TEXT = 160  # characters of an answer that are kept

# See the probe's docstring for how these were measured.
SAME_TEXT = 0.9  # share of the answers that must agree
OTHER_TEXT = 0.5  # below it, they are those of another model
LEAST_GAP, MOST_GAP = 0.003, 0.05  # nats: between them, three times the server's own noise is allowed
OTHER_GAP = 0.5  # nats, from which on it is another model whatever the words
SAME_COSINE, OTHER_COSINE = 0.999, 0.98
LEAST_SHIFT = 4  # prompt tokens: a template that writes today's date may count one, two or three more or fewer


def allowed_gap(noise: float) -> float:
    """How far log probabilities may differ, given by how much a server differs from itself within one run (nats)."""
    return min(MOST_GAP, max(LEAST_GAP, 3 * noise))


@dataclass(frozen=True)
class Comparison:
    """Two fingerprints beside each other. ``similar``: prompt → 0…1; ``gap``: mean difference of log probabilities in
    nats over the tokens both began with, ``None`` without; ``shift``: prompt tokens added everywhere; ``cosine``: the
    least of all vectors."""

    similar: Mapping[str, float]
    gap: float | None
    shift: float | None
    cosine: float | None

    @property
    def mean(self) -> float:
        return statistics.fmean(self.similar.values()) if self.similar else 0.0

    @property
    def differ(self) -> list[str]:
        """The prompts whose answers are not the same."""
        return [key for key, value in self.similar.items() if value < 1.0]


def digest_of(prompts: Mapping[str, Any]) -> str:
    """One digest over all answers, in the order of the prompts' names."""
    parts = [f"{key}\0{dict_of(prompts[key]).get('digest', '')}" for key in sorted(prompts)]
    return hashlib.sha256("\0".join([SET, *parts]).encode()).hexdigest()


def entry_of_text(text: str, tokens: Sequence[tuple[str, float]], prompt_tokens: float | None) -> dict[str, Any]:
    """What is kept of one answer in text."""
    return {
        "text": text[:TEXT],
        "digest": hashlib.sha256(text.encode("utf-8", "replace")).hexdigest(),
        "tokens": [token[:40] for token, _ in tokens[:TOKENS]],
        "logprobs": [round(value, 4) for _, value in tokens[:TOKENS]],
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
    """How much two fingerprints' prompts have in common; ``None`` without a prompt that both answered."""
    common = [key for key in one if key in other and dict_of(one[key]) and dict_of(other[key])]
    if not common:
        return None
    similar, gaps, shifts, cosines = {}, [], [], []
    for key in common:
        a, b = dict_of(one[key]), dict_of(other[key])
        if a.get("vector") or b.get("vector"):
            cosine = _cosine(a, b)
            cosines.append(cosine)
            similar[key] = 1.0 if cosine >= SAME_COSINE else max(0.0, cosine)
            continue
        similar[key] = _alike(a, b)
        gaps += _gaps(a, b)
        before, after = number_of(a.get("prompt_tokens")), number_of(b.get("prompt_tokens"))
        if before and after:
            shifts.append(after - before)
    # The same for all, and for three prompts at least: a template or a system prompt, and no accident.
    shift = shifts[0] if len(shifts) >= 3 and len(set(shifts)) == 1 else None
    return Comparison(similar, statistics.fmean(gaps) if gaps else None, shift, min(cosines, default=None))


def _alike(a: Mapping[str, Any], b: Mapping[str, Any]) -> float:
    """1 for the same answer, else the share of tokens (or words) that both began with."""
    if a.get("digest") and a.get("digest") == b.get("digest"):
        return 1.0
    one, other = (list_of(x.get("tokens")) or str(x.get("text", "")).split() for x in (a, b))
    longest = max(len(one), len(other))
    share = _prefix(one, other) / longest if longest else 0.0
    return min(share, 0.99)


def _prefix(one: Sequence[Any], other: Sequence[Any]) -> int:
    return next(
        (place for place, (x, y) in enumerate(zip(one, other, strict=False)) if x != y), min(len(one), len(other))
    )


def _gaps(a: Mapping[str, Any], b: Mapping[str, Any]) -> list[float]:
    """Differences of the log probabilities, token by token, as far as both say the same."""
    upto = _prefix(list_of(a.get("tokens")), list_of(b.get("tokens")))
    pairs = zip(list_of(a.get("logprobs"))[:upto], list_of(b.get("logprobs"))[:upto], strict=False)
    return [abs(x - y) for x, y in pairs if isinstance(x, int | float) and isinstance(y, int | float)]


def _cosine(a: Mapping[str, Any], b: Mapping[str, Any]) -> float:
    one, other = ([float(x) for x in list_of(v.get("vector")) if isinstance(x, int | float)] for v in (a, b))
    if a.get("dimensions") != b.get("dimensions") or len(one) != len(other) or not one:
        return 0.0
    length = math.hypot(*one) * math.hypot(*other)
    return math.fsum(x * y for x, y in zip(one, other, strict=True)) / length if 0 < length < math.inf else 0.0
