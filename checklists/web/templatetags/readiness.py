"""Template tags for the seven states: `{% load readiness %}`."""

from collections.abc import Mapping
from typing import Any

from django import template
from django.utils.html import format_html
from django.utils.safestring import SafeString

from checklists.web import bars

register = template.Library()

# Percent of the bar that even a single item gets: what two or three pixels are at that size's usual width.
MINIMUM = {"xs": 6.0, "sm": 4.0, "md": 2.0, "lg": 1.2, "xl": 0.8}
ROLES = {"mlops": "MLOps", "security": "Security", "sre": "SRE"}
ROLE_STATES = {
    "signed": "verified",
    "stands": "verified",
    "approve": "verified",
    "approved": "verified",
    "approve_with_conditions": "partly",
    "approved_with_conditions": "partly",
    "voided": "claimed",
    "request_changes": "contradicted",
    "changes_requested": "contradicted",
    "refused": "contradicted",
    "reject": "contradicted",
    "rejected": "contradicted",
}


@register.inclusion_tag("components/readiness_bar.html")
def readiness_bar(counts: Mapping[str, int] | None, size: str = "md", label: str = "") -> dict[str, Any]:
    """The bar for state → count. Sizes xs sm md lg xl; the label says what it is the bar of, for screen readers."""
    counts = counts or {}
    words = bars.in_words(counts)
    return {
        "segments": [
            (segment.state, f"{segment.x:.2f}", f"{segment.width:.2f}")
            for segment in bars.segments(counts, minimum=MINIMUM[size])
        ],
        "size": size,
        "name": f"{label}: {words}" if label else words.capitalize(),
    }


@register.simple_tag
def state_swatch(state: str) -> SafeString:
    """A 12-pixel square in the state's colour and pattern; decoration, so it has no name of its own."""
    return format_html('<svg class="swatch" aria-hidden="true"><rect class="seg seg--{}" rx="3"/></svg>', _known(state))


@register.simple_tag
def state_chip(state: str, label: str = "") -> SafeString:
    """A pill naming the state; `label` replaces the state's own name (`Stale`)."""
    state = _known(state)
    return format_html(
        '<span class="chip chip--{}">{}<span class="sign">{}</span></span>',
        state,
        state_swatch(state),
        label or bars.STATES[state],
    )


@register.inclusion_tag("components/legend.html")
def legend(counts: Mapping[str, int] | None = None, url: str = "") -> dict[str, Any]:
    """All seven states with their counts; without counts the bare alphabet. `url` makes each a link: url + state."""
    known = counts or {}
    return {
        "entries": [(state, label, known.get(state, 0)) for state, label in bars.STATES.items()],
        "counted": counts is not None,
        "url": url,
    }


@register.filter
def score(value: float | None) -> str:
    """A score between 0 and 100 as a whole number, a dash for none."""
    return "–" if value is None else str(round(value))


@register.simple_tag
def role_chip(role: str, status: str, url: str = "") -> SafeString:
    """A reviewing role and where its signature stands, such as `SRE waiting`."""
    inner = format_html(
        "{}{} <span>{}</span>",
        state_swatch(ROLE_STATES.get(status, "open")),
        ROLES.get(role, role),
        status.replace("_", " "),
    )
    if url:
        return format_html('<a class="role-chip" href="{}">{}</a>', url, inner)
    return format_html('<span class="role-chip">{}</span>', inner)


@register.filter
def state_label(state: str) -> str:
    """The state's name as people read it."""
    return bars.STATES.get(state, state)


@register.filter
def role_label(role: str) -> str:
    """The reviewing role's name as people read it."""
    return ROLES.get(role, role)


def _known(state: str) -> str:
    return state if state in bars.STATES else "open"
