"""The checklist screen: one section at a time, one form an item; each saves by itself, with or without JavaScript."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.cache import patch_vary_headers
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from checklists.assessments.models import Answer, Comment
from checklists.assessments.services import add_comment, confirm_answers, save_answer
from checklists.catalog.editions import SectionView, view
from checklists.journal.errors import Conflict, Invalid
from checklists.people.models import User
from checklists.people.rules import can
from checklists.registry.models import Release
from checklists.web.forms import put_errors
from checklists.web.forms.answers import AnswerForm
from checklists.web.http import Request, signed_in, tell, wants_fragment
from checklists.web.item_cards import Cards, section_links
from checklists.web.release_page import release_context, release_or_404

CARD = "checklist/card.html"
SAVED = "checklist/saved.html"


@require_safe
@signed_in
def checklist(request: Request, slug: str, version: str, section: str) -> HttpResponse:
    """One section with its cards."""
    return _section_page(request, slug, version, section)


def _section_page(
    request: Request,
    slug: str,
    version: str,
    key: str,
    *,
    forms: Mapping[str, AnswerForm] | None = None,
    conflicts: Mapping[str, Answer] | None = None,
    status: int = 200,
) -> HttpResponse:
    context = release_context(request, slug, version, "checklist")
    section = _section(context["release"], key)
    context |= _section_context(context, section, forms or {}, conflicts or {})
    context["carried_over"] = sum(answer.carried_over for answer in context["answers"])
    return render(request, "checklist/section.html", context, status=status)


def _section(release: Release, key: str) -> SectionView:
    try:
        return view(release.edition).section(key)
    except KeyError:
        raise Http404("No such section.") from None


def _section_context(
    context: Mapping[str, Any], section: SectionView, forms: Mapping[str, AnswerForm], conflicts: Mapping[str, Answer]
) -> dict[str, Any]:
    cards = Cards(context, section, members_of(context["release"]) if context["can"]["answer"] else [])
    tally = context["card"].score.sections[section.key]
    links = section_links(context, section.key)
    number = [link.current for link in links].index(True)
    return {
        "section": section,
        "tally": tally,
        "cards": cards.build(forms, conflicts),
        "left_out": cards.left_out(),
        "sections": links,
        "before": links[number - 1] if number else None,
        "after": links[number + 1] if number + 1 < len(links) else None,
    }


def members_of(release: Release) -> list[User]:
    """Who may be given an item: the members of the team and of the teams above it (one query)."""
    teams = release.model.team.ancestor_ids
    people = User.objects.filter(memberships__team_id__in=teams, is_active=True)
    return list(people.distinct().order_by("name", "username"))


@require_http_methods(["GET", "HEAD", "POST"])
@signed_in
def answer(request: Request, slug: str, version: str, item_key: str) -> HttpResponse:
    """One item's card (GET), or saving its answer (POST).

    To htmx a save answers with the parts of the page that changed, never with the fields being typed in: 200 when it is
    saved, 422 with errors at the fields, 409 with both versions side by side. Without htmx it leads back to the card,
    or shows the page with what was typed.
    """
    release = release_or_404(request, slug, version)
    try:
        item = view(release.edition).item(item_key)
    except KeyError:
        raise Http404("No such item.") from None
    row = get_object_or_404(Answer.objects.with_people(), release=release, item_id=item.id)
    row.release = release
    if request.method != "POST":
        if not wants_fragment(request):
            return redirect(_place(slug, version, item.section_key, item_key))
        return _vary(_card_response(request, slug, version, item_key, CARD))

    keep = request.POST.get("keep", "")  # “Keep mine”: resend over the version that was shown beside it
    data = request.POST.copy()
    if keep.isdigit():
        data["revision"] = keep
    form = AnswerForm(data, item=item, answer=row, members=members_of(release))
    conflict = None
    if form.is_valid():
        try:
            save_answer(answer=row, by=request.user, **form.service_data)
        except Invalid as refusal:
            put_errors(form, refusal)
        except Conflict as refusal:
            conflict = refusal.current
    status = 409 if conflict else 422 if form.errors else 200
    if wants_fragment(request):
        return _vary(
            _card_response(request, slug, version, item_key, SAVED, form=form, conflict=conflict, status=status)
        )
    if status == 200:
        return redirect(_place(slug, version, item.section_key, item_key))
    conflicts = {item_key: conflict} if conflict else {}
    return _section_page(
        request, slug, version, item.section_key, forms={item_key: form}, conflicts=conflicts, status=status
    )


def _card_response(
    request: Request,
    slug: str,
    version: str,
    item_key: str,
    template: str,
    *,
    form: AnswerForm | None = None,
    conflict: Answer | None = None,
    status: int = 200,
) -> HttpResponse:
    context = release_context(request, slug, version, "checklist")
    section = _section(context["release"], view(context["release"].edition).item(item_key).section_key)
    forms = {item_key: form} if form is not None and status != 200 else {}
    context |= _section_context(context, section, forms, {item_key: conflict} if conflict else {})
    context["entry"] = next(card for card in context["cards"] if card.item.key == item_key)
    context["status"] = status
    return render(request, template, context, status=status)


def _vary(response: HttpResponse) -> HttpResponse:
    patch_vary_headers(response, ["HX-Request"])
    return response


def _place(slug: str, version: str, section: str, item_key: str) -> str:
    return f"{reverse('web:checklist', args=[slug, version, section])}#{item_key}"


@require_http_methods(["GET", "HEAD", "POST"])
@signed_in
def comments(request: Request, slug: str, version: str, item_key: str) -> HttpResponse:
    """What was said about an answer, and saying something: a fragment inside the card, or a page of its own."""
    release = release_or_404(request, slug, version)
    row = get_object_or_404(Answer.objects.select_related("item"), release=release, item__key=item_key)
    row.release = release
    error, body = "", ""
    if request.method == "POST":
        body = request.POST.get("body", "")
        try:
            add_comment(answer=row, by=request.user, body=body)
        except Invalid as refusal:
            error = " ".join(message for messages in refusal.errors.values() for message in messages)
        else:
            body = ""
            if not wants_fragment(request):
                return redirect("web:comments", slug, version, item_key)
    said = list(Comment.objects.filter(answer=row).select_related("by").order_by("at", "pk"))
    context = {
        "release": release,
        "model": release.model,
        "item": view(release.edition).item(item_key),
        "comments": said,
        "may_comment": can(request.user, "comment.create", release),
        "error": error,
        "body": body,
    }
    fragment = wants_fragment(request)
    template = "checklist/comments.html" if fragment else "checklist/comments_page.html"
    return _vary(render(request, template, context | {"fragment": fragment}, status=422 if error else 200))


@require_POST
@signed_in
def confirm(request: Request, slug: str, version: str) -> HttpResponse:
    """Confirm answers that were carried over: the named items, or all of them."""
    release = release_or_404(request, slug, version)
    keys = request.POST.getlist("item")
    count = confirm_answers(release=release, by=request.user, item_keys=keys or None)
    if wants_fragment(request) and len(keys) == 1:
        return _vary(_card_response(request, slug, version, keys[0], CARD))
    tell(request, f"{count} answer{'' if count == 1 else 's'} confirmed." if count else "Nothing was left to confirm.")
    edition = view(release.edition)
    section = request.POST.get("section", "")
    if section not in {each.key for each in edition.sections}:
        section = edition.sections[0].key
    anchor = f"#{keys[0]}" if len(keys) == 1 else ""
    return redirect(reverse("web:checklist", args=[slug, version, section]) + anchor)
