from __future__ import annotations

from typing import Any

from rest_framework import serializers

from checklists.api.serializers.fields import Body, DayField, UsernameField
from checklists.assessments.models import WaiverState

DECISIONS = ["approve", "decline", "revoke"]


class WaiverSerializer(serializers.Serializer[Any]):
    id = serializers.IntegerField()
    item = serializers.CharField(source="item.key")
    reason = serializers.CharField()
    mitigation = serializers.CharField()
    expires_on = serializers.DateField()
    state = serializers.ChoiceField(WaiverState.choices)
    requested_by = UsernameField("requested_by")
    requested_at = serializers.DateTimeField()
    decided_by = UsernameField("decided_by")
    decided_at = serializers.DateTimeField(allow_null=True)
    comment = serializers.CharField(allow_blank=True)


class WaiverRequestSerializer(Body):
    """``expires_on``: after today, within a year."""

    item = serializers.CharField(max_length=80)
    reason = serializers.CharField(max_length=4000)
    mitigation = serializers.CharField(max_length=4000)
    expires_on = DayField()


class WaiverDecisionSerializer(Body):
    decision = serializers.ChoiceField(DECISIONS)
    comment = serializers.CharField(max_length=4000, allow_blank=True, default="")
