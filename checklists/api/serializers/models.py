from __future__ import annotations

from typing import Any

from rest_framework import serializers

from checklists.api.serializers.fields import Body, TeamField
from checklists.catalog.choices import Family
from checklists.registry.models import Tier


class ModelSerializer(serializers.Serializer[Any]):
    """``team`` is the team's slug."""

    slug = serializers.CharField()
    name = serializers.CharField()
    team = serializers.CharField(source="team.slug")
    family = serializers.ChoiceField(Family.choices)
    tier = serializers.ChoiceField(Tier.choices)
    description = serializers.CharField(allow_blank=True)
    restricted = serializers.BooleanField()
    created_at = serializers.DateTimeField()


class ModelCreateSerializer(Body):
    slug = serializers.CharField(max_length=80)
    name = serializers.CharField(max_length=120)
    team = TeamField()
    family = serializers.ChoiceField(Family.choices)
    tier = serializers.ChoiceField(Tier.choices)
    description = serializers.CharField(max_length=4000, allow_blank=True, required=False)
    restricted = serializers.BooleanField(required=False)


class ModelChangeSerializer(Body):
    shown = ModelSerializer

    name = serializers.CharField(max_length=120, required=False)
    team = TeamField(required=False)
    family = serializers.ChoiceField(Family.choices, required=False)
    tier = serializers.ChoiceField(Tier.choices, required=False)
    description = serializers.CharField(max_length=4000, allow_blank=True, required=False)
    restricted = serializers.BooleanField(required=False)
