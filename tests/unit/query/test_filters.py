"""Filters turn parameters into conditions of a closed set, and values never into text."""

from __future__ import annotations

import re

import pytest

from app.errors import InvalidQuery
from app.model import LOGS, SPANS
from app.query.filters import LOG_FILTERS, SPAN_FILTERS, TRACE_FILTERS, Filter, narrow, parse_id, parse_severity

EVIL = "x' OR 1=1 --{tenant:String}\\\x00\n\t`\""


def test_every_identifier_is_a_column_of_the_model() -> None:
    """Identifiers come from app.model only."""
    asked = {
        "kind": ["server"],
        "status": ["ok"],
        "min_duration": ["1s"],
        "max_duration": ["2s"],
        "trace_id": ["0" * 31 + "1"],
        "span_id": ["0" * 15 + "1"],
        "severity": ["warn"],
        "attribute": ["k:v", "resource.k:v"],
    }
    for table, filters in ((SPANS, SPAN_FILTERS), (SPANS, TRACE_FILTERS), (LOGS, LOG_FILTERS)):
        where = narrow(filters, {declared.parameter: asked.get(declared.parameter, ["v"]) for declared in filters})
        found = set(re.findall(r"\bs\.([a-z_]+)", " ".join(where.conditions)))
        assert found <= {column.name for column in table.columns}


@pytest.mark.parametrize("filters", [SPAN_FILTERS, TRACE_FILTERS, LOG_FILTERS], ids=["spans", "traces", "logs"])
def test_a_value_is_never_in_the_text(filters: tuple[Filter, ...]) -> None:
    """Every text that may be free goes into a parameter."""
    closed = {"kind", "status", "min_duration", "max_duration", "trace_id", "span_id", "severity"}
    asked = {declared.parameter: [EVIL] for declared in filters if declared.parameter not in closed}
    asked["attribute"] = [f"{EVIL}:{EVIL}", f"resource.{EVIL}:{EVIL}"]
    where = narrow(filters, asked)
    assert "OR 1=1" not in " ".join(where.conditions)
    assert EVIL in where.parameters.values()


def test_each_condition_has_its_parameters() -> None:
    """A name in the text without a value would be an error of the engine."""
    where = narrow(LOG_FILTERS, {"severity": ["warn"], "query": ["a b"], "attribute": ["k:v", "resource.k:v"]})
    names = set(re.findall(r"\{([a-z_0-9]+):", " ".join(where.conditions))) - {"tenant", "start", "end"}
    assert names == set(where.parameters)


@pytest.mark.parametrize("text", ["server", "SERVER", "Server", "SPAN_KIND_SERVER"])
def test_a_kind_is_a_word_in_any_case(text: str) -> None:
    """Also as OTLP spells it."""
    assert narrow(SPAN_FILTERS, {"kind": [text]}).parameters == {"kind": "SERVER"}


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("kind", "boss"),
        ("kind", ""),
        ("status", "2"),
        ("trace_id", "xyz"),
        ("trace_id", "0" * 32),
        ("trace_id", "0" * 31),
        ("trace_id", "0" * 31 + "\uff11"),
        ("attribute", "no-colon"),
        ("attribute", ":v"),
        ("attribute", "resource.:v"),
        ("min_duration", "soon"),
    ],
)
def test_a_value_that_does_not_fit_names_the_parameter(name: str, text: str) -> None:
    """P6."""
    with pytest.raises(InvalidQuery) as refused:
        narrow(SPAN_FILTERS, {name: [text]})
    assert refused.value.field == name


@pytest.mark.parametrize("text", ["", "0", "25", "999", "LOUD", "WARN5", "-1", "1.5", "९"])
def test_a_severity_that_is_none_is_refused(text: str) -> None:
    """Numbers go from 1 to 24."""
    with pytest.raises(InvalidQuery) as refused:
        parse_severity(text)
    assert refused.value.field == "severity"


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("trace", 1),
        ("DEBUG", 5),
        ("Info", 9),
        ("WARN", 13),
        ("warning", 13),
        ("error", 17),
        ("ERROR3", 19),
        ("FATAL4", 24),
        ("7", 7),
    ],
)
def test_a_severity_is_a_name_or_a_number(text: str, number: int) -> None:
    """The numbers of the log data model."""
    assert parse_severity(text) == number


def test_min_over_max_is_refused() -> None:
    """It would be an empty answer that looks like no data."""
    with pytest.raises(InvalidQuery) as refused:
        narrow(SPAN_FILTERS, {"min_duration": ["2s"], "max_duration": ["1s"]})
    assert refused.value.field == "min_duration"


def test_an_attribute_value_may_hold_colons() -> None:
    """Only the first one ends the key."""
    where = narrow(SPAN_FILTERS, {"attribute": ["url:http://a:80/"]})
    assert where.parameters == {"attribute_0_key": "url", "attribute_0_value": "http://a:80/"}


def test_an_unknown_parameter_is_refused_by_name() -> None:
    """Also if it comes past the door."""
    with pytest.raises(InvalidQuery) as refused:
        narrow(SPAN_FILTERS, {"severity": ["warn"]})
    assert refused.value.field == "severity"


@pytest.mark.parametrize(("name", "count"), [("service", 2), ("attribute", 33)])
def test_too_many_of_one_are_refused(name: str, count: int) -> None:
    """Each limit is a number."""
    with pytest.raises(InvalidQuery) as refused:
        narrow(SPAN_FILTERS, {name: ["a:b"] * count})
    assert refused.value.field == name


def test_ids_are_read_in_either_case() -> None:
    """And looked up in the lower one."""
    assert parse_id("AB" * 8, "span_id", 16) == "ab" * 8
