"""A faulty checklist file is refused with every problem at once, in plain words, each with its line."""

from __future__ import annotations

import textwrap
from collections.abc import Callable

import pytest

from checklists.catalog.content import digest_of
from checklists.catalog.loader import BUNDLED, load, parse
from checklists.journal.errors import Invalid

SMALL = textwrap.dedent("""\
    checklist: small
    title: A small checklist
    edition: "1.0"
    sections:
      - key: performance
        title: Performance
        summary: How fast.
        items:
          - key: performance.throughput
            short: Throughput
            question: How much must it serve?
            why: Because.
            guidance: Measure it.
            examples:
              - {family: llm, text: Ten tokens.}
              - {family: vision, text: Ten images.}
            references:
              - {title: A paper}
            families: [llm, vision]
            role: sre
            qualities: [performant]
            requirement: {1: must, 2: should, 3: may}
            mode: assisted
            probes: [metrics.latency]
            claims:
              - {key: value, label: Value, type: number, unit: ms, required: true}
              - key: phase
                label: Phase
                type: choice
                choices: [{value: one, label: One}, {value: two, label: Two}]
    """)


SWAPPED = "guidance: Measure it.\n        why: Because."


def line_of(text: str) -> int:
    return next(n for n, line in enumerate(SMALL.splitlines(), 1) if text in line)


def problems_of(text: str) -> list[str]:
    with pytest.raises(Invalid) as refusal:
        parse(text, name="small.yaml")
    assert refusal.value.message.startswith("small.yaml was not loaded.")
    return refusal.value.errors["small.yaml"]


def replaced(old: str, new: str) -> str:
    assert SMALL.count(old) == 1, f"{old!r} must stand in the sample once"
    return SMALL.replace(old, new)


def test_the_small_sample_is_valid_and_filled_in() -> None:
    item = parse(SMALL, name="small.yaml")["sections"][0]["items"][0]
    assert item["justification"] == {
        "met": "optional",
        "partly": "required",
        "not_met": "required",
        "not_applicable": "required",
    }
    assert item["requirement"] == {"1": "must", "2": "should", "3": "may"}
    assert item["references"] == [{"title": "A paper", "url": ""}]
    assert item["claims"][1]["unit"] == ""


@pytest.mark.parametrize(
    ("old", "new", "anchor", "said"),
    [
        ("unit: ms, ", "", "key: value", "item performance.throughput: unit is missing for number field value"),
        ("question: How", "query: How", "question:", "item performance.throughput: unknown key query"),
        ("role: sre", "role: boss", "role: sre", "role is boss, but must be one of mlops, security, sre"),
        ("mode: assisted", "mode: magic", "mode: assisted", "mode is magic"),
        ("[llm, vision]", "[llm, vision, opera]", "families: [", "families holds opera"),
        ("[llm, vision]", "[llm, vision, llm]", "families: [", "families holds llm twice"),
        ("[performant]", "[]", "qualities", "qualities needs at least 1 of them"),
        (", 3: may}", "}", "requirement", "requirement says nothing for 3"),
        ("3: may}", "3: perhaps}", "requirement", "requirement for 3 must be one of must, should, may"),
        ("[metrics.latency]", "[Metrics]", "probes", "a probe is named like metrics.latency, not Metrics"),
        ("[metrics.latency]", "[7]", "probes", "a probe is named like metrics.latency, not 7"),
        ("family: vision,", "family: llm,", "examples:", "examples must come from at least two different families"),
        ("family: vision,", "family: audio,", "Ten images", "has an example for audio, to which it does not apply"),
        ("type: choice", "type: date", "choices: [", "choices belong to choice and multi_choice only"),
        ("type: number,", "type: text,", "key: value", "unit belongs to numbers only, this is text"),
        ("required: true", "required: perhaps", "key: value", "required is true or false"),
        ("required: true", "minimum: 5, maximum: 2", "key: value", "maximum lies below minimum"),
        ("required: true", "minimum: low", "key: value", "minimum must be a number"),
        ("{value: two,", "{value: one,", "choices: [", "choice one stands here a second time"),
        ("key: phase", "key: value", "key: phase", "claim field value stands here a second time"),
        ("short: Throughput", f"short: {'x' * 41}", "short:", "short has 41 characters, at most 40 fit"),
        ("why: Because.", "why: ", "why:", "why must be text"),
        ("why: Because.", 'why: ""', "why:", "why is empty"),
        ("{title: A paper}", "{title: A paper, url: 'javascript:a()'}", "A paper", "reference address must begin with"),
        ('edition: "1.0"', "edition: 1.0", "edition:", "edition must be text (put it in quotes)"),
        ('edition: "1.0"', 'edition: "next"', "edition:", "edition is not well formed: next"),
        ("key: performance.throughput", "key: speed.throughput", "key: performance.", "key must be performance."),
        ("title: Performance", "title: 3", "title: Performance", "section performance: title must be text"),
        ("mode: assisted", "role: sre", "mode: assisted", "role stands here a second time"),
    ],
)
def test_a_mistake_is_named_with_its_line(old: str, new: str, anchor: str, said: str) -> None:
    found = problems_of(replaced(old, new))
    assert any(problem.startswith(f"line {line_of(anchor)}: ") and said in problem for problem in found), found


def test_every_mistake_is_told_at_once_in_the_order_of_lines() -> None:
    text = replaced("role: sre", "role: boss").replace("mode: assisted", "mode: magic").replace("unit: ms, ", "")
    found = problems_of(text)
    assert len(found) == 3
    assert [int(problem.split(":")[0].removeprefix("line ")) for problem in found] == [
        line_of("role: sre"), line_of("mode: assisted"), line_of("key: value"),
    ]  # fmt: skip


def test_an_item_that_stands_twice_is_refused() -> None:
    item = SMALL[SMALL.index("      - key: performance.throughput") :]
    found = problems_of(SMALL + item)
    assert found == [f"line {len(SMALL.splitlines()) + 1}: item performance.throughput stands here a second time"]


def test_an_item_for_a_single_family_needs_one_example_only() -> None:
    text = replaced("[llm, vision]", "[llm]").replace("          - {family: vision, text: Ten images.}\n", "")
    assert parse(text, name="small.yaml")["sections"][0]["items"][0]["families"] == ["llm"]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "- a\n- b\n",
        "text",
        "a: [1, 2",
        "a: !!python/object/apply:os.system [echo]",
        "sections: {}",
        "sections: [3, null]",
    ],
)
def test_what_is_no_checklist_at_all_is_refused_with_a_line(text: str) -> None:
    assert all(problem.startswith("line ") for problem in problems_of(text))


def test_a_file_that_is_not_there_is_refused_in_a_sentence() -> None:
    with pytest.raises(Invalid, match="cannot be read"):
        load(BUNDLED.with_name("missing.yaml"))


@pytest.mark.parametrize(
    ("change", "same"),
    [
        (lambda text: f"# a comment\n\n{text}", True),
        (lambda text: text.replace("why: Because.\n        guidance: Measure it.", SWAPPED), True),
        (lambda text: text.replace("title: A small checklist", 'title:   "A small checklist"'), True),
        (lambda text: text.replace("{1: must,", '{"1": must,'), True),
        (lambda text: text.replace("Because.", "Because!"), False),
        (lambda text: text.replace("unit: ms", "unit: s"), False),
        (lambda text: text.replace("{value: one, label: One}", "{value: three, label: Three}"), False),
    ],
)  # fmt: skip
def test_the_digest_follows_what_is_said_and_not_how_it_is_written(change: Callable[[str], str], same: bool) -> None:
    changed = change(SMALL)
    assert changed != SMALL
    assert (digest_of(parse(SMALL, name="a")) == digest_of(parse(changed, name="b"))) is same
