from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

from checklists.evidence.probes.base import (
    CONTRADICTED,
    NONE,
    VERIFIED,
    Judgement,
    Probe,
    fact_error,
    inconclusive,
    joined,
    list_of,
    number_of,
    text_of,
)
from checklists.evidence.probes.visit import Claims, Observation, Visit
from checklists.evidence.recognition import Recognition
from checklists.evidence.stacks import GENERIC, STACKS

SURE = 0.7
RULE = "for ÷ (for + against + rival + 1), by weights of signs; sure from 70 % on"


class StackRecognition(Probe):
    """Which serving stack answers, how sure that is, and from what; beside what its owner says, if anything."""

    key = "stack.recognition"
    title = "Serving stack"
    items = ()
    about_endpoint = True
    sends = (
        "GETs to the model list and to routes by which stacks differ, none of which generates or calls other services."
    )
    ttl = timedelta(days=7)

    async def observe(self, visit: Visit) -> Observation:
        found = await visit.recognition()
        observation: Observation = {
            "declared": visit.target.stack if visit.target.stack in STACKS else "",
            "stack": found.stack,
            "sure": found.sure,
            "signs": list(found.signs),
            "against": list(found.against),
            "runner_up": found.runner_up,
            "runner_up_sure": found.runner_up_sure,
            "behind": found.behind,
            "gateway": found.gateway,
        }
        models = await visit.get("/v1/models")
        if not found.signs and (models.error or models.flaw):
            observation |= {"error": models.error.kind if models.error else "unread", "why": models.why}
        return observation

    def judge(
        self, item_key: str | None, claims: Claims, observation: Observation, others: Mapping[str, Claims] = NONE
    ) -> Judgement:
        declared, key = text_of(observation.get("declared")), text_of(observation.get("stack"))
        label = STACKS[declared].label if declared in STACKS else ""
        if (why := fact_error(observation)) or key not in STACKS:
            return inconclusive(why or "Nothing gave the serving stack away.", claimed=label)
        signs = [text_of(sign) for sign in list_of(observation.get("signs"))]
        sure = number_of(observation.get("sure")) or 0.0
        behind, gateway = text_of(observation.get("behind")), text_of(observation.get("gateway"))
        words = Recognition(key, sure, tuple(signs), behind=behind, gateway=gateway).words
        against, runner_up = list_of(observation.get("against")), text_of(observation.get("runner_up"))
        reason = f"{words} From: {joined(signs) or 'nothing'}."
        reason += f" Against it: {joined([text_of(one) for one in against])}." if against else ""
        if runner_up in STACKS:
            reason += f" Next: {STACKS[runner_up].label}, {number_of(observation.get('runner_up_sure')) or 0:.0%}."
        observed = f"{STACKS[key].label}, {sure:.0%}"
        if sure < SURE or key == GENERIC:
            return inconclusive(reason, claimed=label, observed=observed)
        if declared and behind in ("", GENERIC) and (declared in STACKS[key].wraps or key in STACKS[declared].wraps):
            inner, outer = (label, STACKS[key].label) if declared in STACKS[key].wraps else (STACKS[key].label, label)
            return inconclusive(
                f"{reason} {outer} may have {inner} inside.", claimed=label, observed=observed, rule=RULE
            )
        if declared and declared not in (key, behind, GENERIC):
            return Judgement(
                CONTRADICTED, label, observed, "", f"The owner says {label}, its answers say: {reason}", rule=RULE
            )
        return Judgement(VERIFIED, label, observed, "", reason, rule=RULE)
