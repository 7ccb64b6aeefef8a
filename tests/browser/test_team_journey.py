"""A team member brings a release from registration to sign-off."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import expect

from checklists.assessments.models import Answer
from checklists.evidence.models import Finding
from checklists.evidence.services import allow_network
from checklists.registry.models import Release
from checklists.signoff.models import Submission
from portal.demo.serving.base import DEMO_KEY, Server
from tests.browser.conftest import Visitor
from tests.build import DIGEST, answer_everything, answer_of, in_days, save

pytestmark = pytest.mark.browser

NAME, MODALITIES, LIMITS = "identity.name-version", "identity.modalities", "identity.input-limits"
# What that server really does, so that these claims are not contradicted.
MEASURED: dict[str, dict[str, Any]] = {
    "observability.throughput": {"metric_name": "vllm:generation_tokens_total"},
    "operations.runtime-constraints": {"max_concurrency": 64, "context_tokens": 8192},
}


@pytest.mark.celery_worker
def test_a_team_member_registers_answers_probes_and_submits(
    visit: Callable[..., Visitor],
    model_server: Server,
    celery_worker: Any,
    bob: Any,
    root: Any,
    edition: Any,
) -> None:
    allow_network(cidr="127.0.0.0/8", by=root)
    me = visit()
    page = me.sign_in("bob")
    expect(page.get_by_role("navigation", name="Main", exact=True)).to_be_visible()

    # Register a model, open a release
    page.get_by_role("link", name="Models", exact=True).click()
    page.get_by_role("link", name="Register a model").first.click()
    page.get_by_label("Name", exact=True).fill("Assist chat")
    page.get_by_label("Short name for addresses").fill("assist-chat")
    page.get_by_label("Family").select_option("llm")
    page.get_by_label("Tier").select_option("1")
    page.get_by_label("Description").fill("Answers customers' questions.")
    page.get_by_role("button", name="Register").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Assist chat")
    page.get_by_role("link", name="Open a release").first.click()
    page.get_by_label("Version").fill("4.2")
    page.get_by_label("Artefact digest").fill(DIGEST)
    page.get_by_label("Launch date").fill(in_days(30).isoformat())
    page.get_by_role("button", name="Open the release").click()
    expect(page.get_by_role("heading", level=2).first).to_have_text("Model identity")
    release = Release.objects.get(model__slug="assist-chat")

    # Add the address where it is served, with its key
    page.get_by_role("link", name="Evidence").click()
    page.get_by_role("link", name="Add an endpoint").first.click()
    page.get_by_label("Name", exact=True).first.fill("eu-1")
    address = f"http://127.0.0.1:{model_server.server_port}/assist-chat/4.2"
    page.get_by_label("Address", exact=True).fill(address)
    page.get_by_label("New header, name").first.fill("Authorization")
    page.get_by_label("Value").first.fill(f"Bearer {DEMO_KEY}")
    page.get_by_label("Probes may generate here").check()
    page.get_by_role("button", name="Add the endpoint").click()
    expect(page.get_by_role("region", name="Endpoints")).to_contain_text(address)
    assert DEMO_KEY not in page.content()

    # Answer: each field saves by itself, and what depends on it changes without a reload
    page.get_by_role("link", name="Checklist", exact=True).click()
    page.evaluate("window.sameDocument = true")
    card = page.locator(f"[id='{NAME}']")
    expect(card.get_by_text("Open", exact=True)).to_be_visible()
    score_before = page.locator("#nav-identity .bar title").text_content()
    card.get_by_label("Model id").fill("assist-chat")
    expect(card.get_by_role("status")).to_contain_text("Saved")
    card.get_by_label("Version").fill("4.2")
    card.get_by_text("Met", exact=True).click()
    expect(card.get_by_text("Claimed", exact=True)).to_be_visible()
    expect(page.locator("#nav-identity .bar title")).not_to_have_text(score_before or "")
    expect(card.get_by_role("status")).to_contain_text("Saved")
    limits = page.locator(f"[id='{LIMITS}']")
    limits.get_by_label("Largest input").fill("131072")
    limits.get_by_label("Counted in").select_option("tokens")
    limits.get_by_text("Met", exact=True).click()
    expect(limits.get_by_text("Claimed", exact=True)).to_be_visible()
    modalities = page.locator(f"[id='{MODALITIES}']")
    modalities.get_by_role("group", name="Inputs").get_by_label("Text").check()
    modalities.get_by_role("group", name="Outputs").get_by_label("Text").check()
    modalities.get_by_text("Met", exact=True).click()
    expect(modalities.get_by_text("Claimed", exact=True)).to_be_visible()
    assert page.evaluate("window.sameDocument") is True
    stored = Answer.objects.get(release=release, item__key=NAME)
    assert (stored.status, stored.claims["model_id"], stored.updated_by) == ("met", "assist-chat", bob)

    # Probe: a worker visits the server, the page follows it
    page.locator(".section-head").get_by_role("button", name="Probe now").click()
    progress = page.locator("#probe-progress")
    expect(progress).to_contain_text("The probes are", use_inner_text=True)
    expect(progress).to_contain_text("The probes are done", timeout=45_000)
    assert page.evaluate("window.sameDocument") is True
    page.get_by_role("link", name="See what was found").click()
    settled = page.get_by_role("region", name="What the probes settled")
    expect(settled.locator(f"[id='{MODALITIES}']")).to_contain_text("Verified")
    expect(settled.locator(f"[id='{LIMITS}']")).to_contain_text("Contradicted")
    expect(settled.locator(f"[id='{LIMITS}']")).to_contain_text("8192 tokens")
    expect(page.get_by_role("heading", name="What could not be settled")).to_be_visible()
    assert {"verified", "contradicted", "inconclusive"} == set(
        Finding.objects.filter(release=release, current=True).values_list("verdict", flat=True)
    )
    settled.get_by_role("link", name="How it was read").first.click()
    expect(page.get_by_role("heading", name="Requests sent")).to_be_visible()
    assert DEMO_KEY not in page.content()
    me.open("/models/assist-chat/releases/4.2/checklist/identity/")
    expect(limits.get_by_text("Contradicted", exact=True)).to_be_visible()
    expect(modalities.get_by_text("Verified", exact=True)).to_be_visible()

    # The rest is answered by the same service; the one contradicted must is in the way, and is put right
    answer_everything(release, bob, leave=(NAME, MODALITIES, LIMITS, *MEASURED))
    for key, claims in MEASURED.items():
        save(answer_of(release, key), bob, claims=claims)
    page.get_by_role("link", name="Submit for sign-off").click()
    missing = page.get_by_role("listitem").filter(has_text="Evidence contradicts the claim.")
    expect(missing).to_have_count(1)
    expect(missing).to_contain_text("1.4 Largest input")
    expect(page.get_by_role("button", name="Submit for sign-off")).to_have_count(0)
    page.get_by_role("main").locator(f"a[href$='#{LIMITS}']").first.click()
    limits.get_by_label("Largest input").fill("8192")
    expect(limits.get_by_text("Verified", exact=True)).to_be_visible()
    page.get_by_role("link", name="Submit for sign-off").click()
    expect(page.get_by_role("heading", name="Who will be asked")).to_be_visible()
    page.get_by_label("A note for the reviewers").fill("The first release.")
    page.get_by_role("button", name="Submit for sign-off").click()
    expect(page.get_by_text("Submission 1 is frozen, and its reviewers know of it.")).to_be_visible()
    submission = Submission.objects.get(release=release)
    assert (submission.submitted_by, submission.outcome, submission.note) == (bob, "pending", "The first release.")
    release.refresh_from_db()
    assert release.stage == "in_review"
