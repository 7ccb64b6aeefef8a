"""Measuring the demo's model servers with the product's own probes, and turning that into findings of past runs."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from ipaddress import ip_network
from typing import Any

from checklists.catalog.editions import view
from checklists.evidence.client import Client, Policy
from checklists.evidence.models import Finding, ProbeRun, RunReason, RunState, Verdict
from checklists.evidence.places import Places
from checklists.evidence.probes import PROBES, Probe, Target
from checklists.evidence.services import Measurement
from checklists.evidence.services.findings import publicly, put
from checklists.evidence.services.fingerprints import PROBE as FINGERPRINT
from checklists.evidence.visiting import Job, visited
from checklists.people.models import User
from checklists.registry.models import Endpoint, Release
from checklists.registry.services import URL_FIELDS
from portal.demo.answers import Subject, said
from portal.demo.ledger import Ledger
from portal.demo.models import MODELS, DemoModel, DemoRelease
from portal.demo.people import PEOPLE, TEAMS
from portal.demo.plot import SWAPPED
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
NOW, BEFORE, ITSELF = "now", "before", "release"
RELEASE_PROBES = ("release.owner", "release.dependencies")
LOOKED_AT = (
    *("identity.name-version", "identity.modalities", "identity.input-limits", "release.compatibility"),
    *("reliability.timeouts", "security.safety-behaviour", "operations.owner", "operations.dependencies"),
)


@dataclass(frozen=True)
class Seen:
    """What one probe saw at one release's endpoint, and what it sent."""

    probe: str
    observation: dict[str, Any]
    requests: list[dict[str, Any]]

    def beside(self, reference: dict[str, Any]) -> Seen:
        """A fingerprint as it is observed once another one was kept; any other sight as it is."""
        if self.probe != FINGERPRINT or "prompts" not in self.observation:
            return self
        kept = {name: reference[name] for name in ("prompts", "endpoint", "taken_at")}
        return replace(self, observation={**self.observation, "reference": kept})


Sights = dict[tuple[str, str, str], list[Seen]]  # (slug, version, place) → what each probe saw there


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
    """Let every probe visit the server of every release, as a run would; those of a dead server also before it died,
    and of one that was swapped the one before. Release-level probes look at what it needs, and at its team."""
    client = Client(policy=Policy(allowed=(ip_network(NETWORK),)), timeout_s=10.0)
    jobs = {}
    for model in MODELS:
        for release in model.releases:
            key, claims = (model.slug, release.version), claims_looked_at(model, release)
            for place, url in addresses(model, release).items():
                target = Target(
                    name=environment(model),
                    url=url,
                    stack=STACK.get(release.kind, "auto"),
                    headers=HEADERS,
                    may_generate=model.may_generate,
                    family=model.family,
                    model_hint=model.claimed_id(release),
                    claims=claims,
                    facts={"previous": _previous(model, release)},
                )
                jobs[*key, place] = Job(0, None, target, endpoint_probes())
            itself = Target(name="", url="", family=model.family, claims=claims, facts={"team": _team(model)})
            jobs[*key, ITSELF] = Job(0, None, itself, [PROBES[key] for key in RELEASE_PROBES])
    with running_servers():
        for _ in visited(iter(jobs.values()), client, at_once=24, per_host=0):
            pass
    return {key: [_seen(one) for one in job.result.measurements] for key, job in jobs.items() if job.result}


def addresses(model: DemoModel, release: DemoRelease) -> dict[str, str]:
    """Where it answers now, and where it did before."""
    found = {NOW: endpoint_url(model, release)}
    if release.kind == "dead":
        found[BEFORE] = endpoint_url(model, release, "vllm")
    elif (model.slug, release.version) in SWAPPED:
        found[BEFORE] = f"{found[NOW]}-signed"
    return found


def claims_looked_at(model: DemoModel, release: DemoRelease) -> dict[str, dict[str, Any]]:
    """Item key → what probes look at before they send something."""
    before = model.previous(release)
    subject = Subject(model, release, "", date.today(), before.version if before else "")
    return {key: said(key, subject) for key in LOOKED_AT}


def environment(model: DemoModel) -> str:
    return "production" if model.tier < 3 else "staging"


def _previous(model: DemoModel, release: DemoRelease) -> dict[str, Any] | None:
    before = model.previous(release)
    served = before and {"name": environment(model), "url": endpoint_url(model, before), "stack": "auto"}
    return {"version": before.version, "endpoints": [served]} if before else None


def _team(model: DemoModel) -> dict[str, Any]:
    name, parent = TEAMS[model.team]
    members = sum(any(slug == model.team for slug, _ in person.teams) for person in PEOPLE)
    team = {"name": name, "path": f"/{parent}/{model.team}/", "members": members}
    return {"own": team, "named": [team], "asked": name}


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
    places = Places([getattr(endpoint, name) for name in URL_FIELDS], claims)
    for one in seen:
        probe = PROBES[one.probe]
        measurement = Measurement(probe, one.observation, one.requests, at + timedelta(seconds=4))
        place = None if probe.about == "release" else endpoint
        findings += _findings(run, release, place, measurement, claims, places)
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
    run: ProbeRun,
    release: Release,
    endpoint: Endpoint | None,
    measurement: Measurement,
    claims: dict[str, dict[str, Any]],
    places: Places,
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
            endpoint_name=endpoint.name if endpoint else "",
            probe=probe.key,
            probe_version=str(probe.version),
            observation=measurement.observation,
            # The answers of the past are not kept.
            detail={"requests": [{k: v for k, v in one.items() if k != "answer"} for one in measurement.requests]},
            measured_at=measurement.measured_at,
            expires_at=measurement.measured_at + probe.ttl,
        )
        put(finding, publicly(judgement, measurement.observation, places))
        rows.append(finding)
    return rows
