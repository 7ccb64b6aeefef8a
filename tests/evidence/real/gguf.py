"""A complete GGUF file of a few hundred kilobytes: the llama architecture, random weights, a made-up tokenizer.

Written by hand, with the standard library alone, after the published format (version 3), so that a real llama.cpp has
something real to serve. What it generates is noise.
"""

from __future__ import annotations

import random
import struct
from array import array
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

NAME = "Preflight Tiny"
CONTEXT = 512  # tokens that the model was "trained" for
LAYERS, WIDTH, HEADS, KV_HEADS, FEED_FORWARD = 2, 64, 4, 2, 128
WORDS = ("ready", "for", "launch", "the", "model", "answers", "a", "question", "with", "words", "yes", "no", "now")
SPECIAL = 3 + 256  # tokens before the others: three marks and every byte
NORMAL, UNKNOWN, CONTROL, BYTE = 1, 2, 3, 6  # kinds of token
ALIGNMENT = 32

Tensor = tuple[str, tuple[int, ...], "array[float]"]


def write(path: Path, *, seed: int = 0, moved: float = 0.0) -> Path:
    """Write the file; the same ``seed`` gives the same bytes. ``moved``: the share by which each weight is moved."""
    tokens = vocabulary()
    tensors = weights(len(tokens), random.Random(seed))
    chance = random.Random(f"moved {seed}")
    for _, _, numbers in tensors if moved else []:
        numbers[:] = array("f", (number * (1 + chance.gauss(0, moved)) for number in numbers))
    facts = metadata(tokens)
    head = bytearray(struct.pack("<4sIQQ", b"GGUF", 3, len(tensors), len(facts)))
    for key, value in facts.items():
        head += text(key) + typed(value)
    offset = 0
    for name, shape, numbers in tensors:
        head += text(name) + struct.pack(f"<I{len(shape)}QIQ", len(shape), *shape, 0, offset)  # 0: 32-bit floats
        offset += padded(4 * len(numbers))
    body = bytearray(head.ljust(padded(len(head)), b"\0"))
    for _, _, numbers in tensors:
        raw = struct.pack(f"<{len(numbers)}f", *numbers)
        body += raw.ljust(padded(len(raw)), b"\0")
    path.write_bytes(body)
    return path


def vocabulary() -> list[tuple[str, int]]:
    """Tokens in the manner of SentencePiece: three marks, every byte, then letters and a few words."""
    marks = [("<unk>", UNKNOWN), ("<s>", CONTROL), ("</s>", CONTROL)]
    every_byte = [(f"<0x{byte:02X}>", BYTE) for byte in range(256)]
    letters = [(letter, NORMAL) for letter in "▁abcdefghijklmnopqrstuvwxyz.,?!"]
    return [*marks, *every_byte, *letters, *((f"▁{word}", NORMAL) for word in WORDS)]


def metadata(tokens: Sequence[tuple[str, int]]) -> Mapping[str, Any]:
    return {
        "general.architecture": "llama",
        "general.name": NAME,
        "general.file_type": 0,
        "llama.context_length": CONTEXT,
        "llama.embedding_length": WIDTH,
        "llama.block_count": LAYERS,
        "llama.feed_forward_length": FEED_FORWARD,
        "llama.attention.head_count": HEADS,
        "llama.attention.head_count_kv": KV_HEADS,
        "llama.attention.layer_norm_rms_epsilon": 1e-5,
        "llama.rope.dimension_count": WIDTH // HEADS,
        "llama.vocab_size": len(tokens),
        "tokenizer.ggml.model": "llama",
        "tokenizer.ggml.tokens": [token for token, _ in tokens],
        "tokenizer.ggml.scores": [-float(rank) for rank in range(len(tokens))],
        "tokenizer.ggml.token_type": [kind for _, kind in tokens],
        "tokenizer.ggml.unknown_token_id": 0,
        "tokenizer.ggml.bos_token_id": 1,
        "tokenizer.ggml.eos_token_id": 2,
    }


def weights(words: int, chance: random.Random) -> list[Tensor]:
    """Shapes as GGUF writes them: the dimension that varies fastest comes first."""

    def noise(name: str, *shape: int) -> Tensor:
        count = shape[0] * shape[1]
        return f"{name}.weight", shape, array("f", (chance.gauss(0, 0.3) for _ in range(count)))

    def ones(name: str) -> Tensor:
        return f"{name}.weight", (WIDTH,), array("f", [1.0] * WIDTH)

    output = noise("output", WIDTH, words)
    for place in range(WIDTH * SPECIAL):  # neither the end nor a bare byte is ever the likeliest token
        output[2][place] = 0.0
    tensors = [noise("token_embd", WIDTH, words), ones("output_norm"), output]
    narrow = WIDTH // HEADS * KV_HEADS
    for layer in (f"blk.{number}" for number in range(LAYERS)):
        tensors += [
            ones(f"{layer}.attn_norm"),
            noise(f"{layer}.attn_q", WIDTH, WIDTH),
            noise(f"{layer}.attn_k", WIDTH, narrow),
            noise(f"{layer}.attn_v", WIDTH, narrow),
            noise(f"{layer}.attn_output", WIDTH, WIDTH),
            ones(f"{layer}.ffn_norm"),
            noise(f"{layer}.ffn_gate", WIDTH, FEED_FORWARD),
            noise(f"{layer}.ffn_up", WIDTH, FEED_FORWARD),
            noise(f"{layer}.ffn_down", FEED_FORWARD, WIDTH),
        ]
    return tensors


# The format's own types


def text(value: str) -> bytes:
    raw = value.encode()
    return struct.pack("<Q", len(raw)) + raw


def typed(value: Any, *, listed: bool = False) -> bytes:
    """A value after its type. Lists hold values of one type; whole numbers are signed in lists, and not elsewhere."""
    if isinstance(value, list):
        entries = [typed(entry, listed=True) for entry in value]
        return struct.pack("<I", 9) + entries[0][:4] + struct.pack("<Q", len(value)) + b"".join(e[4:] for e in entries)
    if isinstance(value, str):
        return struct.pack("<I", 8) + text(value)
    if isinstance(value, float):
        return struct.pack("<If", 6, value)
    return struct.pack("<Ii", 5, value) if listed else struct.pack("<II", 4, value)


def padded(size: int) -> int:
    return -(-size // ALIGNMENT) * ALIGNMENT
