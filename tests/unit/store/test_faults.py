"""An answer that is not success means one error, by code, by kind of work, and by a few words."""

from __future__ import annotations

import pytest

from app.errors import QueryTooHeavy, StoreError, StoreMisconfigured, StoreRefused, StoreUnavailable
from app.store.faults import MAX_SENTENCE_CHARACTERS, Work, from_answer, from_silence


def answer(code: int, text: str = "Something is wrong. (NAME)") -> str:
    return f"Code: {code}. DB::Exception: {text} (version 26.9.2.1)\n"


@pytest.mark.parametrize(
    ("code", "insert", "read"),
    [
        (33, StoreRefused, StoreMisconfigured),
        (117, StoreRefused, StoreMisconfigured),
        (407, StoreRefused, StoreMisconfigured),
        (561, StoreRefused, StoreMisconfigured),
        (16, StoreMisconfigured, StoreMisconfigured),
        (60, StoreMisconfigured, StoreMisconfigured),
        (81, StoreMisconfigured, StoreMisconfigured),
        (497, StoreMisconfigured, StoreMisconfigured),
        (516, StoreMisconfigured, StoreMisconfigured),
        (158, StoreUnavailable, QueryTooHeavy),
        (159, StoreUnavailable, QueryTooHeavy),
        (160, StoreUnavailable, QueryTooHeavy),
        (241, StoreUnavailable, QueryTooHeavy),
        (307, StoreUnavailable, QueryTooHeavy),
        (396, StoreUnavailable, QueryTooHeavy),
        (202, StoreUnavailable, StoreUnavailable),
        (243, StoreUnavailable, StoreUnavailable),
        (252, StoreUnavailable, StoreUnavailable),
        (319, StoreUnavailable, StoreUnavailable),
        (394, StoreUnavailable, StoreUnavailable),
        (395, StoreUnavailable, StoreUnavailable),
        (999, StoreUnavailable, StoreUnavailable),
        (1001, StoreUnavailable, StoreUnavailable),
        (123456, StoreUnavailable, StoreUnavailable),
    ],
)
def test_a_code_has_one_meaning_for_a_batch_and_one_for_a_question(
    code: int, insert: type[StoreError], read: type[StoreError]
) -> None:
    got = [from_answer(answer(code), work) for work in (Work.INSERT, Work.READ)]
    assert [(type(error), error.code) for error in got] == [(insert, code), (read, code)]


def test_too_many_days_in_one_batch_are_the_batchs_fault() -> None:
    text = "Too many partitions for single INSERT block (more than 100). (TOO_MANY_PARTS)"
    assert type(from_answer(answer(252, text), Work.INSERT)) is StoreRefused


def test_memory_that_others_use_may_pass() -> None:
    text = "(total) memory limit exceeded: would use 2.00 GiB. (MEMORY_LIMIT_EXCEEDED)"
    assert type(from_answer(answer(241, text), Work.READ)) is StoreUnavailable


def test_the_last_exception_of_a_body_counts() -> None:
    body = "Code: 60. DB::Exception: a row of text\nmore rows\n" + "row\n" + answer(159, "Timeout exceeded.")
    error = from_answer("1\n" + body, Work.READ)
    assert (error.code, str(error)) == (159, "Timeout exceeded.")


def test_the_header_goes_before_the_text() -> None:
    assert from_answer(answer(60), Work.READ, code=395).code == 395


def test_a_nested_exception_does_not_hide_the_outer_one() -> None:
    body = answer(279, "All connection tries failed. Log: \n\nCode: 60. DB::Exception: nested")
    assert from_answer(body, Work.INSERT).code == 279


@pytest.mark.parametrize("kind", ["Exception", "NetException", "ParsingException"])
def test_every_kind_of_exception_is_understood(kind: str) -> None:
    assert from_answer(f"Code: 210. DB::{kind}: Connection refused (localhost:9000)", Work.INSERT).code == 210


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        ("Code: 60. DB::Exception: Table a.b does not exist. (UNKNOWN_TABLE) (version 26.9.2.1)", "Table a.b does not exist. (UNKNOWN_TABLE)"),
        ("Code: 60. DB::Exception: Gone (version 26.3.1.1 (official build))\n", "Gone"),
        ("Code: 62. DB::Exception: Syntax error\nStack trace:\n0. main", "Syntax error"),
        ("<html>502</html>", "<html>502</html>"),
        ("", "ClickHouse answered with an error and no text"),
    ],
)  # fmt: skip
def test_the_message_is_the_first_line_without_the_version(body: str, sentence: str) -> None:
    assert str(from_answer(body, Work.READ)) == sentence


def test_a_long_message_is_cut() -> None:
    assert len(str(from_answer(answer(62, "x" * 10_000), Work.READ))) == MAX_SENTENCE_CHARACTERS


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (TimeoutError("5 s"), "did not answer the insert in time: 5 s"),
        (ConnectionResetError(), "broke off during the insert: ConnectionResetError"),
    ],
)
def test_silence_is_unavailable_and_says_what_happened(error: Exception, words: str) -> None:
    assert words in str(from_silence(error, Work.INSERT))
