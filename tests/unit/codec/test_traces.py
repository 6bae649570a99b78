"""Spans: each field comes out in its column, each rule rejects by name, and what no column holds is residue."""

from __future__ import annotations

import json
from typing import Any

import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from app.errors import Undecodable
from app.model import SPANS
from tests.unit.codec.messages import HOUR, NOW, SPAN_ID, TRACE_ID, attributes, decode, rejected, row, span, traces

ZERO_8, ZERO_16 = bytes(8), bytes(16)


def test_a_chunk_has_the_columns_of_the_table() -> None:
    assert list(decode(traces(span())).columns) == [column.name for column in SPANS.decoded]


def test_an_empty_request_has_no_rows() -> None:
    chunk = decode(traces())
    assert (chunk.rows, chunk.columns["span_name"], chunk.rejections.message) == (0, [], "")


FIELDS: list[tuple[str, Any, str, Any]] = [
    ("trace_id", b"\xab" * 16, "trace_id_bytes", b"\xab" * 16),
    ("span_id", b"\xab" * 8, "span_id_bytes", b"\xab" * 8),
    ("parent_span_id", b"\xab" * 8, "parent_span_id_bytes", b"\xab" * 8),
    ("parent_span_id", b"", "parent_span_id_bytes", ZERO_8),
    ("trace_state", "a=b", "trace_state", "a=b"),
    ("flags", 0x301, "flags", 0x301),
    ("name", "n\x00é", "span_name", "n\x00é"),
    ("kind", 5, "span_kind", 5),
    ("start_time_unix_nano", NOW + 1, "timestamp", NOW + 1),
    ("end_time_unix_nano", NOW + 7, "duration_ns", 7),
    ("end_time_unix_nano", NOW, "duration_ns", 0),
    ("end_time_unix_nano", 2**64 - 1, "duration_ns", 2**64 - 1 - NOW),
    ("dropped_attributes_count", 2**32 - 1, "dropped_attributes_count", 2**32 - 1),
    ("dropped_events_count", 3, "dropped_events_count", 3),
    ("dropped_links_count", 4, "dropped_links_count", 4),
    ("status", Status(code=2, message="bad"), "status_code", 2),  # type: ignore[arg-type] # open enum
    ("status", Status(code=2, message="bad"), "status_message", "bad"),  # type: ignore[arg-type] # open enum
]


@pytest.mark.parametrize(("field", "sent", "column", "stored"), FIELDS, ids=lambda case: str(case)[:20])
def test_a_field_comes_out_in_its_column_and_leaves_no_residue(field: str, sent: Any, column: str, stored: Any) -> None:
    stored_row = row(traces(span(**{field: sent})))
    assert (stored_row[column], stored_row["residue"]) == (stored, "")


def test_attributes_come_out_in_order() -> None:
    stored = row(traces(span({"b": 1, "a": [1.0]})))
    assert stored["attributes_map"] == (["b", "a"], ["1", "[1.0]"])
    assert stored["attributes_types"] == "ia"


def test_events_come_out_field_by_field() -> None:
    events = [
        Span.Event(time_unix_nano=1, name="one", attributes=attributes({"k": True}), dropped_attributes_count=2),
        Span.Event(time_unix_nano=2**64 - 1),
    ]
    stored = row(traces(span(events=events)))
    assert {column: value for column, value in stored.items() if column.startswith("events.")} == {
        "events.timestamp": [1, 2**64 - 1],
        "events.name": ["one", ""],
        "events.attributes": [(["k"], ["true"]), ([], [])],
        "events.attributes_types": ["b", ""],
        "events.dropped_attributes_count": [2, 0],
    }


def test_links_come_out_field_by_field() -> None:
    links = [
        Span.Link(
            trace_id=b"\xab" * 16,
            span_id=b"\xcd" * 8,
            trace_state="a=b",
            flags=0x100,
            attributes=attributes({"k": "v"}),
            dropped_attributes_count=2,
        ),
        Span.Link(),
        Span.Link(trace_id=ZERO_16, span_id=ZERO_8),
    ]
    stored = row(traces(span(links=links)))
    assert {column: value for column, value in stored.items() if column.startswith("links.")} == {
        "links.trace_id": ["ab" * 16, "", "00" * 16],
        "links.span_id": ["cd" * 8, "", "00" * 8],
        "links.trace_state": ["a=b", "", ""],
        "links.flags": [0x100, 0, 0],
        "links.attributes": [(["k"], ["v"]), ([], []), ([], [])],
        "links.attributes_types": ["s", "", ""],
        "links.dropped_attributes_count": [2, 0, 0],
    }


RESIDUES: list[tuple[dict[str, Any], dict[str, Any], dict[str, Any]]] = [
    ({"status": None}, {"status": None}, {"status_code": 0}),
    ({"status": Status(code=7, message="m")}, {"status": {"code": 7}}, {"status_code": 0, "status_message": "m"}),  # type: ignore[arg-type] # open enum
    ({"status": Status(code=-1)}, {"status": {"code": -1}}, {"status_code": 0}),  # type: ignore[arg-type] # open enum
    ({"kind": 99}, {"kind": 99}, {"span_kind": 0}),
    ({"kind": -1}, {"kind": -1}, {"span_kind": 0}),
    ({"end_time_unix_nano": NOW - 1}, {"endTimeUnixNano": str(NOW - 1)}, {"duration_ns": 0}),
    ({"end_time_unix_nano": 0}, {"endTimeUnixNano": "0"}, {"duration_ns": 0}),
    ({"parent_span_id": ZERO_8}, {"parentSpanId": "0" * 16}, {"parent_span_id_bytes": ZERO_8}),
    ({"kind": 6, "status": None}, {"kind": 6, "status": None}, {}),
]


@pytest.mark.parametrize(("fields", "residue", "columns"), RESIDUES, ids=lambda case: str(case)[:30])
def test_what_no_column_holds_is_residue(
    fields: dict[str, Any], residue: dict[str, Any], columns: dict[str, Any]
) -> None:
    stored = row(traces(span(**fields)))
    assert json.loads(stored["residue"]) == residue
    assert columns.items() <= stored.items()


def test_residue_is_compact_with_sorted_keys() -> None:
    assert row(traces(span(status=None, kind=9)))["residue"] == '{"kind":9,"status":null}'


REJECTED: list[tuple[str, dict[str, Any], str, str]] = [
    (
        "short trace id",
        {"trace_id": TRACE_ID[:15]},
        "invalid_trace_id",
        'span "GET /": trace_id is 15 bytes, must be 16',
    ),
    (
        "long trace id",
        {"trace_id": TRACE_ID + b"x"},
        "invalid_trace_id",
        'span "GET /": trace_id is 17 bytes, must be 16',
    ),
    ("no trace id", {"trace_id": b""}, "invalid_trace_id", 'span "GET /": trace_id is 0 bytes, must be 16'),
    ("zero trace id", {"trace_id": ZERO_16}, "invalid_trace_id", 'span "GET /": trace_id is all zero, must not be'),
    ("short span id", {"span_id": SPAN_ID[:7]}, "invalid_span_id", 'span "GET /": span_id is 7 bytes, must be 8'),
    ("zero span id", {"span_id": ZERO_8}, "invalid_span_id", 'span "GET /": span_id is all zero, must not be'),
    (
        "short parent id",
        {"parent_span_id": b"x"},
        "invalid_parent_span_id",
        'span "GET /": parent_span_id is 1 bytes, must be 8 or none',
    ),
    (
        "no start",
        {"start_time_unix_nano": 0},
        "too_old",
        "start_time_unix_nano 0 (1970-01-01T00:00:00.000000000Z) is before 1787408000000000000 (2026-08-22T14:13:20.",
    ),
    (
        "a start far ahead",
        {"start_time_unix_nano": NOW + HOUR + 1},
        "too_new",
        "1790003600000000000 (2026-09-21T15:13:20.000000000Z), limits.max_future_seconds is 3600",
    ),
    ("the last time there is", {"start_time_unix_nano": 2**64 - 1}, "too_new", "2554-07-21"),
    (
        "short link trace id",
        {"links": [Span.Link(trace_id=b"x")]},
        "invalid_link_id",
        "links.trace_id is 1 bytes, must be 16 or none",
    ),
    (
        "short link span id",
        {"links": [Span.Link(span_id=b"xy")]},
        "invalid_link_id",
        "links.span_id is 2 bytes, must be 8 or none",
    ),
]


@pytest.mark.parametrize(
    ("fields", "reason", "example"), [case[1:] for case in REJECTED], ids=[case[0] for case in REJECTED]
)
def test_a_span_is_rejected_by_name(fields: dict[str, Any], reason: str, example: str) -> None:
    seen_reason, seen_example = rejected(traces(span(**fields)))
    assert seen_reason == reason
    assert example in seen_example


@pytest.mark.parametrize("start", [NOW - 30 * 24 * HOUR, NOW + HOUR], ids=["oldest", "newest"])
def test_the_bounds_of_time_are_taken(start: int) -> None:
    assert row(traces(span(start_time_unix_nano=start)))["timestamp"] == start


MANY = [
    ("attributes", {"values": {"a": 1, "b": 2}}, {"max_attributes": 1}, "too_many_attributes", "attributes holds 2"),
    ("a key", {"values": {"long": 1}}, {"max_key_bytes": 3}, "key_too_long", 'key "long" in attributes is 4 bytes'),
    ("a value", {"values": {"k": "long"}}, {"max_value_bytes": 3}, "value_too_long", '"k" in attributes is 4 bytes'),
    (
        "events",
        {"events": [Span.Event()] * 2},
        {"max_events": 1},
        "too_many_events",
        "2 events, limits.max_events is 1",
    ),
    ("links", {"links": [Span.Link()] * 2}, {"max_links": 1}, "too_many_links", "2 links, limits.max_links is 1"),
    (
        "attributes of an event",
        {"events": [Span.Event(attributes=attributes({"a": 1, "b": 2}))]},
        {"max_attributes": 1},
        "too_many_attributes",
        "events.attributes holds 2",
    ),
    (
        "attributes of a link",
        {"links": [Span.Link(attributes=attributes({"a": 1, "b": 2}))]},
        {"max_attributes": 1},
        "too_many_attributes",
        "links.attributes holds 2",
    ),
]


@pytest.mark.parametrize(
    ("fields", "limits", "reason", "example"), [case[1:] for case in MANY], ids=[case[0] for case in MANY]
)
def test_a_span_over_a_limit_is_rejected_by_name(
    fields: dict[str, Any], limits: dict[str, int], reason: str, example: str
) -> None:
    seen_reason, seen_example = rejected(traces(span(**fields)), **limits)
    assert seen_reason == reason
    assert seen_example.startswith(f'span "GET /": {example}')


def test_good_spans_of_the_same_request_are_kept_in_order() -> None:
    spans = [span(name="a"), span(name="b", trace_id=b"x"), span(name="c"), span(name="d", trace_id=b"y")]
    chunk = decode(traces(*spans))
    assert chunk.columns["span_name"] == ["a", "c"]
    assert chunk.rejections.message == '2 invalid_trace_id: span "b": trace_id is 1 bytes, must be 16'


def test_a_rejected_span_still_refuses_the_request_for_its_depth() -> None:
    deep = span({"k": [[1]]}, trace_id=b"x")
    with pytest.raises(Undecodable, match=r'"k" nests arrays and kvlists 2 deep or more, limits.max_depth is 1'):
        decode(traces(deep), max_depth=1)


def test_a_rejected_span_of_allowed_depth_does_not() -> None:
    assert rejected(traces(span({"k": [{"l": []}]}, trace_id=b"x")), max_depth=3)[0] == "invalid_trace_id"
