"""Keeping the stored scorecards true: they are refreshed inside the transaction of whatever changed them."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, datetime
from typing import Any

from django.db import transaction
from django.utils import timezone

from checklists.journal.models import Event
from checklists.registry.models import Release
from checklists.scorecards.cards import Card, build_card
from checklists.scorecards.models import HistoryPoint, ItemState, Scorecard, SectionScore
from checklists.scorecards.scoring import Tally
from checklists.scorecards.states import STATES

COUNTS = [*STATES, "weight", "credit", "score"]


def refresh_from_event(event: Event) -> None:
    """Subscriber: recompute the card of the release an event is about."""
    refresh(release_id=event.release_id)


def refresh_from_model_event(event: Event) -> None:
    """Subscriber: a new tier changes what each release of the model must meet."""
    if "tier" in event.data:
        slug = event.subject.removeprefix("models/")
        refresh_all(release_ids=list(Release.objects.filter(model__slug=slug).values_list("pk", flat=True)))


@transaction.atomic
def refresh(*, release_id: int, now: datetime | None = None) -> Card:
    """Recompute and store one release's card: a constant number of queries, and only what changed is written."""
    release = Release.objects.select_related("model", "edition").get(pk=release_id)
    card = build_card(release, now=now)
    stored = {row.item_id: row for row in ItemState.objects.filter(release=release)}
    changed = [
        ItemState(
            release=release,
            item_id=row.item.id,
            section=row.item.section_key,
            requirement=row.requirement,
            state=row.state,
            since=before.since if before is not None and before.state == row.state else card.computed_at,
        )
        for row in card.items
        for before in [stored.get(row.item.id)]
        if before is None or (before.state, before.requirement) != (row.state, row.requirement)
    ]
    ItemState.objects.bulk_create(
        changed,
        update_conflicts=True,
        unique_fields=["release", "item"],
        update_fields=["section", "requirement", "state", "since"],
    )
    SectionScore.objects.bulk_create(
        [SectionScore(release=release, section=key, **_counts(t)) for key, t in card.score.sections.items()],
        update_conflicts=True,
        unique_fields=["release", "section"],
        update_fields=COUNTS,
    )
    summary = _summary(card)
    Scorecard.objects.bulk_create(
        [
            Scorecard(
                release=release,
                computed_at=card.computed_at,
                weakest=card.score.weakest or "",
                qualities={key: t.score for key, t in card.score.qualities.items()},
                **summary,
            )
        ],
        update_conflicts=True,
        unique_fields=["release"],
        update_fields=[*summary, "weakest", "qualities", "computed_at"],
    )
    _write_history([_point(card, card.computed_at.date())])
    return card


def refresh_all(*, release_ids: Iterable[int] | None = None) -> int:
    """Recompute many cards, each in its own transaction; how many there were."""
    ids = list(release_ids) if release_ids is not None else list(Release.objects.values_list("pk", flat=True))
    for release_id in ids:
        refresh(release_id=release_id)
    return len(ids)


def record_history(*, today: date | None = None) -> int:
    """Give each release its point for today from the stored cards; safe to run again. How many were written."""
    today = today or timezone.now().date()
    cards = Scorecard.objects.select_related("release").exclude(release__history__date=today)
    sections: dict[int, dict[str, Any]] = {}
    for row in SectionScore.objects.filter(release__in=cards.values("release")):
        cell = {"weight": row.weight, "credit": row.credit, "states": row.states}
        sections.setdefault(row.release_id, {})[row.section] = cell
    points = [
        HistoryPoint(
            release=card.release,
            date=today,
            stage=card.release.stage,
            readiness=card.readiness,
            mean=card.mean,
            must_open=card.must_open,
            sections=sections.get(card.pk, {}),
            weight=card.weight,
            credit=card.credit,
            score=card.score,
            **card.states,
        )
        for card in cards
    ]
    # A release that changed in between has written its own, newer point.
    HistoryPoint.objects.bulk_create(points, ignore_conflicts=True, batch_size=500)
    return len(points)


def _counts(t: Tally) -> dict[str, Any]:
    return {**t.states, "weight": t.weight, "credit": t.credit, "score": t.score}


def _summary(card: Card) -> dict[str, Any]:
    return {
        **_counts(card.score.total),
        "readiness": card.score.readiness,
        "mean": card.score.mean,
        "must_open": len(card.must_open),
    }


def _point(card: Card, day: date) -> HistoryPoint:
    sections = {
        key: {"weight": t.weight, "credit": t.credit, "states": dict(t.states)}
        for key, t in card.score.sections.items()
    }
    return HistoryPoint(release=card.release, date=day, stage=card.release.stage, sections=sections, **_summary(card))


def _write_history(points: list[HistoryPoint]) -> None:
    fields = [*COUNTS, "stage", "readiness", "mean", "must_open", "sections"]
    HistoryPoint.objects.bulk_create(
        points, update_conflicts=True, unique_fields=["release", "date"], update_fields=fields, batch_size=500
    )
