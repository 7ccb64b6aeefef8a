from __future__ import annotations

from typing import Any

from rest_framework import serializers

from checklists.api.serializers.fields import Body, TeamField


class TeamSerializer(serializers.Serializer[Any]):
    """``parent`` is the slug of the team above, null at the root."""

    slug = serializers.CharField()
    name = serializers.CharField()
    parent = serializers.CharField(source="parent.slug", default=None, allow_null=True)  # type: ignore[assignment]  # a field's name


class TeamCreateSerializer(Body):
    slug = serializers.CharField(max_length=60)
    name = serializers.CharField(max_length=120)
    parent = TeamField(required=False, allow_null=True)  # type: ignore[assignment]  # a field's name


class TeamChangeSerializer(Body):
    shown = TeamSerializer

    name = serializers.CharField(max_length=120, required=False)
    parent = TeamField(required=False, allow_null=True)  # type: ignore[assignment]  # a field's name
