"""Doing runs: what is left of each is visited, without a transaction; then one transaction records what was seen."""

from __future__ import annotations

import logging
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator

from django.conf import settings

from checklists.evidence import services
from checklists.evidence.client import Client
from checklists.evidence.models import ProbeRun, RunReason
from checklists.evidence.probes import Probe
from checklists.evidence.services.runs import HEARTBEAT_S
from checklists.evidence.targets import jobs_of
from checklists.evidence.visiting import Job, visited

logger = logging.getLogger(__name__)

TICK_S = 1.0  # how often progress is written
TOGETHER = 50  # visits of one run that are recorded in one transaction


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
