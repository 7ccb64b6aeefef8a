"""Claims as they come in, from a form or as JSON, turned into what is stored. Pure: no database, no exceptions."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Mapping
from datetime import date
from urllib.parse import urlsplit

from checklists.catalog.choices import ClaimType
from checklists.catalog.editions import ClaimView, ItemView

MAX_TEXT = 2000
MAX_URL = 2000
MAX_NUMBER = 10**15  # beyond it, JSON readers elsewhere lose digits
# Thousands may be grouped by commas or any kind of space; the decimal sign is a dot.
GROUPED = re.compile(r"[+-]?[0-9]{1,3}(?:[,\s'][0-9]{3})+(?:\.[0-9]+)?\Z")
PLAIN = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]{1,3})?\Z")
ISO_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}\Z")
TRUE, FALSE = {"true", "yes", "on", "1"}, {"false", "no", "off", "0"}


class _Refused(Exception):
    """Why a value cannot be taken, in words."""


def clean_claims(item: ItemView, raw: Mapping[str, object]) -> tuple[dict[str, object], dict[str, list[str]]]:
    """Validate and normalise the claims of one item: (clean values, errors by field).

    Text from forms and typed JSON values are both taken. ``None``, blank text and an empty list clear a field: it is
    left out of the clean values. Those are JSON without NaN; numbers without a fraction are whole numbers. A field with
    an error is left out too. Required fields are not asked for here: an answer may be saved half-finished.
    """
    if not isinstance(raw, Mapping):
        return {}, {"": ["Send the claims as an object: field and value."]}
    fields = {field.key: field for field in item.claims}
    clean: dict[str, object] = {}
    errors: dict[str, list[str]] = {}
    for key in raw:
        if key not in fields:
            known = ", ".join(fields) or "none"
            errors[str(key)] = [f"This item has no such field. Its fields: {known}."]
    for key, field in fields.items():
        value = raw.get(key)
        if isinstance(value, str):
            value = value.strip()
        if value is None or value in ("", [], ()):
            continue
        try:
            clean[key] = CLEANERS[field.type](field, value)
        except _Refused as refusal:
            errors[key] = [str(refusal)]
    return clean, errors


def _number(field: ClaimView, value: object) -> int | float:
    number: int | float
    if isinstance(value, str):
        if len(value) > 60 or not (GROUPED.match(value) or PLAIN.match(value)):
            raise _Refused("Write a number, with a dot for decimals: 1,140 or 0.85.")
        number = float(re.sub(r"[,\s']", "", value))
    elif isinstance(value, int | float) and not isinstance(value, bool):
        number = value
    else:
        raise _Refused("Write a number.")
    if not -MAX_NUMBER <= number <= MAX_NUMBER:  # NaN fails this too
        raise _Refused("This number is too large, or not a number.")
    if field.minimum is not None and number < field.minimum:
        raise _Refused(f"At least {_shown(field.minimum, field.unit)}.")
    if field.maximum is not None and number > field.maximum:
        raise _Refused(f"At most {_shown(field.maximum, field.unit)}.")
    return int(number) if number == int(number) else number


def _shown(bound: float, unit: str) -> str:
    return f"{bound:,.15g} {unit}".rstrip()


def _integer(field: ClaimView, value: object) -> int:
    number = _number(field, value)
    if not isinstance(number, int):
        raise _Refused("Write a whole number.")
    return number


def _text(field: ClaimView, value: object) -> str:
    if not isinstance(value, str):
        raise _Refused("Write text.")
    text = value.replace("\r\n", "\n").replace("\r", "\n")
    if len(text) > MAX_TEXT:
        raise _Refused(f"At most {MAX_TEXT:,} characters; this has {len(text):,}.")
    if any(unicodedata.category(c) in ("Cc", "Cs") for c in text if c not in "\n\t"):
        raise _Refused("This holds characters that cannot be stored. Write plain text.")
    return text


def _choice(field: ClaimView, value: object) -> str:
    for choice in field.choices:
        if value == choice.value:
            return choice.value
    raise _Refused(f"One of: {_options(field)}.")


def _multi_choice(field: ClaimView, value: object) -> list[str]:
    given = [value] if isinstance(value, str) else value
    values = [choice.value for choice in field.choices]
    if not isinstance(given, list | tuple) or any(one not in values for one in given):
        raise _Refused(f"Any of: {_options(field)}.")
    return [one for one in values if one in given]


def _options(field: ClaimView) -> str:
    return ", ".join(choice.value for choice in field.choices)


def _boolean(field: ClaimView, value: object) -> bool:
    if isinstance(value, bool):
        return value
    word = value.lower() if isinstance(value, str) else ""
    if word in TRUE:
        return True
    if word in FALSE:
        return False
    raise _Refused("Yes or no.")


def _url(field: ClaimView, value: object) -> str:
    problem = _Refused("Write a full address that begins with https:// or http://.")
    if not isinstance(value, str) or any(unicodedata.category(c) in ("Cc", "Cs", "Zs", "Zl", "Zp") for c in value):
        raise problem
    if len(value) > MAX_URL:
        raise _Refused(f"At most {MAX_URL:,} characters.")
    try:
        parts = urlsplit(value)
        complete = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        raise problem from None
    if not complete:
        raise problem
    if parts.username is not None:
        raise _Refused("Leave the user name and password out of the address.")  # it would be shown and journaled
    return value


def _date(field: ClaimView, value: object) -> str:
    problem = _Refused("Write a date as year-month-day: 2026-11-30.")
    if not isinstance(value, str) or not ISO_DATE.match(value):
        raise problem
    try:
        return date.fromisoformat(value).isoformat()
    except ValueError:
        raise problem from None


CLEANERS: dict[str, Callable[[ClaimView, object], object]] = {
    ClaimType.INTEGER: _integer,
    ClaimType.NUMBER: _number,
    ClaimType.TEXT: _text,
    ClaimType.CHOICE: _choice,
    ClaimType.MULTI_CHOICE: _multi_choice,
    ClaimType.BOOLEAN: _boolean,
    ClaimType.URL: _url,
    ClaimType.DATE: _date,
}
