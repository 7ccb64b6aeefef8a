"""Text as people wrote it, made harmless; and time in words."""

import pytest

from checklists.web.templatetags.readiness import score
from checklists.web.templatetags.words import grouped, in_words, markdown


@pytest.mark.parametrize(
    "attack",
    [
        "<script>alert(1)</script>",
        "<img src=x onerror=alert(1)>",
        "[click](javascript:alert(1))",
        "[click](JaVaScRiPt:alert(1))",
        "[click](data:text/html;base64,PHNjcmlwdD4=)",
        "[click]( &#106;avascript:alert(1))",
        "<a href='javascript:alert(1)' onclick='alert(1)'>x</a>",
        "![x](https://tracker.example/pixel.png)",
        "<svg onload=alert(1)>",
        '<p style="position:fixed">x</p>',
        '[x](https://a.example "\\" onmouseover=\\"alert(1)")',
    ],
)
def test_markdown_leaves_nothing_that_runs_or_loads(attack: str) -> None:
    html = markdown(attack)
    tags = [part.split(">")[0].lower() for part in html.split("<")[1:]]
    for tag in tags:
        assert not tag.startswith(("script", "img", "svg", "iframe"))
        assert " on" not in tag.replace("&quot;", "").split('title="')[0]
        assert "style=" not in tag
        for scheme in ("javascript:", "data:"):
            assert scheme not in tag


def test_markdown_keeps_what_people_mean() -> None:
    html = markdown("Goal **800 ms**, see [the runbook](https://wiki.example/run).\n\n- one\n- two")
    assert "<strong>800 ms</strong>" in html
    assert '<a href="https://wiki.example/run" rel="noopener nofollow">the runbook</a>' in html
    assert html.count("<li>") == 2


def test_no_text_gives_nothing() -> None:
    assert markdown(None) == markdown("") == ""


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (-10, "just now"),
        (-61, "1 minute ago"),
        (-14 * 60, "14 minutes ago"),
        (-3599, "1 hour ago"),
        (-26 * 3600, "1 day ago"),
        (3 * 86400, "in 3 days"),
        (-29.6 * 86400, "1 month ago"),
        (-400 * 86400, "1 year ago"),
        (-800 * 86400, "2 years ago"),
    ],
)
def test_time_is_told_in_the_largest_unit_that_fits(seconds: float, words: str) -> None:
    assert in_words(seconds) == words


def test_a_score_is_a_whole_number_or_a_dash() -> None:
    assert [score(70.6), score(0), score(None)] == ["71", "0", "–"]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("19553 samples", "19,553 samples"),
        ("Served limit 32768 tokens.", "Served limit 32,768 tokens."),
        ("between 1000 and 2500 ms", "between 1000 and 2500 ms"),
        ("until 2026-11-24, 1160.94217 ms", "until 2026-11-24, 1160.94217 ms"),
        ("http://127.0.0.1:18864/m", "http://127.0.0.1:18864/m"),
        ("acme-12345 sha256:00112233", "acme-12345 sha256:00112233"),
    ],
)
def test_long_whole_numbers_are_grouped_and_names_left_alone(text, shown):
    assert grouped(text) == shown
