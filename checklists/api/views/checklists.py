from __future__ import annotations

from django.db.models import Prefetch
from django.shortcuts import get_object_or_404
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from checklists.api.base import View
from checklists.api.serializers.catalog import ChecklistSerializer, EditionSerializer
from checklists.catalog.choices import EditionStatus
from checklists.catalog.editions import view as edition_view
from checklists.catalog.models import Checklist, Edition

READABLE = Edition.objects.exclude(status=EditionStatus.DRAFT)
CHECKLISTS = Checklist.objects.order_by("slug").prefetch_related(Prefetch("editions", READABLE.order_by("pk")))


class ChecklistList(View):
    @extend_schema(responses=ChecklistSerializer(many=True))
    def get(self, request: Request) -> Response:
        """The checklists, with their editions."""
        return self.listed(CHECKLISTS.all(), ChecklistSerializer)


class ChecklistDetail(View):
    @extend_schema(responses=ChecklistSerializer)
    def get(self, request: Request, slug: str) -> Response:
        """One checklist, with its editions."""
        return Response(ChecklistSerializer(get_object_or_404(CHECKLISTS.all(), slug=slug)).data)


class EditionDetail(View):
    @extend_schema(responses=EditionSerializer)
    def get(self, request: Request, slug: str, edition: str) -> Response:
        """One edition: what is asked, section by section."""
        row = get_object_or_404(READABLE.select_related("checklist"), checklist__slug=slug, edition=edition)
        seen = edition_view(row)
        facts = {
            "checklist": slug,
            "title": seen.title,
            "description": seen.description,
            "edition": seen.edition,
            "status": row.status,
            "digest": seen.digest,
            "published_at": row.published_at,
            "sections": seen.sections,
        }
        return Response(EditionSerializer(facts).data)
