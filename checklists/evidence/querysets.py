from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from django.db import models

from checklists.people.models import User
from checklists.registry.querysets import visible

if TYPE_CHECKING:
    from checklists.evidence.models import Finding, ProbeRun


class FindingQuerySet(models.QuerySet["Finding"]):
    def visible_to(self, user: User) -> FindingQuerySet:
        return self.filter(visible(user, "release__model__"))

    def current(self) -> FindingQuerySet:
        """What stands now of each probe, endpoint and item: the latest conclusive finding, and a later attempt that
        was inconclusive."""
        return self.filter(current=True)

    def fresh(self, now: datetime) -> FindingQuerySet:
        return self.filter(current=True, expires_at__gt=now)


class ProbeRunQuerySet(models.QuerySet["ProbeRun"]):
    def visible_to(self, user: User) -> ProbeRunQuerySet:
        return self.filter(visible(user, "release__model__"))

    def active(self) -> ProbeRunQuerySet:
        """Queued or running: at most one a release."""
        return self.filter(state__in=["queued", "running"])

    def abandoned(self, now: datetime) -> ProbeRunQuerySet:
        """Active, but nobody has been heard of for longer than a lease."""
        return self.active().filter(lease_until__lt=now).order_by("lease_until")
