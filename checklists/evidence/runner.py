"""Doing a run: endpoint by endpoint, on the network without a transaction, then one transaction for what was seen."""

from __future__ import annotations

import logging

from django.conf import settings
from django.utils import timezone

from checklists.assessments.models import Answer
from checklists.evidence import services
from checklists.evidence.client import Client
from checklists.evidence.models import Finding, ProbeRun
from checklists.evidence.probes import PROBES, Target, Visit
from checklists.evidence.services.runs import PROBE_BUDGET_S
from checklists.registry.models import Endpoint

logger = logging.getLogger(__name__)


def perform_run(*, run_id: int, client: Client | None = None) -> bool:
    """Claim a run and do what is left of it; False if it is over or in another worker's hands.

    Safe to call twice, also at the same time: only the holder of the lease writes, and what is recorded is not measured
    again.
    """
    run = services.claim_run(run_id=run_id)
    if run is None:
        return False
    client = client or make_client()
    try:
        for endpoint in _left(run):
            services.record_findings(run=run, endpoint=endpoint, measurements=measure(run, endpoint, client))
        services.finish_run(run=run)
    except services.LeaseLost:
        logger.warning("run %s was taken over by another worker", run_id)
        return False
    return True


def make_client() -> Client:
    """The safe HTTP client under today's policy."""
    limits = settings.PREFLIGHT
    return Client(
        policy=services.current_policy(),
        timeout_s=limits["PROBE_TIMEOUT_SECONDS"],
        max_bytes=int(limits["PROBE_MAX_BYTES"]),
    )


def _left(run: ProbeRun) -> list[Endpoint]:
    done = set(Finding.objects.filter(run=run).values_list("endpoint_name", flat=True))
    endpoints = Endpoint.objects.filter(release=run.release_id).select_related("release__model").order_by("pk")
    return [endpoint for endpoint in endpoints if endpoint.name not in done]


def measure(run: ProbeRun, endpoint: Endpoint, client: Client) -> list[services.Measurement]:
    """Let every probe visit one endpoint. Raises ``LeaseLost`` between two probes."""
    visit = Visit(target_of(endpoint), client)
    measured = []
    for probe in PROBES.values():
        services.renew_lease(run=run)
        visit.begin(PROBE_BUDGET_S)
        try:
            observation = probe.observe(visit)
        except Exception:  # a mistake of ours must not cost the other probes' findings
            logger.exception("probe %s failed on endpoint %s", probe.key, endpoint.pk)
            observation = {"error": "probe", "why": "The probe itself failed. This says nothing about the server."}
        requests = visit.take_log()
        measured.append(services.Measurement(probe, visit.clean(observation), requests, timezone.now()))
    return measured


def target_of(endpoint: Endpoint) -> Target:
    """What probes may know of an endpoint (``release__model`` loaded; one query for the claimed model id)."""
    claims = (
        Answer.objects.filter(release_id=endpoint.release_id, item__key="identity.name-version")
        .values_list("claims", flat=True)
        .first()
    )
    hint = claims.get("model_id") if isinstance(claims, dict) else ""
    return Target(
        name=endpoint.name,
        url=endpoint.url,
        stack=endpoint.stack,
        metrics_url=endpoint.metrics_url,
        headers=endpoint.headers if isinstance(endpoint.headers, dict) else {},
        may_generate=endpoint.may_generate,
        family=endpoint.release.model.family,
        model_hint=hint if isinstance(hint, str) else "",
    )
