"""HTTP/1.1 over one checked connection, one exchange after the other. h11 reads and writes it; nothing is retried."""

from __future__ import annotations

import time

import h11

from checklists.evidence.network import CheckedStream

KEEP_ALIVE_S = 5.0
MAX_HEAD = 100 * 1024  # bytes of a head, or of whatever else is not complete


class ClosedEarly(Exception):
    """The server closed the connection before its answer was complete."""


class Connection:
    """A connection to one ``place`` (whatever tells it from others), which may be used again while it is ``idle``."""

    def __init__(self, place: tuple[object, ...], stream: CheckedStream) -> None:
        self.place = place
        self.stream = stream
        self._state = h11.Connection(h11.CLIENT, max_incomplete_event_size=MAX_HEAD)
        self._until = 0.0

    async def ask(self, request: h11.Request, body: bytes = b"") -> h11.Response:
        """Send a request, head and body together; the head of the answer, interim ones passed over.

        Like everything here it raises ``FetchError``, ``ClosedEarly``, and ``h11.ProtocolError`` for what is not HTTP.
        The connection is closed then.
        """
        try:
            data = self._state.send(request)
            if body:
                data += self._state.send(h11.Data(data=body))
            await self.stream.send(data + self._state.send(h11.EndOfMessage()))
            while isinstance(event := await self._event(), h11.InformationalResponse):
                pass
            if isinstance(event, h11.Response):
                return event
            raise ClosedEarly
        except BaseException:
            self.stream.close()
            raise

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
        if state.our_state is h11.DONE and state.their_state is h11.DONE and not any(state.trailing_data):
            state.start_next_cycle()
            self._until = time.monotonic() + KEEP_ALIVE_S
            return True
        self.stream.close()
        return False

    @property
    def idle(self) -> bool:
        """Whether it may still be used: not too old, and nothing came that nobody asked for."""
        return time.monotonic() < self._until and not self.stream.has_input
