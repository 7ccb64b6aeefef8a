"""Is it the same model as at sign-off? The pure comparison, and the probe at servers that change."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from checklists.evidence.probes import PROBES
from checklists.evidence.probes.generation import fingerprint
from checklists.evidence.probes.generation.fingerprint import (
    PROMPTS,
    compare,
    digest_of,
    entry_of_text,
    entry_of_vector,
)
from tests.evidence.generating import MODELS, Generator, error, judge, look
from tests.evidence.loopback import Request, routes

PROBE, ITEM = "model.fingerprint", "identity.name-version"
CLAIM = {"model_id": "tiny", "version": "1.0"}


class Model:
    """A made-up model: what it says depends on its weights; noise moves its log probabilities, and near ties."""

    def __init__(
        self, weights: int = 1, *, system: int = 0, noise: float = 0.0, moved: float = 0.0, wrong: int = 0
    ) -> None:
        self.weights, self.system, self.noise, self.moved, self.wrong = weights, system, noise, moved, wrong
        self.chance = random.Random(5)
        self.logprobs = True
        self.asked = 0

    def __call__(self, payload: dict[str, Any]) -> Any:
        text = payload["messages"][-1]["content"]
        if payload.get("logprobs") and not self.logprobs:
            return 400
        self.asked += 1
        place = list(PROMPTS.values()).index(text)
        source = random.Random(f"{99 if place < self.wrong else self.weights} {text}")
        tokens = [f" {source.choice('abcdefgh')}{n}" for n in range(payload["max_tokens"])]
        rows = [
            {"token": t, "logprob": -source.random() - self.moved - self.noise * self.chance.random()} for t in tokens
        ]
        choice: dict[str, Any] = {"message": {"role": "assistant", "content": "".join(tokens)}}
        if payload.get("logprobs"):
            choice["logprobs"] = {"content": rows}
        usage = {"prompt_tokens": len(text.split()) + self.system, "completion_tokens": len(tokens)}
        return {"choices": [choice], "usage": usage}


def take(model: Model, **facts: Any) -> dict[str, Any]:
    observation, _ = look(PROBE, Generator(answer=model).handler(), facts=facts)
    return observation


def stored(observation: dict[str, Any], endpoint: str = "main") -> dict[str, Any]:
    return {"prompts": observation["prompts"], "endpoint": endpoint, "taken_at": "2026-10-01T12:00:00Z"}


def against(before: Model, now: Model) -> Any:
    return judge(PROBE, ITEM, CLAIM, take(now, fingerprint=stored(take(before))))


def test_the_same_model_is_verified() -> None:
    judgement = against(Model(), Model())
    assert judgement.verdict == "verified", judgement.reason
    assert "since 2026-10-01" in judgement.reason
    assert "100% of the answers agree" in judgement.reason


def test_the_same_answers_verify_nothing_that_nobody_claims() -> None:
    observation = take(Model(), fingerprint=stored(take(Model())))
    judgement = judge(PROBE, ITEM, {}, observation)
    assert (judgement.verdict, "nothing is claimed" in judgement.reason) == ("inconclusive", True)


def test_other_weights_are_contradicted_and_the_prompts_that_differ_are_named() -> None:
    judgement = against(Model(1), Model(2))
    assert judgement.verdict == "contradicted"
    assert all(key in judgement.reason for key in PROMPTS)


def test_another_system_prompt_is_contradicted_also_where_the_answers_are_the_same() -> None:
    judgement = against(Model(), Model(system=31))
    assert judgement.verdict == "contradicted"
    assert "counts 31 tokens more" in judgement.reason
    assert "counts 31 tokens fewer" in against(Model(system=31), Model()).reason


def test_so_few_tokens_more_may_be_the_date_in_a_template() -> None:
    for tokens in (1, -1, 3):
        before, now = (Model(system=10), Model(system=10 + tokens))
        judgement = against(before, now)
        assert judgement.verdict == "inconclusive", judgement
        assert "every prompt counts" in judgement.reason
    assert against(Model(system=10), Model(system=14)).verdict == "contradicted"


def test_answers_out_of_a_cache_tell_nothing_of_the_model_behind_it() -> None:
    class Caching(Model):
        def __call__(self, payload: dict[str, Any]) -> Any:
            return {**super().__call__(payload), "id": f"chatcmpl-{payload['messages'][-1]['content']}"}

    for now in (Caching(), Caching(2)):
        judgement = against(Model(), now)
        assert (judgement.verdict, "a cache stands before the model" in judgement.reason) == ("inconclusive", True)

    class Constant(Model):
        def __call__(self, payload: dict[str, Any]) -> Any:
            return {**super().__call__(payload), "id": "chatcmpl-0"}

    assert against(Model(), Constant()).verdict == "verified"


def test_log_probabilities_that_moved_are_drift_and_far_ones_another_model() -> None:
    drift = against(Model(), Model(moved=0.1))
    assert (drift.verdict, drift.reason.startswith("Drift")) == ("inconclusive", True)
    assert "0.100 nats" in drift.reason
    assert against(Model(), Model(moved=0.7)).verdict == "contradicted"


def test_some_answers_of_eight_that_differ_are_drift() -> None:
    judgement = against(Model(), Model(wrong=2))
    assert judgement.verdict == "inconclusive"
    assert "different: sea, count" in judgement.reason
    assert against(Model(), Model(wrong=6)).verdict == "contradicted"


def test_a_servers_own_noise_is_allowed_for_and_no_more() -> None:
    assert against(Model(noise=0.02), Model(noise=0.02)).verdict == "verified"
    assert against(Model(), Model(moved=0.02)).verdict == "inconclusive"
    assert fingerprint.allowed_gap(0.0) == fingerprint.LEAST_GAP
    assert fingerprint.allowed_gap(9.0) == fingerprint.MOST_GAP


class Flipping(Model):
    """Of its answers, some are at every turn those of other weights: which ones is left to chance."""

    def __init__(self, share: float, seed: int, *, logprobs: bool = True) -> None:
        super().__init__()
        self.share, self.chance, self.logprobs = share, random.Random(seed), logprobs

    def __call__(self, payload: dict[str, Any]) -> Any:
        if payload.get("logprobs") and not self.logprobs:
            return 400
        self.weights = self.chance.choice([2, 3, 4]) if self.chance.random() < self.share else 1
        return super().__call__(payload)


@pytest.mark.parametrize("logprobs", [True, False])
@pytest.mark.parametrize("share", [0.125, 0.25, 0.5, 0.75, 1.0])
def test_a_server_that_contradicts_itself_contradicts_nothing(share: float, logprobs: bool) -> None:
    steady = take(Model() if logprobs else mute())
    for seed in range(3):
        flipping = take(Flipping(share, seed, logprobs=logprobs), fingerprint=stored(steady))
        assert judge(PROBE, ITEM, CLAIM, flipping).verdict != "contradicted", flipping["repeat"]
    assert fingerprint.unsteady(take(Flipping(1.0, 0, logprobs=logprobs))["repeat"])


def test_a_server_that_samples_whatever_the_temperature_is_told_so() -> None:
    for before, now in ((Model(), Flipping(1.0, 5)), (mute(), Flipping(1.0, 5, logprobs=False))):
        judgement = against(before, now)
        assert judgement.verdict == "inconclusive"
        assert "but the server agrees with itself for" in judgement.reason


def mute(weights: int = 1) -> Model:
    model = Model(weights)
    model.logprobs = False
    return model


@pytest.mark.parametrize(("behind", "verdict"), [(0.002, "verified"), (0.1, "inconclusive"), (4.0, "contradicted")])
def test_where_words_part_it_counts_by_how_much_the_other_was_behind(behind: float, verdict: str) -> None:
    """A near tie falls the other way for nothing; what was far behind comes first by other weights only."""

    class Torn(Model):
        first = True

        def __call__(self, payload: dict[str, Any]) -> Any:
            one, other = ("a", "b") if self.first else ("b", "a")
            likely = [{"token": one, "logprob": -0.5}, {"token": other, "logprob": -0.5 - behind}]
            rows = [{**likely[0], "top_logprobs": likely}, {"token": f"{one} so on", "logprob": -3.0 * self.first}]
            said = {"message": {"content": f"{one} so on"}, "logprobs": {"content": rows}}
            return {"choices": [said], "usage": {"prompt_tokens": 9}}

    other = Torn()
    other.first = False
    judgement = against(Torn(), other)
    assert "0% of the answers agree" in judgement.reason
    assert judgement.verdict == verdict, judgement.reason


def test_a_token_that_was_not_even_among_the_likeliest_was_at_least_so_far_behind() -> None:
    row = [("a", -0.1), ("b", -5.0)]
    one, other = ({"sea": entry_of_text(text, [(text, -0.1)], 9, [row])} for text in ("a", "z"))
    found = compare(one, other)
    assert found is not None
    assert found.gap == pytest.approx(2.45)  # 4.9 of one, and 0 of the other, whose likeliest was not its own


def test_a_model_that_says_nothing_has_no_fingerprint_and_no_likeness() -> None:
    def silent(payload: dict[str, Any]) -> Any:
        return {"choices": [{"message": {"content": None}, "finish_reason": "length"}], "usage": {"prompt_tokens": 9}}

    observation, _ = look(PROBE, Generator(answer=silent).handler(), facts={"fingerprint": stored(take(Model()))})
    judgement = judge(PROBE, ITEM, CLAIM, observation)
    assert (judgement.verdict, "says nothing in 12 tokens" in judgement.reason) == ("inconclusive", True)


def test_thoughts_count_as_what_a_model_says() -> None:
    class Thinking(Model):
        def __call__(self, payload: dict[str, Any]) -> Any:
            answer = super().__call__(payload)
            message = answer["choices"][0]["message"]
            message["reasoning_content"], message["content"] = message["content"], None
            return answer

    assert against(Thinking(), Thinking()).verdict == "verified"
    assert against(Thinking(1), Thinking(2)).verdict == "contradicted"


def test_a_server_that_counts_prompts_otherwise_each_time_shows_no_system_prompt() -> None:
    """Some count only what they have not cached: at the second time, less."""

    class Caching(Model):
        def __call__(self, payload: dict[str, Any]) -> Any:
            self.system = 0 if self.asked < len(PROMPTS) else -3
            return super().__call__(payload)

    judgement = against(Model(system=-3), Caching())
    assert (judgement.verdict, "counts otherwise each time" in judgement.reason) == ("inconclusive", True)


def test_without_log_probabilities_the_words_alone_are_compared() -> None:
    assert against(mute(), mute()).verdict == "verified"
    assert against(mute(), mute(2)).verdict == "contradicted"
    # A server asked with them now, without them then: the words still compare.
    assert against(mute(), Model()).verdict == "verified"


def test_another_model_under_another_name_is_what_the_team_says_and_no_contradiction() -> None:
    reference = {**stored(take(Model())), "claims": CLAIM}
    observation = take(Model(2), fingerprint=reference)
    assert judge(PROBE, ITEM, CLAIM, observation).verdict == "contradicted"
    renamed = judge(PROBE, ITEM, {**CLAIM, "version": "2.0"}, observation)
    assert (renamed.verdict, "another name was claimed then" in renamed.reason) == ("inconclusive", True)


def test_without_a_stored_fingerprint_there_is_none_to_compare_with() -> None:
    judgement = judge(PROBE, ITEM, CLAIM, take(Model()))
    assert judgement.verdict == "inconclusive"
    assert "No fingerprint was stored" in judgement.reason
    assert PROBES[PROBE].speaks_to(take(Model())) == (None,)
    assert judge(PROBE, None, {}, take(Model())).verdict == "verified"


def test_a_comparison_that_fails_does_not_fall_silent() -> None:
    observation, _ = look(PROBE, Generator().handler(), may_generate=False)
    assert PROBES[PROBE].speaks_to(observation) == (ITEM, None)
    compared = take(Model(), fingerprint=stored(take(Model())))
    assert PROBES[PROBE].speaks_to(compared) == (ITEM, None)


@pytest.mark.parametrize(
    "broken", [None, 5, "x", {}, {"prompts": []}, {"prompts": {"unknown": {}}}, {"prompts": {"sea": 1}, "set": "0"}]
)
def test_a_stored_fingerprint_of_another_shape_is_none(broken: Any) -> None:
    assert judge(PROBE, ITEM, CLAIM, take(Model(), fingerprint=broken)).verdict == "inconclusive"


def test_several_endpoints_of_one_release_must_answer_alike() -> None:
    first = stored(take(Model()), "blue")
    alike = judge(PROBE, ITEM, CLAIM, {**take(Model()), "others": [first]})
    assert alike.verdict == "inconclusive"
    assert "other endpoints answer alike" in alike.reason
    apart = judge(PROBE, ITEM, CLAIM, {**take(Model(2)), "others": [first]})
    assert apart.verdict == "contradicted"
    assert "The endpoint blue answers otherwise" in apart.reason
    both = {**take(Model(2), fingerprint=stored(take(Model(2)))), "others": [first]}
    assert judge(PROBE, ITEM, CLAIM, both).verdict == "contradicted"


def test_every_prompt_is_asked_twice_briefly_at_temperature_zero_with_a_seed() -> None:
    generator = Generator(answer=Model())
    look(PROBE, generator.handler())
    assert len(generator.bodies) == 2 * len(PROMPTS)
    assert all(b["max_tokens"] <= 12 and b["temperature"] == 0 and b["seed"] == 7 for b in generator.bodies)


def test_a_server_that_does_not_know_the_options_is_asked_without_them() -> None:
    def chat(request: Request) -> None:
        if {"seed", "logprobs"} & set(request.json()):
            return error(request, 422)
        return request.reply(200, Model()(request.json()))

    observation, server = look(PROBE, routes({"/v1/models": MODELS, "POST /v1/chat/completions": chat}))
    assert set(observation["prompts"]) == set(PROMPTS)
    assert sum(request.method == "POST" for request in server.seen) == 2 * len(PROMPTS) + 3


def test_vectors_are_compared_by_their_direction() -> None:
    def embedder(weights: int, noise: float = 0.0, size: int = 128) -> Any:
        chance = random.Random(3)

        def embed(request: Request) -> None:
            source = random.Random(f"{weights} {request.json()['input']}")
            vector = [source.gauss(0, 1) + chance.gauss(0, noise) for _ in range(size)]
            request.reply(200, {"data": [{"embedding": vector}]})

        return routes({"/v1/models": MODELS, "POST /v1/embeddings": embed})

    before, _ = look(PROBE, embedder(1), family="embedding")
    for now, verdict in (
        (embedder(1), "verified"),
        (embedder(1, noise=0.005), "verified"),
        (embedder(1, noise=0.02), "inconclusive"),
        (embedder(1, noise=0.1), "inconclusive"),
        (embedder(2), "contradicted"),
        (embedder(1, size=64), "contradicted"),
    ):
        observation, _ = look(PROBE, now, family="embedding", facts={"fingerprint": stored(before)})
        assert judge(PROBE, ITEM, CLAIM, observation).verdict == verdict


def test_an_embedding_server_that_differs_from_itself_contradicts_nothing() -> None:
    def embedder(noise: float) -> Any:
        chance = random.Random(3)

        def embed(request: Request) -> None:
            source = random.Random(request.json()["input"])
            request.reply(
                200, {"data": [{"embedding": [source.gauss(0, 1) + chance.gauss(0, noise) for _ in range(128)]}]}
            )

        return routes({"/v1/models": MODELS, "POST /v1/embeddings": embed})

    before, _ = look(PROBE, embedder(0), family="embedding")
    noisy, _ = look(PROBE, embedder(0.5), family="embedding", facts={"fingerprint": stored(before)})
    judgement = judge(PROBE, ITEM, CLAIM, noisy)
    assert (judgement.verdict, "its own vectors have a cosine of" in judgement.reason) == ("inconclusive", True)


@pytest.mark.parametrize("status", [401, 404, 429, 500, 503])
def test_a_server_that_does_not_answer_is_inconclusive(status: int) -> None:
    observation = take(Model(), fingerprint=stored(take(Model())))
    assert observation["digest"]
    observation, _ = look(PROBE, Generator(answer=lambda payload: status).handler())
    assert judge(PROBE, ITEM, CLAIM, observation).verdict == "inconclusive"


def test_a_picture_model_has_none() -> None:
    observation, server = look(PROBE, Generator().handler(), family="diffusion")
    assert observation["error"] == "not_tried"
    assert not any(request.method == "POST" for request in server.seen)


# Pure


def entries(texts: dict[str, str]) -> dict[str, Any]:
    return {key: entry_of_text(text, [(word, -1.0) for word in text.split()], 10) for key, text in texts.items()}


def test_the_digest_is_that_of_all_answers_in_any_order() -> None:
    one = entries({"a": "x y", "b": "z"})
    assert digest_of(one) == digest_of(dict(reversed(one.items())))
    assert digest_of(one) != digest_of(entries({"a": "x y", "b": "zz"}))


def test_the_similarity_is_the_share_of_the_common_beginning() -> None:
    found = compare(entries({"a": "one two three four"}), entries({"a": "one two four three"}))
    assert found is not None
    assert found.similar == {"a": 0.5}
    assert found.differ == ["a"]


def test_a_shift_of_prompt_tokens_needs_three_prompts_and_the_same_number() -> None:
    one = entries({"a": "x", "b": "y", "c": "z"})
    other = {key: {**entry, "prompt_tokens": 15} for key, entry in one.items()}
    found = compare(one, other)
    assert found is not None
    assert found.shift == 5
    other["c"]["prompt_tokens"] = 16
    assert (uneven := compare(one, other)) is not None
    assert uneven.shift is None


wild = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["text", "tokens", "logprobs"]), inner, max_size=3)
    ),
    max_leaves=6,
)
FIELDS = ["text", "digest", "tokens", "logprobs", "prompt_tokens", "vector", "dimensions"]


@given(st.dictionaries(st.sampled_from(FIELDS), wild), st.dictionaries(st.sampled_from(FIELDS), wild))
def test_no_stored_entry_makes_the_comparison_raise(one: dict[str, Any], other: dict[str, Any]) -> None:
    found = compare({"sea": one}, {"sea": other})
    assert found is None or 0.0 <= found.mean <= 1.0


def test_a_vector_keeps_its_length_and_no_nonsense() -> None:
    entry = entry_of_vector([1.0, float("nan"), "x", 2])
    assert (entry["vector"], entry["dimensions"]) == ([1.0, 2.0], 4)
