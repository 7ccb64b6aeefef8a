from __future__ import annotations

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
    number_of,
    plain,
    text_of,
)
from checklists.evidence.probes.identity import served_models

# Fields of describing routes: what they limit. The smallest of several served values is the one that counts.
INFO_FIELDS = {
    "tgi": {
        "max_input_tokens": "max_input",
        "max_input_length": "max_input",
        "max_total_tokens": "context_tokens",
        "max_concurrent_requests": "max_concurrency",
        "max_batch_total_tokens": "max_batched_tokens",
    },
    "tei": {
        "max_input_length": "max_input",
        "max_concurrent_requests": "max_concurrency",
        "max_batch_tokens": "max_batched_tokens",
    },
    "sglang": {
        "context_length": "context_tokens",
        "max_running_requests": "max_concurrency",
        "max_prefill_tokens": "max_batched_tokens",
    },
}
INFO_PATHS = {"tgi": "/info", "tei": "/info", "sglang": "/server_info"}
TOKEN_UNITS = {"", "token", "tokens", "tok"}
LABELS = {"context_tokens": "context", "max_concurrency": "concurrent requests", "max_batched_tokens": "batched tokens"}


class Limits(Probe):
    """The limits the server declares; of several the smallest, because a split context serves only its share."""

    key = "model.limits"
    title = "Declared limits"
    items = ("identity.input-limits", "operations.runtime-constraints")
    sends = "GETs to the model list and to the routes that describe the server."
    ttl = timedelta(days=7)

    async def observe(self, visit: Visit) -> Observation:
        stack = await visit.stack()
        limits: list[dict[str, Any]] = []

        def add(key: str, value: Any, where: str) -> None:
            if (number := number_of(value)) is not None and not isinstance(value, str):
                limits.append({"key": key, "value": number, "where": where})

        rows, answer = await served_models(visit)
        for row in rows:
            add("context_tokens", row.get("max_len"), f"max_model_len of {stack.models}")
            add("max_input", row.get("max_input"), f"max_input_tokens of {stack.models}")
            add("context_tokens", row.get("n_ctx"), f"n_ctx of {stack.models}")
        observation: Observation = {"stack": stack.key, "limits": limits}
        if path := INFO_PATHS.get(stack.key):
            info = await visit.get(path)
            body = info.object()
            for name, key in INFO_FIELDS[stack.key].items():
                add(key, body.get(name), f"{name} of {path}")
            observation["truncates"] = body.get("auto_truncate") is True
            answer = answer if answer.ok else info
        elif stack.key == "llamacpp":
            props = (await visit.get("/props")).object()
            add(
                "context_tokens",
                dict_of(props.get("default_generation_settings")).get("n_ctx"),
                "n_ctx of one slot in /props",
            )
            add("max_concurrency", props.get("total_slots"), "total_slots of /props")
        elif stack.key == "ollama":
            for running in map(dict_of, list_of((await visit.get("/api/ps")).object().get("models"))):
                add("context_tokens", running.get("context_length"), "context_length of /api/ps")
        if not limits:
            observation |= {
                "error": answer.error.kind if answer.error else "no_limits",
                "why": "The server declares no limits." if answer.ok else answer.why,
            }
        return observation

    def judge(
        self, item_key: str | None, claims: Claims, observation: Observation, others: Mapping[str, Claims] = NONE
    ) -> Judgement:
        served = _served(observation)
        if item_key == "identity.input-limits":
            return _input(claims, observation, served)
        return _runtime(claims, observation, served)


Served = dict[str, tuple[float, float, str]]  # key → smallest, largest, where the smallest was read


def _served(observation: Observation) -> Served:
    served: Served = {}
    for row in map(dict_of, list_of(observation.get("limits"))):
        value, key, where = number_of(row.get("value")), text_of(row.get("key")), text_of(row.get("where"))
        if value is None or not key:
            continue
        low, high, place = served.get(key, (value, value, where))
        # Two readings of one limit: the smaller is served. Several models with one reading each: a range.
        served[key] = (min(low, value), max(high, value), where if value < low else place)
    return served


def _input(claims: Claims, observation: Observation, served: Served) -> Judgement:
    wanted, unit = number_of(claims.get("max_input")), text_of(claims.get("unit")) or "tokens"
    low, high, where = served.get("max_input") or served.get("context_tokens") or (0.0, 0.0, "")
    if why := fact_error(observation):
        return inconclusive(why, claimed=plain(wanted) if wanted else "", unit=unit)
    if not where:
        return inconclusive(
            "The server declares no limit on its input.", claimed=plain(wanted) if wanted else "", unit=unit
        )
    if wanted is None:
        return nothing_claimed(plain(low), "tokens")
    if unit.casefold() not in TOKEN_UNITS:
        return inconclusive(
            f"The server declares its limit in tokens ({plain(low)}), the claim is in {unit}.",
            claimed=plain(wanted),
            unit=unit,
        )
    note = " The server says that it cuts longer inputs off." if observation.get("truncates") is True else ""
    found: dict[str, Any] = {
        "claimed": plain(wanted),
        "observed": plain(low),
        "unit": "tokens",
        "rule": "served limit ≥ claim",
    }
    if wanted <= low:
        return Judgement(VERIFIED, reason=f"Served limit {plain(low)} tokens, read from {where}.{note}", **found)
    if wanted > high or "slot" in where:
        return Judgement(
            CONTRADICTED,
            reason=f"Served limit {plain(low)} tokens, read from {where}: less than claimed.{note}",
            **found,
        )
    return inconclusive(
        f"Limits between {plain(low)} and {plain(high)} tokens are served; which one counts is not clear.",
        claimed=plain(wanted),
        observed=plain(low),
        unit="tokens",
    )


def _runtime(claims: Claims, observation: Observation, served: Served) -> Judgement:
    wanted = {key: number for key in LABELS if (number := number_of(claims.get(key))) is not None}
    shown = joined([f"{LABELS[key]} {plain(served[key][0])}" for key in LABELS if key in served])
    if why := fact_error(observation):
        return inconclusive(why, claimed=_shown(wanted))
    if not wanted:
        return nothing_claimed(shown)
    compared = [key for key in wanted if key in served]
    if not compared:
        return inconclusive("The server declares none of the claimed limits.", claimed=_shown(wanted), observed=shown)
    differ = [key for key in compared if served[key][0] != wanted[key]]
    unseen = [LABELS[key] for key in wanted if key not in served]
    rest = f" Not declared by the server: {', '.join(unseen)}." if unseen else ""
    places = joined(sorted({served[key][2] for key in compared}))
    if differ:
        first = differ[0]
        low, _, where = served[first]
        reason = f"{LABELS[first].capitalize()}: claimed {plain(wanted[first])}, served {plain(low)} ({where}).{rest}"
        return Judgement(CONTRADICTED, _shown(wanted), shown, "", reason, rule="served = claimed")
    return Judgement(
        VERIFIED,
        _shown(wanted),
        shown,
        "",
        f"Equal to what the server declares in {places}.{rest}",
        rule="served = claimed",
    )


def _shown(wanted: dict[str, float]) -> str:
    return joined([f"{LABELS[key]} {plain(value)}" for key, value in wanted.items()])
