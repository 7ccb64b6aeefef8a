"""Visiting: many endpoints at once on the network, and none of them twice at once.

The network lives on an event loop in a thread of its own; the database stays with the thread that was called. So
neither waits for the other, and as many endpoints are in memory as are being visited, however many there are to visit.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import logging
import queue
import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from django.conf import settings
from django.core.cache import cache
from django.utils import timezone

from checklists.evidence import services
from checklists.evidence.client import Client
from checklists.evidence.pace import Deadline
from checklists.evidence.probes import Observation, Probe, Target, Visit
from checklists.evidence.probes.visit import apart
from checklists.evidence.services.runs import HEARTBEAT_S
from checklists.registry.models import Endpoint

logger = logging.getLogger(__name__)

PROBE_BUDGET_S = 60.0  # of one probe at one endpoint
VISIT_BUDGET_S = 300.0  # of all probes at one endpoint
TICK_S = 1.0  # how long nothing may come back without a sign of life
PLACE_S = 60  # after which the place of a lost worker is free again; renewed with every HEARTBEAT_S


@dataclass(eq=False)
class Job:
    """One target to visit, and how many of its probes are done."""

    run_id: int
    endpoint: Endpoint | None
    target: Target
    probes: Sequence[Probe]
    done: int = 0
    result: services.Visited | None = None
    places: list[str] = field(default_factory=list)


async def visit(job: Job, client: Client) -> services.Visited:
    """Let every probe of a job look at its target. Never raises for anything a server does."""
    until = time.monotonic() + VISIT_BUDGET_S
    measured = []
    async with client.session() as session:
        here = Visit(job.target, session)
        for probe in job.probes:
            deadline = here.begin(min(PROBE_BUDGET_S, until - time.monotonic()))
            try:
                observation = here.clean(_refused(probe, job.target) or await _observed(probe, here, deadline, until))
            except Exception:  # a mistake of ours must not cost the other probes' findings
                logger.exception("probe %s failed on endpoint %s of run %s", probe.key, job.target.name, job.run_id)
                observation = {"error": "probe", "why": "The probe itself failed. This says nothing about the server."}
            requests = here.take_log()
            measured.append(services.Measurement(probe, observation, requests, timezone.now()))
            job.done += 1
        exchanges = await apart(here.clean_exchanges, here.kept)
        return services.Visited(job.endpoint, measured, exchanges, here.reached)


def _refused(probe: Probe, target: Target) -> Observation | None:
    if probe.bursts and not target.may_burst:
        return {"error": "not_allowed", "why": "The owner has not allowed a burst of requests to this endpoint."}
    if probe.generates and not target.may_generate:
        return {"error": "not_allowed", "why": "The owner has not allowed generating requests to this endpoint."}
    return None


async def _observed(probe: Probe, here: Visit, deadline: Deadline, until: float) -> Observation:
    try:
        async with (
            asyncio.timeout(max(0.0, until - time.monotonic())),
            asyncio.timeout(PROBE_BUDGET_S + 5) as deadline.timer,
        ):
            return await probe.observe(here)
    except TimeoutError:
        return {"error": "timeout", "why": "The time for this probe was used up before it was done."}


def visited(jobs: Iterable[Job], client: Client, *, at_once: int, per_host: int | None = None) -> Iterator[Job | None]:
    """Visit many targets at once; each job comes back when it is over, with its ``result``.

    ``None`` comes now and then while nothing is ready, so that the caller can say that it lives. Jobs are taken only as
    there is room for them. Of one host at most ``per_host`` (``PROBE_PER_HOST``) endpoints are visited at once, of one
    address one, over all workers; 0 means that nobody counts. The client counts the requests, also to servers that
    many endpoints share, within this worker.
    """
    limit = int(settings.PREFLIGHT["PROBE_PER_HOST"]) if per_host is None else per_host
    done: queue.SimpleQueue[Job] = queue.SimpleQueue()
    waiting: deque[Job] = deque()
    source = iter(jobs)
    under_way: list[Job] = []
    more = True
    renewed = time.monotonic()

    async def deliver(job: Job) -> None:
        try:
            job.result = await visit(job, client)
        finally:
            done.put(job)

    with _loop() as loop:
        while True:
            for _ in range(len(waiting)):
                job = waiting.popleft()
                if len(under_way) < at_once and _take_place(job, limit, under_way):
                    asyncio.run_coroutine_threadsafe(deliver(job), loop)
                    under_way.append(job)
                else:
                    waiting.append(job)
            while more and len(under_way) < at_once and len(waiting) < at_once:
                following = next(source, None)
                if following is None:
                    more = False
                elif _take_place(following, limit, under_way):
                    asyncio.run_coroutine_threadsafe(deliver(following), loop)
                    under_way.append(following)
                else:
                    waiting.append(following)
            if not under_way and not waiting:
                return
            if limit and time.monotonic() - renewed >= HEARTBEAT_S:
                renewed = time.monotonic()
                for job in under_way:
                    for place in job.places:
                        cache.touch(place, PLACE_S)
            try:
                job = done.get(timeout=0.1 if waiting else TICK_S)
            except queue.Empty:
                yield None
                continue
            under_way.remove(job)
            _leave_place(job)
            yield job


@contextlib.contextmanager
def _loop() -> Iterator[asyncio.AbstractEventLoop]:
    """An event loop in a thread of its own, and its end: whatever is still under way is cancelled."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="probes", daemon=True)
    thread.start()
    try:
        yield loop
    finally:
        asyncio.run_coroutine_threadsafe(_cancel_all(), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


async def _cancel_all() -> None:
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


# Places: how many visit one host or one address at once, counted in the cache that all workers share


def _take_place(job: Job, limit: int, under_way: list[Job]) -> bool:
    """Every endpoint that the job visits gets its place, or none does, so that no two jobs wait for each other."""
    if not job.target.url or not limit:
        return True
    targets = [job.target, *_beside(job)]
    addresses = {f"evidence:address:{_short(target.base)}" for target in targets}
    if any(place in addresses for other in under_way for place in other.places):
        return False
    for address in addresses:
        # What a lost worker of the same run left behind is ours: the lease says that it is lost.
        if not cache.add(address, job.run_id, PLACE_S) and cache.get(address) != job.run_id:
            _leave_place(job)
            return False
        job.places.append(address)
    for host in {_short(urlsplit(target.url).hostname or "") for target in targets}:
        places = (f"evidence:host:{host}:{number}" for number in range(limit))
        place = next((place for place in places if cache.add(place, job.run_id, PLACE_S)), None)
        if place is None:
            _leave_place(job)
            return False
        job.places.append(place)
    return True


def _beside(job: Job) -> list[Target]:
    """The other endpoints that its probes will visit."""
    allowed = [probe for probe in job.probes if _refused(probe, job.target) is None]
    return [other for probe in allowed if (other := probe.beside(job.target)) is not None]


def _short(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def _leave_place(job: Job) -> None:
    if job.places:
        cache.delete_many(job.places)
        job.places = []
