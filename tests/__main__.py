"""All tests: ``python -m tests``. First everything on PostgreSQL, then on SQLite what depends on the database.

Arguments are handed to both runs of pytest.
"""

import os
import subprocess
import sys
from pathlib import Path

RUNS = {
    "Everything, on PostgreSQL": ([], {}),
    "What depends on the database, on SQLite": (["-m", "database"], {"PREFLIGHT_TEST_DB": "sqlite"}),
}


def main(arguments: list[str]) -> int:
    """0 when both runs pass."""
    results = {}
    for title, (options, environment) in RUNS.items():
        print(f"\n{title}\n", flush=True)
        results[title] = subprocess.run(
            [sys.executable, "-m", "pytest", "-n", "2", "--dist", "worksteal", *options, *arguments],
            cwd=Path(__file__).parent.parent,
            env={**os.environ, **environment},
            check=False,
        ).returncode
    print()
    for title, code in results.items():
        print(f"{title}: {'passed' if code == 0 else f'FAILED (pytest ended with {code})'}")
    return int(any(results.values()))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
