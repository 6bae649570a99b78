"""A batch's block is a function of its id and its requests, and its parts have names of their own."""

from __future__ import annotations

from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.model import Chunk, Signal
from app.pipeline.batch import Entry, OpenBatch, Part, encode_part, first_key, new_batch_id
from tests.unit.pipeline.doubles import NOW_NANO, chunk_of_lines, request, words

BATCH = UUID("01990000-0000-7000-8000-000000000001")


def chunk_of(entry: Entry) -> Chunk:
    """The columns of a request."""
    return chunk_of_lines(entry.request)


def part_of(*bodies: str, tenants: str = "") -> Part:
    """A whole batch of logs."""
    entries = tuple(
        Entry(request(body, tenant=tenants[place] if tenants else "acme"), len(body.split()))
        for place, body in enumerate(bodies)
    )
    return Part(BATCH, Signal.LOGS, entries)


def block_of(part: Part) -> bytes:
    """Its bytes."""
    return encode_part(part, [chunk_of(entry) for entry in part.entries])


def test_the_same_batch_gives_the_same_bytes() -> None:
    """What a resend, or a restart, makes of the same requests is what was sent before."""
    assert block_of(part_of("s2_ s1_", "s3_")) == block_of(part_of("s2_ s1_", "s3_"))


def test_rows_are_sorted_by_the_tables_key() -> None:
    """Tenant first, then service."""
    assert words(block_of(part_of("s3_ s1_", "s2_"))) == ["s1_", "s2_", "s3_"]
    assert words(block_of(part_of("s1_", "s2_", tenants="zy"))) == ["s2_", "s1_"]


def test_another_id_is_another_block() -> None:
    """The id stands in every row."""
    part = part_of("s1_")
    other = Part(UUID(int=7), part.signal, part.entries)
    assert block_of(part) != block_of(other)


def test_the_whole_batch_is_named_by_its_id() -> None:
    """Its token is the id alone."""
    assert part_of("s1_", "s2_").token == str(BATCH)


def test_halves_are_named_by_their_rows() -> None:
    """Numbers as in the whole batch."""
    earlier, later = part_of("s1_ s2_", "s3_", "s4_").halves()
    assert (earlier.token, later.token) == (f"{BATCH}/0-1", f"{BATCH}/2-3")


@given(st.lists(st.integers(1, 5), min_size=2, max_size=40))
def test_halving_down_to_single_requests_names_every_row_once(sizes: list[int]) -> None:
    """No row is lost or sent under two tokens, however a batch is split."""
    leaves = [part_of(*(" ".join(["s1_"] * size) for size in sizes))]
    while any(len(part.entries) > 1 for part in leaves):
        leaves = [half for part in leaves for half in (part.halves() if len(part.entries) > 1 else (part,))]
    assert [part.rows for part in leaves] == sizes
    assert [part.first_row for part in leaves] == [sum(sizes[:place]) for place in range(len(sizes))]
    assert len({part.token for part in leaves}) == len(sizes)


def test_a_value_that_does_not_fit_is_named() -> None:
    """Column and row stand in the message."""
    part = part_of("s1_ s2_")
    chunk = chunk_of(part.entries[0])
    chunk.columns["severity_number"][1] = "high"
    with pytest.raises(ValueError, match=r"severity_number.*row 1"):
        encode_part(part, [chunk])


def test_batch_ids_are_version_7_and_sort_by_time() -> None:
    """Later ids are greater, and two of one moment differ."""
    early, late, again = new_batch_id(NOW_NANO), new_batch_id(NOW_NANO + 1_000_000), new_batch_id(NOW_NANO)
    assert early.version == 7
    assert early.variant == UUID(int=0x8 << 60).variant
    assert early < late
    assert early != again


def test_an_open_batch_seals_what_it_took() -> None:
    """Requests keep their order; rows and bytes add up."""
    batch = OpenBatch(0.0)
    for body in ("s1_ s2_", "s3_"):
        entry = Entry(request(body), len(body.split()))
        batch.append(entry.request, chunk_of(entry), 100)
    part = batch.seal(BATCH, Signal.LOGS)
    assert (batch.rows, batch.held_bytes, part.rows) == (3, 200, 3)
    assert [entry.request.body for entry in part.entries] == [b"s1_ s2_", b"s3_"]


def test_the_first_key_leaves_out_what_is_not_in_the_request() -> None:
    """Service and time of the first row."""
    chunk = chunk_of(Entry(request("s1_ s2_"), 2))
    assert first_key(Signal.LOGS, chunk) == {"service_name": "s1_", "timestamp": NOW_NANO}
