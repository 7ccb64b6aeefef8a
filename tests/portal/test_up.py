"""`manage.py up`, started for real on SQLite with a broker of its own."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command

from portal.launch import PRODUCT
from portal.servers import free_port
from tests.conftest import person

OWN = ("PREFLIGHT_", "DATABASE_URL", "TEST_DATABASE_URL", "REDIS_URL", "DJANGO_", "PYTEST_", "CELERY_")


def bare_environment(**more: str) -> dict[str, str]:
    """Ours, without what the tests or their runner have set for the product."""
    return {name: value for name, value in os.environ.items() if not name.startswith(OWN)} | more


def manage(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "manage.py", *arguments],
        cwd=PRODUCT, env=bare_environment(**environment), capture_output=True, text=True, check=False, timeout=180,
    )  # fmt: skip


def wait_until(happened: Callable[[], object], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < deadline, "It did not happen in time."
        time.sleep(0.05)


def state(pid: int) -> tuple[str, int, str] | None:
    """A process's state, parent and start time; None when it is gone or only waits to be buried."""
    with contextlib.suppress(OSError):
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return None if fields[0] == "Z" else (fields[0], int(fields[1]), fields[19])
    return None


def descendants(pid: int) -> dict[int, str]:
    """Every process that descends from this one: id to start time."""
    living = {int(entry.name): state(int(entry.name)) for entry in Path("/proc").iterdir() if entry.name.isdigit()}
    found: dict[int, str] = {}
    fresh = {pid}
    while fresh:
        fresh = {child for child, facts in living.items() if facts and facts[1] in fresh}
        found |= {child: facts[2] for child in fresh if (facts := living[child])}
    return found


def none_left(processes: dict[int, str]) -> bool:
    return not any((facts := state(pid)) and facts[2] == started for pid, started in processes.items())


@dataclass
class Running:
    process: subprocess.Popen[str]
    data: Path
    output: Path
    address: str

    def said(self) -> str:
        return self.output.read_text()

    def everyone(self) -> dict[int, str]:
        """All its descendants, once they are: broker, web server and its two, task worker and its two, task clock."""
        wait_until(lambda: len(descendants(self.process.pid)) >= 8, 60)
        return descendants(self.process.pid)

    def children(self, words: str) -> list[int]:
        """Direct children whose command line holds these words."""
        direct = [
            pid for pid in descendants(self.process.pid) if (facts := state(pid)) and facts[1] == self.process.pid
        ]
        return [pid for pid in direct if words in Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ")]


@pytest.fixture
def up(tmp_path: Path) -> Iterator[Running]:
    """Preflight, up and answering."""
    output = tmp_path / "output"
    with output.open("w") as written:
        process = subprocess.Popen(
            [sys.executable, "manage.py", "up", "--port", "0"],
            cwd=PRODUCT, env=bare_environment(PREFLIGHT_DATA_DIR=str(tmp_path / "data")),
            stdout=written, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip
    try:
        wait_until(lambda: "Ctrl-C" in output.read_text() or process.poll() is not None, 180)
        address = re.search(r"running at (\S+)/", output.read_text())
        assert address, output.read_text()
        yield Running(process, tmp_path / "data", output, address[1])
    finally:
        process.kill()
        process.wait()


def get(url: str) -> tuple[int, str, str]:
    """Status, final address and text."""
    with urllib.request.urlopen(url, timeout=10) as response:
        return response.status, response.url, response.read().decode()


def test_up_serves_restarts_what_dies_and_leaves_nothing_behind_on_sigterm(up: Running) -> None:
    assert get(f"{up.address}/healthz")[0] == 200
    assert get(f"{up.address}/readyz")[0] == 200
    status, landed, page = get(up.address + "/")
    assert (status, "/accounts/login/" in landed) == (200, True)
    stylesheet = re.search(r'href="(/static/[^"]+\.css)"', page)
    assert stylesheet
    assert get(up.address + stylesheet[1])[0] == 200

    link = re.search(r"http://\S+/setup/\S+/", up.said())
    assert link, up.said()
    assert get(link[0])[0] == 200

    second = manage("up", "--port", "0", PREFLIGHT_DATA_DIR=str(up.data))
    assert (second.returncode, second.stderr) == (
        1,
        f"Preflight already runs on {up.data}; stop it first, or set PREFLIGHT_DATA_DIR to another.\n",
    )

    for name in ("celery", "beat", "valkey-server"):
        assert up.children(name), name
    worker = up.children("portal worker")
    os.kill(worker[0], signal.SIGKILL)
    wait_until(lambda: up.children("portal worker") not in ([], worker), 30)
    assert "Task worker ended; it starts again in 1 s." in up.said()

    everyone = up.everyone()
    began = time.monotonic()
    up.process.send_signal(signal.SIGTERM)
    assert up.process.wait(15) == 0
    assert time.monotonic() - began < 12
    wait_until(lambda: none_left(everyone), 1)
    assert up.said().endswith("Stopped.\n")


def test_up_leaves_nothing_behind_when_it_is_killed(up: Running) -> None:
    everyone = up.everyone()
    up.process.kill()
    wait_until(lambda: none_left(everyone), 10)


def test_a_taken_port_ends_it_with_one_sentence_before_anything_is_started(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        answer = manage("up", "--port", str(port), PREFLIGHT_DATA_DIR=str(tmp_path))
    assert (answer.returncode, answer.stdout) == (1, "")
    assert answer.stderr == f"Port {port} is taken; choose another with --port.\n"
    assert not (tmp_path / "valkey").exists()


def test_a_failed_migration_ends_it_with_one_sentence(tmp_path: Path) -> None:
    nowhere = f"postgres://nobody:secret@127.0.0.1:{free_port()}/nothing"
    answer = manage("up", "--port", "0", PREFLIGHT_DATA_DIR=str(tmp_path), DATABASE_URL=nowhere)
    assert answer.returncode == 1
    assert "The database could not be brought up to date: " in answer.stderr
    assert "Traceback" not in answer.stderr
    assert "secret" not in answer.stderr
    assert "running at" not in answer.stdout


@pytest.mark.parametrize(
    ("variable", "value", "says"),
    [
        ("REDIS_URL", "redis://:secret-word@127.0.0.1:1/0", "The broker that REDIS_URL names cannot be used: "),
        ("REDIS_URL", "nonsense", "The broker that REDIS_URL names cannot be used: "),
        ("PREFLIGHT_DATA_DIR", "/dev/null/data", "The data directory /dev/null/data cannot be used: "),
        ("DATABASE_URL", "nonsense", 'Environment variable "DATABASE_URL" invalid: '),
    ],
)
def test_a_setting_that_cannot_be_used_ends_it_with_one_sentence(
    tmp_path: Path, variable: str, value: str, says: str
) -> None:
    ended = manage("up", "--port", "0", **{"PREFLIGHT_DATA_DIR": str(tmp_path / "data"), variable: value})
    assert ended.returncode == 1
    assert says in ended.stderr
    assert "Traceback" not in ended.stderr
    assert "secret-word" not in ended.stderr


@pytest.mark.django_db
def test_the_setup_link_ends_when_there_is_an_administrator(settings: Any, capsys: pytest.CaptureFixture[str]) -> None:
    settings.BASE_URL = "http://preflight.example"
    call_command("setup_link")
    assert capsys.readouterr().out.startswith("http://preflight.example/setup/")
    person("ada", roles=("administrator",))
    call_command("setup_link")
    assert capsys.readouterr().out == "There is an administrator already.\n"
