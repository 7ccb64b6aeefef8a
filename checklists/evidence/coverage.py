"""Which topics can be settled on which serving stack, by which probes, and why the others cannot.

Computed from what the probes say of themselves (``settles``, ``reads``, ``generates``, ``bursts``) and from the mode of
each item, so that a new probe or stack shows here at once.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol

from checklists.catalog.choices import Mode
from checklists.catalog.loader import load
from checklists.evidence.probes import PROBES, Probe
from checklists.evidence.stacks import STACKS, Stack

# What reaches us through a monitoring system rather than from the endpoint, the Internet or the database.
MONITORING = frozenset({"prometheus", "alertmanager", "kubernetes", "grafana"})


class Topic(Protocol):
    """An item of an edition, as far as coverage reads it."""

    @property
    def key(self) -> str: ...
    @property
    def mode(self) -> str: ...


@dataclass(frozen=True)
class TopicCoverage:
    """``probes``: keys of those that can verify and contradict the item here; without any, ``why`` is one sentence.

    ``prometheus``, ``generation``: whether giving that alone, which is not given now, would settle it.
    """

    item: str
    mode: str
    probes: tuple[str, ...]
    why: str = ""
    prometheus: bool = False
    generation: bool = False

    @property
    def settled(self) -> bool:
        return bool(self.probes)


@dataclass(frozen=True)
class _Bundled:
    key: str
    mode: str


def coverage(
    stack_key: str, *, prometheus: bool, may_generate: bool, topics: Iterable[Topic] | None = None
) -> list[TopicCoverage]:
    """Every topic of an edition (the bundled one unless given), in its order, for an endpoint of this stack.

    ``prometheus``: a monitoring system is named; ``may_generate``: the owner allows requests that generate, or a burst.
    ``KeyError`` for a stack that is not in the table.
    """
    stack = STACKS[stack_key]
    given = {"prometheus": prometheus, "generation": may_generate}
    return [_topic(topic, stack, given) for topic in (topics if topics is not None else _bundled())]


def _topic(topic: Topic, stack: Stack, given: Mapping[str, bool]) -> TopicCoverage:
    if topic.mode == Mode.PERSON:
        return TopicCoverage(topic.key, topic.mode, (), "Only a person can decide this; no server shows it.")
    speaking = [probe for probe in PROBES.values() if topic.key in probe.items]
    able = [probe for probe in speaking if not probe.settles(topic.key, stack)]
    missing = {probe.key: [need for need in _needs(probe) if not given[need]] for probe in able}
    settling = tuple(probe.key for probe in able if not missing[probe.key])
    if settling:
        return TopicCoverage(topic.key, topic.mode, settling)
    if missing:
        alone = {needs[0] for needs in missing.values() if len(needs) == 1}
        wanted = " or ".join(_WORDS[need] for need in _WORDS if need in alone) or " and ".join(_WORDS.values())
        return TopicCoverage(
            topic.key,
            topic.mode,
            (),
            f"It takes {wanted}.",
            prometheus="prometheus" in alone,
            generation="generation" in alone,
        )
    said = [why for probe in speaking if (why := probe.settles(topic.key, stack))]
    return TopicCoverage(topic.key, topic.mode, (), said[0] if said else "No probe reads this yet.")


_WORDS = {
    "prometheus": "the address of a Prometheus server",
    "generation": "the owner's permission to send requests that generate",
}


def _needs(probe: Probe) -> list[str]:
    """What must be given for a probe to run. One that can also read the endpoint or its metrics page does without a
    monitoring system."""
    reads = set(probe.reads)
    needs = ["prometheus"] if reads & MONITORING and not reads & {"endpoint", "metrics"} else []
    return needs + (["generation"] if probe.generates or probe.bursts else [])


def _bundled() -> list[Topic]:
    return [_Bundled(item["key"], item["mode"]) for section in load()["sections"] for item in section["items"]]
