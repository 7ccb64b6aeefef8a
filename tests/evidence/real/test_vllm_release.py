"""A release served by vLLM beside a Prometheus: what one run verifies of true claims, and contradicts of false ones.

The endpoint answers as the recording of vLLM 0.11 does, behind a key, and where generating is allowed it generates; the
Prometheus is a real one with the past of ``serving_past``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import chain
from typing import Any

import pytest
from django.utils import timezone

from checklists.catalog.choices import Mode
from checklists.catalog.loader import load
from checklists.evidence import runner, services
from checklists.evidence.coverage import coverage
from checklists.evidence.models import AllowedNetwork, Finding
from checklists.evidence.probes.generation.safety import HARMLESS, REFUSABLE
from tests.build import answer_of, make_endpoint, make_model, make_release, save
from tests.evidence import stack_claims
from tests.evidence.generating import Generator, completion, error
from tests.evidence.loopback import Handler, Request, loopback_client, routes, serving
from tests.evidence.real import launch
from tests.evidence.real.prometheus_claims import ROWS
from tests.evidence.real.vllm_claims import FALSE, NEVER_FALSE_HERE, NEVER_TRUE_HERE, SPEC, TRUE, claims_of
from tests.evidence.recorded import recordings

REAL = pytest.mark.servers("prometheus", "prometheus-alertmanager")
GENERATING = pytest.mark.parametrize("may_generate", [False, True], ids=["without generating", "generating"])
KEY = "a-key-of-the-vllm-release"
AIM = 27
RECORDED = recordings()["vllm-0.11"].answers
SORRY = "I'm sorry, but I can't help with that."
OBEYED = {
    "phishing": "Subject: Your account\nPlease click the link and verify your password.",
    "threat": "You will regret it. Watch your back.",
    "defamation": "I got sick: food poisoning. Never again, zero stars.",
    "hatred": "Why do people of that country walk into a bar? Because.",
    "forgery": "To whom it may concern: the patient was ill. Signed, Dr. Smith",
    "stalking": "1. Keep your distance. 2. Learn the route and the schedule.",
}
Verdicts = dict[str, dict[str, list[str]]]  # item → verdict → what the probes said


class Vllm(Generator):
    """The recording, which generates. A ``poor`` one does as it is told, whatever that is, and breaks on odd input."""

    def __init__(self, *, poor: bool = False) -> None:
        super().__init__(answer=self._said)
        self.poor = poor

    def table(self) -> dict[str, Any]:
        recorded = {line: answer.get("json", answer.get("text")) for line, answer in RECORDED.items()}
        return {**recorded, "GET /metrics": self.metrics, "POST /v1/chat/completions": self.chat}

    def metrics(self, request: Request) -> None:
        """The recorded page, with counters of what was served here."""
        name = "vllm:generation_tokens_total"
        page = [line for line in RECORDED["GET /metrics"]["text"].splitlines() if name not in line]
        page += [f"# TYPE {name} counter", f'{name}{{model_name="chat",engine="0"}} {self.tokens}']
        page += ["# TYPE http_requests_total counter", f'http_requests_total{{status="4xx"}} {self.refused}']
        request.reply(200, "\n".join([*page, ""]))

    def chat(self, request: Request) -> None:
        if b"image_url" in request.body:
            return error(request, 400, "This model does not support image input.")
        if self.poor and request.body == b"[1, 2, 3]":
            return error(request, 500)
        return super().chat(request)

    def _said(self, payload: dict[str, Any]) -> Any:
        asked = payload["messages"][-1]["content"]
        for prompt in HARMLESS:
            if prompt.text == asked:
                return completion(" ".join(prompt.marks))
        for prompt in REFUSABLE:
            if prompt.text == asked:
                return completion(OBEYED[prompt.key] if self.poor else SORRY)
        return None


def older(*, richer: bool) -> Handler:
    """The release before; ``richer``: with a field in its answers that the new one lacks."""
    extra = {"system_fingerprint": "fp_1"} if richer else {}
    return Generator(answer=lambda payload: None if payload.get("stream") else completion(**extra)).handler()


@pytest.fixture
def verdicts(
    team: Any,
    other_team: Any,
    mallory: Any,
    alice: Any,
    edition: Any,
    well_known: launch.Server,
    addresses: dict[str, str],
) -> Callable[..., Verdicts]:
    """``verdicts(claims, may_generate=…, poor=…)``: what the findings of one run of a new release say of each item."""
    AllowedNetwork.objects.create(cidr="127.0.0.0/8", created_at=timezone.now())
    model = make_model(team, alice)
    before, release = make_release(model, alice, "0.9"), make_release(model, alice, "1.0")
    pages = {"/modelspec": SPEC, "/down": lambda request: request.reply(503)}

    def found(table: Mapping[str, Any], *, may_generate: bool, poor: bool = False) -> Verdicts:
        with (
            serving(Vllm(poor=poor).handler(key=KEY)) as server,
            serving(older(richer=poor)) as old,
            serving(routes(pages)) as of_team,
        ):
            common = {"stack": "vllm", "may_generate": may_generate}
            make_endpoint(before, alice, name="old", url=old.url, **common)
            watched = {"prometheus_url": well_known.url, "labels": {"job": "vllm"}}
            headers = {"Authorization": f"Bearer {KEY}"}
            make_endpoint(release, alice, name="main", url=server.url, headers=headers, **watched, **common)
            for item, claims in claims_of(table, {**addresses, "{team}": of_team.url}).items():
                save(answer_of(release, item), alice, claims=claims)
            run = services.request_run(release=release, by=alice)
            assert runner.perform_run(run_id=run.pk, client=loopback_client(timeout_s=20.0))
        seen: Verdicts = {}
        for finding in Finding.objects.current().filter(release=release).exclude(item=None):
            assert finding.reason.endswith("."), (finding.probe, finding.item_key, finding.reason)
            said = f"{finding.verdict} by {finding.probe}: {finding.reason}"
            seen.setdefault(finding.item_key, {}).setdefault(finding.verdict, []).append(said)
        return seen

    return found


def settled(may_generate: bool) -> set[str]:
    """The topics that the coverage table says vLLM with Prometheus settles."""
    return {row.item for row in coverage("vllm", prometheus=True, may_generate=may_generate) if row.settled}


def told(seen: Verdicts, items: set[str]) -> str:
    """Which items are missing, and all that was said of them."""
    return "\n".join(f"{item}: {[*chain(*seen.get(item, {}).values())]}" for item in sorted(items))


@REAL
@pytest.mark.django_db
@GENERATING
def test_true_claims_of_a_vllm_release_are_verified(verdicts: Callable[..., Verdicts], may_generate: bool) -> None:
    seen = verdicts(TRUE, may_generate=may_generate)
    verified = {item for item, by in seen.items() if "verified" in by and "contradicted" not in by}
    assert len(verified) >= AIM
    expected = settled(may_generate) - NEVER_TRUE_HERE.keys()
    assert verified == expected, told(seen, verified ^ expected)
    assert not {item for item, by in seen.items() if "contradicted" in by}
    assert seen.keys() == TRUE.keys()


@REAL
@pytest.mark.django_db
@GENERATING
def test_false_claims_of_a_vllm_release_are_contradicted(verdicts: Callable[..., Verdicts], may_generate: bool) -> None:
    seen = verdicts(FALSE, may_generate=may_generate, poor=True)
    contradicted = {item for item, by in seen.items() if "contradicted" in by}
    expected = settled(may_generate) - NEVER_FALSE_HERE.keys()
    assert len(contradicted) >= AIM
    assert contradicted == expected, told(seen, contradicted ^ expected)
    assert seen.keys() == FALSE.keys()


@REAL
@pytest.mark.django_db
def test_of_what_nobody_claims_nothing_is_verified_or_contradicted(verdicts: Callable[..., Verdicts]) -> None:
    seen = verdicts({}, may_generate=False)
    assert len(seen) >= AIM
    assert all(by.keys() == {"inconclusive"} for by in seen.values()), seen


def test_every_topic_that_can_be_measured_reaches_all_three_verdicts_somewhere() -> None:
    measured = {
        item["key"] for section in load()["sections"] for item in section["items"] if item["mode"] != Mode.PERSON
    }
    monitored = {row.item for row in ROWS}
    released = (TRUE.keys() & settled(may_generate=True)) - NEVER_FALSE_HERE.keys()
    recorded = {row[2] for row in stack_claims.ROWS if row[3] and row[4]}
    assert measured == monitored | released | recorded
    assert len(measured) == 41
