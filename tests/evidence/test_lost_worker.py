"""A real Celery worker is killed in the middle of a run; another one finishes it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from checklists.evidence import services
from checklists.evidence.models import AllowedNetwork, Finding, ProbeRun
from checklists.journal.models import Event
from checklists.journal.services import verify
from checklists.registry import services as registry
from portal.processes import Process
from tests.evidence.known_servers import VLLM
from tests.evidence.loopback import Request, routes, serving

pytestmark = pytest.mark.celery_worker


def wait_for(condition: Callable[[], bool], seconds: float = 40) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.05)


@pytest.fixture
def release(transactional_db: None, edition: Any, team: Any, alice: Any) -> Any:
    AllowedNetwork.objects.create(cidr="127.0.0.0/8", created_at=timezone.now())
    model = registry.create_model(slug="assist-chat", name="Assist chat", team=team, family="llm", tier=2, by=alice)
    return registry.create_release(model=model, version="1.0", by=alice)


def test_a_run_is_delivered_and_done_by_a_worker(release: Any, alice: Any, celery_worker: Process) -> None:
    with serving(routes(VLLM)) as server:
        registry.create_endpoint(release=release, by=alice, name="main", url=server.url, stack="vllm")
        run = services.request_run(release=release, by=alice)
        wait_for(lambda: ProbeRun.objects.get(pk=run.pk).state == "done")
    assert Finding.objects.filter(run=run, probe="endpoint.health", item=None, verdict="verified").exists()


def test_a_worker_killed_in_mid_run_loses_nothing_and_doubles_nothing(
    release: Any, alice: Any, start_worker: Callable[..., Process]
) -> None:
    holding, reached = threading.Event(), threading.Event()

    def slow(request: Request) -> None:
        reached.set()
        holding.wait(8)
        routes(VLLM)(request)

    with serving(routes(VLLM)) as quick_server, serving(slow) as slow_server:
        registry.create_endpoint(release=release, by=alice, name="quick", url=quick_server.url, stack="vllm")
        registry.create_endpoint(release=release, by=alice, name="slow", url=slow_server.url, stack="vllm")
        first = start_worker()
        run = services.request_run(release=release, by=alice)
        assert reached.wait(40), first.last_words()
        wait_for(lambda: Finding.objects.filter(run=run, endpoint_name="quick").exists())
        asked_before = len(quick_server.seen)
        first.kill()
        holding.set()
        kept = set(Finding.objects.filter(run=run).values_list("pk", flat=True))
        assert ProbeRun.objects.get(pk=run.pk).state == "running"

        # The lease runs out, and beat's next look finds the run.
        ProbeRun.objects.filter(pk=run.pk).update(lease_until=timezone.now() - timedelta(seconds=1))
        second = start_worker()
        assert services.resume_abandoned() == 1
        wait_for(lambda: ProbeRun.objects.get(pk=run.pk).state == "done")
        assert second.running()
        assert len(quick_server.seen) == asked_before

    done = ProbeRun.objects.get(pk=run.pk)
    assert (done.attempts, done.progress_done) == (2, done.progress_total)
    findings = list(Finding.objects.filter(run=run))
    assert kept < {finding.pk for finding in findings}
    keys = [(finding.endpoint_name, finding.probe, finding.item_key) for finding in findings]
    assert len(keys) == len(set(keys))
    per_endpoint = [sum(key[0] == name for key in keys) for name in ("quick", "slow")]
    assert per_endpoint[0] == per_endpoint[1]
    assert Event.objects.filter(verb="evidence.run.finished").count() == 1
    assert Event.objects.filter(verb="evidence.findings.recorded").count() == 3  # two endpoints, the release itself
    assert list(verify()) == []
