"""One HTTP exchange with a server that may be hostile: bounded in time, bytes, headers, hops and destination."""

from __future__ import annotations

import functools
import json
import ssl
import time
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import httpcore2
import httpx2

from checklists.evidence.addresses import FetchError, Policy, check_host, check_port
from checklists.evidence.network import (
    Budget,
    CheckedBackend,
    Connector,
    Resolver,
    system_connector,
    system_resolver,
)
from checklists.evidence.redaction import redact_bytes, secrets_of

__all__ = ["Client", "FetchError", "Policy", "Response", "TlsFacts"]

USER_AGENT = "preflight-probe/1"
MAX_HEADERS = 100
MAX_HEADER_BYTES = 32 * 1024
MAX_REDIRECTS = 3
REDIRECTS = frozenset({301, 302, 303, 307, 308})
# Headers that belong to the exchange, not to the caller.
OURS = {"host", "connection", "content-length", "transfer-encoding", "accept-encoding", "user-agent"}
OURS |= {"te", "upgrade", "expect"}
NOT_SECRET = {"origin", "accept", "content-type"}
OnChunk = Callable[[float, bytes], bool]


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
    return httpcore2.default_ssl_context()  # the system's authorities, or those of SSL_CERT_FILE


@dataclass
class Client:
    """Fetches under one policy. ``resolver``, ``connector`` and ``tls`` exist for tests and for private authorities."""

    policy: Policy
    timeout_s: float = 10.0
    max_bytes: int = 2 * 1024 * 1024
    resolver: Resolver = system_resolver
    connector: Connector = system_connector
    tls: ssl.SSLContext = field(default_factory=_tls_context)

    def fetch(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        payload: Any = None,
        max_redirects: int = MAX_REDIRECTS,
        timeout_s: float | None = None,
        max_bytes: int | None = None,
        on_chunk: OnChunk | None = None,
    ) -> Response:
        """Send one request, with ``payload`` as JSON if given, and read the answer within the limits.

        Follows up to ``max_redirects`` redirects of a GET, each checked like the first; ``headers`` go to the origin of
        ``url`` only. With ``max_redirects=0`` the redirect itself is the answer. ``on_chunk(seconds, bytes)`` sees the
        body as it comes and may return True to stop reading. Every failure is a ``FetchError``.
        """
        cap = max_bytes or self.max_bytes
        budget = Budget(timeout_s or self.timeout_s, cap + 256 * 1024)
        custom = _checked_headers(headers or {})
        secrets = secrets_of({name: value for name, value in custom.items() if name.lower() not in NOT_SECRET})
        first = target = _parse(url)
        hops: list[str] = []
        while True:
            sent = custom if _origin(target) == _origin(first) else {}
            response = self._once(method, target, sent, payload, budget, cap, on_chunk, secrets, tuple(hops))
            location = response.header("location")
            if response.status not in REDIRECTS or not location or max_redirects == 0:
                return response
            if method not in {"GET", "HEAD"}:
                raise FetchError("redirect", f"The server redirects a {method}, which probes do not follow.")
            if len(hops) >= max_redirects:
                raise FetchError("redirect", f"More than {max_redirects} redirects.")
            if len(location) > 2000:
                raise FetchError("redirect", "The server redirects to an address that is too long.")
            following = _parse(location, base=target)
            if target.scheme == "https" and following.scheme == "http":
                raise FetchError("redirect", "The server redirects from https to plain http.")
            hops.append(_shown(following))
            target = following

    def _once(
        self,
        method: str,
        url: httpx2.URL,
        headers: Mapping[str, str],
        payload: Any,
        budget: Budget,
        cap: int,
        on_chunk: OnChunk | None,
        secrets: frozenset[str],
        hops: tuple[str, ...],
    ) -> Response:
        content = None if payload is None else json.dumps(payload).encode()
        request = httpcore2.Request(
            method,
            httpcore2.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path),
            headers=_wire_headers(url, headers, content),
            content=content,
        )
        backend = CheckedBackend(self.policy, budget, resolver=self.resolver, connector=self.connector)
        started = time.monotonic()
        # A pool of its own for every hop: no connection is ever used twice, so no check is ever skipped.
        with httpcore2.ConnectionPool(ssl_context=self.tls, network_backend=backend, http2=False) as pool:
            try:
                answer = pool.handle_request(request)
                first_byte = time.monotonic() - started
                tls, peer = _facts(answer.extensions.get("network_stream"))
                try:
                    pairs = _bounded_headers(answer.headers)
                    body, truncated = _read(answer, pairs, cap, started, on_chunk)
                finally:
                    answer.close()
            except FetchError:
                raise
            except httpcore2.TimeoutException:
                raise budget.over() from None
            except (httpcore2.NetworkError, OSError):
                raise FetchError("unreachable", "The connection broke off before the answer was complete.") from None
            except (httpcore2.ProtocolError, httpcore2.UnsupportedProtocol, ValueError, zlib.error):
                raise FetchError("protocol", "The answer is not valid HTTP.") from None
        return Response(
            status=answer.status,
            headers=tuple((key, redact_bytes(value.encode(), secrets).decode()) for key, value in pairs),
            body=redact_bytes(body, secrets),
            truncated=truncated,
            elapsed_s=time.monotonic() - started,
            first_byte_s=first_byte,
            request_line=f"{method} {url.path}",
            tls=tls,
            url=_shown(url),
            hops=hops,
            peer=peer,
        )


def _parse(text: str, base: httpx2.URL | None = None) -> httpx2.URL:
    try:
        url = httpx2.URL(text) if base is None else base.join(text)
        host = url.raw_host.decode("ascii")
    except (httpx2.InvalidURL, ValueError, UnicodeError):
        raise FetchError("refused_address", "This is not a valid address.") from None
    if url.scheme not in {"http", "https"}:
        raise FetchError("refused_address", "Probes speak http and https only.")
    if url.userinfo or "@" in url.netloc.decode("ascii", "replace"):
        raise FetchError("refused_address", "An address must not hold a user name or password; use headers.")
    if not host:
        raise FetchError("refused_address", "The address names no host.")
    check_host(host)
    check_port(_port(url))
    return url


def _port(url: httpx2.URL) -> int:
    return url.port if url.port is not None else (443 if url.scheme == "https" else 80)


def _origin(url: httpx2.URL) -> tuple[str, bytes, int]:
    return url.scheme, url.raw_host, _port(url)


def same_origin(one: str, other: str) -> bool:
    """Whether two addresses share scheme, host and port; False if either is not valid."""
    try:
        return _origin(_parse(one)) == _origin(_parse(other))
    except FetchError:
        return False


def _shown(url: httpx2.URL) -> str:
    """The address without query and fragment, which may hold secrets."""
    return f"{url.scheme}://{url.netloc.decode('ascii')}{url.path}"


def _checked_headers(headers: Mapping[str, str]) -> dict[str, str]:
    checked = {}
    for name, value in headers.items():
        if name.lower() in OURS:
            continue
        if not name.isascii() or not value.isascii() or any(char in name + value for char in "\r\n\0"):
            raise FetchError("protocol", "One of the endpoint's headers cannot be sent: it is not plain ASCII.")
        checked[name] = value.strip()
    return checked


def _wire_headers(url: httpx2.URL, headers: Mapping[str, str], content: bytes | None) -> list[tuple[str, str]]:
    wire = [
        ("Host", url.netloc.decode("ascii")),
        ("User-Agent", USER_AGENT),
        ("Accept", "*/*"),
        ("Accept-Encoding", "identity"),
        ("Connection", "close"),
    ]
    if content is not None:
        wire += [("Content-Type", "application/json"), ("Content-Length", str(len(content)))]
    given = {name.lower() for name in headers}
    return [(name, value) for name, value in wire if name.lower() not in given] + list(headers.items())


def _bounded_headers(raw: list[tuple[bytes, bytes]]) -> list[tuple[str, str]]:
    if len(raw) > MAX_HEADERS or sum(len(name) + len(value) for name, value in raw) > MAX_HEADER_BYTES:
        raise FetchError("too_large", "The answer has more headers than a probe is willing to read.")
    return [(name.decode("ascii", "replace").lower(), value.decode("utf-8", "replace")) for name, value in raw]


def _read(
    answer: httpcore2.Response, headers: list[tuple[str, str]], cap: int, started: float, on_chunk: OnChunk | None
) -> tuple[bytes, bool]:
    """The decoded body, never more than ``cap`` bytes of it, and whether there was more."""
    encoding = next((value.strip().lower() for name, value in headers if name == "content-encoding"), "identity")
    if encoding not in {"identity", "", "gzip", "deflate"}:
        raise FetchError("protocol", "The server compressed its answer in a way it was not asked for.")
    # Compressed although asked not to: unpack no more than the cap, which is what stops a bomb.
    unpack = zlib.decompressobj(47) if encoding in {"gzip", "deflate"} else None
    body = bytearray()
    for chunk in answer.iter_stream():
        piece = unpack.decompress(chunk, cap - len(body) + 1) if unpack else chunk
        body += piece
        if piece and on_chunk is not None and on_chunk(time.monotonic() - started, piece):
            break
        if len(body) > cap or (unpack and unpack.unconsumed_tail):
            return bytes(body[:cap]), True
    return bytes(body), False


def _facts(stream: Any) -> tuple[TlsFacts | None, str]:
    if stream is None:
        return None, ""
    try:
        peer = str(stream.get_extra_info("server_addr")[0])
    except (OSError, TypeError, IndexError):
        peer = ""
    sock = stream.get_extra_info("ssl_object")
    if sock is None:
        return None, peer
    certificate = sock.getpeercert() or {}
    expires = certificate.get("notAfter")
    issuer = {key: value for part in certificate.get("issuer", ()) for key, value in part}
    return (
        TlsFacts(
            expires_at=datetime.fromtimestamp(ssl.cert_time_to_seconds(expires), UTC) if expires else None,
            issuer=str(issuer.get("organizationName") or issuer.get("commonName") or ""),
            version=str(sock.version() or ""),
        ),
        peer,
    )
