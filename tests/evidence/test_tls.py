from __future__ import annotations

import pytest

from tests.evidence.known_servers import (
    VLLM,
    judge,
    observe,
)
from tests.evidence.loopback import Request, routes, serving


def test_plain_http_on_a_private_network_is_inconclusive() -> None:
    with serving(routes(VLLM)) as server:
        observation = observe("tls.headers", server)
    judgement = judge("tls.headers", "security.access-control", {"scheme": "api_key"}, observation)
    assert judgement.verdict == "inconclusive"
    assert "Plain http" in judgement.reason


def test_a_reflected_origin_with_credentials_contradicts_the_endpoint_and_sessions_not_keys_or_nothing() -> None:
    def handle(request: Request) -> None:
        origin = request.headers.get("origin", "")
        request.reply(200, {}, {"Access-Control-Allow-Origin": origin, "Access-Control-Allow-Credentials": "true"})

    with serving(handle) as server:
        observation = observe("tls.headers", server, stack="vllm")
    assert judge("tls.headers", None, {}, observation).verdict == "contradicted"
    verdicts = {"oidc": "contradicted", "api_key": "inconclusive", "": "inconclusive"}
    for scheme, verdict in verdicts.items():
        assert judge("tls.headers", "security.access-control", {"scheme": scheme}, observation).verdict == verdict


def test_plain_http_that_only_leads_to_https_is_no_contradiction() -> None:
    plain = {"https": False, "public": True, "status": 200}
    claims = {"scheme": "api_key"}
    assert judge("tls.headers", "security.access-control", claims, plain).verdict == "contradicted"
    with serving(lambda request: request.reply(308, b"", {"Location": "https://models.example.org/v1"})) as server:
        observation = observe("tls.headers", server, stack="vllm") | {"public": True}
    judgement = judge("tls.headers", "security.access-control", claims, observation)
    assert (judgement.verdict, judgement.observed) == ("inconclusive", "plain http, sent on to https")


def test_any_origin_without_credentials_is_no_contradiction() -> None:
    with serving(lambda request: request.reply(200, {}, {"Access-Control-Allow-Origin": "*"})) as server:
        observation = observe("tls.headers", server, stack="vllm")
    assert judge("tls.headers", "security.access-control", {"scheme": "api_key"}, observation).verdict == "inconclusive"


GOOD_TLS = {
    "https": True,
    "status": 200,
    "public": True,
    "expires_at": "2027-01-01T00:00:00+00:00",
    "hsts": True,
    "nosniff": True,
}


def test_good_tls_never_verifies_who_may_call() -> None:
    assert judge("tls.headers", None, {}, GOOD_TLS).verdict == "verified"
    assert judge("tls.headers", "security.access-control", {"scheme": "api_key"}, GOOD_TLS).verdict == "inconclusive"


@pytest.mark.parametrize(
    ("code", "verdict"),
    [("expired", "contradicted"), ("wrong_host", "contradicted"), ("unknown_issuer", "inconclusive")],
)
def test_a_broken_certificate_contradicts_and_an_unknown_issuer_does_not(code: str, verdict: str) -> None:
    observation = {"https": True, "error": "tls", "code": code, "why": "The certificate is bad."}
    assert judge("tls.headers", "security.access-control", {"scheme": "api_key"}, observation).verdict == verdict
    for claims in ({}, {"scheme": "none"}):  # of keys it says nothing
        assert judge("tls.headers", "security.access-control", claims, observation).verdict == "inconclusive"


def test_keys_over_plain_http_on_the_internet_are_contradicted() -> None:
    observation = {"https": False, "public": True, "status": 401}
    assert judge("tls.headers", "security.access-control", {"scheme": "api_key"}, observation).verdict == "contradicted"
