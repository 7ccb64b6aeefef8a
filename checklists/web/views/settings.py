"""People and roles, teams, sign-off routes, and one's own profile."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.paginator import Paginator
from django.db.models import Prefetch, Q
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.http import require_POST

from checklists.journal.errors import Forbidden, Invalid
from checklists.people import services
from checklists.people.models import Membership, OrganisationRole, Team, TeamRole, Token, User
from checklists.people.rules import can, require
from checklists.registry.models import Model
from checklists.signoff.routes import all_routes, set_route
from checklists.web.forms import put_errors
from checklists.web.forms.settings import (
    MemberForm,
    PersonForm,
    ProfileForm,
    RolesForm,
    RouteForm,
    TeamChangeForm,
    TeamForm,
)
from checklists.web.http import Request, signed_in, tell

PAGE = 50


@signed_in
def settings_page(request: Request) -> HttpResponse:
    """One's own name and email, and the way to password, second factor, tokens and theme."""
    user = request.user
    form = ProfileForm(request.POST or None, initial={"name": user.name, "email": user.email})
    if request.method == "POST" and form.is_valid():
        services.change_user(user=user, by=user, **form.cleaned_data)
        tell(request, "Saved.")
        return redirect("web:settings")
    return render(request, "settings/profile.html", {"form": form}, status=_status(form))


@signed_in
def people(request: Request) -> HttpResponse:
    """Everybody, with their roles; administrators add people."""
    may_add = can(request.user, "user.create")
    form = PersonForm(request.POST or None)
    if request.method == "POST":
        require(request.user, "user.create", message="Only an administrator can add people.")
        if form.is_valid():
            data = form.cleaned_data | {"password": form.cleaned_data["password"] or None}
            try:
                user = services.create_user(by=request.user, **data)
            except Invalid as refusal:
                put_errors(form, refusal)
            else:
                tell(request, f"{user} was added. Give them their roles and teams here.")
                return redirect("web:person", user.username)
    query = request.GET.get("q", "").strip()
    rows = User.objects.order_by("username").prefetch_related(
        "role_grants", Prefetch("memberships", Membership.objects.select_related("team").order_by("team__path"))
    )
    if query:
        rows = rows.filter(Q(username__icontains=query) | Q(name__icontains=query) | Q(email__icontains=query))
    if role := request.GET.get("role", ""):
        rows = rows.filter(role_grants__role=role)
    context = {
        "page_obj": Paginator(rows, PAGE).get_page(request.GET.get("page")),
        "form": form,
        "may_add": may_add,
        "query": query,
        "role": role,
        "roles": OrganisationRole.choices,
    }
    return render(request, "settings/people.html", context, status=_status(form))


@signed_in
def person(request: Request, username: str) -> HttpResponse:
    """One person: roles, teams; for administrators also their tokens, and closing the account."""
    someone = get_object_or_404(User, username=username)
    may_grant = can(request.user, "role.grant")
    held = set(someone.role_grants.values_list("role", flat=True))
    form = RolesForm(initial={"roles": sorted(held)})
    if request.method == "POST":
        require(request.user, "role.grant", message="Only an administrator can do this.")
        if request.POST.get("active") in ("yes", "no"):
            if someone.pk == request.user.pk:
                raise Forbidden("You cannot close your own account; another administrator can.")
            services.change_user(user=someone, by=request.user, is_active=request.POST["active"] == "yes")
            tell(request, f"{someone} can sign in again." if someone.is_active else f"{someone} can no longer sign in.")
            return redirect("web:person", username)
        form = RolesForm(request.POST)
        if form.is_valid():
            wanted = set(form.cleaned_data["roles"])
            try:
                for role in OrganisationRole.values:
                    if (role in wanted) != (role in held):
                        services.set_role(user=someone, role=role, granted=role in wanted, by=request.user)
            except Invalid as refusal:
                put_errors(form, refusal)
            else:
                tell(request, f"The roles of {someone} were saved.")
                return redirect("web:person", username)
    context = {
        "someone": someone,
        "form": form,
        "may_grant": may_grant,
        "role_labels": [label for role, label in OrganisationRole.choices if role in held],
        "memberships": someone.memberships.select_related("team").order_by("team__path"),
        "tokens": Token.objects.filter(user=someone, revoked_at=None).order_by("-created_at") if may_grant else [],
    }
    return render(request, "settings/person.html", context, status=_status(form))


def _parents(user: User) -> Any:
    """The teams below which a person may put another: all for administrators, else those they own, and below."""
    if can(user, "team.create"):
        return Team.objects.in_tree_order()
    condition = Q(pk__in=[])
    for path, role in user.access.own_paths.items():
        if role == TeamRole.OWNER:
            condition |= Q(path__startswith=path)
    return Team.objects.filter(condition).in_tree_order()


@signed_in
def teams(request: Request) -> HttpResponse:
    """The tree of teams; who owns one can add another below it."""
    may_root = can(request.user, "team.create")
    may_add = may_root or TeamRole.OWNER in request.user.access.own_teams.values()
    options = {"parents": _parents(request.user), "may_root": may_root}
    form = TeamForm(request.POST or None, initial={"parent": request.GET.get("parent")}, **options)
    if request.method == "POST":
        if not may_add:
            raise Forbidden("Only administrators and owners of a team can add teams.")
        if form.is_valid():
            try:
                team = services.create_team(by=request.user, **form.cleaned_data)
            except Invalid as refusal:
                put_errors(form, refusal)
            else:
                tell(request, f"{team} was created. Add its members here.")
                return redirect("web:team", team.slug)
    members = Prefetch("memberships", Membership.objects.select_related("user").order_by("role", "user__username"))
    models = Prefetch("models", Model.objects.visible_to(request.user).only("team_id"))
    found = sorted(Team.objects.prefetch_related(members, models), key=lambda row: row.ancestor_ids)
    rows = [
        {"team": row, "depth": len(row.ancestor_ids) - 1, "mine": request.user.access.team_role(row)} for row in found
    ]
    return render(
        request, "settings/teams.html", {"rows": rows, "form": form, "may_add": may_add}, status=_status(form)
    )


@signed_in
def team(request: Request, slug: str) -> HttpResponse:
    """One team and its members; its owners rename it and say who belongs to it."""
    row = get_object_or_404(Team.objects.select_related("parent"), slug=slug)
    member_form, name_form = MemberForm(), TeamChangeForm(initial={"name": row.name})
    if request.method == "POST":
        action = request.POST.get("action")
        if action == "rename":
            name_form = TeamChangeForm(request.POST)
            if name_form.is_valid():
                services.change_team(team=row, by=request.user, name=name_form.cleaned_data["name"])
                tell(request, "Renamed.")
                return redirect("web:team", slug)
        elif action == "remove":
            require(request.user, "membership.change", row, message="Only owners of the team can change its members.")
            someone = get_object_or_404(User, username=request.POST.get("username"))
            services.set_membership(team=row, user=someone, role=None, by=request.user)
            tell(request, f"{someone} is no longer a member.")
            return redirect("web:team", slug)
        else:
            require(request.user, "membership.change", row, message="Only owners of the team can change its members.")
            member_form = MemberForm(request.POST)
            if member_form.is_valid():
                someone = member_form.cleaned_data["username"]
                services.set_membership(team=row, user=someone, role=member_form.cleaned_data["role"], by=request.user)
                tell(request, f"{someone} is {member_form.cleaned_data['role']} of {row}.")
                return redirect("web:team", slug)
    above = [pk for pk in row.ancestor_ids if pk != row.pk]
    context = {
        "team": row,
        "may_change": can(request.user, "membership.change", row),
        "member_form": member_form,
        "name_form": name_form,
        "members": row.memberships.select_related("user").order_by("role", "user__username"),
        "inherited": Membership.objects.filter(team_id__in=above).select_related("user", "team").order_by("team__path"),
        "children": row.children.order_by("name"),
        "models": row.models.visible_to(request.user).order_by("name"),
        "roles": TeamRole.choices,
    }
    return render(request, "settings/team.html", context, status=_status(member_form, name_form))


@signed_in
def routes(request: Request) -> HttpResponse:
    """Who must sign, by tier, and for how long an approval holds; administrators change it."""
    stored = all_routes()
    bound: RouteForm | None = None
    if request.method == "POST":
        require(request.user, "route.change", message="Only an administrator can change who must sign.")
        bound = RouteForm(request.POST, prefix=request.POST.get("prefix") or None)
        if bound.is_valid():
            data = bound.cleaned_data
            try:
                set_route(
                    tier=data["tier"],
                    family=data["family"],
                    required=bound.required,
                    review_days=data["review_days"],
                    approval_days=data["approval_days"],
                    by=request.user,
                )
            except Invalid as refusal:
                put_errors(bound, refusal)
            else:
                tell(request, "The route was saved. Submissions already made keep the one they were made on.")
                return redirect("web:routes")
    forms = []
    for route in stored:
        prefix = f"t{route.tier}{route.family}"
        mine = bound if bound is not None and bound.prefix == prefix else None
        forms.append((route, mine or RouteForm(initial=RouteForm.initial_of(route), prefix=prefix)))
    context = {"forms": forms, "may_change": can(request.user, "route.change")}
    return render(request, "settings/routes.html", context, status=422 if bound is not None else 200)


@require_POST
def theme(request: HttpRequest) -> HttpResponse:
    """The colours by cookie, for browsers without JavaScript; back to the page it was asked from."""
    back = request.POST.get("next", "")
    if not url_has_allowed_host_and_scheme(back, {request.get_host()}):
        back = reverse("web:settings")
    response = HttpResponseRedirect(back)
    chosen = request.POST.get("theme", "")
    if chosen in ("light", "dark"):
        response.set_cookie("theme", chosen, max_age=31_536_000, samesite="Lax", secure=settings.SESSION_COOKIE_SECURE)
    else:
        response.delete_cookie("theme", samesite="Lax")
    return response


def _status(*forms: Any) -> int:
    return 422 if any(form.is_bound and form.errors for form in forms) else 200
