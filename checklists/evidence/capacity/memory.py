"""How much memory a model needs on its GPUs, and what fits: arithmetic alone.

Needed: weights (parameters × bits) and the cache of keys and values (layers × numbers × bits, for every token that is
kept, of every sequence). Available: memory × utilisation, less what the runtime takes. Sizes are in GiB.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from checklists.evidence.units import convert
from checklists.registry.architecture import Cache

UTILISATION = 0.9  # the share of a GPU that vLLM takes unless told
RUNTIME_GIB = 2.0  # of each GPU: CUDA context, communication buffers, graphs
MOST = 2**40  # tokens, sequences: as good as no limit


@functools.cache
def _gib_of_a_bit() -> float:
    return convert(1, "bit", "GiB") or 0.0  # asked once: searching for what fits takes many sizes


def gib(bits: float) -> float:
    """A size in bits, in GiB."""
    return bits * _gib_of_a_bit()


def kept_bits(cache: Iterable[Cache], tokens: int, bits: float, *, windows: bool = True) -> float:
    """Bits that one sequence of so many tokens keeps, over all layers. ``windows``: what has left one is dropped."""
    return sum(
        part.layers * part.numbers * bits * (min(tokens, part.window) if windows and part.window else tokens)
        for part in cache
    )


def least_gib(
    parameters: float, weight_bits: float, cache: Iterable[Cache], cache_bits: float, tokens: int, sequences: int = 1
) -> float:
    """What all GPUs of a replica need together at the very least: nothing kept twice, nothing for the runtime."""
    return gib(parameters * weight_bits + sequences * kept_bits(cache, tokens, cache_bits))


def working_gib(hidden: int, intermediate: int, vocab: int, *, tokens: int, sequences: int) -> float:
    """A generous estimate of the activations of one step: ``tokens`` at once, and logits of every sequence."""
    each = tokens * 2 * (4 * hidden + 2 * intermediate) * 16
    return gib(each + sequences * vocab * 2 * 32)


@dataclass(frozen=True)
class Plan:
    """A model on the GPUs of one replica, split ``tensor`` × ``pipeline`` ways.

    ``gpu_gib`` is one GPU's memory; ``reserved_gib`` of it the runtime takes. ``windows``: the engine drops what a
    sliding window no longer sees. Everything is reckoned for the fullest GPU.
    """

    parameters: float
    weight_bits: float
    cache: tuple[Cache, ...]
    cache_bits: float
    gpu_gib: float
    tensor: int = 1
    pipeline: int = 1
    utilisation: float = UTILISATION
    reserved_gib: float = RUNTIME_GIB
    windows: bool = True

    @property
    def weights_gib(self) -> float:
        """Of one GPU."""
        return gib(self.parameters * self.weight_bits / self.tensor / self.pipeline)

    @property
    def room_gib(self) -> float:
        """What is left of one GPU for the cache; negative if the weights alone are too much."""
        return self.gpu_gib * self.utilisation - self.reserved_gib - self.weights_gib

    def cache_gib(self, tokens: int, sequences: int = 1) -> float:
        """Of one GPU, for so many sequences of so many tokens each. A latent is kept whole by each; heads are split."""
        bits = sum(
            kept_bits((part,), tokens, self.cache_bits, windows=self.windows)
            * (math.ceil(part.layers / self.pipeline) / part.layers)
            / (min(self.tensor, part.heads) if part.heads else 1)
            for part in self.cache
        )
        return gib(bits * sequences)

    def headroom_gib(self, tokens: int, sequences: int = 1) -> float:
        """What is left of one GPU beside weights, runtime and cache; negative if it does not fit."""
        return self.room_gib - self.cache_gib(tokens, sequences)

    def fits(self, tokens: int, sequences: int = 1) -> bool:
        return self.headroom_gib(tokens, sequences) >= 0

    def largest_context(self, sequences: int = 1) -> int:
        """The most tokens that each of so many sequences can have; 0 if none, ``MOST`` if nothing limits it."""
        return _largest(lambda tokens: self.fits(tokens, sequences))

    def largest_concurrency(self, tokens: int) -> int:
        """How many sequences of so many tokens fit at once; 0 if none, ``MOST`` if nothing limits it."""
        return _largest(lambda sequences: self.fits(tokens, sequences))


def _largest(fits: Callable[[int], bool]) -> int:
    """The largest number up to ``MOST`` for which something that only gets worse still holds; 0 if for none."""
    if not fits(1):
        return 0
    low, high = 1, MOST
    if fits(high):
        return high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if fits(middle) else (low, middle)
    return low
