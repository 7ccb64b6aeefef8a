"""Two releases of a model side by side."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

from checklists.assessments.models import Answer, Waiver
from checklists.catalog.editions import ItemView, view
from checklists.evidence.models import Finding
from checklists.registry.models import Release
from checklists.scorecards.cards import Card, CardItem, build_card
from checklists.scorecards.scoring import Tally
from checklists.web.forms.answers import shown


@dataclass(frozen=True)
class Line:
    """One fact of both releases; ``differs`` when they do not say the same."""

    label: str
    a: str
    b: str

    @property
    def differs(self) -> bool:
        return self.a != self.b


@dataclass(frozen=True)
class ItemComparison:
    """One item in both releases; either side is None where its edition does not have the item."""

    item: ItemView
    a: CardItem | None
    b: CardItem | None
    lines: tuple[Line, ...]

    @property
    def differs(self) -> bool:
        states = {row.state if row else None for row in (self.a, self.b)}
        return len(states) > 1 or any(line.differs for line in self.lines)


@dataclass(frozen=True)
class SectionComparison:
    """One section: what it adds up to in each release, and the items that are shown."""

    key: str
    title: str
    a: Tally | None
    b: Tally | None
    items: tuple[ItemComparison, ...]


@dataclass(frozen=True)
class Comparison:
    """The cards of both, their facts, and the sections in the order of the newer edition."""

    a: Card
    b: Card
    facts: tuple[Line, ...]
    sections: tuple[SectionComparison, ...]
    differing: int


def compare_releases(a: Release, b: Release, *, everything: bool = False) -> Comparison:
    """Compare two releases (with ``model`` and ``edition`` loaded), in three queries; only what differs unless told."""
    pair = [a, b]
    answers: dict[int, list[Answer]] = defaultdict(list)
    findings: dict[int, list[Finding]] = defaultdict(list)
    waivers: dict[int, list[Waiver]] = defaultdict(list)
    for answer in Answer.objects.filter(release__in=pair).order_by("pk"):
        answers[answer.release_id].append(answer)
    for finding in Finding.objects.filter(release__in=pair, current=True).defer("observation", "detail"):
        findings[finding.release_id].append(finding)
    for waiver in Waiver.objects.filter(release__in=pair, state__in=["approved", "expired"]):
        waivers[waiver.release_id].append(waiver)
    card_a, card_b = (
        build_card(r, answers=answers[r.pk], findings=findings[r.pk], waivers=waivers[r.pk]) for r in pair
    )
    rows_a, rows_b = card_a.by_key(), card_b.by_key()
    sections, differing = [], 0
    for section in view(b.edition).sections:
        items = []
        for item in section.items:
            row_a, row_b = rows_a.get(item.key), rows_b.get(item.key)
            if not item.applies_to(b.model.family):
                continue
            compared = ItemComparison(item, row_a, row_b, tuple(_lines(item, row_a, row_b)))
            differing += compared.differs
            if everything or compared.differs:
                items.append(compared)
        score_a, score_b = card_a.score.sections.get(section.key), card_b.score.sections.get(section.key)
        if items:
            sections.append(SectionComparison(section.key, section.title, score_a, score_b, tuple(items)))
    return Comparison(card_a, card_b, tuple(_facts(a, b)), tuple(sections), differing)


def _facts(a: Release, b: Release) -> list[Line]:
    pairs = [
        ("Stage", a.get_stage_display(), b.get_stage_display()),
        ("Environment", a.environment, b.environment),
        ("Launch date", _day(a), _day(b)),
        ("Revision", a.revision, b.revision),
        ("Artefact digest", a.artifact_digest, b.artifact_digest),
        ("Checklist edition", a.edition.edition, b.edition.edition),
    ]
    return [Line(*pair) for pair in pairs]


def _day(release: Release) -> str:
    return f"{release.launch_date:%-d %B %Y}" if release.launch_date else ""


def _lines(item: ItemView, a: CardItem | None, b: CardItem | None) -> list[Line]:
    """Status, claims and words that at least one side has."""
    left, right = (_said(item, row.answer if row else None) for row in (a, b))
    return [
        Line(label, text_a, text_b)
        for (label, text_a), (_, text_b) in zip(left, right, strict=True)
        if text_a or text_b
    ]


def _said(item: ItemView, answer: Answer | None) -> list[tuple[str, str]]:
    claims = answer.claims if answer else {}
    said = [("Status", answer.get_status_display() if answer else "")]
    for claim in item.claims:
        text = shown(claim, claims.get(claim.key))
        said.append((claim.label, f"{text} {claim.unit}".strip() if text else ""))
    said.append(("Justification", answer.justification if answer else ""))
    said.append(("Links", " ".join(answer.links) if answer else ""))
    return said
