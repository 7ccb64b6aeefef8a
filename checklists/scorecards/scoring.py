"""Scores, as pure functions of states and weights.

A half point for a claim and a full one for proof, and the weakest section as the score of the whole, follow the ML Test
Score (Breck, Cai, Nielsen, Salib, Sculley: "The ML Test Score", IEEE Big Data 2017).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from checklists.scorecards.states import STATES, State

# In quarters of a point, so that sums stay exact.
CREDIT = {State.VERIFIED: 4, State.CLAIMED: 2, State.PARTLY: 1, State.OPEN: 0, State.CONTRADICTED: 0}


@dataclass(frozen=True)
class ScoredItem:
    """An item as it counts: its section, weight (must 3, should 2, may 1), qualities and state."""

    section: str
    weight: int
    state: State
    qualities: tuple[str, ...] = ()


@dataclass(frozen=True)
class Tally:
    """What a set of items adds up to: weight, credit in quarters, and the seven counts."""

    weight: int
    credit: int
    states: Mapping[str, int]

    @property
    def score(self) -> int | None:
        """Percent, see ``percent``; None when nothing is applicable."""
        return percent(self.credit, self.weight)


def percent(credit: int, weight: int) -> int | None:
    """Credit (quarters) over weight, in whole percent, rounded down: 100 means that everything is proven, so shares of
    unsettled work show 99 at most. None without weight."""
    return credit * 100 // (weight * 4) if weight else None


def empty_states() -> dict[str, int]:
    return dict.fromkeys(STATES, 0)


def tally(items: Iterable[ScoredItem]) -> Tally:
    """Add items up. Waived and not applicable items are counted, and left out of weight and credit."""
    weight = credit = 0
    counts: Counter[str] = Counter()
    for item in items:
        counts[item.state.value] += 1
        if item.state in CREDIT:
            weight += item.weight
            credit += item.weight * CREDIT[item.state]
    return Tally(weight, credit, {**empty_states(), **counts})


@dataclass(frozen=True)
class Score:
    """A release's score: readiness is its weakest section, with the mean of the sections beside it (percent)."""

    readiness: int | None
    mean: int | None
    weakest: str | None
    sections: Mapping[str, Tally]
    qualities: Mapping[str, Tally]
    total: Tally


def score(items: Iterable[ScoredItem]) -> Score:
    """Score a release. Sections in which nothing is applicable have no score and are passed over."""
    rows = list(items)
    by_section: dict[str, list[ScoredItem]] = {}
    by_quality: dict[str, list[ScoredItem]] = {}
    for row in rows:
        by_section.setdefault(row.section, []).append(row)
        for quality in row.qualities:
            by_quality.setdefault(quality, []).append(row)
    sections = {key: tally(group) for key, group in by_section.items()}
    scores = {key: t.score for key, t in sections.items() if t.score is not None}
    weakest = min(scores, key=lambda key: scores[key], default=None)
    return Score(
        readiness=scores[weakest] if weakest is not None else None,
        mean=sum(scores.values()) // len(scores) if scores else None,
        weakest=weakest,
        sections=sections,
        qualities={key: tally(group) for key, group in by_quality.items()},
        total=tally(rows),
    )
