"""On what the demo's models run and what they were made from, consistent with what their servers say of themselves."""

from __future__ import annotations

import json
import random
from dataclasses import dataclass
from typing import Any

from portal.demo.models import DemoModel, DemoRelease


@dataclass(frozen=True)
class Hardware:
    """Of one replica: types and number of GPUs, number formats, the peak of memory and at which input."""

    gpus: str
    count: int
    instances: str
    precisions: tuple[str, ...]
    formats: tuple[str, ...]
    peak_gib: float
    input_size: str
    base: str


# GPU types → instances, and peaks in GiB that are possible on one of them
GPUS: dict[str, tuple[str, tuple[float, ...]]] = {
    "L4": ("g6.xlarge", (9.6, 12.4, 17.8)),
    "L40S": ("g6e.xlarge, gpu-l40s-1 on our own racks", (22.7, 31.5, 38.5)),
    "A100 80 GB": ("gpu-a100-1 on our own racks", (38.5, 41.2, 61.0)),
    "H100 80 GB": ("p5.4xlarge", (41.2, 61.0)),
}
# What kinds of server say of themselves: GPUs, precisions, quantisation formats
SAID = {
    "embedding": (("L4", "L40S"), ("fp16",), ("none",)),
    "images": (("L40S", "H100 80 GB"), ("bf16",), ("none",)),
    "comfyui": (("L40S",), ("fp16",), ("none",)),
    "llamacpp": (("L4",), ("int4",), ("gguf",)),
    "ollama": (("L4",), ("int4",), ("gguf",)),
    "audio": (("L4",), ("fp16",), ("none",)),
}
USUAL = ("L40S", "A100 80 GB", "H100 80 GB")
FORMATS = ((("bf16",), ("none",)), (("bf16",), ("none",)), (("bf16", "fp8"), ("fp8",)), (("fp16", "int4"), ("awq",)))
INPUTS = {"embedding": "32 inputs at once", "audio": "30 minutes of sound", "diffusion": "2,048 × 2,048 pixels"}
BASES = {
    "llm": ("Qwen3 8B at a pinned revision", "Llama 3.1 8B Instruct at a pinned revision"),
    "diffusion": ("Stable Diffusion XL 1.0", "FLUX.1 schnell"),
    "embedding": ("multilingual E5 large", "BGE M3"),
    "multimodal": ("Qwen2.5-VL 7B", "Pixtral 12B"),
    "audio": ("Whisper large v3", "Voxtral Mini"),
    "vision": ("SigLIP 2 so400m", "DINOv3 ViT-L"),
}

# The config.json of what some were made from, as far as memory depends on it.
_SHARED: dict[str, Any] = {"num_key_value_heads": 8, "tie_word_embeddings": False, "torch_dtype": "bfloat16"}
QWEN3_8B = _SHARED | {
    "model_type": "qwen3", "architectures": ["Qwen3ForCausalLM"], "hidden_size": 4096, "num_hidden_layers": 36,
    "num_attention_heads": 32, "head_dim": 128, "intermediate_size": 12288, "vocab_size": 151936,
    "max_position_embeddings": 40960,
}  # fmt: skip
LLAMA_8B = _SHARED | {
    "model_type": "llama", "architectures": ["LlamaForCausalLM"], "hidden_size": 4096, "num_hidden_layers": 32,
    "num_attention_heads": 32, "intermediate_size": 14336, "vocab_size": 128256, "max_position_embeddings": 131072,
}  # fmt: skip
QWEN25_14B = _SHARED | {
    "model_type": "qwen2", "architectures": ["Qwen2ForCausalLM"], "hidden_size": 5120, "num_hidden_layers": 48,
    "num_attention_heads": 40, "intermediate_size": 13824, "vocab_size": 152064, "max_position_embeddings": 131072,
    "use_sliding_window": False,
}  # fmt: skip
SHAPES: dict[str, tuple[str, dict[str, Any]]] = {
    "assist-chat": ("Qwen3 8B", QWEN3_8B),
    "assist-summary": ("Qwen3 8B", QWEN3_8B),
    "shop-guide": ("Qwen3 8B", QWEN3_8B),
    "base-8b": ("Llama 3.1 8B Instruct", LLAMA_8B),
    "translate-nordic": ("Llama 3.1 8B Instruct", LLAMA_8B),
    "long-context-summariser-for-regulated-correspondence-and-case-files": ("Qwen2.5 14B", QWEN25_14B),
}


def config_of(model: DemoModel) -> bytes | None:
    """The ``config.json`` that its team puts on file, if it does."""
    return json.dumps(SHAPES[model.slug][1]).encode() if model.slug in SHAPES else None


def hardware_of(model: DemoModel, release: DemoRelease) -> Hardware:
    """The same for every release of a model on the same kind of server."""
    source = random.Random(f"{model.slug} {SAID.get(release.kind)}")  # noqa: S311  # nothing secret
    kinds, precisions, formats = SAID.get(release.kind) or (
        ("L40S", "A100 80 GB", "H100 80 GB"),
        *source.choice(FORMATS),
    )
    base, count = source.choice(BASES[model.family]), 1
    if model.tier == 1 and release.kind not in SAID:
        count = source.choice((1, 1, 2))
    if model.slug in SHAPES:
        kinds, precisions, formats, base = (
            ("L40S",),
            ("bf16",),
            ("none",),
            f"{SHAPES[model.slug][0]} at a pinned revision",
        )
    gpus = source.choice(kinds)
    instances, peaks = GPUS[gpus]
    return Hardware(
        gpus=gpus,
        count=count,
        instances=instances,
        precisions=precisions,
        formats=formats,
        peak_gib=source.choice(peaks),
        input_size=INPUTS.get(model.family, "16,384 tokens, 24 at once"),
        base=base,
    )
