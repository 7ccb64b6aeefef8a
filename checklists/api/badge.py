"""A small picture that says how ready a model is, for a page of one's own."""

from __future__ import annotations

import hashlib
from typing import Any

from django.conf import settings
from django.contrib.auth.models import AnonymousUser
from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404
from django.utils.cache import get_conditional_response, patch_vary_headers
from django.utils.html import format_html
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.views import APIView

from checklists.people.models import User
from checklists.registry.models import Model, Release, Stage

GREEN, AMBER, RED, GREY = "#2f6b45", "#805500", "#9c2f2f", "#5a6270"  # all carry white text at 4.5:1 or more
LABEL_WIDTH = 62
CHARACTER = 6.6  # an average glyph of Verdana at 11 px
SVG = """<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="20" role="img" aria-label="{label}">\
<title>{label}</title><rect width="{width}" height="20" rx="3" fill="#3a4048"/>\
<path d="M{left} 0h{inner}a3 3 0 0 1 3 3v14a3 3 0 0 1 -3 3h-{inner}z" fill="{colour}"/>\
<g fill="#fff" font-family="Verdana,DejaVu Sans,sans-serif" font-size="11" text-anchor="middle">\
<text x="{label_at}" y="14">preflight</text><text x="{text_at}" y="14">{text}</text></g></svg>"""


def say(release: Release | None) -> tuple[str, str]:
    """Text and colour for the latest active release, with its stored scorecard."""
    card = getattr(release, "scorecard", None)
    if release is None or card is None:
        return "no release", GREY
    share = "" if card.readiness is None else f" {card.readiness} %"
    if card.contradicted:
        return f"contradicted{share}", RED
    if release.stage in (Stage.APPROVED, Stage.LIVE):
        return (f"ready{share}", GREEN) if not card.must_open else (f"blocked{share}", AMBER)
    return f"{release.get_stage_display().lower()}{share}", AMBER if release.stage != Stage.DRAFT else GREY


def draw(text: str, colour: str) -> str:
    width = round(len(text) * CHARACTER) + 14
    return format_html(
        SVG,
        width=LABEL_WIDTH + width,
        left=LABEL_WIDTH,
        inner=width - 3,
        colour=colour,
        label=f"Preflight: {text}",
        label_at=LABEL_WIDTH / 2,
        text_at=LABEL_WIDTH + width / 2,
        text=text,
    )


class Badge(APIView):
    """For whoever sees the model; for anybody where the installation shows badges in public and the model is open."""

    permission_classes = [AllowAny]
    schema = None

    def perform_content_negotiation(self, request: Request, force: bool = False) -> Any:
        return super().perform_content_negotiation(request, force=True)  # a picture, whatever an <img> accepts

    def get(self, request: Request, slug: str) -> HttpResponse:
        """The SVG; 304 for whoever has it already."""
        public = bool(settings.PREFLIGHT["PUBLIC_BADGES"])
        user: User | AnonymousUser = request.user
        if "\x00" in slug or not (public or isinstance(user, User)):
            raise Http404
        models = Model.objects.visible_to(user) if isinstance(user, User) else Model.objects.filter(restricted=False)
        model = get_object_or_404(models, slug=slug)
        releases = model.releases.active().select_related("scorecard")
        picture = draw(*say(releases.order_by("-created_at", "-pk").first()))
        etag = f'"{hashlib.sha256(picture.encode()).hexdigest()[:20]}"'
        answer = HttpResponse(picture, content_type="image/svg+xml")
        found = get_conditional_response(request._request, etag=etag, response=answer)
        response = found if isinstance(found, HttpResponse) else answer
        response["ETag"] = etag
        response["Cache-Control"] = "public, max-age=60" if public and not model.restricted else "private, max-age=60"
        patch_vary_headers(response, ["Cookie", "Authorization"])
        return response
