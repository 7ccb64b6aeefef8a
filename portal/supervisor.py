"""Keeps a few processes running: starts them in order, starts again what dies, stops them in reverse order."""

from __future__ import annotations

import contextlib
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from types import FrameType

from portal.processes import Process, StartFailure

LONGEST_PAUSE = 30.0
STEADY_SECONDS = 60.0  # whoever ran this long starts again without a pause added for earlier failures
FAILURES_IN_A_ROW = 10
STOP_SECONDS = 5.0
LOOK_SECONDS = 0.2


class Stopped(Exception):
    """Somebody asked this process to stop."""


@contextlib.contextmanager
def stopped_by_signals() -> Iterator[None]:
    """Inside, Ctrl-C, SIGTERM and a closed terminal raise ``Stopped``; a second one does not disturb the stopping."""

    def stop(number: int, frame: FrameType | None) -> None:
        for each in signals:
            signal.signal(each, signal.SIG_IGN)
        raise Stopped

    signals = [signal.SIGINT, signal.SIGTERM]
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # as nohup leaves it
        signals.append(signal.SIGHUP)
    before = [signal.signal(each, stop) for each in signals]
    try:
        yield
    finally:
        for each, handler in zip(signals, before, strict=True):
            signal.signal(each, handler)


@dataclass
class Kept:
    process: Process
    started: float
    failures: int = 0
    due: float | None = None  # when to start it again; None while it runs


@dataclass
class Supervisor:
    """Call it from the main thread only (see ``Process``)."""

    say: Callable[[str], None]
    # What is stopped together; a later floor needs the earlier ones.
    floors: list[list[Kept]] = field(default_factory=list)

    def keep(self, *processes: Process) -> None:
        """Look after these, as one floor; those that do not run yet are started."""
        floor: list[Kept] = []
        self.floors.append(floor)
        for process in processes:
            floor.append(Kept(process, time.monotonic()))
            if not process.running():
                process.start()

    def look_after(self) -> None:
        """Never returns. Raises ``StartFailure`` when one of them cannot be kept running."""
        while True:
            for floor in self.floors:
                for kept in floor:
                    self.look(kept, time.monotonic())
            time.sleep(LOOK_SECONDS)

    def look(self, kept: Kept, now: float) -> None:
        """Start it again if it ended: after 1 second, then 2, 4 … and at most 30."""
        if kept.due is None and not kept.process.running():
            kept.failures = 1 if now - kept.started > STEADY_SECONDS else kept.failures + 1
            words = kept.process.last_words()
            if kept.failures > FAILURES_IN_A_ROW:
                raise StartFailure(f"{kept.process.name} ended {kept.failures} times in a row.{words}")
            pause = min(2.0 ** (kept.failures - 1), LONGEST_PAUSE)
            self.say(f"{kept.process.name} ended; it starts again in {pause:.0f} s.{words}")
            kept.process.kill()  # what it may have left of its group
            kept.due = now + pause
        elif kept.due is not None and now >= kept.due:
            kept.process.start()
            kept.started, kept.due = time.monotonic(), None

    def stop(self) -> None:
        """Stop everything, the last floor first; what does not stop in time is killed."""
        for floor in reversed(self.floors):
            for kept in floor:
                kept.process.ask_to_stop()
            deadline = time.monotonic() + STOP_SECONDS
            for kept in floor:
                kept.process.stop(seconds=max(0.0, deadline - time.monotonic()))
        self.floors.clear()
