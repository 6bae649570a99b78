"""Free text in a path: `{name:text}` takes slashes and line breaks too, which Starlette's own `path` does not."""

from __future__ import annotations

from starlette.convertors import StringConvertor, register_url_convertor


class _FreeText(StringConvertor):
    regex = "(?s:.+)"


def register() -> None:
    """Make `{name:text}` known; doing it again changes nothing."""
    register_url_convertor("text", _FreeText())
