from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from checklists.journal.models import Event
from checklists.journal.services import verify


class Command(BaseCommand):
    help = "journal verify: walk every chain of events and say where one was edited, deleted or reordered."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("action", choices=["verify"])
        parser.add_argument("--release", type=int, action="append", help="only this release's chain (its id)")

    def handle(self, *args: Any, **options: Any) -> None:
        faults = list(verify(release_ids=options["release"]))
        for fault in faults:
            chain = f"release {fault.release_id}" if fault.release_id else "organisation"
            self.stderr.write(f"{chain}, event {fault.sequence}: {fault.text}")
        if faults:
            raise CommandError(f"The journal does not hold: {len(faults)} fault(s).")
        self.stdout.write(f"The journal holds: {Event.objects.count()} events.")
