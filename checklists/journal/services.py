"""Appending to the journal, telling who subscribed, and checking the chains."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from django.db import transaction
from django.utils import timezone

from checklists.journal.hashing import digest
from checklists.journal.models import Chain, Event

if TYPE_CHECKING:
    from django.contrib.auth.models import AbstractBaseUser

Subscriber = Callable[[Event], None]
_subscribers: dict[str, list[Subscriber]] = defaultdict(list)

SYSTEM = "Preflight"


def subscribe(verb: str, handler: Subscriber) -> None:
    """Call ``handler(event)`` inside the transaction of every event with this verb. For ``AppConfig.ready``.

    Handlers run in the order of subscription, which is the order of ``INSTALLED_APPS``: lower floors first.
    """
    if handler not in _subscribers[verb]:
        _subscribers[verb].append(handler)


def event_hash(event: Event) -> str:
    """The hash an event must carry, from its content and its predecessor's hash."""
    return digest(
        {
            "release": event.release_id,
            "sequence": event.sequence,
            "at": event.at.astimezone(UTC).isoformat(timespec="microseconds"),
            "actor": event.actor_id,
            "actor_name": event.actor_name,
            "verb": event.verb,
            "subject": event.subject,
            "data": event.data,
            "previous": event.previous_hash,
        }
    )


def record(
    *,
    verb: str,
    actor: AbstractBaseUser | None,
    subject: str,
    release_id: int | None = None,
    data: dict[str, Any] | None = None,
    at: datetime | None = None,
) -> Event:
    """Append one event to a release's chain, or to the organisation's, and tell the subscribers.

    ``verb`` is ``room.thing.happened``; ``subject`` the path of the thing, as in the API
    (``models/assist-chat/releases/4.2/answers/identity.lineage``); ``data`` must be JSON without NaN and never holds a
    secret. Must run inside the transaction of the change it tells; raises ``TransactionManagementError`` otherwise.
    """
    connection = transaction.get_connection()
    if not connection.in_atomic_block:
        raise transaction.TransactionManagementError("journal.record needs the transaction of the change it tells")
    chain_id = release_id or 0
    Chain.objects.bulk_create([Chain(release_id=chain_id)], ignore_conflicts=True)
    chain = Chain.objects.select_for_update().get(pk=chain_id)
    event = Event(
        release_id=chain_id,
        sequence=chain.length + 1,
        at=at or timezone.now(),
        actor_id=actor.pk if actor else None,
        actor_name=str(actor) if actor else SYSTEM,
        verb=verb,
        subject=subject,
        data=data or {},
        previous_hash=chain.head,
    )
    event.hash = event_hash(event)
    event.save(force_insert=True)
    chain.length, chain.head = event.sequence, event.hash
    chain.save(update_fields=["length", "head"])
    for handler in _subscribers[verb]:
        handler(event)
    return event


def _grew(chain: Chain, length: int, head: str) -> bool:
    """Whether a chain reaches its end from here after all: events were appended while it was walked."""
    for event in Event.objects.filter(release_id=chain.pk, sequence__gt=length, sequence__lte=chain.length).order_by(
        "sequence"
    ):
        if event.sequence != length + 1 or event.previous_hash != head or event_hash(event) != event.hash:
            return False
        length, head = event.sequence, event.hash
    return (length, head) == (chain.length, chain.head)


@dataclass(frozen=True)
class Fault:
    """One place where a chain does not hold."""

    release_id: int
    sequence: int
    text: str


def verify(*, release_ids: Iterable[int] | None = None) -> Iterator[Fault]:
    """Walk the chains (all of them unless told) and yield each fault: edited, deleted, reordered or added rows.

    Memory stays bounded: rows are streamed. After a fault the walk goes on from what is stored, so that one edit is one
    fault.
    """
    events = Event.objects.order_by("release_id", "sequence")
    chains = Chain.objects.all()
    if release_ids is not None:
        wanted = list(release_ids)
        events, chains = events.filter(release_id__in=wanted), chains.filter(release_id__in=wanted)
    ends: dict[int, tuple[int, str]] = {}
    for event in events.iterator(chunk_size=2000):
        length, head = ends.get(event.release_id, (0, ""))
        if event.sequence != length + 1:
            yield Fault(event.release_id, length + 1, f"events {length + 1} to {event.sequence - 1} are missing")
        elif event.previous_hash != head:
            yield Fault(event.release_id, event.sequence, "does not follow the event before it: reordered or replaced")
        if event_hash(event) != event.hash:
            yield Fault(event.release_id, event.sequence, "was edited after it was written")
        ends[event.release_id] = (event.sequence, event.hash)
    for chain in chains:
        length, head = ends.pop(chain.release_id, (0, ""))
        if (length, head) != (chain.length, chain.head) and not _grew(chain, length, head):
            yield Fault(chain.release_id, length + 1, f"ends after {length} events, but {chain.length} were written")
    for release_id, (length, _) in ends.items():
        yield Fault(release_id, length, "has events but no record of its end")
