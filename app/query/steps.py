"""The SQL of series: which there are, and what their points become in each step of a window.

Every statement about steps answers with one row a series or group: its key `grp`, texts that order it, and `points`, a
tuple a step, the step's number first. What happens between two points is the affair of `app.query.increases`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from textwrap import indent

from app.query.ask import IN_WINDOW, Ask, Statement, Turn, fill, within
from app.query.filters import POINT_FILTERS, narrow
from app.query.increases import LOOK_BACK_NS, increases
from app.query.points import (
    FINITE_OR_INFINITE,
    GROUPED,
    NUMBER_CELLS,
    NUMBERS,
    RECORDED,
    RECORDED_NUMBER,
    Aggregation,
    Question,
)
from app.store.contract import Parameter

MOST_KINDS = 50
"""Combinations of type and temporality that a name may stand for; there are 18."""

_MOST_QUANTILES = "100"


_KINDS = """
SELECT
    toString(s.metric_type) AS type,
    toString(s.aggregation_temporality) AS temporality,
    arraySort(groupUniqArrayArray($most)(s.`quantiles.quantile`)) AS quantiles
FROM metrics AS s
WHERE s.tenant = {tenant:String}$conditions
GROUP BY
    s.metric_type,
    s.aggregation_temporality
ORDER BY
    type,
    temporality
LIMIT {limit:UInt32}
"""

_SERIES = """
SELECT
    $group AS grp,
    any(toString(s.metric_unit)) AS unit,
    uniqExact(s.series_id) AS series_count,
    groupUniqArray(2)(toString(s.service_name)) AS services,
    arraySort(groupUniqArray(3)(toString(s.aggregation_temporality))) AS temporalities,
    any(s.explicit_bounds) AS explicit_bounds,
    any(
        tuple(
            [mapKeys(s.attributes_map), mapValues(s.attributes_map)],
            toString(s.attributes_types),
            toString(s.resource),
            toString(s.scope_name),
            toString(s.scope_version),
            toString(s.scope)
        )
    ) AS origin
FROM metrics AS s
WHERE s.tenant = {tenant:String}$conditions
GROUP BY grp
ORDER BY grp
LIMIT {limit:UInt32}
"""

_VALUES = """
SELECT
    grp,
    arraySort(x -> x.1, groupArray(($cells))) AS points
FROM (
$steps
)
GROUP BY grp
ORDER BY grp
LIMIT {limit:UInt32}
"""

_PLAIN = """
SELECT
    $group AS grp,
    least(intDiv(toUnixTimestamp64Nano(s.timestamp) - {start:Int64}, {step:Int64}), {last_slot:UInt32}) AS slot,
    $columns
FROM metrics AS s
WHERE s.tenant = {tenant:String}$conditions
GROUP BY
    $keys
"""

_RAW = """
SELECT
    $group AS grp,
    toUnixTimestamp64Nano(s.timestamp) AS slot,
    if(s.value_type = 'INT', toString(s.value_int), '') AS exact,
    s.value AS rounded
FROM metrics AS s
WHERE s.tenant = {tenant:String}$conditions
ORDER BY
    grp,
    slot
LIMIT {most_points:UInt32}
"""

_GROUP_COLUMNS = {
    "service": "toString(s.service_name)",
    "agent": "toString(s.agent_name)",
    "session": "s.session_id",
    "user": "s.user_id",
}

_IN_RESOURCE = (
    "arrayFirst(e -> e.1 = {?:String}, JSONExtract(toString(s.resource), 'Array(Tuple(String, String, String))')).3"
)


def kinds(ask: Ask, name: str, turn: Turn) -> Statement:
    """The SELECT that says what goes by a metric's name: types, temporalities, the quantiles of summaries."""
    where = narrow(POINT_FILTERS, ask.filters)
    conditions = [*IN_WINDOW, "s.metric_name = {name:String}", *where.conditions]
    parameters = where.parameters | within(turn.window) | {"tenant": ask.tenant, "name": name, "limit": MOST_KINDS}
    return Statement(fill(_KINDS, conditions=conditions, most=_MOST_QUANTILES), parameters)


def series(question: Question, after: Sequence[str] | None, limit: int) -> Statement:
    """The SELECT that finds the series, or groups, of a page.

    Args:
        question: What is asked.
        after: Key of the last one on the page before.
        limit: Most of them.
    """
    base = _Base.of(question)
    conditions = [*IN_WINDOW, *base.conditions]
    parameters = base.parameters | within(question.grid.window) | {"limit": limit}
    if after is not None:
        conditions.append("grp > {after:Array(String)}")
        parameters["after"] = list(after)
    return Statement(fill(_SERIES, group=base.group, conditions=conditions), parameters)


def values(question: Question, first: Sequence[str], last: Sequence[str], *, limit: int, most_points: int) -> Statement:
    """The SELECT that reads what is in the steps of the series from `first` to `last`.

    Args:
        question: What is asked.
        first: Key of the first series.
        last: Key of the last series.
        limit: How many series there are.
        most_points: Bound of all points together, where they are not steps.
    """
    base = _Base.of(question)
    conditions = [*base.conditions, "grp >= {first:Array(String)}", "grp <= {last:Array(String)}"]
    parameters = base.parameters | within(question.grid.window)
    parameters |= {"limit": limit, "first": list(first), "last": list(last)}
    if question.group_by is None:
        # The key of the table: what other pages show is not read.
        conditions += ["s.service_name >= {first_service:String}", "s.service_name <= {last_service:String}"]
        parameters |= {"first_service": first[0], "last_service": last[0]}
    if question.aggregation is Aggregation.NONE:
        parameters["most_points"] = most_points
        sql = fill(_RAW, group=base.group, conditions=[*IN_WINDOW, *conditions, *RECORDED_NUMBER])
        return Statement(_in_steps(sql, NUMBER_CELLS), parameters)
    parameters |= {"step": question.grid.step_ns, "last_slot": question.grid.steps - 1}
    if _is_plain(question):
        sql, cells = _plain(question, base.group, [*IN_WINDOW, *conditions])
    else:
        parameters["from"] = max(0, question.grid.window.start_unix_nano - LOOK_BACK_NS)
        sql, cells = increases(question, base.group, conditions)
    if "{quantile:" in sql:
        parameters["quantile"] = question.quantile
    return Statement(_in_steps(sql, cells), parameters)


def _in_steps(sql: str, cells: Sequence[str]) -> str:
    return fill(_VALUES, cells=", ".join(cells), steps=indent(sql, "    "))


@dataclass(frozen=True, slots=True)
class _Base:
    """What all statements of a question share.

    Attributes:
        group: Expression of the key of a series or group: texts, the same for all its points.
        conditions: Which points it is about.
        parameters: Values of both.
    """

    group: str
    conditions: list[str]
    parameters: dict[str, Parameter]

    @classmethod
    def of(cls, question: Question) -> _Base:
        where = narrow(POINT_FILTERS, question.ask.filters)
        where.add("s.metric_name = {name:String}", name=question.name)
        where.add("s.metric_type = {type:String}", type=question.type)
        where.parameters["tenant"] = question.ask.tenant
        if question.group_by is None:
            texts = ["toString(s.service_name)", "leftPad(lower(hex(s.series_id)), 16, '0')"]
        else:
            texts = []
            for place, key in enumerate(question.group_by):
                text, its = _group_key(key, f"group_{place}")
                texts.append(text)
                where.parameters |= its
        texts.append("toString(s.metric_unit)")
        if question.has_buckets and question.type == "HISTOGRAM":
            texts.append("toString(s.explicit_bounds)")  # counts of other bounds cannot be added to these
        return cls(f"CAST([{', '.join(texts)}], 'Array(String)')", where.conditions, where.parameters)


def _group_key(key: str, name: str) -> tuple[str, dict[str, Parameter]]:
    """The text of a point that a key of `group_by` means; empty if it has none."""
    if column := _GROUP_COLUMNS.get(key):
        return column, {}
    if key.startswith("resource."):
        return _IN_RESOURCE.replace("?", name), {name: key.removeprefix("resource.")}
    return f"s.attributes_map[{{{name}:String}}]", {name: key}


_ALL_INT = "min(s.value_type = 'INT')"
_LATEST = "tuple(s.timestamp, s.batch, s.row)"
_NUMBER_COLUMNS: Mapping[Aggregation, tuple[str, ...]] = {
    Aggregation.AVG: ("'' AS exact", "avg(s.value) AS rounded"),
    Aggregation.SUM: (f"if({_ALL_INT}, toString(sum(toInt128(s.value_int))), '') AS exact", "sum(s.value) AS rounded"),
    Aggregation.MIN: (f"if({_ALL_INT}, toString(min(s.value_int)), '') AS exact", "min(s.value) AS rounded"),
    Aggregation.MAX: (f"if({_ALL_INT}, toString(max(s.value_int)), '') AS exact", "max(s.value) AS rounded"),
    Aggregation.COUNT: ("toString(count()) AS exact", "toFloat64(0) AS rounded"),
    Aggregation.QUANTILE: (
        "arraySort(groupArray(s.value)) AS sorted",
        "{quantile:Float64} * (length(sorted) - 1) AS place",
        "sorted[toUInt64(floor(place)) + 1] AS below",
        "sorted[toUInt64(ceil(place)) + 1] AS above",
        "'' AS exact",
        "if(below = above, below, below + (above - below) * (place - floor(place))) AS rounded",
    ),
}
_NEWEST = (
    f"argMax(tuple(s.value_type = 'INT', toInt128(s.value_int), s.value), {_LATEST}) AS newest",
    "newest.1 AS is_whole",
    "newest.2 AS whole",
    "newest.3 AS part",
)
_NEWEST_OF_ALL = (*_NEWEST, "if(is_whole, toString(whole), '') AS exact", "part AS rounded")
_ADDED = (
    "grp",
    "slot",
    "if(min(is_whole), toString(sum(whole)), '') AS exact",
    "sum(part) AS rounded",
)


def _is_plain(question: Question) -> bool:
    """True if a step needs nothing but its own points."""
    match question.aggregation:
        case Aggregation.RATE | Aggregation.INCREASE:
            return False
        case Aggregation.MIN | Aggregation.MAX:
            return True
        case Aggregation.QUANTILE if question.type == "SUMMARY":
            return True
    return question.type in NUMBERS


def _plain(question: Question, group: str, conditions: Sequence[str]) -> tuple[str, Sequence[str]]:
    """The steps of points as they are, and the cells of each."""

    def steps(columns: Sequence[str], more: Sequence[str], keys: Sequence[str] = ("grp", "slot")) -> str:
        return fill(_PLAIN, group=group, columns=columns, conditions=[*conditions, *more], keys=",\n    ".join(keys))

    aggregation = question.aggregation
    if question.type == "SUMMARY":
        held = "s.`quantiles.value`[indexOf(s.`quantiles.quantile`, {quantile:Float64})]"
        more = (RECORDED, "has(s.`quantiles.quantile`, {quantile:Float64})", f"NOT isNaN({held})")
        return steps(("'' AS exact", f"argMax({held}, {_LATEST}) AS rounded"), more), NUMBER_CELLS
    if question.type not in NUMBERS:
        bit = 2 if aggregation is Aggregation.MIN else 4
        more = (RECORDED, f"bitAnd(s.presence, {bit}) != 0", f"NOT isNaN(s.{aggregation})")
        return steps(("'' AS exact", f"{aggregation}(s.{aggregation}) AS rounded"), more), NUMBER_CELLS
    more = (*RECORDED_NUMBER, FINITE_OR_INFINITE)
    if aggregation is not Aggregation.LAST:
        return steps(_NUMBER_COLUMNS[aggregation], more), NUMBER_CELLS
    if question.type == "GAUGE":
        return steps(_NEWEST_OF_ALL, more), NUMBER_CELLS
    by_series = indent(steps(_NEWEST, more, ("grp", "s.series_id", "slot")), "    ")
    return fill(GROUPED, columns=_ADDED, rows=by_series, keys="grp,\n    slot", having=""), NUMBER_CELLS
