"""Forms of the pages: they read and show. What is valid the services decide; their refusals land at the fields."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from django import forms

from checklists.journal.errors import Invalid


def put_errors(form: forms.BaseForm, refusal: Invalid) -> None:
    """A service's refusal at the fields it names; what names no field of this form goes to its top."""
    placed = False
    for name, messages in refusal.errors.items():
        field = name if name in form.fields else None
        # A field that failed its own validation has said so already.
        if field is None or not form.has_error(field):
            form.add_error(field, [*messages])
        placed = True
    if not placed:
        form.add_error(None, refusal.message)


def offer(
    form: forms.BaseForm, name: str, choices: Iterable[tuple[Any, str]], coerce: Callable[[Any], Any] | None = None
) -> None:
    """Give a choice field what this viewer may choose, and what a choice becomes."""
    field = form.fields[name]
    if not isinstance(field, forms.ChoiceField):
        raise TypeError(f"{name} is no choice field")
    field.choices = list(choices)
    if coerce is not None and isinstance(field, forms.TypedChoiceField):
        field.coerce = coerce
