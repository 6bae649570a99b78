"""Data points of all five kinds: each field in its column, presence told apart from zero, rules by name."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from opentelemetry.proto.metrics.v1.metrics_pb2 import (
    Exemplar,
    ExponentialHistogram,
    ExponentialHistogramDataPoint,
    Gauge,
    Histogram,
    HistogramDataPoint,
    Metric,
    Sum,
    Summary,
    SummaryDataPoint,
)

from app.errors import Undecodable
from app.model import METRICS
from tests.unit.codec.messages import NOW, attributes, decode, gauge, metrics, point, rejected, row

Buckets = ExponentialHistogramDataPoint.Buckets
PLAIN = row(metrics(gauge(point())))


def histogram(**fields: Any) -> Metric:
    return Metric(name="h", histogram=Histogram(data_points=[HistogramDataPoint(time_unix_nano=NOW, **fields)]))


def exponential(**fields: Any) -> Metric:
    points = [ExponentialHistogramDataPoint(time_unix_nano=NOW, **fields)]
    return Metric(name="e", exponential_histogram=ExponentialHistogram(data_points=points))


def summary(**fields: Any) -> Metric:
    return Metric(name="s", summary=Summary(data_points=[SummaryDataPoint(time_unix_nano=NOW, **fields)]))


def a_sum(temporality: int = 0, *, is_monotonic: bool = False) -> Metric:
    return Metric(sum=Sum(data_points=[point()], aggregation_temporality=temporality, is_monotonic=is_monotonic))  # type: ignore[arg-type] # open enum


def exemplar(**fields: Any) -> Metric:
    return gauge(point(exemplars=[Exemplar(**fields)]))


def test_a_chunk_has_the_columns_of_the_table() -> None:
    assert list(decode(metrics(gauge(point()))).columns) == [column.name for column in METRICS.decoded]


CASES: list[tuple[str, Metric, dict[str, Any]]] = [
    ("name", gauge(point(), name="n"), {"metric_name": "n"}),
    (
        "description and unit",
        gauge(point(), description="d", unit="By"),
        {"metric_description": "d", "metric_unit": "By"},
    ),
    ("no metadata", gauge(point()), {"metric_metadata": ""}),
    ("metadata", gauge(point(), metadata=attributes({"k": 1})), {"metric_metadata": '[["k","i","1"]]'}),
    ("a gauge", gauge(point()), {"metric_type": 2, "aggregation_temporality": 0, "is_monotonic": False}),
    ("a counter", a_sum(2, is_monotonic=True), {"metric_type": 1, "aggregation_temporality": 2, "is_monotonic": True}),
    ("an up-down counter", a_sum(1), {"metric_type": 6, "aggregation_temporality": 1, "is_monotonic": False}),
    ("a double", gauge(point(as_double=1.5)), {"value": 1.5, "value_int": 0, "value_type": 1}),
    ("a double zero", gauge(point(as_double=0.0)), {"value": 0.0, "value_int": 0, "value_type": 1}),
    ("an integer", gauge(point(as_int=2**53 + 1)), {"value": 2.0**53, "value_int": 2**53 + 1, "value_type": 2}),
    ("an integer zero", gauge(point(as_int=0)), {"value": 0.0, "value_int": 0, "value_type": 2}),
    ("no value", gauge(point(flags=1)), {"value": 0.0, "value_int": 0, "value_type": 0, "flags": 1}),
    ("infinity", gauge(point(as_double=-math.inf)), {"value": -math.inf, "value_type": 1}),
    ("times", gauge(point(start_time_unix_nano=3)), {"timestamp": NOW, "start_time_unix_nano": 3}),
    (
        "attributes",
        gauge(point({"b": 1, "a": "x"})),
        {"attributes_map": (["b", "a"], ["1", "x"]), "attributes_types": "is"},
    ),
    (
        "a histogram",
        histogram(count=3, sum=1.5, min=0.0, max=1.0, bucket_counts=[1, 2**64 - 1], explicit_bounds=[0.5], flags=1),
        {
            "metric_type": 3,
            "count": 3,
            "sum": 1.5,
            "min": 0.0,
            "max": 1.0,
            "presence": 7,
            "bucket_counts": [1, 2**64 - 1],
            "explicit_bounds": [0.5],
            "flags": 1,
            "value_type": 0,
        },
    ),
    ("a histogram without optional fields", histogram(count=3), {"presence": 0, "sum": 0.0, "bucket_counts": []}),
    ("one bucket and no bound", histogram(count=3, bucket_counts=[3]), {"bucket_counts": [3], "explicit_bounds": []}),
    ("a sum of zero", histogram(sum=0.0), {"presence": 1}),
    ("a least value of zero", histogram(min=0.0), {"presence": 2}),
    ("a greatest value of zero", histogram(max=0.0), {"presence": 4}),
    (
        "an exponential histogram",
        exponential(
            count=9,
            sum=1.0,
            min=-1.0,
            max=2.0,
            scale=-3,
            zero_count=4,
            zero_threshold=0.25,
            positive=Buckets(offset=-7, bucket_counts=[1, 2]),
            negative=Buckets(offset=8, bucket_counts=[3]),
        ),
        {
            "metric_type": 5,
            "count": 9,
            "sum": 1.0,
            "min": -1.0,
            "max": 2.0,
            "presence": 31,
            "scale": -3,
            "zero_count": 4,
            "zero_threshold": 0.25,
            "positive_offset": -7,
            "positive_bucket_counts": [1, 2],
            "negative_offset": 8,
            "negative_bucket_counts": [3],
        },
    ),
    ("empty positive buckets", exponential(positive=Buckets()), {"presence": 8, "positive_bucket_counts": []}),
    ("empty negative buckets", exponential(negative=Buckets()), {"presence": 16, "negative_offset": 0}),
    ("no buckets", exponential(), {"presence": 0}),
    (
        "a summary",
        summary(
            count=5,
            sum=2.5,
            quantile_values=[
                SummaryDataPoint.ValueAtQuantile(quantile=0.5, value=1.0),
                SummaryDataPoint.ValueAtQuantile(quantile=1.0, value=2.0),
            ],
        ),
        {
            "metric_type": 4,
            "count": 5,
            "sum": 2.5,
            "presence": 0,
            "quantiles.quantile": [0.5, 1.0],
            "quantiles.value": [1.0, 2.0],
            "exemplars.value": [],
        },
    ),
    (
        "exemplars",
        gauge(
            point(
                exemplars=[
                    Exemplar(
                        time_unix_nano=7,
                        as_int=-3,
                        trace_id=b"\xab" * 16,
                        span_id=b"\xcd" * 8,
                        filtered_attributes=attributes({"k": 1.0}),
                    ),
                    Exemplar(as_double=0.5),
                    Exemplar(),
                ]
            )
        ),
        {
            "exemplars.time_unix_nano": [7, 0, 0],
            "exemplars.value": [-3.0, 0.5, 0.0],
            "exemplars.value_int": [-3, 0, 0],
            "exemplars.value_type": [2, 1, 0],
            "exemplars.trace_id": ["ab" * 16, "", ""],
            "exemplars.span_id": ["cd" * 8, "", ""],
            "exemplars.attributes": [(["k"], ["1.0"]), ([], []), ([], [])],
            "exemplars.attributes_types": ["d", "", ""],
        },
    ),
]


@pytest.mark.parametrize(("metric", "columns"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_fields_come_out_in_their_columns_and_leave_no_residue(metric: Metric, columns: dict[str, Any]) -> None:
    stored = row(metrics(metric))
    assert {name: stored[name] for name in columns} == columns
    assert stored["residue"] == ""


def test_a_nan_stays_one() -> None:
    assert math.isnan(row(metrics(gauge(point(as_double=math.nan))))["value"])


@pytest.mark.parametrize(
    "metric", [histogram(count=1), exponential(count=1), summary(count=1)], ids=["histogram", "exponential", "summary"]
)
def test_histograms_and_summaries_have_no_value(metric: Metric) -> None:
    stored = row(metrics(metric))
    assert (stored["value"], stored["value_type"]) == (0.0, 0)


def test_exemplars_of_histograms_come_out_too() -> None:
    stored = row(metrics(histogram(exemplars=[Exemplar(as_double=2.0)])))
    assert stored["exemplars.value"] == [2.0]


def test_an_unknown_temporality_is_residue() -> None:
    stored = row(metrics(a_sum(9)))
    assert (stored["aggregation_temporality"], json.loads(stored["residue"])) == (0, {"aggregationTemporality": 9})


@pytest.mark.parametrize("metric", [Metric(name="m"), Metric(name="m", gauge=Gauge())], ids=["no data", "no points"])
def test_a_metric_without_points_leaves_no_row(metric: Metric) -> None:
    chunk = decode(metrics(metric))
    assert (chunk.rows, chunk.rejections.total) == (0, 0)


def test_points_of_one_metric_may_mix_integers_and_doubles() -> None:
    assert decode(metrics(gauge(point(as_int=1), point(as_double=1.0)))).columns["value_type"] == [2, 1]


REJECTED: list[tuple[str, Metric, dict[str, int], str, str]] = [
    ("no time", gauge(point(time_unix_nano=0)), {}, "too_old", "time_unix_nano 0 (1970-"),
    (
        "a time far ahead",
        gauge(point(time_unix_nano=2**63)),
        {},
        "too_new",
        "time_unix_nano 9223372036854775808 (2262-",
    ),
    (
        "bounds without counts",
        histogram(explicit_bounds=[1.0]),
        {},
        "mismatched_buckets",
        "bucket_counts has 0 entries and explicit_bounds 1",
    ),
    (
        "as many counts as bounds",
        histogram(explicit_bounds=[1.0], bucket_counts=[1]),
        {},
        "mismatched_buckets",
        "bucket_counts has 1 entries and explicit_bounds 1",
    ),
    (
        "two more counts",
        histogram(explicit_bounds=[1.0], bucket_counts=[1, 1, 1]),
        {},
        "mismatched_buckets",
        "bucket_counts has 3 entries and explicit_bounds 1",
    ),
    (
        "exemplars",
        gauge(point(exemplars=[Exemplar()] * 2)),
        {"max_events": 1},
        "too_many_exemplars",
        "2 exemplars, limits.max_events is 1",
    ),
    (
        "short exemplar trace id",
        exemplar(trace_id=b"x"),
        {},
        "invalid_exemplar_id",
        "exemplars.trace_id is 1 bytes, must be 16 or none",
    ),
    (
        "short exemplar span id",
        exemplar(span_id=b"x"),
        {},
        "invalid_exemplar_id",
        "exemplars.span_id is 1 bytes, must be 8 or none",
    ),
    (
        "exemplar attributes",
        exemplar(filtered_attributes=attributes({"a": 1, "b": 1})),
        {"max_attributes": 1},
        "too_many_attributes",
        "exemplars.filtered_attributes holds 2",
    ),
    ("attributes", gauge(point({"a": 1, "b": 1})), {"max_attributes": 1}, "too_many_attributes", "attributes holds 2"),
    (
        "metadata",
        gauge(point(), metadata=attributes({"a": 1, "b": 1})),
        {"max_attributes": 1},
        "too_many_attributes",
        "metadata holds 2",
    ),
]


@pytest.mark.parametrize(
    ("metric", "limits", "reason", "example"), [case[1:] for case in REJECTED], ids=[case[0] for case in REJECTED]
)
def test_a_point_is_rejected_by_name(metric: Metric, limits: dict[str, int], reason: str, example: str) -> None:
    seen_reason, seen_example = rejected(metrics(metric), **limits)
    assert seen_reason == reason
    assert seen_example.startswith(f'data point of metric "{metric.name}": {example}')


def test_metadata_over_a_limit_rejects_every_point_of_that_metric_only() -> None:
    bad = gauge(point(), point(), metadata=attributes({"a": 1, "b": 1}))
    chunk = decode(metrics(bad, gauge(point())), max_attributes=1)
    assert (chunk.rows, chunk.rejections.counts) == (1, {"too_many_attributes": 2})


def test_deep_metadata_refuses_the_request_even_without_points() -> None:
    with pytest.raises(Undecodable, match='"a" in metadata nests'):
        decode(metrics(Metric(metadata=attributes({"a": [[1]]}))), max_depth=1)
