"""What was verified is verified for as long as its evidence is fresh, and claimed afterwards."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db.models import F
from django.utils import timezone

from checklists.catalog.editions import view
from checklists.evidence.models import Finding
from checklists.evidence.probes import PROBES
from checklists.evidence.services import (
    Measurement,
    Visited,
    claim_run,
    expire_findings,
    finish_run,
    record_findings,
    request_run,
    set_freshness,
)
from checklists.journal.models import Event
from checklists.notices.models import Notice
from checklists.scorecards.models import ItemState
from tests.build import answer_of, make_model, make_release, plausible_claims, save

pytestmark = pytest.mark.django_db
LIMIT, CONTEXT = "identity.input-limits", "operations.runtime-constraints"


def verified_by_the_model_list(release: Any) -> None:
    run = claim_run(run_id=request_run(release=release).pk)
    limits = {"readings": [{"means": "context_tokens", "value": 8192, "where": "the model list"}]}
    seen = Measurement(PROBES["model.limits"], limits, (), timezone.now())
    record_findings(run=run, visits=[Visited(None, [seen])])
    finish_run(run=run)


def state(release: Any, key: str) -> str:
    return ItemState.objects.get(release=release, item__key=key).state


def test_an_item_falls_back_to_claimed_when_an_administrators_time_for_it_is_over(
    team: Any, alice: Any, bob: Any, root: Any, edition: Any
) -> None:
    set_freshness(item_key=LIMIT, tier=1, hours=1, by=root)
    critical = make_release(make_model(team, alice, tier=1), alice)
    other = make_release(make_model(team, alice, "other", tier=2), alice)
    for release in (critical, other):
        save(answer_of(release, LIMIT), bob, claims={"max_input": 8192, "unit": "tokens"})
        answer = answer_of(release, CONTEXT)
        claims = plausible_claims(view(edition).item_by_id(answer.item_id))
        save(answer, bob, claims={**claims, "context_tokens": 8192})
        verified_by_the_model_list(release)
        assert (state(release, LIMIT), state(release, CONTEXT)) == ("verified", "verified")
    two_hours = timedelta(hours=2)  # go by
    Finding.objects.update(measured_at=F("measured_at") - two_hours, expires_at=F("expires_at") - two_hours)
    assert expire_findings() == 1
    assert (state(critical, LIMIT), state(critical, CONTEXT)) == ("claimed", "verified")
    assert (state(other, LIMIT), state(other, CONTEXT)) == ("verified", "verified")
    event = Event.objects.get(verb="evidence.finding.expired")
    assert (event.subject, event.data) == (f"{critical.subject}/findings", {"findings": 1, "verified": [LIMIT]})
    heard = Notice.objects.filter(user=bob, text__contains="no longer fresh")
    assert [notice.text for notice in heard] == ["Evidence for 1 item of assist-chat 1.0 is no longer fresh"]
    verified_by_the_model_list(critical)
    assert state(critical, LIMIT) == "verified"


def test_an_item_that_something_else_still_verifies_does_not_fall_back(
    team: Any, alice: Any, bob: Any, edition: Any
) -> None:
    release = make_release(make_model(team, alice), alice)
    save(answer_of(release, LIMIT), bob, claims={"max_input": 8192, "unit": "tokens"})
    verified_by_the_model_list(release)
    other = Finding.objects.get(item_key=LIMIT, verdict="verified")
    other.pk, other.probe, other.expires_at = None, "serving.arguments", timezone.now()
    other.save(force_insert=True)
    assert expire_findings() == 1
    assert state(release, LIMIT) == "verified"
    assert Event.objects.get(verb="evidence.finding.expired").data == {"findings": 1, "verified": []}
    assert not Notice.objects.filter(text__contains="no longer fresh").exists()


def test_a_contradiction_that_grew_old_stays_one(team: Any, alice: Any, bob: Any, edition: Any) -> None:
    release = make_release(make_model(team, alice), alice)
    save(answer_of(release, LIMIT), bob, claims={"max_input": 99_999, "unit": "tokens"})
    verified_by_the_model_list(release)
    Finding.objects.update(expires_at=timezone.now())
    assert expire_findings() > 0
    assert state(release, LIMIT) == "contradicted"
    assert Event.objects.get(verb="evidence.finding.expired").data["verified"] == []
