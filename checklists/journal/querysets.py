from __future__ import annotations

from typing import TYPE_CHECKING

from django.db import models

if TYPE_CHECKING:
    from checklists.journal.models import Event


class EventQuerySet(models.QuerySet["Event"]):
    def of_release(self, release_id: int) -> EventQuerySet:
        """A release's own chain, newest first, with the actors."""
        return self.filter(release_id=release_id).select_related("actor").order_by("-sequence")

    def newest_first(self) -> EventQuerySet:
        return self.select_related("actor").order_by("-at", "-id")
