from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from checklists.evidence.probes.base import (
    CONTRADICTED,
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
    nothing_claimed,
    number_of,
    text_of,
)
from checklists.evidence.stacks import STACKS

MAX_MODELS = 200
_SHA = re.compile(r"[0-9a-f]{7,64}\Z")


async def served_models(visit: Visit) -> tuple[list[dict[str, Any]], Answer]:
    """The models an endpoint lists, each as ``{id, root, parent, revision, digest, max_len, …}``, and the answer."""
    stack = await visit.stack()
    answer = await visit.get(stack.models)
    rows: list[dict[str, Any]] = []
    body = answer.object()
    if stack.key == "ollama":
        for entry in map(dict_of, list_of(body.get("models"))):
            name = text_of(entry.get("name")) or text_of(entry.get("model"))
            details = dict_of(entry.get("details"))
            rows.append(
                {
                    "id": name,
                    "digest": text_of(entry.get("digest")),
                    "precision": text_of(details.get("quantization_level")),
                }
            )
        if answer.ok and not rows:  # behind a proxy that serves the OpenAI paths only
            answer = await visit.get("/v1/models")
            body = answer.object()
    rows += [
        {
            "id": text_of(entry.get("id")),
            "root": text_of(entry.get("root")),
            "parent": text_of(entry.get("parent")),
            "owned_by": text_of(entry.get("owned_by")),
            "max_len": number_of(entry.get("max_model_len")),
            "max_input": number_of(entry.get("max_input_tokens")),  # LiteLLM proxy
            "n_ctx": number_of(dict_of(entry.get("meta")).get("n_ctx")),
        }
        for entry in map(dict_of, list_of(body.get("data")))
    ]
    return [row for row in rows if row.get("id")][:MAX_MODELS], answer


class Identity(Probe):
    """Which model runs, by the strongest sign the server gives: digest, revision, root, and only then a name."""

    key = "model.identity"
    title = "Served model identity"
    items = ("identity.name-version", "identity.lineage")
    sends = "GETs to the model list and to the routes that describe the server."
    ttl = timedelta(days=7)

    async def observe(self, visit: Visit) -> Observation:
        stack = await visit.stack()
        rows, answer = await served_models(visit)
        observation: Observation = {"stack": stack.key, "where": stack.models, "models": rows}
        answers = [answer]
        if stack.key in ("tgi", "tei"):
            info = await visit.get("/info")
            answers.append(info)
            body = info.object()
            if name := text_of(body.get("model_id")):
                observation |= {"where": "/info", "version": text_of(body.get("version"))}
                observation["models"] = [
                    {
                        "id": name,
                        "revision": text_of(body.get("model_sha")),
                        "precision": text_of(body.get("model_dtype")),
                    }
                ]
        elif stack.key in ("vllm", "ollama"):
            observation["version"] = text_of(
                (await visit.get("/version" if stack.key == "vllm" else "/api/version")).object().get("version")
            )
        elif stack.key == "sglang":
            path = text_of((await visit.get("/model_info")).object().get("model_path"))
            for row in observation["models"]:
                row["root"] = row.get("root") or path
            if path and not rows:
                observation["models"] = [{"id": path}]
        elif stack.key == "llamacpp":
            props = (await visit.get("/props")).object()
            observation["version"] = text_of(props.get("build_info"))
            if (path := text_of(props.get("model_path"))) and len(rows) == 1:
                rows[0]["root"] = path
        elif stack.key == "litellm":
            observation |= await self._behind_proxy(visit, rows)
        elif stack.key == "comfyui":
            observation["version"] = text_of(dict_of(answer.object().get("system")).get("comfyui_version"))
        if not observation["models"]:
            bad = next((a for a in answers if not a.ok), None)
            why = bad.why if bad else f"{observation['where']} lists no models."
            observation |= {"error": (bad.error.kind if bad and bad.error else "no_models"), "why": why}
        return observation

    async def _behind_proxy(self, visit: Visit, rows: list[dict[str, Any]]) -> Observation:
        """What the proxy says each alias leads to; it tells only those who hold a key."""
        behind = {}
        for entry in map(dict_of, list_of((await visit.get("/v1/model/info")).object().get("data"))):
            leads_to = text_of(dict_of(entry.get("litellm_params")).get("model"))
            behind[text_of(entry.get("model_name"))] = leads_to.partition("/")[2] or leads_to
        for row in rows:
            row["root"] = behind.get(row["id"], "")
        return {"where": "/v1/models and /v1/model/info" if behind else "/v1/models"}

    def speaks_to(self, observation: Observation) -> tuple[str | None, ...]:
        parents = any(text_of(dict_of(row).get("parent")) for row in list_of(observation.get("models")))
        return self.items if parents else self.items[:1]

    def judge(
        self, item_key: str | None, claims: Claims, observation: Observation, others: Mapping[str, Claims] = NONE
    ) -> Judgement:
        models = [dict_of(row) for row in list_of(observation.get("models"))]
        if why := fact_error(observation):
            return inconclusive(why, claimed=text_of(claims.get("model_id")))
        if item_key == "identity.lineage":
            return _lineage(claims, models)
        stack = STACKS.get(text_of(observation.get("stack")))
        return _name(claims, models, text_of(observation.get("where")), alias=stack is not None and stack.alias)


def _name(claims: Claims, models: list[dict[str, Any]], where: str, *, alias: bool) -> Judgement:
    claimed = text_of(claims.get("model_id"))
    digest, revision = text_of(claims.get("artifact_digest")), text_of(claims.get("revision"))
    names = [text_of(row.get("id")) for row in models]
    if not claimed and not digest and not revision:
        return nothing_claimed(joined(names))
    by_id = [row for row in models if same_name(claimed, text_of(row.get("id")))]
    by_root = [row for row in models if same_name(claimed, text_of(row.get("root")))]
    match = (by_root or by_id or (models if len(models) == 1 and not claimed else []))[:1]
    if claimed and not match:
        also = joined([text for row in models if (text := text_of(row.get("root"))) and text not in names])
        note = f" (behind it: {also})" if also else ""
        return Judgement(
            CONTRADICTED,
            claimed,
            joined(names),
            "",
            f"{where} lists {joined(names)}{note}, and not {claimed}.",
            rule="id or root equal",
        )
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
                f"{where} gives another {label} than the one claimed.",
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
            f"{where} gives the claimed {' and '.join(checked)}.{rest}",
            rule="digest or revision equal",
        )
    if not claimed:
        return inconclusive(
            f"The server gives neither digest nor revision that could be compared.{rest}",
            claimed=digest or revision,
            observed=shown,
        )
    root = text_of(row.get("root"))
    if by_root:
        return Judgement(
            VERIFIED,
            claimed,
            root,
            "",
            f"{where} gives {root} as what runs{'' if same_name(root, shown) else f' under the name {shown}'}.{rest}",
            rule="root equal",
        )
    if alias or (root and not same_name(root, shown)):
        leads = f" for {root}" if root else ""
        return inconclusive(
            f"{where} lists {shown}, but that is only an alias{leads}, which proves little.{rest}",
            claimed=claimed,
            observed=shown,
        )
    return Judgement(VERIFIED, claimed, shown, "", f"{where} lists exactly this name.{rest}", rule="id equal")


def _lineage(claims: Claims, models: list[dict[str, Any]]) -> Judgement:
    parents: list[str] = []
    for row in models:
        if parent := text_of(row.get("parent")):
            roots = [text_of(other.get("root")) for other in models if same_name(parent, text_of(other.get("id")))]
            parents += [name for name in (parent, *roots) if name and name not in parents]
    claimed = text_of(claims.get("base_model"))
    if not claimed or not parents:
        return (
            nothing_claimed(joined(parents))
            if parents
            else inconclusive("The server names no parent model.", claimed=claimed)
        )
    if any(same_name(claimed, parent) for parent in parents):
        return Judgement(
            VERIFIED,
            claimed,
            joined(parents),
            "",
            "The model list names this model as the parent.",
            rule="parent equal",
        )
    return Judgement(
        CONTRADICTED,
        claimed,
        joined(parents),
        "",
        f"The model list names {joined(parents)} as the parent.",
        rule="parent equal",
    )


def same_name(one: str, other: str) -> bool:
    """Equal but for case; a local path or a file equals the name it ends in."""
    one, other = one.strip().rstrip("/").casefold(), other.strip().rstrip("/").casefold()
    if not one or not other:
        return False
    if one == other or one.removesuffix(":latest") == other.removesuffix(":latest"):
        return True
    local = [name for name in (one, other) if name.startswith(("/", "./", "~")) or name.endswith(".gguf")]
    return bool(local) and _tail(one) == _tail(other)


def _tail(name: str) -> str:
    return name.rpartition("/")[2].removesuffix(".gguf")


def _same_hash(want: str, have: str) -> bool | None:
    """Whether two hashes agree, the shorter being a prefix; ``None`` if either is none (a branch such as ``main``)."""
    want, have = (text.casefold().removeprefix("sha256:") for text in (want, have))
    if not _SHA.match(want) or not _SHA.match(have):
        return None
    return want.startswith(have) or have.startswith(want)
