from __future__ import annotations

from typing import Any

from django.db import models

from checklists.catalog.choices import JUSTIFICATION, WEIGHTS, ClaimType, EditionStatus, Mode, Role


def default_justification() -> dict[str, str]:
    return dict(JUSTIFICATION)


class Checklist(models.Model):
    """What is asked, across all its editions."""

    slug = models.CharField(max_length=80, unique=True)
    title = models.CharField(max_length=200)
    description = models.TextField(blank=True)

    def __str__(self) -> str:
        return self.title


class Edition(models.Model):
    """One wording of a checklist. Once published it never changes: its digest is that of its content."""

    checklist = models.ForeignKey(Checklist, on_delete=models.PROTECT, related_name="editions")
    edition = models.CharField(max_length=20)
    status = models.CharField(max_length=20, choices=EditionStatus.choices, default=EditionStatus.DRAFT)
    digest = models.CharField(max_length=64, blank=True)
    published_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["checklist", "edition"], name="catalog_edition_once"),
            models.UniqueConstraint(
                fields=["checklist"], condition=models.Q(status="published"), name="catalog_one_published_edition"
            ),
            models.CheckConstraint(
                condition=models.Q(status="draft") | ~models.Q(digest="") & models.Q(published_at__isnull=False),
                name="catalog_published_has_digest",
            ),
        ]

    def __str__(self) -> str:
        return self.edition

    @property
    def version(self) -> tuple[int, ...]:
        """The number in an order that puts 0.10 after 0.9."""
        return tuple(int(part) for part in self.edition.split("."))


class Section(models.Model):
    edition = models.ForeignKey(Edition, on_delete=models.CASCADE, related_name="sections")
    key = models.CharField(max_length=40)
    number = models.PositiveSmallIntegerField()
    title = models.CharField(max_length=120)
    summary = models.TextField(blank=True)

    class Meta:
        ordering = ["number"]
        constraints = [
            models.UniqueConstraint(fields=["edition", "key"], name="catalog_section_key_once"),
            models.UniqueConstraint(fields=["edition", "number"], name="catalog_section_number_once"),
        ]

    def __str__(self) -> str:
        return self.title


class Item(models.Model):
    """One question. Its key stays the same across editions, so that answers can be carried over."""

    edition = models.ForeignKey(Edition, on_delete=models.CASCADE, related_name="items")
    section = models.ForeignKey(Section, on_delete=models.CASCADE, related_name="items")
    key = models.CharField(max_length=80)
    number = models.CharField(max_length=10)  # as shown: 3.1
    position = models.PositiveSmallIntegerField()  # in the whole edition, from 1
    question = models.CharField(max_length=200)
    short = models.CharField(max_length=40)
    guidance = models.TextField()
    why = models.TextField()
    examples: models.JSONField[Any, Any] = models.JSONField(default=list)  # [{family, text}]
    references: models.JSONField[Any, Any] = models.JSONField(default=list)  # [{title, url}], url may be empty
    families: models.JSONField[Any, Any] = models.JSONField(default=list)
    requirement: models.JSONField[Any, Any] = models.JSONField(default=dict)  # {"1": "must", "2": …, "3": …}
    role = models.CharField(max_length=20, choices=Role.choices)
    qualities: models.JSONField[Any, Any] = models.JSONField(default=list)
    mode = models.CharField(max_length=20, choices=Mode.choices)
    probes: models.JSONField[Any, Any] = models.JSONField(default=list)
    justification: models.JSONField[Any, Any] = models.JSONField(default=default_justification)  # {status: rule}

    class Meta:
        ordering = ["position"]
        constraints = [
            models.UniqueConstraint(fields=["edition", "key"], name="catalog_item_key_once"),
            models.UniqueConstraint(fields=["edition", "position"], name="catalog_item_position_once"),
        ]

    def __str__(self) -> str:
        return self.key

    def applies_to(self, family: str) -> bool:
        return family in self.families

    def requirement_for(self, tier: int) -> str:
        """``must``, ``should`` or ``may``."""
        requirement: str = self.requirement[str(tier)]
        return requirement

    def weight_for(self, tier: int) -> int:
        """Must 3, should 2, may 1."""
        return WEIGHTS[self.requirement_for(tier)]


class ClaimField(models.Model):
    """One typed value that an answer to the item states."""

    item = models.ForeignKey(Item, on_delete=models.CASCADE, related_name="claims")
    key = models.CharField(max_length=40)
    label = models.CharField(max_length=80)
    type = models.CharField(max_length=20, choices=ClaimType.choices)
    unit = models.CharField(max_length=40, blank=True)
    choices: models.JSONField[Any, Any] = models.JSONField(default=list)  # [{value, label}]
    required = models.BooleanField(default=False)
    help = models.CharField(max_length=300, blank=True)
    minimum = models.FloatField(null=True, blank=True)
    maximum = models.FloatField(null=True, blank=True)
    position = models.PositiveSmallIntegerField()  # in the item, from 1

    class Meta:
        ordering = ["position"]
        constraints = [
            models.UniqueConstraint(fields=["item", "key"], name="catalog_claim_key_once"),
            models.UniqueConstraint(fields=["item", "position"], name="catalog_claim_position_once"),
        ]

    def __str__(self) -> str:
        return self.key
