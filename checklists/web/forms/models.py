from __future__ import annotations

import re
import unicodedata
from typing import Any

from django import forms

from checklists.catalog.choices import Family
from checklists.people.models import Team, User, slug_validator
from checklists.people.rules import can
from checklists.registry.models import Model, Stage, Tier
from checklists.scorecards.states import LABELS
from checklists.web.forms import offer

RESERVED = {"new"}  # an address of our own lies there


def slug_of(name: str) -> str:
    """A slug from a name: ``Support assistant (chat)`` becomes ``support-assistant-chat``; empty if nothing is left."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[:80].strip("-")


def teams_for(user: User) -> list[Team]:
    """Teams this person may register models for, parents first (one query)."""
    return [team for team in Team.objects.in_tree_order() if can(user, "model.create", team)]


class ModelForm(forms.Form):
    """A model to register or to change."""

    name = forms.CharField(max_length=120, help_text="As people call it, such as Support assistant.")
    slug = forms.CharField(
        label="Short name for addresses",
        required=False,
        max_length=80,
        validators=[slug_validator],
        help_text="Lower-case letters, digits, dots, dashes. Made from the name if left empty; fixed afterwards.",
    )
    team = forms.TypedChoiceField(help_text="Its owners and contributors answer the checklist.")
    family = forms.ChoiceField(
        choices=[("", "Choose…"), *Family.choices],
        help_text="Decides which items apply. Fixed once there is a release.",
    )
    tier = forms.TypedChoiceField(
        choices=[("", "Choose…"), *Tier.choices],
        coerce=int,
        help_text="How much depends on it: the higher the risk, the more must be met and the more people sign.",
    )
    description = forms.CharField(
        required=False,
        max_length=4000,
        widget=forms.Textarea(attrs={"rows": 4}),
        help_text="What it does, and for whom. Markdown.",
    )
    restricted = forms.BooleanField(
        required=False,
        label="Restricted",
        help_text="Only the team, reviewers, auditors and administrators can see it.",
    )

    def __init__(self, *args: Any, user: User, model: Model | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.teams = {team.slug: team for team in teams_for(user)}
        if model is not None:
            del self.fields["slug"]
            self.teams.setdefault(model.team.slug, model.team)
            if not can(user, "model.restrict", model):
                del self.fields["restricted"]
        teams = [(slug, _in_tree(team)) for slug, team in self.teams.items()]
        offer(self, "team", [("", "Choose…"), *teams], self.teams.__getitem__)
        if model is None and len(self.teams) == 1:
            self.initial.setdefault("team", next(iter(self.teams)))

    def clean_slug(self) -> str:
        slug: str = self.cleaned_data["slug"] or slug_of(self.cleaned_data.get("name", ""))
        if slug in RESERVED:
            raise forms.ValidationError("This word is taken by an address of the site. Choose another.")
        if not slug and self.cleaned_data.get("name"):
            raise forms.ValidationError("Write one: the name has no letters that an address could hold.")
        return slug


def _in_tree(team: Team) -> str:
    return f"{team.parent} / {team}" if team.parent_id else str(team)


class FilterForm(forms.Form):
    """Filters of the models list; an unknown value narrows nothing."""

    q = forms.CharField(
        label="Search",
        required=False,
        widget=forms.TextInput(attrs={"type": "search", "placeholder": "Name, team, purpose"}),
    )
    team = forms.ChoiceField(required=False)
    family = forms.ChoiceField(required=False, choices=[("", "All"), *Family.choices])
    tier = forms.ChoiceField(required=False, choices=[("", "All"), *((str(t.value), t.label) for t in Tier)])
    stage = forms.ChoiceField(required=False, choices=[("", "All"), *Stage.choices, ("none", "No release")])
    state = forms.ChoiceField(
        label="With items",
        required=False,
        choices=[("", "In any state"), *((s.value, text) for s, text in LABELS.items())],
    )

    use_required_attribute = False

    def __init__(self, *args: Any, teams: list[Team], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.teams = {team.slug: team for team in teams}
        offer(self, "team", [("", "All"), *((team.slug, _in_tree(team)) for team in teams)])

    def wanted(self) -> dict[str, str]:
        """The filters that are set and valid."""
        self.is_valid()
        return {name: value for name, value in self.cleaned_data.items() if value}
