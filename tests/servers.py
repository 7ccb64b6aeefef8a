"""The real servers that the tests run on: the environment's, else the system's, else those from wheels.

``tests.settings`` asks for them before anything else, so every way to start pytest has them. The process that asks
first (pytest itself) starts what is missing and stops it when it ends; its children (xdist's workers, Celery workers,
`manage.py`) find the addresses in the environment.
"""

import atexit
import os
import shutil
import tempfile
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

STARTED = "PREFLIGHT_TEST_SERVERS"  # set to the data directory once this has run
SPEED = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off", "max_connections": "100"}


def provide() -> Path:
    """Put the addresses and ``PREFLIGHT_DATA_DIR`` into the environment; returns the data directory.

    ``PREFLIGHT_TEST_DB=sqlite`` uses SQLite. ``TEST_DATABASE_URL`` (or ``DATABASE_URL``) and ``REDIS_URL`` name servers
    of one's own; the tests empty that Redis.
    """
    if STARTED in os.environ:
        return Path(os.environ[STARTED])
    from portal.servers import start_postgres, start_valkey

    directory = Path(tempfile.mkdtemp(prefix="preflight-tests-"))
    atexit.register(shutil.rmtree, directory, ignore_errors=True)  # registered first, so it runs last
    if os.environ.get("PREFLIGHT_TEST_DB") == "sqlite":
        os.environ["DATABASE_URL"] = f"sqlite:///{directory / 'preflight.sqlite3'}"
    elif url := os.environ.get("TEST_DATABASE_URL") or os.environ.get("DATABASE_URL"):
        os.environ["DATABASE_URL"] = url
    else:
        postgres = start_postgres(directory / "postgres", settings=SPEED)
        atexit.register(postgres.stop)
        os.environ["DATABASE_URL"] = postgres.url
    if "REDIS_URL" not in os.environ:
        broker = start_valkey(directory / "valkey", durable=False)
        atexit.register(broker.stop)
        os.environ["REDIS_URL"] = broker.url
    os.environ["PREFLIGHT_DATA_DIR"] = os.environ[STARTED] = str(directory)
    return directory


def redis_database(url: str, number: int) -> str:
    """The same server, another of its numbered databases."""
    return urlunsplit(urlsplit(url)._replace(path=f"/{number}"))
