"""A release of alice's team, and the API as each of the cast sees it."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

R = "models/assist/releases/1.0/"


class Api:
    """The API as one person: paths below ``/api/v1/``, JSON out and in, a real token."""

    def __init__(self, user: Any) -> None:
        from checklists.people.services import create_token

        self.client = Client(raise_request_exception=True)
        self.token = create_token(user=user, name="test")[1] if user else ""

    def send(self, method: str, path: str, body: Any = None, *, type: str = "application/json", **headers: str) -> Any:
        if self.token:
            headers = {"Authorization": f"Bearer {self.token}", **headers}
        data = body if isinstance(body, str | bytes) else json.dumps(body)
        content = {"data": data, "content_type": type} if body is not None else {}
        return self.client.generic(
            method, f"/api/v1/{path}", headers={k.replace("_", "-"): v for k, v in headers.items()}, **content
        )

    def get(self, path: str, **headers: str) -> Any:
        return self.send("GET", path, **headers)

    def post(self, path: str, body: Any = None, **headers: str) -> Any:
        return self.send("POST", path, {} if body is None else body, **headers)

    def put(self, path: str, body: Any, **more: str) -> Any:
        return self.send("PUT", path, body, **more)

    def patch(self, path: str, body: Any, **headers: str) -> Any:
        return self.send("PATCH", path, body, **headers)

    def delete(self, path: str) -> Any:
        return self.send("DELETE", path)


@pytest.fixture
def api() -> Callable[[Any], Api]:
    """``api(alice)``; ``api(None)`` is nobody."""
    return Api


@pytest.fixture
def model(team: Any, alice: Any, edition: Any) -> Any:
    from checklists.registry.services import create_model

    return create_model(slug="assist", name="Assist", team=team, family="llm", tier=2, by=alice)


@pytest.fixture
def release(model: Any, alice: Any) -> Any:
    from checklists.registry.services import create_release

    return create_release(model=model, version="1.0", by=alice, artifact_digest="sha256:" + "a" * 64)


@pytest.fixture
def secret_model(team: Any, alice: Any, edition: Any) -> Any:
    """A restricted model with a release 1.0."""
    from checklists.registry.services import create_model, create_release

    secret = create_model(slug="secret", name="Secret", team=team, family="llm", tier=2, by=alice, restricted=True)
    create_release(model=secret, version="1.0", by=alice)
    return secret


VALUES: dict[str, Any] = {
    "integer": 1,  # one by one way on one GPU holds; eight by eight on eight would not
    "number": 8,
    "text": "as measured",
    "boolean": True,
    "url": "https://docs.example.org/page",
    "date": "2026-01-15",
}


def claims_of(item: Any) -> dict[str, Any]:
    """A value for each claim field of an item."""
    return {
        claim.key: [claim.choices[0].value]
        if claim.type == "multi_choice"
        else claim.choices[0].value
        if claim.type == "choice"
        else VALUES[claim.type]
        for claim in item.claims
    }


def answer_all(release: Any, by: Any) -> None:
    """Every item is met."""
    from checklists.assessments.services import save_answer
    from checklists.catalog.editions import view

    edition = view(release.edition)
    for answer in release.answers.all():
        item = edition.item_by_id(answer.item_id)
        save_answer(
            answer=answer,
            by=by,
            revision=answer.revision,
            status="met",
            claims=claims_of(item),
            justification="See the report.",
        )


@pytest.fixture
def submitted(release: Any, alice: Any) -> Any:
    """Submission 1 of the release, everything answered."""
    from checklists.signoff.services import submit

    answer_all(release, alice)
    return submit(release=release, by=alice, note="Ready.")


@pytest.fixture
def finding(release: Any) -> Any:
    """A current finding that contradicts the served model's name."""
    from datetime import timedelta

    from django.utils import timezone

    from checklists.evidence.models import Finding, ProbeRun

    now = timezone.now()
    run = ProbeRun.objects.create(release=release, state="done", created_at=now, progress_done=1, progress_total=1)
    item = release.answers.get(item__key="identity.name-version").item
    return Finding.objects.create(
        run=run,
        release=release,
        item=item,
        item_key=item.key,
        endpoint_name="main",
        probe="model.identity",
        probe_version="1",
        verdict="contradicted",
        claimed="assist",
        observed="other",
        reason="The endpoint serves other.",
        measured_at=now,
        expires_at=now + timedelta(days=1),
    )
