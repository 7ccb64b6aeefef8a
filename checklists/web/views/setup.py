"""The one-time link of a fresh installation."""

from __future__ import annotations

from django.contrib.auth import login
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache

from checklists.journal.errors import Conflict, Forbidden, Invalid
from checklists.people.services import create_first_administrator, setup_token
from checklists.web.forms import put_errors
from checklists.web.forms.setup import SetupForm
from checklists.web.http import refusal


@never_cache
def setup(request: HttpRequest, token: str) -> HttpResponse:
    """Creates the first administrator and signs them in; a link works once."""
    if setup_token(token) is None:
        return refusal(
            request,
            Forbidden(
                "This link was used already or has run out. On the server, `manage.py setup_link` makes a new one."
            ),
        )
    form = SetupForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        data = form.cleaned_data
        try:
            user = create_first_administrator(
                secret=token, username=data["username"], password=data["password"], name=data["name"]
            )
        except Invalid as error:
            put_errors(form, error)
        except (Forbidden, Conflict) as error:
            return refusal(request, error)
        else:
            login(request, user, backend="django.contrib.auth.backends.ModelBackend")
            return redirect("web:today")
    return render(request, "setup/setup.html", {"form": form}, status=422 if form.is_bound else 200)
