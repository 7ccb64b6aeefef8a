"""Steps that the tests of pages share."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from checklists.catalog.editions import view
from checklists.evidence.models import Finding, ProbeRun
from checklists.registry.models import Endpoint, Release

HTMX = {"HTTP_HX_REQUEST": "true"}
RESTORED = {**HTMX, "HTTP_HX_HISTORY_RESTORE_REQUEST": "true"}


def signed_in(user: Any) -> Client:
    client = Client()
    client.force_login(user)
    return client


def at(name: str, release: Release, *more: Any) -> str:
    """The address of a page about a release."""
    return reverse(f"web:{name}", args=[release.model.slug, release.version, *more])


def queries(client: Client, url: str, **headers: str) -> int:
    """How many queries a page takes when everything that is kept in memory is warm."""
    client.get(url, **headers)
    with CaptureQueriesContext(
        connection,
    ) as captured:
        response = client.get(url, **headers)
    assert response.status_code == 200
    return len(captured)


def text(response: Any) -> str:
    return str(response.content.decode())


def make_finding(
    release: Release, key: str, verdict: str, *, endpoint: Endpoint | None = None, **fields: Any
) -> Finding:
    """A current finding of a run that is over: the first there is, unless told."""
    done = ProbeRun.objects.filter(release=release, state="done").order_by("pk")
    if "run" not in fields:
        fields["run"] = done.first() or ProbeRun.objects.create(
            release=release, state="done", created_at=timezone.now()
        )
    item = view(release.edition).item(key)
    now = timezone.now()
    values: dict[str, Any] = {
        "endpoint_name": endpoint.name if endpoint else "eu-1",
        "probe": item.probes[0] if item.probes else "model.limits",
        "probe_version": "1",
        "reason": "As seen.",
        "measured_at": now,
        "expires_at": now + timedelta(days=7),
    }
    return Finding.objects.create(
        release=release, item_id=item.id, item_key=key, endpoint=endpoint, verdict=verdict, **(values | fields)
    )
