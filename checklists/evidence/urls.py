"""The parts of an address that a request needs, once it is sure that probes may speak to it."""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass, replace

import httpx2

from checklists.evidence.addresses import FetchError, check_host, check_port


@dataclass(frozen=True, slots=True)
class Url:
    """The valid address of something to fetch, in the parts that a request needs. ``shown`` leaves out query and
    fragment, which may hold secrets."""

    text: str
    scheme: str
    host: str
    port: int
    netloc: str
    target: bytes
    path: str

    @property
    def origin(self) -> tuple[str, str, int]:
        return self.scheme, self.host, self.port

    @property
    def shown(self) -> str:
        return f"{self.scheme}://{self.netloc}{self.path}"


# A path that can be written in one way only, so that all that needs a parser is the origin before it.
_PLAIN = re.compile(r"(https?://[^/?#\\\s]+)((?:/[A-Za-z0-9_-][A-Za-z0-9_.-]*)+)\Z")


@functools.lru_cache(maxsize=4096)
def parse_url(text: str, base: str = "") -> Url:
    """A valid address, relative to ``base`` if one is given. Raises ``FetchError`` for any that probes do not go to."""
    if not base and (plain := _PLAIN.match(text)):
        return replace(parse_url(plain[1]), text=text, target=plain[2].encode(), path=plain[2])
    try:
        url = httpx2.URL(base).join(text) if base else httpx2.URL(text)
        host = url.raw_host.decode("ascii")
    except (httpx2.InvalidURL, ValueError, UnicodeError):
        raise FetchError("refused_address", "This is not a valid address.") from None
    if url.scheme not in {"http", "https"}:
        raise FetchError("refused_address", "Probes speak http and https only.")
    if url.userinfo or "@" in url.netloc.decode("ascii", "replace"):
        raise FetchError("refused_address", "An address must not hold a user name or password; use headers.")
    if not host:
        raise FetchError("refused_address", "The address names no host.")
    port = url.port if url.port is not None else (443 if url.scheme == "https" else 80)
    check_host(host)
    check_port(port)
    return Url(str(url), url.scheme, host, port, url.netloc.decode("ascii"), url.raw_path, url.path)


@functools.lru_cache(maxsize=4096)
def same_origin(one: str, other: str) -> bool:
    """Whether two addresses share scheme, host and port; False if either is not valid."""
    try:
        return parse_url(one).origin == parse_url(other).origin
    except FetchError:
        return False
