"""Who hears of what, and who does not."""

from datetime import timedelta

import pytest
from django.utils import timezone

from checklists.assessments.services import add_comment
from checklists.evidence.probes import PROBES
from checklists.evidence.services import (
    Measurement,
    Visited,
    claim_run,
    expire_findings,
    finish_run,
    record_findings,
    request_run,
)
from checklists.notices.models import Notice
from checklists.people.services import set_membership
from checklists.registry.services import change_model, retire_release
from tests.build import answer_of, make_model, make_release, save

pytestmark = [pytest.mark.django_db, pytest.mark.database]


def heard(user):
    return list(Notice.objects.filter(user=user).values_list("text", flat=True))


def test_a_comment_reaches_who_answered_and_who_commented_but_not_its_writer(team, alice, bob, carol, mo, edition):
    release = make_release(make_model(team, alice), alice)
    save(answer_of(release, "identity.lineage"), bob)
    add_comment(answer=answer_of(release, "identity.lineage"), by=mo, body="Which base?")
    add_comment(answer=answer_of(release, "identity.lineage"), by=alice, body="Llama.")
    assert len(heard(bob)) == 2
    assert heard(mo) == ["Alice commented on “Lineage” of assist-chat 1.0"]
    assert heard(alice) == heard(carol) == []


def test_who_may_no_longer_see_a_release_hears_nothing_of_it(team, alice, bob, mo, edition):
    model = make_model(team, alice)
    release = make_release(model, alice)
    for by in (bob, mo):
        add_comment(answer=answer_of(release, "identity.lineage"), by=by, body="Hm.")
    Notice.objects.all().delete()
    set_membership(team=team, user=bob, role=None)
    change_model(model=model, by=alice, restricted=True)
    add_comment(answer=answer_of(release, "identity.lineage"), by=alice, body="Llama.")
    assert heard(bob) == []
    assert len(heard(mo)) == 1


def test_a_contradiction_is_told_once_not_after_every_run(team, alice, bob, edition):
    release = make_release(make_model(team, alice), alice)
    save(answer_of(release, "identity.input-limits"), bob, claims={"max_input": 8192, "unit": "tokens"})
    for limit, told in ((4096, 1), (4096, 1), (8192, 1), (2048, 2)):
        run = request_run(release=release)
        held = claim_run(run_id=run.pk)
        limits = {"readings": [{"means": "context_tokens", "value": limit, "where": "the model list"}]}
        seen = Measurement(PROBES["model.limits"], limits, (), timezone.now())
        record_findings(run=held, visits=[Visited(None, [seen])])
        finish_run(run=held)
        assert len(heard(bob)) == told


@pytest.mark.parametrize(("retired", "told"), [(False, 1), (True, 0)])
def test_who_answered_hears_when_evidence_goes_stale_but_not_of_a_retired_release(
    team, alice, bob, edition, retired, told
):
    release = make_release(make_model(team, alice), alice)
    save(answer_of(release, "identity.input-limits"), bob, claims={"max_input": 8192, "unit": "tokens"})
    held = claim_run(run_id=request_run(release=release).pk)
    limits = {"readings": [{"means": "context_tokens", "value": 8192, "where": "the model list"}]}
    seen = Measurement(PROBES["model.limits"], limits, (), timezone.now())
    record_findings(run=held, visits=[Visited(None, [seen])])
    if retired:
        retire_release(release=release, by=alice)
    later = timezone.now() + timedelta(days=40)
    assert expire_findings(now=later) > 0
    assert expire_findings(now=later) == 0
    assert heard(bob) == ["Evidence for 1 item of assist-chat 1.0 is no longer fresh"] * told
