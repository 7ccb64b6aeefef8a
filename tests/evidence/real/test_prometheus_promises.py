"""Objectives, rollback triggers, roll-outs and guardrails at a real Prometheus with rules and a real Alertmanager.

Rules and what they watch are known; so is the past in which new versions came (see ``history.py``). Names and labels as
Istio 1.20, Flagger 1.42, Argo Rollouts 1.8 and LiteLLM 1.82 export them.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from checklists.evidence.probes import PROBES, Judgement, Target
from tests.evidence import loopback
from tests.evidence.loopback import Request, loopback_client, serving
from tests.evidence.real import launch
from tests.evidence.real.conftest import Webhook
from tests.evidence.real.history import DAY, FIRST_TOKEN, HOUR, Past, Values
from tests.evidence.real.metrics_page import BUSY, IDLE

pytestmark = pytest.mark.servers("prometheus", "prometheus-alertmanager")
V, C, I = "verified", "contradicted", "inconclusive"  # noqa: E741
CAME = 20 * HOUR  # how long ago new versions came
ERRORS = 'sum by (job) (rate(http_requests_total{status="5xx"}[5m])) / sum by (job) (rate(http_requests_total[5m]))'
FAST_ENOUGH = f'sum by (job) (rate({FIRST_TOKEN}_bucket{{le="1.0"}}[5m]))'
SLOW = f"1 - {FAST_ENOUGH} / sum by (job) (rate({FIRST_TOKEN}_count[5m]))"
QUEUE = "histogram_quantile(0.5, sum by (le) (rate(vllm:request_queue_time_seconds_bucket[5m])))"
RULES: tuple[dict[str, Any], ...] = (
    {"record": "job:errors:ratio5m", "expr": ERRORS},
    {"alert": "Errors", "expr": 'job:errors:ratio5m{job="chat"} > 0.02', "for": "5m"},
    {"alert": "ErrorsOfOthers", "expr": 'job:errors:ratio5m{job="jump"} > 0.1'},
    {"alert": "AnyQueue", "expr": f"{QUEUE} > 3"},  # of all models together
    {"alert": "BudgetBurns", "expr": f"({SLOW}) > (14.4 * 0.005)", "for": "2m"},
)


def split(past: Past, service: str, newcomer: Values) -> None:
    """Two versions of a service in Istio, ten requests per second, of which the second gets some."""
    labels = {"job": "istio", "destination_service": f"{service}.llm.svc.cluster.local", "reporter": "destination"}
    rest: Values = lambda at: 10 - newcomer(at)  # noqa: E731
    for version, share in (("v1", rest), ("v2", newcomer)):
        name = {"destination_workload": f"{service}-{version}", "destination_workload_namespace": "llm"}
        past.counter("istio_requests_total", {**labels, **name}, share, age=1.5 * DAY)


def pod(past: Past, job: str, name: str) -> None:
    labels = {"job": job, "namespace": "llm", "pod": name, "instance": f"10.1.0.{len(job)}:8000", "model_name": job}
    past.gauge("vllm:num_requests_running", labels, 1)
    past.counter("http_requests_total", {"job": job, "status": "2xx"}, 1, age=HOUR)
    past.counter("http_requests_total", {"job": job, "status": "5xx"}, 0.01, age=HOUR)
    bucket = {**labels, "le": "1.0"}
    past.counter(f"{FIRST_TOKEN}_bucket", bucket, 0.99, age=HOUR)
    past.counter(f"{FIRST_TOKEN}_count", labels, 1, age=HOUR)
    past.counter("vllm:request_queue_time_seconds_bucket", {**labels, "le": "+Inf"}, 1, age=HOUR)


@pytest.fixture(scope="module")
def past() -> Past:
    past = Past(time.time())
    came = past.now - CAME
    for job, name in {
        "chat": "chat-v2-7d9f8b6c5d-x2x4z",
        "jump": "jump-v2-7d9f8b6c5d-x2x4z",
        "flag": "flag-primary-7d9f8b6c5d-x2x4z",
        "green": "green-7d9f8b6c5d-x2x4z",
        "plain": "plain-7d9f8b6c5d-x2x4z",
    }.items():
        pod(past, job, name)
    split(past, "chat", lambda at: 0.0 if at < came else 0.5 if at < came + 2 * HOUR else 5.0)
    split(past, "jump", lambda at: 0.0 if at < came else 10.0)
    flagger = {"job": "flagger", "namespace": "flagger-system", "exported_namespace": "llm", "workload": "flag"}
    weight: Values = lambda at: 0 if at < came else 10 if at < came + HOUR else 50 if at < came + 2 * HOUR else 0  # noqa: E731
    past.gauge("flagger_canary_weight", flagger, weight, age=1.5 * DAY)
    argo = {"job": "argo", "namespace": "argo-rollouts", "exported_namespace": "llm", "name": "green"}
    past.gauge("rollout_info", {**argo, "strategy": "blueGreen", "phase": "Healthy"}, 1)
    for guardrail, runs, kinds in (("presidio-pii", 1.0, {"HTTPException": 0.1}), ("lakera", 1.0, {"Timeout": 0.9})):
        proxy = {"job": "proxy", "guardrail_name": guardrail, "hook_type": "pre_call"}
        past.counter("litellm_guardrail_requests_total", {**proxy, "status": "success"}, runs, age=HOUR)
        for kind, rate in kinds.items():
            past.counter("litellm_guardrail_errors_total", {**proxy, "error_type": kind}, rate, age=HOUR)
    return past


@pytest.fixture(scope="module")
def promised(
    past: Past, alertmanager: launch.Server, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[launch.Server]:
    """A Prometheus with that past and those rules, whose alerts go to the Alertmanager."""
    directory = tmp_path_factory.mktemp("promised")
    past.write(directory / "data")
    with launch.prometheus(directory, {}, rules=RULES, alertmanager=alertmanager) as server:
        launch.eventually(lambda: server.json("/api/v1/alertmanagers")["data"]["activeAlertmanagers"])
        yield server


@pytest.fixture(scope="module")
def lonely(past: Past, tmp_path_factory: pytest.TempPathFactory) -> Iterator[launch.Server]:
    """The same, but it tells nobody."""
    directory = tmp_path_factory.mktemp("lonely")
    past.write(directory / "data")
    with launch.prometheus(directory, {}, rules=RULES) as server:
        yield server


def verdict(
    server: launch.Server, key: str, claims: Mapping[str, Any], labels: Mapping[str, str], item: str = ""
) -> tuple[Judgement, dict[str, Any]]:
    item = item or PROBES[key].items[0]
    target = Target("main", "http://127.0.0.1:9", prometheus_url=server.url, labels=labels, claims={item: dict(claims)})
    seen, visit = loopback.observe(key, target, loopback_client(timeout_s=20.0))
    assert "webhook_configs" not in "".join(exchange.body for exchange in visit.exchanges)
    return PROBES[key].judge(item, claims, seen), seen


@pytest.mark.parametrize(
    ("model", "target", "expected"),
    [
        (BUSY, "200 ms", V),
        (BUSY, "2 s", V),
        (BUSY, "100 ms", C),  # both alerts go off later
        (BUSY, "1 s", I),  # one goes off before, one after
        (IDLE, "200 ms", I),  # the rules are of another model
    ],
)
def test_an_objective_is_held_against_the_rules_of_its_model(
    prometheus: launch.Server, model: str, target: str, expected: str
) -> None:
    claims = {"objective": "first token at p95", "target": target, "window": "28 days"}
    judgement, seen = verdict(prometheus, "prometheus.objectives", claims, {"job": "model", "model_name": model})
    assert judgement.verdict == expected, judgement.reason
    if model == BUSY:
        assert seen["alertmanager"]["version"]


def test_an_alert_that_alertmanager_holds_is_told(prometheus: launch.Server, webhook: Webhook) -> None:
    launch.eventually(lambda: webhook.received)
    claims = {"objective": "p95 first token", "target": "200 ms"}
    judgement, _ = verdict(prometheus, "prometheus.objectives", claims, {"model_name": BUSY})
    assert "FirstTokenSlow" in judgement.reason
    assert (judgement.verdict, "answers and holds FirstTokenSlow" in judgement.reason) == (V, True), judgement.reason


@pytest.mark.parametrize(
    ("objective", "target", "expected"),
    [
        ("first token within 1 s", "99.5 % of requests", V),  # its error budget, fourteen times as fast
        ("first token within 1 s", "99.9 % of requests", C),  # that is another budget
        ("first token within 2 s", "99.5 % of requests", I),
        ("median time in the queue", "3 s", I),  # the rule does not tell one endpoint from the others
        ("error rate", "under 2 %", V),
        ("error rate", "under 1 %", C),
        ("error rate under 2 % and p99 latency under 3 s", "", I),  # nothing watches the second
        ("answers within the latency goal", "99 %", I),
    ],
)
def test_objectives_are_held_against_recorded_ratios_and_burning_budgets(
    promised: launch.Server, objective: str, target: str, expected: str
) -> None:
    claims = {"objective": objective, "target": target}
    judgement, _ = verdict(promised, "prometheus.objectives", claims, {"job": "chat"})
    assert judgement.verdict == expected, judgement.reason


@pytest.mark.parametrize(
    ("trigger", "status", "expected"),
    [
        ("error rate over 2 % for 5 minutes", 200, V),
        ("error rate over 2 % for one minute", 200, I),  # it waits longer
        ("error rate over 1 % for 5 minutes", 200, C),
        ("error rate over 2 % for 5 minutes", 410, C),
        ("error rate over 2 % for 5 minutes", 404, I),
        ("the refusal rate rises by a fifth", 200, I),
    ],
)
def test_a_trigger_needs_an_alert_and_a_runbook(
    promised: launch.Server, trigger: str, status: int, expected: str
) -> None:
    def wiki(request: Request) -> None:
        request.reply(status, "How to roll back")

    with serving(wiki) as server:
        claims = {"trigger": trigger, "runbook_url": f"{server.url}/rollback"}
        judgement, _ = verdict(promised, "prometheus.rollback", claims, {"job": "chat"})
    assert judgement.verdict == expected, judgement.reason


def test_a_prometheus_that_tells_nobody_verifies_no_trigger(lonely: launch.Server) -> None:
    with serving(lambda request: request.reply(200, "How to roll back")) as server:
        claims = {"trigger": "error rate over 2 % for 5 minutes", "runbook_url": server.url}
        judgement, seen = verdict(lonely, "prometheus.rollback", claims, {"job": "chat"})
    assert (judgement.verdict, seen["alertmanager"]) == (I, {"none": True}), judgement.reason


@pytest.mark.parametrize(
    ("job", "claims", "expected"),
    [
        ("chat", {"strategy": "canary", "first_share": 5}, V),
        ("chat", {"strategy": "canary", "first_share": 1}, I),
        ("chat", {"strategy": "all_at_once"}, C),
        ("jump", {"strategy": "canary", "first_share": 5}, C),
        ("jump", {"strategy": "all_at_once"}, V),
        ("flag", {"strategy": "canary", "first_share": 10}, V),
        ("flag", {"strategy": "canary", "first_share": 5}, C),
        ("green", {"strategy": "blue_green"}, V),
        ("green", {"strategy": "canary", "first_share": 5}, C),
        ("plain", {"strategy": "canary", "first_share": 5}, I),
    ],
)
def test_a_roll_out_is_read_from_what_the_cluster_kept(
    promised: launch.Server, job: str, claims: dict[str, Any], expected: str
) -> None:
    judgement, _ = verdict(promised, "prometheus.rollout", claims, {"job": job})
    assert judgement.verdict == expected, judgement.reason


@pytest.mark.parametrize(("guardrail", "expected"), [("Presidio, PII 2.2", V), ("Lakera v2", C), ("Llama Guard 3", I)])
def test_a_guardrail_is_read_from_its_counters(promised: launch.Server, guardrail: str, expected: str) -> None:
    claims = {"rules": "types and sizes", "guardrail": guardrail}
    judgement, _ = verdict(promised, "prometheus.guardrails", claims, {"job": "proxy"})
    assert judgement.verdict == expected, judgement.reason
