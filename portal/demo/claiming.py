"""What the team of one release does: registers it, answers, comments."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from checklists.assessments.models import Answer, AnswerRevision, Comment
from checklists.catalog.editions import ItemView, view
from checklists.evidence.models import Finding
from checklists.people.models import User
from checklists.registry.models import Endpoint, Model, Release
from checklists.registry.services import create_release, endpoint_facts, set_architecture
from portal.demo import plot
from portal.demo.answers import Subject, claims_for
from portal.demo.calendar import SUBMITTED, Dates
from portal.demo.hardware import config_of
from portal.demo.ledger import Ledger
from portal.demo.measuring import STACK, Sights, endpoint_url, environment
from portal.demo.models import DemoModel, DemoRelease
from portal.demo.people import REVIEWERS, writers
from portal.demo.plot import words_for
from portal.demo.servers import HEADERS

ROLES = ("mlops", "security", "sre")
# These export no cache metrics or no times by phase, and their teams know it.
NO_CACHE = ("images", "comfyui", "llamacpp", "ollama", "audio")
NO_PHASES = NO_ERRORS = ("comfyui", "llamacpp", "ollama", "audio")
ANSWER_FIELDS = [
    *("status", "claims", "justification", "links", "assignee"),
    *("revision", "carried_over", "updated_by", "updated_at"),
]
# What no release comes without.
ALWAYS_MET = (
    "identity.name-version",
    "identity.input-limits",
    "performance.latency-targets",
    "security.access-control",
)


@dataclass
class Claiming:
    """One release and everything needed to tell of it."""

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

    def register(self) -> None:
        dates, demo, version = self.dates, self.demo, self.version.version
        by = self.source.choice(self.writers[:2])
        self.release = create_release(
            model=self.model,
            version=version,
            by=by,
            revision=demo.revision(version),
            artifact_digest=demo.digest(version),
            environment=environment(demo),
            launch_date=dates.launch,
            carry_over_from=self.previous,
            at=dates.created,
        )
        if config := config_of(demo):
            set_architecture(release=self.release, document=config, by=by, at=dates.created + timedelta(minutes=2))
        self.release.endpoints.all().delete()  # the address of the version before
        facts: dict[str, Any] = {
            "name": self.release.environment,
            "url": endpoint_url(demo, self.version),
            "stack": STACK.get(self.version.kind, "auto"),
            "headers": HEADERS,
            "may_generate": demo.may_generate,
        }
        self.endpoint = Endpoint.objects.create(release=self.release, **facts)
        self.ledger.add(
            verb="registry.endpoint.created",
            actor=by,
            subject=f"{self.release.subject}/endpoints/{self.endpoint.pk}",
            at=dates.created + timedelta(minutes=self.source.randint(4, 90)),
            release_id=self.release.pk,
            data=endpoint_facts(self.endpoint),
        )

    def status_of(self, item: ItemView) -> str:
        """How the team answers an item, from the stage, the requirement and the twist."""
        requirement, chance = item.requirement_for(self.demo.tier), self.source.random()
        if item.key in self.twist.left_open or item.key in self.twist.waived or item.key in self.twist.asked:
            return "not_met" if chance < 0.7 or item.key in self.twist.waived else "unanswered"
        if item.key == "observability.cache" and self.version.kind in NO_CACHE:
            return "not_met"
        if item.key in plot.MISTAKEN.get((self.demo.slug, self.version.version), {}):
            return "met"
        if item.key == "observability.errors" and self.version.kind in NO_ERRORS:
            return "not_met" if requirement != "must" else "partly"
        if item.key == "observability.latency-breakdown" and self.version.kind in NO_PHASES:
            return "partly" if requirement == "must" else "not_met"
        if item.key in ALWAYS_MET:
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
                and item.key not in ALWAYS_MET
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
            early_first = int(len(self.dates.answered) * self.source.random() ** 2)
            session = self.dates.answered[early_first]
            times = [session + timedelta(minutes=self.source.randint(0, 150))]
            if (
                self.source.random() < 0.1
                and (later := self.dates.answered[-1] + timedelta(minutes=self.source.randint(160, 400))) > times[0]
            ):
                times.append(later)
            limit = (self.dates.submitted or self.now) - timedelta(hours=1)
            times = [at for at in times if at < limit] or [self.dates.created + timedelta(hours=2)]
            claims = claims_for(item, subject) if status in ("met", "partly") else {}
            link = [f"{subject.page}/{item.key.replace('.', '-')}"] if self.source.random() < 0.3 else []
            for number, at in enumerate(times, 1):
                early = number < len(times)
                given = "partly" if early and status == "met" else status
                revisions.append(
                    self._say(answer, item, given, claims, words_for(item, given, self.source), link, number, at)
                )
        Answer.objects.bulk_create(
            rows, update_conflicts=True, unique_fields=["release", "item"], update_fields=ANSWER_FIELDS
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

    def claims(self, at: datetime | None = None) -> dict[str, dict[str, Any]]:
        """Item key → claims, as far as they were made by then."""
        return {
            key: answer.claims
            for key, answer in self.answers.items()
            if at is None or self.said_at.get(key, self.dates.created) <= at
        }
