"""What was asked in one visit and what came back, packed together: raw answers are many, and seldom read again."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Exchange:
    """A request and its answer as they may be kept: trimmed, and without secrets once ``Visit.clean`` has seen it."""

    line: str
    status: int
    content_type: str
    body: str
    truncated: bool


def packed(exchanges: Iterable[Exchange]) -> bytes:
    """Exchanges in the order of their numbers, as zlib of JSON."""
    rows = [(one.line, one.status, one.content_type, one.body, one.truncated) for one in exchanges]
    return zlib.compress(json.dumps(rows).encode(), 1)


def unpacked(data: bytes) -> list[Exchange]:
    """What ``packed`` was given."""
    return [Exchange(*values) for values in json.loads(zlib.decompress(data))]
