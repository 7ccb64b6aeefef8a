"""What all generating probes share: the owner's leave, the model to ask for, the tiny request for its kind, sending."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

from checklists.evidence.probes.base import number_of, problem, text_of
from checklists.evidence.probes.generation import requests
from checklists.evidence.probes.generation.requests import Tiny
from checklists.evidence.probes.generation.streams import Stream
from checklists.evidence.probes.serving import called, served_models
from checklists.evidence.probes.visit import Answer, Observation, Visit
from checklists.evidence.units import milliseconds

TIMEOUT_S = 40.0  # of one tiny request: a model may have to be loaded for it
OPTIONAL = ("stream_options", "response_format")  # what a request can do without
NO_ROUTE = (404, 405, 501)
SERVES_NO_CHAT = ("kserve", "torchserve", "comfyui", "tei", "speaches")  # Speaches hands chats on to another server
CHANGED = "The claim changed since this was measured; probe again."


def forbidden(visit: Visit, *, burst: bool = False) -> Observation | None:
    """Why nothing may be sent to this endpoint; ``None`` where its owner allows it."""
    if not visit.target.may_generate:
        return {"error": "not_allowed", "why": "The owner has not allowed generating requests to this endpoint."}
    if burst and visit.target.scheduled:
        return {"error": "scheduled", "why": "A burst is never sent by the schedule; a person has to start it."}
    if burst and not visit.target.may_burst:
        return {"error": "not_allowed", "why": "The owner has not allowed a burst of requests to this endpoint."}
    return None


async def model_of(visit: Visit) -> str:
    """The name to ask for: the served one that the team claims, else that of the only model, else the claim; of several
    models that are called otherwise none, for it may be any."""
    rows, _ = await served_models(visit)
    hint = visit.target.model_hint
    for row in called(rows, hint):
        return text_of(row["id"])
    several = len({text_of(row.get("root") or row["id"]) for row in rows if not row.get("parent")}) > 1
    if hint and several:
        return hint if (await visit.stack()).partial else ""
    return text_of(rows[0]["id"]) if rows else hint


async def usual_request(visit: Visit, *, stream: bool = False) -> tuple[Tiny | None, Observation]:
    """The tiny request for this endpoint's kind of model, or why there is none."""
    stack, family = await visit.stack(), visit.target.family
    if stack.key == "comfyui":
        # A prompt joins the shared queue, and its picture stays on the server's disk: that is not harmless.
        return None, {
            "error": "not_tried",
            "why": "ComfyUI keeps what it makes and lets requests wait in one queue for all, so none is sent to it.",
        }
    model = await model_of(visit)
    if stack.key == "kserve":
        return await _infer(visit)
    if stack.key == "torchserve":
        return None, {
            "error": "not_tried",
            "why": "TorchServe declares no input of its models, so no small request can be made up for it.",
        }
    if not model and stack.key not in ("tei", "tgi"):
        rows, _ = await served_models(visit)
        none = f"none of the {len(rows)} models that are served is called {visit.target.model_hint}"
        why = f"No model name is known to ask for: {none if rows else 'the model list is empty or refused'}."
        return None, {"error": "no_model", "why": why}
    if family == "embedding":
        return requests.embedding(stack, model), {}
    if family == "diffusion":
        return requests.picture(model), {}
    if family == "audio":
        return requests.transcription(model), {}
    if family == "vision":
        return requests.chat_with(model, requests.picture_part(), "image"), {}
    return requests.chat(model, stream=stream), {}


async def _infer(visit: Visit) -> tuple[Tiny | None, Observation]:
    model = visit.target.model_hint
    if not model:
        return None, {"error": "no_model", "why": "The KServe v2 protocol lists no models, and no model id is claimed."}
    answer = await visit.get(f"/v2/models/{model}")
    if not answer.ok:
        return None, {**problem(answer), "why": f"/v2/models/{model}: {answer.why}"}
    if request := requests.tensors(model, answer.object()):
        return request, {}
    return None, {
        "error": "not_tried",
        "why": f"/v2/models/{model} declares no input that a small request could be made for.",
    }


@dataclass(frozen=True)
class Sent:
    """A tiny request that was answered, or why not. ``why`` is empty where the answer holds what was asked for."""

    request: Tiny
    answer: Answer
    stream: Stream | None
    why: str

    @property
    def ok(self) -> bool:
        return not self.why

    @property
    def total_ms(self) -> float:
        return round(milliseconds(self.answer.response.elapsed_s), 1) if self.answer.response else 0.0


async def send(visit: Visit, request: Tiny, *, timeout_s: float = TIMEOUT_S, in_turn: bool = True) -> Sent:
    """Send it once, or twice where a server does not know an option that the request can do without.

    ``in_turn=False``: as a part of a burst."""
    sent = await _send(visit, request, timeout_s, in_turn)
    payload = request.payload
    if sent.answer.status in (400, 422) and isinstance(payload, dict) and any(key in payload for key in OPTIONAL):
        older = {key: value for key, value in payload.items() if key not in OPTIONAL}
        return await _send(visit, dataclasses.replace(request, payload=older), timeout_s, in_turn)
    return sent


async def _send(visit: Visit, request: Tiny, timeout_s: float, in_turn: bool) -> Sent:
    stream = Stream() if request.streams else None
    answer = await visit.post(
        request.path,
        request.payload,
        timeout_s=timeout_s,
        on_chunk=stream.feed if stream else None,
        content=request.content,
        content_type=request.content_type,
        in_turn=in_turn,
    )
    if not answer.ok or answer.response is None:
        return Sent(request, answer, stream, answer.why)
    if stream is None:
        lacking = request.missing(answer)
        why = f"The server answered {answer.status}, but with {lacking}." if lacking else ""
        why = answer.why if answer.response.truncated else why
        return Sent(request, answer, None, why)
    stream.end(answer.response.elapsed_s)
    if answer.response.truncated:
        return Sent(request, answer, stream, answer.why)
    if not stream.error and not stream.has_content and not request.missing(answer):
        return Sent(request, answer, None, "")  # asked for a stream, it answered whole
    if stream.error or not stream.has_content:
        return Sent(
            request, answer, stream, f"The server answered {answer.status}, but {stream.error or 'sent no content'}."
        )
    return Sent(request, answer, stream, "")


def as_known(request: Tiny, sent: Sent) -> Tiny:
    """A request without the options that the server, as it answered one like it, turned out not to know."""
    known, payload = sent.request.payload, request.payload
    if not isinstance(payload, dict) or not isinstance(known, dict):
        return request
    kept = {key: value for key, value in payload.items() if key in known or key not in OPTIONAL}
    return dataclasses.replace(request, payload=kept)


def failed(sent: Sent) -> Observation:
    """A tiny request without an answer, as an observation."""
    error = problem(sent.answer)["error"] if not sent.answer.ok else "no_content"
    return {"error": error, "why": f"The small request failed. {sent.why}"}


def words_of(answer: Answer) -> str:
    """What a server says in its error, shortened; empty where it says nothing."""
    if answer.response is None:
        return ""
    text = " ".join(answer.response.text[:2000].split())
    return text[:200]


def claimed_of(visit: Visit, item: str) -> dict[str, Any]:
    return dict(visit.target.claims.get(item) or {})


def counted(value: Any) -> int:
    """A count from an observation; 0 for anything else."""
    return int(number_of(value) or 0)
