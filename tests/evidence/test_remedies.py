"""What would help an inconclusive finding, and how many items one action would settle."""

from __future__ import annotations

from typing import Any

import pytest

from checklists.evidence.addresses import NOT_ALLOWED
from checklists.evidence.coverage import coverage
from checklists.evidence.models import Finding
from checklists.evidence.probes import PROBES, probed_items
from checklists.evidence.remedies import Help, Remedy, helps, remedy_of
from checklists.registry.models import Endpoint

TOPICS = [topic.item for topic in coverage("vllm", prometheus=True, may_generate=True)]
TOLD = {key: {"anything": "said"} for key in TOPICS}
PRIVATE = f"Its address 10.0.0.1 is not a public address, and {NOT_ALLOWED}."
PROM = {"prometheus_url": "https://prom.example.org"}


def endpoint(pk: int = 1, **fields: Any) -> Endpoint:
    return Endpoint(pk=pk, name=f"eu-{pk}", url="https://llm.example.org", **fields)


def finding(probe: str, item: str, at: Endpoint | None, reason: str = "Only 3 samples.", **observation: Any) -> Finding:
    return Finding(
        probe=probe, item_key=item, endpoint=at, endpoint_name=at.name if at else "", verdict="inconclusive",
        reason=reason, observation=observation,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("probe", "given", "reason", "observation", "remedy"),
    [
        ("model.limits", {}, "Nothing is claimed yet that could be compared. Seen: 32768 tokens.", {}, Remedy.CLAIM),
        ("release.dependencies", {}, "No health address is claimed.", {}, Remedy.CLAIM),
        ("generation.slow", {"may_generate": True}, "…", {"error": "no_claim", "why": "…"}, Remedy.CLAIM),
        ("model.limits", {}, "The claim changed since this was measured; probe again.", {}, Remedy.PROBE),
        ("model.limits", {}, "…", {"error": "refused_address", "why": PRIVATE}, Remedy.NETWORK),
        ("model.limits", {}, "…", {"error": "refused_address", "why": "It is link-local."}, Remedy.ADDRESS),
        ("model.limits", {}, "…", {"error": "unreachable", "why": "…"}, Remedy.ADDRESS),
        ("model.limits", {}, "Our own credentials were refused (401).", {}, Remedy.CREDENTIALS),
        ("model.limits", {}, "…", {"error": "status 403", "why": "…"}, Remedy.CREDENTIALS),
        ("metrics.latency", {}, "…", {"error": "status 404", "why": "…"}, Remedy.METRICS),
        ("prometheus.latency", PROM, "…", {"error": "unreachable"}, Remedy.PROMETHEUS),
        ("prometheus.latency", PROM, "…", {"error": "status 404"}, Remedy.PROMETHEUS),
        ("prometheus.latency", PROM, "…", {"error": "status 401"}, Remedy.PROMETHEUS),
        ("prometheus.latency", PROM, "…", {"error": "no_series"}, Remedy.LABELS),
        ("generation.small", {}, "…", {"error": "not_allowed", "why": "…"}, Remedy.GENERATION),
        ("generation.burst", {"may_generate": True}, "…", {"error": "not_allowed", "why": "…"}, Remedy.BURST),
        ("metrics.latency", {}, "Only 3 samples.", {"stack": "vllm"}, None),
        ("prometheus.latency", PROM, "Idle.", {}, None),
    ],
)
def test_the_remedy_follows_from_why_nothing_was_settled(
    probe: str, given: dict[str, Any], reason: str, observation: dict[str, Any], remedy: Remedy | None
) -> None:
    at = endpoint(**given)
    assert remedy_of(finding(probe, PROBES[probe].items[0], at, reason, **observation), at) == remedy


def of(found: list[Help], remedy: Remedy) -> Help:
    return next(help for help in found if help.remedy == remedy)


def ran(at: Endpoint) -> list[Finding]:
    """Every probe that needs nothing given has been there, and settled nothing."""
    return [
        finding(probe.key, item, at)
        for probe in PROBES.values()
        for item in probe.items
        if probe.about == "endpoint" and not probe.generates and "prometheus" not in probe.reads
    ]


def test_each_action_counts_what_it_alone_would_settle_as_coverage_says() -> None:
    at = endpoint(stack="vllm")
    found = helps(items=probed_items(TOPICS), claims=TOLD, endpoints=[at], findings=ran(at), stacks={1: "vllm"})
    alone = coverage("vllm", prometheus=False, may_generate=False)
    wanted = {topic.item for topic in alone if topic.prometheus}
    assert wanted <= set(of(found, Remedy.PROMETHEUS).items)
    assert of(found, Remedy.PROMETHEUS).endpoints == (at,)
    given = {topic.item for topic in alone if topic.generation}
    assert given <= {*of(found, Remedy.GENERATION).items, *of(found, Remedy.GENERATION).partly}
    assert [len(help.items) for help in found] == sorted((len(help.items) for help in found), reverse=True)


def test_what_is_given_already_is_not_asked_for() -> None:
    at = endpoint(**PROM, may_generate=True, may_burst=True)
    found = helps(items=probed_items(TOPICS), claims=TOLD, endpoints=[at], findings=[], stacks={1: "vllm"})
    assert {help.remedy for help in found} == {Remedy.PROBE}


def test_an_item_without_a_claim_needs_an_answer_too() -> None:
    item = "performance.throughput"
    found = helps(items=[item], claims={}, endpoints=[endpoint()], findings=[], stacks={1: "vllm"})
    assert of(found, Remedy.PROMETHEUS).items == ()
    assert of(found, Remedy.PROMETHEUS).partly == (item,)
    assert of(found, Remedy.CLAIM).partly == (item,)


def test_what_a_stack_does_not_tell_is_not_promised() -> None:
    item = "observability.cache"
    assert helps(items=[item], claims=TOLD, endpoints=[endpoint()], findings=[], stacks={1: "comfyui"}) == []


def test_a_finding_that_nothing_helps_promises_nothing_of_its_probe() -> None:
    at, item = endpoint(**PROM), "performance.throughput"
    stands = [finding("prometheus.throughput", item, at, "Idle over the week.")]
    assert helps(items=[item], claims=TOLD, endpoints=[at], findings=stands, stacks={1: "vllm"}) == []


def test_without_an_endpoint_naming_one_comes_first() -> None:
    found = helps(items=probed_items(TOPICS), claims=TOLD, endpoints=[], findings=[], stacks={})
    assert found[0].remedy == Remedy.ENDPOINT
    assert len(found[0].items) > 10


def test_a_probe_that_ran_and_said_nothing_of_an_item_is_not_promised_to_settle_it_next_time() -> None:
    at, item = endpoint(stack="vllm"), "identity.lineage"
    found = finding("model.identity", "identity.name-version", at)
    found.verdict = "verified"
    asked = {"items": [item], "claims": TOLD, "endpoints": [at], "stacks": {1: "vllm"}}
    hub = finding("hub.model", item, None, "The hub says nothing of it.")
    assert of(helps(**asked, findings=[hub]), Remedy.PROBE).items == (item,)
    assert helps(**asked, findings=[hub, found]) == []
