"""Install the servers in Python that the tests marked ``servers`` start: ``python -m tests.evidence.real.install``.

LiteLLM and llama-cpp-python come into a virtual environment of their own. llama.cpp is compiled, which needs a C++
compiler and some minutes the first time, and later comes from pip's cache. What is there already stays.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

from tests.evidence.real import programs

# Fast to compile and good for every processor of its kind; how fast the model answers does not matter.
PLAIN = "-DGGML_NATIVE=OFF -DGGML_OPENMP=OFF -DLLAVA_BUILD=OFF -DLLAMA_OPENSSL=OFF"
PLAIN += " -DCMAKE_C_FLAGS_RELEASE=-O1 -DCMAKE_CXX_FLAGS_RELEASE=-O1"
COMPILING = {"CMAKE_ARGS": PLAIN, "CMAKE_BUILD_PARALLEL_LEVEL": str(os.cpu_count() or 1)}


def run(*command: str | Path) -> bool:
    """Whether it succeeded; its output goes to the terminal."""
    print("$", *command, flush=True)
    return subprocess.run(command, env={**COMPILING, **os.environ}, check=False).returncode == 0


def install(name: str) -> bool:
    """Install a Python server into the virtual environment."""
    python, requirement = programs.ENVIRONMENT / "bin" / "python", programs.REQUIREMENTS[name]
    if not python.exists() and not run(sys.executable, "-m", "venv", programs.ENVIRONMENT):
        return False
    if not run(python, "-m", "pip", "install", "-q", "-c", programs.PINS, *requirement.split()):
        return False
    programs.stamp(name).write_text(programs.wanted(name))
    return True


def main() -> int:
    """0 when both are there."""
    missing = []
    for name in programs.REQUIREMENTS:
        began = time.monotonic()
        if programs.find(name) is None and not install(name):
            missing.append(name)
        print(f"{name}: {programs.find(name) or 'NOT INSTALLED'} ({time.monotonic() - began:.0f} s)", flush=True)
    return int(bool(missing))


if __name__ == "__main__":
    sys.exit(main())
