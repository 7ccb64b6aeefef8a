"""How much can be settled, all probes taken together."""

from __future__ import annotations

from checklists.catalog.choices import Mode
from checklists.evidence.coverage import coverage
from checklists.evidence.stacks import STACKS


def test_every_topic_that_a_probe_can_help_with_is_settled_on_some_stack() -> None:
    settled = {
        row.item for stack in STACKS for row in coverage(stack, prometheus=True, may_generate=True) if row.settled
    }
    wanted = {row.item for row in coverage("vllm", prometheus=True, may_generate=True) if row.mode != Mode.PERSON}
    assert len(wanted) == 41
    assert wanted - settled == set()


def test_vllm_with_prometheus_settles_twenty_seven_topics_at_least() -> None:
    """Without a request that generates."""
    settled = [row.item for row in coverage("vllm", prometheus=True, may_generate=False) if row.settled]
    assert len(settled) >= 27
