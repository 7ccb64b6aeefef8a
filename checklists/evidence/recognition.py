"""Finding out a serving stack from harmless requests: which one, how sure, and from what.

How sure is a share. Every sign of a stack has a weight (see ``Sign``). With *for* the weight of its signs that were
seen, *against* the weight of those that were looked for and are missing from a clear answer (an optional sign never
speaks against, nor does a refusal, a fault or silence), and *rival* what was seen for the strongest other stack that is
neither inside nor around this one::

    sure = for / (for + against + rival + 1)

so that one sign alone never makes quite sure, one that others may have is a guess, and two stacks that look alike make
each other doubtful.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, Protocol

from checklists.evidence.stacks import GATEWAYS, GENERIC, STACKS, Sign, Stack, places

if TYPE_CHECKING:
    from checklists.evidence.probes.visit import Answer

FIRST = "/v1/models"
SHARED = "/metrics"  # where the prefix of the names tells many stacks apart
MAX_TEXT = 64 * 1024
TELLING = 2.0  # weight of the signs from which on only one stack is followed
BLANKS = 5  # good answers without any sign, after which no more are asked for
NOT_THERE = (404, 405, 501)


@dataclass(frozen=True)
class Seen:
    """The answer to one GET as recognition reads it; ``status`` is ``None`` where nothing came back."""

    status: int | None
    text: str = ""
    data: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)
    _shown: dict[Sign, str | None] = field(default_factory=dict, init=False, repr=False, compare=False)

    @property
    def good(self) -> bool:
        return self.status is not None and 200 <= self.status < 300

    @property
    def clear(self) -> bool:
        """Whether a sign that is missing here says something."""
        return self.good or self.status in NOT_THERE

    def shown(self, sign: Sign) -> str | None:
        """What the sign's pattern met, empty for a sign without one; ``None`` if this does not show the sign."""
        if sign not in self._shown:  # every stack is weighed again with each answer that comes
            self._shown[sign] = _look_for(sign, self)
        return self._shown[sign]


@dataclass(frozen=True)
class Recognition:
    """``sure`` is a share from 0 to 1; ``signs`` and ``against`` are words; ``behind`` is the key of a stack inside or
    behind this one, ``gateway`` the name of something in front; keys are empty where nothing was found."""

    stack: str
    sure: float
    signs: tuple[str, ...] = ()
    against: tuple[str, ...] = ()
    runner_up: str = ""
    runner_up_sure: float = 0.0
    behind: str = ""
    gateway: str = ""

    @property
    def words(self) -> str:
        """One sentence: what it is, how sure, and what stands before and behind it."""
        if not self.signs:
            return "Nothing gave the serving stack away."
        text = f"{STACKS[self.stack].label}, {self.sure:.0%} sure"
        if self.behind:
            behind = "an OpenAI-compatible server" if self.behind == GENERIC else STACKS[self.behind].label
            text += f", with {behind} behind it"
        if self.gateway:
            text += f", reached through {self.gateway}"
        return f"{text}."


class Asks(Protocol):
    async def get(self, path: str) -> Answer: ...


async def find_out(visit: Asks) -> Recognition:
    """Ask what is worth asking, and recognise. At most one GET per path of the table, usually six."""
    answers: dict[str, Seen] = {}
    while path := next_path(answers):
        answers[path] = seen(await visit.get(path))
    return recognise(answers)


def seen(answer: Answer) -> Seen:
    """What recognition reads of an answer."""
    response = answer.response
    if response is None:
        return Seen(None)
    return Seen(
        response.status,
        response.body[:MAX_TEXT].decode("utf-8", "replace"),
        response.json() if answer.ok else None,
        dict(reversed(response.headers)),
    )


def next_path(answers: Mapping[str, Seen]) -> str:
    """What to ask next, empty when enough is known: first the model list, then whatever follows the strongest trace,
    and without one every stack's first sign in turn."""
    if FIRST not in answers:
        return FIRST
    silent = sum(one.status is None for one in answers.values())
    if silent == len(answers) or silent > 1:
        return ""  # nobody is there: asking a dozen more times would find out nothing
    traces = {key: _trace(stack, answers) for key, stack in STACKS.items() if key != GENERIC}
    leader = max(traces, key=lambda key: traces[key])
    if traces[leader] < TELLING:
        if sum(one.good and not _telling(path, one) for path, one in answers.items()) >= BLANKS:
            return ""  # it answers whatever is asked, and says nothing
        own = [stack for key, stack in STACKS.items() if key != GENERIC]
        in_turn = [stack.signs[0].path for stack in own]
        in_turn += [sign.path for stack in own for sign in stack.signs if not sign.optional]
        return next((path for path in (*in_turn, SHARED) if path not in answers), "")
    around = [stack for stack in STACKS.values() if leader in stack.wraps]
    wrapping = next((path for s in around if (path := s.signs[0].path) not in answers), "")
    behind = STACKS[leader].behind
    own_sign = next((sign.path for sign in STACKS[leader].signs if sign.path not in answers), "")
    return own_sign or wrapping or (behind.path if behind and behind.path not in answers else "")


def recognise(answers: Mapping[str, Seen]) -> Recognition:
    """The stack that these answers speak for most. Pure; the rule stands at the top of this module."""
    weights = {key: _weigh(stack, answers) for key, stack in STACKS.items()}
    ranked = sorted(STACKS, key=lambda key: (weights[key].pro - weights[key].con, weights[key].pro), reverse=True)
    likely = [key for key in ranked if key != GENERIC and weights[key].pro > weights[key].con]
    best = max(likely, key=lambda key: _wraps_a_sign(key, weights), default=GENERIC)
    shares = {key: _share(key, weights) for key in STACKS}
    second = max((key for key in ranked if key not in (best, GENERIC)), key=lambda key: shares[key])
    return Recognition(
        best,
        round(shares[best], 2),
        tuple(weights[best].signs),
        tuple(weights[best].missing),
        second if shares[second] else "",
        round(shares[second], 2),
        _behind(STACKS[best], answers, weights),
        _gateway(answers),
    )


@dataclass
class _Weight:
    pro: float = 0.0
    con: float = 0.0
    signs: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)


def _trace(stack: Stack, answers: Mapping[str, Seen]) -> float:
    """The weight of what speaks for a stack so far."""
    met = ((sign, answers[sign.path]) for sign in stack.signs if sign.path in answers)
    return sum(sign.weight for sign, answer in met if answer.good and answer.shown(sign) is not None)


def _weigh(stack: Stack, answers: Mapping[str, Seen]) -> _Weight:
    weight = _Weight()
    for sign in stack.signs:
        answer = answers.get(sign.path)
        if answer is None:
            continue
        if answer.good and (shown := answer.shown(sign)) is not None:
            weight.pro += sign.weight
            weight.signs.append(f"{sign.words}{f' = {shown}' if shown else ''}")
        elif answer.clear and not sign.optional:
            weight.con += sign.weight
            weight.missing.append(f"not so: {sign.words}{f' = {sign.value}' if sign.value else ''}")
    return weight


def _look_for(sign: Sign, answer: Seen) -> str | None:
    if sign.header:
        found: list[Any] = [answer.headers[sign.header]] if sign.header in answer.headers else []
    elif sign.text:
        return "" if re.search(sign.text, answer.text) else None
    else:
        found = places(answer.data, sign.at)
    if not sign.value:
        return "" if found else None
    return next((one[:80] for one in found if isinstance(one, str) and re.fullmatch(sign.value, one)), None)


def _telling(path: str, answer: Seen) -> bool:
    return any(
        sign.path == path and answer.shown(sign) is not None for stack in STACKS.values() for sign in stack.signs
    )


def _wraps_a_sign(key: str, weights: Mapping[str, _Weight]) -> bool:
    """Whether a wrapper shows itself clearly: it then counts before what shows through it."""
    return bool(STACKS[key].wraps) and weights[key].pro >= 3 and weights[key].pro > weights[key].con


def _share(key: str, weights: Mapping[str, _Weight]) -> float:
    near = {key, GENERIC, *STACKS[key].wraps, *(other for other in STACKS if key in STACKS[other].wraps)}
    rival = max((weights[other].pro for other in STACKS if other not in near), default=0.0)
    mine = weights[key]
    return mine.pro / (mine.pro + mine.con + rival + 1)


def _behind(stack: Stack, answers: Mapping[str, Seen], weights: Mapping[str, _Weight]) -> str:
    if stack.behind and stack.behind.path in answers:
        names = [str(name) for name in places(answers[stack.behind.path].data, stack.behind.at)]
        told = {key for pattern, key in stack.behind.stacks.items() for name in names if fnmatchcase(name, pattern)}
        if len(told) == 1:
            return told.pop()
    inside = max(stack.wraps, key=lambda key: weights[key].pro, default="")
    return inside if inside and weights[inside].pro >= 3 else ""


def _gateway(answers: Mapping[str, Seen]) -> str:
    for header, names in GATEWAYS.items():
        for answer in answers.values():
            value = answer.headers.get(header)
            for pattern, name in names.items() if value is not None else ():
                if re.fullmatch(pattern, value or ""):
                    return name
    return ""
