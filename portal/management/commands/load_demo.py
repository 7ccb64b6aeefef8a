from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from portal.demo import organisation
from portal.demo.people import PASSWORD, PEOPLE


class Command(BaseCommand):
    help = "Load the demo organisation with six months of history. Changes nothing the second time."

    def handle(self, *args: Any, **options: Any) -> None:
        if not settings.DEMO:
            raise CommandError("This is not a demo. Set PREFLIGHT_DEMO=1, or run: manage.py up --demo")
        if organisation.is_loaded():
            self.stdout.write("The demo organisation is there already. Nothing changed.")
            return
        organisation.load(say=self.say)
        names = ", ".join(person.username for person in PEOPLE if person.username.startswith("demo-"))
        self.say(f"  Sign in as {names}; the password is {PASSWORD}.")

    def say(self, text: str) -> None:
        self.stdout.write(text)
        self.stdout.flush()
