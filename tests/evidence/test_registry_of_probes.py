"""The registry of probes and the checklist say the same."""

from __future__ import annotations

from typing import Any

import pytest

from checklists.catalog.editions import view
from checklists.evidence.probes import PROBES
from checklists.evidence.probes.base import SOURCES


@pytest.mark.django_db
def test_every_item_names_the_probes_that_speak_to_it(edition: Any) -> None:
    for item in view(edition).items:
        assert set(item.probes) == {probe.key for probe in PROBES.values() if item.key in probe.items}, item.key


def test_every_probe_declares_where_it_reads_and_what_it_may_cost() -> None:
    for key, probe in PROBES.items():
        assert probe.key == key
        assert probe.sends
        assert probe.title
        assert set(probe.reads) <= set(SOURCES)
        assert probe.about in ("endpoint", "release")
        assert probe.generates or not probe.bursts, key
        assert not (probe.local and probe.generates), key
