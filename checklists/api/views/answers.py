from __future__ import annotations

from collections import defaultdict
from typing import Any

from django.shortcuts import get_object_or_404
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from checklists.api.base import View, created
from checklists.api.idempotency import idempotent
from checklists.api.serializers.answers import (
    AnswerSaveSerializer,
    AnswerSerializer,
    CommentCreateSerializer,
    CommentSerializer,
)
from checklists.assessments.models import Answer, Comment
from checklists.assessments.services import add_comment, save_answer
from checklists.evidence.models import Finding
from checklists.journal.errors import Conflict
from checklists.registry.models import Release
from checklists.scorecards.cards import build_card


def context(release: Release) -> dict[str, Any]:
    """What answers of this release need to be shown: its card and current findings, by item (four queries)."""
    findings = list(Finding.objects.current().filter(release=release).defer("observation", "detail").order_by("pk"))
    by_item: dict[int | None, list[Finding]] = defaultdict(list)
    for finding in findings:
        by_item[finding.item_id].append(finding)
    card = build_card(release, findings=findings)
    return {"card": {row.item.id: row for row in card.items}, "findings": by_item, "now": card.computed_at}


class AnswerView(View):
    def answer(self, item_key: str) -> Answer:
        rows = Answer.objects.filter(release=self.release).with_people().select_related("item")
        answer = get_object_or_404(rows, item__key=item_key)
        answer.release = self.release
        return answer


class AnswerList(View):
    @extend_schema(responses=AnswerSerializer(many=True))
    def get(self, request: Request, slug: str, version: str) -> Response:
        """The answers to all items that apply to the model's family, in the order of the checklist."""
        rows = Answer.objects.filter(release=self.release).with_people().order_by("item__position")
        return self.listed(rows, AnswerSerializer, **context(self.release))


class AnswerDetail(AnswerView):
    @extend_schema(responses=AnswerSerializer)
    def get(self, request: Request, slug: str, version: str, item_key: str) -> Response:
        """One answer."""
        answer = self.answer(item_key)
        return Response(AnswerSerializer(answer, context=context(self.release)).data)

    @extend_schema(request=AnswerSaveSerializer, responses=AnswerSerializer)
    def put(self, request: Request, slug: str, version: str, item_key: str) -> Response:
        """Save an answer. A revision that is not the present one gives 409, with the present answer as ``current``."""
        answer = self.answer(item_key)
        self.must("answer.save", answer, "Only owners and contributors of the team can answer.")
        self.refuse_change({"item": item_key})
        try:
            saved = save_answer(answer=answer, by=self.person, **self.read(AnswerSaveSerializer))
        except Conflict as conflict:
            current = AnswerSerializer(self.answer(item_key), context=context(self.release)).data
            raise Conflict(conflict.message, current=dict(current)) from conflict
        return Response(AnswerSerializer(saved, context=context(self.release)).data)


class CommentList(AnswerView):
    @extend_schema(responses=CommentSerializer(many=True))
    def get(self, request: Request, slug: str, version: str, item_key: str) -> Response:
        """What was said about an answer, oldest first."""
        rows = Comment.objects.filter(answer=self.answer(item_key)).select_related("by").order_by("at", "pk")
        return self.listed(rows, CommentSerializer)

    @extend_schema(request=CommentCreateSerializer, responses={201: CommentSerializer})
    @idempotent
    def post(self, request: Request, slug: str, version: str, item_key: str) -> Response:
        """Say something. For members of the team and reviewers."""
        answer = self.answer(item_key)
        self.must("comment.create", answer)
        comment = add_comment(answer=answer, by=self.person, **self.read(CommentCreateSerializer))
        return created(CommentSerializer(comment).data, f"{self.release.subject}/answers/{item_key}/comments")
