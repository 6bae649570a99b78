"""Migrations are SQL with a few words in double braces, since a cluster's tables differ from a single server's.

    {{database}}                          the database
    {{local spans}}                       the physical table: `spans`, in a cluster `spans_local`
    {{engine AggregatingMergeTree}}       the engine, arguments and all; in a cluster its Replicated form
    {{retention spans_retention_days}}    days, from `[storage]`

There is no other word, no condition and no loop: what does not fit in here belongs in the runner.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from app.errors import MigrationFailed

# Single braces are macros that each server of a cluster fills in itself.
_REPLICA = "'/clickhouse/tables/{shard}/{database}/{table}', '{replica}'"

_WORD = re.compile(r"\{\{\s*(\w+)\s*(.*?)\s*\}\}", re.DOTALL)
_TABLE = re.compile(r"[A-Za-z_]\w*")
_ENGINE = re.compile(r"(\w*MergeTree)(?:\((.*)\))?", re.DOTALL)
_PIECE = re.compile(
    r"""
      (?P<comment> --[^\n]* | /\*.*?\*/ )
    | (?P<quoted> '(?:[^'\\]|\\.|'')*' | "(?:[^"\\]|\\.|"")*" | `(?:[^`\\]|\\.|``)*` )
    | (?P<open> ['"`] | /\* )
    | (?P<end> ; )
    | (?P<plain> . )
    """,
    re.DOTALL | re.VERBOSE,
)


@dataclass(frozen=True, slots=True)
class Words:
    """What the words stand for.

    Attributes:
        database: Name of the database.
        cluster: Name of the cluster; empty if there is none.
        days: Days of retention by the key of `[storage]`.
    """

    database: str
    cluster: str
    days: Mapping[str, int]

    def local(self, table: str) -> str:
        """The name of the table that holds the rows on one server."""
        return f"{table}_local" if self.cluster else table

    def render(self, text: str) -> str:
        """Put in what the words stand for.

        Raises:
            MigrationFailed: A word that does not exist, or one that does not fit what follows it.
        """
        return _WORD.sub(self._replacement, text)

    def _replacement(self, found: re.Match[str]) -> str:
        word, argument = found.groups()
        match word:
            case "database" if not argument:
                return self.database
            case "local" if _TABLE.fullmatch(argument):
                return self.local(argument)
            case "engine" if engine := _ENGINE.fullmatch(argument):
                return self._engine(engine[1], engine[2] or "")
            case "retention" if argument in self.days:
                return str(self.days[argument])
            case _:
                raise MigrationFailed(f"{found[0]} is not a word of migrations")

    def _engine(self, name: str, arguments: str) -> str:
        if not self.cluster:
            return f"{name}({arguments})" if arguments else name
        return f"Replicated{name}({_REPLICA}{', ' if arguments else ''}{arguments})"


def statements(sql: str) -> list[str]:
    """The statements of a script: what stands between semicolons outside quotes and comments.

    Comments stay where they are inside a statement; a piece of nothing but comments is none.

    Raises:
        MigrationFailed: A quote or comment is not closed.
    """
    found: list[str] = []
    start, is_empty = 0, True
    for piece in _PIECE.finditer(sql):
        match piece.lastgroup:
            case "open":
                line = sql.count("\n", 0, piece.start()) + 1
                raise MigrationFailed(f"{piece[0]} in line {line} is not closed")
            case "end":
                if not is_empty:
                    found.append(sql[start : piece.start()].strip())
                start, is_empty = piece.end(), True
            case "quoted":
                is_empty = False
            case "plain":
                is_empty = is_empty and piece[0].isspace()
            case _:
                pass
    if not is_empty:
        found.append(sql[start:].strip())
    return found
