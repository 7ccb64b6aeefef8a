"""An edition as it is read: loaded once, kept in memory, never changed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache

from checklists.catalog.choices import WEIGHTS, EditionStatus
from checklists.catalog.models import ClaimField, Edition, Item, Section
from checklists.journal.errors import WrongStage

DEFAULT_CHECKLIST = "genai-readiness"


@dataclass(frozen=True, slots=True)
class ChoiceView:
    value: str
    label: str


@dataclass(frozen=True, slots=True)
class ExampleView:
    family: str
    text: str


@dataclass(frozen=True, slots=True)
class ReferenceView:
    title: str
    url: str


@dataclass(frozen=True, slots=True)
class ClaimView:
    key: str
    label: str
    type: str
    unit: str
    choices: tuple[ChoiceView, ...]
    required: bool
    help: str
    minimum: float | None
    maximum: float | None


@dataclass(frozen=True, eq=False)  # one object per item of an edition: identity is equality, and it can be a key
class ItemView:
    id: int
    key: str
    number: str
    section_key: str
    question: str
    short: str
    guidance: str
    why: str
    examples: tuple[ExampleView, ...]
    references: tuple[ReferenceView, ...]
    families: tuple[str, ...]
    requirement: Mapping[str, str]
    role: str
    qualities: tuple[str, ...]
    mode: str
    probes: tuple[str, ...]
    justification: Mapping[str, str]
    claims: tuple[ClaimView, ...]

    def applies_to(self, family: str) -> bool:
        return family in self.families

    def requirement_for(self, tier: int) -> str:
        """``must``, ``should`` or ``may``."""
        return self.requirement[str(tier)]

    def weight_for(self, tier: int) -> int:
        """Must 3, should 2, may 1."""
        return WEIGHTS[self.requirement_for(tier)]

    def claim(self, key: str) -> ClaimView:
        """The claim field of that key; ``KeyError`` if there is none."""
        return self._claims[key]

    @cached_property
    def _claims(self) -> dict[str, ClaimView]:
        return {claim.key: claim for claim in self.claims}


@dataclass(frozen=True, eq=False)
class SectionView:
    key: str
    number: int
    title: str
    summary: str
    items: tuple[ItemView, ...]


@dataclass(frozen=True, eq=False)
class EditionView:
    id: int
    checklist_slug: str
    edition: str
    digest: str
    title: str
    description: str
    sections: tuple[SectionView, ...]

    @cached_property
    def items(self) -> tuple[ItemView, ...]:
        """All items in their order."""
        return tuple(item for section in self.sections for item in section.items)

    def item(self, key: str) -> ItemView:
        """The item of that key; ``KeyError`` if the edition has none."""
        return self._by_key[key]

    def item_by_id(self, item_id: int) -> ItemView:
        """The item of that primary key; ``KeyError`` if it is not of this edition."""
        return self._by_id[item_id]

    def section(self, key: str) -> SectionView:
        """The section of that key; ``KeyError`` if the edition has none."""
        return self._sections[key]

    @cached_property
    def _by_key(self) -> dict[str, ItemView]:
        return {item.key: item for item in self.items}

    @cached_property
    def _by_id(self) -> dict[int, ItemView]:
        return {item.id: item for item in self.items}

    @cached_property
    def _sections(self) -> dict[str, SectionView]:
        return {section.key: section for section in self.sections}


def current_edition(slug: str = DEFAULT_CHECKLIST) -> Edition:
    """The published edition of a checklist, with the checklist (one query). ``WrongStage`` if none is published."""
    try:
        return Edition.objects.select_related("checklist").get(checklist__slug=slug, status=EditionStatus.PUBLISHED)
    except Edition.DoesNotExist:
        raise WrongStage(f"No edition of {slug} is published yet. Run: python manage.py sync_catalog") from None


def view(edition: Edition) -> EditionView:
    """The edition in memory: four queries at most the first time, none after. Drafts are read afresh each time."""
    if edition.status == EditionStatus.DRAFT:
        return _load(edition.pk)
    # The digest is in the key because a primary key can come back after a rollback.
    return _cached(edition.pk, edition.digest)


def get_edition(edition_id: int) -> EditionView:
    """The edition in memory, by primary key: one query to learn its digest. ``Edition.DoesNotExist`` if unknown."""
    return view(Edition.objects.get(pk=edition_id))


@lru_cache(maxsize=16)
def _cached(edition_id: int, digest: str) -> EditionView:
    return _load(edition_id)


def _load(edition_id: int) -> EditionView:
    edition = Edition.objects.select_related("checklist").get(pk=edition_id)
    claims: dict[int, list[ClaimView]] = {}
    for field in ClaimField.objects.filter(item__edition_id=edition_id).order_by("item_id", "position"):
        claims.setdefault(field.item_id, []).append(_claim(field))
    items: dict[int, list[tuple[Item, tuple[ClaimView, ...]]]] = {}
    for item in Item.objects.filter(edition_id=edition_id).order_by("position"):
        items.setdefault(item.section_id, []).append((item, tuple(claims.get(item.pk, ()))))
    sections = tuple(
        SectionView(
            key=section.key,
            number=section.number,
            title=section.title,
            summary=section.summary,
            items=tuple(_item(item, section.key, fields) for item, fields in items.get(section.pk, ())),
        )
        for section in Section.objects.filter(edition_id=edition_id).order_by("number")
    )
    return EditionView(
        id=edition.pk,
        checklist_slug=edition.checklist.slug,
        edition=edition.edition,
        digest=edition.digest,
        title=edition.checklist.title,
        description=edition.checklist.description,
        sections=sections,
    )


def _item(item: Item, section_key: str, claims: tuple[ClaimView, ...]) -> ItemView:
    return ItemView(
        id=item.pk,
        key=item.key,
        number=item.number,
        section_key=section_key,
        question=item.question,
        short=item.short,
        guidance=item.guidance,
        why=item.why,
        examples=tuple(ExampleView(family=e["family"], text=e["text"]) for e in item.examples),
        references=tuple(ReferenceView(title=r["title"], url=r["url"]) for r in item.references),
        families=tuple(item.families),
        requirement=item.requirement,
        role=item.role,
        qualities=tuple(item.qualities),
        mode=item.mode,
        probes=tuple(item.probes),
        justification=item.justification,
        claims=claims,
    )


def _claim(field: ClaimField) -> ClaimView:
    return ClaimView(
        key=field.key,
        label=field.label,
        type=field.type,
        unit=field.unit,
        choices=tuple(ChoiceView(value=c["value"], label=c["label"]) for c in field.choices),
        required=field.required,
        help=field.help,
        minimum=field.minimum,
        maximum=field.maximum,
    )
