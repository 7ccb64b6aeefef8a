from __future__ import annotations

from typing import Any

from rest_framework import serializers

from checklists.api.serializers.fields import UsernameField
from checklists.evidence.models import RunReason, RunState, Verdict


class FindingSerializer(serializers.Serializer[Any]):
    """``item`` is the item's key, null for a fact about the endpoint alone; ``endpoint`` its name at that time."""

    id = serializers.IntegerField()
    item = serializers.SerializerMethodField()
    verdict = serializers.ChoiceField(Verdict.choices)
    claimed = serializers.CharField(allow_blank=True)
    observed = serializers.CharField(allow_blank=True)
    unit = serializers.CharField(allow_blank=True)
    reason = serializers.CharField(allow_blank=True)
    probe = serializers.CharField()
    probe_version = serializers.CharField()
    endpoint = serializers.CharField(source="endpoint_name")
    measured_at = serializers.DateTimeField()
    expires_at = serializers.DateTimeField()

    def get_item(self, finding: Any) -> str | None:
        return finding.item_key or None


class ProgressSerializer(serializers.Serializer[Any]):
    done = serializers.IntegerField(source="progress_done")
    total = serializers.IntegerField(source="progress_total")


class ProbeRunSerializer(serializers.Serializer[Any]):
    """``requested_by`` is null for scheduled runs; ``error`` says why a run failed."""

    id = serializers.IntegerField()
    state = serializers.ChoiceField(RunState.choices)
    reason = serializers.ChoiceField(RunReason.choices)
    requested_by = UsernameField("requested_by")
    progress = ProgressSerializer(source="*")
    created_at = serializers.DateTimeField()
    started_at = serializers.DateTimeField(allow_null=True)
    finished_at = serializers.DateTimeField(allow_null=True)
    error = serializers.CharField(allow_blank=True)
    findings = FindingSerializer(many=True)
