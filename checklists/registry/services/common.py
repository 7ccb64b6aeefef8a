"""What every write of the registry does: checks a row, tells what changed, and says when."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any
from unicodedata import bidirectional, category

from django.core.exceptions import ValidationError
from django.utils import timezone

from checklists.journal.errors import Invalid
from checklists.people.models import Team
from checklists.registry.models import Endpoint, Model, Release

URL_FIELDS = ("url", "metrics_url", "prometheus_url", "alertmanager_url")
SWITCHES = ("may_generate", "may_burst", "series_length")
ENDPOINT_FIELDS = ("name", "url", "stack", *URL_FIELDS[1:], "labels", "headers", *SWITCHES)
RESERVED = {"new"}  # /models/new/ and …/releases/new/ are pages
_TURNING = frozenset(("LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"))


def check(row: Model | Release | Endpoint, message: str) -> None:
    """Field validation and uniqueness, as ``Invalid``. Foreign keys came as objects and are not looked up again."""
    if not isinstance(row, Release) and not is_legible(row.name):
        raise Invalid(message, errors={"name": ["Write a name that can be read: one line, without hidden characters."]})
    try:
        row.full_clean(exclude=[f.name for f in row._meta.fields if f.is_relation])
    except ValidationError as error:
        raise Invalid(message, errors=error.message_dict) from error


def is_legible(name: str) -> bool:
    """Whether a name shows as it is stored: nothing in it breaks the line or turns the text beside it around."""
    hidden = any(category(c) in ("Cc", "Zl", "Zp") or bidirectional(c) in _TURNING for c in name)
    return not name or (not hidden and any(c.isprintable() and not c.isspace() for c in name))


def unchanged_or(row: Any, changes: Mapping[str, Any], allowed: tuple[str, ...]) -> dict[str, Any]:
    """Set the allowed fields that differ; what changed, by name."""
    unknown = set(changes) - set(allowed)
    if unknown:
        raise Invalid("Nothing was saved.", errors={name: ["This cannot be changed."] for name in unknown})
    changed = {name: value for name, value in changes.items() if getattr(row, name) != value}
    for name, value in changed.items():
        setattr(row, name, value)
    return changed


def touch(release: Release) -> None:
    release.changed_at = timezone.now()
    release.save(update_fields=["changed_at"])


def plain(value: Any) -> Any:
    """A field's value as JSON."""
    if isinstance(value, date):
        return value.isoformat()
    return value.slug if isinstance(value, Team) else value
