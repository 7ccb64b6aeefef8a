"""The demo's model servers: ``python -m portal.demo.servers`` answers on loopback until it is told to stop.

One process, one port per kind of server, counted from ``PREFLIGHT_DEMO_BASE_PORT`` (8811). Every model has a prefix of
its own there: ``http://127.0.0.1:8811/assist-chat/4.2/v1/models``. Nothing ever listens on the port of the dead one.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import threading

from portal.demo.serving.base import DEMO_KEY, Server, Stack
from portal.demo.serving.images import ComfyUI, Images
from portal.demo.serving.llamacpp import LlamaCpp
from portal.demo.serving.ollama import Ollama
from portal.demo.serving.speaches import Speaches
from portal.demo.serving.tei import TEI
from portal.demo.serving.vllm import VLLM, OpenVLLM, SlowVLLM, SmallVLLM

HEADERS = {"Authorization": f"Bearer {DEMO_KEY}"}
# The order is the order of the ports.
KINDS: dict[str, type[Stack] | None] = {
    "vllm": VLLM,
    "open": OpenVLLM,
    "small": SmallVLLM,
    "slow": SlowVLLM,
    "dead": None,
    "images": Images,
    "comfyui": ComfyUI,
    "embedding": TEI,
    "llamacpp": LlamaCpp,
    "ollama": Ollama,
    "audio": Speaches,
}


def base_port() -> int:
    return int(os.environ.get("PREFLIGHT_DEMO_BASE_PORT", "8811"))


def address(kind: str, *prefix: str, base: int | None = None) -> str:
    """The address of a kind of server, with a model's prefix (slug, version), without a slash at the end."""
    port = (base_port() if base is None else base) + list(KINDS).index(kind)
    return "/".join([f"http://127.0.0.1:{port}", *prefix])


def start(base: int) -> list[Server]:
    """Bind every server and answer in threads. Raises ``OSError`` when a port is taken; nothing is left open then."""
    servers: list[Server] = []
    try:
        for offset, stack in enumerate(KINDS.values()):
            if stack is not None:
                servers.append(Server(base + offset, stack()))
    except OSError:
        for server in servers:
            server.server_close()
        raise
    for server in servers:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.2}, daemon=True).start()
    return servers


def main() -> int:
    parser = argparse.ArgumentParser(description="Model servers of the demo, on loopback.")
    parser.add_argument(
        "--base-port", type=int, default=base_port(), help=f"the first of {len(KINDS)} ports (%(default)s)"
    )
    base = parser.parse_args().base_port
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    try:
        servers = start(base)
    except OSError as error:
        ports = f"{base} to {base + len(KINDS) - 1}"
        sys.stderr.write(
            f"The demo model servers need the ports {ports}: {error.strerror}. "
            "Set PREFLIGHT_DEMO_BASE_PORT to others.\n"
        )
        return 1
    sys.stdout.write(f"Demo model servers answer on 127.0.0.1, ports {base} to {base + len(KINDS) - 1}.\n")
    sys.stdout.flush()
    stop.wait()
    for server in servers:
        server.shutdown()
        server.server_close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
