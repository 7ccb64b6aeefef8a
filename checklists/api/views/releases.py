from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from checklists.api.base import View, created
from checklists.api.idempotency import idempotent
from checklists.api.serializers.releases import (
    ReleaseChangeSerializer,
    ReleaseCreateSerializer,
    ReleaseDetailSerializer,
    ReleaseSerializer,
)
from checklists.registry.models import Release
from checklists.registry.services import change_release, create_release
from checklists.scorecards.models import Scorecard
from checklists.signoff.snapshots import take_snapshot


def detail(release: Release) -> Any:
    """A release with its stored scorecard, and the digest of its present content."""
    card = Scorecard.objects.filter(release=release).first()
    if card is not None:
        release.scorecard = card  # as of now, whatever was read before the change
    release.digest = take_snapshot(release).digest  # type: ignore[attr-defined]  # only for the serializer
    return ReleaseDetailSerializer(release).data


class ReleaseList(View):
    @extend_schema(responses=ReleaseSerializer(many=True))
    def get(self, request: Request, slug: str) -> Response:
        """The releases of a model, newest first."""
        rows = self.model.releases.select_related("edition__checklist", "scorecard", "carried_over_from")
        return self.listed(rows.order_by("-created_at", "-pk"), ReleaseSerializer)

    @extend_schema(request=ReleaseCreateSerializer, responses={201: ReleaseDetailSerializer})
    @idempotent
    def post(self, request: Request, slug: str) -> Response:
        """Open a release. With ``carry_over_from``, an earlier version, its answers and endpoints come along."""
        model = self.model
        self.must("release.create", model)
        data = self.read(ReleaseCreateSerializer)
        if earlier := data.pop("carry_over_from", None):
            data["carry_over_from"] = model.releases.filter(version=earlier).first()
            if data["carry_over_from"] is None:
                raise ValidationError({"carry_over_from": [f"This model has no release {earlier}."]})
        release = create_release(model=model, by=self.person, **data)
        return created(detail(release), release.subject)


class ReleaseDetail(View):
    @extend_schema(responses=ReleaseDetailSerializer)
    def get(self, request: Request, slug: str, version: str) -> Response:
        """One release."""
        return Response(detail(self.release))

    @extend_schema(request=ReleaseChangeSerializer, responses=ReleaseDetailSerializer)
    def patch(self, request: Request, slug: str, version: str) -> Response:
        """Change a release's facts. Sign-offs that were given for other facts no longer stand."""
        release = self.release
        self.must("release.change", release)
        earlier = release.carried_over_from.version if release.carried_over_from else None
        self.refuse_change({"version": version, "stage": release.stage, "carry_over_from": earlier})
        changes = self.read(ReleaseChangeSerializer, partial=True)
        return Response(detail(change_release(release=release, by=self.person, **changes)))
