"""What every page about one release shows: its header, its tabs, and what the viewer may do here."""

from __future__ import annotations

from typing import Any

from django.db.models import Count, F, OuterRef, Subquery
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.utils import timezone

from checklists.assessments.models import Answer, Waiver
from checklists.evidence.models import Finding, ProbeSchedule
from checklists.people.rules import can
from checklists.registry.models import Endpoint, Release, Stage
from checklists.scorecards.cards import build_card
from checklists.signoff.gate import Facts, decide
from checklists.signoff.models import Party, Submission
from checklists.signoff.routes import route_for
from checklists.signoff.services import SUBMITTABLE
from checklists.signoff.snapshots import take_snapshot
from checklists.signoff.standing import standing_of
from checklists.web.http import Request

# When the release itself, without an endpoint, is probed next.
NEXT_DUE = Subquery(ProbeSchedule.objects.filter(release=OuterRef("pk"), endpoint=None).values("due_at")[:1])
READS_FINDINGS = ("checklist", "evidence")  # tabs that look into what was seen
DRAWS_FINDINGS = (*READS_FINDINGS, "review")  # tabs that draw the histogram in ``detail``
REFUSED = ("declined", "revoked")  # states of a waiver


def release_or_404(request: Request, slug: str, version: str, **annotations: Any) -> Release:
    """The release with its model, team and edition, if the viewer may see it (one query)."""
    rows = Release.objects.visible_to(request.user).with_model().annotate(**annotations)
    release: Release = get_object_or_404(rows, model__slug=slug, version=version)
    return release


def release_context(request: Request, slug: str, version: str, tab: str) -> dict[str, Any]:
    """All that ``releases/header.html`` needs, in seven queries; ``Http404`` for what the viewer may not see.

    ``tab`` is ``checklist``, ``evidence``, ``review`` or ``history``. Keys: ``release``, ``model``, ``card``
    (``scorecards.cards.Card``), ``submission`` (the latest) and its ``standing``, both None before the first;
    ``chips`` (role and where its signature stands), ``gate`` (``GateDecision``), ``tabs``, ``can`` (name → bool) and
    ``now``; and what was read on the way: ``answers`` (with people and ``comment_count``), ``findings`` (the current
    ones, without ``detail``; checklist, evidence and review get ``histogram``, the first two ``observation``),
    ``waivers`` (neither declined nor revoked), ``refused_waivers`` (the others) and ``endpoints``. Evidence gets the
    endpoints with their ``schedule`` and the release with ``next_due``.
    """
    release = release_or_404(request, slug, version, **({"next_due": NEXT_DUE} if tab == "evidence" else {}))
    now = timezone.now()
    answers = list(
        Answer.objects.filter(release=release).with_people().annotate(comment_count=Count("comments")).order_by("pk")
    )
    findings = list(
        Finding.objects.filter(release=release, current=True)
        .select_related("endpoint")
        .defer("detail", *([] if tab in READS_FINDINGS else ["observation"]))
        .annotate(**({"histogram": F("detail__histogram")} if tab in DRAWS_FINDINGS else {}))
        .order_by("item_key", "-measured_at")
    )
    asked = list(
        Waiver.objects.filter(release=release).select_related("requested_by", "decided_by").order_by("requested_at")
    )
    waivers = [waiver for waiver in asked if waiver.state not in REFUSED]
    rows = Endpoint.objects.filter(release=release).order_by("name")
    endpoints = list(rows.select_related("schedule") if tab == "evidence" else rows)
    submission = Submission.objects.filter(release=release).select_related("submitted_by").order_by("-number").first()
    parties = list(Party.objects.filter(submission__release=release).select_related("user")) if submission else []

    card = build_card(release, answers=answers, findings=findings, waivers=waivers, now=now)
    snapshot = take_snapshot(release, answers=answers, endpoints=endpoints)
    standing = standing_of(submission, parties, role_digests=snapshot.role_digests) if submission else None
    facts = Facts(card, snapshot, submission, parties)
    if standing is not None:
        chips = [(each.role, each.status) for each in standing.roles]
    else:
        chips = [(need["role"], "not asked yet") for need in route_for(release.model).required]
    return {
        "release": release,
        "model": release.model,
        "card": card,
        "submission": submission,
        "standing": standing,
        "parties": parties,
        "chips": chips,
        "gate": decide(release, artifact_digest=release.artifact_digest, now=now, facts=facts),
        "tabs": _tabs(release, tab, len(findings)),
        "tab": tab,
        "can": permissions(request, release),
        "answers": answers,
        "findings": findings,
        "waivers": waivers,
        "refused_waivers": [waiver for waiver in asked if waiver.state in REFUSED],
        "endpoints": endpoints,
        "now": now,
    }


def permissions(request: Request, release: Release) -> dict[str, bool]:
    """What the viewer may do to this release at its present stage; no query."""

    def may(action: str) -> bool:
        return can(request.user, action, release)

    still_open = not release.is_closed
    return {
        "edit": still_open and may("release.change"),
        "answer": still_open and may("answer.save"),
        "comment": may("comment.create"),
        "see_endpoints": may("endpoint.view"),
        "change_endpoints": still_open and may("endpoint.change"),
        "change_policy": may("policy.change"),
        "probe": still_open and may("probe.run"),
        "submit": release.stage in SUBMITTABLE and may("submission.create"),
        "sign": may("submission.sign"),
        "waive": still_open and may("waiver.request"),
        "launch": release.stage == Stage.APPROVED and may("release.launch"),
        "retire": release.stage != Stage.RETIRED and may("release.launch"),
        "open_release": may("release.create"),
    }


def _tabs(release: Release, active: str, findings: int) -> list[dict[str, Any]]:
    where = [release.model.slug, release.version]
    tabs = [
        ("checklist", "Checklist", reverse("web:release", args=where), None),
        ("evidence", "Evidence", reverse("web:evidence", args=where), findings or None),
        ("review", "Review", reverse("web:review", args=where), None),
        ("history", "History", reverse("web:history", args=where), None),
    ]
    within = "evidence" if active == "finding" else active
    return [{"label": label, "url": url, "active": key == within, "count": count} for key, label, url, count in tabs]
