"""History in bulk: journal events of the past, chained as the journal chains them."""

from __future__ import annotations

import contextlib
from collections import defaultdict
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from django.db import transaction

from checklists.journal import services
from checklists.journal.models import Chain, Event
from checklists.journal.services import SYSTEM, event_hash
from checklists.people.models import User


@contextlib.contextmanager
def silenced(subscriber: services.Subscriber) -> Iterator[None]:
    """Events do not reach this subscriber meanwhile, because its work is done once, afterwards."""
    told = [verb for verb, known in services._subscribers.items() if subscriber in known]
    places = {verb: services._subscribers[verb].index(subscriber) for verb in told}
    for verb in told:
        services._subscribers[verb].remove(subscriber)
    try:
        yield
    finally:
        for verb, place in places.items():
            services._subscribers[verb].insert(place, subscriber)


class Ledger:
    """Collects events and appends them in the order of their time.

    Subscribers do not hear of them: whoever writes history this way also writes what would have followed. Call
    ``flush`` before a service writes to the same chain.
    """

    def __init__(self) -> None:
        self._waiting: dict[int, list[Event]] = defaultdict(list)

    def add(
        self,
        *,
        verb: str,
        actor: User | None,
        subject: str,
        at: datetime,
        release_id: int = 0,
        data: dict[str, Any] | None = None,
    ) -> None:
        self._waiting[release_id].append(
            Event(
                release_id=release_id,
                at=at,
                actor=actor,
                actor_name=str(actor) if actor else SYSTEM,
                verb=verb,
                subject=subject,
                data=data or {},
            )
        )

    @transaction.atomic
    def flush(self) -> int:
        """Append what was collected; how many events."""
        rows: list[Event] = []
        for release_id, events in self._waiting.items():
            chain, _ = Chain.objects.select_for_update().get_or_create(pk=release_id)
            for event in sorted(events, key=lambda event: event.at):
                event.sequence, event.previous_hash = chain.length + 1, chain.head
                event.hash = event_hash(event)
                chain.length, chain.head = event.sequence, event.hash
                rows.append(event)
            chain.save()
        Event.objects.bulk_create(rows, batch_size=500)
        self._waiting.clear()
        return len(rows)
