from __future__ import annotations

from django_filters.rest_framework.backends import DjangoFilterBackend
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from checklists.api.base import View, created
from checklists.api.filters import ModelFilter
from checklists.api.idempotency import idempotent
from checklists.api.serializers.models import ModelChangeSerializer, ModelCreateSerializer, ModelSerializer
from checklists.journal.errors import Forbidden
from checklists.registry.models import Model
from checklists.registry.services import change_model, create_model


class ModelList(View):
    filter_backends = (DjangoFilterBackend,)
    filterset_class = ModelFilter
    queryset = Model.objects.none()

    @extend_schema(responses=ModelSerializer(many=True))
    def get(self, request: Request) -> Response:
        """The models you may see."""
        rows = Model.objects.visible_to(self.person).select_related("team").order_by("slug")
        return self.listed(rows, ModelSerializer)

    @extend_schema(request=ModelCreateSerializer, responses={201: ModelSerializer})
    @idempotent
    def post(self, request: Request) -> Response:
        """Register a model. For owners and contributors of its team."""
        if not self.person.access.writes_somewhere:
            raise Forbidden("Only owners and contributors of a team can register a model for it.")
        model = create_model(by=self.person, **self.read(ModelCreateSerializer))
        return created(ModelSerializer(model).data, model.subject)


class ModelDetail(View):
    @extend_schema(responses=ModelSerializer)
    def get(self, request: Request, slug: str) -> Response:
        """One model."""
        return Response(ModelSerializer(self.model).data)

    @extend_schema(request=ModelChangeSerializer, responses=ModelSerializer)
    def patch(self, request: Request, slug: str) -> Response:
        """Change a model. Its slug stays, and its family once there is a release."""
        model = self.model
        self.must("model.change", model)
        self.refuse_change({"slug": slug})
        model = change_model(model=model, by=self.person, **self.read(ModelChangeSerializer, partial=True))
        return Response(ModelSerializer(model).data)
