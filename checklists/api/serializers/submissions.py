from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from checklists.api.serializers.fields import HEX_DIGEST, Body, DayField
from checklists.signoff.models import Decision, Outcome, Party, Role, Submission
from checklists.signoff.standing import standing_of


class ConditionSerializer(serializers.Serializer[Any]):
    text = serializers.CharField()
    due_on = serializers.DateField()
    done_at = serializers.DateTimeField(allow_null=True)


class SignOffSerializer(serializers.Serializer[Any]):
    """``stands`` turns false when what the role owns changed afterwards; ``void_reason`` says what."""

    role = serializers.ChoiceField(Role.choices)
    decision = serializers.ChoiceField(Decision.choices)
    by = serializers.CharField(source="user.username")
    comment = serializers.CharField(allow_blank=True)
    conditions = ConditionSerializer(many=True)
    accepted_items = serializers.ListField(child=serializers.CharField())
    flagged_items = serializers.SerializerMethodField()
    signed_at = serializers.DateTimeField()
    stands = serializers.SerializerMethodField()
    void_reason = serializers.CharField(allow_blank=True)

    def get_flagged_items(self, party: Party) -> list[str]:
        return sorted(party.flagged_items)

    def get_stands(self, party: Party) -> bool:
        return party.voided_at is None


class RequiredSerializer(serializers.Serializer[Any]):
    """One role on the route: how many must sign, how many have, and whether that is enough and still counts."""

    role = serializers.ChoiceField(Role.choices)
    count = serializers.IntegerField()
    signed = serializers.IntegerField()
    stands = serializers.BooleanField()


class SubmissionSerializer(serializers.Serializer[Any]):
    """The context holds ``parties`` (all of the release) and ``may_see_endpoints``.

    ``snapshot`` is the frozen content that ``digest`` is the SHA-256 of; null for whoever may not see endpoints, which
    are part of it.
    """

    number = serializers.IntegerField()
    digest = serializers.CharField(help_text=HEX_DIGEST)
    outcome = serializers.ChoiceField(Outcome.choices)
    note = serializers.CharField(allow_blank=True)
    submitted_by = serializers.CharField(source="submitted_by.username")
    submitted_at = serializers.DateTimeField()
    due_at = serializers.DateTimeField()
    decided_at = serializers.DateTimeField(allow_null=True)
    approved_until = serializers.DateTimeField(allow_null=True)
    readiness = serializers.IntegerField(allow_null=True)
    required = serializers.SerializerMethodField()  # type: ignore[assignment]  # a field's name
    signoffs = serializers.SerializerMethodField()
    snapshot = serializers.SerializerMethodField()

    @extend_schema_field(RequiredSerializer(many=True))
    def get_required(self, submission: Submission) -> list[dict[str, Any]]:
        roles = standing_of(submission, self.context["parties"]).roles
        return [{"role": r.role, "count": r.count, "signed": r.signed, "stands": r.stands} for r in roles]

    @extend_schema_field(SignOffSerializer(many=True))
    def get_signoffs(self, submission: Submission) -> list[dict[str, Any]]:
        mine = [
            party
            for party in self.context["parties"]
            if party.submission_id == submission.pk and party.part == Party.Part.SIGNER
        ]
        return list(SignOffSerializer(mine, many=True).data)

    def get_snapshot(self, submission: Submission) -> dict[str, Any] | None:
        return submission.snapshot if self.context["may_see_endpoints"] else None


class SubmissionCreateSerializer(Body):
    note = serializers.CharField(max_length=4000, allow_blank=True, default="")


class ConditionCreateSerializer(Body):
    text = serializers.CharField(max_length=1000)
    due_on = DayField()


class SignOffCreateSerializer(Body):
    """Conditions belong to ``approve_with_conditions``; items are keys of items that the role owns."""

    role = serializers.ChoiceField(Role.choices)
    decision = serializers.ChoiceField(Decision.choices)
    comment = serializers.CharField(max_length=10_000, allow_blank=True, default="")
    conditions: serializers.ListSerializer[Any] = serializers.ListSerializer(
        child=ConditionCreateSerializer(), required=False, max_length=20
    )
    accepted_items = serializers.ListField(child=serializers.CharField(max_length=80), default=list, max_length=200)
    flagged_items = serializers.ListField(child=serializers.CharField(max_length=80), default=list, max_length=200)
