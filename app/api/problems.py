"""Every refusal of this door as RFC 9457 `application/problem+json`. The one table of errors and statuses stands here.

| error | status | |
|---|---|---|
| InvalidQuery, Undecodable, anything else Rejected | 400 | `parameter` names the culprit |
| Unauthenticated / Forbidden | 401 / 403 | |
| NotFound, unknown route | 404 | |
| wrong method | 405 | `Allow` |
| QueryTooHeavy | 422 | the question is well formed, but goes over a bound of `[query]`: ask for less |
| RateLimited, BufferFull | 429 | `Retry-After` |
| other Busy, StoreUnavailable | 503 | `Retry-After` |
| all else | 500 | a bug or a broken setup: logged in full, told in general |
"""

from __future__ import annotations

import math
from http import HTTPStatus
from typing import Any

import orjson
import structlog
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from app.errors import (
    BufferFull,
    Busy,
    Forbidden,
    NotFound,
    QueryTooHeavy,
    RateLimited,
    Rejected,
    ServiceError,
    StoreUnavailable,
    Unauthenticated,
)

MEDIA_TYPE = "application/problem+json"
SCHEMA: dict[str, Any] = {
    "type": "object",
    "required": ["type", "title", "status", "detail", "instance"],
    "properties": {
        "type": {"type": "string", "description": "Which kind of refusal, as a URN."},
        "title": {"type": "string", "description": "The kind in words."},
        "status": {"type": "integer", "description": "The status of the answer."},
        "detail": {"type": "string", "description": "What is wrong with this request, in one sentence."},
        "instance": {"type": "string", "description": "Path of the request."},
        "parameter": {"type": "string", "description": "The parameter that is wrong, if it is one."},
    },
}

_STORE_RETRY_SECONDS = 1.0

# First match wins, so the particular stand before the general.
_KINDS: tuple[tuple[type[ServiceError], HTTPStatus, str], ...] = (
    (NotFound, HTTPStatus.NOT_FOUND, "not-found"),
    (Rejected, HTTPStatus.BAD_REQUEST, "invalid-parameter"),
    (Unauthenticated, HTTPStatus.UNAUTHORIZED, "unauthenticated"),
    (Forbidden, HTTPStatus.FORBIDDEN, "forbidden"),
    (RateLimited, HTTPStatus.TOO_MANY_REQUESTS, "rate-limited"),
    (BufferFull, HTTPStatus.TOO_MANY_REQUESTS, "buffer-full"),
    (Busy, HTTPStatus.SERVICE_UNAVAILABLE, "unavailable"),
    (StoreUnavailable, HTTPStatus.SERVICE_UNAVAILABLE, "unavailable"),
    (QueryTooHeavy, HTTPStatus.UNPROCESSABLE_ENTITY, "query-too-heavy"),
)

_log = structlog.stdlib.get_logger(__name__)


def problem(
    status: int,
    kind: str,
    detail: str,
    *,
    instance: str,
    parameter: str = "",
    headers: dict[str, str] | None = None,
) -> Response:
    """One refusal as a response."""
    body = {
        "type": f"urn:rak-ingest:problem:{kind}",
        "title": kind.replace("-", " ").capitalize(),
        "status": status,
        "detail": detail,
        "instance": instance,
    }
    if parameter:
        body["parameter"] = parameter
    return Response(orjson.dumps(body), status, headers, MEDIA_TYPE)


def of_error(error: ServiceError, instance: str) -> Response:
    """The refusal that an error of ours is at this door."""
    known = next(((status, kind) for error_type, status, kind in _KINDS if isinstance(error, error_type)), None)
    if known is None:
        _log.error("question_failed", path=instance, error=repr(error), exc_info=error)
        return of_bug(instance)
    status, kind = known
    headers = {}
    if status in (HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.TOO_MANY_REQUESTS):
        seconds = error.retry_after_seconds if isinstance(error, Busy) else _STORE_RETRY_SECONDS
        headers["Retry-After"] = str(max(1, math.ceil(seconds)))
    detail = str(error)
    if isinstance(error, StoreUnavailable):
        # Addresses and codes of the store are the operator's business: they are in the log.
        _log.warning("question_unanswered", path=instance, error=detail)
        detail = "The store does not answer now; ask again"
    parameter = error.field if isinstance(error, Rejected) else ""
    return problem(status, kind, detail, instance=instance, parameter=parameter, headers=headers)


def of_bug(instance: str) -> Response:
    """The refusal for what should not happen; says nothing of the inside."""
    return problem(
        HTTPStatus.INTERNAL_SERVER_ERROR, "internal", "Something went wrong here; the log knows more", instance=instance
    )


def install(app: FastAPI) -> None:
    """Answer every error of `app` with a problem."""

    def on_service_error(request: Request, error: Exception) -> Response:
        assert isinstance(error, ServiceError)  # noqa: S101 - Starlette's signature is wider than its promise
        return of_error(error, request.url.path)

    def on_invalid(request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)  # noqa: S101 - likewise
        first = error.errors()[0]
        parameter = str(first["loc"][-1])
        if first["type"] == "extra_forbidden":
            detail = f"{parameter} is not a parameter of this route"
        else:
            detail = f"{parameter} = {str(first.get('input'))[:80]!r}: {first['msg']}"
        return problem(
            HTTPStatus.BAD_REQUEST, "invalid-parameter", detail, instance=request.url.path, parameter=parameter
        )

    def on_http(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)  # noqa: S101 - likewise
        kind = HTTPStatus(error.status_code).phrase.lower().replace(" ", "-")
        detail = {
            HTTPStatus.NOT_FOUND: "There is no such route; /docs lists them",
            HTTPStatus.METHOD_NOT_ALLOWED: f"{request.method} is not a method of this route",
        }.get(HTTPStatus(error.status_code), str(error.detail))
        return problem(
            error.status_code, kind, detail, instance=request.url.path, headers=dict(error.headers or {}) or None
        )

    app.add_exception_handler(ServiceError, on_service_error)
    app.add_exception_handler(RequestValidationError, on_invalid)
    app.add_exception_handler(HTTPException, on_http)
