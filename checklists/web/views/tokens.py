"""One's own API tokens: made, shown once, ended."""

from __future__ import annotations

from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone

from checklists.journal.errors import Invalid
from checklists.people.models import Token
from checklists.people.services import create_token, revoke_token
from checklists.web.forms import put_errors
from checklists.web.forms.settings import TokenForm
from checklists.web.http import Request, signed_in, tell


@signed_in
def tokens(request: Request) -> HttpResponse:
    """The list; a new token's secret is on the answer to its creation, and nowhere afterwards."""
    form, secret = TokenForm(), ""
    if request.method == "POST" and (pk := request.POST.get("revoke", "")):
        token = get_object_or_404(
            Token.objects.select_related("user"), pk=int(pk) if pk.isdecimal() and len(pk) < 19 else 0
        )
        revoke_token(token=token, by=request.user)
        tell(request, f"The token “{token.name}” has ended.")
        if token.user_id != request.user.pk:
            return redirect("web:person", token.user.username)
        return redirect("web:tokens")
    if request.method == "POST":
        form = TokenForm(request.POST)
        if form.is_valid():
            try:
                _, secret = create_token(user=request.user, **form.cleaned_data)
                form = TokenForm()
            except Invalid as refusal:
                put_errors(form, refusal)
    rows = Token.objects.filter(user=request.user, revoked_at=None).order_by("-created_at")
    context = {"form": form, "tokens": rows, "secret": secret, "now": timezone.now()}
    response = render(request, "settings/tokens.html", context, status=422 if form.is_bound and form.errors else 200)
    response["Cache-Control"] = "no-store"
    return response
