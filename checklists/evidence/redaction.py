"""Keeping secrets out of what is stored: the endpoint's own header values, and whatever looks like a token."""

from __future__ import annotations

import base64
import binascii
import functools
import json
import math
import re
from collections.abc import Iterable, Mapping
from html import escape
from typing import Any
from urllib.parse import quote, quote_plus

MASK = "•••"
_TOKEN_LIKE = re.compile(
    r"(?=[bBeghnprs])"  # how any of them begins: most positions are left at once
    r"(?:(?i:\b(?:bearer|basic)\s+)[A-Za-z0-9._~+/=-]{6,}"
    r"|(?<![A-Za-z0-9_-])eyJ[A-Za-z0-9_-]{5,}+\.[A-Za-z0-9_-]{5,}(?:\.[A-Za-z0-9_-]*)?"
    r"|\b(?:sk|pk|rk)-[A-Za-z0-9_-]{8,}|\bhf_[A-Za-z0-9]{8,}|\bnvapi-[A-Za-z0-9_-]{8,}|\bgh[pousr]_[A-Za-z0-9]{16,})"
)
# Shapes that are looked for only where a text holds what they all have.
_MARKED = {
    mark: re.compile(pattern)
    for mark, pattern in {
        "k_live_": r"\b[srp]k_live_[A-Za-z0-9]{8,}",
        "k_test_": r"\b[srp]k_test_[A-Za-z0-9]{8,}",
        "github_pat_": r"\bgithub_pat_[A-Za-z0-9_]{16,}",
        "glpat-": r"\bglpat-[A-Za-z0-9_-]{8,}",
        "xox": r"\bxox[a-z]-[A-Za-z0-9-]{8,}",
        "AKIA": r"\bAKIA[A-Z0-9]{16}\b",
        "ASIA": r"\bASIA[A-Z0-9]{16}\b",
        "AIza": r"\bAIza[A-Za-z0-9_-]{30,}",
        "://": r"(?<=://)[^\s/@:\"']{1,100}:[^\s/@\"']{1,200}(?=@)",
        "PRIVATE KEY": r"-----BEGIN [A-Z ]{0,30}PRIVATE KEY-----[^-]{0,8000}(?:-----END [A-Z ]{0,30}PRIVATE KEY-----)?",
    }.items()
}
# What a body calls a secret: as a JSON field, a parameter of an address, or a header.
_BARE = r"[^\s\"'&,;<>{}\[\]]"
_CALLED_SECRET = re.compile(
    r"((?:api[_-]?key|(?:access|refresh|auth|api|id|session)[_-]?token|client[_-]?secret|secret(?:[_-]?(?:access[_-]?)?key)?"
    r"|passw(?:or)?d|authorization)[\"']?\s{0,5}[:=]\s{0,5})"
    # Within quotes it may hold whatever ends it elsewhere.
    rf"(\"(?:[^\s\"\\]|\\.){{6,}}|'(?:[^\s'\\]|\\.){{6,}}|{_BARE}{{6,}})"
    # Of a language model's a token is a word or a piece of one: short, or without a digit.
    rf"|(\btoken[\"']?\s{{0,5}}(?:=\s{{0,5}}[\"']?|:\s{{0,5}}[\"']?(?=[^\s\"'&,;<>{{}}\[\]\d]{{0,100}}\d)))({_BARE}{{16,}})",
    re.IGNORECASE,
)
_CALLS = ("key", "secret", "passw", "authorization", *(f"token{end}" for end in "\"'=: "))

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
    return frozenset(form for secret in secrets if secret for form in _forms(secret))


def _forms(secret: str) -> set[str]:
    """A secret as it is and as an answer may spell it: in JSON, in an address, in HTML."""
    if len(secret) < 8:
        return {secret}
    in_json = json.dumps(secret)[1:-1]
    return {secret, in_json, in_json.replace("/", "\\/"), quote(secret, safe=""), quote_plus(secret), escape(secret)}


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
    ours = frozenset(secrets)
    return _walk(value, _pattern(ours), _pattern(frozenset(filter(_NUMERIC.fullmatch, ours))))


_LISTS = (list, tuple)
_NUMERIC = re.compile(r"[0-9.e+-]{8,}")  # a key that an answer can spell as a number; a shorter one is any number


def _walk(value: Any, pattern: re.Pattern[str] | None, numeric: re.Pattern[str] | None) -> Any:
    if isinstance(value, str):
        return _storable(pattern.sub(MASK, value) if pattern else value)
    if isinstance(value, dict):
        return {_walk(str(key), pattern, None): _walk(item, pattern, numeric) for key, item in value.items()}
    if isinstance(value, _LISTS):
        return [_walk(item, pattern, numeric) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return MASK if numeric and value is not None and numeric.search(repr(value)) else value


@functools.lru_cache(maxsize=2048)
def _short_storable(text: str) -> str:
    text = _TOKEN_LIKE.sub(MASK, text)
    for mark, pattern in _MARKED.items():
        if mark in text:
            text = pattern.sub(MASK, text)
    return _UNSTORABLE.sub("\ufffd", text)


def _storable(text: str) -> str:
    """Without tokens and what no database holds; the same keys and words come back in every observation."""
    return _short_storable(text) if len(text) <= 200 else _short_storable.__wrapped__(text)


def redact_bytes(body: bytes, secrets: Iterable[str]) -> bytes:
    """A body as it came, without our own long secrets, should the server echo them."""
    for secret in sorted(secrets, key=len, reverse=True):
        if len(secret) >= 8:
            body = body.replace(secret.encode(), MASK.encode())
    return body


# No name@v1.2, and no file of a model: what comes last is a domain's, in letters.
_EMAIL = re.compile(
    r"(?<![A-Za-z0-9._%+-])[A-Za-z0-9._%+-]++@(?:[A-Za-z0-9-]{1,63}\.){1,8}"
    r"(?!(?i:gguf|ggml|bin|pth|onnx|engine|plan|json|safetensors)(?![A-Za-z0-9-]))"
    r"(?:[A-Za-z]{2,63}|xn--[A-Za-z0-9-]{1,59})(?![A-Za-z0-9-])"
)


def without_addresses(value: Any) -> Any:
    """The same JSON value without the e-mail addresses in its texts."""
    if isinstance(value, str):
        return _EMAIL.sub(MASK, value) if "@" in value else value
    if isinstance(value, dict):
        return {key: without_addresses(item) for key, item in value.items()}
    return [without_addresses(item) for item in value] if isinstance(value, list) else value


def redact_body(body: str, secrets: Iterable[str], *, cut: bool = False) -> str:
    """An answer's text as it may be kept: without secrets, tokens and e-mail addresses.

    ``cut``: the text goes on beyond its end, where it may hold the beginning of a secret.
    """
    if cut:
        body = body[: len(body) - max((_begun(body, secret) for secret in secrets), default=0)]
    cleaned: str = redact(body, secrets)
    lower = cleaned.lower()
    if any(word in lower for word in _CALLS):
        cleaned = _CALLED_SECRET.sub(_masked, cleaned)
    return _EMAIL.sub(MASK, cleaned) if "@" in cleaned else cleaned


def _masked(found: re.Match[str]) -> str:
    """What a secret is called, the quote before it if there is one, and dots for the secret."""
    quote = found[2][0] if found[2] and found[2][0] in "\"'" else ""
    return f"{found[1] or found[3]}{quote}{MASK}"


def _begun(body: str, secret: str) -> int:
    """How many characters at the end of a body are the beginning of a secret; a few may be chance."""
    return next((n for n in range(min(len(secret) - 1, len(body)), 3, -1) if body.endswith(secret[:n])), 0)
