"""Makes what tests start from, through the product's own services."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

from django.utils import timezone

from checklists.assessments.models import Answer
from checklists.assessments.services import save_answer
from checklists.catalog.editions import ClaimView, ItemView, view
from checklists.people.models import Team, User
from checklists.registry.models import Endpoint, Model, Release
from checklists.registry.services import create_endpoint, create_model, create_release

DIGEST = "sha256:" + "ab" * 32


def make_model(team: Team, by: User, slug: str = "assist-chat", **fields: Any) -> Model:
    """A model of tier 1, family llm, unless told."""
    return create_model(**{"slug": slug, "name": slug, "team": team, "family": "llm", "tier": 1, "by": by, **fields})


def make_release(model: Model, by: User, version: str = "1.0", **fields: Any) -> Release:
    """A release with an artefact digest. Needs the ``edition`` fixture."""
    return create_release(**{"model": model, "version": version, "by": by, "artifact_digest": DIGEST, **fields})


def make_endpoint(release: Release, by: User, **fields: Any) -> Endpoint:
    return create_endpoint(**{"release": release, "by": by, "name": "eu-1", "url": "https://llm.example.org", **fields})


def answer_of(release: Release, key: str) -> Answer:
    return Answer.objects.select_related("release__model__team", "item").get(release=release, item__key=key)


def save(answer: Answer, by: User, status: str = "met", **fields: Any) -> Answer:
    """Save from the revision the answer has now."""
    return save_answer(
        **{"answer": answer, "by": by, "revision": answer.revision, "status": status, "claims": answer.claims, **fields}
    )


def plausible(claim: ClaimView) -> Any:
    """A value that a claim field takes."""
    if claim.type in ("integer", "number"):
        return claim.minimum if claim.minimum is not None else 1
    if claim.type == "choice":
        return claim.choices[0].value
    if claim.type == "multi_choice":
        return [claim.choices[0].value]
    return {"boolean": True, "url": "https://example.org/doc", "date": date(2026, 1, 2).isoformat()}.get(
        claim.type, "something"
    )


def plausible_claims(item: ItemView) -> dict[str, Any]:
    return {claim.key: plausible(claim) for claim in item.claims}


def answer_everything(release: Release, by: User, *, leave: tuple[str, ...] = ()) -> None:
    """Every item met, with claims and a justification, except those in ``leave``."""
    edition = view(release.edition)
    for answer in Answer.objects.filter(release=release).select_related("release__model__team", "item"):
        if answer.item.key not in leave:
            item = edition.item_by_id(answer.item_id)
            save(answer, by, claims=plausible_claims(item), justification="As described in the runbook.")


def in_days(days: int) -> date:
    return timezone.now().date() + timedelta(days=days)
