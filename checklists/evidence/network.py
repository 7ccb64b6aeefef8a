"""Connections that go only where the policy allows, and never for longer or for more than their budget.

A name is resolved once; one denied address among the answers refuses them all; the connection goes to the literal
address that was checked, and the peer is checked again afterwards. Host, SNI and certificate checks keep the name.
"""

from __future__ import annotations

import asyncio
import contextvars
import socket
import ssl
import threading
from collections.abc import Awaitable, Callable
from contextlib import suppress
from ipaddress import ip_address

import anyio
import anyio.abc
from anyio.streams.tls import TLSAttribute, TLSStream

from checklists.evidence.addresses import Address, FetchError, Policy, check_host, check_port, unwrapped
from checklists.evidence.pace import Deadline

Resolver = Callable[[str, int], list[str]]
Connector = Callable[[tuple[str, int]], Awaitable[socket.socket]]


def system_resolver(host: str, port: int) -> list[str]:
    """Every address the system gives for a name; raises ``OSError``. Blocks: it is called in a thread of its own."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


async def system_connector(address: tuple[str, int]) -> socket.socket:
    """A connected TCP socket to a literal address; raises ``OSError``."""
    sock = socket.socket(socket.AF_INET6 if ":" in address[0] else socket.AF_INET, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        await asyncio.get_running_loop().sock_connect(sock, address)
    except BaseException:
        sock.close()
        raise
    return sock


async def resolve(host: str, port: int, policy: Policy, resolver: Resolver) -> list[str]:
    """The addresses of a host, all of them allowed. Raises ``FetchError``."""
    check_host(host)
    check_port(port)
    try:
        addresses = [str(ip_address(host))]
    except ValueError:
        addresses = await _ask(host, port, resolver)
    for address in addresses:
        policy.check(address)
    return addresses


async def _ask(host: str, port: int, resolver: Resolver) -> list[str]:
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[list[str]] = loop.create_future()

    def settle(found: list[str]) -> None:
        if not answer.done():
            answer.set_result(found)

    def ask() -> None:
        try:
            found = list(resolver(host, port))
        except (OSError, UnicodeError):
            found = []
        with suppress(RuntimeError):  # the loop has ended, so nobody waits any longer
            loop.call_soon_threadsafe(settle, found)

    # getaddrinfo knows no timeout, and a thread that is stuck in it must not keep the process from ending.
    threading.Thread(target=ask, daemon=True).start()
    budget = spending.get()
    budget.waiting_for = "The name in its address was not resolved in time."
    addresses = await answer
    budget.waiting_for = ""
    if not addresses:
        raise FetchError("unresolvable", "The name in its address does not resolve.")
    return addresses


class Budget(Deadline):
    """One deadline and one allowance of bytes for a whole exchange, redirects included.

    ``connecting_to``: the host and port to which a connection is being opened, or could not be.

    Until an answer has begun, only ``HEAD_BYTES`` may be read: interim answers could go on for ever, and each costs
    far more time than its bytes.
    """

    def __init__(self, seconds: float, max_bytes: int) -> None:
        super().__init__(seconds)
        self.seconds = seconds
        self.waiting_for = ""
        self.connecting_to: tuple[str, int] | None = None
        self._bytes, self._later = HEAD_BYTES, max_bytes

    def over(self) -> FetchError:
        return FetchError("timeout", self.waiting_for or f"No complete answer within {self.seconds:g} s.")

    def begun(self) -> None:
        """An answer's head has come: its body may be read too."""
        self._bytes, self._later = self._bytes + self._later, 0

    def spend(self, count: int) -> None:
        """Count bytes read from the wire; raises ``FetchError`` (too_large) when they are too many."""
        self._bytes -= count
        if self._bytes < 0:
            raise FetchError("too_large", "The server sent more than a probe is willing to read.")


# Whose bytes are being read: a connection outlives one exchange, a budget does not.
spending: contextvars.ContextVar[Budget] = contextvars.ContextVar("spending")


HEAD_BYTES = 256 * 1024
READ_AT_ONCE = 64 * 1024


class SocketStream(anyio.abc.ByteStream):
    """A connected socket as anyio knows streams. What cannot be sent is no error here: a server may answer, or say what
    it dislikes about us, and close before it has read everything, so it is the next read that tells."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self._loop = asyncio.get_running_loop()

    async def receive(self, max_bytes: int = READ_AT_ONCE) -> bytes:
        data = await self._loop.sock_recv(self.sock, max_bytes)
        if not data:
            raise anyio.EndOfStream
        return data

    async def send(self, item: bytes) -> None:
        with suppress(OSError):
            await self._loop.sock_sendall(self.sock, item)

    async def send_eof(self) -> None:
        self.sock.shutdown(socket.SHUT_WR)

    async def aclose(self) -> None:
        self.sock.close()


class CheckedStream:
    """A connection whose every byte is counted; ``peer`` is the address at its other end. The deadline of the exchange
    is kept by whoever started it."""

    def __init__(self, plain: SocketStream, peer: str) -> None:
        self.peer = peer
        self._plain = plain
        self._tls: TLSStream | None = None

    @property
    def ssl_object(self) -> ssl.SSLObject | None:
        """What the handshake led to, if there was one."""
        return self._tls.extra(TLSAttribute.ssl_object) if self._tls else None  # noqa: S610  # not Django's extra()

    @property
    def has_input(self) -> bool:
        """While nothing is awaited: the other side has closed, or speaks out of turn."""
        try:
            self._plain.sock.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            return False
        except OSError:
            pass
        return True

    async def read(self) -> bytes:
        """Some bytes, none at the end. Raises ``FetchError``."""
        try:
            data = await (self._tls or self._plain).receive(READ_AT_ONCE)
        except anyio.EndOfStream:
            return b""
        except ssl.SSLError as error:
            raise tls_failure(error) from None
        except (OSError, anyio.BrokenResourceError):
            raise FetchError("unreachable", "The connection broke off while the answer was awaited.") from None
        spending.get().spend(len(data))
        return data

    async def send(self, data: bytes) -> None:
        with suppress(OSError, anyio.BrokenResourceError):  # the answer is read all the same
            await (self._tls or self._plain).send(data)

    async def start_tls(self, context: ssl.SSLContext, host: str) -> None:
        """Shake hands, and be sure that it is this host. Raises ``FetchError``, and closes the connection then."""
        context.set_alpn_protocols(["http/1.1"])
        try:
            self._tls = await TLSStream.wrap(
                self._plain, server_side=False, hostname=host, ssl_context=context, standard_compatible=False
            )
        except BaseException as error:
            self.close()
            if isinstance(error, ssl.SSLError | ssl.CertificateError):
                raise tls_failure(error) from None
            if isinstance(error, OSError | anyio.BrokenResourceError | anyio.EndOfStream):
                raise FetchError("unreachable", "The connection broke off during the TLS handshake.") from None
            raise

    def close(self) -> None:
        self._plain.sock.close()


async def connect(host: str, port: int, policy: Policy, resolver: Resolver, connector: Connector) -> CheckedStream:
    """A connection to where the policy allows, by TCP. Raises ``FetchError``."""
    budget = spending.get()
    budget.connecting_to = host, port
    addresses = await resolve(host, port, policy, resolver)
    for address in addresses:
        try:
            sock = await connector((address, port))
        except OSError:
            continue
        peer = _peer(sock)
        if not peer or unwrapped(peer) != unwrapped(ip_address(address)) or policy.denies(peer):
            sock.close()
            raise FetchError("refused_address", f"The connection to {address} ended at another address.")
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        budget.connecting_to = None
        return CheckedStream(SocketStream(sock), str(peer))
    raise FetchError("unreachable", "Nothing answers at its address and port.")


def _peer(sock: socket.socket) -> Address | None:
    try:
        return ip_address(str(sock.getpeername()[0]))
    except (OSError, ValueError, IndexError):
        return None


# OpenSSL's codes of verification, in words. The first group says something about the server, the second about us.
CERTIFICATE_FAULTS = {10: "expired", 9: "not_yet_valid", 62: "wrong_host", 64: "wrong_host", 23: "revoked"}
CERTIFICATE_WORDS = {
    "expired": "The certificate has expired.",
    "not_yet_valid": "The certificate is not valid yet.",
    "wrong_host": "The certificate belongs to another host name.",
    "revoked": "The certificate was revoked.",
    "unknown_issuer": "The certificate's issuer is not known here, so the connection was given up.",
}


def tls_failure(error: ssl.SSLError | ssl.CertificateError) -> FetchError:
    """A ``FetchError`` (tls) whose ``code`` tells a bad certificate from an unknown issuer or a missing client one."""
    if isinstance(error, ssl.SSLCertVerificationError):
        code = CERTIFICATE_FAULTS.get(error.verify_code, "unknown_issuer")
        return FetchError("tls", CERTIFICATE_WORDS[code], code=code)
    if "CERTIFICATE_REQUIRED" in str(getattr(error, "reason", "")):
        return FetchError("tls", "The server asks for a client certificate.", code="client_certificate")
    return FetchError("tls", "The TLS handshake failed.", code="handshake")
