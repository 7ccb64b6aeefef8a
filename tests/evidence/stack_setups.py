"""How a row's recording is served, and what its probe is told, so that a claim can be judged against it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any

from checklists.evidence.probes import PROBES, Judgement, Observation, Target
from tests.evidence.answering import KEY, Setup, answering
from tests.evidence.loopback import loopback_client, observe
from tests.evidence.recorded import recordings

Claims = dict[str, Any]
Row = tuple[Any, ...]

# What kind of model is recorded, where it is no language model, and the one that is asked for.
FAMILIES = {"tei-1.9": "embedding", "speaches-0.8": "audio", "triton-2.60": "vision"}
HINTS = {"triton-2.60": "scorer"}
# Probes that look at what is claimed before they ask: each of their claims is an observation of its own.
BY_CLAIM = {"generation.modalities", "generation.oversized", "generation.slow", "generation.refusals"}


USUAL = Setup()


@dataclass(frozen=True)
class On:
    """Claims under a set-up of their own: ``server`` of the recording, ``before`` of the endpoint as it was signed off
    or released before (with ``was``, another recording), ``target`` of what the owner set."""

    claims: Claims
    server: Setup = USUAL
    before: Setup | None = None
    was: str = ""
    recording: str = ""
    target: Mapping[str, Any] = field(default_factory=dict)

    def key(self, recording: str, probe: str, item: str) -> tuple[str, ...]:
        """What makes an observation the same as another one."""
        claims = json.dumps(self.claims, sort_keys=True) if probe in BY_CLAIM else ""
        setups = (repr(self.server), repr(self.before), self.was, repr(sorted(self.target.items())))
        return (recording, probe, item if claims else "", claims, *setups)


def on(claims: Claims | On) -> On:
    return claims if isinstance(claims, On) else On(claims)


_OBSERVED: dict[tuple[str, ...], Observation] = {}


def observed(row: Row, case: On) -> Observation:
    """What the row's probe sees of its recording, set up like that; each distinct sight is taken once."""
    recording, probe, item = case.recording or row[0], row[1], row[2]
    key = case.key(recording, probe, item)
    if key not in _OBSERVED:
        _OBSERVED[key] = _observe(recording, probe, item, case)
    return _OBSERVED[key]


def _observe(recording: str, probe: str, item: str, case: On) -> Observation:
    options: dict[str, Any] = {"may_generate": True, "may_burst": True, "model_hint": HINTS.get(recording, "")}
    options["family"] = FAMILIES.get(recording, "llm")
    options["claims"] = {item: case.claims}
    if case.server.key:  # whoever guards everything is not found out
        options |= {"headers": {"Authorization": KEY}, "stack": recordings()[recording].stack}
    options |= case.target
    with ExitStack() as stack:
        server = stack.enter_context(answering(recording, case.server))
        if case.before is not None:
            was = case.was or recording
            old = Target("old", stack.enter_context(answering(was, case.before)).url)
            told = {key: options[key] for key in ("may_generate", "family", "model_hint")}
            old = replace(old, **told)
            options["facts"] = {"previous": {"version": "1.0", "endpoints": [old]}}
            if probe == "model.fingerprint":
                options["facts"] = {"fingerprint": observe(probe, old, loopback_client())[0]}
        observation, _ = observe(probe, Target("main", server.url, **options), loopback_client(timeout_s=4.0))
    return dict(json.loads(json.dumps(observation, allow_nan=False)))


def judged(row: Row, claims: Claims | On) -> Judgement:
    """The judgement of one of a row's claims."""
    case = on(claims)
    probe = PROBES[row[1]]
    observation = observed(row, case)
    assert row[2] in probe.speaks_to(observation), observation
    return probe.judge(row[2], case.claims, observation, row[5] if len(row) > 5 else {})


@cache
def closed_port() -> int:
    """A port of loopback at which nobody listens any more."""
    with answering("openai-compatible", Setup()) as server:
        return server.port
