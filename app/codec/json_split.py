"""A large OTLP/JSON body to groups: cut along its brackets, and parsed a run of records at a time.

The parser (orjson) makes all of a body at once, with the interpreter held, and up to 24 bytes of objects for one of the
body. So the levels down to the records are walked here, what stands beside them becomes the head of its group, and
records are cut out in runs. Every byte that something is kept of is parsed in one of those pieces, so what is refused
as a whole is refused here too; only which of several faults is named may differ.

Brackets are found by a regular expression that steps over whole values without ever going back, at 15 ns a byte in good
bodies and 40 in the worst, and over so few bytes at a time that the interpreter is never held for long.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Final

import orjson
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from opentelemetry.proto.metrics.v1.metrics_pb2 import Metric

from app.codec.groups import REQUESTS, Group, Groups, Oversized, ScopeHead, too_many
from app.codec.json_reader import M, read_message
from app.codec.layouts import DATA, LAYOUTS, Holder, Layout
from app.codec.reasons import Reason, RecordRejected
from app.codec.sizes import RULES, broken, too_many_fields
from app.codec.wire import PIECE_BYTES
from app.errors import TooLarge, Undecodable
from app.model import Signal
from app.settings import LimitSettings

LARGE_JSON_BYTES: Final = 1 << 20
"""Up to this a body is parsed as a whole: 50 ms and 100 MiB at worst. Cutting costs half as much again as parsing."""

_DEEPEST: Final = 1_000
"""Brackets inside each other; orjson's own limit is 1,024."""
_LONGEST_KEY: Final = 100
"""Bytes of a key that may be one of ours, however it is escaped."""

_TEXT: Final = rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"'
_PLAIN: Final = rb'[^"\[\]{}]++'
_BLANK: Final = rb"[ \t\r\n]*+"


def _bracketed(levels: int) -> bytes:
    """What brackets enclose, with so many levels of brackets inside; that they match is the parser's business."""
    deeper = b"|" + _bracketed(levels - 1) if levels else b""
    return rb"[\[{](?:%b|%b%b)*+[\]}]" % (_PLAIN, _TEXT, deeper)


_VALUE: Final = _bracketed(12)  # one kvlist in another takes four
_VALUES: Final = re.compile(rb"%b(?:%b,%b%b)*+" % (_VALUE, _BLANK, _BLANK, _VALUE), re.DOTALL)
_INSIDE: Final = re.compile(rb"(?:%b|%b|%b)*+" % (_PLAIN, _TEXT, _VALUE), re.DOTALL)
_IN_TEXT: Final = re.compile(rb'(?:[^"\\]++|\\.)*+', re.DOTALL)
_ONE_SCALAR: Final = re.compile(rb'[^\s",:\[\]{}]++')
_BLANKS: Final = re.compile(_BLANK)
_ONE_VALUE: Final = re.compile(_VALUE, re.DOTALL)
_COUNTED: Final = re.compile(rb"%b|[\[{,]" % _TEXT, re.DOTALL)
_QUOTE: Final = ord('"')
_OPENING: Final = b"[{"
_DATA_BY_KEY: Final = {
    Metric.DESCRIPTOR.fields_by_number[number].json_name.encode(): data for number, data in DATA.items()
}
"""The alternatives of a metric's data."""

Member = tuple[int, int, int]
"""A member of an object in the body: where its key starts, its value starts, and it ends."""

Range = tuple[int, int]
"""A value in the body: where it starts and ends."""

Opener = Callable[[int], tuple[Any, int] | None]
"""Cuts open the value that starts at a place: what is in it, and where it ends; None if it cannot be cut open."""


@dataclass(slots=True)
class _Object:
    """An object, cut open.

    Attributes:
        own: Members whose values are left as they are, by key; of equal keys the last one.
        opened: What the other members hold, by key.
    """

    own: dict[bytes, Member] = field(default_factory=dict)
    opened: dict[bytes, Any] = field(default_factory=dict)


Cut = _Object | Range
"""An object cut open, or what stands where an object should."""


def split_json(signal: Signal, body: bytes, limits: LimitSettings) -> Groups:
    """The groups of a body, parsed as they are reached.

    Raises:
        Undecodable: It is not OTLP/JSON; at once, or when the groups are read.
        TooLarge: It holds too many resources or scopes; at once. Records are counted as they are parsed.
    """
    layout = LAYOUTS[signal]
    cutter = _Cutter(body, layout, limits)
    whole = cutter.request()
    reading = _Reading(body, cutter, limits)
    reading.head(REQUESTS[signal], whole, "")
    return _groups(reading, layout, whole)


def _groups(reading: _Reading, layout: Layout, whole: _Object) -> Groups:
    for number, group in enumerate(whole.opened.get(layout.resource_json_name.encode(), ())):
        path = f"{layout.resource_json_name}[{number}]"
        head, rejection = reading.head(layout.resource, group, path)
        scopes = _opened(group, layout.scope_json_name)
        yield Group(
            head,
            rejection,
            (
                _scope(reading, layout, scope, f"{path}.{layout.scope_json_name}[{place}]")
                for place, scope in enumerate(scopes)
            ),
        )


def _scope(reading: _Reading, layout: Layout, scope: Cut, path: str) -> Group[ScopeHead, Any]:
    head, rejection = reading.head(layout.scope, scope, path)
    return Group(head, rejection, reading.runs(layout.records, _opened(scope, layout.records.json_name), path))


def _opened(cut: Cut, key: str) -> list[Any]:
    items: list[Any] = cut.opened.get(key.encode(), []) if isinstance(cut, _Object) else []
    return items


class _Reading:
    """Parses what has been cut out."""

    def __init__(self, body: bytes, cutter: _Cutter, limits: LimitSettings) -> None:
        self._body = body
        self._cutter = cutter
        self._limits = limits

    def head(self, kind: type[M], cut: Cut, path: str) -> tuple[M, RecordRejected | None]:
        """A message without its repeated part; the rule if it breaks one on how much it may hold."""
        if not isinstance(cut, _Object):
            return self._message(kind, self._text([cut]), path), None
        members = [(start, end) for start, _, end in cut.own.values()]
        if sum(end - start for start, end in members) > PIECE_BYTES:
            try:
                self._check(kind, cut, "")
                self._check_fields(members)
            except RecordRejected as rejection:
                return kind(), rejection
        return self._message(kind, b"{%b}" % self._text(members), path), None

    def runs(self, holder: Holder, cuts: list[Cut], path: str) -> Iterator[Any]:
        """The records of a holder, each run when it is reached."""
        count = 0
        for cut in cuts:
            if isinstance(cut, _Object):
                yield self._metric(cut, f"{path}.{holder.json_name}[{count}]")
                count += 1
                continue
            start, end = cut
            if end - start > PIECE_BYTES:
                yield self._record(holder, cut, f"{path}.{holder.json_name}[{count}]")
                count += 1
                continue
            records = []
            for tree in self._parsed(b"[%b]" % self._body[start:end]):
                records.append(read_message(holder.record, tree, f"{path}.{holder.json_name}[{count}]"))
                count += 1
            yield records

    def _record(self, holder: Holder, cut: Range, path: str) -> Any:
        """A record that is longer than a piece."""
        start, end = cut
        if self._body[start : start + 1] == b"{":
            opened, _ = self._cutter.object(start, {})
            try:
                self._check(holder.record, opened, "")
                self._check_fields([cut])
            except RecordRejected as rejection:
                return Oversized(self._stub(holder.record, opened, path), rejection)
        return [self._message(holder.record, self._body[start:end], path)]

    def _metric(self, cut: _Object, path: str) -> Group[Metric, Any]:
        """A metric that is longer than a piece, its data points in runs."""
        head, rejection = self.head(Metric, cut, path)
        if rejection is not None:
            head = self._stub(Metric, cut, path)
        if not cut.opened:
            return Group(head, rejection, ())
        # Of alternatives the last one counts.
        key, data = list(cut.opened.items())[-1]
        name, holder = _DATA_BY_KEY[key]
        data_path = f"{path}.{key.decode()}"
        data_head, data_rejection = self.head(holder.kind, data, data_path)
        getattr(head, name).SetInParent()
        getattr(head, name).CopyFrom(data_head)
        points = self.runs(holder, _opened(data, holder.json_name), data_path)
        return Group(head, rejection or data_rejection, points)

    def _stub(self, kind: type[M], cut: _Object, path: str) -> M:
        """Its scalar fields."""
        scalars = [
            (start, end)
            for start, value, end in cut.own.values()
            if self._body[value] not in _OPENING and end - start <= PIECE_BYTES
        ]
        return self._message(kind, b"{%b}" % self._text(scalars), path)

    def _text(self, ranges: list[Range]) -> bytes:
        return b",".join([self._body[start:end] for start, end in ranges])

    def _message(self, kind: type[M], text: bytes, path: str) -> M:
        return read_message(kind, self._parsed(text), path)

    def _parsed(self, text: bytes) -> Any:
        try:
            return orjson.loads(text)
        except orjson.JSONDecodeError as error:
            raise Undecodable(f"The body is not valid JSON: {error.msg}.") from error

    def _check(self, kind: type[Message], cut: _Object, where: str) -> None:
        """Hold an object against the limits on its lists and texts, and those of the objects right in it."""
        fields = _fields(kind)
        for key, (_, value, end) in cut.own.items():
            known = fields.get(key)
            if known is None:
                continue
            name, child = known
            rule = RULES.get(name)
            first = self._body[value]
            if rule is not None and first == _OPENING[0]:
                if self._cutter.is_longer(value, getattr(self._limits, rule.setting)):
                    raise broken(rule, where + name, self._limits)
            elif child is not None and first == _OPENING[1]:
                self._check(child, self._cutter.object(value, {})[0], f"{where}{name}.")
            elif first == _QUOTE and end - value > self._limits.max_value_bytes:
                self._check_text(where + name, value, end)

    def _check_text(self, where: str, start: int, end: int) -> None:
        length = len(self._parsed(self._body[start:end]).encode())
        if length > self._limits.max_value_bytes:
            raise RecordRejected(
                Reason.VALUE_TOO_LONG,
                f"{where} is {length} bytes as stored, limits.max_value_bytes is {self._limits.max_value_bytes}",
            )

    def _check_fields(self, ranges: list[Range]) -> None:
        """Hold the number of members, items, objects and lists against `limits.max_fields`."""
        most = self._limits.max_fields
        at_most = sum(
            self._body.count(mark, start, min(start + PIECE_BYTES, end))
            for begin, end in ranges
            for start in range(begin, end, PIECE_BYTES)
            for mark in (b"{", b"[", b",")
        )
        if at_most <= most:
            return
        count = 0
        for start, end in ranges:
            for found in _COUNTED.finditer(self._body, start, end):
                # Those in texts do not count, and texts begin with a quote.
                count += self._body[found.start()] != _QUOTE
                if count > most:
                    raise too_many_fields(self._limits)


class _Cutter:
    """Finds out what stands where, without parsing it."""

    def __init__(self, body: bytes, layout: Layout, limits: LimitSettings) -> None:
        self._body = body
        self._limits = limits
        self._layout = layout
        self._members = 0
        self._steps = 0

    def request(self) -> _Object:
        """The whole body."""
        start = self._blank(0)
        if self._body[start : start + 1] != b"{":
            raise Undecodable("The body: it is not an object.")
        whole, end = self.object(start, {self._layout.resource_json_name.encode(): self._resources})
        if self._blank(end) != len(self._body):
            raise self._fault(end, "the end")
        return whole

    def object(self, start: int, openers: Mapping[bytes, Opener]) -> tuple[_Object, int]:
        """Cut an object open, and the values of some of its keys if they are objects or lists."""
        cut = _Object()
        at = self._blank(start + 1)
        if self._is(at, b"}"):
            return cut, at + 1
        while True:
            self._members += 1
            if self._members > self._limits.max_fields:
                raise TooLarge(
                    f"the request holds more than {self._limits.max_fields} members beside its records, "
                    f"limits.max_fields is {self._limits.max_fields}"
                )
            key, value = self._key(at)
            opener = openers.get(key)
            opened = opener(value) if opener is not None else None
            # Of equal keys the last one counts, and keeps the place of the first.
            if opened is not None:
                cut.opened[key], end = opened
                cut.own.pop(key, None)
            else:
                end = self._value_end(value)
                cut.own[key] = at, value, end
                cut.opened.pop(key, None)
            at = self._blank(end)
            if self._is(at, b"}"):
                return cut, at + 1
            at = self._after_comma(at)

    def is_longer(self, start: int, limit: int) -> bool:
        """Whether a list has more items than a limit."""
        return next(islice(self._items(start), limit, None), None) is not None

    def _resources(self, start: int) -> tuple[list[Cut], int] | None:
        return self._groups(start, "resources", {self._layout.scope_json_name.encode(): self._scopes})

    def _scopes(self, start: int) -> tuple[list[Cut], int] | None:
        return self._groups(start, "scopes", {self._layout.records.json_name.encode(): self._records})

    def _groups(self, start: int, noun: str, openers: Mapping[bytes, Opener]) -> tuple[list[Cut], int] | None:
        def group(at: int) -> tuple[Cut, int]:
            if self._is(at, b"{"):
                return self.object(at, openers)
            end = self._value_end(at)
            return (at, end), end

        return self._list(start, noun, group)

    def _records(self, start: int) -> tuple[list[Cut], int] | None:
        """A list of records as runs; of metrics, one that is longer than a piece is cut open."""
        openers = dict.fromkeys(_DATA_BY_KEY, self._data) if self._layout.records.record is Metric else None

        def run(at: int) -> tuple[Cut, int]:
            found = _VALUES.match(self._body, at, at + PIECE_BYTES)
            if found is None and openers is not None and self._is(at, b"{"):
                return self.object(at, openers)
            end = self._value_end(at) if found is None else found.end()
            return (at, end), end

        return self._list(start, self._layout.records.json_name, run)

    def _data(self, start: int) -> tuple[_Object, int] | None:
        return self.object(start, {b"dataPoints": self._points}) if self._is(start, b"{") else None

    def _points(self, start: int) -> tuple[list[Cut], int] | None:
        def run(at: int) -> tuple[Cut, int]:
            found = _VALUES.match(self._body, at, at + PIECE_BYTES)
            end = self._value_end(at) if found is None else found.end()
            return (at, end), end

        return self._list(start, "data points", run)

    def _list(self, start: int, noun: str, step: Callable[[int], tuple[Cut, int]]) -> tuple[list[Cut], int] | None:
        """What the steps over a list find, and where it ends; None if it is no list."""
        if not self._is(start, b"["):
            return None
        cuts: list[Cut] = []
        at = self._blank(start + 1)
        if self._is(at, b"]"):
            return cuts, at + 1
        while True:
            cut, end = step(at)
            cuts.append(cut)
            if len(cuts) > self._limits.max_records:
                raise too_many(noun, self._limits.max_records)
            at = self._blank(end)
            if self._is(at, b"]"):
                return cuts, at + 1
            at = self._after_comma(at)

    def _items(self, start: int) -> Iterator[int]:
        """Where the items of a list end."""
        at = self._blank(start + 1)
        while not self._is(at, b"]"):
            end = self._value_end(at)
            yield end
            at = self._blank(end)
            if not self._is(at, b"]"):
                at = self._after_comma(at)

    def _key(self, start: int) -> tuple[bytes, int]:
        """The key that starts here, and where its value starts."""
        if not self._is(start, b'"'):
            raise self._fault(start, "a key")
        end = self._text_end(start)
        key = self._body[start + 1 : end - 1]
        if b"\\" in key and len(key) <= _LONGEST_KEY:
            try:
                key = orjson.loads(self._body[start:end]).encode()
            except orjson.JSONDecodeError as error:
                raise self._fault(start, "a key") from error
        at = self._blank(end)
        if not self._is(at, b":"):
            raise self._fault(at, "a colon")
        return key, self._blank(at + 1)

    def _value_end(self, start: int) -> int:
        """Where a value ends."""
        first = self._body[start : start + 1]
        if first in {b"[", b"{"}:
            found = _ONE_VALUE.match(self._body, start, start + PIECE_BYTES)
            return self._bracket_end(start) if found is None else found.end()
        if first == b'"':
            return self._text_end(start)
        found = _ONE_SCALAR.match(self._body, start)
        if found is None:
            raise self._fault(start, "a value")
        return found.end()

    def _text_end(self, start: int) -> int:
        at = start + 1
        while True:
            found = _IN_TEXT.match(self._body, at, at + PIECE_BYTES)
            end = at if found is None else found.end()
            if self._is(end, b'"'):
                return end + 1
            if end == at:
                raise self._fault(at, "a closing quote")
            at = end

    def _bracket_end(self, start: int) -> int:
        """Where an object or a list ends that is longer, or nests deeper, than one match reaches."""
        depth, at = 1, start + 1
        while depth:
            found = _INSIDE.match(self._body, at, at + PIECE_BYTES)
            at = found.end() if found is not None else at
            mark = self._body[at : at + 1]
            if mark in {b"]", b"}"}:
                depth -= 1
                at += 1
            elif mark in {b"[", b"{"}:
                depth += 1
                at += 1
            elif mark == b'"':
                at = self._value_end(at)
            elif not mark:
                raise self._fault(at, "a closing bracket")
            self._steps += 1
            if depth > _DEEPEST or self._steps > self._limits.max_fields:
                raise Undecodable(f"The body nests brackets too deep, or too often, at byte {at}.")
        return at

    def _blank(self, at: int) -> int:
        while (found := _BLANKS.match(self._body, at, at + PIECE_BYTES)) is not None and found.end() > at:
            at = found.end()
        return at

    def _is(self, at: int, mark: bytes) -> bool:
        return self._body[at : at + 1] == mark

    def _after_comma(self, at: int) -> int:
        if not self._is(at, b","):
            raise self._fault(at, "a comma or a closing bracket")
        return self._blank(at + 1)

    def _fault(self, at: int, expected: str) -> Undecodable:
        return Undecodable(f"The body is not valid JSON: {expected} is missing at byte {at} of {len(self._body)}.")


def _fields(kind: type[Message]) -> dict[bytes, tuple[str, type[Message] | None]]:
    """Of a message, by key: the field's name in Python, and its type if it is one message other than a value."""
    fields: dict[bytes, tuple[str, type[Message] | None]] = {}
    for known in kind.DESCRIPTOR.fields:
        child: Any = known.message_type  # the stubs know two classes of descriptors, the runtime one
        is_one = child is not None and not known.is_repeated and child.name != "AnyValue"
        fields[known.json_name.encode()] = known.name, GetMessageClass(child) if is_one else None
    return fields
