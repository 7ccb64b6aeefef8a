"""The benchmark of fingerprints still runs, and its verdicts are right; its figures are for a quiet machine."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.bench import fingerprints
from tests.bench.fingerprints import OTHER, PRECISION, SAME, Case
from tests.evidence.real import gguf

pytestmark = pytest.mark.servers("llama-cpp-python")


def test_a_small_run_of_the_benchmark_tells_the_same_server_from_others(tmp_path: Path) -> None:
    file, foreign = gguf.write(tmp_path / "tiny.gguf"), gguf.write(tmp_path / "foreign.gguf", seed=1)
    rounded = fingerprints.quantised(file, "q8_0", tmp_path)
    same, precision, other = fingerprints.series(
        "tiny",
        "llm",
        2,
        Case("alone", SAME, lambda: fingerprints.llama(file), loaded=True),
        [
            Case("8 bits", PRECISION, lambda: fingerprints.llama(rounded)),
            Case("other weights", OTHER, lambda: fingerprints.llama(foreign)),
        ],
    )
    assert set(same.verdicts) == {"verified"}
    assert set(precision.verdicts) == {"inconclusive"}
    assert set(other.verdicts) == {"contradicted"}
    assert not any(fingerprints.wrong(spread) for spread in (same, precision, other))
    assert fingerprints.wrong(fingerprints.Spread("", fingerprints.UNSTEADY, [], same.verdicts))
    same.verdicts["contradicted"] += 1
    other.verdicts["verified"] += 1
    assert all(fingerprints.wrong(spread) for spread in (same, other))
