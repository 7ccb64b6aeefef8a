"""One HTTP exchange with a server that may be hostile: bounded in time, bytes, headers, hops and destination."""

from __future__ import annotations

import asyncio
import functools
import json
import re
import ssl
import time
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import h11
import httpx2

from checklists.evidence.addresses import FetchError, Policy
from checklists.evidence.bodies import OnChunk, read_body
from checklists.evidence.http1 import ClosedEarly, Connection
from checklists.evidence.network import (
    Budget,
    CheckedStream,
    Connector,
    Resolver,
    connect,
    spending,
    system_connector,
    system_resolver,
)
from checklists.evidence.pace import Deadline, Gates, Silence
from checklists.evidence.redaction import redact_bytes, secrets_of
from checklists.evidence.urls import Url, parse_url

__all__ = ["Client", "FetchError", "Policy", "Response", "Session", "TlsFacts"]

USER_AGENT = "preflight-probe/1"
MAX_HEADERS = 100
MAX_HEADER_BYTES = 32 * 1024
MAX_REDIRECTS = 3
MAX_KEPT = 6  # connections of one session that wait for another request
REDIRECTS = frozenset({301, 302, 303, 307, 308})
# Headers that belong to the exchange, not to the caller.
OURS = {"host", "connection", "content-length", "transfer-encoding", "accept-encoding", "user-agent"}
OURS |= {"te", "upgrade", "expect"}
NOT_SECRET = {"origin", "accept", "content-type"}


@dataclass(frozen=True)
class TlsFacts:
    """What the handshake told: the certificate was verified, or there would be no response."""

    expires_at: datetime | None
    issuer: str
    version: str
    hostname_ok: bool = True


@dataclass(frozen=True)
class Response:
    """An answer. ``first_byte_s`` is the time to its headers; ``truncated`` says the body was longer than allowed."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes
    truncated: bool
    elapsed_s: float
    first_byte_s: float
    request_line: str
    tls: TlsFacts | None
    url: str
    hops: tuple[str, ...] = ()
    peer: str = ""

    def header(self, name: str) -> str:
        """The first value of a header, empty if there is none."""
        return next((value for key, value in self.headers if key == name.lower()), "")

    @property
    def text(self) -> str:
        return self.body.decode("utf-8", "replace")

    def json(self) -> Any:
        """The parsed body, or ``None`` when it is no JSON, was cut off, or nests too deeply."""
        if self.truncated:
            return None
        try:
            return json.loads(self.body)
        except (ValueError, RecursionError):
            return None


@functools.cache
def _tls_context() -> ssl.SSLContext:
    return httpx2.create_ssl_context()  # the system's authorities, or those of SSL_CERT_FILE


@dataclass
class Client:
    """Fetches under one policy, of one host at most ``per_host`` at once (0: any number).

    ``resolver``, ``connector`` and ``tls`` exist for tests and for private authorities.
    """

    policy: Policy
    timeout_s: float = 10.0
    max_bytes: int = 2 * 1024 * 1024
    per_host: int = 0
    resolver: Resolver = system_resolver
    connector: Connector = system_connector
    tls: ssl.SSLContext = field(default_factory=_tls_context)
    gates: Gates = field(init=False, repr=False)
    silence: Silence = field(init=False, repr=False, default_factory=Silence)

    def __post_init__(self) -> None:
        self.gates = Gates(self.per_host)

    def session(self) -> Session:
        """A context in which connections are kept for the next request to the same server."""
        return Session(self)

    async def fetch(self, method: str, url: str, **options: Any) -> Response:
        """One request in a session of its own; see ``Session.fetch``."""
        async with self.session() as session:
            return await session.fetch(method, url, **options)


class Session:
    """Exchanges with one endpoint and what belongs to it. Connections are kept per origin and ``lane``: requests with
    different credentials never share one. Every connection was checked when it was opened.

    ``deadline``: of whatever the requests are sent for; it stands still while one of them waits for its turn.
    """

    def __init__(self, client: Client) -> None:
        self.client = client
        self.deadline: Deadline | None = None
        self._kept: list[Connection] = []
        self._heads: dict[tuple[tuple[str, str], ...], h11.Request] = {}

    async def __aenter__(self) -> Session:
        return self

    async def __aexit__(self, *exc: object) -> None:
        for connection in self._kept:
            connection.stream.close()
        self._kept.clear()

    async def fetch(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        payload: Any = None,
        content: bytes | None = None,
        content_type: str = "application/json",
        max_redirects: int = MAX_REDIRECTS,
        timeout_s: float | None = None,
        max_bytes: int | None = None,
        on_chunk: OnChunk | None = None,
        lane: str = "",
        shared: bool = False,
        in_turn: bool = True,
    ) -> Response:
        """Send one request, with ``payload`` as JSON or ``content`` as it is, and read the answer within the limits.

        Follows up to ``max_redirects`` redirects of a GET, each checked like the first; ``headers`` go to the origin of
        ``url`` only. With ``max_redirects=0`` the redirect itself is the answer. ``on_chunk(seconds, bytes)`` sees the
        body as it comes and may return True to stop reading. Every failure is a ``FetchError``.

        ``shared``: other sessions ask this server too, so it is not waited for if it took no connection a moment ago.
        A request waits for its turn at a host (``Client.per_host``), which is no part of ``timeout_s`` nor of the
        times in the answer; ``in_turn=False`` is for those that are meant to be many at once.
        """
        cap = max_bytes or self.client.max_bytes
        seconds = timeout_s or self.client.timeout_s
        budget = Budget(seconds, cap)
        custom = _checked_headers(headers or {})
        body = json.dumps(payload).encode() if payload is not None else content
        exchange = _Exchange(
            method,
            custom,
            None if body is None else (body, content_type),
            cap,
            on_chunk,
            secrets_of({name: value for name, value in custom.items() if name.lower() not in NOT_SECRET}),
            lane,
            shared,
            in_turn,
        )
        spending.set(budget)
        try:
            async with asyncio.timeout(seconds) as budget.timer:
                return await self._follow(exchange, parse_url(url), max_redirects)
        except TimeoutError:
            failure = budget.over()
        except FetchError as error:
            failure = error
        # Given less time than usual, it may have been about to answer.
        if shared and budget.connecting_to and (failure.kind != "timeout" or seconds >= self.client.timeout_s):
            self.client.silence.note(budget.connecting_to, failure)
        raise failure from None

    async def _follow(self, exchange: _Exchange, first: Url, max_redirects: int) -> Response:
        target = first
        hops: list[str] = []
        while True:
            sent = exchange.headers if target.origin == first.origin else {}
            if exchange.in_turn:
                deadlines = [spending.get(), *([self.deadline] if self.deadline else [])]
                async with self.client.gates.turn(target.host, *deadlines):
                    response = await self._once(exchange, target, sent, tuple(hops))
            else:
                response = await self._once(exchange, target, sent, tuple(hops))
            location = response.header("location")
            if response.status not in REDIRECTS or not location or max_redirects == 0:
                return response
            if exchange.method not in {"GET", "HEAD"}:
                raise FetchError("redirect", f"The server redirects a {exchange.method}, which probes do not follow.")
            if len(hops) >= max_redirects:
                raise FetchError("redirect", f"More than {max_redirects} redirects.")
            if len(location) > 2000:
                raise FetchError("redirect", "The server redirects to an address that is too long.")
            following = parse_url(location, base=target.text)
            if target.scheme == "https" and following.scheme == "http":
                raise FetchError("redirect", "The server redirects from https to plain http.")
            hops.append(following.shown)
            target = following

    async def _once(self, exchange: _Exchange, url: Url, headers: Mapping[str, str], hops: tuple[str, ...]) -> Response:
        if exchange.shared:
            self.client.silence.check((url.host, url.port))
        started = time.monotonic()
        try:
            request = self._request(exchange, url, headers)
            connection, answer = await self._asked(exchange, url, request)
            try:
                first_byte = time.monotonic() - started
                spending.get().begun()
                pairs = _bounded_headers(answer.headers.raw_items())
                body, truncated = await read_body(connection, pairs, exchange.cap, started, exchange.on_chunk)
            except BaseException:
                connection.stream.close()
                raise
            self._keep(connection)
        except (ClosedEarly, OSError) as error:
            if isinstance(error, TimeoutError):
                raise
            raise FetchError("unreachable", "The connection broke off before the answer was complete.") from None
        except (h11.ProtocolError, ValueError, zlib.error):
            raise FetchError("protocol", "The answer is not valid HTTP.") from None
        return Response(
            status=answer.status_code,
            headers=tuple((key, redact_bytes(value.encode(), exchange.secrets).decode()) for key, value in pairs),
            body=redact_bytes(body, exchange.secrets),
            truncated=truncated,
            elapsed_s=time.monotonic() - started,
            first_byte_s=first_byte,
            request_line=f"{exchange.method} {url.path}",
            tls=_tls_facts(connection.stream),
            url=url.shown,
            hops=hops,
            peer=connection.stream.peer,
        )

    def _request(self, exchange: _Exchange, url: Url, headers: Mapping[str, str]) -> h11.Request:
        """The request. Its headers are checked once for all that differ in the path only."""
        wire = _wire_headers(url, headers, exchange.body)
        known = self._heads.get(tuple(wire))
        request = h11.Request(
            method=exchange.method, target=url.target, headers=known.headers if known is not None else wire
        )
        if known is None and exchange.body is None:
            self._heads[tuple(wire)] = request
        return request

    async def _asked(self, exchange: _Exchange, url: Url, request: h11.Request) -> tuple[Connection, h11.Response]:
        """A connection on which the request was sent, and the head of its answer."""
        body = exchange.body[0] if exchange.body else b""
        if kept := self._take(exchange.lane, url):
            try:
                return kept, await kept.ask(request, body)
            except (FetchError, ClosedEarly, h11.RemoteProtocolError) as error:
                other = isinstance(error, FetchError) and error.kind != "unreachable"
                if other or exchange.method not in ("GET", "HEAD"):
                    raise
                # The server has closed a connection that was kept: that is its right, and says nothing about it.
        connection = await self._open(exchange.lane, url)
        return connection, await connection.ask(request, body)

    def _keep(self, connection: Connection) -> None:
        if connection.release():
            self._kept.append(connection)
        if len(self._kept) > MAX_KEPT:
            self._kept.pop(0).stream.close()

    def _take(self, lane: str, url: Url) -> Connection | None:
        """A connection that was kept for this lane and origin, and can still be used."""
        for connection in [one for one in self._kept if one.place == (lane, url.origin)]:
            self._kept.remove(connection)
            if connection.idle:
                return connection
            connection.stream.close()
        return None

    async def _open(self, lane: str, url: Url) -> Connection:
        client = self.client
        stream = await connect(url.host, url.port, client.policy, client.resolver, client.connector)
        if url.scheme == "https":
            await stream.start_tls(client.tls, url.host)
        return Connection((lane, url.origin), stream)


@dataclass(frozen=True)
class _Exchange:
    """What stays the same over all hops of one request."""

    method: str
    headers: Mapping[str, str]
    body: tuple[bytes, str] | None
    cap: int
    on_chunk: OnChunk | None
    secrets: frozenset[str]
    lane: str
    shared: bool
    in_turn: bool


_UNSENDABLE = re.compile(r"[^\x01-\x09\x0b\x0c\x0e-\x7f]")


def _checked_headers(headers: Mapping[str, str]) -> dict[str, str]:
    checked = {}
    for name, value in headers.items():
        if name.lower() in OURS:
            continue
        if _UNSENDABLE.search(name) or _UNSENDABLE.search(value):
            raise FetchError("protocol", "One of the endpoint's headers cannot be sent: it is not plain ASCII.")
        checked[name] = value.strip()
    return checked


def _wire_headers(url: Url, headers: Mapping[str, str], body: tuple[bytes, str] | None) -> list[tuple[str, str]]:
    wire = [
        ("Host", url.netloc),
        ("User-Agent", USER_AGENT),
        ("Accept", "*/*"),
        ("Accept-Encoding", "identity"),
    ]
    if body is not None:
        wire += [("Content-Type", body[1]), ("Content-Length", str(len(body[0])))]
    given = {name.lower() for name in headers}
    return [(name, value) for name, value in wire if name.lower() not in given] + list(headers.items())


def _bounded_headers(raw: list[tuple[bytes, bytes]]) -> list[tuple[str, str]]:
    if len(raw) > MAX_HEADERS or sum(len(name) + len(value) for name, value in raw) > MAX_HEADER_BYTES:
        raise FetchError("too_large", "The answer has more headers than a probe is willing to read.")
    return [(name.decode("ascii", "replace").lower(), value.decode("utf-8", "replace")) for name, value in raw]


def _tls_facts(stream: CheckedStream) -> TlsFacts | None:
    sock = stream.ssl_object
    if sock is None:
        return None
    certificate: dict[str, Any] = sock.getpeercert() or {}
    expires = certificate.get("notAfter")
    issuer = {key: value for part in certificate.get("issuer", ()) for key, value in part}
    return TlsFacts(
        expires_at=datetime.fromtimestamp(ssl.cert_time_to_seconds(expires), UTC) if expires else None,
        issuer=str(issuer.get("organizationName") or issuer.get("commonName") or ""),
        version=str(sock.version() or ""),
    )
