"""What a browser downloads: the product's own web server with compressed, hashed files, and many models."""

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
from django.db import connection
from django.test import Client
from playwright.sync_api import BrowserContext

from checklists.people.services import create_team
from checklists.registry.models import Release
from checklists.signoff.services import submit
from portal.processes import Process
from tests.build import answer_everything, answer_of, in_days, make_endpoint, make_model, make_release, save
from tests.conftest import database_url

pytestmark = pytest.mark.browser

KEY = "identity.name-version"
SECTIONS = (
    *("identity", "compute", "performance", "release", "autoscaling"),
    *("observability", "reliability", "security", "operations"),
)
FIRST_LOAD, NEXT_LOAD = 100_000, 40_000  # bytes, compressed, everything counted


@pytest.fixture
def organisation(transactional_db: None, root: Any, edition: Any) -> Release:
    """As large as the demo where it shows: 12 teams, 60 models of all families and their releases, one in review."""
    families = ("llm", "diffusion", "embedding", "multimodal", "audio", "vision")
    statuses = ("met", "partly", "not_met", "unanswered")
    releases = []
    for number in range(60):
        if number % 5 == 0:
            team = create_team(slug=f"team-{number}", name=f"Team number {number}")
        family, name = families[number % 6], f"Assistant number {number}"
        model = make_model(team, root, f"assistant-{number}", name=name, family=family, tier=number % 3 + 1)
        release = make_release(model, root, "1.0", launch_date=in_days(number))
        save(answer_of(release, KEY), root, status=statuses[number % 4], justification="As in the runbook.")
        releases.append(release)
    release = releases[0]
    make_endpoint(release, root)
    answer_everything(release, root)
    submit(release=release, by=root, note="Please look at the limits first.")
    return release


@pytest.fixture
def web_server(organisation: Release, tmp_path: Path) -> Iterator[str]:
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
    command = [sys.executable, "manage.py", "collectstatic", "--noinput"]
    collect = Process("collectstatic", command, environment=environment, log=tmp_path / "collect.log")
    collect.start()
    assert collect.wait() == 0, collect.last_words()
    options = ["--bind", f"127.0.0.1:{port}", "--threads", "4", "--no-control-socket"]
    command = [sys.executable, "-m", "gunicorn", *options, "portal.wsgi"]
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
        answer = self.page.goto(url, wait_until="load")
        assert answer is not None
        assert answer.status == 200, url
        return self.bytes


def test_no_page_is_heavy(
    web_server: str, new_context: Callable[..., BrowserContext], organisation: Release, root: Any
) -> None:
    release = organisation
    base = f"/models/{release.model.slug}/releases/{release.version}"
    paths = [
        *("/", "/overview/", "/overview/?by=family&axis=qualities", "/items/", "/models/", "/reviews/", "/catalog/"),
        "/releases/",
        *("/catalog/genai-readiness/0.1/", "/search/?q=a", "/inbox/", "/settings/", "/settings/people/", "/journal/"),
        *("/settings/teams/", "/settings/routes/", f"/models/{release.model.slug}/"),
        *(f"{base}/{tab}/" for tab in ("evidence", "review", "history")),
        *(f"{base}/checklist/{section}/" for section in SECTIONS),
        f"{base}/submissions/1/",
    ]
    client = Client()
    client.force_login(root, backend="django.contrib.auth.backends.ModelBackend")
    session = client.cookies[settings.SESSION_COOKIE_NAME].value
    cookie = {"name": settings.SESSION_COOKIE_NAME, "value": session, "url": web_server}

    def somebody_new() -> Scales:
        context = new_context()
        context.add_cookies([cookie])
        return Scales(context)

    # What every page shares comes with the first one; after it each page brings only its own.
    scales = somebody_new()
    first = scales.weigh(f"{web_server}/settings/tokens/")
    again = scales.weigh(f"{web_server}/settings/tokens/")
    shared = first - again
    assert shared > 10_000, "Nothing was weighed."
    weights = {path: scales.weigh(web_server + path) for path in paths}
    assert min(weights.values()) > 1_000, "Pages themselves are never taken from the browser's cache."
    assert {path: weight for path, weight in weights.items() if weight > NEXT_LOAD} == {}
    assert {path: weight for path, weight in weights.items() if shared + weight > FIRST_LOAD} == {}
    # The sum is what the heaviest page, and the sign-in page, really take at first.
    heaviest = max(weights, key=weights.__getitem__)
    assert somebody_new().weigh(web_server + heaviest) == pytest.approx(shared + weights[heaviest], rel=0.05)
    assert Scales(new_context()).weigh(f"{web_server}/accounts/login/") < FIRST_LOAD
