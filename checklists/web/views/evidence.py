"""The evidence tab: endpoints, probe runs, and what they found."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.db.models import Count, Q
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.cache import patch_vary_headers
from django.views.decorators.http import require_POST, require_safe

from checklists.catalog.editions import ItemView, view
from checklists.evidence.models import Finding, ProbeRun, Verdict
from checklists.evidence.probes import PROBES
from checklists.evidence.services import request_run
from checklists.registry.models import Endpoint, Release, Stack
from checklists.web.http import Request, signed_in, tell, wants_fragment
from checklists.web.item_cards import Action, remedy_for
from checklists.web.release_page import release_context, release_or_404
from checklists.web.sentences import pretty

RECENT_RUNS = 8
VERDICT_ORDER = {Verdict.CONTRADICTED: 0, Verdict.VERIFIED: 1, Verdict.INCONCLUSIVE: 2}


@dataclass(frozen=True)
class EndpointRow:
    """An endpoint and what is known of it: its health, the stack it was recognised as, when it was last read."""

    endpoint: Endpoint
    health: Finding | None
    stack: str
    last: Finding | None


@dataclass(frozen=True)
class FindingRow:
    finding: Finding
    item: ItemView | None
    fresh: bool


@dataclass(frozen=True)
class Unsettled:
    """Inconclusive findings that share a reason, with the one action that helps."""

    reason: str
    endpoint: str
    action: Action | None
    rows: list[FindingRow]


@signed_in
def evidence(request: Request, slug: str, version: str) -> HttpResponse:
    """Endpoints, runs and findings; to htmx (a run has ended) only the findings."""
    context = release_context(request, slug, version, "evidence")
    release: Release = context["release"]
    runs = list(
        ProbeRun.objects.filter(release=release)
        .select_related("requested_by")
        .annotate(
            verified=Count("findings", filter=Q(findings__verdict="verified")),
            contradicted=Count("findings", filter=Q(findings__verdict="contradicted")),
            inconclusive=Count("findings", filter=Q(findings__verdict="inconclusive")),
        )
        .order_by("-created_at")[:RECENT_RUNS]
    )
    active = next((run for run in runs if run.is_active), None)
    context |= {"runs": runs, "run": active, **_findings(context)}
    template = "evidence/findings.html" if wants_fragment(request) else "evidence/page.html"
    return _vary(render(request, template, context))


def _findings(context: Mapping[str, Any]) -> dict[str, Any]:
    release: Release = context["release"]
    items = {item.key: item for item in view(release.edition).items}
    where = [release.model.slug, release.version]
    rows = [
        FindingRow(finding, items.get(finding.item_key), context["now"] < finding.expires_at)
        for finding in sorted(context["findings"], key=lambda f: _place(f, items))
    ]
    settled = [row for row in rows if row.finding.verdict != Verdict.INCONCLUSIVE]
    settled_items = {(row.finding.endpoint_name, row.item.key) for row in settled if row.item}
    groups: dict[tuple[str, str], list[FindingRow]] = defaultdict(list)
    for row in rows:
        # A reading that settled nothing is of no interest where another probe at the same endpoint did.
        known = row.item is not None and (row.finding.endpoint_name, row.item.key) in settled_items
        if row.finding.verdict == Verdict.INCONCLUSIVE and not known:
            groups[row.finding.reason, row.finding.endpoint_name].append(row)
    return {
        "endpoint_rows": [_endpoint_row(endpoint, context["findings"]) for endpoint in context["endpoints"]],
        "settled": settled,
        "unsettled": [
            Unsettled(
                reason,
                endpoint,
                remedy_for(group[0].finding, where) if context["can"]["change_endpoints"] else None,
                group,
            )
            for (reason, endpoint), group in sorted(groups.items(), key=lambda entry: -len(entry[1]))
        ],
        "probes": list(PROBES.values()),
    }


def _place(finding: Finding, items: Mapping[str, ItemView]) -> tuple[int, int, str, str]:
    order = list(items)
    number = order.index(finding.item_key) if finding.item_key in items else -1
    return VERDICT_ORDER[Verdict(finding.verdict)], number, finding.endpoint_name, finding.probe


def _endpoint_row(endpoint: Endpoint, findings: list[Finding]) -> EndpointRow:
    mine = [finding for finding in findings if finding.endpoint_id == endpoint.pk]
    health = max((f for f in mine if f.probe == "endpoint.health"), key=lambda f: f.measured_at, default=None)
    observations = [f.observation for f in mine if isinstance(f.observation, dict)]
    # Where nobody answered, the stack is what was supposed, not what was found out.
    answered = health is None or _error_of(health) in ("", "no_route")
    seen = next((str(each["stack"]) for each in observations if answered and each.get("stack")), "")
    last = max(mine, key=lambda f: f.measured_at, default=None)
    return EndpointRow(endpoint, health, dict(Stack.choices).get(seen, seen), last)


def _error_of(finding: Finding) -> str:
    return str(finding.observation.get("error", "")) if isinstance(finding.observation, dict) else ""


@require_safe
@signed_in
def finding(request: Request, slug: str, version: str, pk: int) -> HttpResponse:
    """How one finding was read: the requests, the numbers, the rule. Nothing here holds a secret."""
    context = release_context(request, slug, version, "evidence")
    release: Release = context["release"]
    row = get_object_or_404(Finding.objects.select_related("endpoint", "run"), release=release, pk=pk)
    items = {item.key: item for item in view(release.edition).items}
    detail = row.detail if isinstance(row.detail, dict) else {}
    context |= {
        "finding": row,
        "item": items.get(row.item_key),
        "probe": PROBES.get(row.probe),
        "requests": [
            entry if context["can"]["see_endpoints"] else entry | {"line": _without_host(str(entry.get("line", "")))}
            for entry in detail.get("requests") or []
            if isinstance(entry, dict)
        ],
        "rule": detail.get("rule") or "",
        "samples": detail.get("samples"),
        "fresh": context["now"] < row.expires_at,
        "observation": pretty(row.observation),
    }
    return render(request, "evidence/finding.html", context)


def _without_host(line: str) -> str:
    """``GET https://llm.example.org/metrics`` → ``GET …/metrics``."""
    return re.sub(r"https?://[^/\s]*", "…", line)


@require_POST
@signed_in
def probe_run_create(request: Request, slug: str, version: str) -> HttpResponse:
    """Queue a run, or show the one that is under way."""
    release = release_or_404(request, slug, version)
    run = request_run(release=release, by=request.user)
    if wants_fragment(request):
        context = {"run": run, "release": release, "model": release.model}
        return _vary(render(request, "evidence/progress.html", context))
    tell(request, "The probes are on their way. You can leave this page; they go on.")
    return redirect("web:evidence", slug, version)


@require_safe
@signed_in
def probe_run(request: Request, slug: str, version: str, pk: int) -> HttpResponse:
    """How far a run is. The fragment asks again each second while it lasts, and then has the findings refreshed."""
    release = release_or_404(request, slug, version)
    run = get_object_or_404(ProbeRun.objects.select_related("requested_by"), release=release, pk=pk)
    context = {"run": run, "release": release, "model": release.model, "ended": not run.is_active}
    if not wants_fragment(request):
        return _vary(redirect("web:evidence", slug, version))
    response = render(request, "evidence/progress.html", context)
    if not run.is_active:
        response["HX-Trigger"] = "findings-changed"
    return _vary(response)


def _vary(response: HttpResponse) -> HttpResponse:
    patch_vary_headers(response, ["HX-Request"])
    return response
