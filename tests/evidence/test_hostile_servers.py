"""Whatever a server does: an inconclusive finding with a true reason, in time, in little memory, and on to the next."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pytest

from checklists.assessments.models import Answer
from checklists.evidence import runner, services, visiting
from checklists.evidence.client import Client, Response, Session
from checklists.evidence.models import Finding
from checklists.evidence.places import Places
from checklists.evidence.probes import PROBES, Judgement, Probe, Target
from checklists.evidence.probes.generation import burst
from checklists.evidence.sources.alertmanager import Alertmanager
from checklists.evidence.visiting import Job, visited
from checklists.registry import services as registry
from tests.evidence import true_reasons as true
from tests.evidence.faults import FAULTS, FaultServer, fault_server
from tests.evidence.full_claims import CLAIMS, MODEL
from tests.evidence.known_servers import VLLM
from tests.evidence.loopback import LOOPBACK, Request, loopback_client, routes, run, serving
from tests.evidence.test_client import certificate, trusting

PATIENCE_S = 20.0  # with a server that only makes us work: this machine may be busy
AT_ONCE = 6


class Hasty(Client):
    """The product's client; whatever time a probe allows a request, it gets no more than is needed here."""

    def session(self) -> Session:
        return HastySession(self)


class HastySession(Session):
    async def fetch(self, method: str, url: str, *, timeout_s: float | None = None, **options: Any) -> Response:
        bad = method == "POST" or "/api/v1/query" in url
        hangs = any(f"/{fault}/" in url or (bad and f"/{fault}." in url) for fault in true.SLOW)
        return await super().fetch(method, url, timeout_s=true.QUICK_S if hangs else PATIENCE_S, **options)


def resolver(host: str, port: int) -> list[str]:
    if host == "inside.example":
        return ["10.1.1.1"]
    raise OSError


def hasty() -> Client:
    return Hasty(LOOPBACK, timeout_s=PATIENCE_S, max_bytes=true.CAP, resolver=resolver)


@pytest.fixture(scope="module")
def hostile() -> Iterator[FaultServer]:
    with fault_server() as server:
        yield server


def test_every_item_has_a_claim_for_every_field(edition: Any) -> None:
    from checklists.catalog.editions import view

    fields = {item.key: {claim.key for claim in item.claims} for item in view(edition).items}
    assert {key: set(values) for key, values in CLAIMS.items()} == fields


# Where a verdict on a hostile endpoint is right all the same.
RIGHT: Mapping[tuple[str, str | None], tuple[str, set[str]]] = {
    # That something answered 200 is a fact about the endpoint, whatever the body was.
    ("endpoint.health", None): ("verified", true.NO_JSON | true.HOLLOW),
    # The claim is that the name is exported, and it is; that its value is NaN is another matter.
    ("metrics.present", "observability.cache"): ("verified", {"not_numbers"}),
    # Where the release before answered, this one redirects, or answers with JSON that lacks every field.
    ("generation.compatibility", "release.compatibility"): (
        "contradicted",
        true.HOLLOW | true.REDIRECTED.keys(),
    ),
}


TOGETHER = [list(FAULTS)[start : start + 18] for start in range(0, len(FAULTS), 18)]  # a release has at most 20


def claim_everything(release: Any) -> None:
    answers = list(Answer.objects.filter(release=release).select_related("item"))
    for answer in answers:
        answer.claims = dict(CLAIMS[answer.item.key])
    Answer.objects.bulk_update(answers, ["claims"])


@pytest.mark.django_db
def test_hostile_endpoints_settle_nothing_and_hold_up_nobody(
    edition: Any, team: Any, alice: Any, hostile: FaultServer, settings: Any
) -> None:
    """Every fault, every probe of an endpoint, every item claimed, in one run; well-behaved endpoints in between."""
    settings.PREFLIGHT = {**settings.PREFLIGHT, "PROBE_PER_HOST": 0, "PROBE_AT_ONCE": AT_ONCE}
    model = registry.create_model(slug="assist-chat", name="Assist chat", team=team, family="llm", tier=2, by=alice)
    before = registry.create_release(model=model, version="4.1", by=alice)
    well = hostile.url("reset.query")
    registry.create_endpoint(release=before, by=alice, name="old", url=well, stack="vllm", may_generate=True)
    asked = []
    with serving(_anywhere) as good:
        for faults in TOGETHER:
            release = registry.create_release(model=model, version=f"4.2-{faults[0]}", by=alice)
            claim_everything(release)
            for fault in faults:
                url = hostile.url(fault)
                more = {"prometheus_url": url, "labels": {"job": "x"}, "may_generate": True, "may_burst": True}
                registry.create_endpoint(release=release, by=alice, name=fault, url=url, **more)
            last = f"good-{faults[-1]}"
            registry.create_endpoint(release=release, by=alice, name=last, url=f"{good.url}/{last}", stack="vllm")
            asked.append(services.request_run(release=release).pk)
        begun = time.process_time()
        assert runner.perform_runs(run_ids=asked, client=hasty()) == len(asked)
        worked = time.process_time() - begun

    found = list(Finding.objects.filter(run__in=asked, endpoint_name__in=FAULTS))
    probes = {probe for probe in PROBES.values() if probe.about == "endpoint" and not probe.local}
    told = {(finding.endpoint_name, finding.probe) for finding in found}
    assert told == {(fault, probe.key) for fault in FAULTS for probe in probes}
    wrong = [
        (finding.endpoint_name, finding.probe, finding.item_key, finding.verdict, finding.reason)
        for finding in found
        if finding.verdict != _right(finding.probe, finding.item_key or None, finding.endpoint_name)
        or Places().hide(true.of_endpoint(finding.probe, finding.endpoint_name)) not in finding.reason
    ]
    assert not wrong, "\n".join(map(str, wrong))
    named = Finding.objects.filter(run__in=asked, endpoint_name__startswith="good-", probe="endpoint.health", item=None)
    assert [finding.verdict for finding in named] == ["verified"] * len(TOGETHER)
    # What they cost is work, a second each at most, and waiting: that for every request of the slowest, with the
    # product's patience for a request that generates nothing, is less than a visit may take.
    seen = hostile.seen()
    assert worked < len(FAULTS)
    patience = settings.PREFLIGHT["PROBE_TIMEOUT_SECONDS"]
    assert max(seen["asked"][fault] for fault in true.SLOW) * patience < visiting.VISIT_BUDGET_S
    assert seen["injected"] == 0


def _anywhere(request: Request) -> None:
    """A well-behaved vLLM below any first segment of a path, so that several addresses lead to it."""
    request.path = "/" + request.path.removeprefix("/").partition("/")[2]
    routes(VLLM)(request)


def _right(probe: str, item: str | None, fault: str) -> str:
    verdict, faults = RIGHT.get((probe, item), ("", set()))
    return verdict if fault in faults else "inconclusive"


# Without a database: one probe, or a few, at one target


@dataclass(frozen=True)
class Told:
    name: str
    probe: str
    item: str | None
    judgement: Judgement
    took_s: float


def looked(jobs: Iterable[Job], client: Client | None = None) -> list[Told]:
    """What the probes of each job come to."""
    told = []
    begun = time.monotonic()
    for job in visited(jobs, client or hasty(), at_once=AT_ONCE, per_host=0):
        if job is None:
            continue
        assert job.result is not None
        for measured in job.result.measurements:
            observation = json.loads(json.dumps(measured.observation, allow_nan=False))
            for item in measured.probe.speaks_to(observation):
                claims = job.target.claims.get(item or "", {})
                judgement = measured.probe.judge(item, claims, observation, job.target.claims)
                told.append(Told(job.target.name, measured.probe.key, item, judgement, time.monotonic() - begun))
        job.result = None
    return told


def job(fault: str, *probes: Probe, url: str = "", claims: Mapping[str, Any] = CLAIMS, **target: Any) -> Job:
    options = {"may_generate": True, "may_burst": True, "model_hint": MODEL, "claims": claims, **target}
    return Job(0, None, Target(name=fault, url=url, **options), probes)


def unlike(found: Iterable[Told], right: Mapping[tuple[str, str | None], tuple[str, set[str]]], reason: Any) -> str:
    """The findings with another verdict or reason than they must have."""
    lines = []
    for one in found:
        verdict, faults = right.get((one.probe, one.item), ("", set()))
        wanted = verdict if one.name in faults else "inconclusive"
        if one.judgement.verdict != wanted or reason(one.probe, one.name) not in one.judgement.reason:
            lines.append(f"{one.name} {one.probe} {one.item} {one.judgement.verdict} {one.judgement.reason}")
    return "\n".join(lines)


# It answers twice as it should, and badly from then on: with such faults as these, of each kind one.
TURNS = ("drip", "endless", "sse_chatter", "bad_chunks", "short_body", "reset", "many_headers")
TURNS += ("cut_gzip", "wrong_type", "deep_json", "redirect_loop")
TURNING = ("generation.small", "model.fingerprint", "generation.refusals", "generation.compatibility")
TURNING += ("generation.inputs", "generation.burst")
# Hanging under a burst is judged by how long one request took alone, which is not known here.
HANGING = ("drip", "generation.burst")
RIGHT_LATER: Mapping[tuple[str, str | None], tuple[str, set[str]]] = {
    # Two small requests were answered, and the finding says that the third was not.
    ("generation.small", None): ("verified", set(TURNS)),
    ("generation.compatibility", "release.compatibility"): ("contradicted", {"redirect_loop"}),
    # Connections that break off under twenty requests at once, after one alone was answered, are what it looks for.
    ("generation.burst", "reliability.backpressure"): ("contradicted", {"short_body", "reset"}),
    ("generation.burst", "autoscaling.batch-queue"): ("contradicted", {"short_body", "reset"}),
}


def of_turned(probe: str, fault: str) -> str:
    """What a probe must say of a server that went bad under its hands."""
    said = true.of_post(fault, true.UNREADABLE)
    if probe == "generation.small":
        return ""  # of its three findings only one is about the series; see below
    if probe == "model.fingerprint":
        return f"The prompt “colours” was not answered. {said}"
    if probe == "generation.refusals":
        return said
    if probe == "generation.compatibility":
        return said.rstrip(".") if fault != "redirect_loop" else "200 before, 302 now"
    if probe == "generation.burst":
        return "connections broke off" if fault in ("short_body", "reset") else "That says nothing about load."
    words = {"drip": "no answer", "redirect_loop": "302", "short_body": "the connection broke off"}
    words |= {"reset": "the connection broke off", "bad_chunks": "what is not valid HTTP"}
    words |= {
        "cut_gzip": "what is not valid HTTP",
        "many_headers": "more than is read",
        "early_hints": "more than is read",
    }
    return f"JSON that breaks off → {words.get(fault, '200 without JSON that can be read')}"


def test_a_server_that_turns_bad_settles_nothing_more(hostile: FaultServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(burst, "SECONDS", 2.0)
    old = Target(name="old", url=hostile.url("reset.query"), may_generate=True, stack="vllm")
    facts = {"previous": {"version": "4.1", "endpoints": [old]}}
    jobs = [
        job(fault, PROBES[key], url=hostile.url(f"{fault}.later-{key}"), stack="vllm", facts=facts, model_hint="tiny")
        for fault in TURNS
        for key in TURNING
        if (fault, key) != HANGING
    ]
    found = looked(jobs)
    tried = {(fault, key) for fault in TURNS for key in TURNING} - {HANGING}
    assert {(one.name, one.probe) for one in found} == tried
    assert not (wrong := unlike(found, RIGHT_LATER, of_turned)), wrong
    for one in found:
        if one.probe == "generation.small" and one.item != "autoscaling.warmup":
            assert f"Request 3 failed. {true.of_stream(one.name)}" in one.judgement.reason


# Sources that are hostile while the endpoint is not

NUMBERS = ("query_nan", "query_infinite", "query_exponent")


def test_a_hostile_prometheus_settles_nothing(hostile: FaultServer) -> None:
    """It knows the names of the endpoint's metrics, and is bad at every query."""
    probes = [probe for probe in PROBES.values() if probe.about == "endpoint" and "prometheus" in probe.reads]
    well: dict[str, Any] = {"url": hostile.url("reset.post"), "stack": "vllm", "labels": {"job": "x"}}
    found = looked(job(fault, *probes, prometheus_url=hostile.url(f"{fault}.query"), **well) for fault in FAULTS)
    assert len({one.probe for one in found}) == len(probes) > 20
    # Which names are there, and that none of them counts errors, takes no query.
    right = {
        ("prometheus.present", "observability.cache"): ("verified", set(NUMBERS)),
        ("prometheus.errors", "observability.errors"): ("contradicted", set(NUMBERS)),
    }
    # What is read of values that are no numbers is told in each probe's own words.
    told = unlike(found, right, lambda probe, fault: "" if fault in NUMBERS else true.of_prometheus(fault))
    assert not told, told


def of_source(probe: str, fault: str) -> str:
    """What a probe of the release must say of the address that it was given."""
    match probe:
        case "hub.revision":
            return true.of_get(fault, " names no ")
        case "registry.digest":
            return true.of_get(fault, "with this digest; whether it is what runs only the server can tell.")
        case "grafana.dashboards":
            return (
                f"Grafana: {said}" if (said := true.of_get(fault, "")) else "Grafana answered 200, which says nothing."
            )
        case "release.dependencies" | "prometheus.rollback":
            if fault in true.TOO_LONG:
                return true.LONG
            return (true.NO_ANSWER | true.REDIRECTED).get(fault, "answers")
        case "release.modelspec":
            if fault in true.TOO_LONG | LARGE:
                return "The document is too large to be read."
            return (true.NO_ANSWER | true.REDIRECTED).get(fault, "The document at the claimed address is not valid.")
    return true.of_page(fault)


LARGE = {"label_bomb", "large_integers"}  # for a document
RIGHT_SOURCES: Mapping[tuple[str, str | None], tuple[str, set[str]]] = {
    # The claimed health address answers 200, which is all that the claim is about.
    ("release.dependencies", "operations.dependencies"): ("verified", true.NO_JSON | true.HOLLOW),
    # What stands at the claimed address, whole, is no ModelSpec document.
    ("release.modelspec", "operations.resource-contract"): (
        "contradicted",
        (true.NO_JSON | true.HOLLOW) - LARGE,
    ),
    ("metrics.present", "observability.cache"): ("verified", {"not_numbers"}),
}


def test_hostile_hubs_registries_dashboards_and_documents_settle_nothing(hostile: FaultServer) -> None:
    """The hub, the registry, Grafana, the runbook, a health address, a document, and metrics on another host."""
    release = [PROBES[key] for key in ("release.dependencies", "release.modelspec", "hub.revision", "registry.digest")]
    release.append(PROBES["grafana.dashboards"])
    pages = [PROBES["metrics.present"], PROBES["metrics.latency"]]
    jobs = []
    for fault in FAULTS:
        url, well = hostile.url(fault), hostile.url("reset.post")
        claims = {
            item: {
                key: f"{url}/d/gpu1/gpus" if key == "dashboard_url" else f"{url}/x" if key.endswith("_url") else value
                for key, value in values.items()
            }
            for item, values in CLAIMS.items()
        }
        jobs.append(job(fault, *release, claims=claims, facts={"hub_url": url, "oci_url": url}))
        jobs.append(job(fault, *pages, url=well, claims=claims, stack="vllm", metrics_url=f"{url}/metrics"))
        prometheus = {"prometheus_url": hostile.url("query_nan.query"), "labels": {"job": "x"}}
        jobs.append(job(fault, PROBES["prometheus.rollback"], url=well, claims=claims, stack="vllm", **prometheus))
    found = looked(jobs)
    assert len({(one.name, one.probe) for one in found}) == len(FAULTS) * 8
    assert not (wrong := unlike(found, RIGHT_SOURCES, of_source)), wrong


def test_a_hostile_alertmanager_is_said_to_be_so(hostile: FaultServer) -> None:
    from checklists.evidence.probes import Visit

    async def asking(fault: str) -> tuple[str, str]:
        async with hasty().session() as session:
            source = Alertmanager(Visit(Target(name=fault, url=hostile.url("reset.post")), session), hostile.url(fault))
            return (await source.status()).why, (await source.alerts()).why

    for fault in FAULTS:
        status, alerts = run(asking(fault))
        reason = (true.NO_ANSWER | true.REDIRECTED).get(fault, "")
        other = "What answers at Alertmanager's address does not speak its API."
        wanted = f"Alertmanager: {reason}" if reason else other
        wanted = "Alertmanager answered with more data than are read." if fault in true.TOO_LONG else wanted
        assert alerts == wanted, fault
        # An object is what its status is; nothing but a version is read of it.
        assert status == ("" if fault in true.HOLLOW else wanted), fault


# Time


def test_no_server_gets_more_than_the_time_of_a_probe_and_of_a_visit(
    hostile: FaultServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the patience that the product has for one request, and shorter budgets, which is all that ends a visit."""
    monkeypatch.setattr(visiting, "PROBE_BUDGET_S", 1.0)
    monkeypatch.setattr(visiting, "VISIT_BUDGET_S", 6.0)
    probes = [probe for probe in PROBES.values() if probe.about == "endpoint" and not probe.local]
    patient = Client(LOOPBACK, timeout_s=10.0, resolver=resolver)
    jobs = [job(fault, *probes, url=hostile.url(fault), prometheus_url=hostile.url(fault)) for fault in true.SLOW]
    begun = time.monotonic()
    found = looked(jobs, patient)
    assert time.monotonic() - begun < visiting.VISIT_BUDGET_S + 4
    assert {one.probe for one in found} == {probe.key for probe in probes}
    assert {one.judgement.verdict for one in found} == {"inconclusive"}
    sentences = ("No complete answer within", "The time for this probe was used up", "says neither open nor closed")
    untold = ("was not claimed", "The time for this probe was over", "No endpoint of the release before is known")
    assert not [one for one in found if not any(words in one.judgement.reason for words in (*sentences, *untold))]


# TLS


@pytest.mark.parametrize(
    ("made_for", "days", "trusted", "reason"),
    [
        ("other.example", 90, True, "The certificate belongs to another host name."),
        ("127.0.0.1", -1, True, "The certificate has expired."),
        ("127.0.0.1", 90, False, "The certificate's issuer is not known here, so the connection was given up."),
    ],
)
def test_a_bad_certificate_is_said_to_be_so(
    made_for: str, days: int, trusted: bool, reason: str, tmp_path: Any
) -> None:
    with serving(routes(VLLM), tls=certificate(tmp_path, made_for, days)) as server:
        options = {"tls": trusting(tmp_path, made_for)} if trusted else {}
        probes = [probe for probe in PROBES.values() if probe.about == "endpoint" and not probe.local]
        found = looked(
            [job("main", *probes, url=server.url, prometheus_url=server.url)],
            loopback_client(resolver=resolver, **options),
        )
    # A certificate that is no good for this host contradicts that access is protected; an unknown issuer may be ours.
    right = {("tls.headers", item): ("contradicted", {"main"} if trusted else set()) for item in (*_access(), None)}
    code = {"other.example": "wrong host"}.get(made_for, "expired" if trusted else "unknown issuer")
    wanted = {"access.control": f"{code} says neither open nor closed.", "generation.compatibility": ""}
    wanted |= {"generation.slow": reason, "generation.modalities": reason.rstrip(".")}
    assert not (wrong := unlike(found, right, lambda probe, _: wanted.get(probe, reason))), wrong


def _access() -> tuple[str, ...]:
    return PROBES["tls.headers"].items


def test_a_handshake_without_end_and_plain_http_where_tls_is_expected(hostile: FaultServer) -> None:
    cheap = [probe for probe in PROBES.values() if probe.about == "endpoint" and probe.cheap and not probe.local]
    with serving(routes(VLLM)) as plain:
        jobs = [
            job("handshake", *cheap, url=hostile.url("silent", "https")),
            job("plain", *cheap, url=plain.url.replace("http:", "https:")),
        ]
        found = looked(jobs)
    said = {"handshake": true.TIMEOUT, "plain": "The TLS handshake failed."}
    unread = {"Prometheus server is recorded", "says neither open nor closed."}
    for one in found:
        assert one.judgement.verdict == "inconclusive"
        assert said[one.name] in one.judgement.reason or any(words in one.judgement.reason for words in unread)


# Memory

SCRIPT = """
import json, re, sys
import django
django.setup()
from ipaddress import ip_network
from checklists.evidence.client import Client, Policy
from checklists.evidence.probes import PROBES, Target
from checklists.evidence.visiting import Job, visited
from tests.evidence.test_hostile_servers import hasty
from tests.evidence.full_claims import CLAIMS

at_once, good, base = int(sys.argv[1]), sys.argv[2], sys.argv[3]

def peak():
    # Not ru_maxrss: a process that was started inherits that of the one which started it.
    return int(re.search(r"VmHWM:\\s+(\\d+) kB", open("/proc/self/status").read())[1]) // 1024

def visit(targets):
    verdicts = {}
    for job in visited((Job(0, None, target, probes) for target, probes in targets), hasty(), at_once=at_once,
                       per_host=0):
        if job is not None:
            for measured in job.result.measurements:
                if measured.probe.key == "endpoint.health":
                    verdicts[job.target.name] = measured.probe.judge(None, {}, measured.observation).verdict
            job.result = None
    return verdicts

endpoint = [probe for probe in PROBES.values() if probe.about == "endpoint" and not probe.local]
release = [PROBES[key] for key in ("hub.revision", "registry.digest", "release.dependencies", "release.modelspec")]

def targets(faults):
    for fault in faults:
        url = f"{base}/{fault}"
        yield Target(name=fault, url=url, prometheus_url=url, labels={"job": "x"}, may_generate=True, may_burst=True,
                     claims=CLAIMS, model_hint="tiny"), endpoint
        yield Target(name="", url="", claims=CLAIMS, facts={"hub_url": url, "oci_url": url}), release
        later = f"{base}/{fault}.later-memory{len(fault)}"
        yield Target(name=f"later {fault}", url=later, stack="vllm", may_generate=True, may_burst=True, claims=CLAIMS,
                     model_hint="tiny"), [PROBES["generation.burst"], PROBES["generation.small"]]
        yield Target(name=f"good after {fault}", url=good, stack="vllm"), endpoint[:6]

visit([next(targets(["reset"]))])
baseline = peak()
verdicts = visit(targets(sys.argv[4].split(",")))
print(json.dumps({"baseline": baseline, "peak": peak(), "verdicts": verdicts}))
"""
GREEDY = ("endless", "huge_string", "label_bomb", "million_series", "sse_events", "bomb", "members_bomb")


def test_the_memory_of_a_worker_stays_bounded_and_the_next_endpoint_is_probed(hostile: FaultServer) -> None:
    """Peak resident memory over that of a process which has probed one endpoint (MiB)."""
    from checklists.evidence.probes import visit as visits

    with serving(routes(VLLM)) as good:
        at_once = 4
        arguments = [str(at_once), good.url, hostile.url("")[:-1], ",".join(GREEDY)]
        command = [sys.executable, "-c", SCRIPT, *arguments]
        done = subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    came = json.loads(done.stdout.splitlines()[-1])
    # Of one visit: what is remembered, what is kept (as text, up to four bytes a character), a burst of twenty answers
    # under way (as they come, and once more as a whole), and a page of metrics as objects, some twenty times its text.
    visit = visits.MAX_REMEMBERED + 4 * visits.MAX_BODIES + burst.AT_ONCE * 3 * true.CAP + 20 * true.CAP
    assert came["peak"] - came["baseline"] < at_once * visit / 1024**2, came
    for fault in GREEDY:
        assert came["verdicts"][f"good after {fault}"] == "verified"
