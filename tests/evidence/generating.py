"""Small real servers that generate: OpenAI-shaped, with counters of their own, and with faults to choose from."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

from checklists.evidence.probes import PROBES, Judgement, Target
from tests.evidence import loopback
from tests.evidence.loopback import Handler, Request, Server, loopback_client, routes, serving

MODEL = "tiny"
MODELS = {"object": "list", "data": [{"id": MODEL, "object": "model", "owned_by": "vllm", "max_model_len": 512}]}


def event(data: Any) -> bytes:
    return b"data: " + (data if isinstance(data, bytes) else json.dumps(data).encode()) + b"\n\n"


def chunk(**delta: Any) -> dict[str, Any]:
    return {"choices": [{"index": 0, "delta": delta}]}


def completion(text: str = "ready", **extra: Any) -> dict[str, Any]:
    return {
        "id": "c1",
        "object": "chat.completion",
        "model": MODEL,
        "choices": [{"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 12, "completion_tokens": 3},
        **extra,
    }


def error(request: Request, status: int, message: str = "no") -> None:
    request.reply(status, {"error": {"message": message, "type": "BadRequestError", "code": status}})


class Generator:
    """A vLLM-shaped server. Bad bodies get a structured 400; what it is asked for can be looked up in ``bodies``.

    ``answer(payload)`` may give another answer than the usual one: a dictionary, or a status.
    """

    def __init__(
        self,
        *,
        counts: bool = True,
        counts_errors: bool = True,
        done: bool = True,
        reasoning: bool = False,
        knows_options: bool = True,
        pause: float = 0.02,
        first_pause: float = 0.0,
        started: float | None = None,
        served: int = 100,
        answer: Callable[[dict[str, Any]], Any] | None = None,
    ) -> None:
        self.tokens, self.refused = served, 0
        self.counts, self.counts_errors, self.done, self.reasoning = counts, counts_errors, done, reasoning
        self.knows_options, self.pause, self.first_pause, self.started = knows_options, pause, first_pause, started
        self.answer = answer
        self.bodies: list[dict[str, Any]] = []

    def table(self) -> dict[str, Any]:
        return {"/v1/models": MODELS, "/metrics": self.metrics, "POST /v1/chat/completions": self.chat}

    def handler(self, *, key: str = "") -> Handler:
        return routes(self.table(), key=key)

    def metrics(self, request: Request) -> None:
        lines = [
            "# TYPE vllm:generation_tokens_total counter",
            f'vllm:generation_tokens_total{{model_name="m"}} {self.tokens}',
            "# TYPE http_requests_total counter",
            f'http_requests_total{{handler="/v1/chat/completions",status="2xx"}} {self.tokens}',
            f'http_requests_total{{handler="/v1/chat/completions",status="4xx"}} {self.refused}',
        ]
        if self.started is not None:
            lines += ["# TYPE process_start_time_seconds gauge", f"process_start_time_seconds {self.started}"]
        request.reply(200, "\n".join(lines) + "\n")

    def chat(self, request: Request) -> None:
        try:
            payload = request.json()
        except (ValueError, RecursionError):
            return self.refuse(request, "not JSON")
        messages = payload.get("messages") if isinstance(payload, dict) else None
        if not isinstance(messages, list) or not messages or not all(isinstance(m, dict) for m in messages):
            return self.refuse(request, "messages: input should be a list")
        if payload.get("max_tokens", 1) < 1 or not 0 <= payload.get("temperature", 0) <= 2:
            return self.refuse(request, "out of range")
        if len(str(messages)) > 4 * 512:
            return self.refuse(request, "This model's maximum context length is 512 tokens.")
        if not self.knows_options and "stream_options" in payload:
            return error(request, 400, "extra fields not permitted")
        self.bodies.append(payload)
        if self.answer is not None and (given := self.answer(payload)) is not None:
            return error(request, given) if isinstance(given, int) else request.reply(200, given)
        time.sleep(self.pause + (self.first_pause if len(self.bodies) == 1 else 0))
        if self.counts:
            self.tokens += 3
        return self.stream(request) if payload.get("stream") else request.reply(200, completion())

    def refuse(self, request: Request, message: str) -> None:
        self.refused += self.counts_errors
        error(request, 400, message)

    def stream(self, request: Request) -> None:
        request.raw.send_response(200)
        request.raw.send_header("Content-Type", "text/event-stream")
        request.raw.end_headers()
        out = request.raw.wfile
        out.write(event(chunk(role="assistant", content="")) + event(chunk(content="")))
        out.flush()
        time.sleep(self.pause)
        for word in ("read", "y"):
            out.write(event(chunk(reasoning_content=word) if self.reasoning else chunk(content=word)))
            out.flush()
            time.sleep(self.pause)
        if self.knows_options:
            out.write(event({"choices": [], "usage": {"prompt_tokens": 12, "completion_tokens": 3}}))
        if self.done:
            out.write(event(b"[DONE]"))


def look(probe: str, handler: Handler, *, timeout_s: float = 5.0, **target: Any) -> tuple[dict[str, Any], Server]:
    """What a probe sees at a server that runs for as long, and what the server was asked. Checks that it is JSON."""
    with serving(handler) as server:
        options: dict[str, Any] = {"may_generate": True, "stack": "vllm", **target}
        observation, _ = loopback.observe(
            probe, Target(name="main", url=server.url, **options), loopback_client(timeout_s=timeout_s)
        )
    return dict(json.loads(json.dumps(observation, allow_nan=False))), server


def judge(probe: str, item: str | None, claims: dict[str, Any], observation: dict[str, Any]) -> Judgement:
    """The judgement, whose reason is always a sentence."""
    judgement = PROBES[probe].judge(item, claims, observation)
    assert judgement.reason.endswith("."), judgement.reason
    return judgement
