"""Probes of a Prometheus server: what it has kept of an endpoint over a window settles what one look cannot."""

from checklists.evidence.probes.prometheus.dashboards import Dashboards
from checklists.evidence.probes.prometheus.guardrails import GuardrailRuns
from checklists.evidence.probes.prometheus.hardware import GpuTypes, Parallelism, Placement
from checklists.evidence.probes.prometheus.observability import (
    ErrorsVisible,
    GpuVisible,
    KeptInPrometheus,
    ThroughputVisible,
)
from checklists.evidence.probes.prometheus.performance import Cost, LatencyOverWindow, LoadProfile, Throughput
from checklists.evidence.probes.prometheus.reliability import Backpressure, LoadTest, Timeouts, WarmupValidated
from checklists.evidence.probes.prometheus.rollouts import GradualRollout
from checklists.evidence.probes.prometheus.rules import Objectives, RollbackTrigger
from checklists.evidence.probes.prometheus.scalers import ScalingStrategy
from checklists.evidence.probes.prometheus.scaling import BatchQueue, ColdStart, LoadNotes, WarmUp
from checklists.evidence.probes.prometheus.utilisation import BatchRange, PeakMemory, UnitThroughput

__all__ = ["PROMETHEUS_PROBES", "PROMISE_PROBES"]

PROMETHEUS_PROBES = (
    LatencyOverWindow(),
    KeptInPrometheus(),
    ThroughputVisible(),
    ErrorsVisible(),
    GpuVisible(),
    GpuTypes(),
    PeakMemory(),
    Parallelism(),
    Placement(),
    BatchRange(),
    BatchQueue(),
    Backpressure(),
    Timeouts(),
    ColdStart(),
    WarmUp(),
    WarmupValidated(),
    ScalingStrategy(),
    LoadNotes(),
    Throughput(),
    LoadProfile(),
    UnitThroughput(),
    Cost(),
    LoadTest(),
)
# Of what is promised, rather than of what is measured.
PROMISE_PROBES = (
    Objectives(),
    RollbackTrigger(),
    GradualRollout(),
    GuardrailRuns(),
    Dashboards(),
)
