from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from checklists.evidence import metrics
from checklists.evidence.probes.base import (
    CONTRADICTED,
    NONE,
    VERIFIED,
    Answer,
    Claims,
    Judgement,
    Observation,
    Probe,
    Visit,
    dict_of,
    fact_error,
    inconclusive,
    joined,
    list_of,
    nothing_claimed,
    number_of,
    plain,
    text_of,
    texts_of,
)
from checklists.evidence.probes.identity import same_name, served_models
from checklists.evidence.probes.metrics_page import page_stack, read_page
from checklists.evidence.stacks import COUNTER_MEANINGS

MAX_TOKENS = 16
TIMEOUT_S = 40.0
SCRAPE_PAUSES = (0.0, 0.4, 1.0, 2.0)  # exporters publish with a delay
TEXT = {"text", "txt", "string"}
VECTOR = {"embedding", "embeddings", "vector", "vectors"}


class Stream:
    """Server-sent events of a chat completion as they come: when the first content came, and what was counted."""

    def __init__(self) -> None:
        self.rest = b""
        self.first_content_s: float | None = None
        self.first_reasoning_s: float | None = None
        self.last_s: float | None = None
        self.content_chunks = 0
        self.usage: dict[str, Any] = {}
        self.error = ""
        self.done = False

    def feed(self, seconds: float, data: bytes) -> bool:
        """Take the next bytes; True when the stream has said that it is over."""
        *lines, self.rest = (self.rest + data).split(b"\n")
        for line in lines:
            self._line(seconds, line.strip())
        return self.done

    def _line(self, seconds: float, line: bytes) -> None:
        if not line.startswith(b"data:"):
            return
        text = line[5:].strip()
        if text == b"[DONE]":  # some servers never send it: the end of the body is as good
            self.done = True
            return
        try:
            event = dict_of(json.loads(text))
        except (ValueError, RecursionError):
            return
        if event.get("error"):
            self.error = "error in the stream"
        if isinstance(event.get("usage"), dict):
            self.usage = event["usage"]
        for choice in list_of(event.get("choices")):
            delta = dict_of(dict_of(choice).get("delta"))
            # The role chunk and empty chunks are no content.
            if isinstance(delta.get("content"), str) and delta["content"]:
                self.first_content_s = seconds if self.first_content_s is None else self.first_content_s
                self.last_s = seconds
                self.content_chunks += 1
            reasoning = delta.get("reasoning_content") or delta.get("reasoning")
            if isinstance(reasoning, str) and reasoning and self.first_reasoning_s is None:
                self.first_reasoning_s = seconds


class SmallGeneration(Probe):
    """One tiny request: does it work, when does the first content come, and do the server's counters move?"""

    key = "generation.small"
    title = "One small generation"
    items = ("performance.latency-targets", "observability.throughput", "identity.modalities")
    about_endpoint = True
    sends = (
        f"One streamed chat completion of at most {MAX_TOKENS} tokens (or one embedding of two words), "
        "and GETs of the metrics page before and after."
    )
    generates = True
    ttl = timedelta(days=7)

    async def observe(self, visit: Visit) -> Observation:
        family = visit.target.family
        if not visit.target.may_generate:
            return {"error": "not_allowed", "why": "The owner has not allowed generating requests to this endpoint."}
        if family not in ("llm", "multimodal", "embedding"):
            return {"error": "not_tried", "why": f"There is no small request yet for the family {family}."}
        if (await visit.stack()).key in ("kserve", "torchserve", "comfyui"):
            return {
                "error": "not_tried",
                "why": f"{(await visit.stack()).label} has no OpenAI-compatible route for one small request.",
            }
        model = await self._model(visit)
        if not model:
            return {
                "error": "no_model",
                "why": "No model name is known to ask for: the model list is empty or refused.",
            }
        before, _, _ = await read_page(visit, fresh=True)
        observation = await (_embed(visit, model) if family == "embedding" else _chat(visit, model))
        if before is not None and "error" not in observation:
            observation["counters"] = await _moved(visit, before)
        return observation

    async def _model(self, visit: Visit) -> str:
        rows, _ = await served_models(visit)
        hint = visit.target.model_hint
        for row in rows:
            if same_name(hint, row["id"]) or same_name(hint, text_of(row.get("root"))):
                return text_of(row["id"])
        return text_of(rows[0]["id"]) if rows else hint

    def judge(
        self, item_key: str | None, claims: Claims, observation: Observation, others: Mapping[str, Claims] = NONE
    ) -> Judgement:
        if why := fact_error(observation):
            return inconclusive(why)
        if item_key == "observability.throughput":
            return _throughput(claims, observation)
        if item_key == "identity.modalities":
            return _modalities(claims, observation)
        if item_key == "performance.latency-targets":
            return _latency(claims, observation)
        shown = _timing(observation)
        return Judgement(
            VERIFIED,
            "answers one small request",
            shown,
            "",
            f"One small request was answered: {shown}.",
            rule="2xx with content",
            samples=1,
        )


async def _chat(visit: Visit, model: str) -> Observation:
    payload: dict[str, Any] = {
        "model": model,
        "messages": [{"role": "user", "content": "Answer with the single word: ready"}],
        "max_tokens": MAX_TOKENS,
        "temperature": 0,
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    stream = Stream()
    answer = await visit.post("/v1/chat/completions", payload, timeout_s=TIMEOUT_S, on_chunk=stream.feed)
    if answer.status in (400, 422):  # an older server that does not know the option
        del payload["stream_options"]
        stream = Stream()
        answer = await visit.post("/v1/chat/completions", payload, timeout_s=TIMEOUT_S, on_chunk=stream.feed)
    if not answer.ok or answer.response is None:
        return _failed(answer)
    stream.feed(answer.response.elapsed_s, b"\n")
    if stream.error or (stream.first_content_s is None and stream.first_reasoning_s is None):
        return {
            "error": "no_content",
            "why": f"The server answered {answer.status}, but {stream.error or 'sent no content'}.",
        }
    tokens = number_of(stream.usage.get("completion_tokens"))
    observation: Observation = {
        "kind": "chat",
        "model": model,
        "status": answer.status,
        "total_ms": round(answer.response.elapsed_s * 1000, 1),
        "chunks": stream.content_chunks,
        "completion_tokens": tokens,
        "prompt_tokens": number_of(stream.usage.get("prompt_tokens")),
        "done_sent": stream.done,
    }
    if stream.first_content_s is not None:
        observation["first_token_ms"] = round(stream.first_content_s * 1000, 1)
    if stream.first_reasoning_s is not None:
        observation["first_reasoning_ms"] = round(stream.first_reasoning_s * 1000, 1)
    if (
        tokens
        and tokens > 1
        and stream.first_content_s is not None
        and stream.last_s is not None
        and stream.first_reasoning_s is None
    ):
        # Chunks are not tokens: only the server's own count makes a time per token.
        observation["per_output_token_ms"] = round((stream.last_s - stream.first_content_s) * 1000 / (tokens - 1), 2)
    return observation


async def _embed(visit: Visit, model: str) -> Observation:
    answer = await visit.post("/v1/embeddings", {"model": model, "input": "preflight check"}, timeout_s=TIMEOUT_S)
    if not answer.ok or answer.response is None:
        return _failed(answer)
    body = answer.object()
    first = dict_of(next(iter(list_of(body.get("data"))), None)).get("embedding")
    if not isinstance(first, list | str) or not first:
        return {"error": "no_content", "why": f"The server answered {answer.status}, but sent no embedding."}
    return {
        "kind": "embedding",
        "model": model,
        "status": answer.status,
        "total_ms": round(answer.response.elapsed_s * 1000, 1),
        "dimensions": len(first) if isinstance(first, list) else None,
        "prompt_tokens": number_of(dict_of(body.get("usage")).get("prompt_tokens")),
    }


def _failed(answer: Answer) -> Observation:
    return {
        "error": answer.error.kind if answer.error else f"status {answer.status}",
        "why": f"The small request failed. {answer.why}",
    }


async def _moved(visit: Visit, before: metrics.Page) -> Observation:
    """How far each known counter rose, by name; exporters are given a moment."""
    rose: dict[str, float] = {}
    names: list[str] = []
    for pause in SCRAPE_PAUSES:
        await asyncio.sleep(pause)
        after, where, fault = await read_page(visit, fresh=True)
        if after is None:
            return fault
        stack = page_stack(visit, after)
        known = [name for name, meaning in stack.metrics.items() if meaning.key in COUNTER_MEANINGS] if stack else []
        names = [name for name in after.samples if name.endswith(("_total", "_count")) or name in known][:600]
        rose = {}
        for name in names:
            earlier, later = before.value(name) or 0.0, after.value(name)
            if later is not None and later > earlier:
                rose[name] = later - earlier
        if any(name in rose for name in known):
            break
    return {
        "where": where,
        "names": names,
        "known": [name for name in known if name in names],
        "rose": dict(sorted(rose.items())[:100]),
    }


def _timing(observation: Observation) -> str:
    parts = []
    if (first := number_of(observation.get("first_token_ms"))) is not None:
        parts.append(f"first content after {plain(first)} ms")
    elif (first := number_of(observation.get("first_reasoning_ms"))) is not None:
        parts.append(f"only reasoning within {MAX_TOKENS} tokens, from {plain(first)} ms on")
    if (total := number_of(observation.get("total_ms"))) is not None:
        parts.append(f"complete after {plain(total)} ms")
    if observation.get("kind") == "chat":
        tokens = number_of(observation.get("completion_tokens"))
        parts.append(f"{plain(tokens)} tokens" if tokens else "tokens not counted by the server")
    return joined(parts)


def _latency(claims: Claims, observation: Observation) -> Judgement:
    phase = text_of(claims.get("phase"))
    field = {"first_token": "first_token_ms", "per_output_token": "per_output_token_ms"}.get(phase, "total_ms")
    value = number_of(observation.get(field))
    goals = joined(
        [
            f"{label} ≤ {plain(goal)}"
            for label, key in (("p50", "p50_ms"), ("p95", "p95_ms"))
            if (goal := number_of(claims.get(key)))
        ]
    )
    if not goals:
        return nothing_claimed(_timing(observation))
    if value is None:
        return inconclusive(
            f"The answer does not show the time for {phase.replace('_', ' ')}: {_timing(observation)}.",
            claimed=goals,
            unit="ms",
        )
    return inconclusive(
        f"One request took {plain(value)} ms; one request proves no percentile.",
        claimed=goals,
        observed=plain(value),
        unit="ms",
    )


def _throughput(claims: Claims, observation: Observation) -> Judgement:
    counters = dict_of(observation.get("counters"))
    if not counters:
        return inconclusive("No metrics page could be read before the request, so no counter could be compared.")
    if why := fact_error(counters):
        return inconclusive(why)
    claimed = next(iter(texts_of(claims.get("metric_name"))), "")
    names = [text_of(name) for name in list_of(counters.get("names"))]
    rose = {name: value for name, raw in dict_of(counters.get("rose")).items() if (value := number_of(raw)) is not None}
    known = [text_of(name) for name in list_of(counters.get("known"))]
    moved = [name for name in known if name in rose]
    shown = joined([f"{name} +{plain(rose[name])}" for name in moved], 3)
    if not claimed:
        return nothing_claimed(shown or "no known counter moved")
    candidates = [
        name
        for name in (claimed, f"{claimed}_total", claimed.removesuffix("_total"), f"{claimed}_count")
        if name in names
    ]
    rule = "the counter rises by our own request"
    if not candidates:
        return inconclusive(
            f"There is no counter named {claimed} on {text_of(counters.get('where'))}.",
            claimed=claimed,
            observed=shown or "none",
        )
    name = candidates[0]
    if name in rose:
        return Judgement(
            VERIFIED,
            claimed,
            f"+{plain(rose[name])}",
            "",
            f"{name} rose by {plain(rose[name])} while our one request was answered.",
            rule=rule,
            samples=1,
        )
    return Judgement(
        CONTRADICTED,
        claimed,
        "did not move",
        "",
        f"{name} stood still although our request was answered.",
        rule=rule,
        samples=1,
    )


def _modalities(claims: Claims, observation: Observation) -> Judgement:
    inputs, outputs = ([text.casefold() for text in texts_of(claims.get(key))] for key in ("inputs", "outputs"))
    embedding = observation.get("kind") == "embedding"
    seen = "text in, vectors out" if embedding else "text in, text out"
    claimed = f"{joined(inputs) or '?'} in, {joined(outputs) or '?'} out"
    if not inputs or not outputs:
        return nothing_claimed(seen)
    untried = [text for text in inputs if text not in TEXT] + [
        text for text in outputs if text not in (VECTOR if embedding else TEXT)
    ]
    if not untried:
        return Judgement(
            VERIFIED,
            claimed,
            seen,
            "",
            f"One small request was answered: {seen}.",
            rule="one request accepted",
            samples=1,
        )
    return inconclusive(
        f"{seen.capitalize()} was answered; not tried: {joined(untried)}.", claimed=claimed, observed=seen
    )
