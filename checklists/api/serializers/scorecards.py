from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from checklists.api.serializers.fields import StateField, StatesSerializer


class BlockerSerializer(serializers.Serializer[Any]):
    item = serializers.CharField(source="item.key")
    state = StateField()
    text = serializers.CharField(source="why_blocked")


class SectionScoreSerializer(serializers.Serializer[Any]):
    """``score`` in percent; null where nothing is applicable."""

    key = serializers.CharField()
    title = serializers.CharField()
    score = serializers.IntegerField(allow_null=True)
    states = StatesSerializer()


class ScorecardSerializer(serializers.Serializer[Any]):
    """``readiness`` is the weakest section's score, ``mean`` that of all; all in percent, null if nothing applies."""

    readiness = serializers.IntegerField(allow_null=True)
    mean = serializers.IntegerField(allow_null=True)
    weakest = serializers.CharField(allow_null=True)
    sections = SectionScoreSerializer(many=True)
    qualities = serializers.DictField(child=serializers.IntegerField(allow_null=True))
    blockers = BlockerSerializer(many=True)
    contradictions = BlockerSerializer(many=True)
    states = StatesSerializer()
    computed_at = serializers.DateTimeField()


class FiguresSerializer(serializers.Serializer[Any]):
    """``ready``: approved or live with nothing open; ``blocked``: has a launch date and something in its way.

    ``fresh``: percent of conclusive findings that still count; ``days_to_approval``: median of the half year before.
    """

    releases = serializers.IntegerField()
    ready = serializers.IntegerField()
    blocked = serializers.IntegerField()
    contradicted = serializers.IntegerField()
    contradicted_releases = serializers.IntegerField()
    fresh = serializers.IntegerField(allow_null=True)
    days_to_approval = serializers.FloatField(allow_null=True)


class CellSerializer(serializers.Serializer[Any]):
    key = serializers.CharField()
    score = serializers.IntegerField(allow_null=True)
    states = StatesSerializer()


class OverviewRowSerializer(serializers.Serializer[Any]):
    """A team, a family or the whole: ``readiness`` is its weakest section's score."""

    key = serializers.CharField()
    name = serializers.CharField()
    group = serializers.CharField(allow_blank=True)
    releases = serializers.IntegerField()
    readiness = serializers.IntegerField(source="score", allow_null=True)
    weakest = serializers.CharField(allow_null=True)
    states = StatesSerializer(source="total.states")
    sections = serializers.SerializerMethodField()

    @extend_schema_field(CellSerializer(many=True))
    def get_sections(self, row: Any) -> list[dict[str, Any]]:
        return [{"key": key, "score": cell.score, "states": cell.states} for key, cell in row.cells.items()]


class OverviewSerializer(serializers.Serializer[Any]):
    """``before`` are the figures of ``compared_with``, about a month earlier. ``stages``: releases by stage.
    ``hidden_models`` are restricted and left out."""

    as_of = serializers.DateField()
    compared_with = serializers.DateField(allow_null=True)
    models = serializers.IntegerField()
    hidden_models = serializers.IntegerField()
    figures = FiguresSerializer()
    before = FiguresSerializer(allow_null=True)
    stages = serializers.DictField(child=serializers.IntegerField())
    organisation = OverviewRowSerializer()
    teams = OverviewRowSerializer(many=True)
    families = OverviewRowSerializer(many=True)
