"""Measuring the demo's model servers with the product's own probes, and turning that into findings of past runs."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from ipaddress import ip_network
from typing import Any

from checklists.catalog.editions import view
from checklists.evidence.client import Client, Policy
from checklists.evidence.models import Finding, ProbeRun, RunReason, RunState, Verdict
from checklists.evidence.probes import PROBES, Probe, Target
from checklists.evidence.runner import Job, visited
from checklists.evidence.services import Measurement
from checklists.evidence.services.findings import put
from checklists.people.models import User
from checklists.registry.models import Endpoint, Release
from portal.demo.ledger import Ledger
from portal.demo.models import MODELS, DemoModel, DemoRelease
from portal.demo.servers import HEADERS, address, base_port, start

NETWORK = "127.0.0.0/8"
# What an endpoint is registered as; the rest is left for the probes to find out.
STACK = {
    "images": "sglang",
    "comfyui": "comfyui",
    "embedding": "tei",
    "llamacpp": "llamacpp",
    "ollama": "ollama",
    "audio": "openai",
}


@dataclass(frozen=True)
class Seen:
    """What one probe saw at one release's endpoint, and what it sent."""

    probe: str
    observation: dict[str, Any]
    requests: list[dict[str, Any]]


Sights = dict[tuple[str, str, str], list[Seen]]  # (slug, version, kind of server) → what each probe saw


@contextlib.contextmanager
def running_servers() -> Iterator[None]:
    """The demo's servers: those that run already, or ours for as long as this lasts."""
    try:
        servers = start(base_port())
    except OSError:
        yield  # the ports are taken, by the servers that the supervisor keeps
        return
    try:
        yield
    finally:
        for server in servers:
            server.shutdown()
            server.server_close()


def endpoint_url(model: DemoModel, release: DemoRelease, kind: str = "") -> str:
    return address(kind or release.kind, model.slug, release.version)


def look() -> Sights:
    """Let every probe visit the server of every release, as a run would; those of a dead server also before it died."""
    asked = [(model, release, release.kind) for model in MODELS for release in model.releases]
    asked += [(model, release, "vllm") for model, release, kind in asked if kind == "dead"]
    client = Client(policy=Policy(allowed=(ip_network(NETWORK),)), timeout_s=10.0)
    jobs = {}
    for model, release, kind in asked:
        target = Target(
            name="production",
            url=endpoint_url(model, release, kind),
            stack=STACK.get(kind, "auto"),
            headers=HEADERS,
            may_generate=True,
            family=model.family,
            model_hint=model.claimed_id(release),
        )
        jobs[model.slug, release.version, kind] = Job(0, None, target, endpoint_probes())
    with running_servers():
        for _ in visited(iter(jobs.values()), client, at_once=8, per_host=0):
            pass
    return {key: [_seen(one) for one in job.result.measurements] for key, job in jobs.items() if job.result}


def endpoint_probes() -> list[Probe]:
    """What the schedule would send to an endpoint."""
    return [probe for probe in PROBES.values() if probe.about == "endpoint" and not (probe.bursts or probe.local)]


def _seen(one: Measurement) -> Seen:
    return Seen(one.probe.key, one.observation, [dict(request) for request in one.requests])


def past_run(
    *,
    release: Release,
    endpoint: Endpoint,
    seen: Iterable[Seen],
    claims: dict[str, dict[str, Any]],
    at: datetime,
    by: User | None,
    ledger: Ledger,
    earlier: list[Finding],
) -> list[Finding]:
    """A run of the past with its findings, judged against ``claims`` (item key → values) as they stood then.

    ``earlier``: the findings that stood before; those superseded lose ``current``. Returns the new ones.
    """
    run = ProbeRun.objects.create(
        release=release,
        state=RunState.DONE,
        reason=RunReason.MANUAL if by else RunReason.SCHEDULED,
        requested_by=by,
        progress_done=1,
        progress_total=1,
        created_at=at,
        started_at=at + timedelta(seconds=1),
        finished_at=at + timedelta(seconds=9),
        attempts=1,
    )
    findings = []
    for one in seen:
        probe = PROBES[one.probe]
        measurement = Measurement(probe, one.observation, one.requests, at + timedelta(seconds=4))
        findings += _findings(run, release, endpoint, measurement, claims)
    subject = f"{release.subject}/probe-runs/{run.pk}"
    counts = {verdict: sum(f.verdict == verdict for f in findings) for verdict in Verdict.values}
    for verb, seconds, data in (
        ("evidence.run.requested", 0, {"run": run.pk, "reason": run.reason, "endpoints": 1}),
        ("evidence.findings.recorded", 8, {"run": run.pk, "endpoint": endpoint.name, **counts, "changes": []}),
        ("evidence.run.finished", 9, {"run": run.pk, "state": "done", "error": "", **counts}),
    ):
        actor = by if verb.endswith("requested") else None
        when = at + timedelta(seconds=seconds)
        ledger.add(verb=verb, actor=actor, subject=subject, at=when, release_id=release.pk, data=data)
    fresh = {(f.probe, f.item_key): f.verdict for f in findings}
    for old in earlier:
        verdict = fresh.get((old.probe, old.item_key))
        if verdict and (verdict != Verdict.INCONCLUSIVE or old.verdict == Verdict.INCONCLUSIVE):
            old.current = False
    return findings


def _findings(
    run: ProbeRun, release: Release, endpoint: Endpoint, measurement: Measurement, claims: dict[str, dict[str, Any]]
) -> list[Finding]:
    probe, edition, rows = measurement.probe, view(release.edition), []
    for key in probe.speaks_to(measurement.observation):
        item = edition.item(key) if key is not None else None
        if item is not None and not item.applies_to(release.model.family):
            continue
        others = {other: claims.get(other, {}) for other in probe.also_reads}
        judgement = probe.judge(key, claims.get(key or "", {}), measurement.observation, others)
        finding = Finding(
            run=run,
            release=release,
            item_id=item.id if item else None,
            item_key=key or "",
            endpoint=endpoint,
            endpoint_name=endpoint.name,
            probe=probe.key,
            probe_version=str(probe.version),
            observation=measurement.observation,
            # The answers of the past are not kept.
            detail={"requests": [{k: v for k, v in one.items() if k != "answer"} for one in measurement.requests]},
            measured_at=measurement.measured_at,
            expires_at=measurement.measured_at + probe.ttl,
        )
        put(finding, judgement)
        rows.append(finding)
    return rows
