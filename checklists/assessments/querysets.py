from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING

from django.db import models

from checklists.people.models import User
from checklists.registry.querysets import visible

if TYPE_CHECKING:
    from checklists.assessments.models import Answer, Waiver


class AnswerQuerySet(models.QuerySet["Answer"]):
    def visible_to(self, user: User) -> AnswerQuerySet:
        return self.filter(visible(user, "release__model__"))

    def with_people(self) -> AnswerQuerySet:
        return self.select_related("assignee", "updated_by", "accepted_by", "flagged_by")


class WaiverQuerySet(models.QuerySet["Waiver"]):
    def visible_to(self, user: User) -> WaiverQuerySet:
        return self.filter(visible(user, "release__model__"))

    def standing(self, today: date) -> WaiverQuerySet:
        """Approved and not past the last day."""
        return self.filter(state="approved", expires_on__gte=today)

    def waiting_for(self, roles: list[str]) -> WaiverQuerySet:
        return self.filter(state="requested", item__role__in=roles)
