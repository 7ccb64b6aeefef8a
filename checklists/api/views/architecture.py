from __future__ import annotations

from collections.abc import Mapping
from typing import IO, Any

from django.http import Http404
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.parsers import BaseParser
from rest_framework.request import Request
from rest_framework.response import Response

from checklists.api.base import View
from checklists.api.parsers import read
from checklists.evidence.capacity import kept_bits
from checklists.registry import architecture
from checklists.registry.models import Release
from checklists.registry.services import clear_architecture, set_architecture

CONFIG = {"type": "object", "description": "A Hugging Face config.json.", "additionalProperties": True}
BF16 = 16


class ArchitectureSerializer(serializers.Serializer[Any]):
    """The shape of the model, and what is kept of its ``config.json``. ``parameters`` is null where the family's cannot
    be counted from it; ``cache_bytes_per_token`` is for keys and values in BF16, before any sliding window is full."""

    family = serializers.CharField(allow_blank=True)
    layers = serializers.IntegerField()
    attention_heads = serializers.IntegerField()
    kv_heads = serializers.IntegerField()
    parameters = serializers.IntegerField(allow_null=True)
    context_tokens = serializers.IntegerField(allow_null=True)
    cache_bytes_per_token = serializers.IntegerField()
    config = serializers.JSONField()


def shown(release: Release) -> dict[str, Any]:
    if release.architecture is None:
        raise Http404
    found = architecture.shape(release.architecture)
    return {
        "family": found.family,
        "layers": found.layers,
        "attention_heads": found.heads,
        "kv_heads": found.kv_heads,
        "parameters": found.parameters if found.counted else None,
        "context_tokens": found.context,
        "cache_bytes_per_token": int(kept_bits(found.cache, 1, BF16)) // 8,
        "config": release.architecture,
    }


class DocumentParser(BaseParser):
    """The document as it came; what reads it knows its own limits."""

    media_type = "application/json"

    def parse(
        self, stream: IO[bytes], media_type: str | None = None, parser_context: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        return {"document": read(stream, architecture.MAX_BYTES).encode()}


class ArchitectureDetail(View):
    parser_classes = (DocumentParser,)

    @extend_schema(responses=ArchitectureSerializer)
    def get(self, request: Request, slug: str, version: str) -> Response:
        """The shape of the release's model; 404 if no ``config.json`` is on file."""
        return Response(ArchitectureSerializer(shown(self.release)).data)

    @extend_schema(request={"application/json": CONFIG}, responses=ArchitectureSerializer)
    def put(self, request: Request, slug: str, version: str) -> Response:
        """Put the model's ``config.json`` on file. What cannot hold on the GPUs claimed is contradicted at once."""
        self.must("release.change", self.release)
        document = dict(request.data).get("document", b"")  # no body, no parser
        release = set_architecture(release=self.release, document=document, by=self.person)
        return Response(ArchitectureSerializer(shown(release)).data)

    @extend_schema(responses={204: None})
    def delete(self, request: Request, slug: str, version: str) -> Response:
        """Take the model's ``config.json`` off file."""
        clear_architecture(release=self.release, by=self.person)
        return Response(status=204)
