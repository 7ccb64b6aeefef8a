"""Forms of the settings pages."""

from __future__ import annotations

from typing import Any

from django import forms

from checklists.catalog.choices import Family
from checklists.people.models import OrganisationRole, Team, TeamRole, User
from checklists.registry.models import Tier
from checklists.signoff.models import Role, Route


class ProfileForm(forms.Form):
    name = forms.CharField(max_length=150, required=False, help_text="As others see it.")
    email = forms.EmailField(max_length=254, required=False)


class TokenForm(forms.Form):
    name = forms.CharField(max_length=80, label="What it is for", help_text="Such as “deployment pipeline”.")
    days = forms.TypedChoiceField(
        coerce=int,
        label="Lasts",
        choices=[(30, "30 days"), (90, "90 days"), (365, "A year")],
        initial=90,
    )


class PersonForm(forms.Form):
    """Somebody new. Without a password they come in through single sign-on."""

    username = forms.CharField(
        max_length=150, label="User name", widget=forms.TextInput(attrs={"autocomplete": "username"})
    )
    name = forms.CharField(max_length=150, required=False)
    email = forms.EmailField(max_length=254, required=False)
    password = forms.CharField(
        required=False,
        strip=False,
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
        help_text="At least ten characters. Leave it empty for people who sign in through single sign-on.",
    )


class RolesForm(forms.Form):
    roles = forms.MultipleChoiceField(
        choices=OrganisationRole.choices,
        required=False,
        label="Roles in the organisation",
        widget=forms.CheckboxSelectMultiple,
    )


class TeamForm(forms.Form):
    """A new team. ``parents`` are the teams below which the viewer may put one; ``may_root`` allows none."""

    name = forms.CharField(max_length=120)
    slug = forms.CharField(
        max_length=60, label="Short name", help_text="In addresses: lower-case letters, digits and dashes."
    )
    parent = forms.ModelChoiceField(Team.objects.none(), required=False, label="Below", to_field_name="slug")

    def __init__(self, *args: Any, parents: Any, may_root: bool, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        parent = self.fields["parent"]
        assert isinstance(parent, forms.ModelChoiceField)  # noqa: S101  # for the type checker
        parent.queryset = parents
        parent.required = not may_root
        parent.empty_label = "The top" if may_root else "Choose a team"


class TeamChangeForm(forms.Form):
    name = forms.CharField(max_length=120)


class MemberForm(forms.Form):
    username = forms.CharField(max_length=150, label="User name")
    role = forms.ChoiceField(choices=TeamRole.choices, initial=TeamRole.CONTRIBUTOR)

    def clean_username(self) -> User:
        username = self.cleaned_data["username"]
        user = User.objects.filter(username__iexact=username, is_active=True).first()
        if user is None:
            raise forms.ValidationError("Nobody has this user name.")
        return user


class RouteForm(forms.Form):
    """Who must sign for a tier: a number of signatures for each role, 0 for none."""

    tier = forms.TypedChoiceField(coerce=int, choices=Tier.choices, widget=forms.HiddenInput)
    family = forms.ChoiceField(choices=[("", "Any"), *Family.choices], required=False, widget=forms.HiddenInput)
    mlops = forms.IntegerField(min_value=0, max_value=5, label="MLOps")
    security = forms.IntegerField(min_value=0, max_value=5, label="Security")
    sre = forms.IntegerField(min_value=0, max_value=5, label="SRE")
    review_days = forms.IntegerField(min_value=1, max_value=60, label="Days to decide")
    approval_days = forms.IntegerField(min_value=1, max_value=730, label="Days an approval lasts")

    @property
    def required(self) -> list[dict[str, Any]]:
        """As ``signoff.routes.set_route`` takes it."""
        return [{"role": role, "count": n} for role in Role.values if (n := self.cleaned_data[role])]

    @classmethod
    def initial_of(cls, route: Route) -> dict[str, Any]:
        """What a stored route looks like in the form."""
        counts = {need["role"]: need["count"] for need in route.required}
        return {
            **{role: counts.get(role, 0) for role in Role.values},
            "tier": route.tier,
            "family": route.family,
            "review_days": route.review_days,
            "approval_days": route.approval_days,
        }


class FreshnessForm(forms.Form):
    """How long findings count for one item; the view offers the items."""

    item_key = forms.ChoiceField(label="Item")
    tier = forms.TypedChoiceField(coerce=int, choices=[(0, "Every tier"), *Tier.choices], label="Tier")
    amount = forms.IntegerField(min_value=1, label="Findings count for")
    unit = forms.ChoiceField(choices=[("24", "days"), ("1", "hours")], label="Days or hours")

    def service_data(self) -> dict[str, Any]:
        """As ``evidence.services.set_freshness`` takes it."""
        data = self.cleaned_data
        return {"item_key": data["item_key"], "tier": data["tier"], "hours": data["amount"] * int(data["unit"])}


class NetworkForm(forms.Form):
    cidr = forms.CharField(max_length=50, label="Network", help_text="Such as 10.20.0.0/16 or fd12:3456::/48.")
    note = forms.CharField(max_length=200, required=False, label="What it is")
