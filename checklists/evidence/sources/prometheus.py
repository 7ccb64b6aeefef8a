"""A Prometheus server (or one that speaks its API) as a source: every question comes to an outcome, never an exception.

Written from the API documentation of Prometheus 2.42 to 3.5; Thanos, Mimir and VictoriaMetrics answer the same.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from urllib.parse import quote, urlencode, urlsplit, urlunsplit

from checklists.evidence.probes.base import dict_of, list_of, text_of
from checklists.evidence.probes.visit import Visit
from checklists.evidence.sources.answers import (
    MAX_LISTED,
    MAX_SERIES,
    Alert,
    BuildInfo,
    Data,
    Listing,
    Outcome,
    Reading,
    Rule,
    ScrapeTarget,
    Series,
    alert_of,
    alertmanager_address,
    data_of,
    finite,
    listing,
    odd,
    read_series,
    reading_of,
    rule_of,
    scrape_target,
    too_much,
)
from checklists.evidence.sources.selectors import any_of, is_label, is_metric, matchers, quoted

__all__ = [
    "MAX_LISTED",
    "MAX_SERIES",
    "STEP_S",
    "Alert",
    "BuildInfo",
    "Listing",
    "Outcome",
    "Prometheus",
    "Reading",
    "Rule",
    "ScrapeTarget",
    "Series",
    "any_of",
    "finite",
    "is_label",
    "is_metric",
    "matchers",
    "quoted",
    "reading_of",
]

MAX_NAMES = 20_000
MAX_QUERY = 3_000  # characters: an address must not outgrow what proxies take
SERVER_TIMEOUT = "8s"  # longest the server itself may work on one query
STEP_S = 300
_TAILS = ("/graph", "/query", "/api/v1", "/targets", "/alerts", "/rules", "/classic")


class Prometheus:
    """Questions to the Prometheus server of one target. Each distinct question is sent once during a visit.

    Credentials of the endpoint are not sent: they belong to another server.
    """

    def __init__(self, visit: Visit, url: str = "") -> None:
        """``url``: another server than the target's ``prometheus_url``."""
        self.visit = visit
        self.base = _base(url or visit.target.prometheus_url)
        self.queries: list[str] = []

    async def instant(self, query: str, at: float | None = None) -> Reading:
        """The value now, or at a Unix time: one point a series."""
        params = {"query": query, "timeout": SERVER_TIMEOUT} | ({"time": f"{at:.0f}"} if at is not None else {})
        self._note(query)
        return read_series(await self._ask("query", params), "vector", "scalar")

    async def range(self, query: str, seconds: float, step_s: int = STEP_S) -> Reading:
        """The values of the last ``seconds``, one each ``step_s``; ends at a whole step, so that two agree in time."""
        end = time.time() // step_s * step_s
        params = {"query": query, "start": f"{end - seconds:.0f}", "end": f"{end:.0f}", "step": str(step_s)}
        self._note(query)
        return read_series(await self._ask("query_range", {**params, "timeout": SERVER_TIMEOUT}), "matrix")

    async def many(self, queries: Mapping[str, str], at: float | None = None) -> tuple[dict[str, Reading], Outcome]:
        """Several instant queries in as few requests as fit: the reading of each by its key, and what went wrong.

        A query must keep no label named ``preflight`` and give an instant vector.
        """
        readings: dict[str, Reading] = {}
        for keys in _chunks(queries):
            wrapped = (f'label_replace({queries[key]}, "preflight", {quoted(key)}, "", "")' for key in keys)
            reading = await self.instant(" or ".join(wrapped), at)
            if reading.error:
                return {key: Reading(reading.error, reading.why) for key in queries}, reading
            found = reading.by("preflight")
            readings |= {key: Reading(series=found.get(key, ())) for key in keys}
        return readings, Outcome()

    async def names(self, selector: str, seconds: float) -> tuple[frozenset[str], Outcome]:
        """The names of all metrics that have a series matching the selector in the last ``seconds``."""
        start = (time.time() - seconds) // 3600 * 3600
        outcome = await self._ask("label/__name__/values", {"match[]": selector, "start": f"{start:.0f}"})
        if outcome.error:
            return frozenset(), outcome
        if not isinstance(outcome.data, list) or len(outcome.data) > MAX_NAMES:
            return frozenset(), odd() if not isinstance(outcome.data, list) else too_much("names of metrics")
        return frozenset(name for name in outcome.data if isinstance(name, str) and is_metric(name)), Outcome()

    async def targets(self) -> Listing[ScrapeTarget]:
        """What the server scrapes now."""
        outcome = await self._ask("targets", {"state": "active"})
        return listing(outcome, dict_of(outcome.data).get("activeTargets"), scrape_target)

    async def rules(self) -> Listing[Rule]:
        """All alerting and recording rules."""
        outcome = await self._ask("rules", {})
        groups = dict_of(outcome.data).get("groups")
        rows = None
        if isinstance(groups, list):
            rows = [
                {**dict_of(row), "group": group.get("name")}
                for group in map(dict_of, groups)
                for row in list_of(group.get("rules"))
            ]
        return listing(outcome, rows, rule_of)

    async def alerts(self) -> Listing[Alert]:
        """The alerts that are pending or firing."""
        outcome = await self._ask("alerts", {})
        return listing(outcome, dict_of(outcome.data).get("alerts"), alert_of)

    async def alertmanagers(self) -> Listing[str]:
        """The addresses of the Alertmanagers it sends alerts to now, without ``/api/…``."""
        outcome = await self._ask("alertmanagers", {})
        return listing(outcome, dict_of(outcome.data).get("activeAlertmanagers"), alertmanager_address)

    async def buildinfo(self) -> BuildInfo:
        outcome = await self._ask("status/buildinfo", {})
        return BuildInfo(outcome.error, outcome.why, text_of(dict_of(outcome.data).get("version")))

    async def _ask(self, path: str, params: Mapping[str, str]) -> Data:
        if not self.base:
            return Data("no_address", "No Prometheus server is recorded for this endpoint.")
        query = f"?{urlencode(params, quote_via=quote, errors='replace')}" if params else ""
        return data_of(await self.visit.get(f"{self.base}/api/v1/{path}{query}", key="none"))

    def _note(self, query: str) -> None:
        if query not in self.queries:
            self.queries.append(query)


def _base(url: str) -> str:
    """The address below which ``/api/v1`` lies, from one that somebody copied out of a browser."""
    parts = urlsplit(url)
    path = parts.path.rstrip("/")
    while tail := next((tail for tail in _TAILS if path.endswith(tail)), ""):
        path = path.removesuffix(tail).rstrip("/")
    return urlunsplit((parts.scheme, parts.netloc, path, "", ""))


def _chunks(queries: Mapping[str, str]) -> list[list[str]]:
    """Keys in groups whose queries together stay short enough for an address."""
    chunks: list[list[str]] = []
    size = MAX_QUERY + 1
    for key, query in queries.items():
        if size + len(query) > MAX_QUERY:
            chunks.append([])
            size = 0
        chunks[-1].append(key)
        size += len(query) + len(key) + 40
    return chunks
