"""The SQL of every question, pinned: what changes it shows in a golden file, and each statement keeps to its tenant.

`WRITE_GOLDEN=1 pytest tests/unit/query/test_golden_sql.py` writes the files anew.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from app.access import TenantId
from app.query import genai, listing, services, sessions, traces
from app.query.ask import Ask, Reader, Statement, Turn
from app.query.window import Window
from app.settings import QuerySettings

GOLDEN = Path(__file__).parents[2] / "data/golden_sql"
TENANT = TenantId("tenant-value")
WINDOW = Window(1_700_000_000_000_000_001, 1_700_007_200_000_000_002)
BATCH = "01940000-0000-7000-8000-000000000001"
ROW = (1_700_000_000_000_000_005, BATCH, 6)
TRACE = "0af7651916cd43dd8448eb211c80319c"

COMMON = {name: [f"{name}-value"] for name in ("service", "agent", "model", "tool", "session", "user")}
ATTRIBUTES = {"attribute": ["key-value:text-value", "resource.key-value:text-value"]}
SPAN_WORDS = {"span": ["span-value"], "kind": ["server"], "status": ["error"]}
DURATIONS = {"min_duration": ["250ms"], "max_duration": ["1.5s"]}


def turn(after: tuple[int | str, ...] | None = None) -> Turn:
    return Turn("question-value", WINDOW, 20, after)


def ask(**filters: list[str]) -> Ask:
    return Ask(TENANT, filters)


class NoStore:
    """Statements are made without a store."""


READER = Reader(NoStore(), QuerySettings())  # type: ignore[arg-type]  # nothing is read here
SPANS = listing.spans(READER)
LOGS = listing.logs(READER)
SCOPE = sessions.scope_of(TENANT, "session-value", WINDOW, Window(0, 2**63 - 1))

STATEMENTS: dict[str, Statement] = {
    "spans": SPANS.statement(ask(), turn()),
    "spans_filtered": SPANS.statement(
        ask(**COMMON, **SPAN_WORDS, **DURATIONS, **ATTRIBUTES, trace_id=[TRACE]), turn(ROW)
    ),
    "logs": LOGS.statement(ask(), turn()),
    "logs_filtered": LOGS.statement(
        ask(
            **COMMON,
            **ATTRIBUTES,
            trace_id=[TRACE],
            span_id=["b7ad6b7169203331"],
            severity=["warn"],
            query=["word-value other-value"],
        ),
        turn(ROW),
    ),
    "traces": traces.candidates(ask(), turn()),
    "traces_filtered": traces.candidates(
        ask(**COMMON, **SPAN_WORDS, **DURATIONS, **ATTRIBUTES), turn((1_700_000_000_000_000_005, TRACE))
    ),
    "trace_bounds": traces.bounds(TENANT, [TRACE]),
    "trace_summaries": traces.summaries(TENANT, [TRACE], WINDOW),
    "trace_whole": traces.whole(TENANT, TRACE, WINDOW, turn()),
    "trace_whole_next": traces.whole(TENANT, TRACE, WINDOW, turn(ROW)),
    "services": services.services(ask(), turn()),
    "services_next": services.services(ask(), turn(("name-value",))),
    "operations": services.operations(ask(), turn(), "service-value"),
    "operations_next": services.operations(ask(), turn(("name-value", "SERVER")), "service-value"),
    "agents": genai.statement(genai.AGENTS, ask(), turn()),
    "agents_next": genai.statement(
        genai.AGENTS, ask(service=["service-value"], agent=["agent-value"]), turn(("service-value", "agent-value"))
    ),
    "models": genai.statement(genai.MODELS, ask(model=["model-value"], provider=["provider-value"]), turn()),
    "tools": genai.statement(genai.TOOLS, ask(tool=["tool-value"]), turn()),
    "session_extent": sessions.extent("spans", TENANT, "session-value", WINDOW),
    "session_summary": sessions.summary(SCOPE),
    "session_steps": sessions.steps(SCOPE, turn()),
    "session_steps_next": sessions.steps(SCOPE, turn(ROW)),
    "session_logs": sessions.logs(SCOPE, WINDOW, 20),
}

everywhere = pytest.mark.parametrize("name", STATEMENTS)


@everywhere
def test_the_sql_is_as_written_down(name: str) -> None:
    """A change of a statement is seen by whoever reviews it."""
    path = GOLDEN / f"{name}.sql"
    if os.environ.get("WRITE_GOLDEN"):
        path.write_text(STATEMENTS[name].sql + "\n", encoding="utf-8")
    assert STATEMENTS[name].sql + "\n" == path.read_text(encoding="utf-8")


def golden(name: str) -> str:
    return (GOLDEN / f"{name}.sql").read_text(encoding="utf-8")


@everywhere
def test_every_select_names_the_tenant(name: str) -> None:
    """P7: each table that is read is read for one tenant, inner SELECTs too."""
    text = golden(name)
    reads = re.findall(r"FROM [a-z_]+ AS (\w)\b\s+WHERE \1\.tenant = \{tenant:String\}", text)
    assert len(reads) == len(re.findall(r"FROM [a-z_]+ AS", text)) > 0


@everywhere
def test_no_value_is_in_the_text(name: str) -> None:
    """Values are server-side parameters."""
    text = golden(name)
    assert "-value" not in text
    for value in (TRACE, BATCH, "SERVER", "1700000000", "250000000"):
        assert value not in text
    assert STATEMENTS[name].parameters["tenant"] == TENANT


@everywhere
def test_every_parameter_has_a_value_and_every_value_a_place(name: str) -> None:
    """Neither an unbound name nor a value that is sent for nothing."""
    named = set(re.findall(r"\{([a-z_0-9]+):", golden(name)))
    assert named == set(STATEMENTS[name].parameters)


@everywhere
def test_every_statement_is_bounded(name: str) -> None:
    """A read without LIMIT is an aggregate of one row."""
    text = golden(name)
    assert re.search(r"\nLIMIT \{limit:UInt32\}\n$", text) or "GROUP BY" not in text


def test_no_golden_file_is_left_over() -> None:
    """A statement that is gone takes its file along."""
    # Statements about metrics are pinned beside their own test.
    files = {path.stem for path in GOLDEN.glob("*.sql") if not path.stem.startswith("metric")}
    assert files == set(STATEMENTS)
