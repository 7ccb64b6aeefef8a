from __future__ import annotations

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
    number_of,
    plain,
    text_of,
)
from checklists.evidence.probes.serving import Reading, agreed, each_of, read, unsaid
from checklists.evidence.probes.visit import Claims, Observation, Visit
from checklists.evidence.stacks import STACKS, Stack

TOKEN_UNITS = {"", "token", "tokens", "tok"}
ITEM_UNITS = {"item", "items"}
MEANS = ("context_tokens", "max_input", "max_items", "max_concurrency", "max_batched_tokens", "truncates")
LABELS = {"context_tokens": "context", "max_concurrency": "concurrent requests", "max_batched_tokens": "batched tokens"}


class Limits(Probe):
    """The limits the server declares; of several the smallest, because a split context serves only its share."""

    key = "model.limits"
    version = 2
    title = "Declared limits"
    items = ("identity.input-limits", "operations.runtime-constraints")
    also_reads = ("identity.name-version",)  # of several served models, the limits of the claimed one count
    sends = "GETs to the model list and to the routes that describe the server."
    ttl = timedelta(days=7)

    async def observe(self, visit: Visit) -> Observation:
        return await read(visit, MEANS)

    def judge(
        self, item_key: str | None, claims: Claims, observation: Observation, others: Mapping[str, Claims] = NONE
    ) -> Judgement:
        names, judged = others.get("identity.name-version", {}), _runtime
        if item_key == "identity.input-limits":
            judged = _input
        return agreed([judged(claims, observation, _served(each)) for each in each_of(observation, names)], names)

    def settles(self, item_key: str, stack: Stack) -> str:
        if item_key == "identity.input-limits" and stack.relays:
            return f"{stack.label} tells limits that it was given or looked up; the server behind it sets them."
        if item_key == "identity.input-limits":
            return unsaid(stack, ("max_input", "context_tokens", "max_items"), "its largest input")
        if item_key == "operations.runtime-constraints":
            return unsaid(stack, tuple(LABELS), "its limits on requests, tokens and context")
        return super().settles(item_key, stack)


def cuts_off(observation: Observation) -> bool:
    """Whether the server says that it shortens what is too long."""
    readings = map(dict_of, list_of(observation.get("readings")))
    return any(one.get("means") == "truncates" and one.get("value") is True for one in readings)


def token_limits(observation: Observation, name_claims: Claims) -> list[float]:
    """The limits on an input that the server declares for the claimed model, in tokens; empty if it declares none, or
    those of another server, or if it is not clear which model is meant."""
    each = [] if _hearsay(observation) else [_served(one) for one in each_of(observation, name_claims)]
    found = [
        next((list(served[key][:2]) for key in ("max_input", "context_tokens") if key in served), []) for served in each
    ]
    return found[0] if found and all(one == found[0] for one in found) else []


def _hearsay(observation: Observation) -> Stack | None:
    """The stack, if it tells limits that another server sets."""
    stack = STACKS.get(text_of(observation.get("stack")))
    return stack if stack is not None and stack.relays else None


Served = dict[str, tuple[float, float, str]]  # key → smallest, largest, where the smallest was read


def _served(readings: list[Reading]) -> Served:
    served: Served = {}
    decisive = {one.get("means") for one in readings if one.get("decisive") is True}
    for one in readings:
        value, key, where = number_of(one.get("value")), text_of(one.get("means")), text_of(one.get("where"))
        if value is None or not key or (key in decisive and one.get("decisive") is not True):
            continue
        low, high, place = served.get(key, (value, value, where))
        # Two readings of one limit: the smaller is served. Several models with one reading each: a range.
        served[key] = (min(low, value), max(high, value), where if value < low else place)
    return served


def _input(claims: Claims, observation: Observation, served: Served) -> Judgement:
    wanted, unit = number_of(claims.get("max_input")), text_of(claims.get("unit")) or "tokens"
    items = unit.casefold() in ITEM_UNITS
    read_as = ("max_items",) if items else ("max_input", "context_tokens")
    low, high, where = next((served[key] for key in read_as if key in served), (0.0, 0.0, ""))
    counted = "items" if items else "tokens"
    if why := fact_error(observation):
        return inconclusive(why, claimed=plain(wanted) if wanted else "", unit=unit)
    if not where:
        return inconclusive(
            f"The server declares no limit on its input in {unit}.", claimed=plain(wanted) if wanted else "", unit=unit
        )
    if wanted is None:
        return nothing_claimed(plain(low), counted)
    if unit.casefold() not in TOKEN_UNITS | ITEM_UNITS:
        return inconclusive(
            f"The server declares its limit in tokens ({plain(low)}), the claim is in {unit}.",
            claimed=plain(wanted),
            unit=unit,
        )
    if stack := _hearsay(observation):
        reason = f"{where} tells {plain(low)} {counted}, which {stack.label} was given or looked up; "
        reason += "the server behind it sets the limit."
        return inconclusive(reason, claimed=plain(wanted), observed=plain(low), unit=counted)
    note = " The server says that it cuts longer inputs off." if cuts_off(observation) and not items else ""
    found: dict[str, Any] = {
        "claimed": plain(wanted),
        "observed": plain(low),
        "unit": counted,
        "rule": "served limit ≥ claim",
    }
    if wanted <= low:
        return Judgement(VERIFIED, reason=f"Served limit {plain(low)} {counted}, read from {where}.{note}", **found)
    if wanted > high:
        return Judgement(
            CONTRADICTED,
            reason=f"Served limit {plain(low)} {counted}, read from {where}: less than claimed.{note}",
            **found,
        )
    return inconclusive(
        f"Limits between {plain(low)} and {plain(high)} {counted} are served; which one counts is not clear.",
        claimed=plain(wanted),
        observed=plain(low),
        unit=counted,
        rule=found["rule"],
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
    differ = [key for key in compared if not served[key][0] <= wanted[key] <= served[key][1]]
    unclear = [key for key in compared if key not in differ and served[key][0] != served[key][1]]
    unseen = [LABELS[key] for key in wanted if key not in served]
    rest = f" Not declared by the server: {', '.join(unseen)}." if unseen else ""
    places = joined(sorted({served[key][2] for key in compared}))
    if differ:
        first = differ[0]
        low, _, where = served[first]
        reason = f"{LABELS[first].capitalize()}: claimed {plain(wanted[first])}, served {plain(low)} ({where}).{rest}"
        return Judgement(CONTRADICTED, _shown(wanted), shown, "", reason, rule="served = claimed")
    if unclear:
        low, high, _ = served[unclear[0]]
        between = f"{LABELS[unclear[0]].capitalize()} between {plain(low)} and {plain(high)} are served"
        reason = f"{between}; which one counts is not clear.{rest}"
        return inconclusive(reason, claimed=_shown(wanted), observed=shown, rule="served = claimed")
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
