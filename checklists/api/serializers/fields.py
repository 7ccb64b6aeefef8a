"""Fields that several concepts share."""

from __future__ import annotations

from datetime import date
from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from checklists.api.base import EARLIEST, LATEST
from checklists.people.models import Team, User
from checklists.scorecards.states import STATES

HEX_DIGEST = "Lower-case hexadecimal SHA-256."


class DayField(serializers.DateField):
    """A date within bounds that every calculation survives."""

    def to_internal_value(self, value: Any) -> date:
        day = super().to_internal_value(value)
        if not EARLIEST <= day <= LATEST:
            raise serializers.ValidationError(f"A date from {EARLIEST.year} to {LATEST.year}.")
        return day


class TeamField(serializers.SlugRelatedField[Team]):
    """A team by its slug."""

    default_error_messages = {"does_not_exist": "There is no team {value}."}

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(slug_field="slug", queryset=Team.objects.all(), **kwargs)


@extend_schema_field({"type": "string"})
class PersonField(serializers.SlugRelatedField[User]):
    """A person who may sign in, by username."""

    default_error_messages = {"does_not_exist": "There is nobody of that name."}

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(slug_field="username", queryset=User.objects.filter(is_active=True), **kwargs)


class UsernameField(serializers.CharField):
    """Somebody's username, for reading."""

    def __init__(self, person: str, **kwargs: Any) -> None:
        super().__init__(source=f"{person}.username", read_only=True, default=None, **kwargs)
        self.allow_null = True


class StatesSerializer(serializers.Serializer[Any]):
    """How many items are in each of the seven states."""

    verified = serializers.IntegerField()
    claimed = serializers.IntegerField()
    partly = serializers.IntegerField()
    open = serializers.IntegerField()
    contradicted = serializers.IntegerField()
    waived = serializers.IntegerField()
    not_applicable = serializers.IntegerField()


class StateField(serializers.ChoiceField):
    """One of the seven states."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(choices=list(STATES), **kwargs)
