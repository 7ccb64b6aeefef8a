from __future__ import annotations

from typing import Any

import pytest

from checklists.evidence.probes import PROBES, Judgement
from tests.evidence.known_servers import (
    LITELLM,
    LLAMACPP,
    MODEL,
    OLLAMA,
    SGLANG,
    TGI,
    VLLM,
    judge,
    observe,
)
from tests.evidence.loopback import routes, serving


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
        ("meta-llama/Meta-Llama-3.1-8B-Instruct", "RedHatAI/Llama-3.1-8B-Instruct-FP8", "inconclusive"),
        ("meta-llama/Meta-Llama-3.1-8B-Instruct", "meta-llama/Llama-3.1-8B-Instruct", "inconclusive"),  # renamed
        ("meta-llama/Meta-Llama-3.1-8B-Instruct", "meta-llama/Llama-3.1-70B-Instruct", "contradicted"),
        ("meta-llama/Meta-Llama-3.1-8B-Instruct", "TheBloke/Mistral-7B-Instruct-v0.2-GPTQ", "contradicted"),
        ("https://huggingface.co/Qwen/Qwen3-8B/tree/main", "Qwen/Qwen3-8B", "verified"),
        ("https://huggingface.co/Qwen/Qwen3-8B", "Qwen/Qwen3-4B", "contradicted"),
        ("https://huggingface.co/Qwen/Qwen3-8B.", "Qwen/Qwen3-8B", "verified"),
        ("https://huggingface.co/collections/Qwen/qwen3", "Qwen/Qwen3-8B", "inconclusive"),
        ("https://huggingface.co/papers/2407.21783", "Qwen/Qwen3-8B", "inconclusive"),
        ("Qwen3-8B", "Qwen/Qwen3-8B", "inconclusive"),  # no word of whose
        ("Our support assistant", "Qwen/Qwen3-8B", "inconclusive"),
        ("Qwen/Qwen3-8B", "/models/Qwen3-8B", "inconclusive"),
        ("Qwen/Qwen3-8B", "support-ft/checkpoint-500", "inconclusive"),  # folders of a training run
        ("Qwen/Qwen3-8B", "checkpoint-500/merged", "inconclusive"),
        ("Qwen/Qwen3-8B", "support-ft/final", "inconclusive"),
        ("Qwen/Qwen3-8B", "/models/Qwen/Qwen3-8B", "inconclusive"),
        ("Qwen/Qwen3-8B", "models/Qwen3-8B", "inconclusive"),
        ("Qwen/Qwen3-8B", "models/assistant", "inconclusive"),
        ("Qwen/Qwen3-8B", "local_models/assistant", "inconclusive"),
        ("Qwen/Qwen3-8B", "finetuned/assistant", "inconclusive"),
        ("Qwen/Qwen3-8B", "Qwen3-8B-Q4_K_M.gguf", "inconclusive"),
        ("Qwen/Qwen3-8B", "/data/huggingface/hub/models--Qwen--Qwen3-8B/snapshots/" + "a" * 40, "verified"),
        ("Qwen/Qwen3-8B", "/data/huggingface/hub/models--google--gemma-3/snapshots/" + "a" * 40, "contradicted"),
    ],
)
def test_only_repositories_tell_which_model_runs(claimed: str, root: str, expected: str) -> None:
    judgement = name(alone(root), model_id=claimed)
    assert judgement.verdict == expected, judgement
    assert judgement.rule


def test_what_is_told_and_decides_nothing_is_not_said_to_be_untold() -> None:
    copied = name(alone("mirror/Qwen3-8B"), model_id="Qwen/Qwen3-8B")
    assert "may be a copy of the claimed one, or its new name" in copied.reason
    assert "Claim it whole" in name(alone("Qwen/Qwen3-8B"), model_id="Qwen3-8B").reason


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
    for mark in ("20250115", "5f0c7a1b9d3e4c2a8b6f0d1e2c3a4b5d"):  # a date, and a run's own mark: no commits
        assert name(TGI, model_id=MODEL, revision=mark).verdict == "inconclusive"
    by_name = name(TGI, model_id=MODEL, revision="main")
    assert by_name.verdict == "verified"
    assert "revision is not served" in by_name.reason


def test_a_digest_is_compared_where_the_server_gives_one() -> None:
    digest = OLLAMA["/api/tags"]["models"][0]["digest"]  # type: ignore[index]
    assert name(OLLAMA, model_id="llama3.1", artifact_digest=f"sha256:{digest}").verdict == "verified"
    assert name(OLLAMA, model_id="llama3.1", artifact_digest=f"house/tickets@sha256:{digest}").verdict == "verified"
    two = {**OLLAMA, "/api/tags": {"models": [{"name": "a", "digest": "0" * 64}, {"name": "b", "digest": digest}]}}
    found = name(two, model_id=MODEL, artifact_digest=digest)
    assert (found.verdict, found.observed) == ("verified", "b")
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
    assert lineage(f"{MODEL} (Meta, July 2024)", served, "support").verdict == "verified"
    assert lineage(f"{MODEL}, tuned on our tickets", served, "support").verdict == "verified"
    assert lineage(f"{MODEL}, other/model", served, "support").verdict == "inconclusive"
    assert lineage(f"{MODEL}; merged with other/model", served, "support").verdict == "inconclusive"
    assert lineage("other/model (Meta, July 2024)", served, "support").verdict == "inconclusive"
    # Adapters are served on a quantised repack of what they were trained on, or on what was tuned further.
    assert lineage("meta-llama/Llama-3.1-8B", served, "support").verdict == "inconclusive"
    assert lineage("meta-llama/Llama-3.1-70B", served, "support").verdict == "contradicted"
    assert lineage("Llama 3.1, tuned", served, "support").verdict == "inconclusive"
    assert probe.judge("identity.lineage", {}, served).verdict == "inconclusive"
