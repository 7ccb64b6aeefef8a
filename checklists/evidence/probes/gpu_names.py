"""Whether a GPU that a server or an exporter names is of a type that people wrote down."""

from __future__ import annotations

import re

# H100, L40S, MI300X, T4, 4090, GH200, A10G: letters and digits; generations such as "HBM3" or "SXM5" are no chips.
_CHIP = re.compile(r"(?!hbm|sxm|pcie|gddr|nvl|gpu)(?:[a-z]{1,3}\d{1,4}[a-z]{0,2}|gaudi\d|\d{4})\Z")
_MEMORY = re.compile(r"\d+gb\Z")
# What looks like a chip and is a number format, or a generation that several chips have.
_NO_CHIP = re.compile(r"(?:fp|bf|int|nf|mx|sm|cc)\d+\Z")
# Who writes this means more types than are named.
_AT_LEAST = re.compile(
    r"(?<=\w)\+(?!\s*\w)|[≥>]"
    r"|\b(?:newer|later|better|higher|above|least|min|minimum|similar|comparable|equivalent|class)\b"
    r"|(?:\b(?:or|and)|/)\s*(?:up(?:wards?)?|greater|faster|bigger|larger|stronger|equal(?:ly)?|more|any(?!\s+of))\b"
    r"|\bany\s+(?:other|gpus?|accelerators?|cards?)\b",
    re.I,
)
_DENIED = re.compile(r"\b(?:no|not|never|without|except|excluding)\b", re.I)
# Types that people call by another's name: which one is meant is not clear.
_CALLED = {"a10g": "a10"}
# Of cards that are called by a number, what tells one from another of the same number.
_KINDS = frozenset({"ti", "super", "ada", "pro", "blackwell", "laptop", "mobile"})
_FORM = re.compile(r"(sxm|pcie|nvl|oam)\d?\Z")
# Instances, or families of them, which have GPUs and are none: a2-ultragpu, g5.xlarge, p4d.
_INSTANCES = re.compile(r".*(?:xlarge|[a-z]gpu|standard)|(?:p[2-6]|g[2-7]|a[234]|inf\d|trn\d)[a-z]{0,3}\Z")
# Accelerators, and what else a model may run on, by names without a number.
_UNNUMBERED = re.compile(
    r"\b(?:trainium|inferentia|neuron|gaudi|habana|tpus?|titan|instinct|radeon|quadro|tesla|geforce|apple|macs?|cpus?)\b",
    re.I,
)
_OTHERWISE = re.compile(r"[/,;|+&\n]|\bor\b|\band\b", re.I)
# Of a superchip the name tells the memory of its CPU.
_SUPERCHIPS = frozenset({"gh200"})


def same_gpu(claimed: str, told: str) -> bool | None:
    """Whether ``told``, the name of one GPU, is what a claim means, which may name several types (``H100 or A100``).

    The chip must be the same, and the memory where both tell it. ``None`` where that is not clear: one of them names no
    chip, or a slice of a GPU, or a card whose number several cards have, or the claim says what it is not.
    """
    theirs = _words(told)
    chips = _chips(theirs)
    found = [_same(ours, theirs, chips) for ours in _types(claimed)] if chips else []
    if not found or _DENIED.search(claimed) or ("mig" in theirs and "mig" not in _words(claimed)):
        return None
    if True in found:
        return True
    return None if None in found or names_a_least(claimed) else False


def _same(ours: set[str], theirs: set[str], chips: set[str]) -> bool | None:
    if not _chips(ours) & chips:
        called = {_CALLED.get(chip) for chip in chips}
        return None if _chips(ours) & called or any(map(_INSTANCES.match, ours)) else False
    if any(chip.isdigit() for chip in _chips(ours) & chips) and _kinds(ours) != _kinds(theirs):
        return None
    form, other = _forms(ours), _forms(theirs)
    if form and other and not form & other:
        return None
    memory = ({word for word in words if _MEMORY.match(word)} for words in (ours, theirs))
    claimed, told = memory
    told = told or ({"94gb"} if {"h100", "nvl"} <= theirs else set())
    return bool(chips & _SUPERCHIPS) or not claimed or not told or bool(claimed & told)


def _kinds(words: set[str]) -> set[str]:
    """Which of the cards of a number is meant; all of them that are called RTX PRO are of one generation."""
    return words & _KINDS | ({"blackwell"} if {"rtx", "pro"} <= words else set())


def _forms(words: set[str]) -> set[str]:
    """How a GPU is built in, where its name tells; of the H100 only the socketed one has this memory."""
    found = {match[1] for word in words if (match := _FORM.match(word))}
    return found | {"sxm"} if {"h100", "hbm3"} <= words else found


def types_in(claimed: str) -> list[str]:
    """The parts of a claim, each of which names a type (``H100 or A100``): a memory size alone belongs to the type
    before it. What stands before the first (``AWS / A100``) counts only if it may be a type too, or is all."""
    text = re.sub(r"(\d+)\s*/\s*(\d+)\s*gi?b\b", r"\1gb \2gb", claimed, flags=re.I)
    found: list[str] = []
    for part in _OTHERWISE.split(text):
        if found and not _chips(_words(part)):
            found[-1] += f" {part}"
        else:
            found.append(part)
    if len(found) > 1 and not _chips(_words(found[0])) and not _UNNUMBERED.search(found[0]):
        del found[0]
    return [part.strip() for part in found]


def names_a_least(claimed: str) -> bool:
    """Whether a claim means more types than it names: ``A100 or newer``."""
    return bool(_AT_LEAST.search(claimed))


def _types(text: str) -> list[set[str]]:
    """The types that a claim names, each in words."""
    return [words for part in types_in(text) if _chips(words := _words(part))]


def _chips(words: set[str]) -> set[str]:
    return {word for word in words if _CHIP.match(word) and not _MEMORY.match(word) and not _NO_CHIP.match(word)}


def _words(text: str) -> set[str]:
    text = re.sub(r"(\d+)[\s_-]*gi?b\b", r" \1gb ", text.casefold().replace("_", " "))
    text = re.sub(r"\b\d+\s*[x×]\s*(?=[a-z]{1,5}\s?\d)", " ", text)  # how many: 8xH100
    text = re.sub(r"(?<=\d)x\d+\b", " ", text)  # H100x8
    text = re.sub(r"\b(rtx|gtx)(?=\d)", r"\1 ", text)
    text = re.sub(r"\bgaudi[\s-]*(?=\d)", "gaudi", text)
    return {re.sub(r"(?<=\d)(?:sxm\d?|pcie|nvl|oam)\Z", "", word) for word in re.findall(r"[a-z0-9]+", text)}
