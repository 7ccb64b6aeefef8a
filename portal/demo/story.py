"""One release's life, told to the services in the order in which it happened."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from django.db import transaction

from checklists.assessments.models import Answer
from checklists.assessments.services import decide_waiver, request_waiver, save_answer
from checklists.evidence.models import Finding
from checklists.evidence.probes import PROBES
from checklists.evidence.services import Fingerprints, judge_locally
from checklists.evidence.services.fingerprints import PROBE as FINGERPRINT
from checklists.journal.models import Event
from checklists.registry.models import Release
from checklists.registry.services import set_stage
from checklists.signoff.models import Decision, Submission
from checklists.signoff.services import sign, submit
from portal.demo import plot
from portal.demo.approving import approve
from portal.demo.claiming import Claiming
from portal.demo.measuring import BEFORE, ITSELF, NOW, Seen, past_run
from portal.demo.people import REVIEWERS

BY_HAND = ("generation.refusals",)  # the schedule never sends it
WORDS = {"approve": "Agreed until then.", "decline": "Two days of work; please do it before the launch."}


class Story(Claiming):
    """The whole life of a release; ``tell`` tells it, up to its retirement."""

    reference: dict[str, Any] | None = None  # the fingerprint that was kept at sign-off

    @transaction.atomic
    def tell(self) -> Release:
        self.register()
        self.answer()
        until = self.dates.submitted or self.now
        early = [run for run in self.dates.runs if run < until]
        late = [run for run in self.dates.runs if run >= until]
        if self.dates.submitted and self.contradicts():
            # Nobody had looked before: otherwise it would not have been submitted.
            found = max(self.dates.signed[-1], self.dates.live or self.dates.created) + timedelta(hours=3)
            early, late = [], [found, *(run for run in late[-1:] if run > found)]
        for at in early:
            self.measure(at)
        self.converse()
        self.write_down()
        self.reckon()
        self.waive()
        if self.dates.submitted:
            self.review(self.dates.submitted)
        for at in late:
            self.measure(self.following(min(at, self.now - timedelta(minutes=12))))
            self.write_down()
        return self.release

    def write_down(self) -> None:
        """Store what was collected, before a service writes to the same tables."""
        new = [finding for finding in self.findings if finding.pk is None]
        old = [finding.pk for finding in self.findings if finding.pk is not None and not finding.current]
        Finding.objects.bulk_create(new)
        if old:
            Finding.objects.filter(pk__in=old, current=True).update(current=False)
        self.ledger.flush()

    def reckon(self) -> None:
        """What the probes that send nothing make of the answers."""
        at = self.following(self.dates.created)
        event = Event(verb="registry.release.created", release_id=self.release.pk, subject=self.release.subject, at=at)
        judge_locally(event)
        Finding.objects.filter(release=self.release, run=None).update(measured_at=at)

    def following(self, at: datetime, minutes: int = 3) -> datetime:
        """This time, or a little after what happened last, whichever is later."""
        last = Event.objects.filter(release_id=self.release.pk).order_by("-sequence").values_list("at", flat=True)[0]
        return max(at, last + timedelta(minutes=minutes))

    def seen(self, place: str) -> list[Seen]:
        return self.sights[self.demo.slug, self.version.version, place]

    def contradicts(self) -> bool:
        claims = self.claims()
        return any(
            PROBES[one.probe].judge(key, claims.get(key, {}), one.observation, claims).verdict == "contradicted"
            for one in self.seen(NOW)
            for key in PROBES[one.probe].speaks_to(one.observation)
            if key in claims
        )

    def measure(self, at: datetime) -> None:
        """A run at this time. The dead server was alive in the runs before the last, the swapped one the first one
        until it was signed off; from then on, it is compared with what it answered before."""
        alive = self.version.kind == "dead" and at != self.dates.runs[-1]
        seen = self.seen(BEFORE if alive else NOW) + self.seen(ITSELF)
        if self.reference:
            seen = [one.beside(self.reference) for one in seen]
        elif (self.demo.slug, self.version.version) in plot.SWAPPED:
            first = [one for one in self.seen(BEFORE) if one.probe == FINGERPRINT]
            seen = [one for one in seen if one.probe != FINGERPRINT] + first
        by = self.source.choice(self.writers) if self.source.random() < 0.4 else None
        if by is None:
            seen = [one for one in seen if one.probe not in BY_HAND]
        self.findings += past_run(
            release=self.release,
            endpoint=self.endpoint,
            seen=seen,
            # Whatever was claimed since the last run has been judged by it since.
            claims=self.claims(at if at < self.dates.runs[-1] else None),
            at=at,
            by=by,
            ledger=self.ledger,
            earlier=[finding for finding in self.findings if finding.current],
        )

    def waive(self) -> None:
        wanted = [(key, days, "approve") for key, days in self.twist.waived.items()]
        wanted += [(key, 60, "decline") for key in self.twist.declined]
        wanted += [(key, days, "") for key, days in self.twist.asked.items()]
        for key, days, decision in wanted:
            reason, mitigation = self.source.choice(plot.REASONS)
            waiver = request_waiver(
                release=self.release,
                item_key=key,
                reason=reason,
                mitigation=mitigation,
                expires_on=self.now.date() + timedelta(days=days),
                by=self.owner,
                at=self.following(self.dates.created),
            )
            if decision:
                by = self.people[self.source.choice(REVIEWERS[self.answers[key].item.role][:2])]
                at = self.following(self.dates.created, 4)
                decide_waiver(waiver=waiver, decision=decision, by=by, comment=WORDS[decision], at=at)

    def review(self, at: datetime) -> None:
        submission = submit(release=self.release, by=self.owner, note=self.twist.note, at=at)
        roles = [need["role"] for need in submission.required]
        if self.stage in ("approved", "live", "retired"):
            approve(self, submission)
            self.reference = Fingerprints(self.release).facts(self.endpoint.name)["fingerprint"]
            return
        signing = [role for role in roles if self.stage != "in_review" or role in (self.twist.signed or ())]
        refused = self.source.choice(roles) if self.stage in ("changes_requested", "rejected") else ""
        for role, when in zip(signing, self.dates.signed, strict=False):
            if role == refused:
                decision = Decision.REJECT if self.stage == "rejected" else Decision.REQUEST_CHANGES
                self.sign(submission, role, decision, when, self.twist.verdict or "Please look at the remarks.")
                return
            self.sign(submission, role, Decision.APPROVE, when, self.source.choice(plot.APPROVALS))
        if self.twist.resubmitted:
            self.resubmit(self.dates.signed[-1] + timedelta(minutes=25))

    def mine(self, role: str) -> list[Answer]:
        """What a role can accept."""
        return [answer for answer in self.answers.values() if answer.item.role == role and answer.status == "met"]

    def accepted(self, role: str, at: datetime) -> list[str]:
        """Reviewers have learnt to look at single items: fewer were accepted in the first months."""
        share = 0.9 - 0.6 * min((self.now - at).days / 170, 1)
        return sorted(answer.item.key for answer in self.mine(role) if self.source.random() < share)

    def conditions(self, at: datetime) -> list[dict[str, Any]]:
        """Now and then, an approval asks for something later."""
        if self.source.random() > 0.15:
            return []
        due = at.date() + timedelta(days=self.source.randint(20, 60))
        return [{"text": self.source.choice(plot.CONDITIONS), "due_on": due}]

    def sign(self, submission: Submission, role: str, decision: str, at: datetime, comment: str) -> None:
        """A reviewer signs: mostly one of the regular ones, so that the demo's own have something left to do."""
        names = REVIEWERS[role][:2] if self.stage in ("in_review", "changes_requested") else REVIEWERS[role]
        by = self.people[self.source.choice(names)]
        accepted: list[str] = []
        flagged: dict[str, str] = {}
        conditions: list[dict[str, Any]] = []
        if decision == Decision.APPROVE:
            accepted, conditions = self.accepted(role, at), self.conditions(at)
            decision = Decision.APPROVE_WITH_CONDITIONS if conditions else decision
        elif self.mine(role):
            flagged = {self.source.choice(self.mine(role)).item.key: comment}
        sign(
            submission=submission,
            role=role,
            decision=decision,
            by=by,
            comment=comment,
            conditions=conditions,
            accepted_items=accepted,
            flagged_items=flagged,
            at=at,
        )

    def resubmit(self, at: datetime) -> None:
        """The team changes one answer after signatures: other roles' stand, that of its role is asked for again."""
        answer = Answer.objects.select_related("item", "release__model__team").get(
            pk=self.answers[self.twist.resubmitted].pk
        )
        save_answer(
            answer=answer,
            by=self.owner,
            revision=answer.revision,
            status=answer.status,
            claims={**answer.claims, "server_seconds": 90},
            justification="The gateway's limit was raised; ours follows it.",
            links=answer.links,
            at=at,
        )
        submit(
            release=self.release,
            by=self.owner,
            note="Only the server's time-out changed.",
            at=at + timedelta(minutes=15),
        )

    def retire(self) -> None:
        """To be told after the next release is live."""
        if self.dates.retired:
            set_stage(
                release=self.release, stage="retired", by=self.owner, why="retired by the team", at=self.dates.retired
            )
