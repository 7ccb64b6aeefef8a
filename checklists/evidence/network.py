"""Where a probe may go: addresses, ports, and a network backend that enforces both when it connects.

A name is resolved once; one denied address among the answers refuses them all; the connection goes to the literal
address that was checked, and the peer is checked again afterwards. Host, SNI and certificate checks keep the name.
"""

from __future__ import annotations

import re
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Any

import httpcore2

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network
Resolver = Callable[[str, int], list[str]]
Connector = Callable[[tuple[str, int], float], socket.socket]


class FetchError(Exception):
    """Why there is no answer. ``kind`` is one of ``KINDS``; ``reason`` is a sentence that holds no secret."""

    KINDS = (
        "refused_address",
        "refused_port",
        "unresolvable",
        "unreachable",
        "timeout",
        "too_large",
        "tls",
        "protocol",
        "redirect",
    )

    def __init__(self, kind: str, reason: str, *, code: str = "") -> None:
        super().__init__(reason)
        self.kind = kind
        self.reason = reason
        self.code = code


def _networks(text: str) -> tuple[Network, ...]:
    return tuple(ip_network(part) for part in text.split())


# Never, whatever an administrator allows: link-local, the metadata services of the clouds, multicast, broadcast,
# unspecified, and the IPv6 ranges that carry an IPv4 address inside.
NEVER = _networks(
    "0.0.0.0/8 169.254.0.0/16 224.0.0.0/4 255.255.255.255/32 100.100.100.200/32 168.63.129.16/32 192.0.0.192/32 "
    "::/128 fe80::/10 ff00::/8 fd00:ec2::/32 fd20:ce::254/128 fd00:42::42/128 "
    "64:ff9b::/96 64:ff9b:1::/48 2002::/16 2001::/32 ::ffff:0:0:0/96"
)
# Not on the public internet, or not what it seems to be; an administrator may allow the private ones.
DENIED_V4 = _networks(
    "10.0.0.0/8 100.64.0.0/10 127.0.0.0/8 172.16.0.0/12 192.0.0.0/24 192.0.2.0/24 192.31.196.0/24 192.52.193.0/24 "
    "192.88.99.0/24 192.168.0.0/16 192.175.48.0/24 198.18.0.0/15 198.51.100.0/24 203.0.113.0/24 240.0.0.0/4"
)
PUBLIC_V6 = _networks("2000::/3")
DENIED_V6 = _networks("2001::/23 2001:db8::/32 2002::/16 3fff::/20")
# Names of metadata services, refused before anybody is asked what they resolve to.
NEVER_NAMES = {"metadata", "metadata.google.internal", "metadata.goog", "metadata.azure.com", "metadata.azure.internal"}
NEVER_NAMES |= {"instance-data", "instance-data.ec2.internal", "metadata.tencentyun.com"}
NEVER_NAMES |= {"metadata.platformequinix.com", "metadata.packet.net"}
# The Fetch standard's bad ports, then databases, brokers and control planes that are never a model server.
REFUSED_PORTS = {
    0, 1, 7, 9, 11, 13, 15, 17, 19, 20, 21, 22, 23, 25, 37, 42, 43, 53, 69, 77, 79, 87, 95, 101, 102, 103, 104, 109,
    110, 111, 113, 115, 117, 119, 123, 135, 137, 139, 143, 161, 179, 389, 427, 465, 512, 513, 514, 515, 526, 530, 531,
    532, 540, 548, 554, 556, 563, 587, 601, 636, 989, 990, 993, 995, 1719, 1720, 1723, 2049, 3659, 4045, 4190, 5060,
    5061, 6000, 6566, 6665, 6666, 6667, 6668, 6669, 6679, 6697, 10080, 445, 873, 1433, 1434, 1521, 1883, 2181, 2375,
    2376, 2377, 2379, 2380, 3306, 3389, 5432, 5433, 5671, 5672, 5900, 5984, 6379, 6380, 6432, 6443, 8883, 9042, 9092,
    9200, 9300, 10250, 10255, 10257, 10259, 11211, 26379, 27017, 27018, 27019,
}  # fmt: skip

_HOSTNAME = re.compile(r"(?=.{1,253}\Z)[a-z0-9_](?:[a-z0-9_-]{0,62})(?:\.[a-z0-9_](?:[a-z0-9_-]{0,62}))*\.?\Z")
_NUMERIC = re.compile(r"(?:0x[0-9a-f]*|[0-9]+)\Z")


def unwrapped(address: Address) -> Address:
    """The IPv4 address inside a v4-mapped IPv6 address; any other address as it is."""
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address


def _within(address: Address, networks: Iterable[Network]) -> bool:
    return any(address.version == network.version and address in network for network in networks)


@dataclass(frozen=True)
class Policy:
    """Which networks that are not public may be reached all the same."""

    allowed: tuple[Network, ...] = ()

    def denies(self, address: Address) -> str:
        """Why this address may not be reached, as the end of a sentence; empty if it may."""
        address = unwrapped(address)
        if _within(address, NEVER):
            return "is link-local, multicast, a cloud metadata service or otherwise never a model server"
        if _within(address, self.allowed):
            return ""
        if isinstance(address, IPv4Address):
            public = not _within(address, DENIED_V4)
        else:
            public = _within(address, PUBLIC_V6) and not _within(address, DENIED_V6)
        return "" if public else "is not a public address, and no administrator has allowed its network"

    def check(self, address: str) -> None:
        """Raise ``FetchError`` (refused_address) unless this literal address may be reached."""
        parsed = ip_address(address)
        if isinstance(parsed, IPv6Address) and parsed.scope_id:
            raise FetchError("refused_address", f"{address} carries a zone; give an address without one.")
        if why := self.denies(parsed):
            raise FetchError("refused_address", f"{address} {why}.")


def is_public(address: str) -> bool:
    """Whether the address lies on the public internet (nothing allowed)."""
    return not Policy().denies(ip_address(address))


def never_reachable(network: Network) -> bool:
    """Whether every address of this network is refused whatever is allowed."""
    if isinstance(network, IPv4Network):
        return any(isinstance(never, IPv4Network) and network.subnet_of(never) for never in NEVER)
    return any(isinstance(never, IPv6Network) and network.subnet_of(never) for never in NEVER)


def check_host(host: str) -> None:
    """Raise ``FetchError`` for a host that is neither a plain name nor an address in its usual notation."""
    try:
        ip_address(host)
    except ValueError:
        pass
    else:
        return
    if not _HOSTNAME.match(host) or _NUMERIC.match(host.rstrip(".").rpartition(".")[2]):
        raise FetchError(
            "refused_address", "The host is neither a plain name nor an address in the usual notation (192.0.2.1)."
        )
    if host.rstrip(".") in NEVER_NAMES:
        raise FetchError("refused_address", f"{host} is the name of a cloud metadata service.")


def check_port(port: int) -> None:
    """Raise ``FetchError`` for a port on which no model server listens."""
    if not 0 < port < 65536 or port in REFUSED_PORTS:
        raise FetchError("refused_port", f"Port {port} belongs to another service; probes do not speak to it.")


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
        raise FetchError("timeout", f"The name {host} was not resolved in time.")
    if failure or not answer:
        raise FetchError("unresolvable", f"The name {host} does not resolve.")
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
        raise FetchError("unreachable", f"Nothing answers at {host} port {port}.")

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
