from __future__ import annotations

import html
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.utils import timezone

from checklists.evidence.metrics import Histogram
from checklists.evidence.models import Finding, ProbeRun, ProbeSchedule, Transcript
from checklists.evidence.probes import PROBES
from checklists.evidence.remedies import Remedy
from checklists.evidence.transcripts import Exchange, packed
from checklists.registry.models import Release
from checklists.registry.services import delete_endpoint
from checklists.web.evidence_page import UNTOLD, Topic
from checklists.web.remedies import WORDS
from tests.build import answer_everything, make_endpoint, make_model, make_release
from tests.conftest import Cast
from tests.web.steps import HTMX, RESTORED, at, make_finding, queries, signed_in, text

pytestmark = pytest.mark.django_db
LATENCY = "performance.latency-targets"


@pytest.fixture
def release(cast: Cast, team: Any, edition: Any) -> Release:
    return make_release(make_model(team, cast.alice, "assist-chat"), cast.alice, "4.2")


def make_run(release: Release, days_ago: int) -> ProbeRun:
    return ProbeRun.objects.create(
        release=release, state="done", created_at=timezone.now() - timedelta(days=days_ago, hours=1)
    )


def test_an_empty_evidence_tab_says_what_to_do_first(cast: Cast, release: Release) -> None:
    assert at("endpoint_create", release) in text(signed_in(cast.bob).get(at("evidence", release)))
    page = text(signed_in(cast.leo).get(at("evidence", release)))
    assert "No endpoint yet" in page
    assert at("endpoint_create", release) not in page


def topic_of(response: Any, key: str) -> Topic:
    return next(topic for topic in response.context["topics"] if topic.key == key)


def test_claimed_and_measured_stand_side_by_side_for_each_endpoint(cast: Cast, release: Release) -> None:
    for name, verdict, observed in (("eu-1", "verified", "640"), ("us-1", "contradicted", "1200")):
        endpoint = make_endpoint(release, cast.alice, name=name)
        make_finding(release, LATENCY, verdict, endpoint=endpoint, claimed="800", observed=observed, unit="ms",
                     reason=f"Read at {name}.")  # fmt: skip
    other = make_endpoint(release, cast.alice, name="ap-1")
    make_finding(release, LATENCY, "inconclusive", endpoint=other, reason="Only 3 samples.")
    for user in vars(cast).values():
        response = signed_in(user).get(at("evidence", release))
        topic = topic_of(response, LATENCY)
        assert topic.verdict == "contradicted"
        assert [reading.where for reading in topic.readings] == ["us-1", "eu-1", "ap-1"]
        page = text(response)
        for said in ("Claimed 800 ms ≠ measured 1200 ms", "Claimed 800 ms · measured 640 ms", "Read at us-1.",
                     "Only 3 samples."):  # fmt: skip
            assert said in page


def test_of_many_endpoints_the_worst_are_shown_and_the_others_folded(cast: Cast, release: Release) -> None:
    for number in range(7):
        endpoint = make_endpoint(release, cast.alice, name=f"eu-{number}")
        make_finding(release, LATENCY, "contradicted" if number == 6 else "verified", endpoint=endpoint)
    response = signed_in(cast.carol).get(at("evidence", release))
    assert topic_of(response, LATENCY).shown[0].where == "eu-6"
    assert "4 more: 4 verified" in text(response)


def test_more_findings_runs_and_endpoints_take_no_more_queries(cast: Cast, release: Release) -> None:
    endpoint = make_endpoint(release, cast.alice)
    make_finding(release, LATENCY, "verified", endpoint=endpoint)
    make_finding(release, "identity.lineage", "inconclusive", endpoint=endpoint)
    readers = [signed_in(cast.alice), signed_in(cast.rita)]
    few = [queries(client, at("evidence", release)) for client in readers]
    for number in range(18):
        other = make_endpoint(release, cast.alice, name=f"eu-{number + 2}")
        make_finding(release, LATENCY, "verified", endpoint=other)
        make_finding(release, LATENCY, "verified", endpoint=endpoint, run=make_run(release, number), current=False)
    assert [queries(client, at("evidence", release)) for client in readers] == few
    assert max(few) <= 15


def test_each_endpoint_has_its_runs_over_time(cast: Cast, release: Release) -> None:
    endpoint = make_endpoint(release, cast.alice)
    for days, verdicts in ((2, ("verified", "inconclusive")), (1, ("verified", "contradicted"))):
        run = make_run(release, days)
        for key, verdict in zip((LATENCY, "identity.lineage"), verdicts, strict=True):
            make_finding(release, key, verdict, endpoint=endpoint, run=run, current=days == 1)
    response = signed_in(cast.carol).get(at("evidence", release))
    place = response.context["places"][0]
    assert [column.counts for column in place.columns] == [
        {"verified": 1, "open": 1},
        {"verified": 1, "contradicted": 1},
    ]
    page = text(response)
    assert "eu-1: 2 runs. Latest, " in page
    assert "1 verified, 1 contradicted" in page
    drawn = page.split('class="run-columns"')[1].split("</svg>")[0]
    assert drawn.count("<rect") == 4
    assert "style=" not in page


def test_a_topic_shows_its_last_readings_as_a_trend_with_words(cast: Cast, release: Release) -> None:
    endpoint = make_endpoint(release, cast.alice)
    for days in range(14, 0, -1):
        make_finding(
            release, LATENCY, "contradicted" if days == 1 else "verified", endpoint=endpoint, current=days == 1,
            run=make_run(release, days), measured_at=timezone.now() - timedelta(days=days), unit="ms",
            observed=f"p95 between {100 * (15 - days)} and 2,000",
        )  # fmt: skip
    response = signed_in(cast.carol).get(at("evidence", release))
    (reading,) = topic_of(response, LATENCY).readings
    assert len(reading.marks) == 12
    assert [mark.number for mark in reading.marks] == [100 * n for n in range(3, 15)]
    assert reading.marks[-1].state == "contradicted"
    page = text(response)
    assert "The last 12 readings." in page
    assert "contradicted p95 between 1400 and 2,000 ms" in page


def test_a_histogram_is_drawn_with_its_goals(cast: Cast, release: Release) -> None:
    endpoint = make_endpoint(release, cast.alice)
    picture = Histogram("ttft", (100, 800, 2000, float("inf")), (10, 90, 100, 100)).picture({"p95": 800}, "ms")
    finding = make_finding(release, LATENCY, "contradicted", endpoint=endpoint, detail={"histogram": picture})
    client = signed_in(cast.carol)
    words = "100 measurements, goal p95 800 ms; 10 of them in buckets beyond"
    for page in (at("evidence", release), at("finding", release, finding.pk), at("checklist", release, "performance")):
        told = text(client.get(page))
        assert words in told
        assert 'class="over"' in told
    whole = text(client.get(at("finding", release, finding.pk)))
    assert "up to 2000" in whole
    assert ">p95 800 ms</text>" in whole


def test_what_would_help_is_grouped_with_how_many_items_it_would_settle(cast: Cast, release: Release) -> None:
    endpoint = make_endpoint(release, cast.alice, stack="vllm")
    answer_everything(release, cast.alice)
    page = signed_in(cast.bob).get(at("evidence", release))
    by_text = {each.text: each for each in page.context["suggestions"]}
    prometheus = by_text[WORDS[Remedy.PROMETHEUS].text]
    assert prometheus.settles > 5
    assert f"Would settle {prometheus.settles} items" in text(page)
    form = at("endpoint_edit", release, endpoint.pk)
    assert [action.url for action in prometheus.actions] == [f"{form}#id_prometheus_url"]
    assert 'id="id_prometheus_url"' in text(signed_in(cast.bob).get(form))
    # Whoever may not change endpoints learns what would help, without a link they could not use.
    told = signed_in(cast.carol).get(at("evidence", release))
    assert WORDS[Remedy.PROMETHEUS].text in html.unescape(text(told))
    assert form not in text(told)


def test_an_unanswered_item_is_to_be_answered_first(cast: Cast, release: Release) -> None:
    endpoint = make_endpoint(release, cast.alice)
    key = "identity.input-limits"
    make_finding(
        release,
        key,
        "inconclusive",
        endpoint=endpoint,
        probe="model.limits",
        reason="Nothing is claimed yet that could be compared.",
    )
    response = signed_in(cast.bob).get(at("evidence", release))
    claim = next(each for each in response.context["suggestions"] if each.text == WORDS[Remedy.CLAIM].text)
    assert key in [item.key for item, _ in claim.rows]
    assert claim.actions[0].url.startswith(at("checklist", release, claim.rows[0][0].section_key))


def test_what_nobody_can_help_is_told_by_its_reason(cast: Cast, release: Release) -> None:
    endpoint = make_endpoint(release, cast.alice, stack="vllm", may_generate=True)
    answer_everything(release, cast.alice)
    key = "identity.lineage"
    for probe in [probe for probe in PROBES.values() if key in probe.items]:
        where = endpoint if probe.about == "endpoint" else None
        make_finding(release, key, "inconclusive", endpoint=where, endpoint_name=where.name if where else "",
                     probe=probe.key, reason="The server does not tell this.")  # fmt: skip
    response = signed_in(cast.bob).get(at("evidence", release))
    (rest,) = [each for each in response.context["unhelped"] if each.reason == "The server does not tell this."]
    assert {finding.item_key for _, finding in rest.rows} == {key}


def test_where_no_probe_can_settle_an_item_the_stack_is_the_reason_and_not_what_was_not_given(
    cast: Cast, release: Release
) -> None:
    endpoint = make_endpoint(release, cast.alice, stack="ollama")
    answer_everything(release, cast.alice)
    key = "observability.cache"
    make_finding(
        release, key, "inconclusive", endpoint=endpoint, probe="prometheus.present", reason="No Prometheus server."
    )
    response = signed_in(cast.bob).get(at("evidence", release))
    reasons = {each.reason: [item.key for item, _ in each.rows if item] for each in response.context["unhelped"]}
    assert "No Prometheus server." not in reasons
    assert next(reason for reason, keys in reasons.items() if key in keys).startswith("Ollama ")


def test_what_no_probe_that_ran_speaks_of_is_told_too(cast: Cast, release: Release) -> None:
    endpoint = make_endpoint(release, cast.alice, stack="vllm")
    answer_everything(release, cast.alice)
    make_finding(release, "identity.name-version", "verified", endpoint=endpoint, probe="model.identity")
    make_finding(release, "identity.name-version", "inconclusive", endpoint_name="", probe="hub.model")
    response = signed_in(cast.bob).get(at("evidence", release))
    assert not any(
        "identity.lineage" in [item.key for item, _ in each.rows] for each in response.context["suggestions"]
    )
    (untold,) = [each for each in response.context["unhelped"] if each.reason == UNTOLD]
    assert [item.key for item, _ in untold.rows if item] == ["identity.lineage"]
    page = text(response)
    assert UNTOLD in page
    assert "vLLM tells its quantisation only in development mode" in page


def test_below_a_remedy_each_item_says_what_asks_for_it_and_nothing_else(cast: Cast, release: Release) -> None:
    endpoint = make_endpoint(release, cast.alice, stack="vllm", may_generate=True)
    answer_everything(release, cast.alice)
    key = "reliability.backpressure"
    make_finding(release, key, "inconclusive", endpoint=endpoint, probe="prometheus.backpressure", reason="No server.")
    make_finding(
        release, key, "inconclusive", endpoint=endpoint, probe="generation.burst", reason="No burst is allowed.",
        observation={"error": "not_allowed"},
    )  # fmt: skip
    response = signed_in(cast.bob).get(at("evidence", release))
    said = {
        each.text: {item.key: finding.reason if finding else "" for item, finding in each.rows}
        for each in response.context["suggestions"]
    }
    assert said[WORDS[Remedy.PROMETHEUS].text][key] == "No server."
    assert said[WORDS[Remedy.BURST].text] == {key: "No burst is allowed.", "autoscaling.batch-queue": ""}


def test_what_each_probe_sends_is_listed_whole(cast: Cast, release: Release) -> None:
    page = html.unescape(text(signed_in(cast.bob).get(at("evidence", release))))
    for probe in PROBES.values():
        assert probe.sends in page
        assert "{" not in probe.sends


def test_the_recognised_stack_is_told_with_how_sure_and_from_what(cast: Cast, release: Release) -> None:
    endpoint = make_endpoint(release, cast.alice)
    seen = {"stack": "vllm", "sure": 0.88, "signs": ["owned_by is vllm"], "against": ["not so: /load"],
            "runner_up": "sglang", "runner_up_sure": 0.1, "behind": "", "gateway": "Envoy"}  # fmt: skip
    finding = Finding.objects.create(
        run=make_run(release, 1), release=release, endpoint=endpoint, endpoint_name="eu-1", probe="stack.recognition",
        probe_version="1", verdict="verified", reason="r", observation=seen, measured_at=timezone.now(),
        expires_at=timezone.now() + timedelta(days=7),
    )  # fmt: skip
    page = text(signed_in(cast.bob).get(at("evidence", release)))
    for said in ("vLLM, 88 % sure, through Envoy", "owned_by is vllm", "not so: /load", "SGLang, 10 %"):
        assert said in page
    assert f"{at('endpoint_edit', release, endpoint.pk)}#id_stack" in page
    endpoint.stack = "tgi"
    endpoint.save()
    Finding.objects.filter(pk=finding.pk).update(verdict="contradicted")
    page = text(signed_in(cast.carol).get(at("evidence", release)))
    assert "≠ HF Text Generation Inference, as its owner says" in page


def test_the_next_probe_and_a_dead_host_that_is_left_alone_are_told(cast: Cast, release: Release) -> None:
    endpoint = make_endpoint(release, cast.alice)
    client = signed_in(cast.carol)
    assert "due now" in text(client.get(at("evidence", release)))
    later = timezone.now() + timedelta(hours=8, minutes=1)
    ProbeSchedule.objects.filter(endpoint=endpoint).update(due_at=later, failures=4)
    ProbeSchedule.objects.filter(endpoint=None).update(due_at=timezone.now() + timedelta(days=3, minutes=1))
    page = text(client.get(at("evidence", release)))
    assert "in 8 hours; nobody answered in the last 4 runs, so it is asked less often" in page
    assert "in 3 days" in page


def test_what_was_found_about_the_release_itself_stands_beside_its_endpoints(cast: Cast, release: Release) -> None:
    finding = make_finding(
        release, "operations.owner", "verified", endpoint_name="", probe="release.owner", claimed="S", observed="S"
    )
    response = signed_in(cast.carol).get(at("evidence", release))
    assert topic_of(response, "operations.owner").readings[0].where == "The release itself"
    assert response.context["places"][-1].name == "The release itself"
    assert "none: about the release itself" in text(signed_in(cast.carol).get(at("finding", release, finding.pk)))


def test_htmx_gets_the_findings_only(cast: Cast, release: Release) -> None:
    client = signed_in(cast.carol)
    page, fragment, restored = (client.get(at("evidence", release), **headers) for headers in ({}, HTMX, RESTORED))
    assert "<!doctype html>" in text(page)
    assert "<!doctype html>" in text(restored)
    assert text(fragment).startswith('<div id="findings"')
    assert "HX-Request" in fragment["Vary"]


def test_a_stack_counts_as_found_out_only_where_somebody_answered(cast: Cast, release: Release) -> None:
    endpoint = make_endpoint(release, cast.alice)
    Finding.objects.create(
        run=make_run(release, 1), release=release, endpoint=endpoint, endpoint_name="eu-1", probe="stack.recognition",
        probe_version="1", verdict="inconclusive", reason="It is link-local.", measured_at=timezone.now(),
        observation={"stack": "openai", "sure": 0, "error": "refused_address", "why": "It is link-local."},
        expires_at=timezone.now() + timedelta(days=7),
    )  # fmt: skip
    assert "to be found out" in text(signed_in(cast.alice).get(at("evidence", release)))


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
    assert f'<a href="{at("evidence", release)}" aria-current="page">' in page
    other = make_release(release.model, cast.alice, "5.0")
    assert client.get(at("finding", other, finding.pk)).status_code == 404


def test_probing_queues_a_run_and_shows_how_far_it_is(
    cast: Cast, release: Release, django_capture_on_commit_callbacks: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[list[int]] = []
    monkeypatch.setattr("checklists.evidence.tasks.run_probes.delay", sent.append)
    make_endpoint(release, cast.alice)
    client = signed_in(cast.bob)
    url = at("probe_run_create", release)
    with django_capture_on_commit_callbacks(execute=True):
        plain = client.post(url)
    run = ProbeRun.objects.get()
    assert plain["Location"] == at("evidence", release)
    assert sent == [[run.pk]]
    fragment = text(client.post(url, **HTMX))
    assert "The probes are queued" in fragment
    assert 'hx-trigger="every 1s"' in fragment
    assert ProbeRun.objects.count() == 1
    assert "0 checks" not in text(client.get(at("evidence", release)))  # nobody has counted them yet
    for headers in ({}, RESTORED):
        assert client.get(at("probe_run", release, run.pk), **headers)["Location"] == at("evidence", release)
    ProbeRun.objects.update(state="running", progress_done=7, progress_total=80)
    working = client.get(at("probe_run", release, run.pk), **HTMX)
    assert "7 of 80 checks done" in text(working)
    assert "HX-Trigger" not in working
    ProbeRun.objects.update(state="done", progress_done=80)
    ended = client.get(at("probe_run", release, run.pk), **HTMX)
    assert "every 1s" not in text(ended)
    assert ended["HX-Trigger"] == "findings-changed"


def test_who_may_not_probe_is_refused_and_a_release_is_probed_without_endpoints_too(
    cast: Cast, release: Release
) -> None:
    for user in (cast.carol, cast.mallory, cast.leo, cast.ada):
        assert signed_in(user).post(at("probe_run_create", release)).status_code == 403
    assert not ProbeRun.objects.exists()
    assert signed_in(cast.bob).post(at("probe_run_create", release)).status_code == 302
    assert ProbeRun.objects.count() == 1


def keep_answer(finding: Finding, number: int, body: str) -> None:
    assert finding.run is not None
    before = [Exchange("GET /other", 200, "", "", False)] * number
    kept = packed([*before, Exchange("GET /metrics", 200, "text/plain", body, True)])
    Transcript.objects.create(
        run=finding.run, endpoint_name=finding.endpoint_name, packed=kept, created_at=timezone.now()
    )


def test_a_kept_answer_is_shown_to_those_who_see_endpoints(cast: Cast, release: Release) -> None:
    requests = [{"line": "GET /metrics", "key": "ours", "status": 200, "ms": 3, "answer": 4},
                {"line": "GET /health", "key": "ours", "status": 200, "ms": 3, "answer": 5}]  # fmt: skip
    finding = make_finding(
        release, LATENCY, "verified", endpoint=make_endpoint(release, cast.alice), detail={"requests": requests}
    )
    keep_answer(finding, 4, "vllm:num_requests_running <b>3</b>")
    url = at("finding_answer", release, finding.pk, 4)
    client = signed_in(cast.carol)
    page = text(client.get(at("finding", release, finding.pk)))
    assert url in page
    assert "dropped after" not in page
    plain, fragment, restored = (client.get(url, **headers) for headers in ({}, HTMX, RESTORED))
    for response in (plain, fragment, restored):
        assert "vllm:num_requests_running &lt;b&gt;3" in text(response)
        assert "only the beginning was kept" in text(response)
        assert "HX-Request" in response["Vary"]
    assert "<!doctype html>" in text(plain)
    assert "<!doctype html>" in text(restored)
    assert "<!doctype html>" not in text(fragment)
    assert client.get(at("finding_answer", release, finding.pk, 5)).status_code == 404
    for user in (cast.mallory, cast.leo):
        outsider = signed_in(user)
        assert outsider.get(url).status_code == 403
        assert url not in text(outsider.get(at("finding", release, finding.pk)))
    Finding.objects.filter(pk=finding.pk).update(measured_at=timezone.now() - timedelta(days=31))
    page = text(client.get(at("finding", release, finding.pk)))
    assert "dropped after 30 days" in page
    assert url not in page


def test_a_finding_shows_how_the_same_probe_read_before(cast: Cast, release: Release) -> None:
    endpoint = make_endpoint(release, cast.alice)
    before = make_finding(
        release, LATENCY, "verified", endpoint=endpoint, observed="640", current=False, run=make_run(release, 2),
        measured_at=timezone.now() - timedelta(days=2), reason="It was fast.",
    )  # fmt: skip
    make_finding(release, LATENCY, "verified", endpoint=endpoint, probe="prometheus.latency", reason="Another probe.")
    finding = make_finding(
        release, LATENCY, "contradicted", endpoint=endpoint, observed="1200", run=make_run(release, 1)
    )
    page = text(signed_in(cast.carol).get(at("finding", release, finding.pk)))
    assert "How it read before" in page
    assert "It was fast." in page
    assert "Another probe." not in page
    earlier = text(signed_in(cast.carol).get(at("finding", release, before.pk)))
    assert "How it read before" not in earlier
    assert "replaced by a later reading" in earlier


@pytest.mark.parametrize(
    ("verdict", "fields", "words"),
    [
        ("verified", {}, "1 May 2030"),
        ("contradicted", {}, "conclusive evidence replaces it"),
        ("inconclusive", {}, "neither for nor against"),
        ("verified", {"run": None, "probe": "capacity.arithmetic"}, "another claim or config.json is on file"),
    ],
)
def test_a_finding_says_how_long_it_counts(
    cast: Cast, release: Release, verdict: str, fields: dict[str, Any], words: str
) -> None:
    ends = datetime(2030, 5, 1, tzinfo=UTC)
    read = {"probe": "prometheus.peak-memory", "observed": "40", "unit": "GiB", "expires_at": ends}
    finding = make_finding(release, "compute.peak-memory", verdict, endpoint_name="", **(read | fields))
    client = signed_in(cast.carol)
    page = text(client.get(at("finding", release, finding.pk)))
    assert words in page
    assert ("1 May 2030" in page) == (words == "1 May 2030")
    card = text(client.get(at("checklist", release, "compute")))
    assert ("counts until 1 May 2030" in card) == (words == "1 May 2030")
    assert ("counts until conclusive evidence replaces it" in card) == (verdict == "contradicted")
    assert ("Reckoned 40 GiB" in card) == bool(fields)


def test_a_finding_of_a_removed_endpoint_is_not_called_replaced(cast: Cast, release: Release) -> None:
    endpoint = make_endpoint(release, cast.alice)
    finding = make_finding(release, LATENCY, "verified", endpoint=endpoint)
    delete_endpoint(endpoint=endpoint, by=cast.alice)
    page = text(signed_in(cast.carol).get(at("finding", release, finding.pk)))
    assert "its endpoint was removed" in page
    assert "replaced by a later reading" not in page


def test_findings_are_downloaded_as_json_with_what_the_reader_may_see(cast: Cast, release: Release) -> None:
    requests = [{"line": "GET https://prom.example.org/api/v1/query", "key": "none", "status": 200, "answer": 0}]
    finding = make_finding(
        release, LATENCY, "contradicted", endpoint=make_endpoint(release, cast.alice), claimed="800", observed="1200",
        unit="ms", observation={"where": "https://prom.example.org/"}, detail={"requests": requests, "samples": 30},
    )  # fmt: skip
    keep_answer(finding, 0, '{"status":"success"}')
    response = signed_in(cast.carol).get(at("findings_json", release))
    assert response["Content-Disposition"] == 'attachment; filename="findings-assist-chat-4.2.json"'
    whole = next(each for each in json.loads(text(response)) if each["item"] == LATENCY)
    assert whole["requests"] == requests
    assert (whole["claimed"], whole["observed"], whole["samples"], whole["answers"]) == ("800", "1200", 30, [])
    one = json.loads(text(signed_in(cast.carol).get(at("finding_json", release, finding.pk))))
    assert one["answers"][0]["body"] == '{"status":"success"}'
    for page in (at("findings_json", release), at("finding_json", release, finding.pk)):
        told = text(signed_in(cast.mallory).get(page))
        assert "1200" in told
        assert "prom.example.org" not in told
        assert "success" not in told
    assert at("findings_json", release) in text(signed_in(cast.mallory).get(at("evidence", release)))
