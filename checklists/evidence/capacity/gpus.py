"""GPUs by the names that people, drivers and exporters give them, and how much memory they have.

``mib`` is the total that the driver reports (``nvidia-smi``, and the sum of DCGM's framebuffer fields), read from
published printouts (https://thundergolfer.com/blog/nvidia-gpu-memory-capacity for H200, H100, A100, A10, L40S, L4 and
T4; printouts in public repositories for the others), error correction on where that is the default. AMD and Intel
accelerators stand with the size of their data sheet. ``size`` is what the box says; no driver reports more (in GiB).
``gb_per_s`` is the memory bandwidth of the vendor's data sheet, of the fastest form where there are several.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from checklists.evidence.units import convert


@dataclass(frozen=True)
class Gpu:
    """One product: ``words`` that must all occur in a name, its ``size`` on the box, and what is really there."""

    name: str
    words: tuple[str, ...]
    size: int
    mib: int
    gb_per_s: float
    source: str

    @property
    def gib(self) -> float:
        """Memory in GiB, as the driver reports it."""
        return convert(self.mib, "MiB", "GiB") or 0.0


_SMI = "nvidia-smi"
_SHEET = "data sheet"
GPUS: tuple[Gpu, ...] = (
    Gpu("B300", ("b300",), 288, 275040, 8000, _SMI),
    Gpu("GB300", ("gb300",), 288, 284208, 8000, _SMI),
    Gpu("B200", ("b200",), 192, 183359, 8000, _SMI),
    Gpu("GB200", ("gb200",), 192, 189471, 8000, _SMI),
    Gpu("H200", ("h200",), 141, 143771, 4800, _SMI),
    Gpu("GH200 96 GB", ("gh200",), 96, 97871, 4000, _SMI),
    Gpu("GH200 144 GB", ("gh200",), 144, 147456, 4900, _SHEET),
    Gpu("H100 80 GB", ("h100",), 80, 81559, 3350, _SMI),
    Gpu("H100 NVL 94 GB", ("h100", "nvl"), 94, 95830, 3900, _SMI),
    Gpu("H800", ("h800",), 80, 81559, 3350, _SMI),
    Gpu("H20", ("h20",), 96, 97871, 4000, _SMI),
    Gpu("A100 80 GB", ("a100",), 80, 81920, 2039, _SMI),
    Gpu("A100 40 GB", ("a100",), 40, 40960, 1555, _SMI),
    Gpu("A800", ("a800",), 80, 81920, 2039, _SMI),
    Gpu("A30", ("a30",), 24, 24576, 933, _SMI),
    Gpu("A10", ("a10",), 24, 23028, 600, _SMI),
    Gpu("A10G", ("a10g",), 24, 23028, 600, _SMI),
    Gpu("A16", ("a16",), 16, 16384, 200, _SHEET),
    Gpu("A40", ("a40",), 48, 46068, 696, _SMI),
    Gpu("L4", ("l4",), 24, 23034, 300, _SMI),
    Gpu("L20", ("l20",), 48, 46068, 864, _SMI),
    Gpu("L40", ("l40",), 48, 46068, 864, _SMI),
    Gpu("L40S", ("l40s",), 48, 46068, 864, _SMI),
    Gpu("T4", ("t4",), 16, 15360, 320, _SMI),
    Gpu("V100 16 GB", ("v100",), 16, 16384, 900, _SMI),
    Gpu("V100 32 GB", ("v100",), 32, 32768, 900, _SMI),
    Gpu("RTX PRO 6000", ("rtx", "pro", "6000"), 96, 97887, 1792, _SMI),
    Gpu("RTX 6000 Ada", ("rtx", "6000", "ada"), 48, 49140, 960, _SMI),
    Gpu("RTX A6000", ("a6000",), 48, 49140, 768, _SMI),
    Gpu("RTX A5000", ("a5000",), 24, 24564, 768, _SMI),
    Gpu("RTX 5090", ("5090",), 32, 32607, 1792, _SMI),
    Gpu("RTX 4090", ("4090",), 24, 24564, 1008, _SMI),
    Gpu("RTX 3090", ("3090",), 24, 24576, 936, _SMI),
    Gpu("MI355X", ("mi355x",), 288, 294912, 8000, _SHEET),
    Gpu("MI325X", ("mi325x",), 256, 262144, 6000, _SHEET),
    Gpu("MI300X", ("mi300x",), 192, 196608, 5300, _SHEET),
    Gpu("MI300A", ("mi300a",), 128, 131072, 5300, _SHEET),
    Gpu("Gaudi 3", ("gaudi3",), 128, 131072, 3700, _SHEET),
    Gpu("Gaudi 2", ("gaudi2",), 96, 98304, 2450, _SHEET),
)

_COUNT = re.compile(r"^\s*(\d{1,4})\s*[x×*]\s*|\s[x×*]\s*(\d{1,4})\s*$")
_SIZE = re.compile(r"(?<![a-z0-9])(\d{2,3})\s*(?:gb|gib|g)(?![a-z0-9])")
_OTHER = re.compile(r"\bmig\b|\b\d+g\.\d+gb\b|\bvgpu\b|\blaptop\b|\bmobile\b")


def count_of(text: str) -> int | None:
    """How many GPUs a text names: 4 of ``4 × H100``; ``None`` if it names no number."""
    match = _COUNT.search(text)
    return int(match[1] or match[2]) or None if match else None


def gpus_named(text: str) -> tuple[Gpu, ...]:
    """The products that a name can stand for, the smallest first: both sizes of ``A100``, none for an unknown name.

    A slice of a GPU (MIG, vGPU) and its laptop namesake are none of them.
    """
    name = _COUNT.sub(" ", text.casefold()[:200])
    if _OTHER.search(name):
        return ()
    words = set(re.findall(r"[a-z0-9]+", name.replace("gaudi ", "gaudi")))
    sizes = [int(found) for found in _SIZE.findall(re.sub(r"[^a-z0-9]+", " ", name))]
    if "gh200" in words:  # the driver adds the size of the host's memory to its name
        sizes = [size for size in sizes if size not in (120, 480)]
    found = [
        gpu
        for gpu in GPUS
        if words.issuperset(gpu.words) and (not sizes or any(abs(size / gpu.size - 1) < 0.08 for size in sizes))
    ]
    # Of names within names (H100 in H100 NVL) the longest is meant.
    longest = max((len(gpu.words) for gpu in found), default=0)
    return tuple(sorted((gpu for gpu in found if len(gpu.words) == longest), key=lambda gpu: gpu.mib))
