from __future__ import annotations

from django.db import transaction
from django.utils import timezone

from checklists import journal
from checklists.catalog.editions import current_edition, view
from checklists.evidence.models import FreshnessRule
from checklists.evidence.probes import probed_items
from checklists.journal.errors import Invalid
from checklists.people.models import User
from checklists.people.rules import require
from checklists.registry.models import Tier

SUBJECT = "settings/freshness"
MAX_HOURS = 24 * 366
REFUSED = "Only an administrator can change how long findings count."


@transaction.atomic
def set_freshness(*, item_key: str, hours: int, by: User, tier: int = 0) -> FreshnessRule:
    """Let findings for an item count so many hours, for models of a tier or (0) of every tier without its own rule.

    A rule that is there is replaced. It holds for what is measured from now on. Administrators only.
    """
    require(by, "policy.change", message=REFUSED)
    errors = {}
    if item_key not in probed_items(item.key for item in view(current_edition()).items):
        errors["item_key"] = ["No probe speaks to an item of this key."]
    if tier not in (0, *Tier.values):
        errors["tier"] = ["Choose a tier, or all."]
    if not 1 <= hours <= MAX_HOURS:
        errors["hours"] = ["Between an hour and a year (8,784 hours)."]
    if errors:
        raise Invalid("The rule was not saved.", errors=errors)
    before = FreshnessRule.objects.filter(item_key=item_key, tier=tier).values_list("hours", flat=True).first()
    rule, _ = FreshnessRule.objects.update_or_create(
        item_key=item_key, tier=tier, defaults={"hours": hours, "created_by": by, "created_at": timezone.now()}
    )
    journal.record(
        verb="evidence.freshness.set",
        actor=by,
        subject=SUBJECT,
        data={"item": item_key, "tier": tier, "hours": hours, "before": before},
    )
    return rule


@transaction.atomic
def remove_freshness(*, rule: FreshnessRule, by: User) -> None:
    """Let findings for the item count as long again as their probes say."""
    require(by, "policy.change", message=REFUSED)
    data = {"item": rule.item_key, "tier": rule.tier, "hours": rule.hours}
    journal.record(verb="evidence.freshness.removed", actor=by, subject=SUBJECT, data=data)
    rule.delete()
