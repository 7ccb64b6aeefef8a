"""The evidence tab: topics, endpoints and runs; asking for a run, and following it."""

from __future__ import annotations

from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.cache import patch_vary_headers
from django.views.decorators.http import require_POST, require_safe

from checklists.evidence.models import ProbeRun
from checklists.evidence.probes import PROBES
from checklists.evidence.services import request_run
from checklists.web.evidence_page import evidence_of
from checklists.web.http import Request, page_or_fragment, signed_in, tell, wants_fragment
from checklists.web.release_page import release_context, release_or_404


@require_safe
@signed_in
def evidence(request: Request, slug: str, version: str) -> HttpResponse:
    """What was measured, where, and what would help; to htmx (a run has ended) without the page around it."""
    context = release_context(request, slug, version, "evidence")
    context |= {**evidence_of(context), "probes": list(PROBES.values())}
    return page_or_fragment(request, "evidence/page.html", "evidence/findings.html", context)


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
