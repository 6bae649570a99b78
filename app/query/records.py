"""Stored rows as the JSON of the REST answers: readable, typed, and named as the columns are.

Attributes are objects here, so of a doubled key only the last shows; who needs every bit asks for `format=otlp`.
Arrays and maps among the values are given as the JSON text they are stored as, without parsing it again.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import orjson

from app.model import LOGS, SPANS, Column, Table
from app.query.window import format_time

_NOT_FINITE = frozenset({"NaN", "Infinity", "-Infinity"})


def _words(column: Column) -> dict[int, str]:
    """Words of an enum column by number."""
    inner = column.type.removeprefix("Enum8(").removesuffix(")")
    return {int(number): word.strip().strip("'") for word, number in (entry.split("=") for entry in inner.split(","))}


SPAN_KINDS = _words(SPANS.column("span_kind"))
STATUS_CODES = _words(SPANS.column("status_code"))


def _promoted(table: Table) -> tuple[str, ...]:
    return tuple(column.name for column in table.columns if column.promoted)


_SPAN_PROMOTED = _promoted(SPANS)
_LOG_PROMOTED = _promoted(LOGS)


def value(letter: str, text: str) -> Any:
    """A stored value as something `orjson` writes; NaN and infinities as the strings of OTLP/JSON."""
    if letter == "s" or letter == "y":  # noqa: PLR1714 - the hot line: two comparisons beat a set
        return text
    if letter == "i":
        return int(text)
    if letter == "d":
        return text if text in _NOT_FINITE else float(text)
    if letter == "b":
        return text == "true"
    if letter == "e":
        return None
    return orjson.Fragment(text)


def attributes(stored: Any, letters: str) -> dict[str, Any]:
    """A Map as read, with its letters, as one object; all texts if letters are missing, as in rows inserted by SQL."""
    keys, values = stored
    if len(letters) != len(keys):
        return dict(zip(keys, values, strict=True))
    return {key: value(letter, text) for key, text, letter in zip(keys, values, letters, strict=True)}


def origin(text: str) -> dict[str, Any]:
    """Attributes of a resource or scope column."""
    return {key: value(letter, content) for key, letter, content in orjson.loads(text)} if text else {}


def span(row: Mapping[str, Any]) -> dict[str, Any]:
    """One span of an answer."""
    start = row["timestamp"]
    return {
        "trace_id": row["trace_id_bytes"],
        "span_id": row["span_id_bytes"],
        "parent_span_id": _id(row["parent_span_id_bytes"]),
        "service_name": row["service_name"],
        "span_name": row["span_name"],
        "span_kind": SPAN_KINDS[row["span_kind"]],
        "status_code": STATUS_CODES[row["status_code"]],
        "status_message": row["status_message"],
        "timestamp": format_time(start),
        "timestamp_unix_nano": start,
        "duration_ns": row["duration_ns"],
        **{name: row[name] for name in _SPAN_PROMOTED},
        "attributes": attributes(row["attributes_map"], row["attributes_types"]),
        "dropped_attributes_count": row["dropped_attributes_count"],
        "events": list(_events(row)),
        "dropped_events_count": row["dropped_events_count"],
        "links": list(_links(row)),
        "dropped_links_count": row["dropped_links_count"],
        "trace_state": row["trace_state"],
        "flags": row["flags"],
        **_source(row),
    }


def log(row: Mapping[str, Any]) -> dict[str, Any]:
    """One log record of an answer."""
    moment = row["timestamp"]
    return {
        "timestamp": format_time(moment),
        "timestamp_unix_nano": moment,
        "time_unix_nano": row["time_unix_nano"],
        "observed_time_unix_nano": row["observed_time_unix_nano"],
        "service_name": row["service_name"],
        "severity_number": row["severity_number"],
        "severity_text": row["severity_text"],
        "body": value(row["body_type"], row["body"]) if row["body_type"] else None,
        "event_name": row["event_name"],
        "trace_id": _id(row["trace_id_bytes"]),
        "span_id": _id(row["span_id_bytes"]),
        "flags": row["flags"],
        **{name: row[name] for name in _LOG_PROMOTED},
        "attributes": attributes(row["attributes_map"], row["attributes_types"]),
        "dropped_attributes_count": row["dropped_attributes_count"],
        **_source(row),
    }


def _id(text: str) -> str:
    return text if text.strip("0") else ""


def _source(row: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "resource": origin(row["resource"]),
        "scope": {
            "name": row["scope_name"],
            "version": row["scope_version"],
            "attributes": origin(row["scope"]),
        },
    }


def _events(row: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    for moment, name, stored, letters, dropped in zip(
        row["events.timestamp"],
        row["events.name"],
        row["events.attributes"],
        row["events.attributes_types"],
        row["events.dropped_attributes_count"],
        strict=True,
    ):
        yield {
            "timestamp": format_time(moment),
            "timestamp_unix_nano": moment,
            "name": name,
            "attributes": attributes(stored, letters),
            "dropped_attributes_count": dropped,
        }


def _links(row: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    for trace_id, span_id, trace_state, flags, stored, letters, dropped in zip(
        row["links.trace_id"],
        row["links.span_id"],
        row["links.trace_state"],
        row["links.flags"],
        row["links.attributes"],
        row["links.attributes_types"],
        row["links.dropped_attributes_count"],
        strict=True,
    ):
        yield {
            "trace_id": trace_id,
            "span_id": span_id,
            "trace_state": trace_state,
            "flags": flags,
            "attributes": attributes(stored, letters),
            "dropped_attributes_count": dropped,
        }
