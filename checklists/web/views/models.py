"""Models: the list, one model with its releases, registering and changing one, two releases side by side."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.core.paginator import Paginator
from django.db.models import Exists, F, OrderBy, OuterRef, Q, QuerySet, Subquery
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.views.decorators.http import require_safe

from checklists.catalog.editions import view
from checklists.journal.errors import Invalid
from checklists.people.models import Team
from checklists.people.rules import can, require
from checklists.registry import services
from checklists.registry.models import Model, Release
from checklists.scorecards.models import ItemState, Scorecard
from checklists.web.comparison import compare_releases
from checklists.web.forms import put_errors
from checklists.web.forms.models import FilterForm, ModelForm
from checklists.web.http import Request, page_or_fragment, signed_in, tell

PER_PAGE = 50
COLUMNS = (
    ("name", "Model", "name"),
    ("family", "Family", "family"),
    ("tier", "Tier", "tier"),
    ("stage", "Stage", "newest_stage"),
    ("readiness", "Readiness", "readiness"),
    ("weakest", "Weakest section", "weakest"),
    ("launch", "Launch", "launch"),
)
SORTS = {key: column for key, _, column in COLUMNS}


@dataclass(frozen=True)
class Column:
    """A column heading that sorts: ``query`` replaces ``sort`` in the address, ``aria`` says how it is sorted now."""

    key: str
    label: str
    query: str
    aria: str


@require_safe
@signed_in
def models(request: Request) -> HttpResponse:
    """The list, with filters and sorting in the address. To htmx only the results."""
    form = FilterForm(request.GET, teams=list(Team.objects.in_tree_order()))
    wanted = form.wanted()
    sort = request.GET.get("sort", "name")
    rows = _sorted(_narrowed(_with_newest(Model.objects.visible_to(request.user)), wanted, form.teams), sort)
    page = Paginator(rows.select_related("team"), PER_PAGE).get_page(request.GET.get("page"))
    listed = list(page.object_list)
    releases = Release.objects.filter(pk__in=[row.newest for row in listed if row.newest]).select_related(
        "scorecard", "edition__checklist"
    )
    newest = {release.pk: release for release in releases}
    context = {
        "form": form,
        "filtered": bool(wanted),
        "page_obj": page,
        "rows": [(row, release, _weakest_title(release)) for row in listed for release in [newest.get(row.newest)]],
        "columns": _columns(sort),
        "sort": sort,
        "may_register": request.user.access.writes_somewhere,
        "today": timezone.now().date(),
    }
    return page_or_fragment(request, "models/list.html", "models/results.html", context)


def _with_newest(rows: QuerySet[Model]) -> QuerySet[Any]:
    """Each model with its newest release that is neither retired nor rejected, and what that one is sorted by."""
    newest = Release.objects.active().filter(model=OuterRef("pk")).order_by("-created_at", "-pk")
    cards = Scorecard.objects.filter(release=OuterRef("newest"))
    return rows.annotate(
        newest=Subquery(newest.values("pk")[:1]),
        newest_stage=Subquery(newest.values("stage")[:1]),
        launch=Subquery(newest.values("launch_date")[:1]),
        readiness=Subquery(cards.values("readiness")),
        weakest=Subquery(cards.values("weakest")),
    )


def _narrowed(rows: QuerySet[Any], wanted: dict[str, str], teams: dict[str, Team]) -> QuerySet[Any]:
    if text := wanted.get("q"):
        parts = Q()
        for word in text.split()[:8]:
            parts &= (
                Q(name__icontains=word) | Q(slug__icontains=word) | Q(description__icontains=word)
                | Q(team__name__icontains=word)
            )  # fmt: skip
        rows = rows.filter(parts)
    if "team" in wanted:
        rows = rows.filter(team__path__startswith=teams[wanted["team"]].path)
    if "family" in wanted:
        rows = rows.filter(family=wanted["family"])
    if "tier" in wanted:
        rows = rows.filter(tier=int(wanted["tier"]))
    if stage := wanted.get("stage"):
        # Retired and rejected releases are no model's newest active one, so they are looked for among all.
        if stage == "none":
            rows = rows.filter(newest=None)
        elif stage in ("retired", "rejected"):
            rows = rows.filter(Exists(Release.objects.filter(model=OuterRef("pk"), stage=stage)))
        else:
            rows = rows.filter(newest_stage=stage)
    if "state" in wanted:
        rows = rows.filter(Exists(ItemState.objects.filter(release=OuterRef("newest"), state=wanted["state"])))
    return rows


def _sorted(rows: QuerySet[Any], sort: str) -> QuerySet[Any]:
    column = SORTS.get(sort.removeprefix("-"), "name")
    return rows.order_by(OrderBy(F(column), descending=sort.startswith("-"), nulls_last=True), "name", "pk")


def _columns(sort: str) -> list[Column]:
    now = sort.removeprefix("-")
    return [
        Column(
            key,
            label,
            f"-{key}" if sort == key else key,
            "" if key != now else "descending" if sort.startswith("-") else "ascending",
        )
        for key, label, _ in COLUMNS
    ]


def _weakest_title(release: Release | None) -> str:
    card: Scorecard | None = getattr(release, "scorecard", None)
    if release is None or card is None or not card.weakest:
        return ""
    return view(release.edition).section(card.weakest).title


def model_or_404(request: Request, slug: str) -> Model:
    """The model with its team, if the viewer may see it."""
    model: Model = get_object_or_404(Model.objects.visible_to(request.user).select_related("team__parent"), slug=slug)
    return model


def releases_of(model: Model) -> list[Release]:
    """All releases with their scorecards, newest first (one query)."""
    rows = Release.objects.filter(model=model).select_related("scorecard", "edition", "created_by")
    releases = list(rows.order_by("-created_at", "-pk"))
    for release in releases:
        release.model = model
    return releases


@require_safe
@signed_in
def model(request: Request, slug: str) -> HttpResponse:
    """One model and its releases."""
    row = model_or_404(request, slug)
    releases = releases_of(row)
    context = {
        "model": row,
        "releases": [(release, _weakest_title(release)) for release in releases],
        "versions": [release.version for release in releases],
        "may_change": can(request.user, "model.change", row),
        "may_open": can(request.user, "release.create", row),
        "today": timezone.now().date(),
    }
    return render(request, "models/detail.html", context)


@signed_in
def model_create(request: Request) -> HttpResponse:
    """Register a model; the next step is its first release."""
    form = ModelForm(request.POST or None, user=request.user)
    if not form.teams:
        require(request.user, "model.create", message="Only owners and contributors of a team can register a model.")
    if request.method == "POST" and form.is_valid():
        try:
            row = services.create_model(by=request.user, **form.cleaned_data)
        except Invalid as refusal:
            put_errors(form, refusal)
        else:
            tell(request, f"{row.name} is registered. Open its first release to begin the checklist.")
            return redirect("web:model", row.slug)
    return render(request, "models/form.html", {"form": form}, status=422 if form.errors else 200)


@signed_in
def model_edit(request: Request, slug: str) -> HttpResponse:
    """Change a model's facts."""
    row = model_or_404(request, slug)
    require(request.user, "model.change", row)
    fields = ("name", "family", "tier", "description", "restricted")
    initial = {name: getattr(row, name) for name in fields} | {"team": row.team.slug}
    form = ModelForm(request.POST or None, user=request.user, model=row, initial=initial)
    if request.method == "POST" and form.is_valid():
        try:
            services.change_model(model=row, by=request.user, **form.cleaned_data)
        except Invalid as refusal:
            put_errors(form, refusal)
        else:
            tell(request, "Saved.")
            return redirect("web:model", row.slug)
    return render(request, "models/form.html", {"form": form, "model": row}, status=422 if form.errors else 200)


@require_safe
@signed_in
def compare(request: Request, slug: str) -> HttpResponse:
    """Two releases of a model side by side: what differs, or everything with ``all=1``."""
    row = model_or_404(request, slug)
    releases = releases_of(row)
    by_version = {release.version: release for release in releases}
    older = by_version.get(request.GET.get("a", ""), releases[1] if len(releases) > 1 else None)
    newer = by_version.get(request.GET.get("b", ""), releases[0] if releases else None)
    context: dict[str, Any] = {
        "model": row, "versions": list(by_version), "a": older, "b": newer, "everything": request.GET.get("all") == "1",
    }  # fmt: skip
    if older is not None and newer is not None:
        compared = compare_releases(older, newer, everything=context["everything"])
        context |= {"comparison": compared, "pair": [(older, compared.a), (newer, compared.b)]}
    return render(request, "models/compare.html", context)
