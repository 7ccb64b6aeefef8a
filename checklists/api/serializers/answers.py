from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from checklists.api.serializers.evidence import FindingSerializer
from checklists.api.serializers.fields import Body, PersonField, StateField, UsernameField
from checklists.assessments.models import Answer, Status


class AnswerSerializer(serializers.Serializer[Any]):
    """``state`` is one of the seven; ``findings`` what stands now for the item.

    The context holds ``card`` and ``findings`` (both by item), so that a list takes no query of its own.

    ``carried_over``: from an earlier release, and not confirmed yet. ``missing``: what it lacks to count, in words.
    """

    item = serializers.SerializerMethodField()
    section = serializers.SerializerMethodField()
    status = serializers.ChoiceField(Status.choices)
    claims = serializers.DictField()
    justification = serializers.CharField(allow_blank=True)
    links = serializers.ListField(child=serializers.CharField())
    assignee = UsernameField("assignee")
    revision = serializers.IntegerField()
    state = serializers.SerializerMethodField()
    findings = serializers.SerializerMethodField()
    missing = serializers.SerializerMethodField()
    carried_over = serializers.BooleanField()
    accepted = serializers.SerializerMethodField()
    flagged = serializers.BooleanField(source="is_flagged")
    flag_comment = serializers.CharField(allow_blank=True)
    updated_by = UsernameField("updated_by")
    updated_at = serializers.DateTimeField(allow_null=True)

    def _row(self, answer: Answer) -> Any:
        return self.context["card"][answer.item_id]

    def get_item(self, answer: Answer) -> str:
        return str(self._row(answer).item.key)

    def get_section(self, answer: Answer) -> str:
        return str(self._row(answer).item.section_key)

    @extend_schema_field(StateField())
    def get_state(self, answer: Answer) -> str:
        return str(self._row(answer).state.value)

    @extend_schema_field(FindingSerializer(many=True))
    def get_findings(self, answer: Answer) -> list[dict[str, Any]]:
        rows = self.context["findings"].get(answer.item_id, [])
        return list(FindingSerializer(rows, many=True).data)

    def get_missing(self, answer: Answer) -> list[str]:
        return list(self._row(answer).missing)

    def get_accepted(self, answer: Answer) -> bool:
        return answer.is_accepted(self.context["now"])


class AnswerSaveSerializer(Body):
    """The whole answer: what is left out is emptied. ``revision`` is the one that was read."""

    shown = AnswerSerializer

    status = serializers.ChoiceField(Status.choices)
    claims = serializers.DictField(default=dict)
    justification = serializers.CharField(allow_blank=True, default="", max_length=10_000)
    links = serializers.ListField(
        child=serializers.CharField(max_length=2000, allow_blank=True), default=list, max_length=10
    )
    assignee = PersonField(allow_null=True, default=None)
    revision = serializers.IntegerField(min_value=0, max_value=2**31 - 1)


class CommentSerializer(serializers.Serializer[Any]):
    id = serializers.IntegerField()
    body = serializers.CharField()
    by = serializers.CharField(source="by.username")
    at = serializers.DateTimeField()


class CommentCreateSerializer(Body):
    body = serializers.CharField(max_length=10_000)
