from __future__ import annotations

from typing import Any, ClassVar

from rest_framework import serializers

from checklists.api.serializers.fields import HEX_DIGEST, Body, DayField, Shown
from checklists.registry.models import Stage


class ReleaseSerializer(serializers.Serializer[Any]):
    """``carry_over_from`` is the version of the release whose answers came along; ``readiness`` in percent."""

    version = serializers.CharField()
    revision = serializers.CharField(allow_blank=True)
    artifact_digest = serializers.CharField(allow_blank=True)
    environment = serializers.CharField()
    launch_date = serializers.DateField(allow_null=True)
    carry_over_from = serializers.CharField(source="carried_over_from.version", default=None, allow_null=True)
    stage = serializers.ChoiceField(Stage.choices)
    checklist = serializers.CharField(source="edition.checklist.slug")
    edition = serializers.CharField(source="edition.edition")
    readiness = serializers.IntegerField(source="scorecard.readiness", default=None, allow_null=True)
    created_at = serializers.DateTimeField()
    changed_at = serializers.DateTimeField()


class ReleaseDetailSerializer(ReleaseSerializer):
    """``digest`` is the SHA-256 of the release's present content: what a submission made now would freeze."""

    digest = serializers.CharField(help_text=HEX_DIGEST)


class ReleaseChangeSerializer(Body):
    shown: ClassVar[Shown] = ReleaseDetailSerializer

    revision = serializers.CharField(max_length=120, allow_blank=True, required=False)
    artifact_digest = serializers.CharField(max_length=140, allow_blank=True, required=False)
    environment = serializers.CharField(max_length=60, required=False)
    launch_date = DayField(required=False, allow_null=True)


class ReleaseCreateSerializer(ReleaseChangeSerializer):
    shown = None

    version = serializers.CharField(max_length=60)
    carry_over_from = serializers.CharField(max_length=60, required=False, allow_null=True)
