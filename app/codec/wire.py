"""Protobuf bytes to messages, where the runtime's own parser gives up: what is wrong, where, and is it wrong at all.

The runtime (upb) parses a body as a whole and says little when it cannot. Two things need more: a refusal has to name
the place, and the runtime counts messages inside each other, of which it takes one hundred, while our limit counts
arrays and kvlists: 32 kvlists are 101 messages deep in a span. So a message that cannot be parsed as a whole is taken
apart by one level, and its parts are parsed by themselves, and so on, down the one path that leads to the trouble.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple, TypeVar

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import DecodeError, Message

from app.errors import Undecodable

M = TypeVar("M", bound=Message)

_CONTAINERS: Final = frozenset({"ArrayValue", "KeyValueList"})
# Each level of the descent parses what is below it once more. So many bytes may be parsed for one byte of the body, and
# so many in any case, until the search for the place is given up: senders of rubbish do not decide about our time.
_EFFORT: Final = 8
_FREE_EFFORT: Final = 16 * 2**20

_VARINT, _FIXED64, _LENGTH, _FIXED32 = 0, 1, 2, 5
_FIXED: Final = {_FIXED64: 8, _FIXED32: 4}
_LONGEST_VARINT: Final = 10
_LENGTH_TYPES: Final = frozenset(
    {FieldDescriptor.TYPE_STRING, FieldDescriptor.TYPE_BYTES, FieldDescriptor.TYPE_MESSAGE}
)
_FIXED64_TYPES: Final = frozenset(
    {FieldDescriptor.TYPE_FIXED64, FieldDescriptor.TYPE_SFIXED64, FieldDescriptor.TYPE_DOUBLE}
)
_FIXED32_TYPES: Final = frozenset(
    {FieldDescriptor.TYPE_FIXED32, FieldDescriptor.TYPE_SFIXED32, FieldDescriptor.TYPE_FLOAT}
)


def parse(kind: type[M], body: bytes, max_depth: int) -> M:
    """The message that a body holds; unknown fields are ignored.

    Args:
        kind: Its type.
        body: Protobuf; no bytes are an empty message.
        max_depth: How many arrays and kvlists may be inside each other. Looked at only where the runtime fails, so the
            caller still has to hold the values of the message against it.

    Raises:
        Undecodable: It holds no such message.
    """
    try:
        return kind.FromString(body)
    except DecodeError as error:
        message = kind()
        _fill(message, body, max_depth, error)
        return message


class _Part(NamedTuple):
    """A message still to be parsed: itself, its bytes, its place and the containers around it."""

    message: Message
    data: bytes
    path: str
    depth: int


class _Field(NamedTuple):
    """One field on the wire: number, wire type, and where in the data it starts, its payload starts, and it ends."""

    number: int
    wire_type: int
    start: int
    payload: int
    end: int


def _fill(message: Message, body: bytes, max_depth: int, first_error: DecodeError) -> None:
    """Parse `body` into `message`, level by level where need be. Iterative: the depth is the sender's choice."""
    effort = _EFFORT * len(body) + _FREE_EFFORT
    stack = _parts(_Part(message, body, "", 0))
    while stack:
        part = stack.pop()
        if part.message.DESCRIPTOR.name in _CONTAINERS:
            part = part._replace(depth=part.depth + 1)
            if part.depth > max_depth:
                raise Undecodable(
                    f"A value nests arrays and kvlists {part.depth} deep or more, limits.max_depth is {max_depth}",
                    field=_shortened(part.path),
                )
        effort -= len(part.data)
        if effort < 0:
            raise Undecodable(f"The body is not protobuf: {first_error}") from first_error
        try:
            part.message.MergeFromString(part.data)
        except DecodeError:
            part.message.Clear()
            stack += _parts(part)


def _parts(whole: _Part) -> list[_Part]:
    """Take a message apart by one level: parse its own scalars, and give back the messages in it, in any order.

    Of a field that is not repeated, all occurrences are one message; of alternatives, the last one counts.
    """
    message, data, path, depth = whole
    fields = message.DESCRIPTOR.fields_by_number
    scalars: list[_Field] = []
    parts: list[_Part] = []
    single: dict[str, list[bytes]] = {}
    for occurrence in _scan(data, path):
        field = fields.get(occurrence.number)
        if field is None or occurrence.wire_type != _wire_type(field.type):
            scalars.append(occurrence)
            continue
        if (alternatives := field.containing_oneof) is not None:
            for other in alternatives.fields:
                if other is not field:
                    single.pop(other.name, None)
        if field.type != FieldDescriptor.TYPE_MESSAGE:
            scalars.append(occurrence)
            continue
        payload = data[occurrence.payload : occurrence.end]
        if field.is_repeated:
            items = getattr(message, field.name)
            parts.append(_Part(items.add(), payload, f"{path}{field.json_name}[{len(items) - 1}].", depth))
        else:
            single.setdefault(field.name, []).append(payload)
    _merge_scalars(message, data, scalars, path)
    for name, payloads in single.items():
        child = getattr(message, name)
        child.SetInParent()
        place = f"{path}{message.DESCRIPTOR.fields_by_name[name].json_name}."
        parts.append(_Part(child, b"".join(payloads), place, depth))
    return parts


def _merge_scalars(message: Message, data: bytes, scalars: list[_Field], path: str) -> None:
    try:
        message.MergeFromString(b"".join([data[field.start : field.end] for field in scalars]))
    except DecodeError as error:
        for field in scalars:
            try:
                type(message).FromString(data[field.start : field.end])
            except DecodeError as culprit:
                descriptor = message.DESCRIPTOR.fields_by_number.get(field.number)
                place = path + (descriptor.json_name if descriptor is not None else f"field {field.number}")
                what = "is not valid UTF-8" if "UTF-8" in str(culprit) else "is not what its type says"
                raise Undecodable(f"The protobuf body is wrong: {place} {what}", field=place) from culprit
        raise Undecodable(f"The protobuf body is wrong in {path or 'its first level'}") from error


def _scan(data: bytes, path: str) -> Iterator[_Field]:
    """The fields of one message in the order of the wire."""
    position = 0
    while position < len(data):
        start = position
        tag, position = _varint(data, position, path)
        number, wire_type = tag >> 3, tag & 7
        payload = position
        if wire_type == _VARINT:
            _, position = _varint(data, position, path)
        elif wire_type == _LENGTH:
            length, payload = _varint(data, position, path)
            position = payload + length
        elif wire_type in _FIXED:
            position += _FIXED[wire_type]
        else:
            raise _corrupt(path, f"wire type {wire_type} at byte {start} is none that OTLP uses")
        if not 0 < number < 1 << 29:
            raise _corrupt(path, f"{number} at byte {start} is no field number")
        if position > len(data):
            raise _corrupt(path, f"field {number} ends {position - len(data)} bytes behind the end of its message")
        yield _Field(number, wire_type, start, payload, position)


def _varint(data: bytes, position: int, path: str) -> tuple[int, int]:
    """A varint and the position after it."""
    value = 0
    for place, byte in enumerate(data[position : position + _LONGEST_VARINT]):
        value |= (byte & 0x7F) << (7 * place)
        if byte < 0x80:
            return value, position + place + 1
    raise _corrupt(path, f"the number at byte {position} does not end")


def _wire_type(field_type: int) -> int:
    if field_type in _LENGTH_TYPES:
        return _LENGTH
    if field_type in _FIXED64_TYPES:
        return _FIXED64
    return _FIXED32 if field_type in _FIXED32_TYPES else _VARINT


def _corrupt(path: str, what: str) -> Undecodable:
    place = _shortened(path)
    return Undecodable(f"The protobuf body is corrupt in {place or 'its first level'}: {what}", field=place)


def _shortened(path: str) -> str:
    """A path for a person: a deep one keeps its beginning."""
    return path[:200].rstrip(".")
