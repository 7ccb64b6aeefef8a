from __future__ import annotations

from typing import Any

from rest_framework import serializers

from checklists.catalog.choices import ClaimType, EditionStatus, Family, Mode, Quality, Requirement, Role


class EditionSummarySerializer(serializers.Serializer[Any]):
    edition = serializers.CharField()
    status = serializers.ChoiceField(EditionStatus.choices)
    digest = serializers.CharField()


class ChecklistSerializer(serializers.Serializer[Any]):
    """``current`` is the published edition, which new releases get; null before the first one."""

    slug = serializers.CharField()
    title = serializers.CharField()
    current = serializers.SerializerMethodField()
    editions = EditionSummarySerializer(many=True)

    def get_current(self, checklist: Any) -> str | None:
        return next((e.edition for e in checklist.editions.all() if e.status == EditionStatus.PUBLISHED), None)


class ChoiceSerializer(serializers.Serializer[Any]):
    value = serializers.CharField()
    label = serializers.CharField()  # type: ignore[assignment]  # a field's name


class ClaimFieldSerializer(serializers.Serializer[Any]):
    key = serializers.CharField()
    label = serializers.CharField()  # type: ignore[assignment]  # a field's name
    type = serializers.ChoiceField(ClaimType.choices)
    unit = serializers.CharField()
    choices = ChoiceSerializer(many=True)
    required = serializers.BooleanField()  # type: ignore[assignment]  # a field's name
    help = serializers.CharField()
    minimum = serializers.FloatField(allow_null=True)
    maximum = serializers.FloatField(allow_null=True)


class ExampleSerializer(serializers.Serializer[Any]):
    family = serializers.CharField()
    text = serializers.CharField()


class ReferenceSerializer(serializers.Serializer[Any]):
    title = serializers.CharField()
    url = serializers.CharField()


class ItemSerializer(serializers.Serializer[Any]):
    """``requirement`` by tier; ``justification`` by answer status; ``guidance`` is Markdown."""

    key = serializers.CharField()
    number = serializers.CharField()
    short = serializers.CharField()
    question = serializers.CharField()
    guidance = serializers.CharField()
    why = serializers.CharField()
    role = serializers.ChoiceField(Role.choices)
    qualities = serializers.ListField(child=serializers.ChoiceField(Quality.choices))
    families = serializers.ListField(child=serializers.ChoiceField(Family.choices))
    requirement = serializers.DictField(child=serializers.ChoiceField(Requirement.choices))
    claims = ClaimFieldSerializer(many=True)
    probes = serializers.ListField(child=serializers.CharField())
    mode = serializers.ChoiceField(Mode.choices)
    justification = serializers.DictField(child=serializers.CharField())
    examples = ExampleSerializer(many=True)
    references = ReferenceSerializer(many=True)


class SectionSerializer(serializers.Serializer[Any]):
    key = serializers.CharField()
    number = serializers.IntegerField()
    title = serializers.CharField()
    summary = serializers.CharField()
    items = ItemSerializer(many=True)


class EditionSerializer(serializers.Serializer[Any]):
    checklist = serializers.CharField()
    title = serializers.CharField()
    description = serializers.CharField()
    edition = serializers.CharField()
    status = serializers.ChoiceField(EditionStatus.choices)
    digest = serializers.CharField()
    published_at = serializers.DateTimeField(allow_null=True)
    sections = SectionSerializer(many=True)
