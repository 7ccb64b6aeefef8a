from __future__ import annotations

from django.shortcuts import get_object_or_404
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from checklists.api.base import View, created
from checklists.api.idempotency import idempotent
from checklists.api.serializers.endpoints import (
    EndpointChangeSerializer,
    EndpointCreateSerializer,
    EndpointSerializer,
)
from checklists.registry.models import Endpoint
from checklists.registry.services import change_endpoint, create_endpoint, delete_endpoint

NOT_YOURS = "Endpoints are for members of the team, reviewers and auditors."


class EndpointList(View):
    may_forbid_reading = True

    @extend_schema(responses=EndpointSerializer(many=True))
    def get(self, request: Request, slug: str, version: str) -> Response:
        """Where the release can be reached. For members of the team, reviewers and auditors."""
        self.must("endpoint.view", self.release, NOT_YOURS)
        return self.listed(self.release.endpoints.order_by("name"), EndpointSerializer)

    @extend_schema(request=EndpointCreateSerializer, responses={201: EndpointSerializer})
    @idempotent
    def post(self, request: Request, slug: str, version: str) -> Response:
        """Add an endpoint."""
        release = self.release
        self.must("endpoint.change", release)
        endpoint = create_endpoint(release=release, by=self.person, **self.read(EndpointCreateSerializer))
        return created(EndpointSerializer(endpoint).data, f"{release.subject}/endpoints/{endpoint.pk}")


class EndpointDetail(View):
    may_forbid_reading = True

    @extend_schema(responses=EndpointSerializer)
    def get(self, request: Request, slug: str, version: str, id: int) -> Response:
        """One endpoint, without the values of its headers."""
        return Response(EndpointSerializer(self._endpoint(id)).data)

    @extend_schema(request=EndpointChangeSerializer, responses=EndpointSerializer)
    def patch(self, request: Request, slug: str, version: str, id: int) -> Response:
        """Change an endpoint. Headers are replaced as a whole; ``•••`` keeps a value."""
        endpoint = self._endpoint(id)
        self.must("endpoint.change", endpoint)
        self.refuse_change({"id": id})
        changes = self.read(EndpointChangeSerializer, partial=True)
        return Response(EndpointSerializer(change_endpoint(endpoint=endpoint, by=self.person, **changes)).data)

    @extend_schema(responses={204: None})
    def delete(self, request: Request, slug: str, version: str, id: int) -> Response:
        """Remove an endpoint. Its findings stay in the history."""
        delete_endpoint(endpoint=self._endpoint(id), by=self.person)
        return Response(status=204)

    def _endpoint(self, id: int) -> Endpoint:
        endpoint = get_object_or_404(self.release.endpoints, pk=id)
        endpoint.release = self.release
        self.must("endpoint.view", endpoint, NOT_YOURS)
        return endpoint
