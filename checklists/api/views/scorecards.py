from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from checklists.api.base import View
from checklists.api.serializers.fields import DayField
from checklists.api.serializers.scorecards import OverviewSerializer, ScorecardSerializer
from checklists.catalog.editions import view as edition_view
from checklists.scorecards.cards import build_card
from checklists.scorecards.rollups import overview


class ScorecardDetail(View):
    @extend_schema(responses=ScorecardSerializer)
    def get(self, request: Request, slug: str, version: str) -> Response:
        """How ready the release is, at this moment."""
        card = build_card(self.release)
        score = card.score
        titles = {section.key: section.title for section in edition_view(self.release.edition).sections}
        facts = {
            "readiness": score.readiness,
            "mean": score.mean,
            "weakest": score.weakest,
            "sections": [
                {"key": key, "title": titles[key], "score": tally.score, "states": tally.states}
                for key, tally in score.sections.items()
            ],
            "qualities": {key: tally.score for key, tally in score.qualities.items()},
            "blockers": card.blockers,
            "contradictions": card.contradictions,
            "states": score.total.states,
            "computed_at": card.computed_at,
        }
        return Response(ScorecardSerializer(facts).data)


class OverviewQuery(serializers.Serializer[Any]):
    as_of = DayField(required=False, help_text="A day in the past; today unless given.")


class OverviewDetail(View):
    @extend_schema(parameters=[OverviewQuery], responses=OverviewSerializer)
    def get(self, request: Request) -> Response:
        """The organisation, its teams and families, as far as you may see them; ``as_of`` a day in the past."""
        query = OverviewQuery(data=request.query_params.dict())
        query.is_valid(raise_exception=True)
        seen = overview(user=self.person, as_of=query.validated_data.get("as_of"))
        return Response(OverviewSerializer(seen).data)
