"""How fast servers are asked: every host by few at once, nobody's time lost by waiting, dead servers not waited for."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest

from checklists.evidence import visiting
from checklists.evidence.client import Client, FetchError, Response
from checklists.evidence.network import system_connector
from checklists.evidence.probes import PROBES, Target, Visit
from checklists.evidence.probes.generation import burst
from tests.evidence.generating import Generator
from tests.evidence.loopback import Request, Server, loopback_client, routes, run, serving
from tests.evidence.test_generation_burst import Full


def everything_here(host: str, port: int) -> list[str]:
    """Every name is this machine's, so that servers of several hosts can be had on loopback."""
    return ["127.0.0.1"]


def client(**options: Any) -> Client:
    return loopback_client(**{"resolver": everything_here, **options})


class Counting:
    """Answers after a while, and knows how many requests to each host were under way at once."""

    def __init__(self, seconds: float = 0.05) -> None:
        self.seconds = seconds
        self.now: dict[str, int] = {}
        self.most: dict[str, int] = {}
        self.lock = threading.Lock()

    @contextmanager
    def inside(self, key: str) -> Iterator[None]:
        with self.lock:
            self.now[key] = self.now.get(key, 0) + 1
            self.most[key] = max(self.most.get(key, 0), self.now[key])
        try:
            time.sleep(self.seconds)
            yield
        finally:
            with self.lock:
                self.now[key] -= 1  # before the answer goes out, for the next request may come right after it

    def __call__(self, request: Request) -> None:
        with self.inside(request.headers["host"].partition(":")[0]):
            pass
        request.reply(404)


def at(server: Server, host: str, path: str = "") -> str:
    return f"http://{host}:{server.port}{path}"


def visited(targets: list[Target], keys: list[str], client: Client, **options: Any) -> list[visiting.Job]:
    jobs = [visiting.Job(n, None, target, [PROBES[key] for key in keys]) for n, target in enumerate(targets)]
    return [job for job in visiting.visited(jobs, client, at_once=20, **options) if job is not None]


# Turns


def test_a_server_that_many_endpoints_share_is_asked_by_few_at_once_whoever_asks() -> None:
    count = Counting()
    with serving(count) as server:
        shared = at(server, "prometheus.example")
        targets = [
            Target(name=f"e{n}", url=at(server, f"e{n}.example"), prometheus_url=shared, labels={"job": f"e{n}"})
            for n in range(10)
        ]
        claims = {"operations.dependencies": {"health_url": f"{shared}/health"}}
        itself = Target(name="", url="", claims=claims)
        one = client(per_host=2)
        jobs = [
            visiting.Job(n, None, target, [PROBES["prometheus.throughput" if target.url else "release.dependencies"]])
            for n, target in enumerate([*targets, *[itself] * 6])
        ]
        done = [job for job in visiting.visited(jobs, one, at_once=16) if job is not None]
    assert len(done) == 16
    assert count.most["prometheus.example"] == 2
    assert server.asked().count("GET /health") == 6
    assert sum(request.path.startswith("/api/v1/") for request in server.seen) >= 10


def test_hosts_do_not_wait_for_each_other_and_without_a_limit_nobody_does() -> None:
    count = Counting(0.2)

    async def ask(client: Client, urls: list[str]) -> None:
        async with client.session() as session:
            await asyncio.gather(*(session.fetch("GET", url) for url in urls))

    with serving(count) as server:
        run(ask(client(per_host=1), [at(server, "a.example"), at(server, "b.example")] * 3))
        assert count.most == {"a.example": 1, "b.example": 1}
        run(ask(client(), [at(server, "c.example")] * 5))
    assert count.most["c.example"] == 5


def test_a_host_that_others_redirect_to_is_asked_by_few_at_once() -> None:
    count = Counting()

    def handle(request: Request) -> None:
        if request.headers["host"].startswith("login."):
            return count(request)
        return request.reply(302, b"", {"Location": at(server, "login.example")})

    async def ask(client: Client) -> None:
        async with client.session() as session:
            await asyncio.gather(*(session.fetch("GET", at(server, f"e{n}.example")) for n in range(8)))

    with serving(handle) as server:
        run(ask(client(per_host=2)))
    assert count.most == {"login.example": 2}


def test_waiting_for_a_turn_takes_no_time_of_a_request_and_is_no_latency() -> None:
    async def ask(client: Client) -> list[Response]:
        async with client.session() as session:
            return await asyncio.gather(*(session.fetch("GET", server.url) for _ in range(6)))

    with serving(Counting(0.2)) as server:
        started = time.monotonic()
        answers = run(ask(client(per_host=1, timeout_s=0.6)))
    assert time.monotonic() - started > 1.2
    assert max(answer.elapsed_s for answer in answers) < 0.6


def test_waiting_for_a_turn_takes_no_time_of_a_probe_but_a_visit_ends_all_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[str] = []

    class Asking(type(PROBES["endpoint.health"])):  # type: ignore[misc]
        async def observe(self, visit: Visit) -> dict[str, Any]:
            answers = [await visit.get(at(server, "shared.example"), fresh=True) for _ in range(3)]
            asked.extend(answer.why if answer.error else "answered" for answer in answers)
            return {"error": "none", "why": "seen"}

    monkeypatch.setitem(PROBES, "endpoint.health", Asking())
    monkeypatch.setattr(visiting, "PROBE_BUDGET_S", 1.2)
    with serving(Counting(0.2)) as server:
        targets = [Target(name=f"e{n}", url=at(server, f"e{n}.example")) for n in range(4)]
        visited(targets, ["endpoint.health"], client(per_host=1))
        assert asked == ["answered"] * 12  # 2.4 s in all, of which each probe has 0.6
        monkeypatch.setattr(visiting, "VISIT_BUDGET_S", 0.5)
        done = visited(targets, ["endpoint.health"], client(per_host=1))
    seen = [job.result.measurements[0].observation for job in done if job.result]
    assert {observation["error"] for observation in seen} == {"timeout"}


def test_a_burst_is_not_held_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(burst, "SECONDS", 1.0)
    monkeypatch.setattr(burst, "LOOK_AFTER_S", 0.1)
    full = Full(64, "wait", seconds=0.1)
    with serving(routes(full.table())) as server:
        target = Target(name="main", url=server.url, stack="vllm", may_generate=True, may_burst=True)
        visited([target], ["generation.burst"], client(per_host=2))
    assert full.most == burst.AT_ONCE


# Servers that do not answer


def dead(hosts: list[str], tried: list[str]) -> dict[str, Any]:
    """A client's resolver and connector for which some hosts swallow every connection."""

    def resolver(host: str, port: int) -> list[str]:
        return ["127.0.0.99"] if host in hosts else ["127.0.0.1"]

    async def connector(address: tuple[str, int]) -> socket.socket:
        if address[0] == "127.0.0.99":
            tried.append(address[0])
            await asyncio.sleep(30)
        return await system_connector(address)

    return {"resolver": resolver, "connector": connector}


def test_a_dead_server_that_many_share_is_waited_for_by_the_first_only() -> None:
    tried: list[str] = []
    with serving(routes({"/health": ""})) as server:
        targets = [
            Target(
                name=f"e{n}",
                url=at(server, f"e{n}.example"),
                prometheus_url="http://gone.example:9090",
                labels={"job": "x"},
            )
            for n in range(20)
        ]
        started = time.monotonic()
        done = visited(
            targets, ["prometheus.throughput"], client(per_host=2, timeout_s=0.5, **dead(["gone.example"], tried))
        )
    assert len(done) == 20
    assert len(tried) == 2  # those that asked before it was known
    assert time.monotonic() - started < 4
    whys = {job.result.measurements[0].observation["why"] for job in done if job.result}
    assert whys == {
        "Prometheus: No complete answer within 0.5 s.",
        "Prometheus: No complete answer within 0.5 s. "
        "That was so less than a minute ago, when another request asked it.",
    }


def test_an_endpoint_itself_is_asked_every_time() -> None:
    tried: list[str] = []
    quick = client(per_host=2, timeout_s=0.2, **dead(["gone.example"], tried))
    for _ in range(2):
        visited([Target(name="main", url="http://gone.example:8000", stack="vllm")], ["endpoint.health"], quick)
    before = len(tried)
    assert before >= 2

    async def ask(shared: bool) -> FetchError:
        async with quick.session() as session:
            with pytest.raises(FetchError) as failure:
                await session.fetch("GET", "http://gone.example:8000/", shared=shared)
            return failure.value

    assert "less than a minute" not in run(ask(True)).reason  # what it did as an endpoint is held against nobody
    assert "less than a minute" in run(ask(True)).reason
    assert "less than a minute" not in run(ask(False)).reason
    assert len(tried) == before + 2


def test_a_server_that_is_slow_or_was_given_little_time_is_asked_again() -> None:
    async def ask(client: Client, **options: Any) -> None:
        async with client.session() as session:
            for _ in range(2):
                with pytest.raises(FetchError) as failure:
                    await session.fetch("GET", url, shared=True, **options)
                assert "less than a minute" not in failure.value.reason

    with serving(Counting(1.0)) as server:
        url = at(server, "slow.example")
        run(ask(client(timeout_s=0.2)))
    tried: list[str] = []
    url = "http://gone.example:9090"
    run(ask(client(**dead(["gone.example"], tried)), timeout_s=0.2))
    assert len(tried) == 2


def test_what_is_remembered_is_forgotten_again(monkeypatch: pytest.MonkeyPatch) -> None:
    one = client(timeout_s=0.2)
    monkeypatch.setattr(one.silence, "LASTS_S", 0.3)

    async def ask() -> str:
        async with one.session() as session:
            try:
                await session.fetch("GET", url, shared=True)
            except FetchError as error:
                return error.reason
            return ""

    with serving(routes({"/": "here"})) as server:
        url = at(server, "back.example", "/")
    assert "Nothing answers" in run(ask())
    assert "less than a minute ago" in run(ask())
    time.sleep(0.35)
    assert "less than a minute ago" not in run(ask())


# Two endpoints in one visit


def test_the_release_before_is_not_visited_while_another_worker_visits_it() -> None:
    count = Counting(0.05)

    def counted(handler: Callable[[Request], Any], key: str) -> Callable[[Request], Any]:
        def handle(request: Request) -> None:
            with count.inside(key):
                pass
            handler(request)

        return handle

    with serving(counted(Generator().handler(), "old")) as old, serving(Generator().handler()) as new:
        before = Target(name="old", url=old.url, stack="vllm", may_generate=True)
        facts = {"previous": {"version": "1.0", "endpoints": [before]}}
        target = Target(name="new", url=new.url, stack="vllm", may_generate=True, facts=facts)
        results: list[visiting.Job] = []

        def worker(number: int, target: Target) -> None:
            probe = PROBES["generation.compatibility" if target is not before else "endpoint.health"]
            jobs = [visiting.Job(10 * number + n, None, target, [probe]) for n in range(4)]
            results.extend(job for job in visiting.visited(jobs, client(), at_once=3, per_host=3) if job is not None)

        with ThreadPoolExecutor(2) as workers:
            for waiting in [workers.submit(worker, n, each) for n, each in enumerate((target, before))]:
                waiting.result(60)
    assert count.most == {"old": 1}
    compared = [job.result.measurements[0].observation for job in results if job.result and job.target is target]
    assert [observation.get("version") for observation in compared] == ["1.0"] * 4


def test_two_endpoints_of_one_host_fit_where_one_may_be_visited_at_once() -> None:
    with serving(Generator().handler()) as server:
        a, b = (Target(name=n, url=f"{server.url}/{n}", stack="vllm", may_generate=True) for n in "ab")
        pair = [Target(**{**one.__dict__, "siblings": (other,)}) for one, other in ((a, b), (b, a))]
        done = visited(pair, ["generation.compatibility"], client(), per_host=1)
    assert len(done) == 2
    assert not any(job.places for job in done)
