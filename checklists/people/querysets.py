from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from django.db import models
from django.db.models import Q

if TYPE_CHECKING:
    from checklists.people.models import Team, Token


class TeamQuerySet(models.QuerySet["Team"]):
    def branch(self, team: Team) -> TeamQuerySet:
        """The team and every team below it."""
        return self.filter(path__startswith=team.path)

    def in_tree_order(self) -> TeamQuerySet:
        return self.select_related("parent").order_by("path")


class TokenQuerySet(models.QuerySet["Token"]):
    def usable(self, now: datetime) -> TokenQuerySet:
        """Neither revoked nor expired, of a person who may sign in."""
        return self.filter(Q(expires_at=None) | Q(expires_at__gt=now), revoked_at=None, user__is_active=True)
