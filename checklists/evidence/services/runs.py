"""The life of a run: asked for, claimed by one worker at a time, finished. A lease tells slow from lost workers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
from datetime import timedelta
from functools import partial

from django.db import transaction
from django.utils import timezone

from checklists import journal
from checklists.evidence.models import Finding, ProbeRun, RunReason, RunState
from checklists.journal.errors import DomainError, WrongStage
from checklists.people.models import User
from checklists.people.rules import require
from checklists.registry.models import Release
from checklists.registry.services import lock_release

# Renewed every HEARTBEAT_S while the worker lives, however long a probe takes.
LEASE = timedelta(seconds=90)
HEARTBEAT_S = 15.0
# How long a queued run may wait before it is put into the queue again: its message may have been lost.
QUEUE_PATIENCE = timedelta(minutes=3)
MAX_ATTEMPTS = 3


class LeaseLost(Exception):
    """Another worker has taken this run over; whoever gets this stops and writes nothing more."""


@transaction.atomic
def request_run(
    *, release: Release, by: User | None = None, reason: str = RunReason.MANUAL, deliver: bool = True
) -> ProbeRun:
    """Queue a run over the release and its endpoints, or return the one that is queued or running already.

    A scheduled one leaves out much: queued, it becomes what a person asks for; running, it is followed by that.
    ``by`` is ``None`` for the schedule, which delivers many runs in one message (``deliver=False``). Raises
    ``Forbidden``, and ``WrongStage`` for a closed release.
    """
    if by is not None:
        require(by, "probe.run", release, message="Members of the team who may answer, and reviewers, can start a run.")
    release = lock_release(release.pk)
    if active := ProbeRun.objects.active().filter(release=release).select_for_update().first():
        if by is not None and active.reason == RunReason.SCHEDULED and active.requested_by_id is None:
            active.requested_by = by
            if active.state == RunState.QUEUED:
                active.reason = RunReason.MANUAL
            active.save(update_fields=["requested_by", "reason"])
            _tell_of(release, active, by)
        return active
    if release.is_closed:
        raise WrongStage(f"Nothing was started: this release is {release.get_stage_display().lower()}.")
    now = timezone.now()
    run = ProbeRun.objects.create(
        release=release,
        reason=reason,
        requested_by=by,
        created_at=now,
        lease_until=now + QUEUE_PATIENCE,
    )
    _tell_of(release, run, by)
    if deliver:
        enqueue([run.pk])
    return run


def _tell_of(release: Release, run: ProbeRun, by: User | None) -> None:
    journal.record(
        verb="evidence.run.requested",
        actor=by,
        subject=subject_of(release, run),
        release_id=release.pk,
        data={"run": run.pk, "reason": run.reason, "endpoints": release.endpoints.count()},
    )


def enqueue(run_ids: Sequence[int]) -> None:
    """Hand runs to a worker, which does them side by side, once the present transaction is committed."""
    from checklists.evidence.tasks import run_probes  # tasks are thin and import the services

    # If the broker is away the runs stay queued, and the next look for abandoned runs sends the message again.
    transaction.on_commit(partial(run_probes.delay, list(run_ids)), robust=True)


def subject_of(release: Release, run: ProbeRun) -> str:
    """The run's path in the API and in the journal."""
    return f"{release.subject}/probe-runs/{run.pk}"


@transaction.atomic
def claim_run(*, run_id: int) -> ProbeRun | None:
    """Take a run for oneself, for the time of a lease; ``None`` if it is gone, over, or in another's hands.

    ``attempts`` of the run that comes back is the ticket for whatever is written in its name.
    """
    run = ProbeRun.objects.select_for_update().filter(pk=run_id).first()
    now = timezone.now()
    if run is None or not run.is_active:
        return None
    if run.state == RunState.RUNNING and run.lease_until is not None and now < run.lease_until:
        return None
    if run.attempts >= MAX_ATTEMPTS:
        return None  # the next look for abandoned runs closes it
    run.state = RunState.RUNNING
    run.attempts += 1
    run.started_at = run.started_at or now
    run.lease_until = now + LEASE
    run.save(update_fields=["state", "attempts", "started_at", "lease_until"])
    return run


def renew_leases(runs: Iterable[ProbeRun]) -> set[int]:
    """Say that one is still at work on these runs, and how far; the ids of those another worker has taken over.

    ``progress_done`` and ``progress_total`` are written as they stand in the objects, counted in checks. Two queries
    while nothing progresses, one more for each run that does.
    """
    held = {run.pk: run for run in runs}
    rows = ProbeRun.objects.filter(pk__in=held, state=RunState.RUNNING)
    mine = {row.pk: row for row in rows if row.attempts == held[row.pk].attempts}
    rows.filter(pk__in=mine).update(lease_until=timezone.now() + LEASE)
    for pk, row in mine.items():
        progress = {"progress_done": held[pk].progress_done, "progress_total": held[pk].progress_total}
        if progress != {name: getattr(row, name) for name in progress}:
            rows.filter(pk=pk, attempts=row.attempts).update(**progress)
    return set(held) - set(mine)


def hold(*, run: ProbeRun) -> ProbeRun:
    """The run's row, locked, if the ticket still holds; else ``LeaseLost``. Lock the release first."""
    row = ProbeRun.objects.select_for_update().filter(pk=run.pk, state=RunState.RUNNING, attempts=run.attempts).first()
    if row is None:
        raise LeaseLost
    return row


@transaction.atomic
def finish_run(*, run: ProbeRun) -> None:
    """Everything is measured. Raises ``LeaseLost``."""
    release = lock_release(run.release_id)
    _close(release, hold(run=run), RunState.DONE, "")


@transaction.atomic
def fail_run(*, run_id: int, error: str) -> None:
    """Give a run up, with the reason in words; what it recorded stays. Does nothing to a run that is over."""
    release_id = ProbeRun.objects.values_list("release_id", flat=True).get(pk=run_id)
    release = lock_release(release_id)
    row = ProbeRun.objects.select_for_update().get(pk=run_id)
    if row.is_active:
        _close(release, row, RunState.FAILED, error)


def _close(release: Release, run: ProbeRun, state: RunState, error: str) -> None:
    run.state, run.error, run.finished_at, run.lease_until = state, error[:500], timezone.now(), None
    if state == RunState.DONE:
        run.progress_done = run.progress_total
    run.save(update_fields=["state", "error", "finished_at", "lease_until", "progress_done"])
    counts = {"verified": 0, "contradicted": 0, "inconclusive": 0}
    for verdict in Finding.objects.filter(run=run).values_list("verdict", flat=True):
        counts[verdict] += 1
    journal.record(
        verb="evidence.run.finished",
        actor=None,
        subject=subject_of(release, run),
        release_id=release.pk,
        data={"run": run.pk, "state": state, "error": run.error, **counts},
    )
    if run.reason == RunReason.SCHEDULED and run.requested_by is not None:
        with suppress(DomainError):  # closed since, or no longer allowed
            request_run(release=release, by=run.requested_by)
