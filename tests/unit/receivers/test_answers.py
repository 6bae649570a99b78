"""Every error of the tree has a known answer in both protocols, and what may pass is always retryable."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest
from google.rpc import code_pb2, error_details_pb2
from hypothesis import given
from hypothesis import strategies as st

from app import errors
from app.receivers.answers import (
    ANSWERS,
    MAX_ERROR_BYTES,
    Answer,
    answer_for,
    clip,
    retry_after_seconds,
    sentence_of,
    status_of,
)

# A status that OTLP calls retryable, and nothing else, makes an exporter keep its data.
RETRYABLE_HTTP = {429, 502, 503, 504}

EXPECTED: dict[str, tuple[int, str, bool]] = {
    "ServiceError": (503, "UNAVAILABLE", True),
    "StartupFailed": (503, "UNAVAILABLE", True),
    "Rejected": (400, "INVALID_ARGUMENT", False),
    "Undecodable": (400, "INVALID_ARGUMENT", False),
    "TooLarge": (413, "RESOURCE_EXHAUSTED", False),
    "UnsupportedEncoding": (415, "INVALID_ARGUMENT", False),
    "MethodNotAllowed": (405, "UNIMPLEMENTED", False),
    "InvalidQuery": (400, "INVALID_ARGUMENT", False),
    "NotFound": (404, "UNIMPLEMENTED", False),
    "Denied": (403, "PERMISSION_DENIED", False),
    "Unauthenticated": (401, "UNAUTHENTICATED", False),
    "Forbidden": (403, "PERMISSION_DENIED", False),
    "Busy": (503, "UNAVAILABLE", True),
    "BufferFull": (429, "RESOURCE_EXHAUSTED", True),
    "RateLimited": (429, "RESOURCE_EXHAUSTED", True),
    "Stalled": (503, "UNAVAILABLE", True),
    "Draining": (503, "UNAVAILABLE", True),
    "NotReady": (503, "UNAVAILABLE", True),
    "StoreError": (503, "UNAVAILABLE", True),
    "StoreUnavailable": (503, "UNAVAILABLE", True),
    "StoreRefused": (503, "UNAVAILABLE", True),
    "StoreMisconfigured": (503, "UNAVAILABLE", True),
    "QueryTooHeavy": (503, "UNAVAILABLE", True),
}


def tree(kind: type[errors.ServiceError]) -> Iterator[type[errors.ServiceError]]:
    yield kind
    for child in kind.__subclasses__():
        yield from tree(child)


# What ends a start never meets a sender; one row stands for all of it.
ALL = [
    kind
    for kind in tree(errors.ServiceError)
    if kind.__module__ == errors.__name__
    and (kind is errors.StartupFailed or not issubclass(kind, errors.StartupFailed))
]


def test_the_expectations_name_every_error() -> None:
    assert {kind.__name__ for kind in ALL} == EXPECTED.keys()


@pytest.mark.parametrize("kind", ALL)
def test_each_error_has_its_answer(kind: type[errors.ServiceError]) -> None:
    answer = answer_for(kind("no"))
    assert (answer.http, code_pb2.Code.Name(answer.grpc), answer.is_retryable) == EXPECTED[kind.__name__]


@pytest.mark.parametrize("error", [KeyError("x"), MemoryError(), RecursionError(), asyncio.CancelledError()])
def test_what_nobody_foresaw_may_pass(error: BaseException) -> None:
    answer = answer_for(error)
    assert (answer.http, answer.grpc, answer.is_retryable) == (503, code_pb2.UNAVAILABLE, True)


@pytest.mark.parametrize("row", ANSWERS.values(), ids=[kind.__name__ for kind in ANSWERS])
def test_retryable_means_the_same_in_both_protocols(row: Answer) -> None:
    assert row.is_retryable == (row.http in RETRYABLE_HTTP)
    assert row.is_retryable or row.grpc not in (code_pb2.UNAVAILABLE, code_pb2.ABORTED)
    assert row.http != 500
    assert row.grpc not in (code_pb2.UNKNOWN, code_pb2.INTERNAL)


@pytest.mark.parametrize("kind", ALL)
def test_retry_info_stands_in_a_status_if_and_only_if_it_may_pass(kind: type[errors.ServiceError]) -> None:
    error = kind("no")
    has_pause = any(detail.Is(error_details_pb2.RetryInfo.DESCRIPTOR) for detail in status_of(error).details)
    assert has_pause == answer_for(error).is_retryable


@pytest.mark.parametrize(("seconds", "expected"), [(0, 1), (-3, 1), (0.2, 1), (1, 1), (1.01, 2), (60, 60)])
def test_the_pause_is_whole_seconds_and_at_least_one(seconds: float, expected: int) -> None:
    assert retry_after_seconds(errors.BufferFull("full", retry_after_seconds=seconds)) == expected


def test_the_inside_of_a_bug_is_not_told() -> None:
    assert "password" not in sentence_of(KeyError("password"))


@given(text=st.text(st.characters(exclude_categories=()), max_size=2000), size_bytes=st.integers(3, 2000))
def test_a_clipped_text_is_valid_and_short(text: str, size_bytes: int) -> None:
    assert len(clip(text, size_bytes).encode()) <= size_bytes


@given(text=st.text(max_size=100))
def test_a_short_text_is_left_as_it_is(text: str) -> None:
    assert clip(text, MAX_ERROR_BYTES) == text
