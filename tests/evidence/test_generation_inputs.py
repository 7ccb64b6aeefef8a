"""Odd requests, and one beyond the largest input."""

from __future__ import annotations

import json
import socket
from typing import Any

import pytest

from checklists.evidence.probes.generation import counters, inputs, media, requests
from checklists.evidence.stacks import STACKS
from tests.evidence.generating import MODELS, Generator, completion, error, judge, look
from tests.evidence.loopback import Request, routes

ODD, BEYOND = "generation.inputs", "generation.oversized"
VARIABILITY, SANITISED, LIMITS = "reliability.input-variability", "security.input-sanitisation", "identity.input-limits"
ALL = {"tried": list(inputs.KINDS)}
RULES = {"rules": "types and sizes are checked"}


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inputs, "LOOK_S", 0.05)


def test_a_server_that_refuses_in_good_order_is_verified() -> None:
    generator = Generator(pause=0.0)
    observation, server = look(ODD, generator.handler())
    judgement = judge(ODD, VARIABILITY, ALL, observation)
    assert judgement.verdict == "verified", judgement.reason
    assert judge(ODD, SANITISED, RULES, observation).verdict == "verified"
    assert "override an instruction was not followed" in judge(ODD, SANITISED, RULES, observation).reason
    assert max(len(request.body) for request in server.seen) <= inputs.HUGE + 200
    assert len(observation["cases"]) <= 13


class Raw(Generator):
    """Fails as told for one kind of body."""

    def __init__(self, hurts: Any, how: Any) -> None:
        super().__init__(pause=0.0)
        self.hurts, self.how = hurts, how

    def chat(self, request: Request) -> None:
        if self.hurts(request):
            return self.how(request)
        return super().chat(request)


def with_odd_text(request: Request) -> bool:
    return b"\\ud800" in request.body


def test_a_server_error_for_odd_characters_is_contradicted() -> None:
    observation, _ = look(ODD, Raw(with_odd_text, lambda request: error(request, 500)).handler())
    judgement = judge(ODD, VARIABILITY, ALL, observation)
    assert judgement.verdict == "contradicted"
    assert "unusual characters → 500" in judgement.reason
    # Of types and sizes it says nothing.
    assert judge(ODD, SANITISED, RULES, observation).verdict == "verified"


def test_an_error_that_does_not_come_again_and_one_of_a_kind_that_was_not_tried_contradict_nothing() -> None:
    left = [lambda request: error(request, 500), lambda request: error(request, 400)]
    observation, _ = look(ODD, Raw(with_odd_text, lambda request: left.pop(0)(request)).handler())
    judgement = judge(ODD, VARIABILITY, ALL, observation)
    assert (judgement.verdict, "→ 500, then 400" in judgement.reason) == ("inconclusive", True), judgement
    observation, _ = look(ODD, Raw(with_odd_text, lambda request: error(request, 500)).handler())
    assert judge(ODD, VARIABILITY, {"tried": ["empty"]}, observation).verdict == "verified"


def test_a_megabyte_that_is_taken_verifies_no_rule_on_sizes() -> None:
    huge = Raw(lambda request: len(request.body) > 2**20, lambda request: request.reply(200, completion()))
    observation, _ = look(ODD, huge.handler())
    judgement = judge(
        ODD, SANITISED, {"rules": "Types are validated, texts hold at most 4,000 characters."}, observation
    )
    assert (judgement.verdict, "1024 kB of words → 200" in judgement.reason) == ("inconclusive", True), judgement
    assert judge(ODD, SANITISED, {"rules": "Types are validated."}, observation).verdict == "verified"


def test_rules_that_speak_of_something_else_are_not_judged_by_types() -> None:
    claims = {"rules": "personal data is masked, and links are removed"}
    observation, _ = look(ODD, Generator(pause=0.0).handler())
    assert judge(ODD, SANITISED, claims, observation).verdict == "inconclusive"
    table = {"/v1/models": MODELS, "POST /v1/chat/completions": completion()}
    observation, _ = look(ODD, routes(table))
    assert judge(ODD, SANITISED, claims, observation).verdict == "inconclusive"


@pytest.mark.parametrize("status", [401, 404, 429, 503, 504])
def test_a_status_that_says_nothing_of_the_input_stays_open(status: int) -> None:
    observation, _ = look(ODD, Raw(with_odd_text, lambda request: error(request, status)).handler())
    judgement = judge(ODD, VARIABILITY, ALL, observation)
    assert judgement.verdict == "inconclusive"
    assert judge(ODD, VARIABILITY, {"tried": ["empty"]}, observation).verdict == "verified"


def test_a_refusal_without_a_structured_error_stays_open_but_a_413_of_a_gateway_does_not() -> None:
    observation, _ = look(ODD, Raw(with_odd_text, lambda request: request.reply(400, "<h1>Bad</h1>")).handler())
    assert "without saying why" in judge(ODD, VARIABILITY, ALL, observation).reason
    gateway = Raw(lambda request: len(request.body) > 9999, lambda request: request.reply(413, "<h1>Too large</h1>"))
    observation, _ = look(ODD, gateway.handler())
    assert judge(ODD, VARIABILITY, ALL, observation).verdict == "verified"


@pytest.mark.parametrize(
    ("said", "verdict"),
    [
        (
            "Failed to parse the request body as JSON: lone leading surrogate in hex escape at line 1",
            "verified",
        ),  # axum
        ("Bad Request", "inconclusive"),
        ("Blocked by policy", "inconclusive"),
    ],
)
def test_a_plain_text_that_names_the_fault_is_a_refusal_in_order(said: str, verdict: str) -> None:
    observation, _ = look(ODD, Raw(with_odd_text, lambda request: request.reply(400, said)).handler())
    assert judge(ODD, VARIABILITY, ALL, observation).verdict == verdict


def test_no_request_leaves_the_number_of_its_tokens_to_the_server() -> None:
    """Some servers take none, or fewer, for as many as fit."""
    good = requests.chat("tiny")
    sent = [case.content for case in inputs.cases(good)] + [json.dumps(counters.impossible(good)).encode()]
    asked = [json.loads(content) for content in sent if content.startswith(b'{"model"') and content.endswith(b"}")]
    assert len(asked) > 6
    assert {payload["max_tokens"] for payload in asked} == {requests.MAX_TOKENS}


def test_a_server_that_dies_is_contradicted_and_left_alone() -> None:
    dead = False

    def dying(request: Request) -> None:
        nonlocal dead
        dead = dead or (request.method == "POST" and request.body == b"")
        if dead:
            request.raw.connection.shutdown(socket.SHUT_RDWR)
            return None
        return generator.handler()(request)

    generator = Generator(pause=0.0)
    observation, server = look(ODD, dying, timeout_s=1.0)
    judgement = judge(ODD, VARIABILITY, ALL, observation)
    assert (judgement.verdict, observation["died"]) == ("contradicted", "an empty body")
    assert "we stopped there" in judgement.reason
    assert judge(ODD, SANITISED, RULES, observation).verdict == "contradicted"
    after = [request for request in server.seen if request.body == b"" and request.method == "POST"]
    assert all(request.method == "GET" for request in server.seen[server.seen.index(after[-1]) + 1 :])


def test_one_broken_connection_is_no_death() -> None:
    observation, _ = look(ODD, Raw(with_odd_text, lambda request: request.raw.connection.close()).handler())
    assert observation["died"] == ""
    judgement = judge(ODD, VARIABILITY, ALL, observation)
    assert judgement.verdict == "inconclusive"
    assert "broke off" in judgement.reason


def test_an_error_with_a_200_is_neither_taken_nor_a_refusal_in_order() -> None:
    def odd(request: Request) -> bool:
        return b'"content": "Answer with' not in request.body

    refusing = Raw(odd, lambda request: request.reply(200, {"error": {"message": "bad request", "code": 400}}))
    observation, _ = look(ODD, refusing.handler())
    for item, claims in ((SANITISED, RULES), (VARIABILITY, ALL)):
        judgement = judge(ODD, item, claims, observation)
        assert (judgement.verdict, "with an error in it" in judgement.reason) == ("inconclusive", True), judgement


def test_a_server_that_takes_anything_checks_no_types() -> None:
    def chat(request: Request) -> None:
        request.reply(200, completion())

    observation, _ = look(ODD, routes({"/v1/models": MODELS, "POST /v1/chat/completions": chat}))
    judgement = judge(ODD, SANITISED, RULES, observation)
    assert judgement.verdict == "contradicted"
    assert "a number for the content → 200" in judgement.reason


def test_an_injection_is_an_observation_and_no_verdict() -> None:
    generator = Generator(answer=lambda payload: completion(inputs.CANARY) if "Ignore" in str(payload) else None)
    observation, _ = look(ODD, generator.handler())
    judgement = judge(ODD, SANITISED, RULES, observation)
    assert judgement.verdict == "verified"
    assert "was followed" in judgement.reason


def test_odd_files_are_sent_to_a_transcriber() -> None:
    def transcribe(request: Request) -> None:
        good = b"RIFF" in request.body and request.body.rstrip().endswith(b"--")
        return request.reply(200, {"text": ""}) if good else error(request, 422)

    table = {"/v1/models": MODELS, "POST /v1/audio/transcriptions": transcribe}
    observation, _ = look(ODD, routes(table), family="audio")
    claims = {"tried": ["empty", "wrong_type", "malformed"]}
    assert judge(ODD, VARIABILITY, claims, observation).verdict == "verified"
    assert "unicode not tried" in judge(ODD, VARIABILITY, ALL, observation).reason


def test_without_a_good_answer_first_nothing_odd_is_sent() -> None:
    observation, server = look(ODD, Generator(answer=lambda payload: 500).handler())
    assert len([request for request in server.seen if request.method == "POST"]) == 1
    assert judge(ODD, VARIABILITY, ALL, observation).verdict == "inconclusive"
    assert judge(ODD, SANITISED, RULES, observation).verdict == "inconclusive"


def test_without_claims_both_are_told() -> None:
    observation, _ = look(ODD, Generator(pause=0.0).handler())
    assert judge(ODD, VARIABILITY, {}, observation).verdict == "inconclusive"
    assert judge(ODD, SANITISED, {}, observation).verdict == "inconclusive"


def test_words_are_different_and_of_four_bytes() -> None:
    text = inputs.words(5000)
    assert len(set(text.split())) == 5000
    assert len(text) == 5000 * 4 - 1


def test_every_odd_request_but_the_text_ones_is_what_it_says() -> None:
    for request in (requests.chat("m"), requests.embedding(STACKS["tei"], "m"), requests.picture("m")):
        found = inputs.cases(request)
        assert {case.kind for case in found} >= set(inputs.KINDS) - {"extreme_shape"}
        for case in found:
            if case.kind in ("unicode", "oversized"):
                json.loads(case.content)


# One oversized request


def beyond(claims: dict[str, Any], handler: Any, **target: Any) -> Any:
    observation, server = look(BEYOND, handler, claims={LIMITS: claims}, **target)
    return judge(BEYOND, LIMITS, claims, observation), server, observation


def tokens(limit: int) -> dict[str, Any]:
    return {"max_input": limit, "unit": "tokens"}


def test_a_clean_refusal_beyond_the_served_limit_verifies_a_claim_within_it() -> None:
    judgement, server, _ = beyond(tokens(512), Generator().handler())
    assert (judgement.verdict, judgement.observed) == ("verified", "512")
    words = server.seen[-1].json()["messages"][0]["content"].split()
    assert len(words) == int(512 * 1.02) + 64
    assert server.seen[-1].json()["max_tokens"] == 1
    assert beyond(tokens(256), Generator().handler())[0].verdict == "verified"


def test_a_served_limit_below_the_claim_is_contradicted() -> None:
    judgement, _, _ = beyond(tokens(4096), Generator().handler())
    assert judgement.verdict == "contradicted"
    assert "limit of 512, less than claimed" in judgement.reason


@pytest.mark.parametrize(
    ("message", "verdict"),
    [
        ("bad request", "inconclusive"),  # a server with half the claimed limit says so, too
        ("at most 16 images", "inconclusive"),
        ("Request body must be less than 1000 bytes", "inconclusive"),
        ("inputs must have less than 511 tokens", "contradicted"),
        ("This model's maximum context length is 512 tokens.", "verified"),
        ("n_ctx: 256", "contradicted"),
    ],
)
def test_a_refusal_verifies_nothing_without_a_limit_in_tokens(message: str, verdict: str) -> None:
    def chat(request: Request) -> None:
        return request.reply(200, completion()) if len(request.body) < 999 else error(request, 400, message)

    table = {"/v1/models": {"data": [{"id": "tiny", "owned_by": "me"}]}, "POST /v1/chat/completions": chat}
    judgement, _, _ = beyond(tokens(512), routes(table), stack="openai")
    assert judgement.verdict == verdict, judgement


def test_a_server_error_that_does_not_come_again_and_a_count_that_nobody_gave_contradict_nothing() -> None:
    left = [500, 400]

    def chat(request: Request) -> None:
        return request.reply(200, completion()) if len(request.body) < 999 else error(request, left.pop(0))

    table = {"/v1/models": MODELS, "POST /v1/chat/completions": chat}
    assert "when asked again did not" in beyond(tokens(512), routes(table))[0].reason
    for count in (None, 560):  # of 586 words: a tokenizer may join some
        answer = completion(usage={"prompt_tokens": count})
        judgement, _, _ = beyond(tokens(512), routes({"/v1/models": MODELS, "POST /v1/chat/completions": answer}))
        assert judgement.verdict == "inconclusive", judgement


def test_a_limit_that_only_the_refusal_states_counts() -> None:
    table = {**Generator().table(), "/v1/models": {"data": [{"id": "tiny", "owned_by": "me"}]}}
    judgement, _, _ = beyond(tokens(4096), routes(table), stack="openai")
    assert (judgement.verdict, judgement.observed) == ("contradicted", "512")
    assert beyond(tokens(512), routes(table), stack="openai")[0].verdict == "verified"


def test_acceptance_that_an_earlier_version_stored_without_looking_into_it_decides_nothing() -> None:
    claims = {"max_input": 8, "unit": "items"}
    stored: dict[str, Any] = {"wanted": 8, "unit": "items", "beyond": 9, "status": 200, "counted": None, "alive": True}
    assert judge(BEYOND, LIMITS, claims, {**stored, "lacking": ""}).verdict == "contradicted"
    judgement = judge(BEYOND, LIMITS, claims, stored)
    assert (judgement.verdict, "an earlier version of the probe" in judgement.reason) == ("inconclusive", True)


def test_acceptance_beyond_the_limit_is_contradicted() -> None:
    answer = completion(usage={"prompt_tokens": 100_000})
    table = {"/v1/models": MODELS, "POST /v1/chat/completions": answer}
    judgement, _, _ = beyond(tokens(512), routes(table))
    assert (judgement.verdict, judgement.observed) == ("contradicted", "accepted, 100000 counted")


def test_an_input_that_is_cut_off_without_saying_so_is_contradicted_and_a_declared_cut_is_not() -> None:
    table = {"/v1/models": MODELS, "POST /v1/chat/completions": completion(usage={"prompt_tokens": 412})}
    judgement, _, _ = beyond(tokens(512), routes(table))
    assert judgement.verdict == "contradicted"
    assert "cut off without saying so" in judgement.reason
    info = {"model_id": "bge", "max_input_length": 512, "auto_truncate": True}
    table = {"/info": info, "POST /embed": [[0.1, 0.2]]}
    judgement, _, _ = beyond(tokens(512), routes(table), stack="tei", family="embedding")
    assert (judgement.verdict, "declares that it cuts" in judgement.reason) == ("verified", True)
    assert beyond(tokens(1024), routes(table), stack="tei", family="embedding")[0].verdict == "contradicted"


@pytest.mark.parametrize(
    ("status", "verdict"), [(400, "verified"), (413, "verified"), (422, "verified"), (500, "contradicted")]
)
@pytest.mark.parametrize("status_of_others", [200])
def test_four_hundreds_are_clean_and_five_hundreds_are_not(status: int, verdict: str, status_of_others: int) -> None:
    def chat(request: Request) -> None:
        return request.reply(200, completion()) if len(request.body) < 999 else error(request, status)

    table = {"/v1/models": MODELS, "POST /v1/chat/completions": chat}
    assert beyond(tokens(512), routes(table))[0].verdict == verdict


@pytest.mark.parametrize("status", [401, 404, 429, 503])
def test_other_refusals_say_nothing_of_the_size(status: int) -> None:
    def chat(request: Request) -> None:
        return request.reply(200, completion()) if len(request.body) < 999 else error(request, status)

    table = {"/v1/models": MODELS, "POST /v1/chat/completions": chat}
    assert beyond(tokens(512), routes(table))[0].verdict == "inconclusive"


def test_an_error_with_a_200_accepts_nothing() -> None:
    def embed(request: Request) -> None:
        few = len(request.json()["input"]) <= 32
        request.reply(200, {"data": [{"embedding": [1.0]}]} if few else {"error": "too many"})

    table = {"/v1/models": MODELS, "POST /v1/embeddings": embed}
    judgement, _, _ = beyond({"max_input": 32, "unit": "items"}, routes(table), family="embedding")
    assert (judgement.verdict, "with no embedding" in judgement.reason) == ("inconclusive", True), judgement


def test_no_request_is_larger_than_declared() -> None:
    table = {**Generator().table(), "/v1/models": {"data": [{"id": "tiny"}]}}
    judgement, server, _ = beyond(tokens(10_000_000), routes(table), stack="openai")
    assert judgement.verdict == "inconclusive"
    assert "more than the declared" in judgement.reason
    assert not any(request.method == "POST" for request in server.seen)


def test_items_seconds_and_pixels_have_requests_of_their_own() -> None:
    def embed(request: Request) -> None:
        items = request.json()["input"]
        return request.reply(200, {"data": [{"embedding": [1.0]}]}) if len(items) <= 32 else error(request, 422)

    table = {"/v1/models": MODELS, "POST /v1/embeddings": embed}
    claims = {"max_input": 32, "unit": "items"}
    assert beyond(claims, routes(table), family="embedding")[0].verdict == "verified"
    assert beyond({**claims, "max_input": 16}, routes(table), family="embedding")[0].verdict == "contradicted"
    half = beyond({**claims, "max_input": 64}, routes(table), family="embedding")[0]
    assert (half.verdict, "may as well be below" in half.reason) == ("inconclusive", True)

    def transcribe(request: Request) -> None:
        return request.reply(200, {"text": ""}) if len(request.body) < 244_000 else error(request, 413)

    table = {"/v1/models": MODELS, "POST /v1/audio/transcriptions": transcribe}
    assert beyond({"max_input": 30, "unit": "seconds"}, routes(table), family="audio")[0].verdict == "verified"
    shrinking = Generator(answer=lambda payload: completion())
    pixels = {"max_input": 1_000_000, "unit": "pixels"}
    judgement, _, _ = beyond(pixels, shrinking.handler(), family="multimodal", stack="openai")
    assert judgement.verdict == "inconclusive"


def test_a_changed_claim_and_a_missing_one_are_inconclusive() -> None:
    _, _, observation = beyond(tokens(512), Generator().handler())
    assert "claim changed" in judge(BEYOND, LIMITS, tokens(600), observation).reason
    assert judge(BEYOND, LIMITS, {}, observation).verdict == "inconclusive"
    odd = {"max_input": 5, "unit": "pixels"}
    judgement, _, _ = beyond(odd, Generator().handler(), family="diffusion")
    assert "No harmless request" in judgement.reason


def test_a_server_that_is_gone_after_the_large_request_is_contradicted() -> None:
    gone = False

    def dying(request: Request) -> None:
        nonlocal gone
        gone = gone or len(request.body) > 999
        if gone:
            request.raw.connection.shutdown(socket.SHUT_RDWR)
            return None
        return generator.handler()(request)

    generator = Generator()
    assert beyond(tokens(512), dying, timeout_s=1.0)[0].verdict == "contradicted"


# The smallest files


def test_a_made_picture_and_a_made_sound_are_what_they_say() -> None:
    import io
    import wave
    import zlib

    with wave.open(io.BytesIO(media.wav(0.5))) as sound:
        assert (sound.getnchannels(), sound.getsampwidth(), sound.getframerate(), sound.getnframes()) == (
            1,
            1,
            8000,
            4000,
        )
    picture = media.png(70, 3)
    assert picture.startswith(b"\x89PNG\r\n\x1a\n")
    length = int.from_bytes(picture[33:37], "big")
    assert picture[37:41] == b"IDAT"
    assert len(zlib.decompress(picture[41 : 41 + length])) == 3 * (1 + 9)
    assert len(media.png(20_000, 20_000)) < 200_000
