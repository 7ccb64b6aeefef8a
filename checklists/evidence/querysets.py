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
        """What stands now: the latest of each probe, endpoint and item."""
        return self.filter(current=True)

    def fresh(self, now: datetime) -> FindingQuerySet:
        return self.filter(current=True, expires_at__gt=now)


class ProbeRunQuerySet(models.QuerySet["ProbeRun"]):
    def visible_to(self, user: User) -> ProbeRunQuerySet:
        return self.filter(visible(user, "release__model__"))
