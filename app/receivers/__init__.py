"""The doors for telemetry: OTLP over HTTP and gRPC. One table of signals serves both."""
