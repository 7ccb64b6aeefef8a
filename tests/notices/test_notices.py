"""Who hears of what, and who does not."""

from datetime import timedelta

import pytest
from django.utils import timezone

from checklists.assessments.services import add_comment
from checklists.evidence.models import Finding, ProbeRun
from checklists.evidence.services import finish_run
from checklists.notices.models import Notice
from checklists.people.services import set_membership
from checklists.registry.services import change_model
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
    save(answer_of(release, "identity.lineage"), bob)
    item = answer_of(release, "identity.lineage").item
    now = timezone.now()
    for verdict, told in (("contradicted", 1), ("contradicted", 1), ("verified", 1), ("contradicted", 2)):
        run = ProbeRun.objects.create(release=release, state="running", attempts=1, created_at=now)
        Finding.objects.create(
            run=run,
            release=release,
            item=item,
            item_key=item.key,
            probe="model.identity",
            verdict=verdict,
            measured_at=now,
            expires_at=now + timedelta(days=7),
        )
        finish_run(run=run)
        assert len(heard(bob)) == told
