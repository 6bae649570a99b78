"""What a failed statement means: ClickHouse's error codes, and its silence, as our errors.

The grouping is a judgement about retries. *Unknown means may pass*: a code that no group names, an exception from
outside the engine (1000 to 1002) and every transport error become StoreUnavailable, because the statement may have
taken effect and sending the same again with the same token is always right.

A batch is called bad (StoreRefused) only for codes that ClickHouse raises while it reads the block, before anything is
stored. 395, which a materialized view may throw after the base table has its rows, is therefore not among them.
"""

from __future__ import annotations

import re
from enum import Enum

from app.errors import QueryTooHeavy, StoreError, StoreMisconfigured, StoreRefused, StoreUnavailable

MAX_SENTENCE_CHARACTERS = 500

_EXCEPTION = re.compile(r"Code: (\d+)\. DB::\w*Exception: ?")
_VERSION = re.compile(r" \(version [^()]*(?:\([^()]*\))?\)\s*$")

# Codes are named as errorCodeToName() names them.
_BAD_BLOCK = frozenset({
    6,    # CANNOT_PARSE_TEXT
    27,   # CANNOT_PARSE_INPUT_ASSERTION_FAILED
    33,   # CANNOT_READ_ALL_DATA
    41,   # CANNOT_PARSE_DATETIME
    50,   # UNKNOWN_TYPE
    53,   # TYPE_MISMATCH
    117,  # INCORRECT_DATA
    128,  # TOO_LARGE_ARRAY_SIZE
    131,  # TOO_LARGE_STRING_SIZE
    190,  # SIZES_OF_ARRAYS_DONT_MATCH
    349,  # CANNOT_INSERT_NULL_IN_ORDINARY_COLUMN
    354,  # ZLIB_INFLATE_FAILED
    407,  # DECIMAL_OVERFLOW
    444,  # UNKNOWN_PROTOBUF_FORMAT
    469,  # VIOLATED_CONSTRAINT
    561,  # ZSTD_DECODER_FAILED
})  # fmt: skip

_BAD_SETUP = frozenset({
    16,   # NO_SUCH_COLUMN_IN_TABLE
    20,   # NUMBER_OF_COLUMNS_DOESNT_MATCH
    36,   # BAD_ARGUMENTS
    42,   # NUMBER_OF_ARGUMENTS_DOESNT_MATCH
    43,   # ILLEGAL_TYPE_OF_ARGUMENT
    44,   # ILLEGAL_COLUMN
    46,   # UNKNOWN_FUNCTION
    47,   # UNKNOWN_IDENTIFIER
    48,   # NOT_IMPLEMENTED
    57,   # TABLE_ALREADY_EXISTS
    60,   # UNKNOWN_TABLE
    62,   # SYNTAX_ERROR
    63,   # UNKNOWN_AGGREGATE_FUNCTION
    73,   # UNKNOWN_FORMAT
    80,   # INCORRECT_QUERY
    81,   # UNKNOWN_DATABASE
    82,   # DATABASE_ALREADY_EXISTS
    115,  # UNKNOWN_SETTING
    164,  # READONLY
    184,  # ILLEGAL_AGGREGATION
    192,  # UNKNOWN_USER
    193,  # WRONG_PASSWORD
    194,  # REQUIRED_PASSWORD
    195,  # IP_ADDRESS_NOT_ALLOWED
    207,  # AMBIGUOUS_IDENTIFIER
    215,  # NOT_AN_AGGREGATE
    291,  # DATABASE_ACCESS_DENIED
    344,  # SUPPORT_IS_DISABLED
    386,  # NO_COMMON_TYPE
    392,  # QUERY_IS_PROHIBITED
    403,  # INVALID_JOIN_ON_EXPRESSION
    452,  # SETTING_CONSTRAINT_VIOLATION
    457,  # BAD_QUERY_PARAMETER
    497,  # ACCESS_DENIED
    516,  # AUTHENTICATION_FAILED
    701,  # CLUSTER_DOESNT_EXIST
})  # fmt: skip

_BOUND_OF_A_READ = frozenset({
    158,  # TOO_MANY_ROWS
    159,  # TIMEOUT_EXCEEDED
    160,  # TOO_SLOW
    241,  # MEMORY_LIMIT_EXCEEDED
    307,  # TOO_MANY_BYTES
    396,  # TOO_MANY_ROWS_OR_BYTES
})  # fmt: skip

_TOO_MANY_PARTS = 252
_MEMORY_LIMIT_EXCEEDED = 241
# Said without a code of their own. A parameter may have 128 KiB in the URL, the whole URL 1 MiB.
_TOO_LONG = ("Field value too long", "URI invalid or too long")


class Work(Enum):
    """What was asked, since the same code means different things to a batch and to a question."""

    INSERT = "insert"
    READ = "read"
    STATEMENT = "statement"
    PING = "ping"


def from_answer(body: str, work: Work, *, code: int = 0) -> StoreError:
    """The error that an answer other than success means.

    Args:
        body: The answer's text. Rows may stand before the exception, so the last one in it counts.
        work: What was asked.
        code: What the header `X-ClickHouse-Exception-Code` says; 0 if there is none. It goes before the text, which
            may quote a sender's data.
    """
    found = _exceptions(body)
    if found and not code:
        code = int(found[-1].group(1))
    message = _sentence(body, found)
    return _kind(code, message, work)(message, code=code)


def from_silence(error: BaseException, work: Work) -> StoreUnavailable:
    """The error that a missing or broken answer means."""
    detail = _first_line(str(error)) or type(error).__name__
    if isinstance(error, TimeoutError):
        return StoreUnavailable(f"ClickHouse did not answer the {work.value} in time: {detail}")
    return StoreUnavailable(f"ClickHouse cannot be reached, or broke off during the {work.value}: {detail}")


def _kind(code: int, message: str, work: Work) -> type[StoreError]:
    if code == _TOO_MANY_PARTS and "single INSERT block" in message:
        return StoreRefused  # this batch spans too many days; without these words, merges are behind and it may pass
    if work is Work.READ and any(words in message for words in _TOO_LONG):
        return QueryTooHeavy
    if work is Work.READ and code in _BOUND_OF_A_READ:
        # "(total)" is the server's own bound: others use the memory, and the question may fit a moment later.
        is_the_servers = code == _MEMORY_LIMIT_EXCEEDED and "(total)" in message
        return StoreUnavailable if is_the_servers else QueryTooHeavy
    if code in _BAD_BLOCK:
        return StoreRefused if work is Work.INSERT else StoreMisconfigured
    return StoreMisconfigured if code in _BAD_SETUP else StoreUnavailable


def _exceptions(body: str) -> list[re.Match[str]]:
    # A nested exception is told inside the first; an answer that begins with one has no rows before it.
    first = _EXCEPTION.match(body)
    return [first] if first else list(_EXCEPTION.finditer(body))


def _sentence(body: str, found: list[re.Match[str]]) -> str:
    text = _first_line(body[found[-1].end() :] if found else body)
    text = _VERSION.sub("", text)
    if len(text) > MAX_SENTENCE_CHARACTERS:
        text = text[: MAX_SENTENCE_CHARACTERS - 1] + "…"
    return text or "ClickHouse answered with an error and no text"


def _first_line(text: str) -> str:
    return text.strip().partition("\n")[0].strip()
