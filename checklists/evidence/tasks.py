"""Thin: each task fetches by primary key and calls a service. Delivered at least once, so each is safe to run twice."""

from __future__ import annotations

from celery import shared_task

from checklists.evidence import runner, services


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
def drop_old() -> None:
    services.drop_old()
