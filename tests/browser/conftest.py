"""People at a browser: Chromium on a live server, and nothing that happened in its console goes unnoticed."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from django.conf import settings
from django.core.signals import request_finished, request_started
from django.db import connections
from django.test import Client
from playwright.sync_api import BrowserContext, Page, Playwright, expect

from portal.demo.serving.base import Server
from portal.demo.serving.vllm import SmallVLLM
from tests.conftest import PASSWORD
from tests.test_permissions import world  # noqa: F401  # one of everything: a fixture

expect.set_options(timeout=45_000)
GONE_ELSEWHERE = "net::ERR_ABORTED"  # the page moved on before the answer came


@dataclass
class Noise:
    """What went wrong in a browser, as lines; ``expected``: parts of lines that a test brings about on purpose."""

    lines: list[str] = field(default_factory=list)
    expected: tuple[str, ...] = ()

    def expect(self, *parts: str) -> None:
        self.expected += parts

    def listen(self, context: BrowserContext) -> None:
        context.on("console", lambda said: self.lines.append(f"console {said.type}: {said.text} ({said.page.url})"))
        context.on("weberror", lambda wrong: self.lines.append(f"error: {wrong.error}"))
        context.on("requestfailed", self._failed)
        context.on("response", self._answered)

    def _failed(self, request: Any) -> None:
        if request.failure != GONE_ELSEWHERE:
            self.lines.append(f"failed: {request.method} {request.url} {request.failure}")

    def _answered(self, response: Any) -> None:
        if response.status >= 400:
            self.lines.append(f"answer {response.status}: {response.request.method} {response.url}")

    @property
    def unexpected(self) -> list[str]:
        return [line for line in self.lines if not any(part in line for part in self.expected)]


@pytest.fixture(scope="session")
def playwright(playwright: Playwright) -> Iterator[Playwright]:
    """While its event loop runs, Django keeps another connection for the thread of the tests. Nobody would find it
    after that, and the database could not be dropped."""
    yield playwright
    connections.close_all()


@pytest.fixture
def noise() -> Iterator[Noise]:
    """A journey that leaves a message in the console, an answer of 400 or more, or a failed request, fails."""
    noise = Noise()
    yield noise
    assert noise.unexpected == []


@dataclass
class Visitor:
    """One person's browser window; addresses are written without the server's part."""

    page: Page
    context: BrowserContext
    origin: str

    def open(self, path: str) -> Page:
        self.page.goto(self.origin + path)
        return self.page

    def sign_in(self, username: str, password: str = PASSWORD) -> Page:
        """Through the sign-in page."""
        self.open("/accounts/login/")
        self.page.get_by_label("User name or email").fill(username)
        self.page.get_by_label("Password").fill(password)
        self.page.get_by_role("button", name="Sign in", exact=True).click()
        return self.page

    @property
    def path(self) -> str:
        return self.page.url.removeprefix(self.origin)


@pytest.fixture
def visit(
    new_context: Callable[..., BrowserContext], live_server: Any, noise: Noise
) -> Iterator[Callable[..., Visitor]]:
    """Opens windows that share nothing: ``visit(user)`` is signed in already, ``visit()`` is not."""
    contexts: list[BrowserContext] = []

    def window(user: Any = None, **options: Any) -> Visitor:
        context = new_context(**{"viewport": {"width": 1440, "height": 900}, "reduced_motion": "reduce", **options})
        contexts.append(context)
        context.set_default_timeout(45_000)
        noise.listen(context)
        if user is not None:
            client = Client()
            client.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
            session = {
                "name": settings.SESSION_COOKIE_NAME,
                "value": client.cookies[settings.SESSION_COOKIE_NAME].value,
            }
            context.add_cookies([{**session, "url": live_server.url, "httpOnly": True, "sameSite": "Lax"}])
        return Visitor(context.new_page(), context, live_server.url)

    with under_way() as requests:
        yield window
        for context in contexts:
            context.close()
        # The database is emptied next, which waits for no query that still runs.
        until = time.monotonic() + 10
        while requests and time.monotonic() < until:
            time.sleep(0.01)


@contextmanager
def under_way() -> Iterator[set[int]]:
    """The threads of the live server that answer a request at the moment."""
    busy: set[int] = set()

    def begun(**_: Any) -> None:
        if threading.current_thread() is not threading.main_thread():
            busy.add(threading.get_ident())

    def ended(**_: Any) -> None:
        busy.discard(threading.get_ident())

    request_started.connect(begun)
    request_finished.connect(ended)
    try:
        yield busy
    finally:
        request_started.disconnect(begun)
        request_finished.disconnect(ended)


@pytest.fixture
def model_server() -> Iterator[Server]:
    """A model server of the demo that really answers: a vLLM with a key, and a smaller context than one may claim."""
    server = Server(0, SmallVLLM())
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


AXE = Axe().axe_script
CONTRAST = "color-contrast"


def axe_violations(page: Page, *, only: Sequence[str] = (), without: Sequence[str] = ()) -> list[str]:
    """What axe-core finds on the page as it is now (``only`` by, or ``without``, some rules), a line an element.

    What axe itself does to the page breaks the content security policy: the console is not listened to meanwhile.
    """
    options: dict[str, Any] = {"resultTypes": ["violations"], "preload": False}
    if only:
        options["runOnly"] = list(only)
    options["rules"] = {rule: {"enabled": False} for rule in without}
    if not page.evaluate("'axe' in window"):
        page.evaluate(AXE)
    found = page.evaluate("options => axe.run(document, options)", options)["violations"]
    return [
        f"{each['id']}: {node['html'][:200]} {node.get('failureSummary', '')[:240]!r}"
        for each in found
        for node in each["nodes"]
    ]


def sideways(page: Page) -> int:
    """By how many pixels the page can be scrolled sideways."""
    return int(page.evaluate("document.scrollingElement.scrollWidth - document.documentElement.clientWidth"))
