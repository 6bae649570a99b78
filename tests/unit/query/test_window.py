"""`start` and `end` are read exactly, and a bad one is refused by its name."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.errors import InvalidQuery
from app.query.window import HOUR_NS, LAST_UNIX_NANO, Window, format_time, parse_time, parse_window

NOW = 1_790_000_000_123_456_789


def test_without_both_the_last_hour_is_meant() -> None:
    """Design: without start, the last hour before end; without end, now."""
    assert parse_window(None, None, NOW) == Window(NOW - HOUR_NS, NOW)


def test_without_start_the_hour_before_end_is_meant() -> None:
    """The hour hangs on end, not on now."""
    assert parse_window(None, "7200000000000", NOW) == Window(HOUR_NS, 2 * HOUR_NS)


def test_the_hour_does_not_reach_before_1970() -> None:
    """An early end leaves less than an hour."""
    assert parse_window(None, "5", NOW) == Window(0, 5)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0", 0),
        ("1700000000123456789", 1_700_000_000_123_456_789),
        ("2023-11-14T22:13:20Z", 1_700_000_000_000_000_000),
        ("2023-11-14t22:13:20z", 1_700_000_000_000_000_000),
        ("2023-11-14T22:13:20.123456789Z", 1_700_000_000_123_456_789),
        ("2023-11-14T22:13:20.5+00:00", 1_700_000_000_500_000_000),
        ("2023-11-15T00:13:20+02:00", 1_700_000_000_000_000_000),
        ("2023-11-14T20:13:20.000000001-02:00", 1_700_000_000_000_000_001),
        ("1970-01-01T00:00:00Z", 0),
        (str(2**64 - 1), LAST_UNIX_NANO),
        ("2500-01-01T00:00:00Z", LAST_UNIX_NANO),
    ],
)
def test_times_are_read_to_the_nanosecond(text: str, expected: int) -> None:
    """Nine digits survive; what the engine cannot hold is its last instant."""
    assert parse_time(text, "start") == expected


def test_a_plus_that_became_a_space_is_a_plus() -> None:
    """`+02:00` in a URL without percent-encoding arrives with a space."""
    assert parse_time("2023-11-15T00:13:20 02:00", "start") == 1_700_000_000_000_000_000


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "-1",
        "+5",
        "1e9",
        "1.5",
        "0x10",
        "١٢٣",
        "now",
        "yesterday",
        "2023-11-14",
        "2023-11-14T22:13:20",
        "2023-13-14T22:13:20Z",
        "2023-11-31T22:13:20Z",
        "2023-11-14T25:13:20Z",
        "2023-11-14T22:13:60Z",
        "2023-11-14T22:13:20.1234567890Z",
        "2023-11-14T22:13:20.Z",
        "2023-11-14T22:13:20+25:00",
        "1969-12-31T23:59:59Z",
        "9999-12-31T23:59:59Z",
        str(2**64),
        "9" * 400,
        "2023-11-14T22:13:20Z\n",
        "1'; DROP TABLE spans; --",
    ],
)
@pytest.mark.parametrize("parameter", ["start", "end"])
def test_garbage_is_refused_by_the_parameters_name(text: str, parameter: str) -> None:
    """P6: the refusal names the parameter."""
    with pytest.raises(InvalidQuery) as refused:
        parse_time(text, parameter)
    assert refused.value.field == parameter
    assert parameter in str(refused.value)


def test_a_start_after_the_end_is_refused() -> None:
    """It would be an empty answer that looks like no data."""
    with pytest.raises(InvalidQuery, match=r"start .* is after end") as refused:
        parse_window("6", "5", NOW)
    assert refused.value.field == "start"


def test_a_start_in_the_future_is_refused() -> None:
    """Without end, now is the end."""
    with pytest.raises(InvalidQuery, match="after now"):
        parse_window(str(NOW + 1), None, NOW)


def test_start_may_be_end() -> None:
    """Both ends belong to the window, so one instant is a window."""
    assert parse_window("5", "5", NOW) == Window(5, 5)


@given(st.integers(0, 2**63 - 1))
def test_what_is_written_is_read_back(unix_nano: int) -> None:
    """`window` of an answer can be sent as the next question's."""
    assert parse_time(format_time(unix_nano), "start") == unix_nano


def test_times_beyond_the_engine_are_written_too() -> None:
    """An event may carry any unsigned 64-bit time."""
    assert format_time(2**64 - 1) == "2554-07-21T23:34:33.709551615Z"
