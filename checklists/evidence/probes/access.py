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
    inconclusive,
    joined,
    list_of,
    text_of,
)
from checklists.evidence.probes.condition import tells_of_failure
from checklists.evidence.probes.visit import Answer, Claims, Observation, Visit
from checklists.evidence.stacks import Route

WORDS = {
    "api_key": "an API key",
    "bearer_jwt": "a bearer token (JWT)",
    "mtls": "a client certificate (mTLS)",
    "oidc": "OpenID Connect",
    "none": "open to anyone",
}


_NO_CERTIFICATE = "No required SSL certificate was sent"  # nginx, which says so after the handshake
NOWHERE = Route("/preflight-no-such-route")
RULE = (
    "Verified: 401 (or 403, where our own key is let in) without a key on a main route, and 2xx nowhere. Contradicted: "
    "2xx without a key or with a made-up one, from a server that does not answer so to everything; or, where none is "
    "claimed to be needed, 401 on every main route. Of which kind a key is does not show."
)


class AccessControl(Probe):
    """Who gets in: without a key, with a wrong one, with ours; on the main routes and on those beside them.

    A web page, and JSON that holds an error, are no answers of a model, whatever their status. A 403 may be a
    firewall's, to us or to everybody, unless our own key passes it. A server that answers 2xx on a route that does not
    exist answers so to anything.
    """

    key = "access.control"
    title = "Access control"
    items = ("security.access-control",)
    sends = (
        "GETs, and POSTs of an empty object that no server takes for work, to the main routes and those beside them: "
        "without a key everywhere, with a wrong key once, with the endpoint's key once. Where one answers, a GET of "
        "a route that does not exist."
    )
    ttl = timedelta(days=1)

    async def observe(self, visit: Visit) -> Observation:
        stack = await visit.stack()
        routes: list[dict[str, Any]] = []
        for kind, route in [*(("main", r) for r in stack.main), *(("beside", r) for r in stack.beside)]:
            answer = await visit.knock(route, "none")
            routes.append({"kind": kind, "route": _shown(route), "none": _outcome(answer, kind)})
            if answer.error is not None and answer.error.kind not in ("protocol", "too_large"):
                break  # nobody is there, or nobody lets us connect: further knocking tells no more
        guarded = next((i for i, row in enumerate(routes) if row["none"] in (401, 403)), None)
        chosen = guarded if guarded is not None else 0
        route = [*stack.main, *stack.beside][chosen]
        if isinstance(routes[chosen]["none"], int):
            routes[chosen]["wrong"] = _outcome(await visit.knock(route, "wrong"))
            if visit.target.headers:
                routes[chosen]["key"] = _outcome(await visit.knock(route, "ours"))
        nowhere = None
        if any(_good(row.get(key)) for row in routes for key in ("none", "wrong")):
            nowhere = _outcome(await visit.knock(NOWHERE, "none"))
        return {
            "stack": stack.key,
            "nowhere": nowhere,
            "routes": routes,
            "has_key": bool(visit.target.headers),
            "https": visit.target.url.lower().startswith("https:"),
        }

    def judge(
        self, item_key: str | None, claims: Claims, observation: Observation, others: Mapping[str, Claims] = NONE
    ) -> Judgement:
        rows = [dict_of(row) for row in list_of(observation.get("routes"))]
        scheme = text_of(claims.get("scheme"))
        claimed = WORDS.get(scheme, scheme)
        # Where the main routes answer what no model server does, the others say nothing of one either.
        garbled = next((row for row in rows if row.get("none") == "no_json"), None)
        opened = [text_of(row.get("route")) for row in rows if _good(row.get("none")) and not garbled]
        wrong = [text_of(row.get("route")) for row in rows if _good(row.get("wrong"))]
        refused = [text_of(row.get("route")) for row in rows if row.get("none") in (401, 403)]
        observed = (
            f"open: {joined(opened)}"
            if opened
            else (
                f"refused: {joined(refused)}"
                if refused
                else joined([f"{text_of(row.get('route'))} → {_said(row.get('none'))}" for row in rows], 3)
            )
        )
        if garbled and (not refused or any(_good(row.get("none")) for row in rows)):
            route = text_of(garbled.get("route"))
            reason = f"{route} answered well, but not with JSON, so what answers there may be no model server."
            return inconclusive(reason, claimed=claimed, observed=f"no JSON on {route}")
        needs_certificate = any(row.get("none") == "client_certificate" for row in rows)
        if not scheme:
            return inconclusive(f"Nothing is claimed yet that could be compared. Seen: {observed}.", observed=observed)
        rule = RULE
        if (opened or wrong) and _good(observation.get("nowhere")):
            reason = "It answers 2xx even on a route that does not exist, so an answer says nothing of who is let in."
            return inconclusive(reason, claimed=claimed, observed=observed, rule=rule, samples=len(rows))
        if scheme == "none":
            main = [row.get("none") for row in rows if row.get("kind") != "beside"]
            if needs_certificate or (401 in main and not any(map(_good, main))):
                return Judgement(
                    CONTRADICTED,
                    claimed,
                    f"refused: {joined(refused)}" if refused else observed,
                    "",
                    "The claim says that no key is needed, yet the server asks for one.",
                    rule=rule,
                )
            if any(map(_good, main)):
                return inconclusive(
                    "It is open to anyone, as claimed. Whether that is acceptable is for a reviewer to decide.",
                    claimed=claimed,
                    observed=observed,
                )
        elif opened:
            return Judgement(
                CONTRADICTED,
                claimed,
                observed,
                "",
                f"Answered without a key: {joined(opened)}.",
                rule=rule,
                samples=len(rows),
            )
        elif wrong:
            return Judgement(
                CONTRADICTED,
                claimed,
                f"wrong key accepted on {joined(wrong)}",
                "",
                f"A made-up key was accepted on {joined(wrong)}.",
                rule=rule,
            )
        elif scheme == "mtls":
            if needs_certificate:
                return Judgement(
                    VERIFIED,
                    claimed,
                    "client certificate asked for",
                    "",
                    "Without a client certificate nobody is let in.",
                    rule=rule,
                )
            if observation.get("https") is False:
                # A mesh may put both on the wire between its own proxies.
                reason = "Plain http shows no client certificates; they may be a proxy's on the way."
                return inconclusive(reason, claimed=claimed, observed="plain http", rule=rule)
            return inconclusive(
                "The handshake went through without a client certificate; the routes then answered otherwise.",
                claimed=claimed,
                observed=observed,
            )
        elif refused:
            return _enforced(rows, claimed, observed, refused, rule)
        first = next((row.get("none") for row in rows), "nothing")
        return inconclusive(
            f"No route answered in a way that tells: {_said(first)} says neither open nor closed.",
            claimed=claimed,
            observed=observed,
            rule=rule,
            samples=len(rows),
        )


def _enforced(rows: list[dict[str, Any]], claimed: str, observed: str, refused: list[str], rule: str) -> Judgement:
    main = [row for row in rows if row.get("kind") != "beside"]
    if not any(row.get("none") in (401, 403) for row in main):
        said = joined([f"{text_of(row.get('route'))} → {_said(row.get('none'))}" for row in main], 3)
        return inconclusive(
            f"Only routes beside the main one refuse; the main ones say neither open nor closed: {said}.",
            claimed=claimed,
            observed=observed,
            rule=rule,
            samples=len(rows),
        )
    keyed = next((row["key"] for row in rows if "key" in row), None)
    if keyed in (401, 403):
        return inconclusive(
            f"Our own credentials were refused too ({keyed}), so it may be that nobody gets in.",
            claimed=claimed,
            observed=observed,
            rule=rule,
            samples=len(rows),
        )
    passed = isinstance(keyed, int) and keyed not in (429, *range(500, 600))
    if not passed and not any(row.get("none") == 401 for row in main):
        reason = "403 without a key may be a firewall's answer to anybody; that a key gets through was not seen."
        return inconclusive(reason, claimed=claimed, observed=observed, rule=rule, samples=len(rows))
    wrong = next((row["wrong"] for row in rows if "wrong" in row), None)
    parts = [f"{len(refused)} of {len(rows)} routes refuse a request without a key, none answers it"]
    if wrong in (401, 403):
        parts.append("a wrong key is refused")
    if _good(keyed):
        parts.append("ours is accepted")
    elif keyed is None:
        parts.append("no key of ours was there to try")
    return Judgement(VERIFIED, claimed, observed, "", "; ".join(parts).capitalize() + ".", rule=rule, samples=len(rows))


def _outcome(answer: Answer, kind: str = "") -> int | str:
    """The status, or in a word what came instead. A web page is no answer of a model: signs in, or greets. Nor is an
    error in JSON, which some gateways send with a 200. The main routes answer in JSON; of one that is cut off, the
    beginning counts."""
    if answer.error is not None:
        return answer.error.code or answer.error.kind
    if answer.ok and answer.response and answer.response.header("content-type").lower().startswith("text/html"):
        return "web_page"
    if answer.ok and tells_of_failure(answer.object()):
        return "error_in_the_body"
    if answer.status == 400 and answer.response and _NO_CERTIFICATE in answer.response.text[:2000]:
        return "client_certificate"
    if kind == "main" and answer.response and answer.flaw:
        begins = answer.response.body.lstrip()[:1] in (b"{", b"[")
        return answer.status or 0 if answer.response.truncated and begins else "no_json"
    return answer.status or 0


def _good(outcome: Any) -> bool:
    return isinstance(outcome, int) and 200 <= outcome < 300


def _said(outcome: Any) -> str:
    return f"status {outcome}" if isinstance(outcome, int) else text_of(outcome).replace("_", " ") or "nothing"


def _shown(route: Route) -> str:
    return f"{route.method} {route.path.partition('?')[0]}"
