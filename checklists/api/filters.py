"""What lists can be narrowed by. A value that a filter does not know is 400, not an empty list."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.db.models import Exists, OuterRef, Q, QuerySet
from django_filters.filters import CharFilter, ChoiceFilter, IsoDateTimeFilter, ModelChoiceFilter, OrderingFilter
from django_filters.rest_framework.filterset import FilterSet
from rest_framework.exceptions import ValidationError

from checklists.api.serializers.fields import EARLIEST, LATEST
from checklists.catalog.choices import Family
from checklists.evidence.models import Verdict
from checklists.people.models import Team
from checklists.registry.models import Release, Stage, Tier
from checklists.scorecards.models import ItemState
from checklists.scorecards.states import LABELS


class ModelFilter(FilterSet):
    """``stage``: a release is there now; ``state``: an active release has an item in that state."""

    team = ModelChoiceFilter(
        queryset=Team.objects.all(), to_field_name="slug", method="of_branch", help_text="The team and all below it."
    )
    family = ChoiceFilter(choices=Family.choices)
    tier = ChoiceFilter(choices=Tier.choices)
    stage = ChoiceFilter(choices=Stage.choices, method="in_stage", help_text="Models with a release there.")
    state = ChoiceFilter(
        choices=[(state.value, label) for state, label in LABELS.items()],
        method="with_state",
        help_text="Models with an item in that state in an active release.",
    )
    search = CharFilter(method="matching", help_text="Words in slug, name or description.")
    ordering = OrderingFilter(
        fields={
            "slug": "slug",
            "name": "name",
            "team__slug": "team",
            "family": "family",
            "tier": "tier",
            "created_at": "created_at",
        }
    )

    def of_branch(self, rows: QuerySet[Any], name: str, team: Team) -> QuerySet[Any]:
        return rows.filter(team__path__startswith=team.path)

    def in_stage(self, rows: QuerySet[Any], name: str, stage: str) -> QuerySet[Any]:
        return rows.filter(Exists(Release.objects.filter(model=OuterRef("pk"), stage=stage)))

    def with_state(self, rows: QuerySet[Any], name: str, state: str) -> QuerySet[Any]:
        found = ItemState.objects.filter(
            release__model=OuterRef("pk"), release__in=Release.objects.active(), state=state
        )
        return rows.filter(Exists(found))

    def matching(self, rows: QuerySet[Any], name: str, words: str) -> QuerySet[Any]:
        for word in words.split()[:10]:
            rows = rows.filter(Q(slug__icontains=word) | Q(name__icontains=word) | Q(description__icontains=word))
        return rows


class FindingFilter(FilterSet):
    item = CharFilter(field_name="item_key", help_text="The item's key.")
    verdict = ChoiceFilter(choices=Verdict.choices)


class JournalFilter(FilterSet):
    subject = CharFilter(method="below", help_text="The path of a thing, and of all that hangs on it.")
    actor = CharFilter(field_name="actor__username", help_text="A username.")
    verb = CharFilter(help_text="Such as assessments.answer.saved.")
    since = IsoDateTimeFilter(method="not_before", help_text="ISO 8601; UTC unless it says otherwise.")

    def below(self, rows: QuerySet[Any], name: str, subject: str) -> QuerySet[Any]:
        path = subject.strip("/")
        return rows.filter(Q(subject=path) | Q(subject__startswith=f"{path}/"))

    def not_before(self, rows: QuerySet[Any], name: str, since: datetime) -> QuerySet[Any]:
        if not EARLIEST <= since.date() <= LATEST:
            raise ValidationError({"since": [f"A moment from {EARLIEST.year} to {LATEST.year}."]})
        return rows.filter(at__gte=since)
