from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django import forms

from checklists.assessments.models import Answer, Status
from checklists.catalog.editions import ClaimView, ItemView
from checklists.people.models import User
from checklists.web.forms import offer

LONG_TEXT = 60  # longer than this, a text gets more than one line
STATUSES = [
    (Status.MET, "Met"),
    (Status.PARTLY, "Partly"),
    (Status.NOT_MET, "Not met"),
    (Status.NOT_APPLICABLE, "N/A"),
]


def dom_id(item_key: str) -> str:
    """An item's key as part of an id that CSS selectors can name."""
    return item_key.replace(".", "-")


def shown(claim: ClaimView, value: object) -> str:
    """A stored claim as a person reads it, without its unit."""
    if value in (None, "", []):
        return ""
    if isinstance(value, bool):
        return "Yes" if value else "No"
    if isinstance(value, int | float):
        return f"{value:,}"
    labels = {choice.value: choice.label for choice in claim.choices}
    if isinstance(value, list):
        return ", ".join(labels.get(str(one), str(one)) for one in value)
    return labels.get(str(value), str(value))


class ClaimWidgetField(forms.Field):
    """Shows a claim and hands on what was typed; the catalog's own rules clean it in the service."""

    def __init__(self, claim: ClaimView, value: object) -> None:
        super().__init__(label=claim.label, required=False, help_text=claim.help, widget=_widget(claim, value))
        self.claim = claim

    def clean(self, value: object) -> object:
        return value


def _widget(claim: ClaimView, value: object) -> forms.Widget:
    options = [(choice.value, choice.label) for choice in claim.choices]
    match claim.type:
        case "choice":
            return forms.Select(choices=[("", "Choose…"), *options])
        case "multi_choice":
            return forms.CheckboxSelectMultiple(choices=options)
        case "boolean":
            return forms.Select(choices=[("", "Choose…"), ("true", "Yes"), ("false", "No")])
        case "date":
            return forms.TextInput(attrs={"type": "date"})
        case "url":
            return forms.TextInput(attrs={"type": "url", "placeholder": "https://"})
        case "integer":
            return forms.TextInput(attrs={"inputmode": "numeric"})
        case "number":
            return forms.TextInput(attrs={"inputmode": "decimal"})
    if isinstance(value, str) and (len(value) > LONG_TEXT or "\n" in value):
        return forms.Textarea(attrs={"rows": 2})
    return forms.TextInput()


def _initial(claim: ClaimView, value: object) -> object:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return f"{value:,}"
    return value


class AnswerForm(forms.Form):
    """One item's answer. Field ids are stable and begin with the item's key, so that a page can hold many."""

    use_required_attribute = False

    revision = forms.IntegerField(widget=forms.HiddenInput, min_value=0)
    status = forms.ChoiceField(required=False, choices=STATUSES, widget=forms.RadioSelect)
    justification = forms.CharField(
        required=False, strip=True, widget=forms.Textarea(attrs={"rows": 2, "placeholder": " "})
    )
    links = forms.CharField(
        required=False,
        label="Links, one a line",
        widget=forms.Textarea(attrs={"rows": 1, "placeholder": "https://", "spellcheck": "false"}),
    )
    assignee = forms.TypedChoiceField(required=False, empty_value=None)

    def __init__(self, *args: Any, item: ItemView, answer: Answer, members: list[User], **kwargs: Any) -> None:
        kwargs.setdefault("auto_id", f"{dom_id(item.key)}-%s")
        super().__init__(*args, **kwargs)
        self.item, self.answer = item, answer
        self.members = {member.pk: member for member in members}
        if answer.assignee is not None:
            self.members.setdefault(answer.assignee.pk, answer.assignee)
        people = [(pk, str(member)) for pk, member in self.members.items()]
        offer(self, "assignee", [("", "Nobody yet"), *people], lambda pk: self.members[int(pk)])
        for claim in item.claims:
            self.fields[f"claims.{claim.key}"] = ClaimWidgetField(claim, answer.claims.get(claim.key))
        for name, value in self.stored(item, answer).items():
            self.initial.setdefault(name, value)

    @staticmethod
    def stored(item: ItemView, answer: Answer) -> dict[str, object]:
        return {
            "revision": answer.revision,
            "status": answer.status,
            "justification": answer.justification,
            "links": "\n".join(answer.links),
            "assignee": answer.assignee_id,
            **{f"claims.{c.key}": _initial(c, answer.claims.get(c.key)) for c in item.claims},
        }

    @property
    def claim_fields(self) -> list[forms.BoundField]:
        return [self[f"claims.{claim.key}"] for claim in self.item.claims]

    @property
    def service_data(self) -> Mapping[str, Any]:
        """What ``save_answer`` takes, from a valid form."""
        data = self.cleaned_data
        return {
            "revision": data["revision"],
            "status": data["status"] or Status.UNANSWERED,
            "claims": {claim.key: data[f"claims.{claim.key}"] for claim in self.item.claims},
            "justification": data["justification"],
            "links": data["links"].splitlines(),
            "assignee": data["assignee"],
        }
