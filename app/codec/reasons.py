"""Why a record is left out: a closed set of names, and the way a decoder says so.

A record that breaks a rule is left out whole and counted; it is never cut, moved or repaired, and its neighbours stay.
Rules are tried in the order of the fields in `app.codec.traces`, `app.codec.logs` and `app.codec.metrics`; the first
broken one names the record. A resource or scope that is over a limit takes all of its records with it, by its reason.
"""

from __future__ import annotations

from enum import StrEnum
from json.encoder import encode_basestring

_LONGEST_QUOTE = 80


class Reason(StrEnum):
    """Name of a rule that a record broke; the value is the label in the ledger, in metrics and in `partial_success`."""

    INVALID_TRACE_ID = "invalid_trace_id"
    """Not 16 bytes, or all zero where that is not allowed."""
    INVALID_SPAN_ID = "invalid_span_id"
    """Not 8 bytes, or all zero where that is not allowed."""
    INVALID_PARENT_SPAN_ID = "invalid_parent_span_id"
    """Neither empty nor 8 bytes."""
    INVALID_LINK_ID = "invalid_link_id"
    """A link's trace id is neither empty nor 16 bytes, or its span id neither empty nor 8."""
    INVALID_EXEMPLAR_ID = "invalid_exemplar_id"
    """Likewise of an exemplar."""
    TOO_OLD = "too_old"
    """Before the retention of its signal."""
    TOO_NEW = "too_new"
    """Further ahead of our clock than `limits.max_future_seconds`."""
    TOO_MANY_ATTRIBUTES = "too_many_attributes"
    """One list of attributes is longer than `limits.max_attributes`."""
    KEY_TOO_LONG = "key_too_long"
    """A key is longer than `limits.max_key_bytes`."""
    VALUE_TOO_LONG = "value_too_long"
    """A value, as stored, is longer than `limits.max_value_bytes`."""
    TOO_MANY_EVENTS = "too_many_events"
    """More events of a span than `limits.max_events`."""
    TOO_MANY_LINKS = "too_many_links"
    """More links of a span than `limits.max_links`."""
    TOO_MANY_EXEMPLARS = "too_many_exemplars"
    """More exemplars of a data point than `limits.max_events`."""
    TOO_MANY_BUCKETS = "too_many_buckets"
    """More buckets, bounds or quantiles of a data point than `limits.max_buckets`."""
    TOO_MANY_FIELDS = "too_many_fields"
    """A large record, or a large resource or scope, of more fields than `limits.max_fields`."""
    MISMATCHED_BUCKETS = "mismatched_buckets"
    """A histogram whose counts are not one more than its bounds (both may be empty)."""


class RecordRejected(Exception):
    """One record broke a rule. It never leaves the codec: the loop over the records catches and counts it.

    Attributes:
        reason: The rule.
        detail: The offender: rule, limit, value seen and the key, without the record's own name.
    """

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail


def quoted(text: str) -> str:
    """A sender's text in an English sentence: in quotes, on one line, cut where it is long."""
    return encode_basestring(text if len(text) <= _LONGEST_QUOTE else text[:_LONGEST_QUOTE] + "…")
