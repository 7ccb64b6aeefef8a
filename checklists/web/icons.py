"""Heroicons, inlined: one look-up for every icon of the product."""

import heroicons
from django.utils.safestring import SafeString, mark_safe


def icon(name: str, *, size: int = 16, label: str = "") -> SafeString:
    """The named heroicon as inline SVG, `size` in pixels; hidden from screen readers unless it has a label.

    Raises `heroicons.IconDoesNotExist` for an unknown name.
    """
    style = "micro" if size <= 16 else "mini"
    attrs: dict[str, object] = {"class": "icon", "role": "img", "aria-label": label} if label else {"class": "icon"}
    svg: str = heroicons._render_icon(style, name, size, attrs)
    if label:
        svg = svg.replace(' aria-hidden="true"', "", 1)
    return mark_safe(svg)  # noqa: S308  the package escapes attribute values and ships the paths
