from __future__ import annotations

import socket
from ipaddress import ip_address, ip_network
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from checklists.evidence.addresses import REFUSED_PORTS, Policy, never_reachable
from checklists.evidence.client import Client, FetchError
from checklists.evidence.network import system_connector
from tests.evidence.loopback import LOOPBACK, fetch, loopback_client, serving

EVERYTHING = Policy(allowed=(ip_network("0.0.0.0/0"), ip_network("::/0")))


async def no_connection(address: tuple[str, int]) -> socket.socket:
    raise AssertionError(f"a connection to {address} was tried")


def no_resolution(host: str, port: int) -> list[str]:
    raise AssertionError(f"{host} was resolved")


def as_libc_does(host: str, port: int) -> list[str]:
    """What getaddrinfo makes of the short, octal and hexadecimal forms: an address."""
    return [socket.inet_ntoa(socket.inet_aton(host))]


# Refused under the default policy, without a name being resolved or a connection tried.
REFUSED = [
    # loopback and its spellings
    "http://127.0.0.1/",
    "http://127.0.0.1:8000/v1",
    "http://127.255.255.254/",
    "http://127.1/",
    "http://127.0.1/",
    "http://0/",
    "http://0.0.0.0/",
    "http://0.0.0.0:8000/",
    "http://2130706433/",
    "http://017700000001/",
    "http://0177.0.0.1/",
    "http://0x7f.1/",
    "http://0x7f000001/",
    "http://0x7F.0x0.0x0.0x1/",
    "http://127.0.0.1./",
    "http://127.0.0.01/",
    "http://[::1]/",
    "http://[::]/",
    "http://[0:0:0:0:0:0:0:1]/",
    "http://[::ffff:127.0.0.1]/",
    "http://[::ffff:7f00:1]/",
    "http://[::127.0.0.1]/",
    "http://[::ffff:0:127.0.0.1]/",
    # private networks
    "http://10.0.0.1/",
    "http://10.255.255.255/",
    "http://172.16.0.1/",
    "http://172.31.255.255/",
    "http://192.168.1.1/",
    "http://100.64.0.1/",
    "http://192.0.0.8/",
    "http://192.0.2.1/",
    "http://198.18.0.1/",
    "http://198.51.100.7/",
    "http://203.0.113.7/",
    "http://192.88.99.1/",
    "http://240.0.0.1/",
    "http://[fc00::1]/",
    "http://[fd12:3456:789a::1]/",
    "http://[fec0::1]/",
    "http://[::ffff:10.0.0.1]/",
    "http://[::ffff:a00:1]/",
    "http://[2001:db8::1]/",
    "http://[3fff::1]/",
    "http://[2001:10::1]/",
    "http://[100::1]/",
    "http://[4000::1]/",
    # link-local, metadata, multicast, broadcast
    "http://169.254.169.254/latest/meta-data/",
    "http://169.254.170.2/",
    "http://2852039166/",
    "http://0xa9fea9fe/",
    "http://0251.0376.0251.0376/",
    "http://[::ffff:169.254.169.254]/",
    "http://[fe80::1]/",
    "http://[fe80::1%25eth0]/",
    "http://[fe80::a9fe:a9fe]/",
    "http://[fd00:ec2::254]/",
    "http://100.100.100.200/",
    "http://168.63.129.16/",
    "http://192.0.0.192/",
    "http://224.0.0.1/",
    "http://239.255.255.255/",
    "http://255.255.255.255/",
    "http://[ff02::1]/",
    # an IPv4 address inside an IPv6 one
    "http://[64:ff9b::7f00:1]/",
    "http://[64:ff9b::a9fe:a9fe]/",
    "http://[64:ff9b:1::1]/",
    "http://[2002:7f00:1::]/",
    "http://[2002:a9fe:a9fe::1]/",
    "http://[2001:0:4136:e378:8000:63bf:3fff:fdd2]/",
    # names of metadata services
    "http://metadata/",
    "http://metadata.google.internal/computeMetadata/v1/",
    "http://METADATA.google.internal./",
    "http://instance-data.ec2.internal/",
    # other schemes, credentials, tricks with the notation
    "file:///etc/passwd",
    "gopher://127.0.0.1:6379/_INFO",
    "ftp://example.com/",
    "unix:///var/run/docker.sock",
    "http+unix://%2Fvar%2Frun%2Fdocker.sock/info",
    "dict://127.0.0.1:11211/stat",
    "data:text/plain,hello",
    "//example.com/",
    "example.com/",
    "",
    "http:///path",
    "http://user@example.com/",
    "http://user:secret@example.com/",
    "http://example.com@127.0.0.1/",
    "http://example.com%40127.0.0.1/",
    "http://127.0.0.1%00.example.com/",
    "http://example.com\\@127.0.0.1/",
    "http://exa mple.com/",
    "http://127。0。0。1/",
    "http://127．0．0．1/",
    "http://①②⑦.⓪.⓪.①/",
    "http://１２７.0.0.1/",
    "http://ⓛocalhost/",
    "http://[::1/",
    "http://[127.0.0.1]/",
    "http://[v1.127.0.0.1]/",
    "http://127.0.0.1\t/",
    "http://exam\nple.com/",
    "http://example.com:99999999999/",
    "http://example.com:http/",
    "http://-example-/%2e%2e",
]
NAMES_THAT_RESOLVE_BADLY = [
    ("http://localhost/", ["127.0.0.1"]),
    ("http://localhost./", ["::1"]),
    ("http://LOCALHOST:8000/", ["127.0.0.1", "::1"]),
    ("http://127.0.0.1.nip.io/", ["127.0.0.1"]),
    ("http://app.internal/", ["10.1.2.3"]),
    ("http://mixed.example.com/", ["93.184.216.34", "10.0.0.5"]),
    ("http://mixed6.example.com/", ["2606:2800:220:1::1", "::ffff:192.168.0.1"]),
    ("http://scoped.example.com/", ["fe80::1%eth0"]),
    ("http://nat64.example.com/", ["64:ff9b::a00:1"]),
    ("http://cloud.example.com/", ["169.254.169.254"]),
]


def test_the_corpus_is_as_large_as_promised() -> None:
    assert len(set(REFUSED)) >= 60


@pytest.mark.parametrize("url", REFUSED)
def test_an_address_that_must_not_be_reached_is_refused_before_any_packet(url: str) -> None:
    client = Client(Policy(), resolver=no_resolution, connector=no_connection)
    with pytest.raises(FetchError) as refusal:
        fetch(client, "GET", url)
    assert refusal.value.kind in ("refused_address", "refused_port")


@pytest.mark.parametrize(("url", "addresses"), NAMES_THAT_RESOLVE_BADLY)
def test_a_name_is_refused_if_any_of_its_addresses_is(url: str, addresses: list[str]) -> None:
    client = Client(Policy(), resolver=lambda host, port: addresses, connector=no_connection)
    with pytest.raises(FetchError) as refusal:
        fetch(client, "GET", url)
    assert refusal.value.kind == "refused_address"


@pytest.mark.parametrize(
    "address",
    [
        "0.0.0.0",
        "169.254.169.254",
        "169.254.170.23",
        "100.100.100.200",
        "168.63.129.16",
        "192.0.0.192",
        "224.0.0.1",
        "255.255.255.255",
        "::",
        "fe80::1",
        "fe80::a9fe:a9fe",
        "ff02::1",
        "fd00:ec2::254",
        "fd20:ce::254",
        "64:ff9b::a00:1",
        "2002:a00:1::",
        "2001:0:1::1",
        "::ffff:169.254.169.254",
    ],
)
def test_no_allow_list_opens_link_local_metadata_or_multicast(address: str) -> None:
    host = f"[{address}]" if ":" in address else address
    with pytest.raises(FetchError) as refusal:
        fetch(Client(EVERYTHING, resolver=no_resolution, connector=no_connection), "GET", f"http://{host}/")
    assert refusal.value.kind == "refused_address"
    with pytest.raises(FetchError):
        fetch(
            Client(EVERYTHING, resolver=lambda host, port: [address], connector=no_connection),
            "GET",
            "http://a.example/",
        )


@pytest.mark.parametrize("url", ["http://127.1/", "http://0x7f.1/", "http://2130706433/", "http://0177.0.0.1/"])
def test_an_unusual_spelling_is_refused_even_where_its_network_is_allowed(url: str) -> None:
    client = Client(LOOPBACK, resolver=as_libc_does, connector=no_connection)
    with pytest.raises(FetchError) as refusal:
        fetch(client, "GET", url)
    assert refusal.value.kind == "refused_address"


@pytest.mark.parametrize("port", [22, 25, 53, 6379, 5432, 3306, 27017, 11211, 2375, 9200, 0, 65536])
def test_ports_of_other_services_are_refused(port: int) -> None:
    client = Client(EVERYTHING, resolver=no_resolution, connector=no_connection)
    with pytest.raises(FetchError) as refusal:
        fetch(client, "GET", f"http://93.184.216.34:{port}/")
    assert refusal.value.kind == "refused_port"


@pytest.mark.parametrize(
    "port", [80, 443, 3000, 4000, 5000, 7860, 8000, 8001, 8080, 8188, 8443, 9000, 9090, 11434, 30000]
)
def test_ports_on_which_models_are_served_are_open(port: int) -> None:
    assert port not in REFUSED_PORTS


def test_public_addresses_may_be_reached() -> None:
    for address in ("8.8.8.8", "93.184.216.34", "2606:4700::1111", "2a00:1450:4001::1", "::ffff:8.8.8.8"):
        Policy().check(address)


def test_an_allowed_private_network_may_be_reached_and_its_neighbour_may_not() -> None:
    policy = Policy(allowed=(ip_network("10.20.0.0/16"), ip_network("fd12:3456::/48")))
    policy.check("10.20.3.4")
    policy.check("::ffff:10.20.3.4")
    policy.check("fd12:3456::1")
    for address in ("10.21.0.1", "fd12:3457::1"):
        with pytest.raises(FetchError):
            policy.check(address)


@given(st.integers(0, 2**32 - 1))
def test_a_mapped_address_is_judged_like_the_address_inside(number: int) -> None:
    inside = ip_address(number)
    mapped = ip_address(f"::ffff:{inside}")
    for policy in (Policy(), LOOPBACK, EVERYTHING):
        assert bool(policy.denies(mapped)) == bool(policy.denies(inside))


@given(st.integers(0, 2**128 - 1))
def test_no_address_that_python_calls_private_or_reserved_passes(number: int) -> None:
    address = ip_address(number) if number > 2**32 else ip_address(number % 2**32)
    if address.is_private or address.is_link_local or address.is_multicast or address.is_reserved:
        assert Policy().denies(address)


def test_a_name_that_turns_private_between_check_and_connection_is_not_followed() -> None:
    """Rebinding: the second answer would be loopback, but nobody asks a second time."""
    answers = [["93.184.216.34"], ["127.0.0.1"]]
    tried: list[tuple[str, int]] = []

    def resolver(host: str, port: int) -> list[str]:
        return answers.pop(0)

    async def connector(address: tuple[str, int]) -> socket.socket:
        tried.append(address)
        raise OSError

    with pytest.raises(FetchError) as failure:
        fetch(Client(LOOPBACK, resolver=resolver, connector=connector), "GET", "http://rebind.example/")
    assert failure.value.kind == "unreachable"
    assert tried == [("93.184.216.34", 80)]
    assert answers == [["127.0.0.1"]]


def test_the_second_request_to_a_name_that_turned_private_is_refused() -> None:
    answers = [["127.0.0.1"], ["169.254.169.254"]]
    with serving(lambda request: request.reply(200, "hello")) as server:
        client = loopback_client(resolver=lambda host, port: answers.pop(0))
        url = f"http://rebind.example:{server.port}/"
        assert fetch(client, "GET", url).text == "hello"
        with pytest.raises(FetchError) as refusal:
            fetch(client, "GET", url)
    assert refusal.value.kind == "refused_address"


def test_a_connection_that_ends_at_another_address_is_refused() -> None:
    with serving(lambda request: request.reply(200)) as server:

        async def elsewhere(address: tuple[str, int]) -> socket.socket:
            return await system_connector(("127.0.0.1", server.port))

        client = loopback_client(resolver=lambda host, port: ["127.0.0.2"], connector=elsewhere)
        with pytest.raises(FetchError, match="another address") as refusal:
            fetch(client, "GET", f"http://moved.example:{server.port}/")
    assert refusal.value.kind == "refused_address"
    assert server.seen == []


REDIRECTS = [
    "http://169.254.169.254/latest/meta-data/",
    "http://[fd00:ec2::254]/",
    "http://10.0.0.1/",
    "http://[::ffff:192.168.0.1]/",
    "http://[64:ff9b::a00:1]/",
    "http://0x7f.1/",
    "http://metadata.google.internal/",
    "http://127.0.0.1:6379/",
    "//169.254.169.254/",
    "file:///etc/passwd",
    "gopher://127.0.0.1/",
    "http://user:pw@127.0.0.1/",
    "unix:///run/docker.sock",
]


@pytest.mark.parametrize("location", REDIRECTS)
def test_a_redirect_to_a_forbidden_place_is_refused(location: str) -> None:
    with (
        serving(lambda request: request.reply(302, headers={"Location": location})) as server,
        pytest.raises(FetchError) as refusal,
    ):
        fetch(loopback_client(), "GET", server.url)
    assert refusal.value.kind in ("refused_address", "refused_port")
    assert len(server.seen) == 1


def test_a_redirect_to_a_name_with_a_private_address_is_refused() -> None:
    with serving(lambda request: request.reply(302, headers={"Location": "http://inside.example/"})) as server:
        client = loopback_client(resolver=lambda host, port: ["10.1.1.1"])
        with pytest.raises(FetchError) as refusal:
            fetch(client, "GET", server.url)
    assert refusal.value.kind == "refused_address"


@pytest.mark.parametrize(
    ("network", "never"),
    [
        ("169.254.0.0/16", True),
        ("169.254.169.254/32", True),
        ("fe80::/64", True),
        ("224.0.0.0/8", True),
        ("10.0.0.0/8", False),
        ("0.0.0.0/0", False),
        ("fd00:ec2::/64", True),
        ("127.0.0.0/8", False),
    ],
)
def test_a_network_of_nothing_but_forbidden_addresses_is_known_as_such(network: str, never: bool) -> None:
    assert never_reachable(ip_network(network)) is never


def test_a_name_that_does_not_resolve_is_said_to_be_so() -> None:
    def resolver(host: str, port: int) -> list[str]:
        raise socket.gaierror(-2, "Name or service not known")

    with pytest.raises(FetchError) as failure:
        fetch(Client(Policy(), resolver=resolver), "GET", "http://nowhere.example/")
    assert failure.value.kind == "unresolvable"
    assert "does not resolve" in failure.value.reason


def test_a_resolver_that_hangs_does_not_outlast_the_deadline() -> None:
    import threading
    import time

    release = threading.Event()

    def resolver(host: str, port: int) -> list[str]:
        release.wait(30)
        return []

    started = time.monotonic()
    with pytest.raises(FetchError) as failure:
        fetch(Client(Policy(), resolver=resolver, timeout_s=0.3), "GET", "http://slow.example/")
    release.set()
    assert failure.value.kind == "timeout"
    assert time.monotonic() - started < 3


def test_a_refusal_never_repeats_a_secret_of_the_address() -> None:
    secret: Any = "hunter2-hunter2"
    for url in (f"http://user:{secret}@example.com/", f"http://10.0.0.1/?key={secret}"):
        with pytest.raises(FetchError) as refusal:
            fetch(Client(Policy()), "GET", url, headers={"X-Key": secret})
        assert secret not in refusal.value.reason
