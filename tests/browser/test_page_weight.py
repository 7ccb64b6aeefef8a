"""What a browser downloads: the product's own web server with compressed, hashed files, and the demo's organisation."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest
from django.conf import settings
from django.core.management import call_command
from django.db import connection
from django.test import Client, override_settings
from playwright.sync_api import BrowserContext

from checklists.people.models import User
from checklists.registry.models import Release
from portal.processes import Process
from tests.conftest import database_url
from tests.portal.test_demo_servers import free_base

pytestmark = pytest.mark.browser

FIRST_LOAD, NEXT_LOAD = 100_000, 40_000  # bytes, compressed, everything counted


@pytest.fixture
def demo(transactional_db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """The demo's organisation, with its 60 models."""
    monkeypatch.setenv("PREFLIGHT_DEMO_BASE_PORT", str(free_base()))
    with override_settings(DEMO=True):
        call_command("load_demo", verbosity=0)


@pytest.fixture
def web_server(demo: None, tmp_path: Path) -> Iterator[str]:
    """gunicorn with the settings of an installation, on the test's database."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "portal.settings",
        "DATABASE_URL": database_url(connection),
        "PREFLIGHT_STATIC_ROOT": str(tmp_path / "static"),
        "PREFLIGHT_HTTPS": "0",
    }
    collect = Process("collectstatic", [sys.executable, "manage.py", "collectstatic", "--noinput"], environment=environment, log=tmp_path / "collect.log")
    collect.start()
    assert collect.wait() == 0, collect.last_words()
    command = [sys.executable, "-m", "gunicorn", "--bind", f"127.0.0.1:{port}", "--threads", "4", "--no-control-socket", "portal.wsgi"]
    web = Process("web", command, environment=environment, log=tmp_path / "web.log")
    web.start()
    web.wait_until(lambda: answers(f"http://127.0.0.1:{port}/healthz"), seconds=60)
    yield f"http://127.0.0.1:{port}"
    web.stop()


def answers(url: str) -> bool:
    try:
        with urlopen(url, timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


class Scales:
    """Weighs what a window transfers, as Chromium counts it: heads and compressed bodies, nothing from its cache."""

    def __init__(self, context: BrowserContext) -> None:
        self.page = context.new_page()
        self.bytes = 0
        devtools = context.new_cdp_session(self.page)
        devtools.send("Network.enable")
        devtools.on("Network.loadingFinished", self._add)

    def _add(self, event: Any) -> None:
        self.bytes += int(event["encodedDataLength"])

    def weigh(self, url: str) -> int:
        self.bytes = 0
        answer = self.page.goto(url, wait_until="networkidle")
        assert answer is not None
        assert answer.status == 200, url
        return self.bytes


def test_no_page_of_the_demo_is_heavy(web_server: str, new_context: Callable[..., BrowserContext]) -> None:
    release = Release.objects.filter(stage="in_review").select_related("model").order_by("pk").first()
    assert release is not None
    base = f"/models/{release.model.slug}/releases/{release.version}"
    sections = ("identity", "compute", "performance", "release", "autoscaling", "observability", "reliability", "security", "operations")
    paths = [
        *("/", "/overview/", "/overview/?by=family&axis=qualities", "/items/", "/models/", "/reviews/", "/catalog/"),
        *("/catalog/genai-readiness/0.1/", "/search/?q=a", "/inbox/", "/settings/", "/settings/people/", "/journal/"),
        *("/settings/teams/", "/settings/routes/", f"/models/{release.model.slug}/"),
        *(f"{base}/{tab}/" for tab in ("evidence", "review", "history")),
        *(f"{base}/checklist/{section}/" for section in sections),
        f"{base}/submissions/1/",
    ]
    # Each page as the first one of somebody new, then the same with what every page shares at hand.
    client = Client()
    client.force_login(User.objects.get(username="demo-admin"), backend="django.contrib.auth.backends.ModelBackend")
    session = client.cookies[settings.SESSION_COOKIE_NAME].value
    cookie = {"name": settings.SESSION_COOKIE_NAME, "value": session, "url": web_server}
    heavy, shared = [], new_context()
    shared.add_cookies([cookie])
    scales = Scales(shared)
    first = scales.weigh(f"{web_server}/settings/tokens/")
    assert 10_000 < first < FIRST_LOAD, first  # something was weighed
    for path in paths:
        weight = scales.weigh(web_server + path)
        assert weight > 1_000, path
        if weight > NEXT_LOAD:
            heavy.append(f"{path}: {weight} bytes after the first page")
    for path in paths:
        new = new_context()
        new.add_cookies([cookie])
        if (weight := Scales(new).weigh(web_server + path)) > FIRST_LOAD:
            heavy.append(f"{path}: {weight} bytes at first")
        new.close()
    new = new_context()
    assert Scales(new).weigh(f"{web_server}/accounts/login/") < FIRST_LOAD
    assert heavy == []
