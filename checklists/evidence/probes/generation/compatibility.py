"""Can the new release stand in for the old one? The same tiny requests to both endpoints."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from checklists.evidence.client import same_origin
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
    Target,
    Visit,
    dict_of,
    fact_error,
    inconclusive,
    joined,
    nothing_claimed,
    text_of,
)
from checklists.evidence.probes.generation import requests
from checklists.evidence.probes.generation.counters import malformed
from checklists.evidence.probes.generation.sending import TIMEOUT_S, forbidden, model_of, usual_request
from checklists.evidence.stacks import Stack

MAX_DEPTH = 6
MAX_PATHS = 80


class Compatibility(Probe):
    """The same tiny requests to this endpoint and to one of the release before: whole, streamed, and malformed.

    Compatible is an answer of the same class (2xx, 4xx) that has every field which the old one filled, with the same
    kind of value; more fields are no harm, and what the old one left empty counts for nothing. A malformed request that
    ends in the same server error on both is compatible, if not well served. For embeddings the
    number of dimensions counts too. What is written in the fields is not compared. Another endpoint of the same release
    says something about the claimed version only where its name holds that version.
    """

    key = "generation.compatibility"
    title = "The same requests to the release before"
    items = ("release.compatibility",)
    sends = (
        "Three tiny requests (one whole, one streamed where it is a completion, one malformed) to this endpoint and to "
        "one of the release before, or to another endpoint of this release."
    )
    generates = True
    cheap = False
    ttl = timedelta(days=30)

    async def observe(self, visit: Visit) -> Observation:
        if refusal := forbidden(visit):
            return refusal
        version, other = _other(visit)
        if other is None:
            return {"error": "no_other", "why": "No endpoint of the release before is known, and no other one of this."}
        if not other.may_generate:
            return {"error": "not_allowed", "why": f"Generating requests to {other.name} are not allowed by its owner."}
        beside = visit.beside(other)
        new, problem = await _shapes(visit)
        if problem:
            return problem
        old, problem = await _shapes(beside)
        if problem:
            return {**problem, "why": f"{other.name}: {problem['why']}"}
        observation: Observation = {"other": other.name, "version": version, "old": old, "new": new}
        return beside.clean(observation)

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
            broken += [f"{name}: {text}" for text in lost]
            open_ += [f"{name}: {text}" for text in unsure]
        version, other = text_of(observation.get("version")), text_of(observation.get("other"))
        shown = f"{len(old)} requests, {len(broken)} broken"
        if not claimed:
            return nothing_claimed(shown)
        words: dict[str, Any] = {
            "claimed": f"compatible with {claimed}",
            "observed": shown,
            "rule": "same class of status, and every field that the old answer filled, of the same kind",
            "samples": len(old),
        }
        same = version.casefold() == claimed.casefold() or _holds(other, claimed)
        about = f"{other} ({version})" if version else other
        if not same:
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


def _other(visit: Visit) -> tuple[str, Target | None]:
    """The version and an endpoint of the release before, or another endpoint of this release."""
    previous = dict_of(visit.target.facts.get("previous"))
    endpoints = previous.get("endpoints")
    for found in endpoints if isinstance(endpoints, list | tuple) else ():
        target = found if isinstance(found, Target) else _target(dict_of(found), visit.target)
        if target.url:
            return text_of(previous.get("version")), target
    return "", next((target for target in visit.target.siblings if target.url), None)


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


def _holds(name: str, version: str) -> bool:
    """Whether a name holds a version as a part of its own: ``old-4.1`` holds 4.1, ``4.12`` does not."""
    name, version = name.casefold(), version.casefold()
    place = name.find(version)
    before, after = name[:place][-1:], name[place + len(version) :][:1]
    return place >= 0 and not before.isalnum() and not after.isdigit() and after != "."


async def _shapes(visit: Visit) -> tuple[Observation, Observation]:
    """Name → status and shape of each request's answer; and what stood in the way."""
    request, problem = await usual_request(visit)
    if request is None:
        return {}, problem
    whole = await visit.post(
        request.path,
        request.payload,
        content=request.content,
        content_type=request.content_type,
        timeout_s=TIMEOUT_S / 2,
    )
    if whole.error is not None:
        return {}, {"error": whole.error.kind, "why": whole.why}
    shapes = {"whole": _shape(whole)}
    if request.kind == "chat" and isinstance(request.payload, dict):
        model = await model_of(visit)
        streamed = await visit.post(request.path, requests.chat(model, stream=True).payload, timeout_s=TIMEOUT_S / 2)
        shapes["streamed"] = _shape(streamed, stream=True)
    shapes["malformed"] = _shape(await visit.post(request.path, malformed(request), timeout_s=TIMEOUT_S / 4))
    return shapes, {}


def _shape(answer: Answer, *, stream: bool = False) -> Observation:
    if answer.response is None or answer.response.truncated or (answer.flaw and not stream):
        return {"status": None, "why": answer.why}
    fields: dict[str, str] = {}
    documents = [answer.response.json()]
    if stream and answer.ok:
        lines = [line[5:].strip() for line in answer.response.text.split("\n") if line.startswith("data:")]
        documents = [_parsed(line) for line in lines[:200] if line != "[DONE]"]
    if answer.flaw and not any(documents):
        return {"status": None, "why": f"The server answered {answer.status}, but not with JSON that can be read."}
    for document in documents:
        for path, kind in paths_of(document).items():
            fields.setdefault(path, kind)
    kind = answer.response.header("content-type").partition(";")[0].strip().lower()
    return {"status": answer.status, "type": kind, "fields": dict(list(fields.items())[:MAX_PATHS])}


def _parsed(line: str) -> Any:
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        return None


def paths_of(value: Any, path: str = "", depth: int = 0) -> dict[str, str]:
    """Field paths (``choices[].message.content``) and the kind of what fills them; empty values count for nothing.
    Lists of numbers tell their length: a vector of another length is another vector."""
    if value is None or depth > MAX_DEPTH:
        return {}
    if isinstance(value, dict):
        found: dict[str, str] = {}
        for key, inner in list(value.items())[:60]:
            found |= paths_of(inner, f"{path}.{key}" if path else str(key), depth + 1)
        return found
    if isinstance(value, list):
        if value and all(isinstance(inner, int | float) and not isinstance(inner, bool) for inner in value):
            return {path: f"{len(value)} numbers"}
        return paths_of(value[0], f"{path}[]", depth + 1) if value else {}
    kinds = {bool: "true or false", int: "number", float: "number", str: "text"}
    return {path: kinds.get(type(value), "something else")}


def _lost(before: Observation, after: Observation, exceptions: str) -> tuple[list[str], list[str]]:
    """What of the old answer the new one lacks, and what cannot be compared."""
    old, new = before.get("status"), after.get("status")
    if not isinstance(old, int) or not isinstance(new, int):
        why = text_of(before.get("why")) or text_of(after.get("why"))
        return [], [f"no answer to compare ({why.rstrip('.')})" if why else "no answer to compare"]
    if {old, new} & {401, 403, 429, 503, 504}:
        return [], [f"{old} before, {new} now"]
    if old // 100 != new // 100:
        # An old endpoint that refuses, or fails, is no measure for the new one.
        return ([f"{old} before, {new} now"], []) if old < 300 else ([], [f"{old} before, {new} now"])
    if old >= 500:
        return [], [f"{old} both times"]
    fields, now = dict_of(before.get("fields")), dict_of(after.get("fields"))
    lost = []
    for path, kind in fields.items():
        if any(
            re.search(rf"(?<![\w.]){re.escape(name)}(?!\w)", exceptions) for name in (path, path.rpartition(".")[2])
        ):
            continue
        if path not in now:
            lost.append(f"{path} is missing")
        elif now[path] != kind:
            lost.append(f"{path} was {kind}, is {now[path]}")
    if text_of(before.get("type")) != text_of(after.get("type")) and text_of(before.get("type")):
        lost.append(f"{text_of(before.get('type'))} became {text_of(after.get('type')) or 'untyped'}")
    return lost, []
