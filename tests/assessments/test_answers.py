import threading
from datetime import timedelta

import pytest
from django.db import connection, connections
from django.utils import timezone

from checklists.assessments.models import Answer, AnswerRevision, Waiver
from checklists.assessments.services import (
    add_comment,
    confirm_answers,
    decide_waiver,
    expire_acceptances,
    expire_waivers,
    request_waiver,
    review_answers,
    save_answer,
)
from checklists.journal.errors import Conflict, Forbidden, Invalid, WrongStage
from checklists.journal.models import Event
from checklists.scorecards.models import ItemState
from tests.build import answer_of, in_days, make_model, make_release, save

pytestmark = [pytest.mark.django_db, pytest.mark.database]

KEY = "identity.name-version"
CLAIMS = {"model_id": "acme/assist-chat", "version": "1.0"}


@pytest.fixture
def release(team, alice, edition):
    return make_release(make_model(team, alice), alice)


@pytest.fixture
def answer(release):
    return answer_of(release, KEY)


def state_of(release, key=KEY):
    return ItemState.objects.get(release=release, item__key=key).state


def test_a_saved_answer_has_its_state_at_once(answer, bob, release):
    assert state_of(release) == "open"
    saved = save(answer, bob, claims=CLAIMS)
    assert (saved.revision, saved.updated_by, saved.claims["model_id"]) == (1, bob, "acme/assist-chat")
    assert state_of(release) == "claimed"


def test_viewers_and_outsiders_cannot_answer(answer, carol, mallory, mo):
    for person in (carol, mallory, mo):
        with pytest.raises(Forbidden):
            save(answer, person, claims=CLAIMS)


def test_a_stale_save_is_refused_and_shows_what_stands(answer, alice, bob):
    save(answer, alice, claims=CLAIMS)
    with pytest.raises(Conflict) as caught:
        save_answer(answer=answer, by=bob, revision=0, status="partly", claims={}, justification="mine")
    assert caught.value.current.status == "met"
    assert caught.value.current.updated_by == alice
    assert Answer.objects.get(pk=answer.pk).revision == 1


def test_saving_what_stands_already_writes_nothing(answer, alice):
    save(answer, alice, claims=CLAIMS)
    events = Event.objects.count()
    again = save_answer(answer=answer, by=alice, revision=0, status="met", claims=CLAIMS)
    assert again.revision == 1
    assert Event.objects.count() == events


def test_bad_claims_are_told_by_field_and_nothing_is_saved(release, alice):
    answer = answer_of(release, "identity.input-limits")
    with pytest.raises(Invalid) as caught:
        save(answer, alice, claims={"max_input": "many", "unit": "parsecs", "surprise": 1})
    assert {"claims.max_input", "claims.unit", "claims.surprise"} == set(caught.value.errors)
    assert Answer.objects.get(pk=answer.pk).revision == 0


def test_not_applicable_counts_only_with_its_justification(answer, alice, release):
    saved = save(answer, alice, "not_applicable")
    assert state_of(release) == "open"
    save(saved, alice, "not_applicable", justification="There is no such thing here.")
    assert state_of(release) == "not_applicable"


def test_met_counts_only_with_its_required_claims(answer, alice, release):
    save(answer, alice, claims={})
    assert state_of(release) == "open"


def test_only_links_to_the_web_are_kept(answer, alice):
    with pytest.raises(Invalid) as caught:
        save(answer, alice, claims=CLAIMS, links=["javascript:alert(1)"])
    assert "links" in caught.value.errors
    assert save(answer, alice, claims=CLAIMS, links=["https://example.org/a", " "]).links == ["https://example.org/a"]


def test_a_restricted_model_is_assigned_only_to_those_who_see_it(answer, alice, bob, mallory):
    answer.release.model.restricted = True
    answer.release.model.save()
    with pytest.raises(Invalid):
        save(answer, alice, claims=CLAIMS, assignee=mallory)
    assert save(answer, alice, claims=CLAIMS, assignee=bob).assignee == bob


def test_assigning_alone_leaves_the_revision_and_so_the_acceptance(answer, alice, bob, mo, release):
    saved = save(answer, alice, claims=CLAIMS)
    review_answers(release=release, by=mo, accepted=[KEY])
    save(Answer.objects.get(pk=saved.pk), alice, claims=CLAIMS, assignee=bob)
    assert state_of(release) == "verified"


def test_every_revision_is_kept(answer, alice, bob):
    first = save(answer, alice, claims=CLAIMS)
    save(first, bob, "partly", justification="almost")
    kept = (
        AnswerRevision.objects.filter(answer=answer)
        .order_by("revision")
        .values_list("revision", "status", "by__username")
    )
    assert list(kept) == [(1, "met", "alice"), (2, "partly", "bob")]


def test_an_acceptance_verifies_exactly_the_revision_it_saw(answer, alice, mo, release):
    saved = save(answer, alice, claims=CLAIMS)
    review_answers(release=release, by=mo, accepted=[KEY])
    assert state_of(release) == "verified"
    save(Answer.objects.get(pk=saved.pk), alice, claims={**CLAIMS, "version": "1.1"})
    assert state_of(release) == "claimed"


def test_an_acceptance_comes_to_its_end_once(answer, alice, mo, release):
    save(answer, alice, claims=CLAIMS)
    review_answers(release=release, by=mo, accepted=[KEY])
    assert expire_acceptances() == 0
    later = timezone.now() + timedelta(days=181)
    assert expire_acceptances(now=later) == 1
    assert expire_acceptances(now=later) == 0
    assert state_of(release) == "claimed"


def test_only_the_owning_role_accepts_and_never_its_own_answer(answer, alice, sam, mo, release):
    from checklists.people.services import set_membership, set_role

    save(answer, alice, claims=CLAIMS)
    with pytest.raises(Forbidden):
        review_answers(release=release, by=sam, accepted=[KEY])
    set_role(user=alice, role="mlops", granted=True)
    with pytest.raises(Forbidden, match="yourself"):
        review_answers(release=release, by=alice, accepted=[KEY])
    set_membership(team=release.model.team, user=mo, role="contributor")
    review_answers(release=release, by=mo, flagged={KEY: "Which revision?"})
    flagged = Answer.objects.get(pk=answer.pk)
    assert flagged.is_flagged
    assert flagged.flag_comment == "Which revision?"


def test_carried_over_answers_count_only_once_confirmed(answer, alice, bob, release):
    save(answer, alice, claims=CLAIMS)
    following = make_release(release.model, alice, "2.0", carry_over_from=release)
    carried = answer_of(following, KEY)
    assert (carried.status, carried.carried_over, state_of(following)) == ("met", True, "open")
    assert confirm_answers(release=following, by=bob) == 1
    assert state_of(following) == "claimed"
    assert answer_of(following, KEY).updated_by == bob


def test_saving_a_carried_over_answer_as_it_is_confirms_it(answer, alice, release):
    save(answer, alice, claims=CLAIMS)
    carried = answer_of(make_release(release.model, alice, "2.0", carry_over_from=release), KEY)
    assert save(carried, alice, claims=carried.claims).carried_over is False
    assert state_of(carried.release) == "claimed"


def test_members_and_reviewers_comment_and_outsiders_do_not(answer, carol, mo, mallory):
    add_comment(answer=answer, by=carol, body="Is this so?")
    add_comment(answer=answer, by=mo, body="Show me.")
    with pytest.raises(Forbidden):
        add_comment(answer=answer, by=mallory, body="Hello")
    with pytest.raises(Invalid):
        add_comment(answer=answer, by=carol, body="  ")


def test_saving_an_answer_touches_a_constant_number_of_rows(release, alice, django_assert_max_num_queries):
    def queries(key):
        from django.test.utils import CaptureQueriesContext

        with CaptureQueriesContext(connection) as captured:
            save(answer_of(release, key), alice, "partly", claims={}, justification="almost there")
        return len(captured)

    first = queries(KEY)
    for key in ("compute.placement", "performance.throughput", "security.data-governance"):
        save(answer_of(release, key), alice, "partly", claims={}, justification="almost there")
    assert queries("operations.owner") == first


@pytest.mark.django_db(transaction=True)
def test_two_people_saving_one_answer_at_once_give_one_save_and_one_conflict(team, alice, bob, edition):
    release = make_release(make_model(team, alice), alice)
    answer = answer_of(release, KEY)
    outcomes = []
    barrier = threading.Barrier(2)

    def work(person, version):
        try:
            barrier.wait()
            save_answer(answer=answer, by=person, revision=0, status="met", claims={**CLAIMS, "version": version})
            outcomes.append("saved")
        except Conflict as conflict:
            outcomes.append(conflict.current.claims["version"])
        finally:
            connections.close_all()

    threads = [threading.Thread(target=work, args=pair) for pair in ((alice, "from alice"), (bob, "from bob"))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    stored = Answer.objects.get(pk=answer.pk)
    assert sorted(outcomes) == sorted(["saved", stored.claims["version"]])
    assert stored.revision == 1


# Waivers


def ask(release, by, key="security.access-control", **fields):
    return request_waiver(
        **{
            "release": release,
            "item_key": key,
            "reason": "Not yet",
            "mitigation": "Behind the VPN",
            "expires_on": in_days(30),
            "by": by,
            **fields,
        }
    )


def test_an_approved_waiver_lifts_the_item_out_until_its_last_day(release, alice, sam):
    waiver = ask(release, alice)
    assert state_of(release, "security.access-control") == "open"
    decide_waiver(waiver=waiver, decision="approve", by=sam)
    assert state_of(release, "security.access-control") == "waived"
    assert expire_waivers(today=in_days(30)) == 0
    assert expire_waivers(today=in_days(31)) == 1
    assert expire_waivers(today=in_days(31)) == 0
    assert state_of(release, "security.access-control") == "open"


def test_a_waiver_is_decided_by_the_role_that_owns_the_item_and_not_by_who_asked(release, alice, mo, sam, root):
    from checklists.people.services import set_role

    waiver = ask(release, alice)
    for person in (mo, root):
        with pytest.raises(Forbidden):
            decide_waiver(waiver=waiver, decision="approve", by=person)
    set_role(user=alice, role="security", granted=True)
    with pytest.raises(Forbidden):
        decide_waiver(waiver=waiver, decision="approve", by=alice)
    decide_waiver(waiver=waiver, decision="decline", by=sam, comment="Fix it")
    with pytest.raises(WrongStage):
        decide_waiver(waiver=waiver, decision="approve", by=sam)


def test_a_revoked_waiver_counts_no_more(release, alice, sam):
    waiver = ask(release, alice)
    decide_waiver(waiver=waiver, decision="approve", by=sam)
    decide_waiver(waiver=waiver, decision="revoke", by=sam)
    assert state_of(release, "security.access-control") == "open"
    ask(release, alice)


def test_one_waiver_at_a_time_with_an_end_within_a_year(release, alice):
    with pytest.raises(Invalid) as caught:
        ask(release, alice, key="no.such", reason=" ", expires_on=in_days(0))
    assert {"item", "reason", "expires_on"} == set(caught.value.errors)
    with pytest.raises(Invalid):
        ask(release, alice, expires_on=in_days(400))
    ask(release, alice)
    with pytest.raises(WrongStage):
        ask(release, alice)
    assert Waiver.objects.count() == 1
