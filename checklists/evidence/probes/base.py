"""What every probe is made of: a target, a visit to it, what was observed, and a judgement of a claim against it."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, ClassVar
from urllib.parse import urlsplit, urlunsplit

from checklists.evidence.client import Client, FetchError, OnChunk, Response, same_origin
from checklists.evidence.redaction import MASK, redact, secrets_of
from checklists.evidence.stacks import STACKS, Route, Stack, owner_of

Observation = dict[str, Any]
Claims = Mapping[str, Any]

VERIFIED, CONTRADICTED, INCONCLUSIVE = "verified", "contradicted", "inconclusive"
WRONG_KEY = "preflight-probe-not-a-key"
# Paths that people paste along with the address of their server.
_TAILS = ("/chat/completions", "/completions", "/embeddings", "/models", "/v1", "/v2", "/api")


@dataclass(frozen=True)
class Judgement:
    """What a claim comes to in the light of an observation. ``samples`` and ``rule`` go into the details."""

    verdict: str
    claimed: str = ""
    observed: str = ""
    unit: str = ""
    reason: str = ""
    rule: str = ""
    samples: int | None = None


def inconclusive(reason: str, *, claimed: str = "", observed: str = "", unit: str = "") -> Judgement:
    return Judgement(INCONCLUSIVE, claimed, observed, unit, reason)


def nothing_claimed(observed: str, unit: str = "") -> Judgement:
    served = f" Seen: {observed}{' ' + unit if unit else ''}." if observed else ""
    return inconclusive(f"Nothing is claimed yet that could be compared.{served}", observed=observed, unit=unit)


@dataclass(frozen=True)
class Target:
    """An endpoint as probes see it; no database row, so that no query can happen on the way."""

    name: str
    url: str
    stack: str = "auto"
    metrics_url: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    may_generate: bool = False
    family: str = "llm"
    model_hint: str = ""

    @property
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
    def why(self) -> str:
        """One sentence on why this answer is of no use."""
        if self.error:
            return self.error.reason
        if self.refused:
            return f"Our own credentials were refused ({self.status})."
        return f"The server answered {self.status}."


class Visit:
    """One run's requests to one endpoint: each distinct GET is sent once, however many probes ask for it.

    Credentials go to the origin of the endpoint's address only. What a probe relied on is kept in ``log``, without
    secrets: what was sent for it, and (``earlier``) what had been sent before and was read again.
    """

    def __init__(self, target: Target, client: Client) -> None:
        self.target = target
        self.client = client
        self.log: list[dict[str, Any]] = []
        self._seen: dict[tuple[str, str, str], tuple[Answer, dict[str, Any]]] = {}
        self._stack: str | None = None
        self._until: float | None = None

    def begin(self, seconds: float) -> None:
        """Give the next probe so much time for all its requests together."""
        self._until = time.monotonic() + seconds

    def take_log(self) -> list[dict[str, Any]]:
        """What was relied on since last asked; two reads of one answer stand there once."""
        taken, self.log = self.log, []
        return taken

    def url(self, path: str) -> str:
        return self.target.base + path if path.startswith("/") else path

    def get(
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
            answer = self._send("GET", path, key, redirects=redirects, extra=extra)
            self._seen[memo] = answer, self.log[-1]
            return answer
        answer, entry = self._seen[memo]
        again = {**entry, "earlier": True}
        if entry not in self.log and again not in self.log:
            self.log.append(again)
        return answer

    def post(
        self,
        path: str,
        payload: Any,
        *,
        key: str = "ours",
        timeout_s: float | None = None,
        on_chunk: OnChunk | None = None,
    ) -> Answer:
        """POST JSON; never repeated from memory, never redirected."""
        return self._send("POST", path, key, payload=payload, redirects=0, timeout_s=timeout_s, on_chunk=on_chunk)

    def knock(self, route: Route, key: str) -> Answer:
        """Try a route with our key, without one, or with a wrong one; redirects are answers here."""
        if route.method == "POST":
            return self.post(route.path, {}, key=key)
        return self.get(route.path, key=key, redirects=0)

    def _send(
        self,
        method: str,
        path: str,
        key: str,
        *,
        payload: Any = None,
        redirects: int,
        timeout_s: float | None = None,
        on_chunk: OnChunk | None = None,
        extra: Mapping[str, str] | None = None,
    ) -> Answer:
        url = self.url(path)
        headers = {**self._credentials(url, key), **(extra or {})}
        shown = (
            path.partition("?")[0] if path.startswith("/") else "{0.scheme}://{0.netloc}{0.path}".format(urlsplit(url))
        )
        entry: dict[str, Any] = {"line": f"{method} {shown}", "key": key}
        self.log.append(entry)
        allowed = timeout_s or self.client.timeout_s
        if self._until is not None:
            allowed = min(allowed, self._until - time.monotonic())
        try:
            if allowed <= 0:
                raise FetchError("timeout", "The time for this probe was used up by earlier requests.")
            response = self.client.fetch(
                method,
                url,
                headers=headers,
                payload=payload,
                max_redirects=redirects,
                timeout_s=allowed,
                on_chunk=on_chunk,
            )
        except FetchError as error:
            entry["error"] = error.kind
            return Answer(error=error)
        entry |= {"status": response.status, "ms": round(response.elapsed_s * 1000)}
        return Answer(response=response)

    def _credentials(self, url: str, key: str) -> dict[str, str]:
        if key == "none" or not same_origin(url, self.target.url):
            return {}
        if key == "ours":
            return dict(self.target.headers)
        wrong = {name: wrong_value(value) for name, value in self.target.headers.items()}
        return wrong or {"Authorization": f"Bearer {WRONG_KEY}"}

    def stack(self) -> Stack:
        """The endpoint's serving stack: as declared, or found out from answers that cost nothing."""
        if self._stack is None:
            self._stack = self._recognise() if self.target.stack not in STACKS else self.target.stack
        return STACKS[self._stack]

    def _recognise(self) -> str:
        models = self.get("/v1/models")
        if models.error:
            return "openai"  # nobody is there: asking twelve more times would find out nothing
        if found := owner_of(models.json()):
            return found
        # Those that sign their model list come last: their other signs are such as anybody may have (a /version).
        for stack in sorted(STACKS.values(), key=lambda stack: bool(stack.owned_by)):
            for sign in stack.signs:
                answer = self.get(sign.path)
                if answer.error and answer.error.kind in ("timeout", "unreachable"):
                    return "openai"
                if not answer.ok or answer.response is None:
                    continue
                if sign.key and sign.key in answer.object():
                    return stack.key
                if sign.text and sign.text in answer.response.text[:200].lower():
                    return stack.key
        return "openai"

    def clean(self, observation: Observation) -> Observation:
        """The observation as it may be stored: JSON, without our secrets or anything shaped like a token."""
        cleaned: Observation = redact(observation, secrets_of(self.target.headers))
        return cleaned


def wrong_value(value: str) -> str:
    """A credential of the same kind that nobody was given."""
    scheme, _, token = value.strip().partition(" ")
    return f"{scheme} {WRONG_KEY}" if token else WRONG_KEY


class Probe(ABC):
    """One kind of measurement. ``observe`` talks to the endpoint; ``judge`` is pure and can be repeated at any time."""

    key: ClassVar[str]
    version: ClassVar[int] = 1
    title: ClassVar[str]
    items: ClassVar[tuple[str, ...]]
    about_endpoint: ClassVar[bool] = False  # also says something of the endpoint itself, of no single item
    sends: ClassVar[str]
    generates: ClassVar[bool] = False
    ttl: ClassVar[timedelta] = timedelta(days=7)

    @abstractmethod
    def observe(self, visit: Visit) -> Observation:
        """What the endpoint shows, as JSON. Never raises for anything a server does."""

    @abstractmethod
    def judge(self, item_key: str | None, claims: Claims, observation: Observation) -> Judgement:
        """The verdict on an item's claims (``None``: on the endpoint itself). No network, no query, no exception."""

    def speaks_to(self, observation: Observation) -> tuple[str | None, ...]:
        """Which items this observation has something to say about."""
        return (*self.items, None) if self.about_endpoint else self.items


# Reading what others wrote: claims typed by people, facts sent by servers.


def text_of(value: Any) -> str:
    """A short text, or an empty one for anything that is no text."""
    return value.strip()[:300] if isinstance(value, str) and value.strip() != MASK else ""


def number_of(value: Any) -> float | None:
    """A finite positive number from a number or its text, else ``None``."""
    if isinstance(value, bool):
        return None
    if isinstance(value, str):
        try:
            value = float(value.replace(",", "").replace(" ", ""))
        except ValueError:
            return None
    return float(value) if isinstance(value, int | float) and 0 < value < 1e18 else None


def texts_of(value: Any) -> list[str]:
    """The texts of a list, or of one text with commas between."""
    parts = value.replace("\n", ",").replace(";", ",").split(",") if isinstance(value, str) else value
    return [text for part in parts if (text := text_of(part))] if isinstance(parts, list | tuple) else []


def dict_of(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def list_of(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def plain(number: float) -> str:
    """A number as people write it: no exponent, no trailing zeros."""
    return f"{number:.6f}".rstrip("0").rstrip(".") if number < 1e15 else f"{number:.3g}"


def joined(parts: list[str], limit: int = 6) -> str:
    """A list in words, shortened."""
    return ", ".join(parts[:limit]) + (f" and {len(parts) - limit} more" if len(parts) > limit else "")


def problem(answer: Answer) -> dict[str, Any]:
    """An unusable answer as part of an observation."""
    return {"error": answer.error.kind if answer.error else f"status {answer.status}", "why": answer.why}


def fact_error(observation: Observation) -> str:
    """The sentence that says why an observation holds nothing, empty if it holds something."""
    return text_of(observation.get("why")) if observation.get("error") else ""


JudgeItem = Callable[[Claims, Observation], Judgement]
