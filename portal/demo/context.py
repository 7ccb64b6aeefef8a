"""The people of the demo, for its sign-in page. A context processor only where ``settings.DEMO`` is on."""

from typing import Any

from django.http import HttpRequest

from portal.demo.signin import PEOPLE


def people(request: HttpRequest) -> dict[str, Any]:
    """``demo_people``: username and label of each."""
    return {"demo_people": [{"username": username, "label": label} for username, label in PEOPLE.items()]}
