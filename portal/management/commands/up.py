"""`manage.py up`: all of Preflight from one process."""

from __future__ import annotations

import os
import subprocess
import sys
import urllib.error
import urllib.request
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandParser

from portal.launch import Launch, claim, require_free, require_free_for_demo
from portal.processes import StartFailure
from portal.servers import free_port, require_broker, start_postgres, start_valkey
from portal.supervisor import Stopped, Supervisor, stopped_by_signals


class Command(BaseCommand):
    help = "Run Preflight: web server, task worker, task clock, broker and (with --pg) database, until Ctrl-C."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--host", default="127.0.0.1", help="address to listen on (%(default)s)")
        parser.add_argument("--port", type=int, default=8000, help="port to listen on (%(default)s); 0: a free one")
        parser.add_argument("--workers", type=int, default=2, help="web server processes (%(default)s)")
        parser.add_argument("--demo", action="store_true", help="with a demo organisation and one-click sign-in")
        parser.add_argument("--pg", action="store_true", help="with a PostgreSQL of its own in place of SQLite")

    def handle(self, *args: Any, **options: Any) -> None:
        launch = Launch(
            data=settings.DATA_DIR,
            host=options["host"],
            port=options["port"] or free_port(),
            demo=options["demo"] or settings.DEMO,
            web_workers=options["workers"],
        )
        supervisor = Supervisor(self.say)
        try:
            with stopped_by_signals():
                try:
                    self.start(launch, supervisor, pg=options["pg"])
                    supervisor.look_after()
                finally:
                    supervisor.stop()
        except Stopped:
            self.say("Stopped.")
        except StartFailure as failure:
            self.stderr.write(str(failure))
            sys.exit(1)

    def say(self, text: str) -> None:
        self.stdout.write(text)
        self.stdout.flush()

    def start(self, launch: Launch, supervisor: Supervisor, *, pg: bool) -> None:
        """Everything, in order. Raises ``StartFailure``."""
        require_free(launch.host, launch.port)
        if launch.demo:
            require_free_for_demo()
        claim(launch.data)
        self.say("Preparing Preflight …")
        servers, database = self.start_servers(launch, supervisor, pg=pg)
        environment = launch.environment(servers)
        if launch.demo:
            supervisor.keep(launch.demo_servers(environment))
        self.prepare(launch, environment)
        web = launch.web(environment)
        supervisor.keep(web, launch.worker(environment), launch.beat(environment))
        web.wait_until(lambda: answers(f"{launch.local_address}/healthz"), seconds=180)
        self.say(
            f"\nPreflight is running at {launch.address}/\n"
            f"  Sign in:  {self.how_to_sign_in(launch, environment)}\n"
            f"  Data:     {launch.data} ({database})\n"
            f"  Logs:     {launch.data / 'logs'}\n"
            "  Ctrl-C stops it.\n"
        )

    def start_servers(self, launch: Launch, supervisor: Supervisor, *, pg: bool) -> tuple[dict[str, str], str]:
        """The broker and the database that nobody provides: their addresses, and the database in words."""
        addresses: dict[str, str] = {}
        if theirs := os.environ.get("REDIS_URL"):
            require_broker(theirs)
        else:
            broker = start_valkey(launch.data / "valkey")
            supervisor.keep(broker.process)
            addresses["REDIS_URL"] = broker.url
        if os.environ.get("DATABASE_URL"):
            return addresses, "the database that DATABASE_URL names"
        if not pg:
            return addresses, "SQLite"
        postgres = start_postgres(launch.data / "postgres")
        supervisor.keep(postgres.process)
        addresses["DATABASE_URL"] = postgres.url
        return addresses, "PostgreSQL"

    def prepare(self, launch: Launch, environment: dict[str, str]) -> None:
        """Migrations, checklist, static files, demo. Raises ``StartFailure`` after the command said what failed."""
        arguments = ["prepare", "--demo"] if launch.demo else ["prepare"]
        process = launch.manage("prepare", *arguments, environment=environment)
        process.start()
        try:
            if process.wait() != 0:
                raise StartFailure("Preflight was not started.")
        finally:
            process.stop()

    def how_to_sign_in(self, launch: Launch, environment: dict[str, str]) -> str:
        if launch.demo:
            from portal.demo.people import PASSWORD, PEOPLE

            names = ", ".join(person.username for person in PEOPLE if person.username.startswith("demo-"))
            return (
                f"choose a person on the sign-in page, or\n            {names};\n            the password is {PASSWORD}"
            )
        command = launch.manage("setup_link", "setup_link", environment=environment)
        answer = subprocess.run(
            command.command, env=command.environment, cwd=command.directory, capture_output=True, text=True, check=False
        )
        if answer.returncode != 0:
            reason = answer.stderr.strip()[-500:]
            raise StartFailure(f"The link for the first administrator could not be made: {reason}")
        link = answer.stdout.strip()
        if "://" not in link:
            return "with your account"
        return f"{link}\n            creates the first administrator; it works once, for one day"


def answers(url: str) -> bool:
    """Whether the web server answers there."""
    try:
        with urllib.request.urlopen(url, timeout=2) as response:  # noqa: S310  # http to ourselves
            return bool(response.status == 200)
    except (OSError, urllib.error.URLError):
        return False
