"""A true and a false claim, and one that cannot be told, for every topic that monitoring settles on a stack.

``ROWS`` holds a ``Row(stack, probe, item, true, false, unsure)`` each, to be judged at the past of ``serving_past``.
The last three are a ``Case``: what is claimed, which of the stack's jobs is looked at, and the claims of other items
that the judge reads too. What names no number (a warm-up, say) is true of one job and false of another.

``{wiki}`` and ``{grafana}`` in a claim stand for addresses on loopback that the test gives. ``test_prometheus_claims``
looks that no topic is said to be settled without a row.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple

from tests.evidence.real.serving_past import COLD, IDLE, STACK_NAMES, TESTED, counted_by

Claims = Mapping[str, Any]
TEST_DAY = datetime.fromtimestamp(time.time() - TESTED, UTC).date().isoformat()


class Case(NamedTuple):
    """``job``: the ending of the job's name; ``others``: claims of other items, by key."""

    claims: Claims
    job: str = ""
    others: Mapping[str, Claims] = {}


class Row(NamedTuple):
    stack: str
    probe: str
    item: str
    true: Case
    false: Case
    unsure: Case


NOTHING = Case({})
ALL = " ".join(STACK_NAMES)
TOLD_AS = {  # how requests or tokens, and latencies, are counted by each stack
    "tokens": "llamacpp",
    "requests": "vllm sglang tgi tei nim kserve rayserve",
    "requests, without a queue": "litellm torchserve",
    "first token": "vllm sglang nim litellm kserve rayserve openai",
    "whole request only": "tgi tei",
    "queue": "vllm sglang tgi tei llamacpp nim kserve rayserve",
    "at once": "vllm sglang llamacpp nim rayserve",
}
COUNTED = f"{TOLD_AS['requests']} {TOLD_AS['requests, without a queue']}"
TIMED = f"{TOLD_AS['first token']} {TOLD_AS['whole request only']}"


def filled(claims: Claims, addresses: Mapping[str, str]) -> dict[str, Any]:
    """Claims with the addresses that stand for ``{wiki}`` and ``{grafana}``."""

    def put(value: Any) -> Any:
        for name, address in addresses.items() if isinstance(value, str) else ():
            value = value.replace(name, address)
        return value

    return {key: put(value) for key, value in claims.items()}


def row(stacks: str, probe: str, item: str, true: Case, false: Case, unsure: Case) -> Iterator[Row]:
    """The same row for each of these stacks; ``{counter}`` in a claim is a counter of its own."""
    for stack in stacks.split():
        yield Row(stack, probe, item, *(_of(stack, case) for case in (true, false, unsure)))


def _of(stack: str, case: Case) -> Case:
    counter = counted_by(stack)
    named = {
        key: value.replace("{counter}", counter).replace("{cache}", STACK_NAMES[stack].cache)
        if isinstance(value, str)
        else value
        for key, value in case.claims.items()
    }
    return case._replace(claims=named)


def latency(stacks: str, phase: str) -> Iterator[Row]:
    goal = {"phase": phase, "p50_ms": 300}
    yield from row(
        stacks,
        "prometheus.latency",
        "performance.latency-targets",
        Case({**goal, "p95_ms": 500}),
        Case({**goal, "p95_ms": 200}),
        Case({**goal, "p95_ms": 500}, IDLE),
    )
    yield from row(
        stacks,
        "prometheus.present",
        "observability.latency-breakdown",
        Case({"phases": [phase]}),
        Case({"phases": [phase, "decode"]}),
        Case({"phases": [phase]}, IDLE),
    )


def load(stacks: str, unit: str, each: float) -> Iterator[Row]:
    """``each``: how much of this unit a request is."""
    claim = {"unit": unit}
    yield from row(
        stacks,
        "prometheus.load-profile",
        "performance.load-profile",
        Case({**claim, "peak": 10 * each, "steady": 5 * each}, others={"reliability.load-test": {"date": TEST_DAY}}),
        Case({**claim, "peak": 10 * each}),  # unless that was the load test
        Case({**claim, "peak": 80 * each}, COLD),  # a few hours are no profile
    )
    profile = "performance.load-profile"
    tested = {"date": TEST_DAY, "report_url": "https://reports/load"}
    yield from row(
        stacks,
        "prometheus.load-test",
        "reliability.load-test",
        Case(tested, others={profile: {**claim, "peak": 15 * each}}),
        Case(tested, others={profile: {**claim, "peak": 500 * each}}),
        Case({**tested, "date": "2020-02-20"}, others={profile: {**claim, "peak": 15 * each}}),
    )


def full(stacks: str, unit: str, gpu_unit: str, each: float) -> Iterator[Row]:
    """What a server that was full gave, in all and per GPU."""
    yield from row(
        stacks,
        "prometheus.throughput",
        "performance.throughput",
        Case({"unit": unit, "value": 15 * each}),
        Case({"unit": unit, "value": 100 * each}),
        Case({"unit": unit, "value": 15 * each}, IDLE),
    )
    yield from row(
        stacks,
        "prometheus.unit-throughput",
        "compute.unit-throughput",
        Case({"unit": gpu_unit, "per_gpu_second": 8 * each}),
        Case({"unit": gpu_unit, "per_gpu_second": 50 * each}),
        Case({"unit": gpu_unit, "per_gpu_second": 8 * each}, IDLE),
    )


PRICE = {
    "compute.unit-throughput": {"per_gpu_second": 100, "unit": "tokens", "cost_per_1000": 0.002, "currency": "EUR"}
}


def cost(stacks: str, per: str, most: float, least: float) -> Iterator[Row]:
    """``most``: what it costs on average and a little; ``least``: less than at its best moment."""
    claim = {"per": per, "currency": "EUR"}
    yield from row(
        stacks,
        "prometheus.cost",
        "performance.cost-targets",
        Case({**claim, "cost": most}, others=PRICE),
        Case({**claim, "cost": least}, others=PRICE),
        Case({**claim, "cost": most / 4}, others=PRICE),  # more traffic would make it less
    )


def timeouts(stacks: str, longest: float) -> Iterator[Row]:
    """``longest``: where the bucket of the longest answers begins."""
    yield from row(
        stacks,
        "prometheus.timeouts",
        "reliability.timeouts",
        Case({"server_seconds": 60, "gateway_seconds": 90}),
        Case({"server_seconds": longest}),
        Case({"server_seconds": 60}, COLD),  # none was cut off
    )


def rules(stacks: str, objective: str, target: str, wrong: str, other: str) -> Iterator[Row]:
    """``target``: what a rule of ``RULES`` goes off at; ``wrong``: before it does; ``other``: what no rule watches."""
    yield from row(
        stacks,
        "prometheus.objectives",
        "operations.slos",
        Case({"objective": objective, "target": target}),
        Case({"objective": objective, "target": wrong}),
        Case({"objective": other}),
    )
    yield from row(
        stacks,
        "prometheus.rollback",
        "release.rollback",
        Case({"trigger": f"{objective} {target} for 5 minutes", "runbook_url": "{wiki}/rollback"}),
        Case({"trigger": f"{objective} {wrong} for 5 minutes", "runbook_url": "{wiki}/rollback"}),
        Case({"trigger": f"{objective} {target} for one minute", "runbook_url": "{wiki}/rollback"}),
    )


def errors(stacks: str, seen: str, never: str, not_yet: str) -> Iterator[Row]:
    """``never``: a kind that nothing it counts with can tell from others; ``not_yet``: one that did not happen."""
    yield from row(
        stacks,
        "prometheus.errors",
        "observability.errors",
        Case({"classes": [seen]}),
        Case({"classes": [seen, never]}),
        Case({"classes": [seen, not_yet]}),
    )


SCALED = {"min_replicas": 1, "max_replicas": 4}
ROWS: list[Row] = [
    *latency(TOLD_AS["first token"], "first_token"),
    *latency(TOLD_AS["whole request only"], "end_to_end"),
    *row(
        "vllm sglang llamacpp nim kserve rayserve",
        "prometheus.present",
        "observability.cache",
        Case({"metric_names": "{cache}"}),
        Case({"metric_names": "{cache}, cache_blocks_free"}),
        Case({"metric_names": "{cache}, cache_blocks_free"}, IDLE),  # some show a series only once used
    ),
    *row(
        ALL,
        "prometheus.throughput-visible",
        "observability.throughput",
        Case({"metric_name": "{counter}"}),
        Case({"metric_name": "tokens_out_total"}),
        Case({"metric_name": "{counter}"}, IDLE),
    ),
    *errors("vllm sglang tgi tei llamacpp nim kserve rayserve torchserve", "bad_request", "refusal", "overload"),
    *row(
        ALL,
        "prometheus.gpu",
        "observability.gpu",
        Case({"dashboard_url": "https://grafana/d/gpu"}),
        Case({"dashboard_url": "https://grafana/d/gpu"}, COLD),  # nothing tells of its GPUs, and the exporter is down
        NOTHING,
    ),
    *row(
        ALL,
        "prometheus.gpu-types",
        "identity.gpu-precision",
        Case({"gpu_types": "H100 80 GB", "precisions": ["bf16"]}),
        Case({"gpu_types": "A100 80 GB", "precisions": ["bf16"]}),
        Case({"gpu_types": "H100 80 GB"}, COLD),
    ),
    *row(
        ALL,
        "prometheus.peak-memory",
        "compute.peak-memory",
        Case({"gib_per_replica": 141}),
        Case({"gib_per_replica": 120}),
        Case({"gib_per_replica": 141}, COLD),
    ),
    *row(
        ALL,
        "prometheus.parallelism",
        "compute.parallelism",
        Case({"tensor_parallel": 2, "gpus": 2}),
        Case({"tensor_parallel": 8, "gpus": 8}),
        Case({"tensor_parallel": 1, "gpus": 2}),
    ),
    *row(
        ALL,
        "prometheus.placement",
        "compute.placement",
        Case({"instance_types": "p5.48xlarge", "node_selector": "pool=gpu"}),
        Case({"instance_types": "p4d.24xlarge"}),
        Case({"instance_types": "p5.48xlarge", "node_selector": "zone=a"}),  # a label that is not exported
    ),
    *row(
        "vllm sglang tgi tei llamacpp nim rayserve",
        "prometheus.batch-range",
        "compute.batch-range",
        Case({"min": 1, "max": 128, "unit": "requests"}),
        Case({"min": 1, "max": 50, "unit": "requests"}),
        Case({"min": 90, "max": 100, "unit": "requests"}),  # too little was asked of it
    ),
    *row(
        TOLD_AS["queue"],
        "prometheus.queue",
        "autoscaling.batch-queue",
        Case({"max_queue": 8, "on_overflow": "reject"}),
        Case({"max_queue": 2, "on_overflow": "reject"}),
        Case({"max_queue": 8, "on_overflow": "reject"}, IDLE),
    ),
    *row(
        TOLD_AS["at once"],
        "prometheus.backpressure",
        "reliability.backpressure",
        Case({"max_concurrency": 80, "on_overload": "queue"}),
        Case({"max_concurrency": 40, "on_overload": "queue"}),
        Case({"max_concurrency": 200, "on_overload": "queue"}),
    ),
    *timeouts("vllm sglang nim litellm rayserve openai", 2),
    *timeouts("tgi tei", 0.5),
    *row(
        ALL,
        "prometheus.cold-start",
        "autoscaling.cold-start",
        Case({"seconds": 120}),
        Case({"seconds": 60}),
        Case({"seconds": 120}, IDLE),
    ),
    *row(  # by the server's own account, which tells of every phase of a start
        "sglang",
        "prometheus.cold-start",
        "autoscaling.cold-start",
        Case({"seconds": 70}, COLD),
        Case({"seconds": 50}, COLD),
        Case({"seconds": 120}, IDLE),
    ),
    *row(
        TIMED,
        "prometheus.warmup",
        "autoscaling.warmup",
        Case({"steps": "CUDA graphs are captured before it is ready"}),
        Case({"steps": "CUDA graphs are captured before it is ready"}, COLD),
        Case({"steps": "CUDA graphs are captured before it is ready"}, IDLE),
    ),
    *row(
        f"{COUNTED} openai",
        "prometheus.warmup-validated",
        "reliability.warmup-validated",
        Case({"method": "restarted under load"}),
        Case({"method": "restarted under load"}, COLD),
        Case({"method": "restarted under load"}, IDLE),
    ),
    *row(
        TOLD_AS["queue"],
        "prometheus.scaling-strategy",
        "autoscaling.strategy",
        Case({**SCALED, "strategy": "reactive", "signal": "waiting or deferred or pending requests, queue size"}),
        Case({**SCALED, "strategy": "reactive", "signal": "waiting requests", "max_replicas": 9}),
        Case({**SCALED, "strategy": "reactive", "signal": "GPU temperature"}),
    ),
    *row(
        "ollama litellm torchserve comfyui speaches llamacpp_python openai",
        "prometheus.scaling-strategy",
        "autoscaling.strategy",
        Case({**SCALED, "strategy": "scheduled", "signal": "office hours"}),
        Case({**SCALED, "strategy": "fixed", "signal": "none"}),
        Case({**SCALED, "strategy": "reactive", "signal": "GPU temperature"}),
    ),
    *row(
        ALL,
        "prometheus.replicas",
        "autoscaling.load-notes",
        Case({"replicas_rest": 1, "replicas_peak": 2}),
        Case({"replicas_rest": 2, "replicas_peak": 3}),
        Case({"replicas_rest": 1, "replicas_peak": 2}, IDLE),
    ),
    *full(TOLD_AS["requests"], "queries_per_second", "samples", 1),
    *full(TOLD_AS["tokens"], "tokens_per_second", "tokens", 200),
    *load(COUNTED, "requests_per_second", 1),
    *load(TOLD_AS["tokens"], "tokens_per_second", 200),
    *cost(f"{TOLD_AS['requests']} torchserve", "thousand_requests", 0.5, 0.01),
    *cost(TOLD_AS["tokens"], "thousand_tokens", 0.003, 0.00001),
    *row(
        "litellm",
        "prometheus.cost",
        "performance.cost-targets",
        Case({"cost": 0.006, "per": "thousand_tokens", "currency": "USD"}),
        Case({"cost": 0.001, "per": "thousand_tokens", "currency": "USD"}),
        Case({"cost": 0.003, "per": "thousand_tokens", "currency": "USD"}),  # depends on which tokens are meant
    ),
    *rules(TOLD_AS["first token"], "p95 time to first token", "1 s", "500 ms", "p99 time to first token under 1 s"),
    *rules(TOLD_AS["whole request only"], "p95 request latency", "1 s", "500 ms", "p99 request latency under 1 s"),
    *rules(
        "llamacpp", "throughput of", "100 tokens per second", "200 tokens per second", "p95 request latency under 1 s"
    ),
    *rules(
        "torchserve", "rate of", "0.5 requests per second", "5 requests per second", "p95 request latency under 1 s"
    ),
    *row(
        ALL,
        "prometheus.rollout",
        "release.gradual-rollout",
        Case({"strategy": "canary", "first_share": 5}),
        Case({"strategy": "all_at_once"}),
        Case({"strategy": "rings", "first_share": 5}),
    ),
    *row(
        "litellm",
        "prometheus.guardrails",
        "security.input-sanitisation",
        Case({"rules": "types and sizes", "guardrail": "Presidio, PII 2.2"}),
        Case({"rules": "types and sizes", "guardrail": "Lakera v2"}),
        Case({"rules": "types and sizes", "guardrail": "Llama Guard 3"}),
    ),
    *row(
        ALL,
        "grafana.dashboards",
        "observability.gpu",
        Case({"dashboard_url": "{grafana}/d/serving/all"}),
        Case({"dashboard_url": "{grafana}/d/gone/all"}),
        Case({"dashboard_url": "{grafana}/d/empty/all"}),
    ),
    *row(
        ALL,
        "grafana.dashboards",
        "observability.throughput",
        Case({"dashboard_url": "{grafana}/d/serving/all", "metric_name": "{counter}"}),
        Case({"dashboard_url": "{grafana}/d/gone/all", "metric_name": "{counter}"}),
        Case({"dashboard_url": "{grafana}/d/serving/all", "metric_name": "tokens_out_total"}),
    ),
]


def _rule(stack: str) -> str:
    """What is alerted on, of this stack."""
    names = STACK_NAMES[stack]
    here = f'{{job="{stack}"}}'
    histogram = names.first or names.whole
    if histogram:
        limit = 1000 if names.in_ms else 1
        return f"histogram_quantile(0.95, sum by (le) (rate({histogram}_bucket{here}[5m]))) > {limit}"
    counter = names.generation or names.requests
    return f"sum(rate({counter}{here}[5m])) < {100 if names.generation else 0.5}"


# Alerting rules of a Prometheus, one for each stack that exports what can be watched.
RULES: list[dict[str, Any]] = [
    {"alert": f"Trouble_{stack}", "expr": _rule(stack), "for": "5m", "labels": {"severity": "page"}}
    for stack, names in STACK_NAMES.items()
    if names.first or names.whole or names.generation or names.requests
]
