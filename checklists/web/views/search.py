"""One box for models, releases, items of the checklist, people and teams."""

from __future__ import annotations

from django.db.models import Q
from django.http import HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from checklists.catalog.models import Item
from checklists.people.models import Team, User
from checklists.registry.models import Model, Release
from checklists.web.http import Request, page_or_fragment, signed_in

MOST = 20


@require_safe
@signed_in
def search(request: Request) -> HttpResponse:
    """What the viewer may see and what holds all the words, at most twenty of each kind; five queries."""
    query = request.GET.get("q", "").strip()[:200]
    words = query.split()[:8]
    if not words:
        return render(request, "search/search.html", {"query": "", "found": None})

    def holds(*fields: str) -> Q:
        condition = Q()
        for word in words:
            anywhere = Q()
            for field in fields:
                anywhere |= Q(**{f"{field}__icontains": word})
            condition &= anywhere
        return condition

    models = Model.objects.visible_to(request.user).select_related("team")
    releases = Release.objects.visible_to(request.user).select_related("model__team", "scorecard")
    items = Item.objects.filter(edition__status="published").select_related("edition__checklist", "section")
    found = {
        "models": models.filter(holds("slug", "name", "description", "team__name")).order_by("name")[:MOST],
        "releases": releases.filter(holds("model__name", "model__slug", "version"))
        .exclude(stage="retired")
        .order_by("-changed_at")[:MOST],
        "items": items.filter(holds("key", "short", "question", "number")).order_by("position")[:MOST],
        "people": User.objects.filter(holds("username", "name"), is_active=True).order_by("username")[:MOST],
        "teams": Team.objects.filter(holds("slug", "name")).order_by("path")[:MOST],
    }
    lists = {kind: list(rows) for kind, rows in found.items()}
    context = {"query": query, "found": lists, "count": sum(map(len, lists.values())), "most": MOST}
    return page_or_fragment(request, "search/search.html", "search/search.html#results", context)
