"""A loopback server that answers requests as a recorded stack does, by the data in its folder's ``requests.json``.

What a stack refuses, with which status and in which words, how it streams, counts, queues and asks for a key is data;
here stands only what those words mean. See ``fixtures/README.md`` for the form.
"""

from __future__ import annotations

import hashlib
import json
import re
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from tests.evidence.loopback import Request, Server, serving
from tests.evidence.recorded import FOLDER, Recording, recordings

KEY = "Bearer the-right-key"
WORDS = "ready when you are"
CONTENT = ("messages", "input", "inputs", "prompt", "query")


@cache
def documented(recording: str) -> dict[str, Any]:
    """What ``requests.json`` says of a recorded stack; empty where there is none."""
    path = FOLDER / recording / "requests.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}


@cache
def fronts() -> dict[str, Any]:
    """What stands in front of servers, and how it refuses."""
    found: dict[str, Any] = json.loads((FOLDER / "in_front.json").read_text(encoding="utf-8"))
    return found


# What is odd about a request: the words that ``refuses`` may use.


def oddities(request: Request, limit: int) -> set[str]:
    """Everything about a request that a server may refuse it for, in the words of ``requests.json``."""
    kind = request.headers.get("content-type", "").partition(";")[0]
    if kind == "multipart/form-data":
        return _of_a_form(request.body)
    found = set() if kind == "application/json" else {"other media"}
    try:
        payload = json.loads(request.body)
    except (ValueError, RecursionError):
        return found | {"unreadable"}
    if not isinstance(payload, dict):
        return found | {"no object"}
    content = next((payload[name] for name in CONTENT if name in payload), None)
    if not isinstance(content, str | list) or (isinstance(content, list) and content and not _rows(content)):
        found.add("wrong type")
    elif not content:
        found.add("empty")
    heat = payload.get("temperature", 0)
    found |= {"cold"} if heat < 0 else {"hot"} if heat > 2 else set()
    found |= {"long"} if limit and len(text_of(payload).split()) > limit else set()
    found |= {"surrogate"} if b"\\ud800" in request.body and b"\\ud800\\ud" not in request.body else set()
    found |= {"many"} if payload.get("max_tokens", 0) > 96 else set()
    found |= {"logprobs"} if payload.get("logprobs") else set()
    return found | {part for part in ("image_url", "input_audio") if f'"{part}"'.encode() in request.body}


def _rows(content: list[Any]) -> bool:
    return all(isinstance(one, dict | str) for one in content)


def _of_a_form(body: bytes) -> set[str]:
    if not body.rstrip().endswith(b"--"):
        return {"broken form"}
    sound = body.rpartition(b"Content-Type: audio/wav\r\n\r\n")[2]
    return set() if sound.startswith(b"RIFF") else {"no sound"} if sound.startswith(b"\r\n") else {"other sound"}


def text_of(payload: dict[str, Any]) -> str:
    """The words of a request, whatever its kind."""
    content = next((payload[name] for name in CONTENT if name in payload), "")
    if isinstance(content, str):
        return content
    texts = []
    for row in content if isinstance(content, list) else []:
        inner = row.get("content", "") if isinstance(row, dict) else row
        parts = inner if isinstance(inner, list) else [{"text": inner}]
        texts += [str(part.get("text", "")) for part in parts if isinstance(part, dict)]
    return " ".join(texts)


def vector(text: str, dimensions: int) -> list[float]:
    """At most 32 numbers that depend on every letter of a text."""
    return [byte / 255 - 0.5 for byte in hashlib.sha256(text.encode("utf-8", "replace")).digest()[:dimensions]]


def filled(value: Any, **known: Any) -> Any:
    """A recorded answer with ``{text}`` and the like replaced by what is known of this request."""
    if isinstance(value, dict):
        return {key: filled(inner, **known) for key, inner in value.items()}
    if isinstance(value, list):
        return [filled(inner, **known) for inner in value]
    if not isinstance(value, str):
        return value
    if value[1:-1] in known and value == f"{{{value[1:-1]}}}":
        return known[value[1:-1]]
    return re.sub(r"\{(\w+)\}", lambda found: str(known.get(found[1], found[0])), value)


Says = Callable[[str], str]


def says_words(text: str) -> str:
    return WORDS


@dataclass(frozen=True)
class Setup:
    """How a recorded server is set up for one test.

    ``key``: it wants one, asked for by ``own`` means or by what stands in ``front``. ``says``: its answer to a text;
    ``embeds`` what is put before a text that it embeds. ``pause``, ``first_pause``: seconds before an answer, and
    before its very first. ``front``: where ``in_front.json`` answers in its place: request oddities that are refused
    there (and not counted here), ``time-out`` after ``front_s`` seconds, or ``full`` beyond ``front_most`` at once.
    ``falls``: at a request that is so odd it is gone. ``full``: it refuses, or lets wait, as it is recorded.
    ``started``: seconds since its process started, nothing counted yet. ``dimensions`` of its vectors.
    ``lacks``: a field that its answers do not have.
    """

    key: str = ""
    says: Says = says_words
    embeds: str = ""
    pause: float = 0.0
    first_pause: float = 0.0
    front: str = ""
    front_s: float = 0.0
    front_most: int = 0
    falls: str = ""
    full: bool = False
    started: float | None = None
    dimensions: int = 8
    lacks: str = ""


@dataclass
class Answering:
    """One running server; ``handle`` is asked by several threads at once."""

    recording: Recording
    setup: Setup
    gone: bool = False
    answered: int = 0
    inside: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self.data = documented(self.recording.name)
        pages = {path.partition(" ")[2]: one for path, one in self.recording.answers.items() if "metrics" in path}
        self.page, self.metrics = next(((path, one["text"]) for path, one in pages.items()), ("", ""))
        self.full = self.data.get("full", {})
        self.slots = threading.Semaphore(self.full.get("at_once", 64))
        self.counted: dict[str, float] = {}

    def handle(self, request: Request) -> None:
        if self.gone:
            return self.hang_up(request)
        path = request.path.partition("?")[0]
        if refusal := self.keyless(request, path):
            return self.reply(request, refusal)
        if path == self.page and request.method == "GET":
            return request.reply(200, self.scraped())
        served = self.data.get("serves", {}).get(f"{request.method} {path}")
        if served is None:
            return self.recording.handler(request)
        with self.lock:
            self.inside += 1
        try:
            self.serve(request, served)
        finally:
            with self.lock:
                self.inside -= 1

    def serve(self, request: Request, served: dict[str, Any]) -> None:
        odd = oddities(request, self.data.get("limit", 0))
        if self.setup.falls in odd:
            self.gone = True
            return self.hang_up(request)
        if front := self.in_front(odd):
            return self.reply(request, front)
        known = self.known(request)
        for word, refusal in served.get("refuses", self.data.get("refuses", [])):
            if word in odd:
                self.count("refused", refusal)
                return self.reply(request, filled(refusal, **known))
        if "status" in served:  # a route that this model does not serve
            self.count("refused", served)
            return self.reply(request, filled({**served}, **known))
        most = self.full.get("at_once", 0) + self.full.get("waiting", 0)
        if self.setup.full and "answer" in self.full and self.inside > most:
            self.count("full", self.full["answer"])
            return self.reply(request, self.full["answer"])
        with self.slots if self.setup.full else nullcontext():
            return self.answer(request, served, known)

    def answer(self, request: Request, served: dict[str, Any], known: dict[str, Any]) -> None:
        self.answered += 1
        time.sleep(self.setup.pause + (self.setup.first_pause if self.answered == 1 else 0))
        self.count("good", {})
        payload = known.pop("payload")
        if payload.get("stream") and "stream" in served:
            return self.stream(request, served["stream"], known)
        body = filled(served["json"], **known)
        if self.setup.lacks:
            body.pop(self.setup.lacks)
        if payload.get("logprobs") and "logprob" in served:
            rows = [filled(served["logprob"], text=word) for word in known["text"].split(" ")]
            body["choices"][0]["logprobs"] = {"content": rows}
        return request.reply(200, body)

    @staticmethod
    def stream(request: Request, events: list[Any], known: dict[str, Any]) -> None:
        """Server-sent events; one with ``{text}`` comes once for every word."""
        request.raw.send_response(200)
        request.raw.send_header("Content-Type", "text/event-stream")
        request.raw.end_headers()
        for event in events:
            words = known["text"].split(" ") if "{text}" in json.dumps(event) else [""]
            for word in words:
                line = json.dumps(filled(event, **{**known, "text": word})) if isinstance(event, dict) else event
                request.raw.wfile.write(b"data: " + line.encode() + b"\n\n")
                request.raw.wfile.flush()

    def known(self, request: Request) -> dict[str, Any]:
        try:
            payload = json.loads(request.body)
        except (ValueError, RecursionError):
            payload = {}
        payload = payload if isinstance(payload, dict) else {}
        asked = text_of(payload)
        text = self.setup.says(asked)
        tokens = 10 + len(asked.split()) + 64 * request.body.count(b'"image_url":')
        limit = self.data.get("limit", 0)
        return {
            "payload": payload,
            "text": text,
            "model": str(payload.get("model", "")),
            "prompt_tokens": min(tokens, self.data.get("cuts", tokens)),
            "completion_tokens": len(text.split()),
            "total_tokens": tokens + len(text.split()),
            "limit": limit,
            "vector": vector(self.setup.embeds + asked, self.setup.dimensions),
        }

    # What stands before the model

    def keyless(self, request: Request, path: str) -> dict[str, Any] | None:
        """What is answered to a request without the right key; ``None`` where it is let in."""
        if not self.setup.key or request.headers.get("authorization") == KEY:
            return None
        found: dict[str, Any] = fronts()["no key"] if self.setup.key == "front" else self.data["key"]
        return None if path in found.get("open", ()) else found

    def in_front(self, odd: set[str]) -> dict[str, Any] | None:
        front = fronts().get(self.setup.front)
        if front is None:
            return None
        if self.setup.front_s:  # only what takes long is cut off
            time.sleep(self.setup.front_s if "many" in odd else 0)
            return front if "many" in odd else None
        if self.setup.front_most:
            time.sleep(0.01)  # so that those which come together are here together
            return front if self.inside > self.setup.front_most else None
        return front if set(front["when"]) & odd else None

    def hang_up(self, request: Request) -> None:
        request.raw.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        request.raw.close_connection = True

    @staticmethod
    def reply(request: Request, answer: dict[str, Any]) -> None:
        body = json.dumps(answer["json"]).encode() if "json" in answer else answer.get("text", "")
        request.reply(answer["status"], body, answer.get("headers"))

    # Its metrics page

    def count(self, what: str, answer: dict[str, Any]) -> None:
        moved = answer.get("counts", self.data.get("counts", {}).get(what, {}))
        with self.lock:
            for series, by in moved.items():
                self.counted[series] = self.counted.get(series, 0.0) + by

    def scraped(self) -> str:
        """The recorded page with what was counted since, or (just ``started``) with nothing but that."""
        moved = dict(self.counted)
        if gauge := self.full.get("gauge"):
            moved[gauge] = max(0, self.inside - self.full["at_once"]) if self.setup.full else 0
        lines = []
        for line in self.metrics.splitlines():
            series, _, value = line.rpartition(" ")
            if not line.startswith("#") and series:
                before = 0.0 if self.setup.started is not None or series == gauge else float(value)
                line = f"{series} {before + moved.pop(series, 0.0)}"
            lines.append(line)
        lines += [f"{series} {value}" for series, value in moved.items()]
        if self.setup.started is not None:
            lines.append(f"process_start_time_seconds {time.time() - self.setup.started}")
        return "\n".join(lines) + "\n"


@contextmanager
def answering(recording: str, setup: Setup) -> Iterator[Server]:
    """A recorded stack on loopback until the block ends."""
    with serving(Answering(recordings()[recording], setup).handle) as server:
        yield server
