"""Which topics probes can settle on which serving stack, and why not the others."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from django.http import HttpResponse
from django.views.decorators.http import require_safe

from checklists.catalog.editions import ItemView, current_edition, view
from checklists.evidence.coverage import TopicCoverage, coverage
from checklists.evidence.probes import PROBES
from checklists.evidence.stacks import STACKS, Stack
from checklists.web.http import Request, page_or_fragment, signed_in

# What is given: (Prometheus, generation), from least to most.
GIVEN = ((False, False), (True, False), (False, True), (True, True))


@dataclass(frozen=True)
class Row:
    """A topic on one stack: whether it can be settled with nothing given, with either, with both; by which probes."""

    item: ItemView
    settled: tuple[bool, ...]
    probes: tuple[str, ...]
    why: str


@dataclass(frozen=True)
class StackRow:
    stack: Stack
    counts: tuple[int, ...]


@require_safe
@signed_in
def coverage_page(request: Request) -> HttpResponse:
    """A table of all stacks, and the topics of the one in the address (``?stack=vllm``)."""
    asked = request.GET.get("stack", "")
    key = asked if asked in STACKS else next(iter(STACKS))
    edition = current_edition()
    by_key = {item.key: item for item in view(edition).items}
    columns = [_covered(key, *given) for given in GIVEN]
    rows = [
        Row(
            by_key[best.item],
            tuple(column[place].settled for column in columns),
            tuple(PROBES[probe].title for probe in best.probes),
            best.why,
        )
        for place, best in enumerate(columns[-1])
        if best.item in by_key
    ]
    context = {
        "stack": STACKS[key],
        "stacks": [
            StackRow(stack, tuple(sum(topic.settled for topic in _covered(each, *given)) for given in GIVEN))
            for each, stack in STACKS.items()
        ],
        "rows": rows,
        "counts": tuple(sum(row.settled[place] for row in rows) for place in range(len(GIVEN))),
        "people": sum(not row.probes and row.item.mode == "person" for row in rows),
        "edition": edition,
    }
    return page_or_fragment(request, "evidence/coverage.html", "evidence/coverage.html#topics", context)


@lru_cache(maxsize=len(GIVEN) * len(STACKS))
def _covered(stack: str, prometheus: bool, may_generate: bool) -> tuple[TopicCoverage, ...]:
    """Probes and stacks do not change while the program runs."""
    return tuple(coverage(stack, prometheus=prometheus, may_generate=may_generate))
