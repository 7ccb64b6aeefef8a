"""What a checklist file may say. Pure: plain data in, content in its canonical form or problems out.

The canonical form has every optional value filled in, so that equal content has an equal digest whatever the file's
white space, comments and order of keys.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from checklists.catalog.choices import (
    JUSTIFICATION,
    TIERS,
    ClaimType,
    Family,
    JustificationRule,
    Mode,
    Quality,
    Requirement,
    Role,
)

Path = tuple[str | int, ...]

SLUG = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*\Z")
SNAKE = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*\Z")
PROBE = re.compile(r"[a-z]+(-[a-z]+)*(\.[a-z]+(-[a-z]+)*)+\Z")
EDITION = re.compile(r"[0-9]{1,4}(\.[0-9]{1,4}){1,2}\Z")
NUMERIC = (ClaimType.INTEGER, ClaimType.NUMBER)
CHOSEN = (ClaimType.CHOICE, ClaimType.MULTI_CHOICE)


@dataclass(frozen=True)
class Problem:
    path: Path
    text: str


@dataclass
class Checker:
    """Reads values, noting what is wrong; what it returns is of the right type even then."""

    problems: list[Problem] = field(default_factory=list)

    def fail(self, path: Path, text: str) -> None:
        self.problems.append(Problem(path, text))

    def mapping(self, value: object, path: Path, where: str, *, known: Collection[str]) -> Mapping[str, Any]:
        if not isinstance(value, Mapping):
            self.fail(path, f"{where}: this must be a mapping of names to values")
            return {}
        for key in value:
            if key not in known:
                self.fail((*path, key), f"{where}: unknown key {key}; known are {', '.join(known)}")
        return value

    def rows(self, data: Mapping[str, Any], path: Path, where: str, key: str, *, least: int = 1) -> list[Any]:
        value = data.get(key, [])
        if not isinstance(value, list):
            self.fail((*path, key), f"{where}: {key} must be a list")
            return []
        if len(value) < least:
            self.fail((*path, key) if key in data else path, f"{where}: {key} needs at least {least} of them")
        return value

    def text(
        self, data: Mapping[str, Any], path: Path, where: str, key: str, *, limit: int = 0, optional: bool = False,
        form: re.Pattern[str] | None = None,
    ) -> str:  # fmt: skip
        if key not in data and not optional:
            self.fail(path, f"{where}: {key} is missing")
            return ""
        value: object = data.get(key, "")
        if not isinstance(value, str):
            self.fail((*path, key), f"{where}: {key} must be text (put it in quotes)")
            return ""
        value = value.strip()
        if not value and not optional:
            self.fail((*path, key), f"{where}: {key} is empty")
        elif limit and len(value) > limit:
            self.fail((*path, key), f"{where}: {key} has {len(value)} characters, at most {limit} fit")
        elif form and value and not form.match(value):
            self.fail((*path, key), f"{where}: {key} is not well formed: {value}")
        return value

    def one_of(self, data: Mapping[str, Any], path: Path, where: str, key: str, allowed: Collection[str]) -> str:
        value = self.text(data, path, where, key)
        if value and value not in allowed:
            self.fail((*path, key), f"{where}: {key} is {value}, but must be one of {', '.join(allowed)}")
        return value

    def some_of(self, data: Mapping[str, Any], path: Path, where: str, key: str, allowed: Collection[str]) -> list[str]:
        """A list of allowed words in their fixed order, without repetition."""
        values = self.rows(data, path, where, key)
        for n, value in enumerate(values):
            if value not in allowed:
                self.fail((*path, key, n), f"{where}: {key} holds {value}, but may hold only {', '.join(allowed)}")
            elif value in values[:n]:
                self.fail((*path, key, n), f"{where}: {key} holds {value} twice")
        return [word for word in allowed if word in values]

    def unique(self, key: str, seen: set[str], path: Path, what: str) -> None:
        if key and key in seen:
            self.fail((*path, "key"), f"{what} {key} stands here a second time")
        seen.add(key)

    def checklist(self, value: object) -> dict[str, Any]:
        data = self.mapping(value, (), "checklist", known=("checklist", "title", "description", "edition", "sections"))
        seen: set[str] = set()
        sections = self.rows(data, (), "checklist", "sections")
        return {
            "checklist": self.text(data, (), "checklist", "checklist", limit=80, form=SLUG),
            "title": self.text(data, (), "checklist", "title", limit=200),
            "description": self.text(data, (), "checklist", "description", optional=True),
            "edition": self.text(data, (), "checklist", "edition", form=EDITION),
            "sections": [self.section(one, ("sections", n), seen) for n, one in enumerate(sections)],
        }

    def section(self, value: object, path: Path, seen: set[str]) -> dict[str, Any]:
        where = _name("section", value, path)
        data = self.mapping(value, path, where, known=("key", "title", "summary", "items"))
        key = self.text(data, path, where, "key", limit=40, form=SLUG)
        self.unique(key, seen, path, "section")
        items = self.rows(data, path, where, "items")
        return {
            "key": key,
            "title": self.text(data, path, where, "title", limit=120),
            "summary": self.text(data, path, where, "summary"),
            "items": [self.item(one, (*path, "items", n), key, seen) for n, one in enumerate(items)],
        }

    def item(self, value: object, path: Path, section: str, seen: set[str]) -> dict[str, Any]:
        where = _name("item", value, path)
        data = self.mapping(value, path, where, known=(
            "key", "short", "question", "why", "guidance", "examples", "references", "families", "role", "qualities",
            "requirement", "mode", "probes", "justification", "claims",
        ))  # fmt: skip
        key = self.text(data, path, where, "key", limit=80)
        if key and not (key.startswith(f"{section}.") and SLUG.match(key[len(section) + 1 :])):
            self.fail((*path, "key"), f"{where}: key must be {section}. and then words joined by dashes")
        self.unique(key, seen, path, "item")
        if data.get("families") == "all":
            families = [str(word) for word in Family.values]
        else:
            families = self.some_of(data, path, where, "families", Family.values)
        claims: set[str] = set()
        return {
            "key": key,
            "short": self.text(data, path, where, "short", limit=40),
            "question": self.text(data, path, where, "question", limit=200),
            "why": self.text(data, path, where, "why"),
            "guidance": self.text(data, path, where, "guidance"),
            "examples": self.examples(data, path, where, families),
            "references": self.references(data, path, where),
            "families": families,
            "role": self.one_of(data, path, where, "role", Role.values),
            "qualities": self.some_of(data, path, where, "qualities", Quality.values),
            "requirement": self.rules(data, path, where, "requirement", TIERS, Requirement.values, {}),
            "mode": self.one_of(data, path, where, "mode", Mode.values),
            "probes": self.probes(data, path, where),
            "justification": self.rules(
                data, path, where, "justification", tuple(JUSTIFICATION), JustificationRule.values, JUSTIFICATION
            ),
            "claims": [
                self.claim(one, (*path, "claims", n), where, claims)
                for n, one in enumerate(self.rows(data, path, where, "claims"))
            ],
        }

    def examples(self, data: Mapping[str, Any], path: Path, where: str, families: list[str]) -> list[dict[str, str]]:
        examples = []
        for n, value in enumerate(self.rows(data, path, where, "examples")):
            here = (*path, "examples", n)
            one = self.mapping(value, here, where, known=("family", "text"))
            family = self.one_of(one, here, f"{where}: example", "family", Family.values)
            if family in Family.values and families and family not in families:
                self.fail((*here, "family"), f"{where}: has an example for {family}, to which it does not apply")
            examples.append({"family": family, "text": self.text(one, here, f"{where}: example", "text")})
        if examples and len(families) > 1 and len({one["family"] for one in examples}) < 2:
            self.fail((*path, "examples"), f"{where}: examples must come from at least two different families")
        return examples

    def references(self, data: Mapping[str, Any], path: Path, where: str) -> list[dict[str, str]]:
        references = []
        for n, value in enumerate(self.rows(data, path, where, "references")):
            here = (*path, "references", n)
            one = self.mapping(value, here, where, known=("title", "url"))
            url = self.text(one, here, f"{where}: reference", "url", optional=True)
            if url and not _is_web_address(url):
                self.fail((*here, "url"), f"{where}: reference address must begin with https:// or http://")
            references.append({"title": self.text(one, here, f"{where}: reference", "title"), "url": url})
        return references

    def probes(self, data: Mapping[str, Any], path: Path, where: str) -> list[str]:
        values = self.rows(data, path, where, "probes", least=0)
        for n, value in enumerate(values):
            if not isinstance(value, str) or not PROBE.match(value):
                self.fail((*path, "probes", n), f"{where}: a probe is named like metrics.latency, not {value}")
            elif value in values[:n]:
                self.fail((*path, "probes", n), f"{where}: probes holds {value} twice")
        return [value for value in values if isinstance(value, str)]

    def rules(
        self, data: Mapping[str, Any], path: Path, where: str, key: str, names: Collection[str],
        allowed: Collection[str], default: Mapping[str, str],
    ) -> dict[str, str]:  # fmt: skip
        """A mapping that has one of the allowed words for every name; ``default`` fills what is not said."""
        if key not in data and not default:
            self.fail(path, f"{where}: {key} is missing")
            return {}
        here = (*path, key)
        given = self.mapping(data.get(key, {}), here, f"{where}: {key}", known=names)
        rules = {}
        for name in names:
            if name not in given and name not in default:
                self.fail(here, f"{where}: {key} says nothing for {name}")
            rule = given.get(name, default.get(name))
            if name in given and rule not in allowed:
                self.fail((*here, name), f"{where}: {key} for {name} must be one of {', '.join(allowed)}")
            rules[name] = str(rule)
        return rules

    def claim(self, value: object, path: Path, item: str, seen: set[str]) -> dict[str, Any]:
        where = f"{item}: claim field"
        data = self.mapping(value, path, where, known=(
            "key", "label", "type", "unit", "choices", "required", "help", "minimum", "maximum",
        ))  # fmt: skip
        key = self.text(data, path, where, "key", limit=40, form=SNAKE)
        self.unique(key, seen, path, where)
        where = f"{where} {key}".rstrip()
        kind = self.one_of(data, path, where, "type", ClaimType.values)
        if kind == ClaimType.NUMBER and "unit" not in data:
            self.fail(path, f'{item}: unit is missing for number field {key}; a bare number says unit: ""')
        for name in ("unit", "minimum", "maximum"):
            if name in data and kind in ClaimType.values and kind not in NUMERIC:
                self.fail((*path, name), f"{where}: {name} belongs to numbers only, this is {kind}")
        required = data.get("required", False)
        if not isinstance(required, bool):
            self.fail((*path, "required"), f"{where}: required is true or false")
        minimum, maximum = self.bound(data, path, where, "minimum"), self.bound(data, path, where, "maximum")
        if minimum is not None and maximum is not None and minimum > maximum:
            self.fail((*path, "maximum"), f"{where}: maximum lies below minimum")
        return {
            "key": key,
            "label": self.text(data, path, where, "label", limit=80),
            "type": kind,
            "unit": self.text(data, path, where, "unit", limit=40, optional=True),
            "choices": self.choices(data, path, where, kind),
            "required": required is True,
            "help": self.text(data, path, where, "help", limit=300, optional=True),
            "minimum": minimum,
            "maximum": maximum,
        }

    def bound(self, data: Mapping[str, Any], path: Path, where: str, key: str) -> float | None:
        value = data.get(key)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) <= 1e15:
            self.fail((*path, key), f"{where}: {key} must be a number")
            return None
        return float(value)

    def choices(self, data: Mapping[str, Any], path: Path, where: str, kind: str) -> list[dict[str, str]]:
        if kind not in CHOSEN:
            if "choices" in data:
                self.fail((*path, "choices"), f"{where}: choices belong to choice and multi_choice only")
            return []
        choices: list[dict[str, str]] = []
        for n, value in enumerate(self.rows(data, path, where, "choices", least=2)):
            here = (*path, "choices", n)
            one = self.mapping(value, here, where, known=("value", "label"))
            word = self.text(one, here, f"{where}: choice", "value", form=SNAKE)
            if word and any(word == choice["value"] for choice in choices):
                self.fail((*here, "value"), f"{where}: choice {word} stands here a second time")
            choices.append({"value": word, "label": self.text(one, here, f"{where}: choice", "label")})
        return choices


def _name(kind: str, value: object, path: Path) -> str:
    """What to call a section or an item in messages: by its key, or by its place if it has none."""
    key = value.get("key") if isinstance(value, Mapping) else None
    return f"{kind} {key}" if isinstance(key, str) and key else f"{kind} number {int(path[-1]) + 1}"


def _is_web_address(url: str) -> bool:
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and bool(parts.netloc) and " " not in url
