"""Regular expressions of the evidence room: what a server or a claim may say takes no time out of proportion."""

from __future__ import annotations

import importlib
import itertools
import pkgutil
import re
import time
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import pytest

from checklists import evidence
from checklists.evidence.sources import expressions
from checklists.evidence.stacks import STACKS

LENGTH = 64_000
MOST_S = 0.25  # a linear pattern takes a few milliseconds
FIRST, FIRST_S = 4_000, 0.05  # what is not linear shows here already, and is not waited for any longer
SHORTER = {"serving": 20_000}  # of what a stack's own answers are read
# What people claim, and names of GPUs, are cut to 300 characters before they are searched.
SHORT = ("capacity._TOKENS", "objectives._WINDOW", "serving_arguments._BESIDE_TYPE", "serving_arguments._TYPE")
SHORT += ("serving_arguments._MEMORY", "gi?b\\b")
PIECES = (
    "a",
    "1",
    " ",
    "\n",
    "_",
    "-",
    ".",
    "/",
    ":",
    "'",
    '"',
    "\\",
    "[",
    "{",
    "@",
    "x",
    "eyJ",
    "a ",
    "1 ",
    "a.",
    "1,",
)
PIECES += ("-a", "-1", "a1", "a/", "a@", "\\\\", '\\"', "x1", "-eyJ", "sk-", "bearer ", 'a="', "/d/", "within ", "é")


def _words(pattern: re.Pattern[str]) -> Iterator[str]:
    """The plain words of a pattern, with which an attacker gets past its beginning."""
    yield from dict.fromkeys(re.findall(r"[A-Za-z0-9]{2,}|[-:@/.]", re.sub(r"\\.", " ", pattern.pattern)))


def adversarial(pattern: re.Pattern[str], length: int) -> Iterator[str]:
    words = list(_words(pattern))[:6]
    for piece in (*PIECES, *words, *(f"-{word} " for word in words)):
        yield piece * (length // len(piece)) + "\0"
    for word in words:
        for piece in ("a", "1", " "):
            yield word + piece * ((length - len(word)) // len(piece)) + "\0"


def _modules() -> Iterator[Any]:
    yield evidence
    for found in pkgutil.walk_packages(evidence.__path__, "checklists.evidence."):
        if ".migrations" not in found.name:
            yield importlib.import_module(found.name)


def _source(module: Any) -> str:
    return Path(module.__file__).read_text()


def _compiled() -> Iterator[tuple[str, re.Pattern[str], str]]:
    """Module, pattern, and how it is used: a name in front of ``.search(`` and the like."""
    for module in _modules():
        source = _source(module)
        for name, value in vars(module).items():
            if isinstance(value, re.Pattern) and isinstance(value.pattern, str) and f"{name} = re.compile" in source:
                anywhere = re.search(rf"\b{name}\.(?:search|sub|split|findall|finditer)\b", source)
                yield f"{module.__name__}.{name}", value, "search" if anywhere else "match"


def _of_stacks() -> Iterator[tuple[str, re.Pattern[str], str]]:
    """Every pattern of the table of stacks, wherever it stands in it."""
    waiting: list[tuple[str, Any]] = list(STACKS.items())
    while waiting:
        name, value = waiting.pop()
        if is_dataclass(value):
            for field in fields(value):
                inner = getattr(value, field.name)
                kind = type(value).__name__
                if isinstance(inner, str) and inner and (kind, field.name) in USED:
                    yield f"serving.{name}.{field.name}", re.compile(inner), USED[kind, field.name]
                elif not isinstance(inner, str):
                    waiting.append((name, inner))
        elif isinstance(value, dict):
            waiting += [(name, inner) for inner in value.values()]
        elif isinstance(value, tuple | list):
            waiting += [(name, inner) for inner in value]


USED = {("Sign", "text"): "search", ("Sign", "value"): "fullmatch", ("Field", "match"): "search"}
USED[("Fact", "match")] = "search"


def _literal() -> Iterator[tuple[str, re.Pattern[str], str]]:
    """Patterns that are written where they are used."""
    call = re.compile(r'\bre\.(search|match|fullmatch|sub|split|findall)\(\s*r"((?:[^"\\]|\\.)*)"')
    for module in _modules():
        for method, text in call.findall(_source(module)):
            yield f"{module.__name__}: {text}", re.compile(text), method if method == "fullmatch" else "search"


PATTERNS = [*_compiled(), *_of_stacks(), *_literal()]


def test_the_patterns_are_found() -> None:
    names = {name.rpartition(".")[2] for name, _, _ in PATTERNS}
    assert {"_TOKEN_LIKE", "_EMAIL", "_PLACE", "_HOSTNAME", "match"} <= names
    assert len(PATTERNS) > 80


@pytest.mark.parametrize(("name", "pattern", "method"), PATTERNS, ids=[name for name, _, _ in PATTERNS])
def test_no_pattern_takes_time_out_of_proportion(name: str, pattern: re.Pattern[str], method: str) -> None:
    whole = 300 if name.endswith(SHORT) else SHORTER.get(name.partition(".")[0], LENGTH)
    for length, most in ((min(FIRST, whole), FIRST_S), (whole, MOST_S)):
        # The few kinds of long texts are enough: whatever is not linear has been found in the short ones.
        for text in itertools.islice(adversarial(pattern, length), 0, None, 1 if length < LENGTH else 5):
            begun = time.thread_time()
            if method == "search":
                for _ in pattern.finditer(text):
                    pass
            else:
                getattr(pattern, method)(text)
            assert time.thread_time() - begun < most, (pattern.pattern, text[:40])


@pytest.mark.parametrize("piece", [*PIECES, "a{", 'a{b="c"}', "sum(", "1 + ", "[5m]", "by (a) ", "(1", "a > 1 or "])
def test_an_expression_of_64_kb_is_parsed_or_given_up_at_once(piece: str) -> None:
    begun = time.thread_time()
    items = expressions.parsed(piece * (LENGTH // len(piece)))
    list(expressions.comparisons(items))
    assert time.thread_time() - begun < MOST_S
