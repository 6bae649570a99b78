"""The GenAI mapping: each dialect's attributes come out in the promoted columns, the best source first."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import pytest
from opentelemetry.proto.resource.v1.resource_pb2 import Resource

from app.codec.genai import FROM_RESOURCE, SOURCES, Dialect
from app.model import LOGS, METRICS, SPANS
from tests.unit.codec.messages import Pairs, attributes, gauge, log, logs, metrics, point, row, span, traces

PROMOTED = [column.name for column in SPANS.decoded if column.promoted]

CURRENT = {
    "gen_ai.operation.name": "chat",
    "gen_ai.provider.name": "openai",
    "gen_ai.request.model": "gpt-4o",
    "gen_ai.response.model": "gpt-4o-2024",
    "gen_ai.response.id": "resp-1",
    "gen_ai.conversation.id": "conv-1",
    "gen_ai.agent.name": "helper",
    "user.id": "u-1",
    "gen_ai.usage.input_tokens": 100,
    "gen_ai.usage.output_tokens": 20,
    "gen_ai.usage.cache_read.input_tokens": 60,
    "gen_ai.usage.cache_creation.input_tokens": 7,
    "gen_ai.usage.reasoning.output_tokens": 5,
}

DIALECTS: list[tuple[str, dict[str, object], dict[str, str | int]]] = [
    (
        "current model call",
        CURRENT,
        {
            "operation_name": "chat",
            "agent_type": "llm",
            "llm_system": "openai",
            "llm_model": "gpt-4o-2024",
            "invocation_id": "resp-1",
            "session_id": "conv-1",
            "agent_name": "helper",
            "user_id": "u-1",
            "llm_input_tokens": 100,
            "llm_output_tokens": 20,
            "llm_cached_tokens": 60,
            "llm_reasoning_tokens": 5,
        },
    ),
    (
        "current tool",
        {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "search", "gen_ai.tool.call.id": "call-1"},
        {"operation_name": "execute_tool", "agent_type": "tool", "tool_name": "search", "tool_call_id": "call-1"},
    ),
    (
        "current agent",
        {"gen_ai.operation.name": "invoke_agent"},
        {"operation_name": "invoke_agent", "agent_type": "agent"},
    ),
    (
        "current embeddings",
        {"gen_ai.operation.name": "embeddings"},
        {"operation_name": "embeddings", "agent_type": "embedding"},
    ),
    (
        "current workflow",
        {"gen_ai.operation.name": "invoke_workflow"},
        {"operation_name": "invoke_workflow", "agent_type": "workflow"},
    ),
    ("current, an operation of its own", {"gen_ai.operation.name": "dream"}, {"operation_name": "dream"}),
    (
        "old model call",
        {
            "gen_ai.system": "az.ai.openai",
            "gen_ai.request.model": "gpt-4",
            "gen_ai.usage.prompt_tokens": 3,
            "gen_ai.usage.completion_tokens": 4,
            "enduser.id": "u-2",
        },
        {
            "llm_system": "azure.ai.openai",
            "llm_model": "gpt-4",
            "llm_input_tokens": 3,
            "llm_output_tokens": 4,
            "user_id": "u-2",
        },
    ),
    (
        "OpenInference model call",
        {
            "openinference.span.kind": "LLM",
            "llm.provider": "azure",
            "llm.system": "openai",
            "llm.model_name": "gpt-4",
            "llm.token_count.prompt": 10,
            "llm.token_count.completion": 11,
            "llm.token_count.prompt_details.cache_read": 4,
            "llm.token_count.completion_details.reasoning": 5,
            "llm.token_count.total": 21,
            "session.id": "s-1",
        },
        {
            "operation_name": "chat",
            "agent_type": "llm",
            "llm_system": "azure",
            "llm_model": "gpt-4",
            "llm_input_tokens": 10,
            "llm_output_tokens": 11,
            "llm_cached_tokens": 4,
            "llm_reasoning_tokens": 5,
            "session_id": "s-1",
        },
    ),
    (
        "OpenInference agent",
        {"openinference.span.kind": "AGENT", "agent.name": "planner"},
        {"operation_name": "invoke_agent", "agent_type": "agent", "agent_name": "planner"},
    ),
    (
        "OpenInference tool",
        {"openinference.span.kind": "TOOL", "tool.name": "search", "tool_call.id": "c"},
        {"operation_name": "execute_tool", "agent_type": "tool", "tool_name": "search", "tool_call_id": "c"},
    ),
    (
        "OpenInference embedding",
        {"openinference.span.kind": "EMBEDDING", "embedding.model_name": "ada"},
        {"operation_name": "embeddings", "agent_type": "embedding", "llm_model": "ada"},
    ),
    (
        "OpenInference retriever",
        {"openinference.span.kind": "RETRIEVER"},
        {"operation_name": "retrieval", "agent_type": "retriever"},
    ),
    ("OpenInference chain", {"openinference.span.kind": "CHAIN"}, {"agent_type": "chain"}),
    (
        "OpenInference in lower case",
        {"openinference.span.kind": "llm"},
        {"operation_name": "chat", "agent_type": "llm"},
    ),
    ("OpenInference unknown", {"openinference.span.kind": "UNKNOWN"}, {}),
    (
        "Traceloop model call",
        {
            "llm.request.type": "chat",
            "gen_ai.system": "vertex_ai",
            "gen_ai.usage.reasoning_tokens": 9,
            "traceloop.association.properties.session_id": "s-2",
            "traceloop.association.properties.user_id": "u-3",
            "traceloop.entity.name": "not an agent",
        },
        {
            "operation_name": "chat",
            "agent_type": "llm",
            "llm_system": "gcp.vertex_ai",
            "llm_reasoning_tokens": 9,
            "session_id": "s-2",
            "user_id": "u-3",
        },
    ),
    (
        "Traceloop completion",
        {"llm.request.type": "completion"},
        {"operation_name": "text_completion", "agent_type": "llm"},
    ),
    (
        "Traceloop embedding",
        {"llm.request.type": "embedding"},
        {"operation_name": "embeddings", "agent_type": "embedding"},
    ),
    (
        "Traceloop agent",
        {"traceloop.span.kind": "agent", "traceloop.entity.name": "planner"},
        {"operation_name": "invoke_agent", "agent_type": "agent", "agent_name": "planner"},
    ),
    (
        "Traceloop tool",
        {"traceloop.span.kind": "tool", "traceloop.entity.name": "search"},
        {"operation_name": "execute_tool", "agent_type": "tool", "tool_name": "search"},
    ),
    (
        "Traceloop workflow",
        {"traceloop.span.kind": "workflow", "traceloop.entity.name": "w"},
        {"operation_name": "invoke_workflow", "agent_type": "workflow"},
    ),
    ("Traceloop task", {"traceloop.span.kind": "task", "traceloop.entity.name": "t"}, {"agent_type": "task"}),
    (
        "Vercel model call",
        {
            "ai.operationId": "ai.generateText.doGenerate",
            "ai.model.provider": "openai.responses",
            "ai.model.id": "gpt-4o",
            "ai.response.model": "gpt-4o-2024",
            "ai.response.id": "r-1",
            "ai.usage.promptTokens": 1,
            "ai.usage.completionTokens": 2,
            "ai.telemetry.metadata.sessionId": "s-3",
            "ai.telemetry.metadata.userId": "u-4",
        },
        {
            "operation_name": "chat",
            "agent_type": "llm",
            "llm_system": "openai",
            "llm_model": "gpt-4o-2024",
            "invocation_id": "r-1",
            "llm_input_tokens": 1,
            "llm_output_tokens": 2,
            "session_id": "s-3",
            "user_id": "u-4",
        },
    ),
    (
        "Vercel wrapper, which repeats the usage of its call",
        {"ai.operationId": "ai.generateText", "ai.usage.inputTokens": 3, "ai.usage.outputTokens": 4},
        {"agent_type": "workflow", "llm_input_tokens": 3, "llm_output_tokens": 4},
    ),
    ("Vercel stream", {"ai.operationId": "ai.streamText.doStream"}, {"operation_name": "chat", "agent_type": "llm"}),
    (
        "Vercel embedding",
        {"ai.operationId": "ai.embedMany.doEmbed"},
        {"operation_name": "embeddings", "agent_type": "embedding"},
    ),
    (
        "Vercel tool",
        {"ai.operationId": "ai.toolCall", "ai.toolCall.name": "search", "ai.toolCall.id": "c"},
        {"operation_name": "execute_tool", "agent_type": "tool", "tool_name": "search", "tool_call_id": "c"},
    ),
    (
        "Google ADK",
        {"gcp.vertex.agent.invocation_id": "i-1", "gcp.vertex.agent.session_id": "s-4", "gen_ai.system": "gemini"},
        {"invocation_id": "i-1", "session_id": "s-4", "llm_system": "gcp.gemini"},
    ),
    (
        "own, after rak.",
        {f"rak.{column}": "7" for column in PROMOTED},
        {column: 7 if "tokens" in column or "resource" in column else "7" for column in PROMOTED},
    ),
    (
        "own, plain",
        dict.fromkeys(PROMOTED, "7"),
        {
            column: 7 if "tokens" in column or "resource" in column else "7"
            for column in PROMOTED
            if column != "operation_name"
        },
    ),
]


def promoted(
    values: dict[str, object] | Pairs, name: str = "any name", resource: dict[str, object] | None = None
) -> dict[str, Any]:
    """The promoted columns of a span that are filled."""
    origin = None if resource is None else Resource(attributes=attributes(resource))
    stored = row(traces(span(values, name=name), resource=origin))
    return {column: stored[column] for column in PROMOTED if stored[column] not in ("", 0)}


@pytest.mark.parametrize(("values", "columns"), [case[1:] for case in DIALECTS], ids=[case[0] for case in DIALECTS])
def test_a_dialect_fills_its_columns_and_no_others(values: dict[str, object], columns: dict[str, str | int]) -> None:
    assert promoted(values) == columns


def test_every_promoted_column_has_sources() -> None:
    columns = {column.name for table in (SPANS, LOGS, METRICS) for column in table.decoded if column.promoted}
    assert columns == set(SOURCES)


@pytest.mark.parametrize("column", sorted(SOURCES))
def test_the_better_source_wins_whatever_the_order_of_the_attributes(column: str) -> None:
    free = [source for source in SOURCES[column] if source.words is None and source.only_if is None]
    for better, worse in pairwise(free):
        stored = row(traces(span(Pairs([(worse.key, "2"), (better.key, "1")]))))
        assert str(stored[column]) == "1", (better, worse)


def test_every_dialect_has_a_source() -> None:
    assert {source.dialect for sources in SOURCES.values() for source in sources} == set(Dialect)


def test_an_empty_value_gives_way_to_the_next_source() -> None:
    assert promoted({"gen_ai.response.model": "", "gen_ai.request.model": "m"}) == {"llm_model": "m"}


@pytest.mark.parametrize("value", [["a"], {"a": 1}, b"bytes", None], ids=["array", "kvlist", "bytes", "empty"])
def test_a_value_that_is_no_scalar_gives_way_to_the_next_source(value: object) -> None:
    assert promoted({"gen_ai.response.model": value, "gen_ai.request.model": "m"}) == {"llm_model": "m"}


@pytest.mark.parametrize(("value", "text"), [(7, "7"), (True, "true"), (1.5, "1.5")], ids=str)
def test_scalars_that_are_no_strings_are_written_as_their_text(value: object, text: str) -> None:
    assert promoted({"session.id": value}) == {"session_id": text}


def test_of_a_doubled_key_the_first_value_counts() -> None:
    assert promoted(Pairs([("session.id", "a"), ("session.id", "b")])) == {"session_id": "a"}


@pytest.mark.parametrize(("value", "count"), [(5, 5), ("5", 5), (5.0, 5), (0, 0), (2**53, 2**53)], ids=str)
def test_a_count_may_be_sent_as(value: object, count: int) -> None:
    assert row(traces(span({"gen_ai.usage.input_tokens": value})))["llm_input_tokens"] == count


BAD_COUNTS = [-1, -1.0, 2**53 + 1, 2**63 - 1, 1e300, 1.5, math.nan, math.inf, "-1", "many", "", "1" * 10_000, "٣", True]


@pytest.mark.parametrize("value", BAD_COUNTS, ids=lambda value: str(value)[:20])
def test_a_negative_or_absurd_count_is_none(value: object) -> None:
    stored = row(traces(span({"gen_ai.usage.input_tokens": value})))
    assert (stored["llm_input_tokens"], stored["residue"]) == (0, "")


def test_the_attributes_stay_as_they_came() -> None:
    stored = row(traces(span({"gen_ai.system": "vertex_ai", "gen_ai.usage.input_tokens": "5"})))
    assert (stored["attributes_map"][1], stored["attributes_types"]) == (["vertex_ai", "5"], "ss")


NAMES = [
    ("agent.run", "invoke_agent", "agent"),
    ("llm.generate", "chat", "llm"),
    ("execute_tool", "execute_tool", "tool"),
]


@pytest.mark.parametrize(("name", "operation", "agent_type"), NAMES, ids=[case[0] for case in NAMES])
def test_a_span_name_tells_the_operation_of_a_span_with_genai_attributes(
    name: str, operation: str, agent_type: str
) -> None:
    assert promoted({"session_id": "s"}, name) == {
        "session_id": "s",
        "operation_name": operation,
        "agent_type": agent_type,
    }


@pytest.mark.parametrize("name", [case[0] for case in NAMES])
def test_a_span_name_alone_tells_nothing(name: str) -> None:
    assert promoted({"http.route": "/"}, name) == {}


def test_what_an_attribute_says_of_the_operation_is_better_than_the_name() -> None:
    assert promoted({"gen_ai.operation.name": "plan"}, "agent.run")["operation_name"] == "plan"


def test_a_given_agent_type_is_better_than_that_of_the_name() -> None:
    assert promoted({"agent_type": "workflow"}, "agent.run") == {
        "agent_type": "workflow",
        "operation_name": "invoke_agent",
    }


def test_session_user_and_agent_fall_back_to_the_resource() -> None:
    resource: dict[str, object] = {
        "session.id": "s",
        "user.id": "u",
        "gen_ai.agent.name": "a",
        "gen_ai.request.model": "m",
    }
    assert promoted({}, resource=resource) == {"session_id": "s", "user_id": "u", "agent_name": "a"}
    assert set(FROM_RESOURCE) == {"session_id", "user_id", "agent_name"}


def test_the_record_is_better_than_the_resource() -> None:
    assert promoted({"session_id": "mine"}, resource={"session.id": "shared"}) == {"session_id": "mine"}


def test_log_records_are_mapped_too() -> None:
    stored = row(logs(log({**CURRENT, "gen_ai.tool.name": "search"})))
    assert [stored[name] for name in ("llm_model", "llm_system", "session_id", "tool_name")] == [
        "gpt-4o-2024",
        "openai",
        "conv-1",
        "search",
    ]


def test_data_points_are_mapped_too() -> None:
    stored = row(metrics(gauge(point(CURRENT))))
    assert [stored[name] for name in ("user_id", "session_id", "agent_name")] == ["u-1", "conv-1", "helper"]
