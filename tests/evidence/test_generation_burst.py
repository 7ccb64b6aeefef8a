"""A capped burst, and one slow request."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from checklists.evidence.probes.generation import burst, slow
from tests.evidence.generating import MODELS, Generator, completion, error, judge, look
from tests.evidence.loopback import Request, routes

BURST, SLOW = "generation.burst", "generation.slow"
BACKPRESSURE, LOAD, QUEUE = "reliability.backpressure", "reliability.load-test", "autoscaling.batch-queue"
REJECT = {"max_concurrency": 4, "on_overload": "reject"}
QUEUED = {"max_concurrency": 4, "on_overload": "queue"}
LOADED = {"date": "2026-10-01", "report_url": "https://reports.example/load"}


@pytest.fixture(autouse=True)
def _short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(burst, "SECONDS", 2.0)
    monkeypatch.setattr(burst, "LOOK_AFTER_S", 0.1)
    monkeypatch.setattr(burst, "LATER_S", 0.1)


class Full:
    """A server with so many places: what comes beyond them is refused, made to wait, failed, or never answered."""

    def __init__(self, places: int, policy: str, *, status: int = 429, seconds: float = 0.25) -> None:
        self.places, self.policy, self.status, self.seconds = places, policy, status, seconds
        self.gate = threading.BoundedSemaphore(places)
        self.busy = self.most = self.posts = 0
        self.lock = threading.Lock()
        self.over = threading.Event()

    def table(self) -> dict[str, Any]:
        return {"/v1/models": MODELS, "POST /v1/chat/completions": self.chat, "/metrics": self.metrics}

    def metrics(self, request: Request) -> None:
        waiting = max(0, self.busy - self.places)
        request.reply(200, f"# TYPE vllm:num_requests_waiting gauge\nvllm:num_requests_waiting {waiting}\n")

    def chat(self, request: Request) -> None:
        with self.lock:
            self.busy += 1
            self.posts += 1
            self.most = max(self.most, self.busy)
        try:
            reply = self.answer(request)
        finally:
            with self.lock:
                self.busy -= 1  # before the answer goes out, for the next request may come right after it
        reply()

    def answer(self, request: Request) -> Callable[[], Any]:
        if not self.gate.acquire(blocking=self.policy == "wait"):
            if self.policy == "refuse":
                headers = {"Retry-After": "1"} if self.status in (429, 503) else {}
                return lambda: request.reply(self.status, {"error": {"message": "busy"}}, headers)
            if self.policy == "break":
                return lambda: request.raw.connection.close()
            self.over.wait(20)
            return lambda: None
        try:
            time.sleep(self.seconds)
            return lambda: request.reply(200, completion())
        finally:
            self.gate.release()


def seen(server: Full, **target: Any) -> dict[str, Any]:
    observation, _ = look(BURST, routes(server.table()), may_burst=True, **target)
    server.over.set()
    return observation


def test_a_burst_stays_within_what_it_declares() -> None:
    server = Full(64, "wait", seconds=0.05)
    observation = seen(server)
    assert server.most <= 20 == burst.AT_ONCE
    assert observation["sent"] <= burst.MOST == 60
    assert server.posts == observation["sent"] + 2
    assert observation["seconds"] <= 2.5


def test_an_option_that_the_server_does_not_know_doubles_no_burst() -> None:
    posts: list[Any] = []

    def create(request: Request) -> None:
        posts.append(payload := request.json())
        if "response_format" in payload:
            error(request, 400, "extra fields not permitted")
        else:
            time.sleep(0.05)
            request.reply(200, {"data": [{"url": "https://pictures.example/1.png"}]})

    table = {"/v1/models": MODELS, "POST /v1/images/generations": create}
    observation, _ = look(BURST, routes(table), may_burst=True, family="diffusion")
    assert len(posts) == observation["sent"] + 3  # one before, refused and answered, and one afterwards


def test_clean_refusals_beyond_the_claimed_number_are_verified() -> None:
    observation = seen(Full(4, "refuse", status=429))
    judgement = judge(BURST, BACKPRESSURE, REJECT, observation)
    assert judgement.verdict == "verified", judgement.reason
    assert "with Retry-After" in judgement.observed
    withstood = judge(BURST, LOAD, LOADED, observation)
    assert withstood.verdict == "inconclusive"
    assert "withstood, which is no load test" in withstood.reason
    assert judge(BURST, QUEUE, {"max_queue": 0, "on_overflow": "reject"}, observation).verdict == "verified"
    assert judge(BURST, QUEUE, {"max_queue": 2, "on_overflow": "reject"}, observation).verdict == "inconclusive"
    assert judge(BURST, QUEUE, {"on_overflow": "reject"}, observation).verdict == "inconclusive"
    # What is claimed to be served at once was not full, and a 429 may be the limit of a key.
    within = judge(BURST, BACKPRESSURE, {**REJECT, "max_concurrency": 64}, observation)
    assert within.verdict == "inconclusive"
    assert "limit of our own key" in within.reason


def test_refusing_with_503_may_be_a_limit_of_our_key_as_well() -> None:
    observation = seen(Full(4, "refuse", status=503))
    assert judge(BURST, BACKPRESSURE, REJECT, observation).verdict == "verified"
    for item, claims in (
        (BACKPRESSURE, {**REJECT, "max_concurrency": 64}),
        (BACKPRESSURE, {"max_concurrency": 4, "on_overload": "none"}),
        (QUEUE, {"max_queue": 64, "on_overflow": "wait"}),
    ):
        judgement = judge(BURST, item, claims, observation)
        assert (judgement.verdict, "limit of our own key" in judgement.reason) == ("inconclusive", True), judgement


def test_refusals_verify_a_limit_only_where_as_many_as_claimed_were_served() -> None:
    observation = seen(Full(4, "refuse"))
    assert judge(BURST, BACKPRESSURE, {**REJECT, "max_concurrency": 12}, observation).verdict == "inconclusive"
    assert judge(BURST, BACKPRESSURE, {**REJECT, "max_concurrency": 1}, observation).verdict == "inconclusive"
    assert judge(BURST, BACKPRESSURE, {**QUEUED, "max_concurrency": 3}, observation).verdict == "verified"


def test_a_quota_is_no_full_server() -> None:
    class Quota(Full):
        def answer(self, request: Request) -> Callable[[], Any]:
            if self.gate.acquire(blocking=False):
                return lambda: (time.sleep(self.seconds), request.reply(200, completion()), self.gate.release())
            return lambda: error(request, 429, "Rate limit reached: 60 requests per minute")

    observation = seen(Quota(4, "quota"))
    judgement = judge(BURST, BACKPRESSURE, REJECT, observation)
    assert (judgement.verdict, "quota of the caller" in judgement.reason) == ("inconclusive", True), judgement


@pytest.mark.parametrize("what", ["broken", "502"])
def test_a_single_fault_among_many_answers_is_no_pattern(what: str) -> None:
    observation = seen(Full(4, "wait", seconds=0.05))
    assert judge(BURST, BACKPRESSURE, QUEUED, observation).verdict == "verified"
    if what == "broken":
        observation["broken"] = 1
    else:
        observation["statuses"]["502"] = 1
    for item, claims in ((BACKPRESSURE, QUEUED), (QUEUE, {"max_queue": 32, "on_overflow": "wait"})):
        judgement = judge(BURST, item, claims, observation)
        assert judgement.verdict == "inconclusive", judgement
        assert "may be the network's" in judgement.reason
        assert "10% of all" in judgement.rule
    assert "1 " in judge(BURST, LOAD, LOADED, observation).reason


class Shared(Full):
    """A server without a limit or a queue, whose one processor is shared by all requests that are there."""

    def answer(self, request: Request) -> Callable[[], Any]:
        done, last = 0.0, time.monotonic()
        while done < self.seconds:
            time.sleep(0.005)
            now = time.monotonic()
            done, last = done + (now - last) / self.busy, now
        return lambda: request.reply(200, completion())


def test_a_server_without_a_limit_that_only_grows_slow_has_no_queue() -> None:
    observation = seen(Shared(64, "share", seconds=0.05))
    assert observation["median_ms"] > 2 * observation["alone_ms"]
    judgement = judge(BURST, BACKPRESSURE, {**REJECT, "on_overload": "queue"}, observation)
    assert judgement.verdict == "inconclusive", judgement.reason


def test_waiting_and_an_answer_in_the_end_verify_a_queue() -> None:
    observation = seen(Full(4, "wait", seconds=0.1))
    judgement = judge(BURST, BACKPRESSURE, QUEUED, observation)
    assert judgement.verdict == "verified", judgement.reason
    assert judge(BURST, BACKPRESSURE, REJECT, observation).verdict == "inconclusive"
    assert judge(BURST, QUEUE, {"max_queue": 32, "on_overflow": "wait"}, observation).verdict == "verified"
    too_long = judge(BURST, QUEUE, {"max_queue": 3, "on_overflow": "wait"}, observation)
    assert too_long.verdict == "contradicted"
    assert "waited when the queue was read" in too_long.reason


@pytest.mark.parametrize(("policy", "status"), [("refuse", 500), ("refuse", 502), ("break", 0), ("hang", 0)])
def test_errors_breaks_and_hanging_are_contradicted(policy: str, status: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(burst, "SECONDS", 5.0)
    server = Full(4, policy, status=status, seconds=0.005)
    observation = seen(server)
    for item, claims in ((BACKPRESSURE, REJECT), (QUEUE, {"max_queue": 2, "on_overflow": "reject"})):
        assert judge(BURST, item, claims, observation).verdict == "contradicted", item
    # That it fails does not say that nobody tried it.
    assert judge(BURST, LOAD, LOADED, observation).verdict == "inconclusive"


def test_slow_work_that_cannot_be_through_in_time_is_no_hanging() -> None:
    observation = seen(Full(1, "wait", seconds=0.5))
    assert observation["unanswered"] > 0
    assert judge(BURST, BACKPRESSURE, REJECT, observation).verdict == "inconclusive"
    assert judge(BURST, LOAD, LOADED, observation).verdict == "inconclusive"


@pytest.mark.parametrize(("until", "expected"), [(1000, "contradicted"), (62, "inconclusive")])
def test_a_server_that_stays_down_after_the_burst_is_contradicted(until: int, expected: str) -> None:
    calls = iter(range(1000))

    def chat(request: Request) -> None:
        return error(request, 500) if 61 <= next(calls) < until else request.reply(200, completion())

    observation, _ = look(BURST, routes({"/v1/models": MODELS, "POST /v1/chat/completions": chat}), may_burst=True)
    assert observation["after_ok"] is (expected == "inconclusive")
    judgement = judge(BURST, BACKPRESSURE, {**REJECT, "max_concurrency": 64}, observation)
    assert judgement.verdict == expected, judgement
    assert ("Afterwards the endpoint did not answer" in judgement.reason) == (expected == "contradicted")


def test_no_burst_without_the_owners_switch_and_never_by_the_schedule() -> None:
    for target in (
        {"may_burst": False},
        {"may_burst": True, "scheduled": True},
        {"may_burst": True, "may_generate": False},
    ):
        observation, server = look(BURST, Generator().handler(), **target)
        assert server.seen == []
        assert judge(BURST, LOAD, LOADED, observation).verdict == "inconclusive"


def test_without_claims_a_burst_is_told() -> None:
    observation = seen(Full(8, "refuse"))
    for item in (BACKPRESSURE, LOAD, QUEUE):
        assert judge(BURST, item, {}, observation).verdict == "inconclusive"


# Two slow requests

ITEM = "reliability.timeouts"


def slowly(chat: Any, seconds: float = 1.0, **claims: Any) -> Any:
    claimed = {"server_seconds": seconds, **claims}
    table = {"/v1/models": MODELS, "POST /v1/chat/completions": chat}
    observation, server = look(SLOW, routes(table), claims={ITEM: claimed})
    return judge(SLOW, ITEM, claimed, observation), server


def ends(after: float, how: Any, *later: Any, control: float = 0.0) -> Any:
    """Slow requests end so, the second after another time or in another way if that is given; tiny ones at once."""
    calls = iter([(after, how), later or (after, how)])

    def chat(request: Request) -> None:
        if request.json()["max_tokens"] <= 16:
            time.sleep(control)
            return request.reply(200, completion())
        seconds, way = next(calls)
        time.sleep(seconds)
        return way(request)

    return chat


@pytest.fixture
def margin(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slow, "MARGIN_S", 0.6)
    monkeypatch.setattr(slow, "STAGGER_S", 0.2)


@pytest.mark.usefixtures("margin")
@pytest.mark.parametrize(
    ("after", "how", "verdict"),
    [
        (1.0, lambda request: error(request, 504), "verified"),
        (1.1, lambda request: error(request, 408), "verified"),
        (1.0, lambda request: request.raw.connection.close(), "verified"),
        (0.3, lambda request: error(request, 408), "contradicted"),
        (2.5, lambda request: request.reply(200, completion()), "contradicted"),
        (0.1, lambda request: request.reply(200, completion()), "inconclusive"),
        (0.5, lambda request: request.raw.connection.close(), "inconclusive"),
        (0.9, lambda request: error(request, 500), "inconclusive"),
        (0.0, lambda request: error(request, 401), "inconclusive"),
        (0.0, lambda request: request.raw.connection.close(), "inconclusive"),
    ],
)
def test_a_slow_request_must_end_at_the_claimed_time(after: float, how: Any, verdict: str) -> None:
    judgement, _ = slowly(ends(after, how))
    assert judgement.verdict == verdict, judgement.reason


@pytest.mark.usefixtures("margin")
@pytest.mark.parametrize(
    "chat",
    [
        ends(0.3, lambda request: error(request, 504), 1.0, lambda request: error(request, 504)),
        ends(1.0, lambda request: error(request, 504), 2.5, lambda request: request.reply(200, completion())),
        ends(2.5, lambda request: request.reply(200, completion()), 0.1, lambda request: error(request, 504)),
        ends(2.5, lambda request: request.reply(200, completion()), control=0.5),  # there is a queue
    ],
)
def test_what_happens_to_one_request_alone_is_no_time_out(chat: Any) -> None:
    judgement, _ = slowly(chat)
    assert (judgement.verdict, judgement.samples) == ("inconclusive", 2), judgement


def ended(*samples: tuple[int | None, str, float]) -> dict[str, Any]:
    rows = [{"status": status, "kind": kind, "seconds": seconds} for status, kind, seconds in samples]
    return {"limit_s": 10.0, "control_ms": 20.0, "samples": rows}


@pytest.mark.parametrize(
    ("samples", "verdict"),
    [
        ([(408, "", 4.0), (408, "", 4.2)], "contradicted"),
        ([(504, "", 4.0), (504, "", 4.2)], "inconclusive"),  # a gateway's, of which nothing is claimed
        ([(504, "", 4.0), (504, "", 2.0)], "inconclusive"),  # at one moment: the second began later
        ([(None, "protocol", 4.0), (None, "protocol", 4.0)], "inconclusive"),
        ([(None, "unreachable", 10.1), (504, "", 10.0)], "verified"),
        ([(504, "", 8.2), (504, "", 12.4)], "inconclusive"),
        ([(504, "", 10.1)], "inconclusive"),
        ([], "inconclusive"),
    ],
)
def test_a_time_out_ends_both_after_one_time(samples: list[Any], verdict: str) -> None:
    assert judge(SLOW, ITEM, {"server_seconds": 10}, ended(*samples)).verdict == verdict


def test_a_gateway_that_gives_up_too_early_contradicts_what_is_claimed_of_it() -> None:
    early = ended((504, "", 4.0), (504, "", 4.2))
    assert judge(SLOW, ITEM, {"server_seconds": 20, "gateway_seconds": 10}, early).verdict == "contradicted"


def test_a_server_that_answers_no_tiny_request_is_not_asked_for_a_slow_one() -> None:
    judgement, server = slowly(lambda request: error(request, 500))
    assert (judgement.verdict, "small request failed" in judgement.reason) == ("inconclusive", True)
    assert all(request.json()["max_tokens"] <= 16 for request in server.seen if request.method == "POST")


@pytest.mark.usefixtures("margin")
def test_the_shortest_of_gateway_and_server_counts_and_long_ones_are_not_waited_for() -> None:
    judgement, server = slowly(ends(1.0, lambda request: error(request, 504)), seconds=500, gateway_seconds=1)
    assert (judgement.verdict, judgement.claimed) == ("verified", "1")
    assert server.seen[-1].json()["ignore_eos"] is True
    judgement, server = slowly(ends(0, lambda request: None), seconds=120)
    assert "longer than a probe waits" in judgement.reason
    assert server.seen == []


def test_a_changed_or_missing_claim_and_other_families_are_inconclusive() -> None:
    observation = ended((504, "", 10.0), (504, "", 10.1))
    assert judge(SLOW, ITEM, {"server_seconds": 10}, observation).verdict == "verified"
    assert "claim changed" in judge(SLOW, ITEM, {"server_seconds": 6}, observation).reason
    assert judge(SLOW, ITEM, {}, observation).verdict == "inconclusive"
    observation, server = look(SLOW, Generator().handler(), family="embedding", claims={ITEM: {"server_seconds": 2}})
    assert "harm" in judge(SLOW, ITEM, {"server_seconds": 2}, observation).reason
    observation, server = look(SLOW, Generator().handler())
    assert server.seen == []
