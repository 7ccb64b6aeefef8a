"""Units, by a library that knows them all: nobody here multiplies by a thousand from memory."""

from __future__ import annotations

import functools
import math
import re

import pint

# What the checklist and the servers call things that physics does not know.
DEFINITIONS = (
    "token = [token]",
    "image = [image]",
    "sample = [sample]",
    "request = [request] = query",
    "replica = [replica]",
    "GPU = [gpu]",
)


# One name, or one per another: pint would read arithmetic too, and a text may come from anywhere.
_UNIT = re.compile(r"[A-Za-z]{1,30}(?:/[A-Za-z]{1,30})?\Z")


@functools.cache
def _registry() -> pint.UnitRegistry[float]:
    registry: pint.UnitRegistry[float] = pint.UnitRegistry(cache_folder=None)
    for definition in DEFINITIONS:
        registry.define(definition)
    return registry


def convert(value: float, from_unit: str, to_unit: str) -> float | None:
    """A value in another unit (``"ms"``, ``"GiB"``, ``"token/s"`` …); ``None`` where the two do not convert.

    Raises nothing: an unknown unit, or one that is no unit at all, does not convert either.
    """
    if from_unit == to_unit:
        return value
    if not _UNIT.match(from_unit) or not _UNIT.match(to_unit):
        return None
    try:
        converted = float(_registry().Quantity(value, from_unit).to(to_unit).magnitude)
    except (pint.errors.PintError, AttributeError, OverflowError):
        return None
    return converted if math.isfinite(converted) else None
