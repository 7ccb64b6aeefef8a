"""Promises in words against the rules that Prometheus evaluates: what is understood of both, and what is concluded.

Rules as the guides of Prometheus, Sloth and Pyrra write them, for metrics of vLLM 0.11, LiteLLM 1.82 and Istio 1.20.
"""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from checklists.evidence.probes import PROBES, Judgement, Target
from checklists.evidence.probes.prometheus.objectives import MEAN, Goal, promise_of
from checklists.evidence.probes.prometheus.thresholds import compared, relevant, threshold_from, thresholds, unread
from checklists.evidence.sources.expressions import comparisons, constant, parsed, scaled, selectors
from checklists.evidence.sources.prometheus import Rule
from checklists.evidence.stacks import STACKS
from tests.evidence.loopback import Request, observe, serving

V, C, I = "verified", "contradicted", "inconclusive"  # noqa: E741
FIRST_TOKEN = "first_token_seconds"
FIRST, TOKENS = "vllm:time_to_first_token_seconds", "vllm:generation_tokens_total"
NAMES = frozenset(
    {f"{FIRST}_bucket", f"{FIRST}_sum", f"{FIRST}_count", TOKENS, "http_requests_total", "http_errors_total"}
)
P95 = f"histogram_quantile(0.95, sum by (le) (rate({FIRST}_bucket[5m])))"
ERRORS = 'sum(rate(http_requests_total{status=~"5.."}[5m])) / sum(rate(http_requests_total[5m]))'
SLOW = f'1 - (sum(rate({FIRST}_bucket{{le="1.0"}}[5m])) / sum(rate({FIRST}_count[5m])))'


def rule(query: str, name: str = "Slow", kind: str = "alerting", hold: float = 0.0, **labels: str) -> Rule:
    return Rule(name, "g", kind, query, hold, labels, {}, "inactive", "ok")


def read(*queries: str, recorded: dict[str, str] | None = None) -> list[dict[str, Any]]:
    """The thresholds of alerts, and of rules that record, as they are kept."""
    rules = [rule(query) for query in queries]
    rules += [rule(query, name, "recording") for name, query in (recorded or {}).items()]
    return [watch.threshold.to_json() for watch in thresholds(rules, NAMES)]


def short(row: dict[str, Any]) -> tuple[Any, ...]:
    return row["kind"], row["sign"], round(row["limit"], 9), row["quantile"], row["share"]


# Expressions


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("a > 0.5", [(">", 0.5)]),
        ("0.5 < a", [(">", 0.5)]),
        ("a >= bool 2e3", [(">", 2000.0)]),
        ("-1 > a", [("<", -1.0)]),
        ("a > (14.4 * (1 - 0.999))", [(">", 0.0144)]),
        ('max(a{b="x > 1"} > (6 * 0.001)) without (w) and max(c > 0.006)', [(">", 0.006), (">", 0.006)]),
        ("a > 1 unless b > 2", [(">", 1.0)]),
        ("absent(a > 1) or count by (x) (b > 2) > 3", [(">", 3.0)]),
        ("a > b", []),
        ("a == 1", []),
        ("a > 1 > 2", []),
        ("a > 1 / 0", []),
        ("a >", []),
        ("((a > 1)", []),
        ("a{b=} > 1", []),
        ('a{b="c} > 1', []),
        ("a offset 5m > 1 # > 2", [(">", 1.0)]),
    ],
)
def test_what_is_compared_with_a_number_is_found_and_nothing_else(
    expression: str, expected: list[tuple[str, float]]
) -> None:
    found = [(one.sign, round(one.value, 9)) for one in comparisons(parsed(expression))]
    assert found == expected


def test_constant_factors_and_complements_are_taken_apart() -> None:
    factor, complement, inner = scaled(parsed("100 * (1 - a / b)"))
    assert (factor, complement, [one.name for one in selectors(inner)]) == (100.0, True, ["a", "b"])
    assert scaled(parsed("a / b * 100"))[:2] == (100.0, False)
    assert scaled(parsed("a / 1000"))[0] == pytest.approx(0.001)
    assert constant(parsed("-(2 + 3) * 4 / 2 + 1")) == -9.0


@given(st.text(alphabet="abx01.5()[]{}<>=!~+-*/\"'`,# \nandorbylevc_:", max_size=120))
def test_no_expression_makes_reading_it_fail(text: str) -> None:
    found = list(comparisons(parsed(text)))
    assert all(one.sign in "<>" for one in found)
    for one in found:
        scaled(one.items)
    thresholds([rule(text), rule(text, "b", "recording"), rule(text, "a", "recording")], frozenset("abx"))


def test_rules_that_record_each_other_a_thousandfold_are_given_up() -> None:
    rules = [rule("+".join(["b"] * 600), "a", "recording"), rule("+".join(["a"] * 600), "b", "recording")]
    assert thresholds([*rules, rule("a > 1"), rule("(" * 900 + "a" + ")" * 900 + " > 1")], NAMES) == []


# Promises

FIRST_P95 = Goal("first_token_seconds", 0.8, 0.95)


@pytest.mark.parametrize(
    ("text", "target", "goals"),
    [
        ("p95 first token", "800 ms", [FIRST_P95]),
        ("p95 first token", "1,500 ms", [Goal("first_token_seconds", 1.5, 0.95)]),
        ("p95 first token", "1.500 s", [Goal("first_token_seconds", 1.5, 0.95)]),
        ("first token within 1 s", "99.5 % of requests", [Goal("first_token_seconds", 1.0, 0.995, True)]),
        ("99.5 % of requests have their first token within 1 s, over 28 days", "", [
            Goal("first_token_seconds", 1.0, 0.995, True)
        ]),
        ("availability", "99 %", [Goal("error_ratio", 0.01, None, True)]),
        ("error rate above 2 % for 5 minutes", "", [Goal("error_ratio", 0.02)]),
        ("mean end-to-end latency under 2,5 s", "", [Goal("end_to_end_seconds", 2.5, MEAN)]),
        ("99th percentile of the latency", "2 minutes", [Goal("end_to_end_seconds", 120.0, 0.99)]),
        ("throughput", "at least 1,000 tokens/s", [Goal("tokens_per_second", 1000.0)]),
        ("99 % of images within 6 s", "", [Goal("end_to_end_seconds", 6.0, 0.99, True)]),
        ("600 tokens per minute", "", [Goal("tokens_per_second", 10.0)]),
    ],
)  # fmt: skip
def test_a_promise_is_understood(text: str, target: str, goals: list[Goal]) -> None:
    found = promise_of(text, target)
    assert [(g.kind, round(g.limit, 9), g.quantile, g.budget) for g in found.goals] == [
        (g.kind, g.limit, g.quantile, g.budget) for g in goals
    ]
    assert found.unclear == ()


@pytest.mark.parametrize(
    ("text", "target"),
    [
        ("p95 < 1 s", ""),  # of what?
        ("latency under 1 s", ""),  # of how many?
        ("answers within the latency goal", "99 %"),
        ("p95 first token 800 ms", "99 % of days"),
        ("p95 first token rises by 20 %", ""),
        ("p95 latency twice 800 ms", ""),
        ("recall on the sentinel queries under 0.85", ""),
        ("cost under 0.005 EUR each", ""),
        ("p95 first token 800 ms to 900 ms", ""),
        ("failed requests above 30 per minute", ""),
        ("availability", "0.1 %"),
        ("error rate", "99 %"),
        ("p95 first token under 1,000 ms or 1.2.3 s", ""),
        ("prefill within 1 s", "99 % of requests"),
        ("wait under 2 s", "99 % of requests"),
        ("timeout errors above 1 %", ""),
        ("success of tool calls", "99 %"),
        ("p95 first token", "1.500 ms"),  # a thousand and a half, or one and a half?
        ("p95 first token", "2,500 s"),
        ("throughput", "1.000 tokens/s"),
    ],
)
def test_what_could_mean_several_things_is_not_guessed(text: str, target: str) -> None:
    assert len(promise_of(text, target).goals) <= 1
    assert promise_of(text, target).unclear


def test_several_goals_and_how_long_they_must_be_missed() -> None:
    text = "Error rate over 2 % or p95 first token over 1.5 s for ten minutes: route back to 4.1, kept warm for a week."
    found = promise_of(text)
    assert [goal.kind for goal in found.goals] == ["error_ratio", "first_token_seconds"]
    assert (found.hold_s, found.unclear) == (600.0, ())


@pytest.mark.parametrize(
    ("text", "target", "goals"),
    [
        ("First token: p95 latency 800 ms", "", [(FIRST_TOKEN, 0.8, 0.95)]),
        ("Queue: p95 latency 500 ms", "", [("queue_seconds", 0.5, 0.95)]),
        ("Latency: p95 = 1200 ms", "", [("end_to_end_seconds", 1.2, 0.95)]),
        ("SLO: p95 first token", "800 ms", [(FIRST_TOKEN, 0.8, 0.95)]),
        ("Error rate: < 1 %", "", [("error_ratio", 0.01, None)]),
        ("p50 < 300 ms and p95 < 800 ms first token", "", [(FIRST_TOKEN, 0.3, 0.5), (FIRST_TOKEN, 0.8, 0.95)]),
        ("TTFT p95 over 2 s or p99 over 5 s", "", [(FIRST_TOKEN, 2.0, 0.95), (FIRST_TOKEN, 5.0, 0.99)]),
        ("ttft_p95 < 1s", "", [(FIRST_TOKEN, 1.0, 0.95)]),
        ("p95 first token 800 ms", "95 % of requests", [(FIRST_TOKEN, 0.8, 0.95)]),
        ("first token within 1 s for 99.5 % of requests", "99.5 %", [(FIRST_TOKEN, 1.0, 0.995)]),
        ("p95 first token < 800 ms", "800 ms", [(FIRST_TOKEN, 0.8, 0.95)]),
        ("error rate above 2 % in 5 minutes", "", [("error_ratio", 0.02, None)]),
        ("99 % of answers within 5 minutes", "", [("end_to_end_seconds", 300.0, 0.99)]),
        ("5-minute error rate > 2 %", "", [("error_ratio", 0.02, None)]),
        ("error rate > 2 % (5m)", "", [("error_ratio", 0.02, None)]),
        ("p95 first token above 2 s in a 10-minute window", "", [(FIRST_TOKEN, 2.0, 0.95)]),
        ("p95 end-to-end latency", "p95 < 2 s", [("end_to_end_seconds", 2.0, 0.95)]),
        ("99.9 % availability", "99.9%", [("error_ratio", 0.001, None)]),
        ("p95 latency 5 s for 512-token answers", "", [("end_to_end_seconds", 5.0, 0.95)]),
        ("p95 first token 1 s, p99 2 s", "", [(FIRST_TOKEN, 1.0, 0.95), (FIRST_TOKEN, 2.0, 0.99)]),
        ("p95 first token 1 s, p99 at most 2 s", "", [(FIRST_TOKEN, 1.0, 0.95), (FIRST_TOKEN, 2.0, 0.99)]),
        ("p95 first token", "95 % within 800 ms", [(FIRST_TOKEN, 0.8, 0.95)]),
        ("99 % of chat requests have their first token in 1 s", "", [(FIRST_TOKEN, 1.0, 0.99)]),
        ("p95 time per output token 50 ms for 512-token answers", "", [("per_output_token_seconds", 0.05, 0.95)]),
    ],
)
def test_what_is_measured_may_be_said_before_a_colon_or_once_for_several(
    text: str, target: str, goals: list[tuple[str, float, float | None]]
) -> None:
    found = promise_of(text, target)
    assert ([(g.kind, round(g.limit, 9), g.quantile) for g in found.goals], found.unclear) == (goals, ())


@pytest.mark.parametrize(
    ("text", "target"),
    [
        ("Cold start: p95 latency 30 s", ""),
        ("99 % of answers in 5 minutes without failure", ""),
        ("success: 99 % of answers within 5 minutes", ""),
        ("token latency p95 40 ms", ""),
        ("p95 prompt processing latency 300 ms", ""),
        ("p95 first token 800 ms", "95 % of days"),
        ("p95 first token 1 s, p95 latency 10 s, p99 20 s", ""),
    ],
)
def test_the_time_of_a_part_is_not_taken_for_that_of_a_request(text: str, target: str) -> None:
    found = promise_of(text, target)
    assert found.unclear
    assert not any((goal.quantile, goal.limit) in ((0.99, 20.0), (0.95, 30.0), (0.95, 0.04)) for goal in found.goals)


@pytest.mark.parametrize(
    "text",
    [
        "p95 first token 1 s, p95 all requests within 10 s",
        "p95 first token 3 s, p95 images ready in 2 s",
        "p95 first token 3 s, p95 done in 2 s",
        "p95 first token 3 s, p95 Bilder 2 s",
        "p95 first token 3 s, p95 画像 2 s",
        "p95 first token 3 s, images: p95 2 s",
        "inter-token p95 50 ms, p95 request done in 10 s",
        "p95 first token 1 s, p95 10 s",
        "p95 first token 1 s, p95 images ready in 2 s, p99 4 s",
    ],
)
def test_only_what_names_nothing_else_is_of_what_was_named_before(text: str) -> None:
    found = promise_of(text)
    assert found.unclear
    assert [goal.limit for goal in found.goals] in ([1.0], [3.0], [0.05])


@pytest.mark.parametrize(
    "text",
    [
        "p95 latency under 3 s for 95% of users",
        "p95 latency under 3 s for 95% users",
        "p95 latency under 3 s in 95% of 5-minute windows",
        "p99 latency under 3 s for 99% of calendar days",
        "p95 latency of all requests under 3 s for 95% of tenants",
        "p95 latency under 3 s for 95% of requests in 95% of regions",
        "latency under 3 s for 95% of users",
        "95% of users get answers within 3 s",
        "latency under 3 s in 95% of 5-minute windows",
    ],
)
def test_a_share_of_users_or_of_the_time_is_no_quantile_of_requests(text: str) -> None:
    found = promise_of(text)
    assert (found.goals, len(found.unclear)) == ((), 1)


@pytest.mark.parametrize(
    "text",
    [
        "p95 latency 5 s per 100 tokens",
        "p95 latency 200 ms per 1k tokens",
        "p95 latency 200 ms for every  100-200 generated tokens",
        "p95 latency 5 s / 1 000 tokens",
        "p95 latency 5 s for each 100 output tokens",
        "p95 first token 200 ms per 1k prompt tokens",
    ],
)
def test_a_time_for_so_many_tokens_is_not_that_of_a_request(text: str) -> None:
    found = promise_of(text)
    assert (found.goals, found.unclear) == ((), (text,))


@given(st.text(max_size=80), st.text(max_size=40))
def test_no_claim_makes_reading_it_fail(text: str, target: str) -> None:
    assert all(goal.limit > 0 for goal in promise_of(text, target).goals)


# Thresholds

SECONDS = "first_token_seconds"


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        (f"{P95} > 0.8", (SECONDS, ">", 0.8, 0.95, None)),
        (f"{P95} * 1000 > 800", (SECONDS, ">", 0.8, 0.95, None)),
        (f"sum(rate({FIRST}_sum[5m])) / sum(rate({FIRST}_count[5m])) > 0.3", (SECONDS, ">", 0.3, MEAN, None)),
        (f"{SLOW} > 0.005", (SECONDS, ">", 1.0, 0.995, 0.005)),
        (f"{ERRORS} > 0.02", ("error_ratio", ">", 0.02, None, None)),
        (f"100 * {ERRORS} > 2", ("error_ratio", ">", 0.02, None, None)),
        (
            'sum(rate(http_requests_total{status!~"5.."}[5m])) / sum(rate(http_requests_total[5m])) < 0.98',
            ("error_ratio", ">", 0.02, None, None),
        ),
        (f"sum(rate({TOKENS}[5m])) < 500", ("tokens_per_second", "<", 500.0, None, None)),
    ],
)
def test_the_threshold_of_a_rule_is_read(query: str, expected: tuple[Any, ...]) -> None:
    assert [short(row) for row in read(query)] == [expected]


@pytest.mark.parametrize(
    "query",
    [
        f"{P95} / 2 * 4 > on() group_left threshold",
        f"1 - {P95} > 0.8",
        f"sum(rate({TOKENS}[5m])) > 0 and vector(1)",
        f"{TOKENS} > 5",  # a counter itself
        'sum(rate(http_requests_total{status=~"4.."}[5m])) / sum(rate(http_requests_total[5m])) > 0.1',
        'sum(rate(http_requests_total{handler="/x"}[5m])) / sum(rate(http_requests_total[5m])) > 0.1',
        "rate(other_requests_duration_seconds_sum[5m]) / rate(other_requests_duration_seconds_count[5m]) > 1",
        f"histogram_quantile(scalar(q), rate({FIRST}_bucket[5m])) > 0.8",
        'sum(rate(http_requests_total{status=~"5..",path="/health"}[5m])) / sum(rate(http_requests_total[5m])) > 0.1',
        f"{P95} - {P95} > 0.8",  # how much slower than before
        f"count({P95}) > 3",
        f"absent({P95} > bool 1) > 0.5",
        'sum(rate(http_requests_total{status="504"}[5m])) / sum(rate(http_requests_total[5m])) > 0.1',
        'sum(rate(http_errors_total{code="timeout"}[5m])) / sum(rate(http_requests_total[5m])) > 0.1',
    ],
)
def test_a_rule_that_is_not_understood_for_sure_is_left_out(query: str) -> None:
    assert [row for row in read(query) if row["kind"] != "tokens_per_second"] == []


@pytest.mark.parametrize(
    ("route", "read_at_all"),
    [
        ('endpoint="metrics"', True),  # the port that the Prometheus operator scrapes
        ('endpoint="chat-live"', True),
        ('endpoint="/health"', False),
        ('path="/live/v1/chat/completions"', True),
        ('path="/healthcare/v1/chat/completions"', True),
        ('path=~"/v1/chat/completions|/health"', True),
        ('path=~"/v1/(chat/completions|health)"', True),
        ('path=~"/health|/ready"', False),
        ('path=~"^/(?:healthz|metrics)/?$"', False),
        ('path=~".*/health.*"', False),
        ('path=~"/v1/(chat|images)/health"', False),
        ('path="/v2/health/ready"', False),
        ('path="/health-status"', False),
        ('path="/probes/liveness"', False),
        ('handler="metrics"', False),
        ('url="http://chat.live.example.com/v1"', True),
        ('url=~"https?://chat.live.example.com/v1/.*"', True),
        ('url="http://chat.example.com/health?full=1"', False),
    ],
)
def test_errors_of_routes_that_only_watchers_call_are_left_out(route: str, read_at_all: bool) -> None:
    failing = f'sum(rate(http_requests_total{{status=~"5..",{route}}}[5m]))'
    rows = read(f"{failing} / sum(rate(http_requests_total{{{route}}}[5m])) > 0.1")
    assert [row["kind"] for row in rows] == ["error_ratio"] * read_at_all


def test_a_rule_that_compares_in_a_way_that_is_not_understood_is_remembered_by_what_it_watches() -> None:
    rules = [
        rule(f"{P95} > on() group_left slo_threshold", "ByGoal"),
        rule("model:ttft:p95 > bool on() slo_threshold", "Recorded"),
        rule(P95, "model:ttft:p95", "recording"),
        rule(f"{P95} > 2", "Read"),
        rule(f"absent({FIRST}_bucket)", "Absent"),
        rule(f'count(up{{job="a > b"}}) == 0 and {FIRST}_count == 0', "Compares no size"),
        rule('http_errors_total{code="504"} > 3', "Errors"),
    ]
    found = unread(rules, thresholds(rules, NAMES))
    assert found == {SECONDS: ["ByGoal", "Recorded"], "error_ratio": ["Errors"]}


def test_a_recorded_series_means_what_it_was_recorded_from() -> None:
    (row,) = read("model:ttft:p95 > 0.8", recorded={"model:ttft:p95": P95})
    assert short(row) == (SECONDS, ">", 0.8, 0.95, None)


def test_of_recorded_series_with_one_name_the_labels_choose() -> None:
    """As Sloth 0.11 writes its rules."""
    sloth = [
        rule(ERRORS, "slo:sli_error:ratio_rate5m", "recording", sloth_id="chat"),
        rule(P95, "slo:sli_error:ratio_rate5m", "recording", sloth_id="other"),
        rule('max(slo:sli_error:ratio_rate5m{sloth_id="chat"} > (14.4 * 0.001)) without (sloth_window)'),
    ]
    (found,) = thresholds(sloth, NAMES)
    assert (found.threshold.kind, found.threshold.factors) == ("error_ratio", (14.4, 0.001))
    assert thresholds([*sloth[:2], rule("slo:sli_error:ratio_rate5m > 0.1")], NAMES) == []


@pytest.mark.parametrize(
    ("goal", "query", "expected"),
    [
        (FIRST_P95, f"{P95} > 0.8", "equal"),
        (FIRST_P95, f"{P95} > 0.5", "stricter"),
        (FIRST_P95, f"{P95} > 2", "looser"),
        (FIRST_P95, f"{P95} < 0.8", ""),
        (FIRST_P95, f"{P95.replace('0.95', '0.99')} > 0.8", ""),
        (FIRST_P95, f"{ERRORS} > 0.8", ""),
        (Goal(SECONDS, 1.0, 0.995, True), f"{SLOW} > 14.4 * 0.005", "equal"),
        (Goal(SECONDS, 1.0, 0.995, True), f"{SLOW} > 0.072", "burn"),
        (Goal(SECONDS, 1.0, 0.995, True), f"{SLOW} > 14.4 * 0.05", "looser"),
        (Goal(SECONDS, 1.0, 0.99, True), f"{SLOW} > 0.005", "stricter"),
        (Goal(SECONDS, 2.0, 0.995, True), f"{SLOW} > 0.005", "stricter"),
        (Goal(SECONDS, 2.0, 0.9, True), f"{SLOW} > 0.005", ""),
        (Goal("error_ratio", 0.02), f"{ERRORS} > 0.02", "equal"),
        (Goal("error_ratio", 0.02), f"{ERRORS} > 0.05", "looser"),
        (Goal("error_ratio", 0.001, None, True), f"{ERRORS} > 0.0144", "burn"),
        (Goal("tokens_per_second", 500.0), f"sum(rate({TOKENS}[5m])) < 500", "equal"),
        (Goal("tokens_per_second", 500.0), f"sum(rate({TOKENS}[5m])) < 100", "looser"),
        (Goal("tokens_per_second", 500.0), f"sum(rate({TOKENS}[5m])) > 500", ""),
    ],
)
def test_a_promise_is_held_against_a_threshold(goal: Goal, query: str, expected: str) -> None:
    (row,) = read(query)
    threshold = threshold_from(row)
    assert threshold is not None
    assert compared(goal, threshold) == expected


# Verdicts

HEAD = {"where": 'Prometheus at http://p:9090, {job="chat"}', "rules": 9}
AM = {"alertmanager": {"version": "0.25.0", "holds": []}}
SLO = {"objective": "first token at p95", "target": "800 ms", "window": "28 days"}
URL = "https://wiki.example.com/rollback"
FOUND, GONE = {"url": URL, "status": 200}, {"url": URL, "status": 410}
TRIGGER = {"trigger": "error rate over 2 % for 5 minutes", "runbook_url": URL}


BOTH = [{**row, "shared": True} for row in read(f"{P95} > 0.8")]


def judged(key: str, claims: dict[str, Any], seen: dict[str, Any]) -> Judgement:
    probe = PROBES[key]
    return probe.judge(probe.items[0], claims, {**HEAD, **seen})


@pytest.mark.parametrize(
    ("claims", "seen", "verdict", "part"),
    [
        (SLO, {"thresholds": read(f"{P95} > 0.8"), **AM}, V, "p95 time to the first token over 0.8 s"),
        (SLO, {"thresholds": read(f"{P95} > 0.8")}, V, "Alert Slow"),
        (SLO, {"thresholds": read("x > bool 0.8", f"{P95} > 2", recorded={"x": P95})}, V, "over 0.8 s"),
        (SLO, {"thresholds": read(f"{P95} > 2"), **AM}, C, "but claimed is p95 time to the first token 0.8 s"),
        (SLO, {"thresholds": read(f"{P95} > 2"), "unread": {SECONDS: ["Fast"]}}, I, "how Fast compares the time to"),
        (SLO, {"thresholds": read(f"{P95} > 2"), "unread": {"queue_seconds": ["Fast"]}}, C, "but claimed is"),
        (SLO, {"thresholds": [*read(f"{P95} > 2"), *BOTH]}, I, "with others in one sum"),
        (SLO, {"thresholds": read(f"{P95} > 0.5")}, I, "which is less than"),
        (SLO, {"thresholds": read(f"{ERRORS} > 0.5")}, I, "o rule of this endpoint watches"),
        (SLO, {"thresholds": [{**row, "shared": True} for row in read(f"{P95} > 2")]}, I, "others in one sum"),
        (SLO, {"thresholds": []}, I, "o rule of this endpoint watches"),
        (SLO, {"thresholds": read(f"{P95} > 0.8"), "alertmanager": {"none": True}}, I, "nobody is told"),
        (
            {"objective": "p95 first token 1 s, p95 all requests within 10 s"},
            {"thresholds": read(f"{P95} > 1", f"{P95} > 10"), **AM},
            I,
            "p95 all requests within 10 s",
        ),
        (
            {"objective": "p95 first token 3 s, p95 images ready in 2 s"},
            {"thresholds": read(f"{P95} > 3"), **AM},
            I,
            "p95 images ready in 2 s",
        ),
        ({**SLO, "objective": "answers within the goal"}, {"thresholds": []}, I, "cannot be held against a rule"),
        ({"objective": "it is good", "target": "always"}, {"thresholds": []}, I, "o number was understood"),
        ({"objective": "availability", "target": "99.9 %"}, {"thresholds": read(f"{ERRORS} > 0.0144")}, I, "multiple"),
        ({"objective": "availability", "target": "99.9 %"}, {"thresholds": read(f"{ERRORS} > 6 * 0.001")}, V, "0.6 %"),
        ({"objective": "availability", "target": "99.9 %"}, {"thresholds": read(f"{ERRORS} > 6 * 0.01")}, C, "6 %"),
        ({}, {"thresholds": read(f"{P95} > 0.8")}, I, "Nothing is claimed"),
        (SLO, {"error": "refused", "why": "Prometheus does not let Preflight in (401)."}, I, "does not let"),
    ],
)  # fmt: skip
def test_objectives_are_judged_by_the_rules(
    claims: dict[str, Any], seen: dict[str, Any], verdict: str, part: str
) -> None:
    judgement = judged("prometheus.objectives", claims, seen)
    assert judgement.verdict == verdict, judgement.reason
    assert part in judgement.reason


def held(query: str, seconds: float) -> list[dict[str, Any]]:
    return [{**row, "hold_s": seconds} for row in read(query)]


@pytest.mark.parametrize(
    ("claims", "seen", "verdict", "part"),
    [
        (
            TRIGGER,
            {"thresholds": held(f"{ERRORS} > 0.02", 300), "runbook": FOUND, **AM},
            V,
            "The runbook answers (200)",
        ),
        (TRIGGER, {"thresholds": held(f"{ERRORS} > 0.02", 600), "runbook": FOUND}, I, "waits 600 s, longer"),
        (TRIGGER, {"thresholds": held(f"{ERRORS} > 0.1", 0), "runbook": FOUND}, C, "over 10 %, but claimed is"),
        (TRIGGER, {"thresholds": held(f"{ERRORS} > 0.02", 0), "runbook": GONE}, C, "gone for good"),
        (TRIGGER, {"error": "no_address", "why": "No Prometheus.", "runbook": GONE}, C, "gone for good"),
        (TRIGGER, {"error": "no_address", "why": "No Prometheus.", "runbook": FOUND}, I, "No Prometheus."),
        (TRIGGER, {"thresholds": held(f"{ERRORS} > 0.02", 0), "runbook": {**FOUND, "status": 404}}, I, "404"),
        (TRIGGER, {"thresholds": held(f"{ERRORS} > 0.02", 0), "runbook": {**FOUND, "status": 401}}, I, "sign-in"),
        (TRIGGER, {"thresholds": held(f"{ERRORS} > 0.02", 0), "runbook": {**FOUND, "url": "x"}}, I, "claim changed"),
        (
            TRIGGER,
            {"thresholds": held(f"{ERRORS} > 0.02", 0), "runbook": FOUND, "alertmanager": {"none": True}},
            I,
            "nobody is told",
        ),
        (TRIGGER, {"thresholds": [], "runbook": FOUND}, I, "o rule of this endpoint watches the share of errors"),
        (
            TRIGGER,
            {"thresholds": read("x > bool 0.02", recorded={"y": f"{ERRORS} > bool 0.02"}), "runbook": FOUND},
            I,
            "o rule of this endpoint",  # a rule that only records tells nobody
        ),
        (
            {"trigger": "p95 above twice the goal", "runbook_url": URL},
            {"thresholds": [], "runbook": FOUND},
            I,
            "number",
        ),
        ({"runbook_url": URL}, {"thresholds": [], "runbook": FOUND}, I, "No trigger is claimed"),
        ({}, {"thresholds": [], "runbook": {}}, I, "Nothing is claimed"),
    ],
)
def test_a_trigger_is_judged_by_alerts_and_runbook(
    claims: dict[str, Any], seen: dict[str, Any], verdict: str, part: str
) -> None:
    judgement = judged("prometheus.rollback", claims, seen)
    assert judgement.verdict == verdict, judgement.reason
    assert part in judgement.reason


JSON = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False) | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=12), inner, max_size=3),
    max_leaves=8,
)


@given(st.sampled_from(["prometheus.objectives", "prometheus.rollback"]), st.data())
def test_no_claim_and_no_observation_makes_a_judgement_fail(key: str, data: st.DataObject) -> None:
    keys = st.sampled_from(["objective", "target", "trigger", "runbook_url"])
    claims = data.draw(st.dictionaries(keys, JSON))
    rows = st.lists(st.fixed_dictionaries({"kind": st.just(SECONDS), "limit": JSON, "quantile": JSON, "share": JSON}))
    seen = data.draw(st.fixed_dictionaries({"thresholds": rows | JSON, "alertmanager": JSON, "runbook": JSON}))
    assert judged(key, claims, seen).verdict in (V, C, I)


def test_rules_settle_wherever_a_server_exports_metrics() -> None:
    for key in ("prometheus.objectives", "prometheus.rollback"):
        probe = PROBES[key]
        assert probe.settles(probe.items[0], STACKS["vllm"]) == ""
        assert probe.settles(probe.items[0], STACKS["ollama"]) == "Ollama exports no metrics."
        assert probe.settles("operations.owner", STACKS["vllm"])


# At a server: the shapes of the HTTP APIs of Prometheus 2.42 to 3.5 and Alertmanager 0.24 to 0.28


def success(data: Any) -> dict[str, Any]:
    return {"status": "success", "data": data}


class Monitoring:
    """Answers as a Prometheus with one alert does, and as the Alertmanager it tells of; and as a wiki."""

    def __init__(self, managers: list[str] | None = None, query: str = f"{P95} > 0.8") -> None:
        self.managers, self.query = managers, query
        self.together = 5  # series that the alert's selector has, of which five are the endpoint's
        self.known = True  # whether the alert's series are the endpoint's

    def __call__(self, request: Request) -> None:
        path = request.path.partition("?")[0]
        if path.endswith("/label/__name__/values"):
            return request.reply(200, success(sorted(NAMES)))
        if path.endswith("/rules"):
            alert = {"type": "alerting", "name": "Slow", "query": self.query, "duration": 60, "health": "ok"}
            return request.reply(200, success({"groups": [{"name": "g", "rules": [alert]}]}))
        if path.endswith("/api/v1/alertmanagers"):
            base = f"http://{request.headers['host']}"
            rows = [{"url": url.replace("SELF", base)} for url in self.managers or []]
            return request.reply(200, success({"activeAlertmanagers": rows, "droppedAlertmanagers": []}))
        if path.endswith("/api/v2/status"):
            secret = {"original": "receivers:\n- slack_api_url: https://hooks.example.com/T000/xoxb-secret"}
            return request.reply(200, {"versionInfo": {"version": "0.25.0"}, "config": secret, "cluster": {}})
        if path.endswith("/api/v2/alerts"):
            ours, other = {"alertname": "Slow", "job": "chat"}, {"alertname": "Slow", "job": "x"}
            held = [{"labels": ours, "status": {"state": "active"}}, {"labels": other}]
            return request.reply(200, held)
        if path.endswith("/query"):
            asked = self.known or "preflight" not in request.path
            rows = [{"metric": {"preflight": "0"}, "value": [1.0, "5"]}]
            rows.append({"metric": {"preflight": "0 of all"}, "value": [1.0, str(self.together)]})
            return request.reply(200, success({"resultType": "vector", "result": rows if asked else []}))
        return request.reply(200, "Roll back like this.")


def at(server: Any, key: str, **target: Any) -> tuple[dict[str, Any], Any]:
    chosen = Target("main", "http://10.9.9.9:8000", prometheus_url=server.url, labels={"job": "chat"}, **target)
    return observe(key, chosen)


def test_an_alert_and_the_alertmanager_that_prometheus_tells_of_are_found() -> None:
    with serving(Monitoring(["SELF/api/v2/alerts"])) as server:
        seen, visit = at(server, "prometheus.objectives")
    judgement = PROBES["prometheus.objectives"].judge("operations.slos", SLO, seen)
    assert (judgement.verdict, seen["alertmanager"]) == (V, {"version": "0.25.0", "holds": ["Slow"]})
    assert "Alertmanager 0.25.0 answers and holds Slow" in judgement.reason
    kept = [exchange for exchange in visit.clean_exchanges() if "/api/v2/status" in exchange.line]
    assert [exchange.body for exchange in kept] == ['{"versionInfo": {"version": "0.25.0"}}']
    assert "xoxb" not in "".join(exchange.body for exchange in visit.exchanges)


def test_a_rule_of_other_series_is_not_this_endpoints() -> None:
    monitoring = Monitoring([])
    monitoring.known = False
    with serving(monitoring) as server:
        seen, _ = at(server, "prometheus.objectives")
    assert seen["thresholds"] == []


def test_a_rule_that_sums_up_several_endpoints_says_little_of_one() -> None:
    for query, shared in ((f"{P95} > 0.8", True), (f"{P95.replace('(le)', '(le, job)')} > 0.8", False)):
        monitoring = Monitoring([], query)
        monitoring.together = 9
        with serving(monitoring) as server:
            seen, _ = at(server, "prometheus.objectives")
        assert [row["shared"] for row in seen["thresholds"]] == [shared]


def test_rules_that_mention_a_name_through_others_are_relevant() -> None:
    rules = [rule("b > 1"), rule("a", "b", "recording"), rule(TOKENS, "a", "recording"), rule("other > 1")]
    assert [one.query for one in relevant(rules, NAMES)] == ["b > 1", "a", TOKENS]


def test_of_too_many_rules_none_is_read() -> None:
    for query in (f"{P95} > 0.8", f"{P95} > 0.8 or " * 35 + "x"):

        def answer(request: Request, query: str = query) -> None:
            if "/rules" in request.path:
                alert = {"type": "alerting", "name": "Slow", "query": query, "health": "ok"}
                return request.reply(200, success({"groups": [{"name": "g", "rules": [alert] * 121}]}))
            return Monitoring()(request)

        with serving(answer) as server:
            seen, _ = at(server, "prometheus.objectives")
        assert seen["error"] == "too_many_rules"
        assert judged("prometheus.objectives", SLO, seen).verdict == I


def test_a_rule_that_asks_for_another_endpoints_label_is_not_counted() -> None:
    monitoring = Monitoring([], f"{P95.replace('_bucket', '_bucket{job=`other`}')} > 0.8")
    with serving(monitoring) as server:
        seen, _ = at(server, "prometheus.objectives")
        assert seen["thresholds"] == []
        assert not [path for path in server.asked() if "last_over_time" in path and "other" in path]


def test_an_alertmanager_where_probes_may_not_go_is_not_asked() -> None:
    with serving(Monitoring(["http://169.254.169.254/api/v2/alerts"])) as server:
        seen, visit = at(server, "prometheus.objectives")
    assert seen["alertmanager"]["error"] == "refused_address"
    assert [row["error"] for row in visit.log if "169.254" in row["line"]]


def test_alerts_that_prometheus_sends_nowhere_verify_nothing() -> None:
    with serving(Monitoring([])) as server:
        seen, _ = at(server, "prometheus.objectives")
    assert PROBES["prometheus.objectives"].judge("operations.slos", SLO, seen).verdict == I


def test_the_recorded_alertmanager_is_asked_and_the_runbook_without_credentials() -> None:
    with serving(Monitoring([], f"{ERRORS} > 0.02")) as server:
        claims = {"trigger": "error rate over 2 % for 5 minutes", "runbook_url": f"{server.url}/wiki"}
        headers = {"Authorization": "Bearer key-of-the-endpoint"}
        seen, _ = at(
            server,
            "prometheus.rollback",
            alertmanager_url=f"{server.url}/#/alerts",
            claims={"release.rollback": claims},
            headers=headers,
        )
        asked = server.asked()
        assert all("authorization" not in request.headers for request in server.seen)
    judgement = PROBES["prometheus.rollback"].judge("release.rollback", claims, seen)
    assert judgement.verdict == V, judgement.reason
    assert {"GET /wiki", "GET /api/v2/status", "GET /api/v2/alerts"} <= set(asked)
    assert "GET /api/v1/alertmanagers" not in asked


@pytest.mark.parametrize("body", [b"", b"[]", b'{"status":"success","data":{"groups":7}}', b"<html>", b'{"a":' * 9000])
def test_what_is_no_list_of_rules_is_an_outcome(body: bytes) -> None:
    def answer(request: Request) -> None:
        if "/rules" in request.path:
            return request.reply(200, body)
        return Monitoring()(request)

    with serving(answer) as server:
        seen, _ = at(server, "prometheus.objectives")
    assert seen["error"] == "invalid"
    assert judged("prometheus.objectives", SLO, seen).verdict == I
