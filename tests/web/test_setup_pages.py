"""The one-time link, and what a fresh installation says first."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

import pytest
from django.test import Client

from checklists.people.models import User
from checklists.people.services import create_setup_link
from tests.web.steps import text

DATA = {"username": "first", "name": "First", "password": "a-quiet-harbour", "again": "a-quiet-harbour"}


@pytest.fixture
def link(db: None) -> str:
    return str(create_setup_link())


def test_the_link_creates_an_administrator_and_signs_them_in(link: str) -> None:
    client = Client()
    assert client.get(link).status_code == 200
    response = client.post(link, DATA, follow=True)
    assert response.redirect_chain == [("/", 302)]
    assert User.objects.get(username="first").access.has("administrator")
    assert "First steps" in text(response)


def test_the_link_works_once(link: str) -> None:
    Client().post(link, DATA)
    again = Client().post(link, {**DATA, "username": "second"})
    assert again.status_code == 403
    assert "used already" in text(again)
    assert not User.objects.filter(username="second").exists()


def test_a_link_that_nobody_made_is_refused_in_words(db: None) -> None:
    response = Client().get("/setup/guessed/")
    assert response.status_code == 403
    assert "setup_link" in text(response)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"again": "another-harbour"}, "The two passwords differ."),
        ({"password": "short", "again": "short"}, "too short"),
        ({"username": "no spaces"}, "Enter a valid username"),
    ],
)
def test_what_is_wrong_is_said_and_the_link_stays(link: str, change: dict[str, str], words: str) -> None:
    client = Client()
    response = client.post(link, {**DATA, **change})
    assert response.status_code == 422
    assert words in text(response)
    assert client.get(link).status_code == 200


def test_the_first_steps_go_once_they_are_done(root: Any, alice: Any, mo: Any, edition: Any, team: Any) -> None:
    from tests.build import make_model
    from tests.web.steps import signed_in

    assert "First steps" in text(signed_in(root).get("/"))
    make_model(team, alice)
    assert "First steps" not in text(signed_in(root).get("/"))


def test_in_a_demo_its_own_people_sign_in_with_one_click_and_nobody_else(
    db: None, monkeypatch: pytest.MonkeyPatch, settings: Any
) -> None:
    from portal import urls
    from portal.demo.signin import urlpatterns
    from tests.conftest import person

    module = ModuleType("demo_urls")
    module.__dict__["urlpatterns"] = [*urlpatterns, *urls.urlpatterns]
    monkeypatch.setitem(sys.modules, "demo_urls", module)
    settings.ROOT_URLCONF = "demo_urls"
    demo, other = person("demo-sre", roles=("sre",)), person("mo")
    client = Client()
    assert client.post("/demo/signin/", {"username": other.username}).status_code == 400
    assert client.get("/demo/signin/").status_code == 405
    assert "_auth_user_id" not in client.session
    assert client.post("/demo/signin/", {"username": "demo-sre"})["Location"] == "/"
    assert client.session["_auth_user_id"] == str(demo.pk)
