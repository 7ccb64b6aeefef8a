"""What forms look like where the look decides whether they can be used."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Visitor
from tests.build import make_model, make_release

pytestmark = [pytest.mark.browser, pytest.mark.usefixtures("edition")]


def test_a_new_token_can_be_read_and_a_secret_header_cannot(
    visit: Callable[..., Visitor], alice: Any, team: Any
) -> None:
    release = make_release(make_model(team, alice), alice)
    visitor = visit(alice)
    page = visitor.open("/settings/tokens/")
    page.get_by_label("What it is for").fill("deployment pipeline")
    page.get_by_role("button", name="Create").click()
    shown = page.get_by_role("region", name="Your new token").locator("code")
    expect(shown).to_have_css("-webkit-text-security", "none")
    page = visitor.open(f"/models/{release.model.slug}/releases/{release.version}/endpoints/new/")
    expect(page.get_by_label("Value").first).to_have_css("-webkit-text-security", "disc")


def test_a_long_text_has_room_from_the_start(visit: Callable[..., Visitor], alice: Any, team: Any) -> None:
    box = visit(alice).open("/models/new/").get_by_label("Description").bounding_box()
    assert box is not None
    assert box["height"] >= 70
