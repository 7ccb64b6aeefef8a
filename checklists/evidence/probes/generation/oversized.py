"""One request beyond the largest input: is it refused in good order?"""

from __future__ import annotations

import re
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
    nothing_claimed,
    number_of,
    plain,
    text_of,
    unread,
)
from checklists.evidence.probes.generation import media, requests
from checklists.evidence.probes.generation.inputs import alive, words
from checklists.evidence.probes.generation.requests import Tiny
from checklists.evidence.probes.generation.sending import (
    CHANGED,
    TIMEOUT_S,
    claimed_of,
    failed,
    forbidden,
    model_of,
    send,
    words_of,
)
from checklists.evidence.probes.limits import Limits, cuts_off, token_limits
from checklists.evidence.probes.visit import Claims, Observation, Visit
from checklists.evidence.stacks import Stack

ITEM = "identity.input-limits"
MOST_BYTES = 2 * 1024 * 1024
MARGIN = 1.02  # beyond the limit, and 64 more
CUT = 0.75  # of the words counted as tokens, or fewer: cut off. Some tokenizers may join a few words.
PER_WORD = 4  # bytes
RATE = 8000  # bytes of sound per second
# What a refusal says the limit is.
_STATED = re.compile(
    r"(?:maximum context length (?:of|is)|context (?:size|window)(?: of| is|:)?|n_ctx\"?:)\s*\(?(\d{2,9})(?!\d)|"
    r"(?:max(?:imum)?[a-z_ ]{0,30}(?:is|of|:)|less than|at most)\s*\(?(\d{2,9})(?= (?:\w+ )?tokens?\b)",
    re.IGNORECASE,
)


class OversizedInput(Probe):
    """A request that is surely larger than the limit: of different words, each at least one token.

    The limit is the served one where the server declares it, else the claimed one. A 400, 413 or 422 is a clean
    refusal, and verifies a claim only where the limit is told, or where (of items and seconds) exactly as much as
    claimed was taken: a server with half the limit would refuse the same request. An answer is acceptance beyond the
    limit, unless the server declares that it cuts longer inputs off. Where it counted far fewer tokens than words were
    sent, it cut the input without saying so; where it counted none, nobody knows.
    """

    key = "generation.oversized"
    version = 2
    title = "One oversized request"
    items = (ITEM,)
    sends = (
        "One tiny good request, one of just so many items or seconds as are claimed, and one that is 2 % larger than "
        "the served or claimed limit, in words, items, seconds of silence or pixels of grey (once more if it ends in a "
        f"server error): at most {MOST_BYTES // 1024} kB each, with one token of answer if it is taken."
    )
    generates = True
    cheap = False
    ttl = timedelta(days=30)

    async def observe(self, visit: Visit) -> Observation:
        if refusal := forbidden(visit):
            return refusal
        claims = claimed_of(visit, ITEM)
        wanted, unit = number_of(claims.get("max_input")), text_of(claims.get("unit")) or "tokens"
        limits = await Limits().observe(visit)
        served = token_limits(limits, claimed_of(visit, "identity.name-version"))
        about: Observation = {"wanted": wanted, "unit": unit, "truncates": cuts_off(limits)}
        if unit == "tokens" and served:
            about["served"] = min(served)
            size = max(served)
        else:
            size = wanted or 0.0
        if not size:
            return about | {"error": "no_limit", "why": "Neither a claimed nor a served limit is known to go beyond."}
        beyond = int(size * MARGIN) + 64 if unit == "tokens" else int(size) + 1
        small, large, why = await _requests(visit, unit, beyond)
        if small is None or large is None:
            return about | {"error": "not_tried", "why": why}
        control = await send(visit, small)
        if not control.ok:
            return about | failed(control)
        taken: bool | None = None
        if wanted and unit in ("items", "seconds"):
            _, within, _ = await _requests(visit, unit, int(wanted))
            taken = within is not None and (await send(visit, within, timeout_s=TIMEOUT_S / 2)).ok
        sent = await send(visit, large, timeout_s=TIMEOUT_S / 2)
        again = await send(visit, large, timeout_s=TIMEOUT_S / 2) if sent.answer.status in (500, 502) else None
        usage = dict_of(sent.answer.object().get("usage"))
        return about | {
            "beyond": beyond,
            "what": large.what,
            "status": sent.answer.status,
            "kind": sent.answer.error.kind if sent.answer.error else "",
            "counted": number_of(usage.get("prompt_tokens")),
            "said": "" if sent.answer.ok else words_of(sent.answer),
            "lacking": sent.why if sent.answer.ok else "",
            "again": again.answer.status if again else None,
            "taken": taken,
            "alive": sent.answer.error is None or await alive(visit),
        }

    def judge(
        self, item_key: str | None, claims: Claims, observation: Observation, others: Mapping[str, Claims] = NONE
    ) -> Judgement:
        wanted, unit = number_of(claims.get("max_input")), text_of(claims.get("unit")) or "tokens"
        if wanted is None:
            return nothing_claimed("")
        claimed: dict[str, Any] = {"claimed": plain(wanted), "unit": unit}
        if observation.get("error") != "not_allowed" and (
            number_of(observation.get("wanted")) != wanted or text_of(observation.get("unit")) != unit
        ):
            return inconclusive(CHANGED, **claimed)
        if why := fact_error(observation):
            return inconclusive(why, **claimed)
        return _judged(wanted, unit, observation, claimed)

    def settles(self, item_key: str, stack: Stack) -> str:
        if stack.key in ("kserve", "torchserve", "comfyui"):
            return f"{stack.label} has no request whose size could be made to exceed a limit without harm."
        if stack.key == "speaches":
            return f"{stack.label} takes recordings of any length."
        if stack.key == "ollama":
            return f"{stack.label} cuts longer inputs off, so it can be contradicted, and never refuses one."
        return super().settles(item_key, stack)


async def _requests(visit: Visit, unit: str, beyond: int) -> tuple[Tiny | None, Tiny | None, str]:
    """A good request, one that is so large, and why there are none."""
    stack, family, model = await visit.stack(), visit.target.family, await model_of(visit)
    if stack.key in ("kserve", "torchserve", "comfyui"):
        return None, None, f"{stack.label} has no request whose size could be made to exceed a limit without harm."
    if not model and stack.key not in ("tei", "tgi"):
        return None, None, "No model name is known to ask for."
    size = {"tokens": beyond * PER_WORD, "items": beyond * PER_WORD, "seconds": beyond * RATE, "pixels": beyond // 64}
    if size.get(unit, 0) > MOST_BYTES:
        return None, None, f"Going beyond it would take {size[unit]} bytes, more than the declared {MOST_BYTES}."
    if unit == "tokens" and family == "embedding":
        return requests.embedding(stack, model), requests.embedding(stack, model, words(beyond)), ""
    if unit == "tokens" and family in ("llm", "multimodal"):
        return requests.chat(model), requests.chat(model, text=words(beyond), max_tokens=1), ""
    if unit == "items" and family == "embedding":
        return requests.embedding(stack, model), requests.embedding(stack, model, ["a"] * beyond), ""
    if unit == "seconds" and family == "audio":
        return requests.transcription(model), requests.transcription(model, media.wav(beyond, RATE)), ""
    if unit == "pixels" and family in ("multimodal", "vision"):
        # Pixels may mean those of one side, or all: a picture beyond the limit in the larger sense is beyond both.
        side = min(beyond, int(beyond**0.5) + 1) if beyond > 20_000 else beyond
        if side > 20_000:
            return None, None, f"A picture of {side} pixels a side is more than a probe sends."
        url = media.data_url(media.png(side, side), "image/png")
        large = requests.chat_with(model, {"type": "image_url", "image_url": {"url": url}}, "image")
        return requests.chat_with(model, requests.picture_part(), "image"), large, ""
    return None, None, f"No harmless request exceeds a limit in {unit} for the family {family}."


def _judged(wanted: float, unit: str, observation: Observation, claimed: dict[str, Any]) -> Judgement:
    beyond, status = number_of(observation.get("beyond")) or 0.0, number_of(observation.get("status"))
    served, said = number_of(observation.get("served")), text_of(observation.get("said"))
    counted = number_of(observation.get("counted"))
    rule = (
        "limit (told by the server, or as much as claimed taken) ≥ claim and a clean 4xx beyond: verified; limit below "
        "the claim, 5xx twice, or accepted beyond: contradicted"
    )
    found: dict[str, Any] = {**claimed, "rule": rule, "samples": 1}
    sent = f"A request of {plain(beyond)} {'words, each at least one token,' if unit == 'tokens' else unit}"
    stated = next((number for texts in _STATED.findall(said) if (number := number_of("".join(texts)))), None)
    limit = served or (stated if unit == "tokens" else None)
    if observation.get("alive") is False:
        return Judgement(CONTRADICTED, reason=f"{sent} was answered by silence; we stopped there.", **found)
    if status is None:
        return Judgement(INCONCLUSIVE, reason=f"{sent} got no answer ({text_of(observation.get('kind'))}).", **found)
    if status in (400, 413, 422):
        found["observed"] = plain(limit) if limit else f"refused ({status:.0f})"
        told = f"{sent} was refused with {status:.0f}"
        if limit and limit < wanted:
            source = "the server declares" if served else "the refusal says"
            return Judgement(
                CONTRADICTED, reason=f"{told}; {source} a limit of {plain(limit)}, less than claimed.", **found
            )
        if not limit and observation.get("taken") is not True:
            reason = f"{told}; nobody says where the limit is, and it may as well be below the claim."
            return Judgement(INCONCLUSIVE, reason=reason, **found)
        limits = f"; the limit is {plain(limit)}" if limit else f", and one of {plain(wanted)} was taken"
        return Judgement(VERIFIED, reason=f"{told}{limits}.", **found)
    if status in (500, 502) and observation.get("again") not in (500, 502):
        reason = f"{sent} ended in a server error ({status:.0f}), and when asked again did not."
        return Judgement(INCONCLUSIVE, reason=reason, **found)
    if status in (500, 502):
        return Judgement(
            CONTRADICTED,
            observed=f"{status:.0f}",
            reason=f"{sent} twice ended in a server error ({status:.0f}).",
            **found,
        )
    if not 200 <= status < 300:
        return Judgement(
            INCONCLUSIVE, reason=f"{sent} was answered {status:.0f}, which says nothing of its size.", **found
        )
    if counted is None and (why := unread(observation, "lacking")):
        return Judgement(INCONCLUSIVE, reason=why, **found)
    if counted is None and (lacking := text_of(observation.get("lacking"))):
        return Judgement(INCONCLUSIVE, reason=f"{sent} was neither refused nor surely read. {lacking}", **found)
    cut = unit == "tokens" and counted is not None and counted <= CUT * beyond
    found["observed"] = f"accepted, {plain(counted)} counted" if counted else "accepted"
    if observation.get("truncates") is True:
        reason = f"{sent} was accepted, and the server declares that it cuts longer inputs off."
        verdict = CONTRADICTED if served and served < wanted else VERIFIED if served else INCONCLUSIVE
        return Judgement(verdict, reason=reason, **found)
    if cut:
        reason = f"{sent} was accepted, but only {plain(counted or 0)} tokens were counted: cut off without saying so."
        return Judgement(CONTRADICTED, reason=reason, **found)
    if unit == "pixels":
        reason = f"{sent} was accepted; servers shrink pictures, which cannot be told from outside."
        return Judgement(INCONCLUSIVE, reason=reason, **found)
    if unit == "tokens" and (counted is None or counted < beyond):
        reason = (
            f"{sent} was accepted; whether all of it was read, or a part cut off, the count of tokens does not say."
        )
        return Judgement(INCONCLUSIVE, reason=reason, **found)
    return Judgement(CONTRADICTED, reason=f"{sent} was accepted, beyond the largest input that is claimed.", **found)
