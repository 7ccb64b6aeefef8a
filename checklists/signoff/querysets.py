from __future__ import annotations

from typing import TYPE_CHECKING

from django.db import models

from checklists.people.models import User
from checklists.registry.querysets import visible

if TYPE_CHECKING:
    from checklists.signoff.models import SignOff, Submission


class SubmissionQuerySet(models.QuerySet["Submission"]):
    def visible_to(self, user: User) -> SubmissionQuerySet:
        return self.filter(visible(user, "release__model__"))

    def pending(self) -> SubmissionQuerySet:
        """Waiting for decisions, the oldest promise first."""
        return self.filter(outcome="pending").order_by("due_at", "pk")

    def with_release(self) -> SubmissionQuerySet:
        return self.select_related("release__model__team", "release__edition", "submitted_by")


class SignOffManager(models.Manager["SignOff"]):
    def get_queryset(self) -> models.QuerySet[SignOff]:
        return super().get_queryset().filter(part="signer")
