"""An Alertmanager as a source: that it answers, and which alerts it holds. Its configuration is not kept.

Written from the second API of Alertmanager 0.24 to 0.28.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from urllib.parse import urlsplit, urlunsplit

from checklists.evidence.probes.base import dict_of, text_of
from checklists.evidence.probes.visit import Answer, Visit
from checklists.evidence.sources.prometheus import MAX_LISTED, Alert, Listing, Outcome, Prometheus

_TAILS = (
    "/#/alerts",
    "/#/status",
    "/#",
    "/api/v2/alerts",
    "/api/v1/alerts",
    "/api/v2",
    "/api/v1",
    "/alerts",
    "/status",
)


@dataclass(frozen=True)
class AlertmanagerStatus(Outcome):
    version: str = ""


class Alertmanager:
    """Questions to one Alertmanager; the endpoint's credentials are not sent."""

    def __init__(self, visit: Visit, url: str) -> None:
        self.visit = visit
        self.base = base_of(url)

    async def status(self) -> AlertmanagerStatus:
        """Its version. The answer holds its whole configuration, so of the answer only the version is kept."""
        url = f"{self.base}/api/v2/status"
        answer = await self.visit.get(url, key="none")
        version = text_of(dict_of(answer.object().get("versionInfo")).get("version"))
        kept_only(self.visit, url, json.dumps({"versionInfo": {"version": version}}))
        if fault := _fault(answer, isinstance(answer.json(), dict)):
            return AlertmanagerStatus(fault.error, fault.why)
        return AlertmanagerStatus(version=version)

    async def alerts(self) -> Listing[Alert]:
        """The alerts it holds, also those that are silenced."""
        answer = await self.visit.get(f"{self.base}/api/v2/alerts", key="none")
        rows = answer.json()
        if fault := _fault(answer, isinstance(rows, list)):
            return Listing(fault.error, fault.why)
        if len(rows) > MAX_LISTED:
            return Listing("too_large", "Alertmanager holds more alerts than are read.")
        return Listing(items=tuple(_alert(row) for row in rows if isinstance(row, dict)))


async def alertmanager_of(visit: Visit, prometheus: Prometheus) -> tuple[Alertmanager | None, bool]:
    """The target's Alertmanager, or the first that its Prometheus tells; and whether Prometheus tells that it has none.

    An address that Prometheus tells is asked like any other: only where probes may go.
    """
    if visit.target.alertmanager_url:
        return Alertmanager(visit, visit.target.alertmanager_url), False
    listing = await prometheus.alertmanagers()
    if listing.error:
        return None, False
    return (Alertmanager(visit, listing.items[0]), False) if listing.items else (None, True)


def base_of(url: str) -> str:
    """The address below which ``/api/v2`` lies."""
    url = url.strip().rstrip("/")
    while tail := next((tail for tail in _TAILS if url.endswith(tail)), ""):
        url = url.removesuffix(tail).rstrip("/")
    parts = urlsplit(url)
    return urlunsplit((parts.scheme, parts.netloc, parts.path, "", ""))


def kept_only(visit: Visit, url: str, text: str) -> None:
    """Keep ``text`` of what this address answered instead of the body, which is not ours to keep."""
    parts = urlsplit(url)
    line = f"GET {parts.scheme}://{parts.netloc}{parts.path}"
    for number, exchange in enumerate(visit.exchanges):
        if exchange.line == line:
            visit.exchanges[number] = replace(exchange, body=text, truncated=True)


def _fault(answer: Answer, fits: bool) -> Outcome | None:
    if answer.error:
        return Outcome(answer.error.kind, f"Alertmanager: {answer.error.reason}")
    if answer.refused:
        return Outcome("refused", f"Alertmanager does not let Preflight in ({answer.status}).")
    if answer.response is not None and answer.response.truncated:
        return Outcome("too_large", "Alertmanager answered with more data than are read.")
    if not answer.ok:
        return Outcome(f"status {answer.status}", f"Alertmanager answered {answer.status}.")
    return None if fits else Outcome("invalid", "What answers at Alertmanager's address does not speak its API.")


def _alert(row: dict[str, object]) -> Alert:
    def texts(value: object) -> dict[str, str]:
        return {str(key): text for key, text in dict_of(value).items() if isinstance(text, str)}

    state = text_of(dict_of(row.get("status")).get("state"))
    return Alert(texts(row.get("labels")), texts(row.get("annotations")), state, text_of(row.get("startsAt")))
