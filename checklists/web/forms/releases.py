from __future__ import annotations

from datetime import date
from typing import Any

from django import forms

from checklists.registry.models import Release, digest_validator, version_validator
from checklists.web.forms import offer

ENVIRONMENTS = ("production", "staging")
FIRST_YEAR, LAST_YEAR = 2000, 2200  # beyond it, it is a slip of the keyboard


class ReleaseForm(forms.Form):
    """A release to open or to change."""

    version = forms.CharField(
        max_length=60, validators=[version_validator], help_text="As the team says it, such as 4.2."
    )
    carry_over_from = forms.TypedChoiceField(
        label="Start from the answers of",
        required=False,
        empty_value=None,
        help_text="Answers and endpoints come along; each answer counts again once somebody has confirmed it.",
    )
    revision = forms.CharField(
        required=False, max_length=120, help_text="A commit or another mark that does not move, such as a1f9c0e."
    )
    artifact_digest = forms.CharField(
        label="Artefact digest",
        required=False,
        max_length=140,
        validators=[digest_validator],
        help_text="What is deployed, as algorithm:hex, such as sha256:9f4c…e21a. The gate compares it.",
    )
    environment = forms.CharField(
        max_length=60, initial="production", widget=forms.TextInput(attrs={"list": "environments"})
    )
    launch_date = forms.DateField(required=False, widget=forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d"))

    def __init__(self, *args: Any, earlier: list[Release] | None = None, editing: bool = False, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.earlier = {release.version: release for release in earlier or []}
        if editing:
            del self.fields["version"]
        if editing or not self.earlier:
            del self.fields["carry_over_from"]
        else:
            choices = [(version, f"{version} ({r.get_stage_display().lower()})") for version, r in self.earlier.items()]
            offer(
                self,
                "carry_over_from",
                [("", "Nothing: begin with open answers"), *choices],
                self.earlier.__getitem__,
            )

    def clean_version(self) -> str:
        version: str = self.cleaned_data["version"]
        if version == "new":
            raise forms.ValidationError("This word is taken by an address of the site. Choose another.")
        return version

    def clean_launch_date(self) -> date | None:
        day: date | None = self.cleaned_data["launch_date"]
        if day is not None and not FIRST_YEAR <= day.year <= LAST_YEAR:
            raise forms.ValidationError(f"A date from {FIRST_YEAR} to {LAST_YEAR}.")
        return day

    def clean_environment(self) -> str:
        return str(self.cleaned_data["environment"]).strip() or "production"


class ArchitectureForm(forms.Form):
    """A model's ``config.json`` to put on file."""

    document = forms.FileField(
        label="config.json",
        allow_empty_file=True,  # an empty one is refused in the words of the reader
        help_text="The file of this name beside the model's weights. Only what describes its shape is kept.",
        widget=forms.FileInput(attrs={"accept": ".json,application/json"}),
    )
