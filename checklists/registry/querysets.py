from __future__ import annotations

from typing import TYPE_CHECKING

from django.db import models
from django.db.models import Q

from checklists.people.models import User

if TYPE_CHECKING:
    from checklists.registry.models import Endpoint, Model, Release


def visible(user: User, prefix: str = "") -> Q:
    """What a person may see, as a condition on a model (``prefix`` leads to it, such as ``release__model__``)."""
    access = user.access
    if access.reads_everything:
        return Q()
    seen = Q(**{f"{prefix}restricted": False})
    for path in access.own_paths:
        seen |= Q(**{f"{prefix}team__path__startswith": path})
    return seen


def mine(user: User, prefix: str = "") -> Q:
    """Models of the person's teams and of the teams below them."""
    condition = Q(pk__in=[])
    for path in user.access.own_paths:
        condition |= Q(**{f"{prefix}team__path__startswith": path})
    return condition


class ModelQuerySet(models.QuerySet["Model"]):
    def visible_to(self, user: User) -> ModelQuerySet:
        return self.filter(visible(user))

    def of(self, user: User) -> ModelQuerySet:
        return self.filter(mine(user))


class ReleaseQuerySet(models.QuerySet["Release"]):
    def visible_to(self, user: User) -> ReleaseQuerySet:
        return self.filter(visible(user, "model__"))

    def of(self, user: User) -> ReleaseQuerySet:
        return self.filter(mine(user, "model__"))

    def with_model(self) -> ReleaseQuerySet:
        return self.select_related("model__team", "edition")

    def active(self) -> ReleaseQuerySet:
        """Neither retired nor rejected."""
        return self.exclude(stage__in=["retired", "rejected"])


class EndpointQuerySet(models.QuerySet["Endpoint"]):
    def visible_to(self, user: User) -> EndpointQuerySet:
        return self.filter(visible(user, "release__model__"))
