"""The kinds of telemetry."""

from enum import StrEnum


class Signal(StrEnum):
    """One kind of telemetry; the value is the word used in metrics, logs and the ledger."""

    TRACES = "traces"
    METRICS = "metrics"
    LOGS = "logs"

    @property
    def records(self) -> str:
        """What its records are called, in the plural."""
        return {Signal.TRACES: "spans", Signal.METRICS: "data points", Signal.LOGS: "log records"}[self]
