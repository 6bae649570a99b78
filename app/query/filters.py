"""Filters: which parameter looks at which column, how. Declared here once, used by every topic.

The table is called `s` in every condition. Attribute values are texts in the Map: `5`, `true` and `1.5` are compared
as they are written there.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from app.errors import InvalidQuery
from app.model import LOGS, METRICS, SPANS, Table
from app.query.ask import IN_WINDOW, fill
from app.query.durations import parse_duration
from app.store.contract import Parameter

_MOST_REPEATS = 32
_MOST_WORDS = 32
_LARGEST_VALUE = 65_536


@dataclass(slots=True)
class Where:
    """Conditions with the values of their parameters.

    Attributes:
        conditions: To be joined by AND.
        parameters: Values by name.
    """

    conditions: list[str] = field(default_factory=list)
    parameters: dict[str, Parameter] = field(default_factory=dict)

    def add(self, condition: str, **parameters: Parameter) -> None:
        """Ask for one thing more."""
        self.conditions.append(condition)
        self.parameters.update(parameters)


@dataclass(frozen=True, slots=True)
class Filter:
    """One parameter that narrows a question.

    Attributes:
        parameter: Its name.
        apply: Turns its texts into conditions.
        is_repeatable: True if it may be sent more than once; all of them must hold.
    """

    parameter: str
    apply: Callable[[Sequence[str], Where], None]
    is_repeatable: bool = False


def narrow(filters: Sequence[Filter], asked: Mapping[str, Sequence[str]]) -> Where:
    """Conditions for what was asked, in the order of the declaration.

    Raises:
        InvalidQuery: A parameter is not among `filters`, is sent twice, or has a value that does not fit.
    """
    known = {declared.parameter: declared for declared in filters}
    for name, texts in asked.items():
        if name not in known:
            raise InvalidQuery(f"{name} is not a parameter here; there are {', '.join(known)}", field=name)
        if len(texts) > (_MOST_REPEATS if known[name].is_repeatable else 1):
            raise InvalidQuery(f"{name} is sent {len(texts)} times", field=name)
        if any(len(text) > _LARGEST_VALUE for text in texts):
            raise InvalidQuery(f"{name} is longer than {_LARGEST_VALUE} characters", field=name)
    where = Where()
    for declared in filters:
        if declared.parameter in asked:
            declared.apply(asked[declared.parameter], where)
    return where


def equals(parameter: str, column: str) -> Filter:
    """The column has exactly this text."""

    def apply(texts: Sequence[str], where: Where) -> None:
        where.add(f"s.{column} = {{{parameter}:String}}", **{parameter: texts[0]})

    return Filter(parameter, apply)


def one_of(parameter: str, table: Table, column: str, prefix: str) -> Filter:
    """The enum column has this word, in either case, with or without OTLP's prefix."""
    words = re.findall(r"'([A-Z_]+)'", table.column(column).type)

    def apply(texts: Sequence[str], where: Where) -> None:
        word = texts[0].upper().removeprefix(prefix)
        if word not in words:
            raise InvalidQuery(f"{parameter} = {texts[0][:80]!r} is none of {', '.join(words)}", field=parameter)
        where.add(f"s.{column} = {{{parameter}:String}}", **{parameter: word})

    return Filter(parameter, apply)


def hexadecimal(parameter: str, column: str, digits: int) -> Filter:
    """The id column has this value."""

    def apply(texts: Sequence[str], where: Where) -> None:
        where.add(f"s.{column} = {{{parameter}:String}}", **{parameter: parse_id(texts[0], parameter, digits)})

    return Filter(parameter, apply)


def parse_id(text: str, parameter: str, digits: int) -> str:
    """Read a hexadecimal id of exactly `digits` digits as lowercase.

    Raises:
        InvalidQuery: It is not one, or is all zero.
    """
    if not re.fullmatch(rf"[0-9a-fA-F]{{{digits}}}", text) or not text.strip("0"):
        raise InvalidQuery(
            f"{parameter} = {text[:80]!r} is not {digits} hexadecimal digits, not all 0", field=parameter
        )
    return text.lower()


def _duration(parameter: str, condition: str) -> Filter:
    def apply(texts: Sequence[str], where: Where) -> None:
        nanoseconds = parse_duration(texts[0], parameter)
        shortest = where.parameters.get("min_duration")
        if parameter == "max_duration" and isinstance(shortest, int) and shortest > nanoseconds:
            raise InvalidQuery("min_duration is more than max_duration", field="min_duration")
        where.parameters[parameter] = nanoseconds
        if condition:
            where.conditions.append(condition)

    return Filter(parameter, apply)


SPAN_DURATIONS = (
    _duration("min_duration", "s.duration_ns >= {min_duration:UInt64}"),
    _duration("max_duration", "s.duration_ns <= {max_duration:UInt64}"),
)
"""The span itself took that long."""

TRACE_DURATIONS = (_duration("min_duration", ""), _duration("max_duration", ""))
"""Values only: a trace's length is not a matter of one row (`app.query.traces`)."""


def attributes(table: Table) -> Filter:
    """`key:value` on the record's attributes, `resource.key:value` on the resource's; each one sent must hold."""

    def apply(texts: Sequence[str], where: Where) -> None:
        for place, text in enumerate(texts):
            key, colon, value = text.partition(":")
            if not colon or key in ("", "resource."):
                raise InvalidQuery(
                    f"attribute = {text[:80]!r} is not key:value or resource.key:value", field="attribute"
                )
            name = f"attribute_{place}"
            if key.startswith("resource."):
                condition = _resource_has(table, name)
                key = key.removeprefix("resource.")
            else:
                condition = _record_has(name)
            where.add(condition, **{f"{name}_key": key, f"{name}_value": value})

    return Filter("attribute", apply, is_repeatable=True)


def _record_has(name: str) -> str:
    # Keys may be doubled: each pair counts, not only the first that `[]` would find. Looking for the value alone first
    # costs 0.15 µs a row instead of 0.25.
    return (
        f"has(mapValues(s.attributes_map), {{{name}_value:String}})\n  AND "
        f"arrayExists((k, v) -> (k = {{{name}_key:String}}) AND (v = {{{name}_value:String}}), "
        "mapKeys(s.attributes_map), mapValues(s.attributes_map))"
    )


# A tenant has few resources and each is one text: take them apart once each, not once a row.
_RESOURCE_HAS = """
s.resource IN (
    SELECT r.resource
    FROM (
        SELECT DISTINCT s.resource AS resource
        FROM $table AS s
        WHERE s.tenant = {tenant:String}$conditions
    ) AS r
    WHERE arrayExists(
        e -> (e.1 = {${name}_key:String}) AND (e.3 = {${name}_value:String}),
        JSONExtract(toString(r.resource), 'Array(Tuple(String, String, String))')
    )
  )"""


def _resource_has(table: Table, name: str) -> str:
    return fill(_RESOURCE_HAS, table=table.name, name=name, conditions=IN_WINDOW)


_SEVERITIES = ("TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL")
_SEVERITY_SYNONYMS = {"WARNING": "WARN", "ERR": "ERROR", "CRITICAL": "FATAL", "NOTICE": "INFO", "INFORMATION": "INFO"}
_HIGHEST_SEVERITY = 24


def parse_severity(text: str) -> int:
    """Read a severity: its number, or a name as TRACE, DEBUG2, Info, WARNING, error4, FATAL.

    Returns:
        1 to 24.

    Raises:
        InvalidQuery: It is neither.
    """
    if re.fullmatch("[0-9]{1,2}", text) and 1 <= int(text) <= _HIGHEST_SEVERITY:
        return int(text)
    found = re.fullmatch("([A-Z]+)([1-4]?)", text.upper())
    name = _SEVERITY_SYNONYMS.get(found[1], found[1]) if found else ""
    if not found or name not in _SEVERITIES:
        raise InvalidQuery(
            f"severity = {text[:80]!r} is neither a number from 1 to 24 nor one of {', '.join(_SEVERITIES)}",
            field="severity",
        )
    return _SEVERITIES.index(name) * 4 + int(found[2] or "1")


def _at_least_as_severe(texts: Sequence[str], where: Where) -> None:
    number = parse_severity(texts[0])
    # Some sources send a word and no number; the word then decides.
    words = [name for name in _SEVERITIES if _SEVERITIES.index(name) * 4 + 1 >= number]
    words += [synonym for synonym, name in _SEVERITY_SYNONYMS.items() if name in words]
    where.add(
        "((s.severity_number >= {severity:UInt8}) OR "
        "(s.severity_number = 0 AND upper(s.severity_text) IN {severity_words:Array(String)}))",
        severity=number,
        severity_words=words,
    )


def _body_has_words(texts: Sequence[str], where: Where) -> None:
    words = texts[0].split()
    if not words:
        raise InvalidQuery("query holds no word", field="query")
    if len(words) > _MOST_WORDS:
        raise InvalidQuery(f"query holds {len(words)} words, more than {_MOST_WORDS}", field="query")
    for place, word in enumerate(words):
        where.add(f"positionCaseInsensitiveUTF8(s.body, {{query_{place}:String}}) > 0", **{f"query_{place}": word})


def _name_holds(texts: Sequence[str], where: Where) -> None:
    where.add("positionCaseInsensitiveUTF8(s.metric_name, {name:String}) > 0", name=texts[0])


IDENTITY_FILTERS = (
    equals("service", "service_name"),
    equals("agent", "agent_name"),
    equals("model", "llm_model"),
    equals("tool", "tool_name"),
    equals("session", "session_id"),
    equals("user", "user_id"),
)
SPAN_WORDS = (
    equals("span", "span_name"),
    one_of("kind", SPANS, "span_kind", "SPAN_KIND_"),
    one_of("status", SPANS, "status_code", "STATUS_CODE_"),
)
SPAN_FILTERS = (
    *IDENTITY_FILTERS,
    *SPAN_WORDS,
    *SPAN_DURATIONS,
    hexadecimal("trace_id", "trace_id", 32),
    attributes(SPANS),
)
TRACE_FILTERS = (
    *IDENTITY_FILTERS,
    *SPAN_WORDS,
    *TRACE_DURATIONS,
    attributes(SPANS),
)
LOG_FILTERS = (
    *IDENTITY_FILTERS,
    hexadecimal("trace_id", "trace_id", 32),
    hexadecimal("span_id", "span_id", 16),
    Filter("severity", _at_least_as_severe),
    Filter("query", _body_has_words),
    attributes(LOGS),
)
POINT_FILTERS = (
    equals("service", "service_name"),
    equals("agent", "agent_name"),
    equals("session", "session_id"),
    equals("user", "user_id"),
    one_of("type", METRICS, "metric_type", ""),
    attributes(METRICS),
)
METRIC_FILTERS = (
    Filter("name", _name_holds),
    *POINT_FILTERS,
)
