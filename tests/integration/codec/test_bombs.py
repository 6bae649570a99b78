"""A body of 40 MiB may hold twenty million messages: it is refused, or its records are, in little memory."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.integration.codec.bombs import BOMBS, MIB

MORE_BYTES = 512 * MIB
"""Beyond the body itself, which the child holds up to three times while it makes it."""

REFUSED = {
    "empty log records": ("TooLarge", "more than 250000 log records, limits.max_records is 250000"),
    "minimal spans": ("TooLarge", "more than 250000 spans"),
    "empty resources": ("TooLarge", "more than 250000 resources"),
    "data points of one metric": ("TooLarge", "more than 250000 data points"),
    "unknown fields": ("TooLarge", "more than 1000000 fields"),
    "JSON list": ("Undecodable", "not an object"),
    "JSON spans": ("TooLarge", "more than 250000 spans"),
    "JSON brackets": ("Undecodable", "brackets"),
    "JSON blanks": ("Undecodable", "not valid JSON"),
}
REJECTED = {
    "attributes of one span": "too_many_attributes",
    "events of one span": "too_many_events",
    "attributes of a resource": "too_many_attributes",
    "items of one array": "too_many_fields",
    "entity references": "too_many_fields",
    "one text": "value_too_long",
    "one name": "value_too_long",
    "buckets": "too_many_buckets",
    "JSON attributes of one span": "too_many_attributes",
    "JSON text": "value_too_long",
}
IGNORED = ["JSON unknown list", "JSON texts"]


def decoded(name: str) -> Any:
    """What a process of its own says of a bomb; it held neither much memory nor the interpreter for long."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.integration.codec.bombs", name],
        cwd=Path(__file__).parents[3],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert said["peak"] < 3 * said["body"] + MORE_BYTES, said
    return said


@pytest.mark.parametrize("name", REFUSED)
def test_a_bomb_is_refused(name: str) -> None:
    kind, words = REFUSED[name]
    said = decoded(name)
    assert said["refused"] == kind
    assert words in said["message"]


@pytest.mark.parametrize("name", REJECTED)
def test_a_record_that_is_a_bomb_is_rejected_by_name(name: str) -> None:
    said = decoded(name)
    assert (said["rows"], said["rejections"]) == (0, {REJECTED[name]: 1})


@pytest.mark.parametrize("name", IGNORED)
def test_a_bomb_that_means_nothing_is_ignored(name: str) -> None:
    assert decoded(name)["rows"] == 0


@pytest.mark.timeout(300)
def test_good_spans_of_64_mib_are_taken() -> None:
    """Where the others end because they are bombs and not because they are large."""
    said = decoded("good spans")
    assert said["rows"] > 200_000
    assert not said["rejections"]


def test_all_other_bombs_are_for_people() -> None:
    """They take long, and `python -m tests.integration.codec.bombs` shows what."""
    slow = {"good spans", "attributes of many spans", "JSON good spans"}
    assert {*REFUSED, *REJECTED, *IGNORED, *slow} == set(BOMBS)
