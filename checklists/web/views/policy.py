"""What administrators say of probes: which private networks they reach, and how long their findings count."""

from __future__ import annotations

from dataclasses import dataclass

from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render

from checklists.catalog.editions import ItemView, current_edition, view
from checklists.evidence.models import AllowedNetwork, FreshnessRule
from checklists.evidence.probes import PROBES, probed_items
from checklists.evidence.services import allow_network, remove_freshness, remove_network, set_freshness
from checklists.journal.errors import Forbidden, Invalid
from checklists.people.models import OrganisationRole
from checklists.people.rules import can
from checklists.registry.models import Tier
from checklists.web.forms import offer, put_errors
from checklists.web.forms.settings import FreshnessForm, NetworkForm
from checklists.web.http import Request, signed_in, tell


def _may_change(request: Request, what: str) -> bool:
    """Whether somebody who may read it may change it too. Raises ``Forbidden``."""
    may_change = can(request.user, "policy.change")
    if not may_change and not request.user.access.has(OrganisationRole.AUDITOR):
        raise Forbidden(f"Only administrators and auditors see {what}.")
    return may_change


@signed_in
def networks(request: Request) -> HttpResponse:
    """Which private networks probes may reach. Administrators change it; auditors read it."""
    may_change = _may_change(request, "which networks probes may reach")
    form = NetworkForm(request.POST if request.POST.get("action") == "add" else None)
    if request.method == "POST" and request.POST.get("action") == "remove":
        network = get_object_or_404(AllowedNetwork, pk=_number(request.POST.get("network")))
        remove_network(network=network, by=request.user)
        tell(request, f"Probes no longer reach {network.cidr}.")
        return redirect("web:networks")
    if form.is_bound and form.is_valid():
        try:
            network = allow_network(by=request.user, **form.cleaned_data)
        except Invalid as refusal:
            put_errors(form, refusal)
        else:
            tell(request, f"Probes may reach {network.cidr}.")
            return redirect("web:networks")
    rows = AllowedNetwork.objects.select_related("created_by").order_by("cidr")
    return render(
        request,
        "settings/networks.html",
        {"form": form, "networks": rows, "may_change": may_change},
        status=422 if form.errors else 200,
    )


@dataclass(frozen=True)
class Lifetime:
    """How long findings for an item count: what its probes say (in words), and the rules that say otherwise."""

    item: ItemView
    own: str
    rules: list[tuple[FreshnessRule, str, str]]  # with its tier and its time in words


@signed_in
def freshness(request: Request) -> HttpResponse:
    """How long findings count, by item and tier. Administrators change it; auditors read it."""
    may_change = _may_change(request, "how long findings count")
    items = {item.key: item for item in view(current_edition()).items}
    choices = [(key, f"{items[key].number} {items[key].short}") for key in probed_items(items)]
    adding = request.POST if request.POST.get("action") == "set" else None
    form = FreshnessForm(adding, initial={"item_key": request.GET.get("item")})
    offer(form, "item_key", choices)
    if request.method == "POST" and request.POST.get("action") == "remove":
        rule = get_object_or_404(FreshnessRule, pk=_number(request.POST.get("rule")))
        remove_freshness(rule=rule, by=request.user)
        tell(request, "Findings for it count as long again as their probes say.")
        return redirect("web:freshness")
    if form.is_bound:
        if not may_change:
            raise Forbidden("Only an administrator can change how long findings count.")
        if form.is_valid():
            try:
                set_freshness(by=request.user, **form.service_data())
            except Invalid as refusal:
                put_errors(form, refusal)
            else:
                tell(request, "Saved. It holds for what is measured from now on.")
                return redirect("web:freshness")
    context = {"form": form, "lifetimes": _lifetimes(items), "may_change": may_change}
    return render(request, "settings/freshness.html", context, status=422 if form.errors else 200)


def _lifetimes(items: dict[str, ItemView]) -> list[Lifetime]:
    rules: dict[str, list[tuple[FreshnessRule, str, str]]] = {}
    tiers = {0: "every tier without its own", **{tier.value: f"tier {tier.label}" for tier in Tier}}
    for rule in FreshnessRule.objects.select_related("created_by").order_by("item_key", "tier"):
        rules.setdefault(rule.item_key, []).append((rule, tiers[rule.tier], lasting(rule.hours)))
    return [Lifetime(items[key], _own(key), rules.get(key, [])) for key in probed_items(items)]


def _own(item_key: str) -> str:
    asking = [probe for probe in PROBES.values() if item_key in probe.items and not probe.local]
    hours = sorted({round(probe.ttl.total_seconds() / 3600) for probe in asking})  # arithmetic does not go stale
    return " or ".join(lasting(each) for each in hours)


def lasting(hours: int) -> str:
    """A number of hours in words: whole days as days."""
    count, unit = (hours // 24, "day") if hours % 24 == 0 else (hours, "hour")
    return f"{count} {unit}{'' if count == 1 else 's'}"


def _number(text: str | None) -> int:
    return int(text) if text and text.isdecimal() and len(text) < 19 else 0
