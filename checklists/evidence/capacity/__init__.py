"""Will it fit? Arithmetic from a model's shape, the precision, the GPUs and the limits claimed; nothing is asked."""

from checklists.evidence.capacity.gpus import GPUS, Gpu, count_of, gpus_named
from checklists.evidence.capacity.memory import MOST, UTILISATION, Plan, gib, kept_bits, least_gib, working_gib
from checklists.evidence.capacity.precision import Width, cache_widths, weight_widths

__all__ = [
    "GPUS",
    "MOST",
    "UTILISATION",
    "Gpu",
    "Plan",
    "Width",
    "cache_widths",
    "count_of",
    "gib",
    "gpus_named",
    "kept_bits",
    "least_gib",
    "weight_widths",
    "working_gib",
]
