from __future__ import annotations

from django.db.models import Prefetch, QuerySet
from django.shortcuts import get_object_or_404
from django_filters.rest_framework.backends import DjangoFilterBackend
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from checklists.api.base import View, created
from checklists.api.filters import FindingFilter
from checklists.api.idempotency import idempotent
from checklists.api.serializers.evidence import FindingSerializer, ProbeRunSerializer
from checklists.evidence.models import Finding, ProbeRun
from checklists.evidence.services import request_run
from checklists.registry.models import Release


def runs_of(release: Release) -> QuerySet[ProbeRun]:
    findings = Finding.objects.order_by("pk").defer("observation", "detail")
    rows = ProbeRun.objects.filter(release=release).select_related("requested_by")
    return rows.prefetch_related(Prefetch("findings", findings)).order_by("-created_at", "-pk")


class ProbeRunList(View):
    @extend_schema(responses=ProbeRunSerializer(many=True))
    def get(self, request: Request, slug: str, version: str) -> Response:
        """The probe runs of a release, newest first."""
        return self.listed(runs_of(self.release), ProbeRunSerializer)

    @extend_schema(request=None, responses={202: ProbeRunSerializer})
    @idempotent
    def post(self, request: Request, slug: str, version: str) -> Response:
        """Queue a run over all endpoints. While one is queued or running, the answer is that one."""
        release = self.release
        self.must("probe.run", release)
        run = request_run(release=release, by=self.person)
        data = ProbeRunSerializer(runs_of(release).get(pk=run.pk)).data
        return created(data, f"{release.subject}/probe-runs/{run.pk}", status=202)


class ProbeRunDetail(View):
    @extend_schema(responses=ProbeRunSerializer)
    def get(self, request: Request, slug: str, version: str, id: int) -> Response:
        """One run: how far it is, and what it has found so far."""
        return Response(ProbeRunSerializer(get_object_or_404(runs_of(self.release), pk=id)).data)


class FindingList(View):
    filter_backends = (DjangoFilterBackend,)
    filterset_class = FindingFilter
    queryset = Finding.objects.none()

    @extend_schema(responses=FindingSerializer(many=True))
    def get(self, request: Request, slug: str, version: str) -> Response:
        """What stands now: the latest finding of each probe, endpoint and item. Earlier ones are with their runs."""
        rows = Finding.objects.current().filter(release=self.release).defer("observation", "detail")
        return self.listed(rows.order_by("item_key", "endpoint_name", "probe", "pk"), FindingSerializer)
