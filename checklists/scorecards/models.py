from typing import ClassVar

from django.db import models

from checklists.catalog.models import Item
from checklists.registry.models import Release
from checklists.scorecards.querysets import ItemStateQuerySet, ScorecardQuerySet


class StateCounts(models.Model):
    """The seven counts, in columns so that the database can add them up."""

    verified = models.PositiveSmallIntegerField(default=0)
    claimed = models.PositiveSmallIntegerField(default=0)
    partly = models.PositiveSmallIntegerField(default=0)
    open = models.PositiveSmallIntegerField(default=0)
    contradicted = models.PositiveSmallIntegerField(default=0)
    waived = models.PositiveSmallIntegerField(default=0)
    not_applicable = models.PositiveSmallIntegerField(default=0)
    weight = models.PositiveSmallIntegerField(default=0)
    credit = models.PositiveSmallIntegerField(default=0)  # in quarters of a point
    score = models.PositiveSmallIntegerField(null=True)  # percent

    class Meta:
        abstract = True

    @property
    def states(self) -> dict[str, int]:
        return {
            "verified": self.verified,
            "claimed": self.claimed,
            "partly": self.partly,
            "open": self.open,
            "contradicted": self.contradicted,
            "waived": self.waived,
            "not_applicable": self.not_applicable,
        }


class Scorecard(StateCounts):
    """How ready a release is, as of ``computed_at``. ``score`` is the share over all items; ``readiness`` the weakest
    section's."""

    release = models.OneToOneField(Release, primary_key=True, on_delete=models.CASCADE, related_name="scorecard")
    readiness = models.PositiveSmallIntegerField(null=True)
    mean = models.PositiveSmallIntegerField(null=True)
    weakest = models.CharField(max_length=40, blank=True)
    qualities = models.JSONField(default=dict)  # quality → percent or null
    must_open = models.PositiveSmallIntegerField(default=0)
    computed_at = models.DateTimeField()

    objects: ClassVar[ScorecardQuerySet] = ScorecardQuerySet.as_manager()  # type: ignore[assignment]  # django-stubs: custom queryset managers


class SectionScore(StateCounts):
    """One section of one release."""

    release = models.ForeignKey(Release, on_delete=models.CASCADE, related_name="section_scores")
    section = models.CharField(max_length=40)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["release", "section"], name="scorecards_one_score_per_section")]


class ItemState(models.Model):
    """The state of one item of one release, so that lists can be filtered by it."""

    release = models.ForeignKey(Release, on_delete=models.CASCADE, related_name="item_states")
    item = models.ForeignKey(Item, on_delete=models.PROTECT, related_name="+")
    section = models.CharField(max_length=40)
    requirement = models.CharField(max_length=10)
    state = models.CharField(max_length=20)
    since = models.DateTimeField()

    objects: ClassVar[ItemStateQuerySet] = ItemStateQuerySet.as_manager()  # type: ignore[assignment]  # django-stubs: custom queryset managers

    class Meta:
        constraints = [models.UniqueConstraint(fields=["release", "item"], name="scorecards_one_state_per_item")]
        indexes = [models.Index(fields=["state", "section"], name="scorecards_by_state")]


class HistoryPoint(StateCounts):
    """A release's scorecard at the end of one day."""

    release = models.ForeignKey(Release, on_delete=models.CASCADE, related_name="history")
    date = models.DateField()
    stage = models.CharField(max_length=20)
    readiness = models.PositiveSmallIntegerField(null=True)
    mean = models.PositiveSmallIntegerField(null=True)
    must_open = models.PositiveSmallIntegerField(default=0)
    sections = models.JSONField(default=dict)  # section → {"weight", "credit", "states": {…}}

    class Meta:
        constraints = [models.UniqueConstraint(fields=["release", "date"], name="scorecards_one_point_per_day")]
        indexes = [models.Index(fields=["date"], name="scorecards_history_by_date")]
