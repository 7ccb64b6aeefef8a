from __future__ import annotations

from typing import Any

from django import forms
from django.utils import timezone

from checklists.assessments.services.waivers import LONGEST


class WaiverForm(forms.Form):
    """A dated exception from one item. ``items`` are the choices: key and label."""

    item = forms.ChoiceField(label="Item")
    reason = forms.CharField(
        max_length=4000,
        label="Why it cannot be met now",
        widget=forms.Textarea(attrs={"rows": 4}),
    )
    mitigation = forms.CharField(
        max_length=4000,
        label="What keeps the risk small meanwhile",
        widget=forms.Textarea(attrs={"rows": 4}),
    )
    expires_on = forms.DateField(
        label="Until",
        widget=forms.DateInput(format="%Y-%m-%d", attrs={"type": "date"}),
        help_text="The last day it counts, within a year. After it the item counts as open again.",
    )

    def __init__(self, *args: Any, items: list[tuple[str, str]], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        field = self.fields["item"]
        assert isinstance(field, forms.ChoiceField)  # noqa: S101  # for the type checker
        field.choices = [("", "Choose an item"), *items]
        today = timezone.now().date()
        self.fields["expires_on"].widget.attrs["max"] = (today + LONGEST).isoformat()


class WaiverDecisionForm(forms.Form):
    """The buttons carry ``decision``."""

    decision = forms.ChoiceField(choices=[("approve", "Approve"), ("decline", "Decline"), ("revoke", "Revoke")])
    comment = forms.CharField(required=False, max_length=4000, widget=forms.Textarea(attrs={"rows": 3}))
