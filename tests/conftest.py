"""What every test may use: the cast, the checklist, a Celery worker, a browser. No test leaves the machine."""

from __future__ import annotations

import ipaddress
import os
import shutil
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import hypothesis
import pytest
from django.conf import settings
from django.core.cache import cache

from portal.launch import AS_ROOT, CELERY
from portal.processes import Process
from tests.evidence.real import programs

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
WITHOUT_BROWSER = "Chromium is not on PATH"
WITHOUT_SERVERS = "Servers are not installed"


# How fast examples are made says how busy the machine is, and nothing of the code.
hypothesis.settings.register_profile(
    "preflight", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("preflight")

# The rooms whose rules live in the database as much as in Python; `python -m tests` repeats their tests on SQLite.
ROOMS = ("journal", "people", "catalog", "registry", "assessments", "evidence", "scorecards", "signoff", "notices")


@pytest.hookimpl(tryfirst=True)  # before pytest selects by marker
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    for item in items:
        uses_it = item.get_closest_marker("django_db") or {"db", "transactional_db"} & set(item.fixturenames)  # type: ignore[attr-defined]
        if uses_it and item.path.parent.name in ROOMS:
            item.add_marker(pytest.mark.database)
    skip_or_require(items, "browser", lambda marker: "" if CHROMIUM else WITHOUT_BROWSER)
    skip_or_require(items, "servers", lambda marker: without_servers(*marker.args))


# What a machine may lack: Chromium, and the real servers that probes are tried at


def without_servers(*names: str) -> str:
    """Which of these servers are not installed, as a sentence without its full stop; empty if all are."""
    missing = [name for name in names if programs.find(name) is None]
    return f"{WITHOUT_SERVERS}: {', '.join(missing)}" if missing else ""


def skip_or_require(items: list[pytest.Item], marker: str, lacking: Callable[[pytest.Mark], str]) -> None:
    """Skip what this machine lacks the programs for; with PREFLIGHT_REQUIRE_<MARKER>=1 that is an error."""
    variable = f"PREFLIGHT_REQUIRE_{marker.upper()}"
    for item in items:
        if (mark := item.get_closest_marker(marker)) and (reason := lacking(mark)):
            if os.environ.get(variable) == "1":
                raise pytest.UsageError(f"{reason}, and {variable}=1 asks for the tests that need it.")
            item.add_marker(pytest.mark.skip(reason=reason))


def pytest_terminal_summary(terminalreporter: Any) -> None:
    reports = terminalreporter.stats.get("skipped", [])
    for what, reason, remedy in (
        ("BROWSER TESTS", WITHOUT_BROWSER, "Install chromium and run again."),
        ("TESTS AT REAL SERVERS", WITHOUT_SERVERS, f"Run {programs.INSTALL} and then the tests again."),
    ):
        count = sum(reason in str(report.longrepr) for report in reports)
        if count:
            terminalreporter.section(f"{what} WERE SKIPPED", sep="!", red=True, bold=True)
            terminalreporter.line(f"{count} tests did not run. {reason}. {remedy}")


@pytest.fixture(scope="session")
def browser_type_launch_args() -> dict[str, Any]:
    """The system's Chromium, which asks nobody on the network for anything."""
    switches = "no-sandbox disable-gpu disable-quic no-first-run disable-background-networking"
    more = "disable-component-update disable-sync"
    return {"executable_path": CHROMIUM, "args": [f"--{name}" for name in f"{switches} {more}".split()]}


@pytest.fixture(scope="session")
def base_url() -> None:
    """Pages are asked for with ``live_server.url``; pytest-base-url's own fixture warns under pytest 9."""


# No test leaves the machine, and none sees what another left in the cache


@pytest.fixture(scope="session", autouse=True)
def _only_this_machine() -> Iterator[None]:
    """Connections to other machines are an error; to the environment's own Redis they are not."""
    redis_host = urlsplit(settings.REDIS_URL).hostname
    original = socket.socket.connect

    def connect(self: socket.socket, address: Any) -> None:
        if self.family in (socket.AF_INET, socket.AF_INET6):
            host = address[0]
            if host not in ("localhost", redis_host) and not ipaddress.ip_address(host.partition("%")[0]).is_loopback:
                self.close()
                raise AssertionError(f"A test tried to reach {host}, which is not this machine.")
        original(self, address)

    patch = pytest.MonkeyPatch()
    patch.setattr(socket.socket, "connect", connect)
    yield
    patch.undo()


@pytest.fixture(autouse=True)
def _empty_cache() -> None:
    """Sign-in throttling counts in the cache."""
    cache.clear()


# Celery


@pytest.fixture
def start_worker(transactional_db: None, tmp_path: Path) -> Iterator[Callable[..., Process]]:
    """Starts real Celery workers on the test's database and broker; all of them end with the test."""
    from django.db import connection

    from portal.celery import app

    app.control.purge()
    workers: list[Process] = []

    def start(*, concurrency: int = 1, settings_module: str = "tests.settings") -> Process:
        number, url = len(workers), database_url(connection)
        worker = Process(
            f"worker-{number}",
            [
                *(sys.executable, "-W", AS_ROOT, "-m", *CELERY, "worker", "--hostname", f"worker-{number}@test"),
                *("-c", str(concurrency), "--loglevel", "INFO"),
                *("--without-mingle", "--without-gossip", "--without-heartbeat"),
            ],
            log=tmp_path / f"worker-{number}.log",
            environment={**os.environ, "DJANGO_SETTINGS_MODULE": settings_module, "DATABASE_URL": url},
            orphan_signal=signal.SIGKILL,
            stop_signal=signal.SIGQUIT,
        )
        workers.append(worker)
        worker.start()
        worker.wait_until(lambda: " ready." in worker.log.read_text(), seconds=120)
        return worker

    yield start
    for worker in workers:
        worker.stop()
    app.control.purge()


@pytest.fixture
def celery_worker(start_worker: Callable[..., Process]) -> Process:
    """One real Celery worker; tasks sent with ``delay`` in this test are done by it, in its own process."""
    return start_worker()


def database_url(connection: Any) -> str:
    """The test's own database, as another process names it."""
    if connection.vendor == "sqlite":
        return f"sqlite:///{connection.settings_dict['NAME']}"
    return str(urlsplit(os.environ["DATABASE_URL"])._replace(path=f"/{connection.settings_dict['NAME']}").geturl())


# The cast: who may do what is the same in every test. All have the password ``PASSWORD``.

PASSWORD = "a-long-walk-on-the-beach"


@dataclass(frozen=True)
class Cast:
    """Everybody at once."""

    alice: Any
    bob: Any
    carol: Any
    mallory: Any
    mo: Any
    sam: Any
    rita: Any
    leo: Any
    ada: Any
    root: Any


def person(username: str, *, roles: tuple[str, ...] = (), teams: dict[Any, str] | None = None) -> Any:
    """A user with organisation roles and with a role in teams."""
    from checklists.people import services

    email = f"{username}@example.org"
    user = services.create_user(username=username, password=PASSWORD, name=username.capitalize(), email=email)
    for role in roles:
        services.set_role(user=user, role=role, granted=True)
    for team, role in (teams or {}).items():
        services.set_membership(team=team, user=user, role=role)
    return user


@pytest.fixture
def team(db: None) -> Any:
    """The team of alice, bob and carol."""
    from checklists.people.services import create_team

    return create_team(slug="search", name="Search")


@pytest.fixture
def other_team(db: None) -> Any:
    """Mallory's team."""
    from checklists.people.services import create_team

    return create_team(slug="billing", name="Billing")


@pytest.fixture
def alice(team: Any) -> Any:
    """Owner of the team."""
    return person("alice", teams={team: "owner"})


@pytest.fixture
def bob(team: Any) -> Any:
    """Contributor of the team."""
    return person("bob", teams={team: "contributor"})


@pytest.fixture
def carol(team: Any) -> Any:
    """Viewer of the team."""
    return person("carol", teams={team: "viewer"})


@pytest.fixture
def mallory(other_team: Any) -> Any:
    """An outsider: owner of another team."""
    return person("mallory", teams={other_team: "owner"})


@pytest.fixture
def mo(db: None) -> Any:
    """MLOps reviewer."""
    return person("mo", roles=("mlops",))


@pytest.fixture
def sam(db: None) -> Any:
    """Security reviewer."""
    return person("sam", roles=("security",))


@pytest.fixture
def rita(db: None) -> Any:
    """SRE reviewer."""
    return person("rita", roles=("sre",))


@pytest.fixture
def leo(db: None) -> Any:
    """Leader."""
    return person("leo", roles=("leader",))


@pytest.fixture
def ada(db: None) -> Any:
    """Auditor."""
    return person("ada", roles=("auditor",))


@pytest.fixture
def root(db: None) -> Any:
    """Administrator."""
    return person("root", roles=("administrator",))


@pytest.fixture
def cast(
    alice: Any, bob: Any, carol: Any, mallory: Any, mo: Any, sam: Any, rita: Any, leo: Any, ada: Any, root: Any
) -> Cast:
    return Cast(
        alice=alice, bob=bob, carol=carol, mallory=mallory, mo=mo, sam=sam, rita=rita, leo=leo, ada=ada, root=root
    )


# The checklist


@pytest.fixture
def edition(db: None) -> Any:
    """The bundled checklist's published edition."""
    from checklists.catalog.services import sync_catalog

    return sync_catalog().edition
