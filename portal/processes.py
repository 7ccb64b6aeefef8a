"""One child process: started in a group of its own, tied to the life of this process, stopped with all it started."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from portal import child

POLL_SECONDS = 0.02
LARGEST_LOG = 5 * 1024 * 1024  # bytes; a larger one is put aside at the next start


class StartFailure(Exception):
    """Something could not be started; the message is one sentence for the person at the terminal."""


@dataclass
class Process:
    """A program to run, and its running instance. Start it from the main thread: the kernel ties it to the thread."""

    name: str
    command: Sequence[str]
    log: Path | None = None  # where its output goes; None: to the terminal
    environment: Mapping[str, str] | None = None
    directory: Path | None = None
    descriptors: Sequence[int] = ()  # open files that it inherits
    user: tuple[int, int] | None = None  # the user and group to run as, when this process is root
    stop_signal: signal.Signals = signal.SIGTERM
    orphan_signal: signal.Signals = signal.SIGTERM  # what it receives when this process is killed
    popen: subprocess.Popen[bytes] | None = field(default=None, init=False)
    asked: bool = field(default=False, init=False)  # to stop

    def start(self) -> None:
        """Raises ``OSError`` when the log cannot be opened."""
        self.asked = False
        user = "{}:{}".format(*self.user) if self.user else "-"
        wrapper = [sys.executable, "-I", "-S", child.__file__, str(os.getpid()), str(int(self.orphan_signal)), user]
        with contextlib.ExitStack() as stack:
            output = stack.enter_context(open_log(self.log)) if self.log else None
            self.popen = subprocess.Popen(
                [*wrapper, *self.command],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT if output else None,
                env=self.environment,
                cwd=self.directory,
                pass_fds=self.descriptors,
                process_group=0,  # Ctrl-C reaches this process only, which then stops its children in order
            )

    @property
    def pid(self) -> int | None:
        return self.popen.pid if self.popen else None

    def running(self) -> bool:
        return self.popen is not None and self.popen.poll() is None

    def wait(self) -> int:
        """Its exit code, once it ended."""
        if self.popen is None:
            raise RuntimeError(f"{self.name} was not started.")
        return self.popen.wait()

    def wait_until(self, ready: Callable[[], bool], *, seconds: float) -> None:
        """Raises ``StartFailure`` when it ends, or ``seconds`` pass, before ``ready()`` is true."""
        deadline = time.monotonic() + seconds
        while not ready():
            if not self.running():
                raise StartFailure(f"{self.name} did not start.{self.last_words()}")
            if time.monotonic() > deadline:
                raise StartFailure(f"{self.name} was not ready within {seconds:.0f} seconds.{self.last_words()}")
            time.sleep(POLL_SECONDS)

    def ask_to_stop(self) -> None:
        """Send the stop signal, once."""
        if self.popen and self.running() and not self.asked:
            self.asked = True
            self.popen.send_signal(self.stop_signal)

    def stop(self, *, seconds: float = 5.0) -> None:
        """Ask it to end, wait, and then kill what is left of its group. Safe to call twice."""
        if self.popen is None:
            return
        self.ask_to_stop()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.popen.wait(seconds)
        self.kill()

    def kill(self) -> None:
        """End it and everything in its group at once."""
        if self.popen is None:
            return
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.popen.pid, signal.SIGKILL)
        self.popen.wait()

    def last_words(self, count: int = 8) -> str:
        """The end of its log, indented, to show below a sentence; empty when there is none."""
        if self.log is None or not self.log.exists():
            return ""
        lines = self.log.read_text(errors="replace")[-8000:].strip().splitlines()[-count:]
        return "".join(f"\n    {line}" for line in ["Its last words:", *lines]) if lines else ""


def open_log(log: Path) -> BinaryIO:
    """A log to append to, readable by its owner only; a large one is put aside first."""
    log.parent.mkdir(parents=True, exist_ok=True)
    if log.exists() and log.stat().st_size > LARGEST_LOG:
        log.replace(log.with_name(f"{log.name}.1"))
    return os.fdopen(os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "ab")
