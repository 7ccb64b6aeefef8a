"""Hugging Face Text Embeddings Inference."""

from __future__ import annotations

import math
import random
import threading
import time
import zlib
from typing import Any, ClassVar

from portal.demo.serving.base import (
    Refused,
    Reply,
    Request,
    Route,
    Served,
    Stack,
    count_tokens,
    json_reply,
    revision_of,
)
from portal.demo.serving.meters import Histogram, Meter, Metric, exposition, stable

MAX_INPUT = 8_192
MAX_BATCH = 32
DIMENSIONS = 384
SECONDS = (
    0.001,
    0.0015,
    0.00225,
    0.0034,
    0.005,
    0.0076,
    0.0114,
    0.0171,
    0.0256,
    0.0384,
    0.0577,
    0.0865,
    0.13,
    0.195,
    0.292,
    0.438,
    0.657,
    0.985,
    1.478,
    2.217,
)
LENGTHS = (16.0, 32.0, 64.0, 128.0, 256.0, 512.0, 1024.0, 2048.0, 4096.0, 8192.0)


class Model(Served):
    def __init__(self, slug: str, version: str) -> None:
        super().__init__(slug, version, threading.Lock())
        total = stable(f"{slug}/{version}", 20_000, 400_000)
        self.requests = Meter("te_request_count", "counter", "Requests.", {(("method", "batch"),): float(total)})
        self.success = Meter(
            "te_request_success", "counter", "Requests answered.", {(("method", "batch"),): float(total - total // 500)}
        )
        self.failure = Meter(
            "te_request_failure", "counter", "Requests refused.", {(("err", "validation"),): float(total // 500)}
        )
        self.duration = Histogram("te_request_duration", "Seconds per request.", SECONDS).seed(
            total, {0.0114: 0.4, 0.0256: 0.45, 0.0577: 0.14, 0.13: 0.01}
        )
        self.queue = Histogram("te_request_queue_duration", "Seconds in the queue.", SECONDS).seed(
            total, {0.001: 0.8, 0.005: 0.2}
        )
        self.inference = Histogram("te_request_inference_duration", "Seconds of inference.", SECONDS).seed(
            total, {0.0076: 0.45, 0.0171: 0.45, 0.0384: 0.1}
        )
        self.tokenization = Histogram("te_request_tokenization_duration", "Seconds of tokenisation.", SECONDS).seed(
            total, {0.001: 0.9, 0.0034: 0.1}
        )
        self.length = Histogram("te_request_input_length", "Tokens per input.", LENGTHS).seed(
            total, {64.0: 0.3, 256.0: 0.5, 1024.0: 0.2}
        )
        self.queued = Meter("te_queue_size", "gauge", "Requests in the queue.", {(): 0.0})
        self.batch = Meter("te_batch_next_size", "gauge", "Size of the next batch.", {(): 4.0})

    def embed(self, texts: list[str]) -> list[list[float]]:
        """Unit vectors, the same for the same text."""
        time.sleep(0.004 * len(texts))
        vectors = []
        for text in texts:
            source = random.Random(zlib.crc32(f"{self.slug}:{text}".encode("utf-8", "replace")))  # noqa: S311  # a stand-in for a model, not a secret
            raw = [source.gauss(0, 1) for _ in range(DIMENSIONS)]
            norm = math.sqrt(sum(x * x for x in raw))
            vectors.append([round(x / norm, 6) for x in raw])
        return vectors


class TEI(Stack):
    name = "embedding"
    guarded = ("/v1/", "/embed", "/info", "/tokenize", "/rerank", "/metrics")

    def make(self, slug: str, version: str) -> Model:
        return Model(slug, version)

    def health(self, request: Request) -> Reply:
        return Reply(b"", content_type="text/plain; charset=utf-8")

    def info(self, request: Request) -> Reply:
        served: Model = request.served
        return json_reply(
            {
                "model_id": served.id,
                "model_sha": revision_of(served.slug, served.version),
                "model_dtype": "float16",
                "model_type": {"embedding": {"pooling": "cls"}},
                "max_concurrent_requests": 512,
                "max_input_length": MAX_INPUT,
                "max_batch_tokens": 16_384,
                "max_batch_requests": None,
                "max_client_batch_size": MAX_BATCH,
                "auto_truncate": False,
                "tokenization_workers": 8,
                "version": "1.8.2",
                "sha": "a69cc2ee285ca87a6c5f",
                "docker_label": "sha-a69cc2e",
            }
        )

    def metrics(self, request: Request) -> Reply:
        served: Model = request.served
        meters: list[Metric] = [
            served.requests,
            served.success,
            served.failure,
            served.duration,
            served.queue,
            served.inference,
            served.tokenization,
            served.length,
            served.queued,
            served.batch,
        ]
        with served.lock:
            text = exposition(meters, {})
        return Reply(text.encode(), content_type="text/plain; charset=utf-8")

    def texts(self, request: Request, field: str) -> list[str]:
        given: Any = request.json().get(field)
        texts = given if isinstance(given, list) else [given]
        if not texts or not all(isinstance(text, str) and text for text in texts):
            raise Refused(refuse(f"`{field}` cannot be empty", "Empty", 400))
        if len(texts) > MAX_BATCH:
            raise Refused(
                refuse(f"batch size {len(texts)} > maximum allowed batch size {MAX_BATCH}", "Validation", 422)
            )
        longest = max(map(count_tokens, texts))
        if longest > MAX_INPUT:
            raise Refused(
                refuse(
                    f"Input validation error: `{field}` must have less than {MAX_INPUT} tokens. Given: {longest}",
                    "Validation",
                    413,
                )
            )
        return texts

    def _embed(self, request: Request, field: str) -> tuple[list[list[float]], int, dict[str, str]]:
        served: Model = request.served
        texts = self.texts(request, field)
        begun = time.monotonic()
        vectors = served.embed(texts)
        took = time.monotonic() - begun
        tokens = sum(map(count_tokens, texts))
        with served.lock:
            served.duration.observe(took)
            served.queue.observe(0.0003)
            served.inference.observe(took)
            served.tokenization.observe(0.0002)
            served.length.observe(tokens / len(texts))
        milliseconds = str(round(took * 1000))
        return (
            vectors,
            tokens,
            {
                "x-compute-tokens": str(tokens),
                "x-total-time": milliseconds,
                "x-queue-time": "0",
                "x-inference-time": milliseconds,
            },
        )

    def embed(self, request: Request) -> Reply:
        vectors, _, headers = self._embed(request, "inputs")
        return json_reply(vectors, headers=headers)

    def openai_embed(self, request: Request) -> Reply:
        vectors, tokens, headers = self._embed(request, "input")
        data = [{"object": "embedding", "embedding": vector, "index": place} for place, vector in enumerate(vectors)]
        usage = {"prompt_tokens": tokens, "total_tokens": tokens}
        return json_reply({"object": "list", "data": data, "model": request.served.id, "usage": usage}, headers=headers)

    def tokenise(self, request: Request) -> Reply:
        texts = self.texts(request, "inputs")
        return json_reply(
            [
                [
                    {"id": 1000 + i, "text": word, "special": False, "start": None, "stop": None}
                    for i, word in enumerate(text.split())
                ]
                for text in texts
            ]
        )

    def count(self, served: Model, method: str, route: str, status: int) -> None:
        if method == "POST":
            with served.lock:
                served.requests.add(1, method="batch")
                if status < 400:
                    served.success.add(1, method="batch")
                else:
                    served.failure.add(1, err="validation")

    routes: ClassVar[dict[tuple[str, str], Route]] = {
        ("GET", "/health"): health,
        ("GET", "/info"): info,
        ("GET", "/metrics"): metrics,
        ("POST", "/embed"): embed,
        ("POST", "/v1/embeddings"): openai_embed,
        ("POST", "/tokenize"): tokenise,
    }


def refuse(message: str, kind: str, status: int) -> Reply:
    return json_reply({"error": message, "error_type": kind}, status)
