"""What several concepts share: fields, and the base of everything that is sent."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from itertools import islice
from typing import Any, ClassVar

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from checklists.people.models import Team, User
from checklists.scorecards.states import STATES

HEX_DIGEST = "Lower-case hexadecimal SHA-256."

EARLIEST, LATEST = date(2000, 1, 1), date(2200, 12, 31)  # beyond it, adding days or zones overflows somewhere


Shown = type[serializers.Serializer[Any]] | None
TOLD = 20  # unknown fields of one body that are named


class Body(serializers.Serializer[Any]):
    """The base of what is sent. A field that it does not know refuses the whole body: a misspelt one would otherwise
    pass for one that was left out.

    What ``shown`` shows may be sent back with the rest: a client reads, changes a value and writes. It changes nothing;
    what of it never changes, the views hold against what stands (``View.refuse_change``).
    """

    shown: ClassVar[Shown] = None

    def to_internal_value(self, data: Any) -> Any:
        errors: dict[str, Any] = {}
        if isinstance(data, Mapping):
            known = {*self.fields, *(self.shown().fields if self.shown else ())}
            unknown = islice((str(name) for name in data if name not in known), TOLD)
            words = f"There is no such field. Known are: {', '.join(self.fields) or 'none'}."
            errors = {name[:80]: [words] for name in unknown}
        try:
            values = super().to_internal_value(data)
        except serializers.ValidationError as error:
            found = error.detail if isinstance(error.detail, dict) else {"non_field_errors": error.detail}
            raise serializers.ValidationError({**errors, **found}) from error
        if errors:
            raise serializers.ValidationError(errors)
        return values


class Nothing(Body):
    """A body without fields, or none."""


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
