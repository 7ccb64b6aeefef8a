"""Keeping secrets out of what is stored: the endpoint's own header values, and whatever looks like a token."""

from __future__ import annotations

import base64
import binascii
import functools
import math
import re
from collections.abc import Iterable, Mapping
from typing import Any

MASK = "•••"
_TOKEN_LIKE = re.compile(
    r"(?=[bBeghnprs])"  # how any of them begins: most positions are left at once
    r"(?:(?i:\b(?:bearer|basic)\s+)[A-Za-z0-9._~+/=-]{6,}"
    r"|(?<![A-Za-z0-9_-])eyJ[A-Za-z0-9_-]{5,}+\.[A-Za-z0-9_-]{5,}(?:\.[A-Za-z0-9_-]*)?"
    r"|\b(?:sk|pk|rk)-[A-Za-z0-9_-]{8,}|\bhf_[A-Za-z0-9]{8,}|\bnvapi-[A-Za-z0-9_-]{8,}|\bgh[pousr]_[A-Za-z0-9]{16,})"
)

# NUL and halves of surrogate pairs, which JSON can spell and PostgreSQL cannot hold.
_UNSTORABLE = re.compile("[\\x00\\ud800-\\udfff]")


def secrets_of(headers: Mapping[str, str]) -> frozenset[str]:
    """Every text that must not be stored: header values, the token after a scheme, what basic credentials hide."""
    secrets: set[str] = set()
    for value in headers.values():
        value = value.strip()
        secrets.add(value)
        scheme, _, token = value.partition(" ")
        if token:
            secrets.add(token.strip())
        if scheme.lower() == "basic":
            try:
                plain = base64.b64decode(token.strip(), validate=True).decode()
            except (binascii.Error, UnicodeDecodeError):
                continue
            secrets.update({plain, plain.partition(":")[2]})
    return frozenset(secret for secret in secrets if secret)


@functools.lru_cache(maxsize=128)
def _pattern(secrets: frozenset[str]) -> re.Pattern[str] | None:
    # The longest first, so that a whole value goes before the token inside it. A short one only as a word of its own:
    # the header "X-Env: prod" must not mask half of "production".
    words = [
        re.escape(secret) if len(secret) >= 8 else rf"(?<![A-Za-z0-9]){re.escape(secret)}(?![A-Za-z0-9])"
        for secret in sorted(secrets, key=len, reverse=True)
    ]
    return re.compile("|".join(words)) if words else None


def redact(value: Any, secrets: Iterable[str] = ()) -> Any:
    """The same JSON value with every secret, and everything shaped like a token, replaced by dots; keys as well.

    What no database holds (NUL, half a surrogate pair, infinity) goes too: a server's answer may spell it."""
    return _walk(value, _pattern(frozenset(secrets)))


_LISTS = (list, tuple)


def _walk(value: Any, pattern: re.Pattern[str] | None) -> Any:
    if isinstance(value, str):
        return _storable(pattern.sub(MASK, value) if pattern else value)
    if isinstance(value, dict):
        return {_walk(str(key), pattern): _walk(item, pattern) for key, item in value.items()}
    if isinstance(value, _LISTS):
        return [_walk(item, pattern) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


@functools.lru_cache(maxsize=2048)
def _short_storable(text: str) -> str:
    return _UNSTORABLE.sub("\ufffd", _TOKEN_LIKE.sub(MASK, text))


def _storable(text: str) -> str:
    """Without tokens and what no database holds; the same keys and words come back in every observation."""
    return _short_storable(text) if len(text) <= 200 else _short_storable.__wrapped__(text)


def redact_bytes(body: bytes, secrets: Iterable[str]) -> bytes:
    """A body as it came, without our own long secrets, should the server echo them."""
    for secret in sorted(secrets, key=len, reverse=True):
        if len(secret) >= 8:
            body = body.replace(secret.encode(), MASK.encode())
    return body


_EMAIL = re.compile(r"(?<![A-Za-z0-9._%+-])[A-Za-z0-9._%+-]++@[A-Za-z0-9-]{1,63}(?:\.[A-Za-z0-9-]{1,63})+")


def redact_body(body: str, secrets: Iterable[str]) -> str:
    """An answer's text as it may be kept: without secrets, tokens and e-mail addresses."""
    cleaned: str = redact(body, secrets)
    return _EMAIL.sub(MASK, cleaned) if "@" in cleaned else cleaned
