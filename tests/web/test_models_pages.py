from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.urls import reverse
from django.utils import timezone

from checklists.registry.models import Model
from checklists.registry.services import create_release, retire_release
from tests.build import answer_of, make_model, make_release, save
from tests.conftest import Cast
from tests.web.steps import HTMX, RESTORED, queries, signed_in, text

pytestmark = pytest.mark.django_db
LIST = "/models/"


def names(response: Any) -> list[str]:
    return [row.name for row, _, _ in response.context["rows"]]


@pytest.fixture
def two_models(cast: Cast, team: Any, other_team: Any, edition: Any) -> None:
    make_release(make_model(team, cast.alice, "assist-chat", description="Answers customers"), cast.alice, "4.2")
    make_model(other_team, cast.mallory, "product-shots", family="diffusion", tier=3)


def test_everybody_signed_in_sees_the_list_and_nobody_else(cast: Cast, two_models: None, client: Any) -> None:
    for user in vars(cast).values():
        assert names(signed_in(user).get(LIST)) == ["assist-chat", "product-shots"]
    assert client.get(LIST).status_code == 302


def test_a_restricted_model_is_not_in_an_outsiders_list(cast: Cast, two_models: None) -> None:
    Model.objects.filter(slug="assist-chat").update(restricted=True)
    assert names(signed_in(cast.mallory).get(LIST)) == ["product-shots"]
    assert names(signed_in(cast.sam).get(LIST)) == ["assist-chat", "product-shots"]
    assert signed_in(cast.mallory).get("/models/assist-chat/").status_code == 404


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("q=CUSTOMERS", ["assist-chat"]),
        ("q=assist+search", ["assist-chat"]),
        ("q=nothing", []),
        ("team=billing", ["product-shots"]),
        ("family=diffusion", ["product-shots"]),
        ("tier=1", ["assist-chat"]),
        ("stage=draft", ["assist-chat"]),
        ("stage=none", ["product-shots"]),
        ("stage=live", []),
        ("state=open", ["assist-chat"]),
        ("state=contradicted", []),
        ("tier=9&family=nonsense&state=x", ["assist-chat", "product-shots"]),
        ("sort=-name", ["product-shots", "assist-chat"]),
        ("sort=-tier", ["product-shots", "assist-chat"]),
        ("sort=readiness", ["assist-chat", "product-shots"]),
        ("sort=nonsense", ["assist-chat", "product-shots"]),
        ("page=99", ["assist-chat", "product-shots"]),
    ],
)
def test_filters_and_sorting_live_in_the_address(cast: Cast, two_models: None, query: str, found: list[str]) -> None:
    assert names(signed_in(cast.carol).get(f"{LIST}?{query}")) == found


def test_the_list_shows_the_newest_release_that_is_still_open(cast: Cast, two_models: None) -> None:
    model = Model.objects.get(slug="assist-chat")
    newer = make_release(model, cast.alice, "5.0")
    client = signed_in(cast.carol)
    assert "5.0" in text(client.get(LIST))
    retire_release(release=newer, by=cast.alice)
    page = text(client.get(LIST))
    assert "4.2" in page
    assert "5.0" not in page
    assert names(client.get(f"{LIST}?stage=retired")) == ["assist-chat"]


def test_htmx_gets_the_results_only_and_a_history_restore_the_page(cast: Cast, two_models: None) -> None:
    client = signed_in(cast.carol)
    page, fragment, restored = (client.get(LIST, **headers) for headers in ({}, HTMX, RESTORED))
    assert "<!doctype html>" in text(page)
    assert "<!doctype html>" in text(restored)
    assert text(fragment).startswith('<div id="results"')
    assert "HX-Request" in fragment["Vary"]


def test_an_empty_list_says_what_to_do_first(cast: Cast) -> None:
    assert "Register a model" in text(signed_in(cast.alice).get(LIST))
    page = text(signed_in(cast.carol).get(LIST))
    assert "No models yet" in page
    assert reverse("web:model_create") not in page


def test_twenty_models_take_as_many_queries_as_two(cast: Cast, two_models: None, team: Any) -> None:
    client = signed_in(cast.alice)
    few = queries(client, LIST)
    for number in range(18):
        make_release(make_model(team, cast.alice, f"model-{number}"), cast.alice)
    assert queries(client, LIST) == few <= 15


def test_a_contributor_registers_a_model_and_its_short_name_comes_from_the_name(cast: Cast) -> None:
    client = signed_in(cast.bob)
    form = {"name": "Réponse (v2)", "team": "search", "family": "llm", "tier": "2", "description": ""}
    assert client.get("/models/new/").status_code == 200
    response = client.post("/models/new/", form)
    assert response["Location"] == "/models/reponse-v2/"
    model = Model.objects.get(slug="reponse-v2")
    assert (model.name, model.team.slug, model.tier, model.created_by) == ("Réponse (v2)", "search", 2, cast.bob)


def test_what_was_typed_stays_when_a_model_is_refused(cast: Cast, two_models: None) -> None:
    client = signed_in(cast.bob)
    form = {"name": "Kept name", "slug": "assist-chat", "team": "search", "family": "llm", "tier": "2"}
    response = client.post("/models/new/", form)
    assert response.status_code == 422
    assert "exists already" in text(response)
    assert 'value="Kept name"' in text(response)
    for bad in (
        {"slug": "new"},
        {"slug": "Has Spaces"},
        {"team": "billing"},
        {"family": ""},
        {"name": "日本", "slug": ""},
    ):
        assert client.post("/models/new/", form | bad).status_code == 422
    assert Model.objects.count() == 2


def test_who_may_write_nowhere_cannot_register(cast: Cast) -> None:
    assert signed_in(cast.carol).get("/models/new/").status_code == 403
    assert signed_in(cast.leo).post("/models/new/", {"name": "x"}).status_code == 403


def test_a_model_is_changed_and_its_family_is_fixed_once_it_has_a_release(cast: Cast, two_models: None) -> None:
    client = signed_in(cast.bob)
    url = "/models/assist-chat/edit/"
    assert "Answers customers" in text(client.get(url))
    form = {"name": "Assist", "team": "search", "family": "llm", "tier": "2", "description": "New"}
    assert client.post(url, form).status_code == 302
    model = Model.objects.get(slug="assist-chat")
    assert (model.name, model.tier, model.description) == ("Assist", 2, "New")
    refused = client.post(url, form | {"family": "audio"})
    assert refused.status_code == 422
    assert "fixed once there is a release" in text(refused)
    assert signed_in(cast.carol).get(url).status_code == 403


def test_only_an_owner_is_offered_to_restrict_a_model(cast: Cast, two_models: None) -> None:
    form = {"name": "Assist", "team": "search", "family": "llm", "tier": "1", "restricted": "on"}
    url = "/models/assist-chat/edit/"
    assert "restricted" not in signed_in(cast.bob).get(url).context["form"].fields
    signed_in(cast.bob).post(url, form)
    assert not Model.objects.get(slug="assist-chat").restricted
    signed_in(cast.alice).post(url, form)
    assert Model.objects.get(slug="assist-chat").restricted


def test_the_model_page_lists_releases_and_offers_what_one_may_do(cast: Cast, two_models: None) -> None:
    model = Model.objects.get(slug="assist-chat")
    make_release(model, cast.alice, "4.3", launch_date=timezone.now().date() + timedelta(days=9))
    for user in vars(cast).values():
        response = signed_in(user).get("/models/assist-chat/")
        assert response.status_code == 200
        may = user in (cast.alice, cast.bob, cast.root)
        assert ("Open a release" in text(response)) is may
    client = signed_in(cast.carol)
    few = queries(client, "/models/assist-chat/")
    for number in range(18):
        make_release(model, cast.alice, f"5.{number}")
    assert queries(client, "/models/assist-chat/") == few <= 15


def test_two_releases_side_by_side_show_what_differs(cast: Cast, two_models: None) -> None:
    model = Model.objects.get(slug="assist-chat")
    older = model.releases.get()
    save(answer_of(older, "performance.latency-targets"), cast.alice, claims={"phase": "first_token", "p95_ms": 600})
    newer = create_release(model=model, version="4.3", by=cast.alice, carry_over_from=older)
    save(answer_of(newer, "performance.latency-targets"), cast.alice, claims={"phase": "first_token", "p95_ms": 800})
    client = signed_in(cast.carol)
    page = text(client.get("/models/assist-chat/compare/?a=4.2&b=4.3"))
    assert "<del>600 ms</del>" in page
    assert "<ins>800 ms</ins>" in page
    assert "How much must it serve" not in page
    everything = client.get("/models/assist-chat/compare/?a=4.2&b=4.3&all=1")
    assert "How much must it serve" in text(everything)
    assert queries(client, "/models/assist-chat/compare/?a=4.2&b=4.3&all=1") <= 15


def test_one_release_is_nothing_to_compare(cast: Cast, two_models: None) -> None:
    assert "nothing to compare" in text(signed_in(cast.carol).get("/models/assist-chat/compare/?a=x&b=y"))
