from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from checklists.assessments.models import Answer, Comment
from checklists.assessments.services import add_comment, decide_waiver, request_waiver
from checklists.catalog.editions import view
from checklists.registry.models import Release
from checklists.registry.services import create_release, retire_release
from tests.build import answer_of, in_days, make_endpoint, make_model, make_release, plausible_claims, save
from tests.conftest import Cast
from tests.web.steps import HTMX, RESTORED, at, make_finding, queries, signed_in, text

pytestmark = pytest.mark.django_db
LATENCY = "performance.latency-targets"
CLAIMS = {"claims.phase": "first_token", "claims.p50_ms": "250", "claims.p95_ms": "1,140"}


@pytest.fixture
def release(cast: Cast, team: Any, edition: Any) -> Release:
    return make_release(make_model(team, cast.alice, "assist-chat"), cast.alice, "4.2")


def sent(release: Release, **changed: str) -> dict[str, str]:
    return {"revision": str(answer_of(release, LATENCY).revision), "status": "met", **CLAIMS, **changed}


# Reading


def test_every_section_is_shown_to_whoever_may_see_the_model(cast: Cast, release: Release) -> None:
    for user in vars(cast).values():
        response = signed_in(user).get(at("checklist", release, "performance"))
        assert response.status_code == 200
        writes = user in (cast.alice, cast.bob, cast.root)
        assert ('data-key="' in text(response)) is writes
        assert ("<textarea" in text(response)) is writes
    for section in view(release.edition).sections:
        assert signed_in(cast.carol).get(at("checklist", release, section.key)).status_code == 200
    assert signed_in(cast.carol).get(at("checklist", release, "nonsense")).status_code == 404


def test_no_section_takes_more_than_fifteen_queries_however_much_is_answered(cast: Cast, release: Release) -> None:
    edition = view(release.edition)
    clients = {user.username: signed_in(user) for user in (cast.alice, cast.sam)}
    urls = [at("checklist", release, section.key) for section in edition.sections]
    empty = {name: queries(client, urls[0]) for name, client in clients.items()}
    endpoint = make_endpoint(release, cast.alice)
    for answer in Answer.objects.filter(release=release).select_related("release__model__team", "item"):
        item = edition.item_by_id(answer.item_id)
        save(answer, cast.bob, claims=plausible_claims(item), assignee=cast.bob)
        add_comment(answer=answer, by=cast.alice, body="Seen.")
        make_finding(release, item.key, "verified", endpoint=endpoint)
    for name, client in clients.items():
        for url in urls:
            assert queries(client, url) == empty[name] <= 15


def test_items_that_do_not_apply_are_left_out_and_named(cast: Cast, team: Any, edition: Any) -> None:
    audio = make_release(make_model(team, cast.alice, "speech", family="audio"), cast.alice)
    items = view(audio.edition).items
    left_out = next(item for item in items if not item.applies_to("audio"))
    page = text(signed_in(cast.alice).get(at("checklist", audio, left_out.section_key)))
    assert "not apply to Audio models" in page
    assert left_out.question in page.replace("&#x27;", "'")
    assert f'id="{left_out.key}"' not in page


def test_what_was_measured_stands_where_the_claim_is_made(cast: Cast, release: Release) -> None:
    endpoint = make_endpoint(release, cast.alice)
    save(answer_of(release, LATENCY), cast.bob, claims={"phase": "first_token", "p95_ms": 800})
    finding = make_finding(
        release,
        LATENCY,
        "contradicted",
        endpoint=endpoint,
        claimed="800",
        observed="1000 to 2500",
        unit="ms",
        reason="1,284 requests.",
    )
    page = text(signed_in(cast.carol).get(at("checklist", release, "performance")))
    assert "Claimed 800 ms ≠ measured 1000 to 2500 ms" in page
    assert "1,284 requests." in page
    assert at("finding", release, finding.pk) in page
    assert "Contradicted" in page


def test_a_proof_that_is_no_longer_fresh_says_so(cast: Cast, release: Release) -> None:
    save(answer_of(release, LATENCY), cast.bob, claims={"phase": "first_token", "p95_ms": 800})
    make_finding(release, LATENCY, "verified", claimed="800", observed="700", expires_at=timezone.now() - timedelta(1))
    page = text(signed_in(cast.carol).get(at("checklist", release, "performance")))
    assert "Claimed, proof is stale" in page
    assert "no longer fresh" in page


def test_where_nothing_was_measured_stands_the_one_action_that_helps(cast: Cast, release: Release) -> None:
    url = at("checklist", release, "performance")
    assert at("endpoint_create", release) in text(signed_in(cast.bob).get(url))
    assert at("endpoint_create", release) not in text(signed_in(cast.carol).get(url))
    endpoint = make_endpoint(release, cast.alice)
    assert (
        text(signed_in(cast.bob).get(url)).count('form="probe-now">Probe now') == 1 + 4
    )  # the page's own, and one an item
    make_finding(
        release,
        LATENCY,
        "inconclusive",
        endpoint=endpoint,
        probe="metrics.latency",
        observation={"error": "status 404"},
        reason="The server answered 404.",
    )
    page = text(signed_in(cast.bob).get(url))
    assert "Give the metrics address" in page
    assert "The server answered 404." in page


def test_waivers_flags_and_acceptances_are_told_on_the_card(cast: Cast, release: Release) -> None:
    url = at("checklist", release, "performance")
    assert f"waivers/new/?item={LATENCY}" in text(signed_in(cast.bob).get(url))
    waiver = request_waiver(
        release=release,
        item_key=LATENCY,
        reason="Second replica comes",
        mitigation="m",
        expires_on=in_days(9),
        by=cast.bob,
    )
    assert "A waiver is asked for" in text(signed_in(cast.bob).get(url))
    decide_waiver(waiver=waiver, decision="approve", by=cast.rita)
    page = text(signed_in(cast.bob).get(url))
    assert "Waived until" in page
    assert f"waivers/new/?item={LATENCY}" not in page


# Saving


def test_without_htmx_a_save_leads_back_to_its_card(cast: Cast, release: Release) -> None:
    response = signed_in(cast.bob).post(
        at("answer", release, LATENCY), sent(release, links="https://example.org/a\r\n")
    )
    assert response["Location"] == at("checklist", release, "performance") + f"#{LATENCY}"
    answer = answer_of(release, LATENCY)
    assert answer.claims == {"phase": "first_token", "p50_ms": 250, "p95_ms": 1140}
    assert (answer.status, answer.links, answer.updated_by) == ("met", ["https://example.org/a"], cast.bob)


def test_htmx_gets_the_changed_parts_and_never_a_field(cast: Cast, release: Release) -> None:
    response = signed_in(cast.bob).post(at("answer", release, LATENCY), sent(release), **HTMX)
    assert response.status_code == 200
    page = text(response)
    for part in ("chip", "evidence", "notes", "missing", "saved", "revision", "conflict"):
        assert f'id="{part}-performance-latency-targets"' in page
    for part in ("readiness", "nav-performance", "section-summary"):
        assert f'id="{part}"' in page
    assert page.count("hx-swap-oob") == page.count('hx-swap-oob="true"') >= 14
    assert "<textarea" not in page
    assert 'name="claims.' not in page
    assert "Claimed" in page
    assert 'value="1"' in page


def test_a_stale_save_shows_both_versions_and_keeps_both(cast: Cast, release: Release) -> None:
    stale = sent(release)
    save(answer_of(release, LATENCY), cast.alice, claims={"phase": "first_token", "p50_ms": 250, "p95_ms": 900})
    client = signed_in(cast.bob)
    url = at("answer", release, LATENCY)
    for headers in ({}, HTMX):
        response = client.post(url, stale, **headers)
        assert response.status_code == 409
        page = text(response)
        assert "Alice saved this answer" in page
        assert "p95: <b>900</b>" in page
        assert "p95: <b>1,140</b>" in page
        assert 'name="keep" value="1"' in page
        assert answer_of(release, LATENCY).claims["p95_ms"] == 900
    # Without htmx what was typed is still in the field.
    assert 'value="1,140"' in text(client.post(url, stale))
    assert client.post(url, stale | {"keep": "1"}, **HTMX).status_code == 200
    answer = answer_of(release, LATENCY)
    assert (answer.claims["p95_ms"], answer.revision) == (1140, 2)


def test_taking_theirs_brings_the_stored_card(cast: Cast, release: Release) -> None:
    save(answer_of(release, LATENCY), cast.alice, claims={"phase": "first_token", "p95_ms": 900})
    client = signed_in(cast.bob)
    card = client.get(at("answer", release, LATENCY), **HTMX)
    assert text(card).strip().startswith("<article")
    assert 'value="900"' in text(card)
    for headers in ({}, RESTORED):
        response = client.get(at("answer", release, LATENCY), **headers)
        assert response["Location"].endswith(f"checklist/performance/#{LATENCY}")
    assert client.get(at("answer", release, "no.such-item")).status_code == 404


def test_sending_again_what_is_stored_is_no_conflict(cast: Cast, release: Release) -> None:
    client = signed_in(cast.bob)
    data = sent(release)
    assert client.post(at("answer", release, LATENCY), data, **HTMX).status_code == 200
    assert client.post(at("answer", release, LATENCY), data, **HTMX).status_code == 200
    assert answer_of(release, LATENCY).revision == 1


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"claims.p95_ms": "fast"}, "Write a number"),
        ({"claims.p95_ms": "-1"}, "At least 0 ms"),
        ({"claims.phase": "warp"}, "One of"),
        ({"links": "javascript:alert(1)"}, "beginning with https"),
        ({"assignee": "999999"}, "not one of the available choices"),
        ({"status": "great"}, "not one of the available choices"),
    ],
)
def test_what_is_wrong_is_said_at_the_field_and_stays_typed(
    cast: Cast, release: Release, changed: dict[str, str], says: str
) -> None:
    client = signed_in(cast.bob)
    data = sent(release, justification="Kept words") | changed
    fragment = client.post(at("answer", release, LATENCY), data, **HTMX)
    page = client.post(at("answer", release, LATENCY), data)
    for response in (fragment, page):
        assert response.status_code == 422
        assert says in text(response)
    assert "Kept words" in text(page)
    assert "was not saved" in text(page)
    assert answer_of(release, LATENCY).revision == 0


def test_a_half_finished_answer_is_saved_and_says_what_it_lacks(cast: Cast, release: Release) -> None:
    client = signed_in(cast.bob)
    response = client.post(at("answer", release, LATENCY), sent(release, status="partly"), **HTMX)
    assert "Counts as open: it lacks a justification." in text(response)
    assert "Asked for because the answer is “partly”." in text(response)
    without = {"revision": "1", "status": "met", "claims.phase": "first_token"}
    assert "“p95”" in text(client.post(at("answer", release, LATENCY), without, **HTMX))


def test_only_members_who_may_write_can_save(cast: Cast, release: Release) -> None:
    for user in (cast.carol, cast.mallory, cast.mo, cast.leo, cast.ada):
        assert signed_in(user).post(at("answer", release, LATENCY), sent(release)).status_code == 403
    assert answer_of(release, LATENCY).revision == 0
    retire_release(release=release, by=cast.alice)
    assert signed_in(cast.bob).post(at("answer", release, LATENCY), sent(release)).status_code == 409


def test_an_item_is_given_to_a_member(cast: Cast, release: Release) -> None:
    client = signed_in(cast.bob)
    page = client.get(at("checklist", release, "performance"))
    options = [str(label) for _, label in page.context["cards"][0].form.fields["assignee"].choices]
    assert options == ["Nobody yet", "Alice", "Bob", "Carol"]
    client.post(at("answer", release, LATENCY), sent(release, assignee=str(cast.carol.pk)))
    assert answer_of(release, LATENCY).assignee == cast.carol


def test_what_was_typed_is_never_markup(cast: Cast, release: Release) -> None:
    client = signed_in(cast.bob)
    client.post(at("answer", release, LATENCY), sent(release, justification="<script>alert(1)</script>"))
    client.post(at("comments", release, LATENCY), {"body": "<img src=x onerror=alert(1)>"})
    for user in (cast.bob, cast.carol):
        assert "<script>alert" not in text(signed_in(user).get(at("checklist", release, "performance")))
    assert "<img" not in text(client.get(at("comments", release, LATENCY)))


# Carried over


def test_carried_over_answers_are_confirmed_one_by_one_or_all(cast: Cast, release: Release) -> None:
    for key in (LATENCY, "performance.throughput", "identity.lineage"):
        save(answer_of(release, key), cast.alice, status="not_applicable", justification="Because.")
    newer = create_release(model=release.model, version="4.3", by=cast.alice, carry_over_from=release)
    client = signed_in(cast.bob)
    page = text(client.get(at("checklist", newer, "performance")))
    assert "3 answers carried over" in page
    assert page.count("Carried over, not confirmed yet") == 2
    one = client.post(at("confirm_answers", newer), {"item": LATENCY, "section": "performance"}, **HTMX)
    assert text(one).strip().startswith("<article")
    assert not answer_of(newer, LATENCY).carried_over
    assert answer_of(newer, "performance.throughput").carried_over
    response = client.post(at("confirm_answers", newer), {"section": "performance"})
    assert response["Location"] == at("checklist", newer, "performance")
    assert not Answer.objects.filter(release=newer, carried_over=True).exists()
    assert signed_in(cast.carol).post(at("confirm_answers", newer)).status_code == 403
    assert client.get(at("confirm_answers", newer)).status_code == 405


# Comments


def test_comments_come_on_demand_and_reviewers_may_add_one(cast: Cast, release: Release) -> None:
    url = at("comments", release, LATENCY)
    for user, may in ((cast.carol, True), (cast.rita, True), (cast.mallory, False), (cast.leo, False)):
        client = signed_in(user)
        assert ("Your comment" in text(client.get(url))) is may
        assert client.post(url, {"body": "Why 800?"}).status_code == (302 if may else 403)
    client = signed_in(cast.bob)
    page, fragment, restored = (client.get(url, **headers) for headers in ({}, HTMX, RESTORED))
    assert "<!doctype html>" in text(page)
    assert "<!doctype html>" in text(restored)
    assert "<!doctype html>" not in text(fragment)
    assert "2 comments" in text(fragment)
    empty = client.post(url, {"body": " "}, **HTMX)
    assert empty.status_code == 422
    assert "between 1 and 10,000" in text(empty)
    assert Comment.objects.count() == 2
