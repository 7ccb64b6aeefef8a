"""A metrics page of which everything is known: every scrape finds the same batch of requests added to the last."""

from __future__ import annotations

import threading
from collections.abc import Mapping

from tests.evidence.loopback import Request

# Names and bucket bounds of vLLM 0.11 (V1), read from its sources. Cumulative counts of one batch: 50 of 100 requests
# had their first token between 0.1 and 0.25 s, 46 between 0.25 and 0.5 s, 4 between 0.5 and 1 s.
FIRST_TOKEN = "vllm:time_to_first_token_seconds"
BATCH = {"0.1": 0, "0.25": 50, "0.5": 96, "1.0": 100, "+Inf": 100}
TOKENS = "vllm:generation_tokens_total"
TOKENS_A_BATCH = 1600
BUSY, IDLE = "busy", "idle"  # models; nobody asks the second one any more


class MetricsPage:
    """Answers GETs of ``/metrics``; ``scrapes`` counts them, ``extra`` is text to add to the page."""

    def __init__(self) -> None:
        self.scrapes = 0
        self.extra = ""
        self._lock = threading.Lock()

    def __call__(self, request: Request) -> None:
        with self._lock:
            self.scrapes += 1
            text = self.text(self.scrapes)
        request.reply(200, text, {"Content-Type": "text/plain; version=0.0.4; charset=utf-8"})

    def text(self, batches: int) -> str:
        lines = [f"# TYPE {FIRST_TOKEN} histogram", *histogram(FIRST_TOKEN, BUSY, scaled(BATCH, batches))]
        lines += histogram(FIRST_TOKEN, IDLE, BATCH)
        lines += [f"# TYPE {TOKENS} counter", f'{TOKENS}{{model_name="{BUSY}"}} {TOKENS_A_BATCH * batches}']
        lines += [f'{TOKENS}{{model_name="{IDLE}"}} {TOKENS_A_BATCH}']
        return "\n".join([*lines, self.extra, ""])


def scaled(counts: Mapping[str, int], factor: int) -> dict[str, int]:
    return {bound: count * factor for bound, count in counts.items()}


def histogram(name: str, model: str, counts: Mapping[str, int]) -> list[str]:
    """The lines of one series of a histogram from its cumulative counts; each request is taken to last 0.3 s."""
    total = counts["+Inf"]
    lines = [f'{name}_bucket{{le="{bound}",model_name="{model}"}} {count}' for bound, count in counts.items()]
    return [
        *lines,
        f'{name}_count{{model_name="{model}"}} {total}',
        f'{name}_sum{{model_name="{model}"}} {total * 0.3}',
    ]
