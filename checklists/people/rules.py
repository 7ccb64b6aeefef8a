"""Who may do what: one table, one question. The web, the API and the services all ask ``can``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from checklists.journal.errors import Forbidden
from checklists.people.access import NOBODY, Access
from checklists.people.models import OrganisationRole, Team, TeamRole, User

WRITERS = (TeamRole.OWNER, TeamRole.CONTRIBUTOR)


def team_of(obj: Any) -> Team | None:
    """The team an object belongs to: itself, or along ``team``, ``model``, ``release``, ``answer``, ``submission``."""
    if isinstance(obj, Team):
        return obj
    for step in ("team", "model", "release", "answer", "submission"):
        if (up := getattr(obj, step, None)) is not None:
            return team_of(up)
    return None


def _administrator(access: Access, obj: Any) -> bool:
    return access.has(OrganisationRole.ADMINISTRATOR)


def _anyone(access: Access, obj: Any) -> bool:
    return True


def _writer(access: Access, obj: Any) -> bool:
    team = team_of(obj)
    return _administrator(access, obj) or (team is not None and access.team_role(team) in WRITERS)


def _owner(access: Access, obj: Any) -> bool:
    team = team_of(obj)
    return _administrator(access, obj) or (team is not None and access.team_role(team) == TeamRole.OWNER)


def _member(access: Access, obj: Any) -> bool:
    team = team_of(obj)
    return _administrator(access, obj) or (team is not None and access.team_role(team) is not None)


def _reviewer(access: Access, obj: Any) -> bool:
    return bool(access.reviewer_roles)


def _sees(access: Access, obj: Any) -> bool:
    """A restricted model, and all that hangs on it, is for its team, reviewers, auditors and administrators."""
    model = obj
    while model is not None and not hasattr(model, "restricted"):
        model = next(
            (up for step in ("model", "release", "answer", "submission") if (up := getattr(model, step, None))), None
        )
    if model is None or not model.restricted or access.reads_everything:
        return True
    return access.team_role(model.team) is not None


def _any(*rules: Callable[[Access, Any], bool]) -> Callable[[Access, Any], bool]:
    return lambda access, obj: any(rule(access, obj) for rule in rules)


def _owning_role(access: Access, obj: Any) -> bool:
    """The reviewer role that owns the item the object is about."""
    return obj.item.role in access.roles


# action → who may. Every action but the first group also needs the object to be visible.
RULES: dict[str, Callable[[Access, Any], bool]] = {
    "catalog.view": _anyone,
    "catalog.publish": lambda access, obj: access.has(
        OrganisationRole.CATALOG_MAINTAINER, OrganisationRole.ADMINISTRATOR
    ),
    "overview.view": _anyone,
    "team.view": _anyone,
    "model.view": _sees,
    "release.view": _sees,
    "team.create": _any(_administrator, _owner),  # object: the parent team, or None at the root
    "team.change": _owner,
    "membership.change": _owner,
    "model.create": _writer,  # object: the team it will belong to
    "model.change": _writer,
    "model.restrict": _owner,
    "release.create": _writer,
    "release.change": _writer,
    "endpoint.view": _any(_member, _reviewer, lambda access, obj: access.has(OrganisationRole.AUDITOR)),
    "endpoint.change": _writer,
    "answer.save": _writer,
    "comment.create": _any(_writer, _member, _reviewer),
    "probe.run": _any(_writer, _reviewer),
    "submission.create": _writer,
    "submission.sign": _reviewer,
    "waiver.request": _writer,
    "waiver.decide": _owning_role,
    "release.launch": _owner,
    "journal.read": lambda access, obj: access.has(OrganisationRole.AUDITOR, OrganisationRole.ADMINISTRATOR),
    "settings.change": _administrator,
    "policy.change": _administrator,
    "route.change": _administrator,
    "role.grant": _administrator,
    "user.create": _administrator,
}


def can(user: Any, action: str, obj: Any = None) -> bool:
    """May this person do this to this object? Unknown actions are a programming error (``KeyError``)."""
    rule = RULES[action]
    if not getattr(user, "is_authenticated", False):
        return False
    access: Access = user.access if isinstance(user, User) else NOBODY
    return (isinstance(user, User) and user.is_active) and _sees(access, obj) and rule(access, obj)


def require(user: Any, action: str, obj: Any = None, *, message: str = "You may see this, but not change it.") -> None:
    """Raise ``Forbidden`` unless ``can``."""
    if not can(user, action, obj):
        raise Forbidden(message)
