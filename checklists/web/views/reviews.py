"""Signing off: the queue, the review of one release, submissions."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.core.paginator import Paginator
from django.db.models import Q
from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_POST, require_safe

from checklists.assessments.models import Waiver
from checklists.assessments.services import review_answers
from checklists.catalog.editions import ItemView, view
from checklists.journal.errors import Conflict, Forbidden, Invalid, WrongStage
from checklists.journal.hashing import canonical_json
from checklists.people.models import User
from checklists.people.rules import can, require
from checklists.signoff.models import Condition, Party, SignOff, Submission
from checklists.signoff.routes import route_for
from checklists.signoff.services import complete_condition, submit, what_is_missing, why_not_sign
from checklists.signoff.services import sign as give_signature
from checklists.signoff.standing import Standing, standing_of
from checklists.web.forms import put_errors
from checklists.web.forms.reviews import DecisionForm, SubmissionForm
from checklists.web.http import Request, signed_in, tell, wants_fragment
from checklists.web.release_page import release_context, release_or_404
from checklists.web.review_page import build_review, remarks, role_label, submitted_answers, verdicts_by

PAGE = 50
RECENT = 8


@require_safe
@signed_in
def reviews(request: Request) -> HttpResponse:
    """Pending submissions, the oldest promise first: for reviewers those that wait for them, then the others."""
    user = request.user
    roles = user.access.reviewer_roles
    pending = (
        Submission.objects.visible_to(user)
        .pending()
        .with_release()
        .select_related("release__scorecard")
        .defer("snapshot", "evidence")
    )
    page = Paginator(pending, PAGE).get_page(request.GET.get("page"))
    entries = queue(user, page)
    waivers = Waiver.objects.visible_to(user).select_related("item", "release__model__team", "requested_by")
    waivers = waivers.waiting_for(roles).order_by("requested_at") if roles else waivers.none()
    recent = (
        SignOff.objects.filter(submission__in=Submission.objects.visible_to(user))
        .select_related("user", "submission__release__model")
        .defer("submission__snapshot", "submission__evidence")
        .order_by("-signed_at")[:RECENT]
    )
    context = {
        "page_obj": page,
        "mine": [each for each in entries if each["mine"]],
        "others": [each for each in entries if not each["mine"]],
        "roles": roles,
        "waivers": [(each, each.requested_by_id == user.pk) for each in waivers],
        "recent": recent,
        "now": timezone.now(),
    }
    return render(request, "reviews/queue.html", context)


def queue(user: User, submissions: Iterable[Submission]) -> list[dict[str, Any]]:
    """Each submission with where its signatures stand and whether it waits for this person; one query."""
    rows = list(submissions)
    parties: dict[int, list[Party]] = {}
    of_releases = Party.objects.filter(submission__release__in=[row.release_id for row in rows])
    for party in of_releases.select_related("submission").only(
        "submission__release_id", "user_id", "part", "role", "decision", "role_digest", "voided_at"
    ):
        parties.setdefault(party.submission.release_id, []).append(party)
    entries = []
    for row in rows:
        own = parties.get(row.release_id, [])
        standing = standing_of(row, own)
        open_roles = [role for role in user.access.reviewer_roles if (s := standing.of(role)) and not s.stands]
        whys = {role: why_not_sign(submission=row, role=role, by=user, parties=own) for role in open_roles}
        entries.append(
            {
                "submission": row,
                "release": row.release,
                "standing": standing,
                "mine": [role for role, why in whys.items() if why is None],
                "why_not": next((why for why in whys.values() if why), ""),
            }
        )
    return entries


@signed_in
def review(request: Request, slug: str, version: str) -> HttpResponse:
    """The review tab. POST ``item`` and ``verdict`` (accept, or flag with ``remark``): a reviewer's word on an item."""
    if request.method == "POST":
        return _decide_item(request, slug, version)
    return review_page(request, slug, version)


def review_page(
    request: Request, slug: str, version: str, *, form: DecisionForm | None = None, error: Any = None, status: int = 200
) -> HttpResponse:
    """The whole tab; ``form`` and ``error`` when a signature was refused."""
    context = _review_context(request, slug, version, request.POST.get("role") or request.GET.get("role", ""))
    found = context["review"]
    context |= {
        "form": form or DecisionForm(initial={"role": found.role}),
        "error": error,
        "conditions": _conditions(context),
        "declined": _declined(context) if context["can"]["waive"] else [],
        "gate_url": request.build_absolute_uri(reverse("api:gate")),
    }
    return render(request, "reviews/review.html", context, status=status)


def _review_context(request: Request, slug: str, version: str, role: str) -> dict[str, Any]:
    context = release_context(request, slug, version, "review")
    found = build_review(context, request.user, role)
    edition = view(context["release"].edition)
    context["review"] = found
    context["remarks"] = remarks(context["parties"], context["submission"])
    context["flags"] = [
        (edition.item_by_id(answer.item_id), answer) for answer in context["answers"] if answer.is_flagged
    ]
    context["waiver_rows"] = [(edition.item_by_id(waiver.item_id), waiver) for waiver in context["waivers"]]
    return context


def _conditions(context: dict[str, Any]) -> list[Condition]:
    """Follow-ups of this release's approvals; not asked for where no approval had any."""
    if not any(party.decision == "approve_with_conditions" for party in context["parties"]):
        return []
    rows = Condition.objects.filter(sign_off__submission__release=context["release"])
    return list(rows.select_related("sign_off__user", "done_by"))


def _declined(context: dict[str, Any]) -> list[tuple[ItemView, Waiver]]:
    """The waivers that reviewers refused last, for those who asked."""
    edition = view(context["release"].edition)
    newest = sorted(context["refused_waivers"], key=lambda waiver: waiver.decided_at, reverse=True)
    return [(edition.item_by_id(waiver.item_id), waiver) for waiver in newest[:5]]


def _decide_item(request: Request, slug: str, version: str) -> HttpResponse:
    """Accept or flag one item, then the page again, or to htmx the card with the list and the decision beside it."""
    release = release_or_404(request, slug, version)
    require(request.user, "submission.sign", release, message="Only reviewers accept or flag items.")
    key, verdict = request.POST.get("item", ""), request.POST.get("verdict", "")
    context = _review_context(request, slug, version, request.POST.get("role", ""))
    found = context["review"]
    each = next((each for each in found.items if each.item.key == key), None)
    if each is None or verdict not in ("accept", "flag"):
        raise Invalid("Nothing was accepted or flagged: there is no such item in this review.")
    if not each.may_decide:
        raise Forbidden(found.why_not or "Another role owns this item.")
    if request.POST.get("revision", str(each.answer.revision)) != str(each.answer.revision):
        raise Conflict("Nothing was accepted or flagged: the answer changed since you read it. Read it again.")
    remark = request.POST.get("remark", "").strip()
    if verdict == "flag" and not remark:
        raise Invalid("Say in a few words what is wrong with it.")
    review_answers(
        release=release,
        by=request.user,
        accepted=[key] if verdict == "accept" else [],
        flagged={key: remark} if verdict == "flag" else {},
    )
    where = [slug, version]
    if not wants_fragment(request):
        return redirect(f"{reverse('web:review', args=where)}?role={found.role}#{key}")
    context = _review_context(request, slug, version, found.role or "")
    context["each"] = next(each for each in context["review"].items if each.item.key == key)
    context["swapped"] = True
    return render(request, "reviews/decided.html", context)


@signed_in
@require_POST
def sign(request: Request, slug: str, version: str, number: int) -> HttpResponse:
    """A role's decision on one submission; items accepted and flagged in the review go with it."""
    row = _submission_or_404(request, slug, version, number)
    require(request.user, "submission.sign", row, message="Only reviewers sign.")
    form = DecisionForm(request.POST)
    if not form.is_valid():
        return review_page(request, slug, version, form=form, status=422)
    data = form.cleaned_data
    context = _review_context(request, slug, version, data["role"])
    accepted, flagged = (
        verdicts_by(request.user, context["review"]) if context["review"].role == data["role"] else ([], {})
    )
    try:
        give_signature(
            submission=row,
            role=data["role"],
            decision=data["decision"],
            by=request.user,
            comment=data["comment"],
            conditions=form.conditions,
            accepted_items=accepted,
            flagged_items=flagged,
        )
    except Invalid as refusal:
        put_errors(form, refusal)
        return review_page(request, slug, version, form=form, status=422)
    except (WrongStage, Conflict) as refusal:
        return review_page(request, slug, version, form=form, error=refusal, status=409)
    tell(request, f"Signed as {role_label(data['role'])}: {form.cleaned_data['decision'].replace('_', ' ')}.")
    return redirect("web:review", slug, version)


def _submission_or_404(request: Request, slug: str, version: str, number: int) -> Submission:
    row: Submission = get_object_or_404(
        Submission.objects.visible_to(request.user).with_release(),
        release__model__slug=slug,
        release__version=version,
        number=number,
    )
    return row


@signed_in
def submission_create(request: Request, slug: str, version: str) -> HttpResponse:
    """Asks for a note and says what will be frozen; lists what is missing instead, while something is."""
    context = release_context(request, slug, version, "review")
    release = context["release"]
    require(request.user, "submission.create", release, message="Only owners and contributors of the team can submit.")
    form = SubmissionForm(request.POST or None)
    status, error = 200, None
    if request.method == "POST" and form.is_valid():
        try:
            row = submit(release=release, by=request.user, note=form.cleaned_data["note"])
        except WrongStage as refusal:
            error, status = refusal, 409
        else:
            tell(request, f"Submission {row.number} is frozen, and its reviewers know of it.")
            return redirect("web:review", slug, version)
    card = context["card"]
    missing = [row for row in card.blockers if row.is_must] if what_is_missing(card) else []
    context |= {
        "form": form,
        "error": error,
        "missing": missing,
        "contradicted_only": [row for row in card.contradictions if not row.is_must],
        "carried_over": sum(answer.carried_over for answer in context["answers"]),
        "route": route_for(release.model),
        "answered": sum(answer.status != "unanswered" for answer in context["answers"]),
    }
    return render(request, "reviews/submit.html", context, status=status)


@require_safe
@signed_in
def submission(request: Request, slug: str, version: str, number: int) -> HttpResponse:
    """What was frozen, as people and as machines read it (``?format=json``: the very bytes of the digest)."""
    row = _submission_or_404(request, slug, version, number)
    wanted = request.GET.get("format", "")
    may_download = can(request.user, "endpoint.view", row.release)
    if wanted == "json":
        require(request.user, "endpoint.view", row.release, message="It names endpoints, which are not for you to see.")
        response = HttpResponse(canonical_json(row.snapshot), content_type="application/json")
        response["Content-Disposition"] = f'attachment; filename="{slug}-{version}-submission-{number}.json"'
        return response
    if wanted:
        raise Http404
    parties = list(Party.objects.filter(submission__release=row.release).select_related("user", "submission"))
    standing: Standing = standing_of(row, parties)
    context = {
        "submission": row,
        "release": row.release,
        "model": row.release.model,
        "standing": standing,
        "remarks": remarks(parties, row),
        "sections": submitted_answers(row, view(row.release.edition)),
        "may_download": may_download,
        "now": timezone.now(),
    }
    return render(request, "reviews/submission.html", context)


@signed_in
@require_POST
def condition_done(request: Request, slug: str, version: str, pk: int) -> HttpResponse:
    """Ticks off a follow-up."""
    visible = Q(sign_off__submission__in=Submission.objects.visible_to(request.user))
    here = {"sign_off__submission__release__model__slug": slug, "sign_off__submission__release__version": version}
    rows = Condition.objects.select_related("sign_off__submission__release__model__team")
    condition = get_object_or_404(rows.filter(visible, **here), pk=pk)
    complete_condition(condition=condition, by=request.user)
    tell(request, "Ticked off.")
    return redirect(f"{reverse('web:review', args=[slug, version])}#conditions")
