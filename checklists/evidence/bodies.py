"""The body of an answer, within the bounds that no server can overstep."""

from __future__ import annotations

import asyncio
import time
import zlib
from collections.abc import Callable

from checklists.evidence.addresses import FetchError
from checklists.evidence.http1 import Connection

OnChunk = Callable[[float, bytes], bool]
MAX_PIECES = 10_000  # of one body: each costs time, however few bytes it holds
MAX_MEMBERS = 1_000  # of one compressed body, for the same reason


async def read_body(
    connection: Connection, headers: list[tuple[str, str]], cap: int, started: float, on_chunk: OnChunk | None
) -> tuple[bytes, bool]:
    """The decoded body, never more than ``cap`` bytes of it, and whether there was more.

    ``on_chunk`` sees it as it comes, with the seconds since ``started``. Raises ``FetchError``, ``zlib.error``, and
    what ``Connection`` does.
    """
    encoding = next((value.strip().lower() for name, value in headers if name == "content-encoding"), "identity")
    if encoding not in {"identity", "", "gzip", "deflate"}:
        raise FetchError("protocol", "The server compressed its answer in a way it was not asked for.")
    unpack = _Unpacking() if encoding in {"gzip", "deflate"} else None
    body = bytearray()
    pieces = 0
    while chunk := await connection.piece():
        pieces += 1
        if pieces > MAX_PIECES:
            raise FetchError("too_large", "The answer came in more pieces than a probe is willing to read.")
        if pieces % 64 == 0:
            await asyncio.sleep(0)  # many may come in one read, and others wait
        piece = unpack.feed(chunk, cap - len(body) + 1) if unpack else chunk
        body += piece
        if piece and on_chunk is not None and on_chunk(time.monotonic() - started, piece):
            return bytes(body), False
        if len(body) > cap:
            return bytes(body[:cap]), True
    if unpack and not unpack.complete:
        raise FetchError("protocol", "The compressed answer ends before it is complete.")
    return bytes(body), False


class _Unpacking:
    """A body that came compressed although that was not asked for. It never unpacks more than it is told to, which is
    what stops a bomb; gzip may come in several members."""

    def __init__(self) -> None:
        self._member = zlib.decompressobj(47)
        self._members = 1
        self._begun = False

    @property
    def complete(self) -> bool:
        return self._member.eof or not self._begun

    def feed(self, data: bytes, most: int) -> bytes:
        """What the data unpacks to, at most ``most`` bytes of it. Raises ``zlib.error``."""
        self._begun = True
        unpacked = b""
        while data and len(unpacked) < most:
            if self._member.eof:
                self._member, self._members = zlib.decompressobj(31), self._members + 1
                if self._members > MAX_MEMBERS:
                    raise zlib.error("too many members")
            unpacked += self._member.decompress(data, most - len(unpacked))
            data = self._member.unused_data
        return unpacked
