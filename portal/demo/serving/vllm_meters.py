"""The counters of vLLM's V1 engine: what it exports, with the history the demo's servers start with."""

from __future__ import annotations

import threading

from portal.demo.serving.base import STARTED, Served
from portal.demo.serving.meters import Histogram, Meter, Metric, exposition, stable
from portal.demo.serving.openai import Timing

HISTORY_SECONDS = 9 * 86_400  # the history is that of nine days

# Bucket bounds as vLLM sets them, in seconds (the last: in tokens).
FIRST_TOKEN: tuple[float, ...] = (
    *(0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75),
    *(1.0, 2.5, 5.0, 7.5, 10.0, 20.0, 40.0, 80.0, 160.0, 640.0, 2560.0),
)
BETWEEN: tuple[float, ...] = (
    *(0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5),
    *(0.75, 1.0, 2.5, 5.0, 7.5, 10.0, 20.0, 40.0, 80.0),
)
REQUEST: tuple[float, ...] = (
    *(0.3, 0.5, 0.8, 1.0, 1.5, 2.0, 2.5, 5.0, 10.0, 15.0, 20.0, 30.0, 40.0, 50.0, 60.0),
    *(120.0, 240.0, 480.0, 960.0, 1920.0, 7680.0),
)
ITERATION: tuple[float, ...] = (
    1.0,
    8.0,
    16.0,
    32.0,
    64.0,
    128.0,
    256.0,
    512.0,
    1024.0,
    2048.0,
    4096.0,
    8192.0,
    16384.0,
)

# Upper bound of a bucket → share of the earlier requests.
# The 95th percentile of the first token lies in 0.25–0.5 s; of the slow server in 1–2.5 s.
QUICK = {0.1: 0.3, 0.25: 0.52, 0.5: 0.17, 0.75: 0.01}
SLOW = {0.1: 0.08, 0.25: 0.46, 0.5: 0.2, 0.75: 0.09, 1.0: 0.05, 2.5: 0.12}
Shares = dict[float, float]
# name → help, bounds, samples per request, shares
HISTOGRAMS: dict[str, tuple[str, tuple[float, ...], int, Shares]] = {
    "time_to_first_token_seconds": ("Histogram of time to first token in seconds.", FIRST_TOKEN, 1, QUICK),
    "inter_token_latency_seconds": (
        "Histogram of inter-token latency in seconds.",
        *(BETWEEN, 180, {0.01: 0.05, 0.025: 0.62, 0.05: 0.31, 0.075: 0.02}),
    ),
    "request_time_per_output_token_seconds": (
        "Histogram of time_per_output_token_seconds per request.",
        *(BETWEEN, 1, {0.025: 0.66, 0.05: 0.33, 0.075: 0.01}),
    ),
    "e2e_request_latency_seconds": (
        "Histogram of e2e request latency in seconds.",
        *(REQUEST, 1, {1.0: 0.06, 2.5: 0.24, 5.0: 0.5, 10.0: 0.2}),
    ),
    "request_queue_time_seconds": (
        "Histogram of time spent in WAITING phase for request.",
        *(REQUEST, 1, {0.3: 0.97, 0.5: 0.03}),
    ),
    "request_prefill_time_seconds": (
        "Histogram of time spent in PREFILL phase for request.",
        *(REQUEST, 1, {0.3: 0.9, 0.5: 0.1}),
    ),
    "request_decode_time_seconds": (
        "Histogram of time spent in DECODE phase for request.",
        *(REQUEST, 1, {1.0: 0.1, 2.5: 0.3, 5.0: 0.45, 10.0: 0.15}),
    ),
    "request_inference_time_seconds": (
        "Histogram of time spent in RUNNING phase for request.",
        *(REQUEST, 1, {1.0: 0.08, 2.5: 0.26, 5.0: 0.48, 10.0: 0.18}),
    ),
    "iteration_tokens_total": (
        "Histogram of number of tokens per engine_step.",
        *(ITERATION, 40, {1.0: 0.1, 8.0: 0.4, 16.0: 0.3, 32.0: 0.12, 512.0: 0.06, 2048.0: 0.02}),
    ),
}
# name → kind, help, amount per earlier request
NUMBERS: dict[str, tuple[str, str, float]] = {
    "num_requests_running": ("gauge", "Number of requests in model execution batches.", 0),
    "num_requests_waiting": ("gauge", "Number of requests waiting to be processed.", 0),
    "kv_cache_usage_perc": ("gauge", "KV-cache usage. 1 means 100 percent usage.", 0),
    "prefix_cache_queries_total": ("counter", "Prefix cache queries, in terms of number of queried tokens.", 420),
    "prefix_cache_hits_total": ("counter", "Prefix cache hits, in terms of number of cached tokens.", 170),
    "num_preemptions_total": ("counter", "Cumulative number of preemption from the engine.", 0),
    "prompt_tokens_total": ("counter", "Number of prefill tokens processed.", 420),
    "generation_tokens_total": ("counter", "Number of generation tokens processed.", 181),
}


def history_of(slug: str, version: str) -> int:
    """How many requests the model had served before this process started."""
    return stable(f"{slug}/{version}", 1_200, 90_000)


class Model(Served):
    """One served model with its counters, which move with what it really serves."""

    def __init__(self, slug: str, version: str, *, slow: bool) -> None:
        super().__init__(slug, version, threading.Lock())
        total = history_of(slug, version)
        self.histograms: dict[str, Histogram] = {}
        for name, (words, bounds, each, shares) in HISTOGRAMS.items():
            if slow and name == "time_to_first_token_seconds":
                shares = SLOW
            elif slow and name == "request_prefill_time_seconds":
                shares = {0.3: 0.3, 0.8: 0.6, 2.5: 0.1}
            self.histograms[name] = Histogram(f"vllm:{name}", words, bounds).seed(total * each, shares)
        self.numbers = {
            name: Meter(f"vllm:{name}", kind, words, {(): each * total})
            for name, (kind, words, each) in NUMBERS.items()
        }
        self.success = Meter("vllm:request_success_total", "counter", "Count of successfully processed requests.")
        for reason, share in (("stop", 0.93), ("length", 0.06), ("abort", 0.01), ("error", 0.0)):
            self.success.put(float(int(total * share)), finished_reason=reason)
        self.config = Meter("vllm:cache_config_info", "gauge", "Information of the LLMEngine CacheConfig")
        self.config.put(
            1.0,
            block_size="16",
            cache_dtype="auto",
            enable_prefix_caching="True",
            gpu_memory_utilization="0.9",
            num_gpu_blocks="27648",
            sliding_window="None",
        )
        words = "Total number of requests by method, status and handler."
        self.requests = Meter("http_requests_total", "counter", words)
        self.requests.put(float(total), handler="/v1/chat/completions", method="POST", status="2xx")
        self.requests.put(float(total // 400), handler="/v1/chat/completions", method="POST", status="4xx")
        words = "Start time of the process since unix epoch in seconds."
        self.process = Meter("process_start_time_seconds", "gauge", words, {(): STARTED - HISTORY_SECONDS})

    def exposition(self) -> str:
        with self.lock:
            engine: list[Metric] = [*self.numbers.values(), self.success, *self.histograms.values(), self.config]
            text = exposition(engine, {"engine": "0", "model_name": self.id})
            return text + exposition([self.requests, self.process], {})

    def _run(self, change: int) -> None:
        running = self.numbers["num_requests_running"]
        running.add(change)
        self.numbers["kv_cache_usage_perc"].put(min(0.9, 0.04 * running.values[()]))

    def begin(self) -> None:
        with self.lock:
            self._run(1)

    def finish(self, timing: Timing, reason: str) -> None:
        rest = timing.total - timing.first
        with self.lock:
            self._run(-1)
            self.success.add(1, finished_reason=reason)
            if not timing.tokens:
                return
            for name, value in (
                ("time_to_first_token_seconds", timing.first),
                ("e2e_request_latency_seconds", timing.total),
                ("request_queue_time_seconds", 0.0005),
                ("request_prefill_time_seconds", timing.first),
                ("request_decode_time_seconds", rest),
                ("request_inference_time_seconds", timing.total),
                ("iteration_tokens_total", timing.prompt_tokens + timing.tokens),
            ):
                self.histograms[name].observe(value)
            between = timing.tokens - 1
            for _ in range(between):
                self.histograms["inter_token_latency_seconds"].observe(rest / between)
            if between:
                self.histograms["request_time_per_output_token_seconds"].observe(rest / between)
            for name in ("prefix_cache_queries_total", "prompt_tokens_total"):
                self.numbers[name].add(timing.prompt_tokens)
            self.numbers["generation_tokens_total"].add(timing.tokens)
