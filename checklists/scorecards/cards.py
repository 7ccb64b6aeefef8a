"""The scorecard of one release as it is at this moment: read, computed, not stored."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime

from django.utils import timezone

from checklists.assessments.models import Answer, Waiver
from checklists.catalog.editions import ItemView, view
from checklists.evidence.models import Finding
from checklists.registry.models import Release
from checklists.scorecards.scoring import Score, ScoredItem, score
from checklists.scorecards.states import AnswerFacts, FindingFacts, State, state_of


@dataclass(frozen=True)
class CardItem:
    """One item on a card. ``missing``: what its answer lacks, in words; ``waiver_ended``: a waiver for it ran out."""

    item: ItemView
    answer: Answer | None
    state: State
    requirement: str
    missing: tuple[str, ...] = ()
    waiver_ended: bool = False

    @property
    def is_must(self) -> bool:
        return self.requirement == "must"

    @property
    def blocks(self) -> bool:
        """Open musts and contradictions stand in the way of a launch."""
        return self.state == State.CONTRADICTED or (self.state == State.OPEN and self.is_must)

    @property
    def why_blocked(self) -> str:
        if self.state == State.CONTRADICTED:
            return f"{self.item.number} {self.item.short}: evidence contradicts the claim"
        if self.waiver_ended:
            return f"{self.item.number} {self.item.short}: must be met, and its waiver has run out"
        if self.answer is not None and self.answer.status == "not_met":
            return f"{self.item.number} {self.item.short}: must be met, and is answered “not met”"
        return f"{self.item.number} {self.item.short}: must be met, and lacks {', '.join(self.missing) or 'an answer'}"


@dataclass(frozen=True)
class Card:
    """A release's items with their states, in the order of the checklist, and the score."""

    release: Release
    items: tuple[CardItem, ...]
    score: Score
    computed_at: datetime

    @property
    def blockers(self) -> list[CardItem]:
        return [row for row in self.items if row.blocks]

    @property
    def contradictions(self) -> list[CardItem]:
        return [row for row in self.items if row.state == State.CONTRADICTED]

    @property
    def must_open(self) -> list[CardItem]:
        return [row for row in self.items if row.state == State.OPEN and row.is_must]

    def by_key(self) -> dict[str, CardItem]:
        return {row.item.key: row for row in self.items}


def build_card(
    release: Release,
    *,
    answers: list[Answer] | None = None,
    findings: list[Finding] | None = None,
    waivers: list[Waiver] | None = None,
    now: datetime | None = None,
) -> Card:
    """The card of a release (``model`` and ``edition`` loaded). The rest is read: three queries at most."""
    now = now or timezone.now()
    if answers is None:
        answers = list(Answer.objects.filter(release=release))
    current = (
        Finding.objects.filter(release=release, current=True).values_list("item_id", "verdict", "expires_at")
        if findings is None
        else [(finding.item_id, finding.verdict, finding.expires_at) for finding in findings]
    )
    if waivers is None:
        waivers = list(Waiver.objects.filter(release=release, state__in=["approved", "expired"]))
    answer_of = {answer.item_id: answer for answer in answers}
    findings_of: dict[int, list[FindingFacts]] = defaultdict(list)
    for item_id, verdict, expires_at in current:
        if item_id is not None:
            findings_of[item_id].append(FindingFacts(verdict, expires_at))
    today = now.date()
    waived = {waiver.item_id for waiver in waivers if waiver.stands(today)}
    ended = {
        waiver.item_id for waiver in waivers if waiver.state in ("approved", "expired") and today > waiver.expires_on
    }

    rows = []
    for item in view(release.edition).items:
        answer = answer_of.get(item.id)
        missing = tuple(answer.missing(item)) if answer is not None else ("an answer",)
        state = state_of(
            applies=item.applies_to(release.model.family),
            answer=AnswerFacts(answer.status, complete=not missing) if answer is not None else None,
            findings=findings_of[item.id],
            accepted=answer is not None and answer.is_accepted(now),
            waived=item.id in waived,
            now=now,
        )
        requirement = item.requirement_for(release.model.tier)
        rows.append(CardItem(item, answer, state, requirement, missing, waiver_ended=item.id in ended - waived))
    tier = release.model.tier
    scored = score(
        ScoredItem(r.item.section_key, r.item.weight_for(tier), r.state, tuple(r.item.qualities)) for r in rows
    )
    return Card(release, tuple(rows), scored, now)
