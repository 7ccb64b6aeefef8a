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
    dict_of,
    fact_error,
    inconclusive,
    joined,
    list_of,
    nothing_claimed,
    text_of,
)
from checklists.evidence.probes.serving import (
    is_called,
    is_local,
    list_models,
    plain_name,
    read,
    same_name,
    served_models,
    tail_of,
    unsaid,
)
from checklists.evidence.probes.visit import Claims, Observation, Visit
from checklists.evidence.stacks import STACKS, Stack

__all__ = ["Identity", "same_name", "served_models"]

NAME, LINEAGE = "identity.name-version", "identity.lineage"
CHOSEN = "the operator chooses names and places freely: "
UNTOLD, COPIED = "what runs behind them is not told.", "it may be a copy of the claimed one, or its new name."
RULE = (
    "Verified: a digest or a commit equals the claimed one, or what runs is the claimed repository (owner/name, or its "
    "folder in the hub's own cache). Contradicted: it is another repository, or another commit of the same. A served "
    "name, a path and a file are called as their operator likes, so equal or not they decide nothing; nor does another "
    "digest, for it may be that of something else (an image, a file, a manifest)."
)
RULE_PARENT = (
    "Verified: the parent that the server names for the claimed model is the claimed repository, which stands before "
    "any comma, bracket or @. Contradicted: it is another repository. Names and paths that an operator chose decide "
    "nothing."
)
ROOTS = ("root", "qualified_root")
LEAST_NAME = 6  # characters of a name that still tell one model from others
_REPOSITORY = re.compile(r"[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95}\Z")
# First segments of a relative path rather than owners of repositories.
_PLACES = re.compile(
    r"(?:mnt|opt|srv|var|home|root|workspace|app|repo(?:sitory)?|models?|llms?|data|weights?|cache|hf|huggingface|hub"
    r"|snapshots?|blobs?|artifacts?|files?|volumes?|pvc|storage|shared?|nfs|outputs?|export|engines?|checkpoints?|loras?"
    r"|adapters?|local|tmp|fine[_-]?tuned?|(?:pre)?trained|merged|quanti[sz]ed|exported|users?|scratch|staging"
    r"|prod(?:uction)?|mlflow|registry|build|dist|src|assets|datasets?)\Z",
    re.IGNORECASE,
)
_PLACE_WORDS = {"model", "models", "weights", "ckpt", "ckpts"}  # local_models, models-cache
# What trainers call the folders of a run, which no repository is called.
_RUNS = re.compile(
    r"(?:final|merged|best|last|latest|(?:global_?)?(?:checkpoint|ckpt|epoch|step|iter|run|version)[_-]?\d*)(?:[_-]model)?\Z",
    re.IGNORECASE,
)
# The hub's own client keeps a repository in models--owner--name/snapshots/commit.
_CACHED = re.compile(r"(?:^|[/\\])models--([\w.-]+?)--([\w.-]+?)(?:[/\\]snapshots[/\\]([0-9a-f]{40}))?(?:[/\\]|$)")
_SHA = re.compile(r"[0-9a-f]{7,64}\Z")
# What is surely meant for a commit: no date, and not as long as the mark of a training run.
_COMMIT = re.compile(r"(?:[0-9a-f]{40}|(?!20\d{6})[0-9a-f]{7,16})\Z")


class Identity(Probe):
    """Which model runs, by what the server tells of it: a digest, a commit, a repository. Its name is an alias, and a
    path or a file is no more than that: whoever set the server up called it so."""

    key = "model.identity"
    title = "Served model identity"
    items = (NAME, LINEAGE)
    also_reads = (NAME,)  # whose parent it is that the lineage speaks of
    sends = "GETs to the model list and to the routes that describe the server."
    ttl = timedelta(days=7)

    async def observe(self, visit: Visit) -> Observation:
        stack = await visit.stack()
        listed = await list_models(visit)
        where = " and ".join(listed.where) or stack.models
        observation: Observation = {"stack": stack.key, "where": where, "models": listed.rows}
        if not listed.rows:
            answer = listed.answer
            return observation | {
                "error": answer.error.kind if answer.error else "no_models",
                "why": f"{where} lists no models." if answer.ok and not answer.flaw else answer.why,
            }
        said = list_of((await read(visit, ("version", "parent"))).get("readings"))
        observation["version"] = next((one["value"] for one in said if one["means"] == "version"), "")
        for row in listed.rows:
            parents = [one["value"] for one in said if one["means"] == "parent" and one.get("model") == row["id"]]
            row.setdefault("parent", next(iter(parents), ""))
        return observation

    def speaks_to(self, observation: Observation) -> tuple[str | None, ...]:
        parents = any(text_of(dict_of(row).get("parent")) for row in list_of(observation.get("models")))
        return self.items if parents else self.items[:1]

    def settles(self, item_key: str, stack: Stack) -> str:
        if item_key not in self.items:
            return super().settles(item_key, stack)
        if item_key == LINEAGE and (why := unsaid(stack, ("parent",), "the model that one was derived from")):
            return why
        if not stack.listings:
            return f"{stack.label} lists no models."
        if stack.relays:
            return f"{stack.label} tells only under which name it asks the server behind it; that one knows what runs."
        if stack.partial:
            return f"{stack.label} may serve models that it does not list, so its list can only verify."
        why = unsaid(stack, ("root", "revision"), "what runs under a name") if stack.alias else ""
        if why and item_key == NAME and stack.tells("digest") is not None:
            why = f"{stack.label} tells only a digest: an equal one verifies, another may be that of something else."
        return why

    def judge(
        self, item_key: str | None, claims: Claims, observation: Observation, others: Mapping[str, Claims] = NONE
    ) -> Judgement:
        models = [dict_of(row) for row in list_of(observation.get("models"))]
        if why := fact_error(observation):
            return inconclusive(why, claimed=text_of(claims.get("model_id")))
        stack = STACKS.get(text_of(observation.get("stack")), STACKS["openai"])
        if item_key == LINEAGE:
            return _lineage(claims, others.get(NAME, {}), models, stack)
        return _name(claims, models, text_of(observation.get("where")), stack)


def _name(claims: Claims, models: list[dict[str, Any]], where: str, stack: Stack) -> Judgement:
    several = " and " in where
    lists, gives = f"{where} list{'' if several else 's'}", f"{where} give{'' if several else 's'}"
    claimed = text_of(claims.get("model_id"))
    digest, revision = text_of(claims.get("artifact_digest")), text_of(claims.get("revision"))
    names = [text_of(row.get("id")) for row in models]
    if not claimed and not digest and not revision:
        return nothing_claimed(joined(names))
    proven = [row for row in models if _same_repository(claimed, _told(row, stack))]
    named = proven or [row for row in models if is_called(row, claimed)]
    unlike = ""
    if claimed and not named:
        also = joined([text for row in models for text in _roots(row)[:1] if text not in names])
        note = f" (behind it: {also})" if also else ""
        unlike = f"{lists} {joined(names)}{note}, and not {claimed}"
        if not stack.partial and all(_another_repository(claimed, _told(row, stack)) for row in models):
            return Judgement(CONTRADICTED, claimed, joined(names), "", f"{unlike}.", rule=RULE)
        unlike += (
            f"; but {_chosen(claimed, [text for row in models for text in _told(row, stack)])}"
            if not stack.partial
            else "; but it may serve models that it does not list."
        )
        if full := _with_its_owner(claimed, [text for row in models for text in _told(row, stack)]):
            unlike = f"{gives} {full} as what runs, and the claim names no owner. Claim it whole to have it compared."
    hashed = [
        row for row in models if _same_hash(digest, text_of(row.get("digest"))) or _same_hash(revision, _commit(row))
    ]
    row = next(iter(named or (models if len(models) == 1 else hashed)), {})
    roots = _roots(row)
    shown = text_of(row.get("id")) or joined(names)
    equal: list[str] = []
    other: list[str] = []
    open_: list[str] = []
    for label, want, have in (("digest", digest, text_of(row.get("digest"))), ("revision", revision, _commit(row))):
        same = _same_hash(want, have) if want else None
        if want:
            (open_ if same is None else equal if same else other).append(label)
        if same is False and label == "revision" and proven and _COMMIT.match(want.casefold()):
            reason = f"{gives} another revision of {claimed} than the one claimed."
            return Judgement(CONTRADICTED, want, have, "", reason, rule=RULE)
    are, were = ("is", "it was") if len(open_) == 1 else ("are", "they were")
    rest = f" The claimed {' and '.join(open_)} {are} not served, so {were} not compared." if open_ else ""
    words: dict[str, Any] = {"claimed": claimed or digest or revision, "observed": shown, "rule": RULE}
    if other:
        reason = f"{gives} another {' and '.join(other)} than the one claimed, which may be that of something else."
        return inconclusive(reason + rest, **words)
    if equal:
        return Judgement(VERIFIED, reason=f"{gives} the claimed {' and '.join(equal)}.{rest}", **words)
    if not claimed:
        return inconclusive(f"The server gives neither digest nor revision that could be compared.{rest}", **words)
    if unlike:
        return inconclusive(f"{unlike}{rest}", **{**words, "observed": joined(names)})
    if proven:
        told = next(text for text in _told(row, stack) if _same_repository(claimed, [text]))
        under = "" if same_name(told, shown) else f" under the name {shown}"
        reason = f"{gives} {told} as what runs{under}.{rest}"
        return Judgement(VERIFIED, reason=reason, **{**words, "observed": told})
    root = next(iter(roots), "")
    weak = f"that is only an alias for {root}" if root and root != shown else "its name is the operator's to choose"
    if any(same_name(claimed, text) for text in roots):
        weak = f"what runs is told as {root}, which is a name or a place of an operator's choice"
    ask = " Claim a digest to have it compared." if text_of(row.get("digest")) and not digest else ""
    return inconclusive(f"{lists} {shown}, but {weak}: an alias proves little.{ask}{rest}", **words)


def _roots(row: Mapping[str, Any]) -> list[str]:
    return [text for key in ROOTS if (text := text_of(row.get(key)))]


def _told(row: Mapping[str, Any], stack: Stack) -> list[str]:
    """What the server says runs: its roots, or else its name where no operator chose that; nothing, where it only says
    what it asks another server for."""
    if stack.relays:
        return []
    return _roots(row) or ([] if stack.alias else [text_of(row.get("id"))])


def repository_of(text: str) -> str:
    """The repository (``owner/name``) that a text names, also as a folder of the hub's own cache; empty for a local
    path, a file, a bucket and a bare name, all of which an operator chooses."""
    if cached := _CACHED.search(text):
        return f"{cached[1]}/{cached[2]}"
    text = plain_name(text).strip().rstrip("/")
    owner = text.partition("/")[0].casefold()
    if is_local(text) or not _REPOSITORY.match(text) or _PLACES.match(owner):
        return ""
    if _PLACE_WORDS & set(re.split("[_-]", owner)):
        return ""
    if any(map(_RUNS.match, text.split("/"))):
        return ""
    return text


def _same_repository(claimed: str, told: list[str]) -> bool:
    wanted = repository_of(claimed).casefold()
    return bool(wanted) and any(repository_of(text).casefold() == wanted for text in told)


def _chosen(claimed: str, told: list[str]) -> str:
    """Why what is told does not decide on another claim."""
    copied = bool(repository_of(claimed)) and bool(told) and all(map(repository_of, told))
    return f"{CHOSEN}{COPIED if copied else UNTOLD}"


def _with_its_owner(claimed: str, told: list[str]) -> str:
    """The repository among what is told that a claim names without its owner."""
    return next(
        (text for text in map(repository_of, told) if text and tail_of(text).casefold() == claimed.casefold()), ""
    )


def _another_repository(claimed: str, told: list[str]) -> bool:
    """Whether what is told is surely not what is claimed. One owner's two repositories are two models, unless one may
    be the other renamed; of two owners one may have the other's model, unless their names have nothing in common."""
    wanted, found = repository_of(claimed).casefold(), [repository_of(text).casefold() for text in told]
    if not wanted or not found or not all(found):
        return False
    return all(_apart(wanted, one) for one in found)


def _apart(one: str, other: str) -> bool:
    owners, names = zip(*(text.split("/") for text in (one, other)), strict=True)
    if owners[0] == owners[1]:
        # The hub leads an old name on to the new one: Meta-Llama-3.1-8B became Llama-3.1-8B.
        return one != other and not any(a.endswith(f"-{b}") for a, b in (names, names[::-1]))
    bare = [re.sub(r"[\W_]+", "", _unbranded(*each)) for each in zip(owners, names, strict=True)]
    return bare[0] not in bare[1] and bare[1] not in bare[0]


def _unbranded(owner: str, name: str) -> str:
    """A model's name without that of its maker, which copies leave out or in."""
    brand, _, rest = name.partition("-")
    return rest if len(rest) > LEAST_NAME and (brand == "meta" or owner.startswith(brand)) else name


def _commit(row: Mapping[str, Any]) -> str:
    """The commit that is served; what a server was told to load of a local path says nothing."""
    roots = _roots(row)
    cached = next((found[3] for text in roots if (found := _CACHED.search(text)) and found[3]), "")
    return cached or (text_of(row.get("revision")) if not roots or any(map(repository_of, roots)) else "")


def _lineage(claims: Claims, name: Claims, models: list[dict[str, Any]], stack: Stack) -> Judgement:
    claimed, model = text_of(claims.get("base_model")), text_of(name.get("model_id"))
    parents = list(dict.fromkeys(text for row in models if (text := text_of(row.get("parent")))))
    if not parents:
        return inconclusive("The server names no parent model.", claimed=claimed)
    if not claimed:
        return nothing_claimed(joined(parents))
    # The parent of an adapter says nothing of where the model it runs on comes from.
    own = [row for row in models if is_called(row, model)]
    mine = list(dict.fromkeys(text for row in own if (text := text_of(row.get("parent")))))
    if not mine:
        whom = f"for {model}" if own else "for a model of the claimed name"
        return inconclusive(f"The server names no parent {whom}, only for others.", claimed=claimed)
    told: list[str] = []
    for parent in mine:
        listed = [row for row in models if text_of(row.get("id")) == parent]
        told += [text for row in listed or [{"id": parent}] for text in _told(row, stack) or [""]]
    shown = joined(list(dict.fromkeys(text for text in (*mine, *told) if text)))
    words: dict[str, Any] = {"claimed": claimed, "observed": shown, "rule": RULE_PARENT}
    # What people add of it stands behind a comma or in brackets; another parent may stand there too.
    first = re.split(r"[,;@(\[\n]", claimed)[0]
    if _same_repository(first, told) and re.search(r"[\w.-]/[\w.-]", claimed[len(first) :]):
        return inconclusive(f"The model list names {shown} as the parent, and the claim more than one.", **words)
    if _same_repository(first, told):
        return Judgement(VERIFIED, reason=f"The model list names {shown} as the parent, as claimed.", **words)
    said = f"The model list names {shown} as the parent"
    if any(repository_of(text).casefold().startswith(f"{repository_of(claimed).casefold()}-") for text in told):
        return inconclusive(f"{said}, which by its name may itself come from the claimed one.", **words)
    if _another_repository(claimed, told):
        return Judgement(CONTRADICTED, reason=f"{said}.", **words)
    return inconclusive(f"{said}; but {_chosen(claimed, told)}", **words)


def _same_hash(want: str, have: str) -> bool | None:
    """Whether two hashes agree, the shorter being a prefix; ``None`` if either is none (a branch such as ``main``)."""
    want, have = (re.sub(r"\A(?:\S+@)?sha256[:-]", "", text.strip().casefold()) for text in (want, have))
    if not _SHA.match(want) or not _SHA.match(have):
        return None
    return want.startswith(have) or have.startswith(want)
