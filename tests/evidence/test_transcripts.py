"""Raw answers: packed together by visit, and carried over from the rows they were kept in one by one."""

from __future__ import annotations

import zlib
from typing import Any

import pytest
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st

from checklists.evidence.transcripts import Exchange, packed, unpacked
from tests.build import make_model, make_release

EXCHANGES = st.builds(Exchange, st.text(), st.integers(100, 599), st.text(), st.text(), st.booleans())


@given(st.lists(EXCHANGES, max_size=5))
def test_what_was_packed_comes_out_again(exchanges: list[Exchange]) -> None:
    assert unpacked(packed(exchanges)) == exchanges


@pytest.mark.django_db(transaction=True)
def test_answers_kept_one_by_one_are_carried_over(team: Any, alice: Any, edition: Any) -> None:
    release = make_release(make_model(team, alice), alice)
    executor = MigrationExecutor(connection)
    before = executor.migrate([("evidence", "0002_evidence_engine")]).apps
    try:
        now = timezone.now()
        run = before.get_model("evidence", "ProbeRun").objects.create(release_id=release.pk, created_at=now)
        for name, number, body in (("a", 0, "nought"), ("a", 2, "two – zwei"), ("b", 0, "other")):
            before.get_model("evidence", "Exchange").objects.create(
                run_id=run.pk, endpoint_name=name, number=number, line=f"GET /{number}", status=200,
                content_type="text/plain", packed=zlib.compress(body.encode()), truncated=number == 2, created_at=now,
            )  # fmt: skip
    finally:
        executor = MigrationExecutor(connection)
        executor.migrate(executor.loader.graph.leaf_nodes())
    from checklists.evidence.models import Transcript

    kept = {row.endpoint_name: row for row in Transcript.objects.all()}
    assert kept["a"].created_at == now
    assert kept["a"].exchanges[0] == Exchange("GET /0", 200, "text/plain", "nought", False)
    assert kept["a"].exchanges[2] == Exchange("GET /2", 200, "text/plain", "two – zwei", True)
    assert kept["b"].exchanges == [Exchange("GET /0", 200, "text/plain", "other", False)]
