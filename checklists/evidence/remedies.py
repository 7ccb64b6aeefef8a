"""What would help where nothing was settled: one action, and how many items it would settle.

Computed from what the probes say of themselves (``settles``, ``reads``, ``generates``, ``bursts``), from what the owner
has given, and from why each finding is inconclusive. A new probe or stack shows here at once.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from checklists.evidence.addresses import NOT_ALLOWED
from checklists.evidence.coverage import MONITORING
from checklists.evidence.models import Finding, Verdict
from checklists.evidence.probes import PROBES, Claims, Probe
from checklists.evidence.stacks import GENERIC, STACKS, Stack
from checklists.registry.models import Endpoint


class Remedy(StrEnum):
    """One thing that somebody can do."""

    ENDPOINT = "endpoint"  # name an endpoint
    PROBE = "probe"  # start a run
    CLAIM = "claim"  # answer what the item asks
    PROMETHEUS = "prometheus"  # give the address of a Prometheus server that answers
    ALERTMANAGER = "alertmanager"
    LABELS = "labels"  # say which series are the endpoint's
    METRICS = "metrics"  # give the address of the metrics page
    GENERATION = "generation"
    BURST = "burst"
    CREDENTIALS = "credentials"
    ADDRESS = "address"
    NETWORK = "network"  # an administrator allows the network


# How probes say that something is missing from the answer.
UNCLAIMED = re.compile(r"(?:Nothing|No [\w ]{1,40}) is claimed\b")
# Kinds of failure on the way to a server, or in what it speaks: another address would help.
UNREACHED = ("refused_address", "refused_port", "unresolvable", "unreachable", "timeout", "tls", "protocol", "redirect")


@dataclass(frozen=True)
class Help:
    """One remedy: the items it alone would settle, those that need something else too, and where it is to be done."""

    remedy: Remedy
    items: tuple[str, ...]
    partly: tuple[str, ...]
    endpoints: tuple[Endpoint, ...]


Step = tuple[Remedy, Endpoint | None]


def remedy_of(finding: Finding, endpoint: Endpoint | None) -> Remedy | None:
    """What would help an inconclusive finding; ``None`` where only time, traffic or another server would."""
    probe = PROBES.get(finding.probe)
    observation: Mapping[str, Any] = finding.observation if isinstance(finding.observation, dict) else {}
    error, why = str(observation.get("error") or ""), f"{observation.get('why') or ''} {finding.reason}"
    if UNCLAIMED.match(finding.reason) or error == "no_claim":
        return Remedy.CLAIM
    if finding.reason.startswith("The claim changed since"):
        return Remedy.PROBE
    if endpoint is None or probe is None:
        return None
    if error == "not_allowed":
        if probe.generates and not endpoint.may_generate:
            return Remedy.GENERATION
        return Remedy.BURST if probe.bursts and not endpoint.may_burst else None
    if NOT_ALLOWED in why:
        return Remedy.NETWORK
    if error in ("labels", "no_series", "no_target"):
        return Remedy.LABELS
    if _monitored(probe):  # the headers are the endpoint's alone, so an answer of 401 asks for another address too
        answers = endpoint.prometheus_url and error not in UNREACHED and not error.startswith("status ")
        return None if answers else Remedy.PROMETHEUS
    if error in ("status 401", "status 403") or "credentials were refused" in why:
        return Remedy.CREDENTIALS
    if error in UNREACHED:
        return Remedy.ADDRESS
    if probe.key.startswith("metrics.") and (error or not observation.get("stack")):
        return Remedy.METRICS
    return None


def helps(
    *,
    items: Iterable[str],
    claims: Mapping[str, Claims],
    endpoints: Sequence[Endpoint],
    findings: Iterable[Finding],
    stacks: Mapping[int, str],
) -> list[Help]:
    """The remedies for these unsettled ``items`` (keys), the one that settles most first. No query.

    ``claims`` by item key; ``findings`` are the current ones; ``stacks``: the key of each endpoint's stack, by id, as
    far as it is known.
    """
    findings = list(findings)
    stands = {(f.endpoint_id, f.probe, f.item_key): f for f in findings if f.verdict == Verdict.INCONCLUSIVE}
    ran = {(f.endpoint_id, f.probe) for f in findings}
    alone: dict[Remedy, dict[str, None]] = defaultdict(dict)
    partly: dict[Remedy, dict[str, None]] = defaultdict(dict)
    where: dict[Remedy, dict[int, Endpoint]] = defaultdict(dict)
    for item in items:
        told = any(value not in (None, "", []) for value in claims.get(item, {}).values())
        for steps in _ways(item, told, endpoints, stacks, stands, ran):
            for remedy, endpoint in steps:
                (alone if len(steps) == 1 else partly)[remedy][item] = None
                if endpoint is not None:
                    where[remedy][endpoint.pk] = endpoint
    found = [
        Help(
            remedy,
            tuple(alone[remedy]),
            tuple(item for item in partly[remedy] if item not in alone[remedy]),
            tuple(where[remedy].values()),
        )
        for remedy in Remedy
        if alone.get(remedy) or partly.get(remedy)
    ]
    return sorted(found, key=lambda help: (-len(help.items), -len(help.partly)))


def _ways(
    item: str,
    told: bool,
    endpoints: Sequence[Endpoint],
    stacks: Mapping[int, str],
    stands: Mapping[tuple[int | None, str, str], Finding],
    ran: set[tuple[int | None, str]],
) -> Iterator[set[Step]]:
    """Every way to settle an item that is open: for each probe and endpoint, all that is still to be done."""
    for probe in (probe for probe in PROBES.values() if item in probe.items):
        targets: Sequence[Endpoint | None] = endpoints if probe.about == "endpoint" else [None]
        if not targets and not probe.settles(item, STACKS[GENERIC]):
            yield {(Remedy.ENDPOINT, None)} | (set() if told else {(Remedy.CLAIM, None)})
        for endpoint in targets:
            if probe.settles(item, _stack(endpoint, stacks)):
                continue
            steps = _given(probe, endpoint)
            finding = stands.get((endpoint.pk if endpoint else None, probe.key, item))
            if not steps and finding is not None:
                step = remedy_of(finding, endpoint)
                if step is None:
                    continue  # nothing to be done about it
                steps.add((step, None if step in (Remedy.CLAIM, Remedy.PROBE) else endpoint))
            elif not steps and not probe.local:
                if (endpoint.pk if endpoint else None, probe.key) in ran:
                    continue  # it ran, and had nothing to say about this
                steps.add((Remedy.PROBE, None))
            if not told:
                steps.add((Remedy.CLAIM, None))
            if steps:
                yield steps


def _given(probe: Probe, endpoint: Endpoint | None) -> set[Step]:
    """What the owner has not given yet, and the probe cannot run without."""
    if endpoint is None:
        return set()
    lacks: set[Step] = set()
    if _monitored(probe) and not endpoint.prometheus_url:
        lacks.add((Remedy.PROMETHEUS, endpoint))
    if probe.reads == ("alertmanager",) and not endpoint.alertmanager_url:
        lacks = {(Remedy.ALERTMANAGER, endpoint)}
    if probe.generates and not endpoint.may_generate:
        lacks.add((Remedy.GENERATION, endpoint))
    if probe.bursts and not endpoint.may_burst:
        lacks.add((Remedy.BURST, endpoint))
    return lacks


def _monitored(probe: Probe) -> bool:
    reads = set(probe.reads)
    return bool(reads & MONITORING) and not reads & {"endpoint", "metrics"}


def _stack(endpoint: Endpoint | None, stacks: Mapping[int, str]) -> Stack:
    key = stacks.get(endpoint.pk, "") if endpoint else ""
    return STACKS.get(key, STACKS[GENERIC])
