"""The checklist, to read."""

from __future__ import annotations

from typing import Any

from django.db.models import TextChoices
from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.views.decorators.http import require_safe

from checklists.assessments.models import Status
from checklists.catalog.choices import ClaimType, EditionStatus, Family, Mode, Quality, Role
from checklists.catalog.editions import DEFAULT_CHECKLIST, ItemView, current_edition, view
from checklists.catalog.models import Edition
from checklists.evidence.probes import PROBES
from checklists.registry.models import Tier
from checklists.web.http import Request, signed_in


@require_safe
@signed_in
def catalog(request: Request) -> HttpResponse:
    """The published edition."""
    return _edition_page(request, current_edition(DEFAULT_CHECKLIST))


@require_safe
@signed_in
def edition(request: Request, checklist: str, edition: str) -> HttpResponse:
    """Any edition, also a superseded one, because releases answered it."""
    return _edition_page(request, _edition_or_404(checklist, edition))


def _edition_or_404(checklist: str, edition: str) -> Edition:
    row: Edition = get_object_or_404(
        Edition.objects.exclude(status=EditionStatus.DRAFT).select_related("checklist"),
        checklist__slug=checklist,
        edition=edition,
    )
    return row


def _edition_page(request: Request, row: Edition) -> HttpResponse:
    """Filters in the address: ``q``, ``family``, ``role``, ``quality``; ``full``: every word on one page, to print."""
    content = view(row)
    chosen = {name: request.GET.get(name, "") for name in ("family", "role", "quality")}
    query = request.GET.get("q", "").strip()
    matching = [(section, [i for i in section.items if _matches(i, chosen, query)]) for section in content.sections]
    sections = [{"section": section, "items": items} for section, items in matching if items]
    context = {
        "edition": row,
        "content": content,
        "sections": sections,
        "chosen": chosen,
        "query": query,
        "full": bool(request.GET.get("full")),
        "others": Edition.objects.filter(checklist=row.checklist)
        .exclude(pk=row.pk)
        .exclude(status=EditionStatus.DRAFT)
        .order_by("-published_at"),
        "families": Family.choices,
        "roles": Role.choices,
        "qualities": Quality.choices,
        **_words(),
    }
    return render(request, "catalog/edition.html", context)


def _matches(item: ItemView, chosen: dict[str, str], query: str) -> bool:
    text = f"{item.number} {item.key} {item.short} {item.question} {item.guidance} {item.why}".lower()
    return (
        (not chosen["family"] or item.applies_to(chosen["family"]))
        and chosen["role"] in ("", item.role)
        and (not chosen["quality"] or chosen["quality"] in item.qualities)
        and all(word in text for word in query.lower().split())
    )


@require_safe
@signed_in
def item(request: Request, checklist: str, edition: str, item_key: str) -> HttpResponse:
    """One item with all that is said about it; ``family`` puts that family's examples alone."""
    row = _edition_or_404(checklist, edition)
    content = view(row)
    try:
        found = content.item(item_key)
    except KeyError:
        raise Http404 from None
    at = content.items.index(found)
    family = request.GET.get("family", "")
    context = {
        "edition": row,
        "content": content,
        "item": found,
        "section": content.section(found.section_key),
        "before": content.items[at - 1] if at else None,
        "after": content.items[at + 1] if at + 1 < len(content.items) else None,
        "family": family,
        "examples": [e for e in found.examples if e.family == family] if family else found.examples,
        "families": [(value, label) for value, label in Family.choices if found.applies_to(value)],
        "left_out": [label for value, label in Family.choices if not found.applies_to(value)],
        "tiers": [(label, found.requirement_for(tier)) for tier, label in Tier.choices],
        "justification": [(Status(status).label, rule) for status, rule in found.justification.items()],
        "probes": [PROBES[key] for key in found.probes if key in PROBES],
        **_words(),
    }
    return render(request, "catalog/item.html", context)


def _lower(words: type[TextChoices]) -> dict[str, str]:
    return {str(value): str(label).lower() for value, label in words.choices}


def _words() -> dict[str, Any]:
    """Keys of the catalog as people read them, for look-ups in templates."""
    return {
        "words": {
            "family": dict(Family.choices),
            **{name: _lower(words) for name, words in (("quality", Quality), ("mode", Mode), ("claim", ClaimType))},
        }
    }
