"""The metrics page: what is exported there. How fast it says the server is, see ``latency``."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Any, ClassVar

from checklists.evidence import metrics
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
    nothing_claimed,
    number_of,
    problem,
    text_of,
    texts_of,
)
from checklists.evidence.probes.visit import Answer, Claims, Observation, Visit
from checklists.evidence.sources.selectors import is_metric
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
_WORD = re.compile(r"[:_]")
# What a series of seconds may be called that tells a phase under a name, or by a label, that no table has.
_MAY_TELL = {
    phase: re.compile(pattern)
    for phase, pattern in {
        "queue": r"queue|wait",
        "prefill": r"prefill|prompt|forward|stage",
        "first_token": r"first_(?:token|chunk|response)|ttft",
        "decode": r"decod|generation|predicted|forward|stage",
        "per_output_token": r"per_(?:output_)?token|inter_token|tpot|itl",
        "inference": r"inference|forward|compute|execut",
        "end_to_end": r"e2e|end_to_end|request_(?:total_)?(?:duration|latency|time)",
    }.items()
}
_OF_TIME = re.compile(r"seconds|duration|latency|_time(?:_|\Z)|_[mu]s(?:_|\Z)")
_AROUND = re.compile(r"\{[^}]*\}|\[[^\]]*\]")  # labels and ranges
_BY = re.compile(r"\b(?:by|without|on|ignoring|group_left|group_right)\s*\([^()]*\)")
_CALL = re.compile(r"\b(?:(?:sum|avg|min|max|count)\s{0,3}|[a-z][a-z0-9_]{0,40})\(")
_AMONG = re.compile(r"\)|\s[-+*/]\s|(?<![\w.:])\d+(?:\.\d+)?(?![\w.:])")  # ends of calls, signs, numbers
_SUFFIXES = ("", "_total", "_bucket", "_count", "_sum", "_info")


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
                return await visit.page(answer.response), _place(where), {}
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
        empty = sorted(
            name for name in page.families if not any(name + ending in page.samples for ending in _SUFFIXES)
        )[:MAX_NAMES]
        return {
            "where": where,
            "stack": stack.key if stack else "",
            "meanings": meanings,
            "gpu": [name for name in names if name.startswith(GPU_PREFIXES) and name not in empty][:40],
            "names": names[:MAX_NAMES],
            "empty": empty,
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
                metric_names(claims.get("metric_names")), observation, _present(observation, CACHE_MEANINGS), "cache"
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


def place_of(observation: Observation) -> str:
    label = STACKS[key].label if (key := text_of(observation.get("stack"))) in STACKS else "no known stack"
    return f"{text_of(observation.get('where'))} ({label})"


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
            f"{place_of(observation)}: none of the names is known, so phases cannot be told apart.",
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
    if missing and (others := [name for phase in missing for name in _may_tell(phase, observation)]):
        what = f"{place_of(observation)} exports no series that is known to tell {joined(missing)}"
        return inconclusive(f"{what}; {joined(others, 3)} may.", rule=rule, **found_words)
    if missing:
        return Judgement(
            CONTRADICTED,
            reason=f"{place_of(observation)} exports no series for {joined(missing)}.",
            rule=rule,
            **found_words,
        )
    if empty:
        return Judgement(
            INCONCLUSIVE,
            reason=f"{place_of(observation)}: {joined(empty)} has no samples yet.",
            rule=rule,
            **found_words,
        )
    least = int(min(number_of(dict_of(found[PHASES[phase]]).get("samples")) or 0 for phase in claimed))
    return Judgement(
        VERIFIED,
        reason=f"{place_of(observation)} has samples for every claimed phase, {least} at least.",
        rule=rule,
        samples=least,
        **found_words,
    )


def metric_names(value: Any) -> list[str]:
    """The names of metrics in what people write: between commas, lines or blanks, with or without labels and ranges, or
    in a query. What is none stays as it is."""
    found: list[str] = []
    if isinstance(value, str):
        value = _AROUND.sub("", value)
        if _CALL.search(value):
            value = _AMONG.sub(" ", _CALL.sub(" ", _BY.sub(" ", value)))
    for text in texts_of(value):
        words = text.split()
        found += words if all(map(looks_named, words)) else [text]
    return list(dict.fromkeys(found))


def looks_named(text: str) -> bool:
    """Whether a text is surely meant as the name of a metric, not as a word for what it measures."""
    return is_metric(text) and bool(_WORD.search(text))


def meant_by(name: str, names: Iterable[str]) -> str:
    """The metric that a name means which leaves out the prefix, or joins it otherwise, as some collectors do."""
    short = name.replace(":", "_").casefold()
    wholes = ((whole, whole.replace(":", "_").casefold()) for whole in names if ":" in whole)
    return next((whole for whole, flat in wholes if flat == short or flat.endswith(f"_{short}")), "")


def _may_tell(phase: str, observation: Observation) -> list[str]:
    """Names of times that stand for no phase in the stack's table and may tell this one, without their endings."""
    stack = STACKS.get(text_of(observation.get("stack")))
    known = {name for name, meaning in stack.metrics.items() if meaning.key in PHASES.values()} if stack else set()
    bases = {
        re.sub(r"_(?:bucket|count|sum|created)\Z", "", text_of(name)) for name in list_of(observation.get("names"))
    }
    pattern = _MAY_TELL["end_to_end" if phase == "request" else phase]
    return sorted(
        name for name in bases - known if _own(name, observation) and _OF_TIME.search(name) and pattern.search(name)
    )


def _named(claimed: list[str], observation: Observation, known: list[str], what: str) -> Judgement:
    """Metric names that a team wrote down, against those on the page."""
    if not claimed:
        return nothing_claimed(joined(known))
    absent = [name for name in claimed if not on_page(name, observation)]
    missing = [name for name in absent if looks_named(name)]
    words: dict[str, Any] = {
        "claimed": joined(claimed),
        "observed": joined(known) or "none",
        "rule": "every claimed name is on the page, with a series",
    }
    if absent and not missing:
        return inconclusive(
            f"{joined(absent, 3)} is no name of a metric that could be looked for.",
            claimed=joined(claimed),
            observed=words["observed"],
            rule=words["rule"],
        )
    empty = set(list_of(observation.get("empty")))
    if not missing and (bare := [name for name in claimed if {name, name.removesuffix("_total")} & empty]):
        return inconclusive(
            f"{place_of(observation)} announces {joined(bare)}, but has no series of it yet.",
            claimed=joined(claimed),
            observed=words["observed"],
            rule=words["rule"],
        )
    if not missing:
        return Judgement(
            VERIFIED,
            reason=f"{place_of(observation)} has every claimed name.",
            **{**words, "observed": joined(claimed)},
        )
    if observation.get("complete") is False:
        return inconclusive(_too_long(observation, missing), claimed=joined(claimed), rule=words["rule"])
    if not _used(observation):
        return inconclusive(_unused(observation, missing), claimed=joined(claimed), rule=words["rule"])
    shown = [text_of(name) for name in list_of(observation.get("names"))]
    if nearly := {name: whole for name in missing if (whole := meant_by(name, shown))}:
        told = joined([f"{name}, but {whole}" for name, whole in nearly.items()], 2)
        why = f"{place_of(observation)} has no {told}; claim the name in full."
        return inconclusive(why, claimed=joined(claimed), observed=words["observed"], rule=words["rule"])
    own = [name for name in missing if "elsewhere" in observation or _own(name, observation)]
    if not own:
        why = (
            f"{place_of(observation)} has no {joined(missing)}, and would not if something else exports or records it."
        )
        return inconclusive(why, claimed=joined(claimed), observed=words["observed"], rule=words["rule"])
    return Judgement(
        CONTRADICTED, reason=f"{place_of(observation)} answers, but has no {what} series named {joined(own)}.", **words
    )


def _own(name: str, observation: Observation) -> bool:
    """Whether a metric would be the stack's own, by how its name begins: others are exported or recorded elsewhere."""
    stack = STACKS.get(text_of(observation.get("stack")))
    known = {_WORD.split(other)[0] for other in (*stack.metrics, *stack.prefixes)} if stack else set()
    return _WORD.split(name)[0] in known


def _used(observation: Observation) -> bool:
    """Whether anything was asked of the server since it started, as far as its page tells."""
    meanings = [(key, dict_of(row)) for key, row in dict_of(observation.get("meanings")).items()]
    counted = [row.get("samples") or (row.get("value") if key.endswith("_total") else 0) for key, row in meanings]
    return any((number_of(value) or 0) > 0 for value in counted)


def _unused(observation: Observation, missing: list[str]) -> str:
    where = place_of(observation)
    return f"{where}: nothing was asked of it yet, and many exporters show a series ({joined(missing)}) only once used."


def _too_long(observation: Observation, missing: list[str]) -> str:
    return f"{place_of(observation)} is too long to be read whole, so {joined(missing)} may stand where it was cut off."


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
            f"{place_of(observation)} carries no GPU series; they usually come from an exporter of their own.",
            observed="none",
        )
    if not any(claims.values()):
        return nothing_claimed(joined(gpu, 3))
    return Judgement(
        VERIFIED,
        "GPU use visible",
        joined(gpu, 3),
        "",
        f"{place_of(observation)} carries {len(gpu)} GPU series.",
        rule="GPU series present",
    )


def _counter(claims: Claims, observation: Observation) -> Judgement:
    known = _present(observation, COUNTER_MEANINGS)
    names = metric_names(claims.get("metric_name"))
    if not names:
        return nothing_claimed(joined(known))
    judged = _named(names, observation, known, "throughput")
    if judged.verdict != VERIFIED:
        return judged
    return inconclusive(
        f"{place_of(observation)} has {joined(names)}; whether it counts shows only when a request moves it.",
        claimed=joined(names),
        observed=joined(names),
    )
