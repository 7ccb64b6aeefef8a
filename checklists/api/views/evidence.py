from __future__ import annotations

from typing import Any

from django.db.models import Prefetch, QuerySet
from django.shortcuts import get_object_or_404
from django_filters.rest_framework.backends import DjangoFilterBackend
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from checklists.api.base import View, created
from checklists.api.filters import FindingFilter
from checklists.api.idempotency import idempotent
from checklists.api.serializers.evidence import (
    CoverageQuery,
    CoverageSerializer,
    FindingDetailSerializer,
    FindingSerializer,
    ProbeRunSerializer,
)
from checklists.api.serializers.fields import Nothing
from checklists.evidence.coverage import coverage
from checklists.evidence.export import NO_ANSWERS, answers_of, as_json
from checklists.evidence.models import Finding, ProbeRun
from checklists.evidence.places import Places
from checklists.evidence.services import request_run
from checklists.evidence.stacks import STACKS
from checklists.people.rules import can
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
        """Queue a run over all endpoints. While one is queued or running, the answer is that one.

        One that the schedule began leaves out what still counts; a whole one follows it.
        """
        release = self.release
        self.must("probe.run", release)
        self.read(Nothing)
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


def _whole(request: Request, release: Release, rows: list[Finding], *, answers: bool = False) -> list[dict[str, Any]]:
    hosts = can(request.user, "endpoint.view", release)
    hidden = None if hosts else Places.of(release)
    return [as_json(row, hidden=hidden, answers=answers_of(row) if hosts and answers else NO_ANSWERS) for row in rows]


class FindingExport(View):
    pagination_class = None  # one piece

    @extend_schema(responses=FindingDetailSerializer(many=True))
    def get(self, request: Request, slug: str, version: str) -> Response:
        """What stands now, whole and in one piece: a file to keep. Without the answers, which each finding has."""
        rows = Finding.objects.current().filter(release=self.release)
        found = list(rows.order_by("item_key", "endpoint_name", "probe", "pk"))
        name = f"findings-{slug}-{version}.json"
        headers = {"Content-Disposition": f'attachment; filename="{name}"'}
        return Response(_whole(request, self.release, found), headers=headers)


class FindingDetail(View):
    @extend_schema(responses=FindingDetailSerializer)
    def get(self, request: Request, slug: str, version: str, id: int) -> Response:
        """One finding with everything needed to dispute it, also one that was replaced since."""
        row = get_object_or_404(Finding, release=self.release, pk=id)
        return Response(_whole(request, self.release, [row], answers=True)[0])


class CoverageDetail(View):
    @extend_schema(parameters=[CoverageQuery], responses=CoverageSerializer)
    def get(self, request: Request) -> Response:
        """Which topics probes can settle on a serving stack, by which probes, and why not the others."""
        query = CoverageQuery(data=request.query_params)
        query.is_valid(raise_exception=True)
        given = {name: query.validated_data[name] for name in ("prometheus", "generation")}
        asked = query.validated_data.get("stack")
        stacks = []
        for stack in [STACKS[asked]] if asked else STACKS.values():
            topics = coverage(stack.key, prometheus=given["prometheus"], may_generate=given["generation"])
            settled = sum(topic.settled for topic in topics)
            stacks.append({"stack": stack.key, "name": stack.label, "settled": settled, "topics": topics})
        return Response(CoverageSerializer({**given, "stacks": stacks}).data)
