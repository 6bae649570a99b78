"""Values for server-side parameters, as ClickHouse wants them in a URL.

`param_x` is read as one field of TSV: in a String, backslash, tab and newline must be escaped, or a tab ends the value
(Code 457). An array is a literal whose strings stand in single quotes, where the quote is escaped as well.
"""

from __future__ import annotations

from collections.abc import Mapping

from app.store.contract import Parameter

_FIELD = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n"})
_QUOTED = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "'": "\\'"})


def as_url(parameters: Mapping[str, Parameter]) -> dict[str, str]:
    """`param_…` entries of the URL for the parameters by name."""
    return {f"param_{name}": _field(value) for name, value in parameters.items()}


def _field(value: Parameter) -> str:
    if isinstance(value, str):
        return value.translate(_FIELD)
    if isinstance(value, int):
        return str(int(value))  # a bool is written 0 or 1, which fills Bool and UInt8 alike
    if isinstance(value, float):
        return repr(value)
    return f"[{','.join(map(_element, value))}]"


def _element(value: str | int) -> str:
    return f"'{value.translate(_QUOTED)}'" if isinstance(value, str) else str(int(value))
