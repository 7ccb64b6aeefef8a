"""The inbox: one's own notices, read one by one or all at once."""

from __future__ import annotations

from typing import Any

from django.utils import timezone

from checklists.notices.models import Notice
from tests.web.steps import queries, signed_in, text


def notice(user: Any, words: str = "assist-chat 1.0 waits for your sign-off") -> Notice:
    return Notice.objects.create(user=user, text=words, path="/models/assist-chat/", created_at=timezone.now())


def test_only_ones_own_notices_are_there(alice: Any, bob: Any) -> None:
    notice(alice)
    assert "waits for your sign-off" in text(signed_in(alice).get("/inbox/"))
    body = text(signed_in(bob).get("/inbox/"))
    assert "waits for your sign-off" not in body
    assert "Nothing yet" in body


def test_opening_a_notice_marks_it_as_read_and_leads_on(alice: Any) -> None:
    row = notice(alice)
    client = signed_in(alice)
    assert "1<span" in text(client.get("/inbox/"))
    response = client.post("/inbox/", {"notice": str(row.pk), "next": row.path})
    assert response["Location"] == "/models/assist-chat/"
    row.refresh_from_db()
    assert row.read_at is not None
    assert "Nothing unread" in text(client.get("/inbox/?show=unread"))


def test_it_leads_nowhere_else(alice: Any) -> None:
    for elsewhere in ("https://evil.example/", "//evil.example/", "javascript:alert(1)"):
        response = signed_in(alice).post("/inbox/", {"notice": str(notice(alice).pk), "next": elsewhere})
        assert response["Location"] == "/inbox/"


def test_all_are_marked_at_once_but_nobody_elses(alice: Any, bob: Any) -> None:
    mine, theirs = notice(alice), notice(bob)
    client = signed_in(alice)
    client.post("/inbox/", {"notice": str(theirs.pk)})
    theirs.refresh_from_db()
    assert theirs.read_at is None
    notice(alice)
    client.post("/inbox/")
    mine.refresh_from_db()
    theirs.refresh_from_db()
    assert mine.read_at is not None
    assert theirs.read_at is None
    assert not Notice.objects.filter(user=alice, read_at=None).exists()


def test_two_notices_take_as_many_queries_as_twenty(alice: Any) -> None:
    for _ in range(2):
        notice(alice)
    two = queries(signed_in(alice), "/inbox/")
    for _ in range(18):
        notice(alice)
    assert queries(signed_in(alice), "/inbox/") == two <= 15
