from datetime import timedelta
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from checklists.journal.errors import Conflict, Forbidden, Invalid
from checklists.journal.models import Event
from checklists.people.models import RoleGrant, Team, Token, User
from checklists.people.rules import can
from checklists.people.services import (
    authenticate_token,
    change_team,
    create_first_administrator,
    create_setup_link,
    create_team,
    create_token,
    revoke_token,
    set_membership,
    set_role,
)
from tests.conftest import person

pytestmark = pytest.mark.django_db


def test_a_token_is_stored_hashed_and_opens_the_door_of_its_owner(alice):
    token, secret = create_token(user=alice, name="ci")
    assert secret not in str(Token.objects.filter(pk=token.pk).values().get())
    assert authenticate_token(secret).user == alice
    token.refresh_from_db()
    assert token.last_used_at is not None
    assert authenticate_token(secret + "x") is None


def test_expired_and_revoked_tokens_and_those_of_inactive_people_open_nothing(alice):
    token, secret = create_token(user=alice, name="ci", days=1)
    Token.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    assert authenticate_token(secret) is None
    token, secret = create_token(user=alice, name="ci")
    revoke_token(token=token, by=alice)
    assert authenticate_token(secret) is None
    token, secret = create_token(user=alice, name="ci")
    User.objects.filter(pk=alice.pk).update(is_active=False)
    assert authenticate_token(secret) is None


def test_nobody_revokes_the_token_of_another_except_administrators(alice, mallory, root):
    token, _ = create_token(user=alice, name="ci")
    with pytest.raises(Forbidden):
        revoke_token(token=token, by=mallory)
    revoke_token(token=token, by=root)


def test_create_token_prints_the_token_and_nothing_else(alice):
    out = StringIO()
    call_command("create_token", "alice", stdout=out)
    assert authenticate_token(out.getvalue().rstrip("\n")).user == alice
    with pytest.raises(CommandError, match="nobody called zoe"):
        call_command("create_token", "zoe")


def test_the_secret_of_a_token_is_not_in_the_journal(alice):
    _, secret = create_token(user=alice, name="ci")
    assert secret not in str(list(Event.objects.values()))


def test_a_role_in_a_team_holds_in_the_teams_below(db):
    unit = create_team(slug="unit", name="Unit")
    below = create_team(slug="below", name="Below", parent=unit)
    beside = create_team(slug="beside", name="Beside")
    boss = person("boss", teams={unit: "owner"})
    assert can(boss, "model.create", below)
    assert not can(boss, "model.create", beside)


def test_the_strongest_of_several_inherited_roles_counts(db):
    unit = create_team(slug="unit", name="Unit")
    below = create_team(slug="below", name="Below", parent=unit)
    both = person("both", teams={unit: "owner", below: "viewer"})
    assert both.access.team_role(below) == "owner"


def test_a_moved_team_takes_its_branch_along(root):
    a, b = create_team(slug="a", name="A"), create_team(slug="b", name="B")
    child = create_team(slug="child", name="Child", parent=a)
    grandchild = create_team(slug="grandchild", name="Grandchild", parent=child)
    change_team(team=child, by=root, parent=b, move=True)
    grandchild.refresh_from_db()
    assert grandchild.ancestor_ids == [b.pk, child.pk, grandchild.pk]
    assert set(Team.objects.branch(b)) == {b, child, grandchild}
    with pytest.raises(Invalid):
        change_team(team=Team.objects.get(pk=b.pk), by=root, parent=grandchild, move=True)


def test_bad_and_taken_slugs_are_refused(root):
    create_team(slug="a", name="A", by=root)
    for slug in ("a", "A B", "-x", "", "x" * 61):
        with pytest.raises(Invalid, match="not created"):
            create_team(slug=slug, name="A", by=root)


def test_outsiders_cannot_make_themselves_members(team, mallory, alice):
    with pytest.raises(Forbidden):
        set_membership(team=team, user=mallory, role="owner", by=mallory)
    set_membership(team=team, user=mallory, role="viewer", by=alice)
    assert can(mallory, "team.view", team)


def test_the_last_administrator_stays(root):
    with pytest.raises(Invalid, match="somebody must be administrator"):
        set_role(user=root, role="administrator", granted=False, by=root)
    other = person("other", roles=("administrator",))
    set_role(user=root, role="administrator", granted=False, by=root)
    assert RoleGrant.objects.get(role="administrator").user == other


def test_an_inactive_person_may_nothing(alice, team):
    User.objects.filter(pk=alice.pk).update(is_active=False)
    assert not can(User.objects.get(pk=alice.pk), "model.create", team)


def test_the_setup_link_makes_one_administrator_and_is_spent(db):
    secret = create_setup_link().strip("/").split("/")[1]
    with pytest.raises(Forbidden):
        create_first_administrator(secret="wrong", username="eve", password="a-long-walk-on-the-beach")
    user = create_first_administrator(secret=secret, username="ruth", password="a-long-walk-on-the-beach")
    assert user.access.has("administrator")
    with pytest.raises((Forbidden, Conflict)):
        create_first_administrator(secret=secret, username="eve", password="a-long-walk-on-the-beach")
    assert create_setup_link() is None


def test_a_weak_password_uses_nothing_up(db):
    secret = create_setup_link().strip("/").split("/")[1]
    with pytest.raises(Invalid):
        create_first_administrator(secret=secret, username="ruth", password="password")
    assert not User.objects.exists()
    assert create_first_administrator(secret=secret, username="ruth", password="a-long-walk-on-the-beach")


def test_a_newer_setup_link_ends_the_older(db):
    older = create_setup_link().strip("/").split("/")[1]
    create_setup_link()
    with pytest.raises(Forbidden):
        create_first_administrator(secret=older, username="ruth", password="a-long-walk-on-the-beach")


def test_user_names_differ_in_more_than_case(root):
    with pytest.raises(Invalid):
        person("ROOT")
