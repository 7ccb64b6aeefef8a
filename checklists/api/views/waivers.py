from __future__ import annotations

from django.shortcuts import get_object_or_404
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from checklists.api.base import View, created
from checklists.api.idempotency import idempotent
from checklists.api.serializers.waivers import WaiverDecisionSerializer, WaiverRequestSerializer, WaiverSerializer
from checklists.assessments.services import decide_waiver, request_waiver

PEOPLE = ("item", "requested_by", "decided_by")


class WaiverList(View):
    @extend_schema(responses=WaiverSerializer(many=True))
    def get(self, request: Request, slug: str, version: str) -> Response:
        """The waivers of a release, newest first."""
        rows = self.release.waivers.select_related(*PEOPLE).order_by("-requested_at", "-pk")
        return self.listed(rows, WaiverSerializer)

    @extend_schema(request=WaiverRequestSerializer, responses={201: WaiverSerializer})
    @idempotent
    def post(self, request: Request, slug: str, version: str) -> Response:
        """Ask for a dated exception from one item."""
        release = self.release
        self.must("waiver.request", release)
        data = self.read(WaiverRequestSerializer)
        waiver = request_waiver(release=release, item_key=data.pop("item"), by=self.person, **data)
        return created(WaiverSerializer(waiver).data, f"{release.subject}/waivers")


class WaiverDecision(View):
    @extend_schema(request=WaiverDecisionSerializer, responses={200: WaiverSerializer})
    @idempotent
    def post(self, request: Request, slug: str, version: str, id: int) -> Response:
        """Approve, decline or revoke. For reviewers of the role that owns the item, never for one's own request."""
        waiver = get_object_or_404(self.release.waivers.select_related(*PEOPLE), pk=id)
        waiver.release = self.release
        self.must("waiver.decide", waiver, "Only a reviewer of the role that owns the item can decide this waiver.")
        waiver = decide_waiver(waiver=waiver, by=self.person, **self.read(WaiverDecisionSerializer))
        return Response(WaiverSerializer(waiver).data)
