"""Letting go of what has served its time: raw answers first, old findings and runs later."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import takewhile

from django.conf import settings
from django.db import transaction
from django.db.models import Exists, OuterRef, QuerySet
from django.utils import timezone

from checklists.evidence.models import Finding, ProbeRun, Transcript

BATCH = 1000  # rows of one transaction: no lock is held for long
SECONDS = 60.0  # of one call; the next one goes on

Rows = QuerySet[Transcript] | QuerySet[Finding] | QuerySet[ProbeRun]


@dataclass(frozen=True)
class Dropped:
    """How many rows of each kind one call deleted, and whether its time was over before it was through."""

    answers: int
    findings: int
    runs: int
    more: bool


def drop_old(*, now: datetime | None = None, seconds: float = SECONDS) -> Dropped:
    """Delete raw answers, findings and runs older than the settings keep them, for about so many seconds.

    What stands now is never deleted, however old, and sign-offs and the journal hold copies of what they speak of.
    Small batches, the oldest first, each in a transaction of its own; rows that somebody holds are left to the next
    call.
    """
    until = time.monotonic() + seconds
    answers, findings, runs = (sum(takewhile(bool, _batches(rows, until))) for rows in old(now or timezone.now()))
    return Dropped(answers, findings, runs, more=time.monotonic() >= until)


def old(now: datetime) -> tuple[QuerySet[Transcript], QuerySet[Finding], QuerySet[ProbeRun]]:
    """What has served its time, the oldest first: by an index each."""
    answers = now - timedelta(days=settings.PREFLIGHT["KEEP_ANSWERS_DAYS"])
    findings = now - timedelta(days=settings.PREFLIGHT["KEEP_FINDINGS_DAYS"])
    of_it = {"run": OuterRef("pk")}
    runs = ProbeRun.objects.filter(created_at__lt=findings, state__in=["done", "failed"])
    return (
        Transcript.objects.filter(created_at__lt=answers).order_by("created_at"),
        Finding.objects.filter(measured_at__lt=findings, current=False).order_by("measured_at"),
        # Only those to which nothing belongs any more: deleting one deletes one row.
        runs.exclude(Exists(Finding.objects.filter(**of_it)) | Exists(Transcript.objects.filter(**of_it))).order_by(
            "created_at"
        ),
    )


def _batches(rows: Rows, until: float) -> Iterator[int]:
    """Delete batch after batch, and give how many rows each had."""
    (age,) = rows.query.order_by
    while time.monotonic() < until:
        with transaction.atomic():
            held = list(rows.select_for_update(of=("self",), skip_locked=True).values_list("pk", age)[:BATCH])
            rows.model._default_manager.filter(pk__in=[pk for pk, _ in held]).delete()
        yield len(held)
        if held:  # go on from there: what was just deleted still fills the index before it
            rows = rows.filter(**{f"{age}__gte": held[-1][1]})
