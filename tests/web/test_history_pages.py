from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

import checklists
from checklists.journal.models import Event
from checklists.registry.models import Release
from checklists.registry.services import change_release
from checklists.web.sentences import SENTENCES, sentence
from tests.build import answer_of, make_endpoint, make_model, make_release, save
from tests.conftest import Cast
from tests.web.steps import at, queries, signed_in, text

pytestmark = pytest.mark.django_db


@pytest.fixture
def release(cast: Cast, team: Any, edition: Any) -> Release:
    return make_release(make_model(team, cast.alice, "assist-chat"), cast.alice, "4.2")


def test_the_history_tells_in_sentences_who_did_what(cast: Cast, release: Release) -> None:
    save(answer_of(release, "identity.lineage"), cast.bob, claims={"base_model": "Llama"})
    change_release(release=release, by=cast.alice, environment="staging")
    make_endpoint(release, cast.alice)
    page = text(signed_in(cast.carol).get(at("history", release)))
    assert "<b>Bob</b> answered 1.2 Lineage: met, with claims" in page
    assert "<b>Alice</b> changed the release: environment from production to staging" in page
    assert "<b>Alice</b> added the endpoint eu-1" in page


def test_addresses_of_endpoints_are_for_the_team_reviewers_and_auditors(cast: Cast, release: Release) -> None:
    make_endpoint(release, cast.alice)
    for user in (cast.carol, cast.mo, cast.ada):
        assert "llm.example.org" in text(signed_in(user).get(at("history", release)))
    for user in (cast.mallory, cast.leo):
        page = text(signed_in(user).get(at("history", release)))
        assert "added the endpoint eu-1" in page
        assert "llm.example.org" not in page


def test_the_history_is_paged_and_takes_a_constant_number_of_queries(cast: Cast, release: Release) -> None:
    client = signed_in(cast.carol)
    few = queries(client, at("history", release))
    for number in range(60):
        change_release(release=release, by=cast.alice, revision=str(number))
    assert queries(client, at("history", release)) == few <= 15
    assert len(client.get(at("history", release)).context["entries"]) == 50
    assert len(client.get(at("history", release) + "?page=2").context["entries"]) > 10


def test_an_outsider_sees_no_history_of_a_restricted_model(cast: Cast, release: Release) -> None:
    release.model.restricted = True
    release.model.save()
    for name in ("history", "evidence", "release", "launch", "retire", "release_edit", "endpoint_create"):
        assert signed_in(cast.mallory).get(at(name, release)).status_code == 404


def test_every_verb_that_is_recorded_has_a_sentence() -> None:
    source = "".join(path.read_text() for path in Path(checklists.__file__).parent.rglob("*.py"))
    recorded = set(re.findall(r'verb(?:=| = )"([a-z_]+\.[a-z_]+\.[a-z_]+)"', source))
    assert len(recorded) > 20
    assert recorded <= set(SENTENCES)


def test_an_event_of_an_older_version_never_breaks_the_page() -> None:
    for verb in [*SENTENCES, "some_room.unknown_thing.happened"]:
        for data in ({}, {"role": "?", "changed": 3, "stage": None}, None):
            assert sentence(Event(verb=verb, subject="a/b", data=data))
