"""Names of number formats and of GPUs, and judgements on what servers say of themselves."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from checklists.evidence.probes import PROBES, Judgement, Target
from checklists.evidence.probes.serving import same_name
from checklists.evidence.probes.serving_arguments import precision_of
from checklists.evidence.stacks import PRECISIONS, QUANTISATIONS, STACKS, places
from tests.evidence.loopback import observe, routes, serving
from tests.evidence.recorded import recordings


@pytest.mark.parametrize(
    ("served", "word"),
    [
        ("torch.bfloat16", "bf16"),
        ("Q4_K_M", "int4"),
        ("Q4_K - Medium", "int4"),
        ("IQ3_XXS", "int3"),
        ("Q8_0", "int8"),
        ("all F32", "fp32"),
        ("fp8_e5m2", "fp8"),
        ("auto", ""),
        ("", ""),
        ("compressed-tensors", ""),
    ],
)
def test_number_formats_have_the_checklists_words(served: str, word: str) -> None:
    assert precision_of(served) == word


def arguments(table: dict[str, Any], item: str, claims: dict[str, Any], **others: Any) -> Judgement:
    with serving(routes(table)) as server:
        observation, _ = observe("serving.arguments", Target("main", server.url))
    return PROBES["serving.arguments"].judge(item, claims, observation, others)


def sglang(**changed: Any) -> dict[str, Any]:
    answers = recordings()["sglang-0.5"].answers
    table = {line.removeprefix("GET "): answer["json"] for line, answer in answers.items() if "json" in answer}
    return {**table, "/server_info": {**table["/server_info"], **changed}}


@pytest.mark.parametrize(
    ("served", "claimed", "verdict"),
    [
        ({"dtype": "bfloat16", "quantization": "fp8"}, ["fp8"], "verified"),
        ({"dtype": "bfloat16", "quantization": "fp8"}, ["bf16"], "inconclusive"),
        ({"dtype": "bfloat16", "quantization": "fp8"}, ["fp16", "int8"], "contradicted"),
        ({"dtype": "bfloat16", "quantization": "gptq"}, ["int4"], "inconclusive"),
        ({"dtype": "bfloat16", "quantization": "gptq"}, ["bf16"], "inconclusive"),
        ({"dtype": "bfloat16", "quantization": "compressed-tensors"}, ["fp8"], "inconclusive"),
        ({"dtype": "bfloat16", "quantization": None}, ["bf16"], "verified"),
        ({"dtype": "bfloat16", "quantization": None}, ["fp8"], "inconclusive"),
        ({"dtype": "bfloat16", "quantization": None}, ["fp16"], "contradicted"),
    ],
)
def test_quantised_weights_are_not_of_the_format_they_are_reckoned_in(
    served: dict[str, Any], claimed: list[str], verdict: str
) -> None:
    judged = arguments(sglang(**served), "identity.gpu-precision", {"precisions": claimed})
    assert judged.verdict == verdict, judged


@pytest.mark.parametrize(
    ("claimed", "verdict"), [("int4", "inconclusive"), ("int8", "inconclusive"), ("bf16", "contradicted")]
)
def test_five_bits_are_neither_four_nor_eight_and_no_whole_format(claimed: str, verdict: str) -> None:
    observation = {"readings": [{"means": "precision", "value": "Q5_K_M", "where": "ftype of /v1/models"}]}
    claims = {"gpu_types": "L4", "precisions": [claimed]}
    judged = PROBES["serving.arguments"].judge("identity.gpu-precision", claims, observation)
    assert judged.verdict == verdict, judged.reason


def test_a_kv_cache_in_another_format_is_told_and_settles_nothing() -> None:
    with recordings()["vllm-0.6"].served() as server:
        observation, _ = observe("serving.arguments", Target("main", server.url))
    for claimed in ("bf16", "fp8"):
        judged = PROBES["serving.arguments"].judge("identity.gpu-precision", {"precisions": [claimed]}, observation)
        assert judged.verdict == "inconclusive"
        assert "KV cache" in judged.reason


def test_an_argument_left_to_the_server_says_nothing() -> None:
    automatic = sglang(dtype="auto", quantization=None)
    assert arguments(automatic, "identity.gpu-precision", {"precisions": ["bf16"]}).verdict == "inconclusive"
    assert arguments(automatic, "compute.quantization", {"formats": ["none"]}).verdict == "inconclusive"


def test_replicas_that_share_a_server_are_not_multiplied_into_its_split() -> None:
    claims = {"tensor_parallel": 2, "gpus": 8}
    judged = arguments(sglang(dp_size=4), "compute.parallelism", claims)
    assert judged.verdict == "verified"
    assert "Not told by the server: GPUs" in judged.reason


def test_an_unknown_quantisation_is_named_and_not_judged() -> None:
    judged = arguments(sglang(quantization="compressed-tensors"), "compute.quantization", {"formats": ["fp8"]})
    assert judged.verdict == "inconclusive"
    assert "compressed-tensors" in judged.reason


def test_of_several_models_only_the_claimed_one_counts() -> None:
    table = {
        "/api/version": {"version": "0.13.0"},
        "/api/tags": {
            "models": [
                {"name": "small:latest", "details": {"quantization_level": "Q4_K_M"}},
                {"name": "large:latest", "details": {"quantization_level": "F16"}},
            ]
        },
    }
    mine = {"identity.name-version": {"model_id": "large"}}
    item = "identity.gpu-precision"
    assert arguments(table, item, {"precisions": ["fp16"]}, **mine).verdict == "verified"
    assert arguments(table, item, {"precisions": ["int4"]}, **mine).verdict == "contradicted"
    assert arguments(table, item, {"precisions": ["fp16"]}).verdict == "contradicted"  # both are served
    elsewhere = {"identity.name-version": {"model_id": "house/large"}}
    assert arguments(table, item, {"precisions": ["fp16"]}, **elsewhere).verdict == "inconclusive"
    assert arguments(table, item, {"precisions": ["fp8"]}, **elsewhere).verdict == "contradicted"


@pytest.mark.parametrize(
    ("held", "formats", "verdict"),
    [
        ("MXFP4", ["mxfp4"], "inconclusive"),
        ("F16", ["none"], "inconclusive"),
        ("Q8_0", ["int8"], "inconclusive"),
        ("Q4_K_M", ["none", "int8"], "contradicted"),
        ("F16", ["awq"], "contradicted"),
        ("F16", ["gguf"], "verified"),
        ("", ["none"], "inconclusive"),
        ("", ["awq"], "contradicted"),
        ("unknown, may not work", ["none"], "inconclusive"),
        ("(guessed) F16", ["none"], "inconclusive"),
        ("(guessed) F16", ["int8"], "contradicted"),
    ],
)
def test_a_gguf_file_may_hold_what_is_claimed(held: str, formats: list[str], verdict: str) -> None:
    readings = [{"means": "quantization", "value": "gguf"}, {"means": "precision", "value": held}]
    observation = {"readings": readings if held else readings[:1]}
    judged = PROBES["serving.arguments"].judge("compute.quantization", {"formats": formats}, observation)
    assert judged.verdict == verdict, judged


@pytest.mark.parametrize(("claimed", "verdict"), [("int4", "inconclusive"), ("bf16", "contradicted")])
def test_a_number_format_is_not_that_of_weights_whose_quantisation_is_never_told(claimed: str, verdict: str) -> None:
    info = {"model_id": "a/b-AWQ", "model_dtype": "torch.float16", "max_total_tokens": 4096, "max_best_of": 2}
    judged = arguments({"/info": info}, "identity.gpu-precision", {"precisions": [claimed]})
    assert judged.verdict == verdict, judged


def test_a_server_that_refuses_our_key_is_inconclusive() -> None:
    with serving(routes(sglang(), key="k")) as server:
        observation, _ = observe("serving.arguments", Target("main", server.url, stack="sglang"))
    judged = PROBES["serving.arguments"].judge("compute.parallelism", {"tensor_parallel": 2, "gpus": 2}, observation)
    assert (judged.verdict, "refused" in judged.reason) == ("inconclusive", True)


def test_a_fact_of_the_stack_is_told_of_no_server_that_does_not_answer() -> None:
    with serving(lambda request: request.reply(503)) as server:
        observation, _ = observe("serving.arguments", Target("main", server.url, stack="llamacpp_python"))
    judged = PROBES["serving.arguments"].judge("compute.quantization", {"formats": ["gguf"]}, observation)
    assert judged.verdict == "inconclusive"
    assert "503" in judged.reason


def test_a_model_name_from_a_server_stays_one_step_of_the_path() -> None:
    index = [{"name": "../../secret?x=1#", "version": "1"}]
    with serving(routes({"/v2": {"name": "triton", "extensions": []}, "POST /v2/repository/index": index})) as server:
        observe("model.limits", Target("main", server.url))
    assert "GET /v2/models/..%2F..%2Fsecret%3Fx%3D1%23/config" in server.asked()


def test_a_file_equals_the_name_it_ends_in() -> None:
    assert same_name("flux1-dev", "flux1-dev.safetensors")
    assert same_name("/models/tiny.gguf", "tiny")
    assert not same_name("meta/tiny", "tiny")
    assert not same_name("", "")


# The table itself


def test_every_name_of_a_metric_means_something_with_a_unit() -> None:
    for stack in STACKS.values():
        for name, meaning in stack.metrics.items():
            assert name.startswith(stack.prefixes) or stack.key in ("nim", "torchserve", "kserve"), name
            assert "_" in meaning.key
            assert meaning.factor > 0


def test_every_stack_has_signs_listings_and_the_versions_they_were_read_from() -> None:
    for key, stack in STACKS.items():
        assert key == stack.key
        assert stack.read_from
        assert stack.signs
        assert stack.listings
        assert set(stack.wraps) <= set(STACKS) - {key}
        assert all(path.startswith("/") for fact in stack.facts for path in fact.paths)
    assert set(PRECISIONS.values()) | {"none"} >= {"fp32", "fp16", "bf16", "fp8", "int8", "int4", "fp4"}
    assert set(QUANTISATIONS.values()) == {
        *("none", "fp8", "int8", "awq", "gptq", "gguf", "bitsandbytes", "nvfp4", "mxfp4")
    }


@given(
    st.recursive(
        st.none() | st.integers() | st.text(max_size=3),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
        max_leaves=10,
    ),
    st.sampled_from(["", "*", "data/*/id", "*/*", "*.x/a", "a"]),
)
def test_a_place_is_looked_up_in_anything(data: Any, at: str) -> None:
    assert isinstance(places(data, at), list)
