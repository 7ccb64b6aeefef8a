"""Chat and text completions in OpenAI's shape, streamed or whole, at a real pace."""

from __future__ import annotations

import json
import re
import time
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

from portal.demo.serving.base import (
    Refused,
    Reply,
    Request,
    Served,
    count_tokens,
    json_reply,
    openai_error,
    whole_number,
)

WORDS = [
    "Thank",
    "you",
    "for",
    "your",
    "question",
    ".",
    "Here",
    "is",
    "a",
    "short",
    "and",
    "plain",
    "answer",
    "that",
    "a",
    "customer",
    "can",
    "act",
    "on",
    "today",
    ".",
]

# To a few prompts the answer fits; what would harm somebody is refused.
FITTING = {
    "capital of France": ("Paris", "."),
    "birthday": ("Happy", "birthday", ",", "dear", "neighbour", "!"),
}
REFUSED = re.compile("pretends to|threaten|ruin|worth less|invented signature|without being noticed")
REFUSAL = ("I'm", "sorry", ",", "I", "can't", "help", "with", "that", ".")


@dataclass(frozen=True)
class Pace:
    """Seconds until the first token, and between two tokens."""

    first: float = 0.03
    between: float = 0.004


@dataclass(frozen=True)
class Timing:
    """What one generation took, in seconds, for the counters."""

    prompt_tokens: int
    tokens: int
    first: float
    total: float


@dataclass(frozen=True)
class Job:
    """A checked request for a generation."""

    chat: bool
    model: str
    words: tuple[str, ...]
    prompt_tokens: int
    wanted: int
    stream: bool
    usage: bool

    @property
    def usage_body(self) -> dict[str, int]:
        return {
            "prompt_tokens": self.prompt_tokens,
            "completion_tokens": self.wanted,
            "total_tokens": self.prompt_tokens + self.wanted,
        }

    @property
    def finish(self) -> str:
        return "length" if self.wanted < len(self.words) else "stop"


def words_for(served: Served, prompt: Any) -> tuple[str, ...]:
    """What these weights say to this prompt: always the same, and other weights mostly say something else."""
    text = json.dumps(prompt)
    if REFUSED.search(text):
        return REFUSAL
    for part, answer in FITTING.items():
        if part in text:
            return answer
    start = zlib.crc32(f"{served.path} {text}".encode()) % len(WORDS)
    return (*WORDS[start:], *WORDS[:start])


def read_job(request: Request, limit: int, too_long: Callable[[int, int], Reply]) -> Job:
    """Check the body as the servers do. Raises ``Refused``: 400 for a bad body, 404 for another model, ``too_long``."""
    model: str = request.served.id
    chat = request.path.endswith("/chat/completions")
    content = request.json()
    prompt: Any = content.get("messages" if chat else "prompt")
    if not prompt or (
        chat and not (isinstance(prompt, list) and all(isinstance(m, dict) and "role" in m for m in prompt))
    ):
        raise Refused(openai_error(f"Field required: {'messages' if chat else 'prompt'}"))
    if content.get("model", model) not in (model, f"{model}:latest"):
        raise Refused(openai_error(f"The model `{content['model']}` does not exist.", 404, 404, "NotFoundError"))
    wanted = whole_number(content, "max_completion_tokens", "max_tokens", default=len(WORDS))
    temperature = content.get("temperature", 1)
    if isinstance(temperature, int | float) and temperature < 0:
        raise Refused(openai_error(f"temperature must be non-negative, got {temperature}."))
    tokens = count_tokens(prompt)
    if tokens > limit or ("max_tokens" in content and tokens + wanted > limit):
        raise Refused(too_long(tokens, wanted))
    words = words_for(request.served, prompt)
    options = content.get("stream_options") or {}
    return Job(
        chat=chat,
        model=model,
        words=words,
        prompt_tokens=tokens,
        wanted=min(wanted, len(words)),
        stream=bool(content.get("stream")),
        usage=isinstance(options, dict) and bool(options.get("include_usage")),
    )


class Counting(Protocol):
    """What keeps a model's counters."""

    def begin(self) -> None: ...

    def finish(self, timing: Timing, reason: str) -> None: ...


def generate(job: Job, pace: Pace, counting: Counting) -> Reply:
    """Answer at this pace; ``counting`` hears what it took, also when it was streamed or the caller went away."""
    if job.stream:
        return Reply(_events(job, pace, counting), content_type="text/event-stream; charset=utf-8")
    begun = time.monotonic()
    counting.begin()
    time.sleep(pace.first + pace.between * (job.wanted - 1))
    counting.finish(Timing(job.prompt_tokens, job.wanted, pace.first, time.monotonic() - begun), job.finish)
    text = " ".join(job.words[: job.wanted])
    piece = {"message": {"role": "assistant", "content": text}} if job.chat else {"text": text}
    choice = {"index": 0, **piece, "logprobs": None, "finish_reason": job.finish}
    return json_reply(
        {
            **_head(job, "chat.completion" if job.chat else "text_completion"),
            "choices": [choice],
            "usage": job.usage_body,
        }
    )


def _head(job: Job, kind: str) -> dict[str, Any]:
    now = time.time_ns()
    return {
        "id": f"{'chatcmpl' if job.chat else 'cmpl'}-{now:x}",
        "object": kind,
        "created": now // 10**9,
        "model": job.model,
    }


def _events(job: Job, pace: Pace, counting: Counting) -> Iterator[bytes]:
    head = _head(job, "chat.completion.chunk" if job.chat else "text_completion")

    def event(choices: list[dict[str, Any]], **extra: Any) -> bytes:
        return b"data: " + json.dumps({**head, "choices": choices, **extra}).encode() + b"\n\n"

    def choice(text: str, finish: str | None = None) -> dict[str, Any]:
        piece = {"delta": {"content": text} if text else {}} if job.chat else {"text": text}
        return {"index": 0, **piece, "logprobs": None, "finish_reason": finish}

    begun, first, sent, reason = time.monotonic(), 0.0, 0, "abort"
    counting.begin()
    try:
        if job.chat:  # the role comes first, empty: it is not the first token
            yield event(
                [{"index": 0, "delta": {"role": "assistant", "content": ""}, "logprobs": None, "finish_reason": None}]
            )
        time.sleep(pace.first)
        first = time.monotonic() - begun
        for place in range(job.wanted):
            if place:
                time.sleep(pace.between)
            yield event([choice(("" if place == 0 else " ") + job.words[place])])
            sent += 1
        reason = job.finish
    finally:
        counting.finish(Timing(job.prompt_tokens, sent, first, time.monotonic() - begun), reason)
    yield event([choice("", job.finish)])
    if job.usage:
        yield event([], usage=job.usage_body)
    yield b"data: [DONE]\n\n"
