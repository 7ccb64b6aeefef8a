"""The dashboards that are claimed: whether Grafana has them, and whether they show what they are claimed to show."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from checklists.evidence.probes.base import (
    CONTRADICTED,
    NONE,
    VERIFIED,
    Judgement,
    Probe,
    dict_of,
    fact_error,
    inconclusive,
    joined,
    list_of,
    nothing_claimed,
    text_of,
    texts_of,
)
from checklists.evidence.probes.release import CHANGED, url_of
from checklists.evidence.probes.visit import Claims, Observation, Visit
from checklists.evidence.sources.exporters import GPU_MEMORY, GPU_SERIES
from checklists.evidence.sources.grafana import dashboard
from checklists.evidence.stacks import COUNTER_MEANINGS, GPU_PREFIXES, STACKS

GPU, THROUGHPUT = "observability.gpu", "observability.throughput"
_ENDINGS = ("", "_total", "_count", "_sum", "_bucket")


class Dashboards(Probe):
    """The claimed dashboards of GPU use and of throughput, in Grafana."""

    key = "grafana.dashboards"
    title = "Dashboards in Grafana"
    items = (GPU, THROUGHPUT)
    about = "release"
    reads = ("grafana",)
    sends = "Two GETs, without credentials, to the Grafana of each claimed dashboard."
    ttl = timedelta(days=7)

    async def observe(self, visit: Visit) -> Observation:
        claimed = {item: url_of(dict_of(visit.target.claims.get(item)).get("dashboard_url")) for item in self.items}
        return {item: await dashboard(visit, url) for item, url in claimed.items() if url}

    def judge(
        self, item_key: str | None, claims: Claims, observation: Observation, others: Mapping[str, Claims] = NONE
    ) -> Judgement:
        url, seen = url_of(claims.get("dashboard_url")), dict_of(observation.get(item_key or ""))
        if not url:
            return nothing_claimed("")
        if seen.get("url") != url:
            return inconclusive(CHANGED, claimed=url)
        if why := fact_error(seen):
            return inconclusive(why, claimed=url)
        state, title = text_of(seen.get("state")), text_of(seen.get("title"))
        words: dict[str, Any] = {"claimed": url[:300]}
        words["rule"] = "it exists and queries such metrics: verified; Grafana says that there is none: contradicted"
        if state == "absent":
            return Judgement(CONTRADICTED, observed="none", reason="Grafana has no dashboard with this uid.", **words)
        if state != "found":
            return inconclusive(
                "Grafana asks to sign in, so what it has cannot be seen from here.", claimed=url, rule=words["rule"]
            )
        shown = [text_of(name) for name in list_of(seen.get("metrics"))]
        fits = _gpu(shown) if item_key == GPU else _throughput(shown, texts_of(claims.get("metric_name")))
        if fits:
            reason = f"The dashboard “{title}” exists and shows {joined(fits, 3)}."
            return Judgement(VERIFIED, observed=joined(fits, 3), reason=reason, **words)
        what = "GPUs" if item_key == GPU else "throughput"
        unsure = f"none of its queries is known to show {what}" if seen.get("read") is True else "it cannot be read"
        return inconclusive(
            f"The dashboard “{title}” exists, but {unsure}.", claimed=url, observed=title, rule=words["rule"]
        )


def _gpu(names: list[str]) -> list[str]:
    known = {*GPU_SERIES, *GPU_MEMORY}
    return [name for name in names if name in known or name.startswith(tuple(GPU_PREFIXES))]


def _throughput(names: list[str], claimed: list[str]) -> list[str]:
    """The claimed metric among the names; without a claim, known counters."""
    if claimed:
        return [name for name in names if any(name == claimed[0] + ending for ending in _ENDINGS)]
    counters = {
        name for stack in STACKS.values() for name, meaning in stack.metrics.items() if meaning.key in COUNTER_MEANINGS
    }
    return [name for name in names if name in counters]
