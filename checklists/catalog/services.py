from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from django.db import transaction
from django.utils import timezone

from checklists import journal
from checklists.catalog.choices import EditionStatus
from checklists.catalog.content import content_of, differences, digest_of
from checklists.catalog.editions import view
from checklists.catalog.loader import BUNDLED, load
from checklists.catalog.models import Checklist, ClaimField, Edition, Item, Section
from checklists.journal.errors import Conflict
from checklists.people.models import User
from checklists.people.rules import require

ITEM_FIELDS = (
    "key", "short", "question", "why", "guidance", "examples", "references", "families", "role", "qualities",
    "requirement", "mode", "probes", "justification",
)  # fmt: skip
SHOWN_DIFFERENCES = 20


@dataclass(frozen=True)
class SyncResult:
    edition: Edition
    created: bool
    items: int

    def __str__(self) -> str:
        name = f"{self.edition.checklist.slug} {self.edition.edition}"
        if self.created:
            return f"Published {name}: {self.items} items, digest {self.edition.digest[:12]}."
        return f"{name} is already in place: {self.items} items, digest {self.edition.digest[:12]}. Nothing changed."


@transaction.atomic
def sync_catalog(*, path: Path | None = None, by: User | None = None, at: datetime | None = None) -> SyncResult:
    """Publish the edition in a checklist file (the bundled one unless told); does nothing if it is there already.

    The edition published before becomes superseded. Raises ``Invalid`` for a faulty file (every problem with its line),
    ``Conflict`` when that edition is there with other content or a newer one is published already.
    """
    if by is not None:
        require(by, "catalog.publish", message="Only catalog maintainers and administrators can publish a checklist.")
    content = load(path or BUNDLED)
    number, digest = content["edition"], digest_of(content)
    checklist, _ = Checklist.objects.select_for_update().get_or_create(
        slug=content["checklist"], defaults={"title": content["title"], "description": content["description"]}
    )
    editions = {edition.edition: edition for edition in Edition.objects.filter(checklist=checklist)}
    items = sum(len(section["items"]) for section in content["sections"])
    if number in editions:
        existing = editions[number]
        existing.checklist = checklist
        _require_same(existing, content, digest)
        return SyncResult(existing, created=False, items=items)

    edition = Edition(checklist=checklist, edition=number, status=EditionStatus.PUBLISHED, digest=digest)
    edition.published_at = at or timezone.now()
    before = next((one for one in editions.values() if one.status == EditionStatus.PUBLISHED), None)
    if before is not None:
        if before.version > edition.version:
            message = f"{checklist.slug} {before.edition} is published; {number} is older. Nothing was changed."
            raise Conflict(message, current=before)
        Edition.objects.filter(pk=before.pk).update(status=EditionStatus.SUPERSEDED)
        checklist.title, checklist.description = content["title"], content["description"]
        checklist.save(update_fields=["title", "description"])
    edition.save(force_insert=True)
    _write(edition, content)
    journal.record(
        verb="catalog.edition.published",
        actor=by,
        subject=f"checklists/{checklist.slug}/{number}",
        data={"digest": digest, "items": items, "supersedes": before.edition if before else None},
        at=at,
    )
    return SyncResult(edition, created=True, items=items)


def _require_same(existing: Edition, content: dict[str, Any], digest: str) -> None:
    """Refuse to alter what was published."""
    name = f"{existing.checklist.slug} {existing.edition}"
    if existing.status == EditionStatus.DRAFT:
        message = f"{name} is there as a draft. Nothing was changed. Give the file another edition number."
        raise Conflict(message, current=existing)
    if existing.digest == digest:
        return
    found = differences(content_of(view(existing)), content)
    more = [f"and {len(found) - SHOWN_DIFFERENCES} more"] if len(found) > SHOWN_DIFFERENCES else []
    raise Conflict(
        "\n".join(
            [
                f"{name} is published and cannot change; the file says something else. Nothing was changed.",
                *found[:SHOWN_DIFFERENCES],
                *more,
                "Give the file a new edition number to publish this wording.",
            ]
        ),
        current=existing,
    )


def _write(edition: Edition, content: dict[str, Any]) -> None:
    """All rows of a new edition, in three statements."""
    sections = Section.objects.bulk_create(
        Section(edition=edition, number=n, **{name: one[name] for name in ("key", "title", "summary")})
        for n, one in enumerate(content["sections"], 1)
    )
    rows = [
        (section, n, one)
        for section, said in zip(sections, content["sections"], strict=True)
        for n, one in enumerate(said["items"], 1)
    ]
    items = Item.objects.bulk_create(
        Item(
            edition=edition, section=section, number=f"{section.number}.{n}", position=position,
            **{name: one[name] for name in ITEM_FIELDS},
        )
        for position, (section, n, one) in enumerate(rows, 1)
    )  # fmt: skip
    ClaimField.objects.bulk_create(
        ClaimField(item=item, position=n, **claim)
        for item, (_, _, one) in zip(items, rows, strict=True)
        for n, claim in enumerate(one["claims"], 1)
    )
