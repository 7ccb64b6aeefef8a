"""A real Prometheus and a real Alertmanager, asked over their own HTTP APIs: what probes of them stand on."""

from __future__ import annotations

import time
from typing import Any
from urllib.parse import urlencode

import pytest

from tests.evidence.real.conftest import P95, RECORDED, Webhook
from tests.evidence.real.launch import Server, eventually
from tests.evidence.real.metrics_page import BUSY, FIRST_TOKEN, IDLE, TOKENS

pytestmark = pytest.mark.servers("prometheus", "prometheus-alertmanager")


def query(server: Server, expression: str) -> list[dict[str, Any]]:
    """The result of an instant query."""
    answer = server.json(f"/api/v1/query?{urlencode({'query': expression})}")
    assert answer["status"] == "success"
    return list(answer["data"]["result"])


def rules(server: Server) -> dict[str, dict[str, Any]]:
    groups = server.json("/api/v1/rules")["data"]["groups"]
    return {rule["name"]: rule for group in groups for rule in group["rules"]}


def test_a_quantile_over_a_window_lies_in_the_bucket_that_the_page_puts_it_in(prometheus: Server) -> None:
    (row,) = eventually(lambda: [row for row in query(prometheus, P95) if row["value"][1] != "NaN"])
    assert 0.25 < float(row["value"][1]) <= 0.5


def test_the_quantile_of_an_idle_model_is_not_a_number(prometheus: Server) -> None:
    expression = P95.replace(BUSY, IDLE)
    (row,) = eventually(lambda: query(prometheus, expression))
    assert row["value"][1] == "NaN"


def test_a_metric_that_nobody_exports_has_an_empty_result(prometheus: Server) -> None:
    assert query(prometheus, "no_such_metric_total") == []


def test_a_range_holds_one_value_for_every_step_and_a_counter_that_rises(prometheus: Server) -> None:
    def values() -> list[float]:
        now = time.time()
        window = {"query": f'{TOKENS}{{model_name="{BUSY}"}}', "start": now - 3, "end": now, "step": 1}
        (series,) = prometheus.json(f"/api/v1/query_range?{urlencode(window)}")["data"]["result"]
        seen = [float(value) for _, value in series["values"]]
        return seen if len(seen) == 4 else []

    seen = eventually(values)
    assert seen == sorted(seen)
    assert seen[-1] > seen[0]


def test_a_target_is_up_and_one_where_nobody_listens_is_down(prometheus: Server) -> None:
    def health() -> dict[str, str]:
        targets = prometheus.json("/api/v1/targets?state=active")["data"]["activeTargets"]
        seen = {target["labels"]["job"]: target["health"] for target in targets}
        return seen if "unknown" not in seen.values() else {}

    assert eventually(health) == {"model": "up", "nobody": "down"}
    assert query(prometheus, "up{namespace='serving'}")[0]["value"][1] == "1"


def test_rules_record_fire_wait_and_keep_quiet(prometheus: Server) -> None:
    def states() -> dict[str, str]:
        seen = {name: rule["state"] for name, rule in rules(prometheus).items() if rule["type"] == "alerting"}
        return seen if seen["FirstTokenSlow"] == "firing" else {}

    assert eventually(states) == {
        "FirstTokenSlow": "firing",
        "FirstTokenVerySlow": "inactive",
        "FirstTokenSlowForLong": "pending",
    }
    assert rules(prometheus)[RECORDED]["type"] == "recording"
    (row,) = eventually(lambda: [row for row in query(prometheus, RECORDED) if row["value"][1] != "NaN"])
    assert 0.25 < float(row["value"][1]) <= 0.5


def test_alertmanager_holds_what_prometheus_fired_and_tells_its_receiver(
    prometheus: Server, alertmanager: Server, webhook: Webhook
) -> None:
    alerts = eventually(lambda: alertmanager.json("/api/v2/alerts"))
    assert {alert["labels"]["alertname"] for alert in alerts} == {"FirstTokenSlow"}
    assert alerts[0]["status"]["state"] == "active"
    told = eventually(lambda: list(webhook.received))
    assert told[0]["alerts"][0]["labels"]["severity"] == "page"


def test_alertmanagers_status_holds_its_whole_configuration(alertmanager: Server, webhook: Webhook) -> None:
    status = alertmanager.json("/api/v2/status")
    assert status["versionInfo"]["version"]
    assert webhook.url in status["config"]["original"]


def test_the_histogram_that_is_scraped_is_the_one_that_is_served(prometheus: Server) -> None:
    expression = f'{FIRST_TOKEN}_bucket{{model_name="{IDLE}"}}'
    counts = {row["metric"]["le"]: float(row["value"][1]) for row in eventually(lambda: query(prometheus, expression))}
    assert counts == {"0.1": 0, "0.25": 50, "0.5": 96, "1.0": 100, "+Inf": 100}
