"""One tiny request per claimed modality: accepted or refused?"""

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
    joined,
    nothing_claimed,
    number_of,
    text_of,
    texts_of,
)
from checklists.evidence.probes.generation import requests
from checklists.evidence.probes.generation.requests import MAX_TOKENS, Tiny
from checklists.evidence.probes.generation.sending import (
    NO_ROUTE,
    Sent,
    claimed_of,
    forbidden,
    model_of,
    send,
    usual_request,
    words_of,
)
from checklists.evidence.probes.serving import of_model, read
from checklists.evidence.probes.visit import Claims, Observation, Visit
from checklists.evidence.stacks import Stack

ITEM = "identity.modalities"
INPUTS, OUTPUTS = ("text", "image", "audio", "video"), ("text", "image", "audio", "embedding", "score", "structured")
USUAL = {
    "llm": (("text",), ("text",)),
    "multimodal": (("text", "image"), ("text",)),
    "diffusion": (("text",), ("image",)),
    "embedding": (("text",), ("embedding",)),
    "audio": (("audio",), ("text",)),
    "vision": (("image",), ("text",)),
}
# What servers say when a model does not take, or give, something; a bare 400 may have many reasons.
_UNSUPPORTED = re.compile(
    r"not? (?:a )?(?:multimodal|multi-modal)|(?:does|do|is|are) not support|not supported|unsupported|"
    r"no (?:image|audio|vision|multimodal)|at most 0|cannot (?:accept|process|handle)|not an? (?:embedding|vision|"
    r"image|audio|re-?rank)|not appear to be an? embedding|only supported by|"
    r"(?:input )?should be a valid string|must be a string|text[- ]only|"
    r"only (?:supports?|accepts?) text|mmproj|expected a? ?string",
    re.IGNORECASE,
)


# What else a server may not support, in the same words: an option of ours rather than the modality.
_OPTION = re.compile(
    r"voice|\bsize|response_format|parameter|argument|option|smaller|larger|at least|dimension|resolution|pixel|"
    r"max_tokens|temperature|sample rate|\bwav\b|\bpng\b|\bwidth|\bheight|multiple of|\bmode\b|\bbits?\b|gr[ae]yscale|"
    r"\bdata[ -]?ur[il]|base64|\bhttps? ur[il]|\bstream(?:ing)?\b",
    re.IGNORECASE,
)
# An error of the server's own that is a refusal all the same (llama-cpp-python, llama.cpp).
_NOT_MADE_FOR = re.compile(r"must be created with embedding|input is not supported - hint", re.IGNORECASE)
# A 404 that speaks of the model and not of the route (Speaches).
_OF_THE_MODEL = re.compile(r"\bmodel\b.{0,160}\b(?:is|does) not support", re.IGNORECASE)
# What servers call a model that sees or hears, where they say what theirs takes.
SENSES: Mapping[str, tuple[str, ...]] = {
    "image": ("vision", "image-text-to-text", "image-to-text", "visual-question-answering", "any-to-any"),
    "audio": ("audio", "audio-text-to-text", "any-to-any"),
}


class Modalities(Probe):
    """What the endpoint takes and gives, each tried with one tiny request.

    A picture or a sound goes beside a question that the same endpoint has just answered without it, so a refusal is a
    refusal of the picture. It counts as one only where the server says so in words; any other error may have another
    reason. Where a picture adds no token to the prompt it was thrown away, which is not taking it. Some servers write
    the picture's name or address into the prompt of a model that sees nothing; where such a server says what its model
    takes, that counts, and where it does not say, nothing is concluded. A route that does not exist says nothing: it
    may be called otherwise. Nor does a refusal of an option: a voice, a size, a format. And where nobody counts the
    tokens of the prompt, a picture that is accepted may have been thrown away.
    """

    key = "generation.modalities"
    title = "One tiny request per modality"
    items = (ITEM,)
    sends = (
        f"At most seven tiny requests, one per claimed input and output: completions of at most {MAX_TOKENS} tokens "
        "(alone, with a grey picture of 64×64 pixels, with one second of silence), one embedding, one ranking, one "
        "picture of 256×256 pixels, one spoken word, one transcription."
    )
    generates = True
    cheap = False
    ttl = timedelta(days=7)

    async def observe(self, visit: Visit) -> Observation:
        if refusal := forbidden(visit):
            return refusal
        first, problem = await usual_request(visit)
        if first is None:
            return problem
        claims = claimed_of(visit, ITEM)
        usual_in, usual_out = USUAL.get(visit.target.family, USUAL["llm"])
        inputs = [text for text in texts_of(claims.get("inputs")) if text in INPUTS] or list(usual_in)
        outputs = [text for text in texts_of(claims.get("outputs")) if text in OUTPUTS] or list(usual_out)
        stack = await visit.stack()
        if stack.key == "kserve":
            return {"inputs": {first.takes: _told(await send(visit, first))}, "outputs": {first.gives: {"same": True}}}
        model = await model_of(visit)
        takes = "text" if "text" in inputs else inputs[0]
        if visit.target.family == "audio" and "audio" in inputs:
            takes = "audio"
        tried: dict[str, dict[str, Any]] = {"inputs": {}, "outputs": {}}
        for output in outputs:
            if request := _for_output(output, stack, model, takes):
                told = _told(await send(visit, request))
                tried["outputs"][output] = told
                if output != "text":  # it is the output that is refused, not the text that asks for it
                    told = {**told, "refused": False}
                # Several outputs may go by several routes: an input that one of them takes is taken.
                if request.takes not in tried["inputs"] or told.get("accepted"):
                    tried["inputs"][request.takes] = told
        if "text" in outputs:
            parts: dict[str, dict[str, Any]] = {}
            if "image" in inputs and "image" not in tried["inputs"]:
                parts["image"] = requests.picture_part()
            if "audio" in inputs and "audio" not in tried["inputs"]:
                parts["audio"] = requests.sound_part()
            if parts:
                plain = _told(await send(visit, requests.chat_with(model, None, "text")))
                for name, part in parts.items():
                    told = _told(await send(visit, requests.chat_with(model, part, name)), beside=plain)
                    tried["inputs"][name] = await _by_its_own_word(visit, model, name, told)
        return tried

    def judge(
        self, item_key: str | None, claims: Claims, observation: Observation, others: Mapping[str, Claims] = NONE
    ) -> Judgement:
        if why := fact_error(observation):
            return inconclusive(why)
        inputs, outputs = (texts_of(claims.get(key)) for key in ("inputs", "outputs"))
        tried_in, tried_out = dict_of(observation.get("inputs")), dict_of(observation.get("outputs"))
        seen = (
            f"{joined(_accepted(tried_in)) or 'nothing'} in, {joined(_accepted(tried_out, tried_in)) or 'nothing'} out"
        )
        if not inputs or not outputs:
            return nothing_claimed(seen)
        open_, refused = [], []
        for wanted, tried, way in ((inputs, tried_in, "in"), (outputs, tried_out, "out")):
            for name in wanted:
                found = dict_of(tried.get("tensors" if "tensors" in tried and name not in tried else name))
                if found.get("same") is True:
                    found = dict_of(next(iter(tried_in.values()), None))
                if not found:
                    open_.append(f"{name} {way}: not tried")
                elif found.get("refused") is True:
                    refused.append(f"{name} {way}: {_why(found)}")
                elif found.get("accepted") is not True or (name != "text" and "tensors" in tried and way == "in"):
                    open_.append(f"{name} {way}: {_why(found) or 'tensors were taken, which may stand for anything'}")
        words: dict[str, Any] = {
            "claimed": f"{joined(inputs)} in, {joined(outputs)} out",
            "observed": seen,
            "rule": "one tiny request each: all accepted (a picture or sound beside text adds tokens): verified; "
            "one refused in words that name no option, while the same without it is answered: contradicted",
            "samples": len(tried_in) + len(tried_out),
        }
        if refused:
            return Judgement(CONTRADICTED, reason=f"Refused: {'; '.join(refused)}.", **words)
        if open_:
            return Judgement(INCONCLUSIVE, reason=f"Accepted: {seen}. Not settled: {'; '.join(open_)}.", **words)
        return Judgement(VERIFIED, reason=f"Each claimed modality was accepted once: {seen}.", **words)

    def settles(self, item_key: str, stack: Stack) -> str:
        if stack.key in ("comfyui", "torchserve"):
            return f"{stack.label} has no small request that could be sent without harm."
        if stack.key == "kserve":
            return "Tensors do not say what they stand for, so a refusal of one modality cannot be told."
        return super().settles(item_key, stack)


async def _by_its_own_word(visit: Visit, model: str, name: str, told: dict[str, Any]) -> dict[str, Any]:
    """An input that was accepted, held against what the server says that its model takes, if its stack says so."""
    if told.get("accepted") is not True or (await visit.stack()).tells("takes") is None:
        return told
    said = await read(visit, ("takes",))
    words = [text_of(one.get("value")) for one in of_model(said, {"model_id": model})]
    if any(word in SENSES[name] for word in words):
        return told
    if not words:
        return {**told, "accepted": False, "why": "answered, but the server does not say whether its model takes it"}
    why = f"answered, but the server says that its model is made for {joined(words)}"
    return {**told, "accepted": False, "refused": True, "why": why}


def _for_output(output: str, stack: Stack, model: str, takes: str) -> Tiny | None:
    if output == "text":
        return requests.transcription(model) if takes == "audio" else requests.chat(model) if takes == "text" else None
    if output == "embedding":
        return requests.embedding(stack, model)
    if output == "score":
        return requests.rerank(stack, model)
    if output == "image":
        return requests.picture(model)
    return requests.speech(model) if output == "audio" else None


def _told(sent: Sent, beside: dict[str, Any] | None = None) -> dict[str, Any]:
    """A request as the observation keeps it. ``beside``: the same request without the modality."""
    status = sent.answer.status
    told: dict[str, Any] = {"request": sent.request.what, "path": sent.request.path, "status": status}
    if sent.ok:
        told |= {"accepted": True, "tokens": number_of(dict_of(sent.answer.object().get("usage")).get("prompt_tokens"))}
        if beside and told["tokens"] and beside.get("tokens") and told["tokens"] <= beside["tokens"]:
            told |= {"accepted": False, "why": "accepted, but it added no token to the prompt: thrown away"}
        elif beside and not (told["tokens"] and beside.get("tokens")):
            told |= {"accepted": False, "why": "accepted, but without a count of tokens it may have been thrown away"}
        return told
    said = words_of(sent.answer)
    told |= {
        "accepted": False,
        "why": f"{status} {said}".strip() if status and not sent.answer.ok else sent.why,
        "no_route": status in NO_ROUTE,
    }
    in_words = status in (400, 415, 422, 424, 501) and bool(_UNSUPPORTED.search(said)) and not _OPTION.search(said)
    in_words = in_words or (status == 500 and bool(_NOT_MADE_FOR.search(said)))
    in_words = in_words or (status == 404 and bool(_OF_THE_MODEL.search(said)))
    told["refused"] = in_words and (beside is None or beside.get("accepted") is True)
    if told["no_route"] and not told["refused"]:
        told["why"] = f"there is no {sent.request.path} ({status})"
    return told


def _why(found: dict[str, Any]) -> str:
    return text_of(found.get("why")).rstrip(".")


def _accepted(tried: dict[str, Any], by: dict[str, Any] | None = None) -> list[str]:
    same = any(dict_of(found).get("accepted") is True for found in (by or {}).values())
    return [
        name
        for name, found in tried.items()
        if dict_of(found).get("accepted") is True or (dict_of(found).get("same") is True and same)
    ]
