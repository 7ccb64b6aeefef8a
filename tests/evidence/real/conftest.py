"""The real servers as fixtures: each is started when the first test asks for it, and ended with the session."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from checklists.evidence.probes import Observation, Target
from tests.evidence.loopback import Request, serving
from tests.evidence.real import launch
from tests.evidence.real.metrics_page import BUSY, FIRST_TOKEN, MetricsPage
from tests.evidence.real.probing import probe
from tests.evidence.real.prometheus_claims import RULES as RULES_OF_STACKS
from tests.evidence.real.serving_past import STACK_NAMES, counted_by, every_stack

# p95 of the page's first-token times lies between 0.25 and 0.5 s, whatever the window.
P95 = f'histogram_quantile(0.95, sum by (le) (rate({FIRST_TOKEN}_bucket{{model_name="{BUSY}"}}[10s])))'
RECORDED = "model:first_token_seconds:p95"
RULES: tuple[dict[str, Any], ...] = (
    {"record": RECORDED, "expr": P95},
    {"alert": "FirstTokenSlow", "expr": f"{P95} > 0.2", "labels": {"severity": "page"}},  # fires
    {"alert": "FirstTokenVerySlow", "expr": f"{P95} > 2", "labels": {"severity": "page"}},  # never
    {"alert": "FirstTokenSlowForLong", "expr": f"{P95} > 0.2", "for": "1h"},  # stays pending
)


@dataclass
class Webhook:
    """Where Alertmanager sends its notifications."""

    url: str
    received: list[dict[str, Any]] = field(default_factory=list)


@pytest.fixture(scope="session")
def litellm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[launch.Server]:
    """LiteLLM as people run it: guarded by a master key, its metrics open to anyone."""
    with launch.litellm(tmp_path_factory.mktemp("litellm")) as server:
        yield server


@pytest.fixture(scope="session")
def guarded_litellm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[launch.Server]:
    """LiteLLM whose metrics ask for the key too."""
    with launch.litellm(tmp_path_factory.mktemp("guarded-litellm"), guard_metrics=True) as server:
        yield server


@pytest.fixture(scope="session")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Iterator[launch.Server]:
    """llama-cpp-python's server with an API key."""
    with launch.llama_cpp_python(tmp_path_factory.mktemp("llama")) as server:
        yield server


@pytest.fixture(scope="session")
def open_llama(tmp_path_factory: pytest.TempPathFactory) -> Iterator[launch.Server]:
    """llama-cpp-python's server without a key."""
    with launch.llama_cpp_python(tmp_path_factory.mktemp("open-llama"), key="") as server:
        yield server


@pytest.fixture(scope="session")
def metrics_page() -> Iterator[tuple[MetricsPage, str]]:
    """The page of ``metrics_page.py``, and its address."""
    page = MetricsPage()
    with serving(page) as server:
        yield page, f"{server.url}/metrics"


@pytest.fixture(scope="session")
def webhook() -> Iterator[Webhook]:
    hook = Webhook("")

    def receive(request: Request) -> None:
        hook.received.append(request.json())
        request.reply(200)

    with serving(receive) as server:
        hook.url = f"{server.url}/alerts"
        yield hook


@pytest.fixture(scope="session")
def alertmanager(webhook: Webhook, tmp_path_factory: pytest.TempPathFactory) -> Iterator[launch.Server]:
    with launch.alertmanager(tmp_path_factory.mktemp("alertmanager"), webhook=webhook.url) as server:
        yield server


@pytest.fixture(scope="session")
def prometheus(
    metrics_page: tuple[MetricsPage, str], alertmanager: launch.Server, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[launch.Server]:
    """Scrapes the metrics page (job ``model``) and a port where nobody listens (``nobody``); has read some pages."""
    page, url = metrics_page
    address = url.removeprefix("http://").removesuffix("/metrics")
    jobs: dict[str, dict[str, Any]] = {
        "model": {"static_configs": [{"targets": [address], "labels": {"namespace": "serving"}}]},
        "nobody": {"static_configs": [{"targets": ["127.0.0.1:1"]}]},
    }
    directory = tmp_path_factory.mktemp("prometheus")
    with launch.prometheus(directory, jobs, rules=RULES, alertmanager=alertmanager) as server:
        launch.eventually(lambda: page.scrapes >= 4)
        yield server


@pytest.fixture(scope="session")
def well_known(alertmanager: launch.Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[launch.Server]:
    """A Prometheus with the past of every stack (``serving_past.py``), rules, and a GPU exporter that is down."""
    directory = tmp_path_factory.mktemp("well-known")
    every_stack().write(directory / "data")
    down = {"dcgm-exporter": {"static_configs": [{"targets": ["127.0.0.1:1"]}]}}
    with launch.prometheus(directory, down, rules=RULES_OF_STACKS, alertmanager=alertmanager) as server:
        launch.eventually(lambda: server.json("/api/v1/alertmanagers")["data"]["activeAlertmanagers"])
        health = lambda: [row["health"] for row in server.json("/api/v1/targets")["data"]["activeTargets"]]  # noqa: E731
        launch.eventually(lambda: "down" in health())
        yield server


@pytest.fixture(scope="session")
def addresses() -> Iterator[dict[str, str]]:
    """What ``{wiki}`` (anything is there) and ``{grafana}`` in a claim stand for."""
    with serving(lambda request: request.reply(200, "How to roll back")) as wiki, serving(grafana) as dashboards:
        yield {"{wiki}": wiki.url, "{grafana}": dashboards.url}


def grafana(request: Request) -> None:
    """Answers as Grafana's HTTP API (9 to 12) is documented to, to somebody without an account: two dashboards are
    there, though the search does not list them yet, and any other is not found."""
    shown = [f"sum(rate({counted_by(stack)}[5m]))" for stack in STACK_NAMES]
    panels = [{"targets": [{"expr": expression}]} for expression in ("avg by (gpu) (DCGM_FI_DEV_GPU_UTIL)", *shown)]
    table: dict[str, Any] = {"/api/search": []}
    for uid, has in (("serving", panels), ("empty", [])):
        document = {"uid": uid, "title": uid.capitalize(), "panels": has}
        table[f"/api/dashboards/uid/{uid}"] = {"dashboard": document, "meta": {"slug": uid}}
    here = request.path.partition("?")[0]
    request.reply(*((200, table[here]) if here in table else (404, {"message": "Dashboard not found"})))


@pytest.fixture(scope="module")
def observe() -> Callable[..., Observation]:
    """``observe(server, probe_key, **target)``: a probe's observation, made once for all tests of a module."""
    known: dict[tuple[Any, ...], Observation] = {}

    def observed(server: launch.Server, probe_key: str, **options: Any) -> Observation:
        key = (server.url, probe_key, *sorted(options.items()))
        if key not in known:
            target = Target("main", server.url, headers=server.headers, may_generate=True, **options)
            known[key] = probe(target, probe_key)
        return known[key]

    return observed
