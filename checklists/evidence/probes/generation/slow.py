"""One request that takes long: is it ended in the time the team claims, and cleanly?"""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from checklists.evidence.probes.base import (
    CONTRADICTED,
    INCONCLUSIVE,
    NONE,
    VERIFIED,
    Claims,
    Judgement,
    Observation,
    Probe,
    Visit,
    fact_error,
    inconclusive,
    nothing_claimed,
    number_of,
    plain,
    text_of,
)
from checklists.evidence.probes.generation.sending import CHANGED, claimed_of, forbidden, model_of, words_of
from checklists.evidence.stacks import Stack

ITEM = "reliability.timeouts"
LONGEST_S = 30.0  # a claim beyond it is not waited for
MARGIN_S = 3.0
EARLY = 0.8  # of the claimed time; what is ended before was not ended by it
LONG_TOKENS = 4096
CLEAN = (408, 504)


class SlowRequest(Probe):
    """One completion of up to 4,096 tokens, not streamed and told not to stop early, watched until 3 seconds after the
    shortest claimed time-out of server or gateway; then we hang up.

    A clean 408 or 504 at the claimed time verifies, and so does a connection cut at that time (which is said). A 408 or
    504 before four fifths of the time, or still running 3 seconds after it, contradicts. A connection that breaks off
    before may do so for many reasons, and an answer that is complete before the time-out was not slow enough to tell.
    """

    key = "generation.slow"
    title = "One slow request"
    items = (ITEM,)
    sends = (
        f"One completion of at most {LONG_TOKENS} tokens, hung up on after at most {LONGEST_S + MARGIN_S:.0f} seconds; "
        f"nothing where the claimed time-out is longer than {LONGEST_S:.0f} seconds."
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
        if family not in ("llm", "multimodal") or stack.key in ("kserve", "torchserve", "comfyui", "tei"):
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
        begun = time.monotonic()
        answer = await visit.post("/v1/chat/completions", payload, timeout_s=limit + MARGIN_S)
        if answer.status in (400, 422):  # a context smaller than that
            payload["max_tokens"] = LONG_TOKENS // 16
            begun = time.monotonic()
            answer = await visit.post("/v1/chat/completions", payload, timeout_s=limit + MARGIN_S)
        return {
            "limit_s": limit,
            "status": answer.status,
            "kind": answer.error.kind if answer.error else "",
            "seconds": round(time.monotonic() - begun, 2),
            "said": "" if answer.ok else words_of(answer),
            "came": answer.why if answer.error or answer.flaw else "",
        }

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
        status, kind = number_of(observation.get("status")), text_of(observation.get("kind"))
        seconds = number_of(observation.get("seconds")) or 0.0
        words: dict[str, Any] = {
            "claimed": plain(limit),
            "observed": plain(seconds),
            "unit": "s",
            "samples": 1,
            "rule": f"ended from {EARLY} × the claim to {MARGIN_S:.0f} s after: verified; 408 or 504 before, or "
            "running on: contradicted; broken off before: inconclusive",
        }
        if status is not None and status not in CLEAN:
            if came := text_of(observation.get("came")):
                reason = came
            elif 200 <= status < 300:
                reason = f"The long request was complete after {plain(seconds)} s, before any time-out."
            else:
                reason = f"The server answered {status:.0f} after {plain(seconds)} s, which is no time-out."
            return Judgement(INCONCLUSIVE, reason=reason, **words)
        if kind == "timeout":
            if seconds <= limit:
                reason = f"The time for this probe was over after {plain(seconds)} s, before the claimed time-out."
                return Judgement(INCONCLUSIVE, reason=reason, **words)
            longer = plain(round(seconds - limit, 1))
            reason = f"Still running after {plain(seconds)} s, {longer} s longer than claimed; we hung up."
            return Judgement(CONTRADICTED, reason=reason, **words)
        if kind not in ("", "unreachable"):
            return Judgement(INCONCLUSIVE, reason=text_of(observation.get("came")) or "It could not be sent.", **words)
        how = f"ended with {status:.0f}" if status else "cut without an answer"
        if seconds < EARLY * limit:
            if not status and seconds < 1:
                return Judgement(INCONCLUSIVE, reason="The connection broke off at once.", **words)
            if not status:
                reason = f"The connection broke off after {plain(seconds)} s, once; that need not be a time-out."
                return Judgement(INCONCLUSIVE, reason=reason, **words)
            return Judgement(
                CONTRADICTED, reason=f"A slow request was {how} after {plain(seconds)} s already.", **words
            )
        note = "" if status else " A 408 or 504 would tell callers why."
        return Judgement(VERIFIED, reason=f"A slow request was {how} after {plain(seconds)} s.{note}", **words)

    def settles(self, item_key: str, stack: Stack) -> str:
        if stack.key in ("kserve", "torchserve", "comfyui", "tei"):
            return f"{stack.label} serves no completions, and nothing else can be made slow without harm."
        return super().settles(item_key, stack)


def limit_of(claims: Mapping[str, Any]) -> float | None:
    """The shortest claimed time-out that shows from outside, in seconds; the client's own does not."""
    values = [number_of(claims.get(key)) for key in ("gateway_seconds", "server_seconds")]
    return min((value for value in values if value), default=None)
