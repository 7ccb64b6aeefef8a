"""Every write of a model."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.db import transaction
from django.utils import timezone

from checklists import journal
from checklists.journal.errors import Invalid
from checklists.people.models import Team, User
from checklists.people.rules import require
from checklists.registry.models import Model
from checklists.registry.services.common import RESERVED, check, plain, unchanged_or

MODEL_FIELDS = ("name", "team", "family", "tier", "description", "restricted")


@transaction.atomic
def create_model(
    *,
    slug: str,
    name: str,
    team: Team,
    family: str,
    tier: int,
    by: User | None,
    description: str = "",
    restricted: bool = False,
    at: datetime | None = None,
) -> Model:
    """Register a model. Raises ``Forbidden`` or ``Invalid`` (errors by field)."""
    if by is not None:
        require(
            by, "model.create", team, message="Only owners and contributors of the team can register a model for it."
        )
    model = Model(
        slug=slug,
        name=name.strip() or slug,
        team=team,
        family=family,
        tier=tier,
        description=description,
        restricted=restricted,
        created_by=by,
        created_at=at or timezone.now(),
    )
    if slug in RESERVED:
        raise Invalid("The model was not registered.", errors={"slug": ["This word is an address of our own."]})
    if Model.objects.filter(slug=slug).exists():
        raise Invalid("The model was not registered.", errors={"slug": ["A model with this slug exists already."]})
    check(model, "The model was not registered.")
    model.save()
    journal.record(
        verb="registry.model.created",
        actor=by,
        subject=model.subject,
        data={"name": model.name, "team": team.slug, "family": family, "tier": tier, "restricted": restricted},
        at=at,
    )
    return model


@transaction.atomic
def change_model(*, model: Model, by: User, **changes: Any) -> Model:
    """Change a model's fields (``MODEL_FIELDS``). Moving it to a team needs the right to register there."""
    require(by, "model.change", model)
    model = Model.objects.select_for_update(of=("self",)).select_related("team").get(pk=model.pk)
    if "restricted" in changes and changes["restricted"] != model.restricted:
        require(by, "model.restrict", model, message="Only an owner of the team can restrict a model or open it.")
    if "team" in changes and changes["team"] != model.team:
        require(by, "model.create", changes["team"], message="You cannot register models for that team.")
    if changes.get("family", model.family) != model.family and model.releases.exists():
        raise Invalid(
            "Nothing was saved.",
            errors={"family": ["The family decides which items apply; it is fixed once there is a release."]},
        )
    before = {name: getattr(model, name) for name in changes if name in MODEL_FIELDS}
    changed = unchanged_or(model, changes, MODEL_FIELDS)
    if changed:
        check(model, "Nothing was saved.")
        model.save()
        data = {name: [plain(before[name]), plain(value)] for name, value in changed.items()}
        journal.record(verb="registry.model.changed", actor=by, subject=model.subject, data=data)
    return model
