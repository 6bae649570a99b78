"""The time range of a question: RFC 3339 or integer nanoseconds in, nanoseconds since 1970 inside.

Both ends belong to it. Without `start`: the last hour before `end`; without `end`: now. Our own parser, because the
standard library's stops at microseconds.
"""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from datetime import UTC, datetime

from app.errors import InvalidQuery

HOUR_NS = 3_600_000_000_000
SECOND_NS = 1_000_000_000
# DateTime64(9) holds signed nanoseconds; a later end asks for nothing more.
LAST_UNIX_NANO = 2**63 - 1

_INTEGER = re.compile(r"[0-9]{1,20}")
# A "+" that was not percent-encoded arrives as a space; no other reading of that space makes sense.
_RFC3339 = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2})[Tt]([0-9]{2}:[0-9]{2}:[0-9]{2})(?:\.([0-9]{1,9}))?([Zz]|[+\- ][0-9]{2}:[0-9]{2})"
)


@dataclass(frozen=True, slots=True)
class Window:
    """A time range, both ends included.

    Attributes:
        start_unix_nano: First instant, 0 to 2^63-1.
        end_unix_nano: Last instant, not before the first.
    """

    start_unix_nano: int
    end_unix_nano: int


def parse_time(text: str, parameter: str) -> int:
    """Read an instant as nanoseconds since 1970.

    Args:
        text: RFC 3339 with up to 9 digits of a second, or an integer of nanoseconds.
        parameter: Whose value it is, for the refusal.

    Raises:
        InvalidQuery: It is neither, or before 1970.
    """
    if _INTEGER.fullmatch(text):
        nanoseconds = int(text)
    elif found := _RFC3339.fullmatch(text):
        day, clock, fraction, offset = found.groups()
        try:
            whole = datetime.fromisoformat(f"{day}T{clock}{offset.replace(' ', '+').upper().replace('Z', '+00:00')}")
        except ValueError as error:
            raise InvalidQuery(f"{parameter} = {_shown(text)} is not a time: {error}", field=parameter) from error
        seconds = (whole - datetime(1970, 1, 1, tzinfo=UTC)) // _ONE_SECOND
        nanoseconds = seconds * SECOND_NS + int((fraction or "0").ljust(9, "0"))
    else:
        raise InvalidQuery(
            f"{parameter} = {_shown(text)} is neither RFC 3339 (2026-01-31T12:00:00.5Z) nor integer nanoseconds",
            field=parameter,
        )
    if nanoseconds < 0 or nanoseconds >= 1 << 64:
        raise InvalidQuery(f"{parameter} = {_shown(text)} is outside 1970 to 2554", field=parameter)
    return min(nanoseconds, LAST_UNIX_NANO)


def parse_window(start: str | None, end: str | None, now_unix_nano: int) -> Window:
    """Resolve `start` and `end` as sent; None: not sent.

    Raises:
        InvalidQuery: One of them is not a time, or `start` is after `end`.
    """
    last = now_unix_nano if end is None else parse_time(end, "end")
    first = max(0, last - HOUR_NS) if start is None else parse_time(start, "start")
    if first > last:
        ending = "now" if end is None else f"end = {format_time(last)}"
        raise InvalidQuery(f"start = {format_time(first)} is after {ending}", field="start")
    return Window(first, last)


def format_time(unix_nano: int) -> str:
    """RFC 3339 in UTC with nine digits of the second; any unsigned 64-bit number of nanoseconds."""
    seconds, fraction = divmod(unix_nano, SECOND_NS)
    year, month, day, hour, minute, second, *_ = time.gmtime(seconds)
    return f"{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{fraction:09}Z"


def _shown(text: str) -> str:
    return repr(text if len(text) <= 80 else text[:80] + "…")


_ONE_SECOND = datetime(1970, 1, 1, 0, 0, 1, tzinfo=UTC) - datetime(1970, 1, 1, tzinfo=UTC)
