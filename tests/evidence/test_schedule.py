"""When what is probed: due by an index, spread over time, never one address twice at once, gentle to dead hosts."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from checklists.evidence import runner, services, tasks, visiting
from checklists.evidence.models import Finding, FreshnessRule, ProbeRun, ProbeSchedule, Transcript
from checklists.evidence.probes import PROBES, Target
from checklists.evidence.services import schedule
from checklists.evidence.services.retention import Dropped
from checklists.evidence.services.schedule import AT_LEAST, IN_ONE_MESSAGE, MAX_BACK_OFF, due_schedules
from checklists.evidence.targets import jobs_of
from checklists.journal.models import Event
from checklists.registry import services as registry
from tests.evidence.known_servers import VLLM
from tests.evidence.loopback import Request, loopback_client, routes, serving

pytestmark = pytest.mark.django_db


@pytest.fixture
def release(edition: Any, team: Any, alice: Any) -> Any:
    model = registry.create_model(slug="assist-chat", name="Assist chat", team=team, family="llm", tier=2, by=alice)
    return registry.create_release(model=model, version="1.0", by=alice)


def add(release: Any, by: Any, url: str, name: str = "main", **more: Any) -> Any:
    return registry.create_endpoint(release=release, by=by, name=name, url=url, **more)


def run(release: Any, **options: Any) -> ProbeRun:
    asked = services.request_run(release=release, **options)
    assert runner.perform_run(run_id=asked.pk, client=loopback_client(timeout_s=2.0))
    return asked


def test_a_new_endpoint_is_due_at_once_and_a_moved_one_again(release: Any, alice: Any) -> None:
    endpoint = add(release, alice, "http://127.0.0.1:9/")
    row = ProbeSchedule.objects.get(endpoint=endpoint)
    assert (row.host, row.due_at <= timezone.now()) == ("127.0.0.1", True)
    ProbeSchedule.objects.update(due_at=timezone.now() + timedelta(days=3), failures=4)
    registry.change_endpoint(endpoint=endpoint, by=alice, url="http://models.example:9/")
    row.refresh_from_db()
    assert (row.host, row.failures, row.due_at <= timezone.now()) == ("models.example", 0, True)
    registry.retire_release(release=release, by=alice)
    assert not ProbeSchedule.objects.filter(release=release).exists()


def test_due_rows_are_found_by_their_index() -> None:
    now = timezone.now()
    rows = ProbeSchedule.objects.filter(due_at__lte=now).order_by("due_at", "pk")
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute("SET LOCAL enable_seqscan = off")
        plan = rows.explain()
    assert "due_at" in plan
    assert "idx" in plan.lower() or "index" in plan.lower()
    with CaptureQueriesContext(connection) as captured:
        assert due_schedules(now) == []
    assert len(captured) == 1


def test_the_next_visit_comes_before_the_first_finding_stops_to_count_and_not_all_at_one_time(
    release: Any, alice: Any
) -> None:
    with serving(routes(VLLM)) as server:
        endpoints = [add(release, alice, server.url, name=f"e{n}", stack="vllm") for n in range(4)]
        run(release)
    now = timezone.now()
    for endpoint in endpoints:
        soonest = min(Finding.objects.filter(endpoint=endpoint).values_list("expires_at", flat=True))
        assert now + timedelta(hours=12) < ProbeSchedule.objects.get(endpoint=endpoint).due_at < soonest
    assert len(set(ProbeSchedule.objects.filter(release=release).values_list("due_at", flat=True))) == 5


def test_from_a_dead_host_it_backs_off_and_asks_at_once_when_told_to(release: Any, alice: Any) -> None:
    endpoint = add(release, alice, "http://127.0.0.1:9999/")
    beside = add(release, alice, "http://127.0.0.1:9998/", name="beside")
    waits = []
    for _ in range(3):
        before = timezone.now()
        run(release)
        waits.append(ProbeSchedule.objects.get(endpoint=endpoint).due_at - before)
    assert AT_LEAST <= waits[0] < waits[1] < waits[2] <= MAX_BACK_OFF * 1.1
    row = ProbeSchedule.objects.get(endpoint=endpoint)
    assert row.failures == 3
    assert ProbeSchedule.objects.get(endpoint=beside).due_at >= row.due_at - timedelta(hours=1)
    assert services.request_run(release=release, by=alice).state == "queued"  # whoever asks need not wait


def test_a_scheduled_run_asks_only_what_no_longer_counts_for_long(release: Any, alice: Any) -> None:
    with serving(routes(VLLM)) as server:
        endpoint = add(release, alice, server.url, stack="vllm")
        run(release)
        Finding.objects.filter(endpoint=endpoint, probe="access.control").update(expires_at=timezone.now())
        asked = services.request_run(release=release, reason="scheduled")
        jobs = jobs_of(ProbeRun.objects.get(pk=asked.pk))
    at_endpoint = [[probe.key for probe in job.probes] for job in jobs if job.endpoint]
    assert at_endpoint == [["access.control"]]


def visits(release: Any) -> dict[str, int]:
    """What a scheduled run would do now: how many probes at each endpoint."""
    ProbeRun.objects.filter(state="queued").delete()
    asked = services.request_run(release=release, reason="scheduled")
    return {job.target.name: len(job.probes) for job in jobs_of(asked) if job.endpoint}


def test_a_server_that_was_dead_is_looked_for_again_by_the_schedule(release: Any, alice: Any) -> None:
    add(release, alice, "http://127.0.0.1:9999/")
    run(release)
    assert visits(release)["main"] > 20  # what nobody answered counts for nothing


@pytest.mark.parametrize(
    "change",
    [
        {"prometheus_url": "http://metrics.example:9090"},
        {"labels": {"job": "chat"}},
        {"headers": {"Authorization": "Bearer new"}},
        {"may_generate": True},
        {"stack": "sglang"},
    ],
)
def test_an_endpoint_that_is_asked_otherwise_is_visited_anew(release: Any, alice: Any, change: dict[str, Any]) -> None:
    with serving(routes(VLLM)) as server:
        endpoint = add(release, alice, server.url, stack="vllm")
        run(release)
    assert visits(release) == {}
    registry.change_endpoint(endpoint=endpoint, by=alice, **change)
    assert ProbeSchedule.objects.get(endpoint=endpoint).due_at <= timezone.now()
    assert visits(release)["main"] > 20


def test_a_new_name_or_a_burst_that_is_allowed_is_no_reason_for_a_visit(release: Any, alice: Any) -> None:
    with serving(routes(VLLM)) as server:
        endpoint = add(release, alice, server.url, stack="vllm")
        run(release)
    before = ProbeSchedule.objects.get(endpoint=endpoint).due_at
    registry.change_endpoint(endpoint=endpoint, by=alice, name="other", may_burst=True, series_length=20)
    assert ProbeSchedule.objects.get(endpoint=endpoint).due_at == before
    assert visits(release) == {}


def test_what_falls_due_while_a_run_is_under_way_does_not_wait_for_a_day(release: Any, alice: Any) -> None:
    add(release, alice, "http://127.0.0.1:9999/")
    claimed = services.claim_run(run_id=services.request_run(release=release).pk)
    assert claimed is not None
    jobs = jobs_of(claimed)
    late = add(release, alice, "http://127.0.0.1:9998/", name="late")
    assert late.pk not in {job.endpoint.pk for job in jobs if job.endpoint}
    assert services.probe_due() == 0
    assert ProbeSchedule.objects.get(endpoint=late).due_at < timezone.now() + timedelta(minutes=5)
    services.finish_run(run=claimed)
    assert services.probe_due(now=timezone.now() + timedelta(minutes=5)) == 1


def test_what_was_changed_while_it_was_being_queued_stays_due(release: Any, alice: Any) -> None:
    endpoint = add(release, alice, "http://127.0.0.1:9999/")
    asked = timezone.now()
    original = services.request_run

    def changed_meanwhile(**options: Any) -> ProbeRun:
        row = original(**options)
        registry.change_endpoint(endpoint=endpoint, by=alice, url="http://127.0.0.1:9997/")
        return row

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(schedule, "request_run", changed_meanwhile)
        services.probe_due(now=asked)
    assert asked <= ProbeSchedule.objects.get(endpoint=endpoint).due_at <= timezone.now()


def test_what_only_a_person_can_renew_expires_without_a_visit(release: Any, alice: Any) -> None:
    with serving(routes(VLLM)) as server:
        endpoint = add(release, alice, server.url, stack="vllm")
        run(release)
    row = ProbeSchedule.objects.get(endpoint=endpoint)
    for probe, hours in (("generation.burst", 1), ("generation.refusals", 2), ("no.longer.there", 3)):
        known = Finding.objects.filter(endpoint=endpoint, probe="access.control").get()
        known.pk, known.probe, known.expires_at = None, probe, timezone.now() + timedelta(hours=hours)
        known.save(force_insert=True)
    services.plan_next(release=release, reached={endpoint.pk: True})
    row.refresh_from_db()
    assert row.due_at > timezone.now() + timedelta(hours=12)
    Finding.objects.filter(endpoint=endpoint, probe="access.control").update(
        expires_at=timezone.now() + timedelta(hours=2)
    )
    services.plan_next(release=release, reached={endpoint.pk: True})
    row.refresh_from_db()
    assert row.due_at < timezone.now() + timedelta(hours=2)


def test_a_burst_is_never_part_of_the_schedule(release: Any, alice: Any) -> None:
    add(release, alice, "http://127.0.0.1:9999/", may_burst=True, may_generate=True)
    bursting = {probe.key for probe in PROBES.values() if probe.by_hand}
    assert bursting == {"generation.burst", "generation.refusals"}

    def planned(reason: str) -> set[str]:
        ProbeRun.objects.all().delete()
        asked = services.request_run(release=release, reason=reason)
        return {probe.key for job in jobs_of(ProbeRun.objects.get(pk=asked.pk)) for probe in job.probes}

    assert bursting <= planned("manual")
    assert not bursting & planned("scheduled")


@pytest.mark.parametrize("workers", [1, 3])
def test_one_address_is_never_visited_twice_at_once_and_a_host_by_few(settings: Any, workers: int) -> None:
    settings.PREFLIGHT = {**settings.PREFLIGHT, "PROBE_PER_HOST": 2}
    inside: dict[str, int] = {}
    most: dict[str, int] = {}
    lock = threading.Lock()

    def handle(request: Request) -> None:
        path = request.path.split("/")[1]
        with lock:
            for key in (path, "host"):
                inside[key] = inside.get(key, 0) + 1
                most[key] = max(most.get(key, 0), inside[key])
        time.sleep(0.05)
        with lock:
            for key in (path, "host"):
                inside[key] -= 1
        request.reply(404)

    with serving(handle) as server:
        probes = [PROBES["endpoint.health"]]
        urls = [f"{server.url}/{place}" for place in ("a", "a", "a", "b", "c", "d")]
        jobs = [visiting.Job(n, None, Target(name=str(n), url=url), probes) for n, url in enumerate(urls)]

        def work(number: int) -> list[visiting.Job]:
            mine = visiting.visited(jobs[number::workers], loopback_client(), at_once=6)
            return [job for job in mine if job is not None]

        with ThreadPoolExecutor(workers) as threads:
            done = [job for each in threads.map(work, range(workers)) for job in each]
    assert sorted(job.run_id for job in done) == list(range(6))
    assert most["a"] == 1
    assert most["host"] == 2


def test_many_due_releases_share_messages(
    release: Any, alice: Any, monkeypatch: pytest.MonkeyPatch, django_capture_on_commit_callbacks: Any
) -> None:
    for number in range(IN_ONE_MESSAGE + 2):
        registry.create_release(model=release.model, version=f"2.{number}", by=alice)
    sent: list[list[int]] = []
    monkeypatch.setattr(tasks.run_probes, "delay", sent.append)
    with django_capture_on_commit_callbacks(execute=True):
        assert services.probe_due() == IN_ONE_MESSAGE + 3
    assert [len(ids) for ids in sent] == [IN_ONE_MESSAGE, 3]
    assert services.probe_due() == 0


@pytest.mark.django_db(transaction=True)
def test_beats_that_strike_at_once_tell_of_what_expired_once_and_start_one_run(release: Any, alice: Any) -> None:
    with serving(routes(VLLM)) as server:
        add(release, alice, server.url, stack="vllm")
        run(release)
    later = timezone.now() + timedelta(days=40)

    def at_once(beat: Callable[..., int]) -> list[int]:
        together = threading.Barrier(3)

        def strike(_: int) -> int:
            try:
                together.wait(10)
                return beat(now=later)
            finally:
                connection.close()

        with ThreadPoolExecutor(3) as threads:
            return sorted(threads.map(strike, range(3)))

    expired = at_once(services.expire_findings)
    assert expired[:2] == [0, 0]
    assert expired[2] > 20
    assert Event.objects.filter(verb="evidence.finding.expired").count() == 1
    at_once(services.probe_due)
    assert ProbeRun.objects.active().count() == 1
    assert Event.objects.filter(verb="evidence.run.requested", data__reason="scheduled").count() == 1


def test_one_call_does_many_runs(release: Any, alice: Any) -> None:
    with serving(routes(VLLM)) as server:
        ids = []
        for number in range(3):
            other = registry.create_release(model=release.model, version=f"2.{number}", by=alice)
            add(other, alice, f"{server.url}/{number}", stack="vllm")
            ids.append(services.request_run(release=other).pk)
        assert runner.perform_runs(run_ids=[*ids, 10**6], client=loopback_client()) == 3
    assert set(ProbeRun.objects.values_list("state", flat=True)) == {"done"}
    assert runner.perform_runs(run_ids=ids, client=loopback_client()) == 0


def test_an_administrators_rule_says_how_long_a_finding_counts(release: Any, alice: Any) -> None:
    now = timezone.now()
    FreshnessRule.objects.create(item_key="security.access-control", tier=0, hours=5, created_at=now)
    FreshnessRule.objects.create(item_key="identity.name-version", tier=0, hours=5, created_at=now)
    FreshnessRule.objects.create(item_key="identity.name-version", tier=2, hours=3, created_at=now)
    FreshnessRule.objects.create(item_key="identity.name-version", tier=1, hours=1, created_at=now)
    with serving(routes(VLLM)) as server:
        add(release, alice, server.url, stack="vllm")
        run(release)
    for item, probe, hours in (
        ("security.access-control", "access.control", 5),
        ("identity.name-version", "model.identity", 3),
    ):
        finding = Finding.objects.get(item_key=item, probe=probe)
        assert finding.expires_at - finding.measured_at == timedelta(hours=hours)


def test_raw_answers_are_kept_trimmed_and_without_secrets_and_dropped_in_time(release: Any, alice: Any) -> None:
    key = "sesame-open-sesame"
    models = {"data": [{"id": "chat", "contact": "ann@models.example", "token": key, "other": "sk-abcdefghijk"}]}
    page = "# HELP x\n" * 20_000
    table = {"/v1/models": models, "/health": "", "/metrics": page}
    with serving(routes(table)) as server:
        add(release, alice, server.url, stack="vllm", headers={"Authorization": f"Bearer {key}"})
        asked = run(release)
    finding = Finding.objects.get(run=asked, probe="model.identity", item_key="identity.name-version")
    number = next(each["answer"] for each in finding.detail["requests"] if each["line"] == "GET /v1/models")
    kept = Transcript.objects.get(run=asked, endpoint_name=finding.endpoint_name).exchanges
    body = kept[number].body
    assert '"id": "chat"' in body
    for secret in (key, "ann@models.example", "sk-abcdefghijk"):
        assert secret not in body
    long = next(each for each in kept if each.line == "GET /metrics")
    assert (len(long.body), long.truncated) == (64 * 1024, True)
    count = Transcript.objects.filter(run=asked).count()
    assert services.drop_old() == Dropped(answers=0, findings=0, runs=0, more=False)
    later = timezone.now() + timedelta(days=31)
    assert services.drop_old(now=later).answers == count
    assert Finding.objects.filter(run=asked).exists()


def test_what_stands_is_kept_however_old_and_what_was_replaced_goes(release: Any, alice: Any) -> None:
    with serving(routes(VLLM)) as server:
        add(release, alice, server.url, stack="vllm")
        first, second = run(release), run(release)
    replaced = Finding.objects.filter(current=False).count()
    dropped = services.drop_old(now=timezone.now() + timedelta(days=500))
    assert (dropped.findings, dropped.runs) == (replaced, 1)
    assert not ProbeRun.objects.filter(pk=first.pk).exists()
    assert Finding.objects.current().filter(run=second).exists()
