"""ExportLogsServiceRequest to rows of `logs`.

**LogRecord**, field by field: `time_unix_nano`, `observed_time_unix_nano`, `severity_text`, `event_name`, `flags`,
`dropped_attributes_count` → the columns of their names; `severity_number` → itself; `body` → `body` and `body_type`
(the empty letter if the message is absent, e if it is there without a value); `trace_id`, `span_id` → `…_bytes`, all
zero for none; `attributes` → `attributes_map`, `attributes_types` and the promoted columns. `timestamp` is the time, or
if that is 0 the observed time, or if that is 0 too the time when the request was received.

**Residue** of a log record, besides that of its origin:

| key | value | when |
|---|---|---|
| `severityNumber` | the number | it is not one of 0 to 24; `severity_number` is 0 then |
| `traceId`, `spanId` | thirty-two and sixteen zeros | they were sent; absent means that the id was empty |

**Rules**, in this order: the limits of resource and scope; `trace_id` empty or 16 bytes; `span_id` empty or 8 bytes;
`timestamp` within the bounds; the attributes; the body.
"""

from __future__ import annotations

from typing import ClassVar, Final

from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord
from typing_extensions import override

from app.codec.contract import Bounds
from app.codec.genai import Promotion
from app.codec.groups import Groups
from app.codec.reasons import Reason, RecordRejected, quoted
from app.codec.records import NO_SPAN_ID, NO_TRACE_ID, Origin, RecordReader, Row, residue_text
from app.model import LOGS, Chunk, Table

_SEVERITIES: Final = range(25)


def decode_logs(groups: Groups, bounds: Bounds, *, is_large: bool) -> Chunk:
    """The log records of a request; see `RecordReader.read_groups`."""
    return _LogReader(bounds).read_groups(groups, is_large=is_large)


class _LogReader(RecordReader[LogRecord]):
    table: ClassVar[Table] = LOGS
    promotion: ClassVar[Promotion] = Promotion(LOGS)

    @override
    def name(self, record: LogRecord, origin: Origin) -> str:
        event = f" {quoted(record.event_name)}" if record.event_name else ""
        return f"log record {self.records_seen}{event}"

    @override
    def row(self, record: LogRecord, origin: Origin) -> Row:
        trace_id, span_id = record.trace_id, record.span_id
        if len(trace_id) not in (0, len(NO_TRACE_ID)):
            raise RecordRejected(Reason.INVALID_TRACE_ID, f"trace_id is {len(trace_id)} bytes, must be 16 or none")
        if len(span_id) not in (0, len(NO_SPAN_ID)):
            raise RecordRejected(Reason.INVALID_SPAN_ID, f"span_id is {len(span_id)} bytes, must be 8 or none")
        time = record.time_unix_nano
        observed = record.observed_time_unix_nano
        timestamp = time or observed or self.bounds.received_unix_nano
        self.check_time(timestamp, "time_unix_nano" if time else "observed_time_unix_nano")
        attributes = self.values.attributes(record.attributes, "attributes")
        body_type, body = self.values.value(record.body, "body") if record.HasField("body") else ("", "")
        return {
            **origin.columns,
            **self.promotion.of_record(attributes, origin.promoted),
            "timestamp": timestamp,
            "time_unix_nano": time,
            "observed_time_unix_nano": observed,
            "trace_id_bytes": trace_id or NO_TRACE_ID,
            "span_id_bytes": span_id or NO_SPAN_ID,
            "flags": record.flags,
            "severity_number": record.severity_number if record.severity_number in _SEVERITIES else 0,
            "severity_text": record.severity_text,
            "body": body,
            "body_type": body_type,
            "event_name": record.event_name,
            "attributes_map": (attributes.keys, attributes.texts),
            "attributes_types": attributes.letters,
            "dropped_attributes_count": record.dropped_attributes_count,
            "residue": residue_text(origin, _residue(record)),
        }


def _residue(record: LogRecord) -> dict[str, object]:
    residue: dict[str, object] = {}
    if record.severity_number not in _SEVERITIES:
        residue["severityNumber"] = record.severity_number
    if record.trace_id == NO_TRACE_ID:
        residue["traceId"] = NO_TRACE_ID.hex()
    if record.span_id == NO_SPAN_ID:
        residue["spanId"] = NO_SPAN_ID.hex()
    return residue
