"""The coverage table is computed: from what probes say of themselves, the modes of items, and the table of stacks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pytest

from checklists.catalog.loader import load
from checklists.evidence.coverage import TopicCoverage, coverage
from checklists.evidence.probes import PROBES, Judgement, Probe, Visit
from checklists.evidence.probes.base import NONE
from checklists.evidence.stacks import STACKS, Stack


@dataclass(frozen=True)
class Topic:
    key: str
    mode: str = "assisted"


class Pretending(Probe):
    key = "pretending"
    title = "Pretending"
    items = ("a.topic",)
    sends = "Nothing."

    async def observe(self, visit: Visit) -> dict[str, Any]:
        return {}

    def judge(self, item_key: str | None, claims: Any, observation: Any, others: Mapping[str, Any] = NONE) -> Judgement:
        return Judgement("inconclusive")


class OnVllmOnly(Pretending):
    key = "pretending.vllm"

    def settles(self, item_key: str, stack: Stack) -> str:
        return "" if stack.key == "vllm" else f"{stack.label} does not."


class FromPrometheus(Pretending):
    key = "pretending.prometheus"
    reads = ("prometheus",)


class Generating(Pretending):
    key = "pretending.generating"
    generates = True


class GeneratingAndPrometheus(FromPrometheus):
    key = "pretending.both"
    generates = True


def covered(
    monkeypatch: pytest.MonkeyPatch, *probes: Probe, stack: str = "tgi", mode: str = "assisted", **given: bool
) -> TopicCoverage:
    for key in list(PROBES):
        monkeypatch.delitem(PROBES, key)
    for probe in probes:
        monkeypatch.setitem(PROBES, probe.key, probe)
    options = {"prometheus": False, "may_generate": False, **given}
    (row,) = coverage(stack, topics=[Topic("a.topic", mode)], **options)
    return row


@pytest.mark.parametrize("stack", STACKS)
@pytest.mark.parametrize("given", [False, True])
def test_every_topic_has_its_probes_or_one_sentence(stack: str, given: bool) -> None:
    rows = coverage(stack, prometheus=given, may_generate=given)
    assert [row.item for row in rows] == [item["key"] for section in load()["sections"] for item in section["items"]]
    assert len(rows) == 45
    for row in rows:
        assert row.settled != bool(row.why), row
        assert row.settled or row.why.endswith("."), row
        assert all(row.item in PROBES[key].items for key in row.probes)


def test_more_given_never_settles_less() -> None:
    for stack in STACKS:
        least, most = (
            {row.item for row in coverage(stack, prometheus=given, may_generate=given) if row.settled}
            for given in (False, True)
        )
        assert least <= most


def test_a_stack_that_exports_no_metrics_settles_none_of_their_topics() -> None:
    rows = {row.item: row for row in coverage("comfyui", prometheus=False, may_generate=False)}
    assert rows["observability.cache"].why == "ComfyUI exports no metrics over HTTP."


def test_what_only_a_person_can_decide_is_said_to_be_so(monkeypatch: pytest.MonkeyPatch) -> None:
    row = covered(monkeypatch, Pretending(), mode="person")
    assert not row.settled
    assert "Only a person" in row.why


def test_a_new_probe_shows_at_once_where_it_can_settle(monkeypatch: pytest.MonkeyPatch) -> None:
    assert covered(monkeypatch).why == "No probe reads this yet."
    assert covered(monkeypatch, OnVllmOnly(), stack="vllm").probes == ("pretending.vllm",)
    assert covered(monkeypatch, OnVllmOnly()).why == "HF Text Generation Inference does not."


def test_what_is_missing_is_named_with_whether_it_would_do(monkeypatch: pytest.MonkeyPatch) -> None:
    row = covered(monkeypatch, FromPrometheus())
    assert (row.settled, row.prometheus, row.generation) == (False, True, False)
    assert row.why == "It takes the address of a Prometheus server."
    assert covered(monkeypatch, FromPrometheus(), prometheus=True).settled
    row = covered(monkeypatch, FromPrometheus(), Generating())
    assert (row.prometheus, row.generation, " or " in row.why) == (True, True, True)
    assert covered(monkeypatch, Generating(), may_generate=True).settled
    row = covered(monkeypatch, GeneratingAndPrometheus())
    assert (row.prometheus, row.generation, " and " in row.why) == (False, False, True)
    assert not covered(monkeypatch, GeneratingAndPrometheus(), prometheus=True).settled


def test_an_unknown_stack_is_an_error() -> None:
    with pytest.raises(KeyError):
        coverage("auto", prometheus=False, may_generate=False)
