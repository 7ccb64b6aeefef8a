"""Native histograms, which a real Prometheus keeps as one series: judged by their own buckets, like any others."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from checklists.evidence.probes import PROBES, Target
from tests.evidence import loopback
from tests.evidence.loopback import loopback_client, serving
from tests.evidence.real import launch
from tests.evidence.real.native import NativePage

pytestmark = pytest.mark.servers("prometheus")


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[launch.Server]:
    page = NativePage()
    with serving(page) as server:
        jobs = {"chat": {"static_configs": [{"targets": [server.url.removeprefix("http://")]}]}}
        options = ["--enable-feature=native-histograms"]
        with launch.prometheus(tmp_path_factory.mktemp("native"), jobs, options=options) as running:
            launch.eventually(lambda: page.scrapes >= 5)
            yield running


@pytest.mark.parametrize(
    ("goals", "expected"),
    [
        ({"p50_ms": 170, "p95_ms": 330}, "verified"),
        ({"p95_ms": 250}, "contradicted"),
        ({"p50_ms": 140}, "contradicted"),
        ({"p95_ms": 310}, "inconclusive"),  # within the bucket from 297 to 324 ms
    ],
)
def test_a_goal_is_judged_by_the_buckets_of_a_native_histogram(
    prometheus: launch.Server, goals: dict[str, float], expected: str
) -> None:
    target = Target("main", "http://127.0.0.1:9", prometheus_url=prometheus.url, labels={"job": "chat"})
    seen, _ = loopback.observe("prometheus.latency", target, loopback_client(timeout_s=20.0))
    judged = PROBES["prometheus.latency"].judge("performance.latency-targets", {"phase": "first_token", **goals}, seen)
    assert judged.verdict == expected, judged.reason
    assert "samples of vllm:time_to_first_token_seconds in the last" in judged.reason
    assert (judged.samples or 0) >= 100


def test_a_phase_that_is_kept_as_a_native_histogram_is_kept(prometheus: launch.Server) -> None:
    target = Target("main", "http://127.0.0.1:9", prometheus_url=prometheus.url, labels={"job": "chat"})
    seen, _ = loopback.observe("prometheus.present", target, loopback_client(timeout_s=20.0))
    judged = PROBES["prometheus.present"].judge("observability.latency-breakdown", {"phases": ["first_token"]}, seen)
    assert judged.verdict == "verified", judged.reason
