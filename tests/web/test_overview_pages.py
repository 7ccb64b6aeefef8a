"""The overview, the list behind its numbers, its table, and the risk of a launch."""

from __future__ import annotations

import csv
import io
import re
from datetime import timedelta
from typing import Any

import pytest
from django.db import transaction
from django.utils import timezone
from django.utils.html import escape

from checklists.assessments.services import decide_waiver, request_waiver
from checklists.people.services import create_team
from checklists.registry.models import Release
from checklists.registry.services import retire_release, set_stage
from checklists.scorecards.models import HistoryPoint
from checklists.scorecards.rollups import overview
from checklists.scorecards.services import refresh
from checklists.web.overview_page import overview_page
from checklists.web.risk import Risk, risk_of
from tests.build import in_days, make_model, make_release
from tests.conftest import Cast
from tests.web.quickly import make_ready, make_releases
from tests.web.steps import make_finding, queries, signed_in, text

pytestmark = pytest.mark.usefixtures("edition")


@pytest.fixture
def landscape(team: Any, other_team: Any, alice: Any, mallory: Any) -> list[Release]:
    """Two teams: one with a ready and a contradicted release, one with an open one; a month-old day of history."""
    ready, launching = make_releases(team, alice, range(2), launch_date=in_days(5))
    make_finding(launching, "identity.name-version", "contradicted", reason="It names another model.")
    untouched = make_release(make_model(other_team, mallory, "invoices", family="embedding", tier=2), mallory)
    for row in (ready, launching, untouched):
        refresh(release_id=row.pk)
    for point in HistoryPoint.objects.all():
        point.pk, point.date, point.contradicted = None, point.date - timedelta(days=31), 0
        point.save()
    return [ready, launching, untouched]


def test_a_leader_sees_the_heat_map_and_what_needs_a_decision(landscape: list[Release], leo: Any) -> None:
    body = text(signed_in(leo).get("/overview/"))
    for words in (
        "Search",
        "Billing",
        "Model identity",
        "It names another model.",
        "3 releases of 3 models in 2 teams",
    ):
        assert words in body
    assert "1 more" in body  # one contradiction more than a month ago


@pytest.mark.parametrize("scope", [{}, {"team_slug": "search"}, {"family": "llm"}, {"tier": 1}])
@pytest.mark.parametrize(("by_family", "by_quality"), [(False, False), (True, True)])
def test_every_number_leads_to_the_list_behind_it(
    landscape: list[Release], leo: Any, team: Any, alice: Any, scope: dict[str, Any], by_family: bool, by_quality: bool
) -> None:
    """As long as the number says: heat map, its rows, the states, the KPI line, the stages, what fails most."""
    below = create_team(slug="ranking", name="Ranking", parent=team)
    make_ready(make_release(make_model(below, alice, "ranker"), alice), alice)
    live = make_release(landscape[0].model, alice, "0.9")
    Release.objects.filter(pk=live.pk).update(stage="live")  # not the newest of its model
    retire_release(release=make_release(landscape[0].model, alice, "0.8"), by=alice)
    stale = {"endpoint_name": "us-1", "expires_at": timezone.now() - timedelta(days=1)}
    make_finding(landscape[0], "identity.lineage", "verified", **stale)

    client = signed_in(leo)
    page = overview_page(user=leo, by_family=by_family, by_quality=by_quality, **scope)
    asked = {"team": scope.get("team_slug", ""), "family": scope.get("family", ""), "tier": scope.get("tier", "")}
    asked |= {"by": "family" if by_family else "", "axis": "qualities" if by_quality else ""}
    links = set(re.findall(r'href="([^"]*)"', text(client.get("/overview/", asked))))
    wrong = []

    def leads(url: str, number: int, *, releases: bool = False) -> None:
        rows = client.get(url).context["page_obj"].paginator.object_list
        found = rows.values("release").distinct().count() if releases else rows.count()
        if escape(url) not in links or found != number:
            wrong.append((url, number, found, escape(url) in links))

    for _, rows in page.groups:
        for row, url, cells in rows:
            leads(url, row.releases)
            for _, cell, cell_url, _ in cells:
                if cell is not None:
                    leads(cell_url, sum(cell.states.values()))
    for state, number in page.organisation.total.states.items():
        leads(f"{page.state_url}{state}", number)
    ready, blocked, contradicted, fresh, approval = page.kpis
    leads(ready.url, page.figures.ready)
    leads(blocked.url, page.figures.blocked, releases=True)
    leads(contradicted.url, page.figures.contradicted)
    leads(fresh.url, 1)
    leads(approval.url, 0)
    for stage, _, number in page.stages:
        leads(f"/releases/?stage={stage}{page.query}", number)
    for item, counts in page.failing:
        leads(f"/items/?failing=1&item={item.key}{page.query}", counts["open"] + counts["contradicted"])
    assert wrong == []


def test_the_releases_approved_of_late_say_how_long_it_took(landscape: list[Release], alice: Any, leo: Any) -> None:
    Release.objects.filter(pk=landscape[0].pk).update(created_at=timezone.now() - timedelta(days=12))
    with transaction.atomic():
        set_stage(release=Release.objects.get(pk=landscape[0].pk), stage="approved", by=alice)
    body = text(signed_in(leo).get("/releases/?approved=1"))
    assert "12 days" in body
    assert "model-0 1.0" in body
    assert "model-1 1.0" not in body


def test_the_page_and_the_roll_ups_agree(landscape: list[Release], leo: Any, team: Any) -> None:
    for narrowed in ({}, {"team": team}, {"family": "embedding"}, {"tier": 1}):
        summed = overview(user=leo, **narrowed)
        page = overview_page(
            user=leo, team_slug=narrowed["team"].slug if "team" in narrowed else "", family=narrowed.get("family", ""),
            tier=narrowed.get("tier"), by_family=False, by_quality=False,
        )  # fmt: skip
        assert (page.figures, page.before, page.compared_with) == (summed.figures, summed.before, summed.compared_with)
        assert page.organisation == summed.organisation
        assert page.rows == [row for row in summed.teams if row.releases]
        assert (page.models, page.hidden_models) == (summed.models, summed.hidden_models)


def test_restricted_models_are_not_counted_and_it_is_said(team: Any, alice: Any, leo: Any, mo: Any) -> None:
    make_ready(make_release(make_model(team, alice, "secret-model", restricted=True), alice), alice)
    make_ready(make_release(make_model(team, alice, "open-model"), alice), alice)
    body = text(signed_in(leo).get("/overview/"))
    assert "1 restricted model is not counted here" in body
    assert "1 release of 1 model" in body
    assert "secret-model" not in text(signed_in(leo).get("/items/"))
    assert "restricted" not in text(signed_in(mo).get("/overview/"))
    assert "secret-model" in text(signed_in(mo).get("/items/?team=search&item=identity.name-version"))


def test_filters_narrow_the_page(landscape: list[Release], leo: Any) -> None:
    body = text(signed_in(leo).get("/overview/?team=billing&tier=2"))
    assert "1 release of 1 model in 1 team" in body
    assert "Billing ×" in body
    assert signed_in(leo).get("/overview/?team=nobody&family=nothing&tier=9").status_code == 200


def test_a_team_inherits_the_unit_above_it_as_its_group(team: Any, root: Any, leo: Any) -> None:
    below = create_team(slug="ranking", name="Ranking", parent=team)
    make_ready(make_release(make_model(below, root, "ranker"), root), root)
    page = overview_page(user=leo, by_family=False, by_quality=False)
    assert [(group, [row.name for row, _, _ in rows]) for group, rows in page.groups] == [("Search", ["Ranking"])]


def test_a_waiver_about_to_end_needs_a_decision(landscape: list[Release], alice: Any, leo: Any, mo: Any) -> None:
    waiver = request_waiver(
        release=landscape[0],
        item_key="identity.lineage",
        reason="Lost.",
        mitigation="Few users.",
        expires_on=in_days(3),
        by=alice,
    )
    assert "waiver ends" not in text(signed_in(leo).get("/overview/"))
    decide_waiver(waiver=waiver, decision="approve", by=mo)
    assert "waiver ends in 3 days" in text(signed_in(leo).get("/overview/"))


def test_the_table_has_a_line_for_each_row_and_the_whole(landscape: list[Release], leo: Any, root: Any) -> None:
    team = create_team(slug="sum", name="=SUM(A1)")
    make_ready(make_release(make_model(team, root, "formula"), root), root)
    response = signed_in(leo).get("/overview/export.csv")
    assert response["Content-Type"] == "text/csv; charset=utf-8"
    lines = list(csv.DictReader(io.StringIO(text(response))))
    assert [line["name"] for line in lines] == ["Search", "Billing", "'=SUM(A1)", "Organisation"]
    assert lines[0]["contradicted"] == "1"
    assert lines[1]["Model identity"] == "0"


def test_an_empty_portal_says_what_fills_the_overview(leo: Any) -> None:
    assert "Nothing to see yet" in text(signed_in(leo).get("/overview/"))


@pytest.mark.parametrize(
    ("query", "seen", "unseen"),
    [
        ("state=contradicted", "model-1", "model-0"),
        ("blocking=1&launch=1", "model-1", "invoices"),
        ("family=embedding", "invoices", "model-0"),
        ("tier=2", "invoices", "model-1"),
        ("stage=live", "No item is like that", "invoices"),
        ("item=identity.name-version&state=open", "invoices", "model-0"),
        ("requirement=must&quality=safe&team=billing", "invoices", "model-0"),
    ],
)
def test_the_list_is_narrowed_by_its_address(
    landscape: list[Release], leo: Any, query: str, seen: str, unseen: str
) -> None:
    body = text(signed_in(leo).get(f"/items/?{query}"))
    assert seen in body
    assert f">{unseen} 1.0<" not in body


def test_an_unknown_team_has_no_list(leo: Any) -> None:
    assert signed_in(leo).get("/items/?team=nobody").status_code == 404


@pytest.mark.parametrize(
    "path",
    [
        *("/overview/", "/overview/?by=family&axis=qualities", "/items/?page=1", "/items/?stale=1"),
        *("/releases/", "/releases/?ready=1&approved=1"),
    ],
)
def test_two_releases_take_as_many_queries_as_twenty(team: Any, alice: Any, mo: Any, path: str) -> None:
    def more(numbers: range) -> None:
        for release in make_releases(team, alice, numbers, launch_date=in_days(20)):
            make_finding(release, "identity.name-version", "contradicted")
            refresh(release_id=release.pk)

    more(range(2))
    two = queries(signed_in(mo), path)
    more(range(2, 20))
    assert queries(signed_in(mo), path) == two <= 15


def test_everybody_may_read_the_overview(cast: Cast) -> None:
    for name in ("alice", "carol", "mallory", "mo", "leo", "ada", "root"):
        assert signed_in(getattr(cast, name)).get("/overview/").status_code == 200


@pytest.mark.parametrize(
    ("days", "stage", "must_open", "contradicted", "risk"),
    [
        (60, "approved", 0, 0, Risk.READY),
        (60, "draft", 0, 0, Risk.ON_TRACK),
        (60, "in_review", 0, 0, Risk.ON_TRACK),
        (60, "draft", 5, 0, Risk.EARLY),
        (20, "draft", 5, 0, Risk.TIGHT),
        (20, "draft", 0, 0, Risk.TIGHT),
        (5, "in_review", 0, 0, Risk.TIGHT),
        (5, "in_review", 1, 0, Risk.AT_RISK),
        (5, "draft", 0, 0, Risk.AT_RISK),
        (20, "changes_requested", 0, 0, Risk.AT_RISK),
        (60, "approved", 0, 1, Risk.AT_RISK),
    ],
)
def test_the_risk_of_a_launch(days: int, stage: str, must_open: int, contradicted: int, risk: Risk) -> None:
    assert risk_of(days_left=days, stage=stage, must_open=must_open, contradicted=contradicted) is risk


def test_less_time_never_lowers_the_risk() -> None:
    order = list(Risk)
    for stage in ("draft", "in_review", "changes_requested", "approved"):
        for must_open in (0, 3):
            risks = [
                order.index(risk_of(days_left=days, stage=stage, must_open=must_open, contradicted=0))
                for days in range(90, -2, -1)
            ]
            early, tight = order.index(Risk.EARLY), order.index(Risk.TIGHT)
            ranked = [tight if risk == early else risk for risk in risks]
            assert ranked == sorted(ranked), (stage, must_open)


def test_the_launch_strip_shows_this_quarter_only(team: Any, alice: Any, leo: Any) -> None:
    make_ready(make_release(make_model(team, alice, "soon"), alice, launch_date=in_days(20)), alice)
    make_ready(make_release(make_model(team, alice, "late"), alice, launch_date=in_days(120)), alice)
    page = overview_page(user=leo, by_family=False, by_quality=False)
    assert [launch["label"] for launch in page.launches] == ["soon 1.0"]
    assert page.launches[0]["date"] == timezone.now().date() + timedelta(days=20)
