"""Claims that can and cannot hold, judged before anything is deployed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from checklists.evidence.probes import PROBES, Judgement, Target
from checklists.evidence.probes.capacity import FORMATS, GPUS, INPUT, PARALLELISM, PEAK, RUNTIME
from checklists.evidence.stacks import STACKS
from tests.evidence import configs
from tests.evidence.loopback import observe

PROBE = PROBES["capacity.arithmetic"]
LIMITS = {"max_concurrency": 8, "context_tokens": 131_072}
ONE, BF16 = {"tensor_parallel": 1, "gpus": 1}, ["bf16"]


def judged(
    item: str, claims: Mapping[str, Mapping[str, Any]], config: dict[str, Any] | None = configs.LLAMA_8B, size: str = ""
) -> Judgement:
    """The verdict on one item, as a run comes to it: what is on file is observed, then the claims are judged."""
    facts = {"architecture": config, "modelspec": {"config": {"paramSize": size}} if size else None}
    observation, visit = observe(PROBE.key, Target(name="", url="", facts=facts, claims=claims))
    assert visit.take_log() == []  # nothing is sent
    others = {key: claims.get(key, {}) for key in PROBE.also_reads}
    return PROBE.judge(item, claims.get(item, {}), observation, others)


def on(gpus: str, *, split: Mapping[str, Any] = ONE, precisions: list[str] = BF16, **more: Any) -> dict[str, Any]:
    """Claims: GPUs, precisions, split; ``runtime``, ``peak``, ``formats``."""
    return {
        GPUS: {"gpu_types": gpus, "precisions": precisions},
        PARALLELISM: split,
        RUNTIME: more.get("runtime", LIMITS),
        PEAK: more.get("peak", {}),
        FORMATS: {"formats": more["formats"]} if "formats" in more else {},
    }


# operations.runtime-constraints


def test_llama_8b_with_its_whole_context_cannot_start_on_a_24_gb_card() -> None:
    found = judged(RUNTIME, on("RTX 4090"))
    assert found.verdict == "contradicted"
    assert found.claimed == "8 at once, 131,072 tokens of context"
    for words in (
        "31 GiB",
        "8.03 billion parameters in BF16",
        "16 GiB",
        "131,072 tokens",
        "1 × RTX 4090 have 24 GiB",
    ):
        assert words in found.reason
    assert "narrowest precision" in found.rule


@pytest.mark.parametrize(
    ("gpus", "more"),
    [
        ("RTX 4090", {"precisions": ["bf16", "int4"]}),  # perhaps the weights and the cache are in 4 bits
        ("A100 80 GB", {}),
        ("RTX 4090, H100", {}),  # the other GPU has room
        ("RTX 4090", {"split": {"tensor_parallel": 2, "gpus": 2}}),
        ("RTX 4090", {"formats": ["gguf"]}),  # some of it may stay in the host's memory
    ],
)
def test_what_only_may_fit_is_inconclusive_with_the_numbers(gpus: str, more: dict[str, Any]) -> None:
    found = judged(RUNTIME, on(gpus, **more))
    assert found.verdict == "inconclusive"
    assert "What a server is set to only the server tells." in found.reason
    assert "GiB" in found.reason


@pytest.mark.parametrize(
    "gpus", ["Ada/RTX 4090", "NVIDIA / RTX 4090", "1 node / 1x RTX 4090", "16 vCPU and 1x RTX 4090"]
)
def test_what_stands_before_the_type_of_gpu_is_no_unknown_gpu(gpus: str) -> None:
    assert judged(RUNTIME, on(gpus)).verdict == "contradicted"
    assert judged(RUNTIME, on(f"Trainium / {gpus}")).verdict == "inconclusive"


@pytest.mark.parametrize(
    "gpus", ["2 nodes / 1x RTX 4090", "1x RTX 4090 / 2 nodes", "1x RTX 4090 on 2 nodes", "2-node / 1x RTX 4090"]
)
def test_how_many_gpus_each_of_several_nodes_has_is_not_how_many_there_are(gpus: str) -> None:
    assert judged(RUNTIME, on(gpus, split={})).verdict == "inconclusive"
    assert judged(RUNTIME, on("1 node / 1x RTX 4090", split={})).verdict == "contradicted"


def test_a_gpu_that_is_not_known_is_named_once() -> None:
    assert judged(RUNTIME, on("H100 (80 GB, best in class)")).reason.count("best in class") == 1


def test_room_for_fewer_full_sequences_than_claimed_is_told_but_no_contradiction() -> None:
    found = judged(RUNTIME, on("A100 80 GB"))
    assert "3 such sequences fit at once" in found.reason
    assert "The 8 claimed fit only while they are shorter." in found.reason


@pytest.mark.parametrize(
    ("claims", "words"),
    [
        ({RUNTIME: LIMITS}, "claim the GPU types and the GPUs per replica"),
        ({RUNTIME: {}}, "Nothing is claimed"),
        (on("Cerebras WSE-3"), "How much memory Cerebras WSE-3 has is not known here."),
        (on("H100", runtime={"max_concurrency": 8}), "No context is claimed"),
    ],
)
def test_what_is_missing_for_the_reckoning_is_said(claims: dict[str, Any], words: str) -> None:
    found = judged(RUNTIME, claims)
    assert found.verdict == "inconclusive"
    assert words in found.reason


def test_without_a_document_nothing_is_reckoned() -> None:
    found = judged(RUNTIME, on("RTX 4090"), config=None)
    assert (found.verdict, "config.json is not on file" in found.reason) == ("inconclusive", True)


def test_the_size_in_the_modelspec_document_suffices_to_refute() -> None:
    assert judged(RUNTIME, on("L4"), config=None, size="70B").verdict == "contradicted"
    assert judged(RUNTIME, on("L4"), config=None, size="8b").verdict == "inconclusive"
    assert judged(RUNTIME, on("L4"), config=None, size="8x7b").verdict == "inconclusive"


def test_a_family_whose_parameters_cannot_be_counted_is_not_judged_by_a_guess() -> None:
    strange = {**configs.LLAMA_70B, "model_type": "something_new"}
    found = judged(RUNTIME, on("L4"), config=strange)
    assert found.verdict == "inconclusive"
    assert "paramSize" in found.reason
    assert judged(RUNTIME, on("L4"), config=strange, size="70b").verdict == "contradicted"


def test_learned_positions_end_where_they_end_and_rotary_ones_may_be_scaled() -> None:
    long = on("H100", runtime={"max_concurrency": 1, "context_tokens": 4096})
    found = judged(RUNTIME, long, config=configs.BERT_BASE)
    assert (found.verdict, found.observed) == ("contradicted", "512 tokens")
    beyond = on("H100", runtime={"max_concurrency": 1, "context_tokens": 200_000}, precisions=["fp8"])
    found = judged(RUNTIME, beyond)
    assert found.verdict == "inconclusive"
    assert "The config.json ends at 131,072 tokens" in found.reason


def test_the_largest_input_stands_in_for_a_context_that_is_not_claimed() -> None:
    claims = {**on("RTX 4090", runtime={"max_concurrency": 1}), INPUT: {"max_input": 131_072, "unit": "tokens"}}
    assert judged(RUNTIME, claims).verdict == "contradicted"
    claims[INPUT] = {"max_input": 131_072, "unit": "pixels"}
    assert judged(RUNTIME, claims).verdict == "inconclusive"


def test_a_sliding_window_saves_a_claim_that_full_attention_could_not_hold() -> None:
    claims = on("L4", runtime={"max_concurrency": 1, "context_tokens": 131_072})
    assert judged(RUNTIME, claims, config=configs.MISTRAL_7B).verdict == "inconclusive"
    assert judged(RUNTIME, claims, config={**configs.MISTRAL_7B, "sliding_window": None}).verdict == "contradicted"


# compute.peak-memory


@pytest.mark.parametrize(
    ("gib", "gpus", "verdict", "words"),
    [
        (12, "H100", "contradicted", "8.03 billion parameters in BF16 take 15 GiB"),
        (12, "H100", "contradicted", "A peak of 12 GiB is less."),
        (81, "H100", "contradicted", "It cannot use 81 GiB."),
        (40, "H100", "inconclusive", "so the claim can hold"),
        (40, "something else", "inconclusive", "Only a measurement shows the peak."),
        (12, "something else", "contradicted", "is less"),
    ],
)
def test_a_peak_below_the_weights_or_above_the_gpus_is_refuted(gib: float, gpus: str, verdict: str, words: str) -> None:
    found = judged(PEAK, on(gpus, peak={"gib_per_replica": gib}))
    assert found.verdict == verdict
    assert words in found.reason
    assert "refutes a peak" in found.rule


def test_the_input_at_which_it_was_measured_counts_once() -> None:
    long = {"gib_per_replica": 20, "input_size": "131,072 tokens, 24 at once"}
    short = {"gib_per_replica": 20, "input_size": "16k tokens, 24 at once"}
    assert judged(PEAK, on("H100", peak=long)).verdict == "contradicted"
    assert judged(PEAK, on("H100", peak=short)).verdict == "inconclusive"
    assert judged(PEAK, on("H100", peak={**long, "input_size": "large pictures"})).verdict == "inconclusive"


def test_quantised_weights_and_weights_on_the_host_may_be_smaller() -> None:
    peak = {"gib_per_replica": 6}
    assert judged(PEAK, on("H100", peak=peak)).verdict == "contradicted"
    assert judged(PEAK, on("H100", peak=peak, formats=["awq"])).verdict == "inconclusive"
    host = judged(PEAK, on("H100", peak={"gib_per_replica": 1}, formats=["gguf"]))
    assert (host.verdict, "host's memory" in host.reason) == ("inconclusive", True)


def test_a_quantised_checkpoint_is_not_reckoned_in_the_precision_that_it_computes_in() -> None:
    awq = {**configs.QWEN25_72B, "quantization_config": {"quant_method": "awq", "bits": 4}}
    short = {"max_concurrency": 1, "context_tokens": 8192}
    claims = on("A100 80GB", runtime=short, peak={"gib_per_replica": 60})
    for item in (RUNTIME, PEAK):
        assert judged(item, claims, config=awq).verdict == "inconclusive"
        assert judged(item, claims, config=configs.QWEN25_72B).verdict == "contradicted"
    eight = on("H200", split={"tensor_parallel": 8, "gpus": 8}, runtime=short)
    assert judged(RUNTIME, eight, config=configs.DEEPSEEK_V3).verdict == "inconclusive"


def test_the_gpus_that_a_text_counts_are_not_fewer_because_a_split_is_named() -> None:
    claims = on("4 × L40S", split={"tensor_parallel": 2}, runtime={"max_concurrency": 1, "context_tokens": 8192})
    found = judged(RUNTIME, claims, config=configs.LLAMA_70B)  # 134 GiB: more than 2 × 48, less than 4 × 48
    assert found.verdict == "inconclusive"
    assert "On 4 × L40S" in found.reason
    assert "split tensor 2 × pipeline 2" in found.reason


@pytest.mark.parametrize(
    ("gpus", "have"),
    [
        ("L4 24 GB or H100", "1 × L4, H100 80 GB have 80 GiB"),
        ("RTX 6000 Ada or H100", "1 × RTX 6000 Ada, H100 80 GB have 80 GiB"),
        ("H100 NVL / L40S", "1 × H100 NVL 94 GB, L40S have 94 GiB"),
        ("A100 40/80 GB", "1 × A100 40 GB, A100 80 GB have 80 GiB"),
    ],
)
def test_of_several_types_in_one_text_each_has_a_size_of_its_own(gpus: str, have: str) -> None:
    claims = on(gpus, peak={"gib_per_replica": 60})
    assert judged(PEAK, claims).verdict == "inconclusive"
    assert have in judged(PEAK, claims).reason
    assert judged(PEAK, on(gpus, peak={"gib_per_replica": 95})).verdict == "contradicted"


@pytest.mark.parametrize("gpus", ["A100 40GB or better", "A10G+", "≥ L4", "A100 40 GB or MI250X"])
def test_a_type_that_is_not_named_or_not_known_may_have_more_memory(gpus: str) -> None:
    found = judged(RUNTIME, on(gpus), config=configs.LLAMA_70B)
    assert (found.verdict, "has is not known here" in found.reason) == ("inconclusive", True)


def test_one_gpu_is_proven_to_suffice_only_if_the_smallest_that_is_claimed_does() -> None:
    limits = {"max_concurrency": 1, "context_tokens": 4096}
    assert judged(PARALLELISM, on("H100 80GB", runtime=limits)).verdict == "verified"
    assert judged(PARALLELISM, on("H100 80GB or T4", runtime=limits)).verdict == "inconclusive"


def test_no_peak_is_judged_without_a_claim_or_without_a_precision() -> None:
    assert "Nothing is claimed" in judged(PEAK, on("H100")).reason
    bare = {**configs.LLAMA_8B, "torch_dtype": None}
    found = judged(PEAK, on("H100", peak={"gib_per_replica": 3}, precisions=[]), config=bare)
    assert found.reason == "To reckon it, claim the precisions."


# compute.parallelism


@pytest.mark.parametrize(
    ("split", "words"),
    [
        ({"tensor_parallel": 4, "pipeline_parallel": 2, "gpus": 4}, "makes 8 GPUs or a multiple; 4 are claimed"),
        ({"tensor_parallel": 3, "gpus": 3}, "The 32 attention heads (config.json) cannot be shared evenly by 3 GPUs."),
        ({"tensor_parallel": 1, "pipeline_parallel": 40, "gpus": 40}, "too few for 40 pipeline stages"),
    ],
)
def test_a_split_that_cannot_be_is_contradicted(split: dict[str, int], words: str) -> None:
    found = judged(PARALLELISM, on("H100", split=split))
    assert found.verdict == "contradicted"
    assert words in found.reason


def test_heads_of_keys_and_values_must_be_shared_evenly_too() -> None:
    six = {**configs.LLAMA_8B, "num_attention_heads": 48, "num_key_value_heads": 6, "head_dim": 128}
    split = {"tensor_parallel": 4, "gpus": 4}
    found = judged(PARALLELISM, on("H100", split=split), config=six)
    assert (found.verdict, "The 6 heads of keys and values" in found.reason) == ("contradicted", True)
    assert judged(
        PARALLELISM, on("H100", split=split), config=configs.DEEPSEEK_V3 | {"n_routed_experts": 8}
    ).verdict == (
        "inconclusive"  # a latent is not shared by heads
    )


def test_weights_that_no_split_can_hold_are_contradicted() -> None:
    four = {"tensor_parallel": 4, "gpus": 4}
    found = judged(PARALLELISM, on("L4", split=four, runtime={}), config=configs.LLAMA_70B)
    assert (found.verdict, "4 × L4 have 96 GiB" in found.reason) == ("contradicted", True)
    assert judged(PARALLELISM, on("L40S", split=four, runtime={}), config=configs.LLAMA_70B).verdict == "inconclusive"


def test_one_gpu_that_holds_everything_claimed_at_its_worst_is_proven() -> None:
    runtime = {"max_concurrency": 8, "context_tokens": 8192}
    found = judged(PARALLELISM, on("H100", runtime=runtime))
    assert found.verdict == "verified"
    assert "no split is needed" in found.reason
    assert "8 × 8,192 tokens" in found.reason


@pytest.mark.parametrize(
    ("gpus", "more"),
    [
        ("H100, L4", {}),  # not on the smaller one
        ("H100, something else", {}),
        ("H100", {"runtime": {"max_concurrency": 400, "context_tokens": 8192}}),
        ("H100", {"runtime": {}}),  # no context
        ("H100", {"split": {"tensor_parallel": 2, "gpus": 2}}),  # whether a split works only a server shows
        ("H100", {"split": {"tensor_parallel": 1, "gpus": 2}}),  # twice the same model
    ],
)
def test_what_is_not_proven_is_not_verified(gpus: str, more: dict[str, Any]) -> None:
    found = judged(PARALLELISM, on(gpus, **{"runtime": {"max_concurrency": 8, "context_tokens": 8192}, **more}))
    assert found.verdict == "inconclusive"


def test_a_window_that_the_engine_may_not_use_proves_nothing() -> None:
    runtime = {"max_concurrency": 32, "context_tokens": 32_768}
    assert judged(PARALLELISM, on("H100", runtime=runtime), config=configs.MISTRAL_7B).verdict == "inconclusive"


def test_it_speaks_only_of_what_is_claimed() -> None:
    for claims, items in (({}, ()), ({RUNTIME: LIMITS, PEAK: {}}, (RUNTIME,)), (on("L4"), (PARALLELISM, RUNTIME))):
        observation, _ = observe(PROBE.key, Target(name="", url="", claims=claims))
        assert PROBE.speaks_to(observation) == items


def test_a_document_that_can_no_longer_be_read_is_said_so() -> None:
    found = judged(RUNTIME, on("H100"), config={"model_type": "llama"})
    assert (found.verdict, "num_hidden_layers is missing" in found.reason) == ("inconclusive", True)


def test_the_table_of_coverage_is_true() -> None:
    stack = STACKS["vllm"]
    assert PROBE.settles(PARALLELISM, stack) == ""
    assert "only a running server" in PROBE.settles(RUNTIME, stack)
    assert "only a running server" in PROBE.settles(PEAK, stack)
    assert PROBE.settles("security.access-control", stack)
    assert PROBE.local
    assert PROBE.about == "release"


JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=30),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
    max_leaves=8,
)
CLAIMS = st.fixed_dictionaries(
    {},
    optional=dict.fromkeys(
        (
            *("gpu_types", "precisions", "formats", "tensor_parallel", "pipeline_parallel", "gpus", "unit"),
            *("gib_per_replica", "input_size", "max_concurrency", "context_tokens", "max_batched_tokens", "max_input"),
        ),
        JUNK,
    ),
)


@settings(deadline=None)
@given(st.sampled_from(PROBE.items), CLAIMS, CLAIMS, st.sampled_from([configs.LLAMA_8B, configs.BERT_BASE, {}]), JUNK)
def test_no_claim_makes_the_judge_stumble(
    item: str, claims: dict[str, Any], other: dict[str, Any], config: dict[str, Any], junk: Any
) -> None:
    for observation in ({"architecture": config, "size": "8b"}, {"architecture": junk, "size": junk}):
        found = PROBE.judge(item, claims, observation, dict.fromkeys(PROBE.also_reads, other))
        assert found.verdict in ("verified", "contradicted", "inconclusive")
        assert found.reason


@settings(deadline=None)
@given(st.integers(1, 10**6), st.integers(1, 10**6), st.sampled_from(["L4", "RTX 4090", "A100 80 GB"]))
def test_a_longer_context_never_makes_a_claim_that_cannot_hold_possible(one: int, other: int, gpu: str) -> None:
    low, high = sorted((one, other))
    verdicts = [
        judged(RUNTIME, on(gpu, runtime={"max_concurrency": 1, "context_tokens": n})).verdict for n in (low, high)
    ]
    assert verdicts != ["contradicted", "inconclusive"]
