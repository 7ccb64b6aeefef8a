"""Every screen, light and dark, wide and narrow: nothing that axe-core finds, and nothing that scrolls sideways."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.urls import reverse
from django.utils import timezone
from playwright.sync_api import Page, expect

from checklists.assessments.services import add_comment
from checklists.evidence.metrics import Histogram
from checklists.evidence.models import Finding, ProbeRun, ProbeSchedule
from checklists.people.services import create_setup_link, create_token, setup_token
from checklists.registry.models import Release
from tests.browser.conftest import CONTRAST, Noise, Visitor, axe_violations, sideways
from tests.build import answer_of, make_release, save
from tests.conftest import PASSWORD
from tests.test_permissions import WEB, address

pytestmark = pytest.mark.browser

# Who looks at which screens: those who have most to see and to do there. Names are those of the permission table.
LOOKS: dict[str, tuple[str, ...]] = {
    "alice": (
        *("checklist", "comments", "evidence", "finding", "finding_answer"),
        *("endpoint_create", "endpoint_edit", "endpoint_delete"),
        *("history", "launch", "retire", "submission_create", "waiver_create"),
    ),
    "bob": (
        *("today", "models", "model_create", "model", "model_edit", "compare", "release_create", "release_edit"),
        "architecture",
        *("inbox", "search"),
    ),
    "sam": ("today", "reviews", "review", "submission", "waiver_decision", "checklist", "inbox"),
    "leo": ("today", "overview", "items", "releases", "models", "catalog", "edition", "catalog_item", "coverage"),
    "root": (
        *("today", "settings", "people", "person", "teams", "team", "routes", "networks", "freshness"),
        *("tokens", "journal"),
    ),
}
FILES = {"overview_csv", "findings_json", "finding_json"}
NO_SCREEN = FILES | {"release", "answer", "probe_run"}  # these lead to another screen
ROWS = {row.name: row for row in WEB}


def test_every_screen_of_the_table_is_looked_at() -> None:
    looked_at = {name for names in LOOKS.values() for name in names}
    assert {row.name for row in WEB if row.method == "get"} - looked_at == NO_SCREEN


@pytest.fixture
def lively(world: dict[str, Any], cast: Any) -> dict[str, Any]:
    """The world of the permission table, with what makes screens longer: verdicts, comments, a second release."""
    release = Release.objects.get(model__slug="assist-chat")
    given = Finding.objects.get(probe="model.identity")
    verdicts = {"identity.input-limits": "contradicted", "identity.modalities": "verified"}
    for key, verdict in verdicts.items():
        given.pk = None
        given.item, given.item_key, given.verdict = answer_of(release, key).item, key, verdict
        given.claimed, given.observed, given.unit, given.reason = "131072", "8192", "tokens", "Read from /v1/models."
        given.save()
    enliven_evidence(release, given)
    add_comment(answer=answer_of(release, "identity.lineage"), by=cast.bob, body="See the [card](https://example.org).")
    later = make_release(release.model, cast.alice, "1.1", carry_over_from=release)
    save(answer_of(later, "identity.name-version"), cast.bob, status="not_met", justification="Not **yet** known.")
    create_token(user=cast.root, name="pipeline")
    return world


def enliven_evidence(release: Release, given: Finding) -> None:
    """What the evidence tab draws: a distribution, earlier readings, a recognised stack, a host that is silent."""
    picture = Histogram("ttft", (100, 800, 2000, float("inf")), (10, 90, 100, 100)).picture({"p95": 800}, "ms")
    key = "performance.latency-targets"
    for days in range(3):
        at = timezone.now() - timedelta(days=days)
        run = ProbeRun.objects.create(release=release, state="done", created_at=at)
        shared = {"release": release, "endpoint": given.endpoint, "endpoint_name": given.endpoint_name, "run": run,
                  "probe_version": "1", "measured_at": at, "expires_at": at + timedelta(days=7), "reason": "As read.",
                  "current": not days}  # fmt: skip
        Finding.objects.create(
            **shared, item=answer_of(release, key).item, item_key=key, probe="metrics.latency", claimed="p95 ≤ 800",
            verdict="contradicted" if days else "verified", observed=f"{600 + 200 * days}", unit="ms",
            detail={"histogram": picture, "rule": "A rule.", "samples": 100},
        )  # fmt: skip
        seen = {"stack": "vllm", "sure": 0.9, "signs": ["owned_by is vllm"], "against": ["not so: /load"]}
        Finding.objects.create(**shared, probe="stack.recognition", verdict="verified", observation=seen)
    ProbeSchedule.objects.filter(endpoint=given.endpoint).update(failures=3)


API_DOCS = "/api/v1/docs/"


def unfold_the_api(page: Page) -> None:
    """Waits until every operation of the API is drawn, and unfolds what a reader would: one of each method, a form."""
    document = page.request.get(page.url.replace("/docs/", "/schema/")).json()
    methods = [method for path in document["paths"].values() for method in path]
    expect(page.locator(".opblock")).to_have_count(len(methods))
    for method in sorted(set(methods)):
        operation = page.locator(f".opblock-{method}").first
        operation.locator(".opblock-summary-control").click()
        expect(operation.locator(".responses-table").first).to_be_visible()
    page.locator(".opblock-post .try-out__btn").first.click()
    expect(page.locator(".opblock-post .execute").first).to_be_visible()


def look(visitor: Visitor, path: str) -> Iterator[str]:
    """Everything that is wrong with one screen, in words."""
    page = visitor.page
    page.set_viewport_size({"width": 1440, "height": 900})
    page.emulate_media(color_scheme="light", reduced_motion="reduce")
    visitor.open(path)
    if path == API_DOCS:
        unfold_the_api(page)
    yield from (f"{path}: {line}" for line in axe_violations(page))
    page.emulate_media(color_scheme="dark", reduced_motion="reduce")
    yield from (f"{path} (dark): {line}" for line in axe_violations(page, only=[CONTRAST]))
    page.set_viewport_size({"width": 390, "height": 844})
    if (pixels := sideways(page)) > 0:
        yield f"{path} (narrow): scrolls sideways by {pixels} px"
    yield from (f"{path} (narrow): {line}" for line in axe_violations(page, without=[CONTRAST]))


@pytest.mark.parametrize("name", LOOKS)
def test_screens_are_accessible_light_and_dark_wide_and_narrow(
    name: str, visit: Callable[..., Visitor], lively: dict[str, Any], cast: Any
) -> None:
    visitor = visit(getattr(cast, name))
    paths = [address("web", ROWS[route], lively) for route in LOOKS[name]]
    if name == "alice":  # a draft as well as a release in review
        draft = {**lively, "version": "1.1"}
        drafts = ("checklist", "review", "evidence", "submission_create")
        paths += [address("web", ROWS[route], draft) for route in drafts]
    if name == "root":
        paths += ["/accounts/password/change/", "/accounts/2fa/", "/accounts/2fa/totp/activate/", API_DOCS]
    assert [line for path in paths for line in look(visitor, path)] == []


def test_doors_and_dead_ends_are_accessible(
    visit: Callable[..., Visitor], noise: Noise, edition: Any, bob: Any, settings: Any
) -> None:
    noise.expect("404", "403")
    stranger = visit()
    wrong = list(look(stranger, "/accounts/login/"))
    stranger.sign_in("bob", "not this one")
    wrong += axe_violations(stranger.page)
    wrong += look(stranger, "/accounts/password/reset/")
    wrong += look(stranger, "/nowhere/")
    me = visit(bob)
    wrong += look(me, "/nowhere/")
    wrong += look(me, "/settings/people/")  # 403
    wrong += look(me, "/models/?q=nothing-is-called-this")
    wrong += look(me, "/")
    assert wrong == []


def test_the_first_administrator_is_set_up_on_an_accessible_page(visit: Callable[..., Visitor], edition: Any) -> None:
    link = create_setup_link()
    assert link is not None
    visitor = visit()
    secret = link.rstrip("/").rpartition("/")[2]
    assert setup_token(secret) is not None
    path = reverse("web:setup", args=[secret])
    assert list(look(visitor, path)) == []
    page = visitor.open(path)
    page.get_by_label("User name").fill("root")
    page.get_by_label("Password", exact=True).fill(PASSWORD)
    page.get_by_label("The password again").fill(PASSWORD)
    page.get_by_role("button", name="Create and sign in").click()
    page.wait_for_url(f"{visitor.origin}/")
    assert list(look(visitor, "/")) == []  # nothing is there yet: first steps
