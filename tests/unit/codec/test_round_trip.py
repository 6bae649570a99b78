"""Exactness: what is exported from the rows of a request is what the request said, record by record.

Records are compared as bytes of their protobuf messages, with all that they share with others: resource, scope, schema
URLs, and the metric without its points. Only the grouping is free, and a value left out is an empty value.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, cast

import pytest
from google.protobuf.message import Message
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.metrics.v1.metrics_pb2 import Metric

from app.codec.bodies import decode_message
from app.codec.contract import Bounds
from app.codec.export import dump, export, value_tree
from app.codec.groups import Request
from app.codec.json_reader import read_request
from app.codec.values import ValueReader
from app.model import Signal
from app.settings import LimitSettings
from tests.stored import stored_rows
from tests.strategies import REQUESTS, requests, values

CORPUS = Path(__file__).parents[2] / "data" / "otlp"
PAYLOADS = sorted(path for path in CORPUS.glob("*/*") if path.suffix == ".pb" or path.name.endswith("s.json"))
ANY_TIME = Bounds(LimitSettings(), received_unix_nano=1, oldest_unix_nano=0, newest_unix_nano=2**64 - 1)

Record = tuple[bytes | None, str, bytes | None, str, bytes, bytes]
"""Resource, its schema URL, scope, its schema URL, metric without points, record."""


def records(request: Request) -> list[Record]:
    """Every record with what it shares with others, in the order sent."""
    found: list[Record] = []
    for resource_part in parts(request, 1):
        for scope_part in parts(resource_part, 2):
            for member in parts(scope_part, 2):
                singles, rest = split(member) if isinstance(member, Metric) else ([member], b"")
                origin = (*_shared(resource_part, "resource"), *_shared(scope_part, "scope"))
                found += [(*origin, rest, exact(single)) for single in singles]
    return found


def parts(message: Any, number: int) -> Iterable[Any]:
    """What stands one level below: field 1 of a request, 2 of ResourceSpans and ScopeSpans, and of their likes."""
    return cast("Iterable[Any]", getattr(message, message.DESCRIPTOR.fields_by_number[number].name))


def split(metric: Metric) -> tuple[list[Message], bytes]:
    """The points of a metric, and all else of it."""
    kind = metric.WhichOneof("data")
    if kind is None:
        return [], exact(metric)
    points = list(getattr(metric, kind).data_points)
    rest = Metric()
    rest.CopyFrom(metric)
    getattr(rest, kind).ClearField("data_points")
    return points, exact(rest)


def _shared(part: Any, name: str) -> tuple[bytes | None, str]:
    return (exact(getattr(part, name)) if part.HasField(name) else None), part.schema_url


def exact(message: Message) -> bytes:
    """The bytes of a message: two are equal only if every bit of every number is."""
    same = type(message)()
    same.CopyFrom(message)
    _fill_values(same)
    return same.SerializeToString(deterministic=True)


def _fill_values(message: Message) -> None:
    """A KeyValue without a value says what one with an empty value says."""
    for field, found in message.ListFields():
        if field.message_type is not None:
            for child in found if field.is_repeated else (found,):
                _fill_values(child)
    if isinstance(message, KeyValue):
        message.value.SetInParent()


def exported(signal: Signal, request: Request) -> Request:
    """A request, decoded to rows, exported and read again."""
    chunk = decode_message(request, ANY_TIME)
    assert chunk.rejections.counts == {}, chunk.rejections.message
    return read_request(signal, dump(export(signal, stored_rows(chunk))))


@pytest.mark.parametrize("path", PAYLOADS, ids=lambda path: f"{path.parent.name} {path.name}")
def test_what_real_senders_sent_comes_back_equal(path: Path) -> None:
    """Each payload of the corpus."""
    signal = next(signal for signal in Signal if signal.value.removesuffix("s") in path.name)
    body = path.read_bytes()
    request = read_request(signal, body) if path.suffix == ".json" else REQUESTS[signal].FromString(body)
    assert records(request)
    assert records(exported(signal, request)) == records(request)


@pytest.mark.parametrize("signal", Signal)
@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_whatever_can_be_sent_comes_back_equal(signal: Signal, data: st.DataObject) -> None:
    """Any message that no rule rejects."""
    request = data.draw(requests(signal))
    assert records(exported(signal, request)) == records(request)


@settings(max_examples=300, deadline=None)
@given(value=values())
def test_every_value_survives_its_text(value: AnyValue) -> None:
    """Letter and text of any tree of values say all of it."""
    letter, text = ValueReader(LimitSettings()).value(value, "body")
    tree = {"resourceLogs": [{"scopeLogs": [{"logRecords": [{"body": value_tree(letter, text)}]}]}]}
    [record] = [
        record
        for logs in read_request(Signal.LOGS, dump(tree)).resource_logs  # type: ignore[union-attr]
        for scope in logs.scope_logs
        for record in scope.log_records
    ]
    assert exact(record.body) == exact(value)
