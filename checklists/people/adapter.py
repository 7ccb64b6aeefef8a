"""allauth, told our ways: nobody signs up by themselves; single sign-on creates people without any role."""

from typing import Any

from allauth.account.adapter import DefaultAccountAdapter
from allauth.socialaccount.adapter import DefaultSocialAccountAdapter
from django.db import transaction
from django.db.models import Q

from checklists import journal
from checklists.people.models import User


class AccountAdapter(DefaultAccountAdapter):
    def is_open_for_signup(self, request: Any) -> bool:
        return False

    def _get_login_attempts_cache_key(self, request: Any, **credentials: Any) -> str:
        """One count for an account, whichever of its names is typed. allauth counts by the host asked for too, which
        whoever guesses may choose, at least its port."""
        login = credentials.get("email") or credentials.get("username") or ""
        known = User.objects.filter(Q(username__iexact=login) | Q(email__iexact=login)).order_by("pk").first()
        return f"account-{known.pk}" if known else str(login).lower()


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
