"""From sign-off on, a release is held to what it answered when it was signed off."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest
from django.utils import timezone

from checklists.evidence import runner, services
from checklists.evidence.models import Finding, ProbeSchedule, ReferenceFingerprint, RunReason
from checklists.signoff.services import sign, submit
from tests.build import answer_everything, answer_of, make_endpoint, make_model, make_release, save
from tests.evidence.generating import Generator, completion
from tests.evidence.loopback import loopback_client, serving

pytestmark = pytest.mark.django_db
PROBE, ITEM = "model.fingerprint", "identity.name-version"


class Weights:
    """Answers that depend on the prompt and on nothing else but which weights are loaded."""

    def __init__(self) -> None:
        self.loaded = "one"

    def __call__(self, payload: dict[str, Any]) -> dict[str, Any]:
        said = hashlib.sha256(f"{self.loaded}{payload['messages']}".encode()).hexdigest()
        return completion(" ".join(said[start : start + 4] for start in range(0, 48, 4)))


def test_other_weights_behind_the_same_name_are_contradicted_after_sign_off(
    team: Any, alice: Any, bob: Any, mo: Any, sam: Any, rita: Any, edition: Any
) -> None:
    weights = Weights()
    release = make_release(make_model(team, alice), alice)

    def probed(item_key: str = ITEM) -> Finding:
        run = services.request_run(release=release)
        client = loopback_client(timeout_s=5.0)
        assert runner.perform_runs(run_ids=[run.pk], client=client, only=lambda probe: probe.key == PROBE) == 1
        found = Finding.objects.current().filter(release=release, probe=PROBE, item_key=item_key)
        return found.latest("measured_at", "pk")

    with serving(Generator(answer=weights).handler()) as server:
        make_endpoint(release, alice, url=server.url, stack="vllm", may_generate=True)
        answer_everything(release, bob)
        before = probed(item_key="")
        assert before.observation["reference"] is None
        submission = submit(release=release, by=alice)
        for by, role in ((mo, "mlops"), (sam, "security"), (rita, "sre")):
            assert not ReferenceFingerprint.objects.exists()
            sign(submission=submission, role=role, decision="approve", by=by)
        kept = ReferenceFingerprint.objects.get(release=release)
        assert (kept.endpoint_name, kept.submission_number) == ("eu-1", 1)
        assert kept.prompts == before.observation["prompts"]
        assert probed().verdict == "verified"
        name = answer_of(release, ITEM)
        save(name, bob, claims={**name.claims, "model_id": "another-name"})
        renamed = probed()
        assert (renamed.verdict, "another name was claimed" in renamed.reason) == ("inconclusive", True)
        save(answer_of(release, ITEM), bob, claims=name.claims)
        weights.loaded = "another"
        changed = probed()
    assert changed.verdict == "contradicted"
    assert "different:" in changed.reason


def probe_all(release: Any) -> dict[tuple[str, str], Finding]:
    """A run of this probe alone; what stands then, by endpoint and item."""
    run = services.request_run(release=release)
    client = loopback_client(timeout_s=5.0)
    assert runner.perform_runs(run_ids=[run.pk], client=client, only=lambda probe: probe.key == PROBE) == 1
    rows = Finding.objects.current().filter(release=release, probe=PROBE).order_by("measured_at", "pk")
    return {(row.endpoint_name, row.item_key): row for row in rows}


def test_the_endpoints_of_one_release_are_compared_with_each_other(team: Any, alice: Any, edition: Any) -> None:
    release = make_release(make_model(team, alice), alice)
    one, other = Weights(), Weights()
    with serving(Generator(answer=one).handler()) as first, serving(Generator(answer=other).handler()) as second:
        make_endpoint(release, alice, name="eu-1", url=first.url, stack="vllm", may_generate=True)
        make_endpoint(release, alice, name="us-1", url=second.url, stack="vllm", may_generate=True)
        alike = probe_all(release)
        other.loaded = "two"
        apart = probe_all(release)
        one.loaded = "two"
        again = probe_all(release)
    for name, beside in (("eu-1", "us-1"), ("us-1", "eu-1")):
        assert "The release's other endpoints answer alike" in alike[name, ITEM].reason
        assert apart[name, ITEM].verdict == "contradicted"
        assert f"The endpoint {beside} answers otherwise" in apart[name, ITEM].reason
        assert "The release's other endpoints answer alike" in again[name, ITEM].reason


def test_another_model_at_one_endpoint_stays_contradicted_when_only_the_other_is_asked_again(
    team: Any, alice: Any, edition: Any
) -> None:
    release = make_release(make_model(team, alice), alice)
    other = Weights()
    with serving(Generator(answer=Weights()).handler()) as first, serving(Generator(answer=other).handler()) as second:
        alone = make_endpoint(release, alice, name="eu-1", url=first.url, stack="vllm", may_generate=True)
        make_endpoint(release, alice, name="us-1", url=second.url, stack="vllm", may_generate=True)
        save(answer_of(release, ITEM), alice, claims={"model_id": "tiny"})
        probe_all(release)
        services.keep_fingerprints(release=release, submission_number=1)
        other.loaded = "two"
        both = probe_all(release)
        assert {both[name, ITEM].verdict for name in ("eu-1", "us-1")} == {"contradicted"}
        ProbeSchedule.objects.filter(endpoint=alone).update(probed_at=None)
        run = services.request_run(release=release, reason=RunReason.SCHEDULED)
        client = loopback_client(timeout_s=5.0)
        runner.perform_runs(run_ids=[run.pk], client=client, only=lambda probe: probe.key == PROBE)
    found = Finding.objects.current().filter(release=release, probe=PROBE, item_key=ITEM)
    assert dict(found.values_list("endpoint_name", "verdict")) == {"eu-1": "verified", "us-1": "contradicted"}


def test_a_server_that_contradicts_itself_is_compared_with_nobody_and_not_kept(
    team: Any, alice: Any, edition: Any
) -> None:
    class Wavering(Weights):
        asked = 0

        def __call__(self, payload: dict[str, Any]) -> dict[str, Any]:
            self.asked += 1
            self.loaded = str(self.asked)
            return super().__call__(payload)

    release = make_release(make_model(team, alice), alice)
    with (
        serving(Generator(answer=Weights()).handler()) as first,
        serving(Generator(answer=Wavering()).handler()) as second,
    ):
        make_endpoint(release, alice, name="eu-1", url=first.url, stack="vllm", may_generate=True)
        make_endpoint(release, alice, name="us-1", url=second.url, stack="vllm", may_generate=True)
        probe_all(release)
        found = probe_all(release)
    assert {row.verdict for (_, item), row in found.items() if item} <= {"inconclusive"}
    assert (found["eu-1", ""].verdict, found["us-1", ""].verdict) == ("verified", "inconclusive")
    assert services.keep_fingerprints(release=release, submission_number=1) == 1
    assert ReferenceFingerprint.objects.get(release=release).endpoint_name == "eu-1"


def test_a_fingerprint_from_before_another_model_was_claimed_is_not_that_of_what_is_signed(
    team: Any, alice: Any, edition: Any
) -> None:
    release, weights = make_release(make_model(team, alice), alice), Weights()
    with serving(Generator(answer=weights).handler()) as server:
        make_endpoint(release, alice, url=server.url, stack="vllm", may_generate=True)
        save(answer_of(release, ITEM), alice, claims={"model_id": "tiny", "version": "1"})
        probe_all(release)
        save(answer_of(release, ITEM), alice, claims={"model_id": "tiny", "version": "2"})
        assert services.keep_fingerprints(release=release, submission_number=1) == 0
        weights.loaded = "two"
        probe_all(release)
        assert services.keep_fingerprints(release=release, submission_number=2) == 1
        assert probe_all(release)["eu-1", ITEM].verdict == "verified"


def test_what_was_contradicted_is_asked_again_once_it_is_signed_off(team: Any, alice: Any, edition: Any) -> None:
    release, weights = make_release(make_model(team, alice), alice), Weights()
    with serving(Generator(answer=weights).handler()) as server:
        endpoint = make_endpoint(release, alice, url=server.url, stack="vllm", may_generate=True)
        save(answer_of(release, ITEM), alice, claims={"model_id": "tiny"})
        probe_all(release)
        services.keep_fingerprints(release=release, submission_number=1)
        weights.loaded = "two"
        assert probe_all(release)["eu-1", ITEM].verdict == "contradicted"
        assert not ProbeSchedule.objects.filter(endpoint=endpoint, due_at__lte=timezone.now()).exists()
        services.keep_fingerprints(release=release, submission_number=2)
        assert ProbeSchedule.objects.filter(endpoint=endpoint, due_at__lte=timezone.now(), probed_at=None).exists()
        assert probe_all(release)["eu-1", ITEM].verdict == "verified"
