from __future__ import annotations

import hashlib
import secrets
from datetime import datetime, timedelta

from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils import timezone

from checklists import journal
from checklists.journal.errors import Conflict, Forbidden, Invalid
from checklists.people.models import (
    Membership,
    OrganisationRole,
    RoleGrant,
    SetupToken,
    Team,
    TeamRole,
    Token,
    User,
)
from checklists.people.rules import require

TOKEN_PREFIX = "pf_"  # noqa: S105  # the public part, by which scanners recognise a leaked token
TOKEN_DAYS = 365


def hash_secret(secret: str) -> str:
    """SHA-256: enough for secrets of 256 random bits, which nobody can guess however fast the hash."""
    return hashlib.sha256(secret.encode()).hexdigest()


# Tokens


@transaction.atomic
def create_token(*, user: User, name: str, days: int | None = TOKEN_DAYS, by: User | None = None) -> tuple[Token, str]:
    """A new API token; the second value is the secret, which is never to be had again. ``days`` None: no end."""
    if days is not None and not 1 <= days <= 3650:
        raise Invalid("A token lasts between 1 and 3,650 days.", errors={"days": ["Between 1 and 3,650."]})
    secret = TOKEN_PREFIX + secrets.token_urlsafe(32)
    now = timezone.now()
    token = Token.objects.create(
        user=user,
        name=name.strip()[:80] or "Token",
        prefix=secret[:8],
        hash=hash_secret(secret),
        created_at=now,
        expires_at=now + timedelta(days=days) if days is not None else None,
    )
    journal.record(
        verb="people.token.created",
        actor=by or user,
        subject=f"users/{user.username}/tokens/{token.pk}",
        data={"name": token.name, "prefix": token.prefix},
    )
    return token, secret


@transaction.atomic
def revoke_token(*, token: Token, by: User) -> None:
    """Ends a token at once. Its owner and administrators may."""
    if token.user_id != by.pk:
        require(by, "settings.change")
    if token.revoked_at is None:
        token.revoked_at = timezone.now()
        token.save(update_fields=["revoked_at"])
        journal.record(verb="people.token.revoked", actor=by, subject=f"users/{token.user.username}/tokens/{token.pk}")


def authenticate_token(secret: str) -> Token | None:
    """The usable token with this secret, with its user; remembers its use, to the minute."""
    now = timezone.now()
    token = Token.objects.usable(now).select_related("user").filter(hash=hash_secret(secret)).first()
    if token and (token.last_used_at is None or now - token.last_used_at > timedelta(minutes=1)):
        Token.objects.filter(pk=token.pk).update(last_used_at=now)
        token.last_used_at = now
    return token


# Teams


def _check_team(team: Team, message: str) -> None:
    try:
        team.full_clean(exclude=["parent", "path"])
    except ValidationError as error:
        raise Invalid(message, errors=error.message_dict) from error


@transaction.atomic
def create_team(*, slug: str, name: str, parent: Team | None = None, by: User | None = None) -> Team:
    """``by`` None is for set-up by command. Raises ``Invalid`` for a bad or taken slug."""
    if by is not None:
        require(by, "team.create", parent)
    team = Team(slug=slug, name=name.strip(), parent=parent)
    if Team.objects.filter(slug=slug).exists():
        raise Invalid("The team was not created.", errors={"slug": ["A team with this slug exists already."]})
    _check_team(team, "The team was not created.")
    team.save()
    team.path = f"{parent.path if parent else '/'}{team.pk:07d}/"
    if len(team.ancestor_ids) > 8:
        raise Invalid("The team was not created.", errors={"parent": ["Teams nest at most eight deep."]})
    team.save(update_fields=["path"])
    journal.record(
        verb="people.team.created",
        actor=by,
        subject=f"teams/{slug}",
        data={"name": name, "parent": parent.slug if parent else None},
    )
    return team


@transaction.atomic
def change_team(
    *, team: Team, by: User, name: str | None = None, parent: Team | None = None, move: bool = False
) -> Team:
    """Rename a team, and with ``move`` hang it under another parent (None: to the root) with all that is below it."""
    require(by, "team.change", team)
    team = Team.objects.select_for_update().get(pk=team.pk)
    data: dict[str, str | None] = {}
    if name is not None and name != team.name:
        data["name"] = team.name = name.strip()
        _check_team(team, "The team was not changed.")
    if move and (parent.pk if parent else None) != team.parent_id:
        require(by, "team.create", parent)
        if parent and parent.path.startswith(team.path):
            raise Invalid("The team was not moved.", errors={"parent": ["A team cannot hang below itself."]})
        old, new = team.path, f"{parent.path if parent else '/'}{team.pk:07d}/"
        branch = list(Team.objects.branch(team))
        for each in branch:
            each.path = new + each.path.removeprefix(old)
            if len(each.ancestor_ids) > 8:
                raise Invalid("The team was not moved.", errors={"parent": ["Teams nest at most eight deep."]})
        Team.objects.bulk_update(branch, ["path"])
        team.path, team.parent = new, parent
        data["parent"] = parent.slug if parent else None
    if data:
        team.save()
        journal.record(verb="people.team.changed", actor=by, subject=f"teams/{team.slug}", data=data)
    return team


@transaction.atomic
def set_membership(*, team: Team, user: User, role: str | None, by: User | None = None) -> None:
    """Give a person a role in a team, or take it away (``role`` None)."""
    if by is not None:
        require(by, "membership.change", team)
    if role is None:
        Membership.objects.filter(team=team, user=user).delete()
    elif role not in TeamRole.values:
        raise Invalid("The membership was not changed.", errors={"role": [f"One of {', '.join(TeamRole.values)}."]})
    else:
        Membership.objects.update_or_create(team=team, user=user, defaults={"role": role})
    user.__dict__.pop("access", None)
    journal.record(
        verb="people.membership.changed",
        actor=by,
        subject=f"teams/{team.slug}/members/{user.username}",
        data={"role": role},
    )


# People and their roles


@transaction.atomic
def create_user(
    *, username: str, password: str | None, name: str = "", email: str = "", by: User | None = None
) -> User:
    """A new person. Without a password they come in through single sign-on only. Raises ``Invalid``."""
    if by is not None:
        require(by, "user.create")
    user = User(username=username, name=name.strip(), email=email)
    if User.objects.filter(username__iexact=username).exists():
        raise Invalid("The person was not added.", errors={"username": ["This name is taken."]})
    try:
        if password is not None:
            validate_password(password, user)
    except ValidationError as error:
        raise Invalid("The person was not added.", errors={"password": error.messages}) from error
    user.set_password(password)
    try:
        user.full_clean(exclude=["password"])
    except ValidationError as error:
        raise Invalid("The person was not added.", errors=error.message_dict) from error
    user.save()
    journal.record(verb="people.user.created", actor=by, subject=f"users/{username}", data={"name": user.name})
    return user


@transaction.atomic
def change_user(
    *, user: User, by: User, name: str | None = None, email: str | None = None, is_active: bool | None = None
) -> User:
    """Change what is given: one's own name and email; administrators anybody's, and whether they may sign in."""
    if user.pk != by.pk or is_active is not None:
        require(by, "user.create", message="Only an administrator can change somebody else's account.")
    new = {"name": name and name.strip(), "email": email, "is_active": is_active}
    changed = {field: value for field, value in new.items() if value is not None and value != getattr(user, field)}
    for field, value in changed.items():
        setattr(user, field, value)
    if changed:
        user.save(update_fields=list(changed))
        # The address itself stays out of the journal, which is never erased.
        data = {field: value for field, value in changed.items() if field != "email"} | {"changed": sorted(changed)}
        journal.record(verb="people.user.changed", actor=by, subject=f"users/{user.username}", data=data)
    return user


@transaction.atomic
def set_role(*, user: User, role: str, granted: bool, by: User | None = None) -> None:
    """Grant or take an organisation role. The last administrator cannot be taken away."""
    if by is not None:
        require(by, "role.grant")
    if role not in OrganisationRole.values:
        raise Invalid("The role was not changed.", errors={"role": [f"One of {', '.join(OrganisationRole.values)}."]})
    if granted:
        _, changed = RoleGrant.objects.get_or_create(user=user, role=role)
    else:
        others = RoleGrant.objects.select_for_update().filter(role=role).exclude(user=user)
        if role == OrganisationRole.ADMINISTRATOR and not others:
            raise Invalid(
                "The role was not taken away: somebody must be administrator. Grant it to another person first."
            )
        changed = bool(RoleGrant.objects.filter(user=user, role=role).delete()[0])
    user.__dict__.pop("access", None)
    if changed:
        verb = "people.role.granted" if granted else "people.role.taken"
        journal.record(verb=verb, actor=by, subject=f"users/{user.username}", data={"role": role})


def create_setup_link() -> str | None:
    """The path of a fresh one-time link for the first administrator, or None when there is one. Older links end."""
    if RoleGrant.objects.filter(role=OrganisationRole.ADMINISTRATOR).exists():
        return None
    secret = secrets.token_urlsafe(32)
    with transaction.atomic():
        SetupToken.objects.all().delete()
        SetupToken.objects.create(hash=hash_secret(secret), created_at=timezone.now())
    return f"/setup/{secret}/"


def setup_token(secret: str, *, now: datetime | None = None) -> SetupToken | None:
    """The unused setup token with this secret, for one day."""
    since = (now or timezone.now()) - timedelta(days=1)
    return SetupToken.objects.filter(hash=hash_secret(secret), used_at=None, created_at__gt=since).first()


@transaction.atomic
def create_first_administrator(*, secret: str, username: str, password: str, name: str = "", email: str = "") -> User:
    """Uses up the setup link. Raises ``Forbidden`` when it is spent, ``Conflict`` when an administrator exists."""
    found = setup_token(secret)
    token = found and SetupToken.objects.select_for_update().filter(pk=found.pk, used_at=None).first()
    if token is None:
        raise Forbidden("This link was used already or has run out. `manage.py setup_link` makes a new one.")
    if RoleGrant.objects.filter(role=OrganisationRole.ADMINISTRATOR).exists():
        raise Conflict("There is an administrator already; sign in and ask them for your roles.")
    user = create_user(username=username, password=password, name=name, email=email)
    set_role(user=user, role=OrganisationRole.ADMINISTRATOR, granted=True)
    token.used_at = timezone.now()
    token.save(update_fields=["used_at"])
    return user
