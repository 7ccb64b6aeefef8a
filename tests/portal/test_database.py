from __future__ import annotations

import json
from typing import Any

import pytest
from django.db import connection
from psycopg.adapt import PyFormat
from psycopg.types.json import Jsonb

from portal.database import ListDumper

pytestmark = [pytest.mark.django_db, pytest.mark.skipif("connection.vendor != 'postgresql'")]

ODD = ["", "NULL", "null", " a ", '"', "\\", '\\"', "{x,y}", "a,b", "Ä\u2003\n\t'", "%s", None, "\U0001f600" * 50]


def read_back(values: list[Any], kind: str) -> list[Any]:
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT * FROM unnest((%s)::{kind}[])", [values])
        return [value for (value,) in cursor.fetchall()]


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        (ODD, "text"),
        ([], "text"),
        ([None, None], "text"),
        ([1, None, -(2**40)], "bigint"),
        ([1.5, float("inf")], "double precision"),
        ([True, False, None], "boolean"),
        ([b'\x00"\\', b""], "bytea"),
    ],
)
def test_an_array_comes_back_as_it_was_sent(values: list[Any], kind: str) -> None:
    assert read_back(values, kind) == values


def test_json_in_an_array_comes_back_as_it_was_sent() -> None:
    documents = [{"text": text, "nested": [{"a": 1}]} for text in ODD]
    assert [json.loads(text) for text in read_back([Jsonb(document) for document in documents], "jsonb")] == documents


def test_a_nested_array_is_left_to_psycopg() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT (%s)::text[]", [[["a", '"'], ["\\", None]]])
        assert cursor.fetchone() == ([["a", '"'], ["\\", None]],)


def test_connections_of_the_site_use_it() -> None:
    connection.ensure_connection()
    assert connection.connection.adapters.get_dumper(list, PyFormat.TEXT) is ListDumper
