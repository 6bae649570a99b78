"""ExportTraceServiceRequest to rows of `spans`.

**Span**, field by field: `trace_id`, `span_id`, `parent_span_id` → `…_bytes`; `trace_state`, `flags`, `dropped_…_count`
→ the columns of their names; `name` → `span_name`; `kind` → `span_kind`; `start_time_unix_nano` → `timestamp`;
`end_time_unix_nano` → `duration_ns`; `attributes` → `attributes_map`, `attributes_types` and the promoted columns;
`events`, `links` → the columns `events.…`, `links.…`, field by field; `status.code`, `status.message` → `status_code`,
`status_message`.

**Residue** of a span, besides that of its origin:

| key | value | when |
|---|---|---|
| `kind` | the number | it is not one of 0 to 5; `span_kind` is UNSPECIFIED then |
| `status` | null | the message is absent |
| `status` | `{"code": number}` | the code is not one of 0 to 2; `status_code` is UNSET then |
| `endTimeUnixNano` | the number as a string | the end is before the start; `duration_ns` is 0 then |
| `parentSpanId` | sixteen zeros | they were sent; absent means that the parent was empty |

**Rules**, in this order: the limits of resource and scope; `trace_id` 16 bytes, not all zero; `span_id` 8 bytes, not
all zero; `parent_span_id` empty or 8 bytes; the start within the bounds; the attributes; the number of events, then
each one's attributes; the number of links, then each one's ids (empty, or 16 and 8 bytes) and attributes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Final

from opentelemetry.proto.trace.v1.trace_pb2 import Span
from typing_extensions import override

from app.codec.contract import Bounds
from app.codec.genai import Promotion
from app.codec.groups import Groups
from app.codec.reasons import Reason, RecordRejected, quoted
from app.codec.records import NO_SPAN_ID, NO_TRACE_ID, Origin, RecordReader, Row, check_ids, lists_of, residue_text
from app.model import SPANS, Chunk, Table

_KINDS: Final = range(6)
_STATUS_CODES: Final = range(3)

_EVENT_COLUMNS: Final = (
    "events.timestamp",
    "events.name",
    "events.attributes",
    "events.attributes_types",
    "events.dropped_attributes_count",
)
_LINK_COLUMNS: Final = (
    "links.trace_id",
    "links.span_id",
    "links.trace_state",
    "links.flags",
    "links.attributes",
    "links.attributes_types",
    "links.dropped_attributes_count",
)
# What most spans have there. The lists are shared and only ever read.
_NO_EVENTS: Final[Row] = {column: [] for column in _EVENT_COLUMNS}
_NO_LINKS: Final[Row] = {column: [] for column in _LINK_COLUMNS}


def decode_traces(groups: Groups, bounds: Bounds, *, is_large: bool) -> Chunk:
    """The spans of a request; see `RecordReader.read_groups`."""
    return _SpanReader(bounds).read_groups(groups, is_large=is_large)


class _SpanReader(RecordReader[Span]):
    table: ClassVar[Table] = SPANS
    promotion: ClassVar[Promotion] = Promotion(SPANS)

    @override
    def name(self, record: Span, origin: Origin) -> str:
        return f"span {quoted(record.name)}"

    @override
    def row(self, record: Span, origin: Origin) -> Row:
        _check_ids(record)
        start = record.start_time_unix_nano
        self.check_time(start, "start_time_unix_nano")
        end = record.end_time_unix_nano
        status, kind = record.status, record.kind
        events, links = record.events, record.links
        attributes = self.values.attributes(record.attributes, "attributes")
        return {
            **origin.columns,
            **self.promotion.of_record(attributes, origin.promoted, record.name),
            **(self._events(events) if events else _NO_EVENTS),
            **(self._links(links) if links else _NO_LINKS),
            "timestamp": start,
            "duration_ns": max(end - start, 0),
            "trace_id_bytes": record.trace_id,
            "span_id_bytes": record.span_id,
            "parent_span_id_bytes": record.parent_span_id or NO_SPAN_ID,
            "trace_state": record.trace_state,
            "flags": record.flags,
            "span_name": record.name,
            "span_kind": kind if kind in _KINDS else 0,
            "status_code": status.code if status.code in _STATUS_CODES else 0,
            "status_message": status.message,
            "attributes_map": (attributes.keys, attributes.texts),
            "attributes_types": attributes.letters,
            "dropped_attributes_count": record.dropped_attributes_count,
            "dropped_events_count": record.dropped_events_count,
            "dropped_links_count": record.dropped_links_count,
            "residue": residue_text(origin, _residue(record)),
        }

    def _events(self, events: Sequence[Span.Event]) -> Row:
        """The columns of the events, one list each."""
        limit = self.bounds.limits.max_events
        if len(events) > limit:
            raise RecordRejected(Reason.TOO_MANY_EVENTS, f"{len(events)} events, limits.max_events is {limit}")
        rows = []
        for event in events:
            attributes = self.values.attributes(event.attributes, "events.attributes")
            rows.append(
                (
                    event.time_unix_nano,
                    event.name,
                    (attributes.keys, attributes.texts),
                    attributes.letters,
                    event.dropped_attributes_count,
                )
            )
        return lists_of(_EVENT_COLUMNS, rows)

    def _links(self, links: Sequence[Span.Link]) -> Row:
        """The columns of the links, one list each."""
        limit = self.bounds.limits.max_links
        if len(links) > limit:
            raise RecordRejected(Reason.TOO_MANY_LINKS, f"{len(links)} links, limits.max_links is {limit}")
        rows = []
        for link in links:
            check_ids(link.trace_id, link.span_id, Reason.INVALID_LINK_ID, "links.")
            attributes = self.values.attributes(link.attributes, "links.attributes")
            rows.append(
                (
                    link.trace_id.hex(),
                    link.span_id.hex(),
                    link.trace_state,
                    link.flags,
                    (attributes.keys, attributes.texts),
                    attributes.letters,
                    link.dropped_attributes_count,
                )
            )
        return lists_of(_LINK_COLUMNS, rows)


def _check_ids(span: Span) -> None:
    trace_id, span_id, parent_span_id = span.trace_id, span.span_id, span.parent_span_id
    if len(trace_id) != len(NO_TRACE_ID):
        raise RecordRejected(Reason.INVALID_TRACE_ID, f"trace_id is {len(trace_id)} bytes, must be 16")
    if trace_id == NO_TRACE_ID:
        raise RecordRejected(Reason.INVALID_TRACE_ID, "trace_id is all zero, must not be")
    if len(span_id) != len(NO_SPAN_ID):
        raise RecordRejected(Reason.INVALID_SPAN_ID, f"span_id is {len(span_id)} bytes, must be 8")
    if span_id == NO_SPAN_ID:
        raise RecordRejected(Reason.INVALID_SPAN_ID, "span_id is all zero, must not be")
    if parent_span_id and len(parent_span_id) != len(NO_SPAN_ID):
        raise RecordRejected(
            Reason.INVALID_PARENT_SPAN_ID, f"parent_span_id is {len(parent_span_id)} bytes, must be 8 or none"
        )


def _residue(span: Span) -> dict[str, object]:
    residue: dict[str, object] = {}
    if not span.HasField("status"):
        residue["status"] = None
    elif span.status.code not in _STATUS_CODES:
        residue["status"] = {"code": span.status.code}
    if span.kind not in _KINDS:
        residue["kind"] = span.kind
    if span.end_time_unix_nano < span.start_time_unix_nano:
        residue["endTimeUnixNano"] = str(span.end_time_unix_nano)
    if span.parent_span_id == NO_SPAN_ID:
        residue["parentSpanId"] = NO_SPAN_ID.hex()
    return residue
