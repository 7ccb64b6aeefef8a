"""Whoever may not see a release's endpoints learns nowhere where they are: every probe, every page, every file."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from django.core import mail
from django.urls import reverse

from checklists.assessments.models import Answer
from checklists.catalog.editions import view
from checklists.evidence import runner, services
from checklists.evidence.models import Finding, ProbeRun, Transcript
from checklists.evidence.probes import PROBES, Visit
from checklists.evidence.probes.generation import burst
from checklists.registry.models import Release
from tests.api.conftest import Api
from tests.build import answer_everything, make_endpoint, make_model, make_release, save
from tests.conftest import Cast
from tests.evidence.generating import Generator
from tests.evidence.known_servers import VLLM
from tests.evidence.loopback import Request, loopback_client, routes, serving
from tests.web.steps import at, signed_in, text

pytestmark = pytest.mark.django_db

DENIED = "10.77.9.9"
INSTANCE, POD_IP, NODE, GPU_HOST = "10.77.3.4:8000", "10.77.3.5", "ip-10-77-3-6.eu.compute.internal", "gpu-node-77"
SECRETS = ("10.77.", "10-77-", "private.example", GPU_HOST, "127.0.0.1")
NAMES = [
    *("up", "vllm:time_to_first_token_seconds_bucket", "vllm:time_to_first_token_seconds_count"),
    *("vllm:time_to_first_token_seconds_sum", "vllm:generation_tokens_total", "vllm:num_requests_waiting"),
    *("vllm:request_success_total", "vllm:num_requests_running", "process_start_time_seconds"),
]


def resolver(host: str, port: int) -> list[str]:
    return [DENIED] if host == "denied.private.example" else ["127.0.0.1"]


def prometheus(request: Request) -> None:
    """A Prometheus of which every series, target, rule and failure tells of private places."""
    parts = urlsplit(request.path)
    path, query = parts.path.removeprefix("/api/v1/"), parse_qs(parts.query).get("query", [""])[0]
    labels = {"instance": INSTANCE, "pod": "chat-0", "namespace": "ml", "node": NODE, "Hostname": GPU_HOST}
    labels |= {"pod_ip": POD_IP, "model_name": "chat", "preflight": "x", "le": "+Inf"}
    now = time.time() // 300 * 300
    target = {
        "labels": {"instance": INSTANCE, "job": "gpu"},
        "scrapePool": "dcgm-exporter",
        "scrapeUrl": f"http://{INSTANCE}/metrics",
        "health": "down",
        "lastError": f"dial tcp {INSTANCE}: refused; lookup {GPU_HOST}.private.example on 10.77.0.2:53: no such host",
    }
    rule = {
        "name": f"Slow at {INSTANCE}",
        "type": "alerting",
        "query": f'vllm:num_requests_waiting{{instance="{INSTANCE}"}} > 5',
        "duration": 60,
        "labels": {"instance": INSTANCE},
        "annotations": {"runbook_url": f"http://{POD_IP}/runbook", "summary": f"{GPU_HOST} is slow"},
        "state": "inactive",
        "health": "ok",
    }
    if "horizontalpodautoscaler" in query:
        return request.reply(422, {"status": "error", "errorType": "execution", "error": f"remote {INSTANCE}: gone"})
    points = [[now - 300 * n, str(1000 - n)] for n in range(300, -1, -1)]
    data: Any = {
        "label/__name__/values": NAMES,
        "query": {"resultType": "vector", "result": [{"metric": labels, "value": points[-1]}]},
        "query_range": {"resultType": "matrix", "result": [{"metric": labels, "values": points}]},
        "targets": {"activeTargets": [target]},
        "rules": {"groups": [{"name": "slo", "rules": [rule]}]},
        "alerts": {"alerts": []},
        "alertmanagers": {"activeAlertmanagers": [{"url": f"http://{POD_IP}:9093/api/v2/alerts"}]},
        "status/buildinfo": {"version": "3.5.0"},
    }.get(path)
    return request.reply(200 if data is not None else 404, {"status": "success", "data": data})


@pytest.fixture
def release(cast: Cast, team: Any, edition: Any) -> Release:
    release = make_release(make_model(team, cast.alice, "assist-chat"), cast.alice, "4.2")
    answer_everything(release, cast.alice)
    return release


@pytest.fixture
def probed(
    release: Release, cast: Cast, monkeypatch: pytest.MonkeyPatch, settings: Any
) -> Iterator[tuple[Release, list[str]]]:
    """The release after a run of every probe, and everything that nobody else may learn."""
    monkeypatch.setattr(burst, "SECONDS", 1.0)
    generator = Generator(pause=0.0)
    with ExitStack() as stack:
        watching = stack.enter_context(serving(prometheus))
        alerts = stack.enter_context(serving(routes({})))

        def moved(request: Request) -> None:
            request.reply(302, b"", {"Location": f"http://denied.private.example:{watching.port}/metrics"})

        table = {**VLLM, **generator.table(), "/metrics": moved}
        hub = stack.enter_context(serving(routes({"/api/models/assist": {"id": "assist", "sha": "ab" * 20}})))
        bases = dict.fromkeys(("HUB_URL", "OCI_URL"), f"http://hub.public.example:{hub.port}")
        settings.PREFLIGHT = {**settings.PREFLIGHT, **bases}
        serves = stack.enter_context(serving(routes(table)))
        shared = {
            "prometheus_url": f"http://prom.private.example:{watching.port}",
            "alertmanager_url": f"http://alerts.private.example:{alerts.port}",
            "may_generate": True,
            "may_burst": True,
            "stack": "vllm",
        }
        url = f"http://llm.private.example:{serves.port}"
        labels = {"instance": INSTANCE}
        make_endpoint(release, cast.alice, name="main", url=url, labels=labels, **shared)
        make_endpoint(release, cast.alice, name="unlabelled", url=f"{url}/v2", metrics_url=f"{url}/metrics", **shared)
        make_endpoint(release, cast.alice, name="denied", url="http://denied.private.example:8000",
                      prometheus_url="http://denied.private.example:9090", labels=labels)  # fmt: skip
        make_endpoint(release, cast.alice, name="literal", url=f"http://{DENIED}:8000",
                      prometheus_url=f"http://{POD_IP}:9090", labels=labels)  # fmt: skip
        run = services.request_run(release=release, by=cast.alice)
        client = loopback_client(timeout_s=2.0, resolver=resolver)
        assert runner.perform_run(run_id=run.pk, client=client)
        ports = [f":{server.port}" for server in (watching, alerts, serves)]
        yield release, [*SECRETS, *ports]


def told(page: str, secrets: list[str]) -> list[str]:
    """The places that a page tells, with what stands around them."""
    return [page[max(0, at - 80) : at + 60] for secret in secrets if (at := page.find(secret)) >= 0]


def test_who_may_not_see_endpoints_learns_nowhere_where_they_are(
    probed: tuple[Release, list[str]], cast: Cast, team: Any
) -> None:
    release, secrets = probed
    found = list(Finding.objects.filter(release=release).order_by("pk"))
    assert {finding.probe for finding in found} == set(PROBES)
    outsider, api = signed_in(cast.mallory), Api(cast.mallory)
    where = f"models/{release.model.slug}/releases/{release.version}"
    sections = [section.key for section in view(release.edition).sections]
    pages = [
        *(at(name, release) for name in ("evidence", "history", "findings_json", "review")),
        *(at("checklist", release, key) for key in sections),
        *(at("finding", release, finding.pk) for finding in found),
        *(at("finding_json", release, found[0].pk), at("finding_json", release, found[-1].pk)),
        reverse("web:model", args=[release.model.slug]),
    ]  # fmt: skip
    for page in pages:
        response = outsider.get(page)
        assert response.status_code == 200, page
        assert not told(text(response), secrets), page
    run = ProbeRun.objects.get(release=release)
    for path in ("findings/", "findings/export/", "probe-runs/", f"probe-runs/{run.pk}/", "answers/", "scorecard/"):
        response = api.get(f"{where}/{path}")
        while response is not None:
            assert response.status_code == 200, path
            assert not told(text(response), secrets), path
            following = response.json().get("next") if isinstance(response.json(), dict) else None
            response = api.get(following.partition("/api/v1/")[2]) if following else None
    assert outsider.get(at("finding_answer", release, found[0].pk, 0)).status_code == 403
    assert not told("\n".join(f"{letter.subject}\n{letter.body}" for letter in mail.outbox), secrets)


def test_who_may_see_endpoints_learns_it_from_what_was_seen_and_no_sentence_tells_it(
    probed: tuple[Release, list[str]], cast: Cast
) -> None:
    release, secrets = probed
    whole = text(signed_in(cast.carol).get(at("findings_json", release)))
    for secret in SECRETS:
        assert secret in whole or secret == "127.0.0.1", secret  # what names stand for is nowhere kept
    kept = [exchange.body for row in Transcript.objects.all() for exchange in row.exchanges]
    assert any(secret in body for body in kept for secret in secrets)
    sentences = [
        value
        for each in Finding.objects.filter(release=release)
        for value in (each.reason, each.observed, str(each.detail["rule"]), str(each.detail.get("histogram")))
    ]
    assert not told("\n".join(sentences), secrets)
    assert any("…" in sentence for sentence in sentences)
    # Judged again, they are as silent.
    for answer in Answer.objects.filter(release=release).select_related("release__model__team", "item")[:20]:
        save(answer, cast.alice, claims={}, justification="As it is.")
    again = "\n".join(each.reason + each.observed for each in Finding.objects.filter(release=release))
    assert not told(again, secrets)


def test_the_words_of_a_probe_that_fails_are_no_exception(
    release: Release, cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever a probe says, by mistake or out of a server's mouth."""

    class Careless(type(PROBES["endpoint.health"])):  # type: ignore[misc]
        async def observe(self, visit: Visit) -> dict[str, Any]:
            return {"error": "odd", "why": f"{visit.target.url} at {INSTANCE} ({GPU_HOST}:9400) said [fd00::77]:8000."}

    for key in [key for key in PROBES if key != "endpoint.health"]:
        monkeypatch.delitem(PROBES, key)
    monkeypatch.setitem(PROBES, "endpoint.health", Careless())
    make_endpoint(release, cast.alice, name="main", url="http://llm.private.example:8000/x")
    run = services.request_run(release=release, by=cast.alice)
    assert runner.perform_run(run_id=run.pk, client=loopback_client())
    finding = Finding.objects.get(release=release, probe="endpoint.health", item=None)
    assert finding.reason == "…/x at … (…) said …."
    page = signed_in(cast.mallory).get(at("finding", release, finding.pk))
    assert not told(text(page), [*SECRETS, "fd00"])
    assert "llm.private.example" in text(signed_in(cast.carol).get(at("finding", release, finding.pk)))
