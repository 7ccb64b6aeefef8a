"""One-click sign-in of a demo. Imported only where ``settings.DEMO`` is on: elsewhere there is no such address."""

from __future__ import annotations

from django.contrib.auth import login
from django.http import HttpRequest, HttpResponse, HttpResponseBadRequest
from django.shortcuts import redirect
from django.urls import path
from django.views.decorators.http import require_POST

from checklists.people.models import User

# username → what its button says
PEOPLE = {
    "demo-owner": "Team owner",
    "demo-contributor": "Team member",
    "demo-mlops": "MLOps reviewer",
    "demo-security": "Security reviewer",
    "demo-sre": "SRE reviewer",
    "demo-leader": "Leader",
    "demo-auditor": "Auditor",
    "demo-admin": "Administrator",
}


@require_POST
def sign_in(request: HttpRequest) -> HttpResponse:
    """Signs in as one of the demo's own people; nobody else."""
    username = request.POST.get("username", "")
    user = User.objects.filter(username=username, is_active=True).first() if username in PEOPLE else None
    if user is None:
        return HttpResponseBadRequest("The demo has no such person.", content_type="text/plain")
    login(request, user, backend="django.contrib.auth.backends.ModelBackend")
    return redirect("web:today")


urlpatterns = [path("demo/signin/", sign_in, name="demo_signin")]
