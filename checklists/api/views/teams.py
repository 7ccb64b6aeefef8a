from __future__ import annotations

from django.shortcuts import get_object_or_404
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from checklists.api.base import View, created
from checklists.api.idempotency import idempotent
from checklists.api.serializers.teams import TeamChangeSerializer, TeamCreateSerializer, TeamSerializer
from checklists.journal.errors import Forbidden
from checklists.people.models import Team, TeamRole
from checklists.people.rules import can
from checklists.people.services import change_team, create_team


class TeamList(View):
    @extend_schema(responses=TeamSerializer(many=True))
    def get(self, request: Request) -> Response:
        """The teams, each after the one above it."""
        return self.listed(Team.objects.in_tree_order(), TeamSerializer)

    @extend_schema(request=TeamCreateSerializer, responses={201: TeamSerializer})
    @idempotent
    def post(self, request: Request) -> Response:
        """Make a team. For administrators, and for owners of the team above."""
        if not (can(self.person, "team.create") or TeamRole.OWNER in self.person.access.own_teams.values()):
            raise Forbidden("Administrators make teams, and owners below their own.")
        team = create_team(by=self.person, **self.read(TeamCreateSerializer))
        return created(TeamSerializer(team).data, f"teams/{team.slug}")


class TeamDetail(View):
    @extend_schema(responses=TeamSerializer)
    def get(self, request: Request, slug: str) -> Response:
        """One team."""
        return Response(TeamSerializer(self._team(slug)).data)

    @extend_schema(request=TeamChangeSerializer, responses=TeamSerializer)
    def patch(self, request: Request, slug: str) -> Response:
        """Rename a team, or hang it below another one."""
        team = self._team(slug)
        self.must("team.change", team)
        self.refuse_change({"slug": slug})
        data = self.read(TeamChangeSerializer, partial=True)
        team = change_team(team=team, by=self.person, move="parent" in data, **data)
        return Response(TeamSerializer(team).data)

    def _team(self, slug: str) -> Team:
        return get_object_or_404(Team.objects.select_related("parent"), slug=slug)
