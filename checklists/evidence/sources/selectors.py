"""Names and texts as PromQL writes them: what they hold stays a text."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping

_LABEL = re.compile(r"(?!__)[a-zA-Z_][a-zA-Z0-9_]{0,199}\Z")
_METRIC = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]{0,199}\Z")


def is_label(name: str) -> bool:
    """Whether a text can be the name of a label that people match on."""
    return bool(_LABEL.match(name))


def is_metric(name: str) -> bool:
    """Whether a text can be the name of a metric."""
    return bool(_METRIC.match(name))


def quoted(value: str) -> str:
    """A text as a PromQL string: what it holds stays text."""
    # JSON's escapes are a part of PromQL's, except that halves of surrogate pairs have no place in it.
    return json.dumps(value.encode("utf-8", "replace").decode("utf-8"), ensure_ascii=False)


def any_of(values: Iterable[str]) -> str:
    """A regular expression (RE2, anchored by Prometheus) that matches exactly these texts."""
    return "|".join(re.sub(r"([\\.+*?()|\[\]{}^$])", r"\\\1", value) for value in values)


def matchers(labels: Mapping[str, str], patterns: Mapping[str, str] | None = None) -> str:
    """``{a="b",c=~"d|e"}`` from equal labels and anchored regular expressions. Raises ``ValueError`` for a bad name."""
    parts = []
    for sign, table in (("=", labels), ("=~", patterns or {})):
        for name, value in table.items():
            if name != "__name__" and not is_label(name):
                raise ValueError(name)
            parts.append(f"{name}{sign}{quoted(value)}")
    return "{" + ",".join(parts) + "}"
