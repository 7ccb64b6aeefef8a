"""Three reviewers sign, one after another."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.utils import timezone
from playwright.sync_api import expect

from checklists.assessments.models import Answer
from checklists.registry.models import Release
from checklists.signoff.models import Condition, SignOff
from checklists.signoff.services import submit
from tests.browser.conftest import Visitor
from tests.build import answer_everything, in_days, make_model, make_release
from tests.conftest import person

pytestmark = pytest.mark.browser

REVIEW = "/models/assist-chat/releases/1.0/review/"


@pytest.fixture
def submitted(team: Any, alice: Any, edition: Any) -> Release:
    release = make_release(make_model(team, alice), alice)
    answer_everything(release, alice)
    submit(release=release, by=alice, note="Please look at the limits first.")
    return release


def test_three_reviewers_sign_and_the_release_is_approved(
    visit: Callable[..., Visitor], submitted: Release, mo: Any, sam: Any, rita: Any
) -> None:
    # MLOps finds it in the queue, accepts one item and approves
    mos = visit()
    page = mos.sign_in("mo")
    page.get_by_role("navigation", name="Main", exact=True).get_by_role("link", name="Reviews").click()
    expect(page.get_by_role("region", name="Waiting for you")).to_contain_text("assist-chat 1.0")
    page.get_by_role("link", name="assist-chat 1.0").first.click()
    expect(page.get_by_text("Please look at the limits first.")).to_be_visible()
    item = page.locator(".review-item").first
    key = item.get_attribute("id")
    item.get_by_role("button", name="Accept").click()
    expect(page.locator(f"[id='{key}']")).to_contain_text("Accepted by Mo")
    expect(page.locator("#decision-progress")).to_contain_text("1 of")
    page.get_by_label("What the team should know").fill("Well described.")
    page.get_by_role("button", name="Approve", exact=True).click()
    expect(page.get_by_text("Signed as MLOps")).to_be_visible()
    expect(page.get_by_role("button", name="Approve", exact=True)).to_have_count(0)
    assert Answer.objects.get(release=submitted, item__key=key).is_accepted(timezone.now())

    # Security flags an item with a remark, and approves with a condition
    sams = visit()
    page = sams.sign_in("sam")
    sams.open(REVIEW)
    item = page.locator(".review-item").first
    flagged = item.get_attribute("id")
    item.get_by_text("Flag with a remark").click()
    item.get_by_label("What is wrong with it").fill("The runbook does not name who is called at night.")
    item.get_by_role("button", name="Flag", exact=True).click()
    expect(page.locator(f"[id='{flagged}']")).to_contain_text("Flagged by Sam")
    page.get_by_text("Conditions, each with its date").click()
    page.get_by_label("Condition 1").fill("Name the night contact")
    page.get_by_label("Due").first.fill(in_days(14).isoformat())
    page.get_by_role("button", name="Approve with conditions").click()
    expect(page.get_by_text("Signed as Security")).to_be_visible()
    expect(page.locator("#conditions")).to_contain_text("Name the night contact")
    submitted.refresh_from_db()
    assert submitted.stage == "in_review"
    assert Answer.objects.get(release=submitted, item__key=flagged).is_flagged

    # SRE is the last: the release is approved
    ritas = visit()
    page = ritas.sign_in("rita")
    ritas.open(REVIEW)
    page.get_by_role("button", name="Approve", exact=True).click()
    expect(page.get_by_text("Signed as SRE")).to_be_visible()
    expect(page.get_by_role("main")).to_contain_text("Approved")
    submitted.refresh_from_db()
    assert submitted.stage == "approved"
    assert list(SignOff.objects.order_by("pk").values_list("user__username", "role", "decision")) == [
        ("mo", "mlops", "approve"),
        ("sam", "security", "approve_with_conditions"),
        ("rita", "sre", "approve"),
    ]
    assert Condition.objects.get().text == "Name the night contact"
    # Who asked for it sees what was said
    alices = visit(submitted.created_by)
    alices.open(REVIEW)
    expect(alices.page.get_by_text("Well described.")).to_be_visible()


def test_nobody_is_offered_to_sign_their_own_release(visit: Callable[..., Visitor], team: Any, edition: Any) -> None:
    both = person("wendy", roles=("mlops",), teams={team: "owner"})
    release = make_release(make_model(team, both), both)
    answer_everything(release, both)
    submit(release=release, by=both)
    page = visit(both).open(REVIEW)
    expect(page.get_by_text("You submitted or answered this release; somebody else has to sign.").first).to_be_visible()
    expect(page.get_by_role("button", name="Approve")).to_have_count(0)
    assert not SignOff.objects.exists()
