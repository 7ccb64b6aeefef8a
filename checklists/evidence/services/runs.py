"""The life of a run: asked for, claimed by one worker at a time, finished. A lease tells slow from lost workers."""

from __future__ import annotations

from datetime import timedelta
from functools import partial

from django.db import transaction
from django.utils import timezone

from checklists import journal
from checklists.evidence.models import Finding, ProbeRun, RunReason, RunState
from checklists.journal.errors import WrongStage
from checklists.people.models import User
from checklists.people.rules import require
from checklists.registry.models import Release
from checklists.registry.services import lock_release

# A probe never takes longer than PROBE_BUDGET; the lease is renewed before each and leaves room for the writing.
PROBE_BUDGET_S = 60.0
LEASE = timedelta(seconds=90)
# How long a queued run may wait before it is put into the queue again: its message may have been lost.
QUEUE_PATIENCE = timedelta(minutes=3)
MAX_ATTEMPTS = 3


class LeaseLost(Exception):
    """Another worker has taken this run over; whoever gets this stops and writes nothing more."""


@transaction.atomic
def request_run(*, release: Release, by: User | None = None, reason: str = RunReason.MANUAL) -> ProbeRun:
    """Queue a run over the release's endpoints, or return the one that is queued or running already.

    ``by`` is ``None`` for the schedule. Raises ``Forbidden``, and ``WrongStage`` for a closed release or one without
    endpoints.
    """
    if by is not None:
        require(by, "probe.run", release, message="Members of the team who may answer, and reviewers, can start a run.")
    release = lock_release(release.pk)
    if active := ProbeRun.objects.active().filter(release=release).first():
        return active
    if release.is_closed:
        raise WrongStage(f"Nothing was started: this release is {release.get_stage_display().lower()}.")
    endpoints = release.endpoints.count()
    if not endpoints:
        raise WrongStage("There is nothing to probe yet. Add an endpoint first.")
    now = timezone.now()
    run = ProbeRun.objects.create(
        release=release,
        reason=reason,
        requested_by=by,
        progress_total=endpoints,
        created_at=now,
        lease_until=now + QUEUE_PATIENCE,
    )
    journal.record(
        verb="evidence.run.requested",
        actor=by,
        subject=subject_of(release, run),
        release_id=release.pk,
        data={"run": run.pk, "reason": reason, "endpoints": endpoints},
    )
    enqueue(run.pk)
    return run


def enqueue(run_id: int) -> None:
    """Hand the run to a worker once the present transaction is committed."""
    from checklists.evidence.tasks import run_probes  # tasks are thin and import the services

    # If the broker is away the run stays queued, and the next look for abandoned runs sends the message again.
    transaction.on_commit(partial(run_probes.delay, run_id), robust=True)


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


def renew_lease(*, run: ProbeRun) -> None:
    """Say that one is still there. Raises ``LeaseLost`` if another worker took over."""
    held = ProbeRun.objects.filter(pk=run.pk, state=RunState.RUNNING, attempts=run.attempts)
    if not held.update(lease_until=timezone.now() + LEASE):
        raise LeaseLost


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
    run.save(update_fields=["state", "error", "finished_at", "lease_until"])
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
