"""Profile, tokens, people, teams, routes, networks, theme."""

from __future__ import annotations

import re
from typing import Any

import pytest

from checklists.evidence.models import AllowedNetwork
from checklists.people.models import Team, Token, User
from checklists.people.services import authenticate_token, create_team, set_membership
from checklists.signoff.models import Route
from tests.conftest import PASSWORD, Cast, person
from tests.web.steps import queries, signed_in, text


def test_a_profile_is_changed_by_its_owner(carol: Any) -> None:
    client = signed_in(carol)
    client.post("/settings/", {"name": "Carol Danner", "email": "carol@example.org"})
    carol.refresh_from_db()
    assert carol.name == "Carol Danner"
    response = client.post("/settings/", {"name": "C", "email": "not an address"})
    assert response.status_code == 422
    assert 'value="not an address"' in text(response)


def test_a_token_is_shown_once_and_works_until_it_is_revoked(bob: Any) -> None:
    client = signed_in(bob)
    response = client.post("/settings/tokens/", {"name": "pipeline", "days": "30"})
    found = re.search(r"pf_[\w-]{40,}", text(response))
    assert found is not None
    secret = found.group()
    assert response["Cache-Control"] == "no-store"
    token = authenticate_token(secret)
    assert token is not None
    assert token.user == bob
    assert secret not in text(client.get("/settings/tokens/"))
    client.post("/settings/tokens/", {"revoke": str(token.pk)})
    assert authenticate_token(secret) is None


def test_nobody_revokes_the_token_of_another_but_an_administrator(bob: Any, alice: Any, root: Any) -> None:
    signed_in(bob).post("/settings/tokens/", {"name": "pipeline", "days": "30"})
    token = Token.objects.get()
    assert signed_in(alice).post("/settings/tokens/", {"revoke": str(token.pk)}).status_code == 403
    response = signed_in(root).post("/settings/tokens/", {"revoke": str(token.pk)})
    assert response["Location"] == "/settings/people/bob/"


def test_an_administrator_adds_a_person_and_grants_roles(root: Any) -> None:
    client = signed_in(root)
    data = {"username": "nina", "name": "Nina", "email": "", "password": PASSWORD}
    assert client.post("/settings/people/", data)["Location"] == "/settings/people/nina/"
    client.post("/settings/people/nina/", {"roles": ["sre", "leader"]})
    nina = User.objects.get(username="nina")
    assert nina.access.roles == {"sre", "leader"}
    assert nina.check_password(PASSWORD)
    client.post("/settings/people/nina/", {"roles": ["leader"]})
    assert User.objects.get(username="nina").access.roles == {"leader"}
    assert client.post("/settings/people/", data).status_code == 422


def test_the_last_administrator_stays(root: Any) -> None:
    response = signed_in(root).post(f"/settings/people/{root.username}/", {"roles": []})
    assert response.status_code == 422
    assert "somebody must be administrator" in text(response)
    assert signed_in(root).post(f"/settings/people/{root.username}/", {"active": "no"}).status_code == 403


def test_a_closed_account_cannot_sign_in(root: Any, bob: Any) -> None:
    client = signed_in(bob)
    signed_in(root).post("/settings/people/bob/", {"active": "no"})
    assert client.get("/").status_code == 302
    bob.refresh_from_db()
    assert not bob.is_active


def test_others_read_who_is_who_but_change_nothing(cast: Cast) -> None:
    for name in ("alice", "carol", "mo", "leo", "ada"):
        client = signed_in(getattr(cast, name))
        assert "Add a person" not in text(client.get("/settings/people/"))
        assert client.get("/settings/people/bob/").status_code == 200
        assert client.post("/settings/people/", {"username": "x"}).status_code == 403, name
        assert client.post("/settings/people/bob/", {"roles": ["administrator"]}).status_code == 403, name
    assert "administrator" not in cast.bob.access.roles


def test_an_owner_manages_the_members_of_their_team_and_of_those_below(
    alice: Any, bob: Any, team: Any, mo: Any
) -> None:
    below = create_team(slug="ranking", name="Ranking", parent=team)
    client = signed_in(alice)
    for row in (team, below):
        client.post(f"/settings/teams/{row.slug}/", {"username": "mo", "role": "viewer"})
        assert row.memberships.get(user=mo).role == "viewer"
    client.post("/settings/teams/search/", {"action": "remove", "username": "mo"})
    assert not team.memberships.filter(user=mo).exists()
    assert "through Search" in text(client.get("/settings/teams/ranking/"))
    response = client.post("/settings/teams/search/", {"username": "nobody", "role": "viewer"})
    assert response.status_code == 422


def test_others_change_no_team(team: Any, cast: Cast) -> None:
    for name in ("bob", "carol", "mallory", "mo", "leo", "ada"):
        client = signed_in(getattr(cast, name))
        for data in (
            {"username": name, "role": "owner"},
            {"action": "remove", "username": "alice"},
            {"action": "rename", "name": "Mine"},
        ):
            assert client.post("/settings/teams/search/", data).status_code == 403, (name, data)
    team.refresh_from_db()
    assert team.name == "Search"


def test_a_team_is_created_by_an_administrator_or_below_ones_own(root: Any, alice: Any, bob: Any, team: Any) -> None:
    signed_in(root).post("/settings/teams/", {"name": "Voice", "slug": "voice", "parent": ""})
    assert Team.objects.get(slug="voice").parent is None
    client = signed_in(alice)
    assert client.post("/settings/teams/", {"name": "Top", "slug": "top", "parent": ""}).status_code == 422
    assert client.post("/settings/teams/", {"name": "In", "slug": "in", "parent": "voice"}).status_code == 422
    client.post("/settings/teams/", {"name": "Ranking", "slug": "ranking", "parent": "search"})
    assert Team.objects.get(slug="ranking").parent == team
    assert signed_in(bob).post("/settings/teams/", {"name": "B", "slug": "b", "parent": "search"}).status_code == 403


def test_an_administrator_changes_a_route(root: Any, alice: Any) -> None:
    data = {
        "prefix": "t3", "t3-tier": "3", "t3-family": "", "t3-mlops": "1", "t3-security": "2", "t3-sre": "0",
        "t3-review_days": "4", "t3-approval_days": "90",
    }  # fmt: skip
    assert signed_in(alice).post("/settings/routes/", data).status_code == 403
    assert signed_in(root).post("/settings/routes/", data).status_code == 302
    route = Route.objects.get(tier=3)
    assert route.required == [{"role": "mlops", "count": 1}, {"role": "security", "count": 2}]
    nobody = {**data, "t3-mlops": "0", "t3-security": "0"}
    response = signed_in(root).post("/settings/routes/", nobody)
    assert response.status_code == 422
    assert "Name at least one role" in text(response)
    assert "2 × Security" in text(signed_in(alice).get("/settings/routes/"))


def test_an_administrator_allows_a_network_and_takes_it_back(root: Any, ada: Any, alice: Any) -> None:
    client = signed_in(root)
    client.post("/settings/networks/", {"action": "add", "cidr": "10.20.0.0/16", "note": "The cluster"})
    network = AllowedNetwork.objects.get()
    assert "10.20.0.0/16" in text(signed_in(ada).get("/settings/networks/"))
    assert signed_in(alice).get("/settings/networks/").status_code == 403
    remove = {"action": "remove", "network": str(network.pk)}
    assert signed_in(ada).post("/settings/networks/", remove).status_code == 403
    client.post("/settings/networks/", remove)
    assert not AllowedNetwork.objects.exists()
    response = client.post("/settings/networks/", {"action": "add", "cidr": "169.254.0.0/16", "note": ""})
    assert response.status_code == 422
    assert "never reach" in text(response)


def test_the_theme_is_kept_without_javascript(carol: Any) -> None:
    client = signed_in(carol)
    response = client.post("/theme/", {"theme": "dark", "next": "/overview/"})
    assert response["Location"] == "/overview/"
    assert 'data-theme="dark"' in text(client.get("/settings/"))
    client.post("/theme/", {"theme": "", "next": "https://evil.example/"})
    assert "data-theme=" not in text(client.get("/settings/")).split("<head>")[0]


def test_pages_of_the_settings_open_for_everybody_who_may(cast: Cast) -> None:
    paths = ("", "people/", "people/alice/", "teams/", "teams/search/", "routes/", "tokens/")
    for name in ("alice", "carol", "mallory", "mo", "leo", "ada", "root"):
        client = signed_in(getattr(cast, name))
        for path in paths:
            assert client.get(f"/settings/{path}").status_code == 200, (name, path)
    assert signed_in(cast.root).get("/settings/people/nobody/").status_code == 404
    assert signed_in(cast.root).get("/settings/teams/nobody/").status_code == 404


@pytest.mark.parametrize("path", ["/settings/people/", "/settings/teams/"])
def test_two_people_take_as_many_queries_as_twenty(root: Any, team: Any, alice: Any, path: str) -> None:
    two = queries(signed_in(root), path)
    for number in range(18):
        below = create_team(slug=f"team-{number}", name=f"Team {number}", parent=team)
        set_membership(team=below, user=person(f"person-{number}", roles=("leader",)), role="viewer")
    assert queries(signed_in(root), path) == two <= 15


def test_outside_a_demo_nobody_signs_in_with_one_click(client: Any, db: None) -> None:
    person("demo-owner")
    assert client.post("/demo/signin/", {"username": "demo-owner"}).status_code == 404
    assert "Look around the demo" not in text(client.get("/accounts/login/"))
