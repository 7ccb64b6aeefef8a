"""Verdicts on a real llama-cpp-python server: each claim here is known to be right or wrong by how it was started."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from checklists.evidence.probes import Observation
from tests.evidence.real.launch import LLAMA_KEY, Server
from tests.evidence.real.probing import judge

pytestmark = pytest.mark.servers("llama-cpp-python")
Observe = Callable[..., Observation]


def test_it_is_found_out_as_openai_compatible_and_healthy_by_its_model_list(llama: Server, observe: Observe) -> None:
    observation = observe(llama, "endpoint.health")
    assert (observation["stack"], observation["path"]) == ("openai", "/v1/models")
    assert judge("endpoint.health", None, {}, observation).verdict == "verified"


@pytest.mark.parametrize(
    ("key", "item", "claims", "expected"),
    [
        ("model.identity", "identity.name-version", {"model_id": "tiny-llama"}, "verified"),
        ("model.identity", "identity.name-version", {"model_id": "mistral-large"}, "contradicted"),
        # It says nothing of its limits, although it has one.
        ("model.limits", "identity.input-limits", {"max_input": 256, "unit": "tokens"}, "inconclusive"),
        ("model.limits", "identity.input-limits", {"max_input": 999_999, "unit": "tokens"}, "inconclusive"),
        ("model.limits", "operations.runtime-constraints", {"context_tokens": 256}, "inconclusive"),
        # It exports no metrics.
        ("metrics.present", "observability.throughput", {"metric_name": "llamacpp:tokens_predicted"}, "inconclusive"),
        ("metrics.present", "observability.latency-breakdown", {"phases": ["prefill"]}, "inconclusive"),
        ("metrics.latency", "performance.latency-targets", {"phase": "first_token", "p95_ms": 9000}, "inconclusive"),
        # One small request
        ("generation.small", None, {}, "verified"),
        ("generation.small", "identity.modalities", {"inputs": ["text"], "outputs": ["text"]}, "verified"),
        ("generation.small", "identity.modalities", {"inputs": ["text", "image"], "outputs": ["text"]}, "inconclusive"),
        ("generation.small", "performance.latency-targets", {"phase": "first_token", "p95_ms": 9000}, "inconclusive"),
        ("access.control", "security.access-control", {"scheme": "api_key"}, "verified"),
        ("access.control", "security.access-control", {"scheme": "none"}, "contradicted"),
    ],
)
def test_a_claim_is_judged_as_the_server_was_started(
    llama: Server, observe: Observe, key: str, item: str | None, claims: dict[str, Any], expected: str
) -> None:
    judgement = judge(key, item, claims, observe(llama, key))
    assert judgement.verdict == expected, judgement


def test_a_wrong_key_is_refused_and_ours_is_let_in(llama: Server, observe: Observe) -> None:
    claims = {"scheme": "api_key"}
    reason = judge("access.control", "security.access-control", claims, observe(llama, "access.control")).reason
    assert "a wrong key is refused" in reason
    assert "ours is accepted" in reason


def test_a_server_without_a_key_contradicts_the_claim_of_one(open_llama: Server, observe: Observe) -> None:
    observation = observe(open_llama, "access.control")
    judgement = judge("access.control", "security.access-control", {"scheme": "api_key"}, observation)
    assert judgement.verdict == "contradicted"
    assert "/v1/models" in judgement.reason


def test_a_server_without_a_key_is_open_as_claimed_and_left_to_the_reviewer(
    open_llama: Server, observe: Observe
) -> None:
    observation = observe(open_llama, "access.control")
    judgement = judge("access.control", "security.access-control", {"scheme": "none"}, observation)
    assert judgement.verdict == "inconclusive"
    assert "as claimed" in judgement.reason


def test_no_observation_holds_the_key(llama: Server, observe: Observe) -> None:
    for key in ("model.identity", "model.limits", "access.control", "metrics.present", "generation.small"):
        assert LLAMA_KEY not in str(observe(llama, key))
