"""Units, by a library that knows them all: nobody here multiplies by a thousand from memory."""

from __future__ import annotations

import functools
import math
import re

import pint

# What the checklist and the servers call things that physics does not know.
DEFINITIONS = (
    "token = [token] = tok",
    "image = [image]",
    "sample = [sample]",
    "request = [request] = req = query = queries",
    "replica = [replica]",
    "GPU = [gpu]",
)

# One name, or one per another: pint would read arithmetic too, and a text may come from anywhere.
_UNIT = re.compile(r"([A-Za-z]{1,30})(?:(?: ?/ ?| per )([A-Za-z]{1,30}))?\Z")


@functools.cache
def _registry() -> pint.UnitRegistry[float]:
    registry: pint.UnitRegistry[float] = pint.UnitRegistry(cache_folder=None)
    for definition in DEFINITIONS:
        registry.define(definition)
    return registry


@functools.lru_cache(maxsize=512)
def factor(from_unit: str, to_unit: str) -> float | None:
    """What to multiply a number of one unit by to have it in another (``"ms"``, ``"GiB"``, ``"tokens per second"``).

    ``None`` where the two do not convert, or not by a factor, as degrees do not. Raises nothing.
    """
    units = [_UNIT.match(unit) for unit in (from_unit, to_unit)]
    if not all(units):
        return None
    names = ["/".join(part for part in unit.groups() if part) for unit in units if unit]
    quantity = _registry().Quantity
    try:
        zero, one = (float(quantity(value, names[0]).to(names[1]).magnitude) for value in (0.0, 1.0))
    except (pint.errors.PintError, AttributeError, OverflowError):
        return None
    return one if zero == 0 and 0 < one < math.inf else None


def milliseconds(seconds: float) -> float:
    """What servers count in seconds, as people state it."""
    return seconds * (factor("s", "ms") or 1.0)


def convert(value: float, from_unit: str, to_unit: str) -> float | None:
    """A value in another unit; ``None`` where the two do not convert, or the value is not finite. Raises nothing."""
    by = 1.0 if from_unit == to_unit else factor(from_unit, to_unit)
    return value * by if by is not None and math.isfinite(value * by) else None
