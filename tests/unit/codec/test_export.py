"""Exports read as real senders write: what is shared stands once, and numbers, ids and absent fields look as in OTLP."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest

from app.codec.bodies import decode_message
from app.codec.contract import Bounds
from app.codec.export import Tree, dump, export, value_tree
from app.codec.groups import Request
from app.codec.json_reader import read_request
from app.model import Signal
from app.settings import LimitSettings
from tests.stored import stored_rows
from tests.strategies import REQUESTS

LIMITS = LimitSettings(max_depth=64)
BOUNDS = Bounds(LIMITS, received_unix_nano=1, oldest_unix_nano=0, newest_unix_nano=2**64 - 1)
SPAN = {"trace_id": b"\xab" * 16, "span_id": b"\x01" * 8}
POINTS: list[dict[str, Any]] = [
    {"name": "m", "gauge": {"data_points": [{}]}},
    {"name": "m", "sum": {"data_points": [{}]}},
    {"name": "m", "sum": {"data_points": [{}], "is_monotonic": True}},
    {"name": "m", "sum": {"data_points": [{}], "aggregation_temporality": 1}},
    {"name": "m", "sum": {"data_points": [{}], "aggregation_temporality": 77}},
    {"name": "m", "histogram": {"data_points": [{}]}},
    {"name": "m", "exponential_histogram": {"data_points": [{}]}},
    {"name": "m", "summary": {"data_points": [{}]}},
    {"name": "n", "gauge": {"data_points": [{}]}},
    {"name": "m", "unit": "1", "gauge": {"data_points": [{}]}},
    {"name": "m", "description": "d", "gauge": {"data_points": [{}]}},
    {"name": "m", "metadata": [{"key": "k", "value": {}}], "gauge": {"data_points": [{}]}},
]


def request_of(signal: Signal, *resources: dict[str, Any]) -> Request:
    """A request of these ResourceSpans, ResourceMetrics or ResourceLogs."""
    message_type = REQUESTS[signal]
    fields: dict[str, Any] = {message_type.DESCRIPTOR.fields[0].name: resources}
    return message_type(**fields)


def exported(request: Request) -> Tree:
    chunk = decode_message(request, BOUNDS)
    assert chunk.rejections.counts == {}
    return export(chunk.signal, stored_rows(chunk))


def exported_span(**fields: Any) -> Tree:
    request = request_of(Signal.TRACES, {"scope_spans": [{"spans": [{**SPAN, **fields}]}]})
    span: Tree = exported(request)["resourceSpans"][0]["scopeSpans"][0]["spans"][0]
    return span


def exported_log(**fields: Any) -> Tree:
    request = request_of(Signal.LOGS, {"scope_logs": [{"log_records": [fields]}]})
    record: Tree = exported(request)["resourceLogs"][0]["scopeLogs"][0]["logRecords"][0]
    return record


def exported_point(kind: str, **fields: Any) -> Tree:
    metric = {"name": "m", kind: {"data_points": [fields]}}
    request = request_of(Signal.METRICS, {"scope_metrics": [{"metrics": [metric]}]})
    [found] = exported(request)["resourceMetrics"][0]["scopeMetrics"][0]["metrics"]
    [points] = [value["dataPoints"] for value in found.values() if isinstance(value, dict)]
    point: Tree = points[0]
    return point


@pytest.mark.parametrize("signal", Signal)
def test_no_rows_are_an_empty_list(signal: Signal) -> None:
    """And a request that can be read."""
    tree = export(signal, [])
    assert list(tree.values()) == [[]]
    assert not read_request(signal, dump(tree)).ListFields()


def test_what_rows_share_stands_once() -> None:
    """Records of one resource and scope in one list."""
    shared = {"resource": {}, "scope_spans": [{"scope": {"name": "s"}, "spans": [SPAN, SPAN]}]}
    request = request_of(Signal.TRACES, shared, shared)
    [resource] = exported(request)["resourceSpans"]
    [scope] = resource["scopeSpans"]
    assert len(scope["spans"]) == 4


@pytest.mark.parametrize(
    "other",
    [
        {"resource": None},
        {"resource": {"attributes": [{"key": "a", "value": {"int_value": 1}}]}},
        {"resource": {"attributes": [{"key": "a", "value": {"string_value": "1"}}]}},
        {"resource": {"dropped_attributes_count": 1}},
        {"resource": {"entity_refs": [{"type": "host"}]}},
        {"schema_url": "u"},
    ],
    ids=str,
)
def test_resources_that_differ_in_anything_stay_apart(other: dict[str, Any]) -> None:
    """Attributes, their types, dropped counts, entity references, schema URL, and none at all."""
    spans = {"resource": {}, "scope_spans": [{"spans": [SPAN]}]}
    request = request_of(Signal.TRACES, spans, {**spans, **other}, spans)
    tree = exported(request)
    assert len(tree["resourceSpans"]) == 3
    assert read_request(Signal.TRACES, dump(tree)) == request


@pytest.mark.parametrize(
    "other",
    [
        {"scope": None},
        {"scope": {"name": "s", "version": "1"}},
        {"scope": {"name": "t"}},
        {"scope": {"name": "s", "attributes": [{"key": "a", "value": {}}]}},
        {"scope": {"name": "s", "dropped_attributes_count": 1}},
        {"schema_url": "u"},
    ],
    ids=str,
)
def test_scopes_that_differ_in_anything_stay_apart(other: dict[str, Any]) -> None:
    """Name, version, attributes, dropped counts, schema URL, and none at all."""
    logs = {"scope": {"name": "s"}, "log_records": [{"event_name": "e"}]}
    request = request_of(Signal.LOGS, {"scope_logs": [logs, {**logs, **other}, logs]})
    tree = exported(request)
    assert len(tree["resourceLogs"][0]["scopeLogs"]) == 3
    assert read_request(Signal.LOGS, dump(tree)) == request


@pytest.mark.parametrize("place", range(1, len(POINTS)), ids=lambda place: str(POINTS[place]))
def test_metrics_that_differ_in_anything_stay_apart(place: int) -> None:
    """Name, description, unit, metadata, kind, temporality, whether monotonic."""
    metrics = [POINTS[0], POINTS[place], POINTS[0]] if place != 2 else [POINTS[1], POINTS[2], POINTS[1]]
    request = request_of(Signal.METRICS, {"scope_metrics": [{"metrics": metrics}]})
    tree = exported(request)
    assert len(tree["resourceMetrics"][0]["scopeMetrics"][0]["metrics"]) == 3
    assert read_request(Signal.METRICS, dump(tree)) == request


def test_points_of_one_metric_stand_together() -> None:
    """In the order received."""
    points = [{"as_int": 1}, {"as_double": 1.0}, {}]
    metric = {"name": "m", "gauge": {"data_points": points}}
    request = request_of(Signal.METRICS, {"scope_metrics": [{"metrics": [metric]}]})
    [found] = exported(request)["resourceMetrics"][0]["scopeMetrics"][0]["metrics"]
    values = [(point.get("asInt"), point.get("asDouble")) for point in found["gauge"]["dataPoints"]]
    assert values == [("1", None), (None, 1.0), (None, None)]


def test_a_status_is_there_if_it_was_sent() -> None:
    """Empty or not."""
    assert "status" not in exported_span()
    assert exported_span(status={})["status"] == {}
    assert exported_span(status={"code": 9, "message": "m"})["status"] == {"message": "m", "code": 9}


def test_ids_are_lowercase_hex() -> None:
    """And left out if there are none, unless zeros were sent."""
    span = exported_span()
    assert (span["traceId"], span["spanId"]) == ("ab" * 16, "01" * 8)
    assert "parentSpanId" not in span
    assert exported_span(parent_span_id=bytes(8))["parentSpanId"] == "0" * 16
    assert not {"traceId", "spanId"} & exported_log().keys()
    assert exported_log(trace_id=bytes(16))["traceId"] == "0" * 32


def test_integers_of_64_bits_are_strings() -> None:
    """Others are numbers."""
    point = exported_point("exponential_histogram", count=2**64 - 1, scale=-3, positive={"bucket_counts": [2**60]})
    assert (point["count"], point["scale"]) == (str(2**64 - 1), -3)
    assert point["positive"] == {"offset": 0, "bucketCounts": [str(2**60)]}
    assert exported_span(start_time_unix_nano=5, end_time_unix_nano=3)["endTimeUnixNano"] == "3"


def test_optional_fields_of_points_are_there_if_they_were_sent() -> None:
    """Also if they are zero."""
    assert not {"sum", "min", "max"} & exported_point("histogram", count=1).keys()
    point = exported_point("histogram", sum=0.0, max=0.0)
    assert (point["sum"], point["max"], "min" in point) == (0.0, 0.0, False)
    assert not {"positive", "negative"} & exported_point("exponential_histogram").keys()


def test_doubles_that_json_lacks_are_strings() -> None:
    """Everywhere that a double can stand."""
    point = exported_point("histogram", sum=math.nan, bucket_counts=[1, 2], explicit_bounds=[math.inf])
    assert (point["sum"], point["explicitBounds"]) == ("NaN", ["Infinity"])
    assert exported_point("gauge", as_double=-math.inf)["asDouble"] == "-Infinity"
    assert value_tree("d", "NaN") == {"doubleValue": "NaN"}


def test_the_time_of_a_log_stays_zero() -> None:
    """Whatever it was stored under."""
    record = exported_log(observed_time_unix_nano=7)
    assert (record["timeUnixNano"], record["observedTimeUnixNano"]) == ("0", "7")


def test_a_body_is_there_if_it_was_sent() -> None:
    """Empty or not."""
    assert "body" not in exported_log()
    assert exported_log(body={})["body"] == {}


def test_doubled_keys_stay_doubled_and_in_order() -> None:
    """As sent."""
    attributes = [{"key": key, "value": {"int_value": place}} for place, key in enumerate("bab")]
    assert exported_span(attributes=attributes)["attributes"] == [
        {"key": "b", "value": {"intValue": "0"}},
        {"key": "a", "value": {"intValue": "1"}},
        {"key": "b", "value": {"intValue": "2"}},
    ]


def test_attributes_without_letters_are_strings() -> None:
    """Rows that somebody inserted by SQL."""
    request = request_of(Signal.LOGS, {"scope_logs": [{"log_records": [{}]}]})
    [row] = stored_rows(decode_message(request, BOUNDS))
    tree = export(Signal.LOGS, [row | {"attributes_map": (["k"], ["1"]), "attributes_types": ""}])
    [record] = tree["resourceLogs"][0]["scopeLogs"][0]["logRecords"]
    assert record["attributes"] == [{"key": "k", "value": {"stringValue": "1"}}]


def test_a_letter_that_nobody_writes_is_an_error() -> None:
    """Rather than a value that was never sent."""
    with pytest.raises(ValueError, match="'x' is no letter"):
        value_tree("x", "")
    with pytest.raises(ValueError, match="None is no value"):
        value_tree("a", "[null]")


def test_the_deepest_values_can_be_written() -> None:
    """More levels than the JSON library takes."""
    value: dict[str, Any] = {"int_value": 1}
    for _ in range(LIMITS.max_depth):
        value = {"kvlist_value": {"values": [{"key": "k", "value": value}]}}
    request = request_of(Signal.LOGS, {"scope_logs": [{"log_records": [{"body": value}]}]})
    tree = exported(request)
    assert json.loads(dump(tree)) == tree
    assert read_request(Signal.LOGS, dump(tree)) == request
