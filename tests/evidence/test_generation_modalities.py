"""Which inputs and outputs are accepted, one tiny request each."""

from __future__ import annotations

from typing import Any

import pytest

from tests.evidence.generating import MODELS, Generator, completion, error, judge, look
from tests.evidence.loopback import Request, routes

PROBE, ITEM = "generation.modalities", "identity.modalities"


def claim(inputs: list[str], outputs: list[str]) -> dict[str, Any]:
    return {"inputs": inputs, "outputs": outputs}


def parts_of(payload: dict[str, Any]) -> set[str]:
    content = payload["messages"][0]["content"]
    return {part["type"] for part in content} if isinstance(content, list) else {"plain"}


def tried(claims: dict[str, Any], answer: Any = None, **target: Any) -> tuple[Any, Generator]:
    generator = Generator(answer=answer)
    options = {"family": "multimodal", "claims": {ITEM: claims}, **target}
    observation, _ = look(PROBE, generator.handler(), **options)
    return judge(PROBE, ITEM, claims, observation), generator


def test_text_in_and_out_is_verified_by_one_request() -> None:
    judgement, generator = tried(claim(["text"], ["text"]), family="llm")
    assert (judgement.verdict, judgement.observed) == ("verified", "text in, text out")
    assert len(generator.bodies) == 1


def test_a_picture_that_adds_to_the_prompt_is_accepted() -> None:
    def answer(payload: dict[str, Any]) -> Any:
        return completion(usage={"prompt_tokens": 80 if "image_url" in parts_of(payload) else 12})

    judgement, generator = tried(claim(["text", "image"], ["text"]), answer)
    assert judgement.verdict == "verified"
    assert [parts_of(body) for body in generator.bodies] == [{"plain"}, {"text"}, {"text", "image_url"}]


def test_a_picture_that_is_thrown_away_is_not_accepted() -> None:
    judgement, _ = tried(claim(["text", "image"], ["text"]), lambda payload: completion())
    assert judgement.verdict == "inconclusive"
    assert "thrown away" in judgement.reason


@pytest.mark.parametrize(
    "said", ["tiny is not a multimodal model", "At most 0 image(s) may be provided", "image input is not supported"]
)
def test_a_picture_refused_in_words_contradicts_a_claimed_picture(said: str) -> None:
    class Textual(Generator):
        def chat(self, request: Request) -> None:
            if "image_url" in parts_of(request.json()):
                return error(request, 400, said)
            return super().chat(request)

    claims = claim(["text", "image"], ["text"])
    observation, _ = look(PROBE, Textual().handler(), family="multimodal", claims={ITEM: claims})
    judgement = judge(PROBE, ITEM, claims, observation)
    assert judgement.verdict == "contradicted"
    assert said in judgement.reason
    # The text alone stays right.
    assert judge(PROBE, ITEM, claim(["text"], ["text"]), observation).verdict == "verified"


def test_without_a_count_of_tokens_a_picture_may_have_been_thrown_away() -> None:
    judgement, _ = tried(claim(["text", "image"], ["text"]), lambda payload: completion(usage=None))
    assert (judgement.verdict, "may have been thrown away" in judgement.reason) == ("inconclusive", True)


@pytest.mark.parametrize(
    ("output", "path", "said"),
    [
        ("audio", "/v1/audio/speech", "Voice alloy is not supported"),
        ("image", "/v1/images/generations", "Size 256x256 is not supported by this model"),
        ("embedding", "/v1/embeddings", "The parameter encoding is unsupported"),
    ],
)
def test_an_option_that_is_refused_is_no_refusal_of_the_modality(output: str, path: str, said: str) -> None:
    claims = claim(["text"], [output])
    table = {"/v1/models": MODELS, f"POST {path}": lambda request: error(request, 400, said)}
    observation, _ = look(PROBE, routes(table), family="llm", claims={ITEM: claims})
    assert judge(PROBE, ITEM, claims, observation).verdict == "inconclusive"


@pytest.mark.parametrize(
    ("status", "said"),
    [
        (400, "bad things"),
        (500, "not supported"),
        (401, "not supported"),
        (429, "slow"),
        # Of this picture, or of how it came, and not of pictures.
        (400, "Data URLs are not supported, give an address of the image"),
        (400, "Images of 1 bit are not supported"),
        (422, "An image width of 64 is not supported"),
    ],
)
def test_a_picture_refused_for_an_unknown_reason_stays_open(status: int, said: str) -> None:
    class Grumpy(Generator):
        def chat(self, request: Request) -> None:
            if "image_url" in parts_of(request.json()):
                return error(request, status, said)
            return super().chat(request)

    claims = claim(["text", "image"], ["text"])
    observation, _ = look(PROBE, Grumpy().handler(), family="multimodal", claims={ITEM: claims})
    assert judge(PROBE, ITEM, claims, observation).verdict == "inconclusive"


def test_content_in_parts_that_is_refused_anyhow_says_nothing_of_pictures() -> None:
    class Plain(Generator):
        def chat(self, request: Request) -> None:
            if "plain" not in parts_of(request.json()):
                return error(request, 422, "Input should be a valid string")
            return super().chat(request)

    claims = claim(["text", "image"], ["text"])
    observation, _ = look(PROBE, Plain().handler(), family="multimodal", claims={ITEM: claims})
    assert judge(PROBE, ITEM, claims, observation).verdict == "inconclusive"


ROUTES: dict[str, Any] = {
    "POST /v1/embeddings": {"data": [{"embedding": [0.1]}]},
    "POST /rerank": {"results": [{"index": 0, "relevance_score": 0.9}]},
    "POST /v1/images/generations": {"data": [{"url": "http://x/y.png"}]},
    "POST /v1/audio/transcriptions": {"text": ""},
    "POST /v1/audio/speech": lambda request: request.reply(200, b"RIFF", {"Content-Type": "audio/wav"}),
}


@pytest.mark.parametrize(
    ("family", "inputs", "outputs"),
    [
        ("embedding", ["text"], ["embedding"]),
        ("embedding", ["text"], ["embedding", "score"]),
        ("diffusion", ["text"], ["image"]),
        ("audio", ["audio"], ["text"]),
        ("audio", ["text", "audio"], ["audio", "text"]),
    ],
)
def test_each_kind_of_output_has_its_route(family: str, inputs: list[str], outputs: list[str]) -> None:
    claims = claim(inputs, outputs)
    observation, _ = look(PROBE, routes({"/v1/models": MODELS, **ROUTES}), family=family, claims={ITEM: claims})
    judgement = judge(PROBE, ITEM, claims, observation)
    assert judgement.verdict == "verified", judgement.reason


def test_a_route_that_does_not_exist_may_be_called_otherwise() -> None:
    claims = claim(["text"], ["embedding"])
    observation, _ = look(PROBE, routes({"/v1/models": MODELS}), family="embedding", claims={ITEM: claims})
    judgement = judge(PROBE, ITEM, claims, observation)
    assert judgement.verdict == "inconclusive"
    assert "there is no /v1/embeddings (404)" in judgement.reason


def test_an_output_refused_in_words_is_contradicted() -> None:
    table = {"POST /v1/embeddings": lambda request: error(request, 400, "The model does not support Embeddings API")}
    claims = claim(["text"], ["embedding"])
    observation, _ = look(PROBE, routes({"/v1/models": MODELS, **table}), family="embedding", claims={ITEM: claims})
    assert judge(PROBE, ITEM, claims, observation).verdict == "contradicted"


def test_an_option_that_is_not_known_is_no_refusal_of_the_picture() -> None:
    def picture(request: Request) -> None:
        if "response_format" in request.json():
            return error(request, 400, "Setting `response_format` is not supported by this model")
        return request.reply(200, {"data": [{"b64_json": "aGVsbG8="}]})

    claims = claim(["text"], ["image"])
    table = {"/v1/models": MODELS, "POST /v1/images/generations": picture}
    observation, _ = look(PROBE, routes(table), family="diffusion", claims={ITEM: claims})
    assert judge(PROBE, ITEM, claims, observation).verdict == "verified"


@pytest.mark.parametrize(
    ("vector", "verdict"),
    [([0.1, 0.2], "verified"), ("zczMPc3MTD4=", "verified"), ("Ready for launch.", "inconclusive")],
)
def test_an_embedding_holds_numbers_and_no_text(vector: Any, verdict: str) -> None:
    claims = claim(["text"], ["embedding"])
    table = {"/v1/models": MODELS, "POST /v1/embeddings": {"data": [{"embedding": vector}]}}
    observation, _ = look(PROBE, routes(table), family="llm", claims={ITEM: claims})
    judgement = judge(PROBE, ITEM, claims, observation)
    assert judgement.verdict == verdict
    assert ("200, but with no embedding" in judgement.reason) == (verdict != "verified")


def test_a_model_that_was_not_made_for_embeddings_says_so_in_an_error_of_its_own() -> None:
    def refuse(request: Request) -> None:
        error(request, 500, "Llama model must be created with embedding=True to call this method")

    claims = claim(["text"], ["embedding"])
    table = {"/v1/models": MODELS, "POST /v1/embeddings": refuse}
    observation, _ = look(PROBE, routes(table), family="embedding", claims={ITEM: claims})
    judgement = judge(PROBE, ITEM, claims, observation)
    assert judgement.verdict == "contradicted"
    assert judgement.reason.startswith("Refused: embedding out: 500")


def test_what_was_not_tried_stays_open_also_when_the_claim_is_changed_later() -> None:
    judgement, generator = tried(claim(["text", "video"], ["text", "structured"]))
    assert "video in: not tried" in judgement.reason
    assert "structured out: not tried" in judgement.reason
    assert len(generator.bodies) == 1
    observation, _ = look(PROBE, Generator().handler(), claims={ITEM: claim(["text"], ["text"])})
    assert judge(PROBE, ITEM, claim(["text"], ["audio"]), observation).verdict == "inconclusive"


def test_tensors_may_stand_for_anything() -> None:
    model = {
        "inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 2]}],
        "outputs": [{"name": "y", "datatype": "FP32"}],
    }
    table = {"/v2/models/m": model, "POST /v2/models/m/infer": {"outputs": [{"name": "y"}]}}
    observation, _ = look(PROBE, routes(table), stack="kserve", model_hint="m", family="vision")
    assert judge(PROBE, ITEM, claim(["image"], ["structured"]), observation).verdict == "inconclusive"


def test_nothing_claimed_is_told_and_a_dead_server_is_inconclusive() -> None:
    observation, _ = look(PROBE, Generator().handler(), family="llm")
    assert "text in, text out" in judge(PROBE, ITEM, {}, observation).reason
    observation, _ = look(PROBE, lambda request: request.raw.connection.close(), model_hint="m")
    assert judge(PROBE, ITEM, claim(["text"], ["text"]), observation).verdict == "inconclusive"


@pytest.mark.parametrize(
    ("status", "said", "verdict"),
    [
        (400, "This model does not appear to be an embedding model by default.", "contradicted"),  # SGLang
        (404, "Model 'tiny' is not supported. If you think this is a mistake, …", "contradicted"),  # Speaches
        (404, "The requested version of the API is not supported", "inconclusive"),  # of the route, not of the model
        (424, "model is not a re-ranker model", "contradicted"),  # TEI
        (424, "model crashed", "inconclusive"),
        (500, "image input is not supported - hint: you may need to provide the mmproj", "contradicted"),  # llama.cpp
        (500, "something is not supported", "inconclusive"),
    ],
)
def test_a_refusal_counts_by_what_it_says_and_not_by_its_status_alone(status: int, said: str, verdict: str) -> None:
    claims = claim(["text"], ["embedding"])
    table = {"/v1/models": MODELS, "POST /v1/embeddings": lambda request: error(request, status, said)}
    observation, _ = look(PROBE, routes(table), family="embedding", claims={ITEM: claims})
    assert judge(PROBE, ITEM, claims, observation).verdict == verdict


def adds_to_the_prompt(payload: dict[str, Any]) -> Any:
    return completion(usage={"prompt_tokens": 80 if "image_url" in parts_of(payload) else 12})


@pytest.mark.parametrize(
    ("tag", "verdict"),
    [("text-generation", "contradicted"), ("image-text-to-text", "verified"), (None, "inconclusive")],
)
def test_a_picture_written_into_the_prompt_is_taken_only_by_a_model_that_sees(tag: str | None, verdict: str) -> None:
    """As TGI does: every picture adds to the prompt, and /info says what the model is made for."""
    claims = claim(["text", "image"], ["text"])
    generator = Generator(answer=adds_to_the_prompt)
    table = {**generator.table(), "/info": {"model_id": "tiny", "model_pipeline_tag": tag}}
    observation, _ = look(PROBE, routes(table), stack="tgi", family="multimodal", claims={ITEM: claims})
    judgement = judge(PROBE, ITEM, claims, observation)
    assert judgement.verdict == verdict, judgement.reason


@pytest.mark.parametrize(("name", "verdict"), [("tiny", "contradicted"), ("llava", "verified")])
def test_of_several_models_what_the_asked_one_takes_counts(name: str, verdict: str) -> None:
    """As Ollama does: a tag in the prompt stands for the picture, and /api/show lists what a model is capable of."""
    able = {"tiny": ["completion"], "llava": ["completion", "vision"]}

    def show(request: Request) -> None:
        request.reply(200, {"capabilities": able[request.json()["model"]]})

    claims = claim(["text", "image"], ["text"])
    tags = {"models": [{"name": each, "digest": "0" * 64} for each in able]}
    generator = Generator(answer=adds_to_the_prompt)
    handler = routes({**generator.table(), "/api/tags": tags, "POST /api/show": show})
    observation, _ = look(PROBE, handler, stack="ollama", family="multimodal", model_hint=name, claims={ITEM: claims})
    judgement = judge(PROBE, ITEM, claims, observation)
    assert judgement.verdict == verdict, judgement.reason


@pytest.mark.parametrize(
    ("hint", "roots", "verdict"),
    [
        ("house/chat", ("a/nomic-embed", "b/chat"), "inconclusive"),  # it may be either
        ("chat-alias", ("a/nomic-embed", "b/chat"), "verified"),
        ("house/chat-alias", ("a/nomic-embed", "b/chat"), "verified"),  # served under its name without the owner
        ("house/chat", ("b/chat", "b/chat"), "verified"),  # one model under two names
        ("", ("b/chat", "a/nomic-embed"), "verified"),
    ],
)
def test_no_model_is_asked_in_the_place_of_the_claimed_one(hint: str, roots: Any, verdict: str) -> None:
    def answer(payload: dict[str, Any]) -> Any:
        return completion() if chats[payload["model"]] else 400

    names = ("first", "chat-alias")
    chats = {name: root == "b/chat" for name, root in zip(names, roots, strict=True)}
    rows = [{"id": name, "root": root, "owned_by": "vllm"} for name, root in zip(names, roots, strict=True)]
    generator, claims = Generator(answer=answer), claim(["text"], ["text"])
    handler = routes({**generator.table(), "/v1/models": {"data": rows}})
    observation, _ = look(PROBE, handler, model_hint=hint, claims={ITEM: claims})
    judgement = judge(PROBE, ITEM, claims, observation)
    assert judgement.verdict == verdict, judgement
    assert verdict == "verified" or "none of the 2 models that are served is called house/chat" in judgement.reason
