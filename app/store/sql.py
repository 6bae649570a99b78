"""Two small things about the text of SQL: names into it, lists out of it."""

from __future__ import annotations

import re

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*")


def quoted(*names: str) -> str:
    """An identifier in backticks, or a path of them; a dot inside a name belongs to a Nested column.

    Raises:
        ValueError: It is not a name. Names come from our own declarations, so this is a bug.
    """
    for name in names:
        if not _NAME.fullmatch(name):
            raise ValueError(f"{name!r} is not an identifier")
    return ".".join(f"`{name}`" for name in names)


def split_list(text: str) -> list[str]:
    """The elements of a list as ClickHouse prints it: commas inside brackets and quotes do not count."""
    elements: list[str] = []
    depth, start, quote = 0, 0, ""
    for place, letter in enumerate(text):
        if quote:
            quote = "" if letter == quote else quote
        elif letter in "'`":
            quote = letter
        elif letter in "()":
            depth += 1 if letter == "(" else -1
        elif letter == "," and depth == 0:
            elements.append(text[start:place].strip())
            start = place + 1
    elements.append(text[start:].strip())
    return elements
