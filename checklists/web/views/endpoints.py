"""Endpoints of a release: where it can be reached and measured."""

from __future__ import annotations

from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_http_methods

from checklists.journal.errors import Invalid
from checklists.people.rules import require
from checklists.registry import services
from checklists.registry.models import Endpoint, Release
from checklists.web.forms import put_errors
from checklists.web.forms.endpoints import EndpointForm
from checklists.web.http import Request, signed_in, tell
from checklists.web.release_page import release_or_404

SHOWN = tuple(name for name in services.ENDPOINT_FIELDS if name != "headers")


def _changeable(request: Request, slug: str, version: str) -> Release:
    release = release_or_404(request, slug, version)
    require(request.user, "endpoint.change", release)
    services.require_open(release)
    return release


@require_http_methods(["GET", "HEAD", "POST"])
@signed_in
def endpoint_create(request: Request, slug: str, version: str) -> HttpResponse:
    """Add an endpoint."""
    release = _changeable(request, slug, version)
    form = EndpointForm(request.POST if request.method == "POST" else None)
    if form.is_valid():
        try:
            services.create_endpoint(release=release, by=request.user, **form.service_data())
        except Invalid as refusal:
            put_errors(form, refusal)
        else:
            tell(request, "The endpoint is added. Probe it to see what it tells.")
            return redirect("web:evidence", slug, version)
    return _page(request, form, release)


@require_http_methods(["GET", "HEAD", "POST"])
@signed_in
def endpoint_edit(request: Request, slug: str, version: str, pk: int) -> HttpResponse:
    """Change an endpoint. Stored header values are kept, replaced or removed, never shown."""
    release = _changeable(request, slug, version)
    endpoint = get_object_or_404(Endpoint, release=release, pk=pk)
    endpoint.release = release
    initial = {name: getattr(endpoint, name) for name in SHOWN}
    form = EndpointForm(request.POST if request.method == "POST" else None, endpoint=endpoint, initial=initial)
    if form.is_valid():
        try:
            services.change_endpoint(endpoint=endpoint, by=request.user, **form.service_data())
        except Invalid as refusal:
            put_errors(form, refusal)
        else:
            tell(request, "Saved. Probe again to see what has changed.")
            return redirect("web:evidence", slug, version)
    return _page(request, form, release, endpoint)


def _page(request: Request, form: EndpointForm, release: Release, endpoint: Endpoint | None = None) -> HttpResponse:
    context = {"form": form, "release": release, "model": release.model, "endpoint": endpoint}
    return render(request, "releases/endpoint_form.html", context, status=422 if form.errors else 200)


@require_http_methods(["GET", "HEAD", "POST"])
@signed_in
def endpoint_delete(request: Request, slug: str, version: str, pk: int) -> HttpResponse:
    """Asks first, then removes an endpoint; what was measured there no longer counts."""
    release = _changeable(request, slug, version)
    endpoint = get_object_or_404(Endpoint, release=release, pk=pk)
    endpoint.release = release
    if request.method == "POST":
        services.delete_endpoint(endpoint=endpoint, by=request.user)
        tell(request, f"The endpoint {endpoint.name} is removed.")
        return redirect("web:evidence", slug, version)
    return render(
        request, "releases/endpoint_delete.html", {"release": release, "model": release.model, "endpoint": endpoint}
    )
