"""The opaque cursor of keyset pagination: where the last page ended, and of which question.

base64url of compact JSON `[version, start, end, *key, digest]`. The window travels in it, so that a question without
`end` keeps the "now" of its first page. The digest covers the question as well: a cursor that was changed or comes from
another question is refused instead of giving a wrong page. It is no secret; a cursor opens nothing that the question
itself would not.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Sequence

import orjson

from app.errors import InvalidQuery
from app.query.window import Window

Key = tuple[int | str, ...]
"""Where a page ended: the sort key of its last row."""

_VERSION = 1
_LONGEST = 8192
_FIXED = 4  # version, start, end, digest


def encode_cursor(question: str, window: Window, key: Key) -> str:
    """Seal the end of a page.

    Args:
        question: Everything that must be the same on the next page, as one text.
        window: The resolved time range.
        key: Sort key of the last row shown.
    """
    body: list[int | str] = [_VERSION, window.start_unix_nano, window.end_unix_nano, *key]
    return base64.urlsafe_b64encode(orjson.dumps([*body, _digest(question, body)])).rstrip(b"=").decode()


def decode_cursor(text: str, question: str, kinds: Sequence[type[int | str]]) -> tuple[Window, Key]:
    """Open a cursor.

    Args:
        text: As sent.
        question: The same text as when it was sealed.
        kinds: Types of the key's parts.

    Raises:
        InvalidQuery: It is not one of ours, was changed, or belongs to another question.
    """
    refusal = InvalidQuery("cursor is not one of this question's: take next_cursor as it came", field="cursor")
    if len(text) > _LONGEST:
        raise refusal
    try:
        parts = orjson.loads(base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True))
    except (binascii.Error, ValueError) as error:
        raise refusal from error
    if not isinstance(parts, list) or len(parts) != _FIXED + len(kinds):
        raise refusal
    *body, digest = parts
    version, start, end, *key = body
    expected: tuple[type, ...] = (int, int, int, *kinds)
    if any(type(part) is not kind for part, kind in zip(body, expected, strict=True)):
        raise refusal
    if version != _VERSION or digest != _digest(question, body):
        raise refusal
    return Window(start, end), tuple(key)


def _digest(question: str, body: Sequence[int | str]) -> str:
    return hashlib.blake2b(orjson.dumps([question, *body]), digest_size=9).hexdigest()
