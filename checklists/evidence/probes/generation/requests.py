"""The tiny requests: one table of what is asked of which stack, for each kind of model, and when an answer is one.

Nothing here sends anything. ``MAX_TOKENS`` bounds what any of them may generate, 256×256 pixels a picture, three words
a spoken text.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from checklists.evidence.probes.base import dict_of, list_of, number_of, text_of
from checklists.evidence.probes.generation import media
from checklists.evidence.probes.visit import Answer
from checklists.evidence.stacks import Stack

MAX_TOKENS = 16
MAX_ELEMENTS = 1_000_000  # of all tensors of one request
QUESTION = "Answer with the single word: ready"


@dataclass(frozen=True)
class Tiny:
    """One tiny request. ``missing(answer)`` says in words what a 2xx answer lacks, empty if it holds what was asked
    for; ``streams`` that the answer comes in pieces."""

    kind: str
    what: str
    takes: str
    gives: str
    path: str
    missing: Callable[[Answer], str]
    payload: Any = None
    content: bytes | None = None
    content_type: str = "application/json"
    streams: bool = False
    headers: Mapping[str, str] = field(default_factory=dict)


# What an answer must hold.


def _chat_text(answer: Answer) -> str:
    choice = dict_of(next(iter(list_of(answer.object().get("choices"))), None))
    message = dict_of(choice.get("message"))
    said = [message.get("content"), message.get("reasoning_content"), message.get("reasoning"), choice.get("text")]
    return "" if any(isinstance(piece, str) and piece for piece in said) else "no text"


def _vector(answer: Answer) -> str:
    return "" if vector_of(answer) is not None else "no embedding"


def vector_of(answer: Answer) -> list[Any] | str | None:
    """The first embedding of OpenAI's, TEI's or Ollama's shape; a text where it is packed."""
    data = answer.json()
    body = dict_of(data)
    rows = list_of(data) or list_of(body.get("embeddings"))
    first = dict_of(next(iter(list_of(body.get("data"))), None)).get("embedding") or next(iter(rows), None)
    if isinstance(first, str):
        return first if _packed(first) else None
    numbers = isinstance(first, list) and all(isinstance(x, int | float) and not isinstance(x, bool) for x in first)
    return first if numbers and first else None


def _packed(text: str) -> bool:
    """Whether a text is a vector of 32-bit floats in base64, and not just any text."""
    try:
        raw = base64.b64decode(text, validate=True)
    except ValueError:
        return False
    return len(raw) > 0 and len(raw) % 4 == 0


def _image(answer: Answer) -> str:
    first = dict_of(next(iter(list_of(answer.object().get("data"))), None))
    return "" if text_of(first.get("url")) or first.get("b64_json") else "no picture"


def _transcript(answer: Answer) -> str:
    # Silence may well come back as an empty text.
    return "" if isinstance(answer.object().get("text"), str) else "no transcript"


def _sound(answer: Answer) -> str:
    kind = answer.response.header("content-type").partition(";")[0].strip().lower() if answer.response else ""
    sounds = kind.startswith("audio/") or kind in ("application/octet-stream", "application/ogg")
    return "" if answer.response and answer.response.body and sounds else "no sound"


def _scores(answer: Answer) -> str:
    data = answer.json()
    rows = list_of(data) or list_of(dict_of(data).get("results")) or list_of(dict_of(data).get("data"))
    first = dict_of(next(iter(rows), None))
    score = first.get("relevance_score", first.get("score"))
    return "" if isinstance(score, int | float) and not isinstance(score, bool) else "no score"


def _generated(answer: Answer) -> str:
    data = answer.json()
    first = dict_of(next(iter(data), None)) if isinstance(data, list) else dict_of(data)
    return "" if text_of(first.get("generated_text")) or text_of(first.get("response")) else "no text"


def _outputs(answer: Answer) -> str:
    return "" if list_of(answer.object().get("outputs")) else "no output tensor"


# The requests.


def chat(model: str, *, stream: bool = False, text: str = QUESTION, max_tokens: int = MAX_TOKENS) -> Tiny:
    payload: dict[str, Any] = {
        "model": model,
        "messages": [{"role": "user", "content": text}],
        "max_tokens": max_tokens,
        "temperature": 0,
    }
    if stream:
        payload |= {"stream": True, "stream_options": {"include_usage": True}}
    what = f"a chat completion of at most {max_tokens} tokens"
    return Tiny("chat", what, "text", "text", "/v1/chat/completions", _chat_text, payload, streams=stream)


def chat_with(model: str, part: dict[str, Any] | None, takes: str) -> Tiny:
    """A chat completion whose content comes in parts: the question, and a picture or a sound."""
    parts: list[dict[str, Any]] = [{"type": "text", "text": QUESTION}, *([part] if part else [])]
    payload = {
        "model": model,
        "messages": [{"role": "user", "content": parts}],
        "max_tokens": MAX_TOKENS,
        "temperature": 0,
    }
    what = f"a chat completion with a tiny {takes}" if part else "a chat completion in parts"
    return Tiny("chat", what, takes, "text", "/v1/chat/completions", _chat_text, payload)


def picture_part() -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": media.data_url(media.png(), "image/png")}}


def sound_part() -> dict[str, Any]:
    data = media.data_url(media.wav(), "audio/wav").partition(",")[2]
    return {"type": "input_audio", "input_audio": {"data": data, "format": "wav"}}


def generate(stack: Stack, model: str, *, stream: bool = False, text: str = QUESTION) -> Tiny:
    """A completion by the stack's own route, for servers without OpenAI's."""
    if stack.key == "ollama":
        payload: dict[str, Any] = {"model": model, "prompt": text, "stream": stream}
        payload["options"] = {"num_predict": MAX_TOKENS, "temperature": 0}
        path = "/api/generate"
    else:
        payload = {"inputs": text, "parameters": {"max_new_tokens": MAX_TOKENS, "details": stream}}
        path = "/generate_stream" if stream else "/generate"
    what = f"a completion of at most {MAX_TOKENS} tokens"
    return Tiny("completion", what, "text", "text", path, _generated, payload, streams=stream)


def embedding(stack: Stack, model: str, texts: str | list[str] = "preflight check") -> Tiny:
    if stack.key == "tei":
        return Tiny("embedding", "one embedding", "text", "embedding", "/embed", _vector, {"inputs": texts})
    payload = {"model": model, "input": texts}
    path = "/api/embed" if stack.key == "ollama" else "/v1/embeddings"
    return Tiny("embedding", "one embedding", "text", "embedding", path, _vector, payload)


def rerank(stack: Stack, model: str) -> Tiny:
    payload: dict[str, Any] = {"query": "ready?", "texts": ["yes", "no"]}
    if stack.key != "tei":
        payload = {"model": model, "query": "ready?", "documents": ["yes", "no"]}
    path = "/v1/rerank" if stack.key == "litellm" else "/rerank"
    return Tiny("rerank", "the ranking of two words", "text", "score", path, _scores, payload)


def picture(model: str) -> Tiny:
    payload = {"model": model, "prompt": "a grey square", "n": 1, "size": "256x256", "response_format": "b64_json"}
    return Tiny("image", "one picture of 256×256 pixels", "text", "image", "/v1/images/generations", _image, payload)


def transcription(model: str, sound: bytes | None = None, *, name: str = "silence.wav") -> Tiny:
    body, kind = media.form({"model": model}, name, media.wav() if sound is None else sound, "audio/wav")
    return Tiny(
        *("transcription", "the transcription of one second of silence", "audio", "text"),
        *("/v1/audio/transcriptions", _transcript),
        content=body,
        content_type=kind,
    )


def speech(model: str) -> Tiny:
    payload = {"model": model, "input": "Ready.", "voice": "alloy", "response_format": "wav"}
    return Tiny("speech", "one spoken word", "text", "audio", "/v1/audio/speech", _sound, payload)


_ZEROS: Mapping[str, Any] = {"BYTES": "ready", "BOOL": False}


def tensors(model: str, metadata: dict[str, Any]) -> Tiny | None:
    """A KServe v2 inference with zeros (or a word) in the shape the model declares; ``None`` where it declares none, or
    one too large to send."""
    inputs, total = [], 0
    for declared in map(dict_of, list_of(metadata.get("inputs"))):
        kind, name = text_of(declared.get("datatype")), text_of(declared.get("name"))
        sizes = [number_of(size) for size in list_of(declared.get("shape"))]
        shape = [int(size) if size else 1 for size in sizes]  # -1 is a size of the caller's choice
        elements = math.prod(shape[:8])
        total += elements
        if not kind or not name or not shape or len(shape) > 8 or total > MAX_ELEMENTS:
            return None
        zero = _ZEROS.get(kind, 0.0 if kind.startswith(("FP", "BF")) else 0)
        inputs.append({"name": name, "datatype": kind, "shape": shape, "data": [zero] * elements})
    if not inputs:
        return None
    takes = "text" if all(tensor["datatype"] == "BYTES" for tensor in inputs) else "tensors"
    kinds = {text_of(dict_of(output).get("datatype")) for output in list_of(metadata.get("outputs"))}
    gives = "text" if kinds == {"BYTES"} else "tensors"
    path = f"/v2/models/{model}/infer"
    return Tiny("infer", "one inference on empty tensors", takes, gives, path, _outputs, {"inputs": inputs})
