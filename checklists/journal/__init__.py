"""What happened? Append-only, hash-chained events, and who is told of them.

``from checklists import journal`` and then ``journal.record(...)``, ``journal.subscribe(...)``.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from checklists.journal.services import record, subscribe, verify

__all__ = ["record", "subscribe", "verify"]


def __getattr__(name: str) -> Any:
    # Models may be imported only once the apps are ready, and this module is imported before.
    if name in __all__:
        from checklists.journal import services

        return getattr(services, name)
    raise AttributeError(name)
