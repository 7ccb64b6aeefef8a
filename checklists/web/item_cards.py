"""The cards of the checklist screen: one item with its answer, its evidence and the one action that helps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.urls import reverse

from checklists.assessments.models import Answer, Status, Waiver
from checklists.catalog.choices import Family, Quality, Role
from checklists.catalog.editions import ClaimView, ItemView, SectionView, view
from checklists.evidence.models import Finding, Verdict
from checklists.evidence.probes import PROBES, probed_items
from checklists.evidence.remedies import Remedy, remedy_of
from checklists.people.models import User
from checklists.scorecards.cards import Card, CardItem
from checklists.scorecards.states import State
from checklists.web.forms.answers import AnswerForm, dom_id, shown
from checklists.web.remedies import Action, action

MOST_CALLOUTS = 3
ORDER = {Verdict.CONTRADICTED: 0, Verdict.VERIFIED: 1, Verdict.INCONCLUSIVE: 2}


@dataclass(frozen=True)
class Callout:
    """Evidence in one sentence. ``kind`` is a verdict, ``open`` (nothing read, or stale) or ``waived``."""

    kind: str
    headline: str
    text: str = ""
    finding: Finding | None = None
    action: Action | None = None

    @property
    def histogram(self) -> Mapping[str, Any] | None:
        """The distribution the finding was judged by, where one was read."""
        return getattr(self.finding, "histogram", None)


@dataclass
class ItemCard:
    """Everything one card shows."""

    row: CardItem
    answer: Answer
    form: AnswerForm
    callouts: list[Callout]
    more_callouts: int
    waiver: Waiver | None
    may_ask_waiver: bool
    family: str
    now: datetime
    conflict: Answer | None = None

    @property
    def item(self) -> ItemView:
        return self.row.item

    @property
    def dom(self) -> str:
        return dom_id(self.item.key)

    @property
    def chip_label(self) -> str:
        """The state in words; a claim whose proof ran out says so."""
        stale = any(c.finding is not None and c.finding.verdict == Verdict.VERIFIED for c in self.callouts)
        return "Claimed, proof is stale" if self.row.state == State.CLAIMED and stale else ""

    @property
    def qualities(self) -> list[str]:
        return [str(Quality(quality).label).lower() for quality in self.item.qualities]

    @property
    def examples(self) -> list[tuple[str, str]]:
        """Family and text, those of the model's own family first."""
        ordered = sorted(self.item.examples, key=lambda example: example.family != self.family)
        return [(str(Family(example.family).label), example.text) for example in ordered]

    @property
    def justify(self) -> str:
        """The statuses that ask for words, for the style sheet: ``partly not_met``."""
        return " ".join(status for status, rule in self.item.justification.items() if rule == "required")

    @property
    def justify_why(self) -> str:
        """Why words are asked for, given the present status; empty when they are optional."""
        if self.item.justification.get(self.answer.status) == "required":
            return f"Asked for because the answer is “{self.answer.get_status_display().lower()}”."
        return ""

    @property
    def missing(self) -> str:
        """What the answer lacks to count, in words; empty for an answer that is complete or not begun."""
        if self.answer.status == Status.UNANSWERED:
            return "Choose a status for these values to count." if self.answer.claims else ""
        lacks = [text for text in self.row.missing if not text.startswith("somebody")]
        if not lacks:
            return ""
        joined = " and ".join([", ".join(lacks[:-1]), lacks[-1]]) if len(lacks) > 1 else lacks[0]
        return f"Counts as open: it lacks {joined}."

    @property
    def accepted(self) -> bool:
        return self.answer.is_accepted(self.now)

    @property
    def claims_shown(self) -> list[tuple[ClaimView, str]]:
        """Claims that were given, as text with their fields."""
        pairs = [(claim, shown(claim, self.answer.claims.get(claim.key))) for claim in self.item.claims]
        return [(claim, text) for claim, text in pairs if text]

    @property
    def versions(self) -> tuple[list[tuple[str, str, str]], int]:
        """On a conflict: (field, theirs, yours) for what differs, and the revision to resend with."""
        if self.conflict is None:
            return [], self.answer.revision
        return differences(self.item, self.conflict, self.form), self.conflict.revision


def differences(item: ItemView, theirs: Answer, form: AnswerForm) -> list[tuple[str, str, str]]:
    """What is stored now and what the form holds, side by side, where they differ."""
    stored = AnswerForm.stored(item, theirs)
    claims = {f"claims.{claim.key}": claim for claim in item.claims}
    rows = []
    for name, bound in ((name, form[name]) for name in form.fields if name != "revision"):
        ours, other = bound.value(), stored.get(name)
        if _plain(ours) == _plain(other):
            continue
        if (claim := claims.get(name)) is not None:
            rows.append((claim.label, shown(claim, theirs.claims.get(claim.key)), _in_words(claim, ours)))
        else:
            choices = dict(getattr(form.fields[name], "choices", []))
            label = str(form.fields[name].label or name.capitalize())
            rows.append((label, _choice(choices, other), _choice(choices, ours)))
    return rows


def _plain(value: object) -> str:
    if isinstance(value, list | tuple):
        return "|".join(str(one) for one in value)
    text = "" if value is None else str(value)
    return "" if text == Status.UNANSWERED else text.replace("\r\n", "\n").replace(",", "").strip()


def _in_words(claim: ClaimView, value: object) -> str:
    if claim.type == "boolean":
        return {"true": "Yes", "false": "No"}.get(str(value), "")
    return shown(claim, value)


def _choice(choices: Mapping[Any, str], value: object) -> str:
    text = {str(key): str(label) for key, label in choices.items()}
    return text.get(str(value), "" if value is None else str(value))


class Cards:
    """Builds the cards of one section from what ``release_context`` has read; no query."""

    def __init__(self, context: Mapping[str, Any], section: SectionView, members: list[User]) -> None:
        self.context, self.section, self.members = context, section, members
        self.release, self.can, self.now = context["release"], context["can"], context["now"]
        self.card: Card = context["card"]
        self.where = [self.release.model.slug, self.release.version]
        self.answers = {answer.item_id: answer for answer in context["answers"]}
        self.findings: dict[str, list[Finding]] = {}
        for finding in context["findings"]:
            self.findings.setdefault(finding.item_key, []).append(finding)
        self.probed = set(probed_items(row.item.key for row in self.card.items))
        self.waivers = {waiver.item_id: waiver for waiver in context["waivers"]}

    def build(self, forms: Mapping[str, AnswerForm], conflicts: Mapping[str, Answer]) -> list[ItemCard]:
        """The cards of the items that apply; ``forms`` and ``conflicts`` (by item key) replace what is stored."""
        return [
            self.one(row, forms.get(row.item.key), conflicts.get(row.item.key))
            for row in self.card.items
            if row.item.section_key == self.section.key and row.item.id in self.answers
        ]

    def left_out(self) -> list[ItemView]:
        """Items of the section that do not apply to the model's family."""
        return [item for item in self.section.items if item.id not in self.answers]

    def one(self, row: CardItem, form: AnswerForm | None = None, conflict: Answer | None = None) -> ItemCard:
        answer = self.answers[row.item.id]
        callouts = self.callouts(row)
        waiver = self.waivers.get(row.item.id)
        return ItemCard(
            row=row,
            answer=answer,
            form=form or AnswerForm(item=row.item, answer=answer, members=self.members),
            callouts=callouts[:MOST_CALLOUTS],
            more_callouts=max(0, len(callouts) - MOST_CALLOUTS),
            waiver=waiver,
            may_ask_waiver=self.can["waive"]
            and row.blocks
            and not answer.carried_over
            and (waiver is None or waiver.state == "expired" or not waiver.expires_on >= self.now.date()),
            family=self.release.model.family,
            now=self.now,
            conflict=conflict,
        )

    def callouts(self, row: CardItem) -> list[Callout]:
        """What was measured for an item, contradictions first; else the one action that would measure it."""
        found = sorted(self.findings.get(row.item.key, []), key=lambda f: (ORDER[Verdict(f.verdict)], f.endpoint_name))
        # A reading that settled nothing is of interest only where no other reading did.
        settled = [finding for finding in found if finding.verdict != Verdict.INCONCLUSIVE]
        if found:
            return [self.callout(finding) for finding in settled or found]
        if row.item.key in self.probed and row.answer is not None and row.answer.status != Status.NOT_APPLICABLE:
            return [self.nothing_measured(row.item)]
        return []

    def callout(self, finding: Finding) -> Callout:
        if finding.verdict == Verdict.INCONCLUSIVE:
            return Callout("open", "Nothing could be settled", finding.reason, finding, self.remedy(finding))
        if finding.verdict == Verdict.VERIFIED and finding.expires_at <= self.now:
            headline = f"{claimed_and_measured(finding)}: no longer fresh"
            return Callout("open", headline, finding.reason, finding, self.probe_action())
        return Callout(finding.verdict, claimed_and_measured(finding), finding.reason, finding)

    def nothing_measured(self, item: ItemView) -> Callout:
        """Why there is no reading, and what would give one."""
        if any(item.key in PROBES[f.probe].items for f in self.context["findings"] if f.probe in PROBES):
            role = Role(item.role).label
            text = f"The endpoint does not tell this. {role} reviewers confirm it at sign-off."
            return Callout("open", "Nothing that a probe could read", text)
        others = self._unmeasured()
        more = f" and {others - 1} other items" if others > 2 else " and one other item" if others == 2 else ""
        if not self.context["endpoints"]:
            action = None
            if self.can["change_endpoints"]:
                action = Action("Add an endpoint", reverse("web:endpoint_create", args=self.where))
            return Callout(
                "open", "Nothing measured yet", f"An endpoint would let Preflight test this{more}.", None, action
            )
        return Callout("open", "Nothing measured yet", f"A probe run would test this{more}.", None, self.probe_action())

    def probe_action(self) -> Action | None:
        return Action("Probe now", form="probe-now") if self.can["probe"] and self.context["endpoints"] else None

    def remedy(self, finding: Finding) -> Action | None:
        """What the team can do about a reading that settled nothing; a claim is made on this very card."""
        if not self.can["change_endpoints"] or "observation" in finding.get_deferred_fields():
            return None  # where only verdicts are read, nothing is to be done either
        remedy = remedy_of(finding, finding.endpoint)
        if remedy is None or remedy == Remedy.CLAIM:
            return None
        return self.probe_action() if remedy == Remedy.PROBE else action(remedy, finding.endpoint, self.where)

    def _unmeasured(self) -> int:
        return sum(
            1
            for row in self.card.items
            if row.item.key in self.probed and row.item.id in self.answers and row.item.key not in self.findings
        )


def claimed_and_measured(finding: Finding) -> str:
    """Both in one line: ``Claimed 800 ms ≠ measured 1,140 ms``; what arithmetic says is reckoned."""
    unit = f" {finding.unit}" if finding.unit else ""
    probe = PROBES.get(finding.probe)
    found = "reckoned" if probe is not None and probe.local else "measured"
    measured = f"{found} {finding.observed}{unit}" if finding.observed else ""
    if not finding.claimed:
        said = measured or finding.get_verdict_display()
        return said[:1].upper() + said[1:]  # units and names keep their capitals
    if not measured:
        return f"Claimed {finding.claimed}{unit}"
    sign = " ≠ " if finding.verdict == Verdict.CONTRADICTED else " · "
    return f"Claimed {finding.claimed}{unit}{sign}{measured}"


@dataclass(frozen=True)
class SectionLink:
    """A section in the side navigation."""

    section: SectionView
    url: str
    score: int | None
    states: Mapping[str, int]
    current: bool


def section_links(context: Mapping[str, Any], current: str) -> list[SectionLink]:
    """All sections of the release's edition, with their scores and bars."""
    release, card = context["release"], context["card"]
    where = [release.model.slug, release.version]
    tallies = card.score.sections
    return [
        SectionLink(
            section,
            reverse("web:checklist", args=[*where, section.key]),
            tallies[section.key].score,
            tallies[section.key].states,
            section.key == current,
        )
        for section in view(release.edition).sections
    ]
