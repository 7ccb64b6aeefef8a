"""Everything that happened, for auditors and administrators."""

from __future__ import annotations

from datetime import UTC, datetime

from django.core.paginator import Paginator
from django.db.models import Q
from django.http import HttpResponse
from django.shortcuts import render
from django.utils.dateparse import parse_date
from django.views.decorators.http import require_safe

from checklists.catalog.editions import view
from checklists.catalog.models import Edition
from checklists.journal.models import Chain, Event
from checklists.people.rules import require
from checklists.web.http import Request, signed_in
from checklists.web.sentences import sentence

PAGE = 50
# What a filter offers: the first part of a verb, and what it is about.
ROOMS = [
    ("people", "People, teams and roles"),
    ("catalog", "The checklist"),
    ("registry", "Models and releases"),
    ("assessments", "Answers and waivers"),
    ("evidence", "Measurements"),
    ("signoff", "Sign-off"),
]


@require_safe
@signed_in
def journal(request: Request) -> HttpResponse:
    """Newest first; filters ``subject``, ``actor``, ``verb`` (or its beginning) and ``since`` live in the address."""
    require(request.user, "journal.read", message="Only auditors and administrators read the whole journal.")
    chosen = {name: request.GET.get(name, "").strip() for name in ("subject", "actor", "verb", "since")}
    rows = Event.objects.newest_first()
    if chosen["subject"]:
        rows = rows.filter(subject__icontains=chosen["subject"])
    if chosen["actor"]:
        rows = rows.filter(Q(actor__username__iexact=chosen["actor"]) | Q(actor_name__icontains=chosen["actor"]))
    if chosen["verb"]:
        rows = rows.filter(verb__startswith=chosen["verb"])
    if (since := _day(chosen["since"])) is not None:
        rows = rows.filter(at__gte=since)
    page = Paginator(rows, PAGE).get_page(request.GET.get("page"))
    edition = Edition.objects.filter(status="published").order_by("checklist_id").first()
    names = {item.key: f"{item.number} {item.short}" for item in view(edition).items} if edition else {}
    context = {
        "page_obj": page,
        "events": [(event, sentence(event, names)) for event in page],
        "chosen": chosen,
        "rooms": ROOMS,
        "chain": Chain.objects.filter(pk=0).first(),
        "filtered": any(chosen.values()),
    }
    return render(request, "journal/journal.html", context)


def _day(text: str) -> datetime | None:
    """Midnight UTC of a day written 2026-01-31; None for anything else."""
    try:
        day = parse_date(text)
    except ValueError:
        return None
    return datetime(day.year, day.month, day.day, tzinfo=UTC) if day else None
