"""What is frozen when a release is submitted, and the digests that a sign-off belongs to."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from checklists.assessments.models import Answer
from checklists.catalog.editions import view
from checklists.journal.hashing import digest
from checklists.registry.models import Endpoint, Release
from checklists.registry.services import endpoint_facts
from checklists.signoff.models import Role


@dataclass(frozen=True)
class Snapshot:
    """The canonical content, its SHA-256, and the SHA-256 of each role's part.

    A role's part is what all roles share (artefact, environment, endpoints, edition, family and tier) and the answers
    to the items it owns. When people move teams or a launch date shifts, nothing that was reviewed has changed.
    """

    content: dict[str, Any]
    digest: str
    role_digests: dict[str, str]


def take_snapshot(
    release: Release, *, answers: Iterable[Answer] | None = None, endpoints: Iterable[Endpoint] | None = None
) -> Snapshot:
    """The present content of a release (with ``model`` and ``edition`` loaded): two queries unless handed in."""
    answers = release.answers.all() if answers is None else answers
    endpoints = release.endpoints.all() if endpoints is None else endpoints
    edition = view(release.edition)
    shared = {
        "format": 1,
        "model": {"slug": release.model.slug, "family": release.model.family, "tier": release.model.tier},
        "release": {
            "version": release.version,
            "revision": release.revision,
            "artifact_digest": release.artifact_digest,
            "environment": release.environment,
        },
        "edition": {"checklist": edition.checklist_slug, "edition": edition.edition, "digest": edition.digest},
        "endpoints": sorted((endpoint_facts(endpoint) for endpoint in endpoints), key=lambda facts: str(facts["name"])),
    }
    said: dict[str, dict[str, Any]] = {}
    by_role: dict[str, dict[str, Any]] = {role: {} for role in Role.values}
    for answer in answers:
        item = edition.item_by_id(answer.item_id)
        facts = {
            "status": answer.status,
            "claims": answer.claims,
            "justification": answer.justification,
            "links": answer.links,
            "carried_over": answer.carried_over,
        }
        said[item.key] = by_role[item.role][item.key] = facts
    content = {**shared, "answers": said}
    return Snapshot(
        content, digest(content), {role: digest({**shared, "answers": part}) for role, part in by_role.items()}
    )
