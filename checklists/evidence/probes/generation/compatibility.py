"""Can the new release stand in for the old one? The same tiny requests to both endpoints."""

from __future__ import annotations

import json
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
    list_of,
    nothing_claimed,
    problem,
    text_of,
)
from checklists.evidence.probes.generation import requests
from checklists.evidence.probes.generation.counters import malformed
from checklists.evidence.probes.generation.sending import TIMEOUT_S, counted, forbidden, model_of, usual_request
from checklists.evidence.probes.visit import Answer, Claims, Observation, Target, Visit
from checklists.evidence.stacks import Stack
from checklists.evidence.urls import same_origin

MAX_DEPTH = 6
MAX_PATHS = 80
WAIT_S = TIMEOUT_S / 2
TIMES = 2  # each request is sent so often, for a single answer may fail, or hold a field, by chance
# Fields that callers of the APIs rely on; whether anybody needs the others only a person can say.
CORE = frozenset(
    {
        *("id", "object", "created", "model", "text", "model_name", "generated_text", "[].generated_text"),
        *("choices[].index", "choices[].finish_reason", "choices[].message.role", "choices[].message.content"),
        *("choices[].delta.content", "choices[].text", "usage.prompt_tokens", "usage.completion_tokens"),
        *("usage.total_tokens", "data[].embedding", "data[].index", "data[].object", "data[].url", "data[].b64_json"),
        *("embeddings[]", "[]", "outputs[].name", "outputs[].datatype", "outputs[].shape", "outputs[].data"),
    }
)
VECTORS = ("data[].embedding", "embeddings[]", "[]")  # lists whose length counts
RULE = (
    "Of a good request, each sent twice to both: the same class of status, and every field that callers rely on and "
    "that both old answers filled, of the same kind: verified. Such a field in none of the new answers, of another "
    "kind, or a good request refused or failed both times: contradicted. Anything else that differs is told."
)


class Compatibility(Probe):
    """The same tiny requests to this endpoint and to the one that is recorded for the claimed version: whole and
    streamed, each twice, and one malformed.

    Compatible is an answer of the same class (2xx, 4xx) that has every field which the old ones filled, with the same
    kind of value; more fields are no harm, what the old one left empty counts for nothing, and a field that is there
    but empty is there. For embeddings the number of dimensions counts too. What is written in the fields is not
    compared. Only fields that callers of the APIs rely on contradict, and how a malformed request is refused never
    does. Where both releases name one address, it is one server, and nothing is compared.
    """

    key = "generation.compatibility"
    title = "The same requests to the release before"
    items = ("release.compatibility",)
    sends = (
        "Five tiny requests (two whole, two streamed where it is a completion, one malformed) to this endpoint and to "
        "one of the release before."
    )
    generates = True
    cheap = False
    ttl = timedelta(days=30)

    async def observe(self, visit: Visit) -> Observation:
        if refusal := forbidden(visit):
            return refusal
        version, other = _other(visit.target)
        if other is None:
            return {"error": "no_other", "why": "No endpoint of the release before is known."}
        if other.base.rstrip("/").casefold() == visit.target.base.rstrip("/").casefold():
            why = f"Version {version} is recorded under the same address, so there is only one server to ask."
            return {"error": "one_server", "why": why}
        if not other.may_generate:
            why = f"Version {version}: the owner of its endpoint {other.name} does not allow requests that generate."
            return {"error": "not_allowed", "why": why}
        beside = visit.beside(other)
        new, fault = await _shapes(visit)
        if fault:
            return fault
        old, fault = await _shapes(beside)
        if fault:
            return {**fault, "why": f"{other.name}: {fault['why']}"}
        observation: Observation = {"other": other.name, "version": version, "old": old, "new": new}
        return beside.clean(observation)

    def beside(self, target: Target) -> Target | None:
        _, other = _other(target)
        return other if other and other.may_generate else None

    def judge(
        self, item_key: str | None, claims: Claims, observation: Observation, others: Mapping[str, Claims] = NONE
    ) -> Judgement:
        claimed, exceptions = text_of(claims.get("compatible_with")), text_of(claims.get("exceptions"))
        if why := fact_error(observation):
            return inconclusive(why, claimed=claimed)
        old, new = dict_of(observation.get("old")), dict_of(observation.get("new"))
        broken, open_ = [], []
        for name, before in old.items():
            after = dict_of(new.get(name))
            if name == "malformed" and before == after and dict_of(before).get("status") == 500:
                continue
            lost, unsure = _lost(dict_of(before), after, exceptions)
            if name == "malformed":
                lost, unsure = [], lost + unsure
            broken += [f"{name}: {text}" for text in lost]
            open_ += [f"{name}: {text}" for text in unsure]
        version, other = text_of(observation.get("version")), text_of(observation.get("other"))
        shown = f"{len(old)} requests, {len(broken)} broken"
        if not claimed:
            return nothing_claimed(shown)
        words: dict[str, Any] = {
            "claimed": f"compatible with {claimed}",
            "observed": shown,
            "rule": RULE,
            "samples": sum(counted(dict_of(shape).get("times")) or 1 for shape in old.values()),
        }
        about = f"{other} ({version})" if version else other
        if version.casefold().removeprefix("v") != claimed.casefold().removeprefix("v"):
            differ = f"; differences: {joined(broken, 4)}" if broken else f"; {joined(open_, 4) or 'no differences'}"
            reason = f"Compared with {about}, which is not known to be version {claimed}{differ}."
            return Judgement(INCONCLUSIVE, reason=reason, **words)
        if broken:
            return Judgement(CONTRADICTED, reason=f"Compared with {about}: {joined(broken, 4)}.", **words)
        if open_ or not old:
            reason = f"Compared with {about}: {joined(open_, 4) or 'nothing could be compared'}."
            return Judgement(INCONCLUSIVE, reason=reason, **words)
        return Judgement(
            VERIFIED, reason=f"Compared with {about}: {joined(list(old))} have the same shape, field by field.", **words
        )

    def settles(self, item_key: str, stack: Stack) -> str:
        if stack.key in ("comfyui", "torchserve"):
            return f"{stack.label} has no small request that could be sent without harm."
        return super().settles(item_key, stack)


def _other(target: Target) -> tuple[str, Target | None]:
    """The version and an endpoint of the release before."""
    previous = dict_of(target.facts.get("previous"))
    endpoints = previous.get("endpoints")
    for found in endpoints if isinstance(endpoints, list | tuple) else ():
        other = found if isinstance(found, Target) else _target(dict_of(found), target)
        if other.url:
            return text_of(previous.get("version")), other
    return "", None


def _target(facts: dict[str, Any], beside: Target) -> Target:
    """An endpoint from facts, which hold no secrets: at the same origin the same credentials are good."""
    url = text_of(facts.get("url"))
    return Target(
        name=text_of(facts.get("name")),
        url=url,
        stack=text_of(facts.get("stack")) or "auto",
        headers=beside.headers if same_origin(url, beside.url) else {},
        may_generate=facts.get("may_generate") is True,
        family=beside.family,
        model_hint=text_of(facts.get("model_id")) or beside.model_hint,
    )


async def _shapes(visit: Visit) -> tuple[Observation, Observation]:
    """Name → status and shape of each request's answer; and what stood in the way."""
    request, why = await usual_request(visit)
    if request is None:
        return {}, why
    wholes = [
        await visit.post(
            request.path,
            request.payload,
            content=request.content,
            content_type=request.content_type,
            timeout_s=WAIT_S,
        )
        for _ in range(TIMES)
    ]
    if failed := next((answer for answer in wholes if answer.error is not None), None):
        return {}, problem(failed)
    shapes = {"whole": _together([_shape(answer) for answer in wholes])}
    if request.kind == "chat" and isinstance(request.payload, dict):
        payload = requests.chat(await model_of(visit), stream=True).payload
        streams = [await visit.post(request.path, payload, timeout_s=WAIT_S) for _ in range(TIMES)]
        shapes["streamed"] = _together([_shape(answer, stream=True) for answer in streams])
    shapes["malformed"] = _shape(await visit.post(request.path, malformed(request), timeout_s=TIMEOUT_S / 4))
    return shapes, {}


def _shape(answer: Answer, *, stream: bool = False) -> Observation:
    """Status, type, the kinds of the fields that are filled, and the names of those that are there but empty."""
    if answer.response is None or answer.response.truncated or (answer.flaw and not stream):
        return {"status": None, "why": answer.why}
    fields: dict[str, str] = {}
    empty: list[str] = []
    documents = [answer.response.json()]
    if stream and answer.ok:
        lines = [line[5:].strip() for line in answer.response.text.split("\n") if line.startswith("data:")]
        documents = [_parsed(line) for line in lines[:200] if line != "[DONE]"]
    if answer.flaw and not any(documents):
        return {"status": None, "why": f"The server answered {answer.status}, but not with JSON that can be read."}
    for document in documents:
        for path, kind in paths_of(document, empty=empty).items():
            fields.setdefault(path, kind)
    kind = answer.response.header("content-type").partition(";")[0].strip().lower()
    kept = dict(list(fields.items())[:MAX_PATHS])
    return {
        "status": answer.status,
        "type": kind,
        "fields": kept,
        "empty": sorted(set(empty) - set(fields))[:MAX_PATHS],
    }


def _together(shapes: list[Observation]) -> Observation:
    """What several answers to one request have in common: filled is what all filled, with one kind of value; what only
    some filled, or none, is there all the same."""
    first, statuses = shapes[0], [shape.get("status") for shape in shapes]
    if len(set(statuses)) > 1 or None in statuses:
        return {"status": None, "why": f"answered {' and '.join(str(status or 'not') for status in statuses)}"}
    every = [dict_of(shape.get("fields")) for shape in shapes]
    fields = {path: kind for path, kind in every[0].items() if all(each.get(path) == kind for each in every)}
    there = {path for shape in shapes for path in (*dict_of(shape.get("fields")), *list_of(shape.get("empty")))}
    empty = sorted(there - set(fields))
    return {**first, "fields": fields, "empty": empty[:MAX_PATHS], "times": len(shapes)}


def _parsed(line: str) -> Any:
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        return None


def paths_of(value: Any, path: str = "", depth: int = 0, *, empty: list[str] | None = None) -> dict[str, str]:
    """Field paths (``choices[].message.content``) and the kind of what fills them; empty values count for nothing, and
    are added to ``empty``. Lists of numbers tell their length: a vector of another length is another vector."""
    if value is None or value == [] or depth > MAX_DEPTH:
        if empty is not None and path:
            empty.append(path)
        return {}
    if isinstance(value, dict):
        found: dict[str, str] = {}
        for key, inner in list(value.items())[:60]:
            found |= paths_of(inner, f"{path}.{key}" if path else str(key), depth + 1, empty=empty)
        return found
    if isinstance(value, list):
        if all(isinstance(inner, int | float) and not isinstance(inner, bool) for inner in value):
            return {path: f"{len(value)} numbers"}
        return paths_of(value[0], f"{path}[]", depth + 1, empty=empty)
    kinds = {bool: "true or false", int: "number", float: "number", str: "text"}
    return {path: kinds.get(type(value), "something else")}


def _lost(before: Observation, after: Observation, exceptions: str) -> tuple[list[str], list[str]]:
    """What of the old answer the new one lacks, and what cannot be compared."""
    old, new = before.get("status"), after.get("status")
    if not isinstance(old, int) or not isinstance(new, int):
        whys = (text_of(shape.get("why")) for shape in (before, after))
        why = " ".join(why for why in whys if why).rstrip(".")
        return [], [f"no answer to compare ({why})" if why else "no answer to compare"]
    if {old, new} & {401, 403, 429, 503, 504}:
        return [], [f"{old} before, {new} now"]
    if old // 100 != new // 100:
        # An old endpoint that refuses, or fails, is no measure for the new one.
        return ([f"{old} before, {new} now, both times"], []) if old < 300 else ([], [f"{old} before, {new} now"])
    if old >= 500:
        return [], [f"{old} both times"]
    fields, now = dict_of(before.get("fields")), dict_of(after.get("fields"))
    there = {*now, *list_of(after.get("empty"))}
    lost: list[str] = []
    unsure: list[str] = []
    for path, kind in fields.items():
        if (excepted := _excepted(path, exceptions)) is True:
            continue
        within = any(path.startswith((f"{one}.", f"{one}[]")) for one in there)  # what held it is there, but empty
        found = lost if path in CORE and not within and excepted is False else unsure
        if path not in there:
            found.append(f"{path} is missing")
        elif path in now and not _one_kind(path, kind, text_of(now[path])):
            found.append(f"{path} was {kind}, is {now[path]}")
    if text_of(before.get("type")) != text_of(after.get("type")) and text_of(before.get("type")):
        lost.append(f"{text_of(before.get('type'))} became {text_of(after.get('type')) or 'untyped'}")
    return lost, unsure


def _excepted(path: str, exceptions: str) -> bool | None:
    """Whether the team named a field as an exception; ``None`` where a word such as ``model`` may be no field's."""
    names = [re.escape(name) for name in (path, path.rpartition(".")[2])]
    meant = [name for name in names if re.search(r"[._]", name)]
    quoted = [rf"[`'\"“‘]{name}[`'\"”’]" for name in names]
    if any(re.search(rf"(?<![\w.]){name}(?!\w)", exceptions) for name in (*meant, *quoted)):
        return True
    return None if any(re.search(rf"(?<![\w.]){name}(?!\w)", exceptions) for name in names) else False


def _one_kind(path: str, old: str, new: str) -> bool:
    numbers = old.endswith(" numbers") and new.endswith(" numbers")
    return old == new or (numbers and path not in VECTORS)
