"""Parameters of the routes: declared for OpenAPI and to refuse unknown ones; what they mean is up to `app.query`."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from fastapi import Depends, Request
from pydantic import BaseModel, ConfigDict, Field

from app.access import ANONYMOUS, Principal
from app.errors import InvalidQuery
from app.query.ask import Ask


class Format(StrEnum):
    """How records are written."""

    JSON = "json"
    OTLP = "otlp"


class Parameters(BaseModel):
    """Parameters of a route; unknown ones are refused. A field that is a list may be sent more than once."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Paged(Parameters):
    """Of every list."""

    start: str | None = Field(
        None, description="First instant: RFC 3339 or integer nanoseconds. Without it: an hour before `end`."
    )
    end: str | None = Field(None, description="Last instant, likewise. Without it: now.")
    limit: int | None = Field(
        None, description="Most items of a page; 100 if not said, at most `query.max_result_rows`."
    )
    cursor: str | None = Field(None, description="`next_cursor` of the page before, with the same other parameters.")


class Identity(Parameters):
    """What spans and log records have in common."""

    service: str | None = Field(None, description="Service name.")
    agent: str | None = Field(None, description="Agent name.")
    model: str | None = Field(None, description="Model.")
    tool: str | None = Field(None, description="Tool name.")
    session: str | None = Field(None, description="Session id.")
    user: str | None = Field(None, description="User id.")
    attribute: list[str] = Field(
        [],
        description="`key:value` on the record's attributes, `resource.key:value` on the resource's; repeatable, all "
        "must hold. Values are compared as texts: `5`, `true`, `1.5`.",
    )


class _SpanWords(Identity):
    span: str | None = Field(None, description="Span name.")
    kind: str | None = Field(
        None, description="Span kind: `UNSPECIFIED`, `INTERNAL`, `SERVER`, `CLIENT`, `PRODUCER` or `CONSUMER`."
    )
    status: str | None = Field(None, description="Status: `UNSET`, `OK` or `ERROR`.")


class TraceParameters(Paged, _SpanWords):
    """Of the list of traces: one span of the trace has it all."""

    min_duration: str | None = Field(
        None, description="The trace took at least this long: `250ms`, `1.5s` or integer nanoseconds."
    )
    max_duration: str | None = Field(None, description="The trace took at most this long.")


class SpanParameters(Paged, _SpanWords):
    """Of the list of spans."""

    min_duration: str | None = Field(
        None, description="The span took at least this long: `250ms`, `1.5s` or integer nanoseconds."
    )
    max_duration: str | None = Field(None, description="The span took at most this long.")
    trace_id: str | None = Field(None, description="Trace id, 32 hexadecimal digits.")
    format: Format = Field(Format.JSON, description="`otlp`: the records as OTLP/JSON `TracesData`.")


class LogParameters(Paged, Identity):
    """Of the list of log records."""

    severity: str | None = Field(
        None,
        description="At least this severe: 1 to 24, or `TRACE`, `DEBUG`, `INFO`, `WARN`, `ERROR`, `FATAL`.",
    )
    query: str | None = Field(None, description="Words that the body must all hold, in either case.")
    trace_id: str | None = Field(None, description="Trace id, 32 hexadecimal digits.")
    span_id: str | None = Field(None, description="Span id, 16 hexadecimal digits.")
    format: Format = Field(Format.JSON, description="`otlp`: the records as OTLP/JSON `LogsData`.")


class WholeTraceParameters(Parameters):
    """Of one trace."""

    limit: int | None = Field(None, description="Most spans of a page; 100,000 if not said, and at most.")
    cursor: str | None = Field(None, description="`next_cursor` of the page before.")
    format: Format = Field(Format.JSON, description="`otlp`: the spans as OTLP/JSON `TracesData`.")


class _PointWords(Parameters):
    service: str | None = Field(None, description="Service name.")
    agent: str | None = Field(None, description="Agent name.")
    session: str | None = Field(None, description="Session id.")
    user: str | None = Field(None, description="User id.")
    type: str | None = Field(
        None,
        description="Type: `COUNTER`, `UP_DOWN_COUNTER`, `GAUGE`, `HISTOGRAM`, `EXPONENTIAL_HISTOGRAM` or `SUMMARY`.",
    )
    attribute: list[str] = Field(
        [],
        description="`key:value` on the point's attributes, `resource.key:value` on the resource's; repeatable, all "
        "must hold. Values are compared as texts: `5`, `true`, `1.5`.",
    )


class MetricParameters(Paged, _PointWords):
    """Of the list of metrics."""

    name: str | None = Field(None, description="Part of the metric's name, in either case.")


class SeriesParameters(Paged, _PointWords):
    """Of one metric."""

    aggregation: str | None = Field(
        None,
        description="What becomes of a series' points in a step: `avg`, `sum`, `min`, `max`, `count`, `last`, `rate`, "
        "`increase`, `quantile`, or `none`: the points themselves. Without it: what the type is usually asked for, "
        "counters `rate`, up-down counters `last`, gauges and summaries `avg`, histograms `quantile`.",
    )
    step: str | None = Field(
        None,
        description="Length of a step: `15s`, `1m30s` or integer nanoseconds, at most 11,000 of them in the window. "
        "Without it: a round length of which at most 300 fit.",
    )
    group_by: list[str] = Field(
        [],
        description="Attribute key, `resource.key`, `service`, `agent`, `session` or `user`; repeatable. Series that "
        "are equal in all of them become one; empty: all become one. Without it: each series by itself.",
    )
    quantile: str | None = Field(
        None, description="Which quantile, 0 to 1, with `aggregation=quantile`, which it implies; 0.95 if not said."
    )
    format: Format = Field(Format.JSON, description="`otlp`: the stored points as OTLP/JSON `MetricsData`.")


class AgentParameters(Paged):
    """Of the list of agents."""

    service: str | None = Field(None, description="Service name.")
    agent: str | None = Field(None, description="Agent name.")


class ModelParameters(Paged):
    """Of the list of models."""

    service: str | None = Field(None, description="Service name.")
    model: str | None = Field(None, description="Model.")
    provider: str | None = Field(None, description="Provider of the model.")


class ToolParameters(Paged):
    """Of the list of tools."""

    service: str | None = Field(None, description="Service name.")
    tool: str | None = Field(None, description="Tool name.")


def principal() -> Principal:
    """Who asks. Without configured credentials: the anonymous principal."""
    return ANONYMOUS


Asker = Annotated[Principal, Depends(principal)]

_NOT_FILTERS = frozenset({"start", "end", "limit", "cursor", "format"})


def ask_of(request: Request, asker: Principal, parameters: Parameters) -> Ask:
    """The question that a request puts.

    Raises:
        InvalidQuery: A parameter is sent twice that has one value only.
    """
    sent: dict[str, list[str]] = {}
    for name, text in request.query_params.multi_items():
        sent.setdefault(name, []).append(text)
    for name, texts in sent.items():
        if len(texts) > 1 and not isinstance(getattr(parameters, name), list):
            raise InvalidQuery(f"{name} is sent {len(texts)} times", field=name)
    return Ask(
        asker.tenant,
        {name: texts for name, texts in sent.items() if name not in _NOT_FILTERS},
        start=getattr(parameters, "start", None),
        end=getattr(parameters, "end", None),
        limit=getattr(parameters, "limit", None),
        cursor=getattr(parameters, "cursor", None),
    )
