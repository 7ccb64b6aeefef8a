from __future__ import annotations

import re
from typing import Any

from django_filters.rest_framework.backends import DjangoFilterBackend
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from checklists.api.base import View
from checklists.api.filters import JournalFilter
from checklists.api.serializers.fields import UsernameField
from checklists.journal.errors import Forbidden
from checklists.journal.models import Event
from checklists.people.rules import can
from checklists.registry.models import Release

OF_RELEASE = re.compile(r"models/(?P<slug>[^/]+)/releases/(?P<version>[^/]+)(?:/.*)?\Z")


class EventSerializer(serializers.Serializer[Any]):
    """``actor`` is null for what Preflight did by itself. ``data`` is null where it tells of endpoints that are
    not for the reader."""

    id = serializers.IntegerField()
    at = serializers.DateTimeField()
    actor = UsernameField("actor")
    verb = serializers.CharField()
    subject = serializers.CharField()
    data = serializers.SerializerMethodField()  # type: ignore[assignment]  # a field's name
    hash = serializers.CharField()

    def get_data(self, event: Event) -> dict[str, Any] | None:
        hidden = event.verb.startswith("registry.endpoint.") and not self.context["may_see_endpoints"]
        return None if hidden else event.data


class JournalList(View):
    filter_backends = (DjangoFilterBackend,)
    filterset_class = JournalFilter
    queryset = Event.objects.none()
    may_forbid_reading = True

    @extend_schema(responses=EventSerializer(many=True))
    def get(self, request: Request) -> Response:
        """What happened, newest first. Auditors and administrators read all of it; with the ``subject`` of a release
        (``models/…/releases/…``), or of a thing in it, so does whoever sees that release."""
        if can(self.person, "journal.read"):
            return self.listed(Event.objects.newest_first(), EventSerializer, may_see_endpoints=True)
        release = self._release(request.query_params.get("subject", "").strip("/"))
        if release is None:
            raise Forbidden("The whole journal is for auditors. Ask with the subject of a release that you can see.")
        may = can(self.person, "endpoint.view", release)
        return self.listed(Event.objects.of_release(release.pk), EventSerializer, may_see_endpoints=may)

    def _release(self, subject: str) -> Release | None:
        """The visible release a subject belongs to."""
        match = OF_RELEASE.match(subject)
        if match is None:
            return None
        seen = Release.objects.visible_to(self.person).select_related("model__team")
        return seen.filter(model__slug=match["slug"], version=match["version"]).first()
