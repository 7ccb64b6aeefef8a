from __future__ import annotations

from typing import Any

from rest_framework import serializers

from checklists.api.serializers.fields import UsernameField
from checklists.catalog.choices import Mode
from checklists.evidence.models import RunReason, RunState, Verdict
from checklists.evidence.stacks import STACKS


class FindingSerializer(serializers.Serializer[Any]):
    """``item`` is the item's key, null for a fact about the endpoint alone; ``endpoint`` its name at that time,
    empty for what was found about the release itself."""

    id = serializers.IntegerField()
    item = serializers.SerializerMethodField()
    verdict = serializers.ChoiceField(Verdict.choices)
    claimed = serializers.CharField(allow_blank=True)
    observed = serializers.CharField(allow_blank=True)
    unit = serializers.CharField(allow_blank=True)
    reason = serializers.CharField(allow_blank=True)
    probe = serializers.CharField()
    probe_version = serializers.CharField()
    endpoint = serializers.CharField(source="endpoint_name", allow_blank=True)
    measured_at = serializers.DateTimeField()
    expires_at = serializers.DateTimeField()

    def get_item(self, finding: Any) -> str | None:
        return finding.item_key or None


class AnswerKeptSerializer(serializers.Serializer[Any]):
    """What a server answered to one request, trimmed and without secrets. ``answer`` is its number in ``requests``."""

    answer = serializers.IntegerField()
    line = serializers.CharField()
    status = serializers.IntegerField()
    content_type = serializers.CharField(allow_blank=True)
    truncated = serializers.BooleanField()
    body = serializers.CharField(allow_blank=True)


class FindingDetailSerializer(FindingSerializer):
    """Everything needed to dispute a finding. Hosts and ``answers`` are only for those who may see endpoints; answers
    are dropped after a while."""

    endpoint = serializers.CharField(allow_blank=True)
    run = serializers.IntegerField(allow_null=True)
    current = serializers.BooleanField()
    rule = serializers.CharField(allow_blank=True)
    samples = serializers.IntegerField(allow_null=True)
    histogram = serializers.JSONField(allow_null=True)
    requests = serializers.ListField(child=serializers.DictField())
    observation = serializers.JSONField()
    answers = AnswerKeptSerializer(many=True)


class TopicCoverageSerializer(serializers.Serializer[Any]):
    """``probes``: keys of those that can verify and contradict the item; without any, ``why`` says why not.
    ``prometheus``, ``generation``: whether giving that alone would settle it."""

    item = serializers.CharField()
    mode = serializers.ChoiceField(Mode.choices)
    settled = serializers.BooleanField()
    probes = serializers.ListField(child=serializers.CharField())
    why = serializers.CharField(allow_blank=True)
    prometheus = serializers.BooleanField()
    generation = serializers.BooleanField()


class StackCoverageSerializer(serializers.Serializer[Any]):
    stack = serializers.CharField()
    name = serializers.CharField()
    settled = serializers.IntegerField(help_text="How many of the topics can be settled.")
    topics = TopicCoverageSerializer(many=True)


class CoverageSerializer(serializers.Serializer[Any]):
    prometheus = serializers.BooleanField()
    generation = serializers.BooleanField()
    stacks = StackCoverageSerializer(many=True)


class CoverageQuery(serializers.Serializer[Any]):
    """What is asked: one stack or all, with what is given."""

    stack = serializers.ChoiceField(
        [(stack.key, stack.label) for stack in STACKS.values()], required=False, help_text="All stacks unless given."
    )
    prometheus = serializers.BooleanField(
        default=False, help_text="Whether the address of a Prometheus server is given."
    )
    generation = serializers.BooleanField(default=False, help_text="Whether requests that generate are allowed.")


class ProgressSerializer(serializers.Serializer[Any]):
    """Counted in checks: one probe at one endpoint."""

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
