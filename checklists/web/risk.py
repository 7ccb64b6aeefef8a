"""How risky a planned launch looks today, as one pure function, told in the colours of the seven states."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

SOON = 7  # days in which nothing large can still be mended
TIGHT = 28  # days that a review with one round of changes usually takes


@dataclass(frozen=True)
class _Level:
    label: str
    state: str  # the state whose colour it wears


class Risk(Enum):
    """From the safest to the riskiest."""

    READY = _Level("Ready", "verified")
    ON_TRACK = _Level("On track", "claimed")
    TIGHT = _Level("Tight", "partly")
    EARLY = _Level("Work to do", "open")
    AT_RISK = _Level("At risk", "contradicted")

    @property
    def label(self) -> str:
        return self.value.label

    @property
    def state(self) -> str:
        return self.value.state


def risk_of(*, days_left: int, stage: str, must_open: int, contradicted: int) -> Risk:
    """The risk of a launch ``days_left`` days from now (negative: the date has passed).

    - **At risk**: evidence contradicts a claim; or the release was sent back; or something that must be met is open, or
      the release not even submitted, with a week or less to go.
    - **Ready**: approved, and nothing open that must be met.
    - **Tight**: in review with a week or less to go; or not submitted, or open musts, with four weeks or less to go.
    - **Work to do**: something that must be met is open, but there is time.
    - **On track**: nothing stands in the way, and there is time to review it.
    """
    approved = stage in ("approved", "live")
    sent_back = stage == "changes_requested" and days_left <= TIGHT
    waiting = stage == "in_review"
    if contradicted or sent_back or (days_left <= SOON and (must_open or not (approved or waiting))):
        return Risk.AT_RISK
    if must_open:
        return Risk.TIGHT if days_left <= TIGHT else Risk.EARLY
    if approved:
        return Risk.READY
    if days_left <= (SOON if waiting else TIGHT):
        return Risk.TIGHT
    return Risk.ON_TRACK
