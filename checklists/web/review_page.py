"""The review of one release: what changed since something was approved, and what a reviewer has to say to each item.

Only reading and arranging, from what ``release_context`` has read; the one query is for the approval to compare with.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from checklists.assessments.models import Answer, Status, Waiver
from checklists.catalog.editions import EditionView, ItemView, view
from checklists.people.models import User
from checklists.registry.models import Release
from checklists.scorecards.cards import Card, CardItem
from checklists.scorecards.states import STATES
from checklists.signoff.models import Outcome, Party, Role, Submission
from checklists.signoff.services import why_not_sign
from checklists.signoff.snapshots import take_snapshot
from checklists.web.forms.answers import shown
from checklists.web.item_cards import Callout, Cards

Content = Mapping[str, Any]
FACTS = {"artifact_digest": "Artefact digest", "revision": "Revision", "environment": "Environment"}


@dataclass(frozen=True)
class Line:
    """One claim (or fact) in both versions, as text; empty where it was not given."""

    label: str
    before: str
    after: str

    @property
    def changed(self) -> bool:
        return self.before != self.after


@dataclass(frozen=True)
class Version:
    """One version of an answer, for its side of the comparison."""

    status: str
    justification: str
    measured: tuple[tuple[str, str], ...] = ()  # verdict, what was measured


@dataclass
class ReviewItem:
    """One card of the review. ``change`` is ``new``, ``edited``, ``reworded`` (other words or
    links, the same claims), ``unanswered``, ``waiver`` or nothing."""

    row: CardItem
    answer: Answer
    change: str = ""
    lines: list[Line] = field(default_factory=list)
    before: Version | None = None
    after: Version | None = None
    callouts: list[Callout] = field(default_factory=list)
    waiver: Waiver | None = None
    mine: bool = False
    may_decide: bool = False
    accepted: bool = False

    @property
    def item(self) -> ItemView:
        return self.row.item

    @property
    def flagged(self) -> bool:
        return self.answer.is_flagged

    @property
    def decided(self) -> str:
        """``accepted``, ``flagged`` or nothing: what the owning reviewer said of this revision."""
        return "flagged" if self.flagged else "accepted" if self.accepted else ""

    @property
    def mark(self) -> str:
        """The word beside it in the list."""
        if self.row.state == "contradicted":
            return "≠"
        return self.decided or self.change


@dataclass
class Review:
    """What the page shows. ``role`` is the one in which the viewer reads, None for everybody but reviewers."""

    base: Submission | None
    stale: bool  # the release is no longer what was submitted
    facts: list[Line]
    changed: list[ReviewItem]
    rest: list[ReviewItem]
    role: str | None = None
    roles: list[str] = field(default_factory=list)
    why_not: str | None = None
    why_not_approve: list[CardItem] = field(default_factory=list)

    @property
    def items(self) -> list[ReviewItem]:
        return [*self.changed, *self.rest]

    @property
    def mine(self) -> list[ReviewItem]:
        return [each for each in self.items if each.mine]

    @property
    def counts(self) -> dict[str, int]:
        """The seven counts of the role's items."""
        counts = dict.fromkeys(STATES, 0)
        for each in self.mine:
            counts[each.row.state] += 1
        return counts

    @property
    def accepted(self) -> int:
        return sum(each.accepted for each in self.mine)

    @property
    def flagged(self) -> int:
        return sum(each.flagged for each in self.mine)


def build_review(context: Mapping[str, Any], user: User, role: str = "") -> Review:
    """The review as ``user`` sees it; ``role`` chooses among a reviewer's roles. At most one query."""
    release: Release = context["release"]
    card: Card = context["card"]
    submission: Submission | None = context["submission"]
    edition = view(release.edition)
    content = take_snapshot(release, answers=context["answers"], endpoints=context["endpoints"])
    stale = submission is not None and submission.digest != content.digest
    base = _base(release, submission, stale)
    roles = [each for each in user.access.reviewer_roles if _needed(submission, each)]
    chosen = role if role in roles else next(iter(_unsigned(context, roles)), None) or next(iter(roles), None)
    why_not = None
    if chosen is not None and submission is not None:
        why_not = why_not_sign(submission=submission, role=chosen, by=user, parties=context["parties"])
        if why_not is None and stale:
            why_not = "The release changed after it was submitted; the team has to submit it again."
    may_decide = chosen is not None and submission is not None and why_not is None

    cards = Cards(context, edition.sections[0], [])
    waivers = {waiver.item_id: waiver for waiver in context["waivers"]}
    changed, rest = [], []
    for row in card.items:
        answer = row.answer
        if answer is None:
            continue
        mine = row.item.role == chosen
        each = ReviewItem(
            row=row, answer=answer, mine=mine, may_decide=mine and may_decide, waiver=waivers.get(row.item.id)
        )
        each.accepted = answer.is_accepted(context["now"])
        _compare(each, base, content.content, edition)
        if each.change or mine or each.flagged or row.blocks:
            each.callouts = [replace(callout, action=None) for callout in cards.callouts(row)]
        if each.change and base is not None:
            changed.append(each)
        elif mine or (chosen is None and (each.flagged or row.blocks)):
            rest.append(each)
    # One's own first, and what is claimed before how it is worded; otherwise in the order of the checklist.
    changed.sort(key=lambda each: (not each.mine, each.change == "reworded"))
    blockers = [row for row in card.blockers if row.item.role == chosen]
    return Review(
        base=base,
        stale=stale,
        facts=_facts(base.snapshot, content.content, context["can"]["see_endpoints"]) if base is not None else [],
        changed=changed,
        rest=rest,
        role=chosen,
        roles=roles,
        why_not=why_not,
        why_not_approve=blockers,
    )


def _needed(submission: Submission | None, role: str) -> bool:
    return submission is None or any(need["role"] == role for need in submission.required)


def _unsigned(context: Mapping[str, Any], roles: list[str]) -> list[str]:
    standing = context["standing"]
    return [role for role in roles if standing and (own := standing.of(role)) is not None and not own.stands]


def _base(release: Release, submission: Submission | None, stale: bool) -> Submission | None:
    """The approval to compare with: the latest of this model, but not of the very content that is looked at."""
    approved = (
        Submission.objects.filter(release__model_id=release.model_id, outcome=Outcome.APPROVED)
        .select_related("release")
        .order_by("-decided_at")[:2]
    )
    for each in approved:
        if submission is None or each.pk != submission.pk or stale:
            each.release.model = release.model
            return each
    return None


def _compare(each: ReviewItem, base: Submission | None, content: Content, edition: EditionView) -> None:
    now = content["answers"].get(each.item.key)
    before = base.snapshot["answers"].get(each.item.key) if base is not None else None
    each.lines = claim_lines(each.item, before, now)
    each.after = Version(Status(each.answer.status).label, each.answer.justification)
    if base is None:
        return
    if before is not None and before["status"] != Status.UNANSWERED:
        each.before = Version(
            Status(before["status"]).label, before["justification"], tuple(measured_lines(base.evidence, each.item.key))
        )
    if before is None or before["status"] == Status.UNANSWERED:
        each.change = "new" if each.answer.status != Status.UNANSWERED else ""
    elif each.answer.status == Status.UNANSWERED:
        each.change = "unanswered"
    elif now is not None and any(before[name] != now[name] for name in ("status", "claims")):
        each.change = "edited"
    elif now is not None and any(before[name] != now[name] for name in ("justification", "links")):
        each.change = "reworded"
    waiver = each.waiver
    if not each.change and waiver is not None and base.decided_at is not None and waiver.requested_at > base.decided_at:
        each.change = "waiver"


def measured_lines(evidence: Iterable[Mapping[str, Any]], item_key: str) -> list[tuple[str, str]]:
    """What a submission's evidence says of an item: at most two pairs of verdict and words."""
    found = [f for f in evidence if f["item"] == item_key and f["observed"] and f["verdict"] != "inconclusive"][:2]
    where = [f" at {f['endpoint']}" if f["endpoint"] else "" for f in found]
    return [
        (f["verdict"], f"measured {f['observed']} {f['unit']}".rstrip() + place)
        for f, place in zip(found, where, strict=True)
    ]


def claim_lines(item: ItemView, before: Mapping[str, Any] | None, after: Mapping[str, Any] | None) -> list[Line]:
    """The item's claims in both versions, with units; fields given in neither are left out."""
    lines = []
    for claim in item.claims:
        texts = []
        for version in (before, after):
            text = shown(claim, (version or {"claims": {}})["claims"].get(claim.key))
            texts.append(f"{text} {claim.unit}".rstrip() if text else "")
        if any(texts):
            lines.append(Line(claim.label, *texts))
    return lines


def _facts(before: Content, after: Content, see_endpoints: bool) -> list[Line]:
    """What changed of the release itself: artefact, environment, tier, edition, and endpoints for who may see them."""
    lines = [Line(label, before["release"].get(key, ""), after["release"].get(key, "")) for key, label in FACTS.items()]
    lines.append(Line("Tier", str(before["model"]["tier"]), str(after["model"]["tier"])))
    lines.append(Line("Checklist", _edition(before), _edition(after)))
    if not see_endpoints:
        return [line for line in lines if line.changed]
    old, new = ({e["name"]: e for e in content["endpoints"]} for content in (before, after))
    lines += [
        Line(f"Endpoint {name}", _endpoint(old.get(name)), _endpoint(new.get(name))) for name in sorted({*old, *new})
    ]
    changed = [line for line in lines if line.changed]
    return changed + [
        Line(f"Endpoint {name}", "as before", "settings changed")
        for name in sorted({*old} & {*new})
        if old[name] != new[name] and _endpoint(old[name]) == _endpoint(new[name])
    ]


def _edition(content: Content) -> str:
    return f"{content['edition']['checklist']} {content['edition']['edition']}"


def _endpoint(facts: Mapping[str, Any] | None) -> str:
    return f"{facts['url']} ({facts['stack']})" if facts else ""


def verdicts_by(user: User, review: Review) -> tuple[list[str], dict[str, str]]:
    """What this reviewer accepted and flagged of their items, at the present revisions: what their signature names."""
    accepted = [e.item.key for e in review.mine if e.accepted and e.answer.accepted_by_id == user.pk]
    flagged = {
        e.item.key: e.answer.flag_comment for e in review.mine if e.flagged and e.answer.flagged_by_id == user.pk
    }
    return accepted, flagged


def remarks(parties: Iterable[Party], submission: Submission | None) -> list[Party]:
    """What reviewers decided and said of the latest submission, newest first."""
    if submission is None:
        return []
    said = [p for p in parties if p.submission_id == submission.pk and p.part == Party.Part.SIGNER]
    return sorted(said, key=lambda p: p.signed_at or submission.submitted_at, reverse=True)


def role_label(role: str) -> str:
    return str(Role(role).label)


def submitted_answers(submission: Submission, edition: EditionView) -> list[dict[str, Any]]:
    """The frozen answers by section, with what had been measured, for the page of a submission."""
    said = submission.snapshot["answers"]
    sections = []
    for section in edition.sections:
        rows = [
            {
                "item": item,
                "status": Status(said[item.key]["status"]),
                "facts": said[item.key],
                "lines": claim_lines(item, None, said[item.key]),
                "evidence": [found for found in submission.evidence if found["item"] == item.key],
            }
            for item in section.items
            if item.key in said
        ]
        if rows:
            sections.append({"section": section, "rows": rows})
    return sections
