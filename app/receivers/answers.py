"""What a sender is told: one table from our errors to both protocols' codes, and the bodies that carry them.

The rule that shapes the table: an exporter drops its data on every status that the protocol does not call retryable, so
whatever may pass (an error that nobody foresaw included) is 503 or UNAVAILABLE, never 500 or UNKNOWN.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from google.protobuf import json_format
from google.protobuf.message import Message
from google.rpc import code_pb2, error_details_pb2, status_pb2

from app import errors
from app.codec.contract import Encoding
from app.pipeline.contract import Accepted
from app.receivers.doors import Door

MAX_ERROR_BYTES = 1_024
"""Of a refusal's sentence and of its field. gRPC carries both in trailers, of which peers take 8 KiB by default."""

MAX_PARTIAL_BYTES = 16_384
"""Of `partial_success.error_message`: far below the 4 MiB that a response may have."""

_NOTHING_TO_SAY = {Encoding.PROTOBUF: b"", Encoding.JSON: b"{}"}

UNFORESEEN_RETRY_SECONDS = 5.0
UNFORESEEN = "the service could not take this request now; it may be sent again"


@dataclass(frozen=True, slots=True)
class Answer:
    """How both protocols say one kind of refusal.

    Attributes:
        http: HTTP status.
        grpc: Number of the gRPC status, also `google.rpc.Status.code`.
        outcome: Word in our metrics and log lines.
        is_retryable: Whether the sender is asked to come back: Retry-After, RetryInfo.
    """

    http: int
    grpc: int
    outcome: str
    is_retryable: bool = False


UNAVAILABLE = Answer(503, code_pb2.UNAVAILABLE, "unavailable", is_retryable=True)

ANSWERS: dict[type[errors.ServiceError], Answer] = {
    errors.ServiceError: UNAVAILABLE,
    errors.Rejected: Answer(400, code_pb2.INVALID_ARGUMENT, "rejected"),
    errors.Undecodable: Answer(400, code_pb2.INVALID_ARGUMENT, "undecodable"),
    # RESOURCE_EXHAUSTED without RetryInfo means "never": a large body stays large.
    errors.TooLarge: Answer(413, code_pb2.RESOURCE_EXHAUSTED, "too_large"),
    errors.UnsupportedEncoding: Answer(415, code_pb2.INVALID_ARGUMENT, "unsupported"),
    errors.MethodNotAllowed: Answer(405, code_pb2.UNIMPLEMENTED, "unsupported"),
    errors.NotFound: Answer(404, code_pb2.UNIMPLEMENTED, "not_found"),
    errors.Unauthenticated: Answer(401, code_pb2.UNAUTHENTICATED, "unauthenticated"),
    errors.Denied: Answer(403, code_pb2.PERMISSION_DENIED, "forbidden"),
    errors.Busy: Answer(503, code_pb2.UNAVAILABLE, "busy", is_retryable=True),
    errors.BufferFull: Answer(429, code_pb2.RESOURCE_EXHAUSTED, "busy", is_retryable=True),
    errors.RateLimited: Answer(429, code_pb2.RESOURCE_EXHAUSTED, "busy", is_retryable=True),
}
"""By class; a class that is not here is answered as its nearest ancestor that is."""


def answer_for(error: BaseException) -> Answer:
    """Look an error up; what nobody foresaw counts as something that may pass."""
    for kind in type(error).__mro__:
        if kind in ANSWERS:
            return ANSWERS[kind]
    return UNAVAILABLE


def sentence_of(error: BaseException) -> str:
    """What the sender may read about an error; the inside of a bug is not for it."""
    return clip(str(error) if isinstance(error, errors.ServiceError) else UNFORESEEN, MAX_ERROR_BYTES)


def retry_after_seconds(error: BaseException) -> int:
    """When to come back, in whole seconds, at least 1."""
    seconds = error.retry_after_seconds if isinstance(error, errors.Busy) else UNFORESEEN_RETRY_SECONDS
    return max(1, math.ceil(seconds))


def status_of(error: BaseException) -> status_pb2.Status:
    """The refusal as `google.rpc.Status`, with BadRequest if there is a field to name and RetryInfo if it may pass."""
    answer = answer_for(error)
    message = sentence_of(error)
    status = status_pb2.Status(code=answer.grpc, message=message)
    if isinstance(error, errors.Rejected) and error.field:
        field = clip(error.field, MAX_ERROR_BYTES)
        violation = error_details_pb2.BadRequest.FieldViolation(field=field, description=message)
        status.details.add().Pack(error_details_pb2.BadRequest(field_violations=[violation]))
    if answer.is_retryable:
        pause = error_details_pb2.RetryInfo()
        pause.retry_delay.FromSeconds(retry_after_seconds(error))
        status.details.add().Pack(pause)
    return status


def encode_success(door: Door, accepted: Accepted, encoding: Encoding) -> bytes:
    """Write the response to a body that was taken; nearly always it has nothing to say."""
    if not accepted.rejections.total and not accepted.rejections.message:
        return _NOTHING_TO_SAY[encoding]
    return encode_message(success_of(door, accepted), encoding)


def success_of(door: Door, accepted: Accepted) -> Message:
    """The response to a body that was taken, `partial_success` set only if there is something to say."""
    response = door.response()
    rejections = accepted.rejections
    message = clip(rejections.message, MAX_PARTIAL_BYTES)
    if rejections.total or message:
        partial = getattr(response, "partial_success")  # noqa: B009 - Message has no such attribute for mypy
        setattr(partial, door.rejected_field, rejections.total)
        partial.error_message = message
    return response


def encode_message(message: Message, encoding: Encoding) -> bytes:
    """Write a response in the request's encoding."""
    if encoding is Encoding.PROTOBUF:
        return message.SerializeToString()
    return json_format.MessageToJson(message, indent=None).encode()


def clip(text: str, size_bytes: int) -> str:
    """Make `text` valid UTF-8 of at most `size_bytes`; a cut is marked by an ellipsis."""
    raw = text.encode("utf-8", "replace")
    if len(raw) <= size_bytes:
        return raw.decode()
    return raw[: size_bytes - 3].decode("utf-8", "ignore") + "…"
