"""A run visits the release itself too, once, with what the database knows of it."""

from __future__ import annotations

from typing import Any

import pytest
from django.utils import timezone

from checklists.evidence import runner, services
from checklists.evidence.models import AllowedNetwork, Finding, ProbeRun
from checklists.registry.models import Release
from tests.build import answer_of, make_endpoint, make_model, make_release, save
from tests.evidence.generating import Generator
from tests.evidence.loopback import loopback_client, routes, serving
from tests.evidence.test_hub import MODEL, SHA, hub

pytestmark = pytest.mark.django_db


@pytest.fixture
def release(team: Any, alice: Any, bob: Any, edition: Any) -> Release:
    AllowedNetwork.objects.create(cidr="127.0.0.0/8", created_at=timezone.now())
    return make_release(make_model(team, alice), alice)


def probed(release: Release) -> ProbeRun:
    run = services.request_run(release=release)
    assert runner.perform_run(run_id=run.pk, client=loopback_client(timeout_s=2.0))
    return run


def verdicts(release: Release) -> dict[tuple[str, str], str]:
    rows = Finding.objects.current().filter(release=release, endpoint=None)
    return {(probe, item): verdict for probe, item, verdict in rows.values_list("probe", "item_key", "verdict")}


def test_owner_dependencies_and_hub_are_asked_without_an_endpoint(release: Release, bob: Any, settings: Any) -> None:
    with serving(hub()) as models, serving(routes({"/health": b"ok"})) as store:
        settings.PREFLIGHT = {**settings.PREFLIGHT, "HUB_URL": models.url}
        save(answer_of(release, "operations.owner"), bob, claims={"team": "Search", "on_call": "search-primary"})
        health = {"names": "vector store", "health_url": f"{store.url}/health"}
        save(answer_of(release, "operations.dependencies"), bob, claims=health)
        name = {"model_id": MODEL, "version": "3.1", "revision": SHA}
        save(answer_of(release, "identity.name-version"), bob, claims=name)
        probed(release)
        found = verdicts(release)
        assert found["release.owner", "operations.owner"] == "verified"
        assert found["release.dependencies", "operations.dependencies"] == "verified"
        assert found["hub.revision", "identity.name-version"] == "inconclusive"  # it exists; a server must show it
        assert not any(probe == "registry.digest" for probe, _ in found)  # none is configured
        probed(release)
        assert verdicts(release) == found


def test_a_saved_claim_is_judged_against_what_the_hub_said_before(release: Release, bob: Any, settings: Any) -> None:
    with serving(hub()) as models:
        settings.PREFLIGHT = {**settings.PREFLIGHT, "HUB_URL": models.url}
        name = {"model_id": MODEL, "version": "3.1", "revision": "f" * 40}
        save(answer_of(release, "identity.name-version"), bob, claims=name)
        probed(release)
        assert verdicts(release)["hub.revision", "identity.name-version"] == "contradicted"
        asked = len(models.seen)
        save(answer_of(release, "identity.name-version"), bob, claims={**name, "revision": SHA})
        assert verdicts(release)["hub.revision", "identity.name-version"] == "inconclusive"  # asked about another
        assert len(models.seen) == asked


def test_the_release_before_is_asked_with_its_own_credentials_where_its_owner_allows_it(
    release: Release, alice: Any, bob: Any
) -> None:
    with (
        serving(Generator().handler(key="new-key-new-key")) as new,
        serving(Generator().handler(key="old-key-old-key")) as old,
    ):
        for each, server, key, may in (
            (release, old, "old-key-old-key", False),
            (make_release(release.model, alice, "2.0"), new, "new-key-new-key", True),
        ):
            headers = {"Authorization": f"Bearer {key}"}
            make_endpoint(each, alice, url=server.url, stack="vllm", may_generate=may, headers=headers)
        later = Release.objects.get(version="2.0")
        save(answer_of(later, "release.compatibility"), bob, claims={"compatible_with": "1.0"})

        def verdict() -> tuple[str, str]:
            run = services.request_run(release=later)
            client = loopback_client(timeout_s=5.0)
            runner.perform_runs(run_ids=[run.pk], client=client, only=lambda each: "compat" in each.key)
            found = Finding.objects.get(run=run, item_key="release.compatibility")
            return found.verdict, found.reason

        said = verdict()
        assert said[0] == "inconclusive"
        assert "does not allow requests that generate" in said[1]
        assert old.seen == []
        release.endpoints.update(may_generate=True)
        assert verdict()[0] == "verified"
    assert {request.headers["authorization"] for request in old.seen} == {"Bearer old-key-old-key"}
    assert {request.headers["authorization"] for request in new.seen} == {"Bearer new-key-new-key"}
