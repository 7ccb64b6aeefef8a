"""PostgreSQL: Django writes many rows as one array a column, and JSON in an array is hardly anything but quotes."""

from __future__ import annotations

from typing import Any

import psycopg
from psycopg.types import array


class ListDumper(array.ListDumper):
    """A flat list with every element in quotes, needed or not: several times as fast as psycopg's own."""

    def dump(self, obj: list[Any]) -> Any:
        if self.sub_dumper is None or any(isinstance(element, list) for element in obj):
            return super().dump(obj)
        texts = (None if element is None else self.sub_dumper.dump(element) for element in obj)
        return b"{%s}" % self.delimiter.join(b"NULL" if text is None else _quoted(bytes(text)) for text in texts)


def _quoted(text: bytes) -> bytes:
    return b'"%s"' % text.replace(b"\\", b"\\\\").replace(b'"', b'\\"')


def register() -> None:
    """Use it on every connection that is opened from now on."""
    psycopg.adapters.register_dumper(list, ListDumper)
