"""The benchmark itself: small, but whole."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys


def test_it_measures_probes_beside_a_bare_client_and_the_exporter() -> None:
    command = [sys.executable, "-m", "tests.bench.probes", "--sizes", "40"]
    said = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert said.returncode == 0, said.stderr
    row = json.loads(said.stdout.splitlines()[-1])
    assert row["runs"] == 2
    assert row["requests"] >= 40 * 10
    for name in ("requests_per_s", "bare_requests_per_s", "endpoints_per_s", "cpu_ms", "share_of_bare"):
        assert row[name] > 0, name
    assert row["worker_mib_peak"] >= row["worker_mib_before"] > 0
    assert ("share_of_exporter" in row) == bool(shutil.which("prometheus-blackbox-exporter"))
