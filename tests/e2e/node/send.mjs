// Send a fixed amount of every signal through the real Node SDK.
//
//   node send.mjs json|proto|grpc none|gzip HTTP_URL GRPC_URL SERVICE_NAME
//
// 10 spans in 5 traces (each root with one child, an event and a link), 12 log records, 3 instruments.
// Exits with 1 when an exporter reports a failure.
import { context, diag, DiagLogLevel, ROOT_CONTEXT, SpanKind, SpanStatusCode, trace } from "@opentelemetry/api";
import { resourceFromAttributes } from "@opentelemetry/resources";
import { BatchLogRecordProcessor, LoggerProvider } from "@opentelemetry/sdk-logs";
import { MeterProvider, PeriodicExportingMetricReader } from "@opentelemetry/sdk-metrics";
import { BasicTracerProvider, BatchSpanProcessor } from "@opentelemetry/sdk-trace-base";

const [mode, compression, httpUrl, grpcUrl, service] = process.argv.slice(2);
const suffix = { json: "http", proto: "proto", grpc: "grpc" }[mode];
const load = async (signal, name) => (await import(`@opentelemetry/exporter-${signal}-otlp-${suffix}`))[name];
const options = (path) => ({
  url: mode === "grpc" ? grpcUrl : `${httpUrl}/v1/${path}`,
  compression,
  timeoutMillis: 10_000,
});

const failures = [];
diag.setLogger(
  { error: (...words) => failures.push(words.join(" ")), warn() {}, info() {}, debug() {}, verbose() {} },
  DiagLogLevel.ERROR,
);

const TraceExporter = await load("trace", "OTLPTraceExporter");
const MetricExporter = await load("metrics", "OTLPMetricExporter");
const LogExporter = await load("logs", "OTLPLogExporter");
const resource = resourceFromAttributes({ "service.name": service, "service.version": "2.0.0", list: ["a", "b"] });

const tracerProvider = new BasicTracerProvider({
  resource,
  spanProcessors: [new BatchSpanProcessor(new TraceExporter(options("traces")))],
});
const tracer = tracerProvider.getTracer("e2e", "1.0");
const elsewhere = { traceId: "0af7651916cd43dd8448eb211c80319c", spanId: "b7ad6b7169203331", traceFlags: 1 };
for (let i = 0; i < 5; i++) {
  const root = tracer.startSpan("POST /order", {
    kind: SpanKind.SERVER,
    links: [{ context: elsewhere, attributes: { n: i } }],
    attributes: { "http.response.status_code": 200 + i, ok: true, ratio: 0.5, big: 9007199254740991, list: ["x", "y"] },
  });
  const child = tracer.startSpan("charge", { kind: SpanKind.CLIENT }, trace.setSpan(ROOT_CONTEXT, root));
  child.addEvent("retry", { attempt: 1 });
  if (i === 0) child.setStatus({ code: SpanStatusCode.ERROR, message: "declined" });
  child.end();
  root.end();
}

const meterProvider = new MeterProvider({
  resource,
  readers: [
    new PeriodicExportingMetricReader({ exporter: new MetricExporter(options("metrics")), exportIntervalMillis: 600_000 }),
  ],
});
const meter = meterProvider.getMeter("e2e");
const orders = meter.createCounter("orders");
const latency = meter.createHistogram("latency", { unit: "s" });
const depth = meter.createUpDownCounter("depth");
for (let i = 0; i < 100; i++) {
  orders.add(2, { route: `/r${i % 4}` });
  latency.record(i / 100);
  depth.add(i % 2 ? 1 : -1);
}

const loggerProvider = new LoggerProvider({
  resource,
  processors: [new BatchLogRecordProcessor({ exporter: new LogExporter(options("logs")) })],
});
const logger = loggerProvider.getLogger("e2e");
for (let i = 0; i < 12; i++) {
  logger.emit({ severityNumber: 9, severityText: "INFO", body: `message ${i}`, attributes: { i }, context: context.active() });
}

await tracerProvider.forceFlush();
await meterProvider.forceFlush();
await loggerProvider.forceFlush();
await Promise.all([tracerProvider.shutdown(), meterProvider.shutdown(), loggerProvider.shutdown()]);
if (failures.length) {
  console.error(failures.join("\n"));
  process.exit(1);
}
