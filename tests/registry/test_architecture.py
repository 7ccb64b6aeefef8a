"""A model's config.json on file: what is taken, what is kept, and what is refused in which words."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from checklists.journal.errors import Forbidden, Invalid, WrongStage
from checklists.journal.models import Event
from checklists.registry.architecture import MAX_BYTES, read, shape
from checklists.registry.services import clear_architecture, retire_release, set_architecture
from tests.build import make_model, make_release
from tests.evidence import configs

SMALL: dict[str, Any] = {
    "model_type": "llama",
    "hidden_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "vocab_size": 100,
}


def upload(config: Any) -> bytes:
    return json.dumps(config).encode()


@pytest.fixture
def release(team: Any, alice: Any, edition: Any) -> Any:
    return make_release(make_model(team, alice), alice)


@pytest.mark.django_db
def test_what_describes_the_shape_is_kept_and_the_rest_is_not(release: Any, bob: Any) -> None:
    document = {**configs.LLAMA_8B, "id2label": {"0": "LABEL_0"}, "_name_or_path": "/home/bob/secret", "note": "x\x00"}
    changed = set_architecture(release=release, document=upload(document), by=bob)
    assert changed.architecture["num_hidden_layers"] == 32
    assert not {"id2label", "_name_or_path", "note"} & set(changed.architecture)
    release.refresh_from_db()
    assert shape(release.architecture) == shape(configs.LLAMA_8B)


@pytest.mark.django_db
def test_putting_on_file_and_taking_off_is_journaled_once_each(release: Any, bob: Any) -> None:
    for _ in range(2):
        set_architecture(release=release, document=upload(SMALL), by=bob)
    for _ in range(2):
        clear_architecture(release=release, by=bob)
    events = Event.objects.filter(verb="registry.release.architecture_changed").order_by("pk")
    assert [(event.data["model_type"], bool(event.data["digest"])) for event in events] == [
        ("llama", True),
        ("", False),
    ]
    assert {event.actor_id for event in events} == {bob.pk}
    release.refresh_from_db()
    assert release.architecture is None


@pytest.mark.django_db
def test_only_who_may_change_the_release_may_and_only_while_it_is_open(
    release: Any, alice: Any, carol: Any, mallory: Any
) -> None:
    for person in (carol, mallory):
        with pytest.raises(Forbidden):
            set_architecture(release=release, document=upload(SMALL), by=person)
        with pytest.raises(Forbidden):
            clear_architecture(release=release, by=person)
    retire_release(release=release, by=alice)
    with pytest.raises(WrongStage):
        set_architecture(release=release, document=upload(SMALL), by=alice)


@pytest.mark.django_db
def test_a_document_judges_the_claims_at_once(release: Any, bob: Any) -> None:
    from checklists.evidence.models import Finding
    from tests.build import answer_of, save

    save(answer_of(release, "identity.gpu-precision"), bob, claims={"gpu_types": "L4", "precisions": ["bf16"]})
    save(answer_of(release, "compute.parallelism"), bob, claims={"tensor_parallel": 1, "gpus": 1})
    save(
        answer_of(release, "operations.runtime-constraints"),
        bob,
        claims={"max_concurrency": 8, "context_tokens": 131_072},
    )
    stands = Finding.objects.filter(release=release, item_key="operations.runtime-constraints", current=True)
    assert [finding.verdict for finding in stands] == ["inconclusive"]
    set_architecture(release=release, document=upload(configs.LLAMA_8B), by=bob)
    assert [(f.verdict, f.probe, f.endpoint_id) for f in stands.all()] == [
        ("contradicted", "capacity.arithmetic", None)
    ]
    save(answer_of(release, "identity.gpu-precision"), bob, claims={"gpu_types": "H200", "precisions": ["bf16"]})
    assert [finding.verdict for finding in stands.all()] == ["inconclusive"]
    save(answer_of(release, "identity.gpu-precision"), bob, claims={"gpu_types": "L4", "precisions": ["bf16"]})
    clear_architecture(release=release, by=bob)
    assert [finding.verdict for finding in stands.all()] == ["inconclusive"]


DEEP = b'{"a":' * 100_000 + b"1" + b"}" * 100_000
REFUSED = {
    "nothing": (b"", "not JSON"),
    "an image": (b"\x89PNG\r\n\x1a\n\xff\xd8", "not text in UTF-8"),
    "a page": (b"<!doctype html>", "not JSON"),
    "a list": (b"[]", "is an object"),
    "too much": (b'{"a": "' + b"x" * MAX_BYTES + b'"}', "256 KiB"),
    "nested": (DEEP[: MAX_BYTES // 2], "nested too deeply"),
    "a number without end": (b'{"num_hidden_layers": ' + b"9" * 5000 + b"}", "more than 30 digits"),
    "an adapter": (upload({"peft_type": "LORA", "r": 16}), "num_hidden_layers is missing"),
    "a picture model": (upload({"_class_name": "UNet2DConditionModel"}), "num_hidden_layers is missing"),
    "half a billion layers": (upload({**SMALL, "num_hidden_layers": 500_000_000}), "between 1 and 2,000"),
    "no layers": (upload({**SMALL, "num_hidden_layers": 0}), "between 1"),
    "text for a number": (upload({**SMALL, "hidden_size": "64"}), "hidden_size is not a whole number"),
    "a yes for a number": (upload({**SMALL, "hidden_size": True}), "hidden_size is not a whole number"),
    "a fraction": (upload({**SMALL, "hidden_size": 64.5}), "hidden_size is not a whole number"),
    "infinitely wide": (
        b'{"hidden_size": 1e999, "num_hidden_layers": 2, "num_attention_heads": 4}',
        "hidden_size is missing",
    ),
    "heads that cannot share": (upload({**SMALL, "num_key_value_heads": 3}), "cannot share 3 heads"),
    "heads of no size": (upload({**SMALL, "num_attention_heads": 5}), "head_dim is missing"),
    "a whisper": (
        upload({"model_type": "whisper", "is_encoder_decoder": True, "d_model": 1280}),
        "encoder with a decoder",
    ),
    "a mamba": (upload({**SMALL, "model_type": "mamba2"}), "Not every layer"),
    "an unknown hybrid": (upload({**SMALL, "model_type": "zebra", "mamba_d_state": 16}), "Not every layer"),
    # nvidia/Llama-3_3-Nemotron-Super-49B-v1: many of its layers have no attention; its KV heads are in block_configs.
    "a pruned llama": (upload({**SMALL, "model_type": "nemotron-nas"}), "Not every layer"),
    "a convolution": (upload({**SMALL, "model_type": "lfm2"}), "which do (layer_types)"),
    "a llama that sees": (upload({**SMALL, "model_type": "mllama_text_model"}), "(cross_attention_layers)"),
    "kinds of other layers": (upload({**SMALL, "layer_types": ["full_attention"] * 3}), "layer_types names 3 layers"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_has_no_usable_shape_is_refused_in_words(what: str) -> None:
    document, words = REFUSED[what]
    with pytest.raises(Invalid) as refusal:
        read(document)
    assert words in refusal.value.message
    assert len(refusal.value.message) < 300


def test_layers_without_attention_keep_nothing() -> None:
    # Qwen/Qwen3-Next-80B-A3B: every fourth layer attends, the others are linear.
    kinds = ["linear_attention", "linear_attention", "linear_attention", "full_attention"] * 2
    found = shape({**SMALL, "num_hidden_layers": 8, "layer_types": kinds})
    assert [part.layers for part in found.cache] == [2]
    # Its config.json has no layer_types.
    for interval in ({"full_attention_interval": 4}, {}):
        document = upload({**SMALL, "model_type": "qwen3_next", "num_hidden_layers": 8, **interval})
        assert [part.layers for part in shape(read(document)).cache] == [2]
    # meta-llama/Llama-3.2-11B-Vision: some layers look at the image only.
    across = {"model_type": "mllama_text_model", "num_hidden_layers": 8, "cross_attention_layers": [3, 7]}
    assert [part.layers for part in shape(read(upload({**SMALL, **across}))).cache] == [6]


def test_layers_that_share_the_keys_of_others_keep_none_of_their_own() -> None:
    # google/gemma-3n: the last layers use what earlier ones keep.
    found = shape({**SMALL, "num_hidden_layers": 8, "num_kv_shared_layers": 3})
    assert [part.layers for part in found.cache] == [5]


@pytest.mark.parametrize(
    ("quantization", "bits"),
    [
        ({"quant_method": "awq", "bits": 4}, 4),
        ({"quant_method": "fp8"}, 8),
        ({"quant_method": "bitsandbytes", "load_in_4bit": True}, 4),
        ({"quant_method": "modelopt", "quant_algo": "NVFP4"}, 4),
        ({"quant_method": "modelopt", "quant_algo": "FP8"}, 8),
        ({"quant_method": "compressed-tensors", "config_groups": {"group_0": {"weights": {"num_bits": 4}}}}, 4),
        ({"quant_method": "never heard of"}, 16),
        (None, 16),
    ],
)
def test_the_bits_of_the_checkpoint_are_read(quantization: Any, bits: int) -> None:
    document = {**configs.LLAMA_8B, "quantization_config": quantization}
    assert shape(read(upload(document))).bits == bits


def test_a_scaled_context_is_that_of_the_scaling() -> None:
    # Qwen/Qwen2.5-7B-Instruct, README: 32,768 positions, YaRN with factor 4.0 for 131,072.
    scaled = {**configs.QWEN25_7B, "max_position_embeddings": 32_768, "rope_scaling": {"factor": 4.0, "type": "yarn"}}
    assert shape(scaled).context == 131_072
    assert shape(configs.LLAMA_8B).context == 131_072  # multiplied already


VALUES = st.none() | st.booleans() | st.integers(-5, 10**12) | st.floats() | st.text(max_size=8)
NESTED = VALUES | st.lists(VALUES, max_size=4) | st.dictionaries(st.text(max_size=8), VALUES, max_size=4)
BASES = [value for name, value in vars(configs).items() if name.isupper()]


@settings(deadline=None, max_examples=300)
@given(st.sampled_from(BASES), st.data())
def test_a_hostile_document_is_read_or_refused_and_nothing_else(base: dict[str, Any], data: st.DataObject) -> None:
    names = [
        *base,
        "layer_types",
        "text_config",
        "rope_scaling",
        "architectures",
        "mlp_only_layers",
        "n_routed_experts",
    ]
    changes = data.draw(st.dictionaries(st.sampled_from(names), NESTED, max_size=4))
    document = json.dumps({**base, **changes}).encode()
    try:
        kept = read(document)
    except Invalid:
        return
    assert len(json.dumps(kept, allow_nan=False)) < MAX_BYTES
    found = shape(kept)
    assert found.parameters > 0
    assert all(part.layers > 0 and part.numbers > 0 for part in found.cache)
