"""Stored rows back to OTLP/JSON, equal record by record to what was sent.

The inverse of `app.codec.traces`, `logs` and `metrics` over `app.codec.values`; the notation and the keys of `residue`
are described there. What is free and chosen here:

* Consecutive rows of the same resource, scope and metric share one entry; rows are never reordered.
* 64-bit integers are strings, doubles are numbers or "NaN", "Infinity", "-Infinity", ids are lowercase hex.
* Names, kinds, times, attributes and the numbers of a data point are always written; other fields that have their
  default are left out. An optional field or message is there if it was sent, and only then.

A row is a mapping from the names of `Table.decoded` to the values that `app.model.Chunk` describes, except that
FixedString is lowercase hex text, as it comes out of SQL.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

import orjson

from app.model import METRICS, SPANS, Attributes, Signal

Row = Mapping[str, Any]
"""One stored record."""

Tree = dict[str, Any]
"""A JSON object."""

_WORDS: Final = {
    Signal.TRACES: ("resourceSpans", "scopeSpans", "spans"),
    Signal.METRICS: ("resourceMetrics", "scopeMetrics", "metrics"),
    Signal.LOGS: ("resourceLogs", "scopeLogs", "logRecords"),
}
_NOTHING: Final[Row] = {}
_NESTED: Final = {
    group: [column.name for column in table.decoded if column.name.startswith(f"{group}.")]
    for table, group in ((SPANS, "events"), (SPANS, "links"), (METRICS, "exemplars"), (METRICS, "quantiles"))
}


def export(signal: Signal, rows: Iterable[Row]) -> Tree:
    """The `TracesData`, `MetricsData` or `LogsData` that says what the rows say, as OTLP/JSON.

    Raises:
        ValueError: A row holds what no decoder writes.
    """
    top, middle, bottom = _WORDS[signal]
    resources: list[Tree] = []
    resource_key: object = None
    scope_key: object = None
    metric_key: object = None
    for row in rows:
        residue: Row = orjson.loads(row["residue"]) if row["residue"] else _NOTHING
        key: object = (row["resource"], row["resource_schema_url"], residue.get("resource"))
        if key != resource_key:
            resource_key, scope_key, metric_key = key, None, None
            resources.append(_resource(row, residue) | {middle: []})
        key = (row["scope_name"], row["scope_version"], row["scope"], row["scope_schema_url"], residue.get("scope"))
        if key != scope_key:
            scope_key, metric_key = key, None
            resources[-1][middle].append(_scope(row, residue) | {bottom: []})
        records: list[Tree] = resources[-1][middle][-1][bottom]
        match signal:
            case Signal.TRACES:
                records.append(_span(row, residue))
            case Signal.LOGS:
                records.append(_log_record(row, residue))
            case Signal.METRICS:
                key = (*(row[name] for name in _METRIC_COLUMNS), residue.get("aggregationTemporality"))
                if key != metric_key:
                    metric_key = key
                    records.append(_metric(row, residue))
                kind, point = _POINTS[row["metric_type"]]
                records[-1][kind]["dataPoints"].append(_point(row) | point(row))
    return {top: resources}


def dump(tree: Tree) -> bytes:
    """The bytes of what `export` gives."""
    try:
        return orjson.dumps(tree)
    except orjson.JSONEncodeError:
        # orjson ends at 254 levels, which values of the greatest `limits.max_depth` exceed.
        return json.dumps(tree, ensure_ascii=False, separators=(",", ":")).encode()


def value_tree(letter: str, text: str) -> Tree:  # noqa: PLR0911 - one a kind
    """A value of `app.codec.values` as an OTLP/JSON AnyValue.

    Raises:
        ValueError: It is none.
    """
    match letter:
        case "s":
            return {"stringValue": text}
        case "i":
            return {"intValue": text}
        case "d":
            return {"doubleValue": _double(float(text))}
        case "b":
            return {"boolValue": text == "true"}
        case "y":
            return {"bytesValue": text}
        case "e":
            return {}
        case "a" | "m":
            return _any_value(orjson.loads(text))
        case "A" | "M":
            tree: Tree = orjson.loads(text)
            return tree
    raise ValueError(f"{letter!r} is no letter of a value")


def _any_value(plain: Any) -> Tree:
    """Plain JSON as an AnyValue; its depth is that of a value which a decoder took."""
    match plain:
        case str():
            return {"stringValue": plain}
        case bool():
            return {"boolValue": plain}
        case int():
            return {"intValue": str(plain)}
        case float():
            return {"doubleValue": plain}
        case list():
            return {"arrayValue": {"values": [_any_value(item) for item in plain]}}
        case dict():
            members = [{"key": key, "value": _any_value(item)} for key, item in plain.items()]
            return {"kvlistValue": {"values": members}}
    raise ValueError(f"{plain!r} is no value of an attribute")


def _double(number: float) -> float | str:
    if math.isfinite(number):
        return number
    return "NaN" if math.isnan(number) else "Infinity" if number > 0 else "-Infinity"


def _key_values(attributes: Attributes, letters: str) -> list[Tree]:
    """One attribute list; all strings if there are no letters for it, as in rows that were inserted by hand."""
    keys, texts = attributes
    if len(letters) != len(keys):
        letters = "s" * len(keys)
    return [
        {"key": key, "value": value_tree(letter, text)} for key, letter, text in zip(keys, letters, texts, strict=True)
    ]


def _entries(text: str) -> list[Tree]:
    """The attributes that `resource`, `scope` and `metric_metadata` hold."""
    return [{"key": key, "value": value_tree(letter, value)} for key, letter, value in orjson.loads(text)]


def _unless_default(**fields: Any) -> Tree:
    return {name: value for name, value in fields.items() if value}


def _resource(row: Row, residue: Row) -> Tree:
    schema = _unless_default(schemaUrl=row["resource_schema_url"])
    if not row["resource"]:
        return schema
    return {"resource": {"attributes": _entries(row["resource"]), **residue.get("resource", _NOTHING)}} | schema


def _scope(row: Row, residue: Row) -> Tree:
    schema = _unless_default(schemaUrl=row["scope_schema_url"])
    if not row["scope"]:
        return schema
    scope = {
        "name": row["scope_name"],
        **_unless_default(version=row["scope_version"]),
        "attributes": _entries(row["scope"]),
        **residue.get("scope", _NOTHING),
    }
    return {"scope": scope} | schema


def _span(row: Row, residue: Row) -> Tree:
    parent = row["parent_span_id_bytes"]
    end = str(row["timestamp"] + row["duration_ns"])
    span = {
        "traceId": row["trace_id_bytes"],
        "spanId": row["span_id_bytes"],
        **_unless_default(
            traceState=row["trace_state"],
            parentSpanId=residue.get("parentSpanId", parent if parent.strip("0") else ""),
            flags=row["flags"],
        ),
        "name": row["span_name"],
        "kind": residue.get("kind", row["span_kind"]),
        "startTimeUnixNano": str(row["timestamp"]),
        "endTimeUnixNano": residue.get("endTimeUnixNano", end),
        "attributes": _key_values(row["attributes_map"], row["attributes_types"]),
        **_unless_default(
            droppedAttributesCount=row["dropped_attributes_count"],
            events=[_event(event) for event in _members(row, "events")],
            droppedEventsCount=row["dropped_events_count"],
            links=[_link(link) for link in _members(row, "links")],
            droppedLinksCount=row["dropped_links_count"],
        ),
    }
    status = residue.get("status", _NOTHING)
    if status is not None:
        code = status.get("code", row["status_code"])
        span["status"] = _unless_default(message=row["status_message"], code=code)
    return span


def _members(row: Row, group: str) -> list[Row]:
    """What a Nested group of columns holds, as rows of their own."""
    columns = _NESTED[group]
    if not row[columns[0]]:
        return []
    names = [column.partition(".")[2] for column in columns]
    return [dict(zip(names, values, strict=True)) for values in zip(*(row[column] for column in columns), strict=True)]


def _event(event: Row) -> Tree:
    return {
        "timeUnixNano": str(event["timestamp"]),
        "name": event["name"],
        "attributes": _key_values(event["attributes"], event["attributes_types"]),
        **_unless_default(droppedAttributesCount=event["dropped_attributes_count"]),
    }


def _link(link: Row) -> Tree:
    return {
        **_unless_default(traceId=link["trace_id"], spanId=link["span_id"], traceState=link["trace_state"]),
        "attributes": _key_values(link["attributes"], link["attributes_types"]),
        **_unless_default(droppedAttributesCount=link["dropped_attributes_count"], flags=link["flags"]),
    }


def _log_record(row: Row, residue: Row) -> Tree:
    trace_id, span_id = row["trace_id_bytes"], row["span_id_bytes"]
    return {
        "timeUnixNano": str(row["time_unix_nano"]),
        "observedTimeUnixNano": str(row["observed_time_unix_nano"]),
        **_unless_default(
            severityNumber=residue.get("severityNumber", row["severity_number"]), severityText=row["severity_text"]
        ),
        **({"body": value_tree(row["body_type"], row["body"])} if row["body_type"] else _NOTHING),
        "attributes": _key_values(row["attributes_map"], row["attributes_types"]),
        **_unless_default(
            droppedAttributesCount=row["dropped_attributes_count"],
            flags=row["flags"],
            traceId=residue.get("traceId", trace_id if trace_id.strip("0") else ""),
            spanId=residue.get("spanId", span_id if span_id.strip("0") else ""),
            eventName=row["event_name"],
        ),
    }


_METRIC_COLUMNS: Final = (
    "metric_name",
    "metric_description",
    "metric_unit",
    "metric_metadata",
    "metric_type",
    "aggregation_temporality",
    "is_monotonic",
)


def _metric(row: Row, residue: Row) -> Tree:
    """A metric without its points."""
    kind, _ = _POINTS[row["metric_type"]]
    collection: Tree = {"dataPoints": []}
    if kind in _WITH_TEMPORALITY:
        collection["aggregationTemporality"] = residue.get("aggregationTemporality", row["aggregation_temporality"])
    if kind == "sum":
        collection["isMonotonic"] = bool(row["is_monotonic"])
    return {
        "name": row["metric_name"],
        **_unless_default(description=row["metric_description"], unit=row["metric_unit"]),
        kind: collection,
        **({"metadata": _entries(row["metric_metadata"])} if row["metric_metadata"] else _NOTHING),
    }


def _point(row: Row) -> Tree:
    """What all kinds of points have."""
    return {
        "attributes": _key_values(row["attributes_map"], row["attributes_types"]),
        "startTimeUnixNano": str(row["start_time_unix_nano"]),
        "timeUnixNano": str(row["timestamp"]),
        **_unless_default(
            flags=row["flags"], exemplars=[_exemplar(exemplar) for exemplar in _members(row, "exemplars")]
        ),
    }


def _number(holder: Row) -> Tree:
    """The value of a point or an exemplar."""
    match holder["value_type"]:
        case 1:
            return {"asDouble": _double(holder["value"])}
        case 2:
            return {"asInt": str(holder["value_int"])}
    return {}


def _optional(row: Row) -> Tree:
    """The fields of a histogram that are there only if they were sent."""
    bits = ((1, "sum"), (2, "min"), (4, "max"))
    return {name: _double(row[name]) for bit, name in bits if row["presence"] & bit}


def _histogram_point(row: Row) -> Tree:
    return {
        "count": str(row["count"]),
        **_optional(row),
        "bucketCounts": [str(count) for count in row["bucket_counts"]],
        "explicitBounds": [_double(bound) for bound in row["explicit_bounds"]],
    }


def _exponential_point(row: Row) -> Tree:
    return {
        "count": str(row["count"]),
        **_optional(row),
        "scale": row["scale"],
        "zeroCount": str(row["zero_count"]),
        "zeroThreshold": _double(row["zero_threshold"]),
        **{
            side: {
                "offset": row[f"{side}_offset"],
                "bucketCounts": [str(count) for count in row[f"{side}_bucket_counts"]],
            }
            for bit, side in ((8, "positive"), (16, "negative"))
            if row["presence"] & bit
        },
    }


def _summary_point(row: Row) -> Tree:
    return {
        "count": str(row["count"]),
        "sum": _double(row["sum"]),
        "quantileValues": [
            {"quantile": _double(member["quantile"]), "value": _double(member["value"])}
            for member in _members(row, "quantiles")
        ],
    }


def _exemplar(exemplar: Row) -> Tree:
    return {
        "filteredAttributes": _key_values(exemplar["attributes"], exemplar["attributes_types"]),
        "timeUnixNano": str(exemplar["time_unix_nano"]),
        **_number(exemplar),
        **_unless_default(spanId=exemplar["span_id"], traceId=exemplar["trace_id"]),
    }


_POINTS: Final[dict[int, tuple[str, Callable[[Row], Tree]]]] = {
    1: ("sum", _number),
    2: ("gauge", _number),
    3: ("histogram", _histogram_point),
    4: ("summary", _summary_point),
    5: ("exponentialHistogram", _exponential_point),
    6: ("sum", _number),
}
"""By number of `metric_type`: the member of a Metric, and what its points have of their own."""

_WITH_TEMPORALITY: Final = frozenset({"sum", "histogram", "exponentialHistogram"})
