"""What probes may know of a release: true, without secrets, in a constant number of queries."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from checklists.evidence.facts import release_facts
from checklists.people.services import create_team, set_membership
from checklists.registry.models import Release
from checklists.registry.services import set_architecture
from tests.build import answer_of, make_endpoint, make_model, make_release, save
from tests.conftest import person
from tests.evidence import configs

pytestmark = pytest.mark.django_db


@pytest.fixture
def release(team: Any, alice: Any, bob: Any, edition: Any) -> Any:
    model = make_model(team, alice)
    make_endpoint(make_release(model, alice, "0.9"), alice, name="old", headers={"X-Key": "open-sesame"})
    return make_release(model, alice)


def known(release: Any) -> dict[str, Any]:
    return release_facts(Release.objects.select_related("model__team").get(pk=release.pk))


def test_the_models_team_and_the_one_that_is_claimed_come_with_their_active_members(
    release: Any, bob: Any, other_team: Any, mallory: Any
) -> None:
    save(answer_of(release, "operations.owner"), bob, claims={"team": "team billing", "on_call": "rota"})
    facts = known(release)["team"]
    assert (facts["own"]["name"], facts["own"]["members"], facts["asked"]) == ("Search", 2, "team billing")
    assert [(team["name"], team["members"]) for team in facts["named"]] == [("Billing", 1)]
    mallory.is_active = False
    mallory.save()
    assert known(release)["team"]["named"][0]["members"] == 0


def test_people_of_teams_below_count_once_and_a_slug_names_a_team_too(release: Any, bob: Any, team: Any) -> None:
    below = create_team(slug="search-eu", name="Search EU", parent=team)
    for user in (bob, person("eve")):
        set_membership(team=below, user=user, role="contributor")
    save(answer_of(release, "operations.owner"), bob, claims={"team": "search-eu", "on_call": "rota"})
    facts = known(release)["team"]
    assert (facts["own"]["members"], [team["members"] for team in facts["named"]]) == (3, [2])
    assert facts["named"][0]["path"].startswith(facts["own"]["path"])


def test_what_is_on_file_and_where_to_ask_is_told(release: Any, alice: Any, settings: Any) -> None:
    facts = known(release)
    assert (facts["architecture"], facts["modelspec"], facts["hub_url"], facts["oci_url"]) == (None, None, "", "")
    set_architecture(release=release, document=json.dumps(configs.LLAMA_8B).encode(), by=alice)
    settings.PREFLIGHT = {**settings.PREFLIGHT, "HUB_URL": "https://hub.example.org"}
    facts = known(release)
    assert (facts["architecture"]["num_hidden_layers"], facts["hub_url"]) == (32, "https://hub.example.org")


def test_the_previous_release_is_the_one_claimed_else_the_one_carried_over_else_the_live_one(
    release: Any, alice: Any, bob: Any
) -> None:
    assert known(release)["previous"] is None
    old = Release.objects.get(version="0.9")
    Release.objects.filter(pk=old.pk).update(stage="live")
    assert known(release)["previous"]["version"] == "0.9"
    newer = make_release(release.model, alice, "1.1", carry_over_from=release)
    assert known(newer)["previous"]["version"] == "1.0"
    save(answer_of(newer, "release.compatibility"), bob, claims={"compatible_with": "0.9"})
    previous = known(newer)["previous"]
    assert previous == {
        "version": "0.9",
        "endpoints": [{"name": "old", "url": "https://llm.example.org", "stack": "auto"}],
    }
    assert "open-sesame" not in json.dumps(known(newer))


def test_the_number_of_queries_does_not_grow(release: Any, alice: Any, team: Any, bob: Any) -> None:
    def count() -> int:
        row = Release.objects.select_related("model__team").get(pk=release.pk)
        with CaptureQueriesContext(connection) as queries:
            release_facts(row)
        return len(queries)

    before = count()
    for number in range(5):
        make_release(release.model, alice, f"2.{number}")
        set_membership(team=team, user=person(f"user{number}"), role="viewer")
        create_team(slug=f"below{number}", name=f"Below {number}", parent=team)
    assert count() == before == 4


def test_a_modelspec_document_that_was_taken_is_on_file(release: Any, alice: Any) -> None:
    from checklists.assessments.services import import_modelspec

    document = {"descriptor": {"name": "assist"}, "config": {"paramSize": "8b"}, "extra": 1}
    import_modelspec(model=release.model, version="1.0", document=document, by=alice)
    assert known(release)["modelspec"] == {"descriptor": {"name": "assist"}, "config": {"paramSize": "8b"}}
