"""From sign-off on, a release is held to what it answered when it was signed off."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest

from checklists.evidence import runner, services
from checklists.evidence.models import Finding, ReferenceFingerprint
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
