from __future__ import annotations

from datetime import date, datetime
from typing import TYPE_CHECKING, ClassVar

from django.conf import settings
from django.db import models
from django.db.models import Q

from checklists.assessments.querysets import AnswerQuerySet, WaiverQuerySet
from checklists.catalog.models import Item
from checklists.registry.models import Release

if TYPE_CHECKING:
    from checklists.catalog.editions import ItemView


class Status(models.TextChoices):
    UNANSWERED = "unanswered", "Unanswered"
    MET = "met", "Met"
    PARTLY = "partly", "Partly"
    NOT_MET = "not_met", "Not met"
    NOT_APPLICABLE = "not_applicable", "Not applicable"


class Answer(models.Model):
    """What the team says of one item of one release, and whether the owning reviewer agreed, at which revision."""

    release = models.ForeignKey(Release, on_delete=models.CASCADE, related_name="answers")
    item = models.ForeignKey(Item, on_delete=models.PROTECT, related_name="+")
    status = models.CharField(max_length=20, choices=Status.choices, default=Status.UNANSWERED)
    claims = models.JSONField(default=dict)
    justification = models.TextField(blank=True, default="")
    links = models.JSONField(default=list)
    assignee = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )
    revision = models.PositiveIntegerField(default=0)
    carried_over = models.BooleanField(default=False)
    updated_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+")
    updated_at = models.DateTimeField(null=True)

    accepted_revision = models.PositiveIntegerField(null=True)
    accepted_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+")
    accepted_at = models.DateTimeField(null=True)
    accepted_until = models.DateTimeField(null=True)
    flagged_revision = models.PositiveIntegerField(null=True)
    flagged_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+")
    flagged_at = models.DateTimeField(null=True)
    flag_comment = models.TextField(blank=True, default="")

    objects: ClassVar[AnswerQuerySet] = AnswerQuerySet.as_manager()  # type: ignore[assignment]  # django-stubs: custom queryset managers

    class Meta:
        constraints = [models.UniqueConstraint(fields=["release", "item"], name="assessments_one_answer_per_item")]
        indexes = [
            models.Index(
                fields=["accepted_until"],
                condition=Q(accepted_revision__isnull=False),
                name="assessments_acceptances_by_end",
            )
        ]

    def missing(self, item: ItemView) -> list[str]:
        """What the answer still lacks to count, in words: the justification its status asks for, required claims."""
        if self.status == Status.UNANSWERED:
            return ["an answer"]
        lacks = []
        if self.carried_over:
            lacks.append("somebody's confirmation, because it was carried over")
        if item.justification.get(self.status) == "required" and not self.justification.strip():
            lacks.append("a justification")
        if self.status == Status.MET:
            lacks += [f"“{c.label}”" for c in item.claims if c.required and self.claims.get(c.key) in (None, "", [])]
        return lacks

    def is_accepted(self, now: datetime) -> bool:
        """The owning reviewer accepted exactly this revision, not too long ago."""
        return self.accepted_revision == self.revision and self.accepted_until is not None and now < self.accepted_until

    @property
    def is_flagged(self) -> bool:
        return self.flagged_revision == self.revision


class AnswerRevision(models.Model):
    """An answer as it was saved once: who claimed what, when. Never changed."""

    answer = models.ForeignKey(Answer, on_delete=models.CASCADE, related_name="revisions")
    revision = models.PositiveIntegerField()
    status = models.CharField(max_length=20, choices=Status.choices)
    claims = models.JSONField(default=dict)
    justification = models.TextField(blank=True, default="")
    links = models.JSONField(default=list)
    by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+")
    at = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["answer", "revision"], name="assessments_each_revision_once")]


class Comment(models.Model):
    answer = models.ForeignKey(Answer, on_delete=models.CASCADE, related_name="comments")
    body = models.TextField(max_length=10_000)
    by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    at = models.DateTimeField()


class WaiverState(models.TextChoices):
    REQUESTED = "requested", "Requested"
    APPROVED = "approved", "Approved"
    DECLINED = "declined", "Declined"
    REVOKED = "revoked", "Revoked"
    EXPIRED = "expired", "Expired"


class Waiver(models.Model):
    """A dated exception from one item, asked for by the team, decided by the role that owns the item."""

    release = models.ForeignKey(Release, on_delete=models.CASCADE, related_name="waivers")
    item = models.ForeignKey(Item, on_delete=models.PROTECT, related_name="+")
    reason = models.TextField(max_length=4000)
    mitigation = models.TextField(max_length=4000)
    expires_on = models.DateField()
    state = models.CharField(max_length=20, choices=WaiverState.choices, default=WaiverState.REQUESTED)
    requested_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    requested_at = models.DateTimeField()
    decided_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+")
    decided_at = models.DateTimeField(null=True)
    comment = models.TextField(blank=True, max_length=4000)

    objects: ClassVar[WaiverQuerySet] = WaiverQuerySet.as_manager()  # type: ignore[assignment]  # django-stubs: custom queryset managers

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["release", "item"],
                condition=Q(state__in=["requested", "approved"]),
                name="assessments_one_waiver_at_a_time",
            ),
            models.CheckConstraint(
                condition=Q(decided_by=None) | ~Q(decided_by=models.F("requested_by")),
                name="assessments_nobody_waives_for_themselves",
            ),
        ]
        indexes = [models.Index(fields=["state", "expires_on"], name="assessments_waivers_by_end")]

    def stands(self, today: date) -> bool:
        """Approved, and today is not past its last day."""
        return self.state == WaiverState.APPROVED and today <= self.expires_on
