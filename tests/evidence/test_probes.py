"""Probes at a real server on loopback, whose answers are recorded shapes, each labelled with what it was read from."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from checklists.evidence.probes import PROBES, Judgement, Target, Visit
from checklists.evidence.probes.metrics_page import metric_names
from tests.evidence import loopback
from tests.evidence.loopback import Request, Server, loopback_client, routes, run, serving

KEY = "open-sesame-42"
MODEL = "meta-llama/Llama-3.1-8B-Instruct"


def buckets(name: str, counts: dict[str, int]) -> str:
    lines = [f'{name}_bucket{{le="{bound}",model_name="m"}} {count}' for bound, count in counts.items()]
    total = list(counts.values())[-1]
    return "\n".join(
        [
            f"# TYPE {name} histogram",
            *lines,
            f'{name}_count{{model_name="m"}} {total}',
            f'{name}_sum{{model_name="m"}} 1',
        ]
    )


def vllm_page(tokens: int = 100) -> str:
    """Names and buckets of vLLM 0.11 (V1), read from its sources."""
    return "\n".join(
        [
            buckets("vllm:time_to_first_token_seconds", {"0.1": 0, "0.25": 50, "0.5": 96, "1.0": 100, "+Inf": 100}),
            buckets("vllm:e2e_request_latency_seconds", {"1.0": 10, "2.5": 12, "+Inf": 12}),
            buckets("vllm:request_queue_time_seconds", {"0.3": 100, "+Inf": 100}),
            buckets("vllm:request_prefill_time_seconds", {"0.3": 0, "+Inf": 0}),
            f'# TYPE vllm:generation_tokens_total counter\nvllm:generation_tokens_total{{model_name="m"}} {tokens}',
            '# TYPE vllm:prompt_tokens_total counter\nvllm:prompt_tokens_total{model_name="m"} 50',
            '# TYPE vllm:kv_cache_usage_perc gauge\nvllm:kv_cache_usage_perc{model_name="m"} 0.2',
            '# TYPE vllm:prefix_cache_hits_total counter\nvllm:prefix_cache_hits_total{model_name="m"} 7\n',
        ]
    )


# vLLM 0.11, from its sources: a base model and a LoRA adapter on it.
VLLM = {
    "/v1/models": {
        "object": "list",
        "data": [
            {
                "id": "chat",
                "object": "model",
                "owned_by": "vllm",
                "root": MODEL,
                "parent": None,
                "max_model_len": 32768,
            },
            {"id": "support", "object": "model", "owned_by": "vllm", "root": "/lora/support", "parent": "chat"},
        ],
    },
    "/version": {"version": "0.11.0"},
    "/health": b"",
    "/metrics": vllm_page(),
}
# llama-server (llama.cpp b6900), as seen running with -c 512 -np 2: each slot serves 256.
LLAMACPP = {
    "/v1/models": {
        "data": [
            {"id": "tiny.gguf", "owned_by": "llamacpp", "meta": {"n_ctx": 512, "n_ctx_train": 2048, "n_params": 1000}}
        ]
    },
    "/props": {
        "total_slots": 2,
        "model_path": "/models/tiny.gguf",
        "build_info": "b6900",
        "default_generation_settings": {"n_ctx": 256},
    },
    "/health": {"status": "ok"},
    "/metrics": "# TYPE llamacpp:tokens_predicted_total counter\nllamacpp:tokens_predicted_total 12\n",
}
# Ollama 0.13, from its sources.
OLLAMA = {
    "/api/version": {"version": "0.13.0"},
    "/api/tags": {
        "models": [
            {
                "name": "llama3.1:latest",
                "digest": "46e0c10c039e019119339687c3c1757cc81b9da49709a3b3924863ba87ca666e",
                "details": {"quantization_level": "Q4_K_M"},
            }
        ]
    },
    "/api/ps": {"models": [{"name": "llama3.1:latest", "size_vram": 6, "context_length": 4096}]},
    "/v1/models": {"object": "list", "data": [{"id": "llama3.1:latest", "owned_by": "library"}]},
}
# Text Generation Inference 3.3 and Text Embeddings Inference 1.8, from their sources.
TGI = {
    "/info": {
        "model_id": MODEL,
        "model_sha": "0e9e39f249a16976918f6564b8830bc894c89659",
        "max_input_tokens": 4095,
        "max_total_tokens": 4096,
        "max_concurrent_requests": 128,
        "version": "3.3.4",
    },
    "/health": b"",
    "/metrics": buckets("tgi_request_duration", {"0.5": 30, "1": 40, "+Inf": 40})
    + "\n# TYPE tgi_queue_size gauge\ntgi_queue_size 0\n",
}
TEI = {
    "/info": {
        "model_id": "BAAI/bge-small-en",
        "model_sha": "",
        "model_dtype": "float16",
        "max_input_length": 512,
        "max_batch_tokens": 16384,
        "max_concurrent_requests": 512,
        "auto_truncate": True,
        "version": "1.8.0",
    },
    "/health": b"",
}
# SGLang 0.5, from its sources.
SGLANG = {
    "/v1/models": {"data": [{"id": "qwen", "owned_by": "sglang", "root": "qwen", "max_model_len": 40960}]},
    "/model_info": {"model_path": "Qwen/Qwen3-8B"},
    "/server_info": {"context_length": None, "max_running_requests": 256},
    "/ready": b"\n",
}
# LiteLLM proxy 1.8x, from its sources: the list of models shows aliases only.
LITELLM = {
    "/health/liveliness": '"I\'m alive!"',
    "/v1/models": {"data": [{"id": "gpt-house", "owned_by": "openai"}]},
    "/v1/model/info": {"data": [{"model_name": "gpt-house", "litellm_params": {"model": f"hosted_vllm/{MODEL}"}}]},
}


def observe(probe: str, server: Server, **target: Any) -> dict[str, Any]:
    observation, _ = loopback.observe(probe, Target(name="main", url=target.pop("url", server.url), **target))
    return dict(json.loads(json.dumps(observation, allow_nan=False)))


def recognised(target: Target) -> str:
    async def visiting() -> str:
        async with loopback_client().session() as session:
            return (await Visit(target, session).stack()).key

    return run(visiting())


def judge(probe: str, item: str | None, claims: dict[str, Any], observation: dict[str, Any]) -> Judgement:
    return PROBES[probe].judge(item, claims, observation)


# Finding out the stack


@pytest.mark.parametrize(
    ("table", "stack"),
    [
        (VLLM, "vllm"),
        (LLAMACPP, "llamacpp"),
        (OLLAMA, "ollama"),
        (TGI, "tgi"),
        (TEI, "tei"),
        (SGLANG, "sglang"),
        (LITELLM, "litellm"),
        ({"/v1/models": {"data": [{"id": "x", "owned_by": "me"}]}}, "openai"),
        ({"/system_stats": {"system": {"comfyui_version": "0.3.62"}, "devices": []}}, "comfyui"),
        ({"/v2": {"name": "triton", "extensions": []}}, "kserve"),
    ],
)
def test_a_stack_is_found_out_from_its_answers(table: dict[str, Any], stack: str) -> None:
    with serving(routes(table)) as server:
        assert recognised(Target("main", server.url)) == stack


async def logs_of(server: Server, *keys: str) -> list[list[dict[str, Any]]]:
    logs = []
    async with loopback_client().session() as session:
        visit = Visit(Target("main", server.url), session)
        for key in keys:
            await PROBES[key].observe(visit)
            logs.append(visit.take_log())
    return logs


def test_a_finding_names_the_request_it_rests_on_even_when_another_probe_sent_it() -> None:
    with serving(routes(VLLM)) as server:
        first, second = run(logs_of(server, "model.identity", "model.limits"))
        assert server.asked().count("GET /v1/models") == 1
    assert [(e["line"], e.get("earlier")) for e in first if e["line"] == "GET /v1/models"] == [("GET /v1/models", None)]
    assert [(e["line"], e.get("earlier")) for e in second] == [("GET /v1/models", True)]
    assert second[0]["status"] == 200


def test_a_proxy_is_never_asked_for_the_health_that_calls_its_models() -> None:
    with serving(routes(LITELLM, key=KEY, open_paths=("/health/liveliness",))) as server:
        observation = observe("endpoint.health", server, headers={"Authorization": f"Bearer {KEY}"})
        assert observation["path"] == "/health/liveliness"
        assert "GET /health" not in server.asked()


def test_a_stack_whose_health_route_generates_is_asked_elsewhere() -> None:
    with serving(routes(SGLANG)) as server:
        assert observe("endpoint.health", server)["path"] == "/ready"
        assert "GET /health" not in server.asked()


@pytest.mark.parametrize("pasted", ["", "/", "/v1", "/v1/", "/v1/chat/completions", "/v1/models"])
def test_a_pasted_address_is_cut_back_to_the_server(pasted: str) -> None:
    assert Target("main", f"https://h:8000/team{pasted}").base == "https://h:8000/team"


# Health


def test_a_server_that_says_ready_is_reachable_but_its_warm_up_stays_unproven() -> None:
    with serving(routes(VLLM)) as server:
        observation = observe("endpoint.health", server)
    assert judge("endpoint.health", None, {}, observation).verdict == "verified"
    about_warmup = judge("endpoint.health", "reliability.warmup-validated", {"method": "waited"}, observation)
    assert about_warmup.verdict == "inconclusive"
    assert "restart" in about_warmup.reason


@pytest.mark.parametrize("status", [503, 500, 401, 403, 429])
def test_a_server_that_is_not_ready_is_inconclusive(status: int) -> None:
    def handle(request: Request) -> None:
        request.reply(status if request.path == "/health" else 404)

    with serving(handle) as server:
        observation = observe("endpoint.health", server, stack="vllm")
    verdict = judge("endpoint.health", None, {}, observation)
    assert verdict.verdict == "inconclusive"
    assert str(status) in verdict.reason


@pytest.mark.parametrize(
    "body",
    [
        {"status": "loading model"},
        {"status": "unhealthy"},
        {"status": "not_ready"},
        {"ready": False},
        {"error": "no GPU"},
        b"shutting down",
        "<html>Welcome</html>",
    ],
)
def test_a_health_route_that_says_otherwise_or_is_a_web_page_shows_no_health(body: Any) -> None:
    kind = {"Content-Type": "text/html"} if isinstance(body, str) else {}
    with serving(routes({**VLLM, "/health": lambda request: request.reply(200, body, kind)})) as server:
        observation = observe("endpoint.health", server, stack="vllm")
    assert judge("endpoint.health", None, {}, observation).verdict == "inconclusive"


@pytest.mark.parametrize("state", ["running", "no errors", "ok (0 errors)", "healthy, nothing is down"])
def test_a_health_route_that_says_it_is_well_shows_health(state: str) -> None:
    with serving(routes({**VLLM, "/health": {"status": state}})) as server:
        observation = observe("endpoint.health", server, stack="vllm")
    assert judge("endpoint.health", None, {}, observation).verdict == "verified"


# Nobody there: every probe, every item


def test_an_endpoint_that_is_down_makes_everything_inconclusive_with_a_reason() -> None:
    with serving(lambda request: None) as server:
        pass
    claims = {
        "model_id": MODEL,
        "scheme": "api_key",
        "phase": "first_token",
        "p95_ms": 500,
        "max_input": 10,
        "unit": "tokens",
        "phases": ["queue"],
        "metric_names": "x",
        "metric_name": "y",
        "inputs": ["text"],
        "outputs": ["text"],
        "dashboard_url": "https://x",
        "max_concurrency": 4,
        "method": "x",
    }
    for probe in PROBES.values():
        observation = observe(probe.key, server, may_generate=True)
        for item in probe.speaks_to(observation):
            judgement = probe.judge(item, claims, observation)
            assert judgement.verdict == "inconclusive", (probe.key, item)
            assert judgement.reason.endswith("."), (probe.key, item)


# Identity


def name(table: dict[str, Any], **claims: str) -> Judgement:
    with serving(routes(table)) as server:
        return judge("model.identity", "identity.name-version", claims, observe("model.identity", server))


def lineage(base: str, served: dict[str, Any], model_id: str) -> Judgement:
    names = {"identity.name-version": {"model_id": model_id}}
    return PROBES["model.identity"].judge("identity.lineage", {"base_model": base}, served, names)


def test_the_root_that_is_served_verifies_the_claimed_model() -> None:
    judgement = name(VLLM, model_id=MODEL.lower(), version="3.1")
    assert judgement.verdict == "verified"
    assert "under the name chat" in judgement.reason


def test_an_alias_proves_little() -> None:
    judgement = name(VLLM, model_id="chat")
    assert judgement.verdict == "inconclusive"
    assert "alias" in judgement.reason


def alone(root: str) -> dict[str, Any]:
    return {"/v1/models": {"data": [{"id": "chat", "owned_by": "vllm", "root": root}]}}


def test_another_model_contradicts() -> None:
    judgement = name(alone(MODEL), model_id="mistralai/Mistral-7B-v0.3")
    assert (judgement.verdict, judgement.claimed) == ("contradicted", "mistralai/Mistral-7B-v0.3")
    assert "chat" in judgement.observed
    assert "another repository" in judgement.rule
    # The adapter beside it is loaded from a path, and may well be what is claimed.
    assert name(VLLM, model_id="mistralai/Mistral-7B-v0.3").verdict == "inconclusive"


@pytest.mark.parametrize(
    ("claimed", "root", "expected"),
    [
        ("Qwen/Qwen3-8B", "Qwen/Qwen3-8B-Base", "contradicted"),
        ("Qwen/Qwen3-8B", "qwen/qwen3-8b", "verified"),
        ("Qwen/Qwen3-8B", "mirror/Qwen3-8B", "inconclusive"),  # may be a copy
        ("meta-llama/Llama-3.1-8B-Instruct", "unsloth/Meta-Llama-3.1-8B-Instruct", "inconclusive"),
        ("Qwen3-8B", "Qwen/Qwen3-8B", "inconclusive"),  # no word of whose
        ("Our support assistant", "Qwen/Qwen3-8B", "inconclusive"),
        ("Qwen/Qwen3-8B", "/models/Qwen3-8B", "inconclusive"),
        ("Qwen/Qwen3-8B", "support-ft/checkpoint-500", "inconclusive"),  # folders of a training run
        ("Qwen/Qwen3-8B", "checkpoint-500/merged", "inconclusive"),
        ("Qwen/Qwen3-8B", "support-ft/final", "inconclusive"),
        ("Qwen/Qwen3-8B", "/models/Qwen/Qwen3-8B", "inconclusive"),
        ("Qwen/Qwen3-8B", "models/Qwen3-8B", "inconclusive"),
        ("Qwen/Qwen3-8B", "models/assistant", "inconclusive"),
        ("Qwen/Qwen3-8B", "Qwen3-8B-Q4_K_M.gguf", "inconclusive"),
        ("Qwen/Qwen3-8B", "/data/huggingface/hub/models--Qwen--Qwen3-8B/snapshots/" + "a" * 40, "verified"),
        ("Qwen/Qwen3-8B", "/data/huggingface/hub/models--google--gemma-3/snapshots/" + "a" * 40, "contradicted"),
    ],
)
def test_only_repositories_tell_which_model_runs(claimed: str, root: str, expected: str) -> None:
    judgement = name(alone(root), model_id=claimed)
    assert judgement.verdict == expected, judgement
    assert judgement.rule


def test_the_hubs_own_cache_tells_the_commit_too() -> None:
    cached = alone("/cache/models--Qwen--Qwen3-8B/snapshots/" + "a" * 40)
    assert name(cached, model_id="Qwen/Qwen3-8B", revision="a" * 8).verdict == "verified"
    assert name(cached, model_id="Qwen/Qwen3-8B", revision="b" * 40).verdict == "contradicted"


def test_a_name_is_an_alias_on_every_stack_where_an_operator_chooses_it() -> None:
    bare = {**SGLANG}
    del bare["/model_info"]
    for table, claimed in (
        (bare, "qwen"),
        ({"/v1/models": {"data": [{"id": MODEL, "owned_by": "sglang", "root": MODEL}]}}, MODEL),
        ({"/v1/models": {"data": [{"id": MODEL, "owned_by": "vllm"}]}}, MODEL),
        (OLLAMA, "llama3.1"),
        (LLAMACPP, "tiny.gguf"),
        ({"/v1/models": {"data": [{"id": MODEL, "root": MODEL}]}}, MODEL),  # unknown, and it says the same twice
    ):
        judgement = name(table, model_id=claimed)
        assert judgement.verdict == "inconclusive", judgement
        assert "an alias proves little" in judgement.reason
    assert name(SGLANG, model_id="Qwen/Qwen3-8B").verdict == "verified"


def test_a_label_that_the_operator_gave_the_weights_is_no_revision() -> None:
    claims = {"model_id": "Qwen/Qwen3-8B", "revision": "b" * 40}
    labelled = {**SGLANG, "/model_info": {"model_path": "Qwen/Qwen3-8B", "weight_version": "a" * 40}}
    assert name(labelled, **claims).verdict == "verified"
    pinned = {**SGLANG, "/server_info": {"revision": "a" * 40}}
    assert name(pinned, **claims).verdict == "contradicted"
    ignored = {**pinned, "/model_info": {"model_path": "/models/qwen"}}
    assert name(ignored, model_id="qwen", revision="a" * 40).verdict == "inconclusive"


@pytest.mark.parametrize(
    ("root", "expected"),
    [
        ("/models/log-explain-rc1-0.3", "inconclusive"),
        ("Qwen/Qwen3-8B", "contradicted"),
        ("/mnt/models", "inconclusive"),
        ("/models/", "inconclusive"),
        ("/model", "inconclusive"),
        ("/data", "inconclusive"),
        ("/data/model.gguf", "inconclusive"),
        ("s3://bucket/models/v3", "inconclusive"),
    ],
)
def test_a_place_contradicts_only_where_its_name_tells_another_model(root: str, expected: str) -> None:
    rows = [{"id": "chat", "owned_by": "vllm", "root": root}]
    judgement = name({"/v1/models": {"data": rows}}, model_id="team/log-explain")
    assert judgement.verdict == expected, judgement
    assert expected == "contradicted" or "chooses names and places freely" in judgement.reason
    unlisted = {"id": "adapter", "owned_by": "vllm", "root": "/lora/adapter", "parent": "chat"}
    assert name({"/v1/models": {"data": [*rows, unlisted]}}, model_id="team/log-explain").verdict == "inconclusive"
    with serving(routes({"/v1/models": {"data": [*rows, unlisted]}})) as server:
        served = observe("model.identity", server)
    assert lineage("team/log-explain", served, "adapter").verdict == expected
    # The parent of an adapter beside it says nothing of where the model itself comes from.
    assert lineage("team/log-explain", served, "chat").verdict == "inconclusive"
    assert lineage("team/log-explain", served, "").verdict == "inconclusive"


def test_another_alias_than_the_claimed_name_proves_as_little_as_an_equal_one() -> None:
    closed = {path: answer for path, answer in LITELLM.items() if path != "/v1/model/info"}
    assert name(LITELLM, model_id="mistral-large").verdict == "inconclusive"
    assert name(closed, model_id="mistral-large").verdict == "inconclusive"
    assert name({"/v1/models": {"data": [{"id": "house"}]}}, model_id=MODEL).verdict == "inconclusive"


def test_a_revision_tells_what_a_mount_does_not() -> None:
    table = {**TGI, "/info": {**TGI["/info"], "model_id": "/data"}}  # type: ignore[dict-item]
    assert name(table, model_id=MODEL).verdict == "inconclusive"
    assert name(table, model_id=MODEL, revision="0e9e39f").verdict == "verified"
    assert name(table, model_id=MODEL, revision="1111111").verdict == "inconclusive"  # perhaps a mirror's


def test_a_revision_is_compared_where_the_server_gives_one() -> None:
    assert name(TGI, model_id=MODEL, revision="0e9e39f").verdict == "verified"
    assert name(TGI, model_id=MODEL, revision="1111111111111111111111111111111111111111").verdict == "contradicted"
    by_name = name(TGI, model_id=MODEL, revision="main")
    assert by_name.verdict == "verified"
    assert "revision is not served" in by_name.reason


def test_a_digest_is_compared_where_the_server_gives_one() -> None:
    digest = OLLAMA["/api/tags"]["models"][0]["digest"]  # type: ignore[index]
    assert name(OLLAMA, model_id="llama3.1", artifact_digest=f"sha256:{digest}").verdict == "verified"
    other = name(OLLAMA, model_id="llama3.1", artifact_digest="sha256:" + "0" * 64)
    assert other.verdict == "inconclusive"  # perhaps that of the weights, or of the server's image
    assert "may be that of something else" in other.reason


@pytest.mark.parametrize("model_id", [MODEL, f"hosted_vllm/{MODEL}", f"azure/{MODEL}", "gpt-house", "other/model"])
def test_what_a_proxy_asks_another_server_for_is_that_ones_alias(model_id: str) -> None:
    assert name(LITELLM, model_id=model_id).verdict == "inconclusive"
    closed = {path: answer for path, answer in LITELLM.items() if path != "/v1/model/info"}
    assert name(closed, model_id=model_id).verdict == "inconclusive"


@pytest.mark.parametrize(
    ("title", "served", "words"),
    [
        ("🦙 llama.cpp Python API", MODEL, "an alias proves little"),  # --model_alias, or --model of that very name
        ("🦙 llama.cpp Python API", "/models/tiny.gguf", "chooses names and places freely"),
        ("Somebody's server", MODEL, "an alias proves little"),
    ],
)
def test_a_name_that_the_operator_chose_settles_nothing(title: str, served: str, words: str) -> None:
    models = {"data": [{"id": served, "object": "model", "owned_by": "me", "permissions": []}]}
    judgement = name({"/v1/models": models, "/openapi.json": {"info": {"title": title}}}, model_id=MODEL)
    assert (judgement.verdict, words in judgement.reason) == ("inconclusive", True), judgement


def test_a_served_root_is_stronger_than_a_name_on_a_server_that_nobody_knows() -> None:
    models = {"data": [{"id": "chat", "root": MODEL}]}
    assert name({"/v1/models": models}, model_id=MODEL).verdict == "verified"
    assert name({"/v1/models": models}, model_id="chat").verdict == "inconclusive"


def test_without_a_claim_the_served_names_are_told() -> None:
    judgement = name(VLLM)
    assert judgement.verdict == "inconclusive"
    assert "chat" in judgement.reason


def test_lineage_is_spoken_of_only_where_a_parent_is_served() -> None:
    with serving(routes(VLLM)) as server:
        served = observe("model.identity", server)
    with serving(routes(LLAMACPP)) as server:
        silent = observe("model.identity", server)
    probe = PROBES["model.identity"]
    assert "identity.lineage" in probe.speaks_to(served)
    assert "identity.lineage" not in probe.speaks_to(silent)
    assert lineage(MODEL, served, "support").verdict == "verified"
    assert lineage("other/model", served, "support").verdict == "contradicted"
    assert lineage("Llama 3.1, tuned", served, "support").verdict == "inconclusive"
    assert probe.judge("identity.lineage", {}, served).verdict == "inconclusive"


# Limits


def limit(table: dict[str, Any], item: str = "identity.input-limits", **claims: Any) -> Judgement:
    with serving(routes(table)) as server:
        return judge("model.limits", item, claims, observe("model.limits", server))


def test_what_a_proxy_says_of_the_model_behind_it_is_no_limit_of_that_one() -> None:
    # Seen on a running LiteLLM proxy: the list of models carries max_input_tokens, out of its settings or its own list.
    table = {**LITELLM, "/v1/models": {"data": [{"id": "gpt-house", "owned_by": "openai", "max_input_tokens": 8192}]}}
    for wanted in (8192, 16384):
        judgement = limit(table, max_input=wanted, unit="tokens")
        assert (judgement.verdict, judgement.observed) == ("inconclusive", "8192")
        assert "the server behind it sets the limit" in judgement.reason
    assert limit(LITELLM, max_input=8192, unit="tokens").verdict == "inconclusive"


def test_a_served_limit_verifies_or_contradicts_the_claim() -> None:
    assert limit(VLLM, max_input=32768, unit="tokens").verdict == "verified"
    judgement = limit(VLLM, max_input=131072, unit="tokens")
    assert (judgement.verdict, judgement.claimed, judgement.observed, judgement.unit) == (
        "contradicted",
        "131072",
        "32768",
        "tokens",
    )


def test_a_split_context_serves_only_its_share() -> None:
    judgement = limit(LLAMACPP, max_input=512, unit="tokens")
    assert (judgement.verdict, judgement.observed) == ("contradicted", "256")
    assert limit(LLAMACPP, max_input=256, unit="tokens").verdict == "verified"


def test_the_limit_of_the_model_that_is_loaded_is_not_that_of_another() -> None:
    tags = [{"name": "llama3.1:latest"}, {"name": "mistral:latest"}]
    table = {**OLLAMA, "/api/tags": {"models": tags}}  # of which llama3.1 is loaded
    with serving(routes(table)) as server:
        observation = observe("model.limits", server)
    item, claims = "identity.input-limits", {"max_input": 8192, "unit": "tokens"}
    for model_id, verdict in (("llama3.1", "contradicted"), ("mistral", "inconclusive"), ("", "contradicted")):
        names = {"identity.name-version": {"model_id": model_id}}
        assert PROBES["model.limits"].judge(item, claims, observation, names).verdict == verdict, model_id


def test_other_units_and_missing_limits_are_inconclusive() -> None:
    assert limit(VLLM, max_input=1024, unit="pixels").verdict == "inconclusive"
    assert limit({"/v1/models": {"data": [{"id": "x"}]}}, max_input=1024, unit="tokens").verdict == "inconclusive"
    assert limit(VLLM).verdict == "inconclusive"


def test_declared_truncation_is_mentioned() -> None:
    judgement = limit(TEI, max_input=512, unit="tokens")
    assert judgement.verdict == "verified"
    assert "cuts longer inputs" in judgement.reason


def test_running_models_tell_the_served_context_of_ollama() -> None:
    assert limit(OLLAMA, max_input=131072, unit="tokens").verdict == "contradicted"


def test_runtime_constraints_must_be_equal() -> None:
    item = "operations.runtime-constraints"
    assert limit(TGI, item, max_concurrency=128, context_tokens=4096).verdict == "verified"
    drift = limit(TGI, item, max_concurrency=256, context_tokens=4096)
    assert drift.verdict == "contradicted"
    assert "claimed 256, served 128" in drift.reason
    assert "Not declared" in limit(VLLM, item, max_concurrency=8, context_tokens=32768).reason
    assert limit(VLLM, item, max_concurrency=8).verdict == "inconclusive"


# Access control

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


# Metrics


def present(item: str, table: dict[str, Any] = VLLM, **claims: Any) -> Judgement:
    with serving(routes(table)) as server:
        return judge("metrics.present", item, claims, observe("metrics.present", server))


def test_phases_with_samples_are_verified_missing_ones_contradicted_empty_ones_open() -> None:
    item = "observability.latency-breakdown"
    assert present(item, phases=["queue", "first_token", "end_to_end"]).verdict == "verified"
    missing = present(item, phases=["queue", "decode"])
    assert missing.verdict == "contradicted"
    assert "decode" in missing.reason
    assert present(item, phases=["queue", "prefill"]).verdict == "inconclusive"
    assert present(item).verdict == "inconclusive"
    assert present(item, TGI, phases=["first_token"]).verdict == "contradicted"


@pytest.mark.parametrize(
    ("name", "stack", "phase"),
    [
        ("tgi_batch_forward_duration", "tgi", "prefill"),  # by the label method, TGI 3.3
        ("llamacpp:prompt_seconds_total", "llamacpp", "prefill"),  # a sum of seconds
        ("vllm:request_decoding_seconds", "vllm", "decode"),  # as a later version may call it
    ],
)
def test_a_phase_that_may_be_told_under_another_name_is_not_missing(name: str, stack: str, phase: str) -> None:
    observation = {
        "where": "/metrics",
        "stack": stack,
        "names": [f"{name}_bucket", f"{name}_count"],
        "complete": True,
        "meanings": {"requests_total": {"name": "r", "value": 5, "samples": 5}},
    }
    item = "observability.latency-breakdown"
    judged = PROBES["metrics.present"].judge(item, {"phases": [phase]}, observation)
    assert (judged.verdict, f"{name} may." in judged.reason) == ("inconclusive", True), judged.reason
    nothing = PROBES["metrics.present"].judge(item, {"phases": [phase]}, observation | {"names": ["tgi_queue_size"]})
    assert nothing.verdict == "contradicted"


def test_claimed_cache_series_are_there_or_not() -> None:
    item = "observability.cache"
    assert present(item, metric_names="vllm:kv_cache_usage_perc, vllm:prefix_cache_hits_total").verdict == "verified"
    assert present(item, metric_names="vllm:gpu_cache_usage_perc").verdict == "contradicted"
    assert present(item, metric_names="").verdict == "inconclusive"


def test_a_series_that_something_else_may_export_or_record_is_not_missing_on_the_page() -> None:
    for name in ("job:cache_hits:ratio_rate5m", "istio_requests_total", "cache_hit_ratio"):
        judgement = present("observability.cache", metric_names=f"vllm:kv_cache_usage_perc, {name}")
        assert (judgement.verdict, "something else exports" in judgement.reason) == ("inconclusive", True)
        assert present("observability.throughput", metric_name=name).verdict == "inconclusive"
    both = present("observability.cache", metric_names="vllm:gpu_cache_usage_perc, istio_requests_total")
    assert both.verdict == "contradicted"
    assert "istio" not in both.reason


@pytest.mark.parametrize(
    "claimed",
    [
        'vllm:kv_cache_usage_perc{model_name="m",engine="0"}',
        "vllm:kv_cache_usage_perc vllm:prefix_cache_hits_total",
        "rate of vllm:kv_cache_usage_perc[5m]",
        "vllm:kv_cache_usage_perc (gauge)",
        "vllm:prefix_cache_*",
        "KV cache usage and prefix hits",
        "none",
    ],
)
def test_what_is_written_around_a_metrics_name_or_instead_of_it_is_not_missing(claimed: str) -> None:
    whole = claimed.startswith("vllm:kv_cache_usage_perc{") or claimed.endswith("hits_total")
    assert present("observability.cache", metric_names=claimed).verdict == ("verified" if whole else "inconclusive")
    kept = {"names": ["vllm:kv_cache_usage_perc", "vllm:prefix_cache_hits_total"], "complete": True, "stack": "vllm"}
    used = {"meanings": {"requests_total": {"name": "r", "value": 5, "samples": 5}}, "elsewhere": []}
    observation = {**kept, **used, "asked": metric_names(claimed)}
    judged = PROBES["prometheus.present"].judge("observability.cache", {"metric_names": claimed}, observation)
    assert judged.verdict == ("verified" if whole else "inconclusive")


def test_a_name_that_is_announced_without_a_series_is_not_visible_yet() -> None:
    bare = vllm_page() + "# TYPE vllm:cpu_cache_usage_perc gauge\n# TYPE nv_gpu_utilization gauge\n"
    page = {**VLLM, "/metrics": bare}
    judged = present("observability.cache", page, metric_names="vllm:cpu_cache_usage_perc")
    assert (judged.verdict, "no series of it yet" in judged.reason) == ("inconclusive", True)
    assert present("observability.gpu", page, dashboard_url="https://grafana.example/d/1").verdict == "inconclusive"


def test_a_counter_that_is_only_there_is_not_yet_verified() -> None:
    item = "observability.throughput"
    assert present(item, metric_name="vllm:generation_tokens_total").verdict == "inconclusive"
    assert present(item, metric_name="vllm:tokens_made").verdict == "contradicted"


def test_gpu_series_are_verified_and_their_absence_is_inconclusive() -> None:
    item = "observability.gpu"
    page = {**VLLM, "/metrics": vllm_page() + 'DCGM_FI_DEV_GPU_UTIL{gpu="0"} 80\n'}
    assert present(item, page, dashboard_url="https://grafana.example/d/1").verdict == "verified"
    assert present(item, dashboard_url="https://grafana.example/d/1").verdict == "inconclusive"


@pytest.mark.parametrize("answer", [None, "<html>nothing</html>", {"json": True}, ""])
def test_a_page_that_is_none_is_inconclusive(answer: Any) -> None:
    for item in PROBES["metrics.present"].items:
        judgement = present(
            item, {**VLLM, "/metrics": answer}, phases=["queue"], metric_names="a", metric_name="b", dashboard_url="c"
        )
        assert judgement.verdict == "inconclusive"
        assert judgement.reason


def latency(**claims: Any) -> Judgement:
    with serving(routes(VLLM)) as server:
        return judge("metrics.latency", "performance.latency-targets", claims, observe("metrics.latency", server))


def test_a_goal_at_or_above_the_end_of_the_bucket_is_verified() -> None:
    judgement = latency(phase="first_token", p95_ms=500, p50_ms=250)
    assert (judgement.verdict, judgement.unit, judgement.samples) == ("verified", "ms", 100)
    assert "100 samples" in judgement.reason


def test_a_goal_at_or_below_the_beginning_of_the_bucket_is_contradicted() -> None:
    judgement = latency(phase="first_token", p95_ms=250)
    assert judgement.verdict == "contradicted"
    assert judgement.observed == "p95 between 250 and 500"


def test_a_goal_inside_the_bucket_is_inconclusive_because_nothing_is_interpolated() -> None:
    judgement = latency(phase="first_token", p95_ms=400)
    assert judgement.verdict == "inconclusive"
    assert "too coarse" in judgement.reason


def test_one_missed_goal_contradicts_whatever_the_other_says() -> None:
    assert latency(phase="first_token", p50_ms=100, p95_ms=1000).verdict == "contradicted"


def test_few_samples_missing_histograms_and_missing_goals_are_inconclusive() -> None:
    few = latency(phase="end_to_end", p95_ms=9000)
    assert few.verdict == "inconclusive"
    assert "Only 12 samples" in few.reason
    assert latency(phase="per_output_token", p95_ms=50).verdict == "inconclusive"
    assert latency(phase="first_token").verdict == "inconclusive"
    assert latency(p95_ms=100).verdict == "inconclusive"


# TLS and headers


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


def test_keys_over_plain_http_on_the_internet_are_contradicted() -> None:
    observation = {"https": False, "public": True, "status": 401}
    assert judge("tls.headers", "security.access-control", {"scheme": "api_key"}, observation).verdict == "contradicted"


# Whatever a server or a person writes

wild = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
FIELDS = [
    "models",
    "limits",
    "routes",
    "histograms",
    "meanings",
    "counters",
    "names",
    "gpu",
    "where",
    "stack",
    "status",
    "path",
    "error",
    "why",
    "has_key",
    "https",
    "https",
    "public",
    "cors_origin",
    "cors_credentials",
    "expires_at",
    "kind",
    "first_token_ms",
    "total_ms",
    "rose",
    "known",
    "tried",
    "code",
    "truncates",
]
CLAIMS = [
    "model_id",
    "revision",
    "artifact_digest",
    "base_model",
    "max_input",
    "unit",
    "scheme",
    "phase",
    "p50_ms",
    "p95_ms",
    "phases",
    "metric_names",
    "metric_name",
    "dashboard_url",
    "inputs",
    "outputs",
    "max_concurrency",
    "max_batched_tokens",
    "context_tokens",
]


@given(st.dictionaries(st.sampled_from(FIELDS), wild), st.dictionaries(st.sampled_from(CLAIMS), wild))
def test_no_claim_and_no_observation_makes_a_judge_raise(observation: dict[str, Any], claims: dict[str, Any]) -> None:
    for probe in PROBES.values():
        for item in probe.speaks_to(observation):
            judgement = probe.judge(item, claims, observation)
            assert judgement.verdict in ("verified", "contradicted", "inconclusive")
            assert isinstance(judgement.reason, str)


@pytest.mark.parametrize(
    "answer",
    [
        [],
        [1, 2],
        "text",
        None,
        {"data": {}},
        {"data": [1, None, "x", []]},
        {"data": [{"id": 5, "meta": [], "max_model_len": "many"}]},
        {"data": [{"id": ["a"]}]},
        {"models": "x"},
        {"error": {"message": "no"}},
        b"",
        b"\n",
        b"{",
        b"[" * 5000,
    ],
)
@pytest.mark.parametrize("stack", ["auto", "ollama", "tgi", "llamacpp", "litellm", "sglang", "comfyui", "kserve"])
def test_strange_answers_never_make_a_probe_raise(answer: Any, stack: str) -> None:
    with serving(lambda request: request.reply(200, answer)) as server:
        for key in ("endpoint.health", "model.identity", "model.limits", "metrics.present"):
            observation = observe(key, server, stack=stack)
            for item in PROBES[key].speaks_to(observation):
                judgement = judge(key, item, {"model_id": MODEL, "max_input": 5, "unit": "tokens"}, observation)
                assert judgement.verdict in ("verified", "inconclusive", "contradicted")


def test_every_probe_declares_what_it_sends_and_whether_it_generates() -> None:
    assert all(probe.sends and probe.title and (probe.items or probe.about_endpoint) for probe in PROBES.values())
    assert all(probe.generates for probe in PROBES.values() if probe.bursts)
