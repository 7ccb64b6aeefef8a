"""Saving an answer: two people at once, no connection, no JavaScript, no mouse. Nothing typed is lost."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.sessions.models import Session
from django.utils import timezone
from playwright.sync_api import Locator, Page, expect

from checklists.assessments.models import Answer, AnswerRevision
from checklists.evidence.models import ProbeRun
from checklists.registry.models import Release
from checklists.signoff.models import SignOff, Submission
from tests.browser.conftest import Noise, Visitor
from tests.build import answer_everything, answer_of, make_model, make_release, save
from tests.conftest import PASSWORD

pytestmark = pytest.mark.browser

RELEASE = "/models/assist-chat/releases/1.0/"
IDENTITY = f"{RELEASE}checklist/identity/"
LINEAGE, NAME = "identity.lineage", "identity.name-version"


@pytest.fixture
def release(team: Any, alice: Any, edition: Any) -> Release:
    return make_release(make_model(team, alice), alice)


def card_on(page: Page, key: str = LINEAGE) -> Locator:
    return page.locator(f"[id='{key}']")


def saved_status(card: Locator) -> Locator:
    return card.locator("[data-save-status]")


def stored(release: Release, key: str = LINEAGE) -> Answer:
    return answer_of(release, key)


# Two people at once


def test_a_stale_save_shows_both_versions_and_loses_neither(
    visit: Callable[..., Visitor], noise: Noise, release: Release, alice: Any, bob: Any
) -> None:
    noise.expect("409")
    hers, his = visit(alice).open(IDENTITY), visit(bob).open(IDENTITY)
    card_on(hers).get_by_label("Base model").fill("Llama 3.1 8B at a1f9c0e")
    expect(saved_status(card_on(hers))).to_contain_text("Saved")

    card = card_on(his)
    card.get_by_label("Base model").fill("Mistral 7B at 0417f4b")
    conflict = card.get_by_role("alert").filter(has_text="Alice saved this answer")
    expect(conflict).to_contain_text("Llama 3.1 8B at a1f9c0e")
    expect(conflict).to_contain_text("Mistral 7B at 0417f4b")
    expect(card.get_by_label("Base model")).to_have_value("Mistral 7B at 0417f4b")
    assert stored(release).claims["base_model"] == "Llama 3.1 8B at a1f9c0e"

    conflict.get_by_role("button", name="Keep mine").click()
    expect(saved_status(card)).to_contain_text("Saved")
    expect(conflict).to_have_count(0)
    assert stored(release).claims["base_model"] == "Mistral 7B at 0417f4b"
    versions = AnswerRevision.objects.filter(answer=stored(release)).order_by("revision")
    assert [version.claims.get("base_model") for version in versions if version.claims] == [
        "Llama 3.1 8B at a1f9c0e",
        "Mistral 7B at 0417f4b",
    ]

    # Now Alice is the one who is late; she takes his
    card = card_on(hers)
    card.get_by_label("How it was derived").fill("LoRA")
    conflict = card.get_by_role("alert").filter(has_text="Bob saved this answer")
    expect(conflict).to_contain_text("LoRA")
    conflict.get_by_role("link", name="Take theirs").click()
    expect(card.get_by_label("Base model")).to_have_value("Mistral 7B at 0417f4b")
    expect(card.get_by_label("How it was derived")).to_have_value("")
    card.get_by_label("How it was derived").fill("Full fine-tuning")
    expect(saved_status(card)).to_contain_text("Saved")
    expect(conflict).to_have_count(0)
    hers.reload()
    expect(card.get_by_label("How it was derived")).to_have_value("Full fine-tuning")


# No connection


def test_what_is_typed_without_a_connection_is_kept_and_sent_later(
    visit: Callable[..., Visitor], noise: Noise, release: Release, bob: Any
) -> None:
    noise.expect("ERR_INTERNET_DISCONNECTED", "console error: htmx:")
    me = visit(bob)
    card = card_on(me.open(IDENTITY))
    me.context.set_offline(True)
    card.get_by_label("Base model").fill("Llama 3.1 8B at a1f9c0e")
    expect(saved_status(card)).to_contain_text("Kept here")
    card.get_by_label("How it was derived").fill("LoRA")
    expect(card.get_by_label("Base model")).to_have_value("Llama 3.1 8B at a1f9c0e")
    assert stored(release).claims == {}
    me.context.set_offline(False)
    expect(saved_status(card)).to_contain_text("Saved")
    assert stored(release).claims == {"base_model": "Llama 3.1 8B at a1f9c0e", "method": "LoRA"}


def test_opening_the_comments_neither_claims_to_have_saved_nor_forgets_what_was_not(
    visit: Callable[..., Visitor], noise: Noise, release: Release, bob: Any
) -> None:
    noise.expect("failed: POST", "ERR_INTERNET_DISCONNECTED", "console error: htmx:")
    visitor = visit(bob)
    page = visitor.open(IDENTITY)
    card = card_on(page)
    page.route("**/answers/*/", lambda route: route.abort("internetdisconnected"))
    card.get_by_label("Base model").fill("Llama 3.1 8B at a1f9c0e")
    expect(saved_status(card)).to_contain_text("Not saved")
    card.get_by_role("link", name="Comment").click()
    expect(card.get_by_label("Your comment")).to_be_visible()
    expect(saved_status(card)).to_contain_text("Not saved")
    page.unroute("**/answers/*/")
    page.reload()
    expect(saved_status(card_on(page))).to_contain_text("Saved")
    assert stored(release).claims["base_model"] == "Llama 3.1 8B at a1f9c0e"


def test_a_page_closed_without_a_connection_is_sent_when_it_is_opened_again(
    visit: Callable[..., Visitor], noise: Noise, release: Release, bob: Any
) -> None:
    noise.expect("ERR_INTERNET_DISCONNECTED", "console error: htmx:")
    me = visit(bob)
    card = card_on(me.open(IDENTITY))
    me.context.set_offline(True)
    card.get_by_label("Base model").fill("Llama 3.1 8B at a1f9c0e")
    expect(saved_status(card)).to_contain_text("Kept here")
    me.page.close()
    me.context.set_offline(False)
    me.page = me.context.new_page()
    card = card_on(me.open(IDENTITY))
    expect(card.get_by_label("Base model")).to_have_value("Llama 3.1 8B at a1f9c0e")
    expect(saved_status(card)).to_contain_text("Saved")
    assert stored(release).claims == {"base_model": "Llama 3.1 8B at a1f9c0e"}


def test_what_is_typed_while_signed_out_is_kept_and_sent_after_signing_in_again(
    visit: Callable[..., Visitor], noise: Noise, release: Release, bob: Any
) -> None:
    noise.expect("403")
    me = visit(bob)
    card = card_on(me.open(IDENTITY))
    session = me.context.cookies()
    me.context.clear_cookies()
    card.get_by_label("Base model").fill("Llama 3.1 8B at a1f9c0e")
    expect(saved_status(card)).to_contain_text("Kept here: sign in again, then reload this page")
    assert stored(release).claims == {}
    me.context.add_cookies([{key: cookie[key] for key in ("name", "value", "domain", "path")} for cookie in session])
    me.page.reload()
    expect(saved_status(card)).to_contain_text("Saved")
    assert stored(release).claims == {"base_model": "Llama 3.1 8B at a1f9c0e"}


def test_an_answer_is_not_called_saved_after_the_session_has_ended(
    visit: Callable[..., Visitor], noise: Noise, release: Release, bob: Any
) -> None:
    noise.expect("401")
    me = visit(bob)
    card = card_on(me.open(IDENTITY))
    Session.objects.all().delete()
    card.get_by_label("Base model").fill("Llama 3.1 8B at a1f9c0e")
    expect(saved_status(card)).to_contain_text("Kept here: sign in again, then reload this page")
    expect(card.get_by_label("Base model")).to_have_value("Llama 3.1 8B at a1f9c0e")
    me.sign_in("bob")
    card = card_on(me.open(IDENTITY))
    expect(saved_status(card)).to_contain_text("Saved")
    assert stored(release).claims == {"base_model": "Llama 3.1 8B at a1f9c0e"}


def test_who_is_signed_out_while_probes_go_on_is_told_once_and_keeps_the_page(
    visit: Callable[..., Visitor], noise: Noise, release: Release, bob: Any
) -> None:
    noise.expect("401")
    ProbeRun.objects.create(
        release=release, state="running", progress_done=7, progress_total=80, created_at=timezone.now()
    )
    page = visit(bob).open(f"{RELEASE}evidence/")
    expect(page.get_by_text("7 of 80 checks done")).to_be_visible()
    Session.objects.all().delete()
    expect(page.locator(".toast")).to_contain_text("You are signed out")
    page.wait_for_timeout(2500)  # asked twice more
    expect(page.locator(".toast")).to_have_count(1)
    expect(page.get_by_text("7 of 80 checks done")).to_be_visible()


def test_a_value_that_is_no_value_is_marked_and_stays(
    visit: Callable[..., Visitor], noise: Noise, release: Release, bob: Any
) -> None:
    noise.expect("422")
    card = card_on(visit(bob).open(IDENTITY), "identity.input-limits")
    card.get_by_label("Largest input").fill("quite a lot")
    expect(saved_status(card)).to_contain_text("Not saved: see what is marked")
    expect(card.locator(".field__errors").filter(has_text="number")).to_be_visible()
    expect(card.get_by_label("Largest input")).to_have_value("quite a lot")
    card.get_by_label("Largest input").fill("8192")
    expect(saved_status(card)).to_contain_text("Saved")
    assert stored(release, "identity.input-limits").claims == {"max_input": 8192}


# Without JavaScript


def test_answering_submitting_and_signing_work_without_javascript(
    visit: Callable[..., Visitor], noise: Noise, release: Release, alice: Any, bob: Any, mo: Any
) -> None:
    noise.expect("409")
    me = visit(java_script_enabled=False)
    page = me.sign_in("bob")
    me.open(IDENTITY)
    card = card_on(page)
    card.get_by_label("Base model").fill("Mistral 7B at 0417f4b")
    card.get_by_text("Met", exact=True).click()
    save(stored(release), alice, claims={"base_model": "Llama 3.1 8B at a1f9c0e"})
    card.get_by_role("button", name="Save").click()
    conflict = card.get_by_role("alert").filter(has_text="Alice saved this answer")
    expect(conflict).to_contain_text("Llama 3.1 8B at a1f9c0e")
    expect(card.get_by_label("Base model")).to_have_value("Mistral 7B at 0417f4b")
    conflict.get_by_role("button", name="Keep mine").click()
    expect(page).to_have_url(f"{me.origin}{IDENTITY}#{LINEAGE}")
    expect(card.get_by_text("Claimed", exact=True)).to_be_visible()
    assert stored(release).claims == {"base_model": "Mistral 7B at 0417f4b"}
    card.get_by_label("How it was derived").fill("LoRA")
    card.get_by_role("button", name="Save").click()
    expect(card.get_by_label("How it was derived")).to_have_value("LoRA")
    assert stored(release).claims["method"] == "LoRA"

    page.get_by_role("link", name="Submit for sign-off").first.click()
    expect(page.get_by_role("heading", name="must be settled first")).to_be_visible()
    answer_everything(release, bob, leave=(LINEAGE,))
    page.reload()
    page.get_by_label("A note for the reviewers").fill("No script was used.")
    page.get_by_role("button", name="Submit for sign-off").click()
    expect(page.get_by_text("Submission 1 is frozen")).to_be_visible()
    assert Submission.objects.get().note == "No script was used."

    theirs = visit(java_script_enabled=False)
    page = theirs.sign_in("mo")
    theirs.open(f"{RELEASE}review/")
    page.get_by_role("button", name="Accept").first.click()
    expect(page.get_by_text("Accepted by Mo")).to_be_visible()
    page.get_by_role("button", name="Approve", exact=True).click()
    expect(page.get_by_text("Signed as MLOps")).to_be_visible()
    assert SignOff.objects.get().decision == "approve"


# With the keyboard alone

IN_VIEW = """() => {
  const active = document.activeElement;
  if (!active || active === document.body || !active.matches(':focus-visible')) return false;
  const shown = element => {
    const style = getComputedStyle(element);
    return (style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) > 0) || style.boxShadow !== 'none';
  };
  return [active, active.parentElement, active.closest('label')].some(element => element && shown(element));
}"""


def tab_to(page: Page, target: Locator, *, most: int = 60) -> None:
    """Press Tab until ``target`` has the focus; on the way and there the focus can be seen."""
    for _ in range(most):
        page.keyboard.press("Tab")
        described = page.evaluate("document.activeElement.outerHTML.slice(0, 120)")
        assert page.evaluate(IN_VIEW), f"Focus cannot be seen on {described}"
        if target.evaluate("element => element === document.activeElement"):
            return
    raise AssertionError(f"{target} was not reached with Tab")


def test_from_signing_in_to_a_saved_answer_with_the_keyboard_alone(
    visit: Callable[..., Visitor], release: Release, bob: Any
) -> None:
    me = visit()
    page = me.open("/accounts/login/")
    keyboard = page.keyboard
    if not page.get_by_label("User name or email").evaluate("element => element === document.activeElement"):
        tab_to(page, page.get_by_label("User name or email"))
    keyboard.type("bob")
    tab_to(page, page.get_by_label("Password"))
    keyboard.type(PASSWORD)
    keyboard.press("Enter")
    expect(page.get_by_role("navigation", name="Main", exact=True)).to_be_visible()

    # To the release: by search
    keyboard.press("/")
    expect(page.get_by_role("searchbox")).to_be_focused()
    keyboard.type("assist")
    keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_contain_text("Search")
    tab_to(page, page.get_by_role("main").get_by_role("link", name="assist-chat").first)
    keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("assist-chat")
    tab_to(page, page.get_by_role("main").get_by_role("link", name="1.0", exact=True).first)
    keyboard.press("Enter")
    expect(page.get_by_role("heading", level=2, name="Model identity")).to_be_visible()

    # Between the cards, and into one
    keyboard.press("j")
    expect(card_on(page, NAME)).to_be_focused()
    assert page.evaluate(IN_VIEW)
    keyboard.press("j")
    expect(card_on(page)).to_be_focused()
    keyboard.press("k")
    expect(card_on(page, NAME)).to_be_focused()
    keyboard.press("j")
    keyboard.press("1")
    expect(card_on(page).get_by_role("radio", name="Met", exact=True)).to_be_checked()
    expect(saved_status(card_on(page))).to_contain_text("Saved")
    keyboard.press("k")
    keyboard.press("j")
    tab_to(page, card_on(page).get_by_label("Base model"))
    keyboard.type("Llama 3.1 8B at jk1")
    expect(card_on(page).get_by_text("Claimed", exact=True)).to_be_visible()
    assert (stored(release).status, stored(release).claims) == ("met", {"base_model": "Llama 3.1 8B at jk1"})
    keyboard.press("Escape")
    expect(card_on(page)).to_be_focused()

    # Help
    keyboard.press("?")
    expect(page.get_by_role("dialog", name="Keyboard")).to_be_visible()
    keyboard.press("j")
    keyboard.press("Escape")
    expect(page.get_by_role("dialog", name="Keyboard")).to_be_hidden()
    expect(card_on(page)).to_be_focused()


def test_the_first_tab_leads_past_the_navigation(visit: Callable[..., Visitor], release: Release, bob: Any) -> None:
    page = visit(bob).open(IDENTITY)
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to content")).to_be_focused()
    expect(page.get_by_role("link", name="Skip to content")).to_be_in_viewport()
    page.keyboard.press("Enter")
    expect(page.get_by_role("main")).to_be_focused()
