"""How fast servers are asked: deadlines that leave out the waiting for one's turn, turns by host, and a short memory of
servers that took no connection."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from weakref import WeakValueDictionary

from checklists.evidence.addresses import FetchError


class Deadline:
    """So many seconds from now, not counting those in which one waits for one's turn.

    ``timer``: the ``asyncio.timeout`` that enforces it, if there is one; it stands still together with it.
    """

    def __init__(self, seconds: float) -> None:
        self.timer: asyncio.Timeout | None = None
        self._end = time.monotonic() + seconds
        self._kept = (seconds, 0.0)  # while it stands still: seconds until its end, and until the timer goes off
        self._waiting = 0

    def left(self) -> float:
        """Seconds left; negative once it has passed."""
        return self._kept[0] if self._waiting else self._end - time.monotonic()

    @contextmanager
    def standing_still(self) -> Iterator[None]:
        """No time passes in the block, nor in another one that is open at the same time."""
        loop = asyncio.get_running_loop()
        if not self._waiting:
            rings = self.timer.when() if self.timer else None
            self._kept = self.left(), 0.0 if rings is None else rings - loop.time()
            if self.timer:
                self.timer.reschedule(None)
        self._waiting += 1
        try:
            yield
        finally:
            self._waiting -= 1
            if not self._waiting:
                self._end = time.monotonic() + self._kept[0]
                if self.timer:
                    self.timer.reschedule(loop.time() + self._kept[1])


class Gates:
    """Of one host at most ``limit`` requests are under way at once, whoever sends them; 0 means that nobody counts."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        # Each is gone with the last request that holds or awaits it: there are as many as hosts that are being asked.
        self._gates: WeakValueDictionary[str, asyncio.Semaphore] = WeakValueDictionary()

    def turn(self, host: str, *deadlines: Deadline) -> Turn:
        """One's turn at a host, as a context. While it is waited for, the deadlines stand still."""
        if not self._limit:
            return Turn(None, deadlines)
        gate = self._gates.get(host)
        if gate is None:
            gate = self._gates[host] = asyncio.Semaphore(self._limit)
        return Turn(gate, deadlines)


class Turn:
    """See ``Gates.turn``. A class of its own, because there is one for every request."""

    def __init__(self, gate: asyncio.Semaphore | None, deadlines: Sequence[Deadline]) -> None:
        self._gate = gate
        self._deadlines = deadlines

    async def __aenter__(self) -> None:
        if self._gate is None:
            return
        if not self._gate.locked():
            await self._gate.acquire()
            return
        with ExitStack() as still:
            for deadline in self._deadlines:
                still.enter_context(deadline.standing_still())
            await self._gate.acquire()

    async def __aexit__(self, *exc: object) -> None:
        if self._gate is not None:
            self._gate.release()


class Silence:
    """Which servers took no connection a moment ago: the many that would ask them next need not each wait for that."""

    LASTS_S = 60.0
    MOST = 1_000
    KINDS = ("timeout", "unreachable", "unresolvable")

    def __init__(self) -> None:
        self._known: dict[tuple[str, int], tuple[float, FetchError]] = {}

    def note(self, place: tuple[str, int], error: FetchError) -> None:
        """Remember what came of connecting to a host and port, if it is one of ``KINDS``."""
        if error.kind in self.KINDS:
            self._known.pop(place, None)
            self._known[place] = time.monotonic() + self.LASTS_S, error
            if len(self._known) > self.MOST:
                del self._known[next(iter(self._known))]

    def check(self, place: tuple[str, int]) -> None:
        """Raise the same ``FetchError`` again, if it is known that there is one."""
        if known := self._known.get(place):
            until, error = known
            if time.monotonic() < until:
                when = "That was so less than a minute ago, when another request asked it."
                raise FetchError(error.kind, f"{error.reason} {when}", code=error.code)
            del self._known[place]
