"""Ollama, behind a gateway that asks for a key."""

from __future__ import annotations

import time
from typing import ClassVar

from portal.demo.serving.base import (
    STARTED,
    Refused,
    Reply,
    Request,
    Route,
    Served,
    Stack,
    digest_of,
    json_reply,
    openai_error,
    text_reply,
)
from portal.demo.serving.openai import WORDS, Pace, Timing, generate, read_job

CONTEXT = 8_192  # num_ctx; the weights were trained on more


class OllamaModel(Served):
    """Ollama counts nothing."""

    @property
    def tag(self) -> str:
        return f"{self.id}:latest"

    def begin(self) -> None: ...

    def finish(self, timing: Timing, reason: str) -> None: ...

    def card(self) -> dict[str, object]:
        details = {
            "parent_model": "",
            "format": "gguf",
            "family": "llama",
            "families": ["llama"],
            "parameter_size": "8.0B",
            "quantization_level": "Q4_K_M",
        }
        digest = digest_of(self.slug, self.version)
        return {"name": self.tag, "model": self.tag, "size": 4_920_753_328, "digest": digest, "details": details}


class Ollama(Stack):
    """Ollama knows no key; the gateway before it asks for one on everything but the greeting."""

    name = "ollama"
    software = "nginx"
    guarded = ("/v1/", "/api/")

    def make(self, slug: str, version: str) -> OllamaModel:
        return OllamaModel(slug, version)

    def greeting(self, request: Request) -> Reply:
        return text_reply("Ollama is running")

    def version(self, request: Request) -> Reply:
        return json_reply({"version": "0.12.11"})

    def tags(self, request: Request) -> Reply:
        return json_reply(
            {
                "models": [
                    {**request.served.card(), "modified_at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(STARTED))}
                ]
            }
        )

    def running(self, request: Request) -> Reply:
        return json_reply(
            {
                "models": [
                    {
                        **request.served.card(),
                        "expires_at": "2099-01-01T00:00:00Z",
                        "size_vram": 6_434_705_408,
                        "context_length": CONTEXT,
                    }
                ]
            }
        )

    def show(self, request: Request) -> Reply:
        served: OllamaModel = request.served
        content = request.json()
        if (content.get("model") or content.get("name")) not in (served.id, served.tag):
            raise Refused(json_reply({"error": f"model '{content.get('model')}' not found"}, 404))
        info = {
            "general.architecture": "llama",
            "general.parameter_count": 8_030_261_312,
            "llama.context_length": 131_072,
            "llama.embedding_length": 4_096,
        }
        return json_reply(
            {
                "license": "",
                "modelfile": "",
                "parameters": f"num_ctx {CONTEXT}",
                "template": "",
                "details": served.card()["details"],
                "model_info": info,
                "capabilities": ["completion", "tools"],
            }
        )

    def models(self, request: Request) -> Reply:
        return json_reply(
            {
                "object": "list",
                "data": [{"id": request.served.tag, "object": "model", "created": int(STARTED), "owned_by": "library"}],
            }
        )

    def complete(self, request: Request) -> Reply:
        served: OllamaModel = request.served
        return generate(read_job(request, CONTEXT, too_long_openai), Pace(0.05, 0.008), served)

    def generate_own(self, request: Request) -> Reply:
        """``/api/generate`` and ``/api/chat``, whole, with timings in nanoseconds."""
        served: OllamaModel = request.served
        content = request.json()
        if content.get("model") not in (served.id, served.tag):
            raise Refused(json_reply({"error": f"model '{content.get('model')}' not found"}, 404))
        begun = time.monotonic_ns()
        time.sleep(0.05 + 0.008 * len(WORDS))
        took = time.monotonic_ns() - begun
        text = " ".join(WORDS)
        piece = (
            {"message": {"role": "assistant", "content": text}} if request.path == "/api/chat" else {"response": text}
        )
        timings = {
            "total_duration": took,
            "load_duration": 12_000_000,
            "prompt_eval_count": 12,
            "prompt_eval_duration": 38_000_000,
            "eval_count": len(WORDS),
            "eval_duration": took - 50_000_000,
        }
        return json_reply(
            {
                "model": served.tag,
                "created_at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
                **piece,
                "done": True,
                "done_reason": "stop",
                **timings,
            }
        )

    routes: ClassVar[dict[tuple[str, str], Route]] = {
        ("GET", "/"): greeting,
        ("GET", "/api/version"): version,
        ("GET", "/api/tags"): tags,
        ("GET", "/api/ps"): running,
        ("POST", "/api/show"): show,
        ("POST", "/api/generate"): generate_own,
        ("POST", "/api/chat"): generate_own,
        ("GET", "/v1/models"): models,
        ("POST", "/v1/chat/completions"): complete,
        ("POST", "/v1/completions"): complete,
    }


def too_long_openai(tokens: int, wanted: int) -> Reply:
    return openai_error(
        f"The input is {tokens} tokens long; at most {CONTEXT} fit.",
        code="context_length_exceeded",
        kind="invalid_request_error",
    )
