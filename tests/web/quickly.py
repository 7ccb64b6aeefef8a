"""Many rows at once, for the tests that count queries."""

from __future__ import annotations

from typing import Any

from django.utils import timezone

from checklists.assessments.models import Answer, AnswerRevision
from checklists.catalog.editions import view
from checklists.registry.models import Release
from checklists.scorecards.services import refresh
from tests.build import make_model, make_release, plausible_claims


def make_ready(release: Release, by: Any) -> Release:
    """Every item met, as if it had been saved once, and the stored card refreshed."""
    edition, now = view(release.edition), timezone.now()
    answers = list(Answer.objects.filter(release=release))
    for answer in answers:
        answer.status, answer.revision, answer.updated_by, answer.updated_at = "met", 1, by, now
        answer.claims = plausible_claims(edition.item_by_id(answer.item_id))
        answer.justification = "As described in the runbook."
    Answer.objects.bulk_update(answers, ["status", "revision", "updated_by", "updated_at", "claims", "justification"])
    AnswerRevision.objects.bulk_create(
        AnswerRevision(
            answer=answer,
            revision=1,
            status="met",
            claims=answer.claims,
            justification=answer.justification,
            by=by,
            at=now,
        )
        for answer in answers
    )
    refresh(release_id=release.pk)
    return release


def make_releases(team: Any, by: Any, numbers: range, **fields: Any) -> list[Release]:
    """A model with one ready release for each number."""
    return [make_ready(make_release(make_model(team, by, f"model-{number}"), by, **fields), by) for number in numbers]
