from __future__ import annotations

from typing import TYPE_CHECKING

from django.db import models

from checklists.people.models import User
from checklists.registry.querysets import visible

if TYPE_CHECKING:
    from checklists.scorecards.models import ItemState, Scorecard


class ScorecardQuerySet(models.QuerySet["Scorecard"]):
    def visible_to(self, user: User) -> ScorecardQuerySet:
        return self.filter(visible(user, "release__model__"))


class ItemStateQuerySet(models.QuerySet["ItemState"]):
    def visible_to(self, user: User) -> ItemStateQuerySet:
        return self.filter(visible(user, "release__model__"))
