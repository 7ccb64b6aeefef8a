from typing import ClassVar

from django.conf import settings
from django.db import models
from django.db.models import Q

from checklists.catalog.models import Item
from checklists.evidence.querysets import FindingQuerySet, ProbeRunQuerySet
from checklists.evidence.transcripts import Exchange, unpacked
from checklists.registry.models import Endpoint, Release


class Verdict(models.TextChoices):
    VERIFIED = "verified", "Verified"
    CONTRADICTED = "contradicted", "Contradicted"
    INCONCLUSIVE = "inconclusive", "Inconclusive"


class RunState(models.TextChoices):
    QUEUED = "queued", "Queued"
    RUNNING = "running", "Running"
    DONE = "done", "Done"
    FAILED = "failed", "Failed"


class RunReason(models.TextChoices):
    MANUAL = "manual", "Asked for"
    SCHEDULED = "scheduled", "Scheduled"


class AllowedNetwork(models.Model):
    """Probe policy: a private network that probes may reach, allowed by an administrator."""

    cidr = models.CharField(max_length=50, unique=True)
    note = models.CharField(max_length=200, blank=True)
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+")
    created_at = models.DateTimeField()


class ProbeRun(models.Model):
    """One pass over a release's endpoints. Whoever holds the lease works on it; a lost worker's run is taken up."""

    release = models.ForeignKey(Release, on_delete=models.CASCADE, related_name="probe_runs")
    state = models.CharField(max_length=10, choices=RunState.choices, default=RunState.QUEUED)
    reason = models.CharField(max_length=10, choices=RunReason.choices, default=RunReason.MANUAL)
    requested_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+")
    progress_done = models.PositiveIntegerField(default=0)
    progress_total = models.PositiveIntegerField(default=0)
    created_at = models.DateTimeField()
    started_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)
    lease_until = models.DateTimeField(null=True)
    attempts = models.PositiveSmallIntegerField(default=0)
    error = models.CharField(max_length=500, blank=True)

    objects: ClassVar[ProbeRunQuerySet] = ProbeRunQuerySet.as_manager()  # type: ignore[assignment]  # django-stubs: custom queryset managers

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["release"], condition=Q(state__in=["queued", "running"]), name="evidence_one_active_run"
            )
        ]
        indexes = [
            models.Index(fields=["release", "-created_at"], name="evidence_runs_of_release"),
            models.Index(fields=["state", "lease_until"], name="evidence_runs_by_lease"),
            models.Index(fields=["created_at"], name="evidence_runs_by_age"),
        ]

    @property
    def is_active(self) -> bool:
        return self.state in (RunState.QUEUED, RunState.RUNNING)


class Transcript(models.Model):
    """The requests of one visit and the servers' answers, trimmed and redacted: what findings were read from. Kept a
    while. The ``answer`` of a request in ``Finding.detail`` is its number here."""

    run = models.ForeignKey(ProbeRun, on_delete=models.CASCADE, related_name="transcripts")
    endpoint_name = models.CharField(max_length=80, blank=True)
    packed = models.BinaryField()
    created_at = models.DateTimeField(db_index=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["run", "endpoint_name"], name="evidence_one_transcript_a_visit")]

    @property
    def exchanges(self) -> list[Exchange]:
        return unpacked(bytes(self.packed))


class ProbeSchedule(models.Model):
    """When an endpoint (or, with none, the release itself) is to be probed next without being asked."""

    release = models.ForeignKey(Release, on_delete=models.CASCADE, related_name="schedules")
    endpoint = models.OneToOneField(Endpoint, null=True, on_delete=models.CASCADE, related_name="schedule")
    host = models.CharField(max_length=255, blank=True)
    due_at = models.DateTimeField(db_index=True)
    failures = models.PositiveSmallIntegerField(default=0)  # runs in a row in which nobody was there
    probed_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["release"], condition=Q(endpoint=None), name="evidence_one_schedule_of_a_release"
            )
        ]
        indexes = [models.Index(fields=["host"], name="evidence_schedules_of_host")]


class ReferenceFingerprint(models.Model):
    """How an endpoint answered a fixed set of prompts when its release was signed off: what later runs compare with."""

    release = models.ForeignKey(Release, on_delete=models.CASCADE, related_name="fingerprints")
    endpoint_name = models.CharField(max_length=80)
    submission_number = models.PositiveIntegerField()
    claims = models.JSONField(default=dict)  # on the model's name and version, as they were signed
    prompts = models.JSONField(default=dict)
    prompt_set = models.CharField(max_length=20)
    taken_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["release", "endpoint_name"], name="evidence_one_reference_an_endpoint")
        ]


class FreshnessRule(models.Model):
    """How long findings count for an item and tier, where an administrator has said so instead of the probe."""

    item_key = models.CharField(max_length=80)
    tier = models.PositiveSmallIntegerField(default=0)  # 0: every tier without a rule of its own
    hours = models.PositiveIntegerField()
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+")
    created_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["item_key", "tier"], name="evidence_one_freshness_rule"),
            models.CheckConstraint(condition=Q(hours__gte=1), name="evidence_freshness_at_least_an_hour"),
        ]


class Finding(models.Model):
    """What one probe found at one endpoint, for one item (or none: a fact about the endpoint).

    ``current`` marks what stands now. ``observation`` is what was read, so that it can be judged again when the claim
    changes; ``detail`` is what is needed to dispute it. Neither holds secrets. ``run`` is empty for what was judged by
    arithmetic when a claim was saved.
    """

    run = models.ForeignKey(ProbeRun, null=True, on_delete=models.CASCADE, related_name="findings")
    release = models.ForeignKey(Release, on_delete=models.CASCADE, related_name="findings")
    item = models.ForeignKey(Item, null=True, on_delete=models.PROTECT, related_name="+")
    item_key = models.CharField(max_length=80, blank=True)
    endpoint = models.ForeignKey(Endpoint, null=True, on_delete=models.SET_NULL, related_name="findings")
    endpoint_name = models.CharField(max_length=80)
    probe = models.CharField(max_length=60)
    probe_version = models.CharField(max_length=20)
    verdict = models.CharField(max_length=15, choices=Verdict.choices)
    claimed = models.CharField(max_length=500, blank=True)
    observed = models.CharField(max_length=500, blank=True)
    unit = models.CharField(max_length=40, blank=True)
    reason = models.CharField(max_length=1000)
    observation = models.JSONField(default=dict)
    detail = models.JSONField(default=dict)
    measured_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    expired_at = models.DateTimeField(null=True)
    current = models.BooleanField(default=True)

    objects: ClassVar[FindingQuerySet] = FindingQuerySet.as_manager()  # type: ignore[assignment]  # django-stubs: custom queryset managers

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["run", "endpoint_name", "probe", "item_key"], name="evidence_one_finding_a_run"
            )
        ]
        indexes = [
            models.Index(fields=["release", "item"], condition=Q(current=True), name="evidence_current"),
            models.Index(fields=["expires_at"], condition=Q(current=True, expired_at=None), name="evidence_due"),
            models.Index(fields=["release", "-measured_at"], name="evidence_by_time"),
            models.Index(fields=["measured_at"], condition=Q(current=False), name="evidence_replaced_by_age"),
        ]
