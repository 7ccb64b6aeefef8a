"""Guessing passwords is stopped for the account and for the address, and all web processes count together."""

import os
import subprocess
import sys
import textwrap

import pytest
from allauth.account.adapter import get_adapter
from django.core.cache import cache
from django.test import Client

from tests.conftest import PASSWORD

pytestmark = pytest.mark.django_db

FORM = "/accounts/login/"


def try_to_sign_in(username, password, address, host="localhost"):
    return Client(REMOTE_ADDR=address, HTTP_HOST=host).post(FORM, {"login": username, "password": password})


def test_one_account_takes_five_guesses_from_however_many_addresses(bob):
    for number in range(5):
        assert "Too many" not in try_to_sign_in("bob", f"guess {number}", f"192.0.2.{number}").content.decode()
    assert "Too many" in try_to_sign_in("bob", PASSWORD, "192.0.2.9").content.decode()


def test_other_ports_and_the_other_name_of_an_account_give_no_more_guesses(bob):
    for number in range(5):
        login = ("bob", "BOB", "bob@example.org")[number % 3]
        answer = try_to_sign_in(login, f"guess {number}", f"192.0.2.{number}", f"localhost:{8000 + number}")
        assert "Too many" not in answer.content.decode()
    for login in ("bob", "bob@example.org"):
        assert "Too many" in try_to_sign_in(login, PASSWORD, "192.0.2.9", "localhost:9000").content.decode()


def test_one_address_takes_twenty_guesses_at_however_many_accounts(bob):
    for number in range(20):
        assert "Too many" not in try_to_sign_in(f"nobody-{number}", "guess", "192.0.2.1").content.decode()
    assert "Too many" in try_to_sign_in("bob", PASSWORD, "192.0.2.1").content.decode()
    assert try_to_sign_in("bob", PASSWORD, "192.0.2.2").status_code == 302


def test_an_address_that_the_client_makes_up_counts_for_nothing(bob):
    for number in range(20):
        Client(REMOTE_ADDR="192.0.2.1", headers={"X-Forwarded-For": f"198.51.100.{number}"}).post(
            FORM, {"login": f"nobody-{number}", "password": "guess"}
        )
    assert "Too many" in try_to_sign_in("bob", PASSWORD, "192.0.2.1").content.decode()


def test_what_one_process_counts_the_others_know(bob):
    """Another process, with nothing in common but the servers, counts up to the limit; this one then refuses."""
    script = """
        import django
        django.setup()
        from allauth.account.adapter import get_adapter
        from django.test import RequestFactory
        request = RequestFactory(REMOTE_ADDR="192.0.2.7", HTTP_HOST="localhost").post("/accounts/login/")
        adapter = get_adapter()
        type(adapter)._get_login_attempts_cache_key = lambda *_, **__: "KEY"  # people are in this test's transaction
        for _ in range(5):
            adapter.pre_authenticate(request, username="bob")
    """
    key = get_adapter()._get_login_attempts_cache_key(None, username="bob")
    environment = {**os.environ, "DJANGO_SETTINGS_MODULE": "tests.settings"}
    subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script).replace("KEY", key)], env=environment, check=True, timeout=60
    )
    assert "Too many" in try_to_sign_in("bob", PASSWORD, "192.0.2.8").content.decode()
    cache.clear()
    assert try_to_sign_in("bob", PASSWORD, "192.0.2.8").status_code == 302
