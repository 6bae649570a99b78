"""The SQL of metrics, pinned as that of the other questions is (`test_golden_sql`).

`WRITE_GOLDEN=1 pytest tests/unit/query/test_metric_sql.py` writes the files anew.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from app.access import TenantId
from app.query import metrics, steps
from app.query.ask import Ask, Reader, Statement, Turn
from app.query.grid import Grid
from app.query.points import Aggregation, Question
from app.query.window import Window
from app.settings import QuerySettings

GOLDEN = Path(__file__).parents[2] / "data/golden_sql"
TENANT = TenantId("tenant-value")
WINDOW = Window(1_700_000_000_000_000_001, 1_700_007_200_000_000_002)
BATCH = "01940000-0000-7000-8000-000000000001"
ROW = (1_700_000_000_000_000_005, BATCH, 6)
FILTERS = {
    **{name: [f"{name}-value"] for name in ("service", "agent", "session", "user")},
    "attribute": ["key-value:text-value", "resource.key-value:text-value"],
}
FIRST = ["service-value", "0123456789abcdef", "unit-value"]
LAST = ["service-value", "fedcba9876543210", "unit-value"]


def turn(after: tuple[int | str, ...] | None = None) -> Turn:
    return Turn("question-value", WINDOW, 20, after)


def question(
    kind: str, aggregation: Aggregation, group_by: tuple[str, ...] | None = None, **filters: list[str]
) -> Question:
    return Question(Ask(TENANT, filters), "name-value", kind, aggregation, 0.95, group_by, Grid(WINDOW, 30_000_000_000))


def values(kind: str, aggregation: Aggregation, group_by: tuple[str, ...] | None = ()) -> Statement:
    return steps.values(question(kind, aggregation, group_by), FIRST, LAST, limit=20, most_points=1000)


class NoStore:
    """Statements are made without a store."""


POINTS = metrics.points(Reader(NoStore(), QuerySettings()))  # type: ignore[arg-type]  # nothing is read here
ALL_KEYS = ("service", "agent", "session", "user", "key-value", "resource.key-value")

STATEMENTS: dict[str, Statement] = {
    "metrics": metrics.names(Ask(TENANT, {}), turn()),
    "metrics_next": metrics.names(
        Ask(TENANT, {**FILTERS, "name": ["name-value"], "type": ["gauge"]}),
        turn(("name-value", "GAUGE", "unit-value", "UNSPECIFIED")),
    ),
    "metric_points": POINTS.statement(metrics.of_name(Ask(TENANT, {}), "name-value"), turn()),
    "metric_points_next": POINTS.statement(metrics.of_name(Ask(TENANT, FILTERS), "name-value"), turn(ROW)),
    "metric_kinds": steps.kinds(Ask(TENANT, FILTERS), "name-value", turn()),
    "metric_series": steps.series(question("GAUGE", Aggregation.AVG), None, 20),
    "metric_series_grouped": steps.series(question("GAUGE", Aggregation.AVG, ALL_KEYS, **FILTERS), FIRST, 20),
    "metric_values": values("GAUGE", Aggregation.AVG, None),
    "metric_values_sum": values("GAUGE", Aggregation.SUM),
    "metric_values_min": values("GAUGE", Aggregation.MIN),
    "metric_values_count": values("GAUGE", Aggregation.COUNT),
    "metric_values_last": values("GAUGE", Aggregation.LAST),
    "metric_values_last_of_sums": values("COUNTER", Aggregation.LAST),
    "metric_values_quantile": values("GAUGE", Aggregation.QUANTILE),
    "metric_values_none": values("GAUGE", Aggregation.NONE, None),
    "metric_values_rate": values("COUNTER", Aggregation.RATE),
    "metric_values_increase": values("COUNTER", Aggregation.INCREASE),
    "metric_values_histogram_rate": values("HISTOGRAM", Aggregation.RATE),
    "metric_values_histogram_sum": values("HISTOGRAM", Aggregation.SUM),
    "metric_values_histogram_avg": values("HISTOGRAM", Aggregation.AVG),
    "metric_values_histogram_max": values("HISTOGRAM", Aggregation.MAX),
    "metric_values_histogram_quantile": values("HISTOGRAM", Aggregation.QUANTILE),
    "metric_values_exponential_quantile": values("EXPONENTIAL_HISTOGRAM", Aggregation.QUANTILE),
    "metric_values_summary_quantile": values("SUMMARY", Aggregation.QUANTILE, None),
}

everywhere = pytest.mark.parametrize("name", STATEMENTS)


@everywhere
def test_the_sql_is_as_written_down(name: str) -> None:
    """A change of a statement is seen by whoever reviews it."""
    path = GOLDEN / f"{name}.sql"
    if os.environ.get("WRITE_GOLDEN"):
        path.write_text(STATEMENTS[name].sql + "\n", encoding="utf-8")
    assert STATEMENTS[name].sql + "\n" == path.read_text(encoding="utf-8")


@everywhere
def test_every_select_names_the_tenant(name: str) -> None:
    """P7: each table that is read is read for one tenant, inner SELECTs too."""
    text = STATEMENTS[name].sql
    reads = re.findall(r"FROM [a-z_]+ AS (\w)\b\s+WHERE \1\.tenant = \{tenant:String\}", text)
    assert len(reads) == len(re.findall(r"FROM [a-z_]+ AS", text)) > 0


@everywhere
def test_no_condition_opens_what_the_tenant_closed(name: str) -> None:
    """An OR that stands beside an AND without brackets would."""
    for block in re.findall(
        r"WHERE s\.tenant.*?(?=\n *(?:GROUP|ORDER|LIMIT|WINDOW|\)))", STATEMENTS[name].sql, re.DOTALL
    ):
        depth = 0
        for token in re.findall(r"\(|\)|\bOR\b", block):
            depth += {"(": 1, ")": -1}.get(token, 0)
            assert token != "OR" or depth > 0, block


@everywhere
def test_no_value_is_in_the_text(name: str) -> None:
    """Values are server-side parameters."""
    text = STATEMENTS[name].sql
    assert "-value" not in text
    for value in (BATCH, FIRST[1], LAST[1], "1700000000", "30000000000", "0.95"):
        assert value not in text
    assert STATEMENTS[name].parameters["tenant"] == TENANT


@everywhere
def test_every_parameter_has_a_value_and_every_value_a_place(name: str) -> None:
    """Neither an unbound name nor a value that is sent for nothing."""
    named = set(re.findall(r"\{([a-z_0-9]+):", STATEMENTS[name].sql))
    assert named == set(STATEMENTS[name].parameters)


@everywhere
def test_every_statement_is_bounded(name: str) -> None:
    """The last thing it says is how many rows there may be."""
    assert re.search(r"\nLIMIT \{limit:UInt32\}$", STATEMENTS[name].sql)


def test_no_golden_file_is_left_over() -> None:
    """A statement that is gone takes its file along."""
    assert {path.stem for path in GOLDEN.glob("metric*.sql")} == set(STATEMENTS)
