"""Every probe there is, in the order in which they run: the cheap ones first, the rough ones last."""

from collections.abc import Iterable

from checklists.evidence.probes.access import AccessControl
from checklists.evidence.probes.base import Judgement, Probe
from checklists.evidence.probes.capacity import Capacity
from checklists.evidence.probes.generation import (
    Burst,
    Compatibility,
    CountersMove,
    Fingerprint,
    LatencySeries,
    Modalities,
    OddInputs,
    OversizedInput,
    SafetyBehaviour,
    SlowRequest,
)
from checklists.evidence.probes.health import Health
from checklists.evidence.probes.hub import ModelHub
from checklists.evidence.probes.identity import Identity
from checklists.evidence.probes.latency import MetricsLatency
from checklists.evidence.probes.limits import Limits
from checklists.evidence.probes.metrics_page import MetricsPresent
from checklists.evidence.probes.prometheus import PROMETHEUS_PROBES, PROMISE_PROBES
from checklists.evidence.probes.release import Dependencies, Owner, ResourceContract
from checklists.evidence.probes.running_image import RunningImage
from checklists.evidence.probes.serving_arguments import ServingArguments
from checklists.evidence.probes.stack import StackRecognition
from checklists.evidence.probes.tls import TlsAndHeaders
from checklists.evidence.probes.visit import Claims, Observation, Target, Visit

__all__ = ["PROBES", "Claims", "Judgement", "Observation", "Probe", "Target", "Visit", "probed_items"]

PROBES: dict[str, Probe] = {
    probe.key: probe
    for probe in (
        Health(),
        StackRecognition(),
        Identity(),
        Limits(),
        ServingArguments(),
        AccessControl(),
        TlsAndHeaders(),
        MetricsPresent(),
        MetricsLatency(),
        Capacity(),
        Owner(),
        Dependencies(),
        ResourceContract(),
        ModelHub(),
        RunningImage(),
        *PROMETHEUS_PROBES,
        *PROMISE_PROBES,
        LatencySeries(),  # before anything else warms the endpoint up
        Fingerprint(),
        CountersMove(),
        Modalities(),
        Compatibility(),
        SafetyBehaviour(),
        SlowRequest(),
        OversizedInput(),
        OddInputs(),
        Burst(),
    )
}


def probed_items(keys: Iterable[str]) -> list[str]:
    """Those of these items that a probe speaks to, in their order."""
    spoken_to = {key for probe in PROBES.values() for key in probe.items}
    return [key for key in keys if key in spoken_to]
