"""Lists take the same number of queries for two rows as for twenty."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from tests.api.conftest import R

pytestmark = pytest.mark.django_db


def make_teams(n: int, release: Any, alice: Any) -> None:
    from checklists.people.services import create_team

    create_team(slug=f"team-{n}", name=f"Team {n}", parent=release.model.team)


def make_models(n: int, release: Any, alice: Any) -> None:
    from checklists.registry.services import create_model

    create_model(slug=f"model-{n}", name="M", team=release.model.team, family="llm", tier=3, by=alice)


def make_releases(n: int, release: Any, alice: Any) -> None:
    from checklists.registry.services import create_release

    create_release(model=release.model, version=f"2.{n}", by=alice, carry_over_from=release)


def make_endpoints(n: int, release: Any, alice: Any) -> None:
    from checklists.registry.services import create_endpoint

    create_endpoint(release=release, by=alice, name=f"e-{n}", url=f"http://127.0.0.1:{n + 1}/")


def make_comments(n: int, release: Any, alice: Any) -> None:
    from checklists.assessments.services import add_comment

    add_comment(answer=release.answers.get(item__key="identity.lineage"), by=alice, body=f"Number {n}.")


def make_runs(n: int, release: Any, alice: Any) -> None:
    from checklists.evidence.models import Finding, ProbeRun

    now = timezone.now()
    run = ProbeRun.objects.create(release=release, state="done", requested_by=alice, created_at=now)
    item = release.answers.order_by("item__position")[n].item
    Finding.objects.create(
        run=run, release=release, item=item, item_key=item.key, endpoint_name="main", probe="p", probe_version="1",
        verdict="verified", reason="It does.", measured_at=now, expires_at=now + timedelta(days=1),
    )  # fmt: skip


def make_waivers(n: int, release: Any, alice: Any) -> None:
    from checklists.assessments.services import request_waiver

    item = release.answers.order_by("item__position")[n].item
    ends = timezone.now().date() + timedelta(days=9)
    request_waiver(release=release, item_key=item.key, reason="r", mitigation="m", expires_on=ends, by=alice)


def make_submissions(n: int, release: Any, alice: Any) -> None:
    from checklists.signoff.models import Party, Submission

    now = timezone.now()
    submission = Submission.objects.create(
        release=release, number=n + 1, snapshot={}, digest=f"{n:064}", role_digests={}, submitted_by=alice,
        required=[{"role": "mlops", "count": 1}], submitted_at=now, due_at=now, approval_days=9, outcome="superseded",
    )  # fmt: skip
    Party.objects.create(
        submission=submission, user=alice, part="signer", role="mlops", decision="approve", signed_at=now
    )


LISTS: dict[str, Callable[[int, Any, Any], None]] = {
    "teams/": make_teams,
    "models/": make_models,
    "models/?team=search&stage=draft&search=m&ordering=-team": make_models,
    "models/assist/releases/": make_releases,
    f"{R}endpoints/": make_endpoints,
    f"{R}answers/identity.lineage/comments/": make_comments,
    f"{R}probe-runs/": make_runs,
    f"{R}findings/": make_runs,
    f"{R}answers/": make_runs,
    f"{R}waivers/": make_waivers,
    f"{R}submissions/": make_submissions,
    f"journal/?subject={R}": make_comments,
    f"{R}findings/export/": make_runs,
    "overview/": make_models,
}


@pytest.mark.parametrize("path", LISTS)
def test_a_list_takes_as_many_queries_for_twenty_rows_as_for_two(api: Any, alice: Any, release: Any, path: str) -> None:
    alices = api(alice)
    made = 0

    def queries(rows: int) -> int:
        nonlocal made
        for n in range(made, rows):
            LISTS[path](n, release, alice)
        made = rows
        with CaptureQueriesContext(
            connection,
        ) as captured:
            assert alices.get(path).status_code == 200
        return len(captured)

    alices.get(path)  # the token's last use is written once a minute, and the edition is read into memory
    two, twenty = queries(2), queries(20)
    assert two == twenty
    assert two <= 15
