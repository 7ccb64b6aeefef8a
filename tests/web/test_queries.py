"""Every page of the permission table takes as many queries for twenty rows of everything as for two: at most 15."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from checklists.assessments.services import add_comment, request_waiver
from checklists.evidence.models import ProbeRun
from checklists.people.services import create_team, create_token, set_membership
from checklists.registry.models import Release
from checklists.registry.services import create_endpoint, create_release
from checklists.scorecards.services import refresh
from checklists.signoff.models import Condition, SignOff, Submission
from checklists.signoff.routes import set_route
from tests.build import answer_of, in_days
from tests.conftest import Cast, person
from tests.test_permissions import WEB, address, world  # noqa: F401  # a fixture
from tests.web.quickly import make_releases
from tests.web.steps import HTMX, make_finding, queries, signed_in
from tests.web.test_inbox_pages import notice

MOST = 15
LEADS_ON = {"release"}  # a redirect
FRAGMENTS = {"answer", "probe_run"}  # asked for by htmx; others are led on
PAGES = [row for row in WEB if row.method == "get" and row.name not in LEADS_ON]


@pytest.fixture
def everybody_at_once(team: Any) -> Any:
    """Somebody who sees and may do everything, so that every part of every page is read for them."""
    roles = ("administrator", "auditor", "leader", "catalog_maintainer", "mlops", "security", "sre")
    return person("ursula", roles=roles, teams={team: "owner"})


def grow(release: Release, numbers: range, cast: Cast, viewer: Any) -> None:
    """One more of everything that a page may list, for each number."""
    now = timezone.now()
    for n, more in zip(numbers, make_releases(release.model.team, cast.alice, numbers), strict=True):
        endpoint = create_endpoint(
            release=release, by=cast.alice, name=f"more-{n}", url=f"https://more-{n}.example.org"
        )
        add_comment(answer=answer_of(release, "identity.lineage"), by=cast.bob, body=f"Number {n}.")
        create_release(model=release.model, version=f"2.{n}", by=cast.alice)
        item = release.answers.order_by("item__position")[n].item
        make_finding(release, item.key, "contradicted", endpoint=endpoint, probe=f"probe.{n}")
        make_finding(release, "identity.lineage", "verified", endpoint=endpoint, probe=f"other.{n}")
        make_finding(more, "identity.name-version", "contradicted")
        refresh(release_id=more.pk)
        ProbeRun.objects.create(release=release, state="failed", requested_by=cast.alice, created_at=now)
        waived = {"reason": "r", "mitigation": "m", "expires_on": in_days(n + 1), "by": cast.bob}
        request_waiver(release=release, item_key=item.key, **waived)
        somebody = person(f"somebody-{n}", roles=("sre",), teams={release.model.team: "contributor"})
        set_membership(team=create_team(slug=f"below-{n}", name=f"Below {n}", parent=release.model.team),
                       user=somebody, role="owner")  # fmt: skip
        create_token(user=viewer, name=f"token {n}")
        notice(viewer)
        submission = Submission.objects.create(
            release=release, number=n + 1, snapshot={}, digest=f"{n:064}", role_digests={}, submitted_by=cast.alice,
            required=[{"role": "sre", "count": 1}], submitted_at=now, due_at=now, approval_days=9, outcome="superseded",
        )  # fmt: skip
        sign_off = SignOff.objects.create(
            submission=submission, user=somebody, part="signer", role="sre", decision="approve", signed_at=now
        )
        Condition.objects.create(sign_off=sign_off, text=f"Condition {n}", due_on=in_days(n))
        pending = Submission.objects.create(
            release=more, number=1, snapshot={}, digest=f"{n:064}", role_digests={}, submitted_by=cast.alice,
            required=[{"role": "sre", "count": 1}], submitted_at=now, due_at=now + timedelta(days=n), approval_days=9,
        )  # fmt: skip
        Release.objects.filter(pk=more.pk).update(stage="in_review")
        assert pending.outcome == "pending"


def test_every_page_takes_as_many_queries_for_twenty_rows_as_for_two(
    world: dict[str, Any],  # noqa: F811
    cast: Cast,
    everybody_at_once: Any,
) -> None:
    release = Release.objects.with_model().get(model__slug=world["slug"], version=world["version"])
    release.submissions.update(number=100)
    places = {**world, "number": 100}
    for tier in (1, 2, 3):
        required = [{"role": role, "count": 2} for role in ("mlops", "security", "sre")]
        set_route(tier=tier, required=required, review_days=3, approval_days=90, by=cast.root)
    client = signed_in(everybody_at_once)

    def measured() -> dict[str, int]:
        return {
            row.name: queries(client, address("web", row, places), **(HTMX if row.name in FRAGMENTS else {}))
            for row in PAGES
        }

    grow(release, range(1), cast, everybody_at_once)
    two = measured()
    grow(release, range(1, 19), cast, everybody_at_once)
    twenty = measured()
    assert {name: (two[name], count) for name, count in twenty.items() if count != two[name]} == {}
    assert {name: count for name, count in twenty.items() if count > MOST} == {}
