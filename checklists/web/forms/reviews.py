"""A reviewer's decision, and a team's submission."""

from __future__ import annotations

from datetime import date
from typing import Any

from django import forms

from checklists.signoff.models import Decision, Role

ROWS = 4


class DecisionForm(forms.Form):
    """Conditions come as numbered pairs of text and date; empty pairs are left out. The buttons carry ``decision``."""

    role = forms.ChoiceField(choices=Role.choices, widget=forms.HiddenInput)
    decision = forms.ChoiceField(choices=Decision.choices)
    comment = forms.CharField(
        required=False,
        max_length=10_000,
        label="What the team should know",
        widget=forms.Textarea(attrs={"rows": 3}),
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for row in range(ROWS):
            self.fields[f"condition_{row}"] = forms.CharField(
                required=False, max_length=1000, label=f"Condition {row + 1}"
            )
            self.fields[f"due_{row}"] = forms.DateField(
                required=False, label="Due", widget=forms.DateInput(format="%Y-%m-%d", attrs={"type": "date"})
            )

    @property
    def condition_rows(self) -> list[tuple[forms.BoundField, forms.BoundField]]:
        return [(self[f"condition_{row}"], self[f"due_{row}"]) for row in range(ROWS)]

    @property
    def conditions(self) -> list[dict[str, str | date | None]]:
        """As ``signoff.services.sign`` takes them."""
        pairs = [(self.cleaned_data[f"condition_{row}"], self.cleaned_data[f"due_{row}"]) for row in range(ROWS)]
        return [{"text": text, "due_on": due} for text, due in pairs if text or due]


class SubmissionForm(forms.Form):
    note = forms.CharField(
        required=False,
        max_length=4000,
        label="A note for the reviewers",
        widget=forms.Textarea(attrs={"rows": 4}),
        help_text="What changed, and what they should look at first.",
    )
