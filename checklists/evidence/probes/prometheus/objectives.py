"""What people promise in words ("p95 first token under 1 s for ten minutes"), as numbers that rules can be held to."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from checklists.evidence.probes.base import plain
from checklists.evidence.units import convert

MEAN = 0.0  # instead of a quantile
_NUMBER = r"(\d+(?:[.,]\d+)*)"
_WORDS = {"one": 1, "two": 2, "three": 3, "five": 5, "ten": 10, "fifteen": 15, "twenty": 20, "thirty": 30, "sixty": 60}
_TIMES = {
    "ms": r"ms|msec|milliseconds?",
    "s": r"s|secs?|seconds?",
    "minute": r"m|mins?|minutes?",
    "hour": r"h|hours?",
    "day": r"d|days?",
    "week": r"w|weeks?",
    "month": r"months?",
}
_SPAN = "|".join(f"(?P<{name}>{pattern})" for name, pattern in _TIMES.items())
_COUNT = rf"(?P<number>\d+(?:[.,]\d+)*|{'|'.join(_WORDS)}|an?)"
_HOLD = re.compile(
    rf"\b(?:for|during|lasting)\s+(?:at least\s+|more than\s+|over\s+)?{_COUNT}[\s-]*(?:{_SPAN})\b", re.I
)
_WINDOW = re.compile(
    r"\b(?:over|during|rolling|each|every|(?:in|within)\s+(?:the|any|a)\s+(?:last|past|rolling))\s+"
    rf"(?:(?:the|a|any|last|past|rolling)\s+)*(?:\d+|{'|'.join(_WORDS)})?[\s-]*"
    r"(?:m|mins?|minutes?|h|hours?|d|days?|weeks?|months?|quarters?)\b(?:\s+window)?"
    r"|\b(?:per|a)\s+(?:day|week|month|quarter)\b"
    r"|\b\d{1,3}[\s-]?(?:m|mins?|minutes?|h|hours?|d|days?)[\s-](?:windows?|averages?|avg)\b",
    re.I,
)
# Of a share of errors a time is no goal, but a window.
_WITHIN = re.compile(
    r"\b(?:in|within|per)\s+(?:(?:a|any|the|last)\s+){0,2}\d{1,3}[\s-]?(?:m|mins?|minutes?|h|hours?)\b"
    r"|\(\s?\d{1,3}\s?(?:m|mins?|minutes?|h|hours?)\s?\)|\b\d{1,3}[\s-]?(?:m|mins?|minutes?|h|hours?)(?=\s+error)",
    re.I,
)
_TIME = re.compile(rf"(?<![\w.,/]){_NUMBER}\s*(ms|msec|milliseconds?|s|secs?|seconds?|mins?|minutes?)(?![\w/])", re.I)
_PERCENT = re.compile(rf"(?<![\w.,]){_NUMBER}\s*(?:%|per ?cent\b)", re.I)
_RATE = re.compile(
    rf"(?<![\w.,]){_NUMBER}\s*(tok(?:en)?s?|req(?:uest)?s?|quer(?:y|ies)|rps|qps)\s*(?:(?:/|per|a)\s*(s(?:ec(?:ond)?)?|"
    r"min(?:ute)?)\b)?",
    re.I,
)
_OTHER = re.compile(  # a bound on something else: money, a score
    r"(?:\b(?:under|over|above|below|at most|at least|than|exceeds?|drops? to)|[<>≤≥]=?)\s*\d|\d\s*(?:EUR|USD|€|\$)",
    re.I,
)
_QUANTILE = re.compile(
    r"(?<![a-z\d])p\s?(\d{2}(?:\.\d+)?)\b|(?<![\w.])(\d{2}(?:\.\d+)?)\s?(?:st|nd|rd|th)\s+percentile|\bmedian\b", re.I
)
_MEAN = re.compile(r"\b(?:mean|average|avg)\b", re.I)
_RELATIVE = re.compile(
    r"\b(?:twice|double|times|half|tripled?|rises? by|grows? by|more than before|the goal|baseline)\b", re.I
)
_KINDS = (
    ("first_token_seconds", re.compile(r"first[\s-]+token|\bttft(?:\b|_)", re.I)),
    (
        "per_output_token_seconds",
        re.compile(r"\b(?:per|each|every)\s+(?:further\s+|output\s+)*token|inter[\s-]?token|\btpot\b|\bitl\b", re.I),
    ),
    ("queue_seconds", re.compile(r"\bqueue|\bwaiting time\b", re.I)),
    (
        "end_to_end_seconds",
        re.compile(
            r"end[\s-]to[\s-]end|\be2e\b|latenc|respon|answer|(?:request|generation|total) (?:time|duration)", re.I
        ),
    ),
)
# What a share is of says nothing of what is measured, unless nothing else is said: then it is the whole request.
_WHOLE = re.compile(r"\bof (?:all |the )?(?:requests|answers|responses|calls|images|completions|queries)\b", re.I)
_FILL = re.compile(
    r"\b(?:within|under|below|over|above|exceeds?|in|less|than|at|most|are|is|be|have|all|done|served|ready|finished|answered|completed?|"
    r"ms|s|secs?|seconds?|mins?|minutes?|milliseconds?|msec|requests?|images?)\b",
    re.I,
)
_COMPARING = re.compile(
    r"\b(?:within|under|below|over|above|exceeds?|in|less|more|than|at|most|least|up|to|are|is|be)\b", re.I
)
# A share of requests, of one kind perhaps ("chat requests"), and not of users or of days.
_OF_REQUESTS = re.compile(
    r"of\s+(?:all\s+)?(?:the\s+)?(?:[\w-]*[^\Ws]\s+)?"
    r"(?:requests|answers|responses|calls|images|completions|queries|prompts|generations|tokens)\b",
    re.I,
)
_SIZES = re.compile(r"(?<![\d,.])\d[\d,.]{0,12}\s?k?[\s-]?(?:(?:input|output|prompt|generated)[\s-])?tokens?\b", re.I)
_PER = re.compile(r"\b(?:per|each|every)\b|(?<!\d)/", re.I)
# Only a part of a request, or of the errors.
_PART = re.compile(
    r"prefill|decod|wait|load|start|cold|retriev|network|tool|warm|overhead|cache|database|\bdb\b|"
    r"prompt (?:process|eval|latenc)",
    re.I,
)
_SOME = re.compile(
    r"time[\s-]?out|4xx|\b4\d\d\b|\b5\d\d\b|client|refus|tool|pars|json|halluc|safe|qualit|schema|memory|\boom\b|login|auth",
    re.I,
)
_FAILING = re.compile(r"\berrors?\b|\bfail|\b5xx\b|\bfaults?\b", re.I)
_WORKING = re.compile(r"availab|\buptime\b|\bsucce", re.I)
_TELLING = (*(pattern for _, pattern in _KINDS), _PART, _SOME, _FAILING, _WORKING, _QUANTILE)
NAMES = {
    "first_token_seconds": "time to the first token",
    "per_output_token_seconds": "time per token",
    "queue_seconds": "time in the queue",
    "end_to_end_seconds": "request latency",
    "error_ratio": "share of errors",
    "tokens_per_second": "tokens per second",
    "requests_per_second": "requests per second",
}


@dataclass(frozen=True)
class Goal:
    """One promise. ``limit`` is in seconds, a share, or per second; ``quantile`` belongs to latencies (``MEAN``: the
    mean), ``budget`` says that the promise was a share of requests, which alerts may watch by how fast it burns."""

    kind: str
    limit: float
    quantile: float | None = None
    budget: bool = False

    @property
    def words(self) -> str:
        if self.kind == "error_ratio":
            return f"{NAMES[self.kind]} {plain(self.limit * 100)} %"
        if self.quantile is None:
            return f"{plain(self.limit)} {NAMES[self.kind]}"
        which = "mean" if self.quantile == MEAN else f"p{plain(self.quantile * 100)}"
        return f"{which} {NAMES[self.kind]} {plain(self.limit)} s"


@dataclass(frozen=True)
class Promise:
    """What was understood of a text: its goals, for how long they must be missed (seconds), and what was not."""

    goals: tuple[Goal, ...] = ()
    hold_s: float | None = None
    unclear: tuple[str, ...] = ()


def promise_of(text: str, target: str = "") -> Promise:
    """The goals of a claim. ``target`` belongs to what ``text`` says is measured, and to each part of it."""
    text, hold = _held(text[:1000])
    target, other = _held(target[:300])
    clauses = [whole for clause in _clauses(text) if _amounts(whole := f"{clause} {target}".strip())]
    read = [_goal(clause) for clause in clauses]
    # "p95 first token 1 s, p99 2 s": what is measured is said once. Not so where anything else may have been named, or
    # where it would be promised twice.
    kinds = {goal.kind for goal in read if goal is not None and goal.quantile is not None}
    if len(kinds) == 1:
        kind = kinds.pop()
        both = [goal or _goal(clause, kind) for goal, clause in zip(read, clauses, strict=True)]
        once = {(goal.kind, goal.quantile) for goal in both if goal is not None}
        read = both if len(once) == len(set(both)) and None not in both else read
    goals = dict.fromkeys(goal for goal in read if goal is not None)
    unclear = tuple(clause[:100] for goal, clause in zip(read, clauses, strict=True) if goal is None)
    return Promise(tuple(goals), hold if hold is not None else other, unclear)


def _held(text: str) -> tuple[str, float | None]:
    """The text without the times that are no goals, and how long it says that something must last."""
    hold: float | None = None
    if match := _HOLD.search(text):
        unit = next(name for name in _TIMES if match.group(name))
        number = match.group("number").casefold()
        value = float(_WORDS.get(number, 1)) if number.isalpha() else _number(number)
        hold = convert(value, unit, "s") if value is not None else None
        text = text[: match.start()] + " " + text[match.end() :]
    return _WINDOW.sub(" ", text), hold


def _clauses(text: str) -> list[str]:
    """The parts of a text, each of which may be a goal. What stands before a colon belongs to what follows if it says
    what is measured (``first token: p95 latency 1 s``)."""
    found: list[str] = []
    for part in re.split(r"\bor\b|\band\b|[;\n]|,(?!\d)|\.(?!\d)", text):
        head = ""
        for piece in filter(None, map(str.strip, part.split(":"))):
            if head and not _amounts(head):
                found.pop()
                # "Images: p95 2 s" is not bare, but "SLO: p95 first token 1 s" says all there is.
                needed = bool(_TIME.search(piece)) and _bare(piece)
                needed = needed or any(pattern.search(head) for pattern in _TELLING)
                piece = f"{head} {piece}" if needed else piece
            found.append(piece)
            head = piece
    return found


def _number(text: str) -> float | None:
    """A number as people write it: ``1,000`` is a thousand, ``0,5`` a half; ``None`` where it could be either."""
    if re.fullmatch(r"[1-9]\d{0,2}(?:,\d{3})+(?:\.\d+)?", text):
        return float(text.replace(",", ""))
    text = text.replace(",", ".")
    return float(text) if text.count(".") <= 1 else None


def _amounts(text: str) -> bool:
    return any(pattern.search(text) for pattern in (_TIME, _PERCENT, _RATE, _OTHER))


def _seconds(text: str) -> Iterator[float | None]:
    for number, unit in _TIME.findall(text):
        # "1.500 ms" and "1,500 s" are one number in one language, and a thousandth or a thousandfold in another.
        either = re.fullmatch(r"[1-9]\d{0,2}[.,]\d{3}", number) and ("." in number) == (
            unit.casefold()[:2] in ("ms", "mi")
        )
        value = None if either else _number(number)
        name = next(name for name, pattern in _TIMES.items() if re.fullmatch(pattern, unit, re.I))
        yield None if value is None else convert(value, name, "s")


def _goal(text: str, kind: str = "") -> Goal | None:
    """The goal of a clause with one meaning; ``None`` if it has none or several. ``kind``: the latency that it is of if
    it does not say."""
    if _PERCENT.search(text) and _FAILING.search(text) and not _WORKING.search(text):
        text = _WITHIN.sub(" ", text)
    # The target often says once more what the objective says.
    times = list(dict.fromkeys(_seconds(text)))
    shares = list(dict.fromkeys(_number(number) for number in _PERCENT.findall(text)))
    found = dict.fromkeys(_RATE.findall(text))
    rates = [(number, unit, per) for number, unit, per in found if per or unit.casefold() in ("rps", "qps")]
    quantiles = list(dict.fromkeys(one or other or "50" for one, other in _QUANTILE.findall(text)))
    if _RELATIVE.search(text) or len(times) > 1 or len(shares) > 1 or len(rates) > 1 or len(quantiles) > 1:
        return None
    if None in times or None in shares:
        return None
    if rates:
        return None if times or shares or quantiles or _FAILING.search(text) else _rate(*rates[0])
    share = shares[0] / 100 if shares and shares[0] is not None else None
    if share is not None and not 0 < share < 1:
        return None
    if times and times[0]:
        kind = _latency(text) or (kind if _bare(text) else "")
        if not kind or _FAILING.search(text) or (share is not None and share <= 0.5):
            return None
        if quantiles and share is not None and float(quantiles[0]) != shares[0]:
            return None
        if not all(_of_requests(text[one.end() :], bool(quantiles)) for one in _PERCENT.finditer(text)):
            return None
        if share is not None:
            return Goal(kind, times[0], share, budget=True)
        if quantiles:
            return Goal(kind, times[0], float(quantiles[0]) / 100)
        return Goal(kind, times[0], MEAN) if _MEAN.search(text) else None
    if share is None or quantiles or any(pattern.search(text) for _, pattern in _KINDS[:3]):
        return None
    if _SOME.search(text):
        return None
    if _FAILING.search(text) and not _WORKING.search(text):
        return Goal("error_ratio", share) if share < 0.5 else None
    if _WORKING.search(text) and not _FAILING.search(text):
        return Goal("error_ratio", 1 - share, budget=True) if share > 0.5 else None
    return None


def _bare(text: str) -> bool:
    """Whether a text says how much and of how many, and not a word of what."""
    for pattern in (_QUANTILE, _TIME, _PERCENT, _COMPARING):
        text = pattern.sub(" ", text)
    return not re.search(r"[^\W\d_]", text)


def _of_requests(rest: str, quantile: bool) -> bool:
    """Whether a share, by what follows it, is one of requests. Next to a quantile it is often one of something else
    (``p95 latency 3 s for 95 % of users``), so that then nothing else may follow."""
    rest = rest.replace("(", " ").lstrip()
    if not quantile:
        return bool(_OF_REQUESTS.match(rest)) or not re.match(r"of\b", rest, re.I)
    if _WHOLE.match(rest):
        return True
    for _, pattern in _KINDS:
        rest = pattern.sub(" ", rest)
    return _bare(rest)


def _latency(text: str) -> str:
    """Which latency a text speaks of; empty where that is not sure."""
    rest = _WHOLE.sub(" ", text)
    sizes = rest
    for _, pattern in _KINDS[:2]:
        sizes = pattern.sub(" ", sizes)
    if (per := _PER.search(sizes)) and re.search("token", sizes[per.end() :], re.I):
        return ""  # "5 s per 100 tokens"
    kind = next((key for key, pattern in _KINDS if pattern.search(rest)), "")
    if kind == "end_to_end_seconds" and re.search("token", _SIZES.sub(" ", rest), re.I):
        return ""  # of a token, perhaps
    if not kind and _WHOLE.search(text) and not re.search(r"[a-z]", _FILL.sub(" ", rest), re.I):
        kind = "end_to_end_seconds"
    return "" if kind == "end_to_end_seconds" and _PART.search(rest) else kind


def _rate(number: str, unit: str, per: str) -> Goal | None:
    value = None if re.fullmatch(r"[1-9]\d{0,2}\.\d{3}", number) else _number(number)  # 1.500: which of the two?
    if value is None:
        return None
    kind = "token" if unit.casefold().startswith("tok") else "request"
    by = "minute" if per.casefold().startswith("min") else "s"
    per_second = convert(value, f"{kind}/{by}", f"{kind}/s")
    return Goal(f"{kind}s_per_second", per_second) if per_second else None
