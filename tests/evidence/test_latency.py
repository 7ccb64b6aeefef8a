"""Latency by a metrics page alone: what came since the last look at it, or all since the server started."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from checklists.evidence import runner, services
from checklists.evidence.metrics import Histogram
from checklists.evidence.models import Finding
from checklists.evidence.probes import PROBES, Judgement, Target
from checklists.evidence.probes.latency import COLD_RULE, EARLY_S, MIN_SAMPLES, RULE, against_bounds, recent
from checklists.registry import services as registry
from tests.evidence import loopback
from tests.evidence.loopback import Request, loopback_client, serving
from tests.evidence.test_runs import claim

ITEM = "performance.latency-targets"
NAME = "vllm:time_to_first_token_seconds"
BOUNDS = ("0.1", "0.25", "0.5", "1.0", "+Inf")
# Cumulative counts: 100 slow requests of a cold server, and a thousand fast ones after them.
COLD, WARM = (0, 0, 0, 40, 100), (0, 600, 1000, 1000, 1000)
STARTED = time.time() - 5 * 86_400


def page(counts: Mapping[str, tuple[float, ...]], began: float | None = STARTED, created: float | None = None) -> str:
    lines = [f"# TYPE {NAME} histogram"]
    for model, row in counts.items():
        lines += [f'{NAME}_bucket{{model_name="{model}",le="{b}"}} {n}' for b, n in zip(BOUNDS, row, strict=True)]
        lines += [f'{NAME}_count{{model_name="{model}"}} {row[-1]}', f'{NAME}_sum{{model_name="{model}"}} 1']
        lines += [f'{NAME}_created{{model_name="{model}"}} {created}'] if created else []
    lines += [f"# TYPE process_start_time_seconds gauge\nprocess_start_time_seconds {began}"] if began else []
    return "\n".join([*lines, ""])


def look(text: str, before: Mapping[str, Any] | None = None, *, ago: float = 0.0, **target: Any) -> dict[str, Any]:
    """What the probe sees on a page, some seconds ago."""

    def handle(request: Request) -> None:
        request.reply(200, text) if request.path == "/metrics" else request.reply(404)

    with serving(handle) as server:
        facts = {"page": before}
        seen, _ = loopback.observe("metrics.latency", Target("main", server.url, stack="vllm", facts=facts, **target))
    return {**seen, "at": seen["at"] - ago}


def judged(seen: Mapping[str, Any], **goals: float) -> Judgement:
    return PROBES["metrics.latency"].judge(ITEM, {"phase": "first_token", **goals}, dict(seen))


def sums(*rows: tuple[float, ...]) -> tuple[float, ...]:
    return tuple(map(sum, zip(*rows, strict=True)))


def test_what_came_since_the_last_look_is_judged_without_the_warm_up_before_it() -> None:
    first = look(page({"m": COLD}), ago=86_400)
    assert judged(first, p95_ms=500).verdict == "contradicted"  # all there is says so
    second = judged(look(page({"m": sums(COLD, WARM)}), first), p95_ms=500)
    assert (second.verdict, second.samples, second.rule) == ("verified", 1000, RULE)
    assert "1000 samples of vllm:time_to_first_token_seconds since 20" in second.reason


def test_what_came_since_the_last_look_tells_of_a_server_that_became_slow() -> None:
    first = look(page({"m": WARM}), ago=86_400)
    assert judged(first, p95_ms=500).verdict == "verified"
    slow = look(page({"m": sums(WARM, (0, 0, 0, 0, 40))}), first)
    assert (judged(slow, p95_ms=500).verdict, judged(slow, p95_ms=500).samples) == ("contradicted", 40)


OTHER = [
    pytest.param({"began": STARTED + 60}, id="another process"),
    pytest.param({"began": None}, id="a page that does not say when it started"),
    pytest.param({"young": True}, id="still young at the first look"),
]


@pytest.mark.parametrize("other", OTHER)
def test_two_looks_that_cannot_be_compared_leave_what_was_counted_since_the_start(other: dict[str, Any]) -> None:
    if other.get("young"):
        other = {"began": time.time() - EARLY_S / 2}
    again = {"began": STARTED, **other} if other["began"] != STARTED + 60 else {"began": STARTED}
    first = look(page({"m": COLD}, **other))
    second = look(page({"m": sums(COLD, WARM)}, **again), first)
    assert second["recent"] == {}
    verdict = judged(second, p95_ms=500)
    assert (verdict.samples, verdict.rule) == (1100, COLD_RULE)
    assert "since the server started" in verdict.reason


def test_counts_that_fell_are_no_difference() -> None:
    first = look(page({"m": sums(WARM, WARM)}), ago=86_400)
    assert look(page({"m": sums(WARM, COLD)}), first)["recent"] == {}


def test_when_a_histogram_was_created_tells_one_process_from_another_too() -> None:
    first = look(page({"m": COLD}, None, STARTED), ago=86_400)
    assert judged(look(page({"m": sums(COLD, WARM)}, None, STARTED), first), p95_ms=500).verdict == "verified"
    assert look(page({"m": sums(COLD, WARM)}, None, STARTED + 1), first)["recent"] == {}


def test_looks_in_a_row_add_up_until_they_are_enough() -> None:
    counts, seen = COLD, look(page({"m": COLD}), ago=86_400)
    began = seen["at"]
    for hour in (3, 2, 1):
        counts = sums(counts, (0, 8, 8, 8, 8))
        seen = look(page({"m": counts}), seen, ago=hour * 3600)
    lately = seen["recent"]["first_token_seconds"]
    assert (lately["since"], lately["histogram"]["counts"][-1]) == (began, 24)
    assert judged(seen, p95_ms=250).verdict == "verified"
    many = look(page({"m": sums(counts, WARM)}), seen)["recent"]["first_token_seconds"]
    assert (many["since"], many["histogram"]["counts"][-1]) == (seen["at"], 1000)


@pytest.mark.parametrize(
    ("counts", "p95", "expected"),
    [
        (sums(COLD, WARM), 500, "inconclusive"),  # 9 % are slow; but for the slowest 5 % it is 4 %
        (sums(COLD, WARM), 250, "contradicted"),  # 40 % of the warm ones are slower
        ((0, 0, 0, 0, 20), 1000, "inconclusive"),  # all of them may be its warm-up
        ((0, 0, 0, 0, 40), 1000, "contradicted"),
        (sums(COLD, WARM), 2000, "inconclusive"),  # too coarse to tell
        (WARM, 500, "verified"),  # a warm-up makes nothing faster
    ],
)
def test_since_the_start_only_what_a_warm_up_cannot_explain_contradicts(
    counts: tuple[float, ...], p95: float, expected: str
) -> None:
    verdict = judged(look(page({"m": counts})), p95_ms=p95)
    assert verdict.verdict == expected, verdict.reason
    assert verdict.samples == counts[-1]
    assert "since the server started" in verdict.reason


def test_a_server_that_has_just_started_is_not_called_slow() -> None:
    slow = (0.0, 0.0, 0.0, 0.0, 400.0)
    young = judged(look(page({"m": slow}, time.time() - 300)), p95_ms=500)
    assert (young.verdict, young.samples) == ("inconclusive", 400)
    assert "less than ten minutes; a later look" in young.reason
    assert young.histogram
    assert judged(look(page({"m": slow}, time.time() - 700)), p95_ms=500).verdict == "contradicted"


def test_of_several_models_on_a_page_only_the_claimed_one_counts() -> None:
    both = page({"fast": WARM, "slow": (0, 0, 0, 0, 1000)})
    probe, seen, goal = (
        PROBES["metrics.latency"],
        look(both, model_hint="fast"),
        {"phase": "first_token", "p95_ms": 500},
    )
    assert probe.judge(ITEM, goal, seen, {"identity.name-version": {"model_id": "fast"}}).verdict == "verified"
    now = probe.judge(ITEM, goal, seen, {"identity.name-version": {"model_id": "slow"}})
    assert (now.verdict, "another one than fast is claimed now" in now.reason) == ("inconclusive", True)
    assert judged(look(both, labels={"model_name": "slow"}, model_hint="fast"), p95_ms=500).verdict == "contradicted"
    called = probe.judge(
        ITEM, goal, look(both, model_hint="acme/Fast"), {"identity.name-version": {"model_id": "acme/Fast"}}
    )
    assert called.verdict == "verified", called.reason
    twins = page({"acme/fast": WARM, "other/fast": WARM})
    assert "counts several models" in judged(look(twins, model_hint="fast"), p95_ms=500).reason
    unknown = judged(look(both, model_hint="org/model"), p95_ms=500)
    assert unknown.verdict == "inconclusive"
    assert "counts several models (fast, slow)" in unknown.reason


@pytest.mark.parametrize(
    ("stack", "hint", "verdict"),
    [
        ("litellm", "chat", "inconclusive"),
        ("litellm", "embed", "verified"),
        ("litellm", "Embed", "verified"),
        ("litellm", "acme/embed", "verified"),
        ("vllm", "chat", "verified"),
    ],
)
def test_the_only_model_that_was_asked_for_at_a_proxy_may_be_another(stack: str, hint: str, verdict: str) -> None:
    text = page({"embed": WARM})
    if stack == "litellm":
        text = text.replace("model_name=", "requested_model=")
        text = text.replace("vllm:time_to_first_token_seconds", "litellm_llm_api_time_to_first_token_metric")
    found = judged(look(text, model_hint=hint), p95_ms=500)
    assert (found.verdict, "for embed only" in found.reason) == (verdict, verdict == "inconclusive"), found.reason


@given(
    st.lists(st.integers(min_value=0, max_value=2000), min_size=5, max_size=5),
    st.integers(min_value=0, max_value=20),
    st.sampled_from([100, 250, 400, 500, 1000, 3000]),
)
def test_no_handful_of_slow_requests_at_the_start_contradicts(steps: list[int], cold: int, goal: float) -> None:
    warm = Histogram("h", (0.1, 0.25, 0.5, 1.0, float("inf")), tuple(float(sum(steps[: n + 1])) for n in range(5)))
    if warm.count < MIN_SAMPLES or against_bounds(warm, {"p95": goal}, "").verdict == "contradicted":
        return
    mixed = warm.plus(Histogram("h", warm.bounds, (0.0, 0.0, 0.0, 0.0, float(cold))))
    assert mixed is not None
    seen = {"where": "/metrics", "stack": "vllm", "histograms": {"first_token_seconds": mixed.as_json()}}
    assert judged(seen, p95_ms=goal).verdict != "contradicted"


STRANGE = [None, "x", [], {}, -1, float("nan"), {"histogram": {"bounds": "x", "counts": [1]}}, {"since": "x"}]


@given(st.data())
def test_no_earlier_observation_makes_the_difference_fail(data: st.DataObject) -> None:
    part = st.sampled_from(STRANGE)
    row = {"name": "h", "bounds": [1.0], "counts": [1.0, 40.0]}
    seen = {"at": 2e9, "began": 1e9, "where": "/metrics", "stack": "vllm", "histograms": {"queue_seconds": row}}
    before = {**seen, **{key: data.draw(part) for key in data.draw(st.sets(st.sampled_from([*seen, "recent"])))}}
    assert isinstance(recent(seen, before), dict)


@pytest.mark.django_db
def test_a_second_run_is_given_what_the_first_one_counted(edition: Any, team: Any, alice: Any) -> None:
    counts = [COLD, sums(COLD, WARM)]

    def handle(request: Request) -> None:
        request.reply(200, page({"m": counts[0]})) if request.path == "/metrics" else request.reply(404)

    model = registry.create_model(slug="assist", name="Assist", team=team, family="llm", tier=2, by=alice)
    release = registry.create_release(model=model, version="1.0", by=alice)
    with serving(handle) as server:
        registry.create_endpoint(release=release, by=alice, name="main", url=server.url, stack="vllm")
        claim(release, alice, ITEM, phase="first_token", p95_ms=500)
        for expected in ("contradicted", "verified"):
            run = services.request_run(release=release)
            only = lambda probe: probe.key == "metrics.latency"  # noqa: E731
            assert runner.perform_runs(run_ids=[run.pk], client=loopback_client(timeout_s=2.0), only=only) == 1
            finding = Finding.objects.current().get(release=release, probe="metrics.latency", item_key=ITEM)
            assert finding.verdict == expected, finding.reason
            counts = counts[1:] or counts
    assert "1000 samples" in finding.reason
