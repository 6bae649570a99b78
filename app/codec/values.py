r"""An OTLP AnyValue as one letter and one text, the notation of all attribute columns and of log bodies.

| letter | value | text |
|---|---|---|
| s | string | itself |
| i | integer | decimal, `-9223372036854775808` to `9223372036854775807` |
| d | double | see below |
| b | boolean | `true`, `false` |
| y | bytes | base64 of RFC 4648 §4, padded |
| e | no value, or no AnyValue at all | empty |
| a | array | plain JSON |
| m | kvlist | plain JSON object, its keys in the order received |
| A | array that plain JSON would not keep | OTLP/JSON AnyValue |
| M | kvlist that plain JSON would not keep | OTLP/JSON AnyValue |

* **Doubles** have the fewest digits that read back as the same number, and always a point or an exponent: positional
  from 1e-4 to below 1e16 (`1.0`, `0.0001`, `-0.0`), else one digit, the rest after a point if there is a rest, and an
  exponent of a sign and at least two digits (`1e+22`, `1.5e-07`). This is what Python's `repr` writes. Not a number and
  the infinities are `NaN`, `Infinity`, `-Infinity`.
* **Plain JSON** has no blanks. Integers are written without point and exponent and doubles with one, so they stay
  apart. In strings only `"`, `\` and the characters below U+0020 are escaped: `\b`, `\f`, `\n`, `\r`, `\t`, the
  others as `\u00xx` in lowercase hex.
* **Plain JSON would not keep** bytes, an empty value, NaN and infinities, and a kvlist in which a key comes twice.
  Where one of them stands at any depth, the whole top-level value is written as **OTLP/JSON**, again without blanks:
  exactly one of `{"stringValue":"…"}`, `{"boolValue":true}`, `{"intValue":"1"}` (a string), `{"doubleValue":1.0}` (or
  `"NaN"`, `"Infinity"`, `"-Infinity"`), `{"bytesValue":"AQI="}`, `{}` for no value,
  `{"arrayValue":{"values":[…]}}`, `{"kvlistValue":{"values":[{"key":"…","value":{…}}]}}`; `values`, `key` and `value`
  are always there.
* **Depth** counts arrays and kvlists: a scalar has depth 0, `[1]` and `[]` have 1, `[[1]]` has 2. More than
  `limits.max_depth` refuses the whole request.
* `string_value_strindex` and `key_strindex` belong to the profiles signal; elsewhere the protocol wants them treated as
  absent, and so they are: letter e, an empty key.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Sequence
from json.encoder import encode_basestring
from typing import Final, NamedTuple

import orjson
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue

from app.codec.reasons import Reason, RecordRejected, quoted
from app.errors import Undecodable
from app.settings import LimitSettings

_NOT_A_NUMBER: Final = {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}
_LONGEST_CHARACTER: Final = 4  # bytes of UTF-8


class AttributeTexts(NamedTuple):
    """One attribute list in the order received, doubled keys kept.

    Attributes:
        keys: Keys.
        texts: Value texts, one a key.
        letters: Value letters, one a key, joined.
    """

    keys: list[str]
    texts: list[str]
    letters: str


def double_text(value: float) -> str:
    """A double in the notation of this module."""
    text = repr(value)
    return _NOT_A_NUMBER.get(text, text)


def entries_text(attributes: AttributeTexts) -> str:
    """The JSON array of [key, letter, text] that `resource`, `scope` and `metric_metadata` hold.

    Written as plain JSON (see above); an empty list is `[]`.
    """
    # Without floats, orjson writes the very same text as the rules above.
    return orjson.dumps(list(zip(attributes.keys, attributes.letters, attributes.texts, strict=True))).decode()


class ValueReader:
    """Reads values under the limits of one request."""

    __slots__ = ("_limits", "_max_attributes", "_max_depth", "_surely_short_key", "_surely_short_value")

    def __init__(self, limits: LimitSettings) -> None:
        self._limits = limits
        self._max_depth = limits.max_depth
        self._max_attributes = limits.max_attributes
        # Up to so many characters no length in bytes has to be looked at.
        self._surely_short_key = limits.max_key_bytes // _LONGEST_CHARACTER
        self._surely_short_value = limits.max_value_bytes // _LONGEST_CHARACTER

    def attributes(self, attributes: Sequence[KeyValue], where: str) -> AttributeTexts:
        """Read one attribute list.

        Args:
            attributes: The list.
            where: Its OTLP/JSON name below the record, for messages.

        Raises:
            RecordRejected: It is too long, or one of its keys or values is.
            Undecodable: A value is nested too deep.
        """
        if len(attributes) > self._max_attributes:
            raise RecordRejected(
                Reason.TOO_MANY_ATTRIBUTES,
                f"{where} holds {len(attributes)} entries, limits.max_attributes is {self._max_attributes}; "
                f"the first one over it is {quoted(attributes[self._max_attributes].key)}",
            )
        keys: list[str] = []
        texts: list[str] = []
        letters: list[str] = []
        for attribute in attributes:
            key = attribute.key
            if len(key) > self._surely_short_key:
                self._check_key(key, where)
            value = attribute.value
            # The common kinds stand here and not behind a call: this loop is the price of a span. A string that is not
            # empty can only be the kind that is set.
            if text := value.string_value:
                letter = "s"
            elif (kind := value.WhichOneof("value")) == "int_value":
                letter, text = "i", str(value.int_value)
            elif kind == "bool_value":
                letter, text = "b", "true" if value.bool_value else "false"
            elif kind == "double_value":
                letter, text = "d", double_text(value.double_value)
            else:
                letter, text = self._uncommon(value, kind, key, where)
            if len(text) > self._surely_short_value:
                self._check_value(text, key, where)
            keys.append(key)
            texts.append(text)
            letters.append(letter)
        return AttributeTexts(keys, texts, "".join(letters))

    def value(self, value: AnyValue, where: str) -> tuple[str, str]:
        """Read a value that has no key, a log body: its letter and its text.

        Raises:
            RecordRejected: Its text is too long.
            Undecodable: It is nested too deep.
        """
        letter, text = self._uncommon(value, value.WhichOneof("value"), "", where)
        if len(text) > self._surely_short_value:
            self._check_value(text, "", where)
        return letter, text

    def _uncommon(self, value: AnyValue, kind: str | None, key: str, where: str) -> tuple[str, str]:  # noqa: PLR0911 - one a kind
        match kind:
            case "double_value":
                return "d", double_text(value.double_value)
            case "bool_value":
                return "b", "true" if value.bool_value else "false"
            case "bytes_value":
                return "y", b64encode(value.bytes_value).decode("ascii")
            case "array_value" | "kvlist_value":
                try:
                    return self._container(value, "a" if kind == "array_value" else "m")
                except _TooDeep:
                    raise Undecodable(
                        f"{_place(key, where)} nests arrays and kvlists {self._max_depth + 1} deep or more, "
                        f"limits.max_depth is {self._max_depth}",
                        field=where,
                    ) from None
            case "string_value":
                return "s", value.string_value
            case "int_value":
                return "i", str(value.int_value)
            case _:
                return "e", ""

    def _container(self, value: AnyValue, letter: str) -> tuple[str, str]:
        try:
            return letter, self._plain(value, 1)
        except _Lossy:
            return letter.upper(), self._exact(value, 1)

    def _plain(self, value: AnyValue, depth: int) -> str:
        """Plain JSON; `depth` is that of `value` if it is a container. Raises _Lossy if something would be lost."""
        match value.WhichOneof("value"):
            case "string_value":
                return encode_basestring(value.string_value)
            case "int_value":
                return str(value.int_value)
            case "double_value":
                number = repr(value.double_value)
                if number in _NOT_A_NUMBER:
                    raise _Lossy
                return number
            case "bool_value":
                return "true" if value.bool_value else "false"
            case "array_value":
                self._check_depth(depth)
                return f"[{','.join([self._plain(item, depth + 1) for item in value.array_value.values])}]"
            case "kvlist_value":
                self._check_depth(depth)
                members = value.kvlist_value.values
                if len({member.key for member in members}) < len(members):
                    raise _Lossy
                texts = [
                    f"{encode_basestring(member.key)}:{self._plain(member.value, depth + 1)}" for member in members
                ]
                return f"{{{','.join(texts)}}}"
            case _:
                raise _Lossy

    def _exact(self, value: AnyValue, depth: int) -> str:  # noqa: PLR0911 - one a kind
        """OTLP/JSON of an AnyValue."""
        match value.WhichOneof("value"):
            case None:
                return "{}"
            case "string_value":
                return f'{{"stringValue":{encode_basestring(value.string_value)}}}'
            case "int_value":
                return f'{{"intValue":"{value.int_value}"}}'
            case "double_value":
                number = repr(value.double_value)
                if number in _NOT_A_NUMBER:
                    number = f'"{_NOT_A_NUMBER[number]}"'
                return f'{{"doubleValue":{number}}}'
            case "bool_value":
                return f'{{"boolValue":{"true" if value.bool_value else "false"}}}'
            case "bytes_value":
                return f'{{"bytesValue":"{b64encode(value.bytes_value).decode("ascii")}"}}'
            case "array_value":
                self._check_depth(depth)
                items = ",".join(self._exact(item, depth + 1) for item in value.array_value.values)
                return f'{{"arrayValue":{{"values":[{items}]}}}}'
            case "kvlist_value":
                self._check_depth(depth)
                members = ",".join(
                    f'{{"key":{encode_basestring(member.key)},"value":{self._exact(member.value, depth + 1)}}}'
                    for member in value.kvlist_value.values
                )
                return f'{{"kvlistValue":{{"values":[{members}]}}}}'
            case _:
                return "{}"

    def _check_depth(self, depth: int) -> None:
        if depth > self._max_depth:
            raise _TooDeep

    def _check_key(self, key: str, where: str) -> None:
        length = len(key.encode())
        if length > self._limits.max_key_bytes:
            raise RecordRejected(
                Reason.KEY_TOO_LONG,
                f"key {quoted(key)} in {where} is {length} bytes, limits.max_key_bytes is {self._limits.max_key_bytes}",
            )

    def _check_value(self, text: str, key: str, where: str) -> None:
        length = len(text.encode())
        if length > self._limits.max_value_bytes:
            raise RecordRejected(
                Reason.VALUE_TOO_LONG,
                f"{_place(key, where)} is {length} bytes as stored, "
                f"limits.max_value_bytes is {self._limits.max_value_bytes}",
            )


class _TooDeep(Exception):
    """A value is nested deeper than allowed; becomes Undecodable where its key is known."""


class _Lossy(Exception):
    """Plain JSON would not keep this value."""


def _place(key: str, where: str) -> str:
    return f"{quoted(key)} in {where}" if key else where
