"""Model hub and image registry. The servers answer as the real ones were read to answer, on loopback."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from checklists.evidence.probes import PROBES, Judgement, Target
from checklists.evidence.stacks import STACKS
from tests.evidence.loopback import Handler, Request, Server, observe, routes, serving

NAME, LINEAGE = "identity.name-version", "identity.lineage"
HUB, REGISTRY = PROBES["hub.revision"], PROBES["registry.digest"]
SHA = "0e9e39f249a16976918f6564b8830bc894c89659"
MODEL = "meta-llama/Llama-3.1-8B-Instruct"
# huggingface.co, /api/models/{id}/revision/{rev}, November 2026, shortened to the fields that are read.
PAGE: dict[str, Any] = {
    "id": MODEL,
    "sha": SHA,
    "gated": "manual",
    "pipeline_tag": "text-generation",
    "cardData": {"base_model": ["meta-llama/Meta-Llama-3.1-8B"], "base_model_relation": "finetune"},
    "safetensors": {"parameters": {"BF16": 8030261248}, "total": 8030261248},
}
MISSING = {"error": "Invalid rev id: nowhere"}


def hub(page: Mapping[str, Any] = PAGE, *, known: tuple[str, ...] = (SHA, "main", "v1")) -> Handler:
    """A hub with one public model at some revisions; everything else is 401, as there for what is not public."""

    def answer(request: Request) -> None:
        path = request.path
        if path == f"/api/models/{MODEL}":
            return request.reply(200, page)
        if path.startswith(f"/api/models/{MODEL}/revision/"):
            there = path.rpartition("/")[2] in known
            return request.reply(*((200, page) if there else (404, MISSING)))
        return request.reply(401, {"error": "Invalid username or password."})

    return answer


def asked_hub(
    claims: Mapping[str, Any],
    item: str = NAME,
    *,
    handler: Handler | None = None,
    lineage: Mapping[str, Any] | None = None,
    now: Mapping[str, Any] | None = None,
) -> tuple[Judgement, Server]:
    with serving(handler or hub()) as server:
        every = {NAME: claims, LINEAGE: lineage or {}}
        observation, _ = observe(HUB.key, Target(name="", url="", claims=every, facts={"hub_url": f"{server.url}/"}))
    said = now if now is not None else every[item]
    return HUB.judge(item, said, observation, {NAME: claims}), server


@pytest.mark.parametrize(
    ("claims", "verdict", "words"),
    [
        ({"model_id": MODEL, "revision": SHA}, "inconclusive", "what runs only the server can tell"),
        ({"model_id": MODEL, "revision": SHA[:8]}, "inconclusive", "It is gated"),
        (
            {"model_id": f"https://huggingface.co/{MODEL}", "revision": SHA},
            "inconclusive",
            f"this revision of {MODEL};",
        ),
        ({"model_id": MODEL, "revision": "f" * 40}, "contradicted", f"no revision {'f' * 40}"),
        ({"model_id": MODEL, "revision": "v9"}, "inconclusive", "a mark of another place"),
        ({"model_id": MODEL, "revision": "abcdef1"}, "inconclusive", "Claim all 40 digits."),
        ({"model_id": MODEL, "revision": "main"}, "inconclusive", "a name that can move"),
        ({"model_id": MODEL}, "inconclusive", "no revision is claimed"),
        ({"model_id": "secret/model", "revision": SHA}, "inconclusive", "not there, or not public"),
        ({"model_id": "assist chat", "revision": SHA}, "inconclusive", "no name that a model hub could have"),
        ({"model_id": "../../etc", "revision": SHA}, "inconclusive", "no name that a model hub could have"),
        ({"model_id": MODEL, "revision": "../../../gone"}, "inconclusive", "it leads to"),
        ({}, "inconclusive", "No model id is claimed."),
    ],
)
def test_a_claimed_revision_exists_or_does_not(claims: dict[str, Any], verdict: str, words: str) -> None:
    found, server = asked_hub(claims)
    assert (found.verdict, words in found.reason) == (verdict, True), found.reason
    assert all(line.startswith("GET /api/models/") and ".." not in line for line in server.asked())
    assert all("authorization" not in request.headers for request in server.seen)


def test_a_mirror_that_answers_another_commit_than_the_one_asked_for_says_nothing_of_it() -> None:
    found, _ = asked_hub({"model_id": MODEL, "revision": "e" * 40}, handler=hub(known=("e" * 40,)))
    assert (found.verdict, SHA in found.reason) == ("inconclusive", True)


@pytest.mark.parametrize(
    ("base", "verdict"),
    [
        ("meta-llama/Meta-Llama-3.1-8B", "verified"),
        ("Meta Llama 3.1 8B, revision 48d6d0f", "verified"),
        ("Meta-Llama-3.1-8B", "verified"),
        ("meta-llama/Llama-3.1-8B", "inconclusive"),  # its name before, or after, it was renamed
        ("meta-llama/Meta-Llama-3.1-8B-Instruct", "inconclusive"),
        ("Meta Llama 3.1 8B Instruct", "inconclusive"),
        ("unsloth/Meta-Llama-3.1-8B", "inconclusive"),
        ("mistralai/Mistral-7B-v0.1", "inconclusive"),  # may be further back
        ("Llama, fine-tuned/merged", "inconclusive"),
        ("our own pre-training", "inconclusive"),
        ("", "inconclusive"),
    ],
)
def test_the_card_verifies_the_base_model_that_it_names_and_contradicts_none(base: str, verdict: str) -> None:
    found, _ = asked_hub({"model_id": MODEL, "revision": SHA}, LINEAGE, lineage={"base_model": base})
    assert found.verdict == verdict, found.reason


def test_a_card_without_a_base_model_says_nothing() -> None:
    bare = {key: value for key, value in PAGE.items() if key != "cardData"}
    claims = {"model_id": MODEL, "revision": SHA}
    found, _ = asked_hub(claims, LINEAGE, handler=hub(bare), lineage={"base_model": "x/y"})
    assert (found.verdict, "names no base model" in found.reason) == ("inconclusive", True)


def test_a_claim_that_changed_meanwhile_is_asked_again() -> None:
    claims = {"model_id": MODEL, "revision": SHA}
    found, _ = asked_hub(claims, now={**claims, "revision": "f" * 40})
    assert "The claim changed" in found.reason


@pytest.mark.parametrize("status", [429, 500])
def test_a_hub_that_fails_says_nothing(status: int) -> None:
    found, _ = asked_hub({"model_id": MODEL, "revision": SHA}, handler=lambda request: request.reply(status, b""))
    assert (found.verdict, str(status) in found.reason) == ("inconclusive", True)


@pytest.mark.parametrize("body", [b"[]", b"null", b'{"sha": 7, "cardData": [], "safetensors": "x"}', b"<html>"])
def test_a_hub_that_talks_nonsense_says_nothing(body: bytes) -> None:
    found, _ = asked_hub({"model_id": MODEL, "revision": SHA}, handler=lambda request: request.reply(200, body))
    assert found.verdict == "inconclusive"


# The registry. Media types, headers and errors as in the OCI distribution specification 1.1.

DIGEST, OTHER, CHILD = (f"sha256:{digit * 64}" for digit in "abc")
INDEX = "application/vnd.oci.image.index.v1+json"


def registry(tags: Mapping[str, str], digests: tuple[str, ...] = (DIGEST, OTHER), *, token: str = "") -> Handler:
    """A registry with the image ``team/assist``; with ``token`` behind one that its own server gives to everybody."""

    def answer(request: Request) -> None:
        path = request.path.partition("?")[0]
        if path == "/token":
            return request.reply(200, {"token": token})
        if token and request.headers.get("authorization") != f"Bearer {token}":
            realm = f"http://{request.headers['host']}/token"
            challenge = f'Bearer realm="{realm}",service="registry",scope="repository:team/assist:pull"'
            return request.reply(401, {"errors": [{"code": "UNAUTHORIZED"}]}, {"WWW-Authenticate": challenge})
        reference = path.removeprefix("/v2/team/assist/manifests/")
        digest = tags.get(reference, reference if reference in digests else "")
        if not digest:
            return request.reply(404, {"errors": [{"code": "MANIFEST_UNKNOWN"}]})
        body = {"schemaVersion": 2, "manifests": [{"digest": CHILD, "platform": {"os": "linux"}}]}
        return request.reply(200, body, {"Content-Type": INDEX, "Docker-Content-Digest": digest})

    return answer


def asked_registry(claims: Mapping[str, Any], handler: Handler, *, now: Any = None) -> tuple[Judgement, Server]:
    with serving(handler) as server:
        target = Target(name="", url="", claims={NAME: claims}, facts={"oci_url": server.url})
        observation, _ = observe(REGISTRY.key, target)
    return REGISTRY.judge(NAME, now or claims, observation), server


CLAIMS = {"model_id": "team/assist", "version": "4.2", "artifact_digest": DIGEST}


@pytest.mark.parametrize(
    ("claims", "tags", "verdict", "words"),
    [
        (CLAIMS, {"4.2": DIGEST}, "inconclusive", "and its tag 4.2 leads to it"),
        (CLAIMS, {"v4.2": DIGEST}, "inconclusive", "and its tag v4.2 leads to it"),
        ({**CLAIMS, "artifact_digest": "A" * 64}, {"4.2": DIGEST}, "inconclusive", "its tag 4.2 leads to it"),
        ({**CLAIMS, "artifact_digest": f"team/assist@{DIGEST}"}, {"4.2": DIGEST}, "inconclusive", "4.2 leads to it"),
        (CLAIMS, {}, "inconclusive", "with this digest; whether it is what runs only the server can tell."),
        ({**CLAIMS, "artifact_digest": CHILD}, {"4.2": DIGEST}, "inconclusive", "its tag 4.2 leads to it"),
        (CLAIMS, {"4.2": OTHER}, "inconclusive", "which is there too; a tag can move"),
        ({**CLAIMS, "artifact_digest": f"sha256:{'e' * 64}"}, {"4.2": OTHER}, "inconclusive", "may be of the weights"),
        ({**CLAIMS, "artifact_digest": f"sha256:{'d' * 64}"}, {}, "inconclusive", "of something else than an image"),
        ({**CLAIMS, "artifact_digest": ""}, {}, "inconclusive", "No digest"),
        ({**CLAIMS, "artifact_digest": "sha512:00"}, {}, "inconclusive", "No digest"),
        ({**CLAIMS, "model_id": "Assist Chat"}, {}, "inconclusive", "no name that a registry could have"),
        ({**CLAIMS, "model_id": "team/../x"}, {}, "inconclusive", "no name that a registry could have"),
    ],
)
def test_where_a_claimed_digest_and_a_tag_lead_is_told_and_settles_nothing(
    claims: dict[str, Any], tags: dict[str, str], verdict: str, words: str
) -> None:
    found, server = asked_registry(claims, registry(tags))
    assert (found.verdict, words in found.reason) == (verdict, True), found.reason
    assert all(INDEX in request.headers["accept"] for request in server.seen)


def test_the_image_of_one_platform_in_an_index_is_the_claimed_one() -> None:
    found, _ = asked_registry({**CLAIMS, "artifact_digest": CHILD}, registry({"4.2": DIGEST}, (DIGEST, CHILD)))
    assert (found.verdict, "its tag 4.2 leads to it" in found.reason) == ("inconclusive", True)


@pytest.mark.parametrize("probe", [HUB, REGISTRY])
def test_what_is_published_does_not_settle_what_runs(probe: Any) -> None:
    for stack in STACKS.values():
        assert "only the server can tell" in probe.settles(NAME, stack)
    assert "contradicts none" in HUB.settles(LINEAGE, STACKS["vllm"])


def test_a_token_that_is_given_to_everybody_is_fetched_and_never_stored() -> None:
    with serving(registry({"4.2": DIGEST}, token="everybody-may-have-this")) as server:
        target = Target(name="", url="", claims={NAME: CLAIMS}, facts={"oci_url": server.url})
        observation, visit = observe(REGISTRY.key, target)
        stored = [str(visit.clean_exchanges()), str(observation), str(visit.take_log())]
    assert "with this digest, and its tag 4.2" in REGISTRY.judge(NAME, CLAIMS, observation).reason
    assert "GET /token?service=registry&scope=repository%3Ateam%2Fassist%3Apull" in server.asked()
    assert any(request.headers.get("authorization") == "Bearer everybody-may-have-this" for request in server.seen)
    assert not any("everybody-may-have-this" in text for text in stored)
    assert DIGEST in stored[1]
    assert "MANIFEST" in stored[0] or CHILD in stored[0]  # the manifests are kept


def test_a_registry_that_lets_nobody_in_or_fails_says_nothing() -> None:
    for status in (401, 403, 500):
        found, _ = asked_registry(CLAIMS, lambda request, status=status: request.reply(status, b""))  # type: ignore[misc]
        assert found.verdict == "inconclusive"
    found, _ = asked_registry(CLAIMS, registry({}), now={**CLAIMS, "version": "5.0"})
    assert "The claim changed" in found.reason


@pytest.mark.parametrize("probe", [HUB, REGISTRY])
def test_without_a_configured_address_nobody_is_asked_and_nothing_is_said(probe: Any) -> None:
    with serving(routes({})) as server:
        observation, visit = observe(probe.key, Target(name="", url="", claims={NAME: CLAIMS}))
        assert server.asked() == []
    assert visit.take_log() == []
    assert probe.speaks_to(observation) == ()
    assert probe.judge(NAME, CLAIMS, observation).verdict == "inconclusive"
