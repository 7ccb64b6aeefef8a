"""Signing in: a second factor, a passkey, and a limit to guessing."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest
from allauth.mfa.app_settings import TOTP_PERIOD
from allauth.mfa.models import Authenticator
from allauth.mfa.totp.internal.auth import format_hotp_value, hotp_value
from django.core.cache import cache
from playwright.sync_api import Page, expect

from tests.browser.conftest import Noise, Visitor
from tests.conftest import PASSWORD

pytestmark = pytest.mark.browser


def signed_in(page: Page) -> None:
    expect(page.get_by_role("navigation", name="Main", exact=True)).to_be_visible()


def code_now(secret: str) -> str:
    """What an authenticator app shows."""
    return format_hotp_value(hotp_value(secret, int(time.time()) // TOTP_PERIOD))


def confirm(page: Page) -> None:
    """What guards the account asks for the password again."""
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Confirm").click()


def test_a_second_factor_is_set_up_and_then_asked_for(visit: Callable[..., Visitor], bob: Any) -> None:
    me = visit()
    page = me.sign_in("bob")
    signed_in(page)
    me.open("/accounts/2fa/totp/activate/")
    confirm(page)
    secret = page.locator("#authenticator_secret").input_value()
    page.locator("input[name=code]").fill(code_now(secret))
    page.get_by_role("main").get_by_role("button", name="Activate").click()
    expect(page.get_by_text("activated").first).to_be_visible()
    assert Authenticator.objects.filter(user=bob, type="totp").exists()
    cache.clear()  # each code counts once; this stands for the next half minute

    other = visit()
    page = other.sign_in("bob")
    expect(page.get_by_role("heading", name="Two-Factor Authentication")).to_be_visible()
    page.locator("input[name=code]").fill("000000")
    page.get_by_role("button", name="Sign In", exact=True).click()
    expect(page.get_by_text("Incorrect code")).to_be_visible()
    other.open("/models/")
    assert "/accounts/" in other.path, "The password alone opened the door."
    other.open("/accounts/2fa/authenticate/")
    page.locator("input[name=code]").fill(code_now(secret))
    page.get_by_role("button", name="Sign In", exact=True).click()
    signed_in(page)


def test_a_passkey_signs_in_without_a_password(visit: Callable[..., Visitor], bob: Any) -> None:
    me = visit()
    page = me.sign_in("bob")
    signed_in(page)
    devtools = me.context.new_cdp_session(page)
    devtools.send("WebAuthn.enable")
    key = {
        "protocol": "ctap2",
        "transport": "internal",
        "hasResidentKey": True,
        "hasUserVerification": True,
        "isUserVerified": True,
        "automaticPresenceSimulation": True,
    }
    devtools.send("WebAuthn.addVirtualAuthenticator", {"options": key})
    me.open("/accounts/2fa/webauthn/add/")
    confirm(page)
    page.get_by_label("Name").fill("This laptop")
    page.get_by_label("Passwordless").check()
    page.get_by_role("main").get_by_role("button", name="Add").click()
    expect(page.get_by_role("main")).to_contain_text("added")
    assert Authenticator.objects.filter(user=bob, type="webauthn").count() == 1

    page.locator("summary", has_text="your menu").click()
    page.get_by_role("button", name="Sign out").click()
    me.open("/accounts/login/")
    page.get_by_role("button", name="Sign in with a passkey").click()
    signed_in(page)


def test_guessing_a_password_is_stopped_for_the_account_and_counted_together(
    visit: Callable[..., Visitor], noise: Noise, bob: Any, carol: Any
) -> None:
    noise.expect("429")
    guesser = visit()
    for number in range(6):
        page = guesser.sign_in("bob", f"guess number {number}")
        expect(page.get_by_role("alert").or_(page.get_by_role("heading", name="Too Many Requests"))).to_be_visible()
    page = guesser.sign_in("bob")  # the right one, too late
    expect(page.get_by_text("Too many").first).to_be_visible()
    page = visit().sign_in("bob")  # from another browser too
    expect(page.get_by_text("Too many").first).to_be_visible()
    signed_in(visit().sign_in("carol"))  # others sign in
    cache.clear()  # the count lies in the cache that all web processes share, and nowhere else
    signed_in(visit().sign_in("bob"))
