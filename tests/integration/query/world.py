"""A small world of telemetry: a shop with an agent, quiet traffic, strange names, and a neighbour."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue

MAX_ROWS = 50
SECOND = 1_000_000_000
T0 = 1_700_000_000 * SECOND  # 2023-11-14T22:13:20Z
WINDOW = {"start": str(T0), "end": str(T0 + 3600 * SECOND)}
QUIET = 40

EVIL = [
    "' OR 1=1 --",
    "'; DROP TABLE spans; --",
    '" OR ""="',
    "\\'; SELECT 1; --",
    "\\",
    "\\\\",
    "\\n",
    "\\N",
    "\x00",
    "a\x00b",
    "tab\there",
    "line\nbreak",
    "carriage\rreturn",
    "{tenant:String}",
    "{x:String}",
    "{}",
    "{{",
    "}}",
    "$conditions",
    "${tenant}",
    "%s %(tenant)s %27",
    "`spans`",
    "/* comment */",
    "-- comment",
    "#",
    "a&tenant=other",
    "a=b;c",
    "+ plus",
    "é中😀",
    "\ufeffbom",
    "x' UNION ALL SELECT * FROM system.users --",
    "throwIf(1)",
    "<script>alert(1)</script>",
    "../../etc/passwd",
    " leading and trailing ",
]


def value(content: Any) -> AnyValue:
    """A Python value as OTLP has it."""
    match content:
        case bool():
            return AnyValue(bool_value=content)
        case int():
            return AnyValue(int_value=content)
        case float():
            return AnyValue(double_value=content)
        case bytes():
            return AnyValue(bytes_value=content)
        case list():
            made = AnyValue()
            made.array_value.values.extend(value(item) for item in content)
            return made
        case None:
            return AnyValue()
        case _:
            return AnyValue(string_value=content)


def pairs(attributes: Mapping[str, Any]) -> list[KeyValue]:
    """Attributes as OTLP has them."""
    return [KeyValue(key=key, value=value(content)) for key, content in attributes.items()]


class Spans:
    """Builds a request of spans."""

    def __init__(self) -> None:
        self.request = ExportTraceServiceRequest()
        self._scopes: dict[str, Any] = {}

    def add(
        self,
        service: str,
        name: str,
        trace: int,
        span: int,
        *,
        parent: int = 0,
        at: float = 0,
        seconds: float = 0.001,
        kind: int = 1,
        status: int = 0,
        message: str = "",
        **attributes: Any,
    ) -> Any:
        """Add one; `at` is in seconds after T0, a double underscore in a name of `attributes` is a dot."""
        if service not in self._scopes:
            group = self.request.resource_spans.add()
            group.resource.attributes.extend(pairs({"service.name": service, "host.name": f"host of {service}"}))
            self._scopes[service] = group.scope_spans.add()
            self._scopes[service].scope.name = "tests"
        start = T0 + round(at * SECOND)
        made = self._scopes[service].spans.add(
            trace_id=trace.to_bytes(16, "big"),
            span_id=span.to_bytes(8, "big"),
            parent_span_id=parent.to_bytes(8, "big") if parent else b"",
            name=name,
            kind=kind,
            start_time_unix_nano=start,
            end_time_unix_nano=start + round(seconds * SECOND),
            attributes=pairs({key.replace("__", "."): content for key, content in attributes.items()}),
        )
        made.status.code = status
        made.status.message = message
        return made


class Logs:
    """Builds a request of log records."""

    def __init__(self) -> None:
        self.request = ExportLogsServiceRequest()
        self._scopes: dict[str, Any] = {}

    def add(
        self,
        service: str,
        body: Any,
        *,
        at: float = 0,
        severity: int = 9,
        text: str = "",
        trace: int = 0,
        span: int = 0,
        **attributes: Any,
    ) -> Any:
        """Add one, as `Spans.add`."""
        if service not in self._scopes:
            group = self.request.resource_logs.add()
            group.resource.attributes.extend(pairs({"service.name": service}))
            self._scopes[service] = group.scope_logs.add()
        return self._scopes[service].log_records.add(
            time_unix_nano=T0 + round(at * SECOND),
            severity_number=severity,
            severity_text=text,
            body=value(body),
            trace_id=trace.to_bytes(16, "big") if trace else b"",
            span_id=span.to_bytes(8, "big") if span else b"",
            attributes=pairs({key.replace("__", "."): content for key, content in attributes.items()}),
        )


BUY, ORPHAN, EXACT = 0xA1, 0xA2, 0xA3
SESSION = "sess/1 äö"


def spans() -> ExportTraceServiceRequest:
    """The spans of the world."""
    made = Spans()
    made.add(
        "shop", "POST /buy", BUY, 1, at=100, seconds=2, kind=2, status=1, http__status_code=200, ratio=1.5, vip=True
    )
    made.add(
        "shop",
        "invoke_agent planner",
        BUY,
        2,
        parent=1,
        at=100.1,
        seconds=1.5,
        gen_ai__operation__name="invoke_agent",
        gen_ai__agent__name="planner",
        gen_ai__conversation__id=SESSION,
        user__id="u1",
        gen_ai__usage__input_tokens=130,
        gen_ai__usage__output_tokens=27,
    )
    made.add(
        "shop",
        "chat m1",
        BUY,
        3,
        parent=2,
        at=100.2,
        seconds=0.5,
        kind=3,
        gen_ai__operation__name="chat",
        gen_ai__provider__name="acme",
        gen_ai__request__model="m1",
        gen_ai__usage__input_tokens=100,
        gen_ai__usage__output_tokens=20,
    )
    made.add(
        "shop",
        "chat m2",
        BUY,
        4,
        parent=2,
        at=100.8,
        seconds=0.4,
        kind=3,
        gen_ai__operation__name="chat",
        gen_ai__provider__name="acme",
        gen_ai__request__model="m2",
        gen_ai__usage__input_tokens=30,
        gen_ai__usage__output_tokens=7,
        gen_ai__conversation__id=SESSION,
    )
    made.add(
        "tools",
        "execute_tool search",
        BUY,
        5,
        parent=2,
        at=101.3,
        seconds=0.2,
        status=2,
        message="no results",
        gen_ai__operation__name="execute_tool",
        gen_ai__tool__name="search",
    )
    made.add(
        "tools",
        "another session",
        BUY,
        6,
        parent=2,
        at=101.4,
        gen_ai__conversation__id="sess-2",
    )
    made.add("lost", "late child", ORPHAN, 1, parent=9, at=200.5)
    made.add("lost", "early child", ORPHAN, 2, parent=9, at=200, seconds=0.25)
    exact = made.add(
        "exact",
        "exact",
        EXACT,
        1,
        at=300,
        big=2**63 - 1,
        nan=float("nan"),
        empty=None,
        raw=b"\x00\xff",
        list=[1, 1.0, "x"],
    )
    exact.attributes.extend(pairs({"big": 1}))
    exact.trace_state = "a=b"
    exact.flags = 0x301
    exact.events.add(time_unix_nano=T0, name="event", attributes=pairs({"k": -0.0}))
    exact.links.add(trace_id=(7).to_bytes(16, "big"), span_id=(8).to_bytes(8, "big"), attributes=pairs({"l": 1}))
    for number in range(QUIET):  # two at each instant
        made.add("quiet", f"GET /{number % 4}", 0x1000 + number, 1, at=1000 + number // 2, kind=2, n=number)
        # The same under another name, for tests that insert while they walk.
        made.add("watched", f"GET /{number % 4}", 0x9000 + number, 1, at=1000 + number // 2, kind=2, n=number)
    for number, evil in enumerate(EVIL):
        made.add("evil", evil, 0x2000 + number, 1, at=2000 + number, text=evil, session__id=evil, user__id=evil)
    return made.request


def logs() -> ExportLogsServiceRequest:
    """The log records of the world."""
    made = Logs()
    made.add("shop", "Payment ACCEPTED for order 17", at=100.5, trace=BUY, span=3, text="INFO", order=17)
    made.add("shop", "no results from search", at=101.4, severity=17, trace=BUY, span=5)
    made.add("shop", "session opened", at=99, severity=5, session__id=SESSION)
    made.add("shop", "cache miss", at=400, severity=0, text="warning")
    made.add("shop", {"not": "used"}.__repr__(), at=401, severity=13)
    made.add("shop", ["ÄRGER", 1], at=402, severity=21)
    for number, evil in enumerate(EVIL):
        made.add("evil", f"<{evil}>", at=2000 + number, severity=1, text=evil, k=evil)
    return made.request


def neighbour() -> ExportTraceServiceRequest:
    """Another tenant's spans: the same trace, the same session, a service of its own."""
    made = Spans()
    made.add("secret", "secret", BUY, 77, at=100, gen_ai__conversation__id=SESSION, gen_ai__operation__name="chat")
    return made.request
