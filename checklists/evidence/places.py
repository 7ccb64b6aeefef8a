"""Taking out of texts where servers are: sentences are read by people who may not see a release's endpoints.

Taken out, whoever wrote it (a probe, Prometheus, a proxy): hosts and ports of addresses, IP addresses, names with a
port, names that only an internal network knows, what labels such as ``instance`` say, and the hosts that the release's
endpoints and their monitoring are at, with their neighbours. What the team itself has claimed, and the public hub and
registry, stay: everybody reads them.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Iterator, Mapping
from ipaddress import IPv4Address, ip_address, ip_network
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings

from checklists.assessments.models import Answer
from checklists.evidence.addresses import never_reachable
from checklists.registry.models import Endpoint, Release
from checklists.registry.services import URL_FIELDS

HIDDEN = "…"
SHORT = 500  # characters of a text worth remembering: sentences repeat from endpoint to endpoint

_LABEL = r"[A-Za-z0-9_](?:[A-Za-z0-9_-]*[A-Za-z0-9_])?"
_FOUND = re.compile(
    rf"""
      (?P<url>(?:https?|wss?|grpcs?|tcp|udp|rediss?)://(?:[^/\s"'<>@]*@)?(?:\[[^\]\s]*\])?[^/\s"'<>?\#,;)\]}}]*)
    | (?P<v4>(?<![\w.])\d{{1,3}}(?:\.\d{{1,3}}){{3}}(?!\w|\.\d))(?::\d{{1,5}}(?!\w))?
    | (?P<v6>\[[0-9A-Fa-f:.%]{{2,}}\](?::\d{{1,5}}(?!\w))?
            |(?<![\w:.])(?:[0-9A-Fa-f]{{0,4}}:){{2,8}}[0-9A-Fa-f]*(?:\.\d+){{0,3}}(?![\w:]))
    | (?<![\w.-])ip-\d{{1,3}}(?:-\d{{1,3}}){{3}}[\w.-]*
    | (?<![\w.-])(?:{_LABEL}\.)+(?:internal|local|localdomain|lan|corp|intranet|svc|arpa)(?![\w-]|\.\w)(?::\d{{2,5}})?
    | (?<![\w./@-])(?:{_LABEL}\.)+[A-Za-z](?:[A-Za-z0-9_-]*[A-Za-z0-9_])?:\d{{2,5}}(?![\w:]|\.\d)
    | (?<![\w./@:-])(?=[\w-]*[A-Za-z]){_LABEL}:\d{{3,5}}(?![\w:]|\.\d)
    """,
    re.VERBOSE,
)
_LOOKED_UP = re.compile(r"(?<=\blookup )[\w.-]+")  # as resolvers say of a name that they do not know
# Labels, and names of fields, that tell a place.
_TELLING = r"(?:\w*_)?(?:instance|host|host_?name|node_?name|node|address|addr|ip|peer)"
_FIELD = re.compile(rf"{_TELLING}\Z", re.IGNORECASE)
_MATCHER = re.compile(rf"(?<!\w)({_TELLING}\s*(?:=|!=|=~|!~)\s*\")((?:[^\"\\]|\\.)*)", re.IGNORECASE)


class Places:
    """The places of one release: ``urls`` of its endpoints and their monitoring, ``claims`` by item key."""

    def __init__(self, urls: Iterable[str] = (), claims: Mapping[str, Any] | None = None) -> None:
        hosts = {host for url in urls if (host := _host(url))}
        domains = sorted({_neighbours(host) for host in hosts if _is_name(host)}, key=len, reverse=True)
        self._hosts = (
            re.compile(rf"(?<![\w.-])(?:{'|'.join(domains)})(?![\w-]|\.\w)(?::\d{{1,5}})?", re.IGNORECASE)
            if domains
            else None
        )
        bases = [settings.PREFLIGHT.get("HUB_URL"), settings.PREFLIGHT.get("OCI_URL")]
        public = [base for base in bases if base and _is_name(_host(base))]
        self._told = "\n".join([*public, *_texts(claims or {})]).casefold()
        self._beside: tuple[Any, frozenset[str]] = (None, frozenset())

    @classmethod
    def of(cls, release: Release) -> Places:
        """Those of a release as it stands (two queries)."""
        rows = Endpoint.objects.filter(release=release).values_list(*URL_FIELDS)
        claims = dict(Answer.objects.filter(release=release).values_list("item__key", "claims"))
        return cls((url for row in rows for url in row), claims)

    def hide(self, value: Any, *, beside: Any = None) -> Any:
        """The same JSON without places. What ``beside`` (an observation) says of places is taken out too."""
        if beside is not self._beside[0]:  # one observation is judged for many items
            self._beside = beside, frozenset(_named(beside))
        names = self._beside[1] | frozenset(_named(value))
        return self._walk(value, sorted((name for name in names if self._is_secret(name)), key=len, reverse=True))

    def _walk(self, value: Any, names: list[str]) -> Any:
        if isinstance(value, str):
            return self._without(value, names)
        if isinstance(value, dict):
            told: dict[str, Any] = {}
            for key, one in value.items():
                name = self._without(str(key), names)
                name = name if name not in told else f"{name} {len(told) + 1}"  # two hidden ones stay two
                told[name] = self._name(one) if _is_field(key, one) else self._walk(one, names)
            return told
        if isinstance(value, list | tuple):
            return [self._walk(one, names) for one in value]
        return value

    def _without(self, text: str, names: list[str]) -> str:
        found = _addresses(text) if len(text) <= SHORT else _addresses.__wrapped__(text)
        for place in found:
            if self._is_secret(place):
                text = text.replace(place, HIDDEN)
        if self._hosts is not None:
            text = self._hosts.sub(lambda match: HIDDEN if self._is_secret(match.group()) else match.group(), text)
        for name in names:
            if name in text:
                text = re.sub(rf"(?<!\w){re.escape(name)}(?!\w)", HIDDEN, text)
        if '"' in text:
            text = _MATCHER.sub(lambda match: f"{match[1]}{self._name(match[2])}", text)
        return text

    def _name(self, place: str) -> str:
        return HIDDEN if place and self._is_secret(place) else place

    def _is_secret(self, place: str) -> bool:
        return re.search(rf"(?<!\w){re.escape(place.casefold())}(?!\w)", self._told) is None


@functools.lru_cache(maxsize=2_000)
def _addresses(text: str) -> tuple[str, ...]:
    """Whatever in a text is an address, the longest first."""
    found = set(_LOOKED_UP.findall(text)) if "lookup " in text else set()
    for word in set(text.split()):
        if ":" in word or "." in word[:-1] or "ip-" in word:  # no address has a space, and few words have these
            found.update(match.group() for match in _FOUND.finditer(word) if _is_address(match))
    return tuple(sorted(found, key=len, reverse=True))


def _is_address(match: re.Match[str]) -> bool:
    """Whether what looks like an IP address is one (a time and a version are not), and may be somebody's: the metadata
    services of clouds and the like are nobody's."""
    literal = match["v4"] or (match["v6"] or "").rpartition("]")[0].lstrip("[") or match["v6"]
    if literal is None:
        return True
    try:
        address = ip_address(literal)
    except ValueError:
        return False
    nobodys = never_reachable(ip_network(address)) if isinstance(address, IPv4Address) else False
    return literal != "::" and not nobodys


def _named(value: Any) -> Iterator[str]:
    """What the fields and labels of a JSON value call a place, wherever it stands."""
    if isinstance(value, str):
        for match in _MATCHER.finditer(value) if '"' in value else ():
            for one in re.split(r"[|()]", match[2].replace("\\", "")):  # a regular expression names several
                yield from _names(one)
        return
    if isinstance(value, list | tuple):
        for one in value:
            yield from _named(one)
        return
    for key, one in value.items() if isinstance(value, dict) else ():
        if _is_field(key, one):
            yield from _names(one)
        elif key == "nodes" and isinstance(one, dict):
            for name in one:
                yield from _names(str(name))
        yield from _named(one)


def _is_field(key: Any, value: Any) -> bool:
    return isinstance(value, str) and _FIELD.match(str(key)) is not None


def _names(place: str) -> Iterator[str]:
    """A place as a label gives it, and without its port, where it is told from a word (``vllm``) or a number."""
    for name in {place, place.rpartition(":")[0]}:
        if re.search(r"\w[.:-]?\w", name) and re.search(r"[\d.:-]", name) and not name.isdecimal():
            yield name


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for one in value.values():
            yield from _texts(one)
    elif isinstance(value, list | tuple):
        for one in value:
            yield from _texts(one)


def _host(url: str) -> str:
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""


def _is_name(host: str) -> bool:
    """Whether a host is a name of several parts: one of one part may be a word (``vllm``), and is told by its port."""
    try:
        ip_address(host)
    except ValueError:
        return "." in host.strip(".")
    return False


def _neighbours(host: str) -> str:
    """A pattern for a host and every other one of its domain, if that is more than a top-level domain."""
    first, _, domain = host.rstrip(".").partition(".")
    return rf"(?:[\w-]+\.)*{re.escape(domain if '.' in domain else f'{first}.{domain}')}"
