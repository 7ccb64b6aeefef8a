"""What time does: runs that fall due, workers that were lost, findings that go stale. All of it safe to repeat."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import Exists, F, OuterRef, Q, Subquery
from django.utils import timezone

from checklists import journal
from checklists.evidence.models import Finding, ProbeRun, RunReason, RunState
from checklists.evidence.services.runs import MAX_ATTEMPTS, QUEUE_PATIENCE, enqueue, fail_run, request_run
from checklists.journal.errors import DomainError
from checklists.registry.models import Endpoint, Release
from checklists.registry.services import lock_release

BEFORE_EXPIRY = timedelta(hours=1)
BETWEEN_RUNS = timedelta(hours=6)  # an endpoint that is down is asked again, but not all the time
AT_ONCE = 20  # so that many releases of one age are spread over many minutes


def due_releases(now: datetime) -> list[Release]:
    """Open releases with endpoints, never probed or with findings that run out soon; the longest waiting first."""
    runs = ProbeRun.objects.filter(release=OuterRef("pk"))
    ending = Finding.objects.current().filter(release=OuterRef("pk"), expires_at__lt=now + BEFORE_EXPIRY)
    return list(
        Release.objects.active()
        .filter(Exists(Endpoint.objects.filter(release=OuterRef("pk"))))
        .exclude(Exists(runs.active()))
        .annotate(last_run=Subquery(runs.order_by("-created_at").values("created_at")[:1]))
        .filter(Q(last_run=None) | Q(Exists(ending), last_run__lt=now - BETWEEN_RUNS))
        .order_by(F("last_run").asc(nulls_first=True), "pk")
        .select_related("model__team")[:AT_ONCE]
    )


def probe_due(*, now: datetime | None = None) -> int:
    """Queue runs for what is due; how many."""
    queued = 0
    for release in due_releases(now or timezone.now()):
        try:
            request_run(release=release, reason=RunReason.SCHEDULED)
        except DomainError:
            continue  # closed, or its last endpoint deleted, since the question was asked
        queued += 1
    return queued


def resume_abandoned(*, now: datetime | None = None) -> int:
    """Queue again what a lost worker or a lost message left behind; give up after three workers. How many were seen."""
    now = now or timezone.now()
    ids = list(ProbeRun.objects.abandoned(now).values_list("pk", flat=True)[:AT_ONCE])
    for run_id in ids:
        with transaction.atomic():
            run = ProbeRun.objects.select_for_update().filter(pk=run_id).first()
            if run is None or not run.is_active or run.lease_until is None or run.lease_until > now:
                continue
            if run.attempts < MAX_ATTEMPTS:
                run.state, run.lease_until = RunState.QUEUED, now + QUEUE_PATIENCE
                run.save(update_fields=["state", "lease_until"])
                enqueue(run_id)
                continue
        fail_run(run_id=run_id, error=f"Given up after {MAX_ATTEMPTS} workers were lost while working on it.")
    return len(ids)


def expire_findings(*, now: datetime | None = None) -> int:
    """Mark what counts no longer, one event per release; how many findings."""
    now = now or timezone.now()
    stale = Finding.objects.current().filter(expired_at=None, expires_at__lte=now)
    count = 0
    for release_id in list(stale.order_by().values_list("release_id", flat=True).distinct()[:200]):
        with transaction.atomic():
            release = lock_release(release_id)
            rows = list(stale.filter(release_id=release_id).values_list("pk", "item_key", "verdict"))
            if not rows:
                continue
            Finding.objects.filter(pk__in=[pk for pk, _, _ in rows]).update(expired_at=now)
            journal.record(
                verb="evidence.finding.expired",
                actor=None,
                subject=f"{release.subject}/findings",
                release_id=release_id,
                data={
                    "findings": len(rows),
                    "verified": sorted({key for _, key, verdict in rows if key and verdict == "verified"}),
                },
            )
            count += len(rows)
    return count
