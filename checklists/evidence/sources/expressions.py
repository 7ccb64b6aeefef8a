"""What a PromQL expression compares with a number: enough of the language to read alerting rules, and no more.

Written from the query language's documentation of Prometheus 2.42 to 3.5. Whatever is not understood is left out.
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

MAX_TOKENS = 1_500
MAX_DEPTH = 40
_TOKEN = re.compile(
    r"""(?P<blank>\s+|\#[^\n]*)
    |(?P<text>"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'|`[^`]*`)
    |(?P<range>\[[^\]]*\])
    |(?P<duration>(?:\d+(?:ms|[smhdwy]))+(?![\w.:]))
    |(?P<number>(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?(?![\w.:]))
    |(?P<name>[a-zA-Z_:][\w:]*)
    |(?P<sign>==|!=|>=|<=|=~|!~|[-+*/%^=<>(){},@])""",
    re.VERBOSE,
)
_LISTS = {"by", "without", "on", "ignoring", "group_left", "group_right"}  # a list of labels follows
_SETS = {"and", "or", "unless", ","}
_TURNED = {"absent", "absent_over_time", "count", "changes", "resets", "count_over_time"}  # true for other reasons
_ORDER = {">": ">", ">=": ">", "<": "<", "<=": "<"}
_FLIPPED = {">": "<", "<": ">"}


@dataclass(frozen=True)
class Selector:
    """A metric's name and its matchers: label, sign, and the value as it is written, in quotes."""

    name: str
    matchers: tuple[tuple[str, str, str], ...] = ()

    @property
    def values(self) -> dict[str, str]:
        """The labels that must have one value."""
        return {label: plain_text(text) for label, sign, text in self.matchers if sign == "="}

    def having(self, more: str) -> str:
        """The selector, with more matchers (``{a="b"}``)."""
        inside = ",".join(["".join(matcher) for matcher in self.matchers] + ([more[1:-1]] if more[1:-1] else []))
        return f"{self.name}{{{inside}}}"


@dataclass(frozen=True)
class Group:
    """What stands in parentheses."""

    items: tuple[Item, ...]


@dataclass(frozen=True)
class Grouping:
    """The labels by which (or without which) something is summed up."""

    labels: tuple[str, ...]
    without: bool


Item = str | float | Selector | Group | Grouping  # a text is a sign, or the name of a function


@dataclass(frozen=True)
class Comparison:
    """``items`` is above or below (``sign``) a constant; ``factors`` are the constant's, where it is a product."""

    items: tuple[Item, ...]
    sign: str
    value: float
    factors: tuple[float, ...] = ()


def parsed(expression: str) -> tuple[Item, ...]:
    """The expression in parts; empty where it is not understood."""
    words: list[tuple[str, str]] = []
    at = 0
    while at < len(expression):
        match = _TOKEN.match(expression, at)
        if match is None or match.lastgroup is None or len(words) > MAX_TOKENS:
            return ()
        if match.lastgroup not in ("blank", "range"):
            words.append((match.lastgroup, match.group()))
        at = match.end()
    return _grouped(words)


def _grouped(words: list[tuple[str, str]]) -> tuple[Item, ...]:
    stack: list[list[Item]] = [[]]
    before: list[str] = []  # of each group that is open, the word in front of it
    at = 0
    while at < len(words):
        kind, text = words[at]
        following = words[at + 1][1] if at + 1 < len(words) else ""
        at += 1
        if text == "(" and kind == "sign":
            if len(stack) > MAX_DEPTH:
                return ()
            stack.append([])
            before.append(words[at - 2][1] if at >= 2 else "")
        elif text == ")" and kind == "sign":
            if not before:
                return ()
            inner, word = tuple(stack.pop()), before.pop()
            if word in ("by", "without"):
                names = tuple(item.name for item in inner if isinstance(item, Selector))
                stack[-1].append(Grouping(names, word == "without"))
            elif word not in _LISTS:
                stack[-1].append(Group(inner))
        elif text == "{" and kind == "sign":
            selector, at = _selector("", words, at)
            if selector is None:
                return ()
            stack[-1].append(selector)
        elif kind == "name" and text == "offset":
            at += 1 + (following == "-")
        elif kind == "name" and (text in _LISTS or text == "bool"):
            continue
        elif kind == "name" and text not in _SETS:
            if following == "{":
                selector, at = _selector(text, words, at + 1)
                if selector is None:
                    return ()
                stack[-1].append(selector)
            elif following == "(" or following in _LISTS:
                stack[-1].append(text)  # a function
            else:
                stack[-1].append(float(text) if text.casefold() in ("inf", "nan") else Selector(text))
        elif kind == "number":
            stack[-1].append(float(text))
        elif kind in ("sign", "name"):
            stack[-1].append(text)
    return tuple(stack[0]) if not before else ()


def _selector(name: str, words: list[tuple[str, str]], at: int) -> tuple[Selector | None, int]:
    """The selector whose matchers begin here, and where it ends."""
    matchers: list[tuple[str, str, str]] = []
    while at < len(words) and words[at][1] != "}":
        if words[at][1] == ",":
            at += 1
            continue
        if at + 2 >= len(words) or words[at + 1][1] not in ("=", "!=", "=~", "!~") or words[at + 2][0] != "text":
            return None, at
        label, sign, value = words[at][1], words[at + 1][1], words[at + 2][1]
        if label == "__name__" and sign == "=":
            name = plain_text(value)
        else:
            matchers.append((label, sign, value))
        at += 3
    return (Selector(name, tuple(matchers)) if at < len(words) and name else None), at + 1


def plain_text(quoted: str) -> str:
    """What a quoted text says."""
    return quoted[1:-1] if quoted[:1] == "`" else re.sub(r"\\(.)", r"\1", quoted[1:-1])


def parts(items: Sequence[Item], separators: set[str]) -> list[tuple[Item, ...]]:
    """The items between separators."""
    found: list[list[Item]] = [[]]
    for item in items:
        if isinstance(item, str) and item in separators:
            found.append([])
        else:
            found[-1].append(item)
    return [tuple(part) for part in found]


def comparisons(items: Sequence[Item]) -> Iterator[Comparison]:
    """Every place where being above or below a constant makes an expression true, at any depth."""
    ends = [at for at, item in enumerate(items) if isinstance(item, str) and item in _SETS]
    for begin, end in itertools.pairwise([-1, *ends, len(items)]):
        if begin >= 0 and items[begin] == "unless":
            continue
        part = items[begin + 1 : end]
        signs = [at for at, item in enumerate(part) if isinstance(item, str) and item in {*_ORDER, "==", "!="}]
        if len(signs) == 1 and part[signs[0]] in _ORDER:
            left, sign, right = part[: signs[0]], _ORDER[str(part[signs[0]])], part[signs[0] + 1 :]
            value, other = constant(right), constant(left)
            if value is not None and other is None and left:
                yield Comparison(tuple(left), sign, value, factors_of(right))
            elif other is not None and value is None and right:
                yield Comparison(tuple(right), _FLIPPED[sign], other, factors_of(left))
        for at, item in enumerate(part):
            front = [one for one in part[max(at - 2, 0) : at] if not isinstance(one, Grouping)][-1:]
            if isinstance(item, Group) and not (front and front[0] in _TURNED):
                yield from comparisons(item.items)


def constant(items: Sequence[Item]) -> float | None:
    """The value of an expression of numbers alone, or ``None``."""
    items = unwrapped(items)
    if len(items) == 1 and isinstance(items[0], float):
        return items[0] if math.isfinite(items[0]) else None
    total: float | None = None
    for sign, term in _terms(items):
        product = _product(term)
        if product is None:
            return None
        total = (total or 0.0) + (-product if sign == "-" else product)
    return total if total is not None and math.isfinite(total) else None


def factors_of(items: Sequence[Item]) -> tuple[float, ...]:
    """The factors of a product of constants; none if it is anything else."""
    terms = list(_terms(unwrapped(items)))
    if len(terms) != 1 or "*" not in terms[0][1] or "/" in terms[0][1]:
        return ()
    values = [constant(part) for part in parts(terms[0][1], {"*"})]
    return tuple(value for value in values if value is not None) if None not in values else ()


def unwrapped(items: Sequence[Item]) -> tuple[Item, ...]:
    """Without the parentheses around all of it, and without ``vector(…)`` or ``scalar(…)``."""
    items = tuple(items)
    while items and isinstance(items[-1], Group) and (len(items) == 1 or items[:-1] in (("vector",), ("scalar",))):
        items = items[-1].items
    return items


def _terms(items: Sequence[Item]) -> Iterator[tuple[str, tuple[Item, ...]]]:
    """The summands with their signs."""
    sign = "+"
    term: list[Item] = []
    for at, item in enumerate(items):
        before = items[at - 1] if at else "+"
        if isinstance(item, str) and item in "+-" and not (isinstance(before, str) and before in "*/^%"):
            if term:
                yield sign, tuple(term)
                sign, term = item, []
            else:
                sign = "-" if (sign == "-") != (item == "-") else "+"
        else:
            term.append(item)
    if term:
        yield sign, tuple(term)


def _product(items: Sequence[Item]) -> float | None:
    value, sign = 1.0, "*"
    for at, item in enumerate(items):
        if at % 2:
            if item not in ("*", "/"):
                return None
            sign = str(item)
            continue
        number = item if isinstance(item, float) else constant(item.items) if isinstance(item, Group) else None
        if number is None or (sign == "/" and number == 0):
            return None
        value = value * number if sign == "*" else value / number
    return value if len(items) % 2 else None


def scaled(items: Sequence[Item]) -> tuple[float, bool, tuple[Item, ...]]:
    """``(100, True, x)`` for ``100 * (1 - x)``: a constant factor, whether it is a complement, and what is left."""
    factor, complement = 1.0, False
    while True:
        items = unwrapped(items)
        terms = list(_terms(items))
        if len(terms) == 2 and terms[0][0] == "+" and terms[1][0] == "-" and constant(terms[0][1]) == 1.0:
            if complement:
                return factor, True, items  # a complement of a complement: nobody writes that
            complement, items = True, terms[1][1]
            continue
        if len(terms) != 1 or not {"*", "/"} & set(filter(lambda item: isinstance(item, str), items)):
            return factor, complement, items
        kept: list[Item] = []
        sign, changed = "*", False
        for part in _factors(terms[0][1]):
            sign, inner = part
            number = constant(inner)
            if number is not None and number > 0 and not complement:
                factor, changed = (factor * number if sign == "*" else factor / number), True
            else:
                kept += [*([sign] if kept or sign == "/" else []), *inner]
        if not changed or kept[:1] == ["/"] or not kept:
            return factor, complement, items
        items = tuple(kept)


def _factors(items: Sequence[Item]) -> Iterator[tuple[str, tuple[Item, ...]]]:
    sign = "*"
    part: list[Item] = []
    for item in items:
        if isinstance(item, str) and item in ("*", "/"):
            yield sign, tuple(part)
            sign, part = item, []
        else:
            part.append(item)
    yield sign, tuple(part)


def selectors(items: Sequence[Item]) -> Iterator[Selector]:
    """Every selector, at any depth."""
    return (item for item in flat(items) if isinstance(item, Selector))


def flat(items: Sequence[Item]) -> Iterator[str | float | Selector | Grouping]:
    """Everything, without the parentheses."""
    for item in items:
        if isinstance(item, Group):
            yield from flat(item.items)
        else:
            yield item


def calls(items: Sequence[Item], name: str) -> Iterator[list[tuple[Item, ...]]]:
    """The arguments of every call of a function, at any depth."""
    for at, item in enumerate(items):
        if isinstance(item, Group):
            if at and items[at - 1] == name:
                yield parts(item.items, {","})
            yield from calls(item.items, name)


def quotient(items: Sequence[Item]) -> tuple[tuple[Item, ...], tuple[Item, ...]] | None:
    """Dividend and divisor of the first division of one thing that is measured by another; ``None`` without one."""
    for part in parts(items, _SETS):
        sides = parts(part, {"/"})
        if len(sides) == 2 and all(any(selectors(side)) for side in sides):
            return sides[0], sides[1]
        for item in part:
            if isinstance(item, Group) and (found := quotient(item.items)):
                return found
    return None


def replaced(
    items: Sequence[Item], meaning: Callable[[Selector], tuple[Item, ...]], budget: list[int] | None = None
) -> tuple[Item, ...]:
    """With every selector that has a meaning (a recorded series) replaced by it in parentheses; a few levels deep, and
    no further than it stays short."""
    left = [MAX_TOKENS] if budget is None else budget
    found: list[Item] = []
    for item in items:
        left[0] -= 1
        if isinstance(item, Selector) and left[0] > 0 and (instead := meaning(item)):
            left[0] -= 200  # so that rules that record themselves come to an end
            found.append(Group(replaced(instead, meaning, left)))
        elif isinstance(item, Group):
            found.append(Group(replaced(item.items, meaning, left)))
        else:
            found.append(item)
    return tuple(found)
