"""Roll-outs, guardrails and dashboards: what is concluded from what Prometheus and Grafana show, with every doubt.

Names and labels: Argo Rollouts 1.8, Flagger 1.42, Istio 1.20, Knative Serving 1.17, ingress-nginx 1.13, LiteLLM 1.82;
answers of Grafana: its HTTP API's documentation, 9 to 12.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from checklists.evidence.coverage import coverage
from checklists.evidence.probes import PROBES, Judgement, Target
from checklists.evidence.probes.prometheus import PROMISE_PROBES
from checklists.evidence.probes.prometheus.rollouts import newcomer
from checklists.evidence.sources.exporters import SPLITS
from checklists.evidence.stacks import STACKS
from tests.evidence.loopback import Request, observe, serving

V, C, I = "verified", "contradicted", "inconclusive"  # noqa: E741
HEAD = {"where": 'Prometheus at http://p:9090, {job="chat"}', "workload": "chat"}


def judged(key: str, claims: dict[str, Any], seen: dict[str, Any], item: str = "") -> Judgement:
    return PROBES[key].judge(item or PROBES[key].items[0], claims, seen)


# Roll-outs

CANARY = {"strategy": "canary", "first_share": 5}
ARRIVAL = {"version": "chat-v2", "at": 1.7e9, "share": 0.05, "requests": 2000.0, "name": "istio_requests_total"}


@pytest.mark.parametrize(
    ("claims", "seen", "verdict", "part"),
    [
        (CANARY, {"arrival": ARRIVAL}, V, "chat-v2 answered 5.0% of 2000 requests in its first quarter of an hour"),
        (CANARY, {"arrival": {**ARRIVAL, "share": 0.06}}, V, "6.0%"),  # within what counting 2000 can tell
        (CANARY, {"arrival": {**ARRIVAL, "share": 0.3}}, I, "it may have grown within that time"),
        (CANARY, {"arrival": {**ARRIVAL, "share": 0.97}}, C, "nearly all at once"),
        (CANARY, {"arrival": {**ARRIVAL, "requests": 19.0}}, I, "Nothing here shows"),
        (CANARY, {"flagger": True, "weight": 5.0}, V, "Flagger began with 5 %"),
        (CANARY, {"flagger": True, "weight": 50.0}, C, "more than claimed"),
        (CANARY, {"flagger": True, "weight": None}, I, "no new version came"),
        ({"strategy": "canary"}, {"flagger": True, "weight": None}, V, "Flagger shifts its traffic"),
        ({"strategy": "weighted"}, {"argo": ["canary"]}, V, "Argo Rollouts shifts its traffic"),
        (CANARY, {"argo": ["canary"]}, I, "no share was seen"),
        (CANARY, {"argo": ["blue_green"]}, C, "Argo Rollouts is set to blue-green"),
        ({"strategy": "blue_green"}, {"argo": ["blue_green"]}, V, "set to blue-green"),
        ({"strategy": "blue_green"}, {"argo": ["canary"]}, C, "set to canary"),
        ({"strategy": "blue_green"}, {"arrival": ARRIVAL}, I, "the plan must tell"),
        ({"strategy": "all_at_once"}, {"arrival": {**ARRIVAL, "share": 0.99}}, V, "99.0%"),
        ({"strategy": "all_at_once"}, {"arrival": ARRIVAL}, C, "5.0%"),
        ({"strategy": "all_at_once"}, {"arrival": {**ARRIVAL, "share": 0.7}}, I, "70.0%"),
        ({"strategy": "rings", "first_share": 5}, {"arrival": ARRIVAL}, I, "which users"),
        (CANARY, {}, I, "Nothing here shows how a new version gets its traffic"),
        ({}, {"argo": ["canary"]}, I, "Seen: Argo Rollouts: canary"),
        (CANARY, {"error": "no_pods", "why": "No pods."}, I, "No pods."),
    ],
)
def test_a_roll_out_is_judged_by_how_the_traffic_moved(
    claims: dict[str, Any], seen: dict[str, Any], verdict: str, part: str
) -> None:
    judgement = judged("prometheus.rollout", claims, {**HEAD, **seen})
    assert judgement.verdict == verdict, judgement.reason
    assert part in judgement.reason


def test_the_version_that_came_last_is_the_new_one() -> None:
    old, new = {1.0: 100.0, 2.0: 95.0, 3.0: 95.0, 4.0: 90.0}, {1.0: 0.0, 2.0: 5.0, 3.0: 5.0, 4.0: 10.0}
    found = newcomer({"v1": old, "v2": new})
    assert (found["version"], found["at"], found["requests"]) == ("v2", 2.0, 300.0)
    assert found["share"] == pytest.approx(20 / 300)


def test_a_version_before_which_nobody_answered_took_nothing_over() -> None:
    assert newcomer({"v1": {1.0: 5.0}, "v2": {1.0: 5.0}}) == {}
    assert newcomer({"v1": {1.0: 0.0, 2.0: 5.0}, "v2": {1.0: 0.0}}) == {}
    assert newcomer({}) == {}


def test_of_marked_versions_only_one_with_a_name_is_a_canary() -> None:
    rows = {"": {1.0: 0.0, 2.0: 90.0}, "llm-chat-80": {1.0: 5.0, 2.0: 10.0}}
    assert newcomer(rows, marked=True) == {}
    assert newcomer(rows)["version"] == ""


@given(st.dictionaries(st.text(max_size=3), st.dictionaries(st.floats(0, 9e9), st.floats(0, 1e9))), st.booleans())
def test_a_first_share_is_a_share(versions: dict[str, dict[float, float]], marked: bool) -> None:
    found = newcomer(versions, marked)
    assert found == {} or 0 <= found["share"] <= 1


class Cluster:
    """Answers as a Prometheus with one vLLM pod and a split of traffic does; remembers the queries."""

    def __init__(self, split: str = "", weight: bool = False) -> None:
        self.split, self.weight = split, weight
        self.queries: list[str] = []

    def __call__(self, request: Request) -> None:
        asked = parse_qs(urlsplit(request.path).query)
        query = (asked.get("query") or [""])[0]
        self.queries.append(query)
        if "/label/" in request.path:
            return request.reply(200, {"status": "success", "data": ["vllm:num_requests_running"]})
        rows: list[dict[str, Any]] = []
        if query.startswith("count by (model_name"):
            rows = [{"namespace": "llm", "pod": "chat-v2-7d9f8b6c5d-x2x4z", "instance": "10.0.0.1:8000"}]
        elif "preflight" in query and self.weight:
            rows = [{"preflight": "flagger"}]
        elif self.split and query.startswith("count by (") and self.split in query:
            rows = [{split.service: "chat.llm" for split in SPLITS if split.name == self.split}]
        elif "query_range" in request.path and "flagger" in query:
            end = float(asked["end"][0])
            values = [[end - 60 * (9 - at), weight] for at, weight in enumerate(["50", "0", "5", "20", "2", "0"])]
            row = {"metric": {}, "values": values}
            return request.reply(200, {"status": "success", "data": {"resultType": "matrix", "result": [row]}})
        elif "query_range" in request.path and self.split in query:
            label = next(split.version for split in SPLITS if split.name == self.split)
            end = float(asked["end"][0])
            steps = [end - 900 + 300 * number for number in range(4)]
            old = {"metric": {label: "chat-v1"}, "values": [[at, "95"] for at in steps]}
            new = {"metric": {label: "chat-v2"}, "values": [[at, "5"] for at in steps[1:]]}
            return request.reply(200, {"status": "success", "data": {"resultType": "matrix", "result": [old, new]}})
        result = [{"metric": row, "value": [1.7e9, "5"]} for row in rows]
        return request.reply(200, {"status": "success", "data": {"resultType": "vector", "result": result}})


@pytest.mark.parametrize("split", [split.name for split in SPLITS])
def test_a_split_is_read_from_every_counter_that_tells_versions_apart(split: str) -> None:
    cluster = Cluster(split)
    with serving(cluster) as server:
        target = Target("main", "http://10.9.9.9:8000", prometheus_url=server.url, labels={"job": "chat"})
        seen, _ = observe("prometheus.rollout", target)
    assert seen["arrival"]["version"] == "chat-v2"
    assert seen["arrival"]["share"] == pytest.approx(0.05)
    assert judged("prometheus.rollout", CANARY, seen).verdict == V
    assert judged("prometheus.rollout", {**CANARY, "strategy": "all_at_once"}, seen).verdict == C


def test_flaggers_weight_is_asked_for_by_the_name_without_primary() -> None:
    cluster = Cluster(weight=True)
    with serving(cluster) as server:
        target = Target("main", "http://10.9.9.9:8000", prometheus_url=server.url, labels={"job": "chat"})
        seen, _ = observe("prometheus.rollout", target)
    assert (seen["workload"], seen["flagger"], seen["weight"]) == ("chat-v2", True, 5.0)
    assert any('flagger_canary_weight{workload="chat-v2",namespace="llm"}' in query for query in cluster.queries)


# Guardrails

PRESIDIO = {"presidio-pii": {"runs": 100.0, "errors": 8.0, "broken": 0.0}}
RULES = {"rules": "types and sizes", "guardrail": "Presidio PII 2.2"}


def runs(**changed: float) -> dict[str, Any]:
    return {**HEAD, "guardrails": {"presidio-pii": {**PRESIDIO["presidio-pii"], **changed}}}


@pytest.mark.parametrize(
    ("claims", "seen", "verdict", "part"),
    [
        (RULES, runs(), V, "presidio-pii ran 100 times; 0 times it failed itself, 8 times it ended a request"),
        (RULES, runs(errors=60, broken=60), C, "60 times it failed itself"),
        (RULES, runs(errors=20, broken=20), I, "20 times it failed itself"),
        (RULES, runs(errors=90), I, "90 times it ended a request"),
        (RULES, runs(runs=19), I, "Fewer than 20 runs"),
        ({**RULES, "guardrail": "Lakera"}, runs(), I, "a person must tell"),
        ({"rules": "sizes"}, runs(), I, "Seen: presidio-pii"),
        (RULES, {"error": "no_guardrail", "why": "None is seen."}, I, "None is seen."),
    ],
)
def test_a_guardrail_is_judged_by_its_runs(
    claims: dict[str, Any], seen: dict[str, Any], verdict: str, part: str
) -> None:
    judgement = judged("prometheus.guardrails", claims, seen)
    assert judgement.verdict == verdict, judgement.reason
    assert part in judgement.reason


def test_only_a_gateway_that_counts_guardrails_settles_them() -> None:
    probe = PROBES["prometheus.guardrails"]
    assert probe.settles(probe.items[0], STACKS["litellm"]) == ""
    assert probe.settles(probe.items[0], STACKS["vllm"]) == "vLLM counts no runs of guardrails."


# Dashboards

GPU, THROUGHPUT = "observability.gpu", "observability.throughput"
DOCUMENT = {
    "dashboard": {
        "uid": "gpu1",
        "title": "GPUs",
        "panels": [
            {"targets": [{"expr": 'avg by (gpu) (DCGM_FI_DEV_GPU_UTIL{namespace="$ns"})'}]},
            {"panels": [{"targets": [{"expr": "sum(rate(vllm:generation_tokens_total[5m]))"}]}]},
        ],
    },
    "meta": {"slug": "gpus"},
}
ROW = {"uid": "gpu1", "title": "GPUs", "type": "dash-db", "url": "/d/gpu1/gpus"}


class Grafana:
    """Answers as Grafana does to somebody without an account: what it has, or who may see it."""

    def __init__(self, rows: Any = (ROW,), document: Any = DOCUMENT, status: int = 200, hidden: bool = False) -> None:
        self.rows, self.document, self.status, self.hidden = list(rows), document, status, hidden

    def __call__(self, request: Request) -> None:
        path = urlsplit(request.path).path
        if self.hidden:
            return request.reply(401, {"message": "Unauthorized"})
        if path == "/grafana/api/search":
            return request.reply(200, self.rows)
        if path.startswith("/grafana/api/dashboards/uid/"):
            return request.reply(self.status, self.document)
        return request.reply(404, {"message": "Not found"})


def looked_at(grafana: Any, path: str = "/grafana/d/gpu1/gpus?orgId=1", item: str = GPU, **claims: Any) -> Judgement:
    with serving(grafana) as server:
        claims = {"dashboard_url": server.url + path, **claims}
        seen, visit = observe("grafana.dashboards", Target("", "", claims={item: claims}))
        assert "panels" not in "".join(exchange.body for exchange in visit.exchanges)
        assert all("authorization" not in request.headers for request in server.seen)
    return judged("grafana.dashboards", claims, seen, item)


MISSING: dict[str, Any] = {"document": {"message": "Dashboard not found"}, "status": 404, "rows": ()}


@pytest.mark.parametrize(
    ("grafana", "verdict", "part"),
    [
        (Grafana(), V, "“GPUs” exists and shows DCGM_FI_DEV_GPU_UTIL"),
        (Grafana(rows=()), V, "exists and shows"),  # the search index may lag behind
        (Grafana(**MISSING), C, "no dashboard with this uid"),
        (Grafana(hidden=True), I, "asks to sign in"),
        (Grafana(rows=(), document={"message": "Access denied"}, status=403), I, "asks to sign in"),
        (Grafana(document={"message": "Access denied"}, status=403), I, "exists, but it cannot be read"),
        (
            Grafana(document={"dashboard": {"uid": "gpu1", "panels": []}}),
            I,
            "none of its queries is known to show GPUs",
        ),
        (Grafana(rows=[{"uid": "other"}], document={"detail": "Not Found"}, status=404), I, "does not speak Grafana"),
        (Grafana(rows=(), document="", status=500), I, "Grafana answered 500"),
    ],
)
def test_a_dashboard_is_judged_by_what_grafana_says_of_it(grafana: Grafana, verdict: str, part: str) -> None:
    judgement = looked_at(grafana)
    assert judgement.verdict == verdict, judgement.reason
    assert part in judgement.reason


def test_a_dashboard_of_throughput_must_show_the_metric_that_is_claimed() -> None:
    shown = looked_at(Grafana(), item=THROUGHPUT, metric_name="vllm:generation_tokens")
    assert (shown.verdict, shown.observed) == (V, "vllm:generation_tokens_total")
    assert looked_at(Grafana(), item=THROUGHPUT, metric_name="tokens_out_total").verdict == I
    assert looked_at(Grafana(**MISSING), item=THROUGHPUT, metric_name="x").verdict == C


def test_a_page_to_sign_in_says_nothing_of_a_dashboard() -> None:
    page = {"Content-Type": "text/html"}
    judgement = looked_at(lambda request: request.reply(200, "<html>Sign in</html>", page))
    assert (judgement.verdict, "asks to sign in" in judgement.reason) == (I, True)


@pytest.mark.parametrize("path", ["/grafana/dashboards", "/board/7", "/d/", "/d/../../etc/passwd"])
def test_an_address_that_is_no_dashboards_is_not_asked(path: str) -> None:
    def never(request: Request) -> None:
        raise AssertionError(request.path)

    judgement = looked_at(never, path)
    assert (judgement.verdict, "not that of a Grafana dashboard" in judgement.reason) == (I, True)


def test_a_dashboard_that_is_claimed_anew_must_be_looked_at_again() -> None:
    seen = {GPU: {"url": "http://g/d/a", "state": "absent"}}
    judgement = judged("grafana.dashboards", {"dashboard_url": "http://g/d/b"}, seen, GPU)
    assert (judgement.verdict, "probe again" in judgement.reason) == (I, True)
    assert judged("grafana.dashboards", {}, {}, GPU).verdict == I


# All of them


@pytest.mark.parametrize("probe", PROMISE_PROBES, ids=lambda probe: probe.key)
def test_without_any_source_every_probe_says_why_and_asks_nobody(probe: Any) -> None:
    observation, visit = observe(probe.key, Target("main", "http://10.9.9.9:8000", labels={"job": "x"}))
    assert visit.log == []
    claims = {"objective": "p95 first token", "target": "1 s", "trigger": "p95 first token 1 s", "strategy": "canary"}
    judgement = probe.judge(probe.items[0], claims, observation)
    assert (judgement.verdict, bool(judgement.reason)) == (I, True)


def test_a_vllm_with_prometheus_settles_objectives_rollback_and_roll_outs() -> None:
    settled = {row.item for row in coverage("vllm", prometheus=True, may_generate=False) if row.settled}
    assert {"operations.slos", "release.rollback", "release.gradual-rollout"} <= settled
