"""A metrics page in Prometheus' protobuf format, which alone carries native histograms.

Fields as io.prometheus.client's metrics.proto numbers them; every scrape finds the same batch added to the last.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping

from tests.evidence.loopback import Request

KIND = "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited"
SCHEMA = 3  # eight buckets for every doubling
COUNTER, HISTOGRAM = 0, 4
LABELS = {"model_name": "m"}
# Requests of one batch by what they took, in seconds.
BATCH = {0.15: 50, 0.3: 46, 0.7: 4}


class NativePage:
    """Answers GETs with one native histogram of first-token times and one counter."""

    def __init__(self) -> None:
        self.scrapes = 0

    def __call__(self, request: Request) -> None:
        self.scrapes += 1
        seconds = {took: count * self.scrapes for took, count in BATCH.items()}
        counted = _number(1, float(sum(seconds.values())))
        body = _family("vllm:time_to_first_token_seconds", HISTOGRAM, _bytes(7, histogram(seconds)))
        body += _family("vllm:generation_tokens_total", COUNTER, _bytes(3, counted))
        request.reply(200, body, {"Content-Type": KIND})


def histogram(seconds: Mapping[float, int]) -> bytes:
    """A Histogram message: counts in buckets whose bounds grow by 2 ** (1 / 8)."""
    counts = {math.ceil(math.log2(took) * 2**SCHEMA): count for took, count in seconds.items()}
    first, last = min(counts), max(counts)
    message = _whole(1, sum(seconds.values())) + _number(2, sum(took * n for took, n in seconds.items()))
    message += _whole(5, _zigzag(SCHEMA)) + _number(6, 1e-9) + _whole(7, 0)
    message += _bytes(12, _whole(1, _zigzag(first)) + _whole(2, last - first + 1))
    before = 0
    for index in range(first, last + 1):
        count = counts.get(index, 0)
        message += _whole(13, _zigzag(count - before))
        before = count
    return message


def _family(name: str, kind: int, value: bytes) -> bytes:
    labels = b"".join(_bytes(1, _bytes(1, key.encode()) + _bytes(2, text.encode())) for key, text in LABELS.items())
    message = _bytes(1, name.encode()) + _whole(3, kind) + _bytes(4, labels + value)
    return _varint(len(message)) + message


def _varint(value: int) -> bytes:
    found = bytearray()
    while value > 0x7F:
        found.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*found, value])


def _zigzag(value: int) -> int:
    return value * 2 if value >= 0 else -value * 2 - 1


def _whole(field: int, value: int) -> bytes:
    return _varint(field << 3) + _varint(value)


def _number(field: int, value: float) -> bytes:
    return _varint(field << 3 | 1) + struct.pack("<d", value)


def _bytes(field: int, value: bytes) -> bytes:
    return _varint(field << 3 | 2) + _varint(len(value)) + value
