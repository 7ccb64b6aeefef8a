from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

from checklists.evidence.probes.base import (
    INCONCLUSIVE,
    NONE,
    VERIFIED,
    Judgement,
    Probe,
    fact_error,
    inconclusive,
    list_of,
    number_of,
    plain,
    text_of,
)
from checklists.evidence.probes.condition import sounds_ill, state_of
from checklists.evidence.probes.visit import Claims, Observation, Visit
from checklists.evidence.stacks import Stack
from checklists.evidence.units import milliseconds


class Health(Probe):
    """Is it reachable, and does it say it is ready? The status code counts; the body may be empty, and must not say
    otherwise."""

    key = "endpoint.health"
    title = "Reachability and health"
    items = ("reliability.warmup-validated",)
    about_endpoint = True
    sends = "One GET to the health route of the stack; never a route that generates or calls other services."
    ttl = timedelta(days=1)

    async def observe(self, visit: Visit) -> Observation:
        stack = await visit.stack()
        tried = []
        for path in stack.health:
            answer = await visit.get(path, key="ours")
            tried.append(path)
            if answer.error is not None:
                return {"stack": stack.key, "tried": tried, "error": answer.error.kind, "why": answer.error.reason}
            # 404 and 405 mean that this stack has no such route; anything else is its word on its health.
            if answer.response is not None and answer.status not in (404, 405, 501):
                return {
                    "stack": stack.key,
                    "tried": tried,
                    "path": path,
                    "status": answer.status,
                    "page": answer.response.header("content-type").lower().startswith("text/html"),
                    "state": state_of(answer),
                    "ms": round(milliseconds(answer.response.elapsed_s), 1),
                    "endless": answer.response.truncated,
                }
        return {
            "stack": stack.key,
            "tried": tried,
            "error": "no_route",
            "why": f"No health route was found; tried {', '.join(tried)}.",
        }

    def judge(
        self, item_key: str | None, claims: Claims, observation: Observation, others: Mapping[str, Claims] = NONE
    ) -> Judgement:
        if why := fact_error(observation):
            return inconclusive(
                why, observed="no answer" if observation.get("error") != "no_route" else "no health route"
            )
        status, path = number_of(observation.get("status")) or 0, text_of(observation.get("path"))
        seen = f"{status:.0f} on {path}"
        if 200 <= status < 300 and observation.get("endless") is True:
            reason = f"{path} answered {status:.0f} with more than is read, which no health route does."
            return inconclusive(reason, observed=seen)
        state = text_of(observation.get("state"))
        if observation.get("page") is True:
            return inconclusive(
                f"A web page stands at {path}, which tells people something, and not us.", observed=seen
            )
        if 200 <= status < 300 and sounds_ill(state):
            return inconclusive(f"{path} answered {status:.0f}, but with the status {state}.", observed=seen)
        if 200 <= status < 300:
            if item_key is None:
                ms = number_of(observation.get("ms")) or 0.0
                return Judgement(
                    VERIFIED,
                    "reachable and ready",
                    seen,
                    "",
                    f"{path} answered {status:.0f} in {plain(round(ms, 1))} ms.",
                    rule="2xx from the health route",
                )
            return inconclusive(
                f"{path} says ready now; whether it waits for warm-up shows only across a restart.", observed=seen
            )
        if status in (401, 403):
            return inconclusive(f"Our own credentials were refused on {path} ({status:.0f}).", observed=seen)
        if status == 503:
            return Judgement(
                INCONCLUSIVE,
                "",
                seen,
                "",
                f"{path} answered 503: not ready, which is right while a model loads and wrong at any other time.",
            )
        tried = len(list_of(observation.get("tried")))
        return inconclusive(
            f"{path} answered {status:.0f}, which says neither ready nor not ready ({tried} routes tried).",
            observed=seen,
        )

    def settles(self, item_key: str, stack: Stack) -> str:
        return "Whether it waits for warm-up shows only across a restart."
