"""Every row of ``stack_claims``: a recorded stack verifies what is true of it and contradicts what is not."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from checklists.evidence.probes import PROBES, Judgement, Probe, Target
from checklists.evidence.probes.generation import burst, counters
from checklists.evidence.probes.prometheus import PROMETHEUS_PROBES, PROMISE_PROBES
from checklists.evidence.stacks import STACKS
from tests.evidence import stack_claims_release
from tests.evidence.answering import documented
from tests.evidence.loopback import loopback_client, observe, routes, serving
from tests.evidence.recorded import recordings
from tests.evidence.stack_claims import ROWS, UNDECIDED
from tests.evidence.stack_claims_release import PAGES, RELEASE
from tests.evidence.stack_setups import On, Row, closed_port, judged, observed, on

ELSEWHERE = {probe.key for probe in (*PROMETHEUS_PROBES, *PROMISE_PROBES)}
OF_ENDPOINTS = [key for key, probe in PROBES.items() if probe.about == "endpoint" and key not in ELSEWHERE]
OF_RELEASES = [key for key, probe in PROBES.items() if probe.about == "release" and key not in ELSEWHERE]


@pytest.fixture(autouse=True, scope="module")
def _quick() -> Iterator[None]:
    """These servers count at once, so they need not be looked at for long; their queues are full at once, and one that
    answers one request at a time gets through fewer in the seconds of a burst."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(counters, "PAUSES", (0.0, 0.02, 0.02, 0.02))
        patch.setattr(burst, "MOST", 40)
        patch.setattr(burst, "LOOK_AFTER_S", 0.08)
        yield


def several(claims: Any) -> list[On]:
    return [on(one) for one in (claims if isinstance(claims, list) else [claims])]


def of(row: tuple[Any, ...]) -> str:
    return "-".join(str(part) for part in row[:3] if isinstance(part, str))


def contradicted(judgement: Judgement) -> None:
    assert judgement.verdict == "contradicted", judgement.reason
    assert judgement.reason.endswith(".")
    assert judgement.claimed
    assert judgement.observed


@pytest.mark.parametrize("row", ROWS, ids=of)
def test_a_recorded_stack_verifies_the_true_and_contradicts_the_false(row: Row) -> None:
    for case in several(row[3]):
        judgement = judged(row, case)
        assert judgement.verdict == "verified", (case.claims, judgement.reason)
        assert judgement.rule
    for case in several(row[4]):
        contradicted(judged(row, case))
    for case in several(row[3])[:1]:
        assert judged(row, replace(case, claims={})).verdict == "inconclusive"


@pytest.mark.parametrize("row", UNDECIDED, ids=of)
def test_what_cannot_be_told_is_inconclusive_and_says_why(row: Row) -> None:
    judgement = PROBES[row[1]].judge(row[2], row[3], observed(row, On(row[3])))
    assert judgement.verdict == "inconclusive"
    assert row[4] in judgement.reason


@pytest.mark.parametrize("row", RELEASE, ids=of)
def test_what_is_told_of_a_release_is_verified_or_contradicted_whatever_serves_it(
    row: stack_claims_release.Row,
) -> None:
    probe = PROBES[row[0]]
    with serving(routes(PAGES)) as server:

        def judge(claims: dict[str, Any]) -> Judgement:
            filled = [json.loads(json.dumps(part).replace("{server}", server.url)) for part in (claims, *row[4:])]
            claimed, facts, others = filled
            if "team" in facts:
                wanted = [one for one in facts["team"]["named"] if one["name"] == claimed.get("team")]
                facts["team"] |= {"named": wanted, "asked": claimed.get("team")}
            target = Target(name="", url="", claims={**others, row[1]: claimed}, facts=facts)
            observation, _ = observe(probe.key, target)
            return probe.judge(row[1], claimed, observation, others)

        verified = judge(row[2])
        assert verified.verdict == "verified", verified.reason
        contradicted(judge(row[3]))
        assert judge({}).verdict == "inconclusive"


def settled(probe: Probe, stack: str) -> set[str]:
    return {item for item in probe.items if not probe.settles(item, STACKS[stack])}


@pytest.mark.parametrize("key", OF_ENDPOINTS)
@pytest.mark.parametrize("stack", STACKS)
def test_every_topic_said_to_be_settled_has_a_row_and_no_other_topic_is_left_unsaid(stack: str, key: str) -> None:
    probe = PROBES[key]
    rows = [row for row in ROWS if row[1] == key and recordings()[row[0]].stack == stack]
    both = {row[2] for row in rows if row[3] and row[4]}
    assert settled(probe, stack) <= both
    for item in both - settled(probe, stack):
        assert "only" in probe.settles(item, STACKS[stack])  # shown sometimes, as in the recording
    for item in set(probe.items) - both:
        assert probe.settles(item, STACKS[stack]).endswith(".")


@pytest.mark.parametrize("key", OF_RELEASES)
def test_every_topic_of_a_release_said_to_be_settled_has_a_row(key: str) -> None:
    topics = {stack: settled(PROBES[key], stack) for stack in STACKS}
    assert len({frozenset(items) for items in topics.values()}) == 1  # whatever serves it
    assert topics["vllm"] == {row[1] for row in RELEASE if row[0] == key}


@pytest.mark.parametrize("key", OF_ENDPOINTS)
@pytest.mark.parametrize("stack", STACKS)
def test_a_server_that_cannot_be_reached_neither_verifies_nor_contradicts(stack: str, key: str) -> None:
    rows = [row for row in ROWS if row[1] == key and recordings()[row[0]].stack == stack]
    cases = {row[2]: case for row in rows for case in several(row[3])}
    for item, case in cases.items():
        target = Target(
            *("main", f"http://127.0.0.1:{closed_port()}", stack),
            **{"may_generate": True, "may_burst": True, "model_hint": "m", "claims": {item: case.claims}},
        )
        observation, _ = observe(key, target, loopback_client(timeout_s=1.0))
        judgement = PROBES[key].judge(item, case.claims, observation)
        assert judgement.verdict == "inconclusive", judgement.reason
        assert judgement.reason.endswith(".")


def test_every_stack_is_recorded_and_every_recording_is_labelled() -> None:
    assert {one.stack for one in recordings().values()} == set(STACKS)
    for one in recordings().values():
        assert one.version
        assert len(one.source) > 40, one.name
        if documented(one.name):
            assert len(documented(one.name)["source"]) > 100, one.name
