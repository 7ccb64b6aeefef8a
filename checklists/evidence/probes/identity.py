from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from checklists.evidence.probes.base import (
    CONTRADICTED,
    NONE,
    VERIFIED,
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
    nothing_claimed,
    text_of,
)
from checklists.evidence.probes.serving import is_local, list_models, read, same_name, served_models, tail_of, unsaid
from checklists.evidence.stacks import STACKS, Stack

__all__ = ["Identity", "same_name", "served_models"]

CHOSEN = "the operator chooses names and places freely: what runs behind them is not told."
ROOTS = ("root", "qualified_root")
# Words that say nothing of which weights these are: a mount (/mnt/models), a version, a step, a commit, a precision.
_COMMON = re.compile(
    r"(?:v?\d+|[0-9a-f]{7,64}|(?:tmp|step|epoch|checkpoint|ckpt)\w*|(?:bf|fp|int|w|q)\d+|of|mnt|opt|srv|var|home|root"
    r"|workspace|app|repo|repository|models?|llm|data|weights?|cache|hf|huggingface|hub|snapshots?|blobs?|artifacts?"
    r"|files?|volumes?|pvc|storage|shared?|nfs|inputs?|outputs?|out|export|engines?|serving|server|served|current"
    r"|latest|main|default|base|lora|adapters?|merged|final|best|last|new|old|prod|production|staging|dev|test"
    r"|consolidated|pytorch|gguf|safetensors|awq|gptq)\Z"
)
_SHA = re.compile(r"[0-9a-f]{7,64}\Z")


class Identity(Probe):
    """Which model runs, by the strongest sign the server gives: digest, revision, root, and only then a name."""

    key = "model.identity"
    title = "Served model identity"
    items = ("identity.name-version", "identity.lineage")
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
        if item_key == "identity.lineage":
            return unsaid(stack, ("parent",), "the model that one was derived from")
        if item_key == "identity.name-version":
            if not stack.listings:
                return f"{stack.label} lists no models."
            return unsaid(stack, ("root", "digest", "revision"), "what runs under a name") if stack.alias else ""
        return super().settles(item_key, stack)

    def judge(
        self, item_key: str | None, claims: Claims, observation: Observation, others: Mapping[str, Claims] = NONE
    ) -> Judgement:
        models = [dict_of(row) for row in list_of(observation.get("models"))]
        if why := fact_error(observation):
            return inconclusive(why, claimed=text_of(claims.get("model_id")))
        stack = STACKS.get(text_of(observation.get("stack")))
        alias = stack is not None and stack.alias
        if item_key == "identity.lineage":
            return _lineage(claims, models, alias=alias)
        return _name(claims, models, text_of(observation.get("where")), alias=alias)


def _name(claims: Claims, models: list[dict[str, Any]], where: str, *, alias: bool) -> Judgement:
    several = " and " in where
    lists, gives = f"{where} list{'' if several else 's'}", f"{where} give{'' if several else 's'}"
    claimed = text_of(claims.get("model_id"))
    digest, revision = text_of(claims.get("artifact_digest")), text_of(claims.get("revision"))
    names = [text_of(row.get("id")) for row in models]
    if not claimed and not digest and not revision:
        return nothing_claimed(joined(names))
    by_id = [row for row in models if same_name(claimed, text_of(row.get("id")))]
    by_root = [row for row in models if any(same_name(claimed, text_of(row.get(key))) for key in ROOTS)]
    match = (by_root or by_id or (models if len(models) == 1 and not claimed else []))[:1]
    unlike = ""
    if claimed and not match:
        also = joined([text for row in models if (text := text_of(row.get("root"))) and text not in names])
        note = f" (behind it: {also})" if also else ""
        unlike = f"{lists} {joined(names)}{note}, and not {claimed}"
        unknown = [row for row in models if not _is_another(row, claimed, alias=alias)]
        if not unknown:
            return Judgement(CONTRADICTED, claimed, joined(names), "", f"{unlike}.", rule="id or root equal")
        unlike += f"; but {CHOSEN}"
        if len(unknown) > 1:
            return inconclusive(unlike, claimed=claimed, observed=joined(names))
        match = unknown  # its digest or revision may tell
    row = match[0] if match else {}
    checked, open_ = [], []
    for label, want, have in (
        ("digest", digest, text_of(row.get("digest"))),
        ("revision", revision, text_of(row.get("revision"))),
    ):
        same = _same_hash(want, have)
        if want and same is None:
            open_.append(label)
        elif want and same is False:
            return Judgement(
                CONTRADICTED,
                want,
                have,
                "",
                f"{gives} another {label} than the one claimed.",
                rule=f"{label} equal",
            )
        elif want:
            checked.append(label)
    shown = text_of(row.get("id")) or joined(names)
    rest = f" The claimed {' and '.join(open_)} is not served, so it was not compared." if open_ else ""
    if checked:
        return Judgement(
            VERIFIED,
            claimed or digest or revision,
            shown,
            "",
            f"{gives} the claimed {' and '.join(checked)}.{rest}",
            rule="digest or revision equal",
        )
    if not claimed:
        return inconclusive(
            f"The server gives neither digest nor revision that could be compared.{rest}",
            claimed=digest or revision,
            observed=shown,
        )
    if unlike:
        return inconclusive(f"{unlike}{rest}", claimed=claimed, observed=joined(names))
    roots = _roots(row)
    root = next((text for text in roots if same_name(claimed, text)), next(iter(roots), ""))
    if by_root:
        return Judgement(
            VERIFIED,
            claimed,
            root,
            "",
            f"{gives} {root} as what runs{'' if same_name(root, shown) else f' under the name {shown}'}.{rest}",
            rule="root equal",
        )
    if alias or (root and not same_name(root, shown)):
        weak = f"that is only an alias for {root}" if root else "its name is the operator's to choose"
        return inconclusive(
            f"{lists} {shown}, but {weak}: an alias proves little.{rest}", claimed=claimed, observed=shown
        )
    return Judgement(VERIFIED, claimed, shown, "", f"{where} lists exactly this name.{rest}", rule="id equal")


def _roots(row: dict[str, Any]) -> list[str]:
    return [text for key in ROOTS if (text := text_of(row.get(key)))]


def _is_another(row: dict[str, Any], claimed: str, *, alias: bool) -> bool:
    """Whether a model that does not go by the claimed name is surely another one: by what runs, and by its name only
    where nothing else is told and the name is not the operator's to choose."""
    told = _roots(row) or ([] if alias else [text_of(row.get("id"))])
    return bool(told) and all(_tells_another(one, claimed) for one in told)


def _tells_another(name: str, claimed: str) -> bool:
    place = is_local(name) or "://" in name
    said = tail_of(name.rstrip("/")) if place else name
    words = [word for word in re.split(r"[\W_]+", said.casefold()) if word]
    if all(_COMMON.match(word) for word in words):
        return False
    wanted = _letters(tail_of(claimed.rstrip("/")))
    # models--owner--name/snapshots/…, or owner_name: the claimed name, with its owner before it.
    return not (place and any(_letters(tail_of(one)).endswith(wanted) for one in re.split(r"[/\\]", name) if one))


def _letters(text: str) -> str:
    return re.sub(r"[\W_]+", "", text.casefold())


def _lineage(claims: Claims, models: list[dict[str, Any]], *, alias: bool) -> Judgement:
    bases: list[dict[str, Any]] = []
    for parent in dict.fromkeys(text_of(row.get("parent")) for row in models):
        if parent:
            listed = [row for row in models if same_name(parent, text_of(row.get("id")))]
            bases += [{**row, "id": parent} for row in listed] or [{"id": parent}]
    parents = list(dict.fromkeys(name for row in bases for name in (text_of(row.get("id")), text_of(row.get("root")))))
    shown, claimed = joined([name for name in parents if name]), text_of(claims.get("base_model"))
    if not bases:
        return inconclusive("The server names no parent model.", claimed=claimed)
    if not claimed:
        return nothing_claimed(shown)
    said = f"The model list names {shown} as the parent"
    if any(same_name(claimed, name) for row in bases for name in _roots(row) or ([] if alias else [row["id"]])):
        reason = "The model list names this model as the parent."
        return Judgement(VERIFIED, claimed, shown, "", reason, rule="parent equal")
    named = any(same_name(claimed, row["id"]) for row in bases)
    if not named and all(_is_another(row, claimed, alias=alias) for row in bases):
        return Judgement(CONTRADICTED, claimed, shown, "", f"{said}.", rule="parent equal")
    return inconclusive(f"{said}; but {CHOSEN}", claimed=claimed, observed=shown)


def _same_hash(want: str, have: str) -> bool | None:
    """Whether two hashes agree, the shorter being a prefix; ``None`` if either is none (a branch such as ``main``)."""
    want, have = (text.casefold().removeprefix("sha256:") for text in (want, have))
    if not _SHA.match(want) or not _SHA.match(have):
        return None
    return want.startswith(have) or have.startswith(want)
