"""Names of GPUs as people write them, against the names that drivers and exporters give."""

from __future__ import annotations

import pytest

from checklists.evidence.probes.gpu_names import same_gpu, types_in

H100, A100 = "NVIDIA H100 80GB HBM3", "NVIDIA A100-SXM4-80GB"


@pytest.mark.parametrize(
    ("claimed", "told", "same"),
    [
        ("H100 80 GB", H100, True),
        ("H100", "NVIDIA H100 PCIe", True),
        ("H100 SXM", H100, True),
        ("H100SXM5", H100, True),
        ("H100_80GB", H100, True),
        ("H100 PCIe", H100, None),
        ("H100 NVL", H100, None),
        ("H100 PCIe/SXM", H100, True),
        ("A100 PCIe 80GB", A100, None),
        ("H100 80GB", "NVIDIA H100 NVL", False),
        ("H100 94 GB", "NVIDIA H100 NVL", True),
        ("a2-ultragpu-1g", A100, None),
        ("AWS p5", H100, None),
        ("g6e.12xlarge", "NVIDIA L40S", None),
        ("RTX PRO 6000", "NVIDIA RTX PRO 6000 Blackwell Server Edition", True),
        ("RTX 6000 Ada", "NVIDIA RTX PRO 6000 Blackwell Server Edition", None),
        ("A100 80GB", A100, True),
        ("A100 80 GB", "NVIDIA A100-SXM4-40GB", False),
        ("A100 40/80 GB", A100, True),
        ("A100 40GB or 80GB", A100, True),
        ("L4", "NVIDIA L40S", False),
        ("L40S", "NVIDIA L40S", True),
        ("T4", "Tesla T4", True),
        ("A10G", "NVIDIA A10G", True),
        ("A10", A100, False),
        ("GH200", "NVIDIA GH200 480GB", True),
        ("MI300X", "AMD Instinct MI300X", True),
        ("RTX 4090", "NVIDIA GeForce RTX 4090", True),
        ("RTX4090", "NVIDIA GeForce RTX 4090", True),
        ("RTX 4080", "NVIDIA GeForce RTX 4090", False),
        ("80 GB", H100, None),
        ("any GPU with FP8", H100, None),
        ("Ampere or newer (bf16, sm80)", A100, None),
        ("A100 or newer", H100, None),
        ("≥ A100", H100, None),
        ("A100 (min 40 GB)", A100, None),
        ("int4 on L4", "NVIDIA L4", True),
        ("A100+", H100, None),
        *((f"A100 {more}", H100, None) for more in ("and up", "or upwards", "or greater", "or more powerful")),
        *((f"A100 {more}", H100, None) for more in ("or faster", "or comparable", "or bigger", "or equal", "/any")),
        ("A100/any", H100, None),
        ("A100 (or any GPU with 80 GB)", H100, None),
        ("A100 and any other", H100, None),
        ("any of A100, L40S", H100, False),
        ("any A100", H100, False),
        ("A100, for faster answers", H100, False),
        ("the fast ones", H100, None),
    ],
)
def test_a_gpu_is_recognised_by_its_chip_and_its_memory(claimed: str, told: str, same: bool | None) -> None:
    assert same_gpu(claimed, told) is same


@pytest.mark.parametrize("claimed", ["8xH100", "8 x H100", "H100x8", "8 × H100 80GB"])
def test_how_many_gpus_are_meant_changes_nothing_of_their_type(claimed: str) -> None:
    assert same_gpu(claimed, H100) is True
    assert same_gpu(claimed, A100) is False


@pytest.mark.parametrize("claimed", ["H100 or A100", "A100/H100", "H100 and A100 80 GB", "L4 | H100 + A100"])
def test_one_of_several_types_is_as_claimed(claimed: str) -> None:
    assert same_gpu(claimed, H100) is same_gpu(claimed, A100) is True
    assert same_gpu(claimed, "NVIDIA L40S") is False


def test_the_memory_in_the_name_of_a_superchip_is_that_of_its_cpu() -> None:
    assert same_gpu("GH200 96 GB", "NVIDIA GH200 480GB") is True


@pytest.mark.parametrize(
    ("claimed", "told"),
    [
        ("RTX 6000 Ada", "Quadro RTX 6000"),  # two generations with one number
        ("RTX 3090", "NVIDIA GeForce RTX 3090 Ti"),
        ("A100", "NVIDIA A100-SXM4-80GB MIG 1g.10gb"),
        ("MI300X", "0x74a1"),  # the number of a part
        ("MI300X", "102-G30211-00"),
        ("Gaudi 2", "HL-225"),
        ("p5.48xlarge", H100),
        ("A10", "NVIDIA A10G"),  # as many people call it
        ("no H100", H100),
        ("anything but not A100", A100),
    ],
)
def test_a_name_that_may_mean_another_gpu_or_none_decides_nothing(claimed: str, told: str) -> None:
    assert same_gpu(claimed, told) is None


@pytest.mark.parametrize(
    ("claimed", "types"),
    [
        ("Hopper/H100", ["H100"]),
        ("NVIDIA / H100", ["H100"]),
        ("1 node / 8x H100", ["8x H100"]),
        ("16 vCPU and 1x L4", ["1x L4"]),
        ("H100 / NVIDIA", ["H100   NVIDIA"]),
        ("Trainium / H100", ["Trainium", "H100"]),
        ("CPU or L4", ["CPU", "L4"]),
        ("Hopper", ["Hopper"]),
    ],
)
def test_what_stands_before_the_first_type_is_none_unless_it_may_be_one(claimed: str, types: list[str]) -> None:
    assert types_in(claimed) == types
