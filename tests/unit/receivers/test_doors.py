"""The table of doors agrees with the protocol's own descriptors."""

from __future__ import annotations

import pytest
from opentelemetry.proto.collector.logs.v1 import logs_service_pb2
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2

from app.access import ANONYMOUS, DEFAULT_TENANT, Principal, Role
from app.codec.groups import REQUESTS
from app.errors import Forbidden
from app.model import Signal
from app.receivers.doors import DOORS, EXPORT, Door, anonymous, authorized_writer

SERVICES = {
    service.full_name: service
    for module in (trace_service_pb2, metrics_service_pb2, logs_service_pb2)
    for service in module.DESCRIPTOR.services_by_name.values()
}

every_door = pytest.mark.parametrize("door", DOORS, ids=[door.signal.value for door in DOORS])


def test_each_signal_has_one_door() -> None:
    assert [door.signal for door in DOORS] == list(Signal)


@every_door
def test_the_path_ends_with_the_signals_name(door: Door) -> None:
    assert door.path == f"/v1/{door.signal.value}"


@every_door
def test_the_messages_are_those_of_the_service(door: Door) -> None:
    """What the decoder takes for the signal comes in, what the table names goes out."""
    method = SERVICES[door.service].methods_by_name[EXPORT]
    assert method.input_type == REQUESTS[door.signal].DESCRIPTOR
    assert method.output_type == door.response.DESCRIPTOR


@every_door
def test_the_rejected_field_is_the_one_that_counts(door: Door) -> None:
    partial = door.response.DESCRIPTOR.fields_by_name["partial_success"].message_type
    assert partial is not None
    assert [field.name for field in partial.fields] == [door.rejected_field, "error_message"]


def test_anonymous_callers_may_write() -> None:
    assert authorized_writer(anonymous, {}) is ANONYMOUS


@pytest.mark.parametrize("role", [role for role in Role if role is not Role.WRITER])
def test_no_other_role_may_write(role: Role) -> None:
    with pytest.raises(Forbidden, match="writer"):
        authorized_writer(lambda _: Principal(DEFAULT_TENANT, frozenset({role})), {})
