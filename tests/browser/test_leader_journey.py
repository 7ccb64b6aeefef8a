"""A leader reads the overview and goes down to the item behind a number."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from checklists.registry.models import Release
from tests.browser.conftest import Visitor
from tests.build import answer_everything, answer_of, in_days, make_model, make_release, save

pytestmark = pytest.mark.browser


@pytest.fixture
def organisation(team: Any, other_team: Any, alice: Any, mallory: Any, edition: Any) -> Release:
    """Two teams; in one a release that is answered but for two items, in the other one that is not begun."""
    release = make_release(make_model(team, alice), alice, launch_date=in_days(20))
    answer_everything(release, alice, leave=("security.access-control", "security.data-governance"))
    save(answer_of(release, "security.access-control"), alice, status="not_met", justification="There is no key yet.")
    make_release(make_model(other_team, mallory, "invoices"), mallory, "0.1")
    return release


def is_dark(page: Page) -> bool:
    colour = page.evaluate("getComputedStyle(document.documentElement).backgroundColor")
    return max(map(int, re.findall(r"\d+", colour)[:3])) < 80


def drill_down(visitor: Visitor) -> None:
    page = visitor.page
    expect(page.get_by_role("heading", level=1)).to_have_text("Overview")
    heat = page.get_by_role("region", name="Teams by section")
    row = heat.get_by_role("row").filter(has=page.get_by_role("rowheader", name="Search"))
    row.locator("a.heat__cell[data-label^='Security']").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("Items")
    found = page.get_by_role("main").get_by_role("listitem")
    expect(page.get_by_role("main")).to_contain_text("assist-chat 1.0")
    expect(page.get_by_role("main")).not_to_contain_text("invoices")
    page.get_by_label("State").select_option("open")
    page.get_by_role("button", name="Apply").click()
    expect(found.filter(has_text="Open").first).to_be_visible()
    page.locator("a[href$='#security.access-control']").click()
    card = page.locator("[id='security.access-control']")
    expect(card).to_be_in_viewport()
    expect(card).to_contain_text("There is no key yet.")
    expect(card.get_by_text("Open", exact=True)).to_be_visible()
    expect(card.get_by_role("textbox")).to_have_count(0)  # a leader reads


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_leader_drills_down_from_the_overview_to_an_item(
    scheme: str, visit: Callable[..., Visitor], organisation: Release, leo: Any
) -> None:
    visitor = visit(color_scheme=scheme)
    page = visitor.sign_in("leo")
    page.get_by_role("navigation", name="Main", exact=True).get_by_role("link", name="Overview").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Overview")
    assert is_dark(page) == (scheme == "dark")
    drill_down(visitor)


def test_the_theme_is_switched_without_a_reload_and_kept(
    visit: Callable[..., Visitor], organisation: Any, leo: Any
) -> None:
    visitor = visit(leo, color_scheme="light")
    page = visitor.open("/models/")
    page.locator("summary", has_text="your menu").click()
    page.get_by_role("button", name="Dark").click()
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    assert is_dark(page)
    page.reload()
    assert is_dark(page)
