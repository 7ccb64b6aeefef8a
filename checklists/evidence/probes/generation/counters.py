"""Do the server's own counters move by our requests: one good one, and one that it must refuse?"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

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
    plain,
    text_of,
    texts_of,
)
from checklists.evidence.probes.generation.requests import MAX_TOKENS, Tiny
from checklists.evidence.probes.generation.sending import failed, forbidden, send, usual_request
from checklists.evidence.probes.metrics_page import MAX_NAMES, metric_names, page_stack, read_page
from checklists.evidence.probes.visit import Answer, Claims, Observation, Visit
from checklists.evidence.stacks import COUNTER_MEANINGS, Meaning, Stack
from checklists.evidence.urls import same_origin

PAUSES = (0.0, 1.0, 1.0, 2.0, 4.0, 6.0)  # seconds between two looks: exporters publish late, and in several steps
IDLE_S = 0.3  # between two looks before anything is sent: what rises then rises by itself
MAX_SERIES = 60
# A class that one malformed request can move; the others would need a server in trouble.
OURS = ("bad_request", "input_shape")
_BAD_NAME = re.compile(r"fail|error|reject|invalid|exception|refus|bad_request", re.IGNORECASE)
_NAME = re.compile(r"[A-Za-z_:][\w:]*+")
_STATUS = ("status", "status_code", "code", "http_status", "status_class", "response_code", "http_status_code")
_KIND = (
    "err",
    "error",
    "error_type",
    "error_code",
    "exception_class",
    "exception",
    "reason",
    "finished_reason",
    "type",
)


RISES = (
    "The counter rises by our own request, and not before it, or is one that the stack knows: verified. It stands "
    "still while another moves, or on the page beside the endpoint of one process: contradicted."
)
TOLD = (
    "One malformed request raises an error counter whose labels or name tell its kind, and no other kind is claimed: "
    "verified. None moves on the page beside the endpoint: contradicted."
)


class CountersMove(Probe):
    """One good request must raise the counter that the team names; one that is refused, an error counter that says of
    which kind it was. A malformed one is tried first; where it is not counted, or ends in a server error, one with an
    impossible value, because some servers count only what they refuse after having read it.

    A counter that stands still contradicts only where the page is surely that of the server that answered: another
    counter on it moved, or it lies beside the endpoint and belongs to one process throughout, which the page says. One
    that also rises without our request, by the clock or by our looking, and that the stack does not know as one of
    requests or tokens, proves nothing by rising. Errors are verified only where every claimed kind was caused; a page
    elsewhere may be that of a server before which a gateway refused the request, and contradicts nothing.
    """

    key = "generation.counters"
    title = "Counters that move by our requests"
    items = ("observability.throughput", "observability.errors")
    reads = ("endpoint", "metrics")
    sends = (
        f"One tiny request (at most {MAX_TOKENS} tokens, or one embedding, picture, transcription or inference), one "
        "malformed request, one with an impossible value where that is not counted, and up to "
        f"{3 * len(PAUSES) + 2} GETs of the metrics page."
    )
    generates = True
    cheap = False
    ttl = timedelta(days=7)

    async def observe(self, visit: Visit) -> Observation:
        if refusal := forbidden(visit):
            return refusal
        first, where, fault = await read_page(visit, fresh=True)
        if first is None:
            return fault
        request, problem = await usual_request(visit)
        if request is None:
            return problem
        await asyncio.sleep(IDLE_S)
        before, _, fault = await read_page(visit, fresh=True)
        if before is None:
            return fault
        sent = await send(visit, request)
        if not sent.ok:
            return failed(sent)
        after, good, known, steady = await _watch(visit, before, errors=False)
        if after is None:
            return {"error": "invalid_page", "why": f"{where} could not be read again after the request."}
        bad: list[Series] | None = None
        refused, last = Answer(), after
        for payload in (malformed(request), impossible(request)):
            if payload is None or (bad is not None and any(map(_kind_of, filter(_error_like, bad)))):
                break
            answer = await visit.post(request.path, payload)
            page, moved, _, still = await _watch(visit, last, errors=True)
            if refused.status is None or (_refuses(answer.status) and not _refuses(refused.status)):
                refused, bad = answer, None
            if page is None:
                bad = None
                break
            bad, last, steady = (bad or []) + moved, page, steady and still
        url = visit.target.metrics_url
        return {
            "where": where,
            "request": request.what,
            "names": [name for name in after.samples if name.endswith(("_total", "_count")) or name in known][
                :MAX_NAMES
            ],
            "known": known,
            "idle": sorted({row["name"] for row in rises(first, before)}),
            "empty": _without_series(after)[:MAX_NAMES],
            "good": good,
            "bad": bad,
            "bad_status": refused.status,
            "bad_why": refused.why,
            "beside": not url or same_origin(url, visit.target.url),
            "steady": steady,
        }

    def judge(
        self, item_key: str | None, claims: Claims, observation: Observation, others: Mapping[str, Claims] = NONE
    ) -> Judgement:
        if why := fact_error(observation):
            return inconclusive(why)
        return _errors(claims, observation) if item_key == "observability.errors" else _throughput(claims, observation)

    def settles(self, item_key: str, stack: Stack) -> str:
        if not stack.metrics_paths:
            return f"{stack.label} exports no metrics over HTTP."
        if stack.key in ("torchserve", "comfyui"):
            return f"{stack.label} has no small request that could be sent without harm."
        if item_key == "observability.errors" and not stack.counts_refusals:
            return f"{stack.label} counts no request that it refuses."
        return super().settles(item_key, stack)


def malformed(request: Tiny) -> dict[str, Any]:
    """The same request with a number where its content belongs: no server can serve that."""
    payload = request.payload if isinstance(request.payload, dict) else {"model": "preflight"}
    field = next((name for name in ("messages", "input", "inputs", "prompt", "query") if name in payload), "file")
    return {**{key: value for key, value in payload.items() if key in ("model", "max_tokens")}, field: 7}


def impossible(request: Tiny) -> dict[str, Any] | None:
    """The same request with a value that cannot be: a temperature below zero, or nothing to embed. Its tokens stay
    bounded, for some servers take none or fewer for as many as fit."""
    payload = request.payload
    if not isinstance(payload, dict) or request.kind not in ("chat", "embedding"):
        return None
    if request.kind == "chat":
        return {**payload, "temperature": -1}
    return {key: [] if key in ("input", "inputs") else value for key, value in payload.items()}


def _refuses(status: int | None) -> bool:
    return status is not None and 400 <= status < 500 and status not in (401, 403, 429)


Series = dict[str, Any]


async def _watch(
    visit: Visit, before: metrics.Page, *, errors: bool
) -> tuple[metrics.Page | None, list[Series], list[str], bool]:
    """The page once a counter of the kind looked for has moved and two looks agree on which did, or after the last
    look; what moved, by series; the known counters; and whether all pages were of one process."""
    page: metrics.Page | None = None
    moved: list[Series] = []
    known: list[str] = []
    steady = True
    last: set[str] = set()
    for pause in PAUSES:
        await asyncio.sleep(pause)
        page, _, _ = await read_page(visit, fresh=True)
        if page is None:
            return None, [], [], False
        steady = steady and _steady(before, page)
        stack = page_stack(visit, page)
        meanings = stack.metrics if stack else {}
        known = [name for key in COUNTER_MEANINGS for name in named(page, meanings, key)]
        moved = rises(before, page)
        counting = [row for row in moved if row["name"].endswith(("_total", "_count")) or row["name"] in known]
        which = {f"{row['name']} {sorted(row['labels'].items())}" for row in counting}
        if which == last and any(_error_like(row) if errors else row["name"] in known for row in moved):
            break
        last = which
    return page, moved, known, steady


def named(page: metrics.Page, meanings: Mapping[str, Meaning], key: str) -> list[str]:
    """The names on a page that mean this; readers of the format add ``_total`` to a counter that lacks it."""
    wanted = [name for name, meaning in meanings.items() if meaning.key == key]
    return [found for name in wanted for found in (name, f"{name}_total") if page.value(found) is not None]


def _without_series(page: metrics.Page) -> list[str]:
    """The families that a page declares without a single series: nothing was counted under any of their labels."""
    endings = ("", "_total", "_count", "_bucket", "_sum", "_created")
    return sorted(name for name in page.families if not any(f"{name}{ending}" in page.samples for ending in endings))


def rises(before: metrics.Page, after: metrics.Page) -> list[Series]:
    """The counters that rose between two pages, as ``{name, labels, by}``; at most 60, those of errors first."""
    found: list[Series] = []
    for name, samples in after.samples.items():
        if name.endswith(("_bucket", "_sum", "_created")):
            continue
        earlier = {tuple(sorted(sample.labels.items())): sample.value for sample in before.samples.get(name, ())}
        for sample in samples:
            by = sample.value - earlier.get(tuple(sorted(sample.labels.items())), 0.0)
            if 0 < by < 1e15:
                labels = {key: value for key, value in list(sample.labels.items())[:12] if value}
                found.append({"name": name, "labels": labels, "by": by})
    return sorted(found, key=lambda row: not _error_like(row))[:MAX_SERIES]


def _steady(before: metrics.Page, after: metrics.Page) -> bool:
    """Whether both pages are surely of one process: its start is told and did not change, and no counter fell."""
    started = before.value("process_start_time_seconds")
    if started is None or started != after.value("process_start_time_seconds"):
        return False
    return all(
        (later := after.value(name)) is None or (earlier := before.value(name)) is None or later >= earlier
        for name in after.samples
        if name.endswith("_total")
    )


def _error_like(row: Series) -> bool:
    """Whether a series counts refused or failed requests: by its name, or by a label that says 4xx or an error."""
    labels = {str(key): str(value) for key, value in dict_of(row.get("labels")).items()}
    if _BAD_NAME.search(text_of(row.get("name"))):
        return True
    return any(
        (key in (*_STATUS, "error_type", "error_code") and value.startswith("4"))
        or (key in _KIND and bool(_BAD_NAME.search(value)))
        for key, value in labels.items()
    )


def _kind_of(row: Series) -> str:
    """What a series says of the kind of error, as ``label=value``; empty where it says nothing."""
    labels = {str(key): str(value) for key, value in dict_of(row.get("labels")).items()}
    return joined([f"{key}={labels[key]}" for key in (*_KIND, *_STATUS) if labels.get(key)], 2)


def _moved(observation: Observation, which: str) -> list[Series]:
    return [row for row in map(dict_of, list_of(observation.get(which))) if text_of(row.get("name"))]


def _told(rows: list[Series], limit: int = 3) -> str:
    sums: dict[str, float] = {}
    for row in rows:
        name = text_of(row.get("name"))
        sums[name] = sums.get(name, 0.0) + (number_of(row.get("by")) or 0.0)
    return joined([f"{name} +{plain(by)}" for name, by in sums.items()], limit)


def _throughput(claims: Claims, observation: Observation) -> Judgement:
    where = text_of(observation.get("where"))
    claimed = next(iter(metric_names(claims.get("metric_name"))), "")
    known = [text_of(name) for name in list_of(observation.get("known"))]
    rows = _moved(observation, "good")
    moved = [row for row in rows if text_of(row.get("name")) in known]
    shown = _told(moved)
    if not claimed:
        return nothing_claimed(shown or "no known counter moved")
    names = [text_of(name) for name in list_of(observation.get("names"))]
    names += [text_of(row.get("name")) for row in rows]
    candidates = (claimed, f"{claimed}_total", claimed.removesuffix("_total"), f"{claimed}_count")
    name = next((candidate for candidate in candidates if candidate in names), "")
    if not name and len(inside := {word for word in _NAME.findall(claimed) if word in names}) == 1:
        name = inside.pop()  # within a query
    words: dict[str, Any] = {"claimed": claimed, "rule": RISES, "samples": 1}
    if not name and any(candidate in list_of(observation.get("empty")) for candidate in candidates):
        bare = f"{where} declares {claimed} but carries no series of it, although our request was answered"
        if moved:
            reason = f"{bare}: it counted nothing; {shown} moved."
            return Judgement(CONTRADICTED, observed="counted nothing", reason=reason, **words)
        return Judgement(INCONCLUSIVE, observed="nothing moved", reason=f"{bare}, and nothing else moved.", **words)
    if not name:
        return inconclusive(
            f"There is no counter named {claimed} on {where}.",
            claimed=claimed,
            observed=shown or "none",
            rule=RISES,
            samples=1,
        )
    own = [row for row in rows if text_of(row.get("name")) == name]
    if own:
        by = sum(number_of(row.get("by")) or 0.0 for row in own)
        if name not in known and name in list_of(observation.get("idle")):
            reason = f"{name} rose by {plain(by)} on {where} while our one request was answered, and before it as well."
            return Judgement(INCONCLUSIVE, observed=f"+{plain(by)}", reason=reason, **words)
        reason = f"{name} rose by {plain(by)} on {where} while our one request was answered."
        return Judgement(VERIFIED, observed=f"+{plain(by)}", reason=reason, **words)
    still = f"{name} on {where} stood still although our request was answered"
    if moved:
        reason = f"{still}; {shown} moved."
        return Judgement(CONTRADICTED, observed="did not move", reason=reason, **words)
    if observation.get("beside") is True and observation.get("steady") is True:
        reason = f"{still}, and we looked for {plain(sum(PAUSES))} s."
        return Judgement(CONTRADICTED, observed="did not move", reason=reason, **words)
    reason = (
        f"{still}, but no counter moved at all: the page may be that of another process than the one that answered."
    )
    return Judgement(INCONCLUSIVE, observed="nothing moved", reason=reason, **words)


def _errors(claims: Claims, observation: Observation) -> Judgement:
    classes = texts_of(claims.get("classes"))
    where, status = text_of(observation.get("where")), number_of(observation.get("bad_status"))
    bad = [row for row in _moved(observation, "bad") if _error_like(row)]
    kinds = sorted({kind for row in bad if (kind := _kind_of(row))})
    shown = _told(bad)
    if not classes:
        return nothing_claimed(shown or "no error counter moved")
    ours = [name for name in classes if name in OURS]
    words: dict[str, Any] = {
        "claimed": joined([name.replace("_", " ") for name in classes]),
        "observed": joined(kinds) or shown or "none moved",
        "rule": TOLD,
        "samples": 1,
    }
    if not ours:
        return Judgement(
            INCONCLUSIVE,
            reason="Of the claimed kinds none can be caused from outside by one harmless request.",
            **words,
        )
    if status is None or not _refuses(int(status)):
        return Judgement(
            INCONCLUSIVE,
            reason="A malformed request was to be refused, and was not: "
            + (f"the server answered {status:.0f}." if status else text_of(observation.get("bad_why"))),
            **words,
        )
    if not isinstance(observation.get("bad"), list):
        return Judgement(INCONCLUSIVE, reason=f"{where} could not be read after the malformed request.", **words)
    sent = f"our malformed request was refused with {status:.0f}"
    rest = [name.replace("_", " ") for name in classes if name not in OURS]
    left = f" Not tried, and not to be caused from outside: {joined(rest)}." if rest else ""
    if kinds:
        alike = len(ours) > 1  # one request is of one kind, in however many counters it shows
        if alike:
            left = f" Whether {' and '.join(ours).replace('_', ' ')} are told apart does not show.{left}"
        reason = f"While {sent}, {shown} moved on {where}, told apart by {joined(kinds)}.{left}"
        return Judgement(INCONCLUSIVE if rest or alike else VERIFIED, reason=reason, **words)
    if bad:
        reason = f"While {sent}, {shown} moved on {where}, but says nothing of the kind of error."
        return Judgement(INCONCLUSIVE, reason=reason, **words)
    live = bool(_moved(observation, "good"))
    if observation.get("beside") is True and (live or observation.get("steady") is True):
        note = ", although the good request before it was counted" if live else ""
        return Judgement(
            CONTRADICTED, reason=f"{sent[0].upper()}{sent[1:]}, and no error counter on {where} moved{note}.", **words
        )
    reason = f"{sent[0].upper()}{sent[1:]}, and no error counter on {where} moved: it may be that of another process."
    return Judgement(INCONCLUSIVE, reason=reason, **words)
