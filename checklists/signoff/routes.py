"""Which roles must sign: by tier, and by family where a route says so."""

from __future__ import annotations

from typing import Any

from django.db import transaction

from checklists import journal
from checklists.catalog.choices import Family
from checklists.journal.errors import Invalid
from checklists.people.models import User
from checklists.people.rules import require
from checklists.registry.models import Model, Tier
from checklists.signoff.models import Role, Route

# Used until an administrator sets another: the riskier the launch, the more eyes.
DEFAULTS: dict[int, list[str]] = {1: ["mlops", "security", "sre"], 2: ["mlops", "security", "sre"], 3: ["mlops"]}


def default_route(tier: int) -> Route:
    return Route(
        tier=tier,
        required=[{"role": role, "count": 1} for role in DEFAULTS[tier]],
        review_days={1: 3, 2: 5, 3: 5}[tier],
    )


def route_for(model: Model) -> Route:
    """The route of the model's tier and family, else of its tier, else the default."""
    routes = {route.family: route for route in Route.objects.filter(tier=model.tier, family__in=["", model.family])}
    return routes.get(model.family) or routes.get("") or default_route(model.tier)


def all_routes() -> list[Route]:
    """One for each tier, with the routes for single families after it."""
    rows = list(Route.objects.order_by("tier", "family"))
    have = {route.tier for route in rows if route.family == ""}
    rows += [default_route(tier) for tier in DEFAULTS if tier not in have]
    return sorted(rows, key=lambda route: (route.tier, route.family))


@transaction.atomic
def set_route(
    *, tier: int, family: str = "", required: list[dict[str, Any]], review_days: int, approval_days: int, by: User
) -> Route:
    """Set who must sign for a tier (and family). Submissions already made keep the route they were made on."""
    require(by, "route.change")
    errors: dict[str, list[str]] = {}
    if tier not in Tier.values:
        errors["tier"] = ["One of 1, 2, 3."]
    if family and family not in Family.values:
        errors["family"] = [f"One of {', '.join(Family.values)}."]
    roles = [need.get("role") for need in required]
    if not required or len(set(roles)) != len(roles) or any(role not in Role.values for role in roles):
        errors["required"] = ["Name at least one role, each once."]
    if any(not isinstance(need.get("count"), int) or not 1 <= need["count"] <= 5 for need in required):
        errors["required"] = ["One to five signatures a role."]
    if not 1 <= review_days <= 60:
        errors["review_days"] = ["Between 1 and 60."]
    if not 1 <= approval_days <= 730:
        errors["approval_days"] = ["Between 1 and 730."]
    if errors:
        raise Invalid("The route was not saved.", errors=errors)
    route, _ = Route.objects.update_or_create(
        tier=tier,
        family=family,
        defaults={"required": required, "review_days": review_days, "approval_days": approval_days},
    )
    data = {"required": required, "review_days": review_days, "approval_days": approval_days}
    journal.record(
        verb="signoff.route.changed", actor=by, subject=f"routes/{tier}{'-' + family if family else ''}", data=data
    )
    return route
