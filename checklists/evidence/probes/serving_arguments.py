from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from checklists.evidence.probes.base import (
    CONTRADICTED,
    NONE,
    VERIFIED,
    Judgement,
    Probe,
    fact_error,
    inconclusive,
    joined,
    nothing_claimed,
    number_of,
    plain,
    text_of,
    texts_of,
)
from checklists.evidence.probes.gpu_names import same_gpu
from checklists.evidence.probes.serving import Reading, agreed, each_of, read, unsaid
from checklists.evidence.probes.visit import Claims, Observation, Visit
from checklists.evidence.stacks import PRECISIONS, QUANTISATIONS, Stack

PRECISION = ("gpu_name", "precision", "kv_precision")
SPLIT = ("tensor_parallel", "pipeline_parallel", "data_parallel", "gpus")
MEANS = (*PRECISION, "quantization", *SPLIT)
SPLIT_WORDS = {"tensor_parallel": "tensor parallel", "pipeline_parallel": "pipeline parallel", "gpus": "GPUs"}
RULE_LISTED = "everything that is served stands in the claimed list"
RULE_EQUAL = "served = claimed"
RULE_PRECISION = (
    "Verified: the GPU, and the format of the weights, stand in the claimed list. Contradicted: another GPU, or "
    "neither the number format nor the quantisation stands there. The format of the KV cache decides nothing."
)
SMALL = {"fp8", "int8", "int4", "fp4"}
_LEVEL = re.compile(
    r"(?:\(guessed\) |all )?(?:bf|f|i?q|mxfp)\d", re.IGNORECASE
)  # as GGUF files say what their weights are in
# What a GGUF file may hold, by its own word for the precision, and what else that is called.
_IN_GGUF = {"fp32": "none", "fp16": "none", "bf16": "none", "int8": "int8", "fp4": "mxfp4"}
# The precision of weights that were quantised so; of the others the number of bits is not told.
_QUANTISED = {"fp8": "fp8", "int8": "int8", "awq": "int4", "nvfp4": "fp4", "mxfp4": "fp4"}


class ServingArguments(Probe):
    """How the model was started, in the server's own words: number format, quantisation, split, and on which GPUs."""

    key = "serving.arguments"
    version = 2
    title = "Serving arguments"
    items = ("identity.gpu-precision", "compute.parallelism", "compute.quantization")
    reads = ("endpoint", "metrics")
    also_reads = ("identity.name-version",)  # of several served models, the claimed one counts
    sends = "GETs to the routes that describe the server and to its metrics page; to Ollama a POST that shows a model."
    ttl = timedelta(days=7)

    async def observe(self, visit: Visit) -> Observation:
        return await read(visit, MEANS)

    def judge(
        self, item_key: str | None, claims: Claims, observation: Observation, others: Mapping[str, Claims] = NONE
    ) -> Judgement:
        names, why = others.get("identity.name-version", {}), fact_error(observation)
        judged = {"compute.parallelism": _split, "compute.quantization": _quantisation}.get(item_key or "", _precision)
        return agreed([judged(claims, readings, why) for readings in each_of(observation, names)], names)

    def settles(self, item_key: str, stack: Stack) -> str:
        if item_key == "identity.gpu-precision":
            return unsaid(stack, ("precision", "gpu_name"), "its GPU and number format")
        if item_key == "compute.quantization":
            return unsaid(stack, ("quantization",), "its quantisation")
        if item_key == "compute.parallelism":
            return unsaid(stack, ("tensor_parallel", "pipeline_parallel", "gpus"), "how it is split over GPUs")
        return super().settles(item_key, stack)


def _precision(claims: Claims, readings: list[Reading], why: str) -> Judgement:
    gpus, precisions = texts_of(claims.get("gpu_types")), [p.casefold() for p in texts_of(claims.get("precisions"))]
    claimed = "; ".join(part for part in (joined(gpus), joined(precisions)) if part)
    if why:
        return inconclusive(why, claimed=claimed)
    seen: list[str] = []
    wrong: list[str] = []
    right: list[str] = []
    quantised = _quantised(readings)
    # Who says nothing of a quantisation may have found one in the weights (SGLang tells only what it was started with).
    told = any(one.get("means") == "quantization" for one in readings)
    leveled = any(one.get("means") == "precision" and _LEVEL.match(text_of(one.get("value"))) for one in readings)
    for one in readings:
        means, value, where = text_of(one.get("means")), text_of(one.get("value")), text_of(one.get("where"))
        if means == "gpu_name" and value:
            seen.append(value)
            same = [same_gpu(gpu, value) for gpu in gpus]
            if True in same:
                right.append(f"{value} ({where})")
            elif gpus and None not in same:
                wrong.append(f"{value} ({where})")
        elif means in ("precision", "kv_precision") and (word := precision_of(value)):
            label = f"{word} for the KV cache" if means == "kv_precision" else word
            seen.append(label)
            if means == "kv_precision":
                continue
            # Of quantised weights this is only the format they are reckoned in.
            if word in precisions and not quantised:
                right.append(f"{label} ({where})")
                continue
            # The checklist has no word for five or six bits, so who has such weights claims four or eight.
            near = {"int4", "int8"} if word.startswith("int") and word not in PRECISIONS.values() else {word}
            near |= set() if told or _LEVEL.match(value) else SMALL
            if precisions and not {word, *near, *quantised.values()} & {*precisions, ""}:
                wrong.append(f"{label} ({where})")
    for name, word in quantised.items():
        seen.append(f"quantised by {name}")
        if word in precisions:
            right.append(f"{word} (quantised by {name})")
    if not claimed:
        return nothing_claimed(joined(seen))
    found: dict[str, Any] = {"claimed": claimed, "observed": joined(seen), "rule": RULE_PRECISION}
    if wrong:
        return Judgement(CONTRADICTED, reason=f"Served: {joined(wrong)}, which is not in the claimed list.", **found)
    if not right:
        return inconclusive(
            _not_comparable(readings, seen), claimed=claimed, observed=joined(seen), rule=RULE_PRECISION
        )
    known = {text_of(one.get("means")) for one in readings}
    rest = "" if "gpu_name" in known else " The GPU type is not told."
    rest += "" if "precision" in known else " The precision is not told."
    rest += "" if told or leveled or "precision" not in known else " Whether its weights are quantised is not told."
    return Judgement(VERIFIED, reason=f"Served: {joined(right)}, as claimed.{rest}", **found)


def _quantised(readings: list[Reading]) -> dict[str, str]:
    """By what the weights are quantised, and their precision, empty where that is not told. A GGUF file names its own
    precision."""
    said = {text_of(one.get("value")).casefold() for one in readings if one.get("means") == "quantization"}
    names = {QUANTISATIONS.get(word, word) for word in said if word} - {"none", "gguf"}
    return {name: _QUANTISED.get(name, "") for name in sorted(names)}


def _quantisation(claims: Claims, readings: list[Reading], why: str) -> Judgement:
    formats = [text.casefold() for text in texts_of(claims.get("formats"))]
    if why:
        return inconclusive(why, claimed=joined(formats))
    served = [
        (QUANTISATIONS[word], text_of(one.get("where")))
        for one in readings
        if one.get("means") == "quantization" and (word := text_of(one.get("value")).casefold()) in QUANTISATIONS
    ]
    seen = joined(sorted({word for word, _ in served}))
    if not formats:
        return nothing_claimed(seen)
    if not served:
        quantised = [one for one in readings if one.get("means") == "quantization"]
        return inconclusive(_not_comparable(quantised, []), claimed=joined(formats), rule=RULE_LISTED)
    found: dict[str, Any] = {"claimed": joined(formats), "observed": seen, "rule": RULE_LISTED}
    told = (precision_of(text_of(one.get("value"))) for one in readings if one.get("means") == "precision")
    held = {_IN_GGUF.get(word, "") for word in told if word}
    held = held or set(_IN_GGUF.values())  # it may be any, where none is told
    wrong = next(((word, where) for word, where in served if word not in formats), None)
    if wrong and wrong[0] == "gguf" and held & set(formats):
        reason = (
            f"Served a GGUF file ({wrong[1]}), whose weights may be of the claimed kind: what counts is for a person."
        )
        return inconclusive(reason, **found)
    if wrong:
        words = "unquantised" if wrong[0] == "none" else wrong[0]
        return Judgement(
            CONTRADICTED, reason=f"Served {words} ({wrong[1]}), which is not in the claimed list.", **found
        )
    return Judgement(VERIFIED, reason=f"Served {seen} ({served[0][1]}), as claimed.", **found)


def _split(claims: Claims, readings: list[Reading], why: str) -> Judgement:
    wanted = {key: number for key in SPLIT_WORDS if (number := number_of(claims.get(key))) is not None}
    claimed = _in_words(wanted)
    if why:
        return inconclusive(why, claimed=claimed)
    served: dict[str, float] = {}
    where: dict[str, str] = {}
    for one in readings:
        key, number = text_of(one.get("means")), number_of(one.get("value"))
        if key in SPLIT and number is not None:
            if served.get(key, number) != number:
                told = f"{SPLIT_WORDS.get(key, key)} {plain(served[key])} and {plain(number)}"
                return inconclusive(f"Several models are served, with {told}.", claimed=claimed)
            served[key], where[key] = number, text_of(one.get("where"))
    if "tensor_parallel" in served and served.get("data_parallel", 1) == 1 and "gpus" not in served:
        # One replica takes the product; with data parallelism replicas share a server, and it does not say which.
        served["gpus"] = served["tensor_parallel"] * served.get("pipeline_parallel", 1)
        where["gpus"] = f"the product of {joined([where[key] for key in SPLIT[:2] if key in where])}"
    seen = _in_words(served)
    if not wanted:
        return nothing_claimed(seen)
    compared = [key for key in wanted if key in served]
    if not compared:
        return inconclusive(
            "The server does not tell how it is split.", claimed=claimed, observed=seen, rule=RULE_EQUAL
        )
    unseen = [SPLIT_WORDS[key] for key in wanted if key not in served]
    rest = f" Not told by the server: {joined(unseen)}." if unseen else ""
    found: dict[str, Any] = {"claimed": claimed, "observed": seen, "rule": RULE_EQUAL}
    for key in compared:
        if served[key] != wanted[key]:
            reason = (
                f"{SPLIT_WORDS[key]}: claimed {plain(wanted[key])}, served {plain(served[key])} ({where[key]}).{rest}"
            )
            return Judgement(CONTRADICTED, reason=reason[0].upper() + reason[1:], **found)
    places = joined(sorted({where[key] for key in compared}))
    return Judgement(VERIFIED, reason=f"Equal to what the server says in {places}.{rest}", **found)


def precision_of(word: str) -> str:
    """The checklist's word for what a server calls its number format (``Q4_K_M`` → int4), empty if it has none."""
    word = word.casefold().removeprefix("(guessed) ").removeprefix("torch.").removeprefix("all ").strip()
    if word in PRECISIONS:
        return PRECISIONS[word]
    if gguf := re.match(r"i?q(\d)_", word):
        return f"int{gguf[1]}"
    return PRECISIONS.get(word.split()[0].strip("-"), "") if word else ""


def _in_words(split: Mapping[str, float]) -> str:
    return joined([f"{SPLIT_WORDS[key]} {plain(split[key])}" for key in SPLIT_WORDS if key in split])


def _not_comparable(readings: list[Reading], seen: list[str]) -> str:
    said = joined(sorted({f"{text_of(one.get('value'))} ({text_of(one.get('where'))})" for one in readings}))
    if seen:
        return f"The server tells only {joined(seen)}, which says nothing of the claim."
    return f"The server says {said}, which names no format." if said else "The server does not tell this."
