"""The probe that takes a fingerprint, and says whether it is that of the model that was signed off."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from checklists.evidence.probes.base import (
    CONTRADICTED,
    INCONCLUSIVE,
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
    number_of,
    plain,
    text_of,
)
from checklists.evidence.probes.generation import fingerprint, requests
from checklists.evidence.probes.generation.fingerprint import (
    LEAST_GAP,
    MOST_GAP,
    OTHER_COSINE,
    OTHER_GAP,
    OTHER_TEXT,
    PROMPTS,
    SAME_COSINE,
    SAME_TEXT,
    SEED,
    SET,
    TOKENS,
    Comparison,
    allowed_gap,
    compare,
)
from checklists.evidence.probes.generation.requests import vector_of
from checklists.evidence.probes.generation.sending import TIMEOUT_S, forbidden, model_of, words_of
from checklists.evidence.stacks import Stack

NAMES = ("model_id", "version", "revision", "artifact_digest")  # claims whose truth sameness carries along
SERVES_NONE = ("kserve", "torchserve", "comfyui")


class Fingerprint(Probe):
    """A fixed set of short prompts at temperature 0 with a fixed seed, each asked twice, with log probabilities where
    they are offered; for embedding models the vectors of the same texts. Compared with the fingerprint that was stored
    at sign-off, and with those of the release's other endpoints.

    Verified: the answers agree for at least 90 % of their tokens, and the log probabilities within three times the
    server's own noise (at least 0.003 and at most 0.05 nats on average; vectors: a cosine of at least 0.999).
    Contradicted: they agree for less than half, or log probabilities differ by half a nat (vectors: cosine below 0.98),
    or every prompt counts the same number of tokens more or less, which is another system prompt or template. In
    between it is drift: told with the numbers and the prompts that differ, and left to a person. Where the server does
    not agree with itself for 90 %, nothing is concluded.

    How the thresholds were set: llama-cpp-python 0.3.36 on a CPU, a llama of two layers with random weights, whose near
    ties make it the hardest case for words. Ten fingerprints of one server, three while three others kept asking it,
    one after a restart, one with two threads and batches of eight: agreement 100 %, gap 0.000 nats each time. The same
    weights as 16-bit floats: 92 %, 0.005. In 8 bits: 38 %, 0.098. In 4 bits: 7 %, 0.589. Every weight moved by 1 %:
    51 %, 0.143. Other weights: 0 %. Another chat template: 62 prompt tokens more, everywhere. So the least allowed gap
    lies between nothing and what 16-bit floats make of it, and half of the words between a small change of the weights
    and another precision. A server that computes on GPUs in batches is noisier than that, which its own repetition
    shows only in part; therefore what is not clear is drift, and never contradicts. The vectors' thresholds are
    chosen and not measured.
    """

    key = "model.fingerprint"
    title = "Same model as at sign-off"
    items = ("identity.name-version",)
    about_endpoint = True
    sends = (
        f"{len(PROMPTS)} short prompts, twice: completions of at most {TOKENS} tokens at temperature 0 with log "
        "probabilities, or one embedding each."
    )
    generates = True
    cheap = False
    ttl = timedelta(days=1)

    async def observe(self, visit: Visit) -> Observation:
        if refusal := forbidden(visit):
            return refusal
        stack, family = await visit.stack(), visit.target.family
        if stack.key in SERVES_NONE or family not in ("llm", "multimodal", "embedding"):
            return {"error": "not_tried", "why": "Only models that answer in text or vectors have a fingerprint."}
        model = await model_of(visit)
        if not model and stack.key not in ("tei", "tgi"):
            return {"error": "no_model", "why": "No model name is known to ask for."}
        asking = _Asking(visit, stack, model)
        first, why = await asking.all()
        if why:
            return {"error": "failed", "why": why}
        again, why = await asking.all()
        if why:
            return {"error": "failed", "why": f"The second round failed. {why}"}
        facts = visit.target.facts
        return {
            "set": SET,
            "model": model,
            "prompts": first,
            "digest": fingerprint.digest_of(first),
            "repeat": _numbers(compare(first, again)),
            "reference": _reference(facts.get("fingerprint")),
            "others": [
                reference
                for each in list_of(facts.get("fingerprints"))[:10]
                if (reference := _reference(each)) and reference["endpoint"] != visit.target.name
            ],
        }

    def judge(
        self, item_key: str | None, claims: Claims, observation: Observation, others: Mapping[str, Claims] = NONE
    ) -> Judgement:
        claimed = text_of(claims.get("model_id")) if item_key else "answers alike when asked twice"
        if why := fact_error(observation):
            return inconclusive(why, claimed=claimed)
        prompts, reference = dict_of(observation.get("prompts")), dict_of(observation.get("reference"))
        repeat = dict_of(observation.get("repeat"))
        own, noise = number_of(repeat.get("mean")) or 0.0, number_of(repeat.get("gap")) or 0.0
        rule = (
            f"agreement ≥ {SAME_TEXT:.0%} and log probabilities within 3 × own noise ({LEAST_GAP} to {MOST_GAP} nats), "
            f"cosine ≥ {SAME_COSINE}: verified; words < {OTHER_TEXT:.0%}, gap ≥ {OTHER_GAP}, cosine < {OTHER_COSINE} "
            "or a constant shift of prompt tokens: contradicted"
        )
        base = Judgement(INCONCLUSIVE, claimed, f"digest {text_of(observation.get('digest'))[:12]}", rule=rule)
        base = dataclasses.replace(base, samples=len(prompts))
        if item_key is None:
            verdict = VERIFIED if own >= SAME_TEXT else INCONCLUSIVE
            reason = f"A fingerprint was taken twice; {own:.0%} of the answers agree."
            return dataclasses.replace(base, verdict=verdict, reason=reason)
        strange = ""
        for other in map(dict_of, list_of(observation.get("others"))):
            verdict, told = _against(prompts, other, own, noise)
            if verdict == CONTRADICTED:
                strange = strange or f"The endpoint {text_of(other.get('endpoint'))} answers otherwise: {told}."
        if not reference:
            if strange:
                return dataclasses.replace(base, verdict=CONTRADICTED, reason=strange)
            beside = " The release's other endpoints answer alike." if list_of(observation.get("others")) else ""
            reason = f"No fingerprint was stored at a sign-off yet, so there is none to compare with.{beside}"
            return dataclasses.replace(base, reason=reason)
        verdict, told = _against(prompts, reference, own, noise)
        since = (
            f"since {text_of(reference.get('taken_at'))[:10]}"
            if text_of(reference.get("taken_at"))
            else "since sign-off"
        )
        words = {
            VERIFIED: f"The same model {since}: {told}.",
            CONTRADICTED: f"Another model, quantisation or system prompt {since}: {told}.",
            INCONCLUSIVE: f"Drift {since}: {told}.",
        }
        signed = dict_of(reference.get("claims"))
        if verdict == VERIFIED and any(text_of(claims.get(name)) != text_of(signed.get(name)) for name in signed):
            verdict = INCONCLUSIVE
            words[verdict] = f"The same answers {since}: {told}. But another name was claimed when it was signed off."
        if verdict != CONTRADICTED and strange:
            return dataclasses.replace(base, verdict=CONTRADICTED, reason=f"{words[verdict]} {strange}")
        return dataclasses.replace(base, verdict=verdict, reason=words[verdict])

    def speaks_to(self, observation: Observation) -> tuple[str | None, ...]:
        """Of the model only where there is something to compare with, or where no fingerprint could be taken: silence
        would clear what an earlier comparison found."""
        compares = fact_error(observation) or observation.get("reference") or observation.get("others")
        return (*self.items, None) if compares else (None,)

    def settles(self, item_key: str, stack: Stack) -> str:
        if stack.key in SERVES_NONE:
            return f"{stack.label} serves neither completions nor embeddings of a known shape."
        return super().settles(item_key, stack)


class _Asking:
    """One server being asked; it is found out once which options it knows."""

    def __init__(self, visit: Visit, stack: Stack, model: str) -> None:
        self.visit, self.stack, self.model = visit, stack, model
        self.options: list[dict[str, Any]] = [{"seed": SEED, "logprobs": True, "top_logprobs": 1}, {"seed": SEED}, {}]

    async def all(self) -> tuple[dict[str, Any], str]:
        """Every prompt's entry, and why they are not complete."""
        found: dict[str, Any] = {}
        for key, text in PROMPTS.items():
            embedding = self.visit.target.family == "embedding"
            entry, why = await (self._vector(text) if embedding else self._text(text))
            if entry is None:
                return {}, f"The prompt “{key}” was not answered. {why}"
            found[key] = entry
        return found, ""

    async def _vector(self, text: str) -> tuple[dict[str, Any] | None, str]:
        request = requests.embedding(self.stack, self.model, text)
        answer = await self.visit.post(request.path, request.payload, timeout_s=TIMEOUT_S / 2)
        vector = vector_of(answer)
        if not isinstance(vector, list):
            return None, answer.why if not answer.ok else "No vector came."
        entry = fingerprint.entry_of_vector(vector)
        return (entry, "") if entry["vector"] else (None, "The vector holds no numbers.")

    async def _text(self, text: str) -> tuple[dict[str, Any] | None, str]:
        payload = {**(requests.chat(self.model, text=text, max_tokens=TOKENS).payload or {})}
        answer = Answer()
        while self.options:
            answer = await self.visit.post(
                "/v1/chat/completions", {**payload, **self.options[0]}, timeout_s=TIMEOUT_S / 2
            )
            # A server that does not know an option says 400, 422 or 501; llama-cpp-python 500.
            if answer.status not in (400, 422, 500, 501) or len(self.options) == 1:
                break
            del self.options[0]
        choice = dict_of(next(iter(list_of(answer.object().get("choices"))), None))
        message = dict_of(choice.get("message"))
        pieces = (message.get("reasoning_content") or message.get("reasoning"), message.get("content"))
        said = "".join(piece for piece in pieces if isinstance(piece, str))
        if not answer.ok or not choice:
            if answer.flaw:
                return None, answer.why
            why = f"The server answered {answer.status}, but with no text." if answer.ok else answer.why
            said = words_of(answer)
            return None, f"{why} It says: “{said}”." if said else why
        tokens = [
            (token, float(value))
            for row in map(dict_of, list_of(dict_of(choice.get("logprobs")).get("content")))
            if isinstance(token := row.get("token"), str) and isinstance(value := row.get("logprob"), int | float)
        ]
        counted = number_of(dict_of(answer.object().get("usage")).get("prompt_tokens"))
        return fingerprint.entry_of_text(said, tokens, counted), ""


def _reference(stored: Any) -> dict[str, Any] | None:
    """A stored fingerprint, as far as it is one: of this set, with prompts."""
    found = dict_of(stored)
    prompts = {key: dict_of(entry) for key, entry in dict_of(found.get("prompts")).items() if key in PROMPTS}
    if not prompts or text_of(found.get("set") or SET) != SET:
        return None
    return {
        "prompts": prompts,
        "endpoint": text_of(found.get("endpoint")),
        "taken_at": text_of(found.get("taken_at")),
        "claims": {name: text_of(value) for name, value in dict_of(found.get("claims")).items() if name in NAMES},
    }


def _numbers(found: Comparison | None) -> dict[str, Any]:
    if found is None:
        return {}
    return {"mean": round(found.mean, 4), "gap": found.gap, "differ": found.differ, "cosine": found.cosine}


def _against(prompts: Mapping[str, Any], reference: Mapping[str, Any], own: float, noise: float) -> tuple[str, str]:
    """The verdict on two fingerprints, and the numbers in words. ``own``: how far the server agrees with itself;
    ``noise``: by how many nats it does not."""
    found = compare(dict_of(reference.get("prompts")), prompts)
    if found is None:
        return INCONCLUSIVE, "no prompt was answered both times"
    if found.cosine is not None:
        told = f"cosine at least {found.cosine:.4f} over {len(found.similar)} texts"
        low, high = found.cosine < OTHER_COSINE, found.cosine >= SAME_COSINE
        return (CONTRADICTED if low else VERIFIED if high else INCONCLUSIVE), told
    if found.shift:
        more = "more" if found.shift > 0 else "fewer"
        return (
            CONTRADICTED,
            f"every prompt counts {plain(abs(found.shift))} tokens {more}, as with another system prompt",
        )
    parts = [f"{found.mean:.0%} of the answers agree"]
    if found.gap is not None:
        parts.append(f"log probabilities differ by {found.gap:.3f} nats")
    if found.differ:
        parts.append(f"different: {joined(found.differ, 8)}")
    if own < SAME_TEXT:
        return INCONCLUSIVE, joined([*parts, f"but the server agrees with itself for {own:.0%} only"])
    if found.mean < OTHER_TEXT or (found.gap is not None and found.gap >= OTHER_GAP):
        return CONTRADICTED, joined(parts)
    if found.mean >= SAME_TEXT and (found.gap is None or found.gap <= allowed_gap(noise)):
        return VERIFIED, joined(parts)
    return INCONCLUSIVE, joined(parts)
