"""Refusals as RFC 9457 problem documents: one shape for everything that did not work."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from http import HTTPStatus
from typing import Any

from django.core.exceptions import PermissionDenied, RequestDataTooBig
from django.db import DataError, IntegrityError
from django.http import Http404
from rest_framework import exceptions
from rest_framework.response import Response

from checklists.journal.errors import Conflict, DomainError, Forbidden, Invalid, WrongStage

MEDIA_TYPE = "application/problem+json"
logger = logging.getLogger(__name__)


class KeyReused(exceptions.APIException):
    status_code = HTTPStatus.UNPROCESSABLE_ENTITY
    default_detail = "This Idempotency-Key was used for another request. Nothing was done. Send a new key."
    default_code = "key_reused"


def problem(
    status: int, detail: str, *, code: str = "", headers: Mapping[str, str] | None = None, **more: Any
) -> Response:
    """A problem document. ``code`` names the kind (``type`` is ``urn:preflight:problem:<code>``); ``more`` are members
    beside the standard ones, left out when None."""
    title = HTTPStatus(status).phrase
    body = {
        "type": f"urn:preflight:problem:{code}" if code else "about:blank",
        "title": title,
        "status": status,
        "detail": detail,
        **{name: value for name, value in more.items() if value is not None},
    }
    return Response(body, status=status, content_type=MEDIA_TYPE, headers=headers)


def handle(exc: Exception, context: dict[str, Any]) -> Response | None:
    """The exception handler of REST framework; None for what is our own fault, which is then a 500."""
    if isinstance(exc, DomainError):
        return _domain(exc)
    if isinstance(exc, Http404):
        return problem(404, "There is no such thing here, or it is not visible to you.", code="not-found")
    if isinstance(exc, PermissionDenied):
        return problem(403, "You may see this, but not do it.", code="forbidden")
    if isinstance(exc, RequestDataTooBig):
        return problem(413, "The body is too large.", code="too-large")
    if isinstance(exc, IntegrityError):
        # Two requests made the same thing at the same moment; the services' own checks ran before either was there.
        logger.info("An integrity error was answered with 409: %s", exc)
        return problem(409, "Somebody else was quicker. Nothing was changed. Read again and repeat.", code="conflict")
    if isinstance(exc, DataError):
        logger.info("A data error was answered with 400: %s", exc)
        return problem(400, "A value does not fit. Nothing was changed.", code="invalid")
    if isinstance(exc, exceptions.APIException):
        return _framework(exc)
    return None


def _domain(error: DomainError) -> Response:
    if isinstance(error, Invalid):
        return problem(400, error.message, code="invalid", errors=error.errors)
    if isinstance(error, Forbidden):
        return problem(403, error.message, code="forbidden")
    if isinstance(error, WrongStage):
        return problem(409, error.message, code="wrong-stage", reasons=error.reasons)
    current = error.current if isinstance(error, Conflict) and isinstance(error.current, dict) else None
    return problem(409, error.message, code="conflict", current=current)


def _framework(exc: exceptions.APIException) -> Response:
    headers: dict[str, str] = {}
    if (challenge := getattr(exc, "auth_header", None)) is not None:
        headers["WWW-Authenticate"] = challenge
    if (wait := getattr(exc, "wait", None)) is not None:
        headers["Retry-After"] = f"{wait:.0f}"
    if isinstance(exc, exceptions.ValidationError):
        errors: dict[str, list[str]] = {}
        for field, message in _flat(exc.detail):
            errors.setdefault(field, []).append(message)
        return problem(400, "Nothing was changed. Some values cannot be taken.", code="invalid", errors=errors)
    code = str(exc.default_code).replace("_", "-")
    return problem(exc.status_code, str(exc.detail), code=code, headers=headers)


def _flat(detail: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """Nested messages as (dotted path, message); what is about the whole body stands under ``body``."""
    if isinstance(detail, Mapping):
        for key, inner in detail.items():
            name = "" if key in ("non_field_errors", "__all__") else str(key)
            yield from _flat(inner, ".".join(part for part in (path, name) if part))
    elif isinstance(detail, list | tuple) and any(isinstance(one, Mapping | list) for one in detail):
        for place, inner in enumerate(detail):
            yield from _flat(inner, f"{path}.{place}" if path else str(place))
    elif isinstance(detail, list | tuple):
        for message in detail:
            yield path or "body", str(message)
    else:
        yield path or "body", str(detail)
