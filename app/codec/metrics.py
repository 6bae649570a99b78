"""ExportMetricsServiceRequest to rows of `metrics`: a row is a data point, all five kinds in one table.

**Metric**, field by field: `name`, `description`, `unit` → `metric_…`; `metadata` → `metric_metadata` in the notation of
`resource`, the empty text if there is none; the kind of its data → `metric_type`, where a sum is COUNTER if
`is_monotonic` and else UP_DOWN_COUNTER; `aggregation_temporality`, `is_monotonic` → the columns of their names.

**Data points**: `time_unix_nano` → `timestamp`; `start_time_unix_nano`, `flags` → themselves; `attributes` →
`attributes_map`, `attributes_types` and the promoted columns; `exemplars` → the columns `exemplars.…`, the ids as
lowercase hex. By kind:

| kind | fields |
|---|---|
| gauge, sum | `as_double` → `value`; `as_int` → `value_int` exactly and `value` rounded; which → `value_type` |
| histogram | `count`, `bucket_counts`, `explicit_bounds`; `sum`, `min`, `max` with their bits in `presence` |
| exponential histogram | `count`, `scale`, `zero_count`, `zero_threshold`; `sum`, `min`, `max`, `positive`, `negative` with their bits in `presence` |
| summary | `count`, `sum` (not optional there: no bit), `quantile_values` → `quantiles.…` |

Fields of other kinds are 0 or empty.

**Residue** of a point, besides that of its origin: `{"aggregationTemporality": number}` if it is not one of 0 to 2; the
column is UNSPECIFIED then.

**Rules**, in this order: the limits of resource, scope and metadata; the time within the bounds (the start is not
looked at); the attributes; the number of buckets, of bounds or of quantiles; the buckets of a histogram (one count more
than bounds, or neither); the number of exemplars, then each one's ids (empty, or 16 and 8 bytes) and attributes.

A metric without data points leaves no row.
"""  # noqa: E501 - a table

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, ClassVar, Final, assert_never

from google.protobuf.message import Message
from opentelemetry.proto.metrics.v1.metrics_pb2 import (
    Exemplar,
    ExponentialHistogramDataPoint,
    HistogramDataPoint,
    Metric,
    NumberDataPoint,
    SummaryDataPoint,
)
from typing_extensions import override

from app.codec.contract import Bounds
from app.codec.genai import Promotion
from app.codec.groups import Group, Groups, Run, points_of
from app.codec.reasons import Reason, RecordRejected, quoted
from app.codec.records import Origin, RecordReader, Row, check_ids, lists_of, residue_text
from app.codec.series import series_id
from app.codec.values import entries_text
from app.model import METRICS, Chunk, Table

Point = NumberDataPoint | HistogramDataPoint | ExponentialHistogramDataPoint | SummaryDataPoint

_TEMPORALITIES: Final = range(3)
_COUNTER, _GAUGE, _HISTOGRAM, _SUMMARY, _EXPONENTIAL_HISTOGRAM, _UP_DOWN_COUNTER = range(1, 7)
_NONE, _DOUBLE, _INT = range(3)

_NUMBER_COLUMNS: Final = ("value", "value_int", "value_type")

_EXEMPLAR_COLUMNS: Final = (
    "exemplars.time_unix_nano",
    "exemplars.value",
    "exemplars.value_int",
    "exemplars.value_type",
    "exemplars.trace_id",
    "exemplars.span_id",
    "exemplars.attributes",
    "exemplars.attributes_types",
)

# What a point has in the columns of the other kinds. The lists are shared and only ever read.
_OTHER_KINDS: Final[Row] = {
    "value": 0.0,
    "value_int": 0,
    "value_type": _NONE,
    "count": 0,
    "sum": 0.0,
    "min": 0.0,
    "max": 0.0,
    "presence": 0,
    "bucket_counts": [],
    "explicit_bounds": [],
    "scale": 0,
    "zero_count": 0,
    "zero_threshold": 0.0,
    "positive_offset": 0,
    "positive_bucket_counts": [],
    "negative_offset": 0,
    "negative_bucket_counts": [],
    "quantiles.quantile": [],
    "quantiles.value": [],
    **{column: [] for column in _EXEMPLAR_COLUMNS},
}


def decode_metrics(groups: Groups, bounds: Bounds, *, is_large: bool) -> Chunk:
    """The data points of a request; see `RecordReader.read_groups`."""
    return _PointReader(bounds).read_groups(groups, is_large=is_large)


class _PointReader(RecordReader[Point]):
    table: ClassVar[Table] = METRICS
    promotion: ClassVar[Promotion] = Promotion(METRICS)

    @override
    def read_part(self, part: Any, origin: Origin) -> None:
        if isinstance(part, Group):
            group: Group[Metric, Run[Point]] = part
            of_metric = self._origin(group.head, origin, group.rejection)
            for run in group.parts:
                super().read_part(run, of_metric)
                self.check_bounds()
            return
        metrics: Sequence[Metric] = part
        for metric in metrics:
            of_metric = self._origin(metric, origin, None)
            for point in points_of(metric):
                self.read(point, of_metric)

    def _origin(self, metric: Metric, scope: Origin, rejection: RecordRejected | None) -> Origin:
        """What all points of a metric share."""
        metadata, rejection = self.shared_attributes(metric, "metadata", "metadata", scope.rejection or rejection)
        metric_type, temporality, is_monotonic = _data(metric)
        texts = entries_text(metadata) if metadata.keys else ""
        self.count_text(texts)
        known = temporality in _TEMPORALITIES
        columns = {
            "metric_name": metric.name,
            "metric_type": metric_type,
            "metric_description": metric.description,
            "metric_unit": metric.unit,
            "metric_metadata": texts,
            "aggregation_temporality": temporality if known else 0,
            "is_monotonic": is_monotonic,
        }
        return replace(
            scope,
            columns={**_OTHER_KINDS, **scope.columns, **columns},
            residue=scope.residue if known else {**scope.residue, "aggregationTemporality": temporality},
            rejection=rejection,
        )

    @override
    def name(self, record: Point, origin: Origin) -> str:
        return f"data point of metric {quoted(origin.columns['metric_name'])}"

    @override
    def row(self, record: Point, origin: Origin) -> Row:
        self.check_time(record.time_unix_nano, "time_unix_nano")
        attributes = self.values.attributes(record.attributes, "attributes")
        return {
            **origin.columns,
            **self.promotion.of_record(attributes, origin.promoted),
            **self._fields(record),
            "series_id": series_id(origin.series, attributes),
            "timestamp": record.time_unix_nano,
            "start_time_unix_nano": record.start_time_unix_nano,
            "flags": record.flags,
            "attributes_map": (attributes.keys, attributes.texts),
            "attributes_types": attributes.letters,
            "residue": residue_text(origin, None),
        }

    def _fields(self, point: Point) -> Row:
        """The columns that depend on the kind of point."""
        match point:
            case NumberDataPoint():
                row = dict(zip(_NUMBER_COLUMNS, _number(point), strict=True))
            case HistogramDataPoint():
                self._check_lists(point, "bucket_counts", "explicit_bounds")
                row = _histogram(point)
            case ExponentialHistogramDataPoint():
                self._check_lists(point.positive, "bucket_counts")
                self._check_lists(point.negative, "bucket_counts")
                row = _exponential_histogram(point)
            case SummaryDataPoint():
                self._check_lists(point, "quantile_values")
                return _summary(point)  # it has no exemplars
            case _:
                assert_never(point)
        return {**row, **self._exemplars(point.exemplars)} if point.exemplars else row

    def _check_lists(self, owner: Message, *fields: str) -> None:
        limit = self.bounds.limits.max_buckets
        for field in fields:
            if (length := len(getattr(owner, field))) > limit:
                raise RecordRejected(
                    Reason.TOO_MANY_BUCKETS, f"{field} holds {length} entries, limits.max_buckets is {limit}"
                )

    def _exemplars(self, exemplars: Sequence[Exemplar]) -> Row:
        """The columns of the exemplars, one list each."""
        limit = self.bounds.limits.max_events
        if len(exemplars) > limit:
            raise RecordRejected(Reason.TOO_MANY_EXEMPLARS, f"{len(exemplars)} exemplars, limits.max_events is {limit}")
        rows = []
        for exemplar in exemplars:
            check_ids(exemplar.trace_id, exemplar.span_id, Reason.INVALID_EXEMPLAR_ID, "exemplars.")
            attributes = self.values.attributes(exemplar.filtered_attributes, "exemplars.filtered_attributes")
            rows.append(
                (
                    exemplar.time_unix_nano,
                    *_number(exemplar),
                    exemplar.trace_id.hex(),
                    exemplar.span_id.hex(),
                    (attributes.keys, attributes.texts),
                    attributes.letters,
                )
            )
        return lists_of(_EXEMPLAR_COLUMNS, rows)


def _data(metric: Metric) -> tuple[int, int, bool]:
    """Type and temporality of a metric, and whether it is monotonic."""
    match metric.WhichOneof("data"):
        case "gauge":
            return _GAUGE, 0, False
        case "sum":
            data = metric.sum
            metric_type = _COUNTER if data.is_monotonic else _UP_DOWN_COUNTER
            return metric_type, data.aggregation_temporality, data.is_monotonic
        case "histogram":
            return _HISTOGRAM, metric.histogram.aggregation_temporality, False
        case "exponential_histogram":
            return _EXPONENTIAL_HISTOGRAM, metric.exponential_histogram.aggregation_temporality, False
        case "summary":
            return _SUMMARY, 0, False
        case None:
            return _GAUGE, 0, False


def _number(holder: NumberDataPoint | Exemplar) -> tuple[float, int, int]:
    """`value`, `value_int` and `value_type`."""
    match holder.WhichOneof("value"):
        case "as_double":
            return holder.as_double, 0, _DOUBLE
        case "as_int":
            return float(holder.as_int), holder.as_int, _INT
        case None:
            return 0.0, 0, _NONE


def _histogram(point: HistogramDataPoint) -> Row:
    counts, bounds = list(point.bucket_counts), list(point.explicit_bounds)
    if len(counts) != len(bounds) + 1 and (counts or bounds):
        raise RecordRejected(
            Reason.MISMATCHED_BUCKETS,
            f"bucket_counts has {len(counts)} entries and explicit_bounds {len(bounds)}, must be one more or both none",
        )
    return {
        "count": point.count,
        "sum": point.sum,
        "min": point.min,
        "max": point.max,
        "presence": _presence(point),
        "bucket_counts": counts,
        "explicit_bounds": bounds,
    }


def _presence(point: HistogramDataPoint | ExponentialHistogramDataPoint) -> int:
    return 1 * point.HasField("sum") + 2 * point.HasField("min") + 4 * point.HasField("max")


def _summary(point: SummaryDataPoint) -> Row:
    return {
        "count": point.count,
        "sum": point.sum,
        "quantiles.quantile": [quantile.quantile for quantile in point.quantile_values],
        "quantiles.value": [quantile.value for quantile in point.quantile_values],
    }


def _exponential_histogram(point: ExponentialHistogramDataPoint) -> Row:
    return {
        "count": point.count,
        "sum": point.sum,
        "min": point.min,
        "max": point.max,
        "presence": _presence(point) + 8 * point.HasField("positive") + 16 * point.HasField("negative"),
        "scale": point.scale,
        "zero_count": point.zero_count,
        "zero_threshold": point.zero_threshold,
        "positive_offset": point.positive.offset,
        "positive_bucket_counts": list(point.positive.bucket_counts),
        "negative_offset": point.negative.offset,
        "negative_bucket_counts": list(point.negative.bucket_counts),
    }
