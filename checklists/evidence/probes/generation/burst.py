"""One declared, capped burst: what the endpoint does with more requests at once than it is used to."""

from __future__ import annotations

import asyncio
import dataclasses
import re
import statistics
import time
from collections import Counter
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

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
    nothing_claimed,
    number_of,
    plain,
    text_of,
)
from checklists.evidence.probes.generation.requests import MAX_TOKENS, Tiny
from checklists.evidence.probes.generation.sending import (
    Sent,
    as_known,
    counted,
    failed,
    forbidden,
    send,
    usual_request,
)
from checklists.evidence.probes.metrics_page import page_stack, read_page
from checklists.evidence.probes.visit import Claims, Observation, Visit
from checklists.evidence.stacks import Stack

AT_ONCE = 20
SECONDS = 10.0
MOST = 60  # requests in all
AFTER_S = 30.0  # the longest wait for the answer afterwards
LATER_S = 1.0
LOOK_AFTER_S = 0.5  # into the burst, the queue is read once
SLOWED = 2.0  # times as long as alone: it had to wait, or had to share
REFUSALS = (429, 503)
SAID = 2000  # bytes of each answer that are kept
FEW, SHARE = 3, 0.1  # so many, and such a part of all, make a pattern; less may be the network's, or one bad moment
LOOKS = 3  # the answer afterwards is asked for so often, a second apart
BROKEN = ("unreachable",)  # errors of a connection; others are of our own making
ODD = ("protocol", "too_large", "redirect")
# What a limit of a key says, and a full server does not.
_QUOTA = re.compile(r"rate.?limit|quota|per (?:second|minute|hour|day)\b|\b[rt]pm\b", re.IGNORECASE)
_QUOTA_HEADERS = ("x-ratelimit-", "ratelimit")
FAULTS = (
    f"5xx but 503, broken connections, or hanging for {SECONDS / 2:.0f} s although one alone is quick, at least {FEW} "
    f"and {SHARE:.0%} of all, or no answer to {LOOKS} requests afterwards: contradicted"
)


OUR_KEY = "The refusals may be a limit of our own key."
ONCE = "So few may be the network's, or of one bad moment."


class Burst(Probe):
    """At most 20 requests at once, 60 in all, for 10 seconds by the clock; then one more, to see that it recovered.

    Refusing with 429 or 503 is what a full server should do, and so is letting wait and answering later. Other 5xx,
    broken connections, and no answer although even one request at a time would have been through, contradict where they
    make a pattern; one alone may be the network's. A 429 or 503 may be the limit of our own key (nginx says 503) rather
    than of the server, so it never contradicts a number of concurrent requests, and verifies a limit only where so many
    as claimed were served at once and none said to be a quota. Where fewer were sent at once than the team claims to
    serve, nothing was full, and nothing is said. Whether a load test was made it does not settle: a burst that small is
    none, and an endpoint that fails under it may well have been tested.
    """

    key = "generation.burst"
    title = "A capped burst"
    items = ("reliability.backpressure", "reliability.load-test", "autoscaling.batch-queue")
    reads = ("endpoint", "metrics")
    sends = (
        f"A burst of tiny requests (at most {MAX_TOKENS} tokens, or one embedding, picture, transcription or inference "
        f"each): at most {AT_ONCE} at once, {MOST} in all, for {SECONDS:.0f} seconds; one before "
        f"and up to {LOOKS} after it; and one GET of the metrics page in the middle."
    )
    generates = True
    bursts = True
    by_hand = True
    cheap = False
    ttl = timedelta(days=30)

    async def observe(self, visit: Visit) -> Observation:
        if refusal := forbidden(visit, burst=True):
            return refusal
        request, problem = await usual_request(visit)
        if request is None:
            return problem
        alone = await send(visit, request)
        if not alone.ok:
            return failed(alone)
        request = as_known(request, alone)
        answers, queue, seconds = await _burst(visit, request)
        summary = _summary(answers)
        # What we hung up on may still be worked through: it is given twice the time that it would take one by one.
        patience = SECONDS + 2 * alone.total_ms / 1000 * summary["unanswered"]
        after = await send(visit, request, timeout_s=min(patience, AFTER_S))
        for _ in range(LOOKS - 1):
            if after.ok or after.answer.status in REFUSALS or _timed_out(after):
                break
            await asyncio.sleep(LATER_S)
            after = await send(visit, request, timeout_s=min(patience, AFTER_S))
        after_ok: bool | None = after.ok or after.answer.status in REFUSALS
        if not after_ok and _is_odd(after):
            after_ok = None
        if not after_ok and patience > AFTER_S and after.answer.error is not None:
            after_ok = None  # not waited for long enough to tell
        return {"alone_ms": alone.total_ms, "queue": queue, "seconds": round(seconds, 2), **summary} | {
            "what": request.what,
            "after_ok": after_ok,
            "after": "" if after.ok else after.why,
        }

    def judge(
        self, item_key: str | None, claims: Claims, observation: Observation, others: Mapping[str, Claims] = NONE
    ) -> Judgement:
        if why := fact_error(observation):
            return inconclusive(why)
        if counted(observation.get("odd")) and not any(_faults(observation)):
            return inconclusive(f"{_told(observation)}. That says nothing about load.")
        if item_key == "reliability.backpressure":
            return _backpressure(claims, observation)
        if item_key == "autoscaling.batch-queue":
            return _queue(claims, observation)
        return _load(claims, observation)

    def settles(self, item_key: str, stack: Stack) -> str:
        if stack.key in ("comfyui", "torchserve"):
            return f"{stack.label} has no small request that could be sent without harm."
        if item_key == "reliability.load-test":
            return "A burst that small shows neither that there was a load test nor that there was none."
        if item_key == "autoscaling.batch-queue" and not stack.exports("requests_waiting"):
            return f"{stack.label} does not show how many requests wait."
        return super().settles(item_key, stack)


Timed = tuple[float, float, Sent]  # begun, ended, what came


def _timed_out(sent: Sent) -> bool:
    return sent.answer.error is not None and sent.answer.error.kind == "timeout"


async def _burst(visit: Visit, request: Tiny) -> tuple[list[Timed], float | None, float]:
    begun = time.monotonic()
    left = iter(range(MOST))
    answers: list[Timed] = []

    async def one() -> None:
        for _ in left:
            started = time.monotonic()
            rest = begun + SECONDS - started
            if rest <= 0.05:
                return
            sent = await send(visit, request, timeout_s=rest, in_turn=False)
            answers.append((started, time.monotonic(), _without_body(sent)))

    async def look() -> float | None:
        await asyncio.sleep(LOOK_AFTER_S)
        page, _, _ = await read_page(visit, fresh=True)
        stack = page_stack(visit, page) if page else None
        waiting = (
            [name for name, meaning in stack.metrics.items() if meaning.key == "requests_waiting"] if stack else []
        )
        values = [value for name in waiting if page and (value := page.value(name)) is not None]
        return max(values, default=None)

    *_, queue = await asyncio.gather(*(one() for _ in range(AT_ONCE)), look())
    return answers, queue, time.monotonic() - begun


def _is_odd(sent: Sent) -> bool:
    """Whether it was answered in a way that says nothing about load: neither as asked, nor with an error."""
    if sent.answer.error is not None:
        return sent.answer.error.kind in ODD
    return not sent.ok and (sent.answer.status or 0) < 400


def _without_body(sent: Sent) -> Sent:
    """What is counted afterwards, and what a refusal says: sixty whole bodies at once are too much to keep."""
    if (response := sent.answer.response) is None:
        return sent
    short = dataclasses.replace(response, body=response.body[:SAID])
    return dataclasses.replace(sent, answer=dataclasses.replace(sent.answer, response=short))


def _summary(answers: list[Timed]) -> Observation:
    statuses = Counter(str(sent.answer.status) for _, _, sent in answers if sent.answer.status is not None)
    errors = Counter(sent.answer.error.kind for _, _, sent in answers if sent.answer.error is not None)
    refused = [sent for _, _, sent in answers if sent.answer.status in REFUSALS and sent.answer.response]
    good = sorted(sent.total_ms for _, _, sent in answers if sent.ok)
    # Only what is surely in the server's hands at the same time: begun before, and ended after, the moment.
    most = _at_once(answers)
    return {
        "sent": len(answers),
        "in_flight": most,
        "statuses": dict(statuses),
        "served_at_once": _at_once([each for each in answers if each[2].ok]),
        "quota": sum(_says_quota(sent) for sent in refused),
        "unanswered": errors.get("timeout", 0),
        "hung": sum(_timed_out(sent) and ended - begun >= SECONDS / 2 for begun, ended, sent in answers),
        "broken": sum(errors.get(kind, 0) for kind in BROKEN),
        "odd": sum(_is_odd(sent) for _, _, sent in answers),
        "with_retry_after": sum(bool(s.answer.response and s.answer.response.header("retry-after")) for s in refused),
        "quickest_ms": good[0] if good else None,
        "median_ms": round(statistics.median(good), 1) if good else None,
        "slowest_ms": good[-1] if good else None,
    }


def _at_once(answers: list[Timed]) -> int:
    return max((sum(b <= moment < e for b, e, _ in answers) for moment, _, _ in answers), default=0)


def _says_quota(sent: Sent) -> bool:
    """Whether a refusal names a limit of the caller rather than of the server."""
    response = sent.answer.response
    if response is None:
        return False
    return any(name.startswith(_QUOTA_HEADERS) for name, _ in response.headers) or bool(
        _QUOTA.search(response.text[:2000])
    )


def _of(observation: Observation, status: int) -> int:
    return counted(dict_of(observation.get("statuses")).get(str(status)))


def _answered(observation: Observation) -> int:
    return sum(counted(n) for status, n in dict_of(observation.get("statuses")).items() if str(status).startswith("2"))


def _refused(observation: Observation) -> int:
    return sum(_of(observation, status) for status in REFUSALS)


def _waited(observation: Observation) -> bool:
    """Whether some were served at once while others waited; where all are slow, they rather shared a server without a
    limit."""
    alone, quickest, median = (number_of(observation.get(f"{name}_ms")) for name in ("alone", "quickest", "median"))
    return bool(alone and quickest and median and quickest < SLOWED * alone <= median)


def _told(observation: Observation) -> str:
    statuses = dict_of(observation.get("statuses"))
    parts = [f"{counted(n)} × {status}" for status, n in sorted(statuses.items())]
    parts += [
        f"{n} {word}"
        for key, word in (("unanswered", "not answered"), ("broken", "broken off"), ("odd", "answered in no valid way"))
        if (n := counted(observation.get(key)))
    ]
    quickest, median, alone = (
        plain(number_of(observation.get(f"{name}_ms")) or 0) for name in ("quickest", "median", "alone")
    )
    if number_of(observation.get("median_ms")):
        parts.append(f"quickest {quickest} ms, median {median} ms against {alone} ms alone")
    return (
        f"{counted(observation.get('sent'))} requests, up to {counted(observation.get('in_flight'))} at once, in "
        f"{plain(number_of(observation.get('seconds')) or 0)} s: {joined(parts, 8)}"
    )


def _faults(observation: Observation) -> tuple[str, str]:
    """What no full server should do, in words: as a pattern; and what was seen of it that makes none."""
    statuses = dict_of(observation.get("statuses"))
    wrong = {s: counted(n) for s, n in statuses.items() if str(s).startswith("5") and str(s) != "503" and counted(n)}
    alone = (number_of(observation.get("alone_ms")) or 0.0) / 1000
    found = []
    if wrong:
        found.append((sum(wrong.values()), joined([f"{n} answered {status}" for status, n in sorted(wrong.items())])))
    if broken := counted(observation.get("broken")):
        found.append((broken, f"{broken} connection{'s' * (broken > 1)} broke off"))
    # One after the other, and with as many of other people's in between, they would have been through before.
    # What answers oddly takes our own time too, so that others may not have been waited for.
    odd = counted(observation.get("odd"))
    patient = 2 * alone * counted(observation.get("sent")) <= SECONDS / 2
    if not odd and patient and (hung := counted(observation.get("hung"))):
        found.append(
            (hung, f"{hung} hung without an answer, although one alone takes {plain(round(alone * 1000, 1))} ms")
        )
    enough = max(FEW, SHARE * counted(observation.get("sent")))
    pattern = [words for number, words in found if number >= enough]
    if observation.get("after_ok") is False:
        why = text_of(observation.get("after")).rstrip(".")
        pattern.append(f"afterwards the endpoint did not answer, {LOOKS} times ({why})")
    return _sentence(pattern), _sentence([words for number, words in found if number < enough])


def _sentence(parts: list[str]) -> str:
    text = joined(parts)
    return f"{text[0].upper()}{text[1:]}." if text else ""


def _words(claimed: str, observation: Observation, rule: str) -> dict[str, Any]:
    refused = _refused(observation)
    observed = f"{_answered(observation)} answered, {refused} refused" + (
        f" ({counted(observation.get('with_retry_after'))} with Retry-After)" if refused else ""
    )
    return {"claimed": claimed, "observed": observed, "rule": rule, "samples": counted(observation.get("sent"))}


def _backpressure(claims: Claims, observation: Observation) -> Judgement:
    policy, most = text_of(claims.get("on_overload")), number_of(claims.get("max_concurrency"))
    told = _told(observation)
    if not policy or most is None:
        return nothing_claimed(told)
    words = _words(
        f"{policy}, {plain(most)} at once",
        observation,
        "reject: 429 or 503 while as many as claimed were served at once, no more than a quarter beyond, and none of "
        "them for a quota: verified; queue: the same while at least as many were served, or waiting and an answer: "
        f"verified; {FAULTS}",
    )
    at_once, refused = counted(observation.get("in_flight")), _refused(observation)
    faults, seen = _faults(observation)
    if faults:
        return Judgement(CONTRADICTED, reason=f"{told}. {faults}", **words)
    if seen:
        return Judgement(INCONCLUSIVE, reason=f"{told}. {seen} {ONCE}", **words)
    if at_once <= most:
        note = f" {OUR_KEY}" if refused else ""
        reason = f"{told}. That is within the claimed {plain(most)} at once, so nothing should have been full.{note}"
        return Judgement(INCONCLUSIVE, reason=reason, **words)
    if policy == "none":
        note = f"No limit is claimed, and requests were refused. {OUR_KEY}" if refused else "No limit was met."
        return Judgement(INCONCLUSIVE, reason=f"{told}. {note}", **words)
    if refused and policy in ("reject", "queue"):
        served = counted(observation.get("served_at_once"))
        if counted(observation.get("quota")):
            note = "The refusals name a quota of the caller, which is no word on a full server."
            return Judgement(INCONCLUSIVE, reason=f"{told}. {note}", **words)
        if served < most or (policy == "reject" and served > most * 1.25 + 1):
            note = f"Up to {served} were served at once, where {plain(most)} are claimed. {OUR_KEY}"
            return Judgement(INCONCLUSIVE, reason=f"{told}. {note}", **words)
        reason = f"{told}. Up to {served} were served at once, the rest refused cleanly, and it answered afterwards."
        return Judgement(VERIFIED, reason=reason, **words)
    if policy == "queue" and not counted(observation.get("unanswered")) and _waited(observation):
        return Judgement(VERIFIED, reason=f"{told}. The surplus waited and was answered.", **words)
    note = {
        "reject": "None was refused; several replicas, or requests too short to overlap, would explain that.",
        "queue": "Neither refusing can be made out nor waiting, which answers some as fast as alone and others later.",
    }.get(policy, "Whether it answers with less, or elsewhere, cannot be seen from outside.")
    return Judgement(INCONCLUSIVE, reason=f"{told}. {note}", **words)


def _load(claims: Claims, observation: Observation) -> Judgement:
    told = _told(observation)
    claimed = text_of(claims.get("date")) or text_of(claims.get("report_url"))
    if not claimed:
        return nothing_claimed(told)
    rule = "A burst of some seconds shows neither that a load test was made nor that none was."
    words = _words(f"load-tested, {claimed}", observation, rule)
    faults, seen = _faults(observation)
    if faults or seen:
        reason = f"{told}. {faults or seen} That speaks to the load that it bears, and not to whether it was tested."
        return Judgement(INCONCLUSIVE, reason=reason, **words)
    if counted(observation.get("unanswered")) or not _answered(observation):
        return Judgement(INCONCLUSIVE, reason=f"{told}. Too slow or too few to tell.", **words)
    reason = f"{told}. A burst that small is withstood, which is no load test; the report is for a person to read."
    return Judgement(INCONCLUSIVE, reason=reason, **words)


def _queue(claims: Claims, observation: Observation) -> Judgement:
    policy, claimed = text_of(claims.get("on_overflow")), claims.get("max_queue")
    told, queue = _told(observation), observation.get("queue")
    waiting = queue if isinstance(queue, int | float) and not isinstance(queue, bool) else None
    longest = 0.0 if claimed in (0, "0") else number_of(claimed)
    if not policy or longest is None:
        return nothing_claimed(told)
    words = _words(
        f"{policy}, {plain(longest) or '0'} waiting",
        observation,
        "queue read during the burst ≤ claim, and overflow as claimed (refused for no quota, or waited and answered): "
        f"verified; queue longer than claimed: contradicted; {FAULTS}",
    )
    refused = _refused(observation)
    read = f" {plain(waiting) or '0'} waited when the queue was read." if waiting is not None else ""
    faults, seen = _faults(observation)
    if faults:
        return Judgement(CONTRADICTED, reason=f"{told}. {faults}", **words)
    if waiting is not None and waiting > longest:
        return Judgement(CONTRADICTED, reason=f"{told}.{read} Claimed are at most {plain(longest) or '0'}.", **words)
    if seen:
        return Judgement(INCONCLUSIVE, reason=f"{told}.{read} {seen} {ONCE}", **words)
    full = waiting is not None and waiting >= longest
    if refused and policy == "reject" and full and not counted(observation.get("quota")):
        return Judgement(VERIFIED, reason=f"{told}.{read} What exceeded the queue was refused.", **words)
    if not refused and not counted(observation.get("unanswered")) and waiting and _waited(observation):
        return Judgement(VERIFIED, reason=f"{told}.{read} All were answered in the end.", **words)
    if refused:
        return Judgement(INCONCLUSIVE, reason=f"{told}.{read} {OUR_KEY}", **words)
    return Judgement(INCONCLUSIVE, reason=f"{told}.{read} No queue was seen to fill.", **words)
