"""Where servers are is taken out of what everybody may read; words, numbers and versions are left alone."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from checklists.evidence.places import Places

URLS = ("https://llm.eu.corp-models.example/v1", "http://vllm:8000", "http://10.0.0.7:9090/prometheus", "")
CLAIMS = {
    "operations.runbook": {"url": "https://wiki.example.org/runbooks/chat"},
    "observability.gpu": {"hosts": ["gpu-claimed-1:9400", "10.1.1.1"]},
}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("10.77.9.9 is not a public address.", "… is not a public address."),
        ("It ended at fd00::7, not at [2001:db8::1]:8000.", "It ended at …, not at …."),
        ("::ffff:10.0.0.1 is refused.", "… is refused."),
        ("Prometheus at http://prom:9090/x, {job=\"chat\"}.", "Prometheus at …/x, {job=\"chat\"}."),
        ("https://user@[fd00::1]:8443/x moved.", "…/x moved."),
        ("dial tcp 10.0.0.1:9090: refused", "dial tcp …: refused"),
        ("lookup prom.one.example on 10.0.0.2:53: no such host", "lookup … on …: no such host"),
        ("gpu-node-7:9400 and prometheus:9090 are down.", "… and … are down."),
        ("ip-10-77-3-4.ec2.internal, a.b.svc and n1.corp:80", "…, … and …"),
        ("llm.eu.corp-models.example answers, prom.eu.corp-models.example:9090 does not.", "… answers, … does not."),
        ('up{instance="vllm",job="vllm"} of vLLM', 'up{instance="…",job="vllm"} of vLLM'),
        ('{node=~"a|b",exported_instance!="c"}', '{node=~"…",exported_instance!="…"}'),
    ],
)  # fmt: skip
def test_places_are_taken_out(text: str, told: str) -> None:
    assert Places(URLS, CLAIMS).hide(text) == told


@pytest.mark.parametrize(
    "text",
    [
        "vllm:time_to_first_token_seconds, measured 1,140 ms at 12:30:45 (2026-11-25T03:51, n = 245).",
        "vLLM 0.8.5.post1, driver 570.86.10.1, v1.2.3.4, Qwen2.5:72, llama3.1:8b, phi3:3.8b",
        "sha256:" + "12" * 32,
        "A ratio of 1:2, 16:9 or std::b; job:latency:p99_5m; model.safetensors.index.json",
        "ghcr.io/team/image:0.8.5 on NVIDIA-H100-80GB",
        "The runbook https://wiki.example.org/runbooks/chat answers (200).",  # as claimed
        "gpu-claimed-1:9400 and 10.1.1.1 are as claimed.",
        "169.254.169.254 is link-local, multicast, or otherwise never a model server.",  # nobody's
        "The server vllm answered.",  # a name of one part may be a word
        'quantile="0.95", model_name="llm", instance_type="p5.48xlarge"',
    ],
)
def test_what_is_no_place_or_is_claimed_stays(text: str) -> None:
    assert Places(URLS, CLAIMS).hide(text) == text


def test_what_labels_call_a_place_is_taken_out_of_the_sentence_too() -> None:
    seen = {"where": 'P, {instance=~"(gpu-a1|gpu-b2)(:[0-9]+)?"}', "rows": [{"at": 1, "instance": "chat-0"}]}
    seen["nodes"] = {"n-17": {"gpu": "H100"}, "n-18": {}}  # type: ignore[assignment]
    places = Places()
    sentence = "After chat-0 started on n-17, gpu-a1 and gpu-b2 were slow; chat-01 was not."
    assert places.hide(sentence, beside=seen) == "After … started on …, … and … were slow; chat-01 was not."
    told = places.hide(seen)
    assert told["rows"] == [{"at": 1, "instance": "…"}]
    assert list(told["nodes"].values()) == [{"gpu": "H100"}, {}]
    for name in ("chat-0", "gpu-a1", "gpu-b2", "n-17", "n-18"):
        assert name not in json.dumps(told)
    assert places.hide(sentence) == sentence  # what another observation says is of no account


def test_the_public_hub_stays_and_one_that_is_only_a_number_goes(settings: Any) -> None:
    text = "GET https://hub.example/api/models, GET http://10.0.0.9:5000/v2/"
    settings.PREFLIGHT = {**settings.PREFLIGHT, "HUB_URL": "https://hub.example", "OCI_URL": "http://10.0.0.9:5000"}
    assert Places().hide(text) == "GET https://hub.example/api/models, GET …/v2/"


def test_no_text_takes_long() -> None:
    started = time.monotonic()
    for odd in ("a.", "1:", "a-", "instance=", 'ip="', "[a:", "ip-1-1-1-1", "lookup ", "10.0.0.1:", "x:8000,"):
        Places(URLS, CLAIMS).hide(odd * 20_000)
    assert time.monotonic() - started < 10
