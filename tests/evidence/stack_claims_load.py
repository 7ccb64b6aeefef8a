"""A stack that is full, or too slow: refusing, letting wait, being cut off by what stands before it."""

from __future__ import annotations

from tests.evidence.answering import Setup
from tests.evidence.stack_claims_answers import CHATS
from tests.evidence.stack_setups import Claims, On, Row

BACKPRESSURE, QUEUE = "reliability.backpressure", "autoscaling.batch-queue"
FULL = Setup(full=True, pause=0.2)
LONG = Setup(full=True, pause=0.6)  # so that some still wait when the queue is read
# nginx before it: no more than so many at once, or the server behind it hung up.
BROKEN = Setup(front="broken", front_most=6, pause=0.3)


def overload(policy: str, most: int) -> Claims:
    return {"on_overload": policy, "max_concurrency": most}


def queue(policy: str, longest: int) -> Claims:
    return {"on_overflow": policy, "max_queue": longest}


def full(claims: Claims, server: Setup = FULL) -> On:
    return On(claims, server)


# Refuse what exceeds four at work and four that wait, each in its own words, and show how many wait,
COUNTING = ("sglang-0.5", "tgi-3.3", "tei-1.9", "triton-2.60", "rayserve-2.50")
# or do not show it.
REFUSING = (*COUNTING, "ollama-0.13", "litellm-1.80", "openai-otel")
# Let everything wait; the first of these show how many do.
SHOWING = ("vllm-0.11", "nim-1.8", "llamacpp-b6900")
WAITING = (*SHOWING, "llamacpp_python-0.3", "speaches-0.8")


def burst(name: str, item: str, true: On, false: On) -> Row:
    return (name, "generation.burst", item, true, false)


BURSTS: list[Row] = [
    *(burst(n, BACKPRESSURE, full(overload("reject", 8)), full(overload("reject", 8), BROKEN)) for n in REFUSING),
    *(burst(n, BACKPRESSURE, full(overload("queue", 4)), full(overload("queue", 4), BROKEN)) for n in WAITING),
    *(burst(n, QUEUE, full(queue("reject", 4), LONG), full(queue("reject", 2), LONG)) for n in COUNTING),
    *(burst(n, QUEUE, full(queue("wait", 64)), full(queue("wait", 2))) for n in SHOWING),
]

GATEWAY = Setup(front="time-out", front_s=0.6)


def cut_after(seconds: float) -> Claims:
    return {"gateway_seconds": seconds, "server_seconds": 60, "client_seconds": 90}


SLOW: list[Row] = [
    (name, "generation.slow", "reliability.timeouts", On(cut_after(0.6), GATEWAY), On(cut_after(6), GATEWAY))
    for name in CHATS
]

LOAD: list[Row] = [*BURSTS, *SLOW]
