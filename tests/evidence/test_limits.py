from __future__ import annotations

from typing import Any

import pytest

from checklists.evidence.probes import PROBES, Judgement
from tests.evidence.known_servers import (
    LITELLM,
    LLAMACPP,
    OLLAMA,
    SGLANG,
    TEI,
    TGI,
    VLLM,
    judge,
    observe,
)
from tests.evidence.loopback import routes, serving


def limit(table: dict[str, Any], item: str = "identity.input-limits", **claims: Any) -> Judgement:
    with serving(routes(table)) as server:
        return judge("model.limits", item, claims, observe("model.limits", server))


def test_what_a_proxy_says_of_the_model_behind_it_is_no_limit_of_that_one() -> None:
    # Seen on a running LiteLLM proxy: the list of models carries max_input_tokens, out of its settings or its own list.
    table = {**LITELLM, "/v1/models": {"data": [{"id": "gpt-house", "owned_by": "openai", "max_input_tokens": 8192}]}}
    for wanted in (8192, 16384):
        judgement = limit(table, max_input=wanted, unit="tokens")
        assert (judgement.verdict, judgement.observed) == ("inconclusive", "8192")
        assert "the server behind it sets the limit" in judgement.reason
    assert limit(LITELLM, max_input=8192, unit="tokens").verdict == "inconclusive"


def test_a_served_limit_verifies_or_contradicts_the_claim() -> None:
    assert limit(VLLM, max_input=32768, unit="tokens").verdict == "verified"
    judgement = limit(VLLM, max_input=131072, unit="tokens")
    assert (judgement.verdict, judgement.claimed, judgement.observed, judgement.unit) == (
        "contradicted",
        "131072",
        "32768",
        "tokens",
    )


def test_a_split_context_serves_only_its_share() -> None:
    judgement = limit(LLAMACPP, max_input=512, unit="tokens")
    assert (judgement.verdict, judgement.observed) == ("contradicted", "256")
    assert limit(LLAMACPP, max_input=256, unit="tokens").verdict == "verified"


def test_the_limit_of_the_model_that_is_loaded_is_not_that_of_another() -> None:
    tags = [{"name": "llama3.1:latest"}, {"name": "mistral:latest"}]
    table = {**OLLAMA, "/api/tags": {"models": tags}}  # of which llama3.1 is loaded
    with serving(routes(table)) as server:
        observation = observe("model.limits", server)
    item, claims = "identity.input-limits", {"max_input": 8192, "unit": "tokens"}
    for model_id, verdict in (("llama3.1", "contradicted"), ("mistral", "inconclusive"), ("", "contradicted")):
        names = {"identity.name-version": {"model_id": model_id}}
        assert PROBES["model.limits"].judge(item, claims, observation, names).verdict == verdict, model_id
    names = {"identity.name-version": {"model_id": "mistralai/Mistral-7B-v0.3"}}
    judged = PROBES["model.limits"].judge(item, claims, observation, names)
    assert (judged.verdict, "None of the 2 models" in judged.reason) == ("inconclusive", True)
    # What holds for each of them holds for the claimed one.
    rows = [{"id": name, "owned_by": "vllm", "max_model_len": 8192} for name in ("a", "b")]
    with serving(routes({"/v1/models": {"data": rows}})) as server:
        both = observe("model.limits", server)
    assert PROBES["model.limits"].judge(item, claims, both, names).verdict == "verified"


@pytest.mark.parametrize(
    ("claimed", "verdict"),
    [("meta-llama/Llama-3.1-8B", "verified"), ("BGE-M3", "contradicted"), ("x/y", "inconclusive")],
)
def test_of_several_models_one_is_meant_that_is_called_so_but_for_its_owner(claimed: str, verdict: str) -> None:
    rows = [{"id": "baai/bge-m3", "max_model_len": 512}, {"id": "llama-3.1-8b", "max_model_len": 8192}]
    with serving(routes({"/v1/models": {"data": rows}})) as server:
        observation = observe("model.limits", server)
    names = {"identity.name-version": {"model_id": claimed}}
    claims = {"max_input": 4096, "unit": "tokens"}
    judged = PROBES["model.limits"].judge("identity.input-limits", claims, observation, names)
    assert judged.verdict == verdict, judged


def test_an_adapter_takes_what_the_model_takes_that_it_runs_on() -> None:
    with serving(routes(VLLM)) as server:
        observation = observe("model.limits", server)
    names = {"identity.name-version": {"model_id": "support"}}
    for wanted, verdict in ((32768, "verified"), (65536, "contradicted")):
        claims = {"max_input": wanted, "unit": "tokens"}
        judged = PROBES["model.limits"].judge("identity.input-limits", claims, observation, names)
        assert judged.verdict == verdict, judged


def test_other_units_and_missing_limits_are_inconclusive() -> None:
    assert limit(VLLM, max_input=1024, unit="pixels").verdict == "inconclusive"
    assert limit({"/v1/models": {"data": [{"id": "x"}]}}, max_input=1024, unit="tokens").verdict == "inconclusive"
    assert limit(VLLM).verdict == "inconclusive"


def test_declared_truncation_is_mentioned() -> None:
    judgement = limit(TEI, max_input=512, unit="tokens")
    assert judgement.verdict == "verified"
    assert "cuts longer inputs" in judgement.reason


def test_running_models_tell_the_served_context_of_ollama() -> None:
    assert limit(OLLAMA, max_input=131072, unit="tokens").verdict == "contradicted"


@pytest.mark.parametrize(
    ("claimed", "verdict"),
    [(8192, "inconclusive"), (16384, "inconclusive"), (4096, "contradicted"), (65536, "contradicted")],
)
def test_tokens_per_batch_may_be_those_of_a_step_or_of_the_prompts_together(claimed: int, verdict: str) -> None:
    told = {**SGLANG, "/server_info": {"max_prefill_tokens": 16384, "chunked_prefill_size": 8192}}
    judgement = limit(told, "operations.runtime-constraints", max_batched_tokens=claimed)
    assert judgement.verdict == verdict, judgement
    unchunked = {**SGLANG, "/server_info": {"max_prefill_tokens": 16384, "chunked_prefill_size": -1}}
    assert limit(unchunked, "operations.runtime-constraints", max_batched_tokens=16384).verdict == "verified"


def test_runtime_constraints_must_be_equal() -> None:
    item = "operations.runtime-constraints"
    assert limit(TGI, item, max_concurrency=128, context_tokens=4096).verdict == "verified"
    drift = limit(TGI, item, max_concurrency=256, context_tokens=4096)
    assert drift.verdict == "contradicted"
    assert "claimed 256, served 128" in drift.reason
    assert "Not declared" in limit(VLLM, item, max_concurrency=8, context_tokens=32768).reason
    assert limit(VLLM, item, max_concurrency=8).verdict == "inconclusive"
