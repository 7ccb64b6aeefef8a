"""Prints the one-time link that creates the first administrator."""

from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand

from checklists.people.services import create_setup_link


class Command(BaseCommand):
    help = "Print a one-time link that creates the first administrator; a link printed before ends."

    def handle(self, *args: Any, **options: Any) -> None:
        path = create_setup_link()
        self.stdout.write(f"{settings.BASE_URL}{path}" if path else "There is an administrator already.")
