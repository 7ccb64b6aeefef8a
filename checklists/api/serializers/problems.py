from __future__ import annotations

from typing import Any

from rest_framework import serializers


class ProblemSerializer(serializers.Serializer[Any]):
    """RFC 9457. ``errors`` by field come with bad data, ``reasons`` with a wrong stage, ``current`` with a conflict."""

    type = serializers.CharField()
    title = serializers.CharField()
    status = serializers.IntegerField()
    detail = serializers.CharField(allow_blank=True)
    errors = serializers.DictField(child=serializers.ListField(child=serializers.CharField()), required=False)  # type: ignore[assignment]  # a field's name in the answer, not the base's attribute
    reasons = serializers.ListField(child=serializers.CharField(), required=False)
    current = serializers.DictField(required=False)
