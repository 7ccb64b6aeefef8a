"""One release: opening and changing it, marking it live, retiring it."""

from __future__ import annotations

from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods, require_safe

from checklists.catalog.editions import view
from checklists.journal.errors import Invalid, WrongStage
from checklists.people.rules import can, require
from checklists.registry import services
from checklists.registry.architecture import MAX_BYTES
from checklists.scorecards.models import Scorecard
from checklists.signoff.services import launch as mark_live
from checklists.web.forms import put_errors
from checklists.web.forms.releases import ENVIRONMENTS, ArchitectureForm, ReleaseForm
from checklists.web.http import Request, signed_in, tell
from checklists.web.model_shape import shape_words
from checklists.web.release_page import release_context, release_or_404
from checklists.web.views.models import model_or_404, releases_of


@require_safe
@signed_in
def release(request: Request, slug: str, version: str) -> HttpResponse:
    """Leads to where work is most needed: the weakest section of the checklist."""
    row = release_or_404(request, slug, version)
    weakest = Scorecard.objects.filter(release=row).values_list("weakest", flat=True).first()
    return redirect("web:checklist", slug, version, weakest or view(row.edition).sections[0].key)


@signed_in
def release_create(request: Request, slug: str) -> HttpResponse:
    """Open a release of a model, from nothing or from the answers of an earlier one (``?from=version``)."""
    model = model_or_404(request, slug)
    require(request.user, "release.create", model)
    earlier = releases_of(model)
    source = request.GET.get("from", earlier[0].version if earlier else "")
    form = ReleaseForm(request.POST or None, earlier=earlier, initial={"carry_over_from": source})
    if request.method == "POST" and form.is_valid():
        try:
            row = services.create_release(model=model, by=request.user, **form.cleaned_data)
        except Invalid as refusal:
            put_errors(form, refusal)
        else:
            tell(request, f"Release {row.version} is open. Answer its checklist; add an endpoint to have it tested.")
            return redirect("web:release", model.slug, row.version)
    context = {"form": form, "model": model, "environments": ENVIRONMENTS}
    return render(request, "releases/form.html", context, status=422 if form.errors else 200)


@signed_in
def release_edit(request: Request, slug: str, version: str) -> HttpResponse:
    """Change a release's facts."""
    row = release_or_404(request, slug, version)
    require(request.user, "release.change", row)
    services.require_open(row)
    initial = {name: getattr(row, name) for name in services.RELEASE_FIELDS}
    form = ReleaseForm(request.POST or None, editing=True, initial=initial)
    if request.method == "POST" and form.is_valid():
        try:
            services.change_release(release=row, by=request.user, **form.cleaned_data)
        except Invalid as refusal:
            put_errors(form, refusal)
        else:
            tell(request, "Saved.")
            return redirect("web:release", slug, version)
    context = {"form": form, "model": row.model, "release": row, "environments": ENVIRONMENTS}
    return render(request, "releases/form.html", context, status=422 if form.errors else 200)


@require_http_methods(["GET", "HEAD", "POST"])
@signed_in
def architecture(request: Request, slug: str, version: str) -> HttpResponse:
    """The shape of the model, read from its config.json; whoever may change the release puts another on file."""
    row = release_or_404(request, slug, version)
    may_change = can(request.user, "release.change", row) and not row.is_closed
    form = ArchitectureForm(*((request.POST, request.FILES) if request.method == "POST" else ()))
    if request.method == "POST":
        require(request.user, "release.change", row)
        services.require_open(row)
        if request.POST.get("action") == "remove":
            services.clear_architecture(release=row, by=request.user)
            tell(request, "The config.json is off file. Memory is no longer reckoned from it.")
            return redirect("web:architecture", slug, version)
        if form.is_valid():
            try:
                document = form.cleaned_data["document"].read(MAX_BYTES + 1)
                services.set_architecture(release=row, document=document, by=request.user)
            except Invalid as refusal:
                form.add_error("document", refusal.message)
            else:
                tell(request, "On file. What is claimed about memory and GPUs was judged again.")
                return redirect("web:architecture", slug, version)
    context = {"form": form, "release": row, "model": row.model, "may_change": may_change, **shape_words(row)}
    return render(request, "releases/architecture.html", context, status=422 if form.errors else 200)


@require_http_methods(["GET", "HEAD", "POST"])
@signed_in
def launch(request: Request, slug: str, version: str) -> HttpResponse:
    """Asks first, then marks an approved release as live; a refusal of the gate is shown with its reasons."""
    context = release_context(request, slug, version, "")
    row = context["release"]
    require(request.user, "release.launch", row, message="Only an owner of the team can mark a release as live.")
    if request.method == "POST":
        try:
            mark_live(release=row, by=request.user)
        except WrongStage as refusal:
            return render(request, "releases/launch.html", {**context, "refusal": refusal}, status=409)
        tell(request, f"{row} is live.")
        return redirect("web:model", slug)
    return render(request, "releases/launch.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
@signed_in
def retire(request: Request, slug: str, version: str) -> HttpResponse:
    """Asks first, then takes a release out of service."""
    context = release_context(request, slug, version, "")
    row = context["release"]
    require(request.user, "release.launch", row, message="Only an owner of the team can retire a release.")
    if request.method == "POST":
        services.retire_release(release=row, by=request.user)
        tell(request, f"{row} is retired. Everything about it is kept.")
        return redirect("web:model", slug)
    return render(request, "releases/retire.html", context)
