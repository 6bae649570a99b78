"""Every table of ours: names, columns, ClickHouse types, sort key. migrations/ says the same in SQL; a test compares.

What runs through all of them:

* The tenant is the first column and the first word of every key.
* `batch` and `row` give each row an address: the batch it was inserted with and its place in it, as received.
* Ids are raw bytes; their hexadecimal names are ALIAS columns.
* Attributes are a Map in the order received plus one letter a key in `…_types`: s string, i integer, d double,
  b boolean, y bytes (base64), e empty, a array and m map as plain JSON, A and M the same as OTLP/JSON AnyValue
  text where plain JSON would lose something (bytes, empty values, NaN and infinities, doubled keys).
* `resource` and `scope` are JSON arrays of [key, letter, value text]; the empty string means the message was absent.
* `residue` holds, as a JSON object, what OTLP said and no other column can say: unknown enum numbers, absent messages,
  an end before its start, entity references. It is the empty string for nearly every row.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from app.model.signals import Signal

_LC = "LowCardinality(String)"
_MAP = "Map(LowCardinality(String), String)"
_TIME = "DateTime64(9, 'UTC')"
_HIDDEN = frozenset({"tenant", "batch", "row", "ingested_at"})


class Retention(StrEnum):
    """Which key of `[storage]` says how long a table is kept."""

    SPANS = "spans_retention_days"
    METRICS = "metrics_retention_days"
    LOGS = "logs_retention_days"


@dataclass(frozen=True, slots=True)
class Column:
    """One column.

    Attributes:
        name: As in ClickHouse; a dot marks a member of a Nested group.
        type: As `system.columns` prints it.
        meaning: One sentence, with the unit.
        alias: Expression of an ALIAS column; empty if it is stored.
        promoted: Filled from attributes by the GenAI mapping (`app.codec.genai`).
    """

    name: str
    type: str
    meaning: str
    alias: str = ""
    promoted: bool = False


@dataclass(frozen=True, slots=True)
class Table:
    """One table.

    Attributes:
        name: What statements call it.
        columns: In the order of the migration.
        key: Sort key.
        partition: Partition expression.
        clock: Column that the retention counts from.
        retention: Which setting it follows.
        signal: The signal that is inserted into it; None for what materialized views fill.
        stored: Columns that an insert carries.
        decoded: Columns that a decoder fills: the stored ones without tenant, address and received time.
    """

    name: str
    columns: tuple[Column, ...]
    key: tuple[str, ...]
    partition: str
    clock: str
    retention: Retention
    signal: Signal | None = None
    # Asked for by every request, so they are picked once.
    stored: tuple[Column, ...] = field(init=False, repr=False, compare=False)
    decoded: tuple[Column, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        stored = tuple(column for column in self.columns if not column.alias)
        object.__setattr__(self, "stored", stored)
        object.__setattr__(self, "decoded", tuple(column for column in stored if column.name not in _HIDDEN))

    def column(self, name: str) -> Column:
        """The column of that name."""
        return next(column for column in self.columns if column.name == name)

    def ttl(self, days: int) -> str:
        """The TTL expression for a retention, as ClickHouse prints it.

        It counts in 64 bits: a DateTime plus a long retention passes 2106, wraps, and servers before the cure
        (ClickHouse/ClickHouse#102020) then delete the whole table.
        """
        clock = self.clock if self.column(self.clock).type == _TIME else f"toDateTime64({self.clock}, 0, 'UTC')"
        return f"{clock} + toIntervalDay({days})"


def _hex_or_empty(column: str) -> str:
    """An id as text, none if all its bytes are zero.

    There is no constant to fold in it: the expression in a query must look like the one in the index to use it.
    """
    return f"if(empty({column}), '', lower(hex({column})))"


def _typed_json(values: str, types: str) -> str:
    """One JSON object out of a Map and its letters; NaN and infinities as the strings that OTLP/JSON uses."""
    return (
        "concat('{', arrayStringConcat(arrayMap((k, v, t) -> concat(toJSONString(toString(k)), ':', "
        "multiIf(t IN ('i', 'b', 'a', 'm', 'A', 'M'), v, t = 'e', 'null', "
        "(t = 'd') AND (v NOT IN ('NaN', 'Infinity', '-Infinity')), v, toJSONString(v))), "
        f"mapKeys({values}), mapValues({values}), splitByString('', toString({types}))), ','), '}}')"
    )


def _map_of(column: str) -> str:
    """The Map of a resource or scope column."""
    entries = f"JSONExtract(toString({column}), 'Array(Tuple(String, String, String))')"
    return f"CAST((arrayMap(e -> e.1, {entries}), arrayMap(e -> e.3, {entries})), '{_MAP}')"


_TENANT = Column("tenant", _LC, "Whose row it is.")
_SERVICE = Column("service_name", _LC, "Attribute `service.name` of the resource if it is a string, else empty.")

_ORIGIN = (
    Column("resource", _LC, "Resource attributes as a JSON array of [key, letter, value]; empty: no resource sent."),
    Column("resource_schema_url", _LC, "Schema URL of the resource."),
    Column("resource_attributes", _MAP, "The resource's attributes.", alias=_map_of("resource")),
    Column("scope_name", _LC, "Name of the instrumentation scope."),
    Column("scope_version", _LC, "Its version."),
    Column("scope", _LC, "Its attributes as a JSON array of [key, letter, value]; empty: no scope sent."),
    Column("scope_schema_url", _LC, "Schema URL of the scope."),
    Column("scope_attributes", _MAP, "The scope's attributes.", alias=_map_of("scope")),
    Column("residue", _LC, "What no other column can say, as a JSON object; nearly always empty."),
)

_ATTRIBUTES = (
    Column("attributes_map", _MAP, "The record's attributes as texts, in the order received."),
    Column("attributes_types", _LC, "One letter a key of `attributes_map`, in its order."),
    Column(
        "attributes",
        "String",
        "The attributes as one JSON object with their types.",
        alias=_typed_json("attributes_map", "attributes_types"),
    ),
    Column("dropped_attributes_count", "UInt32", "Attributes that the sender left out."),
)

_ADDRESS = (
    Column("batch", "UUID", "Id of the batch that the row was inserted with (UUIDv7)."),
    Column("row", "UInt32", "Its place in the batch, as received, from 0."),
    Column("ingested_at", "DateTime('UTC')", "When the request was received."),
)

_IDENTITY = (
    Column("invocation_id", "String", "Invocation of an agent.", promoted=True),
    Column("session_id", "String", "Conversation or session.", promoted=True),
    Column("user_id", "String", "End user.", promoted=True),
    Column("agent_name", _LC, "Agent.", promoted=True),
)

_GENAI = (
    Column("llm_model", _LC, "Model that answered, else the one asked for.", promoted=True),
    Column("llm_system", _LC, "Provider of the model.", promoted=True),
    Column("tool_name", _LC, "Tool.", promoted=True),
    Column("tool_call_id", "String", "Id of the tool call.", promoted=True),
)

SPANS = Table(
    name="spans",
    signal=Signal.TRACES,
    key=("tenant", "service_name", "timestamp"),
    partition="toDate(timestamp)",
    clock="timestamp",
    retention=Retention.SPANS,
    columns=(
        _TENANT,
        _SERVICE,
        Column("timestamp", _TIME, "Start of the span."),
        Column("duration_ns", "UInt64", "End minus start in nanoseconds; 0 if the end is before the start."),
        Column("trace_id_bytes", "FixedString(16)", "Trace id."),
        Column("span_id_bytes", "FixedString(8)", "Span id."),
        Column("parent_span_id_bytes", "FixedString(8)", "Parent span id; all zero for a root span."),
        Column("trace_id", "String", "Trace id as lowercase hex.", alias="lower(hex(trace_id_bytes))"),
        Column("span_id", "String", "Span id as lowercase hex.", alias="lower(hex(span_id_bytes))"),
        Column(
            "parent_span_id",
            "String",
            "Parent span id as lowercase hex; empty for a root span.",
            alias=_hex_or_empty("parent_span_id_bytes"),
        ),
        Column("trace_state", _LC, "W3C trace state."),
        Column("flags", "UInt32", "Flags as sent; bits 8 and 9 say whether the parent is remote."),
        Column("span_name", _LC, "Name of the operation."),
        Column(
            "span_kind",
            "Enum8('UNSPECIFIED' = 0, 'INTERNAL' = 1, 'SERVER' = 2, 'CLIENT' = 3, 'PRODUCER' = 4, 'CONSUMER' = 5)",
            "Kind; unknown numbers are UNSPECIFIED here and exact in `residue`.",
        ),
        Column("status_code", "Enum8('UNSET' = 0, 'OK' = 1, 'ERROR' = 2)", "Status; unknown numbers likewise."),
        Column("status_message", "String", "Description of an error."),
        *_IDENTITY,
        Column("agent_type", _LC, "Kind of step: llm, agent, tool, workflow, embedding, retriever, …", promoted=True),
        Column("operation_name", _LC, "`gen_ai.operation.name`, or what an older dialect says for it.", promoted=True),
        *_GENAI,
        Column("llm_input_tokens", "UInt64", "Tokens in, cached ones among them.", promoted=True),
        Column("llm_output_tokens", "UInt64", "Tokens out, reasoning ones among them.", promoted=True),
        Column("llm_cached_tokens", "UInt64", "Part of the tokens in that came from a cache.", promoted=True),
        Column("llm_reasoning_tokens", "UInt64", "Part of the tokens out that was reasoning.", promoted=True),
        Column("resource_cpu_micros", "UInt64", "CPU time in microseconds, if the sender says.", promoted=True),
        Column("resource_memory_bytes", "UInt64", "Bytes allocated, if the sender says.", promoted=True),
        Column("resource_memory_peak", "UInt64", "Peak memory in bytes, if the sender says.", promoted=True),
        *_ATTRIBUTES,
        Column("events.timestamp", f"Array({_TIME})", "Times of the events."),
        Column("events.name", f"Array({_LC})", "Names."),
        Column("events.attributes", f"Array({_MAP})", "Attributes."),
        Column("events.attributes_types", f"Array({_LC})", "Letters of the attributes."),
        Column("events.dropped_attributes_count", "Array(UInt32)", "Attributes that the sender left out."),
        Column("dropped_events_count", "UInt32", "Events that the sender left out."),
        Column("links.trace_id", "Array(String)", "Trace ids of the links, lowercase hex as sent, empty if empty."),
        Column("links.span_id", "Array(String)", "Span ids likewise."),
        Column("links.trace_state", "Array(String)", "W3C trace states."),
        Column("links.flags", "Array(UInt32)", "Flags as sent."),
        Column("links.attributes", f"Array({_MAP})", "Attributes."),
        Column("links.attributes_types", f"Array({_LC})", "Letters of the attributes."),
        Column("links.dropped_attributes_count", "Array(UInt32)", "Attributes that the sender left out."),
        Column("dropped_links_count", "UInt32", "Links that the sender left out."),
        *_ORIGIN,
        *_ADDRESS,
    ),
)

LOGS = Table(
    name="logs",
    signal=Signal.LOGS,
    key=("tenant", "service_name", "timestamp"),
    partition="toDate(timestamp)",
    clock="timestamp",
    retention=Retention.LOGS,
    columns=(
        _TENANT,
        _SERVICE,
        Column("timestamp", _TIME, "Time of the record, else when it was observed, else when it was received."),
        Column("time_unix_nano", "UInt64", "Time as sent; 0 if the sender did not know it."),
        Column("observed_time_unix_nano", "UInt64", "Observed time as sent."),
        Column("trace_id_bytes", "FixedString(16)", "Trace id; all zero for none."),
        Column("span_id_bytes", "FixedString(8)", "Span id; all zero for none."),
        Column("trace_id", "String", "Trace id as lowercase hex; empty for none.", _hex_or_empty("trace_id_bytes")),
        Column("span_id", "String", "Span id as lowercase hex; empty for none.", _hex_or_empty("span_id_bytes")),
        Column("flags", "UInt32", "Flags as sent; bits 0 to 7 are the trace flags."),
        Column("severity_number", "UInt8", "Severity, 0 to 24; other numbers are 0 here and exact in `residue`."),
        Column("severity_text", _LC, "Severity as the source calls it."),
        Column("body", "String", "Body, in the notation of attribute values."),
        Column("body_type", _LC, "Letter of the body; empty if none was sent."),
        Column("event_name", _LC, "Name of the event, if the record is one."),
        *_IDENTITY,
        *_GENAI,
        *_ATTRIBUTES,
        *_ORIGIN,
        *_ADDRESS,
    ),
)

METRICS = Table(
    name="metrics",
    signal=Signal.METRICS,
    key=("tenant", "metric_name", "service_name", "series_id", "timestamp"),
    partition="toDate(timestamp)",
    clock="timestamp",
    retention=Retention.METRICS,
    columns=(
        _TENANT,
        Column("metric_name", _LC, "Name."),
        _SERVICE,
        Column("series_id", "UInt64", "XXH64 of resource, scope and sorted attributes (`app.codec.series`)."),
        Column("timestamp", _TIME, "Time of the data point."),
        Column("start_time_unix_nano", "UInt64", "Start of its interval as sent; 0 if unknown."),
        Column(
            "metric_type",
            "Enum8('COUNTER' = 1, 'GAUGE' = 2, 'HISTOGRAM' = 3, 'SUMMARY' = 4, 'EXPONENTIAL_HISTOGRAM' = 5, "
            "'UP_DOWN_COUNTER' = 6)",
            "A sum is COUNTER if it is monotonic, else UP_DOWN_COUNTER.",
        ),
        Column("metric_description", _LC, "Description."),
        Column("metric_unit", _LC, "Unit (UCUM)."),
        Column("metric_metadata", _LC, "Metadata of the metric as a JSON array of [key, letter, value]; empty: none."),
        Column(
            "aggregation_temporality",
            "Enum8('UNSPECIFIED' = 0, 'DELTA' = 1, 'CUMULATIVE' = 2)",
            "Of sums and histograms; unknown numbers are UNSPECIFIED here and exact in `residue`.",
        ),
        Column("is_monotonic", "Bool", "Of sums."),
        Column("flags", "UInt32", "Flags as sent; bit 0: no value was recorded."),
        Column("value", "Float64", "Value of a gauge or sum; an integer is rounded here."),
        Column("value_int", "Int64", "The exact value if `value_type` is INT, else 0."),
        Column("value_type", "Enum8('NONE' = 0, 'DOUBLE' = 1, 'INT' = 2)", "How the value was sent."),
        Column("count", "UInt64", "Count of a histogram or summary."),
        Column("sum", "Float64", "Sum of a histogram or summary."),
        Column("min", "Float64", "Smallest value of a histogram."),
        Column("max", "Float64", "Largest value of a histogram."),
        Column("presence", "UInt8", "Which optional fields were sent: 1 sum, 2 min, 4 max, 8 positive, 16 negative."),
        Column("bucket_counts", "Array(UInt64)", "Counts of the explicit buckets."),
        Column("explicit_bounds", "Array(Float64)", "Upper bounds of all buckets but the last."),
        Column(
            "buckets.upper_bound",
            "Array(Float64)",
            "Upper bounds of all buckets, the last infinite.",
            alias="if(empty(bucket_counts), [], arrayPushBack(explicit_bounds, inf))",
        ),
        Column("buckets.count", "Array(UInt64)", "Counts of all buckets.", alias="bucket_counts"),
        Column("scale", "Int32", "Scale of an exponential histogram."),
        Column("zero_count", "UInt64", "Its count of zeros."),
        Column("zero_threshold", "Float64", "Width of its zero bucket."),
        Column("positive_offset", "Int32", "Offset of its positive buckets."),
        Column("positive_bucket_counts", "Array(UInt64)", "Counts of its positive buckets."),
        Column("negative_offset", "Int32", "Offset of its negative buckets."),
        Column("negative_bucket_counts", "Array(UInt64)", "Counts of its negative buckets."),
        Column("quantiles.quantile", "Array(Float64)", "Quantiles of a summary, 0 to 1."),
        Column("quantiles.value", "Array(Float64)", "Their values."),
        Column("exemplars.time_unix_nano", "Array(UInt64)", "Times of the exemplars."),
        Column("exemplars.value", "Array(Float64)", "Values; an integer is rounded here."),
        Column("exemplars.value_int", "Array(Int64)", "Exact values where the type is INT."),
        Column("exemplars.value_type", "Array(Enum8('NONE' = 0, 'DOUBLE' = 1, 'INT' = 2))", "How they were sent."),
        Column("exemplars.trace_id", "Array(String)", "Trace ids, lowercase hex as sent, empty if empty."),
        Column("exemplars.span_id", "Array(String)", "Span ids likewise."),
        Column("exemplars.attributes", f"Array({_MAP})", "Filtered attributes."),
        Column("exemplars.attributes_types", f"Array({_LC})", "Letters of the attributes."),
        Column("user_id", "String", "End user.", promoted=True),
        Column("session_id", "String", "Conversation or session.", promoted=True),
        Column("agent_name", _LC, "Agent.", promoted=True),
        Column("attributes_map", _MAP, "The point's attributes as texts, in the order received."),
        Column("attributes_types", _LC, "One letter a key of `attributes_map`, in its order."),
        Column(
            "attributes",
            "String",
            "The attributes as one JSON object with their types.",
            alias=_typed_json("attributes_map", "attributes_types"),
        ),
        Column("labels", _MAP, "The point's attributes.", alias="attributes_map"),
        *_ORIGIN,
        *_ADDRESS,
    ),
)

COMPANION = Table(
    name="otel_traces_trace_id_ts",
    key=("tenant", "TraceId"),
    partition="toDate(Start)",
    clock="Start",
    retention=Retention.SPANS,
    columns=(
        _TENANT,
        Column("TraceId", "String", "Trace id as lowercase hex."),
        Column("Start", "SimpleAggregateFunction(min, DateTime('UTC'))", "Second of the earliest span start."),
        Column("End", "SimpleAggregateFunction(max, DateTime('UTC'))", "Second of the latest span start."),
    ),
)


def _summary(name: str, dimensions: tuple[Column, ...], states: tuple[Column, ...]) -> Table:
    return Table(
        name=f"{name}_states",
        key=("tenant", "hour", "service_name", *(column.name for column in dimensions)),
        partition="toDate(hour)",
        clock="hour",
        retention=Retention.SPANS,
        columns=(
            _TENANT,
            Column("hour", "DateTime('UTC')", "Start of the hour."),
            _SERVICE,
            *dimensions,
            *states,
        ),
    )


_COUNT = "AggregateFunction(count)"
_SUM = "AggregateFunction(sum, UInt64)"
_QUANTILES = "AggregateFunction(quantilesTDigest(0.5, 0.95, 0.99), UInt64)"

SUMMARIES = (
    _summary(
        "agent_execution_summary",
        (Column("agent_name", _LC, "Agent."),),
        (
            Column("execution_count", _COUNT, "Agent runs."),
            Column("duration_sum", _SUM, "Their nanoseconds."),
            Column("duration_quantiles", _QUANTILES, "Quantiles of their nanoseconds."),
            Column("error_count", _COUNT, "Runs that failed."),
            Column("input_tokens", _SUM, "Tokens in, as the agent spans themselves report them."),
            Column("output_tokens", _SUM, "Tokens out, likewise."),
        ),
    ),
    _summary(
        "llm_call_summary",
        (Column("llm_system", _LC, "Provider."), Column("llm_model", _LC, "Model.")),
        (
            Column("call_count", _COUNT, "Model calls."),
            Column("duration_sum", _SUM, "Their nanoseconds."),
            Column("duration_quantiles", _QUANTILES, "Quantiles of their nanoseconds."),
            Column("error_count", _COUNT, "Calls that failed."),
            Column("input_tokens", _SUM, "Tokens in, cached ones among them."),
            Column("output_tokens", _SUM, "Tokens out, reasoning ones among them."),
            Column("cached_tokens", _SUM, "Part of the tokens in."),
            Column("reasoning_tokens", _SUM, "Part of the tokens out."),
            Column("cpu_micros", _SUM, "CPU time in microseconds."),
            Column("memory_bytes", _SUM, "Bytes allocated."),
        ),
    ),
    _summary(
        "tool_execution_summary",
        (Column("tool_name", _LC, "Tool."),),
        (
            Column("execution_count", _COUNT, "Tool runs."),
            Column("duration_sum", _SUM, "Their nanoseconds."),
            Column("duration_quantiles", _QUANTILES, "Quantiles of their nanoseconds."),
            Column("error_count", _COUNT, "Runs that failed."),
        ),
    ),
)

TABLES = (SPANS, LOGS, METRICS, COMPANION, *SUMMARIES)

_BY_SIGNAL = {table.signal: table for table in TABLES if table.signal is not None}


def table_of(signal: Signal) -> Table:
    """The table that a signal's records are stored in."""
    return _BY_SIGNAL[signal]
