"""Protobuf bytes to messages, where the runtime's own parser is not enough.

The runtime (upb) parses a body as a whole and says little when it cannot. Three things need more:

* A refusal has to name the place, and the runtime counts messages inside each other, of which it takes one hundred,
  while our limit counts arrays and kvlists: 32 kvlists are 101 messages deep in a span. So a message that cannot be
  parsed as a whole is taken apart by one level, and its parts are parsed by themselves, and so on, down the one path
  that leads to the trouble (`parse`).
* The runtime holds the interpreter while it parses, 60 to 160 ns a message and so seconds for the worst of bodies. So
  a large message is parsed piece by piece into the same object: protobuf says that parsing two pieces one after the
  other is parsing them joined (`assemble`).
* Who wants to know what a message holds before it costs memory walks over its fields (`scan`).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple, TypeVar

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import DecodeError, Message

from app.errors import Undecodable

M = TypeVar("M", bound=Message)

Field = tuple[int, int, int, int, int]
"""One field on the wire: number, wire type, and where it starts, its payload starts, and it ends."""

_CONTAINERS: Final = frozenset({"ArrayValue", "KeyValueList"})
# Each level of the descent parses what is below it once more. So many bytes may be parsed for one byte of the body, and
# so many in any case, until the search for the place is given up: senders of rubbish do not decide about our time.
_EFFORT: Final = 8
_FREE_EFFORT: Final = 16 * 2**20

PIECE_BYTES: Final = 128 << 10
"""What the runtime gets at once of a large body: 10 ms and 15 MiB of messages at worst, and not felt in good bodies."""

VARINT, FIXED64, LENGTH, FIXED32 = 0, 1, 2, 5
"""Wire types; 3 and 4 are the ends of a group."""
_GROUP, _END_OF_GROUP = 3, 4
_FIXED: Final = {FIXED64: 8, FIXED32: 4}
_LONGEST_VARINT: Final = 10
_LONGEST_TAG: Final = 5
_DEEPEST_GROUP: Final = 100  # as the runtime
_LENGTH_TYPES: Final = frozenset(
    {FieldDescriptor.TYPE_STRING, FieldDescriptor.TYPE_BYTES, FieldDescriptor.TYPE_MESSAGE}
)
_FIXED64_TYPES: Final = frozenset(
    {FieldDescriptor.TYPE_FIXED64, FieldDescriptor.TYPE_SFIXED64, FieldDescriptor.TYPE_DOUBLE}
)
_FIXED32_TYPES: Final = frozenset(
    {FieldDescriptor.TYPE_FIXED32, FieldDescriptor.TYPE_SFIXED32, FieldDescriptor.TYPE_FLOAT}
)


class Stretch(NamedTuple):
    """A message in a larger body: `data[start:stop]`, and its path, empty or ending in a point, for refusals."""

    data: bytes
    start: int
    stop: int
    path: str


def parse(kind: type[M], body: bytes, max_depth: int, *, path: str = "", first: int = 0) -> M:
    """The message that a body holds; unknown fields are ignored.

    Args:
        kind: Its type.
        body: Protobuf; no bytes are an empty message.
        max_depth: How many arrays and kvlists may be inside each other. Looked at only where the runtime fails, so the
            caller still has to hold the values of the message against it.
        path: Where it stands in the request, for refusals: empty, or ending in a point.
        first: What number its first repeated field has there.

    Raises:
        Undecodable: It holds no such message.
    """
    try:
        return kind.FromString(body)
    except DecodeError as error:
        message = kind()
        _fill(message, body, max_depth, error, path=path, first=first)
        return message


def assemble(message: Message, stretch: Stretch, max_depth: int, depth: int = 0) -> None:
    """Merge a large message into one of its type, so that no call of the runtime takes long.

    What comes of it is what the runtime makes of the whole. Recursive, by one step a large message inside a large one,
    of which only arrays and kvlists can be many.

    Args:
        message: To merge into.
        stretch: Its bytes.
        max_depth: How many arrays and kvlists may be inside each other, looked at only where they are large.
        depth: How many are around it.

    Raises:
        Undecodable: As for `parse`.
    """
    data, begin, end, path = stretch
    if message.DESCRIPTOR.name in _CONTAINERS:
        depth += 1
        if depth > max_depth:
            raise _too_deep(depth, max_depth, path)
    fields = message.DESCRIPTOR.fields_by_number
    for number, wire_type, start, payload, after in scan(data, begin, end, path):
        field = fields.get(number)
        is_message = wire_type == LENGTH and field is not None and field.type == FieldDescriptor.TYPE_MESSAGE
        if field is not None and is_message and after - start > PIECE_BYTES:
            _merge(message, data[begin:start], max_depth, (path, depth))
            child, name = getattr(message, field.name), field.json_name
            if field.is_repeated:
                name = f"{name}[{len(child)}]"
                child = child.add()
            else:
                child.SetInParent()
            assemble(child, Stretch(data, payload, after, f"{path}{name}."), max_depth, depth)
            begin = after
        elif after - begin > PIECE_BYTES:
            _merge(message, data[begin:start], max_depth, (path, depth))
            begin = start
    _merge(message, data[begin:end], max_depth, (path, depth))


def _merge(message: Message, piece: bytes, max_depth: int, place: tuple[str, int]) -> None:
    """Merge whole fields of a message into it; `place` is its path, and how many arrays and kvlists it is in."""
    try:
        # First beside it: what fails half-way would leave half of it.
        type(message).FromString(piece)
    except DecodeError as error:
        _fill(message, piece, max_depth, error, path=place[0], depth=place[1])
    else:
        message.MergeFromString(piece)


class _Part(NamedTuple):
    """A message still to be parsed: itself, its bytes, its place and the containers around it."""

    message: Message
    data: bytes
    path: str
    depth: int


def _fill(
    message: Message,
    body: bytes,
    max_depth: int,
    first_error: DecodeError,
    *,
    path: str = "",
    depth: int = 0,
    first: int = 0,
) -> None:
    """Merge `body` into `message`, level by level where need be. Iterative: the depth is the sender's choice."""
    effort = _EFFORT * len(body) + _FREE_EFFORT
    stack = _parts(_Part(message, body, path, depth), first)
    while stack:
        part = stack.pop()
        if part.message.DESCRIPTOR.name in _CONTAINERS:
            part = part._replace(depth=part.depth + 1)
            if part.depth > max_depth:
                raise _too_deep(part.depth, max_depth, part.path)
        effort -= len(part.data)
        if effort < 0:
            raise Undecodable(f"The body is not protobuf: {first_error}") from first_error
        try:
            part.message.MergeFromString(part.data)
        except DecodeError:
            part.message.Clear()
            stack += _parts(part)


def _parts(whole: _Part, first: int = 0) -> list[_Part]:
    """Take a message apart by one level: parse its own scalars, and give back the messages in it, in any order.

    Of a field that is not repeated, all occurrences are one message; of alternatives, the last one counts.
    """
    message, data, path, depth = whole
    fields = message.DESCRIPTOR.fields_by_number
    scalars: list[Field] = []
    parts: list[_Part] = []
    single: dict[str, list[bytes]] = {}
    for occurrence in scan(data, 0, len(data), path):
        number, wire_type, _, start, end = occurrence
        field = fields.get(number)
        if field is None or wire_type != _wire_type(field.type):
            scalars.append(occurrence)
            continue
        if (alternatives := field.containing_oneof) is not None:
            for other in alternatives.fields:
                if other is not field:
                    single.pop(other.name, None)
        if field.type != FieldDescriptor.TYPE_MESSAGE:
            scalars.append(occurrence)
            continue
        payload = data[start:end]
        if field.is_repeated:
            items = getattr(message, field.name)
            place = f"{path}{field.json_name}[{first + len(items)}]."
            parts.append(_Part(items.add(), payload, place, depth))
        else:
            single.setdefault(field.name, []).append(payload)
    _merge_scalars(message, data, scalars, path)
    for name, payloads in single.items():
        child = getattr(message, name)
        child.SetInParent()
        place = f"{path}{message.DESCRIPTOR.fields_by_name[name].json_name}."
        parts.append(_Part(child, b"".join(payloads), place, depth))
    return parts


def _merge_scalars(message: Message, data: bytes, scalars: list[Field], path: str) -> None:
    try:
        message.MergeFromString(b"".join([data[start:end] for _, _, start, _, end in scalars]))
    except DecodeError as error:
        for number, _, start, _, end in scalars:
            try:
                type(message).FromString(data[start:end])
            except DecodeError as culprit:
                descriptor = message.DESCRIPTOR.fields_by_number.get(number)
                place = path + (descriptor.json_name if descriptor is not None else f"field {number}")
                what = "is not valid UTF-8" if "UTF-8" in str(culprit) else "is not what its type says"
                raise Undecodable(f"The protobuf body is wrong: {place} {what}", field=place) from culprit
        raise Undecodable(f"The protobuf body is wrong in {path or 'its first level'}") from error


def scan(data: bytes, position: int, end: int, path: str) -> Iterator[Field]:
    """The fields of one message, `data[position:end]`, in the order of the wire; a group is one field.

    Args:
        data: A body.
        position: Where the message starts in it.
        end: Where it ends.
        path: Its place in the request, for refusals: empty, or ending in a point.

    Raises:
        Undecodable: These are no fields.
    """
    while position < end:
        start = position
        tag = data[position]
        position += 1
        # Nearly all tags and lengths are one byte, and bodies have millions of them: no call for those.
        if tag >= 0x80:
            tag, position = _varint(data, start, end, path, _LONGEST_TAG)
        payload = position
        wire_type = tag & 7
        if wire_type == LENGTH:
            length = data[position] if position < end else 0x80
            payload = position + 1
            if length >= 0x80:
                length, payload = _varint(data, position, end, path, _LONGEST_TAG)
            position = payload + length
        elif wire_type == VARINT:
            _, position = _varint(data, position, end, path, _LONGEST_VARINT)
        elif wire_type in _FIXED:
            position += _FIXED[wire_type]
        elif wire_type == _GROUP:
            position = _end_of_group(data, start, end, path)
        else:
            raise _corrupt(path, f"wire type {wire_type} at byte {start} is none that OTLP uses")
        if not 0 < tag >> 3 < 1 << 29:
            raise _corrupt(path, f"{tag >> 3} at byte {start} is no field number")
        if position > end:
            raise _corrupt(path, f"field {tag >> 3} ends {position - end} bytes behind the end of its message")
        yield tag >> 3, wire_type, start, payload, position


def _end_of_group(data: bytes, position: int, end: int, path: str) -> int:
    """Where the group that starts at `position` ends. OTLP has none, but a field that is not known may be one."""
    open_groups: list[int] = []
    while position < end:
        start = position
        tag, position = _varint(data, position, end, path, _LONGEST_TAG)
        wire_type = tag & 7
        if wire_type == LENGTH:
            length, position = _varint(data, position, end, path, _LONGEST_TAG)
            position += length
        elif wire_type == VARINT:
            _, position = _varint(data, position, end, path, _LONGEST_VARINT)
        elif wire_type in _FIXED:
            position += _FIXED[wire_type]
        elif wire_type == _GROUP and len(open_groups) < _DEEPEST_GROUP:
            open_groups.append(tag >> 3)
        elif wire_type == _END_OF_GROUP and open_groups[-1] == tag >> 3:
            open_groups.pop()
            if not open_groups:
                return position
        else:
            raise _corrupt(path, f"wire type {wire_type} at byte {start} is none that OTLP uses")
    raise _corrupt(path, "a group does not end")


def _varint(data: bytes, position: int, end: int, path: str, longest: int) -> tuple[int, int]:
    """A varint and the position after it."""
    value = 0
    for place, byte in enumerate(data[position : min(position + longest, end)]):
        value |= (byte & 0x7F) << (7 * place)
        if byte < 0x80:
            return value, position + place + 1
    raise _corrupt(path, f"the number at byte {position} does not end")


def _wire_type(field_type: int) -> int:
    if field_type in _LENGTH_TYPES:
        return LENGTH
    if field_type in _FIXED64_TYPES:
        return FIXED64
    return FIXED32 if field_type in _FIXED32_TYPES else VARINT


def _too_deep(depth: int, max_depth: int, path: str) -> Undecodable:
    return Undecodable(
        f"A value nests arrays and kvlists {depth} deep or more, limits.max_depth is {max_depth}",
        field=_shortened(path),
    )


def _corrupt(path: str, what: str) -> Undecodable:
    place = _shortened(path)
    return Undecodable(f"The protobuf body is corrupt in {place or 'its first level'}: {what}", field=place)


def _shortened(path: str) -> str:
    """A path for a person: a deep one keeps its beginning."""
    return path[:200].rstrip(".")
