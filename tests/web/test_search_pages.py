"""Search finds what the viewer may see."""

from __future__ import annotations

from typing import Any

import pytest

from tests.build import make_model, make_release
from tests.web.quickly import make_releases
from tests.web.steps import HTMX, queries, signed_in, text

pytestmark = pytest.mark.usefixtures("edition")


def test_models_releases_items_people_and_teams_are_found(team: Any, alice: Any, leo: Any) -> None:
    make_release(make_model(team, alice), alice, "4.2")
    client = signed_in(leo)
    assert "/models/assist-chat/releases/4.2/" in text(client.get("/search/?q=assist 4.2"))
    assert "/models/assist-chat/" in text(client.get("/search/?q=ASSIST"))
    assert "identity.lineage" in text(client.get("/search/?q=lineage"))
    assert "/settings/people/alice/" in text(client.get("/search/?q=alice"))
    assert "/settings/teams/search/" in text(client.get("/search/?q=search"))


def test_a_restricted_model_is_found_by_its_team_and_reviewers_only(
    team: Any, alice: Any, mallory: Any, leo: Any, mo: Any
) -> None:
    make_release(make_model(team, alice, "hush-hush", restricted=True), alice)
    for user, found in ((alice, True), (mo, True), (mallory, False), (leo, False)):
        assert ("/models/hush-hush/" in text(signed_in(user).get("/search/?q=hush"))) is found


def test_nothing_found_and_nothing_asked_are_told(leo: Any) -> None:
    client = signed_in(leo)
    assert "Nothing found" in text(client.get("/search/?q=zebra"))
    assert "Type a few letters" in text(client.get("/search/"))


def test_a_fragment_holds_the_results_alone(leo: Any) -> None:
    response = signed_in(leo).get("/search/?q=lineage", **HTMX)
    assert "<html" not in text(response)
    assert "identity.lineage" in text(response)
    assert "HX-Request" in response["Vary"]
    assert "<html" in text(
        signed_in(leo).get("/search/?q=lineage", HTTP_HX_REQUEST="true", HTTP_HX_HISTORY_RESTORE_REQUEST="true")
    )


def test_two_rows_take_as_many_queries_as_twenty(team: Any, alice: Any, mo: Any) -> None:
    make_releases(team, alice, range(2))
    two = queries(signed_in(mo), "/search/?q=model")
    make_releases(team, alice, range(2, 20))
    assert queries(signed_in(mo), "/search/?q=model") == two <= 15
