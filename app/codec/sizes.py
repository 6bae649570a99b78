"""What a large protobuf message holds, counted on the wire before it is parsed: two bytes there may cost sixty here.

Only messages longer than a piece come here; shorter ones are parsed and then held against the same limits, where more
can be said of them. A message over a limit is not looked at further, so bytes behind that place are not judged.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Final

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message

from app.codec.reasons import Reason, RecordRejected, quoted
from app.codec.wire import LENGTH, M, Stretch, parse, scan
from app.settings import LimitSettings

_ENDS_OF_VARINTS: Final = bytes(range(0x80, 0x100))
_STUB_FIELDS: Final = 1_000
"""So many fields from the first on are looked at for the name and the ids of what is refused; they come first."""


@dataclass(frozen=True, slots=True)
class _Rule:
    """A limit on one repeated field of a message.

    Attributes:
        reason: Its name.
        setting: The key in `[limits]` that has it.
        noun: What is counted; empty: entries of the field.
    """

    reason: Reason
    setting: str
    noun: str = ""


_ATTRIBUTES: Final = _Rule(Reason.TOO_MANY_ATTRIBUTES, "max_attributes")
_BUCKETS: Final = _Rule(Reason.TOO_MANY_BUCKETS, "max_buckets")
RULES: Final = {
    "attributes": _ATTRIBUTES,
    "filtered_attributes": _ATTRIBUTES,
    "metadata": _ATTRIBUTES,
    "events": _Rule(Reason.TOO_MANY_EVENTS, "max_events", "events"),
    "links": _Rule(Reason.TOO_MANY_LINKS, "max_links", "links"),
    "exemplars": _Rule(Reason.TOO_MANY_EXEMPLARS, "max_events", "exemplars"),
    "bucket_counts": _BUCKETS,
    "explicit_bounds": _BUCKETS,
    "quantile_values": _BUCKETS,
}
"""By the name of the field; no other fields of OTLP have these names."""


def broken(rule: _Rule, where: str, limits: LimitSettings) -> RecordRejected:
    """The rejection by a rule on a list; how many there are beyond it nobody has counted."""
    limit: int = getattr(limits, rule.setting)
    counted = f"more than {limit} {rule.noun}" if rule.noun else f"{where} holds more than {limit} entries"
    return RecordRejected(rule.reason, f"{counted}, limits.{rule.setting} is {limit}")


def too_many_fields(limits: LimitSettings) -> RecordRejected:
    """The rejection by the one limit on everything."""
    most = limits.max_fields
    return RecordRejected(Reason.TOO_MANY_FIELDS, f"it holds more than {most} fields, limits.max_fields is {most}")


def check_sizes(kind: type[Message], stretches: Sequence[Stretch], limits: LimitSettings) -> None:
    """Hold a message against all limits on how much it may hold.

    Args:
        kind: Its type.
        stretches: Its fields.
        limits: The limits.

    Raises:
        RecordRejected: By the first limit that it is over, in the order of the wire.
        Undecodable: It is not protobuf.
    """
    # Two bytes are the shortest field: most messages cannot hold too many, and their values need not be looked into.
    may_be_too_many = sum(stretch.stop - stretch.start for stretch in stretches) // 2 > limits.max_fields
    checking = _Checking(limits, into_values=may_be_too_many)
    counts: dict[int, int] = {}
    for stretch in stretches:
        checking.check(_shape(kind.DESCRIPTOR), stretch, counts, "", 0)


def stub_of(kind: type[M], stretches: Iterable[Stretch], max_depth: int) -> M:
    """What can be said of a message without looking at all of it: its first scalar fields.

    Raises:
        Undecodable: They are wrong.
    """
    fields = kind.DESCRIPTOR.fields_by_number
    parts: list[bytes] = []
    path = ""
    seen = 0
    for stretch in stretches:
        data, begin, end, path = stretch
        for number, _, start, _, after in scan(data, begin, end, path):
            field = fields.get(number)
            if field is not None and field.message_type is None and not field.is_repeated:
                parts.append(data[start:after])
            seen += 1
            if seen >= _STUB_FIELDS:
                break
    return parse(kind, b"".join(parts), max_depth, path=path)


@dataclass(frozen=True, slots=True)
class _Shape:
    """What there is to know about a field of a message.

    Attributes:
        where: Its path below the record.
        rule: The limit on how many there may be.
        width: Bytes of one number of a packed list, 0 for varints; None if it is no list of numbers.
        child: The type of its messages.
        name: What it is to an attribute: its `key`, or its value as `bytes`, or nothing of that.
    """

    where: str
    rule: _Rule | None
    width: int | None
    child: Descriptor | None
    name: str


@cache
def _shape(descriptor: Descriptor, path: str = "") -> dict[int, _Shape]:
    return {field.number: _shape_of(field, path) for field in descriptor.fields}


def _shape_of(field: FieldDescriptor, path: str) -> _Shape:
    owner = field.containing_type.name if field.containing_type is not None else ""
    width = None
    if field.is_repeated and field.type in (FieldDescriptor.TYPE_FIXED64, FieldDescriptor.TYPE_DOUBLE):
        width = 8
    elif field.is_repeated and field.type == FieldDescriptor.TYPE_UINT64:
        width = 0
    return _Shape(
        where=path + field.name,
        rule=RULES.get(field.name) if field.is_repeated else None,
        width=width,
        child=field.message_type,
        name={("KeyValue", "key"): "key", ("AnyValue", "bytes_value"): "bytes"}.get((owner, field.name), ""),
    )


class _Checking:
    """One message being checked."""

    def __init__(self, limits: LimitSettings, *, into_values: bool) -> None:
        self._limits = limits
        self._into_values = into_values
        self._fields = 0
        self._key = ""

    def check(
        self, shape: dict[int, _Shape], stretch: Stretch, counts: dict[int, int], attribute: str, depth: int
    ) -> None:
        """Look at the fields of one message.

        Args:
            shape: Of its type.
            stretch: Its bytes.
            counts: How many of each field with a rule there were before, as a message may come in parts.
            attribute: Path of the attribute list that it is in, or nothing.
            depth: How many messages are around it.
        """
        data, begin, end, path = stretch
        for number, wire_type, _, payload, after in scan(data, begin, end, path):
            self._fields += 1
            if self._fields > self._limits.max_fields:
                raise too_many_fields(self._limits)
            field = shape.get(number)
            if field is None:
                continue
            if field.rule is not None:
                counts[number] = counts.get(number, 0) + _entries(data, wire_type, payload, after, field)
                if counts[number] > getattr(self._limits, field.rule.setting):
                    raise broken(field.rule, field.where, self._limits)
            if wire_type != LENGTH:
                continue
            if field.child is None:
                self._check_text(field, data, payload, after, attribute)
            else:
                self._check_child(field, field.child, Stretch(data, payload, after, path), attribute, depth + 1)

    def _check_child(self, field: _Shape, kind: Descriptor, stretch: Stretch, attribute: str, depth: int) -> None:
        if depth > 3 * self._limits.max_depth + 8:
            return  # deeper than values may be, so it will be refused when it is parsed
        inner, of_child = "", attribute
        if not attribute and kind.name in {"KeyValue", "AnyValue"}:
            if not self._into_values and stretch.stop - stretch.start <= self._limits.max_value_bytes:
                return
            of_child, self._key = field.where, ""
        elif not attribute:
            inner = f"{field.where}."
        self.check(_shape(kind, inner), stretch, {}, of_child, depth)

    def _check_text(self, field: _Shape, data: bytes, start: int, stop: int, attribute: str) -> None:
        length = stop - start
        if field.name == "key":
            self._key = self._key or quoted(data[start : min(stop, start + 400)].decode(errors="replace"))
        elif field.name == "bytes":
            length = (length + 2) // 3 * 4
        if length > self._limits.max_value_bytes and field.width is None:
            place = attribute or field.where
            raise RecordRejected(
                Reason.VALUE_TOO_LONG,
                f"{f'{self._key} in ' if attribute and self._key else ''}{place} is {length} bytes as stored, "
                f"limits.max_value_bytes is {self._limits.max_value_bytes}",
            )


def _entries(data: bytes, wire_type: int, start: int, stop: int, field: _Shape) -> int:
    """Of how many entries of a list one occurrence on the wire is."""
    if wire_type != LENGTH or field.width is None:
        return 1
    if field.width:
        return (stop - start) // field.width
    return len(data[start:stop].translate(None, _ENDS_OF_VARINTS))
