from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from checklists.people.models import User
from checklists.people.services import TOKEN_DAYS, create_token


class Command(BaseCommand):
    help = "Print a new API token for a person, and nothing else."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("username")
        parser.add_argument("--name", default="Made by command", help="what it is for, as its list shows it")
        parser.add_argument("--days", type=int, default=TOKEN_DAYS, help=f"how long it lasts (default {TOKEN_DAYS})")

    def handle(self, *args: Any, **options: Any) -> None:
        user = User.objects.filter(username__iexact=options["username"]).first()
        if user is None:
            raise CommandError(f"There is nobody called {options['username']}.")
        _, secret = create_token(user=user, name=options["name"], days=options["days"])
        self.stdout.write(secret)
