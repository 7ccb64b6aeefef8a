"""A small real HTTP server on loopback that answers what a test tells it to, and remembers what it was asked."""

from __future__ import annotations

import asyncio
import json
import ssl
import threading
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_network
from typing import Any, TypeVar

from checklists.evidence.client import Client, Policy, Response
from checklists.evidence.probes import PROBES, Target, Visit

LOOPBACK = Policy(allowed=(ip_network("127.0.0.0/8"), ip_network("::1/128")))
T = TypeVar("T")
Handler = Callable[["Request"], Any]


@dataclass
class Request:
    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    raw: BaseHTTPRequestHandler

    def json(self) -> Any:
        return json.loads(self.body or b"null")

    def reply(self, status: int, body: Any = b"", headers: dict[str, str] | None = None) -> None:
        """Send an answer: bytes as they are, text as text, anything else as JSON."""
        kind = "application/json"
        if isinstance(body, str):
            body, kind = body.encode(), "text/plain"
        elif not isinstance(body, bytes):
            body = json.dumps(body).encode()
        self.raw.send_response(status)
        for name, value in {"Content-Type": kind, "Content-Length": str(len(body)), **(headers or {})}.items():
            self.raw.send_header(name, value)
        self.raw.end_headers()
        self.raw.wfile.write(body)


@dataclass
class Server:
    port: int
    scheme: str = "http"
    seen: list[Request] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.port}"

    def asked(self) -> list[str]:
        return [f"{request.method} {request.path}" for request in self.seen]


@contextmanager
def serving(handler: Handler, *, tls: ssl.SSLContext | None = None) -> Iterator[Server]:
    """Run a server whose answers come from ``handler(request)`` until the block ends."""
    server = Server(0, "https" if tls else "http")

    class Answering(BaseHTTPRequestHandler):
        def _do(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            headers = {name.lower(): value for name, value in self.headers.items()}
            request = Request(self.command, self.path, headers, body, self)
            server.seen.append(request)
            # That the client has had enough is what some tests are about.
            with suppress(BrokenPipeError, ConnectionResetError, ssl.SSLError):
                handler(request)

        do_GET = do_POST = do_HEAD = _do

        def log_message(self, *args: Any) -> None:
            pass

    class Quiet(ThreadingHTTPServer):
        daemon_threads = True
        request_queue_size = 64  # a burst must not fail for the test's own server

        def handle_error(self, *args: Any) -> None:
            pass

    http = Quiet(("127.0.0.1", 0), Answering)
    if tls is not None:
        http.socket = tls.wrap_socket(http.socket, server_side=True, do_handshake_on_connect=False)
    server.port = http.server_address[1]
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield server
    finally:
        http.shutdown()
        thread.join()
        http.server_close()


def routes(table: dict[str, Any], *, key: str = "", open_paths: tuple[str, ...] = ()) -> Handler:
    """A handler from a table ``"GET /path"`` → answer (404 for the rest), behind a bearer key if one is given."""

    def handle(request: Request) -> None:
        path = request.path.partition("?")[0]
        if key and path not in open_paths and request.headers.get("authorization") != f"Bearer {key}":
            return request.reply(401, {"error": "Unauthorized"})
        answer = table.get(f"{request.method} {path}", table.get(path))
        if callable(answer):
            return answer(request)
        if answer is None:
            return request.reply(404, {"detail": "Not Found"})
        return request.reply(200, answer)

    return handle


def loopback_client(**options: Any) -> Client:
    """A client that may reach loopback, with short patience."""
    return Client(**{"policy": LOOPBACK, "timeout_s": 5.0, "max_bytes": 1024 * 1024, **options})


def run(waiting: Coroutine[Any, Any, T]) -> T:
    """What a coroutine comes to, on an event loop of a thread of its own: Playwright keeps one in the tests' thread."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, waiting).result()


def fetch(client: Client, method: str, url: str, **options: Any) -> Response:
    """One request, waited for."""
    return run(client.fetch(method, url, **options))


def observe(probe: str, target: Target, client: Client | None = None) -> tuple[dict[str, Any], Visit]:
    """What one probe sees at a target, cleaned as a run cleans it, and the visit it took."""

    async def visiting() -> tuple[dict[str, Any], Visit]:
        async with (client or loopback_client(timeout_s=2.0)).session() as session:
            visit = Visit(target, session)
            return visit.clean(await PROBES[probe].observe(visit)), visit

    return run(visiting())
