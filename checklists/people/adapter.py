"""allauth, told our ways: nobody signs up by themselves; single sign-on creates people without any role."""

from typing import Any

from allauth.account.adapter import DefaultAccountAdapter
from allauth.socialaccount.adapter import DefaultSocialAccountAdapter
from django.db import transaction

from checklists import journal


class AccountAdapter(DefaultAccountAdapter):
    def is_open_for_signup(self, request: Any) -> bool:
        return False


class SocialAccountAdapter(DefaultSocialAccountAdapter):
    def is_open_for_signup(self, request: Any, sociallogin: Any) -> bool:
        return True

    @transaction.atomic
    def save_user(self, request: Any, sociallogin: Any, form: Any = None) -> Any:
        """Called once for somebody new."""
        user = super().save_user(request, sociallogin, form)
        data = {"name": user.name, "through": "single sign-on"}
        journal.record(verb="people.user.created", actor=user, subject=f"users/{user.username}", data=data)
        return user

    def populate_user(self, request: Any, sociallogin: Any, data: dict[str, Any]) -> Any:
        user = super().populate_user(request, sociallogin, data)
        user.name = (data.get("name") or f"{data.get('first_name') or ''} {data.get('last_name') or ''}").strip()[:150]
        return user
