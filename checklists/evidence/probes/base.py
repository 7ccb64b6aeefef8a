"""What every probe is made of: how it observes, how it judges a claim, and the words and numbers of both."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import Any, ClassVar

from checklists.evidence.probes.visit import Answer, Claims, Observation, Target, Visit
from checklists.evidence.redaction import MASK
from checklists.evidence.stacks import Stack

# Nothing claimed of other items.
NONE: Mapping[str, Claims] = MappingProxyType({})
# What a probe can read; the coverage table names them.
SOURCES = (
    *("endpoint", "metrics", "prometheus", "alertmanager", "kubernetes", "grafana"),
    *("hub", "registry", "tls", "url", "modelspec", "arithmetic", "people"),
)

VERIFIED, CONTRADICTED, INCONCLUSIVE = "verified", "contradicted", "inconclusive"


@dataclass(frozen=True)
class Judgement:
    """What a claim comes to in the light of an observation. ``samples`` and ``rule`` go into the details, and so does
    ``histogram`` where one was read: ``{bounds, counts, goals: [{label, value}], unit}``."""

    verdict: str
    claimed: str = ""
    observed: str = ""
    unit: str = ""
    reason: str = ""
    rule: str = ""
    samples: int | None = None
    histogram: Mapping[str, Any] | None = None


def inconclusive(
    reason: str,
    *,
    claimed: str = "",
    observed: str = "",
    unit: str = "",
    rule: str = "",
    samples: int | None = None,
) -> Judgement:
    """Not settled, and why; with the rule that was not met and the number of samples where there are such."""
    return Judgement(INCONCLUSIVE, claimed, observed, unit, reason, rule, samples)


def nothing_claimed(observed: str, unit: str = "") -> Judgement:
    served = f" Seen: {observed}{' ' + unit if unit else ''}." if observed else ""
    return inconclusive(f"Nothing is claimed yet that could be compared.{served}", observed=observed, unit=unit)


class Probe(ABC):
    """One kind of measurement. ``observe`` talks to the endpoint; ``judge`` is pure and can be repeated at any time.

    ``about`` says whether every endpoint is visited or the release once, without one. ``reads`` names its sources (see
    ``SOURCES``), ``also_reads`` the items whose claims its judgement rests on besides its own. ``generates``: it may
    cost tokens or money, so the endpoint's owner must allow it; ``bursts``: it needs a permission of its own;
    ``by_hand``: only a person starts it, never the schedule; ``cheap``: a few GETs; ``local``: nothing is sent, so it
    judges whenever a claim changes.
    ``ttl`` is how long a finding counts, unless an administrator says otherwise for an item and tier.
    """

    key: ClassVar[str]
    version: ClassVar[int] = 1
    title: ClassVar[str]
    items: ClassVar[tuple[str, ...]]
    about: ClassVar[str] = "endpoint"
    about_endpoint: ClassVar[bool] = False  # also says something of the endpoint itself, of no single item
    reads: ClassVar[tuple[str, ...]] = ("endpoint",)
    also_reads: ClassVar[tuple[str, ...]] = ()
    sends: ClassVar[str]
    generates: ClassVar[bool] = False
    bursts: ClassVar[bool] = False
    by_hand: ClassVar[bool] = False
    cheap: ClassVar[bool] = True
    local: ClassVar[bool] = False
    ttl: ClassVar[timedelta] = timedelta(days=7)

    @abstractmethod
    async def observe(self, visit: Visit) -> Observation:
        """What the endpoint shows, as JSON. Never raises for anything a server does."""

    @abstractmethod
    def judge(
        self, item_key: str | None, claims: Claims, observation: Observation, others: Mapping[str, Claims] = NONE
    ) -> Judgement:
        """The verdict on an item's claims (``None``: on the endpoint itself). No network, no query, no exception.

        ``others`` holds the claims of ``also_reads`` by item key.
        """

    def speaks_to(self, observation: Observation) -> tuple[str | None, ...]:
        """Which items this observation has something to say about."""
        return (*self.items, None) if self.about_endpoint else self.items

    def beside(self, target: Target) -> Target | None:
        """Another endpoint that it would visit together with the target; nobody else is to visit it meanwhile."""
        return None

    def settles(self, item_key: str, stack: Stack) -> str:
        """Empty if this probe can both verify and contradict the item on this stack, given what it reads; else one
        sentence that says why not."""
        return "" if item_key in self.items else f"{self.title} says nothing about it."


# Reading what others wrote: claims typed by people, facts sent by servers.


def text_of(value: Any) -> str:
    """A short text, or an empty one for anything that is no text."""
    return value.strip()[:300] if isinstance(value, str) and value.strip() != MASK else ""


def number_of(value: Any) -> float | None:
    """A finite positive number from a number or its text, else ``None``."""
    if isinstance(value, bool):
        return None
    if isinstance(value, str):
        try:
            value = float(value.replace(",", "").replace(" ", ""))
        except ValueError:
            return None
    return float(value) if isinstance(value, int | float) and 0 < value < 1e18 else None


def texts_of(value: Any) -> list[str]:
    """The texts of a list, or of one text with commas between."""
    parts = value.replace("\n", ",").replace(";", ",").split(",") if isinstance(value, str) else value
    return [text for part in parts if (text := text_of(part))] if isinstance(parts, list | tuple) else []


def dict_of(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def list_of(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def unread(observation: Observation, key: str) -> str:
    """Why an observation decides nothing that lacks what the probe did not read when it was stored; else empty."""
    return "" if key in observation else "This was measured by an earlier version of the probe; probe again."


def plain(number: float) -> str:
    """A number as people write it: no exponent, no trailing zeros."""
    return f"{number:.6f}".rstrip("0").rstrip(".") if number < 1e15 else f"{number:.3g}"


def moment(at: float | None) -> str:
    """A time in words, in UTC."""
    try:
        return datetime.fromtimestamp(at or 0, UTC).strftime("%Y-%m-%d %H:%M UTC")
    except (OverflowError, ValueError, OSError):
        return "an unknown time"


def joined(parts: list[str], limit: int = 6) -> str:
    """A list in words, shortened."""
    return ", ".join(parts[:limit]) + (f" and {len(parts) - limit} more" if len(parts) > limit else "")


def problem(answer: Answer) -> dict[str, Any]:
    """An unusable answer as part of an observation."""
    return {"error": answer.error.kind if answer.error else f"status {answer.status}", "why": answer.why}


def fact_error(observation: Observation) -> str:
    """The sentence that says why an observation holds nothing, empty if it holds something."""
    return text_of(observation.get("why")) if observation.get("error") else ""
