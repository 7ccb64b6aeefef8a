from __future__ import annotations

from typing import Any

from django.shortcuts import get_object_or_404
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from checklists.api.base import View, created
from checklists.api.idempotency import idempotent
from checklists.api.serializers.submissions import (
    SignOffCreateSerializer,
    SignOffSerializer,
    SubmissionCreateSerializer,
    SubmissionSerializer,
)
from checklists.people.rules import can
from checklists.signoff.models import Party, Submission
from checklists.signoff.services import sign, submit


class SubmissionView(View):
    def context(self) -> dict[str, Any]:
        parties = Party.objects.filter(submission__release=self.release).select_related("user")
        return {
            "parties": list(parties.prefetch_related("conditions").order_by("signed_at", "pk")),
            "may_see_endpoints": can(self.person, "endpoint.view", self.release),
        }

    def submission(self, number: int) -> Submission:
        rows = self.release.submissions.select_related("submitted_by")
        submission = get_object_or_404(rows, number=number)
        submission.release = self.release
        return submission


class SubmissionList(SubmissionView):
    @extend_schema(responses=SubmissionSerializer(many=True))
    def get(self, request: Request, slug: str, version: str) -> Response:
        """The submissions of a release, newest first."""
        rows = self.release.submissions.select_related("submitted_by").order_by("-number")
        return self.listed(rows, SubmissionSerializer, **self.context())

    @extend_schema(request=SubmissionCreateSerializer, responses={201: SubmissionSerializer})
    @idempotent
    def post(self, request: Request, slug: str, version: str) -> Response:
        """Freeze the release and ask for signatures. 409 with ``reasons`` while must items are open or contradicted."""
        release = self.release
        self.must("submission.create", release)
        submission = submit(release=release, by=self.person, **self.read(SubmissionCreateSerializer))
        data = SubmissionSerializer(self.submission(submission.number), context=self.context()).data
        return created(data, submission.subject)


class SubmissionDetail(SubmissionView):
    @extend_schema(responses=SubmissionSerializer)
    def get(self, request: Request, slug: str, version: str, number: int) -> Response:
        """One submission: what was frozen, and who has signed."""
        return Response(SubmissionSerializer(self.submission(number), context=self.context()).data)


class SignOffCreate(SubmissionView):
    @extend_schema(request=SignOffCreateSerializer, responses={201: SignOffSerializer})
    @idempotent
    def post(self, request: Request, slug: str, version: str, number: int) -> Response:
        """Decide as one role on exactly what was submitted. Nobody signs what they submitted or answered, nor twice."""
        submission = self.submission(number)
        self.must("submission.sign", submission, "Only reviewers sign.")
        signed = sign(submission=submission, by=self.person, **self.read(SignOffCreateSerializer))
        return created(SignOffSerializer(signed).data, submission.subject)
