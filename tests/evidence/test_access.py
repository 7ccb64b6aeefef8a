from __future__ import annotations

import json
from typing import Any

import pytest

from checklists.evidence.probes import Judgement
from tests.evidence.known_servers import (
    KEY,
    VLLM,
    judge,
    observe,
)
from tests.evidence.loopback import Request, routes, serving

HEADERS = {"Authorization": f"Bearer {KEY}"}


def access(handler: Any, scheme: str = "api_key", **target: Any) -> tuple[Judgement, dict[str, Any]]:
    with serving(handler) as server:
        observation = observe("access.control", server, stack="vllm", **target)
    return judge("access.control", "security.access-control", {"scheme": scheme}, observation), observation


def test_a_key_asked_for_everywhere_is_verified() -> None:
    judgement, observation = access(routes(VLLM, key=KEY), headers=HEADERS)
    assert judgement.verdict == "verified"
    assert "a wrong key is refused; ours is accepted" in judgement.reason
    assert KEY not in json.dumps(observation)


def test_an_open_server_contradicts_a_claimed_key() -> None:
    judgement, _ = access(routes(VLLM))
    assert judgement.verdict == "contradicted"
    assert "GET /v1/models" in judgement.reason


def test_one_open_route_beside_a_guarded_one_contradicts() -> None:
    table = {**VLLM, "POST /tokenize": {"tokens": []}}
    judgement, _ = access(routes(table, key=KEY, open_paths=("/tokenize",)), headers=HEADERS)
    assert judgement.verdict == "contradicted"
    assert judgement.reason == "Answered without a key: POST /tokenize."


def test_a_server_that_takes_any_key_contradicts() -> None:
    def handle(request: Request) -> None:
        request.reply(200 if request.headers.get("authorization") else 401)

    judgement, _ = access(handle)
    assert judgement.verdict == "contradicted"
    assert "made-up key" in judgement.reason


@pytest.mark.parametrize("status", [400, 404, 422, 500, 503, 302])
def test_other_answers_are_neither_open_nor_closed(status: int) -> None:
    judgement, _ = access(lambda request: request.reply(status, headers={"Location": "/sign-in"}))
    assert judgement.verdict == "inconclusive"


def test_our_own_key_being_refused_is_inconclusive() -> None:
    judgement, seen = access(lambda request: request.reply(403), headers=HEADERS)
    assert judgement.verdict == "inconclusive"
    assert "Our own credentials" in judgement.reason
    assert (judgement.samples, "made-up one" in judgement.rule) == (len(seen["routes"]), True)


def test_open_as_claimed_is_left_to_a_reviewer_and_closed_contradicts() -> None:
    assert access(routes(VLLM), "none")[0].verdict == "inconclusive"
    assert access(routes(VLLM, key=KEY), "none")[0].verdict == "contradicted"


def test_a_route_beside_that_is_closed_does_not_close_an_open_server() -> None:
    half = {**VLLM, "/server_info": lambda request: request.reply(403), "/metrics": lambda request: request.reply(401)}
    assert access(routes(half), "none")[0].verdict == "inconclusive"
    assert access(lambda request: request.reply(403), "none")[0].verdict == "inconclusive"  # a firewall, perhaps


def test_a_403_without_a_key_of_ours_may_be_a_firewalls() -> None:
    judgement, _ = access(lambda request: request.reply(403))
    assert (judgement.verdict, "firewall" in judgement.reason) == ("inconclusive", True)
    assert access(lambda request: request.reply(401))[0].verdict == "verified"
    inside = access(lambda request: request.reply(200 if KEY in request.headers.get("authorization", "") else 403))
    assert inside[0].verdict == "inconclusive"

    def guarded(request: Request) -> None:
        request.reply(200 if KEY in request.headers.get("authorization", "") else 403)

    assert access(guarded, headers=HEADERS)[0].verdict == "verified"


@pytest.mark.parametrize(("body", "why"), [("ok", "not with JSON"), ({"status": "ok"}, "does not exist")])
def test_a_server_that_answers_everything_is_not_said_to_be_open(body: Any, why: str) -> None:
    judgement, _ = access(lambda request: request.reply(200, body))
    assert (judgement.verdict, why in judgement.reason) == ("inconclusive", True), judgement


@pytest.mark.parametrize(
    "body",
    [
        {"error": {"message": "missing key", "code": 401}},
        {"code": 401, "msg": "token is missing"},
        {"status": 403, "message": "Forbidden"},
        {"success": False, "result": None},
        {"code": 40101, "message": "invalid token", "data": None},
    ],
)
def test_an_error_with_a_200_is_no_answer(body: Any) -> None:
    def refusing(request: Request) -> None:
        request.reply(200 if request.path.startswith("/v1") else 404, body)

    assert access(refusing)[0].verdict == "inconclusive"


@pytest.mark.parametrize(
    "body", [{"message": "Unauthorized"}, {"detail": "Not authenticated"}, {"msg": "Invalid API key"}]
)
def test_a_refusal_in_words_with_a_200_is_no_answer(body: Any) -> None:
    judgement, _ = access(
        lambda request: request.reply(200, body) if request.path == "/v1/models" else request.reply(404)
    )
    assert judgement.verdict == "inconclusive", judgement


def test_what_is_open_beside_a_guarded_route_is_not_overlooked_where_another_answers_oddly() -> None:
    def handle(request: Request) -> None:
        if request.path == "/v1/models":
            request.reply(200, "welcome", {"Content-Type": "text/plain"})
        else:
            request.reply({"/v1/chat/completions": 401, "/metrics": 200}.get(request.path, 404))

    judgement, _ = access(handle)
    assert (judgement.verdict, "not with JSON" in judgement.reason) == ("inconclusive", True)


def test_client_certificates_do_not_show_on_plain_http() -> None:
    assert access(routes(VLLM, key=KEY), "mtls")[0].verdict == "inconclusive"
    asked = {"routes": [{"route": "GET /v1/models", "none": "client_certificate"}], "https": True}
    assert judge("access.control", "security.access-control", {"scheme": "mtls"}, asked).verdict == "verified"


def test_a_certificate_may_be_asked_for_after_the_handshake() -> None:
    page = b"<html><head><title>400 No required SSL certificate was sent</title></head></html>"  # nginx
    judgement, observation = access(lambda request: request.reply(400, page, {"Content-Type": "text/html"}), "mtls")
    assert judgement.verdict == "verified", judgement
    assert judge("access.control", "security.access-control", {"scheme": "none"}, observation).verdict == "contradicted"
    other, _ = access(
        lambda request: request.reply(400, b"<html>400 Bad Request", {"Content-Type": "text/html"}), "mtls"
    )
    assert other.verdict == "inconclusive"


def test_the_key_is_sent_with_one_request_only_and_a_wrong_one_once() -> None:
    with serving(routes(VLLM, key=KEY)) as server:
        observe("access.control", server, stack="vllm", headers=HEADERS)
        sent = [request.headers.get("authorization") for request in server.seen]
    assert sent.count(f"Bearer {KEY}") == 1
    assert len([value for value in sent if value and KEY not in value]) == 1


def test_credentials_do_not_go_to_a_metrics_page_elsewhere() -> None:
    with serving(routes(VLLM)) as metrics, serving(routes(VLLM, key=KEY)) as server:
        observation = observe(
            "metrics.present", server, stack="vllm", headers=HEADERS, metrics_url=metrics.url + "/metrics"
        )
        assert observation["stack"] == "vllm"
        assert "authorization" not in metrics.seen[0].headers
        assert server.seen == []
