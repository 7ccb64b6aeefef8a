"""Verdicts on a real llama-cpp-python server: each claim here is known to be right or wrong by how it was started."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from checklists.evidence.probes import Observation, Target
from tests.evidence.real import launch
from tests.evidence.real.launch import LLAMA_KEY, Server
from tests.evidence.real.probing import judge, probe

pytestmark = pytest.mark.servers("llama-cpp-python")
Observe = Callable[..., Observation]
MODALITIES, LATENCY, NAME = "identity.modalities", "performance.latency-targets", "identity.name-version"
LIMIT, SCHEME = "identity.input-limits", "security.access-control"
EVERYTHING_ODD = {"tried": ["empty", "unicode", "malformed", "wrong_type", "extreme_shape", "oversized"]}


@pytest.fixture(scope="module")
def impostor(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The tiny model with other random weights, under the name of a model that it is not."""
    directory = tmp_path_factory.mktemp("impostor")
    with launch.llama_cpp_python(directory, alias="meta-llama/Llama-3.1-8B-Instruct", seed=1) as server:
        yield server


def test_it_is_found_out_and_healthy_by_its_model_list(llama: Server, observe: Observe) -> None:
    observation = observe(llama, "endpoint.health")
    assert (observation["stack"], observation["path"]) == ("llamacpp_python", "/v1/models")
    assert judge("endpoint.health", None, {}, observation).verdict == "verified"
    assert judge("stack.recognition", None, {}, observe(llama, "stack.recognition")).verdict == "verified"


@pytest.mark.parametrize(
    ("key", "item", "claims", "expected"),
    [
        # It was given its name, so the name proves nothing.
        ("model.identity", NAME, {"model_id": "tiny-llama"}, "inconclusive"),
        ("model.identity", NAME, {"model_id": "mistral-large"}, "inconclusive"),
        ("serving.arguments", "compute.quantization", {"formats": ["gguf"]}, "verified"),
        ("serving.arguments", "compute.quantization", {"formats": ["awq"]}, "contradicted"),
        ("serving.arguments", "compute.parallelism", {"tensor_parallel": 1, "gpus": 1}, "inconclusive"),
        # It says nothing of its limits, although it has one.
        ("model.limits", LIMIT, {"max_input": 256, "unit": "tokens"}, "inconclusive"),
        ("model.limits", LIMIT, {"max_input": 999_999, "unit": "tokens"}, "inconclusive"),
        ("model.limits", "operations.runtime-constraints", {"context_tokens": 256}, "inconclusive"),
        # It exports no metrics.
        ("metrics.present", "observability.throughput", {"metric_name": "llamacpp:tokens_predicted"}, "inconclusive"),
        ("metrics.present", "observability.latency-breakdown", {"phases": ["prefill"]}, "inconclusive"),
        ("metrics.latency", LATENCY, {"phase": "first_token", "p95_ms": 9000}, "inconclusive"),
        ("generation.counters", "observability.throughput", {"metric_name": "tokens_total"}, "inconclusive"),
        ("generation.counters", "observability.errors", {"classes": ["bad_request"]}, "inconclusive"),
        # Small requests; it does not count the tokens of a stream.
        ("generation.small", None, {}, "verified"),
        ("generation.small", LATENCY, {"phase": "first_token", "p95_ms": 300_000}, "verified"),
        ("generation.small", LATENCY, {"phase": "first_token", "p95_ms": 0.01}, "contradicted"),
        ("generation.small", LATENCY, {"phase": "per_output_token", "p95_ms": 9000}, "inconclusive"),
        ("generation.small", "autoscaling.warmup", {"steps": "one request"}, "inconclusive"),
        # Nearly everything that is odd ends in a 500.
        ("generation.inputs", "reliability.input-variability", EVERYTHING_ODD, "contradicted"),
        ("generation.inputs", "security.input-sanitisation", {"rules": "types are checked"}, "contradicted"),
        # What it says is noise.
        ("generation.refusals", "security.safety-behaviour", {"evaluation": "ours"}, "inconclusive"),
        ("access.control", SCHEME, {"scheme": "api_key"}, "verified"),
        ("access.control", SCHEME, {"scheme": "none"}, "contradicted"),
        ("access.control", SCHEME, {"scheme": "mtls"}, "inconclusive"),
        # It reflects any origin and allows credentials, which touches no key.
        ("tls.headers", None, {}, "contradicted"),
        ("tls.headers", SCHEME, {"scheme": "api_key"}, "inconclusive"),
    ],
)
def test_a_claim_is_judged_as_the_server_was_started(
    llama: Server, observe: Observe, key: str, item: str | None, claims: dict[str, Any], expected: str
) -> None:
    series = {"series": 20} if key == "generation.small" else {}
    judgement = judge(key, item, claims, observe(llama, key, **series))
    assert judgement.verdict == expected, judgement


def tried(server: Server, key: str, item: str, claims: dict[str, Any], **target: Any) -> str:
    """The verdict of a probe that sends what the claim makes it send."""
    options = {"headers": server.headers, "may_generate": True, "claims": {item: claims}, **target}
    return judge(key, item, claims, probe(Target("main", server.url, **options), key)).verdict


@pytest.mark.parametrize(
    ("inputs", "outputs", "expected"),
    [
        (["text"], ["text"], "verified"),
        (["text"], ["embedding"], "contradicted"),  # it was not started with --embedding
        (["text", "image"], ["text"], "inconclusive"),  # it takes the picture, and throws it away
        (["text"], ["image"], "inconclusive"),  # there is no such route
    ],
)
def test_a_modality_is_judged_by_what_it_answers(
    llama: Server, inputs: list[str], outputs: list[str], expected: str
) -> None:
    claims = {"inputs": inputs, "outputs": outputs}
    assert tried(llama, "generation.modalities", MODALITIES, claims) == expected


@pytest.mark.parametrize(("limit", "expected"), [(256, "verified"), (128, "verified"), (8192, "contradicted")])
def test_the_limit_that_it_does_not_declare_shows_when_it_refuses(llama: Server, limit: int, expected: str) -> None:
    assert tried(llama, "generation.oversized", LIMIT, {"max_input": limit, "unit": "tokens"}) == expected


def test_an_answer_that_ends_by_itself_says_nothing_of_a_time_out(llama: Server) -> None:
    assert tried(llama, "generation.slow", "reliability.timeouts", {"server_seconds": 20}) == "inconclusive"


def test_a_burst_is_withstood_and_refuses_nobody(llama: Server) -> None:
    observation = probe(
        Target("main", llama.url, headers=llama.headers, may_generate=True, may_burst=True), "generation.burst"
    )
    judgement = judge("generation.burst", "reliability.load-test", {"date": "2026-11-01"}, observation)
    assert "A burst that small is withstood" in judgement.reason
    for policy in ("reject", "none"):
        claims = {"max_concurrency": 4, "on_overload": policy}
        judgement = judge("generation.burst", "reliability.backpressure", claims, observation)
        assert judgement.verdict == "inconclusive", judgement


def test_a_release_is_compatible_with_one_of_other_weights_and_not_compared_with_itself(
    llama: Server, impostor: Server
) -> None:
    for server, expected in ((impostor, "verified"), (llama, "inconclusive")):
        old = Target("old", server.url, headers=server.headers, may_generate=True)
        facts = {"previous": {"version": "0.9", "endpoints": [old]}}
        claims = {"compatible_with": "0.9"}
        assert tried(llama, "generation.compatibility", "release.compatibility", claims, facts=facts) == expected


def test_a_name_verifies_nothing_and_the_fingerprint_tells_who_it_is(llama: Server, impostor: Server) -> None:
    claims = {"model_id": "meta-llama/Llama-3.1-8B-Instruct"}
    assert tried(impostor, "model.identity", NAME, claims) == "inconclusive"
    signed_off = probe(Target("main", llama.url, headers=llama.headers, may_generate=True), "model.fingerprint")
    facts = {"fingerprint": signed_off}
    assert tried(llama, "model.fingerprint", NAME, {"model_id": "tiny-llama"}, facts=facts) == "verified"
    assert tried(impostor, "model.fingerprint", NAME, claims, facts=facts) == "contradicted"


def test_without_an_alias_it_is_called_by_its_file(tmp_path_factory: pytest.TempPathFactory) -> None:
    with launch.llama_cpp_python(tmp_path_factory.mktemp("file"), alias="") as server:
        observed = probe(Target("main", server.url, headers=server.headers), "model.identity")
        assert observed["models"][0]["root"].endswith("/tiny.gguf")
        # A file is called as its owner likes.
        assert tried(server, "model.identity", NAME, {"model_id": "tiny.gguf"}) == "inconclusive"
        assert tried(server, "model.identity", NAME, {"model_id": "other.gguf"}) == "inconclusive"


def test_a_wrong_key_is_refused_and_ours_is_let_in(llama: Server, observe: Observe) -> None:
    claims = {"scheme": "api_key"}
    reason = judge("access.control", SCHEME, claims, observe(llama, "access.control")).reason
    assert "a wrong key is refused" in reason
    assert "ours is accepted" in reason


def test_a_server_without_a_key_contradicts_the_claim_of_one(open_llama: Server, observe: Observe) -> None:
    judgement = judge("access.control", SCHEME, {"scheme": "api_key"}, observe(open_llama, "access.control"))
    assert judgement.verdict == "contradicted"
    assert "/v1/models" in judgement.reason


def test_a_server_without_a_key_is_open_as_claimed_and_left_to_the_reviewer(
    open_llama: Server, observe: Observe
) -> None:
    judgement = judge("access.control", SCHEME, {"scheme": "none"}, observe(open_llama, "access.control"))
    assert judgement.verdict == "inconclusive"
    assert "as claimed" in judgement.reason


def test_no_observation_holds_the_key(llama: Server, observe: Observe) -> None:
    for key in ("model.identity", "model.limits", "access.control", "metrics.present", "generation.counters"):
        assert LLAMA_KEY not in str(observe(llama, key))
