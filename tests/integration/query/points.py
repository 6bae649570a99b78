"""Builds requests of data points."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

from tests.integration.query.world import SECOND, T0, pairs

DELTA, CUMULATIVE = 1, 2


def at(seconds: float) -> int:
    """Nanoseconds of so many seconds after T0; negative ones are before it."""
    return T0 + round(seconds * SECOND)


class Points:
    """A request that grows; a metric of its own for each point, as they may come."""

    def __init__(self) -> None:
        self.request = ExportMetricsServiceRequest()

    def _metric(self, name: str, unit: str, service: str, resource: Mapping[str, Any] | None) -> Any:
        group = self.request.resource_metrics.add()
        group.resource.attributes.extend(pairs({"service.name": service, **(resource or {})}))
        scope = group.scope_metrics.add()
        scope.scope.name = "tests"
        return scope.metrics.add(name=name, unit=unit, description=f"About {name}")

    def _point(self, data: Any, seconds: float, start: float | None, flags: int, labels: Mapping[str, Any]) -> Any:
        return data.data_points.add(
            time_unix_nano=at(seconds),
            start_time_unix_nano=0 if start is None else at(start),
            flags=flags,
            attributes=pairs(labels),
        )

    def number(
        self,
        kind: str,
        name: str,
        value: float | None,
        seconds: float,
        *,
        start: float | None = None,
        temporality: int = CUMULATIVE,
        unit: str = "1",
        service: str = "shop",
        resource: Mapping[str, Any] | None = None,
        flags: int = 0,
        **labels: Any,
    ) -> None:
        """Add a point of a `gauge`, `counter` or `updown`; an int goes as one, None is no value."""
        metric = self._metric(name, unit, service, resource)
        if kind == "gauge":
            data = metric.gauge
        else:
            data = metric.sum
            data.aggregation_temporality = temporality
            data.is_monotonic = kind == "counter"
        point = self._point(data, seconds, start, flags, labels)
        if isinstance(value, int):
            point.as_int = value
        elif value is not None:
            point.as_double = value

    def histogram(
        self,
        name: str,
        counts: Sequence[int],
        bounds: Sequence[float],
        seconds: float,
        *,
        total: float | None = None,
        least: float | None = None,
        most: float | None = None,
        start: float | None = None,
        temporality: int = CUMULATIVE,
        service: str = "shop",
        **labels: Any,
    ) -> None:
        """Add a point of an explicit histogram; `total` is its sum."""
        data = self._metric(name, "s", service, None).histogram
        data.aggregation_temporality = temporality
        point = self._point(data, seconds, start, 0, labels)
        point.count = sum(counts)
        point.bucket_counts.extend(counts)
        point.explicit_bounds.extend(bounds)
        for field, value in (("sum", total), ("min", least), ("max", most)):
            if value is not None:
                setattr(point, field, value)

    def exponential(
        self,
        name: str,
        scale: int,
        positive: tuple[int, Sequence[int]],
        seconds: float,
        *,
        zeros: int = 0,
        threshold: float = 0.0,
        negative: tuple[int, Sequence[int]] | None = None,
        start: float | None = None,
        temporality: int = CUMULATIVE,
        service: str = "shop",
        **labels: Any,
    ) -> None:
        """Add a point of an exponential histogram; a side is its offset and its counts."""
        data = self._metric(name, "s", service, None).exponential_histogram
        data.aggregation_temporality = temporality
        point = self._point(data, seconds, start, 0, labels)
        point.scale = scale
        point.zero_count = zeros
        point.zero_threshold = threshold
        point.positive.offset = positive[0]
        point.positive.bucket_counts.extend(positive[1])
        if negative:
            point.negative.offset = negative[0]
            point.negative.bucket_counts.extend(negative[1])
        point.count = zeros + sum(positive[1]) + (sum(negative[1]) if negative else 0)

    def summary(
        self,
        name: str,
        count: int,
        total: float,
        quantiles: Mapping[float, float],
        seconds: float,
        *,
        start: float | None = None,
        service: str = "shop",
        **labels: Any,
    ) -> None:
        """Add a point of a summary."""
        point = self._point(self._metric(name, "s", service, None).summary, seconds, start, 0, labels)
        point.count = count
        point.sum = total
        for quantile, value in quantiles.items():
            point.quantile_values.add(quantile=quantile, value=value)
