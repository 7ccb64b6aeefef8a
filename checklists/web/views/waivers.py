"""Dated exceptions from single items: asked for by the team, decided by the role that owns the item."""

from __future__ import annotations

from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse

from checklists.assessments.models import Answer, Waiver
from checklists.assessments.services import decide_waiver, request_waiver
from checklists.catalog.editions import view
from checklists.journal.errors import Invalid, WrongStage
from checklists.people.rules import can, require
from checklists.scorecards.models import ItemState
from checklists.scorecards.states import State
from checklists.web.forms import put_errors
from checklists.web.forms.waivers import WaiverDecisionForm, WaiverForm
from checklists.web.http import Request, signed_in, tell
from checklists.web.release_page import release_or_404

WAIVABLE = [State.OPEN, State.CONTRADICTED, State.PARTLY]


@signed_in
def waiver_create(request: Request, slug: str, version: str) -> HttpResponse:
    """Asks for a waiver; ``?item=`` chooses the item."""
    release = release_or_404(request, slug, version)
    require(
        request.user,
        "waiver.request",
        release,
        message="Only owners and contributors of the team can ask for a waiver.",
    )
    states = ItemState.objects.filter(release=release, state__in=WAIVABLE).values_list("item_id", "state")
    unmet = dict(states)
    edition = view(release.edition)
    wanted = request.POST.get("item") or request.GET.get("item", "")
    items = [
        (item.key, f"{item.number} {item.short}")
        for item in edition.items
        if item.id in unmet or (item.key == wanted and item.applies_to(release.model.family))
    ]
    form = WaiverForm(request.POST or None, items=items, initial={"item": wanted})
    error, status = None, 200
    if request.method == "POST":
        status = 422
        if form.is_valid():
            data = form.cleaned_data
            try:
                request_waiver(
                    release=release,
                    item_key=data["item"],
                    reason=data["reason"],
                    mitigation=data["mitigation"],
                    expires_on=data["expires_on"],
                    by=request.user,
                )
            except Invalid as refusal:
                put_errors(form, refusal)
            except WrongStage as refusal:
                error, status = refusal, 409
            else:
                tell(request, "The waiver was asked for. The reviewers who own the item decide it.")
                return redirect(f"{reverse('web:review', args=[slug, version])}#waivers")
    chosen = next((item for item in edition.items if item.key == wanted), None)
    answer = Answer.objects.filter(release=release, item_id=chosen.id).first() if chosen else None
    context = {
        "release": release,
        "model": release.model,
        "form": form,
        "error": error,
        "item": chosen,
        "state": unmet.get(chosen.id) if chosen else None,
        "answer": answer,
    }
    return render(request, "waivers/new.html", context, status=status)


@signed_in
def waiver_decision(request: Request, slug: str, version: str, pk: int) -> HttpResponse:
    """Shows a waiver; whoever owns the item decides it, and may take an approved one back."""
    release = release_or_404(request, slug, version)
    rows = Waiver.objects.select_related("item__section", "release__model__team", "requested_by", "decided_by")
    waiver = get_object_or_404(rows, release=release, pk=pk)
    form = WaiverDecisionForm(request.POST or None)
    error, status = None, 200
    if request.method == "POST":
        require(
            request.user,
            "waiver.decide",
            waiver,
            message="Only a reviewer of the role that owns the item can decide this waiver.",
        )
        status = 422
        if form.is_valid():
            try:
                decided = decide_waiver(waiver=waiver, by=request.user, **form.cleaned_data)
            except Invalid as refusal:
                put_errors(form, refusal)
            except WrongStage as refusal:
                error, status = refusal, 409
            else:
                tell(request, f"The waiver is {decided.get_state_display().lower()}.")
                return redirect(f"{reverse('web:review', args=[slug, version])}#waivers")
    own = waiver.requested_by_id == request.user.pk
    context = {
        "release": release,
        "model": release.model,
        "waiver": waiver,
        "item": waiver.item,
        "form": form,
        "error": error,
        "own": own,
        "may_decide": can(request.user, "waiver.decide", waiver) and not own,
    }
    return render(request, "waivers/decision.html", context, status=status)
