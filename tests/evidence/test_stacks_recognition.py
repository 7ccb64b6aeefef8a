"""Finding out the stack: from recorded answers, and what happens when answers are missing, refused or mixed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from checklists.evidence.probes import PROBES, Target, Visit
from checklists.evidence.recognition import FIRST, Recognition, Seen, find_out, next_path, recognise
from checklists.evidence.stacks import STACKS
from tests.evidence.loopback import loopback_client, observe, routes, run, serving
from tests.evidence.recorded import Recording, recordings

# Health routes that generate, or call the models behind: never asked when finding out.
COSTLY = {"/health", "/health_generate"}


def asked(recording: Recording) -> dict[str, Seen]:
    """What recognition would ask of a recording, and what it would hear."""
    answers: dict[str, Seen] = {}
    while path := next_path(answers):
        assert path not in answers
        answers[path] = recording.seen(path)
    return answers


@pytest.mark.parametrize("recording", recordings().values(), ids=lambda one: one.name)
def test_a_recorded_stack_is_recognised(recording: Recording) -> None:
    answers = asked(recording)
    found = recognise(answers)
    assert found.stack == recording.stack
    assert found.signs
    assert found.sure >= (0.5 if recording.stack == "openai" else 0.6), found
    assert found.runner_up_sure < found.sure
    assert len(answers) <= 20


def test_a_stack_that_signs_its_model_list_is_recognised_with_few_requests() -> None:
    assert len(asked(recordings()["vllm-0.11"])) <= 6


@pytest.mark.parametrize("name", ["vllm-0.11", "sglang-0.5", "llamacpp-b6900"])
def test_a_gateway_that_rewrites_the_owner_of_models_only_makes_less_sure(name: str) -> None:
    recording = recordings()[name]
    rows = [{**row, "owned_by": "house"} for row in recording.answers["GET /v1/models"]["json"]["data"]]
    rewritten = {**recording.answers, "GET /v1/models": {"json": {"data": rows}}}
    found = recognise(asked(Recording("x", "", "", "", rewritten)))
    assert found.stack == recording.stack
    assert found.sure < recognise(asked(recording)).sure
    assert found.against


def test_finding_out_never_asks_a_health_route_that_may_generate() -> None:
    paths = {sign.path for stack in STACKS.values() for sign in stack.signs}
    paths |= {stack.behind.path for stack in STACKS.values() if stack.behind}
    assert not paths & COSTLY


@pytest.mark.parametrize("name", ["sglang-0.5", "litellm-1.80"])
def test_finding_out_over_the_network_sends_gets_only(name: str) -> None:
    with recordings()[name].served() as server:
        observation, _ = observe("stack.recognition", Target("main", server.url))
        assert observation["stack"] == recordings()[name].stack
        assert all(line.startswith("GET ") for line in server.asked())
        assert not {line.removeprefix("GET ") for line in server.asked()} & COSTLY


def merged(*names: str) -> Recording:
    """One server that answers with the first recording, and where that has nothing with the next."""
    answers: dict[str, dict[str, object]] = {}
    for name in reversed(names):
        answers |= recordings()[name].answers
    return Recording("+".join(names), recordings()[names[0]].stack, "", "", answers)


@pytest.mark.parametrize("outer", ["nim-1.8", "rayserve-2.50"])
def test_a_server_around_vllm_is_told_apart_and_vllm_named_behind_it(outer: str) -> None:
    around = merged(outer, "vllm-0.11")
    owned = {"json": {"data": [{"id": "m", "owned_by": "vllm", "max_model_len": 8192}]}}
    found = recognise(asked(Recording("x", "", "", "", {**around.answers, "GET /v1/models": owned})))
    assert (found.stack, found.behind) == (recordings()[outer].stack, "vllm")
    assert "vLLM behind it" in found.words


def test_behind_a_proxy_what_its_models_lead_to_is_named() -> None:
    found = recognise(asked(recordings()["litellm-1.80"]))
    assert (found.stack, found.behind) == ("litellm", "vllm")


def test_a_proxy_before_several_stacks_names_none() -> None:
    answers = asked(recordings()["litellm-1.80"])
    rows = [{"litellm_params": {"model": name}} for name in ("hosted_vllm/a", "ollama/b")]
    answers["/v1/model/info"] = Seen(200, "", {"data": rows})
    assert recognise(answers).behind == ""


@pytest.mark.parametrize(
    ("headers", "name"),
    [
        ({"x-envoy-upstream-service-time": "12"}, "Envoy"),
        ({"server": "nginx/1.27"}, "nginx"),
        ({"server": "uvicorn"}, ""),
        ({"x-kong-proxy-latency": "1"}, "Kong"),
        ({}, ""),
    ],
)
def test_a_gateway_gives_itself_away_by_its_headers(headers: dict[str, str], name: str) -> None:
    answers = {FIRST: Seen(200, "", {"data": [{"id": "m", "owned_by": "vllm"}]}, headers)}
    found = recognise(answers)
    assert found.gateway == name
    assert (f"through {name}" in found.words) == bool(name)


def test_the_share_follows_the_written_rule() -> None:
    """for ÷ (for + against + rival + 1)."""
    answers = {FIRST: Seen(200, "", {"data": [{"id": "m", "owned_by": "vllm"}]}), "/version": Seen(404)}
    assert recognise(answers).sure == round(3 / (3 + 1 + 0 + 1), 2)
    answers["/props"] = Seen(200, "", {"default_generation_settings": {}})  # llama.cpp's own sign: a rival
    assert recognise(answers).sure == round(3 / (3 + 1 + 3 + 1), 2)
    assert recognise(answers).runner_up == "llamacpp"


def test_a_refused_or_broken_answer_speaks_neither_for_nor_against() -> None:
    clear = {FIRST: Seen(200, "", {"data": [{"id": "m", "owned_by": "vllm"}]})}
    for status in (None, 401, 403, 429, 500, 503):
        assert recognise({**clear, "/version": Seen(status)}).sure == recognise(clear).sure
    assert recognise({**clear, "/version": Seen(404)}).sure < recognise(clear).sure


def test_an_unknown_server_stays_generic_and_doubtful() -> None:
    found = recognise(asked(Recording("x", "", "", "", {"GET /v1/models": {"json": {"data": [{"id": "m"}]}}})))
    assert (found.stack, found.sure) == ("openai", 0.5)


def test_a_page_that_answers_everything_with_html_is_no_stack() -> None:
    answers: dict[str, Seen] = {}
    while path := next_path(answers):
        answers[path] = Seen(200, "<html><body>Welcome</body></html>")
    found = recognise(answers)
    assert (found.stack, found.sure, found.signs) == ("openai", 0.0, ())
    assert len(answers) == 5


def test_nobody_there_is_asked_once() -> None:
    with serving(lambda request: None) as server:
        pass

    async def visiting() -> tuple[Recognition, int]:
        async with loopback_client(timeout_s=2.0).session() as session:
            visit = Visit(Target("main", server.url), session)
            return await find_out(visit), len(visit.log)

    found, requests = run(visiting())
    assert (found.stack, found.sure, requests) == ("openai", 0.0, 1)


def test_what_the_owner_says_overrules_and_is_held_against_the_answers() -> None:
    probe = PROBES["stack.recognition"]
    with recordings()["sglang-0.5"].served() as server:
        as_said, _ = observe("model.identity", Target("main", server.url, stack="sglang"))
        said_wrongly, visit = observe("stack.recognition", Target("main", server.url, stack="ollama"))
        right, _ = observe("stack.recognition", Target("main", server.url, stack="sglang"))
        found, _ = observe("stack.recognition", Target("main", server.url))
        assert run(visit.stack()).key == "ollama"
    assert as_said["stack"] == "sglang"
    wrong = probe.judge(None, {}, said_wrongly)
    assert wrong.verdict == "contradicted"
    assert "Ollama" in wrong.reason
    assert "SGLang" in wrong.reason
    assert probe.judge(None, {}, right).verdict == "verified"
    judged = probe.judge(None, {}, found)
    assert judged.verdict == "verified"
    assert "owned_by = sglang" in judged.reason
    assert "%" in judged.observed


@pytest.mark.parametrize(
    ("declared", "found", "behind", "verdict"),
    [
        ("nim", "vllm", "", "inconclusive"),  # of whose own routes a gateway may let none through
        ("vllm", "litellm", "openai", "inconclusive"),  # the owner may mean what is behind
        ("vllm", "litellm", "ollama", "contradicted"),
        ("ollama", "vllm", "", "contradicted"),
    ],
)
def test_a_stack_inside_another_is_no_other(declared: str, found: str, behind: str, verdict: str) -> None:
    observation = {"declared": declared, "stack": found, "sure": 0.9, "behind": behind, "signs": ["x"]}
    judged = PROBES["stack.recognition"].judge(None, {}, observation)
    assert judged.verdict == verdict, judged
    assert verdict == "contradicted" or " inside." in judged.reason


def test_doubt_about_the_stack_is_inconclusive() -> None:
    with serving(routes({"/v1/models": {"data": [{"id": "m"}]}})) as server:
        observation, _ = observe("stack.recognition", Target("main", server.url, stack="vllm"))
    judged = PROBES["stack.recognition"].judge(None, {}, observation)
    assert judged.verdict == "inconclusive"
    assert judged.reason.endswith(".")


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["data", "models", "info"]), inner),
    max_leaves=8,
)
wild_answers = st.dictionaries(
    st.sampled_from(sorted({sign.path for stack in STACKS.values() for sign in stack.signs})),
    st.builds(Seen, st.sampled_from([None, 200, 401, 404, 500]), st.text(max_size=20), json_values),
)


@given(wild_answers)
def test_whatever_is_answered_the_share_is_a_share(answers: dict[str, Seen]) -> None:
    found = recognise(answers)
    assert found.stack in STACKS
    assert 0 <= found.runner_up_sure <= 1
    assert 0 <= found.sure < 1
