"""Will it fit? The claims of a release against each other and against the shape of its model; nothing is sent."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from checklists.evidence.capacity import (
    MOST,
    UTILISATION,
    Gpu,
    Plan,
    Width,
    cache_widths,
    count_of,
    gib,
    gpus_named,
    kept_bits,
    least_gib,
    weight_widths,
    working_gib,
)
from checklists.evidence.probes.base import (
    CONTRADICTED,
    INCONCLUSIVE,
    NONE,
    VERIFIED,
    Judgement,
    Probe,
    dict_of,
    inconclusive,
    joined,
    list_of,
    nothing_claimed,
    number_of,
    plain,
    text_of,
    texts_of,
)
from checklists.evidence.probes.gpu_names import names_a_least, types_in
from checklists.evidence.probes.visit import Claims, Observation, Visit
from checklists.evidence.stacks import Stack
from checklists.journal.errors import Invalid
from checklists.registry.architecture import Architecture, shape

PARALLELISM, PEAK, RUNTIME = "compute.parallelism", "compute.peak-memory", "operations.runtime-constraints"
GPUS, FORMATS, INPUT = "identity.gpu-precision", "compute.quantization", "identity.input-limits"
# In the document the size of a model is a short word: 8b, 1.5B, 560m. 8x7b is no product: experts share the rest.
_SIZE = re.compile(r"(\d{1,4}(?:\.\d{1,3})?)\s*([bmBM])\Z")
_SCALE = {"b": 1e9, "m": 1e6}
ROUNDED = 0.9  # "8b" stands for anything from a little less on
_TOKENS = re.compile(r"(\d[\d,.']*)\s*(k)?\s*(?:input\s+)?tokens?\b", re.IGNORECASE)
_NODES = re.compile(
    r"\b(?:nodes|servers|machines|hosts|instances|boxes)\b|(?:[2-9]|\d\d)[\s-]*(?:node|server|machine|host|dgx|hgx)\b",
    re.I,
)
NEED = (
    "Contradicted if the weights and the cache of one sequence, in the narrowest precision claimed and with nothing "
    "kept twice, exceed the memory printed on the GPUs' boxes. Arithmetic does not show what a server is set to."
)
SPLIT = (
    "GPUs = tensor × pipeline parallel (or a multiple, for replicas inside a replica); attention heads divisible by "
    "tensor parallel; heads of keys and values divisible by it or it by them; at least one layer a stage; the weights "
    "fit. Verified only for one GPU, when everything claimed fits in the widest reading of the claims."
)
PEAK_RULE = (
    "Contradicted if the peak is less than the weights and one sequence of the stated input, in the narrowest "
    "precision claimed, or more than the GPUs of a replica have. Arithmetic refutes a peak, it does not measure one."
)


class Capacity(Probe):
    """Memory and split by arithmetic: what cannot hold is contradicted before anything is deployed."""

    key = "capacity.arithmetic"
    title = "Capacity arithmetic"
    items = (PEAK, PARALLELISM, RUNTIME)
    also_reads = (GPUS, FORMATS, INPUT, PEAK, PARALLELISM, RUNTIME)
    about = "release"
    reads = ("arithmetic",)
    sends = "Nothing: it reckons from the claims and the model's config.json."
    local = True
    ttl = timedelta(days=365)

    async def observe(self, visit: Visit) -> Observation:
        facts = visit.target.facts
        document = dict_of(facts.get("modelspec"))
        return {
            "architecture": dict_of(facts.get("architecture")),
            "size": text_of(dict_of(document.get("config")).get("paramSize")),
            "claimed": [item for item in self.items if visit.target.claims.get(item)],
        }

    def speaks_to(self, observation: Observation) -> tuple[str | None, ...]:
        """Only of what is claimed: it looks again whenever that changes, and a new release has no findings yet."""
        return tuple(item for item in self.items if item in list_of(observation.get("claimed")))

    def judge(
        self, item_key: str | None, claims: Claims, observation: Observation, others: Mapping[str, Claims] = NONE
    ) -> Judgement:
        said = {**others, str(item_key): claims}
        model = _model(observation)
        setting = _setting(said, model)
        if item_key == PARALLELISM:
            return _split(claims, setting, model)
        if item_key == PEAK:
            return _peak(claims, setting, model)
        return _runtime(claims, setting, model)

    def settles(self, item_key: str, stack: Stack) -> str:
        if item_key == PARALLELISM:
            return ""
        if item_key in self.items:
            return "Arithmetic can refute it before anything runs, but only a running server confirms it."
        return super().settles(item_key, stack)


@dataclass(frozen=True)
class Model:
    """What is known of the model: its shape if there is one, and how many parameters at least and at most."""

    shape: Architecture | None
    why: str  # there is no usable shape
    least: float | None
    most: float | None


def size_of(text: Any) -> float | None:
    """Parameters as a ModelSpec document writes them (``8b``, ``1.5B``, ``560m``), else ``None``."""
    size = _SIZE.match(text_of(text))
    return float(size[1]) * _SCALE[size[2].lower()] or None if size else None


def _model(observation: Observation) -> Model:
    stated = size_of(observation.get("size"))
    document = dict_of(observation.get("architecture"))
    if not document:
        why = "The model's config.json is not on file; with it, memory can be reckoned."
        return Model(None, why, stated and stated * ROUNDED, None)
    try:
        found = shape(document)
    except Invalid as refusal:
        return Model(None, f"The config.json on file cannot be reckoned with. {refusal.message}", None, None)
    if found.counted:
        return Model(found, "", found.parameters, None if found.partial else found.parameters * 1.02)
    return Model(found, "", stated and stated * ROUNDED, None)


@dataclass(frozen=True)
class Setting:
    """What is claimed about the deployment; ``None`` or empty where nothing is."""

    kinds: tuple[Gpu, ...]
    unknown: tuple[str, ...]
    count: int | None
    tensor: int | None
    pipeline: int | None
    widths: tuple[Width, ...]
    narrow: Width
    wide: Width
    context: int | None
    concurrency: int | None
    batched: int | None
    offloads: bool

    @property
    def most_gib(self) -> float | None:
        """What the GPUs of one replica have at most, going by their boxes; ``None`` if that is not known."""
        if not self.kinds or self.unknown or self.count is None:
            return None
        return max(gpu.size for gpu in self.kinds) * float(self.count)

    @property
    def shown(self) -> str:
        names = joined(list(dict.fromkeys(gpu.name for gpu in self.kinds)), 3)
        return f"{self.count or '?'} × {names or '?'}"

    @property
    def missing(self) -> str:
        """What to claim so that it can be reckoned, in words; empty if all is there."""
        wanted = []
        if not self.kinds and not self.unknown:
            wanted.append("the GPU types")
        if self.count is None:
            wanted.append("the GPUs per replica")
        if not self.widths:
            wanted.append("the precisions")
        if wanted:
            return f"To reckon it, claim {' and '.join(wanted)}."
        if self.unknown:
            return f"How much memory {joined(list(self.unknown), 3)} has is not known here."
        return ""


def _whole(value: Any) -> int | None:
    number = number_of(value)
    return int(number) if number is not None and number >= 1 else None


def _setting(said: Mapping[str, Claims], model: Model) -> Setting:
    gpus, split, runtime = said.get(GPUS, {}), said.get(PARALLELISM, {}), said.get(RUNTIME, {})
    claimed = texts_of(gpus.get("gpu_types"))
    texts = [part for text in claimed for part in types_in(text)]
    named = {text: gpus_named(text) for text in texts}
    unknown = [text for text, found in named.items() if not found] + list(filter(names_a_least, claimed))
    tensor, pipeline = _whole(split.get("tensor_parallel")), _whole(split.get("pipeline_parallel"))
    counted = {count for text in (*claimed, *texts) if (count := count_of(text)) is not None}
    if any(map(_NODES.search, claimed)):  # how many GPUs are named may be those of each
        counted = set()
    count = _whole(split.get("gpus"))
    if count is None:
        count = max((tensor or 0) * (pipeline or 1), counted.pop() if len(counted) == 1 else 0) or None
    precisions = texts_of(gpus.get("precisions"))
    formats = texts_of(said.get(FORMATS, {}).get("formats"))
    narrow, wide = cache_widths(precisions)
    entered = said.get(INPUT, {})
    largest = _whole(entered.get("max_input")) if entered.get("unit") == "tokens" else None
    return Setting(
        kinds=tuple(gpu for found in named.values() for gpu in found),
        unknown=tuple(dict.fromkeys(unknown)),
        count=count,
        tensor=tensor,
        pipeline=pipeline,
        widths=tuple(weight_widths(precisions, formats, model.shape.bits if model.shape else None)),
        narrow=narrow,
        wide=wide,
        context=_whole(runtime.get("context_tokens")) or largest,
        concurrency=_whole(runtime.get("max_concurrency")),
        batched=_whole(runtime.get("max_batched_tokens")),
        offloads="gguf" in formats,
    )


def _gib(value: float) -> str:
    return f"{plain(round(value, 1))} GiB"


def _billions(parameters: float) -> str:
    return f"{plain(round(parameters / 1e9, 2))} billion parameters"


def _tokens(count: int) -> str:
    return f"{count:,} tokens"


# What one sequence needs, against what there is


def _too_much(setting: Setting, model: Model, tokens: int) -> str:
    """Why the weights and one sequence of so many tokens cannot fit; empty if they might."""
    have = setting.most_gib
    if have is None or model.least is None or not setting.widths or setting.offloads:
        return ""
    width = setting.widths[0]
    cache = model.shape.cache if model.shape else ()
    need = least_gib(model.least, width.least, cache, setting.narrow.least, tokens)
    if need <= have:
        return ""
    weights = gib(model.least * width.least)
    parts = [f"{_gib(weights)} of weights ({_billions(model.least)} in {width.name})"]
    if tokens and need > weights:
        kept = f"{_gib(need - weights)} of keys and values for one sequence of {_tokens(tokens)}"
        parts.append(f"{kept} in {setting.narrow.name}")
    return (
        f"At least {_gib(need)} are needed: {' and '.join(parts)}. {setting.shown} have {_gib(have)} at most, going by "
        "their boxes."
    )


def _plan(setting: Setting, model: Model, gpu: Gpu, width: Width, cache: Width, *, proof: bool = False) -> Plan | None:
    """The claimed deployment on one kind of GPU. As a ``proof`` everything is taken at its worst."""
    if model.shape is None or model.least is None or setting.count is None:
        return None
    found = model.shape
    tensor = setting.tensor or setting.count
    plan = Plan(
        parameters=model.least if found.counted else model.least / ROUNDED,
        weight_bits=width.least,
        cache=found.cache,
        cache_bits=cache.least,
        gpu_gib=gpu.gib,
        tensor=tensor,
        pipeline=setting.pipeline or max(1, setting.count // tensor),
    )
    if not proof:
        return plan
    if model.most is None:
        return None
    # Embeddings are left in 16 bits where the rest is quantised.
    bits = (model.most - found.embeddings) * width.most + found.embeddings * max(16.0, width.most)
    tokens = setting.batched or 8192
    working = working_gib(
        found.hidden, found.intermediate * max(1, found.experts), found.vocab, tokens=tokens, sequences=256
    )
    return Plan(
        parameters=bits,
        weight_bits=1.0,
        cache=found.cache,
        cache_bits=max(cache.most, 16.0),
        gpu_gib=gpu.gib,
        reserved_gib=plan.reserved_gib + working,
        windows=False,
    )


def _room(setting: Setting, model: Model, tokens: int) -> str:
    """What the claimed GPUs have room for, in a sentence: on the smallest, in the widest precisions claimed."""
    if not setting.kinds or not setting.widths:
        return ""
    gpu = min(setting.kinds, key=lambda kind: kind.gib)
    width = setting.widths[-1]
    plan = _plan(setting, model, gpu, width, setting.wide)
    if plan is None:
        return ""
    one = plan.cache_gib(tokens)
    split = f", split tensor {plan.tensor} × pipeline {plan.pipeline}," if setting.count != 1 else ""
    head = (
        f"On {setting.count} × {gpu.name} ({_gib(gpu.gib)} each, {UTILISATION:.0%} of it used, of that "
        f"{_gib(plan.reserved_gib)} for the runtime){split} the weights take {_gib(plan.weights_gib)} of each GPU in "
        f"{width.name} and one sequence of {_tokens(tokens)} {_gib(one)} in {setting.wide.name}"
    )
    at_once = plan.largest_concurrency(tokens)
    longest = plan.largest_context()
    if not at_once:
        limit = f"it has room for {_tokens(longest)}" if longest else "there is no room left for keys and values"
        return f"{head}: {limit}. A narrower precision or another setting may do."
    if at_once >= MOST:
        return f"{head}."
    fits = f"{head}: {at_once:,} such sequences fit at once"
    fits += f", or one of {_tokens(longest)}" if longest < MOST else ""
    if setting.concurrency and setting.concurrency > at_once:
        return f"{fits}. The {setting.concurrency:,} claimed fit only while they are shorter."
    return f"{fits}."


# The three items


def _runtime(claims: Claims, setting: Setting, model: Model) -> Judgement:
    context, at_once = setting.context, setting.concurrency
    if not at_once and not context:
        return nothing_claimed("")
    claimed = joined(
        ([f"{at_once:,} at once"] if at_once else []) + ([f"{_tokens(context)} of context"] if context else [])
    )
    found = model.shape
    if found is not None and found.learned and context and found.context and context > found.context:
        return Judgement(
            CONTRADICTED,
            claimed,
            _tokens(found.context),
            "",
            f"The model learned positions for {_tokens(found.context)} (config.json); {_tokens(context)} are claimed.",
            rule="Context ≤ learned positions.",
        )
    if too_much := _too_much(setting, model, context or 1):
        return Judgement(CONTRADICTED, claimed, "does not fit", "", too_much, rule=NEED)
    if model.why or setting.missing:
        return inconclusive(f"{model.why or setting.missing}", claimed=claimed)
    if context is None:
        return inconclusive("No context is claimed, so the cache cannot be reckoned.", claimed=claimed)
    if model.least is None:
        return inconclusive(_uncounted(model), claimed=claimed)
    room = _room(setting, model, context)
    if found is not None and found.context and context > found.context:
        room = (
            f"The config.json ends at {_tokens(found.context)}; a longer context needs scaled positions, which it does "
            f"not declare. {room}"
        )
    return Judgement(
        INCONCLUSIVE, claimed, "may fit", "", f"{room} What a server is set to only the server tells.", rule=NEED
    )


def _uncounted(model: Model) -> str:
    family = model.shape.family if model.shape else "this"
    return (
        f"How many parameters a model of the family {family or '?'} has cannot be told from its config.json here. Give "
        "paramSize in its ModelSpec document."
    )


def _peak(claims: Claims, setting: Setting, model: Model) -> Judgement:
    peak = number_of(claims.get("gib_per_replica"))
    if peak is None:
        return nothing_claimed("")
    claimed = plain(peak)
    have = setting.most_gib
    if have is not None and peak > have:
        return Judgement(
            CONTRADICTED,
            claimed,
            plain(round(have, 1)),
            "GiB",
            f"A replica has {setting.shown}: {_gib(have)} at most, going by their boxes. It cannot use {_gib(peak)}.",
            rule=PEAK_RULE,
        )
    if model.least is None:
        return inconclusive(model.why or _uncounted(model), claimed=claimed, unit="GiB")
    if not setting.widths:
        return inconclusive("To reckon it, claim the precisions.", claimed=claimed, unit="GiB")
    tokens = _input_tokens(claims)
    width = setting.widths[0]
    cache = model.shape.cache if model.shape else ()
    need = least_gib(model.least, width.least, cache, setting.narrow.least, tokens)
    kept = gib(kept_bits(cache, tokens, setting.narrow.least))
    words = f"{_billions(model.least)} in {width.name} take {_gib(gib(model.least * width.least))}"
    words += f", and one sequence of {_tokens(tokens)} {_gib(kept)} in {setting.narrow.name}" if kept else ""
    if peak < need:
        if setting.offloads:
            return inconclusive(
                f"{words}, which is more than claimed; but with GGUF a part may stay in the host's memory.",
                claimed=claimed,
                observed=plain(round(need, 1)),
                unit="GiB",
            )
        return Judgement(
            CONTRADICTED,
            claimed,
            plain(round(need, 1)),
            "GiB",
            f"{words}: at least {_gib(need)}. A peak of {_gib(peak)} is less.",
            rule=PEAK_RULE,
        )
    room = f" {setting.shown} have {_gib(have)} at most." if have is not None else ""
    return Judgement(
        INCONCLUSIVE,
        claimed,
        f"at least {plain(round(need, 1))}",
        "GiB",
        f"{words}: at least {_gib(need)}, so the claim can hold.{room} Only a measurement shows the peak.",
        rule=PEAK_RULE,
    )


def _input_tokens(claims: Claims) -> int:
    """The tokens of the input at which the peak was measured; 0 if it names none."""
    match = _TOKENS.search(text_of(claims.get("input_size")))
    number = number_of(match[1].rstrip(".,'").replace("'", "")) if match else None
    return int(number * (1000 if match and match[2] else 1)) if number is not None else 0


def _split(claims: Claims, setting: Setting, model: Model) -> Judgement:
    tensor, pipeline, gpus = setting.tensor, setting.pipeline, _whole(claims.get("gpus"))
    if tensor is None or gpus is None:
        return nothing_claimed("")
    stages = pipeline or 1
    claimed = f"tensor {tensor} × pipeline {stages}, {gpus} GPUs"
    wrong = _wrong_split(tensor, stages, gpus, setting, model)
    if wrong:
        return Judgement(CONTRADICTED, claimed, "cannot be split so", "", wrong, rule=SPLIT)
    if too_much := _too_much(setting, model, 1):
        return Judgement(CONTRADICTED, claimed, "does not fit", "", too_much, rule=SPLIT)
    if gpus != tensor * stages:
        return inconclusive(
            f"{tensor} × {stages} GPUs hold the model once; {gpus} hold it {gpus // (tensor * stages)} times, which "
            "the claim does not mention.",
            claimed=claimed,
        )
    if gpus == 1 and (proven := _proof(setting, model)):
        return Judgement(VERIFIED, claimed, "fits on one", "", proven, rule=SPLIT)
    if model.shape is None:
        return inconclusive(f"The numbers agree with each other. {model.why}", claimed=claimed)
    return Judgement(
        INCONCLUSIVE,
        claimed,
        "possible",
        "",
        f"The numbers agree with each other and with the model ({model.shape.heads} attention heads, "
        f"{model.shape.kv_heads} of keys and values, {model.shape.layers} layers). That it works only a running server "
        "shows.",
        rule=SPLIT,
    )


def _wrong_split(tensor: int, stages: int, gpus: int, setting: Setting, model: Model) -> str:
    """Why a split cannot be; empty if it can."""
    if gpus % (tensor * stages):
        return f"Tensor {tensor} × pipeline {stages} makes {tensor * stages} GPUs or a multiple; {gpus} are claimed."
    found = model.shape
    if found is None:
        return ""
    if stages > found.layers:
        return f"The model has {found.layers} layers (config.json), too few for {stages} pipeline stages."
    if setting.offloads:  # llama.cpp splits by layers or rows, not by heads
        return ""
    if found.heads % tensor:
        return f"The {found.heads} attention heads (config.json) cannot be shared evenly by {tensor} GPUs."
    kv = found.kv_heads
    if all(part.heads for part in found.cache) and kv % tensor and tensor % kv:
        return f"The {kv} heads of keys and values (config.json) cannot be shared evenly by {tensor} GPUs."
    return ""


def _proof(setting: Setting, model: Model) -> str:
    """The sentence that proves that one GPU holds all that is claimed, at its worst; empty if it does not."""
    context = setting.context
    if model.shape is None or setting.unknown or not setting.kinds or not setting.widths or not context:
        return ""
    gpu = min(setting.kinds, key=lambda kind: kind.gib)
    sequences = setting.concurrency or 1
    plan = _plan(setting, model, gpu, setting.widths[-1], setting.wide, proof=True)
    if plan is None or not plan.fits(context, sequences):
        return ""
    return (
        f"One {gpu.name} ({_gib(gpu.gib)}, {UTILISATION:.0%} of it used) holds the weights ({_gib(plan.weights_gib)} "
        f"in {setting.widths[-1].name}), {sequences:,} × {_tokens(context)} of keys and values "
        f"({_gib(plan.cache_gib(context, sequences))} in {setting.wide.name}) and {_gib(plan.reserved_gib)} for the "
        f"runtime, with {_gib(plan.headroom_gib(context, sequences))} to spare: no split is needed."
    )
