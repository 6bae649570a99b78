"""The provisioned dashboard: each of its statements runs on our views as the read-only user, and finds something."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from app.model import LOGS, SPANS
from app.store.embedded.server import EmbeddedServer
from tests.integration.store.schema import Schema, migrated
from tests.integration.store.spans import NOW, span

GRAFANA = Path(__file__).parents[3] / "deploy/grafana/provisioning"
DASHBOARD = json.loads((GRAFANA / "dashboards/rak-ingest.json").read_text(encoding="utf-8"))
SOURCE = yaml.safe_load((GRAFANA / "datasources/clickhouse.yaml").read_text(encoding="utf-8"))["datasources"][0]
STATEMENTS = {panel["title"]: target["rawSql"] for panel in DASHBOARD["panels"] for target in panel["targets"]}
STATEMENTS |= {f"variable {each['name']}": each["query"] for each in DASHBOARD["templating"]["list"]}

SECOND = 10**9
START, END = NOW // SECOND, NOW // SECOND + 60
STEP_SECONDS = 20


@pytest.fixture(scope="module")
def schema(clickhouse: EmbeddedServer) -> Iterator[Schema]:
    """A failed request, a model call inside an agent's span that repeats its tokens, and a log record."""
    tokens: dict[str, Any] = {"llm_input_tokens": 100, "llm_output_tokens": 20, "llm_model": "gpt"}
    with migrated(clickhouse) as made:
        made.plant(
            SPANS,
            [
                span(1, 1, service="web", kind="SERVER", status="ERROR", seconds=0.5, status_message="no"),
                span(2, 2, service="web", operation_name="invoke_agent", **tokens),
                span(2, 3, service="web", parent=2, operation_name="chat", **tokens),
                span(3, 4, service="web", kind="SERVER", at=NOW + 3600 * SECOND),
            ],
        )
        made.plant(LOGS, [{"service_name": "web", "timestamp": NOW, "severity_text": "INFO", "body_type": "s"}])
        yield made


def filled(sql: str) -> str:
    """The statement as the data source sends it for one minute from NOW and all services."""
    sql = re.sub(r"\$__timeFilter\((\w+)\)", rf"\1 >= toDateTime({START}) AND \1 <= toDateTime({END})", sql)
    sql = re.sub(
        r"\$__timeInterval\((\w+)\)", rf"toStartOfInterval(toDateTime(\1), INTERVAL {STEP_SECONDS} second)", sql
    )
    return sql.replace("$__interval_s", str(STEP_SECONDS)).replace("${service:singlequote}", "'cart','web'")


@pytest.mark.parametrize("title", STATEMENTS)
def test_every_statement_runs_and_finds_something(schema: Schema, title: str) -> None:
    """As the reader, without a macro left over."""
    sql = filled(STATEMENTS[title])
    assert "$" not in sql
    assert schema.rows(sql)


def found(schema: Schema, title: str) -> list[dict[str, Any]]:
    return schema.rows(filled(STATEMENTS[title]))


def test_rates_are_per_second(schema: Schema) -> None:
    """Three spans in a step of 20 s, one of them failed; what is outside the window does not count."""
    assert [row["spans"] for row in found(schema, "Spans a second")] == [3 / STEP_SECONDS]
    assert [row["errors"] for row in found(schema, "Failed spans a second")] == [1 / STEP_SECONDS]


def test_tokens_are_counted_once(schema: Schema) -> None:
    """The agent's span around a model call repeats its tokens."""
    (row,) = found(schema, "Tokens by model")
    assert (row["llm_model"], row["input"], row["output"]) == ("gpt", 100, 20)


def test_durations_are_in_the_panels_unit(schema: Schema) -> None:
    """Nanoseconds, and only of spans that somebody waits for."""
    (row,) = found(schema, "Duration by service, 95th percentile")
    (panel,) = (panel for panel in DASHBOARD["panels"] if panel["title"].startswith("Duration"))
    assert (row["p95"], panel["fieldConfig"]["defaults"]["unit"]) == (500_000_000, "ns")


def test_panels_ask_the_provisioned_data_source() -> None:
    """By its uid, which the data source's file gives it."""
    asked = {(panel["datasource"]["type"], panel["datasource"]["uid"]) for panel in DASHBOARD["panels"]}
    assert asked == {(SOURCE["type"], SOURCE["uid"])}
