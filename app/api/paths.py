"""Where the REST routes stand, and free text in a path: `{name:text}` takes slashes and line breaks too."""

from __future__ import annotations

from starlette.convertors import StringConvertor, register_url_convertor

PREFIX = "/api/v1"


class _FreeText(StringConvertor):
    # Starlette's own `path` stops at a line break.
    regex = "(?s:.+)"


def register() -> None:
    """Make `{name:text}` known; doing it again changes nothing."""
    register_url_convertor("text", _FreeText())
