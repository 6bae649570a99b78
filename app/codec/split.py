"""A large protobuf body to groups: walked on the wire, and parsed a run of records at a time.

First everything that a request repeats is counted, and nothing is built (`limits.max_records`, which also bounds the
resources, scopes and metrics that records stand in). Then, resource by resource and scope by scope, what stands beside
the repeated part is parsed as the head of the group, wherever it stands on the wire, and records are handed out in
runs. A message that is itself longer than a piece is held against the limits on the wire (`app.codec.sizes`), and
parsed piece by piece if it is within them.

It gives what parsing the whole gives, with one exception: what nothing would be kept of is not judged (the rest of a
record that is over a limit, and data of a large metric that other data of it replace).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any, Final, NamedTuple

from opentelemetry.proto.metrics.v1.metrics_pb2 import Metric

from app.codec.groups import Group, Groups, Oversized, ScopeHead, too_many
from app.codec.layouts import DATA, GROUPS_FIELD, LAYOUTS, POINTS_FIELD, RECORDS_FIELD, SCOPES_FIELD, Holder, Layout
from app.codec.reasons import RecordRejected
from app.codec.sizes import check_sizes, stub_of
from app.codec.wire import LENGTH, PIECE_BYTES, M, Stretch, assemble, parse, scan
from app.errors import TooLarge
from app.model import Signal
from app.settings import LimitSettings

_Level = tuple[str, frozenset[int]]
"""What a message repeats: its plural, and its field number (of a metric's data: the numbers of the alternatives)."""

_BESIDE: Final[_Level] = ("", frozenset())
_COUNTED: Final[dict[Signal, tuple[_Level, ...]]] = {
    signal: (
        ("resources", frozenset({GROUPS_FIELD})),
        ("scopes", frozenset({SCOPES_FIELD})),
        *(
            (
                ("metrics", frozenset({RECORDS_FIELD})),
                ("metrics", frozenset(DATA)),
                (signal.records, frozenset({POINTS_FIELD})),
            )
            if signal is Signal.METRICS
            else ((signal.records, frozenset({RECORDS_FIELD})),)
        ),
    )
    for signal in Signal
}


def split(signal: Signal, body: bytes, limits: LimitSettings) -> Groups:
    """The groups of a body, parsed as they are reached.

    Raises:
        Undecodable: It is not OTLP; at once, or when the groups are read.
        TooLarge: It holds too many records; at once.
    """
    _count(Stretch(body, 0, len(body), ""), _COUNTED[signal], Counter(), limits)
    return _groups(LAYOUTS[signal], body, limits)


def _count(stretch: Stretch, levels: tuple[_Level, ...], seen: Counter[_Level], limits: LimitSettings) -> None:
    level, *rest = levels
    noun, numbers = level
    below = tuple(rest)
    data, start, stop, path = stretch
    for number, wire_type, _, payload, after in scan(data, start, stop, path):
        if wire_type == LENGTH and number in numbers:
            seen[level] += 1
            if seen[level] > limits.max_records:
                raise too_many(noun, limits.max_records)
            if below:
                _count(Stretch(data, payload, after, path), below, seen, limits)
        else:
            seen[_BESIDE] += 1
            if seen[_BESIDE] > limits.max_fields:
                raise TooLarge(
                    f"the request holds more than {limits.max_fields} fields beside its {levels[-1][0]}, "
                    f"limits.max_fields is {limits.max_fields}"
                )


def _groups(layout: Layout, body: bytes, limits: LimitSettings) -> Groups:
    number = 0
    for field, wire_type, _, start, stop in scan(body, 0, len(body), ""):
        if field == GROUPS_FIELD and wire_type == LENGTH:
            stretch = Stretch(body, start, stop, f"{layout.resource_json_name}[{number}].")
            own, scopes = _taken_apart(stretch, SCOPES_FIELD, f"{layout.scope_json_name}[%d].")
            head, rejection = _head(layout.resource, own, limits)
            yield Group(head, rejection, (_scope(layout, scope, limits) for scope in scopes))
            number += 1


def _scope(layout: Layout, stretch: Stretch, limits: LimitSettings) -> Group[ScopeHead, Any]:
    own, runs = _runs(layout.records, [stretch])
    head, rejection = _head(layout.scope, own, limits)
    return Group(head, rejection, _parsed(layout.records, runs, limits))


def _metric(stretch: Stretch, limits: LimitSettings) -> Group[Metric, Any]:
    """A metric that is longer than a piece, its data points in runs."""
    own: list[Stretch] = []
    chosen = 0
    alternatives: list[Stretch] = []
    data, begin, end, path = stretch
    for number, wire_type, start, payload, after in scan(data, begin, end, path):
        if number not in DATA or wire_type != LENGTH:
            _extend(own, Stretch(data, start, after, path))
            continue
        if number != chosen:
            # Of alternatives the last one counts, and what came before it is forgotten; of one, all parts count.
            chosen, alternatives = number, []
        alternatives.append(
            Stretch(data, payload, after, f"{path}{Metric.DESCRIPTOR.fields_by_number[number].json_name}.")
        )
    head, rejection = _head(Metric, own, limits)
    if not chosen:
        return Group(head, rejection, ())
    name, holder = DATA[chosen]
    beside, runs = _runs(holder, alternatives)
    data_head, data_rejection = _head(holder.kind, beside, limits)
    getattr(head, name).SetInParent()
    getattr(head, name).CopyFrom(data_head)
    return Group(head, rejection or data_rejection, _parsed(holder, runs, limits))


def _taken_apart(stretch: Stretch, field: int, step: str) -> tuple[list[Stretch], list[Stretch]]:
    """What stands beside a repeated message, in stretches, and each occurrence of that."""
    own: list[Stretch] = []
    parts: list[Stretch] = []
    data, begin, end, path = stretch
    for number, wire_type, start, payload, after in scan(data, begin, end, path):
        if number == field and wire_type == LENGTH:
            parts.append(Stretch(data, payload, after, path + step % len(parts)))
        else:
            _extend(own, Stretch(data, start, after, path))
    return own, parts


def _extend(stretches: list[Stretch], field: Stretch) -> None:
    """Add a field, to the last stretch if it is next to it: there may be a million of them."""
    if stretches and stretches[-1].stop == field.start:
        field = field._replace(start=stretches.pop().start)
    stretches.append(field)


class _Place(NamedTuple):
    """Records on the wire that follow each other: how many came before them, and their fields, tags included."""

    first: int
    stretch: Stretch
    payload: int


def _runs(holder: Holder, stretches: Iterable[Stretch]) -> tuple[list[Stretch], list[_Place]]:
    """What stands beside the records of a message, and the records in runs; one longer than a piece is its own run."""
    own: list[Stretch] = []
    runs: list[_Place] = []
    count = 0
    for data, begin, end, path in stretches:
        # The open run: where it starts, where its first payload does, where it ends, and its first record's number.
        run: tuple[int, int, int, int] | None = None
        for number, wire_type, start, payload, after in scan(data, begin, end, path):
            is_record = number == holder.field and wire_type == LENGTH
            if run is not None and not (is_record and after - run[0] <= PIECE_BYTES):
                runs.append(_Place(run[3], Stretch(data, run[0], run[2], path), run[1]))
                run = None
            if not is_record:
                _extend(own, Stretch(data, start, after, path))
                continue
            run = (start, payload, after, count) if run is None else (run[0], run[1], after, run[3])
            count += 1
        if run is not None:
            runs.append(_Place(run[3], Stretch(data, run[0], run[2], path), run[1]))
    return own, runs


def _parsed(holder: Holder, runs: Iterable[_Place], limits: LimitSettings) -> Iterator[Any]:
    """The runs as messages, each when it is reached."""
    for first, (data, start, stop, path), payload in runs:
        if stop - start <= PIECE_BYTES:
            message = parse(holder.kind, data[start:stop], limits.max_depth, path=path, first=first)
            yield getattr(message, holder.name)
            continue
        record = Stretch(data, payload, stop, f"{path}{holder.json_name}[{first}].")
        if holder.record is Metric:
            yield _metric(record, limits)
            continue
        message, rejection = _whole(holder.record, [record], limits)
        yield (message,) if rejection is None else Oversized(message, rejection)


def _head(kind: type[M], own: list[Stretch], limits: LimitSettings) -> tuple[M, RecordRejected | None]:
    """A message without its repeated part; the rule if it breaks one on how much it may hold."""
    if sum(stop - start for _, start, stop, _ in own) > PIECE_BYTES:
        return _whole(kind, own, limits)
    joined = b"".join([data[start:stop] for data, start, stop, _ in own])
    return parse(kind, joined, limits.max_depth, path=own[0].path if own else ""), None


def _whole(kind: type[M], stretches: list[Stretch], limits: LimitSettings) -> tuple[M, RecordRejected | None]:
    """A message longer than a piece, or its stub and the rule that it breaks."""
    try:
        check_sizes(kind, stretches, limits)
    except RecordRejected as rejection:
        return stub_of(kind, stretches, limits.max_depth), rejection
    message = kind()
    for stretch in stretches:
        assemble(message, stretch, limits.max_depth)
    return message, None
