from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from checklists.people.services import create_team
from checklists.registry.models import Release
from checklists.registry.services import change_model, retire_release
from checklists.scorecards.models import HistoryPoint, ItemState, Scorecard
from checklists.scorecards.rollups import Scope, failing_most, overview, trend
from checklists.scorecards.services import record_history, refresh
from tests.build import answer_everything, answer_of, in_days, make_model, make_release, save
from tests.conftest import person

pytestmark = [pytest.mark.django_db, pytest.mark.database]


@pytest.fixture
def releases(team, alice, bob, edition):
    """One answered release and one untouched one, of different families."""
    done = make_release(make_model(team, alice, "done"), alice, launch_date=in_days(10))
    answer_everything(done, bob)
    fresh = make_release(make_model(team, alice, "fresh", family="audio"), alice, launch_date=in_days(20))
    return done, fresh


def test_the_whole_is_the_sum_of_its_releases(releases, leo):
    seen = overview(user=leo)
    cards = Scorecard.objects.all()
    for state, count in seen.organisation.total.states.items():
        assert count == sum(card.states[state] for card in cards)
    assert (seen.figures.releases, seen.models, seen.organisation.releases) == (2, 2, 2)
    assert {row.key for row in seen.families} == {"llm", "audio"}
    assert [row.key for row in seen.teams] == ["search"]
    assert set(seen.organisation.cells) == {"identity", "compute", "performance", "release", "autoscaling"} | {
        "observability",
        "reliability",
        "security",
        "operations",
    }
    assert seen.figures.blocked == 1


def test_a_row_is_as_ready_as_its_weakest_cell(releases, leo):
    row = overview(user=leo).teams[0]
    assert row.score == min(cell.score for cell in row.cells.values() if cell.score is not None)


def test_a_new_tier_changes_what_is_required_and_not_since_when_a_state_holds(releases, alice):
    item = ItemState.objects.filter(release=releases[1], item__key="identity.lineage")
    before = item.get()
    assert (before.requirement, before.state) == ("must", "open")
    change_model(model=releases[1].model, by=alice, tier=3)
    after = item.get()
    assert (after.requirement, after.state, after.since) == ("may", "open", before.since)


def test_retired_releases_are_left_out(releases, alice, leo):
    retire_release(release=releases[1], by=alice)
    assert overview(user=leo).figures.releases == 1


def test_restricted_models_are_told_but_not_counted(releases, alice, leo, ada):
    change_model(model=releases[0].model, by=alice, restricted=True)
    assert (overview(user=leo).figures.releases, overview(user=leo).hidden_models) == (1, 1)
    assert (overview(user=ada).figures.releases, overview(user=ada).hidden_models) == (2, 0)


def test_a_unit_is_its_branch_of_teams(releases, team, leo):
    other = create_team(slug="other", name="Other")
    assert overview(user=leo, team=team).figures.releases == 2
    assert overview(user=leo, team=other).figures.releases == 0
    assert overview(user=leo, family="audio", tier=1).figures.releases == 1


def test_the_past_is_what_was_recorded_then(releases, bob, leo):
    yesterday = timezone.now().date() - timedelta(days=1)
    HistoryPoint.objects.update(date=yesterday)
    before = overview(user=leo).organisation.total
    save(answer_of(releases[0], "identity.lineage"), bob, "not_met", justification="Not so")
    then, now = overview(user=leo, as_of=yesterday), overview(user=leo)
    assert then.organisation.total.states == before.states
    assert now.organisation.total.states != before.states
    assert then.figures.releases == 2


def test_every_release_gets_one_point_a_day(releases):
    HistoryPoint.objects.all().delete()
    assert record_history() == 2
    assert record_history() == 0
    refresh(release_id=releases[0].pk)
    assert HistoryPoint.objects.count() == 2
    point, card = HistoryPoint.objects.get(release=releases[0]), Scorecard.objects.get(release=releases[0])
    assert (point.states, point.readiness, point.credit) == (card.states, card.readiness, card.credit)


def test_the_trend_ends_with_today(releases, leo):
    HistoryPoint.objects.update(date=timezone.now().date() - timedelta(days=30))
    points = trend(Scope(leo))
    assert [day for day, _ in points] == [in_days(-30), in_days(0)]
    assert points[0][1] == points[1][1]


def test_what_fails_most_comes_first(releases, leo):
    worst = failing_most(Scope(leo))
    assert len(worst) == 5
    assert all(states["open"] + states["contradicted"] for _, states in worst)


def test_the_number_of_queries_does_not_grow_with_the_number_of_releases(releases, team, alice, bob, leo):
    def queries():
        leo.__dict__.pop("access", None)
        with CaptureQueriesContext(connection) as captured:
            overview(user=leo)
        return len(captured)

    first = queries()
    for number in range(4):
        sub = create_team(slug=f"t{number}", name=f"T{number}", parent=team)
        make_release(make_model(sub, alice, f"m{number}", family="vision"), alice)
    assert Release.objects.count() == 6
    assert queries() == first


def test_qualities_are_counted_once_for_each_item_that_serves_them(releases, leo):
    seen = overview(user=leo, by_quality=True)
    assert set(seen.organisation.cells) == {
        "performant",
        "reliable",
        "observable",
        "cost_efficient",
        "safe",
        "production_ready",
    }
    assert seen.organisation.total.states == overview(user=leo).organisation.total.states  # each item once


def test_somebody_without_any_role_sees_what_is_not_restricted(releases):
    assert overview(user=person("nina")).figures.releases == 2
