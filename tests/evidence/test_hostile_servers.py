"""Whatever a server does: an inconclusive finding with a true reason, in time, in little memory, and on to the next."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import pytest

from checklists.assessments.models import Answer
from checklists.evidence import runner, services
from checklists.evidence.models import Finding
from checklists.registry import services as registry
from tests.build import save
from tests.evidence.faults import FAULTS, FaultServer, fault_server
from tests.evidence.loopback import loopback_client, routes, serving
from tests.evidence.test_client import certificate
from tests.evidence.test_probes import VLLM

pytestmark = pytest.mark.django_db

# What the finding about the model's identity must say of each.
TRUE_REASONS = {
    "drip": r"No complete answer within 1 s",
    "endless": r"No complete answer|more than a probe is willing|lists no models|cut off",
    "bomb": r"No complete answer|lists no models|cut off|more than a probe is willing",
    "many_headers": r"more headers than|not valid HTTP",
    "redirect_loop": r"More than 3 redirects",
    "redirect_away": r"169\.254\.169\.254 is link-local",
    "wrong_type": r"lists no models",
    "invalid_utf8": r"\ufffd|lists no models",
    "million_series": r"lists no models|cut off",
    "not_numbers": r"lists no models",
    "deep_json": r"lists no models",
    "reset": r"broke off",
    "noise": r"not valid HTTP|broke off",
    "silent": r"No complete answer within 1 s",
}


@pytest.fixture
def release(edition: Any, team: Any, alice: Any) -> Any:
    model = registry.create_model(slug="assist-chat", name="Assist chat", team=team, family="llm", tier=2, by=alice)
    release = registry.create_release(model=model, version="1.0", by=alice)
    claims: dict[str, dict[str, Any]] = {
        "performance.latency-targets": {"phase": "first_token", "p95_ms": 500},
        "identity.input-limits": {"max_input": 8192, "unit": "tokens"},
        "observability.latency-breakdown": {"phases": ["first_token"]},
        "identity.modalities": {"inputs": ["text"], "outputs": ["text"]},
    }
    for key, values in claims.items():
        save(Answer.objects.get(release=release, item__key=key), alice, status="met", claims=values)
    return release


@pytest.fixture
def hostile() -> Iterator[FaultServer]:
    with fault_server() as server:
        yield server


def test_every_fault_has_its_reason() -> None:
    assert set(TRUE_REASONS) == set(FAULTS)


@pytest.mark.parametrize("fault", FAULTS)
def test_a_hostile_server_settles_nothing_and_holds_up_nobody(
    fault: str, release: Any, alice: Any, hostile: FaultServer
) -> None:
    with serving(routes(VLLM)) as good:
        registry.create_endpoint(release=release, by=alice, name="hostile", url=hostile.url(fault), may_generate=True)
        registry.create_endpoint(release=release, by=alice, name="good", url=good.url, stack="vllm")
        run = services.request_run(release=release)
        started = time.monotonic()
        assert runner.perform_run(run_id=run.pk, client=loopback_client(timeout_s=1.0, max_bytes=500_000))
        took = time.monotonic() - started
    # That something answered 200 is a fact about the endpoint, whatever the body was.
    found = list(Finding.objects.filter(run=run, endpoint_name="hostile").exclude(probe="endpoint.health", item=None))
    assert {finding.verdict for finding in found} == {"inconclusive"}, [
        (finding.probe, finding.item_key, finding.reason) for finding in found if finding.verdict != "inconclusive"
    ]
    identity = next(finding for finding in found if finding.probe == "model.identity")
    assert re.search(TRUE_REASONS[fault], identity.reason), identity.reason
    assert all(finding.reason.endswith(".") for finding in found)
    assert Finding.objects.filter(run=run, endpoint_name="good", probe="endpoint.health", verdict="verified").exists()
    assert took < runner.VISIT_BUDGET_S


def test_a_certificate_for_another_name_is_said_to_be_so(release: Any, alice: Any, tmp_path: Any) -> None:
    with serving(routes(VLLM), tls=certificate(tmp_path, "other.example", 90)) as server:
        from tests.evidence.test_client import trusting

        client = loopback_client(tls=trusting(tmp_path, "other.example"))
        registry.create_endpoint(release=release, by=alice, name="main", url=server.url)
        run = services.request_run(release=release)
        runner.perform_run(run_id=run.pk, client=client)
    identity = Finding.objects.get(run=run, probe="model.identity", item_key="identity.name-version")
    assert (identity.verdict, identity.reason) == ("inconclusive", "The certificate belongs to another host name.")


SCRIPT = """
import json, resource, sys
import django
django.setup()
from checklists.evidence.probes import PROBES, Target
from checklists.evidence.runner import Job, visited
from tests.evidence.loopback import loopback_client

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024

probes = [probe for probe in PROBES.values() if probe.about == "endpoint" and probe.cheap and not probe.local]

def jobs(times):
    for _ in range(times):
        for url in sys.argv[1:]:
            yield Job(0, None, Target(name="hostile", url=url, metrics_url=url), probes)

def run(times):
    for job in visited(jobs(times), loopback_client(timeout_s=1.0), at_once=4, per_host=0):
        if job is not None:
            assert job.result is not None
            job.result = None

run(1)
first = peak()
run(3)
print(json.dumps([first, peak()]))
"""


def test_the_memory_of_a_worker_stays_bounded(hostile: FaultServer) -> None:
    """Three more rounds of the greediest servers take no more than the first (peak resident MiB of a process)."""
    greedy = ("endless", "bomb", "million_series", "deep_json", "many_headers")
    command = [sys.executable, "-c", SCRIPT, *map(hostile.url, greedy)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    first, later = json.loads(done.stdout.splitlines()[-1])
    assert later < first + 40
    assert later < 400
