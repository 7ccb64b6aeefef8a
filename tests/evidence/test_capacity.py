"""Will it fit? The arithmetic against published examples, each with its source, and its general laws."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from checklists.evidence.capacity import (
    GPUS,
    MOST,
    Plan,
    cache_widths,
    count_of,
    gib,
    gpus_named,
    kept_bits,
    least_gib,
    weight_widths,
)
from checklists.registry.architecture import Architecture, Cache, read, shape
from tests.evidence import configs

GIB = 2**30


def model(config: dict[str, Any]) -> Architecture:
    """Through the same door as an upload."""
    return shape(read(json.dumps(config).encode()))


def kept(config: dict[str, Any], tokens: int, bits: float = 16) -> float:
    """Bytes of one sequence's keys and values."""
    return kept_bits(model(config).cache, tokens, bits) / 8


# Parameters, as the Hub counts them in the published safetensors files (``safetensors.parameters`` of /api/models/…).
PUBLISHED = {
    "meta-llama/Llama-3.1-8B": (configs.LLAMA_8B, 8_030_261_248),
    "meta-llama/Llama-3.1-70B": (configs.LLAMA_70B, 70_553_706_496),
    "mistralai/Mistral-7B-v0.1": (configs.MISTRAL_7B, 7_241_732_096),
    "mistralai/Mixtral-8x7B-v0.1": (configs.MIXTRAL_8X7B, 46_702_792_704),
    "google/gemma-2-9b": (configs.GEMMA2_9B, 9_241_705_984),
    "Qwen/Qwen2.5-7B": (configs.QWEN25_7B, 7_615_616_512),
    "Qwen/Qwen3-8B": (configs.QWEN3_8B, 8_190_735_360),
    "Qwen/Qwen3-30B-A3B": (configs.QWEN3_30B_A3B, 30_532_122_624),
    # 671 billion in the main model, by its README_WEIGHTS.md; the next-token module beside it is not counted.
    "deepseek-ai/DeepSeek-V3": (configs.DEEPSEEK_V3, 671_026_419_200),
    # 20.91 billion, by the gpt-oss model card (arXiv:2508.10925), table 1.
    "openai/gpt-oss-20b": (configs.GPT_OSS_20B, 20_914_757_184),
    "microsoft/Phi-3-mini-4k-instruct": (configs.PHI3_MINI, 3_821_079_552),
    "openai-community/gpt2": (configs.GPT2, 124_439_808),
    "google-bert/bert-base-uncased": (configs.BERT_BASE, 109_482_240),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_parameters_follow_from_the_document_as_published(name: str) -> None:
    config, published = PUBLISHED[name]
    found = model(config)
    assert found.counted
    assert found.parameters == pytest.approx(published, rel=0.001)


def test_a_multimodal_document_counts_its_language_model_only() -> None:
    # 27.4 billion with the vision encoder of 0.4 (Gemma 3 technical report, arXiv:2503.19786, table 1).
    found = model(configs.GEMMA3_27B)
    assert found.partial
    assert 26.9e9 < found.parameters < 27.1e9


def test_llama_8b_at_131072_tokens_wants_16_gib() -> None:
    # meta-llama/Llama-3.1-8B: 32 layers, 8 KV heads, head dimension 128, BF16. The blog post "Llama 3.1" of Hugging
    # Face (huggingface.co/blog/llama31) gives 15.62 for 128,000 tokens.
    assert kept(configs.LLAMA_8B, 131_072) == 16 * GIB
    assert kept(configs.LLAMA_8B, 128_000) / GIB == pytest.approx(15.62, abs=0.01)


def test_llama_70b_at_128000_tokens_wants_39_gib() -> None:
    # The same post: 39.06 for 128,000 tokens, 4.88 for 16,000, 0.313 for 1,000.
    found = [kept(configs.LLAMA_70B, tokens) / GIB for tokens in (128_000, 16_000, 1_000)]
    assert found == pytest.approx([39.06, 4.88, 0.305], abs=0.01)


def test_per_token_sizes_are_those_of_the_deepseek_v3_hardware_paper() -> None:
    # "Insights into DeepSeek-V3" (arXiv:2505.09343), table 1: kB per token in BF16.
    for config, kilobytes in (
        (configs.DEEPSEEK_V3, 70.272),
        (configs.QWEN25_72B, 327.680),
        (configs.LLAMA_405B, 516.096),
    ):
        assert kept(config, 1) / 1000 == pytest.approx(kilobytes)


def test_gpt2_and_multi_query_keep_what_their_heads_say() -> None:
    # GPT-2: every head keeps its own; falcon-7b keeps one pair of 64 numbers for all 71 heads (its model card).
    assert kept(configs.GPT2, 1) == 2 * 12 * 768 * 2
    assert kept(configs.FALCON_7B, 1) == 2 * 32 * 64 * 2


def test_a_sliding_window_keeps_an_eighth_at_32k() -> None:
    # Mistral 7B (arXiv:2310.06825), section 2: "on a sequence length of 32k tokens, this reduces the cache memory usage
    # by 8x".
    mistral = model(configs.MISTRAL_7B).cache
    assert kept_bits(mistral, 32_768, 16, windows=False) == 8 * kept_bits(mistral, 32_768, 16)
    assert kept_bits(mistral, 4096, 16, windows=False) == kept_bits(mistral, 4096, 16)


def test_interleaved_windows_cap_only_their_layers() -> None:
    # Gemma 2 (arXiv:2408.00118), section 2: every other layer sees 4,096 of 8,192 tokens.
    gemma2 = model(configs.GEMMA2_9B).cache
    assert [(part.layers, part.window) for part in gemma2] == [(21, None), (21, 4096)]
    assert kept_bits(gemma2, 8192, 16) == 0.75 * kept_bits(gemma2, 8192, 16, windows=False)
    # Gemma 3 (arXiv:2503.19786), section 2: five local layers of 1,024 tokens for each global one.
    gemma3 = model(configs.GEMMA3_27B).cache
    assert [(part.layers, part.window) for part in gemma3] == [(10, None), (52, 1024)]
    # gpt-oss model card (arXiv:2508.10925), section 2: alternately banded of 128 tokens and dense.
    assert [(part.layers, part.window) for part in model(configs.GPT_OSS_20B).cache] == [(12, None), (12, 128)]
    # Llama 4: chunks of 8,192 in three of four layers (its config.json).
    assert [(part.layers, part.window) for part in model(configs.LLAMA4_SCOUT).cache] == [(12, None), (36, 8192)]


@pytest.mark.parametrize(
    "odd", [{"quantization_config": {"bits": True}}, {"attn_config": {"kv_n_heads": True}},
            {"quantization_config": {"config_groups": {"a": {"weights": {"num_bits": True}}}}}]
)  # fmt: skip
def test_a_flag_is_no_number(odd: dict[str, Any]) -> None:
    plain = {
        name: value for name, value in configs.LLAMA_8B.items() if name not in ("torch_dtype", "num_key_value_heads")
    }
    assert (model({**plain, **odd}).bits, model({**plain, **odd}).kv_heads) == (None, 32)


def test_a_window_that_is_written_down_but_not_used_caps_nothing() -> None:
    assert [part.window for part in model(configs.QWEN25_7B).cache] == [None]


def test_an_encoder_keeps_nothing() -> None:
    assert model(configs.BERT_BASE).cache == ()


def test_vllm_printed_the_same_weights_and_blocks_on_a_24_gb_card() -> None:
    # vllm-project/vllm issue 10517 (RTX 3090, Llama-3.1-8B-Instruct, v0.6): "Loading model weights took 14.9888 GB"
    # (GiB, by its source), total 23.58 GiB, utilisation 0.90; "kv_cache_size=3.81GiB … GPU blocks: 1952" of 16 tokens.
    llama = model(configs.LLAMA_8B)
    assert gib(llama.parameters * 16) == pytest.approx(14.9888, rel=0.003)
    assert kept_bits(llama.cache, 1952 * 16, 16) / 8 / GIB == pytest.approx(3.81, abs=0.01)
    # What vLLM took for activations (2.07) and beside them (0.35) stands for the runtime.
    plan = Plan(llama.parameters, 16, llama.cache, 16, gpu_gib=23.58, reserved_gib=2.07 + 0.35)
    assert plan.room_gib == pytest.approx(3.81, abs=0.05)
    assert plan.largest_context() == pytest.approx(31_232, rel=0.02)


def test_a_24_gb_card_has_about_5_left_after_the_weights_and_will_not_start() -> None:
    llama = model(configs.LLAMA_8B)
    (card,) = gpus_named("NVIDIA L4")
    plan = Plan(llama.parameters, 16, llama.cache, 16, gpu_gib=card.gib, reserved_gib=0)
    assert plan.room_gib == pytest.approx(5.3, abs=0.1)
    assert not plan.fits(131_072)
    assert plan.largest_context() == pytest.approx(43_000, rel=0.02)


def test_deepseek_v3_fits_on_eight_h200_and_not_on_eight_h100() -> None:
    # docs.sglang.ai, DeepSeek usage: 8 × H200 for the FP8 checkpoint; 8 × H100 do not suffice (two nodes).
    deepseek = model(configs.DEEPSEEK_V3)
    assert deepseek.bits == 8
    (h200,), (h100,) = gpus_named("H200"), gpus_named("H100 80GB HBM3")
    plans = [Plan(deepseek.parameters, 8, deepseek.cache, 16, gpu_gib=gpu.gib, tensor=8) for gpu in (h200, h100)]
    assert [plan.fits(8192) for plan in plans] == [True, False]


def test_latent_attention_is_kept_whole_by_every_gpu_and_heads_are_split() -> None:
    deepseek, llama = model(configs.DEEPSEEK_V3), model(configs.LLAMA_70B)
    for found, share in ((deepseek, 1), (llama, 8)):
        one = Plan(found.parameters, 16, found.cache, 16, gpu_gib=80)
        eight = Plan(found.parameters, 16, found.cache, 16, gpu_gib=80, tensor=8)
        assert one.cache_gib(1000) == pytest.approx(share * eight.cache_gib(1000))
    # Sixteen GPUs cannot share eight heads: each pair keeps the same one.
    sixteen = Plan(llama.parameters, 16, llama.cache, 16, gpu_gib=80, tensor=16)
    assert sixteen.cache_gib(1000) == pytest.approx(
        Plan(llama.parameters, 16, llama.cache, 16, gpu_gib=80, tensor=8).cache_gib(1000)
    )


def test_pipeline_stages_divide_layers_and_the_fullest_counts() -> None:
    llama = model(configs.LLAMA_8B)
    three = Plan(llama.parameters, 16, llama.cache, 16, gpu_gib=80, pipeline=3)
    assert three.cache_gib(32) == pytest.approx(gib(11 * 2048 * 16 * 32))  # 11 of 32 layers


def test_nothing_limits_a_model_that_keeps_nothing() -> None:
    bert = model(configs.BERT_BASE)
    plan = Plan(bert.parameters, 32, bert.cache, 16, gpu_gib=16)
    assert (plan.largest_context(), plan.largest_concurrency(512)) == (MOST, MOST)


# General laws; the machine may be busy

CALM = settings(deadline=None)

CACHES = st.lists(
    st.builds(
        Cache,
        layers=st.integers(1, 200),
        numbers=st.integers(1, 20_000),
        heads=st.integers(0, 128),
        window=st.none() | st.integers(1, 200_000),
    ),
    max_size=3,
).map(tuple)
TOKENS, SEQUENCES, BITS = st.integers(1, 10**6), st.integers(1, 4096), st.sampled_from([4, 8, 16, 32])
PLANS = st.builds(
    Plan,
    parameters=st.integers(10**6, 10**12),
    weight_bits=BITS,
    cache=CACHES,
    cache_bits=BITS,
    gpu_gib=st.floats(8, 300),
    tensor=st.sampled_from([1, 2, 4, 8]),
    pipeline=st.integers(1, 8),
    utilisation=st.floats(0.5, 1),
    windows=st.booleans(),
)


@CALM
@given(CACHES, TOKENS, TOKENS, SEQUENCES, BITS)
def test_more_context_sequences_or_bits_never_need_less(
    cache: tuple[Cache, ...], one: int, other: int, sequences: int, bits: int
) -> None:
    low, high = sorted((one, other))
    assert kept_bits(cache, low, bits) <= kept_bits(cache, high, bits)
    assert kept_bits(cache, high, bits) <= kept_bits(cache, high, bits, windows=False)
    assert kept_bits(cache, high, bits) <= kept_bits(cache, high, bits * 2)
    need = least_gib(10**9, bits, cache, bits, high, sequences)
    assert (
        least_gib(10**9, bits, cache, bits, low, sequences)
        <= need
        <= least_gib(10**9, bits, cache, bits, high, sequences + 1)
    )


@CALM
@given(PLANS, TOKENS, SEQUENCES)
def test_the_largest_that_fits_fits_and_one_more_does_not(plan: Plan, tokens: int, sequences: int) -> None:
    longest, most = plan.largest_context(sequences), plan.largest_concurrency(tokens)
    assert not longest or plan.fits(longest, sequences)
    assert longest == MOST or not plan.fits(longest + 1, sequences)
    assert not most or plan.fits(tokens, most)
    assert most == MOST or not plan.fits(tokens, most + 1)


@CALM
@given(PLANS, TOKENS, SEQUENCES)
def test_headroom_shrinks_with_every_demand_and_the_least_is_never_more_than_the_sum(
    plan: Plan, tokens: int, sequences: int
) -> None:
    assert plan.headroom_gib(tokens + 1, sequences) <= plan.headroom_gib(tokens, sequences)
    assert plan.headroom_gib(tokens, sequences + 1) <= plan.headroom_gib(tokens, sequences)
    every = plan.tensor * plan.pipeline * (plan.weights_gib + plan.cache_gib(tokens, sequences))
    least = least_gib(plan.parameters, plan.weight_bits, plan.cache, plan.cache_bits, tokens, sequences)
    assert least <= every * (1 + 1e-9)


# Names

NAMES = {
    "H100 80 GB": ["H100 80 GB"],
    "NVIDIA H100 80GB HBM3": ["H100 80 GB"],  # DCGM's modelName
    "NVIDIA-H100-NVL": ["H100 NVL 94 GB"],  # a node label of the GPU feature discovery
    "4 × H100": ["H100 80 GB"],
    "h200": ["H200"],
    "NVIDIA GH200 480GB": ["GH200 96 GB", "GH200 144 GB"],
    "NVIDIA B200": ["B200"],
    "B200 180GB": ["B200"],
    "A100": ["A100 40 GB", "A100 80 GB"],
    "NVIDIA A100-SXM4-40GB": ["A100 40 GB"],
    "A100-80G": ["A100 80 GB"],
    "Tesla T4": ["T4"],
    "Tesla V100-SXM2-16GB": ["V100 16 GB"],
    "L4": ["L4"],
    "L40S": ["L40S"],
    "NVIDIA A10G": ["A10G"],
    "RTX A6000": ["RTX A6000"],
    "NVIDIA RTX 6000 Ada Generation": ["RTX 6000 Ada"],
    "NVIDIA RTX PRO 6000 Blackwell Server Edition": ["RTX PRO 6000"],
    "NVIDIA GeForce RTX 4090": ["RTX 4090"],
    "AMD Instinct MI300X": ["MI300X"],
    "Intel Gaudi 3": ["Gaudi 3"],
    "NVIDIA H100 80GB HBM3 MIG 1g.10gb": [],
    "NVIDIA GeForce RTX 4090 Laptop GPU": [],
    "A100 12 GB": [],
    "TPU v5e": [],
    "": [],
}


@pytest.mark.parametrize("text", NAMES)
def test_gpus_are_known_by_the_names_that_people_and_exporters_write(text: str) -> None:
    assert [gpu.name for gpu in gpus_named(text)] == NAMES[text]


def test_a_count_before_or_after_a_name_is_read() -> None:
    texts = {"4 × H100": 4, "8x H200": 8, "L4": None, "H100 x 2": 2, "2xL4": 2, "0 × L4": None}
    assert {text: count_of(text) for text in texts} == texts


def test_no_gpu_reports_more_than_its_box_says_and_names_differ() -> None:
    assert all(0.9 * gpu.size < gpu.gib <= gpu.size and gpu.gb_per_s > 0 and gpu.source for gpu in GPUS)
    assert len({gpu.name for gpu in GPUS}) == len(GPUS)


@CALM
@given(st.text(max_size=300))
def test_any_text_may_stand_where_a_gpu_is_named(text: str) -> None:
    assert isinstance(gpus_named(text), tuple)
    assert count_of(text) is None or count_of(text) > 0  # type: ignore[operator]


def test_the_claims_decide_in_what_weights_and_cache_can_be() -> None:
    def words(*claims: Any) -> list[str]:
        return [width.name for width in weight_widths(*claims)]

    assert words(["bf16"], [], 16) == ["BF16"]
    assert words(["bf16", "fp8"], ["none"], 16) == ["BF16"]
    assert words(["bf16"], ["awq", "none"], 16) == ["AWQ", "BF16"]
    assert words([], [], 8) == ["8 bits, as in its config.json"]
    assert words([], [], None) == []
    # An AWQ or FP8 checkpoint computes in BF16, which is what people name; the weights are what is stored.
    assert words(["bf16"], [], 4) == ["4 bits, as in its config.json", "BF16"]
    assert words(["fp8"], ["none"], 8) == ["FP8"]
    narrow, wide = cache_widths(["bf16"])
    assert (narrow.name, wide.name) == ("BF16", "BF16")
    narrow, wide = cache_widths(["bf16", "fp8"])
    assert (narrow.name, wide.name) == ("FP8", "BF16")
    assert cache_widths([])[0].name == "FP8"  # nothing rules it out
