"""Bodies to rows: the bytes to the messages of opentelemetry-proto, whole or piece by piece, and those to columns.

A body without bytes is a request without records. Unknown fields are ignored, as newer senders need it.
"""

from __future__ import annotations

from app.codec.contract import Bounds
from app.codec.groups import LARGE_BODY_BYTES, REQUESTS, Groups, Request, count_records, groups_of, too_many
from app.codec.json_reader import read_request
from app.codec.json_split import LARGE_JSON_BYTES, split_json
from app.codec.logs import decode_logs
from app.codec.metrics import decode_metrics
from app.codec.split import split
from app.codec.traces import decode_traces
from app.codec.wire import parse
from app.model import Chunk, Signal


def decode_protobuf(signal: Signal, body: bytes, bounds: Bounds, *, large_bytes: int = LARGE_BODY_BYTES) -> Chunk:
    """The records of a body; one larger than `large_bytes` is read piece by piece.

    Raises:
        Undecodable: It is not OTLP, or a value is nested deeper than `limits.max_depth`.
        TooLarge: It holds more records than `limits.max_records`, or takes more than `limits.max_decoded_bytes`.
    """
    if len(body) > large_bytes:
        return decode_groups(signal, split(signal, body, bounds.limits), bounds, is_large=True)
    # The shortest record is two bytes.
    return decode_message(
        parse(REQUESTS[signal], body, bounds.limits.max_depth),
        bounds,
        may_be_too_many=len(body) // 2 > bounds.limits.max_records,
    )


def decode_json(signal: Signal, body: bytes, bounds: Bounds, *, large_bytes: int = LARGE_JSON_BYTES) -> Chunk:
    """Likewise for OTLP/JSON."""
    if len(body) > large_bytes:
        return decode_groups(signal, split_json(signal, body, bounds.limits), bounds, is_large=True)
    # The shortest record is three bytes.
    return decode_message(
        read_request(signal, body), bounds, may_be_too_many=len(body) // 3 > bounds.limits.max_records
    )


def decode_message(message: Request, bounds: Bounds, *, may_be_too_many: bool = True) -> Chunk:
    """The records of a request that is there as a whole.

    Raises:
        Undecodable: A value is nested deeper than `limits.max_depth`.
        TooLarge: It holds more than `limits.max_records`, which is only looked at if it may be so.
    """
    signal = next(signal for signal, kind in REQUESTS.items() if isinstance(message, kind))
    most = bounds.limits.max_records
    if may_be_too_many and count_records(message) > most:
        raise too_many(signal.records, most)
    return decode_groups(signal, groups_of(message), bounds, is_large=False)


def decode_groups(signal: Signal, groups: Groups, bounds: Bounds, *, is_large: bool) -> Chunk:
    """The records of a request, group by group; see `app.codec.records.RecordReader.read_groups`."""
    match signal:
        case Signal.TRACES:
            return decode_traces(groups, bounds, is_large=is_large)
        case Signal.METRICS:
            return decode_metrics(groups, bounds, is_large=is_large)
        case Signal.LOGS:
            return decode_logs(groups, bounds, is_large=is_large)
