"""The organisation at a glance, and the lists behind every number of it."""

from __future__ import annotations

import csv
from typing import Any

from django.core.paginator import Paginator
from django.db.models import Q
from django.http import Http404, HttpResponse
from django.shortcuts import render
from django.utils import timezone

from checklists.catalog.choices import Family, Quality
from checklists.catalog.editions import current_edition, view
from checklists.people.models import Team
from checklists.registry.models import Stage, Tier
from checklists.scorecards.models import ItemState
from checklists.scorecards.states import LABELS, STATES
from checklists.web.http import Request, signed_in
from checklists.web.overview_page import OverviewPage, overview_page
from checklists.web.risk import Risk

PAGE = 50
# Filters of the items list that are a plain comparison.
PLAIN = {
    "family": "release__model__family",
    "section": "section",
    "state": "state",
    "item": "item__key",
    "requirement": "requirement",
}


def _page(request: Request) -> OverviewPage:
    family, tier = request.GET.get("family", ""), request.GET.get("tier", "")
    return overview_page(
        user=request.user,
        team_slug=request.GET.get("team", ""),
        family=family if family in Family.values else "",
        tier=int(tier) if tier in ("1", "2", "3") else None,
        by_family=request.GET.get("by") == "family",
        by_quality=request.GET.get("axis") == "qualities",
    )


@signed_in
def overview(request: Request) -> HttpResponse:
    """``by`` team or family; ``axis`` sections or qualities; ``team``, ``family``, ``tier`` narrow it."""
    page = _page(request)
    context = {"page": page, "families": Family.choices, "tiers": Tier.choices, "risks": list(Risk)}
    return render(request, "overview/overview.html", context)


@signed_in
def overview_csv(request: Request) -> HttpResponse:
    """The heat map as a table: one line a row, with score, weakest, each column's score and the seven counts."""
    page = _page(request)
    response = HttpResponse(content_type="text/csv; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="preflight-overview-{timezone.now():%Y-%m-%d}.csv"'
    writer = csv.writer(response)
    writer.writerow(["unit", "name", "releases", "score", "weakest", *(title for _, title in page.columns), *STATES])
    titles = dict(page.columns)
    for row in [*page.rows, page.organisation]:
        scores = [row.cells[key].score if key in row.cells else "" for key, _ in page.columns]
        counts = [row.total.states[state] for state in STATES]
        weakest = titles.get(row.weakest or "", "")
        writer.writerow([_text(row.group), _text(row.name), row.releases, row.score, weakest, *scores, *counts])
    return response


def _text(value: str) -> str:
    """A name that no spreadsheet takes for a formula."""
    return f"'{value}" if value[:1] in ("=", "+", "-", "@", "\t", "\r") else value


@signed_in
def items(request: Request) -> HttpResponse:
    """Item states of active releases, by release; filters ``team`` (with what is below), ``family``, ``section``,
    ``quality``, ``state``, ``item``, ``tier``, ``stage``, ``requirement``; ``blocking=1`` what stands in the way of a
    launch, ``launch=1`` only releases with a launch date."""
    names = (
        "team",
        "family",
        "section",
        "quality",
        "state",
        "item",
        "tier",
        "stage",
        "requirement",
        "blocking",
        "launch",
    )
    chosen = {name: request.GET.get(name, "") for name in names}
    edition = view(current_edition())
    rows = ItemState.objects.visible_to(request.user)
    if chosen["stage"]:
        rows = rows.filter(release__stage=chosen["stage"])
    else:
        rows = rows.exclude(release__stage__in=["retired", "rejected"])
    teams = list(Team.objects.in_tree_order())
    if chosen["team"]:
        team = next((each for each in teams if each.slug == chosen["team"]), None)
        if team is None:
            raise Http404
        rows = rows.filter(release__model__team__path__startswith=team.path)
    if chosen["quality"]:
        rows = rows.filter(item__key__in=[item.key for item in edition.items if chosen["quality"] in item.qualities])
    if chosen["tier"]:
        rows = rows.filter(release__model__tier=int(chosen["tier"]) if chosen["tier"].isdecimal() else 0)
    if chosen["blocking"]:
        rows = rows.filter(Q(state="contradicted") | Q(state="open", requirement="must"))
    if chosen["launch"]:
        rows = rows.filter(release__launch_date__isnull=False)
    rows = rows.filter(**{lookup: chosen[name] for name, lookup in PLAIN.items() if chosen[name]})
    rows = rows.select_related("item", "release__model__team").order_by(
        "release__model__name", "release__version", "release_id", "item__position"
    )
    page = Paginator(rows, PAGE).get_page(request.GET.get("page"))
    context: dict[str, Any] = {
        "page_obj": page,
        "chosen": chosen,
        "filtered": any(chosen.values()),
        "teams": teams,
        "families": Family.choices,
        "sections": [(section.key, section.title) for section in edition.sections],
        "qualities": Quality.choices,
        "states": list(LABELS.items()),
        "tiers": Tier.choices,
        "stages": Stage.choices,
        "checklist": edition.items,
    }
    return render(request, "overview/items.html", context)
