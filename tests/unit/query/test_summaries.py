"""The hours that are summed up and the spans at the ends of a window count the same things in the same way."""

from __future__ import annotations

import re

import pytest

from app.access import TenantId
from app.query.ask import Ask, Turn
from app.query.genai import AGENTS, MODELS, TOOLS, Summary, statement
from app.query.window import Window
from app.store.migrate import migration_files


def feed_of(summary: Summary) -> str:
    """The SELECT of the materialized view that fills a summary's table."""
    (text,) = (file.text for file in migration_files() if f"{{{{local {summary.table}}}}}\nAS SELECT" in file.text)
    return text.split("AS SELECT\n")[1].split(";")[0]


def over_spans(summary: Summary) -> str:
    """The SELECT over the spans themselves, without its alias."""
    sql = statement(summary, Ask(TenantId("t"), {}), Turn("", Window(0, 1), 1, None)).sql
    return sql.split("UNION ALL")[1].split("\n) AS s")[0].replace("s.", "")


everyone = pytest.mark.parametrize("summary", [AGENTS, MODELS, TOOLS], ids=lambda summary: str(summary.topic))


@everyone
def test_both_keep_the_same_states(summary: Summary) -> None:
    """Or a merge of the two would be of nothing."""
    states = re.compile(r"^ +(\w+State(?:If)?\(.*) AS (\w+),?$", re.MULTILINE)
    assert set(states.findall(over_spans(summary))) == set(states.findall(feed_of(summary))) != set()


@everyone
def test_both_take_the_same_spans(summary: Summary) -> None:
    """Or numbers would jump at full hours."""
    (taken,) = re.findall(r"\nWHERE (.*)\n", feed_of(summary))
    assert f"AND {taken}\n" in over_spans(summary)
