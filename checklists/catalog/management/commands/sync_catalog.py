from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from checklists.catalog.services import sync_catalog
from checklists.journal.errors import DomainError


class Command(BaseCommand):
    help = "sync_catalog: publish the bundled checklist, or the one in a file. Changes nothing the second time."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("path", nargs="?", type=Path, help="a checklist file in YAML (default: the bundled one)")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            result = sync_catalog(path=options["path"])
        except DomainError as error:
            raise CommandError(error.message) from error
        if options["verbosity"]:
            self.stdout.write(str(result))
