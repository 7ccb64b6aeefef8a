"""One finding with everything needed to dispute it, and all of them as a file."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.conf import settings
from django.http import Http404, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404, render
from django.views.decorators.http import require_safe

from checklists.catalog.editions import view
from checklists.evidence.export import NO_ANSWERS, answers_of, as_json, requests_of
from checklists.evidence.models import Finding
from checklists.evidence.places import Places
from checklists.evidence.probes import PROBES
from checklists.people.rules import can, require
from checklists.registry.models import Release
from checklists.web.http import Request, page_or_fragment, signed_in
from checklists.web.release_page import release_context, release_or_404
from checklists.web.sentences import pretty

EARLIER = 12


def _finding(release: Release, pk: int) -> Finding:
    row: Finding = get_object_or_404(Finding.objects.select_related("endpoint", "run"), release=release, pk=pk)
    return row


@require_safe
@signed_in
def finding(request: Request, slug: str, version: str, pk: int) -> HttpResponse:
    """How one finding was read: the requests and their answers, the numbers, the rule, and how it read before."""
    context = release_context(request, slug, version, "finding")
    release: Release = context["release"]
    row = _finding(release, pk)
    items = {item.key: item for item in view(release.edition).items}
    detail = row.detail if isinstance(row.detail, dict) else {}
    read = {"requests": requests_of(row), "observation": row.observation}
    if not context["can"]["see_endpoints"]:
        read = Places.of(release).hide(read)
    keep = timedelta(days=settings.PREFLIGHT["KEEP_ANSWERS_DAYS"])
    kept = context["now"] - row.measured_at < keep  # retention drops them later, if at all
    context |= {
        "finding": row,
        "item": items.get(row.item_key),
        "probe": PROBES.get(row.probe),
        "requests": [{**entry, "kept": kept and "answer" in entry} for entry in read["requests"]],
        "keep_days": keep.days,
        "rule": detail.get("rule") or "",
        "samples": detail.get("samples"),
        "histogram_data": detail.get("histogram"),
        "fresh": context["now"] < row.expires_at,
        "observation": pretty(read["observation"]),
        "earlier": _earlier(row),
    }
    return render(request, "evidence/finding.html", context)


def _earlier(row: Finding) -> list[Finding]:
    """What the same probe found at the same place for the same item, newest first."""
    same: dict[str, Any] = {
        "release": row.release_id,
        "endpoint_name": row.endpoint_name,
        "probe": row.probe,
        "item_key": row.item_key,
    }
    others = Finding.objects.filter(**same, measured_at__lte=row.measured_at).exclude(pk=row.pk)
    return list(others.defer("observation", "detail").order_by("-measured_at", "-pk")[:EARLIER])


@require_safe
@signed_in
def finding_answer(request: Request, slug: str, version: str, pk: int, number: int) -> HttpResponse:
    """What a server answered to one request, trimmed and redacted; for those who may see where endpoints are."""
    release = release_or_404(request, slug, version)
    require(request.user, "endpoint.view", release, message="What servers answered is for those who see endpoints.")
    row = _finding(release, pk)
    exchange = answers_of(row).get(number)
    if exchange is None:
        raise Http404
    context = {"release": release, "model": release.model, "finding": row, "exchange": exchange}
    return page_or_fragment(request, "evidence/answer_page.html", "evidence/answer.html", context)


@require_safe
@signed_in
def findings_json(request: Request, slug: str, version: str) -> HttpResponse:
    """What stands now, whole, as a file: the same as the pages show to this reader."""
    release = release_or_404(request, slug, version)
    hidden = None if can(request.user, "endpoint.view", release) else Places.of(release)
    rows = Finding.objects.current().filter(release=release).order_by("item_key", "endpoint_name", "probe", "pk")
    return _file(f"findings-{slug}-{version}.json", [as_json(row, hidden=hidden) for row in rows])


@require_safe
@signed_in
def finding_json(request: Request, slug: str, version: str, pk: int) -> HttpResponse:
    """One finding as a file, with the answers it was read from where the reader may see them."""
    release = release_or_404(request, slug, version)
    row = _finding(release, pk)
    hidden = None if can(request.user, "endpoint.view", release) else Places.of(release)
    answers = answers_of(row) if hidden is None else NO_ANSWERS
    return _file(f"finding-{slug}-{version}-{pk}.json", as_json(row, hidden=hidden, answers=answers))


def _file(name: str, data: Any) -> HttpResponse:
    response = JsonResponse(data, safe=False, json_dumps_params={"indent": 2, "ensure_ascii": False})
    response["Content-Disposition"] = f'attachment; filename="{name}"'
    return response
