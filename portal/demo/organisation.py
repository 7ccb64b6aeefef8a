"""Harbour & Pine, from its people to its history, in one transaction; loaded once."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import datetime, timedelta

from django.contrib.auth.hashers import make_password
from django.db import transaction
from django.utils import timezone

from checklists.assessments.models import Answer
from checklists.assessments.services import expire_waivers
from checklists.catalog.editions import view
from checklists.catalog.services import sync_catalog
from checklists.evidence.models import ProbeRun
from checklists.evidence.services import allow_network, judge_locally, plan_next, schedule_visits
from checklists.journal.models import Event
from checklists.notices.models import Notice
from checklists.people.models import Membership, RoleGrant, Team, User
from checklists.registry.models import Model, Release
from checklists.registry.services import create_model
from checklists.scorecards.services import refresh_all, refresh_from_event
from portal.demo.calendar import dates_of
from portal.demo.history import write_history
from portal.demo.ledger import Ledger, silenced
from portal.demo.measuring import NETWORK, Sights, look
from portal.demo.models import MODELS
from portal.demo.people import ADMIN, ORGANISATION, PASSWORD, PEOPLE, TEAMS
from portal.demo.story import Story

BEGUN = timedelta(days=188)  # when Harbour & Pine began to use Preflight
READ = timedelta(days=4)  # older notices have been read
PROBED_FIRST = (
    ("assist-chat", "4.2"),
    ("assist-summary", "2.1"),
    ("voice-agent", "1.0"),
    ("fraud-llm", "0.9"),
    ("embed-v3", "3.1"),
    ("studio-xl", "2"),
    ("gift-finder", "0.4"),
    ("intent-router", "1.5"),
    ("call-transcribe", "5.2"),
    ("log-explain", "0.3"),
    ("test-writer", "0.4"),
    ("reply-tone", "0.3"),
)
ASSIGNED = {
    "reliability.load-test": "demo-contributor",
    "release.rollback": "demo-owner",
    "performance.latency-targets": "demo-contributor",
    "security.safety-behaviour": "demo-owner",
}


def is_loaded() -> bool:
    return User.objects.filter(username=ADMIN).exists()


def load(*, say: Callable[[str], None], now: datetime | None = None) -> None:
    """Everything, or nothing if it fails. The model servers are asked first, outside the transaction."""
    now = (now or timezone.now()).replace(second=0, microsecond=0)
    say(f"Loading the demo organisation {ORGANISATION} …")
    sights = look()
    say(f"  Asked the model servers of {len(sights)} releases.")
    with transaction.atomic():
        load_organisation(now, sights, say)


def load_organisation(now: datetime, sights: Sights, say: Callable[[str], None]) -> None:
    ledger = Ledger()
    sync_catalog()
    people = add_people(ledger, now - BEGUN)
    allow_network(cidr=NETWORK, by=people[ADMIN], note="The demo's model servers on this machine")
    say(f"  {len(TEAMS)} units and teams, {len(people)} people.")
    with silenced(refresh_from_event), silenced(judge_locally):
        tell_stories(now, people, sights, ledger)
        assign(people)
        expire_waivers()
    refresh_all()
    points = write_history(now=now)
    Notice.objects.filter(created_at__lt=now - READ).update(read_at=now)
    for release in Release.objects.active():
        schedule_visits(release=release)
        plan_next(release=release, reached=dict.fromkeys([None, *release.endpoints.values_list("pk", flat=True)], True))
    queue_runs(people, now, ledger)
    ledger.flush()
    say(
        f"  {Model.objects.count()} models, {Release.objects.count()} releases, {Event.objects.count():,} events, "
        f"{points:,} points of history."
    )


def add_people(ledger: Ledger, at: datetime) -> dict[str, User]:
    """Teams, people and their roles, with one hash for all: the demo's users share a password."""
    teams: dict[str, Team] = {}
    units_first = sorted(TEAMS.items(), key=lambda entry: entry[1][1] is not None)
    for place, (slug, (name, parent)) in enumerate(units_first):
        above = teams.get(parent or "")
        team = teams[slug] = Team.objects.create(slug=slug, name=name, parent=above)
        team.path = f"{above.path if above else '/'}{team.pk}/"
        team.save(update_fields=["path"])
        when = at + timedelta(minutes=10 + place)
        ledger.add(
            verb="people.team.created",
            actor=None,
            subject=f"teams/{slug}",
            at=when,
            data={"name": name, "parent": parent},
        )
    shared, none = make_password(PASSWORD), make_password(None)
    users = {}
    for place, person in enumerate(PEOPLE):
        demo = person.username.startswith("demo-")
        user = User(
            username=person.username,
            name=person.name,
            email=person.email,
            password=shared if demo else none,
            date_joined=at,
        )
        user.save()
        users[user.username] = user
        when = at + timedelta(minutes=30 + place)
        ledger.add(
            verb="people.user.created", actor=None, subject=f"users/{user.username}", at=when, data={"name": user.name}
        )
        for role in person.roles:
            RoleGrant.objects.create(user=user, role=role)
            ledger.add(
                verb="people.role.granted",
                actor=None,
                subject=f"users/{user.username}",
                at=when + timedelta(seconds=20),
                data={"role": role},
            )
        for slug, role in person.teams:
            Membership.objects.create(team=teams[slug], user=user, role=role)
            subject = f"teams/{slug}/members/{user.username}"
            ledger.add(
                verb="people.membership.changed",
                actor=None,
                subject=subject,
                at=when + timedelta(seconds=40),
                data={"role": role},
            )
    ledger.flush()
    return users


def tell_stories(now: datetime, people: dict[str, User], sights: Sights, ledger: Ledger) -> None:
    """Models in the order of their registration, each with its releases from the oldest to the newest."""
    teams = {team.slug: team for team in Team.objects.all()}
    lives = {demo.slug: dates_of(demo, now) for demo in MODELS}
    for demo in sorted(MODELS, key=lambda demo: lives[demo.slug][demo.releases[0].version].created):
        first = lives[demo.slug][demo.releases[0].version].created
        stories: list[Story] = []
        model = None
        for version in demo.releases:
            if model is None:
                owner = next(p.username for p in PEOPLE if (demo.team, "owner") in p.teams)
                model = create_model(
                    slug=demo.slug,
                    name=demo.slug,
                    team=teams[demo.team],
                    family=demo.family,
                    tier=demo.tier,
                    by=people[owner],
                    description=demo.description,
                    restricted=demo.restricted,
                    at=first - timedelta(minutes=25),
                )
            story = Story(
                model=model,
                demo=demo,
                version=version,
                dates=lives[demo.slug][version.version],
                people=people,
                sights=sights,
                ledger=ledger,
                now=now,
                previous=stories[-1].release if stories else None,
            )
            story.tell()
            stories.append(story)
        for story in stories:
            story.retire()


def assign(people: dict[str, User]) -> None:
    """Who looks after what is still to be done for the release one looks at first."""
    release = Release.objects.get(model__slug="assist-chat", version="4.2")
    items = {item.key: item.id for item in view(release.edition).items}
    for key, username in ASSIGNED.items():
        Answer.objects.filter(release=release, item_id=items[key]).update(assignee=people[username])


def queue_runs(people: dict[str, User], now: datetime, ledger: Ledger) -> None:
    """Runs that the worker takes up as soon as it looks for abandoned ones: their lease has run out already."""
    source = random.Random("runs")  # noqa: S311  # nothing secret
    for slug, version in PROBED_FIRST:
        release = Release.objects.select_related("model__team").get(model__slug=slug, version=version)
        by = people[source.choice(["demo-mlops", "demo-sre"])]
        run = ProbeRun.objects.create(release=release, requested_by=by, created_at=now, lease_until=now)
        data = {"run": run.pk, "reason": run.reason, "endpoints": 1}
        subject = f"{release.subject}/probe-runs/{run.pk}"
        ledger.add(verb="evidence.run.requested", actor=by, subject=subject, at=now, release_id=release.pk, data=data)
