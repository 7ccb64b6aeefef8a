from __future__ import annotations

import math
import re
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from checklists.evidence.metrics import Histogram, InvalidPage, bucket_of_quantile, parse
from checklists.evidence.stacks import STACKS, stack_of_metrics

PAGE = """\
# HELP vllm:time_to_first_token_seconds Histogram of time to first token in seconds.
# TYPE vllm:time_to_first_token_seconds histogram
vllm:time_to_first_token_seconds_bucket{le="0.1",model_name="a"} 4.0
vllm:time_to_first_token_seconds_bucket{le="0.5",model_name="a"} 10.0
vllm:time_to_first_token_seconds_bucket{le="+Inf",model_name="a"} 10.0
vllm:time_to_first_token_seconds_count{model_name="a"} 10.0
vllm:time_to_first_token_seconds_sum{model_name="a"} 1.5
vllm:time_to_first_token_seconds_bucket{le="0.1",model_name="b"} 1.0
vllm:time_to_first_token_seconds_bucket{le="0.5",model_name="b"} 1.0
vllm:time_to_first_token_seconds_bucket{le="+Inf",model_name="b"} 2.0
vllm:time_to_first_token_seconds_count{model_name="b"} 2.0
vllm:time_to_first_token_seconds_sum{model_name="b"} 3.0
# TYPE vllm:generation_tokens_total counter
vllm:generation_tokens_total{model_name="a"} 100.0
vllm:generation_tokens_total{model_name="b"} 23.0
# TYPE vllm:kv_cache_usage_perc gauge
vllm:kv_cache_usage_perc NaN
"""  # written after the format of vLLM 0.11 (V1)


def test_a_histogram_is_summed_over_its_labels() -> None:
    page = parse(PAGE)
    both = page.histogram("vllm:time_to_first_token_seconds")
    one = page.histogram("vllm:time_to_first_token_seconds", {"model_name": "b"})
    assert both is not None
    assert one is not None
    assert (both.bounds, both.counts) == ((0.1, 0.5, math.inf), (5.0, 11.0, 12.0))
    assert one.counts == (1.0, 1.0, 2.0)


def test_counters_are_summed_and_nan_counts_as_nothing() -> None:
    page = parse(PAGE)
    assert page.value("vllm:generation_tokens_total") == 123
    assert page.value("vllm:kv_cache_usage_perc") is None
    assert page.value("absent") is None


@pytest.mark.parametrize("fixture", ["tgi-3.3", "tei-1.9", "triton-2.60", "torchserve-0.12"])
def test_a_counter_is_found_by_the_name_that_its_page_gives_it(fixture: str) -> None:
    text = (Path(__file__).parent / "fixtures" / fixture / "metrics.txt").read_text()
    page = parse(text)
    counters = re.findall(r"(?m)^# TYPE (\S+) counter$", text)
    assert any(not name.endswith("_total") for name in counters)
    assert [name for name in counters if page.value(name) is None] == []


def test_series_with_different_bounds_are_compared_only_where_all_have_one() -> None:
    page = parse(
        'h_bucket{m="a",le="1"} 1\nh_bucket{m="a",le="2"} 5\nh_bucket{m="a",le="+Inf"} 5\n'
        'h_bucket{m="b",le="1"} 2\nh_bucket{m="b",le="3"} 4\nh_bucket{m="b",le="+Inf"} 4\n'
    )
    histogram = page.histogram("h")
    assert histogram is not None
    assert (histogram.bounds, histogram.counts) == ((1.0, math.inf), (3.0, 9.0))


@pytest.mark.parametrize(
    "buckets",
    [
        'h_bucket{le="1"} NaN\nh_bucket{le="+Inf"} 2\n',
        'h_bucket{le="1"} 5\nh_bucket{le="+Inf"} 2\n',
        'h_bucket{le="1"} -1\nh_bucket{le="+Inf"} 2\n',
        'h_bucket{le="1"} +Inf\nh_bucket{le="+Inf"} +Inf\n',
        'h_bucket{le="one"} 1\nh_bucket{le="+Inf"} 2\n',
        'h_bucket{le="NaN"} 1\nh_bucket{le="+Inf"} 2\n',
        'h_bucket{le="1"} 1\n',
        "h_bucket 1\n",
        "h_count 3\n",
    ],
)
def test_a_histogram_that_contradicts_itself_is_none(buckets: str) -> None:
    assert parse(buckets).histogram("h") is None


@pytest.mark.parametrize(
    "text", ["", "<html><body>hi</body></html>", '{"a": 1}', "name{ 1", "a b c d e", "# only comments\n", "\0"]
)
def test_what_is_no_page_is_said_to_be_none(text: str) -> None:
    with pytest.raises(InvalidPage):
        parse(text)


@given(st.text(max_size=300))
def test_no_text_makes_the_parser_raise_anything_else(text: str) -> None:
    with suppress(InvalidPage):
        parse(text)


def test_the_last_line_of_a_cut_page_is_dropped() -> None:
    page = parse("a 1\nb 2\nlong_metric_na", truncated=True)
    assert page.names() == ["a", "b"]


def test_a_huge_page_is_read_in_seconds() -> None:
    import time

    text = "".join(f'm{{i="{number}"}} {number}\n' for number in range(40_000))
    started = time.monotonic()
    assert parse(text).value("m") == sum(range(40_000))
    assert time.monotonic() - started < 10


def test_nine_fast_requests_do_not_make_a_p95_of_95_milliseconds() -> None:
    """What an interpolated quantile would say; the bucket says only: at most 0.1 s."""
    bucket = bucket_of_quantile(Histogram("h", (0.1, 1.0, math.inf), (9, 9, 9)), 0.95)
    assert bucket is not None
    assert (bucket.lower, bucket.upper, bucket.count) == (0.0, 0.1, 9)


def test_without_samples_there_is_no_quantile() -> None:
    assert bucket_of_quantile(Histogram("h", (0.1, math.inf), (0, 0)), 0.5) is None


samples = st.lists(st.floats(0.0001, 100, allow_nan=False), min_size=1, max_size=200)
bounds = st.lists(st.floats(0.001, 90, allow_nan=False), min_size=1, max_size=12, unique=True).map(sorted)


@given(samples, bounds, st.sampled_from([0.01, 0.25, 0.5, 0.9, 0.95, 0.99, 1.0]))
def test_the_bucket_always_holds_the_true_quantile(values: list[float], edges: list[float], q: float) -> None:
    all_edges = (*edges, math.inf)
    histogram = Histogram("h", all_edges, tuple(sum(value <= edge for value in values) for edge in all_edges))
    true = sorted(values)[max(0, math.ceil(round(q * len(values), 9)) - 1)]
    bucket = bucket_of_quantile(histogram, q)
    assert bucket is not None
    assert bucket.lower < true <= bucket.upper or (bucket.lower == 0 and true <= bucket.upper)


@given(samples, bounds)
def test_a_higher_quantile_never_lies_in_a_lower_bucket(values: list[float], edges: list[float]) -> None:
    all_edges = (*edges, math.inf)
    histogram = Histogram("h", all_edges, tuple(sum(value <= edge for value in values) for edge in all_edges))
    uppers = [bucket.upper for q in (0.1, 0.5, 0.9, 0.95, 0.99) if (bucket := bucket_of_quantile(histogram, q))]
    assert uppers == sorted(uppers)


@given(bounds, st.lists(st.integers(0, 1000), min_size=13, max_size=13))
def test_a_histogram_survives_being_stored(edges: list[float], steps: list[int]) -> None:
    counts = [float(sum(steps[: n + 1])) for n in range(len(edges) + 1)]
    histogram = Histogram("h", (*edges, math.inf), tuple(counts))
    assert Histogram.from_json(histogram.as_json()) == histogram


@pytest.mark.parametrize(
    "data",
    [None, [], {}, {"bounds": 1, "counts": 2}, {"bounds": ["a"], "counts": [1, 2]}, {"bounds": [], "counts": []}],
)
def test_what_was_not_stored_as_a_histogram_is_none(data: object) -> None:
    assert Histogram.from_json(data) is None


@pytest.mark.parametrize(
    ("names", "stack"),
    [
        (["vllm:num_requests_running", "python_gc_objects_collected"], "vllm"),
        (["vllm:gpu_cache_usage_perc", "vllm:num_requests_swapped"], "vllm"),
        (["sglang:num_running_reqs"], "sglang"),
        (["tgi_queue_size", "tgi_request_duration"], "tgi"),
        (["te_queue_size", "te_request_count"], "tei"),
        (["llamacpp:requests_processing"], "llamacpp"),
        (["litellm_proxy_total_requests_metric_total"], "litellm"),
        (["nv_inference_count", "nv_gpu_utilization"], "kserve"),
        (["ray_vllm_num_requests_running"], "rayserve"),
        (["ts_inference_latency_microseconds"], "torchserve"),
        (["time_to_first_token_seconds", "num_requests_running", "gpu_cache_usage_perc"], "nim"),
    ],
)
def test_a_stack_is_known_by_the_names_of_its_metrics(names: list[str], stack: str) -> None:
    found = stack_of_metrics(names)
    assert found is not None
    assert found.key == stack


def test_names_of_no_stack_are_no_stack() -> None:
    assert stack_of_metrics(["python_gc_objects_collected", "process_cpu_seconds_total"]) is None


def test_every_stack_says_what_it_was_read_from() -> None:
    assert all(stack.read_from for stack in STACKS.values())
