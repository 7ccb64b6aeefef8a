"""What an edition says, as plain data: for its digest, and for telling two of them apart."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from checklists.catalog.editions import EditionView
from checklists.journal.hashing import digest

ITEM_FIELDS = ("key", "short", "question", "why", "guidance", "role", "mode")


def digest_of(content: Mapping[str, Any]) -> str:
    """SHA-256 of the content: of what is said, not of how the file is written."""
    return digest(content)


def content_of(edition: EditionView) -> dict[str, Any]:
    """The stored edition in the canonical form of a loaded file."""
    return {
        "checklist": edition.checklist_slug,
        "title": edition.title,
        "description": edition.description,
        "edition": edition.edition,
        "sections": [
            {
                "key": section.key,
                "title": section.title,
                "summary": section.summary,
                "items": [
                    {name: getattr(item, name) for name in ITEM_FIELDS}
                    | {name: list(getattr(item, name)) for name in ("families", "qualities", "probes")}
                    | {name: dict(getattr(item, name)) for name in ("requirement", "justification")}
                    | {
                        "examples": [asdict(one) for one in item.examples],
                        "references": [asdict(one) for one in item.references],
                        "claims": [
                            asdict(claim) | {"choices": [asdict(choice) for choice in claim.choices]}
                            for claim in item.claims
                        ],
                    }
                    for item in section.items
                ],
            }
            for section in edition.sections
        ],
    }


def differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """What is not the same in two contents, one short line for each checklist, section or item."""
    lines = _changed("checklist", old, new, apart="sections")
    sections = _by_key(old["sections"]), _by_key(new["sections"])
    lines += _compare("section", *sections, apart="items")
    items = tuple({item["key"]: item for section in one.values() for item in section["items"]} for one in sections)
    lines += _compare("item", *items)
    for key in sections[0].keys() & sections[1].keys():
        before, after = ([item["key"] for item in one[key]["items"]] for one in sections)
        if [one for one in before if one in items[1]] != [one for one in after if one in items[0]]:
            lines.append(f"section {key}: its items stand in another order or place")
    if list(sections[0]) != list(sections[1]) and sections[0].keys() == sections[1].keys():
        lines.append("the sections stand in another order")
    return lines


def _by_key(rows: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {row["key"]: row for row in rows}


def _compare(kind: str, old: Mapping[str, Any], new: Mapping[str, Any], *, apart: str = "") -> list[str]:
    lines = [f"{kind} {key}: not in the published edition" for key in new if key not in old]
    lines += [f"{kind} {key}: missing from the file" for key in old if key not in new]
    for key in new:
        if key in old:
            lines += _changed(f"{kind} {key}", old[key], new[key], apart=apart)
    return lines


def _changed(name: str, old: Mapping[str, Any], new: Mapping[str, Any], *, apart: str = "") -> list[str]:
    fields = [key for key in new if key != apart and old.get(key) != new[key]]
    return [f"{name}: {', '.join(fields)}"] if fields else []
