"""The two probes that read the metrics page: what is exported, and how fast it says the server is."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import timedelta
from typing import Any, ClassVar

from checklists.evidence import metrics
from checklists.evidence.probes.base import (
    CONTRADICTED,
    INCONCLUSIVE,
    NONE,
    VERIFIED,
    Answer,
    Claims,
    Judgement,
    Observation,
    Probe,
    Visit,
    dict_of,
    fact_error,
    inconclusive,
    joined,
    list_of,
    nothing_claimed,
    number_of,
    plain,
    problem,
    text_of,
    texts_of,
)
from checklists.evidence.stacks import (
    CACHE_MEANINGS,
    COUNTER_MEANINGS,
    GPU_PREFIXES,
    PHASES,
    STACKS,
    Stack,
    stack_of_metrics,
)

MAX_NAMES = 600
MIN_SAMPLES = 20


async def read_page(visit: Visit, *, fresh: bool = False) -> tuple[metrics.Page | None, str, Observation]:
    """The metrics page, where it was read, and what is wrong if there is none."""
    paths = (visit.target.metrics_url,) if visit.target.metrics_url else (await visit.stack()).metrics_paths
    if not paths:
        return None, "", {"error": "no_route", "why": f"{(await visit.stack()).label} exports no metrics over HTTP."}
    answer = Answer()
    where = ""
    for where in paths:
        answer = await visit.get(where, fresh=fresh)
        if answer.ok and answer.response is not None:
            try:
                response = answer.response  # a long page takes a second to parse, and others wait for the loop
                page = await asyncio.to_thread(metrics.parse, response.text, truncated=response.truncated)
                return page, _place(where), {}
            except metrics.InvalidPage as error:
                return None, _place(where), {"error": "invalid_page", "why": f"{_place(where)}: {error}"}
    fault = problem(answer)
    return None, _place(where), {**fault, "why": f"{_place(where)}: {fault['why']}"}


def _place(where: str) -> str:
    return where if where.startswith("/") else where.partition("?")[0]


def page_stack(visit: Visit, page: metrics.Page) -> Stack | None:
    """The stack the names on the page belong to; the endpoint's own where names without a prefix are expected."""
    return STACKS["nim"] if visit.target.stack == "nim" else stack_of_metrics(page.names())


class MetricsPresent(Probe):
    """Which metrics are exported, from which stack, and which of them hold samples."""

    key = "metrics.present"
    title = "Metrics exported"
    items: ClassVar[tuple[str, ...]] = (
        "observability.latency-breakdown",
        "observability.cache",
        "observability.throughput",
        "observability.gpu",
    )
    sends = "One GET to the metrics page."
    ttl = timedelta(days=7)

    async def observe(self, visit: Visit) -> Observation:
        page, where, fault = await read_page(visit)
        if page is None:
            return {"where": where, **fault}
        stack = page_stack(visit, page)
        names = page.names()
        meanings: dict[str, dict[str, Any]] = {}
        for name, meaning in stack.metrics.items() if stack else ():
            if (
                name in page.families
                or name in page.samples
                or f"{name}_count" in page.samples
                or f"{name}_bucket" in page.samples
            ):
                histogram = page.histogram(name, meaning.labels)
                count = histogram.count if histogram else page.value(f"{name}_count", meaning.labels)
                value = count if count is not None else page.value(name, meaning.labels)
                meanings.setdefault(meaning.key, {"name": name, "value": value, "samples": count})
        return {
            "where": where,
            "stack": stack.key if stack else "",
            "meanings": meanings,
            "gpu": [name for name in names if name.startswith(GPU_PREFIXES)][:40],
            "names": names[:MAX_NAMES],
            "complete": page.complete and len(names) <= MAX_NAMES,
        }

    def judge(
        self, item_key: str | None, claims: Claims, observation: Observation, others: Mapping[str, Claims] = NONE
    ) -> Judgement:
        if why := fact_error(observation):
            return inconclusive(why)
        if item_key == "observability.latency-breakdown":
            return _phases(claims, observation)
        if item_key == "observability.cache":
            return _named(
                texts_of(claims.get("metric_names")), observation, _present(observation, CACHE_MEANINGS), "cache"
            )
        if item_key == "observability.gpu":
            return _gpu(claims, observation)
        return _counter(claims, observation)

    def settles(self, item_key: str, stack: Stack) -> str:
        if not stack.metrics_paths:
            return f"{stack.label} exports no metrics over HTTP."
        if item_key == "observability.latency-breakdown" and not stack.exports(*PHASES.values(), histogram=True):
            return f"{stack.label} exports no latency by phase."
        if item_key == "observability.cache" and not stack.exports(*CACHE_MEANINGS):
            return f"{stack.label} exports nothing about a cache."
        if item_key == "observability.throughput":
            return "Whether a counter counts shows only when a request moves it."
        if item_key == "observability.gpu":
            return "GPU series usually come from an exporter of their own, so their absence here proves nothing."
        return super().settles(item_key, stack)


def _where(observation: Observation) -> str:
    label = STACKS[key].label if (key := text_of(observation.get("stack"))) in STACKS else "no known stack"
    return f"{text_of(observation.get('where'))} ({label})"


def _window(observation: Observation) -> str:
    return text_of(observation.get("window")) or "since the server started"


def _present(observation: Observation, meanings: tuple[str, ...]) -> list[str]:
    found = dict_of(observation.get("meanings"))
    return [name for key in meanings if (name := text_of(dict_of(found.get(key)).get("name")))]


def _phases(claims: Claims, observation: Observation) -> Judgement:
    found = dict_of(observation.get("meanings"))
    claimed = [phase for phase in texts_of(claims.get("phases")) if phase in PHASES]
    with_samples = [
        phase
        for phase, key in PHASES.items()
        if (number_of(dict_of(found.get(key)).get("samples")) or 0) > 0 and phase != "request"
    ]
    if not claimed:
        return nothing_claimed(joined(with_samples))
    if text_of(observation.get("stack")) not in STACKS:
        return inconclusive(
            f"{_where(observation)}: none of the names is known, so phases cannot be told apart.",
            claimed=joined(claimed),
        )
    missing = [phase for phase in claimed if PHASES[phase] not in found]
    empty = [
        phase
        for phase in claimed
        if phase not in missing and not (number_of(dict_of(found[PHASES[phase]]).get("samples")) or 0) > 0
    ]
    rule = "a series with samples for every claimed phase"
    found_words: dict[str, Any] = {"claimed": joined(claimed), "observed": joined(with_samples) or "none with samples"}
    if missing and observation.get("complete") is False:
        return inconclusive(_too_long(observation, missing), **found_words)
    if missing and not _used(observation):
        return inconclusive(_unused(observation, missing), **found_words)
    if missing:
        return Judgement(
            CONTRADICTED,
            reason=f"{_where(observation)} exports no series for {joined(missing)}.",
            rule=rule,
            **found_words,
        )
    if empty:
        return Judgement(
            INCONCLUSIVE, reason=f"{_where(observation)}: {joined(empty)} has no samples yet.", rule=rule, **found_words
        )
    least = int(min(number_of(dict_of(found[PHASES[phase]]).get("samples")) or 0 for phase in claimed))
    return Judgement(
        VERIFIED,
        reason=f"{_where(observation)} has samples for every claimed phase, {least} at least.",
        rule=rule,
        samples=least,
        **found_words,
    )


def _named(claimed: list[str], observation: Observation, known: list[str], what: str) -> Judgement:
    """Metric names that a team wrote down, against those on the page."""
    if not claimed:
        return nothing_claimed(joined(known))
    missing = [name for name in claimed if not on_page(name, observation)]
    words: dict[str, Any] = {
        "claimed": joined(claimed),
        "observed": joined(known) or "none",
        "rule": "every claimed name is on the page",
    }
    if not missing:
        return Judgement(
            VERIFIED, reason=f"{_where(observation)} has every claimed name.", **{**words, "observed": joined(claimed)}
        )
    if observation.get("complete") is False:
        return inconclusive(_too_long(observation, missing), claimed=joined(claimed))
    if not _used(observation):
        return inconclusive(_unused(observation, missing), claimed=joined(claimed))
    return Judgement(
        CONTRADICTED,
        reason=f"{_where(observation)} answers, but has no {what} series named {joined(missing)}.",
        **words,
    )


def _used(observation: Observation) -> bool:
    """Whether anything was asked of the server since it started, as far as its page tells."""
    meanings = [(key, dict_of(row)) for key, row in dict_of(observation.get("meanings")).items()]
    counted = [row.get("samples") or (row.get("value") if key.endswith("_total") else 0) for key, row in meanings]
    return any((number_of(value) or 0) > 0 for value in counted)


def _unused(observation: Observation, missing: list[str]) -> str:
    where = _where(observation)
    return f"{where}: nothing was asked of it yet, and many exporters show a series ({joined(missing)}) only once used."


def _too_long(observation: Observation, missing: list[str]) -> str:
    return f"{_where(observation)} is too long to be read whole, so {joined(missing)} may stand where it was cut off."


def on_page(name: str, observation: Observation) -> bool:
    """Whether a metric as people write it (with or without ``_total``, ``_bucket``, …) is on the page."""
    names = {text for text in list_of(observation.get("names")) if isinstance(text, str)}
    return any(
        candidate in names
        for candidate in (name, name.removesuffix("_total"), f"{name}_total", f"{name}_bucket", f"{name}_count")
    )


def _gpu(claims: Claims, observation: Observation) -> Judgement:
    gpu = [text_of(name) for name in list_of(observation.get("gpu"))]
    if not gpu:
        return inconclusive(
            f"{_where(observation)} carries no GPU series; they usually come from an exporter of their own.",
            observed="none",
        )
    if not any(claims.values()):
        return nothing_claimed(joined(gpu, 3))
    return Judgement(
        VERIFIED,
        "GPU use visible",
        joined(gpu, 3),
        "",
        f"{_where(observation)} carries {len(gpu)} GPU series.",
        rule="GPU series present",
    )


def _counter(claims: Claims, observation: Observation) -> Judgement:
    known = _present(observation, COUNTER_MEANINGS)
    names = texts_of(claims.get("metric_name"))
    if not names:
        return nothing_claimed(joined(known))
    judged = _named(names, observation, known, "throughput")
    if judged.verdict != VERIFIED:
        return judged
    return inconclusive(
        f"{_where(observation)} has {joined(names)}; whether it counts shows only when a request moves it.",
        claimed=joined(names),
        observed=joined(names),
    )


class MetricsLatency(Probe):
    """Latency goals against the server's own histograms, by the bounds of the bucket that holds the quantile."""

    key = "metrics.latency"
    title = "Latency against the goals"
    items = ("performance.latency-targets",)
    sends = "One GET to the metrics page."
    ttl = timedelta(days=1)

    def settles(self, item_key: str, stack: Stack) -> str:
        if not stack.metrics_paths:
            return f"{stack.label} exports no metrics over HTTP."
        if not stack.exports(*PHASES.values(), histogram=True):
            return f"{stack.label} exports no histogram of latency."
        return super().settles(item_key, stack)

    async def observe(self, visit: Visit) -> Observation:
        page, where, fault = await read_page(visit)
        if page is None:
            return {"where": where, **fault}
        stack = page_stack(visit, page)
        histograms: dict[str, Any] = {}
        for name, meaning in stack.metrics.items() if stack else ():
            if meaning.key in PHASES.values() and (histogram := page.histogram(name, meaning.labels)) is not None:
                known = histograms.get(meaning.key)
                if known is None or (known["counts"][-1] == 0 and histogram.count > 0):
                    histograms[meaning.key] = histogram.scaled(meaning.factor).as_json()
        return {"where": where, "stack": stack.key if stack else "", "histograms": histograms}

    def judge(
        self, item_key: str | None, claims: Claims, observation: Observation, others: Mapping[str, Claims] = NONE
    ) -> Judgement:
        phase = text_of(claims.get("phase"))
        goals = [
            (q, label, goal)
            for q, label, key in ((0.5, "p50", "p50_ms"), (0.95, "p95", "p95_ms"))
            if (goal := number_of(claims.get(key)))
        ]
        claimed = joined([f"{label} ≤ {plain(goal)}" for _, label, goal in goals])
        if why := fact_error(observation):
            return inconclusive(why, claimed=claimed, unit="ms")
        histograms = dict_of(observation.get("histograms"))
        if not goals or phase not in PHASES:
            return nothing_claimed(joined(sorted(histograms)))
        histogram = metrics.Histogram.from_json(histograms.get(PHASES[phase]))
        words = phase.replace("_", " ")
        if histogram is None:
            return inconclusive(f"{_where(observation)} has no histogram for {words}.", claimed=claimed, unit="ms")
        count = int(histogram.count)
        if count < MIN_SAMPLES:
            return inconclusive(
                f"Only {count} samples of {histogram.name}; at least {MIN_SAMPLES} are needed.",
                claimed=claimed,
                unit="ms",
            )
        return _against_bounds(
            histogram, goals, claimed, f"{_window(observation)}, read from {_where(observation)}", count
        )


def _against_bounds(
    histogram: metrics.Histogram, goals: list[tuple[float, str, float]], claimed: str, where: str, count: int
) -> Judgement:
    verdicts, seen, parts = [], [], []
    for q, label, goal in goals:
        bucket = metrics.bucket_of_quantile(histogram, q)
        if bucket is None:
            return inconclusive("The histogram holds no samples.", claimed=claimed, unit="ms")
        low, high = bucket.lower * 1000, bucket.upper * 1000
        between = f"{label} above {_ms(low)}" if high == float("inf") else f"{label} between {_ms(low)} and {_ms(high)}"
        slack = goal * 1e-9  # bounds are decimal seconds, goals milliseconds
        verdicts.append(VERIFIED if high <= goal + slack else CONTRADICTED if low >= goal - slack else INCONCLUSIVE)
        seen.append(between)
        parts.append(f"{between} ms, goal {_ms(goal)} ms")
    verdict = next(v for v in (CONTRADICTED, INCONCLUSIVE, VERIFIED) if v in verdicts)
    coarse = " The bucket is too coarse to tell." if verdict == INCONCLUSIVE else ""
    reason = f"{'; '.join(parts)}: {count} samples of {histogram.name} {where}.{coarse}"
    return Judgement(
        verdict,
        claimed,
        ", ".join(seen),
        "ms",
        reason[0].upper() + reason[1:],
        rule="bucket ends ≤ goal: verified; begins ≥ goal: contradicted",
        samples=count,
        histogram=histogram.scaled(1000).picture({label: goal for _, label, goal in goals}, "ms"),
    )


def _ms(value: float) -> str:
    return plain(round(value, 3))
