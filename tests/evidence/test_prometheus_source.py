"""The Prometheus source at a server on loopback that answers as Prometheus' API does, and at ones that do not.

Shapes of the answers: the HTTP API's documentation of Prometheus 2.42 to 3.5.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar
from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from checklists.evidence.client import Response
from checklists.evidence.probes.visit import Answer, Target, Visit
from checklists.evidence.sources.prometheus import (
    MAX_QUERY,
    MAX_SERIES,
    Prometheus,
    Reading,
    any_of,
    is_label,
    matchers,
    quoted,
    reading_of,
)
from tests.evidence.loopback import Request, loopback_client, run, serving

T = TypeVar("T")
UP = {"__name__": "up", "job": "prometheus", "instance": "localhost:9090"}
VECTOR = {
    "status": "success",
    "data": {
        "resultType": "vector",
        "result": [
            {"metric": UP, "value": [1435781451.781, "1"]},
            {"metric": {**UP, "job": "node", "instance": "localhost:9100"}, "value": [1435781451.781, "0"]},
        ],
    },
}
MATRIX = {
    "status": "success",
    "data": {
        "resultType": "matrix",
        "result": [
            {"metric": UP, "values": [[1435781430.781, "1"], [1435781445.781, "NaN"], [1435781460.781, "+Inf"]]},
        ],
    },
}
TARGETS = {
    "status": "success",
    "data": {
        "activeTargets": [
            {
                "discoveredLabels": {"__address__": "127.0.0.1:9090"},
                "labels": {"instance": "127.0.0.1:9090", "job": "prometheus"},
                "scrapePool": "prometheus",
                "scrapeUrl": "http://127.0.0.1:9090/metrics",
                "globalUrl": "http://example-prometheus:9090/metrics",
                "lastError": "",
                "lastScrape": "2017-01-17T15:07:44.723715405+01:00",
                "lastScrapeDuration": 0.050688943,
                "health": "up",
            },
            {
                "labels": {"job": "dcgm"},
                "scrapeUrl": "http://10.0.0.1:9400/metrics",
                "health": "down",
                "lastError": "refused",
            },
        ],
        "droppedTargets": [],
    },
}
RULES = {
    "status": "success",
    "data": {
        "groups": [
            {
                "name": "example",
                "file": "/rules.yaml",
                "interval": 60,
                "rules": [
                    {
                        "alerts": [],
                        "annotations": {"summary": "High request latency"},
                        "duration": 600,
                        "health": "ok",
                        "labels": {"severity": "page"},
                        "name": "HighRequestLatency",
                        "query": 'job:request_latency_seconds:mean5m{job="myjob"} > 0.5',
                        "state": "inactive",
                        "type": "alerting",
                    },
                    {
                        "health": "ok",
                        "name": "job:http_inprogress_requests:sum",
                        "query": "sum by (job) (x)",
                        "type": "recording",
                    },
                ],
            }
        ]
    },
}
ALERTS = {
    "status": "success",
    "data": {
        "alerts": [
            {
                "activeAt": "2018-07-04T20:27:12.60602144+02:00",
                "annotations": {},
                "labels": {"alertname": "my-alert"},
                "state": "firing",
                "value": "1e+00",
            }
        ]
    },
}
BUILD = {"status": "success", "data": {"version": "2.13.1", "revision": "cb7cbad5", "goVersion": "go1.13.1"}}


def ask(prometheus: str, question: Callable[[Prometheus], Awaitable[T]], **target: Any) -> T:
    """What a question to the Prometheus at an address comes to."""

    async def asking() -> T:
        async with loopback_client(timeout_s=2.0).session() as session:
            options = {"url": "http://127.0.0.1:9", "prometheus_url": prometheus, **target}
            visit = Visit(Target("main", **options), session)
            return await question(Prometheus(visit))

    return run(asking())


def answering(status: int, body: Any, headers: dict[str, str] | None = None) -> Callable[[Request], None]:
    return lambda request: request.reply(status, body, headers)


def answer(body: Any, status: int = 200) -> Answer:
    """An answer as the client hands it over, without a server."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Answer(Response(status, (), content, False, 0.0, 0.0, "GET /", None, "http://127.0.0.1"))


def instant(prometheus: Prometheus) -> Awaitable[Reading]:
    return prometheus.instant("up")


# What it answers


def test_an_instant_query_gives_each_series_with_its_labels_and_value() -> None:
    with serving(answering(200, VECTOR)) as server:
        reading = ask(server.url, instant)
    assert [series.value for series in reading.series] == [1.0, 0.0]
    assert reading.series[1].labels["instance"] == "localhost:9100"
    assert not reading.error
    assert reading.number is None  # there are two
    assert reading.total == 1.0


def test_a_range_query_keeps_what_is_not_finite_out_of_its_points() -> None:
    with serving(answering(200, MATRIX)) as server:
        reading = ask(server.url, lambda prometheus: prometheus.range("up", 3600))
        query = parse_qs(urlsplit(server.seen[0].path).query)
    assert reading.points == {1435781430.781: 1.0}
    assert float(query["end"][0]) - float(query["start"][0]) == 3600
    assert float(query["end"][0]) % 300 == 0


@pytest.mark.parametrize("value", ["NaN", "+Inf", "-Inf"])
def test_a_value_that_is_no_number_is_none_and_no_error(value: str) -> None:
    body = {"status": "success", "data": {"resultType": "vector", "result": [{"metric": {}, "value": [1, value]}]}}
    reading = reading_of(answer(body), "vector")
    assert not reading.error
    assert reading.number is None
    assert reading.total is None
    assert not math.isfinite(reading.series[0].value)


def test_nothing_found_is_no_error_and_no_number() -> None:
    reading = reading_of(answer({"status": "success", "data": {"resultType": "vector", "result": []}}), "vector")
    assert reading == Reading()
    assert reading.number is None
    assert reading.histogram("x") is None


def test_targets_rules_alerts_and_the_version_are_read() -> None:
    answers = {"targets": TARGETS, "rules": RULES, "alerts": ALERTS, "status/buildinfo": BUILD}

    def handle(request: Request) -> None:
        request.reply(200, answers[urlsplit(request.path).path.removeprefix("/api/v1/")])

    async def all_of_them(prometheus: Prometheus) -> tuple[Any, ...]:
        targets, rules = await prometheus.targets(), await prometheus.rules()
        return targets, rules, await prometheus.alerts(), await prometheus.buildinfo()

    with serving(handle) as server:
        targets, rules, alerts, build = ask(server.url, all_of_them)
    assert [(row.health, row.last_error) for row in targets.items] == [("up", ""), ("down", "refused")]
    assert targets.items[0].url == "http://127.0.0.1:9090/metrics"
    alerting, recording = rules.items
    assert (alerting.name, alerting.group, alerting.hold_s) == ("HighRequestLatency", "example", 600.0)
    assert alerting.query.endswith("> 0.5")
    assert alerting.annotations == {"summary": "High request latency"}
    assert (recording.kind, recording.hold_s) == ("recording", 0.0)
    assert [(row.state, row.labels["alertname"]) for row in alerts.items] == [("firing", "my-alert")]
    assert build.version == "2.13.1"


def test_several_queries_share_requests_and_come_back_by_their_keys() -> None:
    def handle(request: Request) -> None:
        query = parse_qs(urlsplit(request.path).query)["query"][0]
        keys = re.findall(r'"preflight", "(\w+)"', query)
        rows = [{"metric": {"preflight": key}, "value": [1, str(len(key))]} for key in keys if key != "none"]
        request.reply(200, {"status": "success", "data": {"resultType": "vector", "result": rows}})

    queries = {"a": "up", "bbb": "up", "none": "absent_metric", "long": "x" * MAX_QUERY}
    with serving(handle) as server:
        readings, outcome = ask(server.url, lambda prometheus: prometheus.many(queries))
        assert len(server.seen) == 2
    assert not outcome.error
    assert {key: reading.number for key, reading in readings.items()} == {"a": 1, "bbb": 3, "none": None, "long": 4}


def test_one_failed_request_of_several_fails_them_all() -> None:
    with serving(answering(503, "busy")) as server:
        readings, outcome = ask(server.url, lambda prometheus: prometheus.many({"a": "up", "b": "up"}))
    assert outcome.error == "status 503"
    assert {reading.error for reading in readings.values()} == {"status 503"}


# What it is not to be trusted with

TOO_MANY = [{"metric": {"n": str(n)}, "value": [1, "1"]} for n in range(MAX_SERIES + 1)]
BACKWARDS = {"metric": {}, "histogram": [1, {"buckets": [[0, "2", "1", "5"]]}]}
BUCKETS = [[3, "-0.001", "0.001", "2"], [0, "0.1", "0.2", "5"], [0, "0.2", "0.4", "1"], [0, "0.8", "1.6", "2"]]
HISTOGRAM = {"metric": {}, "histogram": [1, {"count": "10", "sum": "1", "buckets": BUCKETS}]}


def vector(rows: Any, **more: Any) -> dict[str, Any]:
    return {"status": "success", "data": {"resultType": "vector", "result": rows}, **more}


@pytest.mark.parametrize(
    ("status", "body", "kind", "words"),
    [
        (401, "who are you", "refused", "does not let Preflight in (401)"),
        (403, VECTOR, "refused", "does not let Preflight in (403)"),
        (404, "404 page not found", "status 404", "answered 404"),
        (200, "<html>Grafana</html>", "invalid", "does not speak its API"),
        (200, b"\xff\xfe\x00", "invalid", "does not speak its API"),
        (200, b"[" * 10_000 + b"]" * 10_000, "invalid", "does not speak its API"),
        (200, {"hello": "world"}, "invalid", "does not speak its API"),
        (200, {"status": "success"}, "invalid", "does not speak its API"),
        (200, MATRIX, "invalid", "does not speak its API"),
        (200, vector("many"), "invalid", "does not speak its API"),
        (200, vector([{"metric": {}, "value": [1, 1]}]), "invalid", "does not speak its API"),
        (200, vector([{"metric": {}, "value": ["x", "1"]}]), "invalid", "does not speak its API"),
        (200, vector([{"metric": {}, "value": [1, "one"]}]), "invalid", "does not speak its API"),
        (200, vector([7]), "invalid", "does not speak its API"),
        (
            200,
            vector([{"metric": {}, "histogram": [1, {"buckets": [[0, "2", "1", "5"]]}]}]),
            "native_histogram",
            "native",
        ),
        (200, MATRIX | {"data": {"resultType": "matrix", "result": [HISTOGRAM]}}, "invalid", "does not speak"),
        (200, vector(TOO_MANY), "too_large", "more series than are read"),
        (200, "[" + "1," * 600_000 + "1]", "too_large", "more data than are read"),
        (400, {"status": "error", "errorType": "bad_data", "error": "parse error"}, "bad_data", "parse error"),
        (422, {"status": "error", "errorType": "execution", "error": "too many samples"}, "execution", "too many"),
        (503, {"status": "error", "errorType": "timeout", "error": "query timed out"}, "timeout", "timed out"),
        (503, "upstream connect error", "status 503", "answered 503"),
        (200, vector([], warnings=["store 1 unavailable"]), "partial", "store 1 unavailable"),
        (200, vector([], warnings=["PromQL warning: a mix of histograms and floats"]), "doubtful", "warns of its own"),
        (200, vector([], isPartial=True), "partial", "only a part of the data"),
    ],
)
def test_an_answer_that_is_of_no_use_has_a_kind_and_a_reason(status: int, body: Any, kind: str, words: str) -> None:
    with serving(answering(status, body)) as server:
        reading = ask(server.url, instant)
    assert (reading.error, reading.series) == (kind, ())
    assert words in reading.why
    assert reading.why.startswith(("Prometheus", "What answers"))


def test_a_wrong_content_type_does_not_matter_where_the_body_is_right() -> None:
    with serving(answering(200, json.dumps(VECTOR), {"Content-Type": "text/html"})) as server:
        assert len(ask(server.url, instant).series) == 2


@pytest.mark.parametrize(
    "note", [{"infos": ["PromQL info: x"]}, {"warnings": ["PromQL info: metric might not be a counter"]}]
)
def test_a_note_on_the_query_is_no_missing_data(note: dict[str, Any]) -> None:
    assert not reading_of(answer(vector([], **note)), "vector").error


def test_without_an_address_nothing_is_sent_and_it_says_so() -> None:
    reading = ask("", instant)
    assert reading.error == "no_address"
    assert reading.why == "No Prometheus server is recorded for this endpoint."


def test_a_server_that_is_not_there_is_named_as_the_one_that_is_missing() -> None:
    reading = ask("http://127.0.0.1:9", instant)
    assert reading.error
    assert reading.why.startswith("Prometheus: ")


@pytest.mark.parametrize("path", ["targets", "rules", "alerts"])
def test_a_listing_of_another_shape_is_an_outcome(path: str) -> None:
    async def listed(prometheus: Prometheus) -> Any:
        return await getattr(prometheus, path)()

    with serving(
        answering(200, {"status": "success", "data": {"groups": 1, "alerts": {}, "activeTargets": "x"}})
    ) as server:
        listing = ask(server.url, listed)
    assert (listing.error, listing.items) == ("invalid", ())


def test_the_endpoints_credentials_do_not_go_to_prometheus_and_a_question_is_sent_once() -> None:
    async def twice(prometheus: Prometheus) -> None:
        await prometheus.instant("up")
        await prometheus.instant("up")

    with serving(answering(200, VECTOR)) as server:
        # Even where both stand behind one address.
        ask(server.url, twice, url=server.url, headers={"Authorization": "Bearer sk-secret-secret"})
        assert len(server.seen) == 1
        assert "authorization" not in server.seen[0].headers


@pytest.mark.parametrize("tail", ["", "/", "/graph", "/graph?g0.expr=up", "/api/v1", "/api/v1/", "/targets", "/query"])
def test_an_address_copied_from_a_browser_works(tail: str) -> None:
    with serving(answering(200, VECTOR)) as server:
        assert ask(f"{server.url}/prometheus{tail}", instant).series
        assert urlsplit(server.seen[0].path).path == "/prometheus/api/v1/query"


# What it asks


@given(st.text())
def test_a_text_stays_a_text_whatever_it_holds(value: str) -> None:
    seen = quoted(value)
    assert json.loads(seen) == value.encode("utf-8", "replace").decode()
    assert re.fullmatch(r'"(?:[^"\\\n]|\\.)*"', seen)  # nothing in it ends the string
    seen.encode()


@given(st.lists(st.text(st.characters(codec="ascii"), max_size=20), min_size=1, max_size=5))
def test_a_pattern_of_texts_matches_those_and_no_others(values: list[str]) -> None:
    pattern = re.compile(any_of(values))
    assert all(pattern.fullmatch(value) for value in values)
    assert not pattern.fullmatch("x".join(values) + "y")


@given(st.text(max_size=10))
def test_only_names_of_labels_become_matchers(name: str) -> None:
    if is_label(name):
        assert matchers({name: "a"}) == f'{{{name}="a"}}'
    else:
        with pytest.raises(ValueError) as refused:  # noqa: PT011 - the name itself is the message
            matchers({name: "a"})
        assert refused.value.args == (name,)


@pytest.mark.parametrize("name", ["__name__x", "__address__", "a-b", "9a", "", 'a="b",c', "a\n", "é"])
def test_what_cannot_be_a_label_is_none(name: str) -> None:
    assert not is_label(name)


JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["metric", "value", "values", "histogram", "buckets", "le", "x"]), inner, max_size=3
        )
    ),
    max_leaves=12,
)


@given(st.sampled_from(["vector", "scalar", "matrix", "string"]), JSON)
def test_no_result_makes_the_reading_fail(kind: str, result: Any) -> None:
    reading = reading_of(
        answer({"status": "success", "data": {"resultType": kind, "result": result}}), "vector", "scalar", "matrix"
    )
    assert bool(reading.error) == bool(reading.why)
    assert reading.number is None or math.isfinite(reading.number)
    assert reading.histogram("x") is None or reading.series


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=8), st.floats(0, 0.01))
def test_a_histogram_whose_buckets_were_extrapolated_unevenly_stays_one(parts: list[float], noise: float) -> None:
    rows, total = [], 0.0
    for number, part in enumerate(parts):
        total += part
        bound = "+Inf" if number == len(parts) - 1 else str(number + 1)
        rows.append({"metric": {"le": bound}, "value": [1, str(total * (1 + noise * (number % 2)))]})
    histogram = reading_of(answer(vector(rows)), "vector").histogram("x")
    assert histogram is not None
    assert histogram.counts == tuple(sorted(histogram.counts))
    assert histogram.count >= total


@pytest.mark.parametrize(
    "rows", [{"1": "5"}, {"1": "5", "+Inf": "1"}, {"1": "NaN", "+Inf": "5"}, {"one": "5", "+Inf": "5"}]
)
def test_buckets_that_make_no_histogram_are_none(rows: dict[str, str]) -> None:
    found = [{"metric": {"le": bound}, "value": [1, count]} for bound, count in rows.items()]
    assert reading_of(answer(vector(found)), "vector").histogram("x") is None


def native(*buckets: tuple[str, str, str]) -> dict[str, Any]:
    rows = [[0, *bucket] for bucket in buckets]
    return {"metric": {"job": "a"}, "histogram": [1, {"count": "1", "sum": "1", "buckets": rows}]}


def test_a_native_histogram_is_read_with_a_bound_at_each_end_of_a_bucket() -> None:
    reading = reading_of(answer(vector([HISTOGRAM])), "vector")
    histogram = reading.histogram("x")
    assert histogram is not None
    assert histogram.name == "x"
    assert histogram.bounds == (0.001, 0.1, 0.2, 0.4, 0.8, 1.6, math.inf)
    assert histogram.counts == (2, 2, 7, 8, 8, 10, 10)
    assert (reading.number, reading.total) == (None, None)  # it is no number


def test_custom_buckets_end_at_infinity_and_below_the_first_there_is_nothing() -> None:
    histogram = reading_of(answer(vector([native(("0.5", "1", "4"), ("1", "+Inf", "2"))])), "vector").histogram("x")
    assert histogram is not None
    assert (histogram.bounds, histogram.counts) == ((0.5, 1.0, math.inf), (0, 4, 6))


def test_an_empty_native_histogram_has_no_samples() -> None:
    row = {"metric": {}, "histogram": [1, {"count": "0", "sum": "0"}]}
    histogram = reading_of(answer(vector([row])), "vector").histogram("x")
    assert histogram is not None
    assert histogram.count == 0


@pytest.mark.parametrize(
    "buckets",
    [
        [("0.1", "0.3", "1"), ("0.2", "0.4", "1")],  # overlapping
        [("0.1", "0.2", "-1")],
        [("0.1", "0.2", "NaN")],
        [("0.1", "NaN", "1")],
        [("0.1", "0.2", "+Inf")],
        [("0.1", "x", "1")],
        [(str(n), str(n + 1), "1") for n in range(2001)],
    ],
)
def test_native_buckets_that_make_no_histogram_are_an_outcome(buckets: list[tuple[str, str, str]]) -> None:
    assert reading_of(answer(vector([native(*buckets)])), "vector").error == "native_histogram"


def test_several_native_histograms_are_not_taken_for_one() -> None:
    rows = [native(("0.1", "0.2", "1")), native(("0.1", "0.2", "1"))]
    assert reading_of(answer(vector(rows)), "vector").histogram("x") is None
