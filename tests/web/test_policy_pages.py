"""How long findings count: the page where administrators say so."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from checklists.evidence.models import FreshnessRule
from checklists.evidence.probes import PROBES
from checklists.evidence.services.findings import Judge
from checklists.journal.models import Event
from checklists.web.sentences import sentence
from tests.build import make_model, make_release
from tests.conftest import Cast
from tests.web.steps import queries, signed_in, text

pytestmark = pytest.mark.django_db
URL = "/settings/freshness/"
KEY = "performance.latency-targets"


def rule(**changed: str) -> dict[str, str]:
    return {"action": "set", "item_key": KEY, "tier": "1", "amount": "2", "unit": "24", **changed}


def test_an_administrator_says_how_long_findings_count(cast: Cast, team: Any, edition: Any) -> None:
    client = signed_in(cast.root)
    assert client.post(URL, rule())["Location"] == URL
    client.post(URL, rule(tier="0", amount="36", unit="1"))
    client.post(URL, rule(amount="3"))  # replaces the first
    rules = set(FreshnessRule.objects.values_list("item_key", "tier", "hours"))
    assert rules == {(KEY, 1, 72), (KEY, 0, 36)}
    page = text(client.get(URL))
    assert "3 days <span" in page
    assert "36 hours <span" in page
    critical = make_release(make_model(team, cast.alice, tier=1), cast.alice)
    other = make_release(make_model(team, cast.alice, "other", tier=3), cast.alice)
    probe = PROBES["metrics.latency"]
    assert Judge(critical).ttl(probe, KEY) == timedelta(days=3)
    assert Judge(other).ttl(probe, KEY) == timedelta(hours=36)
    assert Judge(other).ttl(probe, "identity.lineage") == probe.ttl


def test_a_rule_is_removed_and_both_are_in_the_journal(cast: Cast, edition: Any) -> None:
    client = signed_in(cast.root)
    client.post(URL, rule())
    client.post(URL, {"action": "remove", "rule": str(FreshnessRule.objects.get().pk)})
    assert not FreshnessRule.objects.exists()
    set_event, removed = Event.objects.filter(verb__startswith="evidence.freshness").order_by("pk")
    assert set_event.data == {"item": KEY, "tier": 1, "hours": 48, "before": None}
    assert sentence(set_event) == f"set how long findings for {KEY} count on tier 1: 48 hours"
    assert sentence(removed) == f"left how long findings for {KEY} count on tier 1 to the probes again"


@pytest.mark.parametrize(
    "wrong",
    [
        {"item_key": "no.such-item"},
        {"item_key": "security.data-governance"},  # no probe speaks to it
        {"tier": "4"},
        {"amount": "0"},
        {"amount": "400"},  # days: more than a year
        {"amount": "9999"},
        {"amount": ""},
        {"unit": "7"},
    ],
)
def test_a_rule_that_makes_no_sense_is_refused_with_what_was_typed(
    cast: Cast, edition: Any, wrong: dict[str, str]
) -> None:
    response = signed_in(cast.root).post(URL, rule(**wrong))
    assert response.status_code == 422
    assert "less than or equal to" not in text(response)  # a number of hours, where days are counted
    assert response.context["form"].errors
    assert not FreshnessRule.objects.exists()


def test_auditors_read_it_and_nobody_else_does(cast: Cast, edition: Any) -> None:
    assert "Save</button>" not in text(signed_in(cast.ada).get(URL))
    assert signed_in(cast.ada).post(URL, rule()).status_code == 403
    stored = FreshnessRule.objects.create(item_key=KEY, hours=5, created_at=timezone.now())
    assert signed_in(cast.ada).post(URL, {"action": "remove", "rule": stored.pk}).status_code == 403
    for user in (cast.alice, cast.mo, cast.leo):
        assert signed_in(user).get(URL).status_code == 403
        assert signed_in(user).post(URL, rule()).status_code == 403
    assert FreshnessRule.objects.count() == 1


def test_more_rules_take_no_more_queries(cast: Cast, edition: Any) -> None:
    client = signed_in(cast.root)
    few = queries(client, URL)
    for tier in range(4):
        for item_key in ("identity.lineage", KEY, "security.access-control"):
            FreshnessRule.objects.create(
                item_key=item_key, tier=tier, hours=5, created_by=cast.root, created_at=timezone.now()
            )
    assert queries(client, URL) == few <= 15
