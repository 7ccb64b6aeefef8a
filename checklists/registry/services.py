from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date, datetime
from typing import Any
from unicodedata import bidirectional, category
from urllib.parse import parse_qsl, urlsplit

from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils import timezone

from checklists import journal
from checklists.catalog.editions import current_edition
from checklists.journal.errors import Invalid, WrongStage
from checklists.journal.hashing import digest
from checklists.people.models import Team, User
from checklists.people.rules import require
from checklists.registry import architecture
from checklists.registry.models import Endpoint, Model, Release, Stage

KEPT = "•••"  # what stands for a header's value when read back; sent again, it means: leave as it is
SECRET_PARAMETER = re.compile(r"key|token|secret|passw|sig(nature)?$|auth|credential", re.IGNORECASE)
HEADER_NAME = re.compile(r"^[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}\Z")
LABEL_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,198}\Z")  # of Prometheus
RESERVED = {"new"}  # /models/new/ and …/releases/new/ are pages
FORBIDDEN_HEADERS = {
    "host",
    "content-length",
    "transfer-encoding",
    "connection",
    "upgrade",
    "te",
    "trailer",
    "expect",
    "accept-encoding",
}
MODEL_FIELDS = ("name", "team", "family", "tier", "description", "restricted")
RELEASE_FIELDS = ("revision", "artifact_digest", "environment", "launch_date")
URL_FIELDS = ("url", "metrics_url", "prometheus_url", "alertmanager_url")
_TURNING = frozenset(("LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"))
SWITCHES = ("may_generate", "may_burst", "series_length")
ENDPOINT_FIELDS = ("name", "url", "stack", *URL_FIELDS[1:], "labels", "headers", *SWITCHES)


def _check(row: Model | Release | Endpoint, message: str) -> None:
    """Field validation and uniqueness, as ``Invalid``. Foreign keys came as objects and are not looked up again."""
    if not isinstance(row, Release) and not _is_legible(row.name):
        raise Invalid(message, errors={"name": ["Write a name that can be read: one line, without hidden characters."]})
    try:
        row.full_clean(exclude=[f.name for f in row._meta.fields if f.is_relation])
    except ValidationError as error:
        raise Invalid(message, errors=error.message_dict) from error


def _is_legible(name: str) -> bool:
    """Whether a name shows as it is stored: nothing in it breaks the line or turns the text beside it around."""
    hidden = any(category(c) in ("Cc", "Zl", "Zp") or bidirectional(c) in _TURNING for c in name)
    return not name or (not hidden and any(c.isprintable() and not c.isspace() for c in name))


def _unchanged_or(row: Any, changes: Mapping[str, Any], allowed: tuple[str, ...]) -> dict[str, Any]:
    """Set the allowed fields that differ; what changed, by name."""
    unknown = set(changes) - set(allowed)
    if unknown:
        raise Invalid("Nothing was saved.", errors={name: ["This cannot be changed."] for name in unknown})
    changed = {name: value for name, value in changes.items() if getattr(row, name) != value}
    for name, value in changed.items():
        setattr(row, name, value)
    return changed


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
    _check(model, "The model was not registered.")
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
    changed = _unchanged_or(model, changes, MODEL_FIELDS)
    if changed:
        _check(model, "Nothing was saved.")
        model.save()
        data = {name: [_plain(before[name]), _plain(value)] for name, value in changed.items()}
        journal.record(verb="registry.model.changed", actor=by, subject=model.subject, data=data)
    return model


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
    _check(release, "The release was not opened.")
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
            **{name: _plain(getattr(release, name)) for name in RELEASE_FIELDS},
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
    changed = _unchanged_or(release, changes, RELEASE_FIELDS)
    if changed:
        _check(release, "Nothing was saved.")
        release.changed_at = timezone.now()
        release.save()
        data = {name: [_plain(before[name]), _plain(value)] for name, value in changed.items()}
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


# Endpoints


def clean_url(text: str) -> str:
    """An http(s) address without credentials or fragment. Raises ``ValueError`` with what to do."""
    text = text.strip()
    try:
        parts = urlsplit(text)
        _ = parts.port
    except ValueError:
        raise ValueError("This is not an address. Write it as https://host/path.") from None
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("Write the whole address, beginning with https:// or http://.")
    if parts.username is not None or parts.password is not None:
        raise ValueError("Leave user names and passwords out of the address; put them into a header.")
    if any(c.isspace() or ord(c) < 32 for c in text):
        raise ValueError("An address has no spaces.")
    return text.split("#", 1)[0]


def without_secrets(url: str) -> str:
    """The address, if no parameter looks like a secret: addresses are shown, journaled and frozen. ``ValueError``."""
    for name, _ in parse_qsl(urlsplit(url).query, keep_blank_values=True):
        if SECRET_PARAMETER.search(name):
            raise ValueError(f"Leave “{name[:40]}” out of the address, which many can read; put it into a header.")
    return url


def clean_headers(headers: Any, kept: Mapping[str, str]) -> dict[str, str]:
    """Header names and values; a value of ``•••`` keeps the stored one. Raises ``ValueError``."""
    if not isinstance(headers, Mapping) or len(headers) > 20:
        raise ValueError("Headers are up to 20 pairs of name and value.")
    stored = {name.lower(): value for name, value in kept.items()}
    clean: dict[str, str] = {}
    for name, value in headers.items():
        if not isinstance(name, str) or not HEADER_NAME.match(name) or name.lower() in FORBIDDEN_HEADERS:
            raise ValueError("One of the header names is not allowed.")
        if value == KEPT and name.lower() in stored:
            value = stored[name.lower()]
        if not isinstance(value, str) or len(value) > 4000 or not value.isprintable() or not value.isascii():
            raise ValueError(f"The value of {name} must be printable ASCII text of at most 4,000 characters.")
        clean[name] = value
    return clean


def _clean_endpoint(data: Mapping[str, Any], kept: Mapping[str, str]) -> dict[str, Any]:
    clean, errors = dict(data), {}
    for name in URL_FIELDS:
        if clean.get(name):
            try:
                clean[name] = without_secrets(clean_url(str(clean[name])))
            except ValueError as error:
                errors[name] = [str(error)]
    if "headers" in clean:
        try:
            clean["headers"] = clean_headers(clean["headers"], kept)
        except ValueError as error:
            errors["headers"] = [str(error)]
    labels = clean.get("labels", {})
    if (
        not isinstance(labels, Mapping)
        or len(labels) > 30
        or not all(
            isinstance(k, str) and isinstance(v, str) and len(k) < 200 and len(v) < 500 for k, v in labels.items()
        )
    ):
        errors["labels"] = ["At most 30 labels of text: names of up to 199 characters, values of up to 499."]
    elif not all(LABEL_NAME.match(name) and _is_legible(value) for name, value in labels.items()):
        errors["labels"] = [
            "Labels are named by letters, digits and _, not beginning with a digit; values are one line of text."
        ]
    if errors:
        raise Invalid("The endpoint was not saved.", errors=errors)
    return clean


@transaction.atomic
def create_endpoint(*, release: Release, by: User | None, **data: Any) -> Endpoint:
    """Add an endpoint (``ENDPOINT_FIELDS``; at most 20 a release)."""
    if by is not None:
        require(by, "endpoint.change", release)
    release = lock_release(release.pk)
    require_open(release)
    if release.endpoints.count() >= 20:
        raise Invalid("The endpoint was not saved: a release has at most 20.")
    endpoint = Endpoint(release=release, **_clean_endpoint(data, {}))
    if release.endpoints.filter(name=endpoint.name).exists():
        raise Invalid("The endpoint was not saved.", errors={"name": ["This release has an endpoint of that name."]})
    _check(endpoint, "The endpoint was not saved.")
    endpoint.save()
    _touch(release)
    journal.record(
        verb="registry.endpoint.created",
        actor=by,
        subject=f"{release.subject}/endpoints/{endpoint.pk}",
        release_id=release.pk,
        data=endpoint_facts(endpoint),
    )
    return endpoint


@transaction.atomic
def change_endpoint(*, endpoint: Endpoint, by: User, **changes: Any) -> Endpoint:
    """Change an endpoint. A header sent back as ``•••`` keeps its value, one left out of ``headers`` is removed.

    When the address moves to another origin, kept headers are refused: no secret goes to another server.
    """
    require(by, "endpoint.change", endpoint)
    release = lock_release(endpoint.release_id)
    require_open(release)
    endpoint = Endpoint.objects.select_for_update().get(pk=endpoint.pk)
    endpoint.release = release
    clean = _clean_endpoint(changes, endpoint.headers)
    keeps_secrets = endpoint.headers and ("headers" not in changes or KEPT in dict(changes["headers"] or {}).values())
    if keeps_secrets and (_origins({**_urls(endpoint), **clean}) - _origins(_urls(endpoint))):
        again = "The address moved to another server: type the headers again, so no secret goes astray."
        raise Invalid("The endpoint was not saved.", errors={"headers": [again]})
    changed = _unchanged_or(endpoint, clean, ENDPOINT_FIELDS)
    if changed:
        _check(endpoint, "The endpoint was not saved.")
        endpoint.save()
        _touch(release)
        journal.record(
            verb="registry.endpoint.changed",
            actor=by,
            subject=f"{release.subject}/endpoints/{endpoint.pk}",
            release_id=release.pk,
            data={**endpoint_facts(endpoint), "changed": sorted(changed)},
        )
    return endpoint


@transaction.atomic
def delete_endpoint(*, endpoint: Endpoint, by: User) -> None:
    """Remove an endpoint. Its findings stay in the history."""
    require(by, "endpoint.change", endpoint)
    release = lock_release(endpoint.release_id)
    require_open(release)
    pk, facts = endpoint.pk, endpoint_facts(endpoint)
    journal.record(
        verb="registry.endpoint.deleted",
        actor=by,
        subject=f"{release.subject}/endpoints/{pk}",
        release_id=release.pk,
        data=facts,
    )
    endpoint.delete()
    _touch(release)


def endpoint_facts(endpoint: Endpoint) -> dict[str, Any]:
    """What may be told of an endpoint: everything but the header values."""
    facts = {name: getattr(endpoint, name) for name in ENDPOINT_FIELDS if name != "headers"}
    return {**facts, "headers": sorted(endpoint.headers)}


def _urls(endpoint: Endpoint) -> dict[str, str]:
    return {name: getattr(endpoint, name) for name in URL_FIELDS}


def _origins(data: Mapping[str, Any]) -> set[tuple[str, str | None, int | None]]:
    """Scheme, host and port of each address that is given."""
    parts = [urlsplit(data[name]) for name in URL_FIELDS if data.get(name)]
    return {(part.scheme, part.hostname, part.port) for part in parts}


def _touch(release: Release) -> None:
    release.changed_at = timezone.now()
    release.save(update_fields=["changed_at"])


def _plain(value: Any) -> Any:
    """A field's value as JSON."""
    if isinstance(value, date):
        return value.isoformat()
    return value.slug if isinstance(value, Team) else value
