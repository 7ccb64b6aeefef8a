"""Every row of ``stack_claims``: a recorded stack verifies what is true of it and contradicts what is not."""

from __future__ import annotations

from functools import cache
from typing import Any

import pytest

from checklists.evidence.probes import PROBES, Judgement, Target
from checklists.evidence.stacks import STACKS
from tests.evidence.loopback import observe
from tests.evidence.recorded import recordings
from tests.evidence.stack_claims import COMPLETE, ROWS, UNDECIDED, Claims


@cache
def observed(recording: str, probe: str) -> dict[str, Any]:
    with recordings()[recording].served() as server:
        observation, _ = observe(probe, Target("main", server.url))
    return observation


def judge(row: tuple[Any, ...], claims: Claims) -> Judgement:
    name, probe, item = row[:3]
    observation = observed(name, probe)
    assert item in PROBES[probe].speaks_to(observation)
    return PROBES[probe].judge(item, claims, observation, row[5] if len(row) > 5 else {})


def several(claims: Any) -> list[Claims]:
    return claims if isinstance(claims, list) else [claims]


def of(row: tuple[Any, ...]) -> str:
    return "-".join(map(str, row[:3]))


@pytest.mark.parametrize("row", ROWS, ids=of)
def test_a_recorded_stack_verifies_the_true_and_contradicts_the_false(row: tuple[Any, ...]) -> None:
    for claims in several(row[3]):
        judged = judge(row, claims)
        assert judged.verdict == "verified", (claims, judged.reason)
        assert judged.rule
    for claims in several(row[4]):
        judged = judge(row, claims)
        assert judged.verdict == "contradicted", (claims, judged.reason)
        assert judged.reason.endswith(".")
        assert judged.claimed
        assert judged.observed
    assert judge(row, {}).verdict == "inconclusive"


@pytest.mark.parametrize("row", UNDECIDED, ids=of)
def test_what_cannot_be_told_is_inconclusive_and_says_why(row: tuple[Any, ...]) -> None:
    judged = PROBES[row[1]].judge(row[2], row[3], observed(row[0], row[1]))
    assert judged.verdict == "inconclusive"
    assert row[4] in judged.reason


@pytest.mark.parametrize("key", sorted(COMPLETE))
@pytest.mark.parametrize("stack", STACKS)
def test_every_topic_said_to_be_settled_has_a_row_and_no_other_topic_is_left_unsaid(stack: str, key: str) -> None:
    probe = PROBES[key]
    rows = {row[2] for row in ROWS if row[1] == key and recordings()[row[0]].stack == stack}
    settled = {item for item in probe.items if not probe.settles(item, STACKS[stack])}
    assert settled <= rows
    for item in rows - settled:
        assert "only" in probe.settles(item, STACKS[stack])  # shown sometimes, as in the recording
    for item in set(probe.items) - rows:
        assert probe.settles(item, STACKS[stack]).endswith(".")


def test_every_stack_is_recorded_and_every_recording_is_labelled() -> None:
    assert {one.stack for one in recordings().values()} == set(STACKS)
    for one in recordings().values():
        assert one.version
        assert len(one.source) > 40, one.name
