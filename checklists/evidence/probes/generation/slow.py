"""Two requests that take long: are they ended in the time the team claims, and cleanly?"""

from __future__ import annotations

import asyncio
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
from checklists.evidence.probes.generation import requests
from checklists.evidence.probes.generation.sending import (
    CHANGED,
    SERVES_NO_CHAT,
    claimed_of,
    failed,
    forbidden,
    model_of,
    send,
    words_of,
)
from checklists.evidence.probes.visit import Claims, Observation, Visit
from checklists.evidence.stacks import Stack

ITEM = "reliability.timeouts"
LONGEST_S = 30.0  # a claim beyond it is not waited for
MARGIN_S = 3.0
EARLY = 0.8  # of the claimed time; what is ended before was not ended by it
LONG_TOKENS = 4096
CLEAN = (408, 504)
CONTROL_S = 15.0  # for the tiny request
STAGGER_S = 2.0  # between the two: what ends both at one moment is no time-out of either
APART = 0.1  # of the time, or a second: so far apart two ends are still of one time-out


class SlowRequest(Probe):
    """Two completions of up to 4,096 tokens, the second begun 2 seconds after the first, not streamed and told not to
    stop early, each watched until 3 seconds after the shortest claimed time-out of server or gateway; then we hang up.

    One request alone proves nothing: a gateway that lost its server, a restart, or the network may end it at any time,
    and a queue may keep it. A time-out ends both after the same time. Both ended with 408 or 504 at the claimed time
    verify, and so do two connections cut at that time (which is said). Both ended with 408 or 504 after one time that
    is less than four fifths of it contradict, and so do both still running 3 seconds after it, where a tiny request
    just before was answered at once. A connection that breaks off before may do so for many reasons, and an answer that
    is complete before the time-out was not slow enough to tell.
    """

    key = "generation.slow"
    title = "Two slow requests"
    items = (ITEM,)
    sends = (
        f"One tiny completion, and two of at most {LONG_TOKENS} tokens, hung up on after "
        f"{LONGEST_S + MARGIN_S:.0f} s; nothing where the claimed time-out is longer than {LONGEST_S:.0f} seconds."
    )
    generates = True
    cheap = False
    ttl = timedelta(days=30)

    async def observe(self, visit: Visit) -> Observation:
        if refusal := forbidden(visit):
            return refusal
        limit = limit_of(claimed_of(visit, ITEM))
        if limit is None:
            return {"error": "no_claim", "why": "No time-out of server or gateway is claimed, so none was waited for."}
        if limit > LONGEST_S:
            return {
                "error": "too_long",
                "why": f"The claimed {plain(limit)} s are longer than a probe waits ({LONGEST_S:.0f} s).",
                "limit_s": limit,
            }
        stack, family = await visit.stack(), visit.target.family
        if family not in ("llm", "multimodal") or stack.key in SERVES_NO_CHAT:
            return {"error": "not_tried", "why": "Only completions can be made slow without harm.", "limit_s": limit}
        model = await model_of(visit)
        if not model and stack.key != "tgi":
            return {"error": "no_model", "why": "No model name is known to ask for.", "limit_s": limit}
        payload: dict[str, Any] = {
            "model": model,
            "messages": [{"role": "user", "content": "Count upwards from one in words, and do not stop."}],
            "max_tokens": LONG_TOKENS,
            "temperature": 0,
        }
        if stack.key in ("vllm", "nim", "sglang", "rayserve"):
            payload["ignore_eos"] = True
        control = await send(visit, requests.chat(model), timeout_s=CONTROL_S)
        if not control.ok:
            return {**failed(control), "limit_s": limit}

        async def one(after: float) -> Observation:
            await asyncio.sleep(after)
            return await _watched(visit, payload, limit)

        samples = list(await asyncio.gather(one(0.0), one(STAGGER_S)))
        return {"limit_s": limit, "control_ms": control.total_ms, "samples": samples}

    def judge(
        self, item_key: str | None, claims: Claims, observation: Observation, others: Mapping[str, Claims] = NONE
    ) -> Judgement:
        limit, watched = limit_of(claims), number_of(observation.get("limit_s"))
        if limit is None:
            return nothing_claimed("")
        if watched != limit and observation.get("error") != "not_allowed":
            return inconclusive(CHANGED, claimed=plain(limit), unit="s")
        if why := fact_error(observation):
            return inconclusive(why, claimed=plain(limit), unit="s")
        return _judged(limit, observation, gateway=number_of(claims.get("gateway_seconds")) is not None)

    def settles(self, item_key: str, stack: Stack) -> str:
        if stack.key in SERVES_NO_CHAT:
            return f"{stack.label} serves no completions, and nothing else can be made slow without harm."
        return super().settles(item_key, stack)


async def _watched(visit: Visit, payload: dict[str, Any], limit: float) -> Observation:
    begun = time.monotonic()
    answer = await visit.post("/v1/chat/completions", payload, timeout_s=limit + MARGIN_S)
    if answer.status in (400, 422):  # a context smaller than that
        begun = time.monotonic()
        shorter = {**payload, "max_tokens": LONG_TOKENS // 16}
        answer = await visit.post("/v1/chat/completions", shorter, timeout_s=limit + MARGIN_S)
    return {
        "status": answer.status,
        "kind": answer.error.kind if answer.error else "",
        "seconds": round(time.monotonic() - begun, 2),
        "said": "" if answer.ok else words_of(answer),
    }


def _judged(limit: float, observation: Observation, *, gateway: bool) -> Judgement:
    """``gateway``: something is claimed of a gateway's time-out too, which a 504 is."""
    samples = [dict_of(one) for one in list_of(observation.get("samples"))]
    seconds = [number_of(one.get("seconds")) or 0.0 for one in samples]
    ends = [_end(one, limit) for one in samples]
    words: dict[str, Any] = {
        "claimed": plain(limit),
        "observed": joined([plain(one) or "0" for one in seconds]),
        "unit": "s",
        "samples": len(samples),
        "rule": f"two, {plain(STAGGER_S)} s apart, both ended after one time by 408, 504 or a cut, from {EARLY} "
        f"× the claim to {plain(MARGIN_S)} s after it: verified; both so by 408 before, or by 504 where a gateway's is "
        "claimed, or both running on although a tiny one was answered at once: contradicted; else inconclusive",
    }
    if len(samples) < 2:
        return Judgement(INCONCLUSIVE, reason="Two slow requests are needed, and were not sent.", **words)
    told = f"One slow request {_told(samples[0], ends[0])}, another {_told(samples[1], ends[1])}."
    if "" in ends:
        return Judgement(INCONCLUSIVE, reason=told, **words)
    near = max(seconds) - min(seconds) <= max(1.0, APART * max(seconds))
    if len(set(ends)) > 1 or not near:
        return Judgement(INCONCLUSIVE, reason=f"{told} They ended differently, so no time-out shows.", **words)
    if ends[0] == "at":
        note = "" if all(number_of(one.get("status")) for one in samples) else " A 408 or 504 would tell callers why."
        return Judgement(VERIFIED, reason=f"{told}{note}", **words)
    if ends[0] == "early" and not gateway and 504 in (number_of(one.get("status")) for one in samples):
        why = "That is a gateway's time-out, of which nothing is claimed."
        return Judgement(INCONCLUSIVE, reason=f"{told} {why}", **words)
    if ends[0] == "early":
        return Judgement(CONTRADICTED, reason=f"{told} That is before the claimed {plain(limit)} s.", **words)
    if ends[0] == "running":
        control = (number_of(observation.get("control_ms")) or 0.0) / 1000
        if control > MARGIN_S / 2:
            waits = f"A tiny request took {plain(round(control, 1))} s, so they may have waited in a queue."
            return Judgement(INCONCLUSIVE, reason=f"{told} {waits}", **words)
        return Judgement(CONTRADICTED, reason=f"{told} That is longer than claimed; we hung up.", **words)
    return Judgement(INCONCLUSIVE, reason=f"{told} That need not be a time-out.", **words)


def _end(sample: Mapping[str, Any], limit: float) -> str:
    """How a request ended: ``at`` the claimed time, ``early`` with a time-out's status, ``cut`` before it, ``running``
    on; empty where it says nothing of a time-out."""
    status, kind = number_of(sample.get("status")), text_of(sample.get("kind"))
    seconds = number_of(sample.get("seconds")) or 0.0
    if kind == "timeout":
        return "running" if seconds > limit else ""
    if (status is not None and status not in CLEAN) or (status is None and kind not in ("unreachable", "protocol")):
        return ""
    if seconds >= EARLY * limit:
        return "at"
    return "early" if status else "cut"


def _told(sample: Mapping[str, Any], end: str) -> str:
    status, seconds = number_of(sample.get("status")), plain(number_of(sample.get("seconds")) or 0.0) or "0"
    if end == "running":
        return f"was still running after {seconds} s"
    if status is not None and 200 <= status < 300:
        return f"was complete after {seconds} s, before any time-out"
    if status is not None:
        return f"was answered {status:.0f} after {seconds} s"
    return f"was cut without an answer after {seconds} s" if end else "could not be sent"


def limit_of(claims: Mapping[str, Any]) -> float | None:
    """The shortest claimed time-out that shows from outside, in seconds; the client's own does not."""
    values = [number_of(claims.get(key)) for key in ("gateway_seconds", "server_seconds")]
    return min((value for value in values if value), default=None)
