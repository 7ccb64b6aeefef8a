"""Which sign-offs stand: pure functions over the parties of a release."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from checklists.signoff.models import APPROVING, Party, Submission


@dataclass(frozen=True)
class RoleStanding:
    """One required role: how many must sign, the approvals that stand, what was voided or decided otherwise."""

    role: str
    count: int
    approvals: tuple[Party, ...] = ()
    refusals: tuple[Party, ...] = ()
    voided: tuple[Party, ...] = ()

    @property
    def signed(self) -> int:
        return len(self.approvals)

    @property
    def stands(self) -> bool:
        return self.signed >= self.count and not self.refusals

    @property
    def status(self) -> str:
        """``signed``, ``refused``, ``voided`` or ``waiting``."""
        if self.refusals:
            return "refused"
        if self.stands:
            return "signed"
        return "voided" if self.voided and not self.approvals else "waiting"


@dataclass(frozen=True)
class Standing:
    """All required roles of one submission."""

    roles: tuple[RoleStanding, ...] = field(default_factory=tuple)

    @property
    def complete(self) -> bool:
        return all(role.stands for role in self.roles)

    def of(self, role: str) -> RoleStanding | None:
        return next((each for each in self.roles if each.role == role), None)


def standing_of(
    submission: Submission, parties: Iterable[Party], *, role_digests: Mapping[str, str] | None = None
) -> Standing:
    """Where a submission stands, from all parties of its release (of earlier submissions too).

    An approval stands when it was not voided and its role's digest is still the one asked about (``role_digests``;
    the submission's own unless given). An approval of an earlier submission carries over in the same way, unless its
    signer has become an author of this one. A person counts once a role.
    """
    digests: Mapping[str, Any] = role_digests if role_digests is not None else submission.role_digests
    rows = list(parties)
    authors = {p.user_id for p in rows if p.submission_id == submission.pk and p.part == Party.Part.AUTHOR}
    roles = []
    for need in submission.required:
        role = need["role"]
        approvals: dict[int, Party] = {}
        refusals: list[Party] = []
        voided: list[Party] = []
        for party in rows:
            if party.part != Party.Part.SIGNER or party.role != role:
                continue
            here = party.submission_id == submission.pk
            if party.decision not in APPROVING:
                if here:
                    refusals.append(party)
            elif (
                party.voided_at is None
                and party.role_digest == digests.get(role)
                and (here or party.user_id not in authors)
            ):
                approvals.setdefault(party.user_id, party)
            elif here:
                voided.append(party)
        roles.append(RoleStanding(role, need["count"], tuple(approvals.values()), tuple(refusals), tuple(voided)))
    return Standing(tuple(roles))
