"""A network backend that goes only where the policy allows, and never for longer or for more than its budget.

A name is resolved once; one denied address among the answers refuses them all; the connection goes to the literal
address that was checked, and the peer is checked again afterwards. Host, SNI and certificate checks keep the name.
"""

from __future__ import annotations

import socket
import ssl
import threading
import time
from collections.abc import Callable
from ipaddress import ip_address
from typing import Any

import httpcore2

from checklists.evidence.addresses import FetchError, Policy, check_host, check_port, unwrapped

Resolver = Callable[[str, int], list[str]]
Connector = Callable[[tuple[str, int], float], socket.socket]


def system_resolver(host: str, port: int) -> list[str]:
    """Every address the system gives for a name; raises ``OSError``."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


def system_connector(address: tuple[str, int], timeout: float) -> socket.socket:
    """A TCP connection to a literal address; raises ``OSError``."""
    return socket.create_connection(address, timeout)


def resolve(host: str, port: int, policy: Policy, resolver: Resolver, seconds: float) -> list[str]:
    """The addresses of a host, all of them allowed. Raises ``FetchError``; never takes longer than ``seconds``."""
    check_host(host)
    check_port(port)
    try:
        addresses = [str(ip_address(host))]
    except ValueError:
        addresses = _ask(host, port, resolver, seconds)
    for address in addresses:
        policy.check(address)
    return addresses


def _ask(host: str, port: int, resolver: Resolver, seconds: float) -> list[str]:
    answer: list[str] = []
    failure: list[Exception] = []

    def ask() -> None:
        try:
            answer.extend(resolver(host, port))
        except (OSError, UnicodeError) as error:
            failure.append(error)

    # getaddrinfo knows no timeout, and a thread that is stuck in it must not keep the process from ending.
    asking = threading.Thread(target=ask, daemon=True)
    asking.start()
    asking.join(max(seconds, 0.0))
    if asking.is_alive():
        raise FetchError("timeout", "The name in its address was not resolved in time.")
    if failure or not answer:
        raise FetchError("unresolvable", "The name in its address does not resolve.")
    return list(answer)


class Budget:
    """One wall-clock deadline and one allowance of bytes for a whole exchange, redirects included."""

    def __init__(self, seconds: float, max_bytes: int) -> None:
        self.seconds = seconds
        self._end = time.monotonic() + seconds
        self._bytes = max_bytes

    def left(self) -> float:
        """Seconds left; raises ``FetchError`` (timeout) when there are none."""
        left = self._end - time.monotonic()
        if left <= 0:
            raise self.over()
        return left

    def over(self) -> FetchError:
        return FetchError("timeout", f"No complete answer within {self.seconds:g} s.")

    def spend(self, count: int) -> None:
        """Count bytes read from the wire; raises ``FetchError`` (too_large) when they are too many."""
        self._bytes -= count
        if self._bytes < 0:
            raise FetchError("too_large", "The server sent more than a probe is willing to read.")


class CheckedStream(httpcore2.NetworkStream):
    """A socket whose every step is held to the budget, so that a server that drips gains nothing."""

    def __init__(self, sock: socket.socket, budget: Budget) -> None:
        self._sock = sock
        self._budget = budget

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        self._sock.settimeout(self._budget.left())
        try:
            data = self._sock.recv(max_bytes)
        except TimeoutError:
            raise self._budget.over() from None
        except ssl.SSLError as error:
            raise tls_failure(error) from None
        except OSError:
            raise FetchError("unreachable", "The connection broke off while the answer was awaited.") from None
        self._budget.spend(len(data))
        return data

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._sock.settimeout(self._budget.left())
        try:
            self._sock.sendall(buffer)
        except TimeoutError:
            raise self._budget.over() from None
        except OSError:
            # A server may answer and close before it has read everything: let the answer be read.
            raise httpcore2.WriteError("closed") from None

    def close(self) -> None:
        self._sock.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore2.NetworkStream:
        self._sock.settimeout(self._budget.left())
        try:
            wrapped = ssl_context.wrap_socket(self._sock, server_hostname=server_hostname)
        except TimeoutError:
            self.close()
            raise self._budget.over() from None
        except (ssl.SSLError, ssl.CertificateError) as error:
            self.close()
            raise tls_failure(error) from None
        except OSError:
            self.close()
            raise FetchError("unreachable", "The connection broke off during the TLS handshake.") from None
        return CheckedStream(wrapped, self._budget)

    def get_extra_info(self, info: str) -> Any:
        if info == "ssl_object" and isinstance(self._sock, ssl.SSLSocket):
            return self._sock
        if info == "server_addr":
            return self._sock.getpeername()
        return None


class CheckedBackend(httpcore2.NetworkBackend):
    """Connects only where the policy allows, and only by TCP."""

    def __init__(
        self,
        policy: Policy,
        budget: Budget,
        *,
        resolver: Resolver = system_resolver,
        connector: Connector = system_connector,
    ) -> None:
        self._policy = policy
        self._budget = budget
        self._resolver = resolver
        self._connector = connector

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Any = None,
    ) -> httpcore2.NetworkStream:
        addresses = resolve(host, port, self._policy, self._resolver, self._budget.left())
        for address in addresses:
            try:
                sock = self._connector((address, port), self._budget.left())
            except OSError:
                continue
            if not self._same_peer(sock, address):
                sock.close()
                raise FetchError("refused_address", f"The connection to {address} ended at another address.")
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return CheckedStream(sock, self._budget)
        self._budget.left()
        raise FetchError("unreachable", "Nothing answers at its address and port.")

    def _same_peer(self, sock: socket.socket, address: str) -> bool:
        try:
            peer = ip_address(str(sock.getpeername()[0]))
        except (OSError, ValueError, IndexError):
            return False
        return unwrapped(peer) == unwrapped(ip_address(address)) and not self._policy.denies(peer)

    def connect_unix_socket(
        self, path: str, timeout: float | None = None, socket_options: Any = None
    ) -> httpcore2.NetworkStream:
        raise FetchError("refused_address", "Probes do not speak to Unix sockets.")


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
