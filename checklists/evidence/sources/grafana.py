"""Grafana as a source: whether a dashboard exists, and which metrics it asks for. Nothing else of it is kept.

Written from the HTTP API of Grafana 9 to 12. Preflight has no account there, so it sees what anybody sees.
"""

from __future__ import annotations

import re
from collections import deque
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from checklists.evidence.probes.base import dict_of, list_of, text_of
from checklists.evidence.probes.visit import Answer, Observation, Visit
from checklists.evidence.sources.alertmanager import kept_only

MAX_NAMES = 300
MAX_NODES = 50_000
_PLACE = re.compile(r"(?P<before>.*?)/d(?:-solo)?/(?P<uid>[A-Za-z0-9_-]{1,40})(?:/|\Z)")
_METRIC = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]{3,199}")


async def dashboard(visit: Visit, url: str) -> Observation:
    """What is at a dashboard's address: ``{url, state, title, metrics}`` or an error.

    ``state``: ``found``, ``absent`` (Grafana says that there is none), or ``hidden`` (it asks who wants to know).
    ``metrics``: every word that its queries hold and that can be the name of a metric.
    """
    head: Observation = {"url": url}
    parts = urlsplit(url)
    place = _PLACE.match(parts.path)
    if parts.scheme not in ("http", "https") or place is None:
        why = "The address is not that of a Grafana dashboard (…/d/<uid>/…)."
        return {**head, "error": "no_dashboard", "why": why}
    base, uid = urlunsplit((parts.scheme, parts.netloc, place["before"], "", "")), place["uid"]
    search = await visit.get(f"{base}/api/search?type=dash-db&dashboardUIDs={uid}", key="none")
    if search.error:
        return {**head, "error": search.error.kind, "why": f"Grafana: {search.error.reason}"}
    rows = search.json()
    if search.refused or not isinstance(rows, list):
        return {**head, **_unread(search)}
    row = next((row for row in map(dict_of, rows) if row.get("uid") == uid), {})
    place_of_it = f"{base}/api/dashboards/uid/{uid}"
    answer = await visit.get(place_of_it, key="none")
    kept_only(visit, place_of_it, "")
    if answer.status == 404 and not row:
        # An account that may not see it is told 403, so this is a word on whether it exists.
        if "dashboard" in text_of(_message(answer)).casefold():
            return {**head, "state": "absent"}
        return {**head, "error": "status 404", "why": "What answers there does not speak Grafana's API."}
    document = dict_of(answer.object().get("dashboard"))
    if not row and document.get("uid") != uid:
        return {**head, **_unread(answer)}
    title = text_of(row.get("title") or document.get("title"))
    return {**head, "state": "found", "title": title, "read": bool(document), "metrics": _metrics(document)}


def _unread(answer: Answer) -> Observation:
    html = answer.response is not None and "html" in answer.response.header("content-type")
    if answer.refused or (answer.ok and html):
        return {"state": "hidden"}
    why = f"Grafana: {answer.why}" if answer.flaw else f"Grafana answered {answer.status}, which says nothing."
    return {"error": f"status {answer.status}", "why": why}


def _message(answer: Answer) -> Any:
    return dict_of(answer.response.json()).get("message") if answer.response else ""


def _metrics(document: Any) -> list[str]:
    """The words of all queries in a dashboard that can be names of metrics."""
    found: set[str] = set()
    waiting: deque[Any] = deque([document])
    seen = 0
    while waiting and seen < MAX_NODES and len(found) < MAX_NAMES:
        node = waiting.popleft()
        seen += 1
        if isinstance(node, dict):
            if isinstance(expression := node.get("expr"), str):
                found |= set(_METRIC.findall(expression[:4000]))
            waiting.extend(value for value in node.values() if isinstance(value, dict | list))
        else:
            waiting.extend(value for value in list_of(node) if isinstance(value, dict | list))
    return sorted(found)[:MAX_NAMES]
