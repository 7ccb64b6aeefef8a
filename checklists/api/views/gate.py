from __future__ import annotations

from typing import Any

from django.conf import settings
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from checklists.api.base import View
from checklists.signoff.gate import check


class ReasonSerializer(serializers.Serializer[Any]):
    """``code`` for machines, ``text`` for people, ``url`` of the page where it can be mended."""

    code = serializers.CharField()
    text = serializers.CharField()
    url = serializers.URLField()


class GateSerializer(serializers.Serializer[Any]):
    """``allow`` only when there is no reason against it. ``digest`` and ``readiness`` are those of this moment."""

    allow = serializers.BooleanField()
    reasons = ReasonSerializer(many=True)
    readiness = serializers.IntegerField(allow_null=True)
    digest = serializers.CharField(allow_null=True)
    checked_at = serializers.DateTimeField()


class GateQuery(serializers.Serializer[Any]):
    """For the OpenAPI document; the gate itself takes anything, and denies what it does not know."""

    model = serializers.CharField(required=False, help_text="The model's slug.")
    version = serializers.CharField(required=False, help_text="The release's version.")
    artifact_digest = serializers.CharField(required=False, help_text="The digest of what is about to go out.")


class Gate(View):
    nul_is_refused = False  # the gate denies, it does not fail

    @extend_schema(parameters=[GateQuery], responses=GateSerializer)
    def get(self, request: Request) -> Response:
        """May this release go out? 200 with every reason against it; what is unknown or missing is denied."""
        names = ("model", "version", "artifact_digest")
        asked = {name: request.query_params.get(name, "").replace("\x00", "\ufffd") for name in names}
        decision = check(
            model=asked["model"], version=asked["version"], artifact_digest=asked["artifact_digest"], by=self.person
        )
        reasons = [{"code": r.code, "text": r.text, "url": f"{settings.BASE_URL}{r.path}"} for r in decision.reasons]
        facts = {
            "allow": decision.allow,
            "reasons": reasons,
            "readiness": decision.readiness,
            "digest": decision.digest,
            "checked_at": decision.checked_at,
        }
        return Response(GateSerializer(facts).data)
