"""A visit to a target: what is asked of it, what it answers, and what of that is kept."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from typing import Any, TypeVar
from urllib.parse import urlsplit, urlunsplit

from checklists.evidence import metrics
from checklists.evidence.addresses import FetchError
from checklists.evidence.bodies import OnChunk
from checklists.evidence.client import Response, Session
from checklists.evidence.pace import Deadline
from checklists.evidence.recognition import Recognition, find_out
from checklists.evidence.redaction import redact, redact_body, secrets_of, without_addresses
from checklists.evidence.stacks import STACKS, Route, Stack
from checklists.evidence.transcripts import Exchange
from checklists.evidence.urls import same_origin

T = TypeVar("T")
Observation = dict[str, Any]
Claims = Mapping[str, Any]
MAX_BODY = 64 * 1024  # of an answer that is kept
LONG = 32 * 1024  # characters that take some milliseconds to read; the longest texts take a second
MAX_BODIES = 2 * 1024 * 1024  # of all that are kept of one visit; of any more, the beginning
BEGINNING = 1024
MAX_PAGE = 256 * 1024  # bytes of a metrics page that is remembered parsed, which takes many times as much
MAX_REMEMBERED = 8 * 1024 * 1024  # bytes of answers that need not be asked for again
WRONG_KEY = "preflight-probe-not-a-key"
# Paths that people paste along with the address of their server.
_TAILS = ("/chat/completions", "/completions", "/embeddings", "/models", "/v1", "/v2", "/api")


@dataclass(frozen=True)
class Target:
    """An endpoint as probes see it, or the release itself (``url`` empty); no database row, so that no query can
    happen on the way.

    ``labels`` select the endpoint's series in Prometheus; ``claims`` are those of every item of the release, by item
    key; ``siblings`` the release's other endpoints; ``facts`` what the database knows: team, ModelSpec, architecture.
    """

    name: str
    url: str
    stack: str = "auto"
    metrics_url: str = ""
    prometheus_url: str = ""
    alertmanager_url: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    may_generate: bool = False
    may_burst: bool = False
    series: int = 5
    family: str = "llm"
    model_hint: str = ""
    scheduled: bool = False
    claims: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    siblings: tuple[Target, ...] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)

    @cached_property
    def base(self) -> str:
        """The address under which ``/v1/…`` and ``/health`` lie: a pasted ``/v1/chat/completions`` is cut off."""
        parts = urlsplit(self.url)
        path = parts.path.rstrip("/")
        while tail := next((tail for tail in _TAILS if path.endswith(tail)), ""):
            path = path.removesuffix(tail).rstrip("/")
        return urlunsplit((parts.scheme, parts.netloc, path, "", ""))


@dataclass(frozen=True)
class Answer:
    """A response, or why there is none; asking it for anything never raises."""

    response: Response | None = None
    error: FetchError | None = None

    @property
    def status(self) -> int | None:
        return self.response.status if self.response else None

    @property
    def ok(self) -> bool:
        return self.status is not None and 200 <= self.status < 300

    @property
    def refused(self) -> bool:
        """Not let in: 401 or 403."""
        return self.status in (401, 403)

    def json(self) -> Any:
        return self.response.json() if self.response and self.ok else None

    def object(self) -> dict[str, Any]:
        """The JSON object of a good answer, or an empty one."""
        data = self.json()
        return data if isinstance(data, dict) else {}

    @property
    def flaw(self) -> str:
        """Why the body of a good answer is not the JSON that was asked for, in words; empty if it is."""
        if self.response is None or not self.ok:
            return ""
        if self.response.truncated:
            return f"with more than the {len(self.response.body)} bytes that are read"
        return "" if self.response.json() is not None else "not with JSON that can be read"

    @property
    def why(self) -> str:
        """One sentence on why this answer is of no use."""
        if self.error:
            return self.error.reason
        if self.flaw:
            return f"The server answered {self.status}, but {self.flaw}."
        if self.refused:
            return f"Our own credentials were refused ({self.status})."
        return f"The server answered {self.status}."


class Visit:
    """One run's requests to one target: each distinct GET is sent once, however many probes ask for it.

    Credentials go to the origin of the endpoint's address only. What a probe relied on is kept in ``log``, without
    secrets: what was sent for it, and (``earlier``) what had been sent before and was read again. An entry names its
    answer in ``exchanges`` by number.
    """

    def __init__(self, target: Target, session: Session) -> None:
        self.target = target
        self.session = session
        self.log: list[dict[str, Any]] = []
        self.exchanges: list[Exchange] = []
        self.reached = False  # whether the endpoint itself answered anything
        self._seen: dict[tuple[str, str, str], tuple[Answer, dict[str, Any]]] = {}
        self._recognition: Recognition | None = None
        self._secrets = secrets_of(target.headers)
        self._page: tuple[Response, metrics.Page] | None = None

    def begin(self, seconds: float) -> Deadline:
        """Give the next probe so much time for all its requests together, without their waiting for a turn."""
        self.session.deadline = Deadline(seconds)
        return self.session.deadline

    def beside(self, target: Target) -> Visit:
        """A visit to another endpoint within this one: its requests share the log and the time of this one."""
        other = Visit(target, self.session)
        other.log, other.exchanges = self.log, self.exchanges
        return other

    def take_log(self) -> list[dict[str, Any]]:
        """What was relied on since last asked; two reads of one answer stand there once."""
        taken, self.log = self.log, []
        return taken

    def url(self, path: str) -> str:
        return self.target.base + path if path.startswith("/") else path

    async def get(
        self,
        path: str,
        *,
        key: str = "ours",
        fresh: bool = False,
        redirects: int = 3,
        extra: Mapping[str, str] | None = None,
    ) -> Answer:
        """GET a path below the endpoint's base, or a whole address. ``key``: ``ours``, ``none`` or ``wrong``."""
        memo = (
            path,
            key if self.target.headers or key == "wrong" else "none",
            f"{redirects}{sorted((extra or {}).items())}",
        )
        if fresh or memo not in self._seen:
            answer = await self._send("GET", path, key, redirects=redirects, extra=extra)
            self._remember(memo, answer)
            return answer
        answer, entry = self._seen[memo]
        again = {**entry, "earlier": True}
        if entry not in self.log and again not in self.log:
            self.log.append(again)
        return answer

    def _remember(self, memo: tuple[str, str, str], answer: Answer) -> None:
        """Keep an answer for the next probe; the oldest are forgotten, and asked for again, where they are too much."""
        self._seen.pop(memo, None)
        self._seen[memo] = answer, self.log[-1]
        while len(self._seen) > 1 and sum(_size(one) for one, _ in self._seen.values()) > MAX_REMEMBERED:
            del self._seen[next(iter(self._seen))]

    async def post(
        self,
        path: str,
        payload: Any = None,
        *,
        key: str = "ours",
        timeout_s: float | None = None,
        on_chunk: OnChunk | None = None,
        content: bytes | None = None,
        content_type: str = "application/json",
        extra: Mapping[str, str] | None = None,
        in_turn: bool = True,
    ) -> Answer:
        """POST JSON, or ``content`` as it is; never repeated from memory, never redirected.

        ``in_turn=False``: part of a burst, which does not wait for other requests to the host to be over."""
        return await self._send(
            "POST",
            path,
            key,
            redirects=0,
            extra=extra,
            payload=payload,
            timeout_s=timeout_s,
            on_chunk=on_chunk,
            content=content,
            content_type=content_type,
            in_turn=in_turn,
        )

    async def knock(self, route: Route, key: str) -> Answer:
        """Try a route with our key, without one, or with a wrong one; redirects are answers here."""
        if route.method == "POST":
            return await self.post(route.path, {}, key=key)
        return await self.get(route.path, key=key, redirects=0)

    async def _send(
        self,
        method: str,
        path: str,
        key: str,
        *,
        redirects: int,
        extra: Mapping[str, str] | None = None,
        timeout_s: float | None = None,
        **options: Any,
    ) -> Answer:
        url = self.url(path)
        shown = path.partition("?")[0]
        if not path.startswith("/"):
            shown = "{0.scheme}://{0.netloc}{0.path}".format(urlsplit(url))
        own = same_origin(url, self.target.url)
        entry: dict[str, Any] = {"line": f"{method} {shown}", "key": key}
        self.log.append(entry)
        allowed = timeout_s or self.session.client.timeout_s
        if self.session.deadline is not None:
            allowed = min(allowed, self.session.deadline.left())
        try:
            if allowed <= 0:
                raise FetchError("timeout", "The time for this probe was used up by earlier requests.")
            response = await self.session.fetch(
                method,
                url,
                headers={**(self._credentials(key) if own else {}), **(extra or {})},
                max_redirects=redirects,
                timeout_s=allowed,
                lane=key,
                shared=not own,
                **options,
            )
        except FetchError as error:
            entry["error"] = error.kind
            return Answer(error=error)
        self.reached = self.reached or own
        entry |= {"status": response.status, "ms": round(response.elapsed_s * 1000), "answer": len(self.exchanges)}
        room = max(BEGINNING, min(MAX_BODY, MAX_BODIES - self.kept))
        self.exchanges.append(
            Exchange(
                entry["line"],
                response.status,
                response.header("content-type")[:100],
                response.body[:room].decode("utf-8", "replace"),
                response.truncated or len(response.body) > room,
            )
        )
        return Answer(response=response)

    def _credentials(self, key: str) -> dict[str, str]:
        if key == "none":
            return {}
        if key == "ours":
            return dict(self.target.headers)
        wrong = {name: wrong_value(value) for name, value in self.target.headers.items()}
        return wrong or {"Authorization": f"Bearer {WRONG_KEY}"}

    async def stack(self) -> Stack:
        """The endpoint's serving stack: as its owner says, or found out from answers that cost nothing."""
        return STACKS[self.target.stack if self.target.stack in STACKS else (await self.recognition()).stack]

    async def recognition(self) -> Recognition:
        """What its answers give away of the serving stack, whatever its owner says."""
        if self._recognition is None:
            self._recognition = await find_out(self)
        return self._recognition

    async def page(self, response: Response) -> metrics.Page:
        """An answer read as a metrics page, once however many probes look at it. Raises ``InvalidPage``."""
        if self._page is None or self._page[0] is not response:
            self._page = None
            parse = partial(metrics.parse, response.text, truncated=response.truncated)
            page = await apart(parse, len(response.body))
            if len(response.body) > MAX_PAGE:
                return page
            self._page = response, page
        return self._page[1]

    def clean(self, observation: Observation) -> Observation:
        """The observation as it may be stored: JSON, without our secrets, tokens and e-mail addresses."""
        cleaned: Observation = without_addresses(redact(observation, self._secrets))
        return cleaned

    def clean_exchanges(self) -> list[Exchange]:
        """The answers as they may be stored: no secrets, no tokens, no e-mail addresses."""
        return [
            replace(
                one,
                content_type=redact(one.content_type, self._secrets),
                body=redact_body(one.body, self._secrets, cut=one.truncated),
            )
            for one in self.exchanges
        ]

    @property
    def kept(self) -> int:
        """Characters of all answers that are kept."""
        return sum(len(one.body) for one in self.exchanges)


async def apart(work: Callable[[], T], size: int) -> T:
    """What work on a text of this size comes to, done beside the loop if it is long: others wait for the loop, and a
    thread costs more than a short text."""
    return await asyncio.to_thread(work) if size > LONG else work()


def _size(answer: Answer) -> int:
    return len(answer.response.body) if answer.response else 0


def wrong_value(value: str) -> str:
    """A credential of the same kind that nobody was given."""
    scheme, _, token = value.strip().partition(" ")
    return f"{scheme} {WRONG_KEY}" if token else WRONG_KEY
