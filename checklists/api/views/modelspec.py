from __future__ import annotations

from typing import Any

from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from checklists.api.base import View
from checklists.api.parsers import JSONParser, ModelSpecJSONParser, TextYAMLParser, YAMLParser
from checklists.assessments.services import export_modelspec, import_modelspec
from checklists.registry.models import Release
from checklists.registry.modelspec import SCHEMA


class ConflictSerializer(serializers.Serializer[Any]):
    """The claim ``field`` of ``item`` says ``kept``, the document ``offered``."""

    item = serializers.CharField()
    field = serializers.CharField()
    kept = serializers.JSONField(allow_null=True)
    offered = serializers.JSONField()


class ImportSerializer(serializers.Serializer[Any]):
    """``created``: the release was opened by this document. ``filled``: keys of items that took a claim from it.
    ``ignored``: fields of the document that no claim has a place for."""

    created = serializers.BooleanField()
    filled = serializers.ListField(child=serializers.CharField())
    conflicts = ConflictSerializer(many=True)
    ignored = serializers.ListField(child=serializers.CharField())


PARSERS = (JSONParser, YAMLParser, TextYAMLParser, ModelSpecJSONParser)
MEDIA_TYPES = [parser.media_type for parser in PARSERS]


class ModelSpecDetail(View):
    parser_classes = PARSERS

    @extend_schema(responses={200: OpenApiResponse(SCHEMA, description="A ModelSpec document.")})
    def get(self, request: Request, slug: str, version: str) -> Response:
        """The release as a ModelSpec document (the CNCF model specification's configuration)."""
        return Response(export_modelspec(self.release))

    @extend_schema(request=dict.fromkeys(MEDIA_TYPES, SCHEMA), responses={200: ImportSerializer, 201: ImportSerializer})
    def put(self, request: Request, slug: str, version: str) -> Response:
        """Take a ModelSpec document, as JSON or YAML. Opens the release if there is none of that version.

        Empty claims are filled; an unanswered item becomes ``met`` when all its required claims are there. A claim that
        says something else is kept and listed with both values. Carried-over answers wait for a person.
        """
        model = self.model
        release = Release.objects.filter(model=model, version=version).first()
        self.must(*("answer.save", release) if release else ("release.create", model))
        result = import_modelspec(model=model, version=version, document=request.data, by=self.person)
        return Response(ImportSerializer(result).data, status=201 if result.created else 200)
