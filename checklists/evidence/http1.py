"""HTTP/1.1 over one checked connection, one exchange after the other. h11 reads and writes it; nothing is retried."""

from __future__ import annotations

import asyncio
import time

import h11

from checklists.evidence.network import CheckedStream

KEEP_ALIVE_S = 5.0
MAX_HEAD = 100 * 1024  # bytes of a head, or of whatever else is not complete
SENT_FIRST = 64 * 1024  # bytes of a request that are sent before the answer is looked for; more of them meanwhile


class ClosedEarly(Exception):
    """The server closed the connection before its answer was complete."""


class Connection:
    """A connection to one ``place`` (whatever tells it from others), which may be used again while it is ``idle``."""

    def __init__(self, place: tuple[object, ...], stream: CheckedStream) -> None:
        self.place = place
        self.stream = stream
        self._state = h11.Connection(h11.CLIENT, max_incomplete_event_size=MAX_HEAD)
        self._until = 0.0
        self._whole = True  # whether the request was sent to its end

    async def ask(self, request: h11.Request, body: bytes = b"") -> h11.Response:
        """Send a request, head and body together; the head of the answer, interim ones passed over.

        Who refuses a request that is too large may read no more of it: then no more is sent.
        Like everything here it raises ``FetchError``, ``ClosedEarly``, and ``h11.ProtocolError`` for what is not HTTP.
        The connection is closed then.
        """
        try:
            data = self._state.send(request)
            if body:
                data += self._state.send(h11.Data(data=body))
            data += self._state.send(h11.EndOfMessage())
            if len(data) > SENT_FIRST:
                return await self._head_while_sending(data)
            await self.stream.send(data)
            return await self._head()
        except BaseException:
            self.stream.close()
            raise

    async def _head(self) -> h11.Response:
        while isinstance(event := await self._event(), h11.InformationalResponse):
            pass
        if isinstance(event, h11.Response):
            return event
        raise ClosedEarly

    async def _head_while_sending(self, data: bytes) -> h11.Response:
        sending = asyncio.create_task(self.stream.send(data))
        try:
            head = await self._head()
            if head.status_code < 400:
                await sending
            return head
        finally:
            self._whole = sending.done() and not sending.cancelled() and sending.exception() is None
            sending.cancel()
            await asyncio.wait([sending])  # the loop writes to the socket until then, which is not to be closed before

    async def piece(self) -> bytes:
        """The next piece of the answer's body, empty at its end."""
        event = await self._event()
        return bytes(event.data) if isinstance(event, h11.Data) else b""

    async def _event(self) -> h11.Event | type[h11.NEED_DATA] | type[h11.PAUSED]:
        while True:
            try:
                event = self._state.next_event()
            except h11.RemoteProtocolError:
                if self._state.trailing_data[1]:
                    raise ClosedEarly from None
                raise
            if event is not h11.NEED_DATA:
                return event
            data = await self.stream.read()
            if not data and self._state.their_state is h11.SEND_RESPONSE:
                raise ClosedEarly
            self._state.receive_data(data)

    def release(self) -> bool:
        """The exchange is over: whether another one may follow; else the connection is closed."""
        state = self._state
        over = state.our_state is h11.DONE and state.their_state is h11.DONE and not any(state.trailing_data)
        if over and self._whole:
            state.start_next_cycle()
            self._until = time.monotonic() + KEEP_ALIVE_S
            return True
        self.stream.close()
        return False

    @property
    def idle(self) -> bool:
        """Whether it may still be used: not too old, and nothing came that nobody asked for."""
        return time.monotonic() < self._until and not self.stream.has_input
