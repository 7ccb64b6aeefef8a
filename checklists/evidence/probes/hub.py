"""Where models and images are published: does the claimed revision or digest exist there, and under that name?

Both are asked at configured addresses only (``facts["hub_url"]``, ``facts["oci_url"]``); without one, nobody is asked.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import timedelta
from typing import ClassVar
from urllib.parse import quote, urlencode, urlsplit

from checklists.evidence.probes.base import (
    CONTRADICTED,
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
    text_of,
)
from checklists.evidence.probes.release import CHANGED
from checklists.evidence.probes.serving import plain_name
from checklists.evidence.probes.visit import Answer, Claims, Observation, Visit
from checklists.evidence.sources.alertmanager import kept_only
from checklists.evidence.stacks import Stack

NAME, LINEAGE = "identity.name-version", "identity.lineage"
RUNS = "whether it is what runs only the server can tell."
ONLY_SERVER = "What runs only the server can tell."
FIELDS = ("model_id", "version", "revision", "artifact_digest")
_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]{0,95}(?:/[A-Za-z0-9][\w.-]{0,95})?\Z")
_HUB_REVISION = re.compile(r"[\w][\w./-]{0,119}\Z")
_COMMIT = re.compile(r"[0-9a-f]{7,40}\Z")
_OCI_NAME = re.compile(r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*\Z")
_OCI_TAG = re.compile(r"\w[\w.-]{0,127}\Z")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}\Z")
_CHALLENGE = re.compile(r'(realm|service|scope)="([^"]{0,500})"')
MANIFESTS = ", ".join(
    f"application/vnd.{kind}+json"
    for kind in (
        "oci.image.index.v1",
        "oci.image.manifest.v1",
        "docker.distribution.manifest.list.v2",
        "docker.distribution.manifest.v2",
    )
)


def digest_of(text: str) -> str:
    """The digest of an image or file that a text gives in full, bare or behind a name and an @; else an empty one."""
    found = re.search(r"(?:^|@)(?:sha256:)?([0-9a-f]{64})\Z", text.strip().casefold())
    return f"sha256:{found[1]}" if found else ""


def _asked(visit: Visit) -> dict[str, str]:
    claims = dict_of(visit.target.claims.get(NAME))
    return {name: text_of(claims.get(name)) for name in FIELDS}


def _moved_on(claims: Claims, observation: Observation) -> bool:
    asked = dict_of(observation.get("asked"))
    return any(text_of(claims.get(name)) != text_of(asked.get(name)) for name in FIELDS)


class ModelHub(Probe):
    """The claimed model and revision on a Hugging Face Hub, and the base model that its card names."""

    key = "hub.revision"
    title = "Model hub"
    items = (NAME, LINEAGE)
    also_reads = (NAME,)
    about = "release"
    reads = ("hub",)
    sends = "One or two GETs, without credentials, to the configured hub: the claimed model at the claimed revision."
    ttl = timedelta(days=1)

    async def observe(self, visit: Visit) -> Observation:
        base, asked = text_of(visit.target.facts.get("hub_url")).rstrip("/"), _asked(visit)
        observation: Observation = {"hub": base, "asked": asked}
        if not base:
            return {**observation, "error": "off", "why": "No model hub is configured, so none was asked."}
        model, revision = plain_name(asked["model_id"]), asked["revision"]
        if not _HUB_ID.match(model) or ".." in model:
            why = "The claimed model id is no name that a model hub could have." if model else "No model id is claimed."
            return {**observation, "error": "no_name", "why": why}
        page = f"{base}/api/models/{quote(model)}"
        if revision and _HUB_REVISION.match(revision) and ".." not in revision:
            answer = await visit.get(f"{page}/revision/{quote(revision, safe='')}", key="none")
            if answer.status == 404:
                # Which of the two is missing decides: the model alone is asked for too.
                known = await visit.get(page, key="none")
                if known.ok and not known.flaw:
                    newest = text_of(known.object().get("sha"))
                    return {**observation, "missing": revision, "sha": newest, **_card(known)}
        else:
            answer = await visit.get(page, key="none")
        if not answer.ok or answer.flaw:
            return {**observation, "error": "unknown", "why": self._why(answer, base, model)}
        return {**observation, "sha": text_of(answer.object().get("sha")), **_card(answer)}

    @staticmethod
    def _why(answer: Answer, base: str, model: str) -> str:
        if answer.status in (401, 403, 404):
            return f"{base} does not show a model {model}: it is not there, or not public."
        return f"{base} could not be asked. {answer.why}"

    def judge(
        self, item_key: str | None, claims: Claims, observation: Observation, others: Mapping[str, Claims] = NONE
    ) -> Judgement:
        name = claims if item_key == NAME else others.get(NAME, {})
        if observation.get("error") != "off" and _moved_on(name, observation):
            return inconclusive(CHANGED, claimed=text_of(claims.get("revision") or claims.get("base_model")))
        if item_key == LINEAGE:
            return _lineage(claims, observation)
        return _revision(claims, observation)

    def speaks_to(self, observation: Observation) -> tuple[str | None, ...]:
        return () if observation.get("error") == "off" else self.items

    def settles(self, item_key: str, stack: Stack) -> str:
        if item_key == LINEAGE:
            return "A model card names the next ancestor only: it can verify a base model, and contradicts none."
        return f"A hub knows what is published. {ONLY_SERVER}" if item_key == NAME else super().settles(item_key, stack)


def _card(answer: Answer) -> Observation:
    body = answer.object()
    card = dict_of(body.get("cardData"))
    bases = card.get("base_model")
    named = [text for one in (bases if isinstance(bases, list) else [bases])[:10] if (text := text_of(one))]
    gated = body.get("gated")
    return {
        "id": text_of(body.get("id") or body.get("modelId")),
        "gated": text_of(gated) or gated is True,
        "parameters": number_of(dict_of(body.get("safetensors")).get("total"))
        or sum(filter(None, map(number_of, dict_of(dict_of(body.get("safetensors")).get("parameters")).values())))
        or None,
        "base_models": named,
        "relation": text_of(card.get("base_model_relation")),
    }


def _revision(claims: Claims, observation: Observation) -> Judgement:
    model, revision = plain_name(text_of(claims.get("model_id"))), text_of(claims.get("revision"))
    claimed = f"{model}@{revision}" if revision else model
    hub = text_of(observation.get("hub"))
    rule = (
        "Contradicted: the hub has the model, and no commit of all 40 digits that is claimed. That one is there, a "
        "branch or tag, which can move, and a mark that may be of another place decide nothing."
    )
    if why := fact_error(observation):
        return inconclusive(why, claimed=claimed)
    sha, missing = text_of(observation.get("sha")), text_of(observation.get("missing"))
    shortened = bool(_COMMIT.match(revision.casefold())) and len(revision) < 40
    if missing and not (shortened and sha.startswith(revision.casefold())):
        if shortened:
            reason = f"{hub} has the model {model}, but finds no commit by a part of its name. Claim all 40 digits."
            return inconclusive(reason, claimed=claimed, rule=rule)
        reason = f"{hub} has the model {model}, but no revision {missing} of it."
        if not _COMMIT.match(revision.casefold()):
            return inconclusive(f"{reason} It may be a mark of another place.", claimed=claimed, rule=rule)
        return Judgement(CONTRADICTED, claimed, "no such revision", "", reason, rule=rule)
    gated = " It is gated: the weights need a permission." if observation.get("gated") else ""
    if not revision:
        return inconclusive(f"{hub} has the model, now at {sha}; no revision is claimed.{gated}", claimed=claimed)
    if not sha:
        return inconclusive(f"{hub} names no commit of {model}.", claimed=claimed)
    if not _COMMIT.match(revision.casefold()):
        reason = f"{hub} has {revision}, which is a name that can move; now it leads to {sha}.{gated}"
        return inconclusive(reason, claimed=claimed, observed=sha)
    if sha.startswith(revision.casefold()):
        # That a commit exists refutes nothing, and shows nothing of what is served.
        reason = f"The hub {hub} has this revision of {model}; {RUNS}{gated}"
        return inconclusive(reason, claimed=claimed, observed=sha)
    # A mirror that looks at no revision would answer so, too.
    reason = f"Asked for {revision}, {hub} answers with commit {sha}, so whether it has the claimed one is not told."
    return inconclusive(reason, claimed=claimed, observed=sha, rule=rule)


def _lineage(claims: Claims, observation: Observation) -> Judgement:
    claimed = text_of(claims.get("base_model"))
    named = [text_of(one) for one in list_of(observation.get("base_models"))]
    shown, hub = joined(named), text_of(observation.get("hub"))
    rule = (
        "Verified: the claim names, before any comma, bracket or @, the base model that the card names, with its owner "
        "or without. A card names the next ancestor, under its name of today, so another name contradicts nothing."
    )
    if why := fact_error(observation):
        return inconclusive(why, claimed=claimed)
    if not claimed:
        return nothing_claimed(shown)
    if not named:
        return inconclusive(f"The model card on {hub} names no base model.", claimed=claimed)
    said = re.split(r"[,;@(\[\n]", claimed)[0].strip()
    # With an owner, the owner counts; two repositories of one name are two.
    alike = [one if "/" in said else one.rpartition("/")[2] for one in named]
    if _letters(said) in [_letters(one) for one in alike]:
        return Judgement(VERIFIED, claimed, shown, "", f"The model card on {hub} names {shown} as base.", rule=rule)
    reason = (
        f"The model card on {hub} names {shown}; the claimed one may be further back, or the same under another name."
    )
    return inconclusive(reason, claimed=claimed, observed=shown, rule=rule)


def _letters(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "", text.casefold())


class ImageRegistry(Probe):
    """The claimed digest in a registry of OCI images, and where the claimed version's tag leads.

    It settles nothing: the digest may be that of the weights, a tag can be pushed again, and what is published need not
    run. It tells what there is.
    """

    key = "registry.digest"
    title = "Image registry"
    items = (NAME,)
    about = "release"
    reads: ClassVar[tuple[str, ...]] = ("registry",)
    sends = "GETs of manifests, without credentials, from the configured registry: by claimed digest and by version."
    ttl = timedelta(days=1)

    async def observe(self, visit: Visit) -> Observation:
        base, asked = text_of(visit.target.facts.get("oci_url")).rstrip("/"), _asked(visit)
        observation: Observation = {"registry": base, "asked": asked}
        if not base:
            return {**observation, "error": "off", "why": "No image registry is configured, so none was asked."}
        name, digest = asked["model_id"], digest_of(asked["artifact_digest"])
        if not _OCI_NAME.match(name):
            why = "The claimed model id is no name that a registry could have." if name else "No model id is claimed."
            return {**observation, "error": "no_name", "why": why}
        if not digest:
            return {**observation, "error": "no_digest", "why": "No digest (sha256:…) is claimed."}
        by_digest = await _manifest(visit, base, name, digest)
        if by_digest.status not in (200, 404) or by_digest.flaw:
            return {**observation, "error": "unread", "why": f"{base} could not be asked. {by_digest.why}"}
        observation["known"] = by_digest.status == 200
        for tag in dict.fromkeys((asked["version"], f"v{asked['version']}")):
            if asked["version"] and _OCI_TAG.match(tag):
                by_tag = await _manifest(visit, base, name, tag)
                if by_tag.ok and not by_tag.flaw:
                    return {**observation, "tag": tag, "leads_to": _digests(by_tag)}
        return observation

    def judge(
        self, item_key: str | None, claims: Claims, observation: Observation, others: Mapping[str, Claims] = NONE
    ) -> Judgement:
        claimed, name = text_of(claims.get("artifact_digest")), text_of(claims.get("model_id"))
        claimed = digest_of(claimed) or claimed
        if observation.get("error") != "off" and _moved_on(claims, observation):
            return inconclusive(CHANGED, claimed=claimed)
        if why := fact_error(observation):
            return inconclusive(why, claimed=claimed)
        registry, tag = text_of(observation.get("registry")), text_of(observation.get("tag"))
        leads_to = [text_of(one) for one in list_of(observation.get("leads_to"))]
        rule = "What is published shows neither what runs, nor of what (image or weights) a digest is; tags can move."
        if leads_to and claimed not in leads_to:
            reason = f"In {registry} the tag {tag} of {name} leads to {leads_to[0]}, not to the claimed digest, "
            reason += (
                "which is there too; a tag can move." if observation.get("known") else "which may be of the weights."
            )
            return inconclusive(reason, claimed=claimed, observed=leads_to[0], rule=rule)
        if observation.get("known") or leads_to:
            also = f", and its tag {tag} leads to it" if leads_to else ""
            reason = f"The registry {registry} has {name} with this digest{also}; {RUNS}"
            return inconclusive(reason, claimed=claimed, observed=claimed, rule=rule)
        return inconclusive(
            f"{registry} has no {name} with this digest; it may be the digest of something else than an image.",
            claimed=claimed,
            rule=rule,
        )

    def speaks_to(self, observation: Observation) -> tuple[str | None, ...]:
        return () if observation.get("error") == "off" else self.items

    def settles(self, item_key: str, stack: Stack) -> str:
        known = f"A registry knows what is published. {ONLY_SERVER}"
        return known if item_key == NAME else super().settles(item_key, stack)


async def _manifest(visit: Visit, base: str, name: str, reference: str) -> Answer:
    """A manifest; if the registry asks for a token (401 with the address of its token server), with the one that it
    hands to everybody."""
    url, accept = f"{base}/v2/{name}/manifests/{reference}", {"Accept": MANIFESTS}
    answer = await visit.get(url, key="none", extra=accept)
    if answer.status != 401 or answer.response is None:
        return answer
    challenge = answer.response.header("www-authenticate")
    said = dict(_CHALLENGE.findall(challenge)) if challenge.lower().startswith("bearer ") else {}
    parts = urlsplit(said.get("realm", ""))
    if parts.scheme not in ("http", "https") or not parts.hostname:
        return answer
    wanted = {"service": said.get("service", ""), "scope": said.get("scope") or f"repository:{name}:pull"}
    given = (await visit.get(f"{said['realm']}?{urlencode(wanted)}", key="none")).object()
    kept_only(visit, said["realm"], "")
    token = given.get("token") or given.get("access_token")
    if not isinstance(token, str) or not re.fullmatch(r"[\x21-\x7e]{1,8000}", token):
        return answer
    return await visit.get(url, key="none", extra={**accept, "Authorization": f"Bearer {token}"})


def _digests(answer: Answer) -> list[str]:
    """The digest of what a tag leads to, and, of an index, those of its images."""
    response, body = answer.response, answer.object()
    found = [text_of(response.header("docker-content-digest"))] if response else []
    found += [text_of(dict_of(one).get("digest")) for one in list_of(body.get("manifests"))[:50]]
    return [one for one in found if _DIGEST.match(one)]
