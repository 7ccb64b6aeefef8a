"""Every row of ``prometheus_claims`` at a real Prometheus with a known past: what is true of a stack is verified, what
is false contradicted, and what cannot be told inconclusive."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from checklists.catalog.loader import load
from checklists.evidence.coverage import MONITORING
from checklists.evidence.probes import PROBES, Judgement, Observation, Target
from checklists.evidence.stacks import STACKS
from tests.evidence.loopback import loopback_client, observe
from tests.evidence.real import launch
from tests.evidence.real.prometheus_claims import ROWS, Case, Row, filled
from tests.evidence.real.serving_past import STACK_NAMES

# Claims that a probe looks at before it judges.
READ_BY_OBSERVE = ("metric_name", "metric_names", "runbook_url", "dashboard_url")


@pytest.fixture(scope="module")
def judge(well_known: launch.Server, addresses: dict[str, str]) -> Callable[[Row, Case], Judgement]:
    """The verdict on a case; what is seen without looking at the claim is seen once."""
    seen: dict[tuple[str, ...], Observation] = {}

    def judged(row: Row, case: Case) -> Judgement:
        claims = filled(case.claims, addresses)
        probe = PROBES[row.probe]
        target = Target(
            "main",
            "http://127.0.0.1:9",
            stack=row.stack,
            prometheus_url=well_known.url,
            labels={"job": row.stack + case.job},
            claims={row.item: claims},
        )
        of_claim = [text for key in READ_BY_OBSERVE if (text := claims.get(key))]
        key = (row.stack, row.probe, row.item, case.job, *of_claim)
        if key not in seen:
            seen[key], _ = observe(row.probe, target, loopback_client(timeout_s=20.0))
        assert row.item in probe.speaks_to(seen[key])
        return probe.judge(row.item, claims, seen[key], case.others)

    return judged


def of(row: Row) -> str:
    return "-".join(row[:3])


@pytest.mark.servers("prometheus", "prometheus-alertmanager")
@pytest.mark.parametrize("row", ROWS, ids=of)
def test_a_known_past_of_a_stack_gives_all_three_verdicts(row: Row, judge: Callable[[Row, Case], Judgement]) -> None:
    for verdict, case in (("verified", row.true), ("contradicted", row.false), ("inconclusive", row.unsure)):
        judged = judge(row, case)
        assert judged.verdict == verdict, (case, judged.reason)
        assert judged.reason.endswith(".")
        if verdict != "inconclusive":
            assert judged.rule
            assert judged.observed


@pytest.mark.parametrize("stack", STACKS)
def test_every_topic_that_monitoring_is_said_to_settle_has_a_row(stack: str) -> None:
    said = {
        (key, item)
        for key, probe in PROBES.items()
        if MONITORING & set(probe.reads)
        for item in probe.items
        if not probe.settles(item, STACKS[stack])
    }
    assert said == {(row.probe, row.item) for row in ROWS if row.stack == stack}


def test_the_past_of_a_stack_is_told_in_the_names_that_it_exports() -> None:
    assert STACK_NAMES.keys() == STACKS.keys()
    for stack, names in STACK_NAMES.items():
        assert names.exported() <= STACKS[stack].metrics.keys()


def test_every_claim_is_one_that_the_checklist_asks_for() -> None:
    asked = {item["key"]: item["claims"] for section in load()["sections"] for item in section["items"]}
    for row in ROWS:
        for case in (row.true, row.false, row.unsure):
            for item, claims in {row.item: case.claims, **case.others}.items():
                fields = {claim["key"]: claim for claim in asked[item]}
                assert claims.keys() <= fields.keys(), row
                for key, value in claims.items():
                    choices = [choice["value"] for choice in fields[key].get("choices", ())]
                    assert not choices or {*(value if isinstance(value, list) else [value])} <= {*choices}, row
