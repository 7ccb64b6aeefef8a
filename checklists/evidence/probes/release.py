"""What is claimed about the release rather than about an endpoint: owner, dependencies, runbook, ModelSpec document."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

from checklists.assessments.services.modelspec import PLACES
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
    plain,
    text_of,
    texts_of,
)
from checklists.evidence.probes.capacity import size_of
from checklists.evidence.probes.condition import sounds_ill, state_of, tells_of_failure
from checklists.evidence.probes.identity import same_name
from checklists.evidence.probes.visit import Claims, Observation, Visit
from checklists.evidence.stacks import PRECISIONS, QUANTISATIONS
from checklists.journal.errors import Invalid
from checklists.registry import modelspec
from checklists.registry.architecture import shape

CHANGED = "The claim changed since this was measured; probe again."
_SIGN_IN = re.compile(r"log-?in|sign-?in|signon|\bsso\b|oauth|saml|openid|/auth\b", re.IGNORECASE)
# A page that asks who somebody is, or says that there is none, though its status is good.
_ASKS = re.compile(
    r"<input[^>]{0,300}\btype\s*=\s*[\"']?password|<title[^>]{0,100}>[^<]{0,100}\b(?:log|sign)[\s-]?in\b", re.I
)
_LOST = re.compile(r"<title[^>]{0,100}>[^<]{0,100}(?:not found|\b404\b|does(?: not|n.t) exist)", re.IGNORECASE)
MAX_PAGE = 256 * 1024  # bytes of a page that are looked through for that
_UNWELL = {"down", "unhealthy", "fail", "failed", "error", "critical", "not_ready", "out_of_service"}
LOOKS, LOOK_S = 3, 2.0  # so often, and so many seconds apart, an unhealthy answer is asked for again
_NONE = {"none", "no", "nothing", "-", "n/a"}
NAMED, REVISION = "descriptor.name", "descriptor.revision"
_HASH = re.compile(r"[0-9a-f]{7,64}\Z")


class Owner(Probe):
    """Whether the team that is named exists and still has people in it."""

    key = "release.owner"
    title = "Owning team"
    items = ("operations.owner",)
    about = "release"
    reads = ("people",)
    sends = "Nothing: it looks the team up in this portal."
    ttl = timedelta(days=1)

    async def observe(self, visit: Visit) -> Observation:
        return {"team": dict_of(visit.target.facts.get("team"))}

    def judge(
        self, item_key: str | None, claims: Claims, observation: Observation, others: Mapping[str, Claims] = NONE
    ) -> Judgement:
        team, contact = text_of(claims.get("team")), text_of(claims.get("on_call"))
        facts = dict_of(observation.get("team"))
        own, named = dict_of(facts.get("own")), [dict_of(one) for one in list_of(facts.get("named"))]
        shown = _people(own)
        if not team:
            return nothing_claimed(shown)
        if text_of(facts.get("asked")) != team:
            return inconclusive(CHANGED, claimed=team)
        rule = "The team is known here, is the model's own or one above or below it, and has active members."
        if not named:
            return inconclusive(
                f"No team of this portal is called {team}. The model belongs to {shown}.", claimed=team, observed=shown
            )
        related = [one for one in named if _related(one, own)]
        if not related:
            reason = f"The model belongs to {text_of(own.get('name'))}, not to {text_of(named[0].get('name'))}."
            return Judgement(CONTRADICTED, team, shown, "", reason, rule=rule)
        found = related[0]
        if not found.get("members"):
            reason = f"The team {text_of(found.get('name'))} has no active member, nor has any team below it."
            return Judgement(CONTRADICTED, team, "no active members", "", reason, rule=rule)
        if not contact:
            return inconclusive(
                f"{_people(found)}; but no on-call contact is given.", claimed=team, observed=_people(found)
            )
        reason = f"The team exists: {_people(found)}. The on-call contact, {contact[:120]}, was not called."
        return Judgement(VERIFIED, team, _people(found), "", reason, rule=rule)


def _people(team: Mapping[str, Any]) -> str:
    count = int(team.get("members") or 0)
    return f"{text_of(team.get('name')) or 'no team'}, {count} active member{'' if count == 1 else 's'}"


def _related(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    here, there = str(one.get("path") or ""), str(other.get("path") or "")
    return bool(here and there) and (here.startswith(there) or there.startswith(here))


# An address that somebody claims


def url_of(value: Any) -> str:
    """A claimed address, or nothing."""
    return value.strip() if isinstance(value, str) else ""


async def ask(visit: Visit, url: str, *, fresh: bool = False) -> Observation:
    """What a claimed address answers to one GET without credentials: ``{url, status, signed_out, lost, state, page}``
    or an error.

    ``state`` is what the body says of its health, ``signed_out`` that it led to a sign-in page, or is one, ``page``
    that it is a web page, ``lost`` that this one says of itself that it was not found.
    """
    if not url:
        return {"url": "", "error": "no_url", "why": "No address is claimed."}
    answer = await visit.get(url, key="none", fresh=fresh)
    if answer.error is not None:
        return {"url": url, "error": answer.error.kind, "why": answer.error.reason}
    response = answer.response
    if answer.ok and response is not None and response.truncated:
        return {"url": url, "error": "too_large", "why": answer.why}
    final = urlsplit(response.url) if response else urlsplit("")
    page = bool(response and response.header("content-type").lower().startswith("text/html"))
    text = response.body[:MAX_PAGE].decode("utf-8", "replace") if response and page else ""
    led = bool(response and response.hops and _SIGN_IN.search(f"{final.hostname or ''}{final.path}"))
    return {
        "url": url,
        "status": answer.status,
        "state": state_of(answer),
        "page": page,
        "signed_out": led or bool(_ASKS.search(text)),
        "lost": bool(_LOST.search(text)),
    }


def runbook_found(url: str, observation: Observation) -> tuple[bool | None, str]:
    """Whether a claimed runbook is there, going by what ``ask`` brought back: yes, no, or ``None``; and the sentence.

    404 says nothing: many wikis and forges answer so to whoever is not signed in.
    """
    status = observation.get("status")
    if not url or observation.get("url") != url:
        return None, "No runbook is claimed." if not url else CHANGED
    if why := fact_error(observation):
        return None, f"The runbook could not be reached. {why}"
    if observation.get("signed_out") or status in (401, 403):
        return None, "The runbook is behind a sign-in, so it cannot be seen from here."
    if observation.get("lost") is True:
        return None, f"The runbook's address answers {status}, with a page that says that it was not found."
    if isinstance(status, int) and 200 <= status < 300:
        return True, f"The runbook answers ({status})."
    if status == 410:
        return False, "The runbook is gone for good (410)."
    if status == 404:
        return None, "The runbook's address answers 404: nothing is there, or nothing for who is not signed in."
    return None, f"The runbook's address answers {status}."


class Dependencies(Probe):
    """Whether the claimed health address of the services it needs answers."""

    key = "release.dependencies"
    title = "Health of dependencies"
    items = ("operations.dependencies",)
    about = "release"
    reads = ("url",)
    sends = f"A GET, without credentials, to the claimed health address; up to {LOOKS} where it is not healthy."
    ttl = timedelta(days=1)

    async def observe(self, visit: Visit) -> Observation:
        url = url_of(dict_of(visit.target.claims.get(self.items[0])).get("health_url"))
        found = await ask(visit, url)
        for look in range(2, LOOKS + 1):
            if not _unwell(found):
                break
            await asyncio.sleep(LOOK_S)
            found = {**await ask(visit, url, fresh=True), "looks": look}
        return found

    def judge(
        self, item_key: str | None, claims: Claims, observation: Observation, others: Mapping[str, Claims] = NONE
    ) -> Judgement:
        names, url = text_of(claims.get("names")), url_of(claims.get("health_url"))
        rule = (
            f"Verified: 2xx without a word of ill health. Contradicted: 410, 5xx or such a word alone, {LOOKS} times "
            "some seconds apart. Else it says nothing: 404 may be what who is not signed in gets, and a web page is "
            "for people to read."
        )
        if not url:
            if names.casefold() in _NONE:
                return inconclusive("It is claimed to need nothing; there is no address to ask.", claimed=names)
            return nothing_claimed("") if not names else inconclusive("No health address is claimed.", claimed=names)
        if observation.get("url") != url:
            return inconclusive(CHANGED, claimed=url)
        if why := fact_error(observation):
            return inconclusive(f"{why} That may be so only from here.", claimed=url)
        status, state = observation.get("status"), text_of(observation.get("state"))
        seen = f"{status}{f', status {state}' if state else ''}"
        if observation.get("signed_out") or status in (401, 403):
            return inconclusive("The address is behind a sign-in.", claimed=url, observed=seen)
        if observation.get("page") is True:
            return inconclusive("A web page stands at the address.", claimed=url, observed=seen, rule=rule)
        if isinstance(status, int) and 200 <= status < 300 and not sounds_ill(state):
            return Judgement(VERIFIED, url, seen, "", f"The health address answers {seen}.", rule=rule, samples=1)
        looks = observation.get("looks")
        if _unwell(observation) and looks == LOOKS:
            reason = f"The health address answers {seen}, {LOOKS} times."
            return Judgement(CONTRADICTED, url, seen, "", reason, rule=rule, samples=LOOKS)
        return inconclusive(f"The health address answers {seen}.", claimed=url, observed=seen, rule=rule)


def _unwell(found: Observation) -> bool:
    status = found.get("status")
    if found.get("page") is True or found.get("signed_out") or not isinstance(status, int):
        return False
    return status == 410 or status >= 500 or (200 <= status < 300 and text_of(found.get("state")).casefold() in _UNWELL)


# The ModelSpec document

# Fields of the document that can be held against claims; the others answer other questions.
COMPARED = tuple(
    path
    for path, place in PLACES.items()
    if place.item.startswith(("identity.", "compute.")) and path not in ("descriptor.family", "descriptor.datasetsURL")
)
SHAPE = {"numLayers": "layers", "numAttentionHeads": "heads", "numKVHeads": "kv_heads", "hiddenSize": "hidden"}
# What the document may call a format, and the checklist's word for it.
_WORDS: Mapping[str, Mapping[str, str]] = {
    "config.precision": {**PRECISIONS, "float8": "fp8", "float4": "fp4"},
    "config.quantization": QUANTISATIONS,
}


class ResourceContract(Probe):
    """The ModelSpec document at the claimed address, else the one on file: valid, and agreeing with the claims."""

    key = "release.modelspec"
    title = "ModelSpec document"
    items = ("operations.resource-contract",)
    also_reads = ("identity.name-version", "identity.modalities", "identity.gpu-precision", "compute.quantization")
    about = "release"
    reads = ("modelspec", "url")
    sends = "One GET, without credentials, to the claimed address of the document."
    ttl = timedelta(days=7)

    async def observe(self, visit: Visit) -> Observation:
        url = url_of(dict_of(visit.target.claims.get(self.items[0])).get("document_url"))
        facts = visit.target.facts
        observation: Observation = {"url": url, "shape": _shape(dict_of(facts.get("architecture")))}
        if url:
            observation |= await _fetched(visit, url)
        if "said" not in observation and "faults" not in observation and (spec := dict_of(facts.get("modelspec"))):
            observation |= {"where": "The document on file", **_checked(spec)}
        return observation

    def judge(
        self, item_key: str | None, claims: Claims, observation: Observation, others: Mapping[str, Claims] = NONE
    ) -> Judgement:
        url = url_of(claims.get("document_url"))
        where, why = text_of(observation.get("where")), fact_error(observation)
        if observation.get("url") != url:
            return inconclusive(CHANGED, claimed=url)
        if not where:
            return inconclusive(why or "No document is claimed, and none is on file.", claimed=url)
        claimed = url or "the document on file"
        rule = (
            "The document follows the CNCF model specification, and every field that is claimed too, or follows from "
            "the config.json on file, says the same."
        )
        if faults := dict_of(observation.get("faults")):
            told = joined([f"{path}: {text_of(text)}" for path, text in faults.items()], 3)
            return Judgement(CONTRADICTED, claimed, "not valid", "", f"{where} is not valid. {told}", rule=rule)
        agree: list[str] = []
        conflict: list[str] = []
        unsure: list[str] = []
        for path, said, wanted, same in _compared(dict_of(observation.get("said")), others, observation):
            found = unsure if same is None else agree if same else conflict
            found.append(path if same else f"{path} says {said}, claimed is {wanted}")
        if conflict:
            told = joined(conflict, 4)
            return Judgement(CONTRADICTED, claimed, f"{len(conflict)} differ", "", f"{where}: {told}.", rule=rule)
        if unsure:
            told = f"{where}: {joined(unsure, 4)}. Whether that is the same, a person must tell."
            return inconclusive(told, claimed=claimed, rule=rule)
        if not agree:
            return inconclusive(f"{where} is valid, but nothing in it is claimed too.", claimed=claimed)
        note = f" {why}" if why else ""
        reason = f"{where} is valid and agrees with the claims in {joined(agree, 5)}.{note}"
        if why:  # what is claimed could not be read; the document on file may be another
            return Judgement(INCONCLUSIVE, claimed, f"{len(agree)} agree", "", reason, rule=rule)
        return Judgement(VERIFIED, claimed, f"{len(agree)} agree", "", reason, rule=rule)


async def _fetched(visit: Visit, url: str) -> Observation:
    answer = await visit.get(url, key="none")
    if not answer.ok or answer.response is None:
        return {"error": "unread", "why": f"The document could not be read. {answer.why}"}
    kind, text = answer.response.header("content-type"), answer.response.text
    if "html" in kind or text.lstrip()[:1] == "<":
        return {"error": "unread", "why": "A web page stands at the document's address, perhaps to sign in."}
    if answer.response.truncated or len(answer.response.body) > modelspec.MAX_BYTES:
        return {"error": "unread", "why": "The document is too large to be read."}
    if tells_of_failure(answer.object()):
        return {"error": "unread", "why": "What answers at the document's address speaks of a failure."}
    return {"where": "The document at the claimed address", **await asyncio.to_thread(_parsed, text)}


def _parsed(text: str) -> Observation:
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        try:
            document = modelspec.read_yaml(text)
        except Invalid as refusal:
            return {"faults": {"document": " ".join(refusal.message.split())}}
    return _checked(document)


def _checked(document: Any) -> Observation:
    """What a document says, by dotted path, or its faults."""
    try:
        spec, _ = modelspec.check(document)
    except (Invalid, RecursionError) as refusal:
        errors = getattr(refusal, "errors", {}) or {"document": [getattr(refusal, "message", "nested too deeply")]}
        return {"faults": {path[:200]: str(texts[0])[:300] for path, texts in list(errors.items())[:10]}}
    said = dict(modelspec.leaves(spec))
    kept = [path for path in said if path in COMPARED or path.startswith(("config.transformerConfig.", "config.param"))]
    return {"said": {path: said[path] for path in kept}}


def _shape(document: Mapping[str, Any]) -> dict[str, int]:
    try:
        found = shape(document) if document else None
    except Invalid:
        return {}
    if found is None:
        return {}
    counted = {"parameters": found.parameters} if found.counted and not found.partial else {}
    return {**{name: getattr(found, name) for name in SHAPE.values()}, **counted}


def _compared(
    said: Mapping[str, Any], others: Mapping[str, Claims], observation: Observation
) -> Iterator[tuple[str, str, str, bool | None]]:
    """Path, what the document says, what is claimed, and whether that is the same, or ``None`` where it may be; only
    where both say something in words of the checklist's."""
    for path in COMPARED:
        place = PLACES[path]
        value, wanted = said.get(path), others.get(place.item, {}).get(place.claim)
        if not value or not wanted:
            continue
        same = _same(path, value, wanted)
        if same is not None or path in (NAMED, REVISION):
            yield path, _told(value), _told(wanted), same
    known = dict_of(observation.get("shape"))
    for name, field in SHAPE.items():
        value = said.get(f"config.transformerConfig.{name}")
        if isinstance(value, int) and field in known:
            yield name, plain(value), f"{plain(known[field])} (config.json)", value == known[field]
    size, parameters = size_of(said.get("config.paramSize")), known.get("parameters")
    if size and isinstance(parameters, int):
        near = 0.6 < size / parameters < 1.6  # names are rounded: a Gemma called 2b has 2.5 billion
        counted = f"{plain(round(parameters / 1e9, 2))}b (config.json)"
        yield "paramSize", text_of(said["config.paramSize"]), counted, near


def _told(value: Any) -> str:
    return joined([text_of(one) for one in value]) if isinstance(value, list) else text_of(value)


def _same(path: str, value: Any, wanted: Any) -> bool | None:
    """``None`` where it may be: a part of a name, a branch and a commit, a format that has no word here."""
    if isinstance(wanted, list):  # choices: what the document names must be among what is claimed
        words = value if isinstance(value, list) else re.split(r"[\s,;/+]+", str(value).casefold())
        meant = {_WORDS[path].get(str(word), "") if path in _WORDS else str(word) for word in words if word}
        return None if "" in meant else meant <= set(texts_of(wanted))
    one, other = text_of(value), text_of(wanted)
    one, other = one.casefold(), other.casefold()
    if path == NAMED:
        tails = [re.sub(r"[\W_]+", "", text.rpartition("/")[2]) for text in (one, other)]
        if same_name(one, other) or (tails[0] == tails[1] and bool(tails[0])):
            return True
        # A part of a name may be the family's, or leave the size out.
        return None if all(tails) and (tails[0] in tails[1] or tails[1] in tails[0]) else False
    if path == "descriptor.version":
        one, other = (re.sub(r"\A(?:version\s*|v)(?=\d)|(?:\.0)+\Z", "", text) for text in (one, other))
        return one == other
    if path == REVISION and one != other:
        if not all(map(_HASH.match, (one, other))):
            return None  # a branch or tag may lead to the commit
        return one.startswith(other) or other.startswith(one)
    return one == other
