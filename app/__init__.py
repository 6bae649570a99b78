"""rak-ingest: OTLP into ClickHouse, exact, bounded and accounted for. docs/architecture.md draws the rooms."""
