"""What the table of stacks is made of: every kind of row, and how a place in a JSON answer is written."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

from checklists.evidence.units import factor

MAX_PLACES = 500
# What the end of a meaning's key says of its unit, where a table may state another one.
KEY_UNITS = {"_seconds": "s", "_bytes": "byte", "_utilisation": "dimensionless"}


@dataclass(frozen=True)
class Meaning:
    """What a series tells: ``key`` ends in the unit it is read in, ``labels`` narrow it down.

    ``unit``: the one its numbers are in, where that is another. ``versions``: where the name was read, if not in all of
    the stack's ``read_from``. ``counter``: a sum of seconds, of which only a mean can be told; the other series of
    seconds are histograms.
    """

    key: str
    unit: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    versions: str = ""
    counter: bool = False

    @property
    def factor(self) -> float:
        """What brings its numbers to the unit of its key. Raises ``ValueError`` for a row that makes no sense."""
        if not self.unit:
            return 1.0
        found = factor(self.unit, next((unit for end, unit in KEY_UNITS.items() if self.key.endswith(end)), ""))
        if found is None:
            raise ValueError(f"{self.unit} does not become {self.key}")
        return found


@dataclass(frozen=True)
class Route:
    """One request to try: a GET, or a POST with an empty object, which no server takes for work."""

    path: str
    method: str = "GET"


@dataclass(frozen=True, eq=False)
class Sign:
    """Something in the answer to a harmless GET that gives a stack away.

    It is a place in the JSON (``at``; what stands there matches ``value`` if given), a text in the body, or a header.
    ``weight``: 3 nobody else has it, 2 hardly anybody, 1 a hint. An ``optional`` sign may be missing on the real thing.
    """

    path: str
    at: str = ""
    value: str = ""  # pattern for the whole of a value
    text: str = ""  # pattern anywhere in the first part of the body
    header: str = ""
    weight: float = 3
    optional: bool = False

    @property
    def words(self) -> str:
        """Where it stands and what it is, without the value."""
        if self.header:
            return f"{self.path} answers with the header {self.header}"
        if self.text:
            return f"{self.path} holds the text {self.text.replace('(?m)^', '')}"
        return f"{self.path} has {self.at}"


@dataclass(frozen=True)
class Field:
    """A place in a row of a listing. ``match``: the first group of this pattern is the value. ``only``: when it is
    shown, if not always. ``apart``: what repeats the id of a row tells nothing more, and is left out."""

    at: str
    match: str = ""
    only: str = ""
    apart: bool = False


@dataclass(frozen=True)
class Listing:
    """A list of models: ``rows`` in the answer of the first of ``paths`` that answers, and what stands in a row.

    Rows of several listings with one id are one model. A listing without ids tells more of the only model there is. A
    ``spare`` one is asked when those before it listed nothing.
    """

    paths: tuple[str, ...]
    rows: str
    fields: Mapping[str, Field]
    method: str = "GET"
    spare: bool = False


@dataclass(frozen=True)
class Fact:
    """What a server says of itself: ``means`` stands at ``at`` in the answer of the first of ``paths`` that answers.

    ``{model}`` in a path or payload is a model's name. ``count``: the value is how many there are. ``metric``,
    ``label``: it stands in a label on the metrics page. ``value``: it is always so. ``decisive``: of several readings
    this one counts. ``only``: when it is shown, if not always.
    """

    means: str
    paths: tuple[str, ...] = ()
    at: str = ""
    match: str = ""
    method: str = "GET"
    payload: Mapping[str, str] = field(default_factory=dict)
    count: bool = False
    metric: str = ""
    label: str = ""
    value: str = ""
    because: str = ""
    decisive: bool = False
    only: str = ""


@dataclass(frozen=True)
class Behind:
    """Where a proxy tells what stands behind it: patterns of names → stack."""

    path: str
    at: str
    stacks: Mapping[str, str]


@dataclass(frozen=True)
class Stack:
    """One serving stack from outside. ``read_from``: the versions all this was read from.

    ``health``: routes that neither generate nor call others, best first. ``main``, ``beside``: where to knock.
    ``alias``: its model names are given by whoever set it up, and say nothing of what runs. ``relays``: what it tells
    of a model is the name by which it asks another server. ``partial``: it may serve what it does not list. ``wraps``:
    stacks that it may carry inside, whose signs then show through. ``shows_start``: its metrics page says when the
    process that holds the model started. ``counts_refusals``: a counter moves when it refuses a request.
    ``fails_on_broken``: a body that is no JSON, or of the wrong shape, ends in a server error.
    """

    key: str
    label: str
    read_from: str
    signs: tuple[Sign, ...] = ()
    wraps: tuple[str, ...] = ()
    behind: Behind | None = None
    health: tuple[str, ...] = ("/health",)
    listings: tuple[Listing, ...] = ()
    facts: tuple[Fact, ...] = ()
    main: tuple[Route, ...] = (Route("/v1/models"), Route("/v1/chat/completions", "POST"))
    beside: tuple[Route, ...] = ()
    metrics_paths: tuple[str, ...] = ("/metrics",)
    prefixes: tuple[str, ...] = ()
    metrics: Mapping[str, Meaning] = field(default_factory=dict)
    alias: bool = False
    shows_start: bool = False
    counts_refusals: bool = True
    fails_on_broken: bool = False
    relays: bool = False
    partial: bool = False

    @property
    def models(self) -> str:
        """The route that lists its models."""
        return self.listings[0].paths[0] if self.listings else "/v1/models"

    def exports(self, *meanings: str, histogram: bool = False) -> bool:
        """Whether its metrics page carries one of these meanings, as a histogram if that is asked for."""
        found = [meaning for meaning in self.metrics.values() if meaning.key in meanings]
        return bool(self.metrics_paths) and any(not (histogram and meaning.counter) for meaning in found)

    def tells(self, means: str) -> str | None:
        """Empty if the stack says this of itself, words on when if only sometimes, ``None`` if never."""
        found = [fact.only for fact in self.facts if fact.means == means]
        found += [listing.fields[means].only for listing in self.listings if means in listing.fields]
        return min(found, key=len, default=None)


def metrics(
    names: Mapping[str, str], *, prefix: str = "", unit: str = "", versions: str = "", counter: bool = False
) -> dict[str, Meaning]:
    """A part of a table of metrics: name without ``prefix`` → meaning."""
    return {prefix + name: Meaning(key, unit, versions=versions, counter=counter) for name, key in names.items()}


def places(data: Any, at: str) -> list[Any]:
    """What stands at a place: ``data/*/meta/n_ctx``; a step may be a pattern (``*.context_length``). Never raises."""
    found = [data]
    for step in at.split("/") if at else ():
        following: list[Any] = []
        for one in found:
            if isinstance(one, dict):
                following += [one[step]] if step in one else [v for k, v in one.items() if fnmatchcase(str(k), step)]
            elif isinstance(one, list) and step == "*":
                following += one
        found = following[:MAX_PLACES]
    return found


OPENAI_PATH = "/v1/models"
OPENAI_ROWS = "data/*"


def openai_listing(*, spare: bool = False, **fields: str | Field) -> Listing:
    """The model list of the OpenAI paths, with what a stack adds to its rows."""
    known = {name: place if isinstance(place, Field) else Field(place) for name, place in fields.items()}
    return Listing((OPENAI_PATH,), OPENAI_ROWS, {"id": Field("id"), "owned_by": Field("owned_by")} | known, spare=spare)


TOKENIZE = (Route("/tokenize", "POST"), Route("/detokenize", "POST"))
RERANK = (Route("/v1/embeddings", "POST"), Route("/rerank", "POST"), Route("/score", "POST"))
