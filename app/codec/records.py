"""What the three signals share: resources and scopes, the rules of ids and times, residue, and rows.

**Residue.** What a request says and no column of its row can say stands in `residue`, a JSON object without blanks, its
keys sorted, strings escaped as in `app.codec.values`; empty if there is nothing. The shared part of it:

    {"resource": {"droppedAttributesCount": n, "entityRefs": [EntityRef as OTLP/JSON, …]},
     "scope": {"droppedAttributesCount": n}}

where zeros, empty lists and empty objects are left out. The rest is listed in `app.codec.traces`, `logs`, `metrics`.

**Resource and scope**, field by field: `Resource.attributes` → `resource` (the empty text if the message is absent) and
`service_name`; `Resource.dropped_attributes_count`, `entity_refs` → residue; `InstrumentationScope.name`, `version`,
`attributes` → `scope_name`, `scope_version`, `scope` (likewise); its `dropped_attributes_count` → residue; both
`schema_url` → `resource_schema_url`, `scope_schema_url`.

**Not kept**: which records stood in one message together, resources, scopes and metrics without records, unknown
fields, whether a scalar was written at all if it has its default, the difference between a KeyValue without a value and
one with an empty value, and the two `…_strindex` fields, which only mean something in profiles.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, ClassVar, Final, Generic, TypeVar

import orjson
from google.protobuf.message import Message
from opentelemetry.proto.common.v1.common_pb2 import ArrayValue, InstrumentationScope, KeyValue, KeyValueList
from opentelemetry.proto.resource.v1.resource_pb2 import Resource

from app.codec.contract import Bounds
from app.codec.genai import Promoted, Promotion
from app.codec.groups import Groups, Oversized, Run, too_many
from app.codec.reasons import Reason, RecordRejected, quoted
from app.codec.series import Series, series_of_resource, series_of_scope
from app.codec.values import AttributeTexts, ValueReader, entries_text
from app.errors import TooLarge, Undecodable
from app.model import Attributes, Chunk, Rejections, Table

Row = dict[str, Any]
"""One record's values by column."""

Record = TypeVar("Record", bound=Message)
"""The message of one record of a signal."""

NO_TRACE_ID: Final = bytes(16)
NO_SPAN_ID: Final = bytes(8)

_NO_ATTRIBUTES: Final = AttributeTexts([], [], "")


@dataclass(frozen=True, slots=True)
class Origin:
    """Where records come from, as far as it has been read: a resource, a scope of it, a metric of that.

    Attributes:
        columns: The columns that say so, without `residue`.
        residue: What those columns cannot say.
        promoted: Promoted columns of records that say nothing themselves.
        series: The part of the series that all points of it share.
        rejection: Why no record of it can be taken; None if they can.
    """

    columns: Mapping[str, Any]
    residue: Mapping[str, object]
    promoted: Promoted
    series: Series
    rejection: RecordRejected | None


class RecordReader(ABC, Generic[Record]):
    """Reads the records of one request into rows; a signal says how one record becomes one row.

    Attributes:
        bounds: Limits and times.
        values: Reads attributes under those limits.
        table: Where the rows go.
        promotion: The GenAI mapping of that table.
    """

    table: ClassVar[Table]
    promotion: ClassVar[Promotion]

    def __init__(self, bounds: Bounds) -> None:
        self.bounds = bounds
        self.values = ValueReader(bounds.limits)
        # Columns at once: a row as a mapping weighs five times as much, and a request may have a million.
        self._columns: dict[str, list[Any]] = {column.name: [] for column in self.table.decoded}
        self._accepted = 0
        self._weighed = 0
        self._decoded_bytes = 0
        self._rejections = Rejections()

    @abstractmethod
    def row(self, record: Record, origin: Origin) -> Row:
        """The row of one record.

        Raises:
            RecordRejected: It breaks a rule.
            Undecodable: A value is nested too deep.
        """

    @abstractmethod
    def name(self, record: Record, origin: Origin) -> str:
        """What to call a record in the example of a rejection."""

    def read_groups(self, groups: Groups, *, is_large: bool) -> Chunk:
        """Read a whole request.

        Args:
            groups: The request.
            is_large: Whether it may hold more than memory is good for: its rows are weighed then as they come.

        Raises:
            Undecodable: It is not OTLP, or a value is nested too deep.
            TooLarge: Its rows are more, or take more memory, than the limits allow.
        """
        for group in groups:
            head = group.head
            resource = self.resource(
                head.resource if head.HasField("resource") else None, head.schema_url, group.rejection
            )
            for scoped in group.parts:
                scope_head = scoped.head
                scope = self.scope(
                    resource,
                    scope_head.scope if scope_head.HasField("scope") else None,
                    scope_head.schema_url,
                    scoped.rejection,
                )
                for part in scoped.parts:
                    self.read_part(part, scope)
                    if is_large:
                        self.check_bounds()
        return self._chunk()

    def read_part(self, part: Any, origin: Origin) -> None:
        """Read what a scope repeats; here a run of records.

        Raises:
            Undecodable: As for `read_groups`.
        """
        run: Run[Record] = part
        if isinstance(run, Oversized):
            self.read(run.stub, origin, run.rejection)
            return
        for record in run:
            self.read(record, origin)

    def read(self, record: Record, origin: Origin, rejection: RecordRejected | None = None) -> None:
        """Add the row of one record, or count why there is none.

        Args:
            record: The record, or a stub of one.
            origin: What it stands in.
            rejection: What is wrong with the record, if the stub does not show it.

        Raises:
            Undecodable: A value is nested too deep, also in a record that is rejected for another reason.
        """
        try:
            if origin.rejection is not None:
                raise origin.rejection
            row = self.row(record, origin)
            if rejection is not None:
                raise rejection
        except RecordRejected as rejected:
            self._rejections.add(rejected.reason, f"{self.name(record, origin)}: {rejected.detail}")
            self._refuse_deep_values(record)
            return
        for name, column in self._columns.items():
            column.append(row[name])
        self._accepted += 1

    def resource(self, resource: Resource | None, schema_url: str, rejection: RecordRejected | None = None) -> Origin:
        """Read a resource; None if the message was not sent. `rejection` is what is known to be wrong with it."""
        attributes, rejection = self.shared_attributes(resource, "attributes", "resource.attributes", rejection)
        residue: dict[str, object] = {}
        if resource is not None and (rest := _resource_residue(resource)):
            residue["resource"] = rest
            length = len(orjson.dumps(rest))
            # It is written into the residue of each record, so it must be far smaller than a value may be.
            if length > self.bounds.limits.max_key_bytes and rejection is None:
                rejection = RecordRejected(
                    Reason.VALUE_TOO_LONG,
                    f"resource.entityRefs is {length} bytes as stored, "
                    f"limits.max_key_bytes is {self.bounds.limits.max_key_bytes}",
                )
        texts = entries_text(attributes) if resource is not None else ""
        self.count_text(texts)
        return Origin(
            columns={
                "service_name": _service_name(attributes),
                "resource": texts,
                "resource_schema_url": schema_url,
            },
            residue=residue,
            promoted=self.promotion.of_resource(attributes),
            series=series_of_resource(attributes),
            rejection=rejection,
        )

    def scope(
        self,
        origin: Origin,
        scope: InstrumentationScope | None,
        schema_url: str,
        rejection: RecordRejected | None = None,
    ) -> Origin:
        """Read a scope of a resource; None if the message was not sent. `rejection` as for `resource`."""
        attributes, rejection = self.shared_attributes(
            scope, "attributes", "scope.attributes", origin.rejection or rejection
        )
        texts = entries_text(attributes) if scope is not None else ""
        self.count_text(texts)
        name, version, dropped = (
            (scope.name, scope.version, scope.dropped_attributes_count) if scope is not None else ("", "", 0)
        )
        columns = {
            "scope_name": name,
            "scope_version": version,
            "scope": texts,
            "scope_schema_url": schema_url,
        }
        return replace(
            origin,
            columns={**origin.columns, **columns},
            residue={**origin.residue, "scope": {"droppedAttributesCount": dropped}} if dropped else origin.residue,
            series=series_of_scope(origin.series, name, version, attributes),
            rejection=rejection,
        )

    def shared_attributes(
        self, owner: Message | None, field: str, where: str, rejection: RecordRejected | None
    ) -> tuple[AttributeTexts, RecordRejected | None]:
        """Read attributes that many records share: a rule they break is broken by each of the records.

        Args:
            owner: The message that has them, if it was sent.
            field: Their field in it.
            where: As for `ValueReader.attributes`.
            rejection: What the records are rejected for already.

        Raises:
            Undecodable: A value is nested too deep.
        """
        if owner is None:
            return _NO_ATTRIBUTES, rejection
        try:
            return self.values.attributes(getattr(owner, field), where), rejection
        except RecordRejected as rejected:
            self._refuse_deep_values(owner)
            return _NO_ATTRIBUTES, rejection or rejected

    @property
    def records_seen(self) -> int:
        """Records of the request so far, taken or not."""
        return self._accepted + self._rejections.total

    def count_text(self, text: str) -> None:
        """Note a text that rows share: it takes memory once, and the rows do not tell."""
        self._decoded_bytes += len(text)

    def check_bounds(self) -> None:
        """Hold the rows so far against the bounds of a request.

        Raises:
            TooLarge: They are too many, or take too much memory.
        """
        limits = self.bounds.limits
        signal = self.table.signal
        assert signal is not None  # noqa: S101 - as below
        if self.records_seen > limits.max_records:
            raise too_many(signal.records, limits.max_records)
        first, self._weighed = self._weighed, self._accepted
        self._decoded_bytes += _weight(self.table, self._columns, first)
        if self._decoded_bytes > limits.max_decoded_bytes:
            raise TooLarge(
                f"the first {self.records_seen} {signal.records} of the request take {self._decoded_bytes} bytes in "
                f"memory, limits.max_decoded_bytes is {limits.max_decoded_bytes}"
            )

    def _chunk(self) -> Chunk:
        """All rows so far, column by column."""
        signal = self.table.signal
        assert signal is not None  # noqa: S101 - only tables of signals have readers
        return Chunk(signal=signal, rows=self._accepted, columns=self._columns, rejections=self._rejections)

    def check_time(self, unix_nano: int, what: str) -> None:
        """Hold a record's time against the bounds; `what` is its field."""
        if unix_nano < self.bounds.oldest_unix_nano:
            raise RecordRejected(
                Reason.TOO_OLD,
                f"{what} {_time(unix_nano)} is before {_time(self.bounds.oldest_unix_nano)}, where the retention ends",
            )
        if unix_nano > self.bounds.newest_unix_nano:
            raise RecordRejected(
                Reason.TOO_NEW,
                f"{what} {_time(unix_nano)} is after {_time(self.bounds.newest_unix_nano)}, "
                f"limits.max_future_seconds is {self.bounds.limits.max_future_seconds}",
            )

    def _refuse_deep_values(self, message: Message) -> None:
        """Apply the rule of depth to a message that is not read otherwise. Iterative: it may be any message."""
        stack: list[tuple[Message, int, str]] = [(message, 0, "")]
        limit = self.bounds.limits.max_depth
        while stack:
            current, depth, key = stack.pop()
            if isinstance(current, ArrayValue | KeyValueList):
                depth += 1
                if depth > limit:
                    raise Undecodable(
                        f"{quoted(key)} nests arrays and kvlists {depth} deep or more, limits.max_depth is {limit}"
                    )
            for field, value in current.ListFields():
                if field.message_type is None:
                    continue
                for child in value if field.is_repeated else (value,):
                    if not isinstance(child, KeyValue):
                        stack.append((child, depth, key))
                    # A rejected record may have a million of them: scalars are not worth a step.
                    elif child.value.HasField("kvlist_value") or child.value.HasField("array_value"):
                        stack.append((child.value, depth, key if depth else child.key))


_BYTES_AN_ATTRIBUTE: Final = 64
"""A key and a value, beside their text; two thirds of what they take where both are there for the first time."""
_BYTES_AN_ITEM: Final = 36
"""A number in a list."""


def _weight(table: Table, columns: Mapping[str, list[Any]], first: int) -> int:
    """Bytes of rows from number `first` on in what may be far larger than the bytes it was made of."""
    weight = sum(map(len, columns["residue"][first:]))
    for column in table.decoded:
        values = columns[column.name][first:]
        if column.name == "body":
            weight += sum(map(len, values))
        elif column.type.startswith("Map("):
            weight += _weight_of_attributes(values)
        elif column.type.startswith("Array(Map("):
            weight += _weight_of_attributes([attributes for value in values for attributes in value])
        elif column.type.startswith("Array("):
            weight += _BYTES_AN_ITEM * sum(map(len, values))
    return weight


def _weight_of_attributes(lists: Sequence[Attributes]) -> int:
    return sum(sum(map(len, texts)) + _BYTES_AN_ATTRIBUTE * len(texts) for _, texts in lists)


def residue_text(origin: Origin, own: Mapping[str, object] | None) -> str:
    """The column `residue` of a record that adds `own` to what its origin says."""
    residue = {**origin.residue, **own} if own else origin.residue
    return orjson.dumps(residue, option=orjson.OPT_SORT_KEYS).decode() if residue else ""


def lists_of(columns: Sequence[str], items: Sequence[tuple[object, ...]]) -> Row:
    """The columns of one or more repeated messages: for each column the list of its values, in their order."""
    return {column: list(values) for column, values in zip(columns, zip(*items, strict=True), strict=True)}


def check_ids(trace_id: bytes, span_id: bytes, reason: Reason, owner: str) -> None:
    """The rule for ids that may be missing: empty, or 16 and 8 bytes."""
    if len(trace_id) not in (0, 16):
        raise RecordRejected(reason, f"{owner}trace_id is {len(trace_id)} bytes, must be 16 or none")
    if len(span_id) not in (0, 8):
        raise RecordRejected(reason, f"{owner}span_id is {len(span_id)} bytes, must be 8 or none")


def _resource_residue(resource: Resource) -> dict[str, object]:
    residue: dict[str, object] = {}
    if resource.dropped_attributes_count:
        residue["droppedAttributesCount"] = resource.dropped_attributes_count
    if resource.entity_refs:
        residue["entityRefs"] = [
            {
                name: value
                for name, value in (
                    ("schemaUrl", reference.schema_url),
                    ("type", reference.type),
                    ("idKeys", list(reference.id_keys)),
                    ("descriptionKeys", list(reference.description_keys)),
                )
                if value
            }
            for reference in resource.entity_refs
        ]
    return residue


def _service_name(resource: AttributeTexts) -> str:
    for key, letter, text in zip(resource.keys, resource.letters, resource.texts, strict=True):
        if key == "service.name":
            return text if letter == "s" else ""
    return ""


def _time(unix_nano: int) -> str:
    seconds, nanos = divmod(unix_nano, 10**9)
    return f"{unix_nano} ({datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{nanos:09d}Z)"
