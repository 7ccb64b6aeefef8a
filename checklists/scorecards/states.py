"""The seven states of an item: the alphabet of the whole product, from one pure function."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class State(StrEnum):
    VERIFIED = "verified"
    CLAIMED = "claimed"
    PARTLY = "partly"
    OPEN = "open"
    CONTRADICTED = "contradicted"
    WAIVED = "waived"
    NOT_APPLICABLE = "not_applicable"


STATES: tuple[str, ...] = tuple(state.value for state in State)
LABELS = {
    State.VERIFIED: "Verified",
    State.CLAIMED: "Claimed",
    State.PARTLY: "Partly",
    State.OPEN: "Open",
    State.CONTRADICTED: "Contradicted",
    State.WAIVED: "Waived",
    State.NOT_APPLICABLE: "Not applicable",
}


@dataclass(frozen=True)
class AnswerFacts:
    """What counts of an answer: its status, and whether it is complete (justified, with its claims, confirmed)."""

    status: str
    complete: bool = True


@dataclass(frozen=True)
class FindingFacts:
    """What counts of a finding."""

    verdict: str
    expires_at: datetime


def state_of(
    *,
    applies: bool,
    answer: AnswerFacts | None,
    findings: Iterable[FindingFacts] = (),
    accepted: bool = False,
    waived: bool = False,
    now: datetime,
) -> State:
    """The state of one item.

    ``findings`` are the current ones (the latest conclusive of each probe and endpoint, judged against the present
    claims); ``accepted`` says that the owning reviewer's acceptance of the present revision stands; ``waived`` that an
    approved waiver has not run out.

    A verification counts while it is fresh. A contradiction counts until a conclusive finding replaces it: a dead
    endpoint does not clear it. Inconclusive findings count for nothing. Proof beats a waiver, a waiver beats the rest.
    """
    if not applies:
        return State.NOT_APPLICABLE
    status = answer.status if answer is not None and answer.complete else "unanswered"
    if status == "not_applicable":
        return State.NOT_APPLICABLE
    verdicts = {
        f.verdict for f in findings if f.verdict == "contradicted" or (f.verdict == "verified" and now < f.expires_at)
    }
    if status == "met" and "contradicted" not in verdicts and (accepted or "verified" in verdicts):
        return State.VERIFIED
    if waived:
        return State.WAIVED
    if status not in ("met", "partly"):
        return State.OPEN
    if "contradicted" in verdicts:
        return State.CONTRADICTED
    return State.CLAIMED if status == "met" else State.PARTLY
