"""Answers as bytes: the fixed shape of lists, and stored records as OTLP/JSON."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeVar

import orjson
from fastapi import Request, Response
from fastapi.responses import StreamingResponse

from app.api import problems
from app.codec.export import dump, export
from app.model import Signal
from app.query.ask import Page
from app.query.window import format_time

_Item = TypeVar("_Item")

# Above it, writing an answer takes longer than other requests should wait: it goes to a thread.
_QUICK_ITEMS = 200
_QUICK_BYTES = 1 << 20

_PROBLEM = {"description": "A problem.", "content": {problems.MEDIA_TYPE: {"schema": problems.SCHEMA}}}
LIST_RESPONSES: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "One page.",
        "content": {
            "application/json": {
                "schema": {
                    "type": "object",
                    "required": ["items", "next_cursor", "truncated", "window"],
                    "properties": {
                        "items": {"type": "array", "items": {"type": "object"}},
                        "next_cursor": {"type": ["string", "null"], "description": "Asks for the next page."},
                        "truncated": {"type": "boolean", "description": "True if there is more than is shown."},
                        "window": {
                            "type": "object",
                            "description": "The time range, RFC 3339 with nanoseconds, both ends included.",
                            "properties": {"start": {"type": "string"}, "end": {"type": "string"}},
                        },
                    },
                }
            }
        },
    },
    400: _PROBLEM,
    422: _PROBLEM,
    503: _PROBLEM,
}
ITEM_RESPONSES: dict[int | str, dict[str, Any]] = {**LIST_RESPONSES, 404: _PROBLEM}


def json_response(tree: Any, headers: Mapping[str, str] | None = None) -> Response:
    """A tree as JSON; 64-bit integers are exact."""
    return Response(orjson.dumps(tree), headers=headers, media_type="application/json")


def listed(page: Page[_Item], item: Callable[[_Item], Any] | None = None) -> dict[str, Any]:
    """The fixed shape of a list."""
    return {
        "items": page.items if item is None else [item(row) for row in page.items],
        "next_cursor": page.next_cursor,
        "truncated": page.truncated,
        "window": {
            "start": format_time(page.window.start_unix_nano),
            "end": format_time(page.window.end_unix_nano),
        },
    }


async def written(size: int, write: Callable[[], Response]) -> Response:
    """Write an answer of `size` items here, or in a thread if that takes long."""
    return write() if size <= _QUICK_ITEMS else await asyncio.to_thread(write)


async def list_response(
    request: Request, page: Page[_Item], item: Callable[[_Item], Any] | None = None, **more: Any
) -> Response:
    """One page of a list.

    Args:
        request: For the address of the next page.
        page: What was found.
        item: Makes the JSON of an item; None: items are that already.
        more: Further members, before the fixed ones.
    """
    return await written(
        len(page.items), lambda: json_response({**more, **listed(page, item)}, _link(request, page.next_cursor))
    )


async def otlp_response(
    request: Request, signal: Signal, rows: Iterable[Mapping[str, Any]], next_cursor: str | None
) -> Response:
    """Stored records as plain OTLP/JSON; the next page is in `Link`."""
    found = list(rows)
    return await written(
        len(found),
        lambda: Response(
            dump(export(signal, found)), headers=_link(request, next_cursor), media_type="application/json"
        ),
    )


def items_text(rows: Sequence[Mapping[str, Any]], item: Callable[[Mapping[str, Any]], Any]) -> bytes:
    """Rows as the members of a JSON array, for `joined_list_response`."""
    return b",".join([orjson.dumps(item(row)) for row in rows])


def joined_list_response(request: Request, page: Page[bytes], **more: Any) -> Response:
    """As `list_response`, of a page whose items are texts of members already."""
    pieces: list[bytes] = []
    for name, value in {**more, **listed(replace(page, items=[]))}.items():
        pieces.append((b"," if pieces else b"{") + orjson.dumps(name) + b":")
        pieces += _array(page.items) if name == "items" else [orjson.dumps(value)]
    return _joined([*pieces, b"}"], _link(request, page.next_cursor))


def otlp_text(signal: Signal, rows: Sequence[Mapping[str, Any]]) -> tuple[bytes, bytes]:
    """Rows as OTLP/JSON: its one key, and the members of the array below it; for `joined_otlp_response`."""
    ((key, groups),) = export(signal, rows).items()
    return orjson.dumps(key), dump(groups)[1:-1]


def joined_otlp_response(request: Request, page: Page[tuple[bytes, bytes]]) -> Response:
    """As `otlp_response`, of a page that is written already."""
    key = page.items[0][0]
    groups = _array([groups for _, groups in page.items])
    return _joined([b"{" + key + b":", *groups, b"}"], _link(request, page.next_cursor))


def _array(members: Iterable[bytes]) -> list[bytes]:
    """The pieces of a JSON array, from texts of some members each."""
    pieces = [b"["]
    for text in members:
        if text:
            pieces += [text] if len(pieces) == 1 else [b",", text]
    return [*pieces, b"]"]


def _joined(pieces: list[bytes], headers: Mapping[str, str]) -> Response:
    """Pieces as one body; a large one is never in one piece: a copy would hold up the loop, and take as much again."""
    size_bytes = sum(map(len, pieces))
    if size_bytes <= _QUICK_BYTES:
        return Response(b"".join(pieces), headers=headers, media_type="application/json")

    async def take() -> AsyncIterator[bytes]:
        pieces.reverse()
        while pieces:
            yield pieces.pop()

    return StreamingResponse(
        take(), headers={**headers, "Content-Length": str(size_bytes)}, media_type="application/json"
    )


def _link(request: Request, next_cursor: str | None) -> dict[str, str]:
    if next_cursor is None:
        return {}
    return {"Link": f'<{request.url.include_query_params(cursor=next_cursor)}>; rel="next"'}
