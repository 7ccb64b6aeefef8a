#!/usr/bin/env python
"""Preflight's command line."""

import os
import sys

from environs import EnvError


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "portal.settings")
    from django.core.management import execute_from_command_line

    try:
        execute_from_command_line(sys.argv)
    except EnvError as error:
        sys.exit(f"{error} See the table of settings in README.md.")


if __name__ == "__main__":
    main()
