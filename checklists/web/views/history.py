"""The history tab: a release's own chain of the journal, in sentences."""

from __future__ import annotations

from django.core.paginator import Paginator
from django.http import HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from checklists.catalog.editions import view
from checklists.journal.models import Event
from checklists.web.http import Request, signed_in
from checklists.web.release_page import release_context
from checklists.web.sentences import mark, pretty, sentence

PER_PAGE = 50


@require_safe
@signed_in
def history(request: Request, slug: str, version: str) -> HttpResponse:
    """Newest first. Addresses of endpoints are told only to who may see them."""
    context = release_context(request, slug, version, "history")
    release = context["release"]
    events = Event.objects.of_release(release.pk).order_by("-at", "-sequence")
    page = Paginator(events, PER_PAGE).get_page(request.GET.get("page"))
    shorts = {item.key: f"{item.number} {item.short}" for item in view(release.edition).items}
    for event in page.object_list:
        if event.verb.startswith("registry.endpoint.") and not context["can"]["see_endpoints"]:
            event.data = {
                "name": event.data.get("name", ""),
                "url": "not shown",
                "changed": event.data.get("changed", []),
            }
    entries = [(event, sentence(event, shorts), mark(event), pretty(event.data)) for event in page.object_list]
    return render(request, "history/page.html", {**context, "page_obj": page, "entries": entries})
