"""Start one real server on a free port of 127.0.0.1, wait until it answers, and end it by its process id."""

from __future__ import annotations

import json
import os
import signal
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from portal.processes import Process
from portal.servers import free_port
from tests.evidence.real import gguf
from tests.evidence.real.programs import program

T = TypeVar("T")
MASTER_KEY = "sk-preflight-master-key-of-the-tests"
LLAMA_KEY = "llama-key-of-the-tests"
SCRAPE_SECONDS = 1
MOCK_SECONDS = 0.05  # how long LiteLLM's mock responses take, so that latencies have a lower bound


@dataclass(frozen=True)
class Server:
    """A running server; ``key`` is what it wants to see as a bearer token, empty if it asks for none."""

    process: Process
    url: str
    key: str = ""

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.key}"} if self.key else {}

    @property
    def address(self) -> str:
        """Host and port."""
        return self.url.removeprefix("http://")

    def text(self, path: str, payload: Any = None) -> str:
        """GET a path, or POST JSON to it, with the server's key; the whole answer."""
        data = None if payload is None else json.dumps(payload).encode()
        headers = {**self.headers, "Content-Type": "application/json"}
        with urllib.request.urlopen(urllib.request.Request(self.url + path, data, headers), timeout=20) as answer:
            return str(answer.read().decode())

    def json(self, path: str, payload: Any = None) -> Any:
        """The same, parsed."""
        return json.loads(self.text(path, payload))


def eventually(look: Callable[[], T], *, seconds: float = 30.0) -> T:
    """What ``look`` returns once it is true; fails with what it returned last."""
    deadline = time.monotonic() + seconds
    while not (seen := look()):
        assert time.monotonic() < deadline, f"not within {seconds:.0f} seconds; last seen: {seen!r}"
        time.sleep(0.1)
    return seen


@contextmanager
def running(
    name: str,
    command: Sequence[str],
    directory: Path,
    *,
    port: int,
    ready: str,
    seconds: float,
    key: str = "",
    environment: Mapping[str, str] | None = None,
) -> Iterator[Server]:
    """Run a program until the block ends; ``ready`` is a path that answers 2xx once it serves."""
    bare = {"PATH": os.defpath, "HOME": str(directory), "LC_ALL": "C.UTF-8"}  # nothing of ours, such as DATABASE_URL
    log = directory / f"{name}.log"
    process = Process(
        name,
        command,
        log=log,
        environment={**bare, **(environment or {})},
        directory=directory,
        orphan_signal=signal.SIGKILL,
    )
    server = Server(process, f"http://127.0.0.1:{port}", key)
    process.start()
    try:
        process.wait_until(lambda: answers(server.url + ready, server.headers), seconds=seconds)
        yield server
    finally:
        process.stop()


def answers(url: str, headers: Mapping[str, str]) -> bool:
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers=dict(headers)), timeout=2):
            return True
    except OSError:  # refused, reset, too slow, or a status that is no 2xx
        return False


@contextmanager
def litellm(directory: Path, *, guard_metrics: bool = False) -> Iterator[Server]:
    """A LiteLLM proxy with a master key and no database, whose two models answer with mock responses."""
    port = free_port()
    upstream = {"api_key": "nobody-is-asked", "mock_delay": MOCK_SECONDS}
    configuration = {
        "model_list": [
            {
                "model_name": "house-chat",
                "litellm_params": {"model": "openai/tiny-chat", "mock_response": "Ready for launch.", **upstream},
                "model_info": {"max_input_tokens": 4096},
            },
            {
                "model_name": "house-embed",
                "litellm_params": {"model": "openai/tiny-embed", "mock_response": [0.1, 0.2, 0.3], **upstream},
                "model_info": {"mode": "embedding"},
            },
        ],
        "litellm_settings": {"callbacks": ["prometheus"], "require_auth_for_metrics_endpoint": guard_metrics},
        "general_settings": {"master_key": MASTER_KEY},
    }
    file = directory / "litellm.json"  # JSON is YAML
    file.write_text(json.dumps(configuration))
    command = [program("litellm"), "-m", "litellm.proxy.proxy_cli", "--config", str(file)]
    quiet = {"LITELLM_TELEMETRY": "False", "LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_MODE": "PRODUCTION"}
    with running(
        "litellm",
        [*command, "--host", "127.0.0.1", "--port", str(port)],
        directory,
        port=port,
        ready="/health/liveliness",
        seconds=180,
        key=MASTER_KEY,
        environment=quiet,
    ) as server:
        yield server


@contextmanager
def llama_cpp_python(
    directory: Path,
    *,
    key: str = LLAMA_KEY,
    context: int = 256,
    alias: str = "tiny-llama",
    seed: int = 0,
    file: Path | None = None,
    **more: Any,
) -> Iterator[Server]:
    """llama-cpp-python's server with a tiny model of our own under the name ``alias`` (empty: that of its file).

    No ``key``: open to all; another ``seed``: other weights; ``file``: another model; ``more``: options of its own.
    """
    port = free_port()
    file = file or gguf.write(directory / "tiny.gguf", seed=seed)
    command = [program("llama-cpp-python"), "-m", "llama_cpp.server", "--model", str(file)]
    options = {"n_ctx": context, "host": "127.0.0.1", "port": port, "n_threads": 1, **more}
    options |= {"model_alias": alias} if alias else {}
    with running(
        "llama-cpp-python",
        [*command, *(part for name, value in options.items() for part in (f"--{name}", str(value)))],
        directory,
        port=port,
        ready="/v1/models",
        seconds=60,
        key=key,
        environment={"API_KEY": key} if key else {},
    ) as server:
        yield server


@contextmanager
def prometheus(
    directory: Path,
    jobs: Mapping[str, Mapping[str, Any]],
    *,
    rules: Sequence[Mapping[str, Any]] = (),
    alertmanager: Server | None = None,
    options: Sequence[str] = (),
) -> Iterator[Server]:
    """A Prometheus that scrapes every second. ``jobs``: name → scrape settings; ``rules``: one group of rules;
    ``options``: more arguments."""
    port = free_port()
    every = f"{SCRAPE_SECONDS}s"
    configuration: dict[str, Any] = {
        "global": {"scrape_interval": every, "scrape_timeout": every, "evaluation_interval": every},
        "scrape_configs": [{"job_name": name, **settings} for name, settings in jobs.items()],
    }
    if rules:
        group = {"name": "preflight", "rules": list(rules)}
        (directory / "rules.json").write_text(json.dumps({"groups": [group]}))
        configuration["rule_files"] = [str(directory / "rules.json")]
    if alertmanager is not None:
        targets = {"static_configs": [{"targets": [alertmanager.address]}]}
        configuration["alerting"] = {"alertmanagers": [targets]}
    file = directory / "prometheus.json"
    file.write_text(json.dumps(configuration))
    command = [
        program("prometheus"),
        f"--config.file={file}",
        f"--storage.tsdb.path={directory / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
        *options,
    ]
    with running("prometheus", command, directory, port=port, ready="/-/ready", seconds=60) as server:
        yield server


@contextmanager
def alertmanager(directory: Path, *, webhook: str) -> Iterator[Server]:
    """An Alertmanager by itself (no cluster) that tells every alert to the address ``webhook``."""
    port = free_port()
    configuration = {
        "route": {"receiver": "test", "group_wait": "1s", "group_interval": "1s"},
        "receivers": [{"name": "test", "webhook_configs": [{"url": webhook}]}],
    }
    file = directory / "alertmanager.json"
    file.write_text(json.dumps(configuration))
    command = [
        program("prometheus-alertmanager"),
        f"--config.file={file}",
        f"--storage.path={directory / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
        "--cluster.listen-address=",
    ]
    with running("alertmanager", command, directory, port=port, ready="/-/ready", seconds=60) as server:
        yield server
