"""Bodies that are small on the wire and large or slow in memory, and what one decode of each takes.

    python -m tests.integration.codec.bombs NAME

prints one line of JSON: rows, rejections by reason, the class and the text of a refusal, the peak of the process in
bytes with and without the body, and the longest time for which no other thread ran.
"""

from __future__ import annotations

import json
import resource
import sys
import threading
import time
from collections.abc import Callable
from typing import Final

from app.codec.contract import Encoding
from app.codec.reference import ReferenceDecoder
from app.errors import Rejected
from app.model import Signal
from tests.unit.codec.messages import NOW, SPAN_ID, TRACE_ID, bounds, span

MIB: Final = 1 << 20
BODY: Final = 40 * MIB
LARGEST_BODY: Final = 64 * MIB - 1024


def varint(number: int) -> bytes:
    low, rest = number & 0x7F, number >> 7
    return bytes([low | 0x80]) + varint(rest) if rest else bytes([low])


def field(number: int, payload: bytes) -> bytes:
    return varint(number << 3 | 2) + varint(len(payload)) + payload


def filled(part: bytes, body_bytes: int = BODY) -> bytes:
    return part * (body_bytes // len(part))


HEAD: Final = span().SerializeToString()
MINIMAL: Final = field(1, TRACE_ID) + field(2, SPAN_ID) + b"\x39" + NOW.to_bytes(8, "little")
GOOD: Final = span({f"http.request.{i}": "a text" if i % 2 else i for i in range(9)}).SerializeToString()
POINT: Final = b"\x19" + NOW.to_bytes(8, "little")
ONE: Final = b"\x01"
EMPTY: Final = b"\x0a\x00"
JSON_SPAN: Final = json.dumps(
    {
        "traceId": TRACE_ID.hex(),
        "spanId": SPAN_ID.hex(),
        "name": "GET /",
        "startTimeUnixNano": str(NOW),
        "attributes": [{"key": f"http.request.{i}", "value": {"stringValue": "a text"}} for i in range(9)],
    }
).encode()


def records(*parts: bytes) -> bytes:
    """A request of one resource and one scope."""
    return field(1, field(2, b"".join(parts)))


def of_span(rest: bytes) -> bytes:
    return records(field(2, HEAD + rest))


def of_value(value: bytes) -> bytes:
    return of_span(field(9, field(1, b"key") + field(2, value)))


def json_records(*parts: bytes) -> bytes:
    return b'{"resourceSpans":[{"scopeSpans":[{"spans":[%b]}]}]}' % b"".join(parts)


BOMBS: Final[dict[str, tuple[Signal, Encoding, Callable[[], bytes]]]] = {
    name: (signal, Encoding.JSON if "JSON" in name else Encoding.PROTOBUF, make)
    for name, signal, make in (
        ("empty log records", Signal.LOGS, lambda: records(filled(b"\x12\x00"))),
        ("minimal spans", Signal.TRACES, lambda: records(filled(field(2, MINIMAL)))),
        ("empty resources", Signal.TRACES, lambda: filled(EMPTY)),
        ("data points of one metric", Signal.METRICS, lambda: records(field(2, field(5, filled(EMPTY))))),
        ("unknown fields", Signal.TRACES, lambda: filled(b"\x3a\x00")),
        ("attributes of one span", Signal.TRACES, lambda: of_span(filled(b"\x4a\x00"))),
        ("events of one span", Signal.TRACES, lambda: of_span(filled(b"\x5a\x00"))),
        (
            "attributes of a resource",
            Signal.TRACES,
            lambda: field(1, field(1, filled(EMPTY)) + field(2, field(2, HEAD))),
        ),
        ("items of one array", Signal.TRACES, lambda: of_value(field(5, filled(EMPTY)))),
        (
            "entity references",
            Signal.TRACES,
            lambda: field(1, field(1, filled(b"\x1a\x00")) + field(2, field(2, HEAD))),
        ),
        ("one text", Signal.TRACES, lambda: of_value(field(1, filled(b"x")))),
        ("one name", Signal.TRACES, lambda: of_span(field(5, filled("é".encode())))),
        (
            "buckets",
            Signal.METRICS,
            lambda: records(field(2, field(10, field(1, POINT + field(8, field(2, filled(ONE))))))),
        ),
        ("attributes of many spans", Signal.TRACES, lambda: records(filled(field(2, HEAD + b"\x4a\x00" * 9_999)))),
        ("good spans", Signal.TRACES, lambda: records(filled(field(2, GOOD), LARGEST_BODY))),
        ("JSON list", Signal.TRACES, lambda: b"[" + filled(b"{},") + b"{}]"),
        ("JSON spans", Signal.TRACES, lambda: json_records(filled(b"{},"), b"{}")),
        ("JSON unknown list", Signal.TRACES, lambda: b'{"x":[' + filled(b"{},") + b"{}]}"),
        ("JSON texts", Signal.TRACES, lambda: b'{"x":[' + filled(b'"ab",') + b'""]}'),
        ("JSON attributes of one span", Signal.TRACES, lambda: json_records(JSON_SPAN[:-2], filled(b",{}"), b"]}")),
        ("JSON brackets", Signal.TRACES, lambda: b'{"x":' + filled(b"[")),
        ("JSON text", Signal.TRACES, lambda: json_records(JSON_SPAN.replace(b"a text", filled(b"x"), 1))),
        ("JSON blanks", Signal.TRACES, lambda: b"{" + filled(b" ")),
        ("JSON good spans", Signal.TRACES, lambda: json_records(filled(JSON_SPAN + b",", LARGEST_BODY), JSON_SPAN)),
    )
}


def main(name: str) -> None:
    sys.setswitchinterval(0.0005)  # as the service does
    signal, encoding, make = BOMBS[name]
    body = make()
    said: dict[str, object] = {"body": len(body), "before": _peak_bytes()}
    stop = threading.Event()
    pauses = [0.0]

    def tick() -> None:
        last = time.perf_counter()
        while not stop.wait(0.001):
            now = time.perf_counter()
            pauses.append(now - last)
            last = now

    ticking = threading.Thread(target=tick)
    ticking.start()
    started = time.perf_counter()
    try:
        chunk = ReferenceDecoder().decode(signal, encoding, body, bounds())
        said |= {"rows": chunk.rows, "rejections": dict(chunk.rejections.counts), "message": chunk.rejections.message}
    except Rejected as refused:
        said |= {"refused": type(refused).__name__, "message": str(refused)}
    said |= {"seconds": time.perf_counter() - started}
    stop.set()
    ticking.join()
    print(json.dumps(said | {"longest_pause": max(pauses), "peak": _peak_bytes()}))  # noqa: T201 - a program's output


def _peak_bytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10


if __name__ == "__main__":
    main(sys.argv[1])
