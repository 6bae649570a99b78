"""Series of one metric over time, step by step.

One type at a time; each series by itself, or grouped. The points that a series has in a step become one number by the
`aggregation`; steps without points are left out. What is no number there is a gap: points that say that no value was
recorded, and NaN. Integers stay exact up to 64 bits; beyond, they are rounded.

| type | aggregations, the usual one first |
|---|---|
| COUNTER | rate, increase, and as a gauge |
| UP_DOWN_COUNTER | last, and as a gauge |
| GAUGE | avg, sum, min, max, count, last, quantile: of the points; none |
| HISTOGRAM, EXPONENTIAL_HISTOGRAM | quantile, avg, sum, count, increase (as count), rate: of what was measured in the step; of DELTA ones also min, max |
| SUMMARY | avg, sum, count, increase, rate likewise; quantile: the newest one stored |

`last` of a group is the sum of its series' newest values, for gauges the newest value of all. `rate` is per second, over
the time that a series' points cover in the step, or over the whole step if they leave more than one interval of it
uncovered. `none` gives the points themselves at their own times, NaN as well.

Histograms whose bounds differ are not added up: each set of bounds is a series of its own.

Three statements make a page: what kinds of points there are, which series are on the page, and what is in their steps.
"""  # noqa: E501 - a table

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Any

import orjson

from app.errors import InvalidQuery, QueryTooHeavy
from app.query import records
from app.query.ask import Ask, Page, Reader
from app.query.cursor import Key
from app.query.grid import Grid, grid_of
from app.query.histograms import Exponential, explicit_quantile, exponential_quantile, merge
from app.query.points import NUMBERS, Aggregation, Question
from app.query.steps import MOST_KINDS, kinds, series, values

MOST_POINTS = 100_000
"""Numbers of one answer; a page has fewer series rather than more."""

MOST_HISTOGRAMS = 10_000
"""Histograms that become numbers in one answer, likewise."""

_OPTIONS = frozenset({"aggregation", "step", "group_by", "quantile"})
_MOST_GROUP_KEYS = 16
_DECIMAL = re.compile(r"[0-9]{1,3}(\.[0-9]{1,18})?|\.[0-9]{1,18}")
_USUAL_QUANTILE = 0.95
_LEAST_INT, _MOST_INT = -(2**63), 2**64 - 1

_NUMBERS = (
    Aggregation.AVG,
    Aggregation.SUM,
    Aggregation.MIN,
    Aggregation.MAX,
    Aggregation.COUNT,
    Aggregation.LAST,
    Aggregation.QUANTILE,
    Aggregation.NONE,
)
_MEASUREMENTS = (Aggregation.AVG, Aggregation.SUM, Aggregation.COUNT, Aggregation.INCREASE, Aggregation.RATE)
_HISTOGRAMS = (Aggregation.QUANTILE, *_MEASUREMENTS, Aggregation.MIN, Aggregation.MAX)
_AGGREGATIONS: Mapping[str, Sequence[Aggregation]] = {
    "COUNTER": (Aggregation.RATE, Aggregation.INCREASE, *_NUMBERS),
    "UP_DOWN_COUNTER": (Aggregation.LAST, *(each for each in _NUMBERS if each is not Aggregation.LAST)),
    "GAUGE": _NUMBERS,
    "HISTOGRAM": _HISTOGRAMS,
    "EXPONENTIAL_HISTOGRAM": _HISTOGRAMS,
    "SUMMARY": (*_MEASUREMENTS, Aggregation.QUANTILE),
}
"""What can be asked of a type; the first is what is meant if nothing is said."""


@dataclass(frozen=True, slots=True)
class Options:
    """What is asked of the points, as it was sent.

    Attributes:
        aggregation: None: the type's usual one.
        step: A duration; None: one that fits the window.
        group_by: Keys; None: each series by itself; empty: all as one.
        quantile: 0 to 1; None: not sent.
    """

    aggregation: Aggregation | None
    step: str | None
    group_by: tuple[str, ...] | None
    quantile: float | None


@dataclass(frozen=True, slots=True)
class Answer:
    """Series of one metric.

    Attributes:
        page: One item a series or group.
        question: What they answer; None if the metric has no points here.
    """

    page: Page[dict[str, Any]]
    question: Question | None


async def read_series(reader: Reader, ask: Ask, name: str) -> Answer:
    """Read one page of series of a metric.

    Raises:
        InvalidQuery: Names the parameter.
        QueryTooHeavy: Over a bound of `[query]`, or one series has more points than an answer.
        StoreUnavailable: ClickHouse is away.
    """
    turn = reader.turn(ask, f"series {name}", (str,))
    options, ask = take_options(ask)
    grid = grid_of(turn.window, options.step)
    there_are = await reader.fetch(kinds(ask, name, turn), rows=MOST_KINDS)
    if not there_are:
        return Answer(Page([], turn.window), None)
    question = question_of(ask, name, options, there_are, grid)
    if question.aggregation is not Aggregation.NONE:
        most = MOST_HISTOGRAMS if question.has_buckets else MOST_POINTS
        turn = replace(turn, limit=max(1, min(turn.limit, most // grid.steps)))
    after = orjson.loads(str(turn.after[0])) if turn.after else None
    found = await reader.fetch(series(question, after, turn.limit + 1), rows=turn.limit + 1)
    shown = found[: turn.limit]
    if shown:
        statement = values(question, shown[0]["grp"], shown[-1]["grp"], limit=len(shown), most_points=MOST_POINTS + 1)
        steps = {tuple(row["grp"]): row["points"] for row in await reader.fetch(statement, rows=len(shown))}
        if question.aggregation is Aggregation.NONE:
            turn = replace(turn, limit=whole_series(shown, steps))
        for row in found[: turn.limit]:
            row["points"] = _points(question, row, steps.get(tuple(row["grp"]), ()))
    page = turn.page(found, _key)
    items = [_item(question, row) for row in page.items]
    return Answer(replace(page, items=items), question)


def take_options(ask: Ask) -> tuple[Options, Ask]:
    """Take the options out of a question's filters.

    Raises:
        InvalidQuery: Names the option.
    """
    sent = {name: texts for name, texts in ask.filters.items() if name in _OPTIONS}
    for name, texts in sent.items():
        if len(texts) > (_MOST_GROUP_KEYS if name == "group_by" else 1):
            raise InvalidQuery(f"{name} is sent {len(texts)} times", field=name)
    group_by = sent.get("group_by")
    if group_by is not None:
        if "" in group_by and len(group_by) > 1:
            raise InvalidQuery("group_by is empty, which makes one series of all, and not empty", field="group_by")
        if "resource." in group_by:
            raise InvalidQuery("group_by = 'resource.' names no attribute of the resource", field="group_by")
        group_by = [key for key in group_by if key]
    aggregation = _aggregation(sent["aggregation"][0]) if "aggregation" in sent else None
    quantile = _quantile(sent["quantile"][0]) if "quantile" in sent else None
    if quantile is not None and aggregation not in (None, Aggregation.QUANTILE):
        raise InvalidQuery(f"quantile is not for aggregation = {str(aggregation)!r}", field="quantile")
    if aggregation is Aggregation.NONE:
        for name, texts in sent.items():
            if name in ("group_by", "step"):
                raise InvalidQuery(f"{name} = {texts[0][:80]!r} is not for aggregation = 'none'", field=name)
    options = Options(
        aggregation=Aggregation.QUANTILE if quantile is not None else aggregation,
        step=sent["step"][0] if "step" in sent else None,
        group_by=None if group_by is None else tuple(group_by),
        quantile=quantile,
    )
    return options, replace(ask, filters={name: texts for name, texts in ask.filters.items() if name not in sent})


def question_of(ask: Ask, name: str, options: Options, there_are: Sequence[Mapping[str, Any]], grid: Grid) -> Question:
    """Fit the options to what there is.

    Args:
        ask: Without the options.
        name: Of the metric.
        options: What is asked.
        there_are: Rows of `app.query.steps.kinds`, at least one.
        grid: Window and steps.

    Raises:
        InvalidQuery: There are several types, or this type cannot be asked so.
    """
    types = sorted({kind["type"] for kind in there_are})
    if len(types) > 1:
        raise InvalidQuery(f"type is needed, since {name[:80]!r} goes by several: {', '.join(types)}", field="type")
    temporalities = {kind["temporality"] for kind in there_are}
    (type_,) = types
    aggregation = options.aggregation or _AGGREGATIONS[type_][0]
    if options.aggregation is None and type_ == "UP_DOWN_COUNTER" and temporalities == {"DELTA"}:
        aggregation = Aggregation.SUM  # the newest change alone says nothing
    if aggregation not in _AGGREGATIONS[type_]:
        raise InvalidQuery(
            f"aggregation = {str(aggregation)!r} is not for a {type_}, which {name[:80]!r} is; "
            f"there are {', '.join(_AGGREGATIONS[type_])}",
            field="aggregation",
        )
    if type_ not in NUMBERS and aggregation in (Aggregation.MIN, Aggregation.MAX) and temporalities != {"DELTA"}:
        raise InvalidQuery(
            f"aggregation = {str(aggregation)!r} is not for histograms that are not DELTA: "
            "theirs is that since their start, not that of the step",
            field="aggregation",
        )
    quantile = _USUAL_QUANTILE if options.quantile is None else options.quantile
    if type_ == "SUMMARY" and aggregation is Aggregation.QUANTILE:
        quantile = _stored_quantile(quantile, {each for kind in there_are for each in kind["quantiles"]})
        if options.group_by is not None:
            raise InvalidQuery("group_by is not for quantiles of a SUMMARY: they cannot be merged", field="group_by")
    filters = {parameter: texts for parameter, texts in ask.filters.items() if parameter != "type"}
    return Question(
        ask=replace(ask, filters=filters),
        name=name,
        type=type_,
        aggregation=aggregation,
        quantile=quantile,
        group_by=options.group_by,
        grid=grid,
    )


def _aggregation(text: str) -> Aggregation:
    try:
        return Aggregation(text.lower())
    except ValueError as error:
        raise InvalidQuery(
            f"aggregation = {text[:80]!r} is none of {', '.join(Aggregation)}", field="aggregation"
        ) from error


def _quantile(text: str) -> float:
    refusal = InvalidQuery(f"quantile = {text[:80]!r} is not a number from 0 to 1", field="quantile")
    if not _DECIMAL.fullmatch(text):
        raise refusal
    if (quantile := float(text)) > 1:
        raise refusal
    return quantile


def _stored_quantile(quantile: float, stored: Iterable[float]) -> float:
    there_are = sorted(stored)
    for each in there_are:
        if math.isclose(each, quantile, abs_tol=1e-9):
            return each
    choices = ", ".join(f"{each:g}" for each in there_are) or "none"
    raise InvalidQuery(f"quantile = {quantile:g} is not stored in this SUMMARY; there are {choices}", field="quantile")


def _key(row: Mapping[str, Any]) -> Key:
    return (orjson.dumps(row["grp"]).decode(),)


def whole_series(shown: Sequence[Mapping[str, Any]], steps: Mapping[tuple[str, ...], Sequence[Any]]) -> int:
    """How many of the series have all their points among those that were read.

    Args:
        shown: The series, in order.
        steps: Points by key of series, read in that order, up to one more than `MOST_POINTS`.

    Raises:
        QueryTooHeavy: Not even the first.
    """
    if sum(map(len, steps.values())) <= MOST_POINTS:
        return len(shown)
    # They were read in order and up to a bound: the last one that has any may have more.
    cut = max(place for place, row in enumerate(shown) if tuple(row["grp"]) in steps)
    if cut == 0:
        raise QueryTooHeavy(
            f"A series has more than {MOST_POINTS} points in this window: shorten it, or page through format=otlp"
        )
    return cut


def _points(question: Question, row: Mapping[str, Any], steps: Iterable[Sequence[Any]]) -> list[list[Any]]:
    """Points of an item: time in nanoseconds since 1970, and value."""
    time = question.grid.time
    if question.aggregation is Aggregation.NONE:
        return [[slot, number(exact, rounded)] for slot, exact, rounded in steps]
    if not question.has_buckets:
        return [[time(slot), number(exact, rounded)] for slot, exact, rounded in steps]
    if question.type == "HISTOGRAM":
        bounds = row["explicit_bounds"]
        merged = [(slot, explicit_quantile(question.quantile, bounds, counts)) for slot, counts in steps]
    else:
        merged = [
            (slot, exponential_quantile(question.quantile, merge(_exponential(part) for part in parts)))
            for slot, parts in groupby(steps, key=lambda step: step[0])
        ]
    return [[time(slot), number("", value)] for slot, value in merged if value is not None]


def _exponential(step: Sequence[Any]) -> Exponential:
    _, scale, threshold, zeros, above, below = step
    return Exponential(scale, threshold, zeros, dict(zip(*above, strict=True)), dict(zip(*below, strict=True)))


def number(exact: str, rounded: float) -> int | float | str:
    """A value of an answer: exact if it is an integer of 64 bits; NaN and infinities as the words of OTLP/JSON."""
    if exact and _LEAST_INT <= (whole := int(exact)) <= _MOST_INT:
        return whole
    value = float(exact) if exact else rounded
    if math.isfinite(value):
        return value
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


def _item(question: Question, row: Mapping[str, Any]) -> dict[str, Any]:
    keys, temporalities = row["grp"], row["temporalities"]
    stored, letters, resource, scope_name, scope_version, scope = row["origin"]
    services = row["services"]
    item: dict[str, Any] = {
        "labels": records.attributes(stored, letters)
        if question.group_by is None
        else dict(zip(question.group_by, keys, strict=False)),
        "service_name": services[0] if len(services) == 1 else None,
        "unit": row["unit"],
        "type": question.type,
        "temporality": temporalities[0] if len(temporalities) == 1 else None,
    }
    if question.group_by is None:
        item |= {
            "series_id": keys[1],
            "resource": records.origin(resource),
            "scope": {"name": scope_name, "version": scope_version, "attributes": records.origin(scope)},
        }
    else:
        item["series_count"] = row["series_count"]
    if question.has_buckets and question.type == "HISTOGRAM":
        item["explicit_bounds"] = [number("", bound) for bound in row["explicit_bounds"]]
    return item | {"points": row["points"]}
