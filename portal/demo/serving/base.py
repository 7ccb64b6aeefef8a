"""What all demo model servers share: routing under a prefix per model, keys, bodies, replies."""

from __future__ import annotations

import hashlib
import hmac
import json
import re
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar
from urllib.parse import urlsplit

DEMO_KEY = "demo-key-for-model-servers"
STARTED = time.time()
MAX_BODY = 4 * 1024 * 1024  # bytes
MAX_SERVED = 400  # models with counters of their own, per server
MAX_OPEN = 64  # connections at once, per server
SEGMENT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}\Z")

OWNER = "harbour-pine"  # of the organisation's repositories of models

# What is odd about single releases, by slug and version: served under another id than the one it is registered under,
Key = tuple[str, str]
SERVED_AS: dict[Key, str] = {("log-explain", "0.3"): "log-explain-rc1"}
# taking anything for sound, and falling over where it should refuse.
LENIENT: tuple[Key, ...] = (("wake-word", "1.2"),)
FRAGILE: tuple[Key, ...] = (("router-mini", "0.8"),)


def revision_of(slug: str, version: str) -> str:
    """The commit that a version of a model comes from, as the servers report it."""
    return hashlib.sha256(f"revision {slug} {version}".encode()).hexdigest()[:40]


def digest_of(slug: str, version: str) -> str:
    """The SHA-256 of a version's artefact, as the servers report it."""
    return hashlib.sha256(f"artefact {slug} {version}".encode()).hexdigest()


@dataclass
class Reply:
    """``body`` bytes go out with their length; an iterator goes out in chunks as it yields."""

    body: bytes | Iterator[bytes] = b""
    status: int = 200
    content_type: str = "application/json"
    headers: dict[str, str] = field(default_factory=dict)


def json_reply(content: Any, status: int = 200, headers: dict[str, str] | None = None) -> Reply:
    return Reply(json.dumps(content).encode(), status, headers=headers or {})


def text_reply(text: str, status: int = 200) -> Reply:
    return Reply(text.encode(), status, "text/plain; charset=utf-8")


class Refused(Exception):
    """A request the server turns down with this reply."""

    def __init__(self, reply: Reply) -> None:
        super().__init__(reply.status)
        self.reply = reply


@dataclass
class Served:
    """One model behind one prefix: ``/<slug>`` or ``/<slug>/<version>``. Stacks keep their counters in subclasses."""

    slug: str
    version: str
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def id(self) -> str:
        return SERVED_AS.get((self.slug, self.version), self.slug)

    @property
    def path(self) -> str:
        """Where the weights lie on the server."""
        return f"/models/{self.id}-{self.version}"

    @property
    def repository(self) -> str:
        """Where the weights were loaded from."""
        return f"{OWNER}/{self.id}-{self.version}"


@dataclass
class Request:
    method: str
    path: str
    served: Any
    body: bytes
    content_type: str

    def json(self) -> dict[str, Any]:
        """The body as an object. Raises ``Refused`` with 400 for anything else."""
        try:
            content = json.loads(self.body)
        except (ValueError, RecursionError) as error:
            raise Refused(openai_error(f"JSON decode error: {error}")) from error
        if not isinstance(content, dict):
            raise Refused(openai_error("The body must be a JSON object."))
        return content


def openai_error(message: str, status: int = 400, code: str | int = 400, kind: str = "BadRequestError") -> Reply:
    return json_reply({"error": {"message": message, "type": kind, "param": None, "code": code}}, status)


def count_tokens(content: Any) -> int:
    """A rough length of a prompt: words, or a quarter of the characters when that is more."""
    if isinstance(content, str):
        return max(len(content.split()), len(content) // 4, 1)
    if isinstance(content, list):
        return sum(count_tokens(part) for part in content)
    if isinstance(content, dict):
        return count_tokens(content.get("content") or content.get("text") or "")
    return 1


def whole_number(content: dict[str, Any], *names: str, default: int) -> int:
    """The first of these fields that is set. Raises ``Refused`` with 400 unless it is a whole number ≥ 1."""
    value = next((content[name] for name in names if content.get(name) is not None), default)
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise Refused(openai_error(f"{names[-1]} must be at least 1, got {value}."))
    return value


Route = Callable[[Any, Request], Reply]


class Stack:
    """One server: its routes, which of them want the key, and the models it has been asked for."""

    name: ClassVar[str]
    software: ClassVar[str] = "uvicorn"
    routes: ClassVar[dict[tuple[str, str], Route]]
    guarded: ClassVar[tuple[str, ...]] = ("/v1/",)
    locked: ClassVar[bool] = True

    def __init__(self) -> None:
        self._models: dict[tuple[str, ...], Served] = {}
        self._lock = threading.Lock()
        self._paths = {path for _, path in self.routes}

    def make(self, slug: str, version: str) -> Served:
        return Served(slug, version)

    def served(self, prefix: tuple[str, ...]) -> Served | None:
        """The model of a prefix; None once ``MAX_SERVED`` have been asked for."""
        with self._lock:
            if prefix not in self._models and len(self._models) < MAX_SERVED:
                slug = prefix[0] if prefix else self.name
                self._models[prefix] = self.make(slug, prefix[1] if len(prefix) > 1 else "1.0")
            return self._models.get(prefix)

    def locate(self, path: str) -> tuple[tuple[str, ...], str]:
        """Prefix (none to two segments) and the route below it; an unknown path is all route."""
        parts = [part for part in path.split("/") if part]
        for depth in range(min(3, len(parts) + 1)):
            route = "/" + "/".join(parts[depth:])
            if route in self._paths and all(SEGMENT.match(part) for part in parts[:depth]):
                return tuple(parts[:depth]), route
        return (), path

    def answer(self, method: str, path: str, key: str, body: bytes, content_type: str) -> Reply:
        prefix, route = self.locate(urlsplit(path).path)
        if (
            self.locked
            and route.startswith(self.guarded)
            and not hmac.compare_digest(key.encode(), f"Bearer {DEMO_KEY}".encode())
        ):
            return self.unauthorised()
        served = self.served(prefix) if route in self._paths else None
        if served is None:
            return json_reply({"detail": "Not Found"}, 404)
        handler = self.routes.get((method, route))
        if handler is None:
            return json_reply({"detail": "Method Not Allowed"}, 405)
        try:
            reply = handler(self, Request(method, route, served, body, content_type))
        except Refused as refusal:
            reply = refusal.reply
        self.count(served, method, route, reply.status)
        return reply

    def count(self, served: Any, method: str, route: str, status: int) -> None:
        """A request was answered; for stacks that count them."""

    def unauthorised(self) -> Reply:
        return json_reply({"error": "Unauthorized"}, 401)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 30
    stack: Stack

    def _serve(self) -> None:
        given = self.headers.get("Content-Length", "0")
        length = int(given) if given.isdigit() and "Transfer-Encoding" not in self.headers else -1
        if not 0 <= length <= MAX_BODY:
            self.close_connection = True
            rest = min(length, 8 * MAX_BODY)
            while rest > 0 and self.rfile.read(min(rest, 65_536)):  # one who is still sending would miss the reply
                rest -= 65_536
            self._send(json_reply({"detail": "Request Entity Too Large"}, 413, {"Connection": "close"}))
            return
        body = self.rfile.read(length)
        kind = self.headers.get("Content-Type", "")
        self._send(self.stack.answer(self.command, self.path, self.headers.get("Authorization", ""), body, kind))

    do_GET = do_POST = do_HEAD = do_PUT = do_DELETE = do_OPTIONS = do_PATCH = _serve

    def _send(self, reply: Reply) -> None:
        self.send_response(reply.status)
        self.send_header("Content-Type", reply.content_type)
        for name, value in reply.headers.items():
            self.send_header(name, value)
        body = reply.body
        if isinstance(body, bytes):
            self.send_header("Content-Length", str(len(body)))
        else:
            self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        if self.command == "HEAD":
            return
        if isinstance(body, bytes):
            self.wfile.write(body)
            return
        for chunk in body:
            self.wfile.write(b"%x\r\n%s\r\n" % (len(chunk), chunk))
        self.wfile.write(b"0\r\n\r\n")

    def version_string(self) -> str:
        return self.stack.software

    def log_message(self, format: str, *args: Any) -> None:
        """Quiet: the supervisor's output is for people."""


class Server(ThreadingHTTPServer):
    """Loopback only; beyond ``MAX_OPEN`` connections a new one is closed at once."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, port: int, stack: Stack) -> None:
        self._places = threading.BoundedSemaphore(MAX_OPEN)
        super().__init__(("127.0.0.1", port), type("StackHandler", (Handler,), {"stack": stack}))

    def process_request(self, request: Any, client_address: Any) -> None:
        if not self._places.acquire(blocking=False):
            self.shutdown_request(request)
            return
        super().process_request(request, client_address)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._places.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A caller that went away in mid-answer is no news."""
