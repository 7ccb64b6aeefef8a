"""What comes before serving: the database, the bundled checklist and the static files, brought up to date."""

from __future__ import annotations

import hashlib
import io
import json
from pathlib import Path
from typing import Any

from django.conf import settings
from django.contrib.staticfiles.finders import get_finders
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError, CommandParser


class Command(BaseCommand):
    help = "Bring the database, the checklist and the static files up to date. Changes nothing the second time."
    requires_system_checks: list[str] = []  # migrate runs those of the database

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--demo", action="store_true", help="also load the demo organisation, unless it is there")

    def handle(self, *args: Any, **options: Any) -> None:
        self.step("The database could not be brought up to date", "migrate", interactive=False, verbosity=0)
        self.step("The bundled checklist could not be loaded", "sync_catalog", stdout=io.StringIO())
        self.collect_static()
        if options["demo"]:
            self.step("The demo could not be loaded", "load_demo")

    def collect_static(self) -> None:
        """Hashing and compressing them takes seconds, so only when a source file is new, changed or gone."""
        sources = [Path(storage.path(name)) for finder in get_finders() for name, storage in finder.list(None)]
        facts = sorted((str(source), source.stat().st_size, source.stat().st_mtime_ns) for source in sources)
        fingerprint = hashlib.sha256(json.dumps(facts).encode()).hexdigest()
        kept = Path(settings.STATIC_ROOT) / ".fingerprint"
        if not kept.exists() or kept.read_text() != fingerprint:
            self.step("The static files could not be collected", "collectstatic", interactive=False, verbosity=0)
            kept.write_text(fingerprint)

    def step(self, failure: str, command: str, **options: Any) -> None:
        """Run a command; what goes wrong becomes one sentence (with ``--traceback``, all of it)."""
        try:
            call_command(command, **{"stdout": self.stdout, **options})
        except Exception as error:
            reason = " ".join(str(error).split()) or type(error).__name__
            raise CommandError(f"{failure}: {reason}") from error
