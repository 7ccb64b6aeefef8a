"""Latency goals against a server's own histograms: since its last look at them, or since the server started."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

from checklists.evidence.metrics import Histogram, Page, bucket_of_quantile
from checklists.evidence.probes.base import (
    CONTRADICTED,
    INCONCLUSIVE,
    NONE,
    VERIFIED,
    Judgement,
    Probe,
    dict_of,
    fact_error,
    inconclusive,
    joined,
    list_of,
    moment,
    nothing_claimed,
    number_of,
    plain,
    text_of,
)
from checklists.evidence.probes.metrics_page import page_stack, place_of, read_page
from checklists.evidence.probes.serving import named_so
from checklists.evidence.probes.visit import Claims, Observation, Target, Visit
from checklists.evidence.stacks import PHASES, Meaning, Stack
from checklists.evidence.units import factor

NAME = "identity.name-version"
MIN_SAMPLES = 20
DAY_S = 86_400  # less is a young past, of which a start may be the better part
EARLY_S = 600  # after its start, in which a server may still be warming up
# So many of the slowest requests since the start may have been its warm-up: a share, and at least a number.
WARMUP_SHARE, WARMUP_SAMPLES = 0.05, 20
RULE = "bucket ends ≤ goal: verified; begins ≥ goal: contradicted"
COLD_RULE = (
    f"{RULE}, counted since a start, if that holds also without the slowest {WARMUP_SHARE:.0%} (at least "
    f"{WARMUP_SAMPLES} samples), which may be its warm-up"
)
# The label that says which model a series is of: the first that a page has. LiteLLM's ``model`` is what stands behind.
_MODELS = ("model_name", "requested_model", "model")


class MetricsLatency(Probe):
    """Latency goals against the server's own histograms, by the bounds of the bucket that holds the quantile.

    What was counted since the page was last read tells of the server as it runs now, but only if the page says that it
    is the same process: behind one address may stand several. Else all since its start counts, with its warm-up.
    """

    key = "metrics.latency"
    version = 2
    title = "Latency against the goals"
    items = ("performance.latency-targets",)
    also_reads = (NAME,)  # of several models on a page, the claimed one counts
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
        seen: Observation = {"where": where, "stack": stack.key if stack else "", "at": time.time(), "histograms": {}}
        for name, meaning in stack.metrics.items() if stack else ():
            if meaning.key not in PHASES.values():
                continue
            histogram, models, chosen = _histogram(page, name, meaning, visit.target)
            seen |= {"model": chosen} if chosen else {}
            known = dict_of(seen["histograms"].get(meaning.key))
            if models:
                seen["models"] = models
            elif histogram is not None and (not known or (known["counts"][-1] == 0 and histogram.count > 0)):
                seen["histograms"][meaning.key] = histogram.scaled(meaning.factor).as_json()
                seen["began"] = page.began(name)
        return {**seen, "recent": recent(seen, dict_of(visit.target.facts.get("page")))}

    def judge(
        self, item_key: str | None, claims: Claims, observation: Observation, others: Mapping[str, Claims] = NONE
    ) -> Judgement:
        phase = text_of(claims.get("phase"))
        goals = {label: goal for label in ("p50", "p95") if (goal := number_of(claims.get(f"{label}_ms")))}
        claimed = joined([f"{label} ≤ {plain(goal)}" for label, goal in goals.items()])
        if why := fact_error(observation):
            return inconclusive(why, claimed=claimed, unit="ms")
        if (model := text_of(observation.get("model"))) and model != text_of(others.get(NAME, {}).get("model_id")):
            why = f"{place_of(observation)} counts several models, and another one than {model} is claimed now; "
            return inconclusive(f"{why}probe again.", claimed=claimed, unit="ms", rule=RULE)
        histograms = dict_of(observation.get("histograms"))
        if not goals or phase not in PHASES:
            return nothing_claimed(joined(sorted(histograms)))
        if none := [label for label in ("p50", "p95") if label not in goals and claims.get(f"{label}_ms") is not None]:
            return inconclusive(
                f"The goal for {joined(none)} is no time that could be met.", claimed=claimed, unit="ms"
            )
        histogram = Histogram.from_json(histograms.get(PHASES[phase]))
        words, where = phase.replace("_", " "), place_of(observation)
        if histogram is None:
            why = f"{where} has no histogram for {words}."
            models = [text_of(name) for name in list_of(observation.get("models"))]
            if len(models) == 1:
                why = f"{where} counts requests for {models[0]} only, which is not the claimed model by name."
            elif models:
                why = f"{where} counts several models ({joined(models, 3)}), none of which is the claimed one by name."
            return inconclusive(why, claimed=claimed, unit="ms", rule=RULE)
        since = dict_of(dict_of(observation.get("recent")).get(PHASES[phase]))
        lately = Histogram.from_json(since.get("histogram"))
        window = text_of(observation.get("window"))
        if lately is not None and lately.count >= MIN_SAMPLES:
            histogram, window = lately, f"since {moment(number_of(since.get('since')))}"
        count = int(histogram.count)
        if count < MIN_SAMPLES:
            why = f"Only {count} samples of {histogram.name}; at least {MIN_SAMPLES} are needed."
            return inconclusive(why, claimed=claimed, unit="ms", rule=RULE, samples=count)
        kept_s, at, began = (number_of(observation.get(key)) for key in ("kept_s", "at", "began"))
        if window and (lately is not None or kept_s is None or kept_s > DAY_S):
            return against_bounds(histogram, goals, f"{window}, read from {where}")
        if window:
            return _warmed_up(histogram, goals, f"{window}, read from {where}", "", "a longer past will tell")
        age = at - began if at is not None and began is not None else None
        young = "It has been running for less than ten minutes" if age is not None and age < EARLY_S else ""
        tell = "a later look at the page can tell what came since" if age else "its page does not say when it started"
        return _warmed_up(histogram, goals, f"since the server started, read from {where}", young, tell)


def _histogram(page: Page, name: str, meaning: Meaning, target: Target) -> tuple[Histogram | None, list[str], str]:
    """The histogram of the model that is claimed; or, where it cannot be told from others, their names. And, of several
    models, the claimed name by which it was chosen."""
    for label in _MODELS:
        models = page.labels(f"{name}_bucket", label)
        if not models:
            continue
        own = target.labels.get(label)
        wanted = own or target.model_hint
        found = [one for one in models if one == own] if own else named_so(models, wanted)
        # A proxy shows only the models that were asked for, so that the only one may be another.
        if len(found) != 1 and (len(models) > 1 or (wanted and label == "requested_model")):
            return None, models[:10], ""
        only = {label: found[0]} if len(models) > 1 else {}
        chosen = wanted if only and label not in target.labels else ""
        return page.histogram(name, {**meaning.labels, **only}), [], chosen
    return page.histogram(name, meaning.labels), [], ""


def recent(seen: Observation, before: Observation) -> dict[str, Any]:
    """What each histogram gained since an earlier observation of the same process, or since the one before that if it
    was too little: ``{meaning: {since, histogram}}``. Pure."""
    began, at = number_of(seen.get("began")), number_of(before.get("at"))
    same = began is not None and all(before.get(key) == seen.get(key) for key in ("began", "where", "stack", "model"))
    if not same or began is None or at is None or at < began + EARLY_S:
        return {}
    found: dict[str, Any] = {}
    for key, row in dict_of(seen.get("histograms")).items():
        now, then = Histogram.from_json(row), Histogram.from_json(dict_of(before.get("histograms")).get(key))
        gained = now.since(then) if now is not None and then is not None and now.name == then.name else None
        if gained is None:
            continue
        since, last = at, dict_of(dict_of(before.get("recent")).get(key))
        earlier, reached = Histogram.from_json(last.get("histogram")), number_of(last.get("since"))
        if gained.count < MIN_SAMPLES and earlier is not None and reached is not None:
            both = gained.plus(earlier)
            gained, since = (both, reached) if both is not None else (gained, at)
        found[key] = {"since": since, "histogram": gained.as_json()}
    return found


def _warmed_up(histogram: Histogram, goals: Mapping[str, float], source: str, young: str, tell: str) -> Judgement:
    """A verdict that a warm-up cannot have made. ``young``: why all of it may be one; ``tell``: what would help."""
    judged = against_bounds(histogram, goals, source, rule=COLD_RULE)
    if judged.verdict != CONTRADICTED:
        return judged
    slowest = max(WARMUP_SAMPLES, WARMUP_SHARE * histogram.count)
    if not young and against_bounds(histogram.without_slowest(slowest), goals, "").verdict == CONTRADICTED:
        return judged
    doubt = young or f"That may be a warm-up, for without the slowest {int(slowest)} it does not hold"
    return replace(judged, verdict=INCONCLUSIVE, reason=f"{judged.reason} {doubt}; {tell}.")


def against_bounds(histogram: Histogram, goals: Mapping[str, float], where: str, *, rule: str = RULE) -> Judgement:
    """Goals in milliseconds (by ``p50``, ``p95``) against a histogram in seconds, by the bounds of its buckets."""
    shown = histogram.scaled(factor("s", "ms") or 1.0)
    claimed = joined([f"{label} ≤ {plain(goal)}" for label, goal in goals.items()])
    verdicts, seen, parts = [], [], []
    for label, goal in goals.items():
        bucket = bucket_of_quantile(shown, float(label[1:]) / 100)
        if bucket is None:
            return inconclusive("The histogram holds no samples.", claimed=claimed, unit="ms", rule=rule, samples=0)
        low, high = _ms(bucket.lower), _ms(bucket.upper)
        between = f"{label} above {low}" if bucket.upper == float("inf") else f"{label} between {low} and {high}"
        slack = goal * 1e-9  # bounds are decimal seconds, goals milliseconds
        misses = bucket.lower >= goal - slack
        verdicts.append(VERIFIED if bucket.upper <= goal + slack else CONTRADICTED if misses else INCONCLUSIVE)
        seen.append(between)
        parts.append(f"{between} ms, goal {_ms(goal)} ms")
    verdict = next(v for v in (CONTRADICTED, INCONCLUSIVE, VERIFIED) if v in verdicts)
    coarse = " The bucket is too coarse to tell." if verdict == INCONCLUSIVE else ""
    count = int(histogram.count)
    reason = f"{'; '.join(parts)}: {count} samples of {histogram.name} {where}.{coarse}"
    return Judgement(
        verdict,
        claimed,
        ", ".join(seen),
        "ms",
        reason[0].upper() + reason[1:],
        rule=rule,
        samples=count,
        histogram=shown.picture(goals, "ms"),
    )


def _ms(value: float) -> str:
    return plain(round(value, 3))
