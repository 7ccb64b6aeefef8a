"""``Idempotency-Key``: the same key gives the same answer and has one effect, also when two requests come at once."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from datetime import timedelta
from functools import wraps
from typing import Any, TypeVar

from django.db import transaction
from django.utils import timezone
from rest_framework.exceptions import ValidationError
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response

from checklists.api.base import signed_in
from checklists.api.models import IdempotencyRecord
from checklists.api.problems import KeyReused
from checklists.people.models import User

KEPT = timedelta(hours=24)
Handler = TypeVar("Handler", bound=Callable[..., Response])


def idempotent(handler: Handler) -> Handler:
    """For ``post`` methods that create. A refused request has no effect and is not remembered: its key is free again.

    The key's row is written first, in the transaction of the work itself. A second request with the key waits for that
    row, and then finds the answer, or, when the first was refused, does the work.
    """

    @wraps(handler)
    def inner(view: Any, request: Request, *args: Any, **kwargs: Any) -> Response:
        key = request.headers.get("Idempotency-Key")
        if key is None:
            return handler(view, request, *args, **kwargs)
        if not (0 < len(key) <= 200 and key.isascii() and key.isprintable()):
            raise ValidationError({"Idempotency-Key": ["Between 1 and 200 printable ASCII characters."]})
        user = signed_in(request)
        name = f"{request.method} {request.path}"[:700]
        body_hash = hashlib.sha256(request.body).hexdigest()
        with transaction.atomic():
            record = _claim(user, key, name, body_hash)
            if (record.request, record.body_hash) != (name, body_hash):
                raise KeyReused
            if record.status:
                headers = {"Location": record.location} if record.location else None
                return Response(record.response, status=record.status, headers=headers)
            response = handler(view, request, *args, **kwargs)
            record.status = response.status_code
            record.response = json.loads(JSONRenderer().render(response.data) or b"null")
            record.location = response.headers.get("Location", "")
            record.save(update_fields=["status", "response", "location"])
            return response

    inner.idempotent = True  # type: ignore[attr-defined]  # read by the OpenAPI schema
    return inner  # type: ignore[return-value]  # same signature, which TypeVar cannot say through wraps


def _claim(user: User, key: str, name: str, body_hash: str) -> IdempotencyRecord:
    """The locked row of this key, new or from before; rows older than a day are dropped on the way."""
    now = timezone.now()
    old = IdempotencyRecord.objects.filter(user=user, created_at__lt=now - KEPT)
    stale = old.select_for_update(skip_locked=True).values_list("pk", flat=True)
    IdempotencyRecord.objects.filter(pk__in=list(stale)).delete()
    row = IdempotencyRecord(user=user, key=key, request=name, body_hash=body_hash, created_at=now)
    # On PostgreSQL this waits while another transaction holds the same key.
    IdempotencyRecord.objects.bulk_create([row], ignore_conflicts=True)
    return IdempotencyRecord.objects.select_for_update(of=("self",)).get(user=user, key=key)
