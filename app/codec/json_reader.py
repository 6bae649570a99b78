"""OTLP/JSON bodies to the protobuf messages that the decoder reads.

The mapping is proto3 JSON with the deviations of the OTLP specification, and stricter or milder where neither decides:

* `trace_id`, `span_id` and `parent_span_id` are hexadecimal in either case; their length is the decoder's business,
  since a wrong length costs one record and not the request. All other bytes are base64, standard or URL-safe, padded
  or not.
* Enums are integers; names are refused. Unknown numbers are kept.
* Keys are lowerCamelCase; everything else is an unknown field, and those are ignored at any depth below 1,000.
* Integers are numbers or decimal strings and must fit their type. A number with a fraction or an exponent is taken if
  it is integral (`1.0`, `1e3`).
* Doubles are numbers, numeric strings, "NaN", "Infinity" or "-Infinity". A number beyond the doubles is refused.
* `null` is the default of any field and an empty message in a list of messages. The exception is a double that is one
  of several alternatives (`{"doubleValue": null}`, `{"asDouble": null}`): JavaScript writes NaN so, and NaN is stored.
* Of several alternatives in one object the last one counts, as on the wire. Of equal keys in one object, likewise.

The readers are made from the message descriptors, so a field that a newer opentelemetry-proto brings is read at once.
`google.protobuf.json_format` is not used: it takes ids for base64, accepts what OTLP forbids and is ten times slower.
"""

from __future__ import annotations

import base64
import binascii
import math
import re
from collections.abc import Callable
from functools import cache
from typing import Any, Final, TypeVar

import orjson
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue

from app.codec.groups import REQUESTS, Request
from app.errors import Undecodable
from app.model import Signal

MAX_DEPTH: Final = 66
"""AnyValues inside each other that are walked: the recursion is bounded here. The rule is `limits.max_depth`, which is
at most 64 containers and one value in the innermost; the decoder that knows it speaks first."""

M = TypeVar("M", bound=Message)

Reader = Callable[[Any, int], Any]
"""From a JSON value, at a depth of AnyValues, to what a message's constructor takes."""

_IDS: Final = frozenset({"trace_id", "span_id", "parent_span_id"})
_NUMBER: Final = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?")
_SPECIAL: Final = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}
_LONGEST_QUOTE: Final = 64
_TO_STANDARD: Final = str.maketrans("-_", "+/")


def read_request(signal: Signal, body: bytes) -> Request:
    """Read one OTLP/JSON body; no bytes at all are a request without data.

    Raises:
        Undecodable: It is not JSON, or not OTLP/JSON; `field` is the path of the offender.
    """
    message_type = REQUESTS[signal]
    if not body:
        return message_type()
    try:
        tree = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise Undecodable(f"The body is not valid JSON: {error}.") from error
    if tree is None:
        raise Undecodable("The body: null is not an object.")
    return read_message(message_type, tree, "")


def read_message(kind: type[M], tree: Any, path: str) -> M:
    """Read a message from parsed JSON.

    Args:
        kind: Its type.
        tree: The JSON.
        path: Where it stands in the request, for refusals; empty for the whole.

    Raises:
        Undecodable: It is not OTLP/JSON; `field` is the path of the offender.
    """
    try:
        return kind(**_message_reader(kind.DESCRIPTOR)(tree, 0))
    except _Misfit as misfit:
        place = f"{path}{misfit.path and '.' if path else ''}{misfit.path}"
        raise Undecodable(f"{place or 'The body'}: {misfit.complaint}.", field=place) from misfit


class _Misfit(Exception):
    """A JSON value that does not fit its field. The path is put together on the way out, so good bodies pay nothing."""

    def __init__(self, complaint: str) -> None:
        super().__init__(complaint)
        self.complaint = complaint
        self._steps: list[str] = []

    def below(self, step: str) -> _Misfit:
        """The same, seen from one level further out."""
        self._steps.append(step)
        return self

    @property
    def path(self) -> str:
        """Such as `resourceSpans[0].scopeSpans[2].spans[1].traceId`."""
        return "".join(reversed(self._steps)).removeprefix(".")


def _shown(value: Any) -> str:
    if value.__class__ is dict:
        return "an object"
    if value.__class__ is list:
        return "a list"
    cut = value.__class__ is str and len(value) > _LONGEST_QUOTE
    return orjson.dumps(f"{value[:_LONGEST_QUOTE]}…" if cut else value).decode()


def _misfit(value: Any, wanted: str) -> _Misfit:
    return _Misfit(f"{_shown(value)} is not {wanted}")


@cache
def _message_reader(descriptor: Descriptor) -> Reader:
    """The reader of one message type: a JSON object to keyword arguments of its class."""
    fields: dict[str, tuple[str, type | None, Reader]] | None = None
    step = 1 if descriptor.full_name == AnyValue.DESCRIPTOR.full_name else 0

    def read(tree: Any, depth: int) -> dict[str, Any]:
        # Message types contain themselves, so the table is made at the first use and not with the reader.
        nonlocal fields
        if fields is None:
            fields = {field.json_name: _field_reader(field) for field in descriptor.fields}
        if tree.__class__ is not dict:
            return _no_object(tree)
        depth += step
        if depth > MAX_DEPTH:
            raise _Misfit(f"values are nested deeper than {MAX_DEPTH} levels")
        made: dict[str, Any] = {}
        for key, value in tree.items():
            field = fields.get(key)
            if field is None:
                continue
            name, plain, read_value = field
            if value.__class__ is plain:
                made[name] = value
            elif value is not None or read_value is _read_double_or_nan:
                try:
                    made[name] = read_value(value, depth)
                except _Misfit as misfit:
                    raise misfit.below(f".{key}") from None
        return made

    return read


def _field_reader(field: FieldDescriptor) -> tuple[str, type | None, Reader]:
    """Name of the field in Python, the JSON type that needs no reading, and the reader of all else."""
    plain, read = _value_reader(field)
    if field.is_repeated:
        if field.message_type is not None and field.message_type.full_name == KeyValue.DESCRIPTOR.full_name:
            read = _attribute_reader(read)
        return field.name, None, _list_reader(read)
    return field.name, plain, read


def _value_reader(field: FieldDescriptor) -> tuple[type | None, Reader]:
    if field.message_type is not None:
        return None, _message_reader(field.message_type)
    if field.type == FieldDescriptor.TYPE_BYTES:
        return None, _read_id if field.name in _IDS else _read_base64
    plain, read = _SCALARS[field.type]
    oneof = field.containing_oneof
    if read is _read_double and oneof is not None and len(oneof.fields) > 1:
        return plain, _read_double_or_nan
    return plain, read


def _attribute_reader(read: Reader) -> Reader:
    """A short cut around `read` for the nine of ten attributes that are a key and one scalar."""
    fields = AnyValue.DESCRIPTOR.fields
    scalars = {field.json_name: _field_reader(field) for field in fields if field.message_type is None}

    def read_attribute(tree: Any, depth: int) -> Any:
        if tree.__class__ is dict and len(tree) == 2 and depth < MAX_DEPTH:
            key = tree.get("key")
            value = tree.get("value")
            if key.__class__ is str and value.__class__ is dict and len(value) == 1:
                [(kind, scalar)] = value.items()
                name, plain, read_scalar = scalars.get(kind, _UNKNOWN)
                if scalar.__class__ is plain:
                    return {"key": key, "value": {name: scalar}}
                if name and scalar is not None:
                    try:
                        return {"key": key, "value": {name: read_scalar(scalar, depth)}}
                    except _Misfit as misfit:
                        raise misfit.below(f".value.{kind}") from None
        return read(tree, depth)

    return read_attribute


def _list_reader(read: Reader) -> Reader:
    def read_list(values: Any, depth: int) -> list[Any]:
        if values.__class__ is not list:
            raise _misfit(values, "a list")
        made: list[Any] = []
        try:
            for value in values:
                made.append(read(value, depth))  # noqa: PERF401  the length says which one failed
        except _Misfit as misfit:
            raise misfit.below(f"[{len(made)}]") from None
        return made

    return read_list


def _no_object(tree: Any) -> dict[str, Any]:
    if tree is None:
        return {}
    raise _misfit(tree, "an object")


def _read_string(value: Any, _depth: int) -> str:
    if value.__class__ is str:
        return str(value)
    raise _misfit(value, "a string")


def _read_bool(value: Any, _depth: int) -> bool:
    if value.__class__ is bool:
        return bool(value)
    raise _misfit(value, "true or false")


def _read_id(value: Any, _depth: int) -> bytes:
    if value.__class__ is str:
        try:
            return binascii.unhexlify(value)
        except ValueError:
            pass
    raise _misfit(value, "an even number of hexadecimal digits")


def _read_base64(value: Any, _depth: int) -> bytes:
    if value.__class__ is str:
        digits = value.translate(_TO_STANDARD).rstrip("=")
        try:
            return base64.b64decode(digits + "=" * (-len(digits) % 4), validate=True)
        except ValueError:
            pass
    raise _misfit(value, "base64")


def _read_enum(value: Any, depth: int) -> int:
    if value.__class__ is str:
        raise _Misfit(f"{_shown(value)} is not a number; enums are written as integers")
    return int(_read_int32(value, depth))


def _read_double(value: Any, _depth: int) -> float:
    if value.__class__ is float:
        return float(value)
    if value.__class__ is int:
        return float(value)
    if value.__class__ is str:
        if value in _SPECIAL:
            return _SPECIAL[value]
        if _NUMBER.fullmatch(value):
            number = float(value)
            if math.isinf(number):
                raise _misfit(value, "within the range of doubles")
            return number
    raise _misfit(value, "a number, or one of the strings NaN, Infinity, -Infinity")


def _read_double_or_nan(value: Any, depth: int) -> float:
    return math.nan if value is None else _read_double(value, depth)


def _integer_reader(least: int, most: int) -> Reader:
    def read_integer(value: Any, _depth: int) -> int:
        number: int
        if value.__class__ is int:
            number = value
        elif value.__class__ is str and value.isascii() and len(value) <= 20 and value.removeprefix("-").isdigit():
            number = int(value)
        elif value.__class__ is float and value.is_integer() and -(2.0**63) < value <= most:
            # Integers beyond 64 bits arrive here, rounded, as -2^63 or less or 2^64 or more: those must not slip in.
            number = int(value)
        else:
            raise _misfit(value, f"an integer between {least} and {most}")
        if least <= number <= most:
            return number
        raise _misfit(value, f"an integer between {least} and {most}")

    return read_integer


_read_int32: Final = _integer_reader(-(1 << 31), (1 << 31) - 1)
_read_int64: Final = _integer_reader(-(1 << 63), (1 << 63) - 1)
_read_uint32: Final = _integer_reader(0, (1 << 32) - 1)
_read_uint64: Final = _integer_reader(0, (1 << 64) - 1)

_UNKNOWN: Final[tuple[str, type | None, Reader]] = ("", None, _read_string)
_SCALARS: Final[dict[int, tuple[type | None, Reader]]] = {
    FieldDescriptor.TYPE_STRING: (str, _read_string),
    FieldDescriptor.TYPE_BOOL: (bool, _read_bool),
    FieldDescriptor.TYPE_ENUM: (None, _read_enum),
    FieldDescriptor.TYPE_DOUBLE: (float, _read_double),
    FieldDescriptor.TYPE_FLOAT: (float, _read_double),
    FieldDescriptor.TYPE_INT32: (None, _read_int32),
    FieldDescriptor.TYPE_SINT32: (None, _read_int32),
    FieldDescriptor.TYPE_SFIXED32: (None, _read_int32),
    FieldDescriptor.TYPE_INT64: (None, _read_int64),
    FieldDescriptor.TYPE_SINT64: (None, _read_int64),
    FieldDescriptor.TYPE_SFIXED64: (None, _read_int64),
    FieldDescriptor.TYPE_UINT32: (None, _read_uint32),
    FieldDescriptor.TYPE_FIXED32: (None, _read_uint32),
    FieldDescriptor.TYPE_UINT64: (None, _read_uint64),
    FieldDescriptor.TYPE_FIXED64: (None, _read_uint64),
}
