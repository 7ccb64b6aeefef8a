"""A stack that is full, or too slow: refusing, letting wait, being cut off by what stands before it."""

from __future__ import annotations

from tests.evidence.answering import Setup
from tests.evidence.stack_claims_answers import CHATS
from tests.evidence.stack_setups import Claims, On, Row

BACKPRESSURE, QUEUE = "reliability.backpressure", "autoscaling.batch-queue"
FULL = Setup(full=True, pause=0.12)
# nginx before it: no more than so many at once, or the server behind it hung up.
LIMITED = Setup(front="full", front_most=6, pause=0.12)
BROKEN = Setup(front="broken", front_most=6, pause=0.12)


def overload(policy: str, most: int) -> Claims:
    return {"on_overload": policy, "max_concurrency": most}


def queue(policy: str, longest: int) -> Claims:
    return {"on_overflow": policy, "max_queue": longest}


def full(claims: Claims, server: Setup = FULL) -> On:
    return On(claims, server)


# Refuse with 503 what exceeds four at work and four that wait, each in its own words.
REFUSING = ("sglang-0.5", "ollama-0.13", "triton-2.60", "rayserve-2.50", "openai-otel")
# 429 may be the limit of our own key, so it never shows that a number was not kept.
LIMITING = ("tgi-3.3", "tei-1.9", "litellm-1.80")
# Let everything wait; the first of these say how many.
SHOWING = ("vllm-0.11", "nim-1.8", "llamacpp-b6900")
WAITING = (*SHOWING, "llamacpp_python-0.3", "speaches-0.8")

BURSTS: list[Row] = [
    *(
        (name, "generation.burst", BACKPRESSURE, full(overload("reject", 8)), full(overload("reject", 64)))
        for name in REFUSING
    ),
    *(
        (name, "generation.burst", BACKPRESSURE, full(overload("reject", 8)), full(overload("reject", 8), BROKEN))
        for name in LIMITING
    ),
    *(
        (name, "generation.burst", BACKPRESSURE, full(overload("queue", 4)), full(overload("queue", 4), BROKEN))
        for name in WAITING
    ),
    *((name, "generation.burst", QUEUE, full(queue("reject", 4)), full(queue("reject", 64))) for name in REFUSING),
    *(
        (name, "generation.burst", QUEUE, full(queue("reject", 4)), full(queue("reject", 4), BROKEN))
        for name in LIMITING
    ),
    *((name, "generation.burst", QUEUE, full(queue("wait", 64)), full(queue("wait", 2))) for name in SHOWING),
    *(
        (name, "generation.burst", QUEUE, full(queue("reject", 4), LIMITED), full(queue("reject", 64), LIMITED))
        for name in WAITING[len(SHOWING) :]
    ),
]

GATEWAY = Setup(front="time-out", front_s=0.6)


def cut_after(seconds: float) -> Claims:
    return {"gateway_seconds": seconds, "server_seconds": 60, "client_seconds": 90}


SLOW: list[Row] = [
    (name, "generation.slow", "reliability.timeouts", On(cut_after(0.6), GATEWAY), On(cut_after(6), GATEWAY))
    for name in CHATS
]

LOAD: list[Row] = [*BURSTS, *SLOW]
