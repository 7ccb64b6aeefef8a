"""Every write of a release."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from typing import Any

from django.db import transaction
from django.utils import timezone

from checklists import journal
from checklists.catalog.editions import current_edition
from checklists.journal.errors import Invalid, WrongStage
from checklists.journal.hashing import digest
from checklists.people.models import User
from checklists.people.rules import require
from checklists.registry import architecture
from checklists.registry.models import Endpoint, Model, Release, Stage
from checklists.registry.services.common import ENDPOINT_FIELDS, RESERVED, check, plain, unchanged_or

RELEASE_FIELDS = ("revision", "artifact_digest", "environment", "launch_date")


@transaction.atomic
def create_release(
    *,
    model: Model,
    version: str,
    by: User | None,
    revision: str = "",
    artifact_digest: str = "",
    environment: str = "production",
    launch_date: date | None = None,
    carry_over_from: Release | None = None,
    at: datetime | None = None,
) -> Release:
    """Open a release on the current edition of the checklist, with an unanswered answer for every item that applies.

    With ``carry_over_from``, a release of the same model, its answers and endpoints come along, marked as carried over.
    """
    if by is not None:
        require(by, "release.create", model)
    if carry_over_from is not None and carry_over_from.model_id != model.pk:
        raise Invalid(
            "The release was not opened.",
            errors={"carry_over_from": ["Only a release of the same model can be carried over."]},
        )
    now = at or timezone.now()
    release = Release(
        model=model,
        version=version,
        revision=revision,
        artifact_digest=artifact_digest,
        environment=environment,
        launch_date=launch_date,
        edition=current_edition(),
        carried_over_from=carry_over_from,
        created_by=by,
        created_at=now,
        changed_at=now,
    )
    if version in RESERVED:
        raise Invalid("The release was not opened.", errors={"version": ["This word is an address of our own."]})
    if Release.objects.filter(model=model, version=version).exists():
        raise Invalid(
            "The release was not opened.", errors={"version": ["This model has a release of that version already."]}
        )
    check(release, "The release was not opened.")
    release.save()
    if carry_over_from is not None:
        copies = [
            Endpoint(release=release, **{name: getattr(endpoint, name) for name in ENDPOINT_FIELDS})
            for endpoint in carry_over_from.endpoints.all()
        ]
        Endpoint.objects.bulk_create(copies)
    journal.record(
        verb="registry.release.created",
        actor=by,
        subject=release.subject,
        release_id=release.pk,
        data={
            **{name: plain(getattr(release, name)) for name in RELEASE_FIELDS},
            "edition": release.edition.edition,
            "carry_over_from": carry_over_from.version if carry_over_from else None,
        },
        at=at,
    )
    return release


def require_open(release: Release) -> None:
    """Raises ``WrongStage`` for a release that takes no more changes."""
    if release.is_closed:
        raise WrongStage(
            f"Nothing was saved: this release is {release.get_stage_display().lower()}. Open a new release instead."
        )


@transaction.atomic
def change_release(*, release: Release, by: User, **changes: Any) -> Release:
    """Change ``RELEASE_FIELDS``. What was signed for the old facts is voided by whoever subscribes."""
    require(by, "release.change", release)
    release = lock_release(release.pk)
    require_open(release)
    before = {name: getattr(release, name) for name in changes if name in RELEASE_FIELDS}
    changed = unchanged_or(release, changes, RELEASE_FIELDS)
    if changed:
        check(release, "Nothing was saved.")
        release.changed_at = timezone.now()
        release.save()
        data = {name: [plain(before[name]), plain(value)] for name, value in changed.items()}
        journal.record(
            verb="registry.release.changed", actor=by, subject=release.subject, release_id=release.pk, data=data
        )
    return release


@transaction.atomic
def set_architecture(*, release: Release, document: bytes, by: User, at: datetime | None = None) -> Release:
    """Put the model's ``config.json`` on file; only what the capacity arithmetic needs is kept.

    Raises ``Invalid``, in words, for a document that is too large, no JSON, or describes no shape that can be reckoned
    with; ``Forbidden``; ``WrongStage``.
    """
    require(by, "release.change", release)
    release = lock_release(release.pk)
    require_open(release)
    kept = architecture.read(document)
    if kept != release.architecture:
        _put_architecture(release, kept, by, at)
    return release


@transaction.atomic
def clear_architecture(*, release: Release, by: User) -> Release:
    """Take the model's ``config.json`` off file; nothing happens if none is there."""
    require(by, "release.change", release)
    release = lock_release(release.pk)
    require_open(release)
    if release.architecture is not None:
        _put_architecture(release, None, by)
    return release


def _put_architecture(release: Release, kept: dict[str, Any] | None, by: User, at: datetime | None = None) -> None:
    release.architecture = kept
    release.changed_at = at or timezone.now()
    release.save(update_fields=["architecture", "changed_at"])
    journal.record(
        verb="registry.release.architecture_changed",
        actor=by,
        subject=release.subject,
        release_id=release.pk,
        data={"digest": digest(kept) if kept else None, "model_type": (kept or {}).get("model_type", "")},
        at=at,
    )


def keep_modelspec(*, release: Release, spec: Mapping[str, Any], by: User) -> None:
    """Put a checked ModelSpec document on file. For the service that takes it, which has locked the release."""
    if release.modelspec != spec:
        release.modelspec = dict(spec)
        release.changed_at = timezone.now()
        release.save(update_fields=["modelspec", "changed_at"])
        journal.record(
            verb="registry.release.modelspec_changed",
            actor=by,
            subject=release.subject,
            release_id=release.pk,
            data={"digest": digest(release.modelspec)},
        )


def lock_release(pk: int) -> Release:
    """The release, locked until the transaction ends: whatever changes it waits here; nothing is judged halfway."""
    return Release.objects.select_for_update(of=("self",)).select_related("model__team", "edition").get(pk=pk)


def set_stage(*, release: Release, stage: str, by: User | None, why: str = "", at: datetime | None = None) -> None:
    """Move a release, which the caller has locked, to another stage. For services that know why."""
    if release.stage != stage:
        before, release.stage = release.stage, stage
        release.changed_at = at or timezone.now()
        release.save(update_fields=["stage", "changed_at"])
        journal.record(
            verb="registry.release.stage_changed",
            actor=by,
            subject=release.subject,
            release_id=release.pk,
            data={"stage": [before, stage], "why": why},
            at=at,
        )


@transaction.atomic
def retire_release(*, release: Release, by: User) -> Release:
    """Take a release out of service; it keeps everything, and takes no more changes."""
    require(by, "release.launch", release, message="Only an owner of the team can retire a release.")
    release = lock_release(release.pk)
    set_stage(release=release, stage=Stage.RETIRED, by=by, why="retired by the team")
    return release
