"""The demo's model servers, started as the supervisor starts them and asked over HTTP."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator

import pytest

from portal.demo.servers import HEADERS, KINDS, address
from portal.demo.serving.base import MAX_SERVED
from portal.demo.serving.speaches import Speaches
from portal.demo.serving.vllm_meters import history_of

CHAT = {"model": "assist-chat", "messages": [{"role": "user", "content": "Hello"}], "max_tokens": 6}


def free_base() -> int:
    """The first of enough free ports in a row."""
    for base in range(20_000 + os.getpid() % 20_000, 60_000, 17):
        try:
            for offset in range(len(KINDS)):
                with socket.socket() as probe:
                    probe.bind(("127.0.0.1", base + offset))
        except OSError:
            continue
        return base
    raise AssertionError("no free ports")


def launch(base: int) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "portal.demo.servers", "--base-port", str(base)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.fixture(scope="module")
def base() -> Iterator[int]:
    number = free_base()
    with launch(number) as process:
        assert process.stdout is not None
        assert "answer on 127.0.0.1" in process.stdout.readline()
        yield number
        process.terminate()


class Answer:
    def __init__(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.status, self.headers, self.body = status, headers, body

    @property
    def json(self) -> dict:
        return json.loads(self.body)


def ask(
    url: str,
    body: object = None,
    *,
    key: str | None = HEADERS["Authorization"],
    raw: bytes | None = None,
    media: str = "application/json",
) -> Answer:
    data = raw if raw is not None else json.dumps(body).encode() if body is not None else None
    request = urllib.request.Request(url, data=data, headers={"Content-Type": media})
    if key:
        request.add_header("Authorization", key)
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return Answer(answer.status, dict(answer.headers), answer.read())
    except urllib.error.HTTPError as error:
        with error:
            return Answer(error.code, dict(error.headers), error.read())


def sample(text: str, name: str) -> float:
    found = re.search(rf"^{re.escape(name)}(?:\{{[^}}]*\}})? (\S+)$", text, re.MULTILINE)
    assert found, name
    return float(found[1])


def bucket(text: str, name: str, bound: str) -> float:
    found = re.search(rf'^{re.escape(name)}_bucket\{{[^}}]*le="{re.escape(bound)}"\}} (\S+)$', text, re.MULTILINE)
    assert found, bound
    return float(found[1])


def test_the_healthy_server_names_the_model_of_its_prefix_and_its_limit(base):
    card = ask(address("vllm", "assist-chat", "4.2", base=base) + "/v1/models").json["data"][0]
    assert (card["id"], card["root"], card["parent"]) == ("assist-chat", "harbour-pine/assist-chat-4.2", None)
    assert card["max_model_len"] == 32_768


def test_health_and_version_need_no_key(base):
    for path in ("/health", "/ping", "/version"):
        assert ask(address("vllm", "assist-chat", base=base) + path, key=None).status == 200


@pytest.mark.parametrize("key", [None, "Bearer wrong", "Basic abc", "Bearer ключ"])
@pytest.mark.parametrize("path", ["/v1/models", "/v1/chat/completions", "/v1/embeddings", "/tokenize", "/metrics"])
def test_the_healthy_server_turns_away_who_has_no_key_on_every_route(base, key, path):
    if key and not key.isascii():
        key = key.encode().decode("latin-1")
    assert ask(address("vllm", "assist-chat", base=base) + path, CHAT, key=key).status in {401, 404}
    assert ask(address("vllm", "assist-chat", base=base) + "/v1/models", key=key).status == 401


def test_the_open_server_answers_without_a_key(base):
    url = address("open", "voice-agent", "1.0", base=base)
    assert ask(url + "/v1/models", key=None).status == 200
    assert ask(url + "/tokenize", {"prompt": "a b c"}, key=None).json["count"] == 3


def test_a_streamed_answer_begins_with_the_role_and_ends_with_usage_and_done(base):
    body = {**CHAT, "stream": True, "stream_options": {"include_usage": True}}
    answer = ask(address("vllm", "assist-chat", base=base) + "/v1/chat/completions", body)
    assert answer.headers["Content-Type"].startswith("text/event-stream")
    events = [line.removeprefix("data: ") for line in answer.body.decode().split("\n\n") if line]
    assert events[-1] == "[DONE]"
    chunks = [json.loads(event) for event in events[:-1]]
    assert chunks[0]["choices"][0]["delta"] == {"role": "assistant", "content": ""}
    assert all(chunk["choices"][0]["delta"]["content"] for chunk in chunks[1:7])
    assert chunks[7]["choices"][0]["finish_reason"] == "length"
    assert chunks[8]["usage"]["completion_tokens"] == 6


def test_bad_bodies_are_refused_cleanly(base):
    url = address("vllm", "assist-chat", base=base) + "/v1/chat/completions"
    assert ask(url, raw=b"{not json").status == 400
    assert ask(url, raw=b"[1]").status == 400
    assert ask(url, {"model": "assist-chat"}).status == 400
    assert ask(url, {**CHAT, "max_tokens": "many"}).status == 400
    assert ask(url, {**CHAT, "model": "another"}).status == 404
    too_long = ask(url, {**CHAT, "messages": [{"role": "user", "content": "word " * 33_000}]})
    assert (too_long.status, too_long.json["error"]["code"]) == (400, "context_length_exceeded")
    assert ask(url, raw=b"x" * (5 * 1024 * 1024 + 7)).status == 413


def test_counters_start_with_a_history_and_move_with_what_is_served(base):
    url = address("vllm", "counted", "1.0", base=base)
    before = ask(url + "/metrics").body.decode()
    assert sample(before, "vllm:time_to_first_token_seconds_count") == history_of("counted", "1.0")
    ask(url + "/v1/chat/completions", {**CHAT, "model": "counted"})
    ask(url + "/v1/chat/completions", {"model": "counted"})
    after = ask(url + "/metrics").body.decode()
    for name, more in (
        ("vllm:time_to_first_token_seconds_count", 1),
        ("vllm:e2e_request_latency_seconds_count", 1),
        ("vllm:inter_token_latency_seconds_count", 5),
        ("vllm:generation_tokens_total", 6),
        ("vllm:iteration_tokens_total_count", 1),
    ):
        assert sample(after, name) - sample(before, name) == more, name
    errors = re.search(r'http_requests_total\{handler="/v1/chat/completions",method="POST",status="4xx"\} (\S+)', after)
    assert errors
    assert float(errors[1]) == history_of("counted", "1.0") // 400 + 1
    assert sample(after, "vllm:kv_cache_usage_perc") == 0


def test_every_histogram_is_cumulative_and_ends_with_its_count(base):
    text = ask(address("vllm", "assist-chat", base=base) + "/metrics").body.decode()
    names = set(re.findall(r"^# TYPE (\S+) histogram$", text, re.MULTILINE))
    assert len(names) == 9
    for name in names:
        numbers = [float(n) for n in re.findall(rf"^{name}_bucket\{{.*\}} (\S+)$", text, re.MULTILINE)]
        assert numbers == sorted(numbers)
        assert numbers[-1] == sample(text, f"{name}_count")


@pytest.mark.parametrize(("kind", "bottom", "top"), [("vllm", "0.25", "0.5"), ("slow", "1.0", "2.5")])
def test_the_95th_percentile_of_the_first_token_lies_where_it_should(base, kind, bottom, top):
    text = ask(address(kind, "assist-chat", "4.2", base=base) + "/metrics").body.decode()
    name = "vllm:time_to_first_token_seconds"
    goal = 0.95 * sample(text, f"{name}_count")
    assert bucket(text, name, bottom) < goal <= bucket(text, name, top)


def test_the_small_server_says_and_keeps_its_smaller_limit(base):
    url = address("small", "fraud-llm", "0.9", base=base)
    assert ask(url + "/v1/models").json["data"][0]["max_model_len"] == 8_192
    body = {"model": "fraud-llm", "messages": [{"role": "user", "content": "word " * 9_000}]}
    assert ask(url + "/v1/chat/completions", body).status == 400


def test_the_slow_server_is_really_slow(base):
    begun = time.monotonic()
    assert (
        ask(address("slow", "assist-chat", "4.2", base=base) + "/v1/chat/completions", {**CHAT, "max_tokens": 1}).status
        == 200
    )
    assert 1.0 < time.monotonic() - begun < 2.5


def test_nothing_listens_on_the_port_of_the_dead_one(base):
    with pytest.raises(urllib.error.URLError, match="refused"):
        ask(address("dead", "gift-finder", base=base) + "/health")


def test_a_release_can_be_served_under_another_name(base):
    for version, served in (("0.2", "log-explain"), ("0.3", "log-explain-rc1")):
        url = address("vllm", "log-explain", version, base=base)
        assert ask(url + "/v1/models").json["data"][0]["id"] == served


def test_the_same_weights_say_the_same_and_others_say_something_else(base):
    def said(version: str) -> str:
        url = address("vllm", "copy-draft", version, base=base) + "/v1/chat/completions"
        return ask(url, {**CHAT, "model": "copy-draft"}).json["choices"][0]["message"]["content"]

    assert said("1.8") == said("1.8") != said("1.8-signed")


def test_what_would_harm_somebody_is_refused_and_what_would_not_is_answered(base):
    url = address("vllm", "assist-chat", base=base) + "/v1/chat/completions"
    for text, part in (("Write a message that threatens her.", "sorry"), ("The capital of France?", "Paris")):
        body = {"model": "assist-chat", "messages": [{"role": "user", "content": text}]}
        assert part in ask(url, body).json["choices"][0]["message"]["content"]


def test_one_server_falls_over_where_the_others_refuse(base):
    for version, status in (("0.7", 400), ("0.8", 500)):
        url = address("vllm", "router-mini", version, base=base) + "/v1/chat/completions"
        assert ask(url, {**CHAT, "model": "router-mini", "temperature": -1}).status == status


def test_the_embedding_server_has_the_shape_of_tei(base):
    url = address("embedding", "embed-v3", "3.1", base=base)
    info = ask(url + "/info").json
    assert (info["model_id"], info["max_input_length"], info["auto_truncate"]) == ("embed-v3", 8_192, False)
    assert ask(url + "/info", key=None).status == ask(url + "/embed", {"inputs": "x"}, key=None).status == 401
    one, again = (ask(url + "/embed", {"inputs": "a chair"}) for _ in range(2))
    assert one.body == again.body
    assert one.headers["x-inference-time"].isdigit()
    assert len(ask(url + "/v1/embeddings", {"input": ["a", "b"], "model": "embed-v3"}).json["data"]) == 2
    assert ask(url + "/embed", {"inputs": "word " * 9_000}).status == 413
    assert ask(url + "/embed", {"inputs": ["x"] * 33}).status == 422
    assert ask(url + "/embed", {"inputs": ""}).status == 400
    text = ask(url + "/metrics").body.decode()
    assert sample(text, "te_queue_size") == 0
    assert sample(text, "te_request_duration_count") > 20_000


def test_the_image_server_makes_a_picture_and_counts_it(base):
    url = address("images", "studio-xl", "2", base=base)
    before = sample(ask(url + "/metrics").body.decode(), "sglang:diffusion_request_latency_seconds_count")
    answer = ask(url + "/v1/images/generations", {"model": "studio-xl", "prompt": "a chair", "size": "512x512"})
    assert answer.json["data"][0]["b64_json"].startswith("iVBORw0KGgo")
    assert ask(url + "/v1/images/generations", {"prompt": "a chair", "size": "9000x9000"}).status == 400
    assert ask(url + "/v1/images/generations", {"prompt": "a chair"}, key=None).status == 401
    after = sample(ask(url + "/metrics").body.decode(), "sglang:diffusion_request_latency_seconds_count")
    assert after == before + 1


def test_comfyui_can_be_looked_at_with_the_key_and_never_changed(base):
    url = address("comfyui", "inpaint-pro", base=base)
    assert ask(url + "/system_stats").json["system"]["comfyui_version"]
    assert ask(url + "/prompt").json == {"exec_info": {"queue_remaining": 0}}
    assert ask(url + "/object_info").json["CheckpointLoaderSimple"]
    assert ask(url + "/system_stats", key=None).status == 401
    assert ask(url + "/queue", {"clear": True}).status == 405
    assert ask(url + "/interrupt", {}).status == 404


def test_llama_cpp_tells_the_context_of_one_slot(base):
    url = address("llamacpp", "seo-rewrite", base=base)
    props = ask(url + "/props").json
    assert (props["total_slots"], props["default_generation_settings"]["n_ctx"]) == (4, 8_192)
    assert ask(url + "/v1/models").json["data"][0]["meta"]["n_ctx"] == 8_192
    assert ask(url + "/v1/models", key=None).status == 401
    before = sample(ask(url + "/metrics").body.decode(), "llamacpp:tokens_predicted_total")
    assert ask(url + "/v1/chat/completions", {**CHAT, "model": "seo-rewrite"}).status == 200
    assert sample(ask(url + "/metrics").body.decode(), "llamacpp:tokens_predicted_total") == before + 6


def test_ollama_greets_anybody_and_shows_its_models_to_who_has_the_key(base):
    url = address("ollama", "reply-tone", base=base)
    assert ask(url + "/", key=None).body == b"Ollama is running"
    assert ask(url + "/api/tags", key=None).status == 401
    assert ask(url + "/api/tags").json["models"][0]["name"] == "reply-tone:latest"
    assert ask(url + "/api/ps").json["models"][0]["context_length"] == 8_192
    assert ask(url + "/api/show", {"model": "reply-tone"}).json["details"]["quantization_level"] == "Q4_K_M"
    assert ask(url + "/api/show", {"model": "none"}).status == 404
    assert ask(url + "/api/generate", {"model": "reply-tone", "prompt": "x"}).json["eval_duration"] > 0


def test_the_audio_server_lists_its_model_and_has_no_metrics(base):
    url = address("audio", "call-transcribe", base=base)
    assert ask(url + "/v1/models").json["data"][0]["task"] == "automatic-speech-recognition"
    assert ask(url + "/metrics").status == 404
    assert ask(url + "/v1/audio/transcriptions", {"file": "no"}).status == 422


@pytest.mark.parametrize(
    ("kind", "slug", "version", "content", "end", "status"),
    [
        ("audio", "call-transcribe", "5.1", b"RIFF....WAVE", b"--", 200),
        ("audio", "call-transcribe", "5.1", b"this is no sound", b"--", 415),
        ("audio", "call-transcribe", "5.1", b"", b"--", 415),
        ("audio", "call-transcribe", "5.1", b"RIFF....WAVE", b"", 400),
        ("audio", "wake-word", "1.2", b"this is no sound", b"--", 200),
        ("open", "voice-agent", "1.0", b"RIFF....WAVE", b"--", 200),
    ],
)
def test_the_audio_servers_refuse_what_is_no_sound_but_for_one(base, kind, slug, version, content, end, status):
    head = b'--cut\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\nContent-Type: audio/wav\r\n\r\n'
    url = address(kind, slug, version, base=base) + "/v1/audio/transcriptions"
    answer = ask(url, raw=head + content + b"\r\n--cut" + end + b"\r\n", media="multipart/form-data; boundary=cut")
    assert answer.status == status
    assert answer.json


def test_a_server_keeps_counters_for_a_bounded_number_of_models():
    stack = Speaches()
    served = [stack.served((f"m{number}",)) for number in range(MAX_SERVED + 20)]
    assert served[MAX_SERVED - 1] is not None
    assert served[MAX_SERVED] is None
    assert stack.served(("m0",)) is served[0]


def test_sigterm_ends_it_at_once():
    with launch(free_base()) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=5) == 0


def test_a_taken_port_ends_it_with_one_clear_sentence(base):
    with launch(base) as process:
        _, errors = process.communicate(timeout=15)
    assert process.returncode == 1
    assert errors.count("\n") == 1
    assert "PREFLIGHT_DEMO_BASE_PORT" in errors
