"""Letting go of what has served its time: raw answers first, old findings and runs later."""

from __future__ import annotations

import time
from datetime import datetime, timedelta

from django.conf import settings
from django.db.models import Exists, OuterRef, QuerySet
from django.utils import timezone

from checklists.evidence.models import Finding, ProbeRun, Transcript

BATCH = 1000  # rows of one transaction: no lock is held for long
SECONDS = 60.0  # of one call; the next one goes on


def drop_old(*, now: datetime | None = None, seconds: float = SECONDS) -> dict[str, int]:
    """Delete raw answers, findings and runs older than the settings keep them; how many of each.

    What stands now is never deleted, however old. Small batches, each in a transaction of its own.
    """
    now, until = now or timezone.now(), time.monotonic() + seconds
    answers = now - timedelta(days=settings.PREFLIGHT["KEEP_ANSWERS_DAYS"])
    findings = now - timedelta(days=settings.PREFLIGHT["KEEP_FINDINGS_DAYS"])
    standing = Finding.objects.filter(run=OuterRef("pk"))
    return {
        "answers": _drop(Transcript.objects.filter(created_at__lt=answers), until),
        "findings": _drop(Finding.objects.filter(measured_at__lt=findings, current=False), until),
        "runs": _drop(
            ProbeRun.objects.filter(created_at__lt=findings, state__in=["done", "failed"]).exclude(Exists(standing)),
            until,
        ),
    }


def _drop(rows: QuerySet[Transcript] | QuerySet[Finding] | QuerySet[ProbeRun], until: float) -> int:
    dropped = 0
    while time.monotonic() < until:
        ids = list(rows.order_by("pk").values_list("pk", flat=True)[:BATCH])
        if not ids:
            break
        rows.model._default_manager.filter(pk__in=ids).delete()
        dropped += len(ids)
    return dropped
