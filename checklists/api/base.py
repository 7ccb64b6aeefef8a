"""What every view of the API shares: who asks, and the model or release the path is about, if they may see it."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

from django.db.models import QuerySet
from django.http import Http404
from django.shortcuts import get_object_or_404
from rest_framework.exceptions import NotAuthenticated, ParseError, ValidationError
from rest_framework.generics import GenericAPIView
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import BaseSerializer

from checklists.people.models import User
from checklists.people.rules import require
from checklists.registry.models import Model, Release

if TYPE_CHECKING:
    from checklists.api.serializers.fields import Body

LARGEST_ID = 2**63 - 1


def signed_in(request: Request) -> User:
    """Who asks; raises ``NotAuthenticated`` for nobody."""
    if not isinstance(request.user, User):
        raise NotAuthenticated
    return request.user


class View(GenericAPIView[Any]):
    """Signed in by token or session. Invisible things are 404; the services decide what is 403.

    ``may_forbid_reading`` is for the OpenAPI document: GET can answer 403.
    """

    http_method_names = ["get", "post", "put", "patch", "delete", "head"]
    filter_backends: tuple[type[Any], ...] = ()
    may_forbid_reading = False
    nul_is_refused = True

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        # PostgreSQL cannot even be asked about text with NUL.
        if "\x00" in request.path:
            raise Http404
        asked = [text for name, values in request.query_params.lists() for text in (name, *values)]
        if self.nul_is_refused and any("\x00" in text for text in asked):
            raise ParseError("A query parameter holds a NUL character.")
        if any(isinstance(value, int) and value > LARGEST_ID for value in kwargs.values()):
            raise Http404

    @property
    def person(self) -> User:
        """Who asks."""
        return signed_in(self.request)

    @cached_property
    def model(self) -> Model:
        """The visible model of the path."""
        models = Model.objects.visible_to(self.person).select_related("team__parent")
        return get_object_or_404(models, slug=self.kwargs["slug"])

    @cached_property
    def release(self) -> Release:
        """The visible release of the path, with its model, team, edition and stored scorecard."""
        releases = Release.objects.visible_to(self.person).select_related(
            "model__team", "edition__checklist", "scorecard", "carried_over_from"
        )
        return get_object_or_404(releases, model__slug=self.kwargs["slug"], version=self.kwargs["version"])

    def must(self, action: str, obj: Any, message: str = "You may see this, but not do it.") -> None:
        """Refuse (403) before the body is looked at: whoever may not act need not learn what a good body is."""
        require(self.person, action, obj, message=message)

    def read(self, serializer: type[Body], *, partial: bool = False) -> dict[str, Any]:
        """The validated body; ``partial`` for PATCH. Raises ``ValidationError``."""
        filled = serializer(data=self.request.data, partial=partial)
        filled.is_valid(raise_exception=True)
        data: dict[str, Any] = dict(filled.validated_data)
        return data

    def refuse_change(self, fixed: Mapping[str, Any]) -> None:
        """Refuse a body that gives one of these fields another value than it has."""
        sent = self.request.data if isinstance(self.request.data, Mapping) else {}
        errors = {name: ["This cannot be changed."] for name, value in fixed.items() if sent.get(name, value) != value}
        if errors:
            raise ValidationError(errors)

    def listed(self, rows: QuerySet[Any], serializer: type[BaseSerializer[Any]], **context: Any) -> Response:
        """One page of rows, narrowed by the view's filters."""
        page = self.paginate_queryset(self.filter_queryset(rows))
        return self.get_paginated_response(serializer(page, many=True, context=context).data)


def created(data: Any, location: str, *, status: int = 201) -> Response:
    """The answer to a POST that made something; ``location`` is its path in the API, as in the journal."""
    return Response(data, status=status, headers={"Location": f"/api/v1/{location}/"})
