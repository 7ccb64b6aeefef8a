"""Template tags for people, time, icons and Markdown: `{% load words %}`."""

import re
from datetime import datetime
from typing import Any

import nh3
from django import template
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString, mark_safe
from markdown_it import MarkdownIt

from checklists.web import icons

register = template.Library()

_markdown = MarkdownIt("commonmark", {"html": False}).enable(["table", "strikethrough"]).disable("image")
_TAGS = {
    "a", "blockquote", "br", "code", "em", "h3", "h4", "h5", "hr", "li", "ol", "p", "pre", "s", "strong",
    "table", "tbody", "td", "th", "thead", "tr", "ul",
}  # fmt: skip


@register.filter
def markdown(text: str | None) -> SafeString:
    """Markdown written by anybody as harmless HTML: no images, no raw HTML, links without referrer or credit."""
    html = nh3.clean(
        _markdown.render(text or ""),
        tags=_TAGS,
        attributes={"a": {"href", "title"}, "ol": {"start"}},
        url_schemes={"http", "https", "mailto"},
        link_rel="noopener nofollow",
    )
    return mark_safe(f'<div class="prose">{html}</div>' if html else "")  # noqa: S308  just cleaned


_LONG_NUMBER = re.compile(r"(?<![\w.,:/+-])\d{5,15}(?![\w:/-])")


@register.filter
def grouped(text: object) -> str:
    """A sentence with its long whole numbers grouped by thousands: 32768 tokens → 32,768 tokens. Names, addresses,
    dates and decimals stay as they are."""
    return _LONG_NUMBER.sub(lambda found: f"{int(found[0]):,}", str(text))


@register.simple_tag
def icon(name: str, size: int = 16, label: str = "") -> SafeString:
    """An inlined heroicon, 16 or 20 pixels; with a label it is an image of its own, else decoration."""
    return icons.icon(name, size=size, label=label)


@register.simple_tag
def avatar(user: Any) -> SafeString:
    """A person's initials in a small circle, the full name on hover; a dashed circle for nobody."""
    if user is None or not str(user):
        return mark_safe('<span class="avatar avatar--nobody" title="Nobody yet"></span>')
    name = (user.get_full_name() or user.get_username()) if hasattr(user, "get_username") else str(user)
    parts = name.replace(".", " ").replace("-", " ").replace("_", " ").split()
    initials = (parts[0][:1] + (parts[-1][:1] if len(parts) > 1 else parts[0][1:2])).upper() if parts else "?"
    return format_html(
        '<span class="avatar" title="{}"><span aria-hidden="true">{}</span>'
        '<span class="visually-hidden">{}</span></span>',
        name,
        initials,
        name,
    )


@register.simple_tag
def ago(moment: datetime | None) -> SafeString:
    """How long ago, or how soon, in words; the exact time in UTC on hover. A dash for no time."""
    if moment is None:
        return mark_safe("–")
    return format_html(
        '<time datetime="{}" title="{}">{}</time>',
        moment.isoformat(timespec="seconds"),
        f"{moment:%-d %B %Y, %H:%M} UTC",
        in_words((moment - timezone.now()).total_seconds()),
    )


def in_words(seconds: float) -> str:
    """A distance from now in words: `14 minutes ago` for negative seconds, `in 3 days` for positive ones."""
    distance = abs(seconds)
    if distance < 45:
        return "just now"
    count, unit = _rounded(distance)
    words = f"{count} {unit}" if count == 1 else f"{count} {unit}s"
    return f"{words} ago" if seconds < 0 else f"in {words}"


def _rounded(distance: float) -> tuple[int, str]:
    """The largest unit of which at least one whole fits after rounding."""
    for size, unit, next_size in (
        (60, "minute", 3600),
        (3600, "hour", 86400),
        (86400, "day", 30 * 86400),
        (30.44 * 86400, "month", 365 * 86400),
    ):
        count = max(1, round(distance / size))
        if count * size < next_size:
            return count, unit
    return max(1, round(distance / (365.25 * 86400))), "year"
