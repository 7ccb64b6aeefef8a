"""When things happened: the dates of a release's life, counted back from today."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta

from portal.demo.models import DemoModel, DemoRelease

CLOSED = ("retired", "rejected")
SUBMITTED = ("in_review", "changes_requested", "approved", "rejected", "live", "retired")
# stage → days ago between which such a release was registered; with a release after it: earlier.
REGISTERED = {
    "retired": (178, 184),
    "live": (40, 182),
    "approved": (24, 52),
    "in_review": (22, 95),
    "changes_requested": (26, 90),
    "rejected": (90, 120),
    "draft": (6, 100),
}
# How far along a draft is, and when the next launches are: days from today.
LAUNCHES = {"approved": (3, 35), "in_review": (9, 55), "changes_requested": (20, 75), "draft": (28, 84)}
# (slug, version) → days until launch, where the story needs a certain one
LAUNCH_IN = {
    ("assist-chat", "4.2"): 19,
    ("voice-agent", "1.0"): 12,
    ("fraud-llm", "0.9"): 48,
    ("embed-v3", "3.1"): 7,
    ("studio-xl", "2"): 28,
    ("assist-summary", "2.1"): 24,
    ("caption-vl", "0.7"): 63,
}


@dataclass(frozen=True)
class Dates:
    """A release's life; what has not happened is None."""

    created: datetime
    answered: tuple[datetime, ...]
    submitted: datetime | None = None
    signed: tuple[datetime, ...] = ()
    live: datetime | None = None
    retired: datetime | None = None
    launch: date | None = None
    runs: tuple[datetime, ...] = field(default=())


def _office(moment: datetime, source: random.Random) -> datetime:
    """The same day, at an hour when people work."""
    return moment.replace(
        hour=source.randint(7, 15), minute=source.randint(0, 59), second=source.randint(0, 59), microsecond=0
    )


def dates_of(model: DemoModel, now: datetime) -> dict[str, Dates]:
    """Dates for each release of a model, by version; always the same for the same day."""
    source = random.Random(f"dates {model.slug}")  # noqa: S311  # a believable spread, nothing secret
    lives: dict[str, Dates] = {}
    end_of_previous: datetime | None = None
    for place, release in enumerate(model.releases):
        last = place == len(model.releases) - 1
        low, high = REGISTERED[release.stage]
        if release.stage == "live" and not last:
            low, high = (104, 132) if place else (112, 182)
        ago = source.randint(low, high)
        created = _office(now - timedelta(days=ago), source)
        if end_of_previous is not None and created < end_of_previous + timedelta(days=2):
            created = end_of_previous + timedelta(days=2)
        lives[release.version] = life = _life(model, release, created, now, source)
        end_of_previous = life.live or life.created
    return _with_retirements(model, lives)


def _life(model: DemoModel, release: DemoRelease, created: datetime, now: datetime, source: random.Random) -> Dates:
    span = (now - created).days
    submitted: datetime | None = None
    if release.stage in SUBMITTED:
        # Preflight is learnt: the first releases took a month, the latest take two weeks.
        wanted = (
            source.randint(18, 30) if span > 130 else source.randint(11, 20) if span > 60 else source.randint(8, 14)
        )
        submitted = created + timedelta(days=wanted)
        if release.stage == "in_review":
            submitted = now - timedelta(hours=source.randint(5, 130))
        elif release.stage == "changes_requested":
            submitted = now - timedelta(days=source.randint(8, 13))
    until = submitted - timedelta(days=1) if submitted else now - timedelta(hours=source.randint(2, 40))
    sessions = source.randint(4, 7)
    length = (until - created - timedelta(hours=3)) / sessions
    answered = tuple(created + timedelta(hours=2) + length * (n + source.random() * 0.8) for n in range(sessions))
    signed: tuple[datetime, ...] = ()
    live = None
    if submitted:
        room = max(now - submitted - timedelta(hours=1), timedelta(hours=1))
        steps = [min(timedelta(hours=source.randint(6, 30)) * (n + 1), room * (n + 1) / 4) for n in range(3)]
        signed = tuple(submitted + step for step in sorted(steps))
        if release.stage in ("live", "retired"):
            live = signed[-1] + timedelta(days=source.randint(1, 5))
    low, high = LAUNCHES.get(release.stage, (0, 0))
    ahead = LAUNCH_IN.get((model.slug, release.version)) or (source.randint(low, high) if high else None)
    if release.stage == "draft" and (model.slug, release.version) not in LAUNCH_IN and source.random() < 0.6:
        ahead = None
    launch = live.date() if live else now.date() + timedelta(days=ahead) if ahead else None
    return Dates(
        created,
        answered,
        submitted,
        signed,
        live,
        None,
        launch,
        _runs(release, created, answered, submitted, now, source),
    )


def _runs(
    release: DemoRelease,
    created: datetime,
    answered: tuple[datetime, ...],
    submitted: datetime | None,
    now: datetime,
    source: random.Random,
) -> tuple[datetime, ...]:
    """A first run halfway, one before submitting, and a last one: lately, or long enough ago to have gone stale."""
    runs = [answered[len(answered) // 2] + timedelta(minutes=20)]
    if submitted:
        runs.append(submitted - timedelta(hours=source.randint(3, 9)))
    if release.stage not in CLOSED:
        stale = release.kind == "dead" or source.random() < 0.12
        last = now - (timedelta(days=source.randint(9, 16)) if stale else timedelta(minutes=source.randint(30, 1_150)))
        if last > runs[-1] + timedelta(hours=2):
            runs.append(last)
    return tuple(run for run in runs if created < run < now)


def _with_retirements(model: DemoModel, lives: dict[str, Dates]) -> dict[str, Dates]:
    """A release is retired the day after the next one goes live."""
    done = dict(lives)
    for place, release in enumerate(model.releases):
        if release.stage == "retired":
            after = next((lives[r.version].live for r in model.releases[place + 1 :] if lives[r.version].live), None)
            mine = lives[release.version]
            retired = (after or mine.created + timedelta(days=100)) + timedelta(days=1)
            done[release.version] = Dates(**{**mine.__dict__, "retired": retired})
    return done
