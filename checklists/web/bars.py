"""The readiness bar's arithmetic: counts of the seven states in, segments of one horizontal bar out."""

from collections.abc import Mapping
from dataclasses import dataclass

# Always drawn in this order; the labels are what people read.
STATES: Mapping[str, str] = {
    "verified": "Verified",
    "claimed": "Claimed",
    "partly": "Partly",
    "open": "Open",
    "contradicted": "Contradicted",
    "waived": "Waived",
    "not_applicable": "Not applicable",
}


@dataclass(frozen=True, slots=True)
class Segment:
    """One stretch of a bar: x and width in the unit of the bar's width, share of all items between 0 and 1."""

    state: str
    x: float
    width: float
    count: int
    share: float


def segments(counts: Mapping[str, int], width: float = 100.0, minimum: float = 1.0) -> list[Segment]:
    """The non-empty states of a bar `width` wide, left to right, filling it exactly.

    A state with even one item is at least `minimum` wide (same unit as `width`), so that a single contradiction never
    vanishes between hundreds of items; the wider segments give up that room in proportion. Unknown states and counts
    below one are ignored; no items at all give no segments.
    """
    present = [(state, counts.get(state, 0)) for state in STATES if counts.get(state, 0) > 0]
    if not present:
        return []
    total = sum(count for _, count in present)
    widths = _fitted([count for _, count in present], width, min(minimum, width / len(present)))
    result: list[Segment] = []
    x = 0.0
    for (state, count), own in zip(present, widths, strict=True):
        result.append(Segment(state, x, own, count, count / total))
        x += own
    return result


def _fitted(counts: list[int], width: float, minimum: float) -> list[float]:
    """Widths in proportion to counts, none below the minimum, together exactly the width."""
    narrow: set[int] = set()
    while True:
        room = width - minimum * len(narrow)
        weight = sum(count for index, count in enumerate(counts) if index not in narrow)
        found = {index for index, count in enumerate(counts) if index not in narrow and room * count / weight < minimum}
        if not found or len(narrow) + len(found) == len(counts):
            break
        narrow |= found
    return [minimum if index in narrow else room * count / weight for index, count in enumerate(counts)]


def in_words(counts: Mapping[str, int]) -> str:
    """The counts as one phrase for screen readers and tooltips: `12 verified, 1 contradicted`."""
    said = [f"{counts[state]} {label.lower()}" for state, label in STATES.items() if counts.get(state, 0) > 0]
    return ", ".join(said) or "no items"
