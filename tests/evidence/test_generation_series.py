"""The latency series: what counts as the first content, how many answers prove what, and warm-up."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from checklists.evidence.probes import PROBES
from checklists.evidence.probes.generation import counters
from checklists.evidence.probes.generation.streams import MAX_LINE, Stream
from checklists.evidence.stacks import STACKS
from tests.evidence.generating import MODELS, Generator, chunk, completion, error, event, judge, look
from tests.evidence.loopback import Request, routes

OUTER = [
    *("error", "why", "kind", "wanted", "requests", "stopped", "fresh", "where", "names", "known", "good", "bad"),
    *("bad_status", "beside", "steady", "inputs", "outputs", "alone_ms", "queue", "seconds", "statuses", "sent"),
    *("in_flight", "unanswered", "broken", "median_ms", "after_ok", "after", "limit_s", "status", "cases", "died"),
    *("injection", "unit", "served", "beyond", "counted", "said", "alive", "truncates", "other", "version", "old"),
    *("network_ms", "new", "rows", "guardrails", "prompts", "repeat", "reference", "others", "digest"),
]
INNER = [
    *("status", "name", "labels", "by", "age_s", "served", "first_content_ms", "total_ms", "accepted", "refused"),
    *("same", "why", "text", "kind", "structured", "fields", "type", "key", "how", "mean", "gap", "sea", "prompts"),
    *("tokens", "logprobs", "prompt_tokens", "vector", "200", "503", "whole", "endpoint", "taken_at", "followed"),
]
CLAIMS = [
    *("phase", "p50_ms", "p95_ms", "steps", "seconds", "metric_name", "classes", "inputs", "outputs", "on_overload"),
    *("max_concurrency", "on_overflow", "max_queue", "date", "report_url", "server_seconds", "gateway_seconds"),
    *("tried", "rules", "max_input", "unit", "compatible_with", "exceptions", "evaluation", "model_id"),
]
PROBE, LATENCY, WARMUP = "generation.small", "performance.latency-targets", "autoscaling.warmup"


def test_the_first_content_is_neither_the_role_chunk_nor_an_empty_one() -> None:
    stream = Stream()
    stream.feed(0.1, event(chunk(role="assistant", content="")) + event(chunk(content="")))
    assert stream.first_content_s is None
    stream.feed(0.4, event(chunk(content="read"))[:10])
    stream.feed(0.5, event(chunk(content="read"))[10:])
    assert stream.first_content_s == 0.5


def test_the_time_per_token_comes_from_the_count_of_tokens_and_not_of_chunks() -> None:
    stream = Stream()
    stream.feed(1.0, event(chunk(content="several tokens in one chunk")))
    stream.feed(2.0, event(chunk(content=" and more")))
    assert stream.per_token_s is None
    stream.feed(2.0, event({"choices": [], "usage": {"completion_tokens": 11}}))
    # Ten of the eleven at most came after the first chunk, and one at least.
    assert stream.per_token_s == pytest.approx((0.1, 1.0))


def test_tokens_that_all_come_in_one_chunk_tell_no_time_per_token() -> None:
    stream = Stream()
    stream.feed(1.0, event(chunk(content="all at once")))
    stream.feed(1.1, event({"choices": [], "usage": {"completion_tokens": 11}}))
    assert stream.per_token_s is None


def test_a_chunk_for_each_character_is_no_token_each() -> None:
    stream = Stream()
    for place, letter in enumerate("ready"):
        stream.feed(1.0 + place, event(chunk(content=letter)))
    stream.feed(5.0, event({"choices": [], "usage": {"completion_tokens": 3}}))
    assert stream.per_token_s == pytest.approx((2.0, 2.0))


@pytest.mark.parametrize(("most", "verdict"), [(450.0, "verified"), (900.0, "inconclusive"), (None, "inconclusive")])
def test_tokens_that_came_together_or_had_no_text_verify_no_time_per_token(most: float | None, verdict: str) -> None:
    observation = timed([450.0] * 20)
    for row in observation["requests"]:
        row["per_output_token_most_ms"] = most
    judgement = judge(PROBE, LATENCY, {"phase": "per_output_token", "p95_ms": 500}, observation)
    assert judgement.verdict == verdict


@pytest.mark.parametrize(("family", "path"), [("llm", "chat/completions"), ("diffusion", "images/generations")])
def test_a_server_that_does_not_know_an_option_refuses_it_once_and_is_not_asked_twice_each_time(
    family: str, path: str
) -> None:
    posts = []

    def create(request: Request) -> None:
        posts.append(payload := request.json())
        if {"stream_options", "response_format"} & set(payload):
            error(request, 400, "extra fields not permitted")
        else:
            request.reply(200, {**completion(), "data": [{"url": "https://pictures.example/1.png"}]})

    table = {"/v1/models": MODELS, f"POST /v1/{path}": create}
    observation, _ = look(PROBE, routes(table), family=family, series=4)
    assert len(observation["requests"]) == 4
    assert len(posts) == 4 + 1


def test_reasoning_is_told_apart_and_makes_the_time_per_token_unknown() -> None:
    stream = Stream()
    stream.feed(0.2, event(chunk(reasoning_content="hm")))
    stream.feed(0.9, event(chunk(content="ready")))
    stream.feed(1.0, event({"usage": {"completion_tokens": 9}}))
    assert (stream.first_reasoning_s, stream.first_content_s, stream.per_token_s) == (0.2, 0.9, None)


def test_other_shapes_of_streams_are_read_too() -> None:
    ollama = Stream()
    ollama.feed(0.1, b'{"model": "m", "response": "", "done": false}\n{"response": "ready", "done": false}\n')
    assert ollama.feed(0.2, b'{"response": "", "done": true, "eval_count": 4}\n') is True
    assert (ollama.first_content_s, ollama.tokens, ollama.text) == (0.1, 4, "ready")
    tgi = Stream()
    tgi.feed(
        0.3, b'data:{"token": {"text": "ready"}}\n\ndata:{"token": {"text": "."}, "details": {"generated_tokens": 2}}'
    )
    tgi.end(0.4)
    assert (tgi.first_content_s, tgi.tokens) == (0.3, 2)


@pytest.mark.parametrize(
    "noise", [b"data: {", b"data: []", b"data: null", b"data: " + b"[" * 20_000, b"\xff\xfe", b": hello", b"event: x"]
)
def test_noise_in_a_stream_is_passed_over(noise: bytes) -> None:
    stream = Stream()
    stream.feed(0.1, noise + b"\n" + event(chunk(content="ready")))
    assert stream.text == "ready"


def test_an_event_without_an_end_is_not_waited_for() -> None:
    stream = Stream()
    assert stream.feed(0.1, b"data: " + b"x" * MAX_LINE) is True
    assert stream.error


def test_a_series_has_its_declared_length_and_prompts_that_share_no_beginning() -> None:
    generator = Generator()
    observation, _ = look(PROBE, generator.handler(), series=4)
    assert len(observation["requests"]) == 4 == observation["wanted"]
    texts = [body["messages"][0]["content"] for body in generator.bodies]
    assert len({text[:3] for text in texts}) == 4
    look(PROBE, generator.handler(), series=4)
    again = [body["messages"][0]["content"] for body in generator.bodies[4:]]
    assert not set(again) & set(texts)  # no cache answers for the model
    assert all(body["max_tokens"] <= 16 for body in generator.bodies)
    assert judge(PROBE, None, {}, observation).verdict == "verified"


def test_texts_to_embed_differ_too() -> None:
    table = {"/v1/models": MODELS, "POST /v1/embeddings": {"data": [{"embedding": [0.5, 0.5]}]}}
    _, server = look(PROBE, routes(table), family="embedding", series=4)
    assert len({request.json()["input"] for request in server.seen if request.method == "POST"}) == 4


@pytest.mark.parametrize(("series", "sent"), [(0, 1), (-3, 1), (99, 20)])
def test_no_series_is_longer_than_twenty(series: int, sent: int) -> None:
    generator = Generator(pause=0.0)
    look(PROBE, generator.handler(), series=series)
    assert len(generator.bodies) == sent


def test_a_short_series_proves_no_percentile_however_clear_it_looks() -> None:
    observation, _ = look(PROBE, Generator().handler(), series=3)
    for goal in (0.001, 60_000):
        judgement = judge(PROBE, LATENCY, {"phase": "first_token", "p95_ms": goal}, observation)
        assert (judgement.verdict, judgement.samples) == ("inconclusive", 3)
        assert "3 requests prove no percentile" in judgement.reason


def timed(values: list[float], kind: str = "chat", network: float | None = 1.0) -> dict[str, Any]:
    names = ("first_content_ms", "per_output_token_ms", "per_output_token_most_ms", "total_ms")
    rows = [{**dict.fromkeys(names, v), "completion_tokens": 3} for v in values]
    return {"kind": kind, "wanted": len(values), "requests": rows, "stopped": "", "fresh": {}, "network_ms": network}


@pytest.mark.parametrize(
    ("slower", "verdict"),
    [(0, "verified"), (1, "inconclusive"), (4, "inconclusive"), (5, "contradicted"), (20, "contradicted")],
)
def test_twenty_answers_decide_on_a_p95_only_where_chance_does_not_explain_them(slower: int, verdict: str) -> None:
    observation = timed([900.0] * slower + [100.0] * (20 - slower))
    judgement = judge(PROBE, LATENCY, {"phase": "first_token", "p95_ms": 500}, observation)
    assert (judgement.verdict, judgement.samples) == (verdict, 20)
    assert f"{slower} of 20 were slower" in judgement.reason


@pytest.mark.parametrize(
    ("phase", "network", "verdict"),
    [
        ("first_token", 399.0, "contradicted"),
        ("first_token", 400.0, "inconclusive"),
        ("first_token", None, "inconclusive"),
        ("end_to_end", 400.0, "inconclusive"),
        ("per_output_token", 799.0, "contradicted"),  # two gaps between three tokens share it
        ("per_output_token", 800.0, "inconclusive"),
    ],
)
def test_what_the_network_can_explain_contradicts_no_goal(phase: str, network: float | None, verdict: str) -> None:
    judgement = judge(PROBE, LATENCY, {"phase": phase, "p95_ms": 500}, timed([900.0] * 20, network=network))
    assert judgement.verdict == verdict
    assert "network" in judgement.reason


def test_the_time_of_the_network_is_that_of_the_slowest_of_three_small_gets() -> None:
    def models(request: Request) -> None:
        asked.append(time.monotonic())
        time.sleep(0.2 if len(asked) == 3 else 0)
        request.reply(200, MODELS)

    asked: list[float] = []
    generator = Generator(pause=0.0)
    observation, _ = look(PROBE, routes({**generator.table(), "/v1/models": models}), series=1, model_hint="tiny")
    assert observation["network_ms"] >= 200
    assert len(asked) >= 3


@pytest.mark.parametrize(
    ("slower", "verdict"),
    [(0, "verified"), (4, "verified"), (5, "inconclusive"), (15, "inconclusive"), (16, "contradicted")],
)
def test_twenty_answers_decide_on_a_median(slower: int, verdict: str) -> None:
    observation = timed([900.0] * slower + [100.0] * (20 - slower))
    assert judge(PROBE, LATENCY, {"phase": "per_output_token", "p50_ms": 500}, observation).verdict == verdict


def test_completions_cut_at_sixteen_tokens_cannot_verify_a_goal_for_the_whole_answer_but_embeddings_can() -> None:
    claims = {"phase": "end_to_end", "p95_ms": 500}
    fast, slow = [100.0] * 20, [900.0] * 20
    assert judge(PROBE, LATENCY, claims, timed(fast)).verdict == "inconclusive"
    assert "whole answers take longer" in judge(PROBE, LATENCY, claims, timed(fast)).reason
    assert judge(PROBE, LATENCY, claims, timed(slow)).verdict == "contradicted"
    assert judge(PROBE, LATENCY, {**claims, "phase": "request"}, timed(fast, "embedding")).verdict == "verified"


def test_without_a_goal_what_was_seen_is_told() -> None:
    assert "first content after" in judge(PROBE, LATENCY, {}, timed([1.0, 2.0])).reason


def test_a_stream_without_an_end_mark_or_usage_is_read_all_the_same() -> None:
    observation, _ = look(PROBE, Generator(done=False, knows_options=False).handler(), series=2)
    row = observation["requests"][0]
    assert (row["done_sent"], row["completion_tokens"]) == (False, None)
    judgement = judge(PROBE, LATENCY, {"phase": "per_output_token", "p95_ms": 50}, observation)
    assert judgement.verdict == "inconclusive"
    assert "not counted by the server" in judgement.reason


def test_only_reasoning_within_the_tokens_is_said_to_be_so() -> None:
    observation, _ = look(PROBE, Generator(reasoning=True).handler(), series=1)
    assert "first_content_ms" not in observation["requests"][0]
    assert "only reasoning" in judge(PROBE, LATENCY, {"phase": "first_token", "p95_ms": 50}, observation).reason


def test_a_reset_in_the_middle_of_a_stream_ends_the_series_with_what_was_seen() -> None:
    class Breaking(Generator):
        def stream(self, request: Request) -> None:
            if len(self.bodies) < 3:
                return super().stream(request)
            request.raw.wfile.write(
                b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Length: 9999\r\n\r\n"
                + event(chunk(content="rea"))
            )
            request.raw.wfile.flush()
            return request.raw.connection.close()

    generator = Breaking()
    observation, _ = look(PROBE, generator.handler(), series=5)
    assert len(observation["requests"]) == 2
    assert "Request 3 failed" in observation["stopped"]
    assert "Request 3 failed" in judge(PROBE, LATENCY, {"phase": "first_token", "p95_ms": 9}, observation).reason


def test_an_error_inside_a_stream_is_no_answer() -> None:
    def chat(request: Request) -> None:
        request.reply(200, event({"error": {"message": "CUDA out of memory"}}), {"Content-Type": "text/event-stream"})

    observation, _ = look(PROBE, routes({"/v1/models": MODELS, "POST /v1/chat/completions": chat}))
    assert "error in the stream" in judge(PROBE, LATENCY, {"phase": "first_token", "p95_ms": 9}, observation).reason


def test_a_server_that_answers_whole_although_asked_to_stream_is_timed_in_all() -> None:
    observation, _ = look(
        PROBE, Generator(answer=lambda payload: {"choices": [{"message": {"content": "x"}}]}).handler()
    )
    assert set(observation["requests"][0]) == {"status", "total_ms"}


def test_nothing_is_sent_where_the_owner_has_not_allowed_it() -> None:
    for probe in PROBES.values():
        if probe.generates:
            observation, server = look(probe.key, Generator().handler(), may_generate=False, may_burst=True)
            assert server.seen == [], probe.key
            for item in probe.speaks_to(observation):
                assert judge(probe.key, item, {}, observation).verdict == "inconclusive"


@pytest.mark.parametrize("status", [400, 401, 404, 429, 500])
def test_a_refused_series_is_inconclusive(status: int) -> None:
    observation, _ = look(PROBE, Generator(answer=lambda payload: status).handler())
    for item in PROBES[PROBE].speaks_to(observation):
        assert (
            judge(PROBE, item, {"phase": "first_token", "p95_ms": 1, "steps": "x"}, observation).verdict
            == "inconclusive"
        )


@pytest.mark.parametrize(
    ("family", "table", "kind"),
    [
        ("embedding", {"POST /v1/embeddings": {"data": [{"embedding": [0.1, 0.2]}]}}, "embedding"),
        ("diffusion", {"POST /v1/images/generations": {"data": [{"b64_json": "aGk="}]}}, "image"),
        ("audio", {"POST /v1/audio/transcriptions": {"text": ""}}, "transcription"),
    ],
)
def test_other_kinds_of_models_have_their_own_tiny_requests(family: str, table: dict[str, Any], kind: str) -> None:
    observation, server = look(PROBE, routes({"/v1/models": MODELS, **table}), family=family, series=2)
    assert (observation["kind"], len(observation["requests"])) == (kind, 2)
    if kind == "transcription":
        posted = next(request for request in server.seen if request.method == "POST")
        assert posted.headers["content-type"].startswith("multipart/form-data; boundary=")
        assert b"RIFF" in posted.body
        assert b'name="model"\r\n\r\ntiny\r\n' in posted.body


def test_stacks_with_paths_of_their_own_are_asked_there() -> None:
    observation, server = look(PROBE, routes({"POST /embed": [[0.1, 0.2]]}), stack="tei", family="embedding", series=1)
    assert "POST /embed" in server.asked()
    model = {
        "inputs": [{"name": "x", "datatype": "FP32", "shape": [-1, 4]}],
        "outputs": [{"name": "y", "datatype": "FP32"}],
    }
    table = {"/v2/models/m": model, "POST /v2/models/m/infer": {"outputs": [{"name": "y", "data": [1.0]}]}}
    observation, server = look(PROBE, routes(table), stack="kserve", family="vision", model_hint="m", series=1)
    assert observation["kind"] == "infer"
    assert server.seen[-1].json()["inputs"][0] == {"name": "x", "datatype": "FP32", "shape": [1, 4], "data": [0.0] * 4}


def test_a_huge_declared_tensor_is_not_made() -> None:
    table = {"/v2/models/m": {"inputs": [{"name": "x", "datatype": "FP32", "shape": [99999, 99999]}]}}
    observation, server = look(PROBE, routes(table), stack="kserve", model_hint="m")
    assert observation["error"] == "not_tried"
    assert not any(line.endswith("/infer") for line in server.asked())


@pytest.mark.parametrize("stack", ["comfyui", "torchserve"])
def test_servers_without_a_harmless_request_are_left_alone(stack: str) -> None:
    observation, server = look(PROBE, routes({"/v1/models": MODELS}), stack=stack)
    assert observation["error"] == "not_tried"
    assert not any(line.startswith("POST") for line in server.asked())


# Whatever is stored, whatever is claimed

wild = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(INNER), inner, max_size=3),
    max_leaves=8,
)


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(st.dictionaries(st.sampled_from(OUTER), wild), st.dictionaries(st.sampled_from(CLAIMS), wild))
def test_no_claim_and_no_observation_makes_a_judge_raise(observation: dict[str, Any], claims: dict[str, Any]) -> None:
    for probe in PROBES.values():
        if probe.generates:
            for item in probe.speaks_to(observation):
                judgement = probe.judge(item, claims, observation)
                assert judgement.verdict in ("verified", "contradicted", "inconclusive")
                assert judgement.reason


@pytest.mark.parametrize(
    "answer", [[], [1], "text", None, {"data": {}}, {"choices": [None]}, b"", b"{", b"[" * 5000, {"outputs": 7}]
)
@pytest.mark.parametrize("family", ["llm", "multimodal", "embedding", "diffusion", "audio", "vision"])
def test_strange_answers_never_make_a_probe_raise(answer: Any, family: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(counters, "PAUSES", (0.0,))
    claims = {
        "max_input": 9,
        "unit": "tokens",
        "server_seconds": 1,
        "evaluation": "x",
        "inputs": ["text"],
        "outputs": ["text"],
    }
    everything = {item: claims for probe in PROBES.values() for item in probe.items}
    for probe in PROBES.values():
        if probe.generates and not probe.bursts:
            observation, _ = look(
                probe.key, lambda request: request.reply(200, answer), family=family, model_hint="m", claims=everything
            )
            for item in probe.speaks_to(observation):
                assert judge(probe.key, item, claims, observation).verdict != "verified", (probe.key, item)


def test_what_a_stack_cannot_settle_is_said_in_a_sentence() -> None:
    for probe in PROBES.values():
        for item in probe.items if probe.generates else ():
            # A burst is no load test, so it can only contradict that there was one.
            one_sided = (probe.key, item) == ("generation.burst", "reliability.load-test")
            assert bool(probe.settles(item, STACKS["vllm"])) == one_sided
            assert probe.settles(item, STACKS["comfyui"]).endswith(".")
            assert probe.settles("operations.owner", STACKS["vllm"]).endswith(".")


# Warm-up


def warm(age: float | None, first: float, served: int = 0, **claims: Any) -> Any:
    fresh = {} if age is None else {"where": "/metrics", "age_s": age, "served": served}
    observation = {**timed([first, 100.0, 100.0, 110.0, 100.0]), "fresh": fresh}
    return judge(PROBE, WARMUP, {"steps": "one request per shape", **claims}, observation)


def test_warm_up_is_judged_only_after_a_restart_that_was_seen() -> None:
    assert warm(60, 120.0).verdict == "verified"
    assert warm(60, 2000.0).verdict == "contradicted"
    assert warm(60, 500.0).verdict == "inconclusive"
    assert "does not say when it started" in warm(None, 2000.0).reason
    assert warm(3 * 86_400, 2000.0).verdict == "inconclusive"
    assert "had answered others" in warm(60, 2000.0, served=7).reason
    assert "claimed to take" in warm(60, 2000.0, seconds=120).reason
    assert judge(PROBE, WARMUP, {}, timed([1.0, 2.0])).verdict == "inconclusive"
    assert "single answer" in judge(PROBE, WARMUP, {"steps": "x"}, timed([1.0])).reason


def test_the_restart_of_a_proxy_is_not_that_of_the_model_behind_it() -> None:
    generator = Generator(started=time.time() - 30, served=0)
    observation, _ = look(PROBE, generator.handler(), stack="litellm", series=6)
    assert observation["fresh"] == {}
    assert judge(PROBE, WARMUP, {"steps": "a request at start"}, observation).verdict == "inconclusive"


@pytest.mark.parametrize(("cold", "verdict"), [(0.0, "verified"), (0.8, "contradicted")])
def test_a_server_that_has_just_started_shows_whether_its_first_answer_is_cold(cold: float, verdict: str) -> None:
    generator = Generator(started=time.time() - 30, served=0, first_pause=cold)
    observation, _ = look(PROBE, generator.handler(), series=6)
    assert json.dumps(observation["fresh"])
    assert judge(PROBE, WARMUP, {"steps": "a request at start"}, observation).verdict == verdict
