"""Log records: each field in its column, times and ids that may be missing, rules by name."""

from __future__ import annotations

import json
from typing import Any

import pytest
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord

from app.model import LOGS
from tests.unit.codec.messages import HOUR, NOW, any_value, decode, log, logs, rejected, row

ZERO_8, ZERO_16 = bytes(8), bytes(16)


def test_a_chunk_has_the_columns_of_the_table() -> None:
    assert list(decode(logs(log())).columns) == [column.name for column in LOGS.decoded]


FIELDS: list[tuple[str, Any, str, Any]] = [
    ("trace_id", b"\xab" * 16, "trace_id_bytes", b"\xab" * 16),
    ("trace_id", b"", "trace_id_bytes", ZERO_16),
    ("span_id", b"\xab" * 8, "span_id_bytes", b"\xab" * 8),
    ("span_id", b"", "span_id_bytes", ZERO_8),
    ("flags", 0x101, "flags", 0x101),
    ("severity_number", 24, "severity_number", 24),
    ("severity_text", "WARN", "severity_text", "WARN"),
    ("event_name", "gen_ai.choice", "event_name", "gen_ai.choice"),
    ("dropped_attributes_count", 3, "dropped_attributes_count", 3),
    ("observed_time_unix_nano", 1, "observed_time_unix_nano", 1),
    ("body", any_value("text"), "body", "text"),
    ("body", any_value("text"), "body_type", "s"),
    ("body", any_value({"a": None}), "body_type", "M"),
    ("body", any_value(None), "body_type", "e"),
    ("body", None, "body_type", ""),
]


@pytest.mark.parametrize(("field", "sent", "column", "stored"), FIELDS, ids=lambda case: str(case)[:20])
def test_a_field_comes_out_in_its_column_and_leaves_no_residue(field: str, sent: Any, column: str, stored: Any) -> None:
    stored_row = row(logs(log(**{field: sent})))
    assert (stored_row[column], stored_row["residue"]) == (stored, "")


TIMES = [
    ("the time", {"time_unix_nano": NOW - 2, "observed_time_unix_nano": NOW - 1}, NOW - 2),
    ("else the observed time", {"time_unix_nano": 0, "observed_time_unix_nano": NOW - 1}, NOW - 1),
    ("else the received time", {"time_unix_nano": 0, "observed_time_unix_nano": 0}, NOW),
]


@pytest.mark.parametrize(("times", "timestamp"), [case[1:] for case in TIMES], ids=[case[0] for case in TIMES])
def test_the_timestamp_is(times: dict[str, Any], timestamp: int) -> None:
    stored = row(logs(log(**times)))
    assert stored["timestamp"] == timestamp
    assert times.items() <= stored.items()


RESIDUES: list[tuple[dict[str, Any], dict[str, Any], dict[str, Any]]] = [
    ({"severity_number": 25}, {"severityNumber": 25}, {"severity_number": 0}),
    ({"severity_number": -1}, {"severityNumber": -1}, {"severity_number": 0}),
    ({"trace_id": ZERO_16}, {"traceId": "0" * 32}, {"trace_id_bytes": ZERO_16}),
    ({"span_id": ZERO_8}, {"spanId": "0" * 16}, {"span_id_bytes": ZERO_8}),
]


@pytest.mark.parametrize(("fields", "residue", "columns"), RESIDUES, ids=lambda case: str(case)[:30])
def test_what_no_column_holds_is_residue(
    fields: dict[str, Any], residue: dict[str, Any], columns: dict[str, Any]
) -> None:
    stored = row(logs(log(**fields)))
    assert json.loads(stored["residue"]) == residue
    assert columns.items() <= stored.items()


REJECTED: list[tuple[str, LogRecord, dict[str, int], str, str]] = [
    (
        "short trace id",
        log(trace_id=b"x"),
        {},
        "invalid_trace_id",
        "log record 0: trace_id is 1 bytes, must be 16 or none",
    ),
    ("short span id", log(span_id=b"xy"), {}, "invalid_span_id", "log record 0: span_id is 2 bytes, must be 8 or none"),
    ("an old time", log(time_unix_nano=1), {}, "too_old", "log record 0: time_unix_nano 1 (1970-"),
    (
        "an old observed time",
        log(time_unix_nano=0, observed_time_unix_nano=1),
        {},
        "too_old",
        "log record 0: observed_time_unix_nano 1 (1970-",
    ),
    ("a time far ahead", log(time_unix_nano=NOW + HOUR + 1), {}, "too_new", "log record 0: time_unix_nano 179"),
    (
        "many attributes",
        log({"a": 1, "b": 1}),
        {"max_attributes": 1},
        "too_many_attributes",
        "log record 0: attributes holds 2",
    ),
    (
        "a long body",
        log(event_name="e", body=any_value("long")),
        {"max_value_bytes": 3},
        "value_too_long",
        'log record 0 "e": body is 4 bytes',
    ),
]


@pytest.mark.parametrize(
    ("record", "limits", "reason", "example"), [case[1:] for case in REJECTED], ids=[case[0] for case in REJECTED]
)
def test_a_record_is_rejected_by_name(record: LogRecord, limits: dict[str, int], reason: str, example: str) -> None:
    seen_reason, seen_example = rejected(logs(record), **limits)
    assert seen_reason == reason
    assert seen_example.startswith(example)


def test_an_old_observed_time_does_not_matter_beside_a_good_time() -> None:
    assert row(logs(log(observed_time_unix_nano=1)))["timestamp"] == NOW


def test_a_rejected_record_is_called_by_its_place_in_the_request() -> None:
    chunk = decode(logs(log(), log(trace_id=b"x")))
    assert chunk.rejections.message == "1 invalid_trace_id: log record 1: trace_id is 1 bytes, must be 16 or none"
