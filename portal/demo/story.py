"""One release's life, told to the services in the order in which it happened."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction

from checklists.assessments.models import Answer, AnswerRevision, Comment
from checklists.assessments.services import decide_waiver, request_waiver, save_answer
from checklists.catalog.editions import ItemView, view
from checklists.evidence.models import Finding
from checklists.people.models import User
from checklists.registry.models import Endpoint, Model, Release
from checklists.registry.services import create_release, endpoint_facts, set_stage
from checklists.signoff.models import Decision, Submission
from checklists.signoff.services import launch, sign, submit
from portal.demo import plot
from portal.demo.answers import Subject, claims_for, words_for
from portal.demo.calendar import SUBMITTED, Dates
from portal.demo.ledger import Ledger
from portal.demo.measuring import STACK, Sights, endpoint_url, past_run
from portal.demo.models import DemoModel, DemoRelease
from portal.demo.people import REVIEWERS, writers
from portal.demo.servers import HEADERS

ROLES = ("mlops", "security", "sre")
# These export no cache metrics, and their teams know it.
NO_CACHE = ("images", "comfyui", "llamacpp", "ollama", "audio")


@dataclass
class Story:
    """Everything needed to tell a release's life; ``tell`` does."""

    model: Model
    demo: DemoModel
    version: DemoRelease
    dates: Dates
    people: Mapping[str, User]
    sights: Sights
    ledger: Ledger
    now: datetime
    previous: Release | None = None
    release: Release = field(init=False)
    endpoint: Endpoint = field(init=False)
    answers: dict[str, Answer] = field(default_factory=dict)
    said_at: dict[str, datetime] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.source = random.Random(f"{self.demo.slug} {self.version.version}")  # noqa: S311  # nothing secret
        self.twist = plot.TWISTS.get((self.demo.slug, self.version.version), plot.Twist())
        self.writers = [self.people[name] for name in writers(self.demo.team)]
        self.owner = self.writers[0]
        self.stage = self.version.stage

    @transaction.atomic
    def tell(self) -> Release:
        self.register()
        self.answer()
        # Where the server contradicts a must, nobody had looked before it was submitted: otherwise it would not have been.
        early = [run for run in self.dates.runs if self.dates.submitted and run < self.dates.submitted]
        late = [run for run in self.dates.runs if run not in early]
        if self.dates.submitted and self.contradicts():
            early, late = (
                [],
                late[-1:] or [max(self.dates.signed[-1], self.dates.live or self.dates.created) + timedelta(hours=3)],
            )
        for at in early:
            self.measure(at)
        self.waive()
        self.converse()
        self.store_findings()
        self.ledger.flush()
        if self.dates.submitted:
            self.review(self.dates.submitted)
        for at in late:
            self.measure(min(at, self.now - timedelta(minutes=12)))
        self.store_findings()
        self.ledger.flush()
        return self.release

    def register(self) -> None:
        dates, demo, version = self.dates, self.demo, self.version.version
        by = self.source.choice(self.writers[:2])
        self.release = create_release(
            model=self.model,
            version=version,
            by=by,
            revision=demo.revision(version),
            artifact_digest=demo.digest(version),
            environment="production" if demo.tier < 3 else "staging",
            launch_date=dates.launch,
            carry_over_from=self.previous,
            at=dates.created,
        )
        self.release.endpoints.all().delete()  # the address of the version before
        self.endpoint = Endpoint.objects.create(
            release=self.release,
            name="production" if demo.tier < 3 else "staging",
            url=endpoint_url(demo, self.version),
            stack=STACK.get(self.version.kind, "auto"),
            headers=HEADERS,
            may_generate=True,
        )
        self.ledger.add(
            verb="registry.endpoint.created",
            actor=by,
            subject=f"{self.release.subject}/endpoints/{self.endpoint.pk}",
            at=dates.created + timedelta(minutes=self.source.randint(4, 90)),
            release_id=self.release.pk,
            data=endpoint_facts(self.endpoint),
        )

    # What the team says

    def status_of(self, item: ItemView) -> str:
        """How the team answers an item, from the stage, the requirement and the twist."""
        requirement, chance = item.requirement_for(self.demo.tier), self.source.random()
        if item.key in self.twist.left_open or item.key in self.twist.waived or item.key in self.twist.asked:
            return "not_met" if chance < 0.7 or item.key in self.twist.waived else "unanswered"
        if item.key == "observability.cache" and self.version.kind in NO_CACHE:
            return "not_met"
        if item.key in (
            "identity.name-version",
            "security.access-control",
            "performance.latency-targets",
            "identity.input-limits",
        ):
            return "met"
        finished = self.stage in SUBMITTED or self.twist.complete
        if not finished and self.source.random() > {1: 0.78, 2: 0.7, 3: 0.6}[self.demo.tier] + (
            0.1 if requirement == "must" else 0
        ):
            return "unanswered"
        if requirement == "must":
            if chance < (0.93 if finished else 0.78):
                return "met"
            return "partly" if finished or chance < 0.9 else "not_met"
        if chance < 0.05 and requirement != "must":
            return "not_applicable"
        if chance < (0.78 if finished else 0.7):
            return "met"
        return "partly" if chance < 0.88 else "not_met" if chance < 0.94 else "unanswered"

    def answer(self) -> None:
        """All answers, in a few sessions, one in ten of them revised later."""
        rows = list(Answer.objects.filter(release=self.release).select_related("item"))
        edition, revisions = view(self.release.edition), []
        subject = Subject(
            self.demo,
            self.version,
            self.owner.name,
            self.dates.created.date(),
            self.previous.version if self.previous else "",
        )
        for answer in rows:
            item = edition.item_by_id(answer.item_id)
            answer.release = self.release
            self.answers[item.key] = answer
            status = self.status_of(item)
            left_as_it_came = (
                answer.carried_over
                and self.stage == "draft"
                and not self.twist.complete
                and self.source.random() < 0.12
            )
            if left_as_it_came:
                continue
            if status == "unanswered":
                answer.status, answer.claims, answer.justification, answer.links, answer.carried_over = (
                    status,
                    {},
                    "",
                    [],
                    False,
                )
                continue
            session = self.source.choice(self.dates.answered)
            times = [session + timedelta(minutes=self.source.randint(0, 150))]
            if (
                self.source.random() < 0.1
                and (later := self.dates.answered[-1] + timedelta(minutes=self.source.randint(160, 400))) > times[0]
            ):
                times.append(later)
            limit = (self.dates.submitted or self.now) - timedelta(hours=1)
            times = [at for at in times if at < limit] or [self.dates.created + timedelta(hours=2)]
            claims = claims_for(item, subject, self.source) if status in ("met", "partly") else {}
            link = [f"{subject.page}/{item.key.replace('.', '-')}"] if self.source.random() < 0.3 else []
            for number, at in enumerate(times, 1):
                early = number < len(times)
                given = "partly" if early and status == "met" else status
                revisions.append(
                    self._say(answer, item, given, claims, words_for(item, given, self.source), link, number, at)
                )
        Answer.objects.bulk_update(
            rows,
            [
                "status",
                "claims",
                "justification",
                "links",
                "assignee",
                "revision",
                "carried_over",
                "updated_by",
                "updated_at",
            ],
            batch_size=60,
        )
        AnswerRevision.objects.bulk_create(revisions)

    def _say(
        self,
        answer: Answer,
        item: ItemView,
        status: str,
        claims: dict[str, Any],
        words: str,
        links: list[str],
        number: int,
        at: datetime,
    ) -> AnswerRevision:
        by = self.source.choice(self.writers)
        after = {"status": status, "claims": claims, "justification": words, "links": links}
        before = {name: getattr(answer, name) for name in after}
        changed = sorted(name for name in after if after[name] != before[name])
        for name, value in after.items():
            setattr(answer, name, value)
        answer.revision, answer.updated_by, answer.updated_at, answer.carried_over = number, by, at, False
        self.said_at[item.key] = at
        self.ledger.add(
            verb="assessments.answer.saved",
            actor=by,
            subject=f"{self.release.subject}/answers/{item.key}",
            at=at,
            release_id=self.release.pk,
            data={
                "answer": answer.pk,
                "item": item.key,
                "revision": number,
                "changed": changed,
                "before": {name: before[name] for name in changed},
                "after": {name: after[name] for name in changed},
            },
        )
        return AnswerRevision(answer=answer, revision=number, by=by, at=at, **after)

    def converse(self) -> None:
        """A few remarks of the team and of reviewers."""
        until = (self.dates.submitted or self.now) - timedelta(minutes=40)
        said = [(key, user, body) for key, rows in self.twist.comments.items() for user, body in rows]
        reviewers = [self.source.choice(REVIEWERS[role]) for role in ROLES]
        for _ in range(self.source.randint(0, 3)):
            key = self.source.choice(sorted(self.answers))
            said.append(
                (key, self.source.choice([self.writers[-1].username, *reviewers]), self.source.choice(plot.COMMENTS))
            )
        begun = self.dates.answered[0]
        for place, (key, username, body) in enumerate(said, 1):
            at = begun + (until - begun) * place / (len(said) + 1)
            comment = Comment.objects.create(answer=self.answers[key], body=body, by=self.people[username], at=at)
            self.ledger.add(
                verb="assessments.comment.added",
                actor=comment.by,
                subject=f"{self.release.subject}/answers/{key}",
                at=at,
                release_id=self.release.pk,
                data={"answer": comment.answer_id, "item": key, "comment": comment.pk},
            )

    # What the servers say

    def claims(self, at: datetime | None = None) -> dict[str, dict[str, Any]]:
        """Item key → claims, as far as they were made by then."""
        return {
            key: answer.claims
            for key, answer in self.answers.items()
            if at is None or self.said_at.get(key, self.now) <= at
        }

    def seen(self, kind: str) -> list[Any]:
        return self.sights[self.demo.slug, self.version.version, kind]

    def contradicts(self) -> bool:
        from checklists.evidence.probes import PROBES

        claims = self.claims()
        return any(
            PROBES[one.probe].judge(key, claims.get(key, {}), one.observation).verdict == "contradicted"
            for one in self.seen(self.version.kind)
            for key in PROBES[one.probe].speaks_to(one.observation)
            if key in claims
        )

    def measure(self, at: datetime) -> None:
        """A run at this time. The dead server was alive in the runs before the last."""
        alive = self.version.kind == "dead" and at != self.dates.runs[-1]
        self.findings += past_run(
            release=self.release,
            endpoint=self.endpoint,
            seen=self.seen("vllm" if alive else self.version.kind),
            claims=self.claims(at),
            at=at,
            by=self.source.choice(self.writers) if self.source.random() < 0.4 else None,
            ledger=self.ledger,
            earlier=[finding for finding in self.findings if finding.current],
        )

    def store_findings(self) -> None:
        new = [finding for finding in self.findings if finding.pk is None]
        Finding.objects.bulk_create(new)
        old = [finding for finding in self.findings if finding not in new]
        Finding.objects.filter(pk__in=[f.pk for f in old if not f.current]).update(current=False)

    # Exceptions

    def waive(self) -> None:
        self.store_findings()
        wanted = [(key, days, True) for key, days in self.twist.waived.items()] + [
            (key, days, False) for key, days in self.twist.asked.items()
        ]
        if not wanted:
            return
        self.ledger.flush()
        for key, days, decided in wanted:
            if key not in self.answers:
                continue
            latest = self.dates.submitted or self.now
            at = latest - timedelta(hours=30 if decided else 20)
            reason, mitigation = self.source.choice(plot.REASONS)
            ends = self.now.date() + timedelta(days=days)
            waiver = request_waiver(
                release=self.release,
                item_key=key,
                reason=reason,
                mitigation=mitigation,
                expires_on=ends,
                by=self.owner,
                at=at,
            )
            if decided:
                role = self.answers[key].item.role
                by = self.people[self.source.choice(REVIEWERS[role][:2])]
                decide_waiver(
                    waiver=waiver, decision="approve", by=by, comment="Agreed until then.", at=at + timedelta(hours=5)
                )

    # Sign-off

    def review(self, at: datetime) -> None:
        submission = submit(release=self.release, by=self.owner, note=self.twist.note, at=at)
        roles = [need["role"] for need in submission.required]
        signing = roles
        if self.stage == "in_review":
            signing = [role for role in roles if role in (self.twist.signed if self.twist.signed is not None else ())]
        refused = self.source.choice(roles) if self.stage in ("changes_requested", "rejected") else ""
        for role, when in zip(signing, self.dates.signed, strict=False):
            if role == refused:
                decision = Decision.REJECT if self.stage == "rejected" else Decision.REQUEST_CHANGES
                self.sign(submission, role, decision, when, self.twist.verdict or "Please look at the remarks.")
                return
            last = role == signing[-1] and self.twist.resubmitted
            if last:
                break
            self.sign(submission, role, Decision.APPROVE, when, self.source.choice(plot.APPROVALS))
        if self.twist.resubmitted:
            self.resubmit(self.dates.signed[-1])
        self.release.refresh_from_db()
        if self.dates.live:
            launch(release=self.release, by=self.owner, at=self.dates.live)

    def sign(self, submission: Submission, role: str, decision: str, at: datetime, comment: str) -> None:
        """A reviewer signs: mostly one of the regular ones, so that the demo's own have something left to do."""
        names = REVIEWERS[role][:2] if self.stage in ("in_review", "changes_requested") else REVIEWERS[role]
        by = self.people[self.source.choice(names)]
        accepted, flagged, conditions = [], {}, []
        mine = [answer for answer in self.answers.values() if answer.item.role == role and answer.status == "met"]
        if decision == Decision.APPROVE:
            accepted = [answer.item.key for answer in mine if self.source.random() < 0.72]
            if self.source.random() < 0.15:
                decision = Decision.APPROVE_WITH_CONDITIONS
                due = at.date() + timedelta(days=self.source.randint(20, 60))
                conditions = [{"text": self.source.choice(plot.CONDITIONS), "due_on": due}]
        elif mine:
            flagged = {self.source.choice(mine).item.key: comment}
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
        """The team changes one answer after signatures: those of other roles stand, that of its role is asked for again."""
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
            at=at + timedelta(minutes=30),
        )

    def retire(self) -> None:
        """To be told after the next release is live."""
        if self.dates.retired:
            set_stage(
                release=self.release, stage="retired", by=self.owner, why="retired by the team", at=self.dates.retired
            )
