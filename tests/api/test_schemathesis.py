"""The OpenAPI document is held against the API: whatever is sent, no failure, and no answer it does not announce."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
import schemathesis
from django.core.signals import request_finished, request_started
from django.db import close_old_connections
from django.utils import timezone
from hypothesis import HealthCheck, Phase, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from portal.wsgi import application
from tests.api.conftest import claims_of
from tests.conftest import person

schema = schemathesis.openapi.from_wsgi("/api/v1/schema/", application)
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
KNOWN = {"slug": "assist", "version": "1.0", "item_key": "identity.modalities", "number": 1}


@pytest.fixture
def world(db: None) -> dict[str, Any]:
    """A model with a submitted release, an endpoint, a run, a finding and a waiver; a token of an administrator who
    reviews too."""
    from checklists.assessments.models import Answer
    from checklists.assessments.services import request_waiver
    from checklists.catalog.editions import view
    from checklists.catalog.services import sync_catalog
    from checklists.evidence.models import Finding
    from checklists.evidence.services import request_run
    from checklists.people.services import create_team, create_token
    from checklists.registry.services import create_endpoint, create_model, create_release
    from checklists.signoff.services import submit

    edition = sync_catalog().edition
    team = create_team(slug="search", name="Search")
    owner = person("owner", teams={team: "owner"})
    admin = person("admin", roles=("administrator", "mlops", "security", "sre"))
    model = create_model(slug="assist", name="Assist", team=team, family="llm", tier=2, by=owner)
    release = create_release(model=model, version="1.0", by=owner)
    address = {"name": "main", "url": "http://127.0.0.1:9/", "headers": {"X-Key": "k"}}
    endpoint = create_endpoint(release=release, by=owner, **address)
    answers = list(release.answers.all())
    for answer in answers:
        answer.status, answer.justification, answer.revision = "met", "See the report.", 1
        answer.claims = claims_of(view(edition).item_by_id(answer.item_id))
    Answer.objects.bulk_update(answers, ["status", "justification", "revision", "claims"])
    run = request_run(release=release, by=owner)
    now = timezone.now()
    finding = Finding.objects.create(
        run=run, release=release, item_id=answers[0].item_id, item_key="identity.name-version", endpoint=endpoint,
        endpoint_name="main", probe="model.identity", probe_version="1", verdict="inconclusive", reason="No answer.",
        measured_at=now, expires_at=now + timedelta(days=1),
    )  # fmt: skip
    ends = now.date() + timedelta(days=9)
    asked = {"reason": "Not known.", "mitigation": "Pinned.", "expires_on": ends}
    waiver = request_waiver(release=release, item_key="identity.lineage", by=owner, **asked)
    submit(release=release, by=owner)
    return {
        "token": create_token(user=admin, name="test")[1],
        "edition": edition.edition,
        "endpoints": endpoint.pk,
        "probe-runs": run.pk,
        "findings": finding.pk,
        "waivers": waiver.pk,
    }


@pytest.fixture
def token(root: Any) -> str:
    """An administrator's, where nothing else is."""
    from checklists.people.services import create_token

    return create_token(user=root, name="test")[1]


@pytest.fixture(autouse=True)
def _one_connection() -> Iterator[None]:
    """Requests run in the test's own transaction, as with Django's test client."""
    for signal in (request_started, request_finished):
        signal.disconnect(close_old_connections)
    yield
    for signal in (request_started, request_finished):
        signal.connect(close_old_connections)


def to_something_known(case: Any, world: dict[str, Any]) -> None:
    """Aim a generated request at what is there."""
    known: dict[str, Any] = {**KNOWN, "edition": world["edition"]}
    for folder in ("endpoints", "probe-runs", "findings", "waivers"):
        if f"/{folder}/" in case.path:
            known["id"] = world[folder]
    if case.path.startswith("/api/v1/checklists/"):
        known["slug"] = "genai-readiness"
    if case.path.startswith("/api/v1/teams/"):
        known["slug"] = "search"
    for name in case.path_parameters or {}:
        case.path_parameters[name] = known[name]


BOUNDED = settings(
    max_examples=15, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck)
)
BY_CHANCE = settings(BOUNDED, phases=[Phase.generate])
AND_ON_PURPOSE = settings(
    BOUNDED, phases=[Phase.explicit, Phase.generate]
)  # every boundary and each kind of wrong value
MANY_FIELDS = "modelspec_put"  # its fields times its four media types are 1,400 boundaries: two minutes by themselves


def hold_to_its_word(case: Any, token: str) -> None:
    case.call_and_validate(headers={"Authorization": f"Bearer {token}", "Accept-Encoding": "identity"}, checks=CHECKS)


@schema.exclude(path_regex=r"\{").parametrize()
@AND_ON_PURPOSE
def test_whatever_is_sent_is_answered_as_announced(case: Any, world: dict[str, Any]) -> None:
    hold_to_its_word(case, world["token"])


@schema.include(path_regex=r"\{").exclude(operation_id=MANY_FIELDS).parametrize()
@AND_ON_PURPOSE
def test_whatever_is_sent_to_what_is_there_is_answered_as_announced(case: Any, world: dict[str, Any]) -> None:
    to_something_known(case, world)
    hold_to_its_word(case, world["token"])


@schema.include(operation_id=MANY_FIELDS).parametrize()
@BY_CHANCE
def test_whatever_document_is_sent_is_answered_as_announced(case: Any, world: dict[str, Any]) -> None:
    to_something_known(case, world)
    hold_to_its_word(case, world["token"])


@schema.include(path_regex=r"\{").parametrize()
@BY_CHANCE
def test_whatever_is_sent_to_what_is_not_there_is_answered_as_announced(case: Any, token: str) -> None:
    hold_to_its_word(case, token)


@schema.include(method="GET").parametrize()
@BY_CHANCE
@pytest.mark.django_db
def test_without_a_good_token_the_answer_is_announced_too(case: Any) -> None:
    hold_to_its_word(case, "none")
