from __future__ import annotations

from typing import Any

import pytest

from checklists.evidence.models import ProbeRun
from checklists.registry.models import Release
from tests.build import make_endpoint, make_model, make_release
from tests.conftest import Cast
from tests.web.steps import HTMX, RESTORED, at, make_finding, queries, signed_in, text

pytestmark = pytest.mark.django_db
LATENCY = "performance.latency-targets"


@pytest.fixture
def release(cast: Cast, team: Any, edition: Any) -> Release:
    return make_release(make_model(team, cast.alice, "assist-chat"), cast.alice, "4.2")


def test_an_empty_evidence_tab_says_what_to_do_first(cast: Cast, release: Release) -> None:
    assert at("endpoint_create", release) in text(signed_in(cast.bob).get(at("evidence", release)))
    page = text(signed_in(cast.leo).get(at("evidence", release)))
    assert "No endpoint yet" in page
    assert at("endpoint_create", release) not in page


def test_findings_are_told_with_claim_observation_and_freshness(cast: Cast, release: Release) -> None:
    endpoint = make_endpoint(release, cast.alice)
    make_finding(release, LATENCY, "contradicted", endpoint=endpoint, claimed="800", observed="1200", unit="ms")
    for key in ("identity.name-version", "identity.lineage"):
        make_finding(release, key, "inconclusive", endpoint=endpoint, reason="Our own credentials were refused (401).")
    for user in vars(cast).values():
        response = signed_in(user).get(at("evidence", release))
        assert response.status_code == 200
        assert "1200" in text(response)
        assert len(response.context["unsettled"]) == 1
        assert len(response.context["unsettled"][0].rows) == 2
    assert "Check the headers" in text(signed_in(cast.bob).get(at("evidence", release)))
    assert "Check the headers" not in text(signed_in(cast.carol).get(at("evidence", release)))


def test_more_findings_and_endpoints_take_no_more_queries(cast: Cast, release: Release) -> None:
    endpoint = make_endpoint(release, cast.alice)
    make_finding(release, LATENCY, "verified", endpoint=endpoint)
    make_finding(release, "identity.lineage", "inconclusive", endpoint=endpoint)
    client = signed_in(cast.alice)
    few = queries(client, at("evidence", release))
    for number in range(18):
        other = make_endpoint(release, cast.alice, name=f"eu-{number + 2}")
        make_finding(release, LATENCY, "verified", endpoint=other)
    assert queries(client, at("evidence", release)) == few <= 15


def test_htmx_gets_the_findings_only(cast: Cast, release: Release) -> None:
    client = signed_in(cast.carol)
    page, fragment, restored = (client.get(at("evidence", release), **headers) for headers in ({}, HTMX, RESTORED))
    assert "<!doctype html>" in text(page)
    assert "<!doctype html>" in text(restored)
    assert text(fragment).startswith('<div id="findings"')
    assert "HX-Request" in fragment["Vary"]


@pytest.mark.parametrize(("observation", "says"), [
    ({"stack": "openai", "error": "refused_address", "why": "It is link-local."}, "to be found out"),
    ({"stack": "openai", "error": "no_route", "why": "No health route was found."}, "OpenAI-compatible"),
    ({"stack": "openai", "status": 200, "ms": 1.0}, "OpenAI-compatible"),
])  # fmt: skip
def test_a_stack_counts_as_found_out_only_where_somebody_answered(
    cast: Cast, release: Release, observation: dict[str, Any], says: str
) -> None:
    endpoint = make_endpoint(release, cast.alice)
    make_finding(
        release, "reliability.warmup-validated", "inconclusive", endpoint=endpoint, probe="endpoint.health",
        observation=observation,
    )  # fmt: skip
    make_finding(
        release, "security.access-control", "inconclusive", endpoint=endpoint, probe="access.control",
        observation={"stack": "openai", "routes": []},
    )  # fmt: skip
    cells = text(signed_in(cast.alice).get(at("evidence", release))).split('data-label="Serving stack"')[1]
    assert says in cells.split("</td>")[0]


def test_a_finding_shows_how_it_was_read(cast: Cast, release: Release) -> None:
    endpoint = make_endpoint(release, cast.alice)
    finding = make_finding(
        release,
        LATENCY,
        "contradicted",
        endpoint=endpoint,
        claimed="800",
        observed="1200",
        unit="ms",
        observation={"where": "/metrics", "count": 1284},
        detail={
            "rule": "bucket begins ≥ goal",
            "samples": 1284,
            "requests": [
                {"line": "GET /metrics", "key": "ours", "status": 200, "ms": 31},
                {"line": "GET /x", "key": "wrong", "error": "timeout", "earlier": True},
            ],
        },
    )
    client = signed_in(cast.carol)
    page = text(client.get(at("finding", release, finding.pk)))
    for said in (
        "GET /metrics",
        "31 ms",
        "a wrong key, on purpose",
        "timeout",
        "sent earlier in this run",
        "bucket begins",
        "1284",
        "&quot;where&quot;",
    ):
        assert said in page
    assert queries(client, at("finding", release, finding.pk)) <= 15
    other = make_release(release.model, cast.alice, "5.0")
    assert client.get(at("finding", other, finding.pk)).status_code == 404


def test_probing_queues_a_run_and_shows_how_far_it_is(
    cast: Cast, release: Release, django_capture_on_commit_callbacks: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[int] = []
    monkeypatch.setattr("checklists.evidence.tasks.run_probes.delay", sent.append)
    make_endpoint(release, cast.alice)
    client = signed_in(cast.bob)
    url = at("probe_run_create", release)
    with django_capture_on_commit_callbacks(execute=True):
        plain = client.post(url)
    run = ProbeRun.objects.get()
    assert plain["Location"] == at("evidence", release)
    assert sent == [run.pk]
    fragment = text(client.post(url, **HTMX))
    assert "The probes are queued" in fragment
    assert 'hx-trigger="every 1s"' in fragment
    assert ProbeRun.objects.count() == 1
    for headers in ({}, RESTORED):
        assert client.get(at("probe_run", release, run.pk), **headers)["Location"] == at("evidence", release)
    ProbeRun.objects.update(state="running", progress_done=0)
    working = client.get(at("probe_run", release, run.pk), **HTMX)
    assert "0 of 1 endpoint done" in text(working)
    assert "HX-Trigger" not in working
    ProbeRun.objects.update(state="done", progress_done=1)
    ended = client.get(at("probe_run", release, run.pk), **HTMX)
    assert "every 1s" not in text(ended)
    assert ended["HX-Trigger"] == "findings-changed"


def test_who_may_not_probe_is_refused_and_nothing_is_probed_without_endpoints(cast: Cast, release: Release) -> None:
    assert signed_in(cast.bob).post(at("probe_run_create", release)).status_code == 409
    make_endpoint(release, cast.alice)
    for user in (cast.carol, cast.mallory, cast.leo, cast.ada):
        assert signed_in(user).post(at("probe_run_create", release)).status_code == 403
    assert not ProbeRun.objects.exists()
