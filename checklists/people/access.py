"""What one person may do, gathered from the database once."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from checklists.people.models import Membership, OrganisationRole, RoleGrant, Team, TeamRole

if TYPE_CHECKING:
    from checklists.people.models import User

REVIEWER_ROLES = (OrganisationRole.MLOPS.value, OrganisationRole.SECURITY.value, OrganisationRole.SRE.value)
# They see restricted models too.
READ_EVERYTHING = (*REVIEWER_ROLES, OrganisationRole.AUDITOR.value, OrganisationRole.ADMINISTRATOR.value)
_RANK = {TeamRole.VIEWER.value: 1, TeamRole.CONTRIBUTOR.value: 2, TeamRole.OWNER.value: 3}


@dataclass(frozen=True)
class Access:
    """Organisation roles, and the role in each team where the person was made a member (``own_teams``: id → role)."""

    roles: frozenset[str] = frozenset()
    own_teams: dict[int, str] = field(default_factory=dict)
    own_paths: dict[str, str] = field(default_factory=dict)

    def team_role(self, team: Team) -> str | None:
        """The strongest role in a team, inherited from the teams above it."""
        held = [self.own_teams[pk] for pk in team.ancestor_ids if pk in self.own_teams]
        return max(held, key=_RANK.__getitem__, default=None)

    def has(self, *roles: str) -> bool:
        return not self.roles.isdisjoint(roles)

    @property
    def reviewer_roles(self) -> list[str]:
        return [role for role in REVIEWER_ROLES if role in self.roles]

    @property
    def reads_everything(self) -> bool:
        """Reviewers, auditors and administrators see restricted models too."""
        return self.has(*READ_EVERYTHING)

    @property
    def writes_somewhere(self) -> bool:
        return self.has(OrganisationRole.ADMINISTRATOR) or any(r != TeamRole.VIEWER for r in self.own_teams.values())


NOBODY = Access()


def read_access(user: User) -> Access:
    """Two queries. An inactive person holds nothing."""
    if not user.is_active:
        return NOBODY
    memberships = list(Membership.objects.filter(user=user).select_related("team"))
    return Access(
        roles=frozenset(RoleGrant.objects.filter(user=user).values_list("role", flat=True)),
        own_teams={m.team_id: m.role for m in memberships},
        own_paths={m.team.path: m.role for m in memberships},
    )
