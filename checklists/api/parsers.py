"""Reading what is sent. What cannot be stored or bounded is refused here, with a sentence, and never fails later."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import IO, Any, NoReturn

from django.conf import settings
from rest_framework import status
from rest_framework.exceptions import APIException, ParseError
from rest_framework.parsers import BaseParser

from checklists.journal.errors import Invalid
from checklists.registry import modelspec

MAX_DIGITS = 30  # no field of ours needs more, and Python takes long over very many
MAX_DEPTH = 40
UNSTORABLE = "The body holds a character that cannot be stored (NUL or half of a surrogate pair)."


class TooLarge(APIException):
    status_code = status.HTTP_413_REQUEST_ENTITY_TOO_LARGE
    default_code = "too_large"


def read(stream: IO[bytes], limit: int) -> str:
    """The text of a body of at most ``limit`` bytes, in UTF-8."""
    raw = stream.read(limit + 1)
    if len(raw) > limit:
        raise TooLarge(f"The body is larger than {limit:,} bytes.")
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ParseError("The body is not UTF-8.") from error


def check_storable(value: Any) -> None:
    """Raise ``ParseError`` for text, at any depth, that the database cannot hold, and for too much depth."""
    waiting = [(value, 0)]
    while waiting:
        here, depth = waiting.pop()
        if depth > MAX_DEPTH:
            raise ParseError(f"The body is nested more than {MAX_DEPTH} deep.")
        if isinstance(here, str):
            if "\x00" in here or any("\ud800" <= c <= "\udfff" for c in here):
                raise ParseError(UNSTORABLE)
        elif isinstance(here, Mapping):
            waiting += [(part, depth + 1) for pair in here.items() for part in pair]
        elif isinstance(here, list):
            waiting += [(part, depth + 1) for part in here]


def _constant(name: str) -> NoReturn:
    raise ParseError(f"{name} is not JSON.")


def _integer(digits: str) -> int:
    if len(digits) > MAX_DIGITS:
        raise ParseError(f"A number has more than {MAX_DIGITS} digits.")
    return int(digits)


def _float(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):
        raise ParseError("A number is too large.")
    return number


class JSONParser(BaseParser):
    """JSON by the letter of RFC 8259: no NaN, bounded numbers and depth, only text that can be stored."""

    media_type = "application/json"

    def parse(
        self, stream: IO[bytes], media_type: str | None = None, parser_context: Mapping[str, Any] | None = None
    ) -> Any:
        text = read(stream, settings.DATA_UPLOAD_MAX_MEMORY_SIZE)
        try:
            value = json.loads(text, parse_constant=_constant, parse_int=_integer, parse_float=_float)
        except RecursionError as error:
            raise ParseError("The body is nested too deeply.") from error
        except ValueError as error:
            raise ParseError(f"The body is not JSON: {error}") from error
        check_storable(value)
        return value


class ModelSpecJSONParser(JSONParser):
    """The media type of the CNCF model specification's configuration."""

    media_type = modelspec.MEDIA_TYPE


class YAMLParser(BaseParser):
    """YAML without aliases and tags; every scalar is read as text, so that 1.10 stays 1.10."""

    media_type = "application/yaml"

    def parse(
        self, stream: IO[bytes], media_type: str | None = None, parser_context: Mapping[str, Any] | None = None
    ) -> Any:
        text = read(stream, modelspec.MAX_BYTES)
        try:
            value = modelspec.read_yaml(text)
        except Invalid as error:
            raise ParseError(error.message) from error
        check_storable(value)
        return value


class TextYAMLParser(YAMLParser):
    media_type = "text/yaml"
