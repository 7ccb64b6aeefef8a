"""What `manage.py up` runs: which processes, with which arguments and which environment."""

from __future__ import annotations

import errno
import fcntl
import os
import signal
import socket
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from portal.processes import Process, StartFailure

PRODUCT = Path(__file__).resolve().parent.parent
ANY_ADDRESS = ("0.0.0.0", "::", "")  # noqa: S104  # compared with, not bound to
CELERY = ("celery", "-q", "-A", "portal")
AS_ROOT = "ignore:You're running the worker with superuser"  # whoever starts `up` as root has decided so


@dataclass(frozen=True)
class Launch:
    """One start of the product, as asked for on the command line."""

    data: Path
    host: str
    port: int
    demo: bool
    web_workers: int

    @property
    def local_address(self) -> str:
        """Where this machine reaches the web server."""
        host = "127.0.0.1" if self.host in ANY_ADDRESS else self.host
        return f"http://[{host}]:{self.port}" if ":" in host else f"http://{host}:{self.port}"

    @property
    def address(self) -> str:
        """What to type into a browser; passkeys want a name rather than a number."""
        return self.local_address.replace("//127.0.0.1:", "//localhost:")

    def environment(self, servers: Mapping[str, str]) -> dict[str, str]:
        """The children's: ours, the addresses of the servers, and what plain HTTP on this machine needs."""
        hosts = ["localhost", "127.0.0.1", "[::1]", socket.gethostname()]
        if self.host not in ANY_ADDRESS:
            hosts.append(f"[{self.host}]" if ":" in self.host else self.host)
        defaults = {
            "DJANGO_SETTINGS_MODULE": "portal.settings",
            "PREFLIGHT_HTTPS": "0",
            "PREFLIGHT_BASE_URL": self.address,
            "PREFLIGHT_ALLOWED_HOSTS": ",".join(dict.fromkeys(hosts)),
        }
        fixed = {"PREFLIGHT_DATA_DIR": str(self.data), "PREFLIGHT_DEMO": str(int(self.demo)), "PYTHONUNBUFFERED": "1"}
        return {**defaults, **os.environ, **servers, **fixed}

    def manage(self, name: str, *arguments: str, environment: Mapping[str, str]) -> Process:
        """A management command; its output goes to the terminal."""
        alone = {**environment, "PREFLIGHT_DB_POOL": "0"}  # a pool would wait long for a database that is not there
        command = [sys.executable, str(PRODUCT / "manage.py"), *arguments]
        return Process(name, command, environment=alone, directory=PRODUCT)

    def web(self, environment: Mapping[str, str]) -> Process:
        host = f"[{self.host}]" if ":" in self.host else self.host
        options = {
            "--bind": f"{host}:{self.port}",
            "--workers": str(self.web_workers),
            "--worker-class": "gthread",
            "--threads": "4",
            "--timeout": "60",
            "--graceful-timeout": "4",
            "--log-level": "warning",
        }
        arguments = [part for pair in options.items() for part in pair]
        command = ("gunicorn", *arguments, "--preload", "--no-control-socket", "portal.wsgi")
        return self._module("Web server", "web", environment, *command, orphan=signal.SIGQUIT)

    def worker(self, environment: Mapping[str, str]) -> Process:
        # SIGQUIT gives running tasks a few seconds (CELERY_WORKER_SOFT_SHUTDOWN_TIMEOUT) and hands the others back.
        command = (*CELERY, "worker", "-c", "2", "--loglevel", "WARNING", "--without-mingle", "--without-gossip")
        return self._module("Task worker", "worker", environment, *command, stop=signal.SIGQUIT, orphan=signal.SIGKILL)

    def beat(self, environment: Mapping[str, str]) -> Process:
        return self._module("Task clock", "beat", environment, *CELERY, "beat", "--loglevel", "WARNING")

    def demo_servers(self, environment: Mapping[str, str]) -> Process:
        return self._module("Demo model servers", "demo-servers", environment, "portal.demo.servers")

    def _module(
        self,
        name: str,
        log: str,
        environment: Mapping[str, str],
        *arguments: str,
        stop: signal.Signals = signal.SIGTERM,
        orphan: signal.Signals = signal.SIGTERM,
    ) -> Process:
        """``python -m`` with these arguments, with a log of its own in the data directory."""
        return Process(
            name,
            [sys.executable, "-W", AS_ROOT, "-m", *arguments],
            log=self.data / "logs" / f"{log}.log",
            environment=environment,
            directory=PRODUCT,
            stop_signal=stop,
            orphan_signal=orphan,
        )


def require_free(host: str, port: int) -> None:
    """Raises ``StartFailure`` when nobody can listen there."""
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host, port))
    except PermissionError as error:
        raise StartFailure(f"Port {port} needs more rights than you have; choose another with --port.") from error
    except socket.gaierror as error:
        raise StartFailure(f"{host} is not an address; choose another with --host.") from error
    except OverflowError as error:
        raise StartFailure(f"{port} is not a port; choose one up to 65535 with --port.") from error
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise StartFailure(f"Port {port} is taken; choose another with --port.") from error
        raise StartFailure(f"Nobody can listen on {host}, port {port}: {error.strerror}.") from error


def require_free_for_demo() -> None:
    """Raises ``StartFailure`` when one of the demo's model servers would find its port taken."""
    from portal.demo.servers import KINDS, base_port

    first, last = base_port(), base_port() + len(KINDS) - 1
    try:
        for port in range(first, last + 1):
            require_free("127.0.0.1", port)
    except StartFailure as error:
        raise StartFailure(
            f"The demo's model servers need the ports {first} to {last}, and one is taken; "
            "set PREFLIGHT_DEMO_BASE_PORT to the first of others."
        ) from error


def claim(data: Path) -> int:
    """Keep a second `up` off the data directory, until this process ends; returns the lock. Raises ``StartFailure``."""
    data.mkdir(parents=True, exist_ok=True, mode=0o700)
    lock = os.open(data / "up.lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(lock)
        message = f"Preflight already runs on {data}; stop it first, or set PREFLIGHT_DATA_DIR to another."
        raise StartFailure(message) from error
    return lock
