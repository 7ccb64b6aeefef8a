"""What the database knows of a release, as far as probes may know it."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.db.models import Count, OuterRef, Q, Subquery

from checklists.assessments.models import Answer
from checklists.people.models import Membership, Team
from checklists.registry.models import Endpoint, Release, Stage

OWNER, COMPATIBILITY = "operations.owner", "release.compatibility"


def release_facts(release: Release) -> dict[str, Any]:
    """Facts for ``Target.facts``, by name; JSON, no secrets. Four queries (``model__team`` loaded).

    ``team``: the model's ``own``, and those that the claim on ownership names (``named``, for the text ``asked``), each
    with how many active ``members`` it and the teams below it have. ``architecture`` and ``modelspec`` as on file, or
    ``None``. ``previous``: the release that the claim on compatibility names, else the one carried over, else the
    newest that is live, with its endpoints; or ``None``. ``hub_url``, ``oci_url``: empty if nobody is to be asked.
    """
    rows = Answer.objects.filter(release=release, item__key__in=(OWNER, COMPATIBILITY))
    said = {key: claims for key, claims in rows.values_list("item__key", "claims") if isinstance(claims, dict)}
    asked = said.get(OWNER, {}).get("team")
    return {
        "team": _teams(release, asked if isinstance(asked, str) else ""),
        "architecture": release.architecture,
        "modelspec": release.modelspec,
        "previous": _previous(release, said.get(COMPATIBILITY, {}).get("compatible_with")),
        "hub_url": settings.PREFLIGHT["HUB_URL"],
        "oci_url": settings.PREFLIGHT["OCI_URL"],
    }


def _teams(release: Release, asked: str) -> dict[str, Any]:
    below = Membership.objects.filter(team__path__startswith=OuterRef("path"), user__is_active=True).order_by()
    members = below.values("user__is_active").annotate(people=Count("user", distinct=True)).values("people")
    name = asked.strip().removeprefix("Team ").removeprefix("team ").strip()[:120]
    wanted = Q(pk=release.model.team_id) | Q(name__iexact=name) | Q(name__iexact=asked.strip()[:120])
    teams = Team.objects.filter(wanted | Q(slug__iexact=name)).annotate(people=Subquery(members)).order_by("path")[:20]
    meant = {asked.strip().casefold(), name.casefold()}
    own: dict[str, Any] | None = None
    named: list[dict[str, Any]] = []
    for pk, title, slug, path, people in teams.values_list("pk", "name", "slug", "path", "people"):
        team = {"name": title, "path": path, "members": people or 0}
        own = team if pk == release.model.team_id else own
        if {title.casefold(), slug.casefold()} & meant:
            named.append(team)
    return {"own": own, "named": named, "asked": asked}


def _previous(release: Release, claimed: Any) -> dict[str, Any] | None:
    others = Release.objects.filter(model=release.model_id).exclude(pk=release.pk).order_by("-created_at")
    wanted = Q(stage=Stage.LIVE) | Q(pk=release.carried_over_from_id or 0)
    if isinstance(claimed, str) and claimed:
        wanted |= Q(version=claimed[:60])
    rows = list(others.filter(wanted).values_list("pk", "version", "stage", "created_at")[:50])
    best = max(
        rows,
        key=lambda row: (
            row[1] == claimed,
            row[0] == release.carried_over_from_id,
            row[3] < release.created_at,
            row[3],
        ),
        default=None,
    )
    endpoints = Endpoint.objects.filter(release_id=best[0] if best else 0).order_by("name")
    served = list(endpoints.values("name", "url", "stack"))
    return {"version": best[1], "endpoints": served} if best else None
