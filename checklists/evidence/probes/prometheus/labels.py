"""What labels and addresses say of series: which model, pods and hosts they are of."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from urllib.parse import urlsplit

from checklists.evidence.probes.base import joined
from checklists.evidence.probes.serving import named_so
from checklists.evidence.sources.prometheus import Series, any_of

# The letters and digits of which Kubernetes makes the ends of names.
_RANDOM = "[bcdfghjklmnpqrstvwxz2456789]"
_OF_DEPLOYMENT = re.compile(rf"(.+)-{_RANDOM}{{5,10}}-{_RANDOM}{{5}}\Z")
# What tells versions of one workload apart, or the pods of a DaemonSet.
_SIBLING = re.compile(
    rf"-(?:{_RANDOM}{{5}}|canary|primary|stable|preview|active|blue|green|predictor|default|deployment|v\d{{1,4}}|\d{{1,5}})\Z"
)
# What follows the name of a Ray cluster in those of its pods, as KubeRay has named them over time.
_OF_RAY = re.compile(r"head|worker(?:-.+)?|.+-worker")
# The labels that tell the model, the first that there is; LiteLLM's ``model`` is what stands behind the requested one.
MODELS = ("model_name", "requested_model", "model")
# Labels by which the same differs that is scraped twice: by two servers that are asked together, or by two jobs.
TWINS = {"prometheus_replica": "Prometheus servers", "job": "jobs"}


def too_wide(found: Iterable[Series], labels: Mapping[str, str], claimed: str = "") -> str:
    """What these series are of besides one endpoint, by the first label that tells; empty if they may be of one. Pure.

    Who has chosen a model by one label may see several by another: the names for a model, or the models under a name.
    A proxy shows only the models that were asked for, so that the only one may be another than is ``claimed``.
    """
    found = tuple(found)
    held = {name: sorted({text for one in found if (text := one.labels.get(name, ""))}) for name in MODELS}
    if not any(name in labels for name in MODELS):
        name = next((name for name in MODELS if held[name]), "")
        if name and len(held[name]) > 1:
            return f"{len(held[name])} models ({joined(held[name], 3)}); add {name}"
        if claimed and name == "requested_model" and not named_so(held[name], claimed):
            return f"requests for {held[name][0]} only, which is not the claimed model by name; add {name}"
    spaces = sorted({space for one in found if (space := one.label("namespace"))})
    if len(spaces) > 1:
        return f"pods in {len(spaces)} namespaces ({joined(spaces, 3)}); add namespace"
    works = _workloads(pod for one in found if (pod := one.label("pod")))
    if len(works) > 1 and not any(held.values()):
        told = f"pods of {len(works)} workloads ({joined(works, 3)}), whose model no label tells"
        return f"{told}; add a label that only one has"
    for twin, words in TWINS.items():
        apart = {frozenset((name, text) for name, text in one.labels.items() if name != twin) for one in found}
        if len(apart) < len(found):
            return f"what several {words} scraped of the same replicas; add {twin}"
    return ""


def _workloads(pods: Iterable[str]) -> list[str]:
    """The workloads of these pods, versions of one taken together, and the head of a Ray cluster with its workers."""
    names = {_family(workload_of(pod)) for pod in pods}
    heads = [name.removesuffix("head") for name in names if name.endswith("-head")]
    for head in heads:
        rest = {name for name in names if not (name.startswith(head) and _OF_RAY.fullmatch(name, len(head)))}
        names = rest | {_family(head.removesuffix("-"))}
    return sorted(names)


def _family(workload: str) -> str:
    """The name that all versions of a workload share."""
    while (shorter := _SIBLING.sub("", workload)) != workload:
        workload = shorter
    return workload


def workload_of(pod: str) -> str:
    """What a pod's name says of its owner: ``chat-7d9f8b6c5d-x2x4z`` and ``chat-0`` both belong to ``chat``."""
    if match := _OF_DEPLOYMENT.match(pod):
        return match[1]
    front, dash, last = pod.rpartition("-")
    return front if dash and last.isdigit() else pod


def pattern_of(pods: Iterable[str]) -> str:
    """A regular expression for exactly these pods, short where they share what stands before the last dash."""
    groups: dict[str, list[str]] = {}
    for pod in pods:
        front, dash, last = pod.rpartition("-")
        groups.setdefault(front + dash, []).append(last)
    return "|".join(f"{any_of([front])}({any_of(lasts)})" for front, lasts in groups.items())


def host_of(instance: str) -> str:
    """The host of a scraped address."""
    host, colon, port = instance.rpartition(":")
    return host if colon and port.isdigit() else instance


def netloc_of(url: str) -> str:
    """Host and port of an address, however it is written; empty if it has none."""
    try:
        parts = urlsplit(url)
        port = parts.port or {"http": 80, "https": 443}.get(parts.scheme)
    except ValueError:
        return ""
    return f"{parts.hostname}:{port}" if parts.hostname else ""
