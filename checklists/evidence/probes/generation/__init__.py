"""Probes that send requests of their own, each with the owner's leave: how many and how large stands in ``sends``."""

from checklists.evidence.probes.generation.burst import Burst
from checklists.evidence.probes.generation.compatibility import Compatibility
from checklists.evidence.probes.generation.counters import CountersMove
from checklists.evidence.probes.generation.inputs import OddInputs
from checklists.evidence.probes.generation.modalities import Modalities
from checklists.evidence.probes.generation.oversized import OversizedInput
from checklists.evidence.probes.generation.safety import SafetyBehaviour
from checklists.evidence.probes.generation.sameness import Fingerprint
from checklists.evidence.probes.generation.series import LatencySeries
from checklists.evidence.probes.generation.slow import SlowRequest

__all__ = [
    "Burst",
    "Compatibility",
    "CountersMove",
    "Fingerprint",
    "LatencySeries",
    "Modalities",
    "OddInputs",
    "OversizedInput",
    "SafetyBehaviour",
    "SlowRequest",
]
