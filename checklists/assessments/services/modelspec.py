"""What a ModelSpec document says about the items of the checklist, in both directions.

A spec is a declaration, so it may answer: claims that are still empty are filled, and an unanswered item becomes
``met`` when all its required claims are there. A claim that says something else is kept and reported with both values.
Answers that were carried over wait for a person and are left alone.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from django.db import transaction

from checklists.assessments.models import Answer, Status
from checklists.assessments.services.answers import save_answer
from checklists.catalog.claims import clean_claims
from checklists.catalog.editions import ItemView, view
from checklists.journal.errors import Invalid
from checklists.people.models import User
from checklists.people.rules import require
from checklists.registry import modelspec
from checklists.registry.models import Model, Release
from checklists.registry.services import create_release, keep_modelspec, lock_release, require_open

_PRECISIONS = {"float32": "fp32", "float16": "fp16", "half": "fp16", "bfloat16": "bf16"}


def _text(value: Any, item: ItemView, claim: str) -> Any:
    return ", ".join(value) if isinstance(value, list) else value


def _choices(value: Any, item: ItemView, claim: str) -> list[str]:
    """The words of the spec that the claim offers as choices."""
    words = value if isinstance(value, list) else re.split(r"[\s,;/+]+", value.lower())
    offered = [choice.value for choice in item.claim(claim).choices]
    meant = {_PRECISIONS.get(word, word) for word in words}
    return [one for one in offered if one in meant]


@dataclass(frozen=True)
class Place:
    """Where a field of the spec belongs: the item, its claim, and how the value is put."""

    item: str
    claim: str
    put: Callable[[Any, ItemView, str], Any] = _text


PLACES: Mapping[str, Place] = {
    "descriptor.name": Place("identity.name-version", "model_id"),
    "descriptor.version": Place("identity.name-version", "version"),
    "descriptor.revision": Place("identity.name-version", "revision"),
    "descriptor.family": Place("identity.lineage", "base_model"),
    "descriptor.datasetsURL": Place("identity.lineage", "data_snapshot"),
    "descriptor.licenses": Place("security.data-governance", "licence"),
    "config.capabilities.inputTypes": Place("identity.modalities", "inputs", _choices),
    "config.capabilities.outputTypes": Place("identity.modalities", "outputs", _choices),
    "config.precision": Place("identity.gpu-precision", "precisions", _choices),
    "config.quantization": Place("compute.quantization", "formats", _choices),
}


@dataclass
class ImportResult:
    """What became of a document. ``conflicts``: item, field, the value kept and the one offered."""

    release: Release
    created: bool
    filled: list[str] = field(default_factory=list)
    conflicts: list[dict[str, Any]] = field(default_factory=list)
    ignored: list[str] = field(default_factory=list)


@transaction.atomic
def import_modelspec(*, model: Model, version: str, document: Any, by: User) -> ImportResult:
    """Take a ModelSpec document for a release; one that is not there yet is opened with the facts of the document.

    Raises ``Invalid`` (errors by dotted path of the document), ``Forbidden``, ``WrongStage``.
    """
    spec, unknown = modelspec.check(document)
    said = dict(modelspec.leaves(spec))
    release = Release.objects.filter(model=model, version=version).first()
    result = ImportResult(
        release=release or _open(model, version, said, by), created=release is None, ignored=sorted(unknown)
    )
    require(by, "answer.save", result.release, message="Only owners and contributors of the team can answer.")
    release = result.release = lock_release(result.release.pk)
    require_open(release)

    edition = view(release.edition)
    by_item: dict[str, dict[str, Any]] = defaultdict(dict)
    errors: dict[str, list[str]] = {}
    for path, value in said.items():
        place = PLACES.get(path)
        if place is None:
            result.ignored.append(path)
            continue
        try:
            item = edition.item(place.item)
            put = place.put(value, item, place.claim)
        except KeyError:  # another edition, without this item or claim
            put = None
        if put in (None, "", []):
            result.ignored.append(path)
            continue
        clean, faults = clean_claims(item, {place.claim: put})
        if faults:
            errors[path] = faults[place.claim]
        else:
            by_item[place.item][place.claim] = clean[place.claim]
    if errors:
        raise Invalid("The document was not taken. Nothing was changed.", errors=errors)

    answers = {a.item.key: a for a in Answer.objects.filter(release=release).select_related("item")}
    keep_modelspec(release=release, spec=spec, by=by)
    for key, claims in by_item.items():
        _fill(result, edition.item(key), answers.get(key), claims, by)
    result.ignored.sort()
    return result


def _open(model: Model, version: str, said: Mapping[str, Any], by: User) -> Release:
    hashes = said.get("modelfs.diffIds", [])
    digest = hashes[0] if len(hashes) == 1 and hashes != [modelspec.UNKNOWN] else ""
    try:
        return create_release(
            model=model, version=version, by=by, revision=said.get("descriptor.revision", ""), artifact_digest=digest
        )
    except Invalid as error:
        names = {"revision": "descriptor.revision", "artifact_digest": "modelfs.diffIds"}
        errors = {names.get(name, name): messages for name, messages in error.errors.items()}
        raise Invalid(error.message, errors=errors) from error


def _fill(result: ImportResult, item: ItemView, answer: Answer | None, claims: Mapping[str, Any], by: User) -> None:
    """Fill the empty claims of one answer, and report what stands otherwise."""
    paths = {place.claim: path for path, place in PLACES.items() if place.item == item.key}
    if answer is None or answer.carried_over:
        result.ignored += [paths[claim] for claim in claims]
        return
    new: dict[str, Any] = {}
    for claim, offered in claims.items():
        kept = answer.claims.get(claim)
        if kept in (None, "", []) and answer.status != Status.NOT_APPLICABLE:
            new[claim] = offered
        elif kept != offered:
            result.conflicts.append({"item": item.key, "field": claim, "kept": kept, "offered": offered})
    if not new:
        return
    merged = {**answer.claims, **new}
    status = answer.status
    if status == Status.UNANSWERED and all(merged.get(c.key) not in (None, "", []) for c in item.claims if c.required):
        status = Status.MET
    try:
        save_answer(
            answer=answer,
            by=by,
            revision=answer.revision,
            status=status,
            claims=merged,
            justification=answer.justification,
            links=answer.links,
            assignee=answer.assignee,
        )
    except Invalid as error:
        named = {paths.get(name.removeprefix("claims."), name): texts for name, texts in error.errors.items()}
        raise Invalid("The document was not taken. Nothing was changed.", errors=named) from error
    result.filled.append(item.key)


def export_modelspec(release: Release) -> dict[str, Any]:
    """A valid ModelSpec document from the release's facts and claims (``model`` with its team loaded). One query."""
    rows = Answer.objects.filter(release=release, item__key__in={place.item for place in PLACES.values()})
    claims = {answer.item.key: answer.claims for answer in rows.select_related("item")}

    def said(path: str) -> Any:
        return claims.get(PLACES[path].item, {}).get(PLACES[path].claim)

    def modalities(path: str) -> list[str]:
        known = [one if one in modelspec.MODALITIES else "other" for one in said(path) or []]
        return list(dict.fromkeys(known))

    def listed(path: str) -> list[str]:
        return [part.strip() for part in (said(path) or "").split(",") if part.strip()]

    fields = {
        "descriptor.createdAt": modelspec.timestamp(release.created_at),
        "descriptor.authors": [release.model.team.name],
        "descriptor.family": said("descriptor.family"),
        "descriptor.name": said("descriptor.name") or release.model.slug,
        "descriptor.version": release.version,
        "descriptor.revision": release.revision or said("descriptor.revision"),
        "descriptor.title": release.model.name,
        "descriptor.description": release.model.description,
        "descriptor.datasetsURL": listed("descriptor.datasetsURL"),
        "descriptor.licenses": listed("descriptor.licenses"),
        "config.precision": ",".join(said("config.precision") or []),
        "config.quantization": ",".join(said("config.quantization") or []),
        "config.capabilities.inputTypes": modalities("config.capabilities.inputTypes"),
        "config.capabilities.outputTypes": modalities("config.capabilities.outputTypes"),
    }
    return modelspec.build(fields, diff_ids=[release.artifact_digest] if release.artifact_digest else [])
