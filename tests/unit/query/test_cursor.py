"""A cursor opens its own question at its own place, and nothing else."""

from __future__ import annotations

import base64

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.errors import InvalidQuery
from app.query.cursor import decode_cursor, encode_cursor
from app.query.window import Window

WINDOW = Window(5, 9)
KEY = (7, "01940000-0000-7000-8000-000000000001", 3)
KINDS = (int, str, int)


@given(st.text(), st.integers(0, 2**63 - 1), st.integers(0, 2**63 - 1), st.text(), st.integers(0, 2**32 - 1))
def test_a_cursor_comes_back_as_it_was(question: str, start: int, end: int, batch: str, row: int) -> None:
    """Window and key survive, whatever is in them."""
    sealed = encode_cursor(question, Window(start, end), (end, batch, row))
    assert decode_cursor(sealed, question, KINDS) == (Window(start, end), (end, batch, row))


def test_a_cursor_needs_no_encoding_in_a_url() -> None:
    """Clients paste it into addresses."""
    assert set(encode_cursor("q", WINDOW, (1, "??>>\xff", 2))) <= set(
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    )


def refused(text: str, question: str = "q", kinds: tuple[type[int | str], ...] = KINDS) -> None:
    with pytest.raises(InvalidQuery) as error:
        decode_cursor(text, question, kinds)
    assert error.value.field == "cursor"


def test_another_questions_cursor_is_refused() -> None:
    """It would be a wrong page."""
    refused(encode_cursor("other", WINDOW, KEY))


def test_a_cursor_of_another_shape_is_refused() -> None:
    """Even for the same question text."""
    refused(encode_cursor("q", WINDOW, ("a",)))


@pytest.mark.parametrize("place", range(0, 60, 3))
def test_a_changed_character_is_refused(place: int) -> None:
    """The digest covers every part."""
    sealed = encode_cursor("q", WINDOW, KEY)
    changed = "A" if sealed[place] != "A" else "B"
    refused(sealed[:place] + changed + sealed[place + 1 :])


@pytest.mark.parametrize("index", range(6))
def test_a_changed_part_is_refused(index: int) -> None:
    """Also if it is well-formed again."""
    sealed = encode_cursor("q", WINDOW, KEY)
    parts = orjson.loads(base64.urlsafe_b64decode(sealed + "=" * (-len(sealed) % 4)))
    parts[index] = parts[index] + 1 if isinstance(parts[index], int) else parts[index] + "0"
    refused(base64.urlsafe_b64encode(orjson.dumps(parts)).decode().rstrip("="))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        "====",
        "not base64!",
        "{}",
        "W10",
        "bnVsbA",
        "MQ",
        "A" * 10_000,
        "\x00",
        "é",
        "[1,2]",
        "W1tbW1tbW11dXV1dXV0",
    ],
)
def test_garbage_is_refused(text: str) -> None:
    """Never an exception of another kind."""
    refused(text)


@given(st.binary(max_size=80))
def test_random_bytes_are_refused(content: bytes) -> None:
    """Never an exception of another kind."""
    refused(base64.urlsafe_b64encode(content).decode())
