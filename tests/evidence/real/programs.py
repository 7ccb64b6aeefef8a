"""Where the real servers' programs lie: Debian's on PATH, those in Python where ``install`` puts them."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
FOLDER = Path(os.environ.get("PREFLIGHT_SERVERS_DIR") or ROOT / ".servers").absolute()
ENVIRONMENT = FOLDER / "python"  # a virtual environment of their own, whose pins do not meet ours
PINS = Path(__file__).with_name("pins.txt")
INSTALL = "python -m tests.evidence.real.install"
# A program of the virtual environment counts only once its requirement is wholly installed.
REQUIREMENTS = {
    # Exact, and everything below it in pins.txt: some later releases of LiteLLM (1.82.7, 1.82.8) were malicious.
    # Its metrics need a package that it does not ask for.
    "litellm": "litellm[proxy]==1.82.6 prometheus_client",
    "llama-cpp-python": "llama-cpp-python[server]==0.3.36",
}
# Debian's packages, and what their programs are called there and upstream.
PACKAGES = {"prometheus": ("prometheus",), "prometheus-alertmanager": ("prometheus-alertmanager", "alertmanager")}


def stamp(name: str) -> Path:
    """Holds what was wanted of this server when it was last installed."""
    return ENVIRONMENT / f"{name}.installed"


def wanted(name: str) -> str:
    """What an installation has to meet: the requirement and everybody's pins."""
    return f"{REQUIREMENTS[name]}\n{PINS.read_text()}"


def find(name: str) -> Path | None:
    """A Debian package's program, or the interpreter that runs a server in Python; ``None`` if not installed."""
    if name in PACKAGES:
        found = next(filter(None, map(shutil.which, PACKAGES[name])), None)
        return Path(found) if found else None
    done = stamp(name).exists() and stamp(name).read_text() == wanted(name)
    return ENVIRONMENT / "bin" / "python" if done else None


def program(name: str) -> str:
    """The same, for a test that was not skipped."""
    found = find(name)
    assert found is not None, f"{name} is not installed; {INSTALL} does that"
    return str(found)
