"""What a server says of its models and of itself, read by the table of stacks. Probes share this reading."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from checklists.evidence.probes.base import Judgement, dict_of, inconclusive, list_of, text_of
from checklists.evidence.probes.metrics_page import read_page
from checklists.evidence.probes.visit import Answer, Claims, Observation, Visit
from checklists.evidence.stacks import Fact, Field, Listing, Stack, places

MAX_MODELS = 200
MAX_ASKED = 3  # models that are asked about one by one
MAX_READINGS = 300
NAMES = ("id", "root", "qualified_root", "parent", "version", "revision", "digest", "owned_by", "precision")
CALLED = ("id", "model", "root", "qualified_root")  # what a row, or a reading, may be called by

Row = dict[str, Any]
Reading = dict[str, Any]  # means, value, where; model and root if it is said of one model; decisive


@dataclass
class Listed:
    """The models an endpoint lists, by what its stack's listings name; ``readings`` is what else stood beside them."""

    rows: list[Row] = field(default_factory=list)
    readings: list[Reading] = field(default_factory=list)
    answers: list[Answer] = field(default_factory=list)
    where: list[str] = field(default_factory=list)

    @property
    def answer(self) -> Answer:
        """The answer to dispute: the first that failed if nothing was listed, else the first."""
        failed = [answer for answer in self.answers if not answer.ok]
        return failed[0] if failed and not self.rows else next(iter(self.answers), Answer())


async def list_models(visit: Visit) -> Listed:
    """Ask for every listing of the stack, and bring rows of one model together."""
    listed = Listed()
    for listing in (await visit.stack()).listings:
        if listing.spare and listed.rows:
            continue
        path, answer = await _first(visit, listing.paths, listing.method)
        listed.answers.append(answer)
        found = [row for place in places(answer.json(), listing.rows) if (row := _row(place, listing, path))]
        for name in (name for name, spot in listing.fields.items() if spot.apart):
            ids = {text_of(row.get("id")).casefold() for row in found}
            for row in found:
                if text_of(row.get(name)).casefold() in ids:
                    row.pop(name, None)
        if found:
            _merge(listed, found)
            listed.where.append(path)
    listed.rows = [row for row in listed.rows if row.get("id")][:MAX_MODELS]
    rows = {row["id"]: row for row in listed.rows}
    for reading in listed.readings:
        row = rows.get(reading["model"], {})
        reading |= {key: text_of(row.get(key)) for key in ("root", "qualified_root") if row.get(key)}
    return listed


async def served_models(visit: Visit) -> tuple[list[Row], Answer]:
    """The models an endpoint lists, each as ``{id, root, parent, revision, digest, …}``, and the answer."""
    listed = await list_models(visit)
    return listed.rows, listed.answer


async def read(visit: Visit, wanted: Collection[str]) -> Observation:
    """Everything the server says of ``wanted``: ``{stack, readings}``, with ``error`` and ``why`` if there is nothing.

    Asks only the routes on which the stack tells one of them.
    """
    stack = await visit.stack()
    listed = await list_models(visit)
    readings = [reading for reading in listed.readings if reading["means"] in wanted]
    failed = [] if _readable(listed.answer) else [listed.answer]
    heard = any(answer.ok for answer in listed.answers)
    models = _to_ask(listed.rows, visit.target.model_hint)
    for fact in (fact for fact in stack.facts if fact.means in wanted and not fact.value):
        if fact.metric:
            readings += await _label(visit, fact)
            continue
        for model in models if _each(fact) else [{}]:
            name = text_of(model.get("id"))
            paths = tuple(path.replace("{model}", quote(name, safe="")) for path in fact.paths)
            payload = {key: value.replace("{model}", name) for key, value in fact.payload.items()}
            path, answer = await _first(visit, paths, fact.method, payload)
            heard = heard or answer.ok
            if not _readable(answer) and not fact.only:
                failed.append(answer)
            readings += [_reading(fact, value, path, model) for value in _values(fact, answer.json())]
    if heard:
        readings += [_reading(fact, fact.value, "", {}) for fact in stack.facts if fact.value and fact.means in wanted]
    observation: Observation = {"stack": stack.key, "readings": readings[:MAX_READINGS]}
    observation["listed"] = [{key: row[key] for key in (*CALLED, "parent") if row.get(key)} for row in listed.rows]
    if not readings:
        bad = next(iter(failed), None)
        observation |= {
            "error": (bad.error.kind if bad and bad.error else "nothing_said"),
            "why": bad.why if bad else f"{stack.label} says nothing of this.",
        }
    return observation


def _readable(answer: Answer) -> bool:
    return answer.ok and not answer.flaw


def of_model(observation: Observation, claims: Claims) -> list[Reading]:
    """The readings that count for the claimed model: those of its own, those of what an adapter runs on as far as
    nothing is said of itself, and those of the whole server. All, if no model of that name is served; where it is, what
    is said of others only says nothing of it."""
    readings, listed = _read_of(observation)
    claimed = text_of(claims.get("model_id"))
    served = called(listed, claimed)
    names = {text_of(row.get("id")) for row in served}
    own = [one for one in readings if is_called(one, claimed) or text_of(one.get("model")) in names]
    if not own and not served:
        return readings
    parents, told = {text_of(row.get("parent")) for row in served} - {""}, {one.get("means") for one in own}
    beneath = [one for one in readings if text_of(one.get("model")) in parents and one.get("means") not in told]
    return [one for one in readings if one in own or one in beneath or not text_of(one.get("model"))]


def each_of(observation: Observation, claims: Claims) -> list[list[Reading]]:
    """The readings for each model that may be the claimed one: where none of several is called so, it may be any."""
    readings, listed = _read_of(observation)
    claimed = text_of(claims.get("model_id"))
    several = [row for row in listed if not row.get("parent")]
    if not claimed or len(several) < 2 or called(listed, claimed) or any(is_called(one, claimed) for one in readings):
        return [of_model(observation, claims)]
    names = [text_of(row.get("id")) for row in several]
    return [[one for one in readings if text_of(one.get("model")) in ("", name)] for name in names]


def agreed(found: list[Judgement], claims: Claims) -> Judgement:
    """The judgement on the claimed model, by those on each of the models that it may be."""
    first = found[0]
    if len({one.verdict for one in found}) == 1:
        return first
    reason = (
        f"None of the {len(found)} models that are served is called {text_of(claims.get('model_id'))}; which of them "
    )
    reason += "is meant is not clear."
    return inconclusive(reason, claimed=first.claimed, unit=first.unit, rule=first.rule)


def _read_of(observation: Observation) -> tuple[list[Reading], list[Row]]:
    readings, listed = (map(dict_of, list_of(observation.get(key))) for key in ("readings", "listed"))
    return list(readings), list(listed)


def unsaid(stack: Stack, means: Iterable[str], what: str) -> str:
    """Why a stack's own word cannot settle something: empty if it tells any of ``means``, else one sentence."""
    told = [when for one in means if (when := stack.tells(one)) is not None]
    if "" in told:
        return ""
    return f"{stack.label} tells {what} only {told[0]}." if told else f"{stack.label} does not tell {what}."


def is_called(row: Row | Reading, name: str) -> bool:
    """Whether a listed model goes by this name: its own, that of what runs under it, or that with its provider."""
    return any(same_name(name, text_of(row.get(key))) for key in CALLED)


def called(rows: Iterable[Row], name: str) -> list[Row]:
    """The listed models that go by a name, or else by a part of it: people leave the owner out, or the operator did."""
    rows = list(rows)
    exact = [row for row in rows if is_called(row, name)]
    return exact or [row for row in rows if any(_but_for_its_owner(name, text_of(row.get(key))) for key in CALLED)]


def named_so(names: Iterable[str], name: str) -> list[str]:
    """Those of some models' names that are this name: to the letter, or else as people write it, or else without its
    owner."""
    names = list(names)
    ways: tuple[Callable[[str, str], bool], ...] = (str.__eq__, same_name, _but_for_its_owner)
    return next((found for same in ways if (found := [one for one in names if same(name, one)])), [])


def _but_for_its_owner(one: str, other: str) -> bool:
    one, other = (plain_name(text).strip().casefold() for text in (one, other))
    return bool(one and other) and ("/" not in one or "/" not in other) and tail_of(one) == tail_of(other)


def same_name(one: str, other: str) -> bool:
    """Equal but for case; a local path or a file equals the name it ends in."""
    one, other = (plain_name(text).strip().rstrip("/").casefold() for text in (one, other))
    if not one or not other:
        return False
    if one == other or one.removesuffix(":latest") == other.removesuffix(":latest"):
        return True
    return (is_local(one) or is_local(other)) and tail_of(one) == tail_of(other)


def plain_name(name: str) -> str:
    """A model's name, also where people wrote down its address on the hub."""
    found = _ON_THE_HUB.match(name)
    return found[1] if found else name


_ON_THE_HUB = re.compile(
    r"\s*https?://(?:www\.)?(?:huggingface\.co|hf\.co)/"
    r"(?!(?:collections|papers|spaces|datasets|api|models|blog|docs|posts|organizations)/)([\w.-]+/(?:[\w-]|\.(?=\w))+)",
    re.IGNORECASE,
)


def is_local(name: str) -> bool:
    """Whether this names a path or a file of the server's machine, and no repository."""
    name = name.casefold()
    return name.startswith(("/", "./", "../", "~")) or name.endswith(_FILES)


_FILES = (".gguf", ".safetensors", ".ckpt")


def tail_of(name: str) -> str:
    """The last segment of a path, without the ending of a file of weights."""
    name = re.split(r"[/\\]", name)[-1]
    return next((name.removesuffix(ending) for ending in _FILES if name.endswith(ending)), name)


async def _first(
    visit: Visit, paths: Iterable[str], method: str, payload: dict[str, str] | None = None
) -> tuple[str, Answer]:
    """The first path that answers well, or else the first of them."""
    tried: list[tuple[str, Answer]] = []
    for path in paths:
        answer = await (visit.post(path, payload or {}) if method == "POST" else visit.get(path))
        if answer.ok or answer.error:
            return path, answer
        tried.append((path, answer))
    return tried[0] if tried else ("", Answer())


def _row(place: Any, listing: Listing, path: str) -> Row:
    row: Row = {}
    for name, spot in listing.fields.items():
        value = next(iter(_values(spot, place)), None)
        if value is not None:
            row[name] = value if name not in NAMES else text_of(str(value))
            row.setdefault("from", {})[name] = f"{spot.at.rpartition('/')[2]} of {path}" if spot.at else path
    return row


def _merge(listed: Listed, found: list[Row]) -> None:
    known = {row["id"]: row for row in listed.rows if row.get("id")}
    for row in found:
        if not row.get("id"):
            # About the server's one model: what is derived from it beside it (an adapter) names its parent.
            bases = [one for one in listed.rows if not one.get("parent")]
            if len(bases) > 1 or len(found) > 1:
                continue
            row["id"] = text_of(bases[0].get("id")) if bases else text_of(row.get("root"))
        name = row["id"]
        if name not in known:
            known[name] = {"id": name}
            listed.rows.append(known[name])
        sources = row.pop("from", {})
        mine = known[name]
        mine |= {key: value for key, value in row.items() if key in NAMES and not mine.get(key)}
        listed.readings += [
            {"means": key, "value": value, "where": sources.get(key, ""), "model": name}
            for key, value in row.items()
            if key not in ("id", "root", "qualified_root", "owned_by")
        ]


def _values(spot: Field | Fact, data: Any) -> list[Any]:
    """What stands at a place, as far as it is a number, a text, or yes or no."""
    found = places(data, spot.at)
    if isinstance(spot, Fact) and spot.count:
        return [len(one) for one in found if isinstance(one, list) and one]
    kept = [one for one in found if isinstance(one, str | int | float | bool) and one != ""]
    if not spot.match:
        return [text_of(one) if isinstance(one, str) else one for one in kept]
    matches = [match for one in kept if (match := re.search(spot.match, str(one)[:20_000]))]
    return [text_of(match.group(1)) for match in matches]


def _reading(fact: Fact, value: Any, path: str, model: Row) -> Reading:
    where = fact.because or f"{fact.at.rpartition('/')[2]} of {path}"
    reading: Reading = {"means": fact.means, "value": value, "where": where}
    if model:
        reading |= {"model": text_of(model.get("id")), "root": text_of(model.get("root"))}
        if model.get("qualified_root"):
            reading["qualified_root"] = text_of(model["qualified_root"])
    return reading | ({"decisive": True} if fact.decisive else {})


async def _label(visit: Visit, fact: Fact) -> list[Reading]:
    page, where, _ = await read_page(visit)
    samples = page.samples.get(fact.metric, ()) if page else ()
    values = {value for sample in samples if (value := text_of(sample.labels.get(fact.label, "")))}
    return [
        {"means": fact.means, "value": value, "where": f"{fact.label} in {fact.metric} of {where}"}
        for value in sorted(values)
    ]


def _each(fact: Fact) -> bool:
    return any("{model}" in text for text in (*fact.paths, *fact.payload.values()))


def _to_ask(rows: list[Row], hint: str) -> list[Row]:
    return ([row for row in rows if is_called(row, hint)] or rows)[:MAX_ASKED]
