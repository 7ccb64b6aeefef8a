"""Thin: each task fetches by primary key and calls a service. Delivered at least once, so each is safe to run twice."""

from __future__ import annotations

import time

from celery import shared_task

from checklists.evidence import runner, services

GO_ON_S = 3000.0  # less than the schedule's hour, so that there is one such chain


@shared_task(acks_late=True)
def run_probes(run_ids: list[int]) -> None:
    runner.perform_runs(run_ids=run_ids)


@shared_task(acks_late=True)
def probe_due() -> None:
    services.probe_due()


@shared_task(acks_late=True)
def resume_abandoned() -> None:
    services.resume_abandoned()


@shared_task(acks_late=True)
def expire_findings() -> None:
    services.expire_findings()


@shared_task(acks_late=True)
def drop_old(since: float | None = None) -> None:
    """One bounded turn after another while there is more to drop, until the schedule starts again. ``since``: when the
    first began, in seconds of the epoch."""
    since = time.time() if since is None else since
    if services.drop_old().more and time.time() - since < GO_ON_S:
        drop_old.delay(since)
