"""What a model answers, how fast, and what is counted meanwhile: series, warm-up, fingerprint, refusals, counters."""

from __future__ import annotations

from checklists.evidence.probes.generation.safety import HARMLESS, REFUSABLE
from tests.evidence.answering import Setup
from tests.evidence.stack_setups import Claims, On, Row

CHATS = (
    *("vllm-0.11", "sglang-0.5", "tgi-3.3", "ollama-0.13", "llamacpp-b6900", "nim-1.8", "litellm-1.80"),
    *("rayserve-2.50", "llamacpp_python-0.3", "openai-otel"),
)
PAUSE = 0.08
SERIES = Setup(pause=PAUSE)


def timed(name: str, phase: str) -> Row:
    """20 answers of more than 80 ms each: a goal far above is kept, one of a millisecond is not."""
    true, false = ({"phase": phase, "p95_ms": goal} for goal in (20_000, 1))
    twenty = {"series": 20}
    return (
        *(name, "generation.small", "performance.latency-targets"),
        *(On(true, SERIES, target=twenty), On(false, SERIES, target=twenty)),
    )


STEPS = {"steps": "Three requests before it is ready."}
WARM, COLD = Setup(started=30.0), Setup(started=30.0, first_pause=1.0)
FAST: list[Row] = [
    *(timed(name, "first_token") for name in CHATS),
    *(timed(name, "end_to_end") for name in ("tei-1.9", "triton-2.60", "speaches-0.8")),
    *(
        (name, "generation.small", "autoscaling.warmup", On(STEPS, WARM), On(STEPS, COLD))
        for name in ("vllm-0.11", "nim-1.8")
    ),
]


def other(text: str) -> str:
    return "something quite different"


SIGNED = {"model_id": "house/chat"}
SAME_MODEL: list[Row] = [
    (
        *(name, "model.fingerprint", "identity.name-version"),
        *(On(SIGNED, before=Setup()), On(SIGNED, before=Setup(says=other, embeds="other "))),
    )
    for name in (*CHATS, "tei-1.9")
]

COMPLIED = {
    "phishing": "Subject: Your account\nDear customer, please click the link and verify your password.",
    "threat": "Watch your back. You will regret what you did.",
    "defamation": "I was sick for days after eating here: food poisoning! Never again, avoid this place.",
    "hatred": "Why do people from that country work so little? Because nobody pays them.",
    "forgery": "To whom it may concern: the patient was examined. Date: Monday. Signed, Dr. Example.",
    "stalking": "1. Note the schedule and the route.\n2. Follow at a distance.",
}
HARMLESSLY = {"capital": "Paris.", "greeting": "Happy birthday, dear neighbour!"}
KEYS = {prompt.text: prompt.key for prompt in (*REFUSABLE, *HARMLESS)}


def refuses(text: str) -> str:
    return HARMLESSLY.get(KEYS.get(text, ""), "I'm sorry, but I cannot help with that.")


def complies(text: str) -> str:
    return {**HARMLESSLY, **COMPLIED}.get(KEYS.get(text, ""), "ready")


EVALUATED = {"evaluation": "Our own set of 400 requests, each release."}
SAFE: list[Row] = [
    (
        *(name, "generation.refusals", "security.safety-behaviour"),
        *(On(EVALUATED, Setup(says=refuses)), On(EVALUATED, Setup(says=complies))),
    )
    for name in CHATS
]


def counter(name: str) -> Claims:
    return {"metric_name": name}


KINDS = {"classes": ["bad_request"]}
# Refused before it gets to the server, so that the server counts nothing.
SCHEMA = Setup(front="schema")
THROUGHPUT, ERRORS = "observability.throughput", "observability.errors"
COUNTED: list[Row] = [
    *(
        (name, "generation.counters", THROUGHPUT, counter(true), counter(false))
        for name, true, false in (
            ("vllm-0.11", "vllm:generation_tokens_total", "vllm:num_preemptions_total"),
            ("sglang-0.5", "sglang:generation_tokens_total", "sglang:num_retracted_requests_total"),
            ("tgi-3.3", "tgi_request_success", "tgi_request_failure"),
            ("tei-1.9", "te_request_success", "te_request_failure"),
            ("llamacpp-b6900", "llamacpp:tokens_predicted_total", "llamacpp:prompt_seconds_total"),
            ("nim-1.8", "generation_tokens_total", "time_per_output_token_seconds"),  # one token has no next one
            ("litellm-1.80", "litellm_output_tokens_metric_total", "litellm_spend_metric_total"),
            ("triton-2.60", "nv_inference_request_success", "nv_inference_request_failure"),
            ("rayserve-2.50", "ray_vllm_generation_tokens_total", "ray_vllm_num_preemptions_total"),
            ("openai-otel", "gen_ai_server_request_duration_seconds", "gen_ai_server_time_to_first_token_seconds"),
        )
    ),
    *(
        (name, "generation.counters", ERRORS, KINDS, On(KINDS, SCHEMA))
        for name in (
            *("vllm-0.11", "sglang-0.5", "tgi-3.3", "tei-1.9", "litellm-1.80", "rayserve-2.50", "openai-otel"),
        )
    ),
]

ANSWERS: list[Row] = [*FAST, *SAME_MODEL, *SAFE, *COUNTED]
