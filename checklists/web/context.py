"""What the frame around every page needs: which tab is lit, and how much waits for the viewer."""

from __future__ import annotations

from functools import cached_property
from typing import Any

from django.db.models import OuterRef
from django.http import HttpRequest

from checklists.assessments.models import Waiver
from checklists.notices.models import Notice
from checklists.people.models import User
from checklists.people.rules import can
from checklists.web.waiting import counted, waiting_submissions

ACTIVE = {
    "today": "today",
    "overview": "overview",
    "overview_csv": "overview",
    "items": "overview",
    "releases": "overview",
    "reviews": "reviews",
    "catalog": "catalog",
    "edition": "catalog",
    "catalog_item": "catalog",
    "coverage": "catalog",
    "inbox": "inbox",
}
# Pages about one release: where a reviewer comes to from the queue, and a team from its models.
REVIEWING = {"review", "submission", "submission_create", "sign", "waiver_create", "waiver_decision"}
ELSEWHERE = {
    "settings",
    "people",
    "person",
    "teams",
    "team",
    "routes",
    "freshness",
    "networks",
    "tokens",
    "journal",
    "search",
    "setup",
}


def shell(request: HttpRequest) -> dict[str, Any]:
    """``nav`` for templates/base.html."""
    return {"nav": Nav(request)}


class Nav:
    """Counts are read when a template asks for them: one query for everybody, a second for reviewers."""

    def __init__(self, request: HttpRequest) -> None:
        self._request = request

    @property
    def _user(self) -> User | None:
        user = getattr(self._request, "user", None)
        return user if isinstance(user, User) else None

    @property
    def theme(self) -> str:
        """``light``, ``dark`` or nothing, for what the system says."""
        chosen = self._request.COOKIES.get("theme", "")
        return chosen if chosen in ("light", "dark") else ""

    @property
    def active(self) -> str:
        match = self._request.resolver_match
        if match is None or match.namespace != "web" or not match.url_name:
            return ""
        if match.url_name in REVIEWING and self._user is not None:
            return "reviews" if self._user.access.reviewer_roles else "models"
        return "" if match.url_name in ELSEWHERE else ACTIVE.get(match.url_name, "models")

    @property
    def can_read_journal(self) -> bool:
        return can(self._user, "journal.read")

    @cached_property
    def _counts(self) -> dict[str, int]:
        if self._user is None:
            return {"unread": 0, "undecided": 0}
        unread = Notice.objects.filter(user=OuterRef("pk"), read_at=None)
        waivers = Waiver.objects.waiting_for(self._user.access.reviewer_roles).exclude(requested_by=OuterRef("pk"))
        row = User.objects.filter(pk=self._user.pk).annotate(unread=counted(unread), undecided=counted(waivers))
        unread_count, undecided = row.values_list("unread", "undecided").get()
        return {"unread": unread_count, "undecided": undecided}

    @property
    def inbox_count(self) -> int:
        return self._counts["unread"]

    @cached_property
    def reviews_count(self) -> int:
        """Submissions and waivers that wait for this reviewer."""
        if self._user is None or not self._user.access.reviewer_roles:
            return 0
        return len(waiting_submissions(self._user)) + self._counts["undecided"]
