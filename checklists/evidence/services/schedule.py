"""What time does: runs that fall due, workers that were lost, findings that go stale. All of it safe to repeat."""

from __future__ import annotations

import random
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime, timedelta
from urllib.parse import urlsplit

from django.db import transaction
from django.db.models import Min, Q
from django.utils import timezone

from checklists import journal
from checklists.evidence.models import Finding, ProbeRun, ProbeSchedule, RunReason, RunState, Verdict
from checklists.evidence.probes import PROBES
from checklists.evidence.services.runs import MAX_ATTEMPTS, QUEUE_PATIENCE, enqueue, fail_run, request_run
from checklists.journal.errors import DomainError
from checklists.journal.models import Event
from checklists.registry.models import Release
from checklists.registry.services import URL_FIELDS, lock_release

BEFORE_EXPIRY = 0.9  # of the time a finding counts has passed when its probe is run again, less or more by JITTER
JITTER = 0.08
AT_LEAST = timedelta(minutes=30)
AT_ONCE = 500  # runs one look may queue
IN_ONE_MESSAGE = 25  # runs one task does side by side
BACK_OFF = timedelta(minutes=30)  # doubled for every run in a row in which nobody was there
MAX_BACK_OFF = timedelta(hours=24)
# What decides how an endpoint is asked, and so what is found there.
HOW_ASKED = (*URL_FIELDS, "stack", "labels", "headers", "may_generate")


def due_schedules(now: datetime) -> list[ProbeSchedule]:
    """What is due, the longest waiting first. One query, by index."""
    rows = ProbeSchedule.objects.filter(due_at__lte=now).order_by("due_at", "pk")
    return list(rows.select_related("release__model__team")[:AT_ONCE])


def probe_due(*, now: datetime | None = None) -> int:
    """Queue runs for what is due; how many."""
    now = now or timezone.now()
    due = due_schedules(now)
    releases = {row.release_id: row.release for row in due}
    ids, under_way = [], []
    for release in releases.values():
        with suppress(DomainError):  # closed since the question was asked
            run = request_run(release=release, reason=RunReason.SCHEDULED, deliver=False)
            if run.state == RunState.RUNNING:
                under_way.append(release.pk)
            elif run.reason == RunReason.SCHEDULED:
                ids.append(run.pk)
    # The run itself plans the next one; until then, and should it be lost, nobody asks again. One that is under way may
    # not know of what fell due since it began. What was changed in the meantime stays due.
    rows = ProbeSchedule.objects.filter(pk__in=[row.pk for row in due], due_at__lte=now)
    rows.filter(release__in=under_way).update(due_at=now + QUEUE_PATIENCE)
    rows.exclude(release__in=under_way).update(due_at=now + MAX_BACK_OFF)
    for start in range(0, len(ids), IN_ONE_MESSAGE):
        enqueue(ids[start : start + IN_ONE_MESSAGE])
    return len(ids)


def asked_anew(release: Release) -> set[int | None]:
    """The endpoints (``None``: the release itself) at which nothing that was measured makes a visit superfluous: asked
    otherwise than then, or dead. One query."""
    rows = ProbeSchedule.objects.filter(Q(probed_at=None) | Q(failures__gt=0), release=release)
    return set(rows.values_list("endpoint_id", flat=True))


def plan_next(*, release: Release, reached: Mapping[int | None, bool]) -> None:
    """Plan the next visit of each endpoint (``None``: the release itself), by id and whether anybody was there.

    An endpoint that answered is due again shortly before the first of its findings stops to count, with some jitter so
    that what began together does not stay together. What only a person can have measured again expires without a visit.
    From a dead one, and from everything on its host, it backs off. A constant number of queries, and one for each dead
    host.
    """
    now = timezone.now()
    renewed = [probe.key for probe in PROBES.values() if not probe.by_hand]
    ending = Finding.objects.current().filter(release=release, run__isnull=False, expires_at__gt=now).order_by()
    ending = ending.filter(probe__in=renewed)
    soonest = dict(ending.values_list("endpoint_id").annotate(Min("expires_at")))
    rows = list(ProbeSchedule.objects.filter(release=release).filter(_of(reached)))
    for row in rows:
        row.probed_at = now
        row.failures = 0 if reached[row.endpoint_id] or row.endpoint_id is None else min(row.failures + 1, 100)
        wait = (soonest.get(row.endpoint_id, now + MAX_BACK_OFF) - now) * BEFORE_EXPIRY
        if row.failures:
            wait = min(BACK_OFF * 2 ** min(row.failures - 1, 10), MAX_BACK_OFF)
        spread = random.uniform(1 - JITTER, 1 + JITTER)  # noqa: S311  # nothing secret
        row.due_at = now + max(wait * spread, AT_LEAST)
    ProbeSchedule.objects.bulk_update(rows, ["due_at", "failures", "probed_at"])
    for row in rows:
        if row.failures > 1 and row.host:
            ProbeSchedule.objects.filter(host=row.host, failures__gt=0, due_at__lt=row.due_at).update(due_at=row.due_at)


def _of(reached: Mapping[int | None, bool]) -> Q:
    return Q(endpoint_id__in=[pk for pk in reached if pk is not None]) | (
        Q(endpoint=None) if None in reached else Q(pk__in=[])
    )


def keep_schedule(event: Event) -> None:
    """Subscriber: a release or an endpoint came, moved or was closed; what is new or changed is due at once."""
    release = Release.objects.get(pk=event.release_id)
    if release.is_closed:
        ProbeSchedule.objects.filter(release=release).delete()
        return
    if event.verb == "registry.endpoint.changed" and not set(HOW_ASKED).isdisjoint(event.data["changed"]):
        moved = release.endpoints.filter(pk=int(event.subject.rpartition("/")[2])).first()
        ProbeSchedule.objects.filter(endpoint=moved).update(
            host=_host(moved.url) if moved else "", due_at=timezone.now(), failures=0, probed_at=None
        )
    schedule_visits(release=release)


def schedule_visits(*, release: Release) -> None:
    """Give the release and each endpoint that has none a time to be visited: now. Three queries."""
    now = timezone.now()
    known = set(ProbeSchedule.objects.filter(release=release).values_list("endpoint_id", flat=True))
    rows = [ProbeSchedule(release=release, due_at=now)] if None not in known else []
    rows += [
        ProbeSchedule(release=release, endpoint=endpoint, host=_host(endpoint.url), due_at=now)
        for endpoint in release.endpoints.all()
        if endpoint.pk not in known
    ]
    ProbeSchedule.objects.bulk_create(rows, ignore_conflicts=True)


def _host(url: str) -> str:
    return (urlsplit(url).hostname or "")[:255]


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
                enqueue([run_id])
                continue
        fail_run(run_id=run_id, error=f"Given up after {MAX_ATTEMPTS} workers were lost while working on it.")
    return len(ids)


def expire_findings(*, now: datetime | None = None) -> int:
    """Mark what counts no longer, one event per release; how many findings.

    The event names the items that nothing verifies any more.
    """
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
            verifying = Finding.objects.fresh(now).filter(release_id=release_id, verdict=Verdict.VERIFIED)
            still = set(verifying.values_list("item_key", flat=True))
            journal.record(
                verb="evidence.finding.expired",
                actor=None,
                subject=f"{release.subject}/findings",
                release_id=release_id,
                data={
                    "findings": len(rows),
                    "verified": sorted({key for _, key, verdict in rows if key and verdict == "verified"} - still),
                },
            )
            count += len(rows)
    return count
