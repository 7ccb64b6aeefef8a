"""Do the server's counters move by our own requests?"""

from __future__ import annotations

import time
from typing import Any

import pytest

from checklists.evidence import metrics
from checklists.evidence.probes.generation import counters
from checklists.evidence.probes.visit import Target
from tests.evidence import loopback
from tests.evidence.generating import Generator, error, judge, look
from tests.evidence.loopback import Request, routes, serving

PROBE, THROUGHPUT, ERRORS = "generation.counters", "observability.throughput", "observability.errors"
TOKENS = {"metric_name": "vllm:generation_tokens_total"}
CLASSES = {"classes": ["bad_request"]}


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(counters, "PAUSES", (0.0, 0.05))
    monkeypatch.setattr(counters, "IDLE_S", 0.05)


def seen(generator: Generator, **target: Any) -> dict[str, Any]:
    return look(PROBE, generator.handler(), **target)[0]


def test_counters_that_move_by_our_good_and_by_our_bad_request_are_verified() -> None:
    generator = Generator()
    observation = seen(generator)
    throughput = judge(PROBE, THROUGHPUT, TOKENS, observation)
    assert (throughput.verdict, throughput.observed) == ("verified", "+3")
    errors = judge(PROBE, ERRORS, CLASSES, observation)
    assert (errors.verdict, errors.observed) == ("verified", "status=4xx")
    two = judge(PROBE, ERRORS, {"classes": ["bad_request", "input_shape"]}, observation)
    assert (two.verdict, "bad request and input shape are told apart" in two.reason) == ("inconclusive", True)
    observation["bad"].append({"name": "errors_total", "labels": {"exception_class": "BadRequestError"}, "by": 1})
    assert judge(PROBE, ERRORS, {"classes": ["bad_request", "input_shape"]}, observation).verdict == "inconclusive"
    more = judge(PROBE, ERRORS, {"classes": ["bad_request", "overload"]}, observation)
    assert (more.verdict, "not to be caused from outside: overload" in more.reason) == ("inconclusive", True)
    assert len(generator.bodies) == 1
    assert generator.refused == 1


@pytest.mark.parametrize(
    ("claimed", "verdict"),
    [
        ("rate(vllm:generation_tokens_total[5m])", "verified"),
        ('sum by (pod) (rate(vllm:generation_tokens_total{model_name="m"}[5m]))', "verified"),
        ("the usual ones", "inconclusive"),
    ],
)
def test_a_counter_within_a_query_is_the_claimed_one(claimed: str, verdict: str) -> None:
    judgement = judge(PROBE, THROUGHPUT, {"metric_name": claimed}, seen(Generator()))
    assert judgement.verdict == verdict, judgement


def test_a_counter_that_stands_still_while_another_moves_is_contradicted() -> None:
    observation = seen(Generator())
    observation["names"].append("my_tokens_total")
    judgement = judge(PROBE, THROUGHPUT, {"metric_name": "my_tokens_total"}, observation)
    assert judgement.verdict == "contradicted"
    assert "vllm:generation_tokens_total +3 moved" in judgement.reason


def test_a_counter_that_stands_still_on_the_servers_own_page_is_contradicted() -> None:
    assert (
        judge(PROBE, THROUGHPUT, TOKENS, seen(Generator(counts=False, started=time.time()))).verdict == "contradicted"
    )


CLAIMED, FIRST = "litellm_proxy_total_requests_metric_total", "litellm_output_tokens_metric_total"


def published_late(claimed_after: int) -> dict[str, Any]:
    """A server that publishes one counter at once, and the other by so many looks later."""
    looks = {"after": -1}

    def page(request: Request) -> None:
        looks["after"] += bool(generator.bodies)
        rows = {FIRST: 8 if looks["after"] >= 0 else 0, CLAIMED: 1 if looks["after"] >= claimed_after else 0}
        text = "".join(f"# TYPE {name} counter\n{name} {value}\n" for name, value in rows.items())
        request.reply(200, f"{text}# TYPE litellm_cache_hits_metric_total counter\n")

    generator = Generator()
    handler = generator.handler()
    with serving(lambda request: page(request) if request.path == "/metrics" else handler(request)) as server:
        return dict(loopback.observe(PROBE, Target("main", server.url, stack="vllm", may_generate=True))[0])


def test_a_counter_that_is_published_later_than_another_is_not_said_to_stand_still(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(counters, "PAUSES", (0.0, 0.02, 0.02, 0.02))
    assert judge(PROBE, THROUGHPUT, {"metric_name": CLAIMED}, published_late(1)).verdict == "verified"
    still = judge(PROBE, THROUGHPUT, {"metric_name": CLAIMED}, published_late(99))
    assert still.verdict == "contradicted"
    assert f"{FIRST} +8 moved" in still.reason


def test_a_counter_that_is_declared_without_a_series_counted_nothing() -> None:
    judgement = judge(PROBE, THROUGHPUT, {"metric_name": "litellm_cache_hits_metric_total"}, published_late(0))
    assert judgement.verdict == "contradicted"
    assert "declares litellm_cache_hits_metric_total but carries no series of it" in judgement.reason
    missing = judge(PROBE, THROUGHPUT, {"metric_name": "my_tokens_total"}, published_late(0))
    assert missing.verdict == "inconclusive"
    assert "There is no counter named my_tokens_total" in missing.reason


def test_a_page_elsewhere_on_which_nothing_moves_may_be_that_of_another_process() -> None:
    with serving(Generator().handler()) as other:
        observation = seen(Generator(), metrics_url=f"{other.url}/metrics")
    for item, claims in ((THROUGHPUT, TOKENS), (ERRORS, CLASSES)):
        judgement = judge(PROBE, item, claims, observation)
        assert judgement.verdict == "inconclusive"
        assert "another process" in judgement.reason


def test_a_refusal_before_a_page_elsewhere_may_be_the_gateways() -> None:
    generator = Generator(counts_errors=False)
    with serving(routes(generator.table())) as other:
        observation = seen(generator, metrics_url=f"{other.url}/metrics")
    assert judge(PROBE, THROUGHPUT, TOKENS, observation).verdict == "verified"
    assert judge(PROBE, ERRORS, CLASSES, observation).verdict == "inconclusive"


def test_a_counter_that_rises_by_itself_is_no_counter_of_requests() -> None:
    generator, looks = Generator(), iter(range(100))

    def page(request: Request) -> None:
        tokens = f"# TYPE vllm:generation_tokens_total counter\nvllm:generation_tokens_total {generator.tokens}\n"
        request.reply(200, f"{tokens}# TYPE scrapes_total counter\nscrapes_total {next(looks)}\n")

    observation, _ = look(PROBE, routes({**generator.table(), "/metrics": page}))
    judgement = judge(PROBE, THROUGHPUT, {"metric_name": "scrapes_total"}, observation)
    assert (judgement.verdict, "before it as well" in judgement.reason) == ("inconclusive", True)
    assert judge(PROBE, THROUGHPUT, TOKENS, observation).verdict == "verified"


def test_a_page_that_does_not_say_of_which_process_it_is_contradicts_nothing_by_standing_still() -> None:
    silent = Generator(counts=False, counts_errors=False)
    observation = seen(silent)
    assert judge(PROBE, THROUGHPUT, TOKENS, observation).verdict == "inconclusive"


def test_two_replicas_behind_one_address_are_noticed() -> None:
    generator = Generator(counts=False, counts_errors=False)
    looks = iter(range(100))

    def page(request: Request) -> None:
        generator.started = float(next(looks) % 2)
        generator.metrics(request)

    observation, _ = look(PROBE, routes({**generator.table(), "/metrics": page}))
    assert observation["steady"] is False
    assert judge(PROBE, THROUGHPUT, TOKENS, observation).verdict == "inconclusive"


def test_a_bad_request_that_no_error_counter_shows_is_contradicted() -> None:
    judgement = judge(PROBE, ERRORS, CLASSES, seen(Generator(counts_errors=False)))
    assert judgement.verdict == "contradicted"
    assert "although the good request before it was counted" in judgement.reason


def test_errors_that_are_counted_without_their_kind_are_not_told_apart() -> None:
    generator = Generator()

    def page(request: Request) -> None:
        text = f"# TYPE errors_total counter\nerrors_total {generator.refused}\n"
        request.reply(
            200,
            text + f"# TYPE vllm:generation_tokens_total counter\nvllm:generation_tokens_total {generator.tokens}\n",
        )

    observation, _ = look(PROBE, routes({**generator.table(), "/metrics": page}))
    judgement = judge(PROBE, ERRORS, CLASSES, observation)
    assert judgement.verdict == "inconclusive"
    assert "says nothing of the kind" in judgement.reason


@pytest.mark.parametrize("status", [200, 401, 429, 500])
def test_a_bad_request_that_is_not_refused_shows_nothing(status: int) -> None:
    observation = seen(Generator()) | {"bad_status": status}
    assert judge(PROBE, ERRORS, CLASSES, observation).verdict == "inconclusive"


def test_kinds_that_need_a_server_in_trouble_stay_open() -> None:
    judgement = judge(PROBE, ERRORS, {"classes": ["out_of_memory"]}, seen(Generator()))
    assert "none can be caused from outside" in judgement.reason


def test_without_claims_or_a_page_or_the_named_counter_it_is_inconclusive() -> None:
    observation = seen(Generator())
    assert judge(PROBE, THROUGHPUT, {}, observation).verdict == "inconclusive"
    assert judge(PROBE, ERRORS, {}, observation).verdict == "inconclusive"
    assert "no counter named" in judge(PROBE, THROUGHPUT, {"metric_name": "other_total"}, observation).reason
    table = {**Generator().table(), "/metrics": None}
    observation, server = look(PROBE, routes(table))
    assert judge(PROBE, THROUGHPUT, TOKENS, observation).verdict == "inconclusive"
    assert not any(line.startswith("POST") for line in server.asked())


def test_a_failing_good_request_leaves_both_open() -> None:
    observation = seen(Generator(answer=lambda payload: 503))
    assert judge(PROBE, THROUGHPUT, TOKENS, observation).verdict == "inconclusive"


@pytest.mark.parametrize(
    ("labels", "kind"),
    [
        ('te_request_failure{err="validation"}', "err=validation"),
        ('tgi_request_failure{err="validation"}', "err=validation"),
        (
            'litellm_proxy_failed_requests_metric_total{exception_class="BadRequestError"}',
            "exception_class=BadRequestError",
        ),
        ('http_requests_total{code="422",method="POST"}', "code=422"),
        ('vllm:request_success_total{finished_reason="error"}', "finished_reason=error"),
    ],
)
def test_error_series_of_known_stacks_are_recognised(labels: str, kind: str) -> None:
    name = labels.partition("{")[0]
    before = metrics.parse(f"# TYPE x counter\n{labels} 4\n")
    rows = counters.rises(before, metrics.parse(f"# TYPE x counter\n{labels} 5\n"))
    assert [row["name"] for row in rows if counters._error_like(row)] == [name]
    assert counters._kind_of(rows[0]) == kind


def test_successes_are_no_errors() -> None:
    for text in ('http_requests_total{status="2xx"}', 'vllm:request_success_total{finished_reason="stop"}'):
        before, after = (metrics.parse(f"# TYPE x counter\n{text} {n}\n") for n in (1, 2))
        assert not any(counters._error_like(row) for row in counters.rises(before, after))


def test_an_embedding_servers_failures_are_told_apart() -> None:
    counts = {"success": 1, "failure": 0}

    def embed(request: Request) -> None:
        if isinstance(request.json()["inputs"], str):
            counts["success"] += 1
            return request.reply(200, [[0.1, 0.2]])
        counts["failure"] += 1
        return error(request, 422)

    def page(request: Request) -> None:
        request.reply(
            200,
            f'# TYPE te_request_success counter\nte_request_success{{method="single"}} {counts["success"]}\n'
            f'# TYPE te_request_failure counter\nte_request_failure{{err="validation"}} {counts["failure"]}\n',
        )

    table = {"POST /embed": embed, "/metrics": page}
    observation, _ = look(PROBE, routes(table), stack="tei", family="embedding")
    assert judge(PROBE, ERRORS, {"classes": ["input_shape"]}, observation).verdict == "verified"
    assert judge(PROBE, THROUGHPUT, {"metric_name": "te_request_success"}, observation).verdict == "verified"


class Late(Generator):
    """Counts what it refuses for a value, and not what it cannot read, which ends in ``status``."""

    def __init__(self, status: int, **options: Any) -> None:
        super().__init__(**options)
        self.status = status

    def refuse(self, request: Request, message: str) -> None:
        if message == "out of range":
            return super().refuse(request, message)
        return error(request, self.status, message)


@pytest.mark.parametrize("status", [422, 500])
def test_a_server_that_counts_only_what_it_has_read_is_asked_for_something_impossible(status: int) -> None:
    judgement = judge(PROBE, ERRORS, CLASSES, seen(Late(status)))
    assert (judgement.verdict, judgement.observed) == ("verified", "status=4xx"), judgement.reason


def test_refusals_of_which_none_is_counted_are_contradicted() -> None:
    generator = Late(422, counts_errors=False)
    judgement = judge(PROBE, ERRORS, CLASSES, seen(generator))
    assert judgement.verdict == "contradicted"
    assert len(generator.bodies) == 1  # the good one: neither of the others was worked on


@pytest.mark.parametrize("name", ["error_type", "error_code"])
def test_a_label_that_is_there_only_for_errors_tells_their_kind(name: str) -> None:
    row = {"name": "gen_ai_server_request_duration_seconds_count", "labels": {name: "400"}, "by": 1}
    observation = {**seen(Generator()), "bad": [row]}
    assert "400" in judge(PROBE, ERRORS, CLASSES, observation).observed
