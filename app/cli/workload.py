"""A believable hour of a web shop and of an AI assistant that works for it: what `rak-ingest demo` sends.

Everything goes through the OpenTelemetry SDK and its OTLP exporters, as it would from real services; only the clock is
ours, so that the last minutes have a history to look at.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from opentelemetry._logs import LogRecord, SeverityNumber
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExportResult
from opentelemetry.trace import Span, SpanKind, Status, StatusCode, set_span_in_context
from opentelemetry.util.types import AttributeValue
from typing_extensions import override

MS = 1_000_000
# The semantic conventions' bounds; the SDK's own are made for milliseconds.
_SECONDS_BOUNDS = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10)
_TOKEN_BOUNDS = tuple(4**power for power in range(14))
_NEVER_MILLIS = 3_600_000  # the readers export when they are flushed, not by the clock


@dataclass(slots=True)
class Step:
    """One span to be, with what happens inside it.

    Attributes:
        service: Who does it.
        name: Span name.
        kind: Span kind.
        own_ms: Milliseconds of its own work, before and after its children.
        attributes: Span attributes.
        children: Steps inside it, one after the other.
        error: Status message if it fails; empty if not.
        log: A line written inside it; empty for none.
    """

    service: str
    name: str
    kind: SpanKind
    own_ms: float
    attributes: dict[str, AttributeValue] = field(default_factory=dict)
    children: list[Step] = field(default_factory=list)
    error: str = ""
    log: str = ""

    @property
    def ms(self) -> float:
        """Milliseconds from start to end."""
        return self.own_ms + sum(step.ms for step in self.children)

    def walk(self) -> Iterator[Step]:
        """This step and all inside it."""
        yield self
        for step in self.children:
            yield from step.walk()


def order(chance: random.Random) -> Step:
    """A visitor looks at a cart or pays for it; one payment in fifteen fails."""
    buys = chance.random() < 0.6
    user = f"user-{chance.randrange(40)}"
    declined = buys and chance.random() < 1 / 15
    query = Step("cart", "SELECT carts", SpanKind.CLIENT, chance.lognormvariate(1.0, 0.6))
    query.attributes = {"db.system.name": "postgresql", "db.query.text": "SELECT * FROM carts WHERE user_id = $1"}
    cart = Step("cart", "GET /cart/{id}", SpanKind.SERVER, chance.lognormvariate(0.7, 0.4), children=[query])
    cart.attributes = {"http.request.method": "GET", "http.route": "/cart/{id}", "http.response.status_code": 200}
    steps = [cart]
    if buys:
        charge = Step("payment", "POST /charge", SpanKind.SERVER, chance.lognormvariate(3.5, 0.5))
        charge.attributes = {
            "http.request.method": "POST",
            "http.route": "/charge",
            "http.response.status_code": 402 if declined else 200,
            "payment.amount": round(chance.uniform(5, 400), 2),
        }
        charge.log = f"card declined for {user}" if declined else f"charged {user}"
        charge.error = "card declined" if declined else ""
        call = Step("checkout", "POST payment", SpanKind.CLIENT, 0.8, children=[charge], error=charge.error)
        publish = Step("checkout", "send orders", SpanKind.PRODUCER, 1.2)
        publish.attributes = {"messaging.system": "kafka", "messaging.destination.name": "orders"}
        checkout = Step("checkout", "POST /checkout", SpanKind.SERVER, 2.0, error=charge.error)
        checkout.children = [call] if declined else [call, publish]
        checkout.attributes = {"http.request.method": "POST", "http.route": "/checkout"}
        steps.append(checkout)
    root = Step("frontend", "POST /buy" if buys else "GET /cart", SpanKind.SERVER, chance.lognormvariate(1.4, 0.5))
    root.children = steps
    root.error = "checkout failed" if declined else ""
    root.attributes = {"http.request.method": "POST" if buys else "GET", "user.id": user, "url.path": "/buy"}
    root.log = f"{root.name} for {user} answered {500 if declined else 200}"
    return root


_MODELS = (("openai", "gpt-5-mini", 9.0), ("anthropic", "claude-sonnet-5", 6.5))
_TOOLS = ("search_orders", "refund_order", "read_policy")


def conversation(chance: random.Random) -> Step:
    """The shop's assistant answers a customer: it plans, uses tools, and answers; one tool call in ten fails."""
    session = f"sess-{chance.randrange(60)}"
    provider, model, ms_a_token = chance.choice(_MODELS)
    common: dict[str, AttributeValue] = {
        "gen_ai.provider.name": provider,
        "gen_ai.conversation.id": session,
        "user.id": f"user-{chance.randrange(40)}",
    }

    def model_call(asked: int) -> Step:
        answered = chance.randint(20, 220)
        step = Step("assistant", f"chat {model}", SpanKind.CLIENT, 180 + answered * ms_a_token)
        step.attributes = common | {
            "gen_ai.operation.name": "chat",
            "gen_ai.request.model": model,
            "gen_ai.response.model": model,
            "gen_ai.usage.input_tokens": asked,
            "gen_ai.usage.output_tokens": answered,
            "gen_ai.usage.cache_read.input_tokens": asked // 3,
            "gen_ai.response.finish_reasons": ["stop"],
        }
        return step

    asked = chance.randint(300, 900)
    steps = [model_call(asked)]
    for number in range(chance.randint(1, 3)):
        tool = chance.choice(_TOOLS)
        failed = chance.random() < 0.1
        run = Step("assistant", f"execute_tool {tool}", SpanKind.INTERNAL, chance.lognormvariate(3.8, 0.7))
        run.attributes = common | {
            "gen_ai.operation.name": "execute_tool",
            "gen_ai.tool.name": tool,
            "gen_ai.tool.call.id": f"call-{session}-{number}",
        }
        run.error = "the order does not exist" if failed else ""
        run.log = f"tool {tool} {'failed' if failed else 'done'}"
        asked += chance.randint(80, 400)
        steps += [run, model_call(asked)]
    agent = Step("assistant", "invoke_agent shop-assistant", SpanKind.INTERNAL, 12.0, children=steps)
    agent.attributes = common | {
        "gen_ai.operation.name": "invoke_agent",
        "gen_ai.agent.name": "shop-assistant",
        "gen_ai.agent.id": "agent-7",
        "gen_ai.request.model": model,
    }
    return agent


class _CountingSpans(OTLPSpanExporter):
    """The SDK's batch processor hides failed exports; a demo must not."""

    failed = 0

    @override
    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        result = super().export(spans)
        if result is not SpanExportResult.SUCCESS:
            self.failed += len(spans)
        return result


class Sender:
    """The SDK of every service in the workload; leaving the context flushes all of it.

    Attributes:
        spans: Spans ended so far.
        logs: Log records written so far.
    """

    def __init__(self, endpoint: str) -> None:
        self._endpoint = endpoint
        self._exporters: list[_CountingSpans] = []
        self._tracers: dict[str, TracerProvider] = {}
        self._loggers: dict[str, LoggerProvider] = {}
        self._meters: dict[str, MeterProvider] = {}
        self.spans = 0
        self.logs = 0

    @property
    def failed(self) -> int:
        """Spans that the service did not take."""
        return sum(exporter.failed for exporter in self._exporters)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for tracers in self._tracers.values():
            tracers.shutdown()
        for loggers in self._loggers.values():
            loggers.shutdown()
        for meters in self._meters.values():
            meters.shutdown()

    def send(self, step: Step, start_ns: int) -> None:
        """Emit a whole tree of steps whose root starts at `start_ns`."""
        self._emit(step, start_ns, parent=None)

    def _emit(self, step: Step, start_ns: int, parent: Span | None) -> None:
        self._open(step.service)
        context = set_span_in_context(parent) if parent is not None else None
        tracer = self._tracers[step.service].get_tracer("rak-ingest.demo", "1")
        span = tracer.start_span(
            step.name, context=context, kind=step.kind, attributes=step.attributes, start_time=start_ns
        )
        at = start_ns + round(step.own_ms * MS / 2)
        for child in step.children:
            self._emit(child, at, span)
            at += round(child.ms * MS)
        if step.error:
            span.set_status(Status(StatusCode.ERROR, step.error))
            span.add_event("exception", {"exception.message": step.error}, timestamp=at)
        if step.log:
            self._log(step, at, set_span_in_context(span))
        span.end(end_time=start_ns + round(step.ms * MS))
        self.spans += 1
        self._measure(step)

    def _log(self, step: Step, at_ns: int, context: Context) -> None:
        self._loggers[step.service].get_logger("rak-ingest.demo").emit(
            LogRecord(
                timestamp=at_ns,
                observed_timestamp=at_ns,
                context=context,
                severity_number=SeverityNumber.ERROR if step.error else SeverityNumber.INFO,
                severity_text="ERROR" if step.error else "INFO",
                body=step.log,
                attributes={"code.function.name": step.name},
            )
        )
        self.logs += 1

    def _measure(self, step: Step) -> None:
        meter = self._meters[step.service].get_meter("rak-ingest.demo")
        if step.kind is SpanKind.SERVER:
            duration = meter.create_histogram(
                "http.server.request.duration",
                unit="s",
                description="Requests served.",
                explicit_bucket_boundaries_advisory=_SECONDS_BOUNDS,
            )
            duration.record(step.ms / 1000, {"http.route": step.name, "error": bool(step.error)})
        if "gen_ai.usage.input_tokens" in step.attributes:
            tokens = meter.create_histogram(
                "gen_ai.client.token.usage",
                unit="{token}",
                description="Tokens used.",
                explicit_bucket_boundaries_advisory=_TOKEN_BOUNDS,
            )
            for word, key in (("input", "gen_ai.usage.input_tokens"), ("output", "gen_ai.usage.output_tokens")):
                labels = {"gen_ai.token.type": word, "gen_ai.request.model": step.attributes["gen_ai.request.model"]}
                tokens.record(int(str(step.attributes[key])), labels)

    def _open(self, service: str) -> None:
        if service in self._tracers:
            return
        resource = Resource.create({"service.name": service, "service.version": "1.4.2", "service.namespace": "shop"})
        tracers = TracerProvider(resource=resource, shutdown_on_exit=False)
        self._exporters.append(_CountingSpans(f"{self._endpoint}/v1/traces", compression=Compression.Gzip))
        tracers.add_span_processor(BatchSpanProcessor(self._exporters[-1], max_queue_size=65_536))
        loggers = LoggerProvider(resource=resource, shutdown_on_exit=False)
        logs = OTLPLogExporter(f"{self._endpoint}/v1/logs", compression=Compression.Gzip)
        loggers.add_log_record_processor(BatchLogRecordProcessor(logs, max_queue_size=65_536))
        metrics = OTLPMetricExporter(f"{self._endpoint}/v1/metrics", compression=Compression.Gzip)
        reader = PeriodicExportingMetricReader(metrics, export_interval_millis=_NEVER_MILLIS)
        self._tracers[service] = tracers
        self._loggers[service] = loggers
        self._meters[service] = MeterProvider(resource=resource, metric_readers=[reader], shutdown_on_exit=False)
