"""What somebody should know."""

from __future__ import annotations

from django.core.paginator import Paginator
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.utils.http import url_has_allowed_host_and_scheme

from checklists.notices.models import Notice
from checklists.notices.services import mark_read
from checklists.web.http import Request, signed_in

PAGE = 50


def _number(text: str) -> int:
    """0, which no notice has, for what is no number of one."""
    return int(text) if text.isdecimal() and len(text) < 19 else 0


@signed_in
def inbox(request: Request) -> HttpResponse:
    """Newest first. POST ``notice`` (or nothing, for all) marks as read, and goes on to ``next`` if that is given."""
    if request.method == "POST":
        number = request.POST.get("notice", "")
        mark_read(user=request.user, notice_id=_number(number) if number else None)
        onward = request.POST.get("next", "")
        if url_has_allowed_host_and_scheme(onward, allowed_hosts=None):
            return redirect(onward)
        return redirect("web:inbox")
    rows = Notice.objects.filter(user=request.user).order_by("-created_at", "-pk")
    unread_only = request.GET.get("show") == "unread"
    if unread_only:
        rows = rows.filter(read_at=None)
    page = Paginator(rows, PAGE).get_page(request.GET.get("page"))
    return render(request, "inbox/inbox.html", {"page_obj": page, "unread_only": unread_only})
