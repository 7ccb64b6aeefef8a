"""May this release go out? Allow only what is proven to be in order; every reason is listed; anything unknown: deny."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from datetime import datetime

from django.utils import timezone

from checklists.people.models import User
from checklists.registry.models import Release, Stage
from checklists.scorecards.cards import Card, build_card
from checklists.scorecards.states import State
from checklists.signoff.models import Outcome, Party, Role, Submission
from checklists.signoff.snapshots import Snapshot, take_snapshot
from checklists.signoff.standing import standing_of

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Reason:
    """``code`` for machines, ``text`` for people, ``path`` to the page where it can be mended (site-relative)."""

    code: str
    text: str
    path: str


@dataclass(frozen=True)
class GateDecision:
    """``allow`` only without reasons. ``digest`` is that of the release's present content, ``readiness`` in percent."""

    allow: bool
    reasons: tuple[Reason, ...]
    checked_at: datetime
    readiness: int | None = None
    digest: str | None = None
    release: Release | None = field(default=None, repr=False)


def check(*, model: str, version: str, artifact_digest: str, by: User, now: datetime | None = None) -> GateDecision:
    """The gate's answer for a model's slug, a version and the digest of what is about to go out. Never raises: what is
    unknown, invisible to ``by`` or fails inside is denied."""
    now = now or timezone.now()
    try:
        if not model or not version:
            text = "Ask for one release: the parameters model and version name it."
            return GateDecision(False, (Reason("unknown", text, "/models/"),), now)
        release = Release.objects.visible_to(by).with_model().filter(model__slug=model, version=version).first()
        if release is None:
            return GateDecision(
                False, (Reason("unknown", f"There is no release {version} of a model {model}.", "/models/"),), now
            )
        return decide(release, artifact_digest=artifact_digest, now=now)
    except Exception:
        logger.exception("The gate failed for %r %r", model, version)
        return GateDecision(
            False,
            (
                Reason(
                    "failure",
                    "The gate could not be evaluated, so it denies. Try again; if it stays, tell an administrator.",
                    "/",
                ),
            ),
            now,
        )


@dataclass(frozen=True)
class Facts:
    """What a decision rests on: the present card and content, the latest submission, all parties of the release."""

    card: Card
    snapshot: Snapshot
    submission: Submission | None
    parties: list[Party]


def read_facts(release: Release, now: datetime) -> Facts:
    """The facts of a release with ``model`` and ``edition`` loaded: a constant number of queries."""
    submission = Submission.objects.filter(release=release).order_by("-number").first()
    parties = list(Party.objects.filter(submission__release=release)) if submission else []
    return Facts(build_card(release, now=now), take_snapshot(release), submission, parties)


def decide(release: Release, *, artifact_digest: str, now: datetime, facts: Facts | None = None) -> GateDecision:
    """The decision for one release, with ``model`` and ``edition`` loaded; pages hand in what they have read."""
    path = f"/models/{release.model.slug}/releases/{release.version}/"
    facts = facts or read_facts(release, now)
    card, snapshot, submission = facts.card, facts.snapshot, facts.submission
    reasons: list[Reason] = []

    if release.stage in (Stage.RETIRED, Stage.REJECTED):
        reasons.append(Reason("stage", f"The release is {release.get_stage_display().lower()}.", path))
    if submission is None:
        reasons.append(Reason("not_submitted", "The release was never submitted for sign-off.", path))
    else:
        reasons += _sign_off_reasons(submission, facts, f"{path}review/", now)
        submitted = submission.snapshot["release"]["artifact_digest"]
        if not artifact_digest:
            reasons.append(Reason("artifact_missing", "Name the artefact digest that is about to go out.", path))
        elif artifact_digest != submitted:
            what = f"{submitted} was submitted" if submitted else "the submission names no artefact digest"
            reasons.append(
                Reason("artifact_mismatch", f"The artefact {artifact_digest} is not the one reviewed: {what}.", path)
            )
    for row in card.items:
        link = f"{path}checklist/{row.item.section_key}/#{row.item.key}"
        if row.waiver_ended and row.blocks:
            reasons.append(Reason("waiver_expired", f"{row.why_blocked}.", link))
        elif row.state == State.CONTRADICTED:
            reasons.append(Reason("contradicted", f"{row.why_blocked}.", link))
        elif row.state == State.OPEN and row.is_must:
            reasons.append(Reason("must_open", f"{row.why_blocked}.", link))
    return GateDecision(not reasons, tuple(reasons), now, card.score.readiness, snapshot.digest, release)


def _sign_off_reasons(submission: Submission, facts: Facts, path: str, now: datetime) -> list[Reason]:
    reasons = []
    standing = standing_of(submission, facts.parties, role_digests=facts.snapshot.role_digests)
    if facts.snapshot.digest != submission.digest:
        reasons.append(
            Reason("changed", f"The release changed after submission {submission.number}; submit it again.", path)
        )
    if submission.outcome != Outcome.APPROVED:
        reasons.append(
            Reason(
                "not_approved", f"Submission {submission.number} is {submission.get_outcome_display().lower()}.", path
            )
        )
    elif not submission.approval_stands(now):
        ended = submission.approved_until.date().isoformat() if submission.approved_until else "unknown"
        reasons.append(
            Reason("approval_expired", f"The approval of submission {submission.number} ended on {ended}.", path)
        )
    for role in standing.roles:
        if not role.stands:
            label = Role(role.role).label
            text = {
                "refused": f"{label} did not approve.",
                "voided": f"{label} signed, but that signature no longer stands.",
            }.get(role.status, f"{label} has not signed: {role.signed} of {role.count}.")
            reasons.append(Reason("signoff_missing", text, path))
    return reasons
