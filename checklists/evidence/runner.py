"""Doing runs: many endpoints at once on the network, without a transaction; then one transaction for what was seen.

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
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.core.cache import cache
from django.db.models import Min
from django.utils import timezone

from checklists.assessments.models import Answer
from checklists.evidence import services
from checklists.evidence.client import Client
from checklists.evidence.facts import release_facts
from checklists.evidence.models import Finding, ProbeRun, RunReason
from checklists.evidence.pace import Deadline
from checklists.evidence.probes import PROBES, Observation, Probe, Target, Visit
from checklists.evidence.probes.visit import apart
from checklists.evidence.services.runs import HEARTBEAT_S
from checklists.registry.models import Endpoint, Release

logger = logging.getLogger(__name__)

PROBE_BUDGET_S = 60.0  # of one probe at one endpoint
VISIT_BUDGET_S = 300.0  # of all probes at one endpoint
TICK_S = 1.0  # how often progress is written
TOGETHER = 50  # visits of one run that are recorded in one transaction
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


def perform_run(*, run_id: int, client: Client | None = None) -> bool:
    """Claim a run and do what is left of it; False if it is over or in another worker's hands."""
    return perform_runs(run_ids=[run_id], client=client) == 1


def perform_runs(
    *, run_ids: Iterable[int], client: Client | None = None, only: Callable[[Probe], bool] | None = None
) -> int:
    """Claim runs and do what is left of them, many endpoints at once; how many came to their end here.

    ``only`` leaves out the probes for which it is false.

    Safe to call twice, also at the same time: only the holder of the lease writes, and what is recorded is not measured
    again. A run is claimed when there is room for it, so memory does not grow with the number of runs.
    """
    work = _Work(only)
    limit = int(settings.PREFLIGHT["PROBE_AT_ONCE"])
    for job in visited(work.jobs(run_ids), client or make_client(), at_once=limit):
        work.beat()
        if job is not None:
            work.record(job)
    return work.finished


class _Work:
    """The runs in hand: what is left of each, and when their leases were last renewed."""

    def __init__(self, only: Callable[[Probe], bool] | None) -> None:
        self.finished = 0
        self._only = only
        self._runs: dict[int, ProbeRun] = {}
        self._open: dict[int, set[int]] = {}  # run → ids of jobs not yet recorded
        self._jobs: dict[int, dict[int, Job]] = {}
        self._ready: dict[int, list[Job]] = defaultdict(list)
        self._renewed = self._ticked = time.monotonic()

    def jobs(self, run_ids: Iterable[int]) -> Iterator[Job]:
        """Claim one run after the other and hand out its visits."""
        for run_id in run_ids:
            run = services.claim_run(run_id=run_id)
            if run is None:
                continue
            jobs = jobs_of(run, self._only)
            total = sum(len(job.probes) for job in jobs)
            run.progress_total = max(run.progress_total, total)
            self._runs[run.pk] = run
            self._jobs[run.pk] = {id(job): job for job in jobs}
            self._open[run.pk] = set(self._jobs[run.pk])
            services.renew_leases([run])  # tells how much there is to do
            if jobs:
                yield from jobs
            else:
                self._finish(run.pk)

    def beat(self) -> None:
        """Write progress and renew the leases, when it is time."""
        now = time.monotonic()
        if now - self._ticked < TICK_S or not self._runs:
            return
        self._ticked = now
        moved = []
        for pk, run in self._runs.items():
            left = sum(len(job.probes) - job.done for job in self._jobs[pk].values())
            done = run.progress_total - left
            if done != run.progress_done:
                run.progress_done = done
                moved.append(run)
        if now - self._renewed >= HEARTBEAT_S:
            self._renewed, moved = now, list(self._runs.values())
        for pk in services.renew_leases(moved) if moved else ():
            self._lose(pk)

    def record(self, job: Job) -> None:
        """Take a visit that is over; write those of its run together when they are many, or the last."""
        pk = job.run_id
        if pk not in self._runs:
            return  # another worker has the run
        self._ready[pk].append(job)
        self._open[pk].discard(id(job))
        if len(self._ready[pk]) < TOGETHER and self._open[pk] and not self._lonely(pk):
            return
        ready, self._ready[pk] = self._ready[pk], []
        try:
            services.record_findings(run=self._runs[pk], visits=[each.result for each in ready if each.result])
        except services.LeaseLost:
            self._lose(pk)
            return
        for each in ready:
            each.result = None
        if not self._open[pk]:
            self._finish(pk)

    def _lonely(self, pk: int) -> bool:
        """Someone waits for this run: what is seen is shown at once."""
        return self._runs[pk].reason == RunReason.MANUAL

    def _finish(self, pk: int) -> None:
        try:
            services.finish_run(run=self._runs[pk])
        except services.LeaseLost:
            self._lose(pk)
            return
        self._forget(pk)
        self.finished += 1

    def _lose(self, pk: int) -> None:
        logger.warning("run %s was taken over by another worker", pk)
        self._forget(pk)

    def _forget(self, pk: int) -> None:
        for mapping in (self._runs, self._open, self._jobs, self._ready):
            mapping.pop(pk, None)


def make_client() -> Client:
    """The safe HTTP client under today's policy."""
    limits = settings.PREFLIGHT
    return Client(
        policy=services.current_policy(),
        timeout_s=limits["PROBE_TIMEOUT_SECONDS"],
        max_bytes=int(limits["PROBE_MAX_BYTES"]),
        per_host=int(limits["PROBE_PER_HOST"]),
    )


# What is to be visited


def jobs_of(run: ProbeRun, only: Callable[[Probe], bool] | None = None) -> list[Job]:
    """The visits that are left of a run: every endpoint, and the release itself. A constant number of queries.

    A scheduled run leaves out what still counts for long enough, unless the endpoint was changed since or nobody was
    there, and what only a person may ask for.
    """
    release = Release.objects.select_related("model__team", "edition").get(pk=run.release_id)
    recorded = set(Finding.objects.filter(run=run).values_list("endpoint_name", flat=True).distinct())
    scheduled = run.reason == RunReason.SCHEDULED
    standing = _standing(release) if scheduled else {}
    anew = services.asked_anew(release) if scheduled else set()
    jobs = []
    for endpoint, target in targets_of(release, scheduled=scheduled):
        place = endpoint.pk if endpoint else None
        due = [
            probe
            for probe in _probes(target)
            if (place in anew or not standing.get((place, probe.key))) and (not only or only(probe))
        ]
        if due and target.name not in recorded:
            jobs.append(Job(run.pk, endpoint, target, due))
    return jobs


def _probes(target: Target) -> list[Probe]:
    about = "endpoint" if target.url else "release"
    return [
        probe
        for probe in PROBES.values()
        if probe.about == about and not probe.local and not (probe.by_hand and target.scheduled)
    ]


def _standing(release: Release) -> dict[tuple[int | None, str], bool]:
    """Which probes need not run again yet, by endpoint and key."""
    now = timezone.now()
    rows = Finding.objects.current().filter(release=release).order_by()
    first = rows.values_list("endpoint_id", "probe").annotate(Min("expires_at"), Min("measured_at"))
    return {
        (endpoint, probe): now < measured + (expires - measured) * services.BEFORE_EXPIRY * (1 - services.JITTER)
        for endpoint, probe, expires, measured in first
    }


def targets_of(release: Release, *, scheduled: bool = False) -> list[tuple[Endpoint | None, Target]]:
    """A release's endpoints and the release itself as probes may see them, each knowing of the others."""
    claims = {
        key: values if isinstance(values, dict) else {}
        for key, values in Answer.objects.filter(release=release).values_list("item__key", "claims")
    }
    hint = claims.get("identity.name-version", {}).get("model_id")
    shared: dict[str, Any] = {
        "family": release.model.family,
        "model_hint": hint if isinstance(hint, str) else "",
        "scheduled": scheduled,
        "claims": claims,
    }
    facts, fingerprints, pages = release_facts(release), services.Fingerprints(release), services.LastPages(release)
    if before := facts.get("previous"):
        facts["previous"] = {**before, "endpoints": _previous(release, before["version"])}
    endpoints = list(Endpoint.objects.filter(release=release).order_by("pk"))
    alone = [
        _target(endpoint, facts={**facts, **fingerprints.facts(endpoint.name), **pages.facts(endpoint.name)}, **shared)
        for endpoint in endpoints
    ]
    found: list[tuple[Endpoint | None, Target]] = [
        (endpoint, replace(target, siblings=tuple(other for other in alone if other is not target)))
        for endpoint, target in zip(endpoints, alone, strict=True)
    ]
    first = next((target for target in alone if target.prometheus_url), None)
    itself = Target(
        name="",
        url="",
        prometheus_url=first.prometheus_url if first else "",
        alertmanager_url=first.alertmanager_url if first else "",
        labels=first.labels if first else {},
        siblings=tuple(alone),
        facts=facts,
        **shared,
    )
    return [*found, (None, itself)]


def _target(endpoint: Endpoint, **more: Any) -> Target:
    return Target(
        name=endpoint.name,
        url=endpoint.url,
        stack=endpoint.stack,
        metrics_url=endpoint.metrics_url,
        prometheus_url=endpoint.prometheus_url,
        alertmanager_url=endpoint.alertmanager_url,
        labels=endpoint.labels if isinstance(endpoint.labels, dict) else {},
        headers=endpoint.headers if isinstance(endpoint.headers, dict) else {},
        may_generate=endpoint.may_generate,
        may_burst=endpoint.may_burst,
        series=endpoint.series_length,
        **more,
    )


def _previous(release: Release, version: str) -> list[Target]:
    """Endpoints of another release of the model, each with its own credentials and its owner's permission."""
    other = Release.objects.filter(model=release.model_id, version=version).values("pk")[:1]
    named = Answer.objects.filter(release__in=other, item__key="identity.name-version").values_list("claims", flat=True)
    claims = named.first()
    hint = claims.get("model_id") if isinstance(claims, dict) else ""
    return [
        _target(endpoint, family=release.model.family, model_hint=hint if isinstance(hint, str) else "")
        for endpoint in Endpoint.objects.filter(release__in=other).order_by("name")
    ]


# Visiting


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
