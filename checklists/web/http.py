"""What every view shares: a page or its fragment, and refusals of the domain as answers."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.cache import patch_vary_headers
from django_htmx.middleware import HtmxDetails

from checklists.journal.errors import Conflict, DomainError, Forbidden, Invalid
from checklists.people.models import User


class Request(HttpRequest):
    """A request of somebody signed in, seen through django-htmx."""

    htmx: HtmxDetails
    user: User


def wants_fragment(request: Request) -> bool:
    """htmx asks for a piece; a boosted visit or a history restore wants the whole page."""
    return bool(request.htmx) and not request.htmx.boosted and not request.htmx.history_restore_request


def page_or_fragment(
    request: Request, page: str, fragment: str, context: dict[str, Any], *, status: int = 200
) -> HttpResponse:
    """One address answers with a page or, to htmx, with a fragment (``template.html#partial`` works)."""
    response = render(request, fragment if wants_fragment(request) else page, context, status=status)
    patch_vary_headers(response, ["HX-Request"])
    return response


def status_of(error: DomainError) -> int:
    """400-family status of a refusal, for pages: 422 lets htmx swap a form with its errors."""
    if isinstance(error, Invalid):
        return 422
    return 403 if isinstance(error, Forbidden) else 409


def signed_in(view: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
    """Sign-in required (a page leads there, a fragment is 401); a refusal of the domain that the view does not handle
    itself becomes a page that says why."""

    @wraps(view)
    def inner(request: Request, *args: Any, **kwargs: Any) -> HttpResponse:
        if "\x00" in request.path:
            raise Http404
        try:
            _refuse_nul(request)
            return view(request, *args, **kwargs)
        except DomainError as error:
            return refusal(request, error)

    @wraps(view)
    def outer(request: Request, *args: Any, **kwargs: Any) -> HttpResponse:
        if wants_fragment(request) and not request.user.is_authenticated:
            # Following a redirect, htmx would take the sign-in page for the piece, and a form for saved.
            return HttpResponse("You are signed out.", status=401, content_type="text/plain")
        return whole(request, *args, **kwargs)

    whole = login_required(inner)
    return outer


def _refuse_nul(request: HttpRequest) -> None:
    """PostgreSQL cannot even be asked about text with NUL."""
    for sent in (request.GET, request.POST):
        if any("\x00" in text for name, values in sent.lists() for text in (name, *values)):
            raise Invalid("Nothing was changed: a NUL character was sent, which no text can hold. Remove it.")


def refusal(request: HttpRequest, error: DomainError) -> HttpResponse:
    """What happened, what was kept and what to do, as a page or a fragment."""
    context = {"error": error, "reasons": getattr(error, "reasons", []), "is_conflict": isinstance(error, Conflict)}
    template = "components/refusal.html" if getattr(request, "htmx", False) else "refusal.html"
    return render(request, template, context, status=status_of(error))


def tell(request: HttpRequest, text: str) -> None:
    """A message for the next page."""
    messages.success(request, text)
