"""llama.cpp's server, with a context split over its slots."""

from __future__ import annotations

import threading
from typing import ClassVar

from portal.demo.serving.base import (
    STARTED,
    Reply,
    Request,
    Route,
    Served,
    Stack,
    count_tokens,
    json_reply,
)
from portal.demo.serving.meters import Meter, exposition, stable
from portal.demo.serving.openai import Pace, Timing, generate, read_job

SLOTS = 4
SLOT_CONTEXT = 8_192  # -c 32768 over four slots


class LlamaModel(Served):
    def __init__(self, slug: str, version: str) -> None:
        super().__init__(slug, version, threading.Lock())
        total = float(stable(f"{slug}/{version}", 9_000, 60_000))
        self.prompt_tokens = Meter(
            "llamacpp:prompt_tokens_total", "counter", "Number of prompt tokens processed.", {(): total * 30}
        )
        self.prompt_seconds = Meter("llamacpp:prompt_seconds_total", "counter", "Prompt process time", {(): total / 20})
        self.predicted = Meter(
            "llamacpp:tokens_predicted_total", "counter", "Number of generation tokens processed.", {(): total * 60}
        )
        self.predicted_seconds = Meter(
            "llamacpp:tokens_predicted_seconds_total", "counter", "Predict process time", {(): total * 1.2}
        )
        self.processing = Meter("llamacpp:requests_processing", "gauge", "Number of requests processing.", {(): 0.0})
        self.deferred = Meter("llamacpp:requests_deferred", "gauge", "Number of requests deferred.", {(): 0.0})

    def begin(self) -> None:
        with self.lock:
            self.processing.add(1)

    def finish(self, timing: Timing, reason: str) -> None:
        with self.lock:
            self.processing.add(-1)
            self.prompt_tokens.add(timing.prompt_tokens)
            self.prompt_seconds.add(timing.first)
            self.predicted.add(timing.tokens)
            self.predicted_seconds.add(timing.total - timing.first)


class LlamaCpp(Stack):
    name = "llamacpp"
    software = "llama.cpp"
    guarded = ("/v1/", "/props", "/slots", "/metrics", "/tokenize")

    def make(self, slug: str, version: str) -> LlamaModel:
        return LlamaModel(slug, version)

    def unauthorised(self) -> Reply:
        return json_reply({"error": {"message": "Invalid API Key", "type": "authentication_error", "code": 401}}, 401)

    def health(self, request: Request) -> Reply:
        return json_reply({"status": "ok"})

    def models(self, request: Request) -> Reply:
        meta = {
            "vocab_type": 2,
            "n_vocab": 128_256,
            "n_ctx": SLOT_CONTEXT,
            "n_ctx_train": 131_072,
            "n_embd": 3_072,
            "n_params": 3_212_749_888,
            "size": 2_011_539_712,
            "ftype": "Q4_K - Medium",
        }
        card = {
            "id": request.served.id,
            "object": "model",
            "created": int(STARTED),
            "owned_by": "llamacpp",
            "meta": meta,
        }
        return json_reply({"object": "list", "data": [card]})

    def props(self, request: Request) -> Reply:
        served: LlamaModel = request.served
        return json_reply(
            {
                "default_generation_settings": {
                    "id": 0,
                    "n_ctx": SLOT_CONTEXT,
                    "speculative": False,
                    "is_processing": False,
                },
                "total_slots": SLOTS,
                "model_alias": served.id,
                "model_path": f"{served.path}-Q4_K_M.gguf",
                "modalities": {"vision": False, "audio": False},
                "endpoint_slots": True,
                "endpoint_props": False,
                "endpoint_metrics": True,
                "chat_template": "",
                "bos_token": "<s>",
                "eos_token": "</s>",
                "build_info": "b7126-e7b6d83",
            }
        )

    def slots(self, request: Request) -> Reply:
        return json_reply(
            [
                {"id": place, "n_ctx": SLOT_CONTEXT, "speculative": False, "is_processing": False}
                for place in range(SLOTS)
            ]
        )

    def metrics(self, request: Request) -> Reply:
        served: LlamaModel = request.served
        with served.lock:
            text = exposition(
                [
                    served.prompt_tokens,
                    served.prompt_seconds,
                    served.predicted,
                    served.predicted_seconds,
                    served.processing,
                    served.deferred,
                ],
                {},
            )
        return Reply(text.encode(), content_type="text/plain; version=0.0.4")

    def complete(self, request: Request) -> Reply:
        served: LlamaModel = request.served
        return generate(read_job(request, SLOT_CONTEXT, self.too_long), Pace(0.04, 0.008), served)

    def too_long(self, tokens: int, wanted: int) -> Reply:
        message = "the request exceeds the available context size, try increasing it"
        return json_reply(
            {
                "error": {
                    "code": 400,
                    "message": message,
                    "type": "exceed_context_size_error",
                    "n_prompt_tokens": tokens,
                    "n_ctx": SLOT_CONTEXT,
                }
            },
            400,
        )

    def tokenise(self, request: Request) -> Reply:
        return json_reply({"tokens": list(range(min(count_tokens(request.json().get("content") or ""), 4096)))})

    routes: ClassVar[dict[tuple[str, str], Route]] = {
        ("GET", "/health"): health,
        ("GET", "/props"): props,
        ("GET", "/slots"): slots,
        ("GET", "/metrics"): metrics,
        ("GET", "/v1/models"): models,
        ("POST", "/v1/chat/completions"): complete,
        ("POST", "/v1/completions"): complete,
        ("POST", "/tokenize"): tokenise,
    }
