"""The whole journal, for those who may read it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from checklists.journal.models import Event
from checklists.people.services import create_team
from tests.build import make_model, make_release
from tests.conftest import Cast
from tests.web.steps import queries, signed_in, text

pytestmark = pytest.mark.usefixtures("edition")


@pytest.fixture
def release(team: Any, alice: Any) -> Any:
    return make_release(make_model(team, alice), alice)


def test_auditors_and_administrators_read_it_and_nobody_else(release: Any, cast: Cast) -> None:
    for name in ("alice", "carol", "mallory", "mo", "leo"):
        assert signed_in(getattr(cast, name)).get("/journal/").status_code == 403, name
    for name in ("ada", "root"):
        body = text(signed_in(getattr(cast, name)).get("/journal/"))
        assert "models/assist-chat/releases/1.0" in body
        assert Event.objects.order_by("-at").values_list("hash", flat=True)[0][:8] in body


def test_it_is_narrowed_by_its_address(release: Any, ada: Any, other_team: Any) -> None:
    client = signed_in(ada)
    assert "teams/billing" not in text(client.get("/journal/?subject=models/assist-chat"))
    assert "teams/billing" in text(client.get("/journal/?verb=people"))
    assert "releases/1.0" not in text(client.get("/journal/?verb=people"))
    assert "releases/1.0" in text(client.get("/journal/?actor=alice"))
    tomorrow = (timezone.now() + timedelta(days=1)).date().isoformat()
    assert "No event is like that" in text(client.get(f"/journal/?since={tomorrow}"))
    assert client.get("/journal/?since=2026-13-99&page=nonsense").status_code == 200


def test_two_events_take_as_many_queries_as_many(release: Any, ada: Any) -> None:
    path = "/journal/?verb=people.team"
    one = queries(signed_in(ada), path)
    for number in range(20):
        create_team(slug=f"team-{number}", name=f"Team {number}", by=None)
    assert queries(signed_in(ada), path) == one <= 15
