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
    Judgement,
    Probe,
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
    LEAST_SHIFT,
    LIKELY,
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
    allowed_gap,
    compare,
    real,
    unsteady,
)
from checklists.evidence.probes.generation.requests import vector_of
from checklists.evidence.probes.generation.sending import TIMEOUT_S, claimed_of, forbidden, model_of, words_of
from checklists.evidence.probes.visit import Answer, Claims, Observation, Visit
from checklists.evidence.stacks import Stack

NAMES = ("model_id", "version", "revision", "artifact_digest")  # claims whose truth sameness carries along
SERVES_NONE = ("kserve", "torchserve", "comfyui", "speaches")


class Fingerprint(Probe):
    """A fixed set of short prompts at temperature 0 with a fixed seed, each asked twice, with log probabilities where
    they are offered; for embedding models the vectors of the same texts. Compared with the fingerprint that was stored
    at sign-off, and with those that the same run took of the release's other endpoints.

    By log probabilities, and how far the other word was behind where answers part (nats, the mean over the prompts):
    verified up to 0.003, or three times the server's own noise, at most 0.015; contradicted from 0.5. Without them by
    words: verified if 90 % of the answers agree, contradicted below 50 %. Vectors: verified from a cosine of 0.9999,
    contradicted below 0.98. A constant change of all prompts' token counts, by 4 at least, is another system prompt or
    template; fewer may be the date in one. In between it is drift, left to a person. Of a server that contradicts
    itself nothing is concluded; nor where the second answers were the first out of a cache, as their ids tell, for then
    its noise is not known.

    Measured by ``tests.bench.fingerprints`` on CPUs (nats; agreement of words; 1 − cosine), with SmolLM2 135M on
    llama.cpp and PyTorch and MiniLM L6 on PyTorch; a tiny model of random weights is some three times as sensitive:

    - the same server, alone, restarted, with other batch sizes or threads, while others ask: up to 0.0014, 100 %, 5e-10
      with 32-bit floats; with another attention kernel up to 0.002; in bfloat16, batched with others' requests or not:
      0.031, 85 %, 4e-5, which is therefore drift in text and verified in vectors;
    - another precision: float16 0.003 and 1e-6, bfloat16 0.034 and 6e-5, a cache in 8 bits 0.018, weights in 8 bits
      0.024 to 0.066 and 3e-4, in 4 bits 0.39 to 0.81 and 6e-2, which is drift or contradicted by the kind of rounding;
    - other weights: moved by 1 % 0.085 and 3e-4, adapted by 1 % 0.048 and 5e-4, by 5 % 0.33 and 1e-2; others 2.0 and 1;
    - another system prompt 0.32 and 8 tokens fewer; another template 1.6 and 5 more; another prefix of what is embedded
      0.18.

    Fingerprints of one server: 20 of the tiny model and of the vectors in 32-bit floats, 2 to 4 of each other series.
    These servers are deterministic when alone, so what was repeated says little of servers that are not.

    The limits: what is smaller than half precision's rounding (a change of 0.1 % of the weights in vectors, float16
    for 32-bit floats) is not seen; batching on a bfloat16 server and 8-bit weights look alike and are both drift. GPUs
    were not measured: log probabilities contradict only from 16 times the largest noise above, vectors from 500 times.
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
        ids = asking.take_ids()
        again, why = await asking.all()
        if why:
            return {"error": "failed", "why": f"The second round failed. {why}"}
        if (repeat := compare(first, again)) is None:
            return {"error": "empty", "why": f"The model says nothing in {TOKENS} tokens to most of the prompts."}
        facts = visit.target.facts
        return {
            "set": SET,
            "model": model,
            "named": names_of(claimed_of(visit, self.items[0])),
            "prompts": first,
            "digest": fingerprint.digest_of(first),
            "repeat": repeat.numbers,
            "cached": _cached(ids, asking.take_ids()),
            "reference": reference_of(facts.get("fingerprint")),
            "others": [],  # put in when those of the same run are recorded
        }

    def judge(
        self, item_key: str | None, claims: Claims, observation: Observation, others: Mapping[str, Claims] = NONE
    ) -> Judgement:
        claimed = text_of(claims.get("model_id")) if item_key else "answers alike when asked twice"
        if why := fact_error(observation):
            return inconclusive(why, claimed=claimed)
        prompts, reference = dict_of(observation.get("prompts")), dict_of(observation.get("reference"))
        repeat = dict_of(observation.get("repeat"))
        rule = (
            f"log probabilities within 3 × own noise ({LEAST_GAP} to {MOST_GAP} nats), or without them agreement "
            f"≥ {SAME_TEXT:.0%}, cosine ≥ {SAME_COSINE}: verified; gap ≥ {OTHER_GAP}, or without them words "
            f"< {OTHER_TEXT:.0%}, cosine < {OTHER_COSINE}, or a constant shift of {LEAST_SHIFT} prompt tokens: "
            "contradicted; nothing where the answers were cached"
        )
        base = Judgement(INCONCLUSIVE, claimed, f"digest {text_of(observation.get('digest'))[:12]}", rule=rule)
        base = dataclasses.replace(base, samples=len(prompts))
        if item_key is None:
            why, own = unsteady(repeat), real(repeat.get("mean")) or 0.0
            verdict = INCONCLUSIVE if why else VERIFIED
            reason = f"A fingerprint was taken twice; {own:.0%} of the answers agree{f', but {why}' if why else ''}."
            return dataclasses.replace(base, verdict=verdict, reason=reason)
        if observation.get("cached") is True:
            reason = (
                "The second round was answered with the same answers, by their ids: a cache stands before the model."
            )
            return dataclasses.replace(base, reason=reason)
        strange = ""
        for other in map(dict_of, list_of(observation.get("others"))):
            verdict, told = _against(prompts, other, repeat)
            if verdict == CONTRADICTED:
                strange = strange or f"The endpoint {text_of(other.get('endpoint'))} answers otherwise: {told}."
        if not reference:
            if strange:
                return dataclasses.replace(base, verdict=CONTRADICTED, reason=strange)
            beside = " The release's other endpoints answer alike." if list_of(observation.get("others")) else ""
            if why := unsteady(repeat):
                beside = f" Nor would this one be kept: {why}."
            reason = f"No fingerprint was stored at a sign-off yet, so there is none to compare with.{beside}"
            return dataclasses.replace(base, reason=reason)
        verdict, told = _against(prompts, reference, repeat)
        signed = dict_of(reference.get("claims"))
        renamed = any(text_of(claims.get(name)) != text_of(signed.get(name)) for name in signed)
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
        if verdict == VERIFIED and not any(text_of(claims.get(name)) for name in NAMES):
            verdict = INCONCLUSIVE
            words[verdict] = f"The same answers {since}: {told}. But nothing is claimed of which model it is."
        elif verdict == VERIFIED and renamed:
            verdict = INCONCLUSIVE
            words[verdict] = f"The same answers {since}: {told}. But another name was claimed when it was signed off."
        elif verdict == CONTRADICTED and renamed:
            verdict = INCONCLUSIVE
            words[verdict] = f"Another model {since}: {told}. But another name was claimed then, too."
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
        self.ids: dict[str, str] = {}
        told = {"seed": SEED, "logprobs": True}
        self.options: list[dict[str, Any]] = [
            {**told, "top_logprobs": LIKELY},
            {**told, "top_logprobs": 1},
            {"seed": SEED},
            {},
        ]

    def take_ids(self) -> dict[str, str]:
        """The ids of the answers since last asked, by the text of the prompt."""
        taken, self.ids = self.ids, {}
        return taken

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
        self.ids[text] = text_of(answer.object().get("id"))
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
        rows = list_of(dict_of(choice.get("logprobs")).get("content"))
        tokens = _told(rows)
        likely = [_told(list_of(dict_of(row).get("top_logprobs"))) for row in rows] if len(tokens) == len(rows) else []
        counted = number_of(dict_of(answer.object().get("usage")).get("prompt_tokens"))
        return fingerprint.entry_of_text(said, tokens, counted, likely), ""


def _told(rows: list[Any]) -> list[tuple[str, float]]:
    """Tokens with their log probabilities, as far as the rows hold both."""
    return [
        (token, float(value))
        for row in map(dict_of, rows)
        if isinstance(token := row.get("token"), str) and (value := real(row.get("logprob"))) is not None
    ]


def names_of(claims: Mapping[str, Any]) -> dict[str, str]:
    """What of the claims says which model it is."""
    return {name: text_of(claims[name]) for name in NAMES if name in claims}


def reference_of(stored: Any) -> dict[str, Any] | None:
    """A stored fingerprint, as far as it is one: of this set, with prompts."""
    found = dict_of(stored)
    prompts = {key: dict_of(entry) for key, entry in dict_of(found.get("prompts")).items() if key in PROMPTS}
    if not prompts or text_of(found.get("set") or SET) != SET:
        return None
    return {
        "prompts": prompts,
        "endpoint": text_of(found.get("endpoint")),
        "taken_at": text_of(found.get("taken_at")),
        "claims": names_of(dict_of(found.get("claims"))),
    }


def _cached(first: Mapping[str, str], again: Mapping[str, str]) -> bool:
    """Whether answers came a second time. A server that gives all its answers one id tells nothing by it."""
    told = {text: one for text, one in first.items() if one}
    return len(set(told.values())) > 1 and any(again.get(text) == one for text, one in told.items())


def _against(prompts: Mapping[str, Any], reference: Mapping[str, Any], repeat: Mapping[str, Any]) -> tuple[str, str]:
    """The verdict on two fingerprints, and the numbers in words. ``repeat``: how the server differs from itself."""
    found = compare(dict_of(reference.get("prompts")), prompts)
    if found is None:
        return INCONCLUSIVE, "too few prompts were answered both times"
    if found.cosine is not None:
        parts = [f"cosine at least {found.cosine:.4f} over {len(found.similar)} texts"]
        other, same = found.cosine < OTHER_COSINE, found.cosine >= SAME_COSINE
    else:
        parts = [f"{found.mean:.0%} of the answers agree"]
        other, same = found.mean < OTHER_TEXT, found.mean >= SAME_TEXT
        if found.gap is not None:
            parts.append(f"log probabilities differ by {found.gap:.3f} nats")
            if found.whole:
                other, same = found.gap >= OTHER_GAP, found.gap <= allowed_gap(real(repeat.get("gap")) or 0.0)
            else:
                mostly = 2 * found.weighed >= len(found.similar)  # then words that part tell little
                other, same = found.gap >= OTHER_GAP or (other and not mostly), same and found.gap <= LEAST_GAP
        if found.differ:
            parts.append(f"different: {joined(found.differ, 8)}")
        if found.shift:
            more = "more" if found.shift > 0 else "fewer"
            many = f"every prompt counts {plain(abs(found.shift))} tokens {more}, as with another system prompt"
            if repeat.get("recounted"):
                other, same, parts = False, False, [*parts, many, "but it counts otherwise each time"]
            elif abs(found.shift) >= LEAST_SHIFT:
                return CONTRADICTED, many
            else:
                same, parts = False, [*parts, f"every prompt counts {plain(abs(found.shift))} {more}"]
    if why := unsteady(repeat):
        return INCONCLUSIVE, joined([*parts, f"but {why}"])
    return CONTRADICTED if other else VERIFIED if same else INCONCLUSIVE, joined(parts)
