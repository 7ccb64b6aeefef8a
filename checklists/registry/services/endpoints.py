"""Every write of an endpoint."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from django.db import transaction

from checklists import journal
from checklists.journal.errors import Invalid
from checklists.people.models import User
from checklists.people.rules import require
from checklists.registry.models import Endpoint, Release
from checklists.registry.services.common import ENDPOINT_FIELDS, URL_FIELDS, check, is_legible, touch, unchanged_or
from checklists.registry.services.releases import lock_release, require_open

KEPT = "•••"  # what stands for a header's value when read back; sent again, it means: leave as it is
SECRET_PARAMETER = re.compile(r"key|token|secret|passw|sig(nature)?$|auth|credential", re.IGNORECASE)
HEADER_NAME = re.compile(r"^[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}\Z")
LABEL_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,198}\Z")  # of Prometheus
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
    elif not all(LABEL_NAME.match(name) and is_legible(value) for name, value in labels.items()):
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
    check(endpoint, "The endpoint was not saved.")
    endpoint.save()
    touch(release)
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
    changed = unchanged_or(endpoint, clean, ENDPOINT_FIELDS)
    if changed:
        check(endpoint, "The endpoint was not saved.")
        endpoint.save()
        touch(release)
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
    touch(release)


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
