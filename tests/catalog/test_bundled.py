"""The bundled checklist asks what was agreed: keys, families, roles, qualities, tiers and modes."""

from __future__ import annotations

import re
from typing import Any

import pytest

from checklists.catalog.loader import load

FAMILIES = {"L": "llm", "D": "diffusion", "E": "embedding", "M": "multimodal", "A": "audio", "V": "vision"}
ROLES = {"ML": "mlops", "SE": "security", "SR": "sre"}
QUALITIES = {
    "P": "performant",
    "R": "reliable",
    "O": "observable",
    "C": "cost_efficient",
    "S": "safe",
    "X": "production_ready",
}
REQUIREMENTS = {"M": "must", "S": "should", "Y": "may"}
MODES = {"A": "probe", "P": "assisted", "H": "person"}
SECTIONS = [
    "identity",
    "compute",
    "performance",
    "release",
    "autoscaling",
    "observability",
    "reliability",
    "security",
    "operations",
]

# key, families, role, qualities, requirement in tiers 1 2 3, mode
TOPICS = """
identity.name-version * ML X MMM A
identity.lineage * ML X MSY P
identity.modalities * ML X MMS A
identity.input-limits * ML R MMS A
identity.gpu-precision * ML C MSY P
compute.peak-memory * ML RC MMS A
compute.batch-range * ML PC SSY P
compute.unit-throughput * ML C SSY P
compute.placement * ML RX SSY P
compute.parallelism LDM ML PR MSY P
compute.quantization * ML CP SSY P
performance.latency-targets * SR P MMS A
performance.throughput * SR P MSY P
performance.load-profile * SR PC MSY P
performance.cost-targets * ML C SSY P
release.gradual-rollout * ML RX MSY P
release.shadow-evaluation * ML RX SYY H
release.rollback * SR R MMS P
release.drift-evals * ML XS MSY H
release.compatibility * ML R MSY P
autoscaling.cold-start * SR PR MSY A
autoscaling.warmup * ML P SSY P
autoscaling.batch-queue * ML P SSY P
autoscaling.strategy * SR CR MSY P
autoscaling.load-notes * SR C SSY P
observability.latency-breakdown * SR O MSY A
observability.gpu * SR OC MSY A
observability.cache LDM SR OP SSY A
observability.errors * SR OR MSY A
observability.throughput * SR O MMS A
reliability.warmup-validated * SR R MSY P
reliability.backpressure * SR R MMS P
reliability.timeouts * SR R MSY P
reliability.input-variability * ML RS MSY A
reliability.load-test * SR PR MSY P
security.input-sanitisation * SE S MMS P
security.logging-privacy * SE S MMS H
security.access-control * SE S MMM A
security.safety-behaviour LDMAV SE S MSY P
security.data-governance * SE SX MMS H
operations.owner * ML X MMM P
operations.slos * SR OX MMS P
operations.dependencies * SR R MMS P
operations.resource-contract * ML X SSY A
operations.runtime-constraints * ML R MSY P
"""

# Probes and other rooms read these by name.
CLAIMS = {
    "identity.name-version": {"model_id": "text", "version": "text", "revision": "text", "artifact_digest": "text"},
    "identity.modalities": {"inputs": "multi_choice", "outputs": "multi_choice"},
    "identity.input-limits": {"max_input": "integer", "unit": "choice"},
    "identity.lineage": {"base_model": "text", "method": "text", "data_snapshot": "text"},
    "performance.latency-targets": {"phase": "choice", "p50_ms": "number", "p95_ms": "number"},
    "performance.throughput": {"value": "number", "unit": "choice"},
    "security.access-control": {"scheme": "choice", "rotation_days": "integer"},
    "observability.latency-breakdown": {"phases": "multi_choice"},
    "observability.cache": {"metric_names": "text"},
    "observability.throughput": {"metric_name": "text", "dashboard_url": "url"},
    "observability.gpu": {"dashboard_url": "url"},
    "autoscaling.cold-start": {"seconds": "number"},
    "operations.runtime-constraints": {
        "max_concurrency": "integer",
        "max_batched_tokens": "integer",
        "context_tokens": "integer",
    },
    "operations.owner": {"team": "text", "on_call": "text"},
    "operations.dependencies": {"names": "text", "health_url": "url", "required": "boolean"},
    "release.rollback": {"trigger": "text", "runbook_url": "url", "last_drill": "date"},
    "reliability.load-test": {"tool": "text", "date": "date", "revision": "text", "report_url": "url"},
    "compute.peak-memory": {"gib_per_replica": "number", "input_size": "text"},
    "compute.quantization": {"formats": "multi_choice"},
    "identity.gpu-precision": {"gpu_types": "text", "precisions": "multi_choice"},
}


@pytest.fixture(scope="module")
def content() -> dict[str, Any]:
    return load()


@pytest.fixture(scope="module")
def items(content: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {item["key"]: item for section in content["sections"] for item in section["items"]}


def expected(letters: str, words: dict[str, str]) -> set[str]:
    return set(words.values()) if letters == "*" else {words[letter] for letter in letters}


def test_it_has_nine_sections_and_the_45_items_in_their_order(content: dict[str, Any], items: dict[str, Any]) -> None:
    assert [section["key"] for section in content["sections"]] == SECTIONS
    assert list(items) == [line.split()[0] for line in TOPICS.split("\n") if line]
    assert len(items) == 45


@pytest.mark.parametrize("line", [line for line in TOPICS.split("\n") if line])
def test_an_item_is_for_whom_and_by_whom_it_was_agreed(line: str, items: dict[str, Any]) -> None:
    key, families, role, qualities, tiers, mode = line.split()
    item = items[key]
    assert set(item["families"]) == expected(families, FAMILIES)
    assert item["role"] == ROLES[role]
    assert set(item["qualities"]) == expected(qualities, QUALITIES)
    assert item["requirement"] == {str(n): REQUIREMENTS[letter] for n, letter in enumerate(tiers, 1)}
    assert item["mode"] == MODES[mode]


@pytest.mark.parametrize("key", CLAIMS)
def test_the_claim_fields_that_others_read_keep_their_names_and_types(key: str, items: dict[str, Any]) -> None:
    assert {claim["key"]: claim["type"] for claim in items[key]["claims"]} == CLAIMS[key]


def test_the_wording_is_complete_for_every_item(items: dict[str, Any]) -> None:
    for key, item in items.items():
        assert item["question"].endswith("?"), key
        for lead in ("**What good looks like.**", "**How to find out.**", "**A reviewer will ask**"):
            assert lead in item["guidance"], (key, lead)
        assert len({example["family"] for example in item["examples"]}) >= 2, key
        assert len(item["references"]) >= 2, key
        assert 1 <= sum(claim["required"] for claim in item["claims"]) <= 2, key


def test_no_two_items_share_a_question_or_a_label(items: dict[str, Any]) -> None:
    assert len({item["question"] for item in items.values()}) == len({item["short"] for item in items.values()}) == 45


def test_the_tone_is_calm(items: dict[str, Any]) -> None:
    for key, item in items.items():
        prose = " ".join(
            [item["question"], item["why"], item["guidance"], *(example["text"] for example in item["examples"])]
        )
        assert "!" not in prose, key
        assert not re.search(r"\b(utilize|leverage|seamless|robust|organization)\b", prose, re.IGNORECASE), key
