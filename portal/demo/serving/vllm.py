"""vLLM (V1 engine): healthy, open without a key, with a smaller context, and slow."""

from __future__ import annotations

from typing import Any, ClassVar

from portal.demo.serving.base import (
    FRAGILE,
    STARTED,
    Refused,
    Reply,
    Request,
    Route,
    Stack,
    count_tokens,
    json_reply,
    openai_error,
)
from portal.demo.serving.meters import stable
from portal.demo.serving.openai import Pace, Timing, generate, read_job
from portal.demo.serving.speaches import transcribe
from portal.demo.serving.vllm_meters import Model

VERSION = "0.33.0"
CONTEXT = 32_768
SMALL_CONTEXT = 8_192


class VLLM(Stack):
    name = "vllm"
    context: ClassVar[int] = CONTEXT
    pace: ClassVar[Pace] = Pace()
    # vLLM's own key guards /v1 alone; these stand behind a gateway that lets nothing else but health through.
    guarded = ("/v1/", "/tokenize", "/detokenize", "/metrics", "/load")

    def make(self, slug: str, version: str) -> Model:
        return Model(slug, version, slow=self.pace.first > 1)

    def health(self, request: Request) -> Reply:
        return Reply(b"", content_type="text/plain; charset=utf-8")

    def version(self, request: Request) -> Reply:
        return json_reply({"version": VERSION})

    def load(self, request: Request) -> Reply:
        return json_reply({"server_load": int(request.served.numbers["num_requests_running"].values[()])})

    def models(self, request: Request) -> Reply:
        served: Model = request.served
        permission = {
            "id": f"modelperm-{stable(served.id, 10**8, 10**9):x}",
            "object": "model_permission",
            "created": int(STARTED),
            "allow_create_engine": False,
            "allow_sampling": True,
            "allow_logprobs": True,
            "allow_search_indices": False,
            "allow_view": True,
            "allow_fine_tuning": False,
            "organization": "*",
            "group": None,
            "is_blocking": False,
        }
        card = {
            "id": served.id,
            "object": "model",
            "created": int(STARTED),
            "owned_by": "vllm",
            "root": served.repository,
            "parent": None,
            "max_model_len": self.context,
            "permission": [permission],
        }
        return json_reply({"object": "list", "data": [card]})

    def metrics(self, request: Request) -> Reply:
        served: Model = request.served
        return Reply(served.exposition().encode(), content_type="text/plain; version=0.0.4; charset=utf-8")

    def complete(self, request: Request) -> Reply:
        served: Model = request.served
        if (served.slug, served.version) in FRAGILE and b'"temperature": -' in request.body:
            raise Refused(openai_error("Internal server error", 500, 500, "InternalServerError"))
        return generate(read_job(request, self.context, self.too_long), self.pace, served)

    def too_long(self, tokens: int, wanted: int) -> Reply:
        return openai_error(
            f"This model's maximum context length is {self.context} tokens. However, you requested "
            f"{tokens + wanted} tokens ({tokens} in the messages, {wanted} in the completion). Please reduce the "
            "length of the messages or completion.",
            code="context_length_exceeded",
        )

    def tokenise(self, request: Request) -> Reply:
        content = request.json()
        prompt: Any = content.get("prompt") or content.get("messages")
        if not prompt:
            raise Refused(openai_error("Field required: prompt"))
        number = count_tokens(prompt)
        return json_reply(
            {
                "count": number,
                "max_model_len": self.context,
                "tokens": list(range(1000, 1000 + min(number, 4096))),
                "token_strs": None,
            }
        )

    def detokenise(self, request: Request) -> Reply:
        tokens = request.json().get("tokens")
        if not isinstance(tokens, list):
            raise Refused(openai_error("Field required: tokens"))
        return json_reply({"prompt": " ".join("word" for _ in tokens[:4096])})

    def count(self, served: Model, method: str, route: str, status: int) -> None:
        with served.lock:
            served.requests.add(1, handler=route, method=method, status=f"{status // 100}xx")

    routes: ClassVar[dict[tuple[str, str], Route]] = {
        ("GET", "/health"): health,
        ("GET", "/ping"): health,
        ("POST", "/ping"): health,
        ("GET", "/version"): version,
        ("GET", "/load"): load,
        ("GET", "/metrics"): metrics,
        ("GET", "/v1/models"): models,
        ("POST", "/v1/chat/completions"): complete,
        ("POST", "/v1/completions"): complete,
        ("POST", "/tokenize"): tokenise,
        ("POST", "/detokenize"): detokenise,
    }


class OpenVLLM(VLLM):
    """Started without a key; it takes sound."""

    name = "open"
    locked = False

    def transcribe(self, request: Request) -> Reply:
        reply = transcribe(request)
        served: Model = request.served
        served.begin()
        served.finish(Timing(prompt_tokens=40, tokens=12, first=0.03, total=0.08), "stop")
        return reply

    routes: ClassVar[dict[tuple[str, str], Route]] = {
        **VLLM.routes,
        ("POST", "/v1/audio/transcriptions"): transcribe,
    }


class SmallVLLM(VLLM):
    """Started with a quarter of the context that its team claims."""

    name = "small"
    context = SMALL_CONTEXT


class SlowVLLM(VLLM):
    """First tokens take their time."""

    name = "slow"
    pace = Pace(first=1.15, between=0.006)
