"""The demo organisation, loaded once for this file and rolled back after it."""

import io
from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection, transaction
from django.utils import timezone

from checklists.assessments.models import Answer, AnswerRevision, Comment, Waiver
from checklists.catalog.editions import view
from checklists.evidence.models import AllowedNetwork, Finding, ProbeRun, ReferenceFingerprint
from checklists.evidence.runner import perform_run
from checklists.journal.models import Chain, Event
from checklists.journal.services import verify
from checklists.people.models import Team, User
from checklists.people.rules import can
from checklists.registry.models import Endpoint, Model, Release
from checklists.scorecards.cards import build_card
from checklists.scorecards.models import HistoryPoint, ItemState, Scorecard
from checklists.scorecards.rollups import Scope, overview, trend
from checklists.signoff.gate import decide
from checklists.signoff.models import Party, Submission
from checklists.signoff.services import what_is_missing
from portal.demo.history import Replay
from portal.demo.people import PASSWORD
from portal.demo.plot import LONG
from portal.demo.servers import start
from tests.portal.test_demo_servers import free_base

pytestmark = pytest.mark.django_db

TABLES = (
    Answer, AnswerRevision, Chain, Comment, Endpoint, Event, Finding, HistoryPoint, ItemState, Model, Party, ProbeRun,
    Release, Scorecard, Submission, Team, User, Waiver,
)  # fmt: skip


def load() -> str:
    out = io.StringIO()
    call_command("load_demo", stdout=out)
    return out.getvalue()


def counts() -> dict[str, int]:
    return {table.__name__: table.objects.count() for table in TABLES}


@pytest.fixture(scope="module")
def said(django_db_setup: None, django_db_blocker: Any) -> Iterator[str]:
    """What the command printed; the organisation is there until the end of the file. The model servers run too."""
    patch = pytest.MonkeyPatch()
    base = free_base()
    patch.setenv("PREFLIGHT_DEMO_BASE_PORT", str(base))
    patch.setattr("django.conf.settings.DEMO", True, raising=False)
    servers = start(base)
    with django_db_blocker.unblock():
        with transaction.atomic():
            yield load()
            transaction.set_rollback(True)
        connection.close()
    for server in servers:
        server.shutdown()
        server.server_close()
    patch.undo()


@pytest.fixture
def _django_db_helper(said: str) -> Iterator[None]:
    """In place of pytest-django's, which closes the connection after each test: what a test writes is undone."""
    with transaction.atomic():
        yield
        transaction.set_rollback(True)


def release_of(slug: str, version: str) -> Release:
    return Release.objects.with_model().get(model__slug=slug, version=version)


def test_it_refuses_outside_a_demo(settings):
    settings.DEMO = False
    with pytest.raises(CommandError, match="PREFLIGHT_DEMO=1"):
        load()


def test_a_second_load_changes_nothing_and_says_so(said):
    before = counts()
    assert load() == "The demo organisation is there already. Nothing changed.\n"
    assert counts() == before
    assert PASSWORD in said


def test_the_organisation_has_units_teams_models_and_releases():
    assert Team.objects.filter(parent=None).count() == 3
    assert Team.objects.exclude(parent=None).count() == 12
    assert 55 <= Model.objects.count() <= 65
    assert Release.objects.count() >= 100
    assert max(len(slug) for slug in Model.objects.values_list("slug", flat=True)) > 60


def test_every_stage_family_tier_state_verdict_and_waiver_occurs():
    assert set(Release.objects.values_list("stage", flat=True)) == {
        *("draft", "in_review", "changes_requested", "approved", "rejected", "live", "retired")
    }
    assert set(Model.objects.values_list("family", flat=True)) == {
        *("llm", "diffusion", "embedding", "multimodal", "audio", "vision")
    }
    assert set(Model.objects.values_list("tier", flat=True)) == {1, 2, 3}
    assert set(ItemState.objects.values_list("state", flat=True)) == {
        *("verified", "claimed", "partly", "open", "contradicted", "waived", "not_applicable")
    }
    verdicts = Finding.objects.filter(current=True).values_list("verdict", flat=True)
    assert set(verdicts) == {"verified", "contradicted", "inconclusive"}
    assert {"requested", "approved", "declined", "expired"} <= set(Waiver.objects.values_list("state", flat=True))


def test_the_journal_holds():
    assert list(verify()) == []
    assert Event.objects.filter(at__lt=timezone.now() - timedelta(days=170)).exists()
    assert not Event.objects.filter(at__gt=timezone.now()).exists()


def test_events_of_a_release_are_in_the_order_of_their_time():
    for release in Release.objects.all():
        times = list(Event.objects.filter(release_id=release.pk).order_by("sequence").values_list("at", flat=True))
        assert times == sorted(times), release


def test_the_stored_scorecards_are_what_the_services_compute():
    for release in Release.objects.with_model():
        card = build_card(release)
        stored = dict(ItemState.objects.filter(release=release).values_list("item_id", "state"))
        assert stored == {row.item.id: row.state for row in card.items}, release
        assert release.scorecard.readiness == card.score.readiness


def test_the_replayed_history_ends_where_the_scorecards_are():
    now = timezone.now()
    for release in Release.objects.with_model():
        replay = Replay(release, now)
        stored = dict(ItemState.objects.filter(release=release).values_list("item_id", "state"))
        for item in view(release.edition).items:
            assert replay.timeline(item)[-1][1] == stored[item.id], (release, item.key)


def test_the_gate_lets_out_what_was_approved_and_holds_nothing_else_back():
    now = timezone.now()
    for release in Release.objects.with_model().filter(stage__in=["approved", "live"]):
        decision = decide(release, artifact_digest=release.artifact_digest, now=now)
        settled = release.scorecard.must_open == 0 and release.scorecard.contradicted == 0
        assert decision.allow == settled, [reason.text for reason in decision.reasons]


def test_nobody_signed_what_they_submitted_or_answered():
    for submission in Submission.objects.with_release():
        authors = set(AnswerRevision.objects.filter(answer__release=submission.release).values_list("by_id", flat=True))
        signers = set(submission.parties.filter(part="signer").values_list("user_id", flat=True))
        assert not signers & (authors | {submission.submitted_by_id})


@pytest.mark.parametrize("role", ["mlops", "security", "sre"])
def test_each_reviewer_of_the_demo_has_submissions_waiting(role):
    reviewer = User.objects.get(username=f"demo-{role}")
    assert role in reviewer.access.roles
    waiting = [
        submission
        for submission in Submission.objects.pending()
        if any(need["role"] == role for need in submission.required)
        and not submission.parties.filter(part="signer", role=role).exists()
    ]
    assert len({submission.due_at.date() for submission in waiting}) >= 3


def test_the_users_of_the_demo_sign_in_with_the_printed_password(said):
    names = [
        f"demo-{who}" for who in ("owner", "contributor", "mlops", "security", "sre", "leader", "auditor", "admin")
    ]
    for name in names:
        assert name in said
        assert User.objects.get(username=name).check_password(PASSWORD)
    others = User.objects.exclude(username__startswith="demo-")
    assert not any(user.has_usable_password() for user in others)


def test_the_first_release_to_look_at_can_be_worked_on_by_its_team():
    release = release_of("assist-chat", "4.2")
    assert release.stage == "draft"
    assert can(User.objects.get(username="demo-owner"), "submission.create", release)
    assert can(User.objects.get(username="demo-contributor"), "answer.save", release)
    card = build_card(release)
    assert [row.item.key for row in card.contradictions] == ["performance.latency-targets"]
    assert {row.item.key for row in card.must_open} == {"reliability.load-test", "release.rollback"}


def test_one_release_is_ready_to_be_submitted():
    assert what_is_missing(build_card(release_of("assist-summary", "2.1"))) == []


@pytest.mark.parametrize(
    ("slug", "version", "item", "observed"),
    [
        ("assist-chat", "4.2", "performance.latency-targets", "p95 between 1000 and 2500"),
        ("fraud-llm", "0.9", "identity.input-limits", "8192"),
        ("voice-agent", "1.0", "security.access-control", "open: GET /v1/models"),
        ("log-explain", "0.3", "identity.name-version", "log-explain-rc1"),
        ("rerank-small", "0.9", "identity.gpu-precision", "fp16"),
        ("router-mini", "0.8", "reliability.input-variability", "11 of 12"),
        ("wake-word", "1.2", "security.input-sanitisation", "1 of 3"),
        ("seo-rewrite", "0.9", "observability.errors", "none moved"),
        ("copy-draft", "1.8", "identity.name-version", "digest"),
        (LONG, "0.3", "identity.input-limits", "8192"),
    ],
)
def test_evidence_contradicts_what_the_story_says(slug, version, item, observed):
    found = Finding.objects.get(release=release_of(slug, version), item_key=item, verdict="contradicted", current=True)
    assert observed in found.observed


def test_every_contradiction_that_stands_belongs_to_the_story():
    found = Finding.objects.filter(current=True, verdict="contradicted")
    rows = Counter(found.values_list("release__model__slug", "release__version"))
    assert rows == {
        ("assist-chat", "4.2"): 1,
        ("copy-draft", "1.8"): 1,
        ("fraud-llm", "0.9"): 2,
        ("log-explain", "0.3"): 1,
        (LONG, "0.3"): 3,
        ("rerank-small", "0.9"): 1,
        ("router-mini", "0.8"): 1,
        ("seo-rewrite", "0.9"): 1,
        ("voice-agent", "1.0"): 1,
        ("wake-word", "1.2"): 1,
    }
    assert ItemState.objects.filter(state="contradicted").count() == 12


def test_a_context_that_cannot_fit_is_found_by_arithmetic():
    found = Finding.objects.get(release=release_of(LONG, "0.3"), probe="capacity.arithmetic", verdict="contradicted")
    assert found.item_key == "operations.runtime-constraints"
    assert "At least 51.5 GiB are needed" in found.reason
    room = Finding.objects.get(
        release=release_of("base-8b", "3.2"), probe="capacity.arithmetic", item_key=found.item_key
    )
    assert room.verdict == "inconclusive"
    assert "such sequences fit at once" in room.reason


def test_some_endpoints_may_be_sent_something_to_answer_and_others_not():
    quiet = Endpoint.objects.filter(may_generate=False)
    assert 10 < quiet.count() < Endpoint.objects.count() / 4
    sent = Finding.objects.filter(endpoint__in=quiet, probe__startswith="generation.")
    assert set(sent.values_list("verdict", flat=True)) == {"inconclusive"}


def test_what_was_signed_off_is_recognised_later_and_one_release_no_longer():
    kept = ReferenceFingerprint.objects.values_list("release", flat=True)
    assert kept.count() > 20
    never = Release.objects.filter(stage__in=["draft", "changes_requested", "rejected"])
    assert not never.filter(pk__in=kept).exists()
    compared = Finding.objects.filter(current=True, probe="model.fingerprint", item_key="identity.name-version")
    verdicts = Counter(compared.filter(release__in=kept).values_list("verdict", flat=True))
    assert verdicts["verified"] > 15
    assert verdicts["contradicted"] == 1


def test_some_evidence_has_gone_stale_and_a_signature_was_voided():
    now = timezone.now()
    assert Finding.objects.filter(current=True, verdict="verified", expires_at__lt=now).exists()
    assert Party.objects.filter(voided_at__isnull=False).exists()


def test_launches_lie_in_the_next_twelve_weeks():
    today = timezone.now().date()
    ahead = Release.objects.filter(launch_date__gt=today, launch_date__lte=today + timedelta(weeks=12))
    assert ahead.count() >= 12


def test_the_overview_has_a_past_and_has_become_better():
    leader = User.objects.get(username="demo-leader")
    points = trend(Scope(leader))
    assert len(points) >= 20
    share = [point["verified"] / max(sum(point.values()), 1) for _, point in points]
    assert share[0] < 0.1 < share[len(share) // 2] < 0.7
    assert share[-1] > 0.25
    seen = overview(user=leader)
    assert seen.before is not None
    assert seen.before.releases < seen.figures.releases
    assert seen.figures.ready > seen.before.ready


def test_only_the_demos_own_network_was_allowed_by_its_administrator():
    row = AllowedNetwork.objects.get()
    assert (row.cidr, row.created_by.username) == ("127.0.0.0/8", "demo-admin")
    assert Event.objects.filter(verb="evidence.network.allowed", actor=row.created_by).exists()


def test_endpoints_point_to_this_machine_and_keep_their_key_to_themselves():
    for endpoint in Endpoint.objects.all():
        assert endpoint.url.startswith("http://127.0.0.1:")
        assert endpoint.headers["Authorization"].startswith("Bearer ")
    key = Endpoint.objects.first().headers["Authorization"].removeprefix("Bearer ")
    assert not any(key in str(data) for data in Event.objects.values_list("data", flat=True))


def test_runs_wait_for_the_worker_and_find_the_same_when_it_comes():
    queued = ProbeRun.objects.filter(state="queued").select_related("release__model")
    assert 10 <= queued.count() <= 15
    assert ProbeRun.objects.abandoned(timezone.now()).count() == queued.count()
    expected: dict[tuple[str, str], Counter[str]] = {
        ("voice-agent", "1.0"): Counter({"security.access-control": 1}),
        ("fraud-llm", "0.9"): Counter({"identity.input-limits": 1, "operations.runtime-constraints": 1}),
        ("embed-v3", "3.1"): Counter(),
    }
    for run in queued:
        name = (run.release.model.slug, run.release.version)
        if name in expected:
            assert perform_run(run_id=run.pk)
            against = Finding.objects.filter(run=run, verdict="contradicted").values_list("item_key", flat=True)
            assert Counter(against) == expected.pop(name)
            assert Finding.objects.filter(run=run, verdict="verified").exists()
    assert not expected
