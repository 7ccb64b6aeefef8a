"""What has served its time goes, in small bites: nobody waits for it, and what stands stays."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from threading import Event, Thread
from types import SimpleNamespace
from typing import Any

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from checklists.evidence import services, tasks
from checklists.evidence.models import Finding, ProbeRun, Transcript
from checklists.evidence.services import retention
from checklists.evidence.services.retention import Dropped
from tests.build import make_model, make_release

OLD = timedelta(days=500)
MANY = 50_000


@pytest.fixture
def release(edition: Any, team: Any, alice: Any) -> Any:
    return make_release(make_model(team, alice), alice)


def make_run(release: Any, *, age: timedelta = OLD, state: str = "done") -> ProbeRun:
    return ProbeRun.objects.create(release=release, state=state, created_at=timezone.now() - age)


def make_findings(run: ProbeRun, count: int, *, age: timedelta = OLD, current: bool = False) -> None:
    """So many findings of a run, each a little younger than the one before."""
    first = timezone.now() - age
    Finding.objects.bulk_create(
        (
            Finding(
                run=run, release=run.release, item_key=f"{'now' if current else 'then'}-{number}", endpoint_name="main",
                probe="model.limits", probe_version="1", verdict="verified", reason="As read.",
                observation={"readings": ["x" * 200]}, measured_at=first + timedelta(milliseconds=number),
                expires_at=first, current=current,
            )
            for number in range(count)
        ),
        batch_size=5000,
    )  # fmt: skip


@pytest.mark.django_db
def test_only_what_was_replaced_and_is_old_enough_goes(release: Any) -> None:
    old, young = make_run(release), make_run(release, age=timedelta(days=3))
    make_findings(old, 3)
    make_findings(old, 2, current=True)
    make_findings(young, 4, age=timedelta(days=3))
    assert services.drop_old() == Dropped(answers=0, findings=3, runs=0, more=False)
    assert Finding.objects.filter(run=old, current=True).count() == 2
    assert Finding.objects.filter(run=young).count() == 4


@pytest.mark.django_db
def test_a_run_goes_once_nothing_belongs_to_it(release: Any, settings: Any) -> None:
    settings.PREFLIGHT = {**settings.PREFLIGHT, "KEEP_ANSWERS_DAYS": 900, "KEEP_FINDINGS_DAYS": 400}
    empty, answered, standing = (make_run(release) for _ in range(3))
    make_run(release, state="running")
    Transcript.objects.create(run=answered, endpoint_name="main", packed=b"", created_at=answered.created_at)
    make_findings(standing, 1, current=True)
    assert services.drop_old() == Dropped(answers=0, findings=0, runs=1, more=False)
    assert not ProbeRun.objects.filter(pk=empty.pk).exists()
    assert ProbeRun.objects.count() == 3


@pytest.mark.django_db
def test_a_call_ends_in_time_and_the_task_goes_on(release: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    make_findings(make_run(release), 25)
    ticks = itertools.count(step=10)  # seconds go by whenever they are asked for
    monkeypatch.setattr(retention, "time", SimpleNamespace(monotonic=lambda: next(ticks)))
    monkeypatch.setattr(retention, "BATCH", 5)
    began: list[float] = []
    left: list[int] = []

    def go_on(since: float) -> None:
        began.append(since)
        left.append(Finding.objects.count())
        tasks.drop_old(since)

    monkeypatch.setattr(tasks.drop_old, "delay", go_on)
    tasks.drop_old()
    assert left == [5, 0]
    assert not ProbeRun.objects.exists()
    assert len(set(began)) == 1
    make_findings(make_run(release), 25)
    tasks.drop_old(time.time() - tasks.GO_ON_S - 1)  # the schedule has started another one since
    assert left == [5, 0]
    assert Finding.objects.count() == 5


def only_on_postgresql() -> None:
    if connection.vendor != "postgresql":
        pytest.skip("SQLite lets one write at a time, and has no locks of rows.")


def make_very_many(release: Any) -> None:
    """As ``make_findings`` for 50,000 in 100 runs, by the database itself."""
    run = make_run(release)
    runs = [make_run(release).pk for _ in range(99)]
    assert runs == list(range(run.pk + 1, run.pk + 100))
    make_findings(run, 1)
    fields = [field.column for field in Finding._meta.concrete_fields if not field.primary_key]
    changed = {
        "run_id": "run_id + n % 100",
        "item_key": "'many-' || n",
        "measured_at": "measured_at + n * interval '1 ms'",
    }
    values = ", ".join(changed.get(name, name) for name in fields)
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO evidence_finding ({', '.join(fields)})"
            f" SELECT {values} FROM evidence_finding, generate_series(2, {MANY}) AS n WHERE item_key = 'then-0'"
        )
        cursor.execute("ANALYZE evidence_finding")


@contextmanager
def meanwhile(work: Callable[[], None]) -> Iterator[None]:
    """Do this again and again on a connection of its own until the block ends; what it raises is raised there."""
    done, failures = Event(), []

    def repeat() -> None:
        try:
            while not done.is_set():
                work()
        except Exception as error:
            failures.append(error)
        finally:
            connection.close()

    thread = Thread(target=repeat)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
    assert not failures, failures


@pytest.mark.django_db(transaction=True)
def test_nobody_waits_while_very_many_go_a_batch_at_a_time(release: Any) -> None:
    only_on_postgresql()
    present = make_run(release, age=timedelta(0))
    make_very_many(release)
    make_findings(present, 100, age=timedelta(0), current=True)
    (row,) = Finding.objects.filter(run=present)[:1]
    written: list[int] = []

    def write() -> None:
        with transaction.atomic():
            with connection.cursor() as cursor:
                cursor.execute(
                    "SET LOCAL lock_timeout = '20ms'"
                )  # an error for whoever waits longer for another's lock
            Finding.objects.filter(run=present).update(measured_at=timezone.now())
            row.pk, row.item_key = None, f"new-{len(written)}"
            row.save(force_insert=True)
            Finding.objects.filter(pk=row.pk).update(current=False)
            written.append(row.pk)

    with meanwhile(write), CaptureQueriesContext(connection) as queries:
        dropped = services.drop_old()
    assert dropped == Dropped(answers=0, findings=MANY, runs=100, more=False)
    assert len(written) > 20
    assert Finding.objects.filter(pk__in=written).count() == len(written)
    transactions = " ".join(query["sql"][:80] for query in queries.captured_queries).split("BEGIN")
    deletes = [each.count('DELETE FROM "evidence_finding" WHERE "evidence_finding"."id" IN') for each in transactions]
    assert (max(deletes), sum(deletes)) == (1, MANY // retention.BATCH)
    assert all(each.rstrip().endswith("COMMIT") for each in transactions[1:])


@pytest.mark.django_db(transaction=True)
def test_what_somebody_holds_is_left_and_not_waited_for(release: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    only_on_postgresql()
    monkeypatch.setattr(retention, "BATCH", 4)
    make_findings(make_run(release), 10)
    held, let_go = Event(), Event()

    def hold() -> None:
        with transaction.atomic():
            list(Finding.objects.filter(item_key__in=["then-0", "then-7"]).select_for_update())
            held.set()
            let_go.wait(20)
        connection.close()

    thread = Thread(target=hold)
    thread.start()
    try:
        assert held.wait(20)
        dropped = services.drop_old()
        assert thread.is_alive()
    finally:
        let_go.set()
        thread.join()
    assert (dropped.findings, dropped.runs) == (8, 0)
    assert set(Finding.objects.values_list("item_key", flat=True)) == {"then-0", "then-7"}
    assert services.drop_old().findings == 2


@pytest.mark.django_db
def test_what_is_old_is_found_by_its_index(release: Any) -> None:
    only_on_postgresql()
    make_very_many(release)
    make_findings(make_run(release), 2000, current=True)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE evidence_finding")
    answers, findings, runs = retention.old(timezone.now())
    plan = findings.values_list("pk")[: retention.BATCH].explain()
    assert "evidence_replaced_by_age" in plan
    assert not any(word in plan for word in ("Seq Scan", "Sort")), plan
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")  # of so few rows
    assert "evidence_runs_by_age" in runs.values_list("pk")[: retention.BATCH].explain()
    assert "created_at" in answers.values_list("pk")[: retention.BATCH].explain()
