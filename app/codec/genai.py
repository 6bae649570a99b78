"""What spans, logs and metrics of AI agents say, in whichever dialect, as columns: one declared table.

The conventions are young and several: OpenTelemetry's own, which has renamed its attributes more than once,
OpenInference, Traceloop's OpenLLMetry, the Vercel AI SDK, Google's ADK, and the plain names of this service's own
columns. They mix within one trace, so each record is mapped by itself. The attributes stay as they came; the columns
are for filters and sums.

For each column the sources are tried from left to right and the first usable value wins. A value of a text column is
usable if it is a scalar and not empty; a count is usable if it is an integer of 0 to 2^53, whether sent as integer,
double or decimal string, so negative and absurd ones leave 0. Of a doubled key the first scalar counts.

Counts are columns of the span that reports them. Wrappers repeat the usage of the call inside them (the outer
`ai.generateText`, some agents), therefore sums belong on model calls, told by `operation_name`; and cached and
reasoning tokens are parts of the tokens in and out, never to be added to them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, NamedTuple

from app.codec.values import AttributeTexts
from app.model import Table

Promoted = Mapping[str, str | int]
"""Values of promoted columns, by column."""


class Dialect(StrEnum):
    """Who writes an attribute so."""

    CURRENT = "OpenTelemetry GenAI conventions"
    OLD = "OpenTelemetry GenAI conventions up to 1.36"
    OPENINFERENCE = "OpenInference"
    TRACELOOP = "Traceloop OpenLLMetry"
    VERCEL = "Vercel AI SDK"
    ADK = "Google Agent Development Kit"
    OWN = "the columns' own names, plain or after `rak.`"


@dataclass(frozen=True, slots=True)
class Source:
    """An attribute that a column may come from.

    Attributes:
        key: Its key.
        dialect: Whose it is.
        words: If given, only these values are usable, whatever their case, and this is what they mean.
        only_if: If given, another attribute and the value it must have, whatever its case.
        before_dot: Take what stands before the first dot.
    """

    key: str
    dialect: Dialect
    words: Mapping[str, str] | None = None
    only_if: tuple[str, str] | None = None
    before_dot: bool = False


def _own(column: str) -> tuple[Source, Source]:
    return Source(column, Dialect.OWN), Source(f"rak.{column}", Dialect.OWN)


_TYPE_OF_OPERATION: Final = {
    "chat": "llm",
    "generate_content": "llm",
    "text_completion": "llm",
    "embeddings": "embedding",
    "retrieval": "retriever",
    "create_agent": "agent",
    "invoke_agent": "agent",
    "invoke_workflow": "workflow",
    "plan": "planner",
    "execute_tool": "tool",
}

_OPENINFERENCE_TYPES: Final = {
    kind: kind
    for kind in (
        "llm",
        "agent",
        "tool",
        "chain",
        "retriever",
        "embedding",
        "reranker",
        "guardrail",
        "evaluator",
        "prompt",
    )
}
# A chain is glue between steps: neither a model call, nor an agent, nor a tool. So are rerankers, guardrails, …
_OPENINFERENCE_OPERATIONS: Final = {
    "llm": "chat",
    "agent": "invoke_agent",
    "tool": "execute_tool",
    "embedding": "embeddings",
    "retriever": "retrieval",
}

_TRACELOOP_TYPES: Final = {kind: kind for kind in ("workflow", "task", "agent", "tool")}
_TRACELOOP_OPERATIONS: Final = {"workflow": "invoke_workflow", "agent": "invoke_agent", "tool": "execute_tool"}
_TRACELOOP_REQUEST_TYPES: Final = {
    "chat": "llm",
    "completion": "llm",
    "embedding": "embedding",
    "rerank": "reranker",
}
_TRACELOOP_REQUEST_OPERATIONS: Final = {"chat": "chat", "completion": "text_completion", "embedding": "embeddings"}

# The outer span (`ai.generateText`) wraps the model calls (`….doGenerate`) and tools of one answer and repeats their
# usage: it is a workflow, and no model call.
_VERCEL_TYPES: Final = {
    "ai.generatetext": "workflow",
    "ai.streamtext": "workflow",
    "ai.generateobject": "workflow",
    "ai.streamobject": "workflow",
    "ai.embed": "workflow",
    "ai.embedmany": "workflow",
    "ai.generatetext.dogenerate": "llm",
    "ai.streamtext.dostream": "llm",
    "ai.generateobject.dogenerate": "llm",
    "ai.streamobject.dostream": "llm",
    "ai.embed.doembed": "embedding",
    "ai.embedmany.doembed": "embedding",
    "ai.toolcall": "tool",
}
_VERCEL_OPERATIONS: Final = {
    "ai.generatetext.dogenerate": "chat",
    "ai.streamtext.dostream": "chat",
    "ai.generateobject.dogenerate": "chat",
    "ai.streamobject.dostream": "chat",
    "ai.embed.doembed": "embeddings",
    "ai.embedmany.doembed": "embeddings",
    "ai.toolcall": "execute_tool",
}

PROVIDERS: Final[Mapping[str, str]] = {
    "az.ai.inference": "azure.ai.inference",
    "az.ai.openai": "azure.ai.openai",
    "gemini": "gcp.gemini",
    "vertex_ai": "gcp.vertex_ai",
}
"""Values of `llm_system` that the conventions have renamed."""

SOURCES: Final[Mapping[str, tuple[Source, ...]]] = {
    "invocation_id": (
        *_own("invocation_id"),
        Source("gcp.vertex.agent.invocation_id", Dialect.ADK),
        Source("gen_ai.response.id", Dialect.CURRENT),
        Source("ai.response.id", Dialect.VERCEL),
    ),
    "session_id": (
        Source("gen_ai.conversation.id", Dialect.CURRENT),
        Source("session.id", Dialect.CURRENT),
        Source("traceloop.association.properties.session_id", Dialect.TRACELOOP),
        Source("ai.telemetry.metadata.sessionId", Dialect.VERCEL),
        Source("gcp.vertex.agent.session_id", Dialect.ADK),
        *_own("session_id"),
    ),
    "user_id": (
        Source("user.id", Dialect.CURRENT),
        Source("enduser.id", Dialect.OLD),
        Source("traceloop.association.properties.user_id", Dialect.TRACELOOP),
        Source("ai.telemetry.metadata.userId", Dialect.VERCEL),
        *_own("user_id"),
    ),
    "agent_name": (
        Source("gen_ai.agent.name", Dialect.CURRENT),
        Source("agent.name", Dialect.OPENINFERENCE),
        Source("traceloop.entity.name", Dialect.TRACELOOP, only_if=("traceloop.span.kind", "agent")),
        *_own("agent_name"),
    ),
    "agent_type": (
        Source("gen_ai.operation.name", Dialect.CURRENT, words=_TYPE_OF_OPERATION),
        Source("openinference.span.kind", Dialect.OPENINFERENCE, words=_OPENINFERENCE_TYPES),
        Source("llm.request.type", Dialect.TRACELOOP, words=_TRACELOOP_REQUEST_TYPES),
        Source("traceloop.span.kind", Dialect.TRACELOOP, words=_TRACELOOP_TYPES),
        Source("ai.operationId", Dialect.VERCEL, words=_VERCEL_TYPES),
        *_own("agent_type"),
    ),
    "operation_name": (
        Source("gen_ai.operation.name", Dialect.CURRENT),
        Source("openinference.span.kind", Dialect.OPENINFERENCE, words=_OPENINFERENCE_OPERATIONS),
        Source("llm.request.type", Dialect.TRACELOOP, words=_TRACELOOP_REQUEST_OPERATIONS),
        Source("traceloop.span.kind", Dialect.TRACELOOP, words=_TRACELOOP_OPERATIONS),
        Source("ai.operationId", Dialect.VERCEL, words=_VERCEL_OPERATIONS),
        # Not the plain name: other software uses that for its own operations.
        Source("rak.operation_name", Dialect.OWN),
    ),
    "llm_model": (
        Source("gen_ai.response.model", Dialect.CURRENT),
        Source("gen_ai.request.model", Dialect.CURRENT),
        Source("llm.response.model_name", Dialect.OPENINFERENCE),
        Source("llm.model_name", Dialect.OPENINFERENCE),
        Source("llm.request.model_name", Dialect.OPENINFERENCE),
        Source("embedding.model_name", Dialect.OPENINFERENCE),
        Source("ai.response.model", Dialect.VERCEL),
        Source("ai.model.id", Dialect.VERCEL),
        *_own("llm_model"),
    ),
    "llm_system": (
        Source("gen_ai.provider.name", Dialect.CURRENT),
        Source("gen_ai.system", Dialect.OLD),
        Source("llm.provider", Dialect.OPENINFERENCE),
        Source("llm.system", Dialect.OPENINFERENCE),
        # `openai.responses`, `anthropic.messages`: provider and API.
        Source("ai.model.provider", Dialect.VERCEL, before_dot=True),
        *_own("llm_system"),
    ),
    "tool_name": (
        Source("gen_ai.tool.name", Dialect.CURRENT),
        Source("tool.name", Dialect.OPENINFERENCE),
        Source("traceloop.entity.name", Dialect.TRACELOOP, only_if=("traceloop.span.kind", "tool")),
        Source("ai.toolCall.name", Dialect.VERCEL),
        *_own("tool_name"),
    ),
    "tool_call_id": (
        Source("gen_ai.tool.call.id", Dialect.CURRENT),
        Source("tool_call.id", Dialect.OPENINFERENCE),
        Source("ai.toolCall.id", Dialect.VERCEL),
        *_own("tool_call_id"),
    ),
    "llm_input_tokens": (
        Source("gen_ai.usage.input_tokens", Dialect.CURRENT),
        Source("gen_ai.usage.prompt_tokens", Dialect.OLD),
        Source("llm.token_count.prompt", Dialect.OPENINFERENCE),
        Source("ai.usage.promptTokens", Dialect.VERCEL),
        Source("ai.usage.inputTokens", Dialect.VERCEL),
        *_own("llm_input_tokens"),
    ),
    "llm_output_tokens": (
        Source("gen_ai.usage.output_tokens", Dialect.CURRENT),
        Source("gen_ai.usage.completion_tokens", Dialect.OLD),
        Source("llm.token_count.completion", Dialect.OPENINFERENCE),
        Source("ai.usage.completionTokens", Dialect.VERCEL),
        Source("ai.usage.outputTokens", Dialect.VERCEL),
        *_own("llm_output_tokens"),
    ),
    "llm_cached_tokens": (
        Source("gen_ai.usage.cache_read.input_tokens", Dialect.CURRENT),
        Source("gen_ai.usage.cache_read_input_tokens", Dialect.TRACELOOP),
        Source("llm.token_count.prompt_details.cache_read", Dialect.OPENINFERENCE),
        Source("ai.usage.cachedInputTokens", Dialect.VERCEL),
        *_own("llm_cached_tokens"),
    ),
    "llm_reasoning_tokens": (
        Source("gen_ai.usage.reasoning.output_tokens", Dialect.CURRENT),
        Source("gen_ai.usage.reasoning_tokens", Dialect.TRACELOOP),
        Source("llm.token_count.completion_details.reasoning", Dialect.OPENINFERENCE),
        Source("ai.usage.reasoningTokens", Dialect.VERCEL),
        *_own("llm_reasoning_tokens"),
    ),
    "resource_cpu_micros": _own("resource_cpu_micros"),
    "resource_memory_bytes": _own("resource_memory_bytes"),
    "resource_memory_peak": _own("resource_memory_peak"),
}
"""For each promoted column its sources, the best first."""

FROM_RESOURCE: Final = ("session_id", "user_id", "agent_name")
"""Columns that fall back to the attributes of the resource: a process may serve one session, user or agent only."""

SPAN_NAMES: Final[Mapping[str, str]] = {
    "agent.run": "invoke_agent",
    "llm.generate": "chat",
    "execute_tool": "execute_tool",
}
"""What a span's name says about its operation, if no attribute does and if another promoted column is filled: a name
alone is nobody's convention."""

_SCALARS: Final = frozenset("sidb")
_MAX_COUNT: Final = 2**53


class _Use(NamedTuple):
    """One column that a key is a source of, and the rank of that source among the column's."""

    column: str
    rank: int
    source: Source
    is_count: bool


class Promotion:
    """The part of the table that one signal's columns need."""

    def __init__(self, table: Table) -> None:
        columns = [column for column in table.decoded if column.promoted]
        counts = {column.name for column in columns if column.type == "UInt64"}
        self._empty: Promoted = {column.name: 0 if column.name in counts else "" for column in columns}
        self._uses: dict[str, list[_Use]] = {}
        for column in columns:
            for rank, source in enumerate(SOURCES[column.name]):
                self._uses.setdefault(source.key, []).append(_Use(column.name, rank, source, column.name in counts))
                if source.only_if is not None:
                    self._uses.setdefault(source.only_if[0], [])
        self._keys = frozenset(self._uses)

    def of_resource(self, attributes: AttributeTexts) -> Promoted:
        """What the records of a resource have in these columns if they say nothing themselves."""
        values = self._values(attributes)
        return {**self._empty, **{column: values[column] for column in FROM_RESOURCE if column in values}}

    def of_record(self, attributes: AttributeTexts, fallback: Promoted, name: str = "") -> Promoted:
        """The promoted columns of one record.

        Args:
            attributes: The record's.
            fallback: What its resource says.
            name: The span's name; of other records none.
        """
        promoted = fallback if self._keys.isdisjoint(attributes.keys) else {**fallback, **self._values(attributes)}
        if name in SPAN_NAMES and not promoted["operation_name"] and any(promoted.values()):
            operation = SPAN_NAMES[name]
            agent_type = promoted["agent_type"] or _TYPE_OF_OPERATION[operation]
            return {**promoted, "operation_name": operation, "agent_type": agent_type}
        return promoted

    def _values(self, attributes: AttributeTexts) -> dict[str, str | int]:
        """The columns that the attributes say something usable about."""
        found: dict[str, tuple[str, str]] = {}
        for key, letter, text in zip(attributes.keys, attributes.letters, attributes.texts, strict=True):
            if key in self._keys and key not in found and letter in _SCALARS:
                found[key] = letter, text
        values: dict[str, str | int] = {}
        ranks: dict[str, int] = {}
        for key in found:
            for use in self._uses[key]:
                if ranks.get(use.column, use.rank) < use.rank:
                    continue
                value = _count(use.source, found) if use.is_count else _word(use.source, found)
                if value is not None:
                    values[use.column], ranks[use.column] = value, use.rank
        if "llm_system" in values:
            provider = str(values["llm_system"])
            values["llm_system"] = PROVIDERS.get(provider, provider)
        return values


def _word(source: Source, found: Mapping[str, tuple[str, str]]) -> str | None:
    text = found[source.key][1]
    if source.only_if is not None:
        key, value = source.only_if
        if key not in found or found[key][1].lower() != value:
            return None
    if source.words is not None:
        return source.words.get(text.lower())
    return (text.partition(".")[0] if source.before_dot else text) or None


def _count(source: Source, found: Mapping[str, tuple[str, str]]) -> int | None:
    letter, text = found[source.key]
    if letter == "d":
        number = float(text)
        return int(number) if 0 <= number <= _MAX_COUNT and number.is_integer() else None
    # The length keeps int() from reading a million digits.
    if not (text.isascii() and text.isdecimal() and len(text) <= len(str(_MAX_COUNT))):
        return None
    count = int(text)
    return count if count <= _MAX_COUNT else None
