"""The organisation at a glance, and the lists behind every number of it."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping
from typing import Any

from django.core.paginator import Paginator
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.http import Http404, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_safe

from checklists.catalog.choices import Family, Quality
from checklists.catalog.editions import current_edition, view
from checklists.evidence.models import Finding
from checklists.people.models import Team
from checklists.registry.models import Release, Stage, Tier
from checklists.scorecards.models import ItemState
from checklists.scorecards.rollups import CLOSED
from checklists.scorecards.states import LABELS, STATES
from checklists.web import overview_reads as reads
from checklists.web.http import Request, signed_in
from checklists.web.overview_page import OverviewPage, overview_page
from checklists.web.risk import Risk

PAGE = 50
# Filters of the items list that are a plain comparison.
PLAIN = {
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


@require_safe
@signed_in
def overview(request: Request) -> HttpResponse:
    """``by`` team or family; ``axis`` sections or qualities; ``team``, ``family``, ``tier`` narrow it."""
    page = _page(request)
    context = {"page": page, "families": Family.choices, "tiers": Tier.choices, "risks": list(Risk)}
    return render(request, "overview/overview.html", context)


@require_safe
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


SCOPE = ("team", "below", "family", "tier", "stage")


def _chosen(request: Request, *names: str) -> dict[str, str]:
    return {name: request.GET.get(name, "") for name in (*SCOPE, *names)}


def _in_scope(rows: QuerySet[Any], chosen: Mapping[str, str], teams: Iterable[Team], release: str) -> QuerySet[Any]:
    """Narrowed by ``SCOPE``; ``release`` leads to the release. Raises ``Http404`` for an unknown team."""
    if chosen["stage"]:
        rows = rows.filter(**{f"{release}stage": chosen["stage"]})
    if chosen["team"]:
        team = next((each for each in teams if each.slug == chosen["team"]), None)
        if team is None:
            raise Http404
        branch = {"team": team} if chosen["below"] == "0" else {"team__path__startswith": team.path}
        rows = rows.filter(**{f"{release}model__{lookup}": value for lookup, value in branch.items()})
    if chosen["family"]:
        rows = rows.filter(**{f"{release}model__family": chosen["family"]})
    if chosen["tier"]:
        rows = rows.filter(**{f"{release}model__tier": int(chosen["tier"]) if chosen["tier"] in ("1", "2", "3") else 0})
    return rows


def _choices(chosen: Mapping[str, str], teams: list[Team]) -> dict[str, Any]:
    """What the filters of both lists offer."""
    return {
        "chosen": chosen,
        "filtered": any(chosen.values()),
        "teams": teams,
        "families": Family.choices,
        "tiers": Tier.choices,
        "stages": Stage.choices,
    }


@require_safe
@signed_in
def items(request: Request) -> HttpResponse:
    """Item states of active releases, by release; filters ``team`` (with what is below it, unless ``below=0``),
    ``family``, ``section``, ``quality``, ``state``, ``item``, ``tier``, ``stage``, ``requirement``; ``blocking=1`` what
    stands in the way of a launch, ``launch=1`` only releases with a launch date, ``failing=1`` what is open or
    contradicted, ``stale=1`` what was proven or contradicted too long ago."""
    chosen = _chosen(request, *PLAIN, "quality", "blocking", "launch", "failing", "stale")
    edition = view(current_edition())
    teams = list(Team.objects.in_tree_order())
    rows = _in_scope(ItemState.objects.visible_to(request.user), chosen, teams, "release__")
    if not chosen["stage"]:
        rows = rows.exclude(release__stage__in=CLOSED)
    if chosen["quality"]:
        rows = rows.filter(item__key__in=[item.key for item in edition.items if chosen["quality"] in item.qualities])
    if chosen["blocking"]:
        rows = rows.filter(Q(state="contradicted") | Q(state="open", requirement="must"))
    if chosen["failing"]:
        rows = rows.filter(state__in=["open", "contradicted"])
    if chosen["launch"]:
        rows = rows.filter(release__launch_date__isnull=False)
    if chosen["stale"]:
        ended = Finding.objects.filter(
            current=True, verdict__in=["verified", "contradicted"], expires_at__lte=timezone.now()
        )
        rows = rows.filter(Exists(ended.filter(release=OuterRef("release"), item=OuterRef("item"))))
    rows = rows.filter(**{lookup: chosen[name] for name, lookup in PLAIN.items() if chosen[name]})
    rows = rows.select_related("item", "release__model__team").order_by(
        "release__model__name", "release__version", "release_id", "item__position"
    )
    context = {
        **_choices(chosen, teams),
        "page_obj": Paginator(rows, PAGE).get_page(request.GET.get("page")),
        "sections": [(section.key, section.title) for section in edition.sections],
        "qualities": Quality.choices,
        "states": list(LABELS.items()),
        "checklist": edition.items,
    }
    return render(request, "overview/items.html", context)


@require_safe
@signed_in
def releases(request: Request) -> HttpResponse:
    """Releases by model; filters ``team`` (with what is below it, unless ``below=0``), ``family``, ``tier``, ``stage``;
    ``ready=1`` approved or live with nothing in the way, ``approved=1`` first approved within half a year, which may
    be retired by now; else retired and rejected ones are there only when their stage is asked for."""
    chosen = _chosen(request, "ready", "approved")
    teams = list(Team.objects.in_tree_order())
    rows: QuerySet[Release] = _in_scope(Release.objects.visible_to(request.user), chosen, teams, "")
    approved = reads.first_approvals() if chosen["approved"] else {}
    if chosen["approved"]:
        today = timezone.now().date()
        rows = rows.filter(pk__in=[pk for pk, at in approved.items() if today - reads.HALF_YEAR < at.date() <= today])
    elif not chosen["stage"]:
        rows = rows.exclude(stage__in=CLOSED)
    if chosen["ready"]:
        rows = rows.filter(stage__in=["approved", "live"], scorecard__must_open=0, scorecard__contradicted=0)
    rows = rows.select_related("model__team", "scorecard", "edition__checklist")
    page = Paginator(rows.order_by("model__name", "version", "pk"), PAGE).get_page(request.GET.get("page"))
    lines = [
        (
            release,
            _title(release, release.scorecard.weakest if hasattr(release, "scorecard") else ""),
            (approved[release.pk] - release.created_at).days if release.pk in approved else None,
        )
        for release in page.object_list
    ]
    context = {**_choices(chosen, teams), "page_obj": page, "lines": lines}
    return render(request, "overview/releases.html", context)


def _title(release: Release, section: str) -> str:
    return view(release.edition).section(section).title if section else ""
