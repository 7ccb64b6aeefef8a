"""Latency by our own hand: a short declared series of tiny requests, one after the other."""

from __future__ import annotations

import dataclasses
import secrets
import statistics
import time
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from checklists.evidence.probes.base import (
    CONTRADICTED,
    INCONCLUSIVE,
    NONE,
    VERIFIED,
    Judgement,
    Probe,
    dict_of,
    fact_error,
    inconclusive,
    joined,
    list_of,
    nothing_claimed,
    number_of,
    plain,
    text_of,
)
from checklists.evidence.probes.generation.counters import named
from checklists.evidence.probes.generation.requests import MAX_TOKENS, QUESTION, Tiny
from checklists.evidence.probes.generation.sending import (
    Sent,
    as_known,
    counted,
    failed,
    forbidden,
    send,
    usual_request,
)
from checklists.evidence.probes.metrics_page import page_stack, read_page
from checklists.evidence.probes.visit import Claims, Observation, Visit
from checklists.evidence.stacks import Stack
from checklists.evidence.units import milliseconds

MOST = 20  # requests of one series
ENOUGH = 20  # samples for a word on a percentile
BUDGET_S = 50.0  # no request of the series begins later
RESTARTED_S = 900.0  # a start within this time is a restart seen
LATER = 4  # answers after the first, for a comparison with it
SMALL_GAP_MS, LARGE_GAP_MS = 250.0, 500.0
# Of 20: how many over a goal contradict it (chance if the goal held: p50 0.6 %, p95 0.3 %), how many verify it.
OVER = {"p50": 16, "p95": 5}
MAY_BE_OVER = {"p50": 4, "p95": 0}
GET, GETS = "/v1/models", 3  # small answers that take no inference, for the network's time
TEXTS = ("input", "inputs", "prompt")
PER_TOKEN = ("per_output_token_ms", "per_output_token_most_ms")  # at least, and at most
FIELDS = {"first_token": "first_content_ms", "per_output_token": PER_TOKEN[0]}


class LatencySeries(Probe):
    """How long tiny requests take: time to the first non-empty content, time per token by the server's own count,
    and in all. Before it, the time of the slowest of three tiny GETs is taken for that of the network from here.

    With fewer than 20 answers the times are told, and prove no percentile. With 20, a goal for p95 is contradicted if
    5 or more were slower even without the network (if the goal held, the chance of that were 0.3 %) and verified if
    none was slower with it; a goal for p50 is contradicted if 16 were slower without it and verified if 16 were not
    slower with it (0.6 % each). What exceeds a goal by no more than the network's time decides nothing, and where that
    time is not known nothing is contradicted; of the time per token it explains its share by the number of tokens. How
    many tokens the first chunk held, and how many had no text, the server does not say: the time per token by all that
    it counted can contradict, and only that by the number of chunks can verify.
    That no one of 20 was slower than the p95 goal is what a p95 of 20 samples means, and no more: if one request in 16
    missed the goal, 20 would show none in a quarter of all series. The times are those of short prompts to a server
    under whatever load it has, and include the network from here. Answers are cut at 16 tokens, so a series of
    completions can contradict a goal for the whole answer and cannot verify it. The texts differ in their first
    word, from each other and from those of every other series, so that no cache answers for the model.

    Warm-up shows only after a restart: where the metrics page says that the process started less than 15 minutes ago
    and had served nothing, the first answer is compared with the median of the later ones.
    """

    key = "generation.small"
    version = 4
    title = "A short series of tiny requests"
    items = ("performance.latency-targets", "autoscaling.warmup")
    about_endpoint = True
    reads = ("endpoint", "metrics")
    sends = (
        f"The declared number of tiny requests (5, at most {MOST}), one after the other and for at most "
        f"{BUDGET_S:.0f} seconds: streamed completions of at most {MAX_TOKENS} tokens, or one embedding, picture of "
        f"256×256 pixels, transcription or inference each; before it one GET of the metrics page, and {GETS} of {GET}."
    )
    generates = True
    cheap = False
    ttl = timedelta(days=7)

    async def observe(self, visit: Visit) -> Observation:
        if refusal := forbidden(visit):
            return refusal
        request, problem = await usual_request(visit, stream=True)
        if request is None:
            return problem
        fresh = await _freshness(visit)
        network = await _network(visit)
        wanted = max(1, min(visit.target.series, MOST))
        begun = time.monotonic()
        rows: list[dict[str, Any]] = []
        stopped, series = "", secrets.token_hex(3)
        for number in range(wanted):
            if time.monotonic() - begun > BUDGET_S:
                stopped = f"After {BUDGET_S:.0f} s no further request was begun."
                break
            sent = await send(visit, _varied(request, f"{number + 1}-{series}"))
            if not sent.ok:
                if not rows:
                    return failed(sent)
                stopped = f"Request {number + 1} failed. {sent.why}"
                break
            request = as_known(request, sent)
            rows.append(_row(sent))
        return {
            "kind": request.kind,
            "what": request.what,
            "path": request.path,
            "wanted": wanted,
            "requests": rows,
            "stopped": stopped,
            "fresh": fresh,
            "network_ms": network,
        }

    def judge(
        self, item_key: str | None, claims: Claims, observation: Observation, others: Mapping[str, Claims] = NONE
    ) -> Judgement:
        if why := fact_error(observation):
            return inconclusive(why)
        if item_key == "performance.latency-targets":
            return _latency(claims, observation)
        if item_key == "autoscaling.warmup":
            return _warmup(claims, observation)
        rows = _rows(observation)
        shown = _shown(observation)
        if not rows:
            return inconclusive("No request was answered.")
        return Judgement(
            VERIFIED,
            "answers small requests",
            shown,
            "",
            f"{len(rows)} of {counted(observation.get('wanted'))} small requests answered: {shown}."
            f"{_stopped(observation)}",
            rule="2xx with content",
            samples=len(rows),
        )

    def settles(self, item_key: str, stack: Stack) -> str:
        if stack.key in ("comfyui", "torchserve"):
            return f"{stack.label} has no small request that could be sent without harm."
        if item_key == "autoscaling.warmup" and not stack.shows_start:
            return f"{stack.label} does not tell when the process that holds the model started."
        return super().settles(item_key, stack)


def _varied(request: Tiny, mark: str) -> Tiny:
    """The same request about another text: a question, a text to embed, or a prompt for a picture."""
    payload = request.payload
    if not isinstance(payload, dict):
        return request
    messages = payload.get("messages")
    if isinstance(messages, list) and isinstance(messages[0].get("content"), str):
        changed: dict[str, Any] = {"messages": [{"role": "user", "content": f"{mark}. {QUESTION}"}]}
    else:
        changed = {key: f"{mark} {payload[key]}" for key in TEXTS if isinstance(payload.get(key), str)}
    return dataclasses.replace(request, payload={**payload, **changed})


def _row(sent: Sent) -> dict[str, Any]:
    stream = sent.stream
    row: dict[str, Any] = {"status": sent.answer.status, "total_ms": sent.total_ms}
    if stream is None:
        return row
    for name, seconds in (
        ("first_content_ms", stream.first_content_s),
        ("first_reasoning_ms", stream.first_reasoning_s),
        *zip(PER_TOKEN, stream.per_token_s or (None, None), strict=True),
    ):
        if seconds is not None:
            row[name] = round(milliseconds(seconds), 2)
    return row | {
        "chunks": stream.content_chunks,
        "completion_tokens": stream.tokens,
        "prompt_tokens": number_of(stream.usage.get("prompt_tokens")),
        "done_sent": stream.done,
    }


async def _network(visit: Visit) -> float | None:
    """Milliseconds of the slowest tiny GET, whatever was answered; ``None`` where one of them was not answered."""
    answers = [await visit.get(GET, fresh=True, redirects=0) for _ in range(GETS)]
    times = [milliseconds(answer.response.elapsed_s) for answer in answers if answer.response is not None]
    return round(max(times), 2) if len(times) == GETS else None


async def _freshness(visit: Visit) -> Observation:
    """When the process started and what it had served, in seconds and requests; empty where the page does not say.

    The page of a proxy tells when the proxy started, which warms up no model.
    """
    if not (await visit.stack()).shows_start:
        return {}
    page, where, _ = await read_page(visit, fresh=True)
    started = page.value("process_start_time_seconds") if page else None
    if page is None or started is None:
        return {}
    stack = page_stack(visit, page)
    meanings = stack.metrics if stack else {}
    counts = ("requests_total", "requests_success_total", "generation_tokens_total")
    names = [name for key in counts for name in named(page, meanings, key)]
    served = [value for name in names if (value := page.value(name)) is not None]
    age = time.time() - started
    # Several processes on one page have several starts; their sum is no time at all.
    many = len(page.samples.get("process_start_time_seconds", ())) != 1
    return {} if many or age < 0 or not served else {"where": where, "age_s": round(age, 1), "served": max(served)}


def _rows(observation: Observation) -> list[dict[str, Any]]:
    return [dict_of(row) for row in list_of(observation.get("requests")) if dict_of(row)]


def _times(observation: Observation, field: str) -> list[float]:
    return [value for row in _rows(observation) if (value := number_of(row.get(field))) is not None]


def _by_the_server(observation: Observation, field: str) -> list[float]:
    """Times of the server alone, at least, in ms: without what the network may have added; none where that is not
    known."""
    network = number_of(observation.get("network_ms"))
    if network is None:
        return []
    found = []
    for row in _rows(observation):
        if (value := number_of(row.get(field))) is not None:
            tokens = number_of(row.get("completion_tokens")) or 0
            found.append(value - network / (max(1, tokens - 1) if field == PER_TOKEN[0] else 1))
    return found


def _stopped(observation: Observation) -> str:
    return f" {stopped}" if (stopped := text_of(observation.get("stopped"))) else ""


def _spread(values: list[float]) -> str:
    if len(values) == 1:
        return f"{plain(values[0])} ms"
    return f"{plain(min(values))} to {plain(max(values))} ms, median {plain(round(statistics.median(values), 2))} ms"


def _shown(observation: Observation) -> str:
    parts = []
    if first := _times(observation, "first_content_ms"):
        parts.append(f"first content after {_spread(first)}")
    elif reasoning := _times(observation, "first_reasoning_ms"):
        parts.append(f"only reasoning within {MAX_TOKENS} tokens, from {_spread(reasoning)} on")
    if each := _times(observation, PER_TOKEN[0]):
        parts.append(f"{_spread(each)} per token")
    elif text_of(observation.get("kind")) == "chat" and not _times(observation, "completion_tokens"):
        parts.append("tokens not counted by the server")
    if total := _times(observation, "total_ms"):
        parts.append(f"complete after {_spread(total)}")
    return "; ".join(parts)


def _latency(claims: Claims, observation: Observation) -> Judgement:
    phase = text_of(claims.get("phase"))
    goals = [
        (label, goal) for label, key in (("p50", "p50_ms"), ("p95", "p95_ms")) if (goal := number_of(claims.get(key)))
    ]
    if not goals or not phase:
        return nothing_claimed(_shown(observation))
    claimed = joined([f"{label} ≤ {plain(goal)}" for label, goal in goals])
    field = FIELDS.get(phase, "total_ms")
    values = _times(observation, field)
    if not values:
        return inconclusive(
            f"The answers do not show the time for {phase.replace('_', ' ')}: {_shown(observation)}.",
            claimed=claimed,
            unit="ms",
        )
    n = len(values)
    words: dict[str, Any] = {"claimed": claimed, "observed": _spread(values).replace(" ms", ""), "unit": "ms"}
    words |= {"samples": n, "rule": f"at least {ENOUGH} answers; contradicted: p95 {OVER['p95']} or p50 {OVER['p50']} "}
    words["rule"] += "slower than the goal even without the network's time; verified: p95 none, p50 at most 4 slower"
    what = f"{n} small request{'' if n == 1 else 's'} by our own hand took {_spread(values)}"
    if n < ENOUGH:
        few = "one request proves" if n == 1 else f"{n} requests prove"
        return Judgement(INCONCLUSIVE, reason=f"{what}; {few} no percentile.{_stopped(observation)}", **words)
    # Beyond 20 no series goes; were it longer, only the first 20 would count, for the chances are those of 20.
    values = values[:ENOUGH]
    over = {label: sum(value > goal for value in values) for label, goal in goals}
    told = joined(
        [f"{over[label]} of {ENOUGH} were slower than the {label} goal of {plain(goal)} ms" for label, goal in goals]
    )
    served = _by_the_server(observation, field)[:ENOUGH]
    network = number_of(observation.get("network_ms"))
    if any(sum(value > goal for value in served) >= OVER[label] for label, goal in goals):
        reason = (
            f"{what}: {told}, by more than the network explains ({plain(network or 0.0) or '0'} ms for a tiny GET)."
        )
        return Judgement(CONTRADICTED, reason=reason, **words)
    if any(over[label] >= OVER[label] for label, _ in goals):
        took = "was not measured" if network is None else f"is up to {plain(network) or '0'} ms for a tiny GET"
        reason = f"{what}: {told}; the time of the network, which {took}, may explain it."
        return Judgement(INCONCLUSIVE, reason=reason, **words)
    if any(over[label] > MAY_BE_OVER[label] for label, _ in goals):
        return Judgement(INCONCLUSIVE, reason=f"{what}: {told}, which decides nothing.", **words)
    if field == PER_TOKEN[0]:
        most = _times(observation, PER_TOKEN[1])[:ENOUGH]
        if len(most) < ENOUGH or any(sum(value > goal for value in most) > MAY_BE_OVER[label] for label, goal in goals):
            few = f"it may be up to {plain(max(most))} ms" if most else "it may be longer"
            reason = f"{what}: {told}; but where several tokens come in one chunk, or some have no text, {few}."
            return Judgement(INCONCLUSIVE, reason=reason, **words)
    if phase not in FIELDS and text_of(observation.get("kind")) in ("chat", "completion"):
        reason = f"{what}: {told}; but they were cut at {MAX_TOKENS} tokens, and whole answers take longer."
        return Judgement(INCONCLUSIVE, reason=reason, **words)
    return Judgement(VERIFIED, reason=f"{what}: {told}. Short prompts, one after the other, network included.", **words)


def _warmup(claims: Claims, observation: Observation) -> Judgement:
    claimed = text_of(claims.get("steps"))
    fresh = dict_of(observation.get("fresh"))
    field = "first_content_ms" if _times(observation, "first_content_ms") else "total_ms"
    values = _times(observation, field)
    first, later = values[0] if values else 0.0, values[1:]
    words: dict[str, Any] = {"claimed": claimed, "unit": "ms", "samples": len(values)}
    words["rule"] = (
        f"after a restart the first answer at most {SMALL_GAP_MS:.0f} ms or a quarter slower than the median of the "
        f"later: verified; {LARGE_GAP_MS:.0f} ms and twice slower: contradicted"
    )
    if not later:
        return inconclusive(
            "A single answer cannot be compared with later ones.",
            claimed=claimed,
            rule=words["rule"],
            samples=len(values),
        )
    usual = statistics.median(later)
    gap = first - usual
    shown = f"first {plain(first)}, later {plain(round(usual, 1))} (median of {len(later)})"
    if not claimed:
        return nothing_claimed(shown, "ms")
    words["observed"] = shown
    age = number_of(fresh.get("age_s"))
    if age is None:
        return Judgement(
            INCONCLUSIVE, reason=f"{shown} ms; the server does not say when it started, so this is no restart.", **words
        )
    if age > RESTARTED_S or counted(fresh.get("served")) > 0:
        return Judgement(
            INCONCLUSIVE,
            reason=f"{shown} ms; the server started {age:.0f} s before and had answered others, so nothing was cold.",
            **words,
        )
    if len(later) < LATER:
        return Judgement(
            INCONCLUSIVE, reason=f"{shown} ms; at least {LATER} later answers are needed to compare.", **words
        )
    since = f"{age:.0f} s after a restart that was seen on {text_of(fresh.get('where'))}"
    seconds = number_of(claims.get("seconds")) or 0.0
    if gap <= max(SMALL_GAP_MS, usual / 4):
        return Judgement(VERIFIED, reason=f"{shown} ms, {since}: no cold first answer.", **words)
    if age < seconds:
        reason = f"{shown} ms, {since}: within the {plain(seconds)} s that warming up is claimed to take."
        return Judgement(INCONCLUSIVE, reason=reason, **words)
    if gap >= LARGE_GAP_MS and first >= 2 * usual:
        return Judgement(CONTRADICTED, reason=f"{shown} ms, {since}: the first answer was still cold.", **words)
    return Judgement(INCONCLUSIVE, reason=f"{shown} ms, {since}: neither a small nor a large gap.", **words)
