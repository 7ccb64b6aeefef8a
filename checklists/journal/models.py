from typing import ClassVar

from django.conf import settings
from django.db import models

from checklists.journal.querysets import EventQuerySet


class Chain(models.Model):
    """The end of one chain of events: a release's own, or the organisation's (``release_id`` 0).

    Locking this row puts appends to one chain in order; the last hash kept here makes a deleted tail visible.
    """

    release_id = models.BigIntegerField(primary_key=True)
    length = models.PositiveIntegerField(default=0)
    head = models.CharField(max_length=64, default="")


class Event(models.Model):
    """One change of state: who, what, on what, when, with the essential data. Never edited, never deleted."""

    release_id = models.BigIntegerField(default=0)
    sequence = models.PositiveIntegerField()
    at = models.DateTimeField()
    actor = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+")
    actor_name = models.CharField(max_length=150)
    verb = models.CharField(max_length=80)
    subject = models.CharField(max_length=300)
    data = models.JSONField(default=dict)
    previous_hash = models.CharField(max_length=64)
    hash = models.CharField(max_length=64)

    objects: ClassVar[EventQuerySet] = EventQuerySet.as_manager()  # type: ignore[assignment]  # django-stubs: custom queryset managers

    class Meta:
        constraints = [models.UniqueConstraint(fields=["release_id", "sequence"], name="journal_one_event_per_place")]
        indexes = [
            models.Index(fields=["-at", "-id"], name="journal_by_time"),
            models.Index(fields=["subject"], name="journal_by_subject"),
            models.Index(fields=["verb", "-at"], name="journal_by_verb"),
        ]
