from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, ClassVar

from django.conf import settings
from django.contrib.auth.models import AbstractUser
from django.core.validators import RegexValidator
from django.db import models
from django.db.models.functions import Lower

from checklists.people.querysets import TeamQuerySet, TokenQuerySet

if TYPE_CHECKING:
    from checklists.people.access import Access

slug_validator = RegexValidator(
    r"^[a-z0-9]+(?:[._-][a-z0-9]+)*\Z",
    "Use lower-case letters and digits, joined by single dots, dashes or underscores.",
)


class OrganisationRole(models.TextChoices):
    MLOPS = "mlops", "MLOps reviewer"
    SECURITY = "security", "Security reviewer"
    SRE = "sre", "SRE reviewer"
    CATALOG_MAINTAINER = "catalog_maintainer", "Catalog maintainer"
    LEADER = "leader", "Leader"
    AUDITOR = "auditor", "Auditor"
    ADMINISTRATOR = "administrator", "Administrator"


class TeamRole(models.TextChoices):
    OWNER = "owner", "Owner"
    CONTRIBUTOR = "contributor", "Contributor"
    VIEWER = "viewer", "Viewer"


class User(AbstractUser):
    first_name = None  # type: ignore[assignment]  # one name, as its bearer writes it
    last_name = None  # type: ignore[assignment]
    name = models.CharField(max_length=150, blank=True)

    class Meta:
        constraints = [models.UniqueConstraint(Lower("username"), name="people_username_any_case")]

    def __str__(self) -> str:
        return self.name or self.username

    def get_full_name(self) -> str:
        return str(self)

    def get_short_name(self) -> str:
        return str(self)

    @cached_property
    def access(self) -> Access:
        """Every role this person holds, read once (two queries) and kept with the object."""
        from checklists.people.access import read_access

        return read_access(self)


class Team(models.Model):
    """A node of the organisation's tree.

    ``path`` holds the ids from the root to itself (``/0000001/0000004/``): a whole branch is one prefix, and the width
    makes the order of the text the order of the tree.
    """

    slug = models.CharField(max_length=60, unique=True, validators=[slug_validator])
    name = models.CharField(max_length=120)
    parent = models.ForeignKey("self", null=True, blank=True, on_delete=models.PROTECT, related_name="children")
    path = models.CharField(max_length=200, db_index=True, default="")

    objects: ClassVar[TeamQuerySet] = TeamQuerySet.as_manager()  # type: ignore[assignment]  # django-stubs: custom queryset managers

    def __str__(self) -> str:
        return self.name

    @property
    def ancestor_ids(self) -> list[int]:
        """Ids from the root to the team itself."""
        return [int(part) for part in self.path.split("/") if part]


class Membership(models.Model):
    """A person's role in a team and in every team below it."""

    team = models.ForeignKey(Team, on_delete=models.CASCADE, related_name="memberships")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="memberships")
    role = models.CharField(max_length=20, choices=TeamRole.choices)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["team", "user"], name="people_one_role_per_team")]


class RoleGrant(models.Model):
    """An organisation-wide role of a person."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="role_grants")
    role = models.CharField(max_length=30, choices=OrganisationRole.choices)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["user", "role"], name="people_each_role_once")]
        indexes = [models.Index(fields=["role"], name="people_by_role")]


class Token(models.Model):
    """An API token: only its SHA-256 is kept; ``prefix`` lets its owner recognise it."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="tokens")
    name = models.CharField(max_length=80)
    prefix = models.CharField(max_length=12)
    hash = models.CharField(max_length=64, unique=True)
    created_at = models.DateTimeField()
    expires_at = models.DateTimeField(null=True)
    last_used_at = models.DateTimeField(null=True)
    revoked_at = models.DateTimeField(null=True)

    objects: ClassVar[TokenQuerySet] = TokenQuerySet.as_manager()  # type: ignore[assignment]  # django-stubs: custom queryset managers


class SetupToken(models.Model):
    """The one-time link that creates the first administrator, hashed."""

    hash = models.CharField(max_length=64, unique=True)
    created_at = models.DateTimeField()
    used_at = models.DateTimeField(null=True)
