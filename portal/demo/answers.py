"""What the teams claim: believable values for every item, consistent with what their kind of server reports."""

from __future__ import annotations

import random
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from checklists.catalog.claims import clean_claims
from checklists.catalog.editions import ClaimView, ItemView
from portal.demo.hardware import hardware_of
from portal.demo.models import DemoModel, DemoRelease
from portal.demo.people import DOMAIN, TEAMS
from portal.demo.plot import MISTAKEN
from portal.demo.servers import address
from portal.demo.serving.llamacpp import SLOT_CONTEXT, SLOTS
from portal.demo.serving.tei import MAX_INPUT
from portal.demo.serving.vllm import CONTEXT

WIKI = f"https://wiki.{DOMAIN}"
VLLM = ("vllm", "open", "small", "slow", "dead")
# What these need, by team: a model that others run, whose health can be asked for.
NEEDS = {
    "support-assistant": ("gateway-guard", "vllm", "1.1"),
    "search-retrieval": ("embed-v3", "embedding", "3.0"),
    "shopping-guide": ("rank-fusion", "embedding", "2.3"),
    "content-writing": ("gateway-guard", "vllm", "1.1"),
}


@dataclass(frozen=True)
class Subject:
    """Who claims: a release of a model, its team's owner by name, and the day it is said."""

    model: DemoModel
    release: DemoRelease
    owner: str
    on: date
    previous: str

    @property
    def page(self) -> str:
        return f"{WIKI}/models/{self.model.slug}/{self.release.version}"


def claims_for(item: ItemView, subject: Subject) -> dict[str, Any]:
    """Clean claims for an item: every required field filled. Raises ``AssertionError`` if the checklist refuses one."""
    told = said(item.key, subject)
    source = random.Random(f"{subject.model.slug} {item.key}")  # noqa: S311  # nothing secret
    raw = {field.key: told.get(field.key, _default(field, item, subject, source)) for field in item.claims}
    clean, errors = clean_claims(item, raw)
    assert not errors, (item.key, errors)  # noqa: S101  # the demo and the checklist are kept together
    return clean


def _default(field: ClaimView, item: ItemView, subject: Subject, source: random.Random) -> Any:
    """For fields that are not told below (an optional one may stay empty)."""
    page = f"{subject.page}/{item.key.replace('.', '-')}"
    match field.type:
        case "url":
            return page
        case "date":
            return (subject.on - timedelta(days=source.randint(3, 40))).isoformat()
        case "boolean":
            return source.random() < 0.5
        case "choice":
            return source.choice(field.choices).value
        case "multi_choice":
            return [choice.value for choice in field.choices[: source.randint(1, len(field.choices))]]
        case "integer" | "number":
            low = int(field.minimum or 0)
            return source.randint(max(low, 1), int(min(field.maximum or 60, 60)))
        case _:
            return "" if not field.required else f"See {page}"


def said(key: str, subject: Subject) -> dict[str, Any]:
    """What the team claims of an item, field by field: what is true of its server, but for ``plot.MISTAKEN``.

    Always the same for the same release, and nearly the same for all of a model.
    """
    section = key.split(".")[0]
    source = random.Random(f"{subject.model.slug} {section}")  # noqa: S311  # nothing secret
    told = {
        "identity": _identity,
        "compute": _compute,
        "performance": _performance,
        "release": _release,
        "autoscaling": _autoscaling,
        "observability": _observability,
        "reliability": _reliability,
        "security": _security,
        "operations": _operations,
    }[section](subject, source)
    mistaken = MISTAKEN.get((subject.model.slug, subject.release.version), {})
    return {**told.get(key, {}), **mistaken.get(key, {})}


Told = dict[str, dict[str, Any]]


def _identity(subject: Subject, source: random.Random) -> Told:
    model, release, family = subject.model, subject.release, subject.model.family
    limit, unit = {
        "embedding": (MAX_INPUT, "tokens"),
        "llamacpp": (SLOT_CONTEXT, "tokens"),
        "ollama": (SLOT_CONTEXT, "tokens"),
        "images": (2_048, "pixels"),
        "comfyui": (2_048, "pixels"),
        "audio": (1_800, "seconds"),
    }.get(release.kind, (CONTEXT, "tokens"))
    picture = ["text", "image"] if release.kind == "comfyui" else ["text"]
    inputs, outputs = {
        "llm": (["text"], ["text"]),
        "diffusion": (picture, ["image"]),
        "embedding": (["text"], ["embedding"]),
        "multimodal": (["text", "image"], ["text"]),
        "audio": (["audio"], ["text"]),
        "vision": (["image"], ["structured"] if model.tier == 1 else ["text"]),
    }[family]
    hardware = hardware_of(model, release)
    snapshot = subject.on - timedelta(days=source.randint(40, 120))
    return {
        "identity.name-version": {
            "model_id": model.claimed_id(release),
            "version": release.version,
            "revision": model.revision(release.version),
            "artifact_digest": model.digest(release.version),
        },
        "identity.lineage": {
            "base_model": hardware.base,
            "method": source.choice(["LoRA, rank 32", "Full fine-tuning", "Distillation", "Unmodified"]),
            "data_snapshot": f"{model.slug}-training of {snapshot:%-d %B %Y}",
        },
        "identity.modalities": {"inputs": inputs, "outputs": outputs},
        "identity.input-limits": {"max_input": limit, "unit": unit},
        "identity.gpu-precision": {
            "gpu_types": hardware.gpus,
            "precisions": list(hardware.precisions),
        },
    }


def _compute(subject: Subject, source: random.Random) -> Told:
    unit = {"diffusion": "images", "llm": "tokens", "multimodal": "tokens"}.get(subject.model.family, "samples")
    hardware = hardware_of(subject.model, subject.release)
    return {
        "compute.peak-memory": {"gib_per_replica": hardware.peak_gib, "input_size": hardware.input_size},
        "compute.batch-range": {"min": 1, "max": source.choice([16, 32, 64, 128]), "unit": "requests"},
        "compute.unit-throughput": {
            "per_gpu_second": source.choice([0.6, 1.2]) if unit == "images" else source.choice([420, 610, 980, 1_450]),
            "unit": unit,
            "cost_per_1000": source.choice([0.02, 0.04, 0.11, 0.3]),
            "currency": "EUR",
        },
        "compute.placement": {
            "instance_types": hardware.instances,
            "node_selector": "zone=eu-north",
        },
        "compute.parallelism": {
            "tensor_parallel": hardware.count,
            "pipeline_parallel": 1,
            "gpus": hardware.count,
        },
        "compute.quantization": {"formats": list(hardware.formats)},
    }


def _performance(subject: Subject, source: random.Random) -> Told:
    kind, family = subject.release.kind, subject.model.family
    phase, p50, p95 = {
        "embedding": ("end_to_end", 30, 80),
        "images": ("end_to_end", 4_000, 5_000),
        "comfyui": ("end_to_end", 6_000, 9_000),
        "audio": ("end_to_end", 700, 1_500),
    }.get(kind, ("first_token", 250, 800))
    if kind in VLLM and kind != "slow" and source.random() < 0.15:
        p95 = 400  # finer than the server's buckets can show
    unit = {"diffusion": "images_per_second", "llm": "tokens_per_second", "multimodal": "tokens_per_second"}.get(
        family, "queries_per_second"
    )
    per = {
        "diffusion": "image",
        "audio": "audio_minute",
        "llm": "thousand_tokens",
        "multimodal": "thousand_tokens",
    }.get(family, "thousand_requests")
    peak = source.choice([12, 25, 40, 90, 160])
    return {
        "performance.latency-targets": {"phase": phase, "p50_ms": p50, "p95_ms": p95},
        "performance.throughput": {
            "value": 3 if unit == "images_per_second" else source.choice([600, 1_200, 2_400]),
            "unit": unit,
        },
        "performance.load-profile": {"peak": peak, "steady": peak // 4, "unit": "requests_per_second"},
        "performance.cost-targets": {"cost": source.choice([0.002, 0.01, 0.03]), "per": per, "currency": "EUR"},
    }


def _release(subject: Subject, source: random.Random) -> Told:
    drill = subject.on - timedelta(days=source.randint(5, 60))
    return {
        "release.gradual-rollout": {
            "strategy": source.choice(["canary", "weighted", "rings"]),
            "first_share": source.choice([1, 5, 10]),
        },
        "release.shadow-evaluation": {"days": source.choice([5, 7, 14])},
        "release.rollback": {
            "trigger": source.choice(["error rate above 2 % for 5 minutes", "p95 above twice the goal for 10 minutes"]),
            "last_drill": drill.isoformat(),
        },
        "release.drift-evals": {
            "suite": f"{subject.model.slug}-regression, {source.randint(3, 12) * 100} cases, weekly"
        },
        "release.compatibility": {
            "compatible_with": subject.previous or "first version, none before it",
            "exceptions": source.choice(["none", "the field “reason” is new"]),
        },
    }


def _autoscaling(subject: Subject, source: random.Random) -> Told:
    rest = source.choice([1, 2]) if subject.model.tier > 1 else source.choice([2, 3])
    seconds = source.choice([38, 74, 95, 140])
    return {
        "autoscaling.cold-start": {"seconds": seconds},
        "autoscaling.warmup": {
            "steps": "load weights, capture graphs, one request of each size",
            "seconds": seconds // 3,
        },
        "autoscaling.batch-queue": {
            "window_ms": source.choice([0, 5, 10]),
            "max_queue": source.choice([32, 64, 128]),
            "on_overflow": "reject",
        },
        "autoscaling.strategy": {
            "strategy": "reactive",
            "signal": source.choice(
                ["4 waiting requests per replica", "KV cache above 70 %", "queue time above 200 ms"]
            ),
            "min_replicas": rest,
            "max_replicas": rest * 4,
        },
        "autoscaling.load-notes": {"replicas_peak": rest * 3, "replicas_rest": rest},
    }


def _observability(subject: Subject, source: random.Random) -> Told:
    kind = subject.release.kind
    dashboard = f"https://grafana.{DOMAIN}/d/{subject.model.slug}"
    phases, cache, counter = {
        "embedding": (["queue", "inference", "end_to_end"], "te_queue_size", "te_request_count"),
        "images": (["queue", "end_to_end"], "sglang:num_queue_reqs", "sglang:diffusion_requests_total"),
        "comfyui": (["end_to_end"], "comfyui_cached_nodes", "comfyui_prompts_total"),
        "audio": (["end_to_end"], "", "transcriptions_total"),
        "llamacpp": (["prefill", "decode"], "llamacpp:kv_cache_usage_ratio", "llamacpp:tokens_predicted_total"),
        "ollama": (["prefill", "decode"], "none exported", "none exported"),
    }.get(
        kind,
        (
            ["queue", "prefill", "first_token", "decode"],
            "vllm:kv_cache_usage_perc, vllm:prefix_cache_hits_total",
            "vllm:generation_tokens_total",
        ),
    )
    return {
        "observability.latency-breakdown": {"phases": phases},
        "observability.gpu": {"dashboard_url": f"{dashboard}-gpu"},
        "observability.cache": {"metric_names": cache},
        "observability.errors": {
            "classes": ["out_of_memory", "timeout"] if kind == "images" else ["bad_request", "out_of_memory", "timeout"]
        },
        "observability.throughput": {"metric_name": counter, "dashboard_url": dashboard},
    }


def _reliability(subject: Subject, source: random.Random) -> Told:
    tested = subject.on - timedelta(days=source.randint(4, 30))
    server = source.choice([30, 60, 120])
    return {
        "reliability.warmup-validated": {
            "method": "restart under load, first answer compared with readiness",
            "date": tested.isoformat(),
        },
        "reliability.backpressure": {
            "retry_policy": "twice, after 1 s and 4 s with jitter",
            "max_concurrency": source.choice([16, 32, 64]),
            "on_overload": source.choice(["reject", "queue"]),
        },
        "reliability.timeouts": {
            "client_seconds": server + 10,
            "gateway_seconds": server + 5,
            "server_seconds": server,
        },
        "reliability.input-variability": {
            "tried": ["empty", "malformed", "wrong_type"]
            if subject.model.family == "audio"
            else ["empty", "unicode", "oversized", "malformed"]
        },
        "reliability.load-test": {
            "tool": source.choice(["k6", "Locust", "guidellm"]),
            "date": tested.isoformat(),
            "revision": subject.model.revision(subject.release.version)[:12],
        },
    }


def _security(subject: Subject, source: random.Random) -> Told:
    refused, held = source.randint(950, 997) / 10, source.randint(900, 990) / 10
    return {
        "security.input-sanitisation": {
            "rules": "types and sizes checked at the gateway; control characters removed; foreign text marked",
            "guardrail": "gateway-guard 1.1",
        },
        "security.logging-privacy": {
            "mode": source.choice(["metadata", "redacted_sample", "redacted"]),
            "retention_days": source.choice([14, 30, 90]),
            "redaction": "names, addresses, order and card numbers",
        },
        "security.access-control": {"scheme": "api_key", "rotation_days": source.choice([30, 90])},
        "security.safety-behaviour": {
            "evaluation": f"house refusal set, {refused} % as wanted; injection set, {held} % held",
        },
        "security.data-governance": {
            "licence": source.choice(["Apache-2.0", "MIT", "Llama 3.1 Community Licence"]),
            "residency": "EU (Stockholm, Frankfurt)",
        },
    }


def _operations(subject: Subject, source: random.Random) -> Told:
    kind = subject.release.kind
    needs, where, version = NEEDS.get(subject.model.team, ("", "", ""))
    limits: dict[str, Any] = {"max_concurrency": source.choice([32, 64, 128])}
    if kind in VLLM:
        limits |= {"max_batched_tokens": 8_192, "context_tokens": CONTEXT}
    elif kind == "embedding":
        limits = {"max_concurrency": 512, "max_batched_tokens": 16_384, "context_tokens": ""}
    elif kind == "llamacpp":
        limits = {"max_concurrency": SLOTS, "max_batched_tokens": 2_048, "context_tokens": SLOT_CONTEXT}
    elif kind == "ollama":
        limits |= {"context_tokens": SLOT_CONTEXT, "max_batched_tokens": ""}
    else:
        limits |= {"context_tokens": "", "max_batched_tokens": ""}
    return {
        "operations.owner": {
            "team": TEAMS[subject.model.team][0],
            "on_call": f"#oncall-{subject.model.team}, {subject.owner}",
        },
        "operations.slos": {
            "objective": "answers within the latency goal",
            "target": source.choice(["99 %", "99.5 %", "99.9 %"]),
            "window": "28 days",
        },
        "operations.dependencies": {
            "names": needs or source.choice(["none", "feature store", "object storage"]),
            "health_url": f"{address(where, needs, version)}/health" if needs else "",
        },
        "operations.resource-contract": {
            "document_url": f"https://git.{DOMAIN}/{subject.model.team}/{subject.model.slug}/modelspec.yaml"
        },
        "operations.runtime-constraints": limits,
    }
