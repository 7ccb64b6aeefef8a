"""What can go wrong in the domain, in words a person can act on. The faces (web, API) turn these into answers."""

from collections.abc import Mapping, Sequence
from typing import Any


class DomainError(Exception):
    """A refusal. ``message`` says what happened, what was kept, and what to do."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class Invalid(DomainError):
    """Bad data; ``errors`` maps a field's name to its messages."""

    def __init__(self, message: str, *, errors: Mapping[str, Sequence[str]] | None = None) -> None:
        super().__init__(message)
        self.errors = {field: list(messages) for field, messages in (errors or {}).items()}


class Forbidden(DomainError):
    """Visible, but not theirs to do."""


class Conflict(DomainError):
    """Somebody else was quicker; ``current`` is the state that stands now."""

    def __init__(self, message: str, *, current: Any = None) -> None:
        super().__init__(message)
        self.current = current


class WrongStage(DomainError):
    """Not possible in the present stage; ``reasons`` lists what stands in the way."""

    def __init__(self, message: str, *, reasons: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.reasons = list(reasons)
