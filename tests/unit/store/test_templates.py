"""A migration's words become SQL, or are refused by name; its statements end at semicolons and nowhere else."""

from __future__ import annotations

import pytest

from app.errors import MigrationFailed
from app.store.templates import Words, statements

SINGLE = Words(database="telemetry", cluster="", days={"spans_retention_days": 30})
CLUSTER = Words(database="telemetry", cluster="main", days={"spans_retention_days": 30})
_PATH = "'/clickhouse/tables/{shard}/{database}/{table}', '{replica}'"


@pytest.mark.parametrize(
    ("template", "single", "cluster"),
    [
        ("{{database}}.x", "telemetry.x", "telemetry.x"),
        ("{{ database }}", "telemetry", "telemetry"),
        ("{{local spans}}", "spans", "spans_local"),
        ("{{engine MergeTree}}", "MergeTree", f"ReplicatedMergeTree({_PATH})"),
        (
            "{{engine ReplacingMergeTree(version, is_deleted)}}",
            "ReplacingMergeTree(version, is_deleted)",
            f"ReplicatedReplacingMergeTree({_PATH}, version, is_deleted)",
        ),
        ("toIntervalDay({{retention spans_retention_days}})", "toIntervalDay(30)", "toIntervalDay(30)"),
        ("{x:String} {a}", "{x:String} {a}", "{x:String} {a}"),
    ],
)
def test_a_word_stands_for_its_text(template: str, single: str, cluster: str) -> None:
    assert (SINGLE.render(template), CLUSTER.render(template)) == (single, cluster)


@pytest.mark.parametrize(
    "template",
    [
        "{{cluster}}",
        "{{retention profiles}}",
        "{{retention}}",
        "{{engine Memory}}",
        "{{engine}}",
        "{{local}}",
        "{{local spans; DROP}}",
        "{{database telemetry}}",
    ],
)
def test_an_unknown_word_is_refused_by_name(template: str) -> None:
    with pytest.raises(MigrationFailed, match=r"is not a word of migrations") as caught:
        SINGLE.render(f"CREATE {template}")
    assert template in str(caught.value)


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("A;\nB;\n", ["A", "B"]),
        ("A", ["A"]),
        ("", []),
        (";;\n;", []),
        ("-- only a comment;\n", []),
        ("-- why; and how\nA;\nB", ["-- why; and how\nA", "B"]),
        ("A /* one; two\nthree; */ B;", ["A /* one; two\nthree; */ B"]),
        ("A ';' B;C", ["A ';' B", "C"]),
        (r"A 'it''s; \'; ' B;C", [r"A 'it''s; \'; ' B", "C"]),
        ('A ";" B;C', ['A ";" B', "C"]),
        ("A `;` B;C", ["A `;` B", "C"]),
        ("A '--' B;C", ["A '--' B", "C"]),
        ("A '/*' B; C '*/'", ["A '/*' B", "C '*/'"]),
        ("-- it's fine\nA;", ["-- it's fine\nA"]),
    ],
)
def test_statements_end_at_semicolons_outside_quotes_and_comments(sql: str, expected: list[str]) -> None:
    assert statements(sql) == expected


@pytest.mark.parametrize("sql", ["A;\nB 'open", 'A;\nB "open', "A;\nB `open", "A;\nB /* open"])
def test_an_open_quote_is_refused_with_its_line(sql: str) -> None:
    with pytest.raises(MigrationFailed, match="in line 2 is not closed"):
        statements(sql)
