"""Where a probe may go: which addresses, hosts and ports, and the refusal that says why not."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network


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
NOT_ALLOWED = "no administrator has allowed its network"
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
        return "" if public else f"is not a public address, and {NOT_ALLOWED}"

    def check(self, address: str) -> None:
        """Raise ``FetchError`` (refused_address) unless this literal address may be reached."""
        parsed = ip_address(address)
        if isinstance(parsed, IPv6Address) and parsed.scope_id:
            raise FetchError("refused_address", f"{address} carries a zone; give an address without one.")
        if why := self.denies(parsed):
            raise FetchError("refused_address", f"Its address {address} {why}.")


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
        raise FetchError("refused_address", "The host is neither a plain name nor an address in the usual notation.")
    if host.rstrip(".") in NEVER_NAMES:
        raise FetchError("refused_address", "Its host is the name of a cloud metadata service.")


def check_port(port: int) -> None:
    """Raise ``FetchError`` for a port on which no model server listens."""
    if not 0 < port < 65536 or port in REFUSED_PORTS:
        raise FetchError("refused_port", f"Port {port} belongs to another service; probes do not speak to it.")
