"""What is to be visited: a release's endpoints, and the release itself, as probes may see them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from django.db.models import Min
from django.utils import timezone

from checklists.assessments.models import Answer
from checklists.evidence import services
from checklists.evidence.facts import release_facts
from checklists.evidence.models import Finding, ProbeRun, RunReason
from checklists.evidence.probes import PROBES, Probe, Target
from checklists.evidence.visiting import Job
from checklists.registry.models import Endpoint, Release


def jobs_of(run: ProbeRun, only: Callable[[Probe], bool] | None = None) -> list[Job]:
    """The visits that are left of a run: every endpoint, and the release itself. A constant number of queries.

    A scheduled run leaves out what still counts for long enough, unless the endpoint was changed since or nobody was
    there, and what only a person may ask for.
    """
    release = Release.objects.select_related("model__team", "edition").get(pk=run.release_id)
    recorded = set(Finding.objects.filter(run=run).values_list("endpoint_name", flat=True).distinct())
    scheduled = run.reason == RunReason.SCHEDULED
    standing = _standing(release) if scheduled else {}
    anew = services.asked_anew(release) if scheduled else set()
    jobs = []
    for endpoint, target in targets_of(release, scheduled=scheduled):
        place = endpoint.pk if endpoint else None
        due = [
            probe
            for probe in _probes(target)
            if (place in anew or not standing.get((place, probe.key))) and (not only or only(probe))
        ]
        if due and target.name not in recorded:
            jobs.append(Job(run.pk, endpoint, target, due))
    return jobs


def _probes(target: Target) -> list[Probe]:
    about = "endpoint" if target.url else "release"
    return [
        probe
        for probe in PROBES.values()
        if probe.about == about and not probe.local and not (probe.by_hand and target.scheduled)
    ]


def _standing(release: Release) -> dict[tuple[int | None, str], bool]:
    """Which probes need not run again yet, by endpoint and key."""
    now = timezone.now()
    rows = Finding.objects.current().filter(release=release).order_by()
    first = rows.values_list("endpoint_id", "probe").annotate(Min("expires_at"), Min("measured_at"))
    return {
        (endpoint, probe): now < measured + (expires - measured) * services.BEFORE_EXPIRY * (1 - services.JITTER)
        for endpoint, probe, expires, measured in first
    }


def targets_of(release: Release, *, scheduled: bool = False) -> list[tuple[Endpoint | None, Target]]:
    """A release's endpoints and the release itself as probes may see them, each knowing of the others."""
    claims = {
        key: values if isinstance(values, dict) else {}
        for key, values in Answer.objects.filter(release=release).values_list("item__key", "claims")
    }
    hint = claims.get("identity.name-version", {}).get("model_id")
    shared: dict[str, Any] = {
        "family": release.model.family,
        "model_hint": hint if isinstance(hint, str) else "",
        "scheduled": scheduled,
        "claims": claims,
    }
    facts, fingerprints, pages = release_facts(release), services.Fingerprints(release), services.LastPages(release)
    if before := facts.get("previous"):
        facts["previous"] = {**before, "endpoints": _previous(release, before["version"])}
    endpoints = list(Endpoint.objects.filter(release=release).order_by("pk"))
    alone = [
        _target(endpoint, facts={**facts, **fingerprints.facts(endpoint.name), **pages.facts(endpoint.name)}, **shared)
        for endpoint in endpoints
    ]
    found: list[tuple[Endpoint | None, Target]] = [
        (endpoint, replace(target, siblings=tuple(other for other in alone if other is not target)))
        for endpoint, target in zip(endpoints, alone, strict=True)
    ]
    first = next((target for target in alone if target.prometheus_url), None)
    itself = Target(
        name="",
        url="",
        prometheus_url=first.prometheus_url if first else "",
        alertmanager_url=first.alertmanager_url if first else "",
        labels=first.labels if first else {},
        siblings=tuple(alone),
        facts=facts,
        **shared,
    )
    return [*found, (None, itself)]


def _target(endpoint: Endpoint, **more: Any) -> Target:
    return Target(
        name=endpoint.name,
        url=endpoint.url,
        stack=endpoint.stack,
        metrics_url=endpoint.metrics_url,
        prometheus_url=endpoint.prometheus_url,
        alertmanager_url=endpoint.alertmanager_url,
        labels=endpoint.labels if isinstance(endpoint.labels, dict) else {},
        headers=endpoint.headers if isinstance(endpoint.headers, dict) else {},
        may_generate=endpoint.may_generate,
        may_burst=endpoint.may_burst,
        series=endpoint.series_length,
        **more,
    )


def _previous(release: Release, version: str) -> list[Target]:
    """Endpoints of another release of the model, each with its own credentials and its owner's permission."""
    other = Release.objects.filter(model=release.model_id, version=version).values("pk")[:1]
    named = Answer.objects.filter(release__in=other, item__key="identity.name-version").values_list("claims", flat=True)
    claims = named.first()
    hint = claims.get("model_id") if isinstance(claims, dict) else ""
    return [
        _target(endpoint, family=release.model.family, model_hint=hint if isinstance(hint, str) else "")
        for endpoint in Endpoint.objects.filter(release__in=other).order_by("name")
    ]
