from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import date, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from checklists.evidence.probes import PROBES
from checklists.evidence.probes.prometheus import PROMETHEUS_PROBES
from checklists.evidence.probes.prometheus.labels import pattern_of, workload_of
from checklists.evidence.probes.prometheus.restarts import LOOK_BACK_S, starts
from checklists.evidence.sources.prometheus import Reading, Series
from checklists.evidence.stacks import STACKS
from tests.evidence.prometheus_cases import (
    BATCHES,
    CASES,
    HEAD,
    LATENCY,
    PEAK,
    TIMEOUTS,
    C,
    I,
    V,
    judged,
    load,
)


@pytest.mark.parametrize(
    ("key", "claims", "seen", "verdict", "words"),
    [(key, *case) for key, cases in CASES.items() for case in cases],
    ids=[f"{key.partition('.')[2]}-{number}" for key, cases in CASES.items() for number, _ in enumerate(cases)],
)
def test_a_claim_is_judged_by_what_was_seen(
    key: str, claims: Mapping[str, Any], seen: Mapping[str, Any], verdict: str, words: str
) -> None:
    judgement = judged(key, claims, seen)
    assert (judgement.verdict, words in judgement.reason) == (verdict, True), judgement.reason
    if verdict != I:
        assert judgement.claimed
        assert judgement.rule


def test_what_was_compared_and_not_settled_names_the_rule_it_did_not_meet() -> None:
    for key, cases in CASES.items():
        for claims, seen, verdict, _ in cases:
            judgement = judged(key, claims, seen)
            if verdict == I and judgement.claimed and judgement.observed:
                assert judgement.rule, (key, judgement.reason)


def test_every_probe_is_tried_with_every_verdict() -> None:
    assert {probe.key for probe in PROMETHEUS_PROBES} == {*CASES, "prometheus.load-test"}
    assert all({verdict for _, _, verdict, _ in cases} == {V, C, I} for cases in CASES.values())


def test_the_histogram_a_verdict_rests_on_is_shown_with_its_goals() -> None:
    claims, seen, _, _ = LATENCY[0]
    picture = judged("prometheus.latency", {**claims, "p50_ms": 300}, seen).histogram
    assert picture is not None
    assert picture["goals"] == [{"label": "p50", "value": 300.0}, {"label": "p95", "value": 500.0}]
    assert (picture["bounds"], picture["unit"]) == ([100.0, 250.0, 500.0, 1000.0, 2500.0], "ms")
    for key, cases in (("prometheus.timeouts", TIMEOUTS), ("prometheus.batch-range", BATCHES)):
        claims, seen, _, _ = cases[0]
        assert judged(key, claims, seen).histogram


# Claims of other items that a judgement rests on

DAY = date(2026, 11, 10)
TESTED = {"date": DAY.isoformat(), "report_url": "http://r"}
USUAL = {(DAY + timedelta(days=offset)).isoformat(): [2.0, 2.0] for offset in range(2, 8)}


@pytest.mark.parametrize(
    ("peak", "on_the_day", "verdict", "words"),
    [
        (20, [25.0, 25.0], V, "The load reached 25 requests/s, the claimed peak is 20"),
        (40, [25.0, 25.0], C, "so this was the test"),
        (40, [3.0, 3.0], I, "may have run elsewhere"),
        (40, [25.0, None], I, "may have run elsewhere"),
        (40, None, I, "no samples of that day"),
        (None, [25.0, 25.0], I, "No peak load is claimed"),
    ],
)
def test_a_load_test_must_have_reached_the_peak_that_is_claimed(
    peak: float | None, on_the_day: list[float | None] | None, verdict: str, words: str
) -> None:
    days = {**USUAL, **({DAY.isoformat(): on_the_day} if on_the_day else {})}
    others = {"performance.load-profile": {"peak": peak, "unit": "requests_per_second"}}
    judgement = judged("prometheus.load-test", TESTED, {"days": {"requests": days}}, others)
    assert (judgement.verdict, words in judgement.reason) == (verdict, True), judgement.reason


@pytest.mark.parametrize(
    ("peak", "day", "verdict", "words"),
    [
        (4, TESTED["date"], V, "At its peak 2 requests/s (without the days of the load test)"),
        (1.5, TESTED["date"], C, "The load reached 2 requests/s (without the days of the load test)"),
        (4, "2026-10-01", C, "The load reached 5 requests/s"),
        (4, "", C, "The load reached 5 requests/s"),
    ],
)
def test_a_load_test_beyond_the_peak_does_not_refute_the_peak(peak: float, day: str, verdict: str, words: str) -> None:
    seen = {"load": load("requests"), "days": {"requests": {**USUAL, DAY.isoformat(): [5.0, 5.0]}}}
    others = {"reliability.load-test": {"date": day}}
    judgement = judged("prometheus.load-profile", {**PEAK, "peak": peak}, seen, others)
    assert (judgement.verdict, words in judgement.reason) == (verdict, True), judgement.reason


def test_a_month_that_was_all_a_load_test_is_what_was_met() -> None:
    seen = {"load": load("requests"), "days": {"requests": {DAY.isoformat(): [5.0, 5.0]}}}
    others = {"reliability.load-test": TESTED}
    assert judged("prometheus.load-profile", {**PEAK, "peak": 4}, seen, others).verdict == C


def test_a_day_like_another_of_the_month_was_not_surely_the_test() -> None:
    busy = {(DAY + timedelta(days=9)).isoformat(): [25.0, 25.0], DAY.isoformat(): [25.0, 25.0]}
    others = {"performance.load-profile": {"peak": 40, "unit": "requests_per_second"}}
    judgement = judged("prometheus.load-test", TESTED, {"days": {"requests": {**USUAL, **busy}}}, others)
    assert (judgement.verdict, "may have run elsewhere" in judgement.reason) == (I, True), judgement.reason


@pytest.mark.parametrize(("claimed", "verdict"), [(0.02, V), (0.0001, C), (0.008, I)])
def test_without_an_account_the_cost_follows_from_a_claimed_price_and_what_a_gpu_gave(
    claimed: float, verdict: str
) -> None:
    # 0.002 a 1,000 tokens at 500 tokens a GPU-second: a GPU-second costs 0.001. 100 tokens on average, 500 at best.
    others = {
        "compute.unit-throughput": {"per_gpu_second": 500, "unit": "tokens", "cost_per_1000": 0.002, "currency": "EUR"}
    }
    seen = {"sums": {}, "per": "gpu", "unit_load": load("tokens", mean=100.0, max=500.0)}
    judgement = judged("prometheus.cost", {"cost": claimed, "per": "thousand_tokens", "currency": "EUR"}, seen, others)
    assert judgement.verdict == verdict, judgement.reason
    assert "0.01 EUR per 1,000 tokens" in judgement.reason
    other = judged("prometheus.cost", {"cost": claimed, "per": "thousand_tokens", "currency": "USD"}, seen, others)
    assert other.verdict == I


def test_replicas_stand_for_the_gpus_that_are_claimed_for_each() -> None:
    seen = {"per": "replica", "unit_load": load("tokens", max=2000.0)}
    others = {"compute.parallelism": {"gpus": 4}}
    judgement = judged("prometheus.unit-throughput", {"per_gpu_second": 500, "unit": "tokens"}, seen, others)
    assert judgement.verdict == V
    assert "4 GPUs a replica as claimed" in judgement.reason


# Whatever was stored, a judgement comes out

JSON: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-5, 5)
    | st.floats()
    | st.sampled_from(["", "tokens", "2026-11-10", "1e999"]),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["low", "high", "max", "x"]), inner, max_size=3)
    ),
    max_leaves=8,
)
FIELDS = sorted(
    {field for cases in CASES.values() for claims, seen, _, _ in cases for field in (*claims, *seen)} | {"days"}
)
ANY = st.dictionaries(st.sampled_from(FIELDS), JSON, max_size=8)


@given(st.data())
def test_no_claim_and_no_observation_makes_a_judgement_fail(data: st.DataObject) -> None:
    probe = data.draw(st.sampled_from(PROMETHEUS_PROBES))
    cases = CASES.get(probe.key, [(TESTED, {"days": {"requests": USUAL}}, I, "")])
    claims, seen, _, _ = data.draw(st.sampled_from(cases))
    others = {item: data.draw(ANY) for item in probe.also_reads}
    judgement = probe.judge(probe.items[0], {**claims, **data.draw(ANY)}, {**HEAD, **seen, **data.draw(ANY)}, others)
    assert judgement.verdict in (V, C, I)
    assert judgement.reason
    json.dumps([judgement.claimed, judgement.observed, judgement.reason, judgement.samples], allow_nan=False)
    json.dumps(judgement.histogram, allow_nan=False)


@given(st.floats(1e-3, 1e6), st.floats(1e-3, 1e6), st.integers(0, 50), st.floats(0, 1))
def test_throughput_is_never_contradicted_by_an_idle_month(claim: float, peak: float, busy: int, part: float) -> None:
    seen = {"load": load("tokens", max=peak, busy_steps=busy, busy_max=peak * part if busy else None)}
    judgement = judged("prometheus.throughput", {"value": claim, "unit": "tokens_per_second"}, seen)
    assert (judgement.verdict == V) == (peak >= claim)
    if judgement.verdict == C:
        assert busy >= 3
        assert peak * part < claim


# Reading names


@pytest.mark.parametrize(
    ("pod", "workload"),
    [
        ("chat-7d9f8b6c5d-x2x4z", "chat"),
        ("big-chat-0", "big-chat"),
        ("chat", "chat"),
        ("my-long-server", "my-long-server"),
        ("model-server-llama", "model-server-llama"),  # no name of a Deployment's pod: those have no vowels
    ],
)
def test_a_pods_name_says_whose_it_is(pod: str, workload: str) -> None:
    assert workload_of(pod) == workload


@given(st.lists(st.from_regex(r"[a-z]{1,3}(-[a-z0-9.]{1,3}){0,3}", fullmatch=True), min_size=1, max_size=8))
def test_a_pattern_of_pods_matches_those_and_no_others(pods: list[str]) -> None:
    pattern = re.compile(pattern_of(pods))
    assert all(pattern.fullmatch(pod) for pod in pods)
    assert not any(pattern.fullmatch(other) for pod in pods if (other := f"{pod}x") not in pods)


def test_a_start_is_where_a_counter_begins_or_falls_and_not_where_the_window_begins() -> None:
    now = 1_700_000_000.0
    first = now - LOOK_BACK_S
    old = Series({"instance": "old"}, tuple((first + step * 300, float(step)) for step in range(500)))
    reset = Series({"instance": "reset"}, ((first, 5.0), (first + 300, 9.0), (now - 7200, 1.0), (now - 6900, 2.0)))
    young = Series({"instance": "young"}, ((now - 5000, 0.0), (now - 4700, 4.0)))
    known_late = Series({"instance": "known-late"}, tuple((now - 9000 + n * 300, 9e6 + n * 300) for n in range(20)))
    newborn = Series({"instance": "newborn"}, ((now - 600, 0.0),))
    found = starts(Reading(series=(old, reset, young, known_late, newborn)), now)
    assert [(start.instance, start.at) for start in found] == [("young", now - 5000), ("reset", now - 7200)]


# What can be settled where


def test_with_vllm_everything_can_be_settled() -> None:
    assert [
        probe.settles(item, STACKS["vllm"])
        for probe in PROMETHEUS_PROBES
        for item in probe.items
        if probe.settles(item, STACKS["vllm"])
    ] == []


@pytest.mark.parametrize(
    ("stack", "key", "item"),
    [
        ("ollama", "prometheus.throughput", "performance.throughput"),
        ("llamacpp", "prometheus.latency", "performance.latency-targets"),
        ("comfyui", "prometheus.queue", "autoscaling.batch-queue"),
        ("litellm", "prometheus.backpressure", "reliability.backpressure"),
        ("tgi", "prometheus.present", "observability.cache"),
        ("kserve", "prometheus.timeouts", "reliability.timeouts"),
        ("ollama", "prometheus.errors", "observability.errors"),
        ("litellm", "prometheus.errors", "observability.errors"),
    ],
)
def test_what_a_stack_does_not_export_cannot_be_settled_there(stack: str, key: str, item: str) -> None:
    why = PROBES[key].settles(item, STACKS[stack])
    assert why.startswith(STACKS[stack].label)
    assert why.endswith(".")


def test_an_item_a_probe_says_nothing_of_is_not_settled_by_it() -> None:
    assert PROBES["prometheus.queue"].settles("identity.lineage", STACKS["vllm"])
