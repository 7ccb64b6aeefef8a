"""Runs and findings on the database: leases, repetition, claims that change, time that passes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from checklists.assessments.models import Answer
from checklists.assessments.services import save_answer
from checklists.evidence import runner, services, tasks, visiting
from checklists.evidence.models import AllowedNetwork, Finding, ProbeRun, ProbeSchedule
from checklists.evidence.network import system_connector
from checklists.evidence.probes import PROBES
from checklists.evidence.probes.base import Judgement
from checklists.evidence.services.findings import put
from checklists.evidence.services.schedule import due_schedules
from checklists.evidence.targets import jobs_of
from checklists.journal.errors import Forbidden, Invalid, WrongStage
from checklists.journal.models import Event
from checklists.registry import services as registry
from tests.evidence.known_servers import KEY, MODEL, VLLM
from tests.evidence.loopback import Server, loopback_client, routes, serving

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _of_endpoints(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is said here is said of endpoints; the probes of the release itself have tests of their own."""
    for key in [key for key, probe in PROBES.items() if probe.about == "release"]:
        monkeypatch.delitem(PROBES, key)


@pytest.fixture
def server() -> Iterator[Server]:
    with serving(routes(VLLM, key=KEY)) as running:
        yield running


@pytest.fixture
def release(edition: Any, team: Any, alice: Any) -> Any:
    model = registry.create_model(slug="assist-chat", name="Assist chat", team=team, family="llm", tier=2, by=alice)
    return registry.create_release(model=model, version="1.0", by=alice)


@pytest.fixture
def endpoint(release: Any, server: Server, alice: Any) -> Any:
    headers = {"Authorization": f"Bearer {KEY}"}
    return registry.create_endpoint(release=release, by=alice, name="main", url=server.url, headers=headers)


def claim(release: Any, by: Any, item: str, **claims: Any) -> Answer:
    answer = Answer.objects.get(release=release, item__key=item)
    return save_answer(answer=answer, by=by, revision=answer.revision, status="met", claims=claims)


def probe(release: Any) -> ProbeRun:
    run = services.request_run(release=release)
    assert runner.perform_run(run_id=run.pk, client=loopback_client(timeout_s=2.0))
    run.refresh_from_db()
    return run


def visits(run: ProbeRun, *names: str) -> list[services.Visited]:
    """What a worker sees of a run (or of these endpoints of it), not recorded."""
    jobs = [job for job in jobs_of(run) if job.target.name in names or not names]
    client = loopback_client(timeout_s=2.0)
    return [job.result for job in visiting.visited(jobs, client, at_once=4) if job is not None and job.result]


def current(release: Any, item: str, probe_key: str = "") -> list[str]:
    found = Finding.objects.current().filter(release=release, item_key=item).order_by("pk")
    found = found.filter(probe=probe_key) if probe_key else found
    # What the owner has not allowed is left out: every generating probe says so of its items.
    return [each.verdict for each in found if each.observation.get("error") != "not_allowed"]


# Asking for a run


def test_a_release_without_endpoints_can_be_probed_for_what_needs_none(release: Any) -> None:
    run = probe(release)
    assert run.state == "done"
    assert not Finding.objects.filter(release=release).exclude(endpoint_name="").exists()


def test_a_closed_release_is_not_probed(release: Any, alice: Any) -> None:
    registry.retire_release(release=release, by=alice)
    with pytest.raises(WrongStage, match="retired"):
        services.request_run(release=release, by=alice)


def test_who_may_start_a_run(endpoint: Any, release: Any, cast: Any) -> None:
    for person in (cast.carol, cast.mallory, cast.leo, cast.ada):
        with pytest.raises(Forbidden):
            services.request_run(release=release, by=person)
    for person in (cast.alice, cast.bob, cast.sam):
        assert services.request_run(release=release, by=person).state == "queued"


def test_a_second_request_gets_the_run_that_is_under_way(endpoint: Any, release: Any, alice: Any) -> None:
    first = services.request_run(release=release, by=alice)
    assert services.request_run(release=release, by=alice) == first
    assert Event.objects.filter(verb="evidence.run.requested").count() == 1
    assert services.claim_run(run_id=first.pk) is not None
    assert services.request_run(release=release) == first


def test_whoever_asks_while_the_schedules_run_waits_gets_a_whole_one(endpoint: Any, release: Any, alice: Any) -> None:
    probe(release)
    ProbeSchedule.objects.update(due_at=timezone.now())
    assert services.probe_due() == 1
    run = services.request_run(release=release, by=alice)
    assert (run.reason, run.requested_by, run.state) == ("manual", alice, "queued")
    assert Event.objects.filter(verb="evidence.run.requested", actor=alice, data__run=run.pk).count() == 1
    assert services.request_run(release=release, by=alice) == run
    assert Event.objects.filter(verb="evidence.run.requested", actor=alice).count() == 1
    probes = {each.key for job in jobs_of(run) for each in job.probes}
    assert {"generation.burst", "access.control"} <= probes


def test_whoever_asks_while_the_schedules_run_is_under_way_gets_one_after_it(
    endpoint: Any, release: Any, alice: Any
) -> None:
    assert services.probe_due() == 1
    scheduled = services.claim_run(run_id=ProbeRun.objects.get().pk)
    assert scheduled is not None
    assert services.request_run(release=release, by=alice).pk == scheduled.pk
    services.finish_run(run=scheduled)
    after = ProbeRun.objects.active().get(release=release)
    assert (after.reason, after.requested_by, after.state) == ("manual", alice, "queued")
    assert runner.perform_run(run_id=after.pk, client=loopback_client(timeout_s=2.0))
    assert not ProbeRun.objects.active().exists()


def test_a_run_is_queued_when_the_transaction_commits(
    endpoint: Any, release: Any, monkeypatch: pytest.MonkeyPatch, django_capture_on_commit_callbacks: Callable[..., Any]
) -> None:
    sent: list[list[int]] = []
    monkeypatch.setattr(tasks.run_probes, "delay", sent.append)
    with django_capture_on_commit_callbacks(execute=True):
        run = services.request_run(release=release)
        assert sent == []
    assert sent == [[run.pk]]


# Doing it


def test_a_run_measures_judges_and_tells_the_journal(endpoint: Any, release: Any, alice: Any) -> None:
    claim(release, alice, "identity.name-version", model_id=MODEL, version="3.1")
    claim(release, alice, "identity.input-limits", max_input=131072, unit="tokens")
    claim(release, alice, "security.access-control", scheme="api_key")
    claim(release, alice, "performance.latency-targets", phase="first_token", p95_ms=500)
    run = probe(release)
    assert (run.state, run.progress_done, run.lease_until) == ("done", run.progress_total, None)
    assert run.progress_total >= len([each for each in PROBES.values() if each.about == "endpoint"])
    assert current(release, "identity.name-version") == ["verified"]
    assert current(release, "identity.input-limits") == ["contradicted"]
    assert current(release, "security.access-control", "access.control") == ["verified"]
    assert current(release, "performance.latency-targets", "metrics.latency") == ["verified"]
    assert current(release, "observability.cache", "metrics.present") == ["inconclusive"]
    assert Finding.objects.filter(release=release, item=None, probe="endpoint.health", verdict="verified").count() == 1
    limit = Finding.objects.get(release=release, item_key="identity.input-limits", probe="model.limits")
    assert (limit.claimed, limit.observed, limit.unit) == ("131072", "32768", "tokens")
    assert limit.detail["rule"] == "served limit ≥ claim"
    assert limit.expires_at > limit.measured_at
    recorded = Event.objects.get(verb="evidence.findings.recorded")
    assert recorded.data["contradicted"] == 1
    assert {
        "item": "identity.input-limits",
        "probe": "model.limits",
        "before": "",
        "after": "contradicted",
    } in recorded.data["changes"]
    assert Event.objects.get(verb="evidence.run.finished").data["state"] == "done"


def test_no_secret_is_stored_anywhere(endpoint: Any, release: Any) -> None:
    probe(release)
    for finding in Finding.objects.filter(release=release):
        assert KEY not in f"{finding.observation}{finding.detail}{finding.reason}{finding.observed}{finding.claimed}"
    for event in Event.objects.all():
        assert KEY not in str(event.data)


def test_items_that_do_not_apply_to_the_family_get_no_findings(
    edition: Any, team: Any, alice: Any, server: Server
) -> None:
    model = registry.create_model(slug="find", name="Find", team=team, family="embedding", tier=3, by=alice)
    release = registry.create_release(model=model, version="1", by=alice)
    registry.create_endpoint(release=release, by=alice, name="main", url=server.url)
    probe(release)
    assert not Finding.objects.filter(release=release, item_key="observability.cache").exists()


def test_the_next_run_replaces_what_the_last_one_found(endpoint: Any, release: Any) -> None:
    probe(release)
    first = Finding.objects.current().filter(release=release).count()
    probe(release)
    assert Finding.objects.current().filter(release=release).count() == first
    replaced = Finding.objects.filter(release=release, current=False)
    assert replaced.filter(probe="endpoint.health", verdict="verified").count() == 1


def test_what_was_not_asked_again_for_the_same_reason_is_carried_on_and_not_written_again(
    endpoint: Any, release: Any
) -> None:
    first = probe(release)
    silent = Finding.objects.get(run=first, probe="prometheus.throughput")
    assert silent.detail["requests"] == []
    second = probe(release)
    again = Finding.objects.get(pk=silent.pk)
    assert (again.run_id, again.current, again.reason) == (second.pk, True, silent.reason)
    assert again.measured_at > silent.measured_at
    assert again.expires_at > silent.expires_at
    assert Finding.objects.filter(release=release, probe="prometheus.throughput").count() == 1


def test_an_endpoint_that_went_down_clears_no_contradiction(endpoint: Any, release: Any, alice: Any) -> None:
    claim(release, alice, "identity.input-limits", max_input=131072, unit="tokens")
    probe(release)
    with serving(lambda request: request.reply(503)) as down:
        client = loopback_client(connector=lambda address: system_connector(("127.0.0.1", down.port)))
        run = services.request_run(release=release)
        runner.perform_run(run_id=run.pk, client=client)
    assert current(release, "identity.input-limits") == ["contradicted", "inconclusive"]
    probe(release)
    assert current(release, "identity.input-limits") == ["contradicted"]


def test_a_probe_that_fails_itself_costs_only_its_own_findings(
    endpoint: Any, release: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    from checklists.evidence.probes.limits import Limits

    async def broken(self: Any, visit: Any) -> Any:
        raise RuntimeError("bug")

    monkeypatch.setattr(Limits, "observe", broken)
    assert probe(release).state == "done"
    finding = Finding.objects.get(release=release, item_key="identity.input-limits", probe="model.limits")
    assert finding.verdict == "inconclusive"
    assert "The probe itself failed" in finding.reason


# Twice, or by two


def test_doing_a_run_twice_records_it_once(endpoint: Any, release: Any) -> None:
    run = probe(release)
    count = Finding.objects.count()
    assert not runner.perform_run(run_id=run.pk, client=loopback_client())
    tasks.run_probes([run.pk, run.pk + 1000])
    assert Finding.objects.count() == count


def test_only_one_worker_holds_a_run(endpoint: Any, release: Any) -> None:
    run = services.request_run(release=release)
    assert services.claim_run(run_id=run.pk) is not None
    assert services.claim_run(run_id=run.pk) is None


def test_a_worker_whose_lease_ran_out_writes_nothing_more(endpoint: Any, release: Any) -> None:
    run = services.request_run(release=release)
    slow = services.claim_run(run_id=run.pk)
    assert slow is not None
    seen = visits(slow)
    ProbeRun.objects.filter(pk=run.pk).update(lease_until=timezone.now() - timedelta(seconds=1))
    quick = services.claim_run(run_id=run.pk)
    assert quick is not None
    with pytest.raises(services.LeaseLost):
        services.record_findings(run=slow, visits=seen)
    assert services.renew_leases([slow]) == {slow.pk}
    assert services.renew_leases([quick]) == set()
    with pytest.raises(services.LeaseLost):
        services.finish_run(run=slow)
    assert services.record_findings(run=quick, visits=seen)
    count = Finding.objects.count()
    assert services.record_findings(run=quick, visits=seen) == []
    assert Finding.objects.count() == count


def test_what_a_lost_worker_recorded_is_kept_and_only_the_rest_is_measured(
    release: Any, server: Server, alice: Any
) -> None:
    for name in ("a", "b"):
        registry.create_endpoint(release=release, by=alice, name=name, url=server.url, stack="vllm")
    run = services.request_run(release=release)
    lost = services.claim_run(run_id=run.pk)
    assert lost is not None
    services.record_findings(run=lost, visits=visits(lost, "a"))
    ProbeRun.objects.filter(pk=run.pk).update(lease_until=timezone.now() - timedelta(seconds=1))
    assert services.resume_abandoned() == 1
    before = set(Finding.objects.values_list("pk", flat=True))
    assert runner.perform_run(run_id=run.pk, client=loopback_client())
    run.refresh_from_db()
    assert (run.state, run.attempts, run.progress_done) == ("done", 2, run.progress_total)
    new = Finding.objects.exclude(pk__in=before)
    assert set(new.values_list("endpoint_name", flat=True)) == {"b"}
    assert Finding.objects.filter(endpoint_name="a").count() == new.count()


def test_after_three_lost_workers_a_run_has_failed(endpoint: Any, release: Any) -> None:
    run = services.request_run(release=release)
    for _ in range(3):
        assert services.claim_run(run_id=run.pk) is not None
        ProbeRun.objects.filter(pk=run.pk).update(lease_until=timezone.now() - timedelta(seconds=1))
        services.resume_abandoned()
    run.refresh_from_db()
    assert run.state == "failed"
    assert "3 workers" in run.error
    assert services.request_run(release=release).pk != run.pk


def test_a_queued_run_whose_message_was_lost_is_sent_again(
    endpoint: Any, release: Any, monkeypatch: pytest.MonkeyPatch, django_capture_on_commit_callbacks: Callable[..., Any]
) -> None:
    sent: list[list[int]] = []
    monkeypatch.setattr(tasks.run_probes, "delay", sent.append)
    run = services.request_run(release=release)
    with django_capture_on_commit_callbacks(execute=True):
        assert services.resume_abandoned() == 0
        assert services.resume_abandoned(now=timezone.now() + timedelta(minutes=5)) == 1
    assert sent == [[run.pk]]


# Claims that change


def test_a_changed_claim_is_judged_again_without_fetching(
    endpoint: Any, release: Any, alice: Any, server: Server
) -> None:
    claim(release, alice, "identity.input-limits", max_input=131072, unit="tokens")
    probe(release)
    before = Finding.objects.get(release=release, item_key="identity.input-limits", probe="model.limits")
    requests = len(server.seen)
    claim(release, alice, "identity.input-limits", max_input=8192, unit="tokens")
    after = Finding.objects.get(release=release, item_key="identity.input-limits", probe="model.limits")
    assert (after.pk, after.verdict, after.claimed) == (before.pk, "verified", "8192")
    assert (after.measured_at, after.expires_at, after.run_id) == (before.measured_at, before.expires_at, before.run_id)
    assert len(server.seen) == requests
    event = Event.objects.get(verb="evidence.findings.rejudged")
    assert event.data["changes"][0]["before"] == "contradicted"
    assert after.detail["requests"] == before.detail["requests"]


def test_judging_again_takes_the_same_number_of_queries_for_one_endpoint_and_for_five(
    endpoint: Any, release: Any, alice: Any, server: Server
) -> None:
    def queries(limit: int) -> int:
        with CaptureQueriesContext(connection) as captured:
            claim(release, alice, "identity.input-limits", max_input=limit, unit="tokens")
        return len(captured)

    claim(release, alice, "identity.input-limits", max_input=131072, unit="tokens")
    probe(release)
    one = queries(100)
    for number in range(4):
        registry.create_endpoint(
            release=release,
            by=alice,
            name=f"more-{number}",
            url=server.url,
            stack="vllm",
            headers={"Authorization": f"Bearer {KEY}"},
        )
    probe(release)
    assert queries(200_000) == one


def test_a_new_claim_settles_which_finding_stands(endpoint: Any, release: Any, alice: Any) -> None:
    probe(release)
    probe(release)
    assert current(release, "identity.name-version") == ["inconclusive"]
    claim(release, alice, "identity.name-version", model_id=MODEL, version="3.1")
    assert current(release, "identity.name-version") == ["verified"]


def test_findings_of_a_moved_or_deleted_endpoint_stand_no_longer(endpoint: Any, release: Any, alice: Any) -> None:
    claim(release, alice, "identity.input-limits", max_input=131072, unit="tokens")
    probe(release)
    registry.change_endpoint(endpoint=endpoint, by=alice, name="renamed")
    assert current(release, "identity.input-limits") == ["contradicted"]
    registry.change_endpoint(endpoint=endpoint, by=alice, url="http://127.0.0.1:9/", headers={})
    assert current(release, "identity.input-limits") == []
    probe(release)
    registry.delete_endpoint(endpoint=endpoint, by=alice)
    assert not Finding.objects.current().filter(release=release).exists()
    assert Finding.objects.filter(release=release, endpoint=None).exists()


def test_what_monitoring_told_of_other_labels_stands_no_longer(endpoint: Any, release: Any, alice: Any) -> None:
    claim(release, alice, "identity.input-limits", max_input=131072, unit="tokens")
    probe(release)
    told = Finding.objects.current().filter(release=release, probe="prometheus.latency")
    assert told.exists()
    registry.change_endpoint(endpoint=endpoint, by=alice, labels={"job": "another"})
    assert not told.exists()
    assert current(release, "identity.input-limits") == ["contradicted"]  # what it said of itself, it still says


@pytest.mark.parametrize(
    "change", [{"stack": "sglang"}, {"headers": {"Authorization": "Bearer new"}}, {"may_generate": True}]
)
def test_what_was_seen_of_an_endpoint_that_was_changed_meanwhile_is_not_recorded(
    endpoint: Any, release: Any, alice: Any, change: dict[str, Any]
) -> None:
    run = services.claim_run(run_id=services.request_run(release=release).pk)
    assert run is not None
    seen = visits(run)
    registry.change_endpoint(endpoint=endpoint, by=alice, name="renamed")
    registry.change_endpoint(endpoint=endpoint, by=alice, **change)
    assert services.record_findings(run=run, visits=seen) == []
    services.finish_run(run=run)
    assert services.probe_due() == 1


def test_what_a_prometheus_said_stands_no_longer_once_it_is_another_one(
    endpoint: Any, release: Any, alice: Any
) -> None:
    claim(release, alice, "identity.name-version", model_id=MODEL, version="3.1")
    probe(release)
    stood = Finding.objects.current().filter(release=release)
    Finding.objects.filter(pk=stood.filter(probe="prometheus.throughput")[0].pk).update(verdict="verified")
    registry.change_endpoint(endpoint=endpoint, by=alice, labels={"job": "chat"})
    assert not stood.filter(probe="prometheus.throughput").exists()
    assert stood.filter(probe="model.identity", verdict="verified").exists()


# Time


def test_stale_findings_are_told_once(endpoint: Any, release: Any) -> None:
    probe(release)
    later = timezone.now() + timedelta(days=31)
    assert services.expire_findings() == 0
    assert services.expire_findings(now=later) > 5
    assert services.expire_findings(now=later) == 0
    assert Event.objects.filter(verb="evidence.finding.expired").count() == 1
    assert not Finding.objects.fresh(later).filter(release=release).exists()


def test_what_was_never_probed_or_runs_out_soon_is_due(endpoint: Any, release: Any, alice: Any) -> None:
    assert services.probe_due() == 1
    assert services.probe_due() == 0
    run = ProbeRun.objects.get()
    assert (run.reason, run.requested_by) == ("scheduled", None)
    assert runner.perform_run(run_id=run.pk, client=loopback_client())
    assert services.probe_due() == 0
    assert services.probe_due(now=timezone.now() + timedelta(hours=19)) == 0
    assert services.probe_due(now=timezone.now() + timedelta(days=2)) == 1


def test_closed_releases_are_never_due(release: Any, endpoint: Any, alice: Any) -> None:
    registry.retire_release(release=release, by=alice)
    assert services.probe_due() == 0


def test_what_is_due_is_found_with_one_query(endpoint: Any, release: Any) -> None:
    with CaptureQueriesContext(connection) as captured:
        assert {row.endpoint_id for row in due_schedules(timezone.now())} == {None, endpoint.pk}
    assert len(captured) == 1


def test_the_timed_tasks_can_run_with_nothing_to_do() -> None:
    for task in (tasks.probe_due, tasks.resume_abandoned, tasks.expire_findings, tasks.drop_old):
        task()
        task()


# Policy


def test_an_administrator_allows_a_network_and_closes_it_again(root: Any) -> None:
    row = services.allow_network(cidr="10.20.1.7/16", by=root, note="GPU farm")
    assert row.cidr == "10.20.0.0/16"
    services.current_policy().check("10.20.99.1")
    services.remove_network(network=row, by=root)
    assert services.current_policy().allowed == ()
    assert list(
        Event.objects.filter(verb__startswith="evidence.network").order_by("pk").values_list("verb", flat=True)
    ) == [
        "evidence.network.allowed",
        "evidence.network.removed",
    ]


@pytest.mark.parametrize(
    "cidr",
    [
        "169.254.0.0/16",
        "169.254.169.254",
        "fe80::/10",
        "0.0.0.0/0",
        "::/0",
        "224.0.0.0/4",
        "64:ff9b::/96",
        "nonsense",
        "",
    ],
)
def test_some_networks_are_never_allowed(root: Any, cidr: str) -> None:
    with pytest.raises(Invalid) as refusal:
        services.allow_network(cidr=cidr, by=root)
    assert refusal.value.errors["cidr"]
    assert not AllowedNetwork.objects.exists()


def test_a_network_is_allowed_once(root: Any) -> None:
    services.allow_network(cidr="127.0.0.0/8", by=root)
    with pytest.raises(Invalid):
        services.allow_network(cidr="127.0.0.0/8", by=root)


def test_only_administrators_change_the_policy(cast: Any) -> None:
    row = services.allow_network(cidr="10.0.0.0/8", by=cast.root)
    for person in (cast.alice, cast.sam, cast.ada, cast.leo):
        with pytest.raises(Forbidden):
            services.allow_network(cidr="10.20.0.0/16", by=person)
        with pytest.raises(Forbidden):
            services.remove_network(network=row, by=person)


def test_without_an_allowed_network_a_private_endpoint_is_refused_with_the_reason(endpoint: Any, release: Any) -> None:
    run = services.request_run(release=release)
    assert runner.perform_run(run_id=run.pk)
    finding = Finding.objects.get(release=release, probe="endpoint.health", item=None)
    assert finding.verdict == "inconclusive"
    assert "no administrator has allowed its network" in finding.reason


def test_findings_of_a_restricted_model_are_hidden_from_outsiders(endpoint: Any, release: Any, cast: Any) -> None:
    run = probe(release)
    registry.change_model(model=release.model, by=cast.alice, restricted=True)
    for person, sees in ((cast.alice, True), (cast.sam, True), (cast.mallory, False), (cast.leo, False)):
        assert Finding.objects.visible_to(person).exists() is sees
        assert ProbeRun.objects.visible_to(person).filter(pk=run.pk).exists() is sees


def test_what_is_too_long_for_a_finding_shows_where_it_was_cut() -> None:
    finding = Finding(detail={})
    put(finding, Judgement("inconclusive", claimed="c" * 500, observed="o" * 501, reason="r" * 2000))
    assert (finding.claimed, finding.observed) == ("c" * 500, "o" * 499 + "…")
    assert (len(finding.reason), finding.reason[-2:]) == (1000, "r…")


def test_a_reason_does_not_say_where_the_release_can_be_reached(release: Any, server: Server, alice: Any) -> None:
    address = f"{server.url}/nothing/here"
    registry.create_endpoint(release=release, by=alice, name="main", url=server.url, metrics_url=address)
    probe(release)
    told = [finding.reason for finding in Finding.objects.filter(release=release, probe="metrics.present")]
    assert any(reason.startswith("…/nothing/here") for reason in told), told
    assert not Finding.objects.filter(release=release, reason__contains=server.url).exists()
