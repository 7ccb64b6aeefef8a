from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from checklists.evidence.addresses import is_public
from checklists.evidence.probes.base import (
    CONTRADICTED,
    NONE,
    VERIFIED,
    Judgement,
    Probe,
    fact_error,
    inconclusive,
    joined,
    text_of,
)
from checklists.evidence.probes.visit import Claims, Observation, Visit
from checklists.evidence.stacks import Stack

STRANGER = "https://preflight-probe.invalid"
REDIRECTS = (301, 302, 303, 307, 308)
# What is wrong with the server's certificate; an unknown issuer may just be a private one that we do not know.
BROKEN = {"expired", "not_yet_valid", "wrong_host", "revoked"}


class TlsAndHeaders(Probe):
    """Certificate, security headers, and whether any web page may use a visitor's credentials here.

    It can contradict a claim about access, and never verify one: a good certificate says nothing about keys.
    """

    key = "tls.headers"
    title = "TLS and security headers"
    items = ("security.access-control",)
    about_endpoint = True
    sends = "One GET to the main route, with the Origin header of a page that does not exist."
    ttl = timedelta(days=1)

    async def observe(self, visit: Visit) -> Observation:
        https = visit.target.url.lower().startswith("https:")
        answer = await visit.get((await visit.stack()).main[0].path, redirects=0, extra={"Origin": STRANGER})
        if answer.response is None:
            error = answer.error
            return {
                "https": https,
                "error": error.kind if error else "none",
                "code": error.code if error else "",
                "why": answer.why,
            }
        response = answer.response
        return {
            "https": https,
            "status": response.status,
            "upgrades": response.status in REDIRECTS and response.header("location").lower().startswith("https://"),
            "public": bool(response.peer) and is_public(response.peer),
            "expires_at": response.tls.expires_at.isoformat() if response.tls and response.tls.expires_at else "",
            "issuer": response.tls.issuer if response.tls else "",
            "version": response.tls.version if response.tls else "",
            "hsts": bool(response.header("strict-transport-security")),
            "nosniff": response.header("x-content-type-options").lower() == "nosniff",
            "cors_origin": {STRANGER: "reflected", "*": "any"}.get(
                response.header("access-control-allow-origin"), "other or none"
            ),
            "cors_credentials": response.header("access-control-allow-credentials").lower() == "true",
            "measured": datetime.now(UTC).isoformat(),
        }

    def judge(
        self, item_key: str | None, claims: Claims, observation: Observation, others: Mapping[str, Claims] = NONE
    ) -> Judgement:
        claimed = "TLS, no foreign origins" if item_key is None else text_of(claims.get("scheme"))
        # Of who may call it says nothing where no key is claimed.
        broken = observation.get("error") == "tls" and observation.get("code") in BROKEN
        if broken and (item_key is None or claimed not in ("", "none")):
            return Judgement(
                CONTRADICTED,
                claimed,
                text_of(observation.get("code")).replace("_", " "),
                "",
                fact_error(observation),
                rule="valid certificate",
            )
        if why := fact_error(observation):
            return inconclusive(why, claimed=claimed)
        if observation.get("cors_origin") == "reflected" and observation.get("cors_credentials") is True:
            reason = (
                "Any web page may call it with its visitor's credentials: "
                "a foreign origin is reflected and credentials are allowed."
            )
            if item_key is not None and text_of(claims.get("scheme")) != "oidc":
                # A browser adds cookies by itself, and never a key that a client has to send.
                return inconclusive(
                    f"{reason} That is a fault of the endpoint; a key that no browser sends by itself is not touched.",
                    claimed=claimed,
                    observed="any origin with credentials",
                )
            return Judgement(
                CONTRADICTED,
                claimed,
                "any origin with credentials",
                "",
                reason,
                rule="no reflected origin with credentials",
            )
        if observation.get("https") is not True:
            if observation.get("upgrades") is True:
                reason = (
                    "Plain http only sends callers on to https. Give the https address, so that keys go there at once."
                )
                return inconclusive(reason, claimed=claimed, observed="plain http, sent on to https")
            if observation.get("public") is True and text_of(claims.get("scheme")) not in ("", "none"):
                return Judgement(
                    CONTRADICTED,
                    claimed,
                    "plain http",
                    "",
                    "Keys travel unencrypted: plain http to a public address.",
                    rule="https on public addresses",
                )
            return inconclusive(
                "Plain http, so there is no certificate to check; on a private network TLS may end elsewhere.",
                claimed=claimed,
                observed="plain http",
            )
        facts = [
            f"certificate until {text_of(observation.get('expires_at'))[:10] or 'unknown'}",
            text_of(observation.get("version")),
        ]
        facts += [
            "HSTS" if observation.get("hsts") is True else "no HSTS",
            "nosniff" if observation.get("nosniff") is True else "no nosniff",
        ]
        seen = joined([fact for fact in facts if fact])
        if item_key is None:
            return Judgement(
                VERIFIED,
                claimed,
                seen,
                "",
                f"The certificate is valid for this host: {seen}.",
                rule="valid certificate",
            )
        return inconclusive(
            f"Nothing speaks against the claim ({seen}), but TLS alone does not show who may call.",
            claimed=claimed,
            observed=seen,
        )

    def settles(self, item_key: str, stack: Stack) -> str:
        return "TLS alone does not show who may call: it can contradict, and never verify."
