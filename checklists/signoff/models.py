from __future__ import annotations

from datetime import datetime
from typing import ClassVar

from django.conf import settings
from django.db import models
from django.db.models import F, Q

from checklists.registry.models import Release
from checklists.signoff.querysets import SignOffManager, SubmissionQuerySet


class Role(models.TextChoices):
    MLOPS = "mlops", "MLOps"
    SECURITY = "security", "Security"
    SRE = "sre", "SRE"


class Decision(models.TextChoices):
    APPROVE = "approve", "Approve"
    APPROVE_WITH_CONDITIONS = "approve_with_conditions", "Approve with conditions"
    REQUEST_CHANGES = "request_changes", "Request changes"
    REJECT = "reject", "Reject"


class Outcome(models.TextChoices):
    PENDING = "pending", "Pending"
    APPROVED = "approved", "Approved"
    CHANGES_REQUESTED = "changes_requested", "Changes requested"
    REJECTED = "rejected", "Rejected"
    SUPERSEDED = "superseded", "Superseded"


APPROVING = (Decision.APPROVE, Decision.APPROVE_WITH_CONDITIONS)


class Route(models.Model):
    """Who must sign for a tier (and family, or "" for any): ``required`` is ``[{"role", "count"}]``."""

    tier = models.PositiveSmallIntegerField()
    family = models.CharField(max_length=20, blank=True, default="")
    required = models.JSONField()
    review_days = models.PositiveSmallIntegerField(default=5)
    approval_days = models.PositiveSmallIntegerField(default=180)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["tier", "family"], name="signoff_one_route_each")]


class Submission(models.Model):
    """A release, frozen: the canonical snapshot, its SHA-256, and one digest for each role's part of it."""

    release = models.ForeignKey(Release, on_delete=models.CASCADE, related_name="submissions")
    number = models.PositiveIntegerField()
    snapshot = models.JSONField()
    digest = models.CharField(max_length=64, db_index=True)
    role_digests = models.JSONField()
    evidence = models.JSONField(default=list)
    readiness = models.PositiveSmallIntegerField(null=True)
    states = models.JSONField(default=dict)
    required = models.JSONField()
    note = models.TextField(blank=True, max_length=4000)
    submitted_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    submitted_at = models.DateTimeField()
    due_at = models.DateTimeField()
    outcome = models.CharField(max_length=20, choices=Outcome.choices, default=Outcome.PENDING)
    decided_at = models.DateTimeField(null=True)
    approval_days = models.PositiveSmallIntegerField()
    approved_until = models.DateTimeField(null=True)
    expiry_journaled = models.BooleanField(default=False)

    objects: ClassVar[SubmissionQuerySet] = SubmissionQuerySet.as_manager()  # type: ignore[assignment]  # django-stubs: custom queryset managers

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["release", "number"], name="signoff_submission_numbers_differ"),
            models.UniqueConstraint(
                fields=["release"], condition=Q(outcome="pending"), name="signoff_one_pending_submission"
            ),
        ]
        indexes = [
            models.Index(fields=["outcome", "due_at"], name="signoff_queue"),
            models.Index(fields=["outcome", "approved_until"], name="signoff_by_end"),
        ]

    @property
    def subject(self) -> str:
        return f"{self.release.subject}/submissions/{self.number}"

    def approval_stands(self, now: datetime) -> bool:
        """Approved, and not past its end."""
        return self.outcome == Outcome.APPROVED and self.approved_until is not None and now < self.approved_until


class Party(models.Model):
    """Somebody's part in a submission: its authors (who submitted or answered) and its signers, in one table.

    One row a person is what keeps an author from signing and a signer from signing twice, in the database itself.
    """

    class Part(models.TextChoices):
        AUTHOR = "author"
        SIGNER = "signer"

    submission = models.ForeignKey(Submission, on_delete=models.CASCADE, related_name="parties")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    part = models.CharField(max_length=10, choices=Part.choices)
    role = models.CharField(max_length=20, choices=Role.choices, blank=True)
    decision = models.CharField(max_length=30, choices=Decision.choices, blank=True)
    comment = models.TextField(blank=True, max_length=10_000)
    accepted_items = models.JSONField(default=list)
    flagged_items = models.JSONField(default=dict)
    role_digest = models.CharField(max_length=64, blank=True)
    signed_at = models.DateTimeField(null=True)
    voided_at = models.DateTimeField(null=True)
    void_reason = models.CharField(max_length=300, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["submission", "user"], name="signoff_one_part_a_person"),
            models.CheckConstraint(
                condition=Q(part="author", decision="", role="", signed_at=None)
                | Q(part="signer", decision__in=Decision.values, role__in=Role.values, signed_at__isnull=False),
                name="signoff_only_signers_decide",
            ),
        ]


class SignOff(Party):
    """A signer's row: a decision of one role on exactly one digest."""

    objects: ClassVar[SignOffManager] = SignOffManager()

    class Meta:
        proxy = True

    @property
    def approves(self) -> bool:
        return self.decision in APPROVING


class Condition(models.Model):
    """A dated follow-up that an approval asks for."""

    sign_off = models.ForeignKey(Party, on_delete=models.CASCADE, related_name="conditions")
    text = models.CharField(max_length=1000)
    due_on = models.DateField()
    done_at = models.DateTimeField(null=True)
    done_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+")

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(done_at=None, done_by=None) | Q(done_at__isnull=False, done_by__isnull=False),
                name="signoff_done_has_a_doer",
            )
        ]
        ordering = [F("due_on").asc(), "pk"]
